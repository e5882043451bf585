//! Measures a network whose nodes come and go all the time: whether each node keeps its peers, and
//! whether every parting has a reason.

use std::time::Duration;

use dunlin_overlay::{Instant, OverlayConfig};

use super::partings::Partings;
use super::report::ratio;
use super::scenario::Restart;
use super::violation::SwarmFailure;
use super::world::{Climate, Swarm};
use crate::rng::Rng;
use crate::scheduler::Scheduler;

const SECOND: Duration = Duration::from_secs(1);
/// How long a node that says goodbye stays for it, as `dunlin-node` does.
const GOODBYE: Duration = Duration::from_millis(700);
/// A node that has run for less is still looking for its peers.
const GRACE: Duration = Duration::from_secs(60);
/// The first so many nodes are known to all; they come and go like the others.
const BOOTSTRAPS: usize = 8;

/// What is to be measured.
#[derive(Clone, PartialEq, Debug)]
pub struct ChurnPlan {
    /// Nodes; each is there or about to come back.
    pub nodes: usize,
    /// Virtual time that is measured.
    pub length: Duration,
    /// After so long half of the sessions are over.
    pub half_life: Duration,
    /// A node that left comes back after so long, ± a half, with its identity and nothing else.
    pub away: Duration,
    /// The settings of all nodes.
    pub config: OverlayConfig,
}

impl ChurnPlan {
    /// Sessions with a half-life of an hour, a minute between them, default settings.
    #[must_use]
    pub fn new(nodes: usize, length: Duration) -> Self {
        Self {
            nodes,
            length,
            half_life: Duration::from_secs(3_600),
            away: Duration::from_secs(60),
            config: Swarm::config(),
        }
    }
}

/// What came of it. A peer counts only while it runs: one that has died and is not noticed yet does not.
#[derive(Clone, PartialEq, Debug)]
pub struct Churned {
    /// Sessions that ended.
    pub sessions: u64,
    /// The longest time that a node which had run for a minute had fewer than `min_peers`.
    pub longest_below: Duration,
    /// Seconds of all such nodes together with fewer; and with any number.
    pub seconds_below: u64,
    /// See above.
    pub seconds: u64,
    /// The longest time that the running nodes which had run for a minute were in several pieces; looked
    /// at every ten seconds.
    pub longest_apart: Duration,
    /// Running peers of a node, on average.
    pub degree: f64,
    /// Dials of all nodes.
    pub dials: u64,
    /// Why peers parted.
    pub partings: Partings,
    /// Events of the simulation.
    pub steps: u64,
}

/// What happens to a node.
enum Turn {
    Gone(usize),
    Back(usize),
}

/// Half of those that leave say goodbye, the others stop without a word.
///
/// # Errors
/// What must not be.
pub fn churn(plan: &ChurnPlan, seed: u64) -> Result<Churned, SwarmFailure> {
    let mut study = Study::new(plan, seed)?;
    let seconds = plan.length.as_secs();
    for second in 0..seconds {
        study.second(second)?;
    }
    Ok(study.finish())
}

struct Study<'a> {
    plan: &'a ChurnPlan,
    swarm: Swarm,
    rng: Rng,
    turns: Scheduler<Turn>,
    since: Vec<Instant>,
    below: Vec<u64>,
    apart: u64,
    degrees: u64,
    out: Churned,
}

impl<'a> Study<'a> {
    fn new(plan: &'a ChurnPlan, seed: u64) -> Result<Self, SwarmFailure> {
        let climate = Climate {
            check_every: 0,
            ..Climate::default()
        };
        let mut swarm = Swarm::new(seed, climate);
        for node in 0..plan.nodes {
            let others = (0..BOOTSTRAPS.min(plan.nodes)).filter(|&other| other != node);
            let others: Vec<_> = others.map(Swarm::address_of).collect();
            swarm.add(plan.config.clone(), &others)?;
            swarm.run_for(SECOND / 20)?;
        }
        let now = swarm.now();
        Ok(Self {
            plan,
            swarm,
            rng: Rng::new(seed).split(u64::from(b'c')),
            turns: Scheduler::new(),
            since: vec![now; plan.nodes],
            below: vec![0; plan.nodes],
            apart: 0,
            degrees: 0,
            out: Churned {
                sessions: 0,
                longest_below: Duration::ZERO,
                seconds_below: 0,
                seconds: 0,
                longest_apart: Duration::ZERO,
                degree: 0.0,
                dials: 0,
                partings: Partings::default(),
                steps: 0,
            },
        })
    }

    /// One second passes; some leave, some come back, everybody is looked at.
    fn second(&mut self, second: u64) -> Result<(), SwarmFailure> {
        let end = self.swarm.now() + SECOND;
        self.leave_some()?;
        while let Some(at) = self.turns.next_time().filter(|&at| at <= end) {
            self.swarm.run_until(at)?;
            match self.turns.pop() {
                Some((_, Turn::Gone(node))) => self.swarm.crash(node),
                Some((at, Turn::Back(node))) => {
                    self.swarm.restart(node, Restart::Empty)?;
                    self.since[node] = at;
                }
                None => {}
            }
        }
        self.swarm.run_until(end)?;
        self.look();
        if second.is_multiple_of(10) {
            self.look_for_pieces();
        }
        Ok(())
    }

    fn leave_some(&mut self) -> Result<(), SwarmFailure> {
        // ln 2 in billionths, over the half-life in seconds: the chance to leave within a second.
        let chance = 693_147_181 / self.plan.half_life.as_secs().max(1);
        for node in 0..self.plan.nodes {
            let leaves = self.rng.below(1_000_000_000) < chance;
            if !leaves || !self.swarm.judge().runs(node) {
                continue;
            }
            let mut gone = self.swarm.now();
            if self.rng.below(2) == 0 {
                self.swarm.crash(node);
            } else {
                self.swarm
                    .with(node, |overlay, now| overlay.shutdown(now))?;
                gone = gone + GOODBYE;
                self.turns.schedule(gone, Turn::Gone(node));
            }
            let away = u64::try_from(self.plan.away.as_millis()).unwrap_or(u64::MAX / 2);
            let away = away / 2 + self.rng.below(away + 1);
            let back = gone + Duration::from_millis(away.max(1));
            self.turns.schedule(back, Turn::Back(node));
            self.out.sessions += 1;
        }
        Ok(())
    }

    fn is_settled(&self, node: usize) -> bool {
        let age = self.swarm.now().saturating_duration_since(self.since[node]);
        self.swarm.judge().runs(node) && age >= GRACE
    }

    fn look(&mut self) {
        let enough = self.plan.config.min_peers;
        for node in 0..self.plan.nodes {
            if !self.is_settled(node) {
                self.below[node] = 0;
                continue;
            }
            let degree = self.swarm.judge().degree(node);
            self.degrees += degree as u64;
            self.out.seconds += 1;
            if degree >= enough {
                self.below[node] = 0;
                continue;
            }
            self.below[node] += 1;
            self.out.seconds_below += 1;
            let below = Duration::from_secs(self.below[node]);
            self.out.longest_below = self.out.longest_below.max(below);
        }
    }

    /// Nodes without any running peer are pieces too.
    fn look_for_pieces(&mut self) {
        let unsettled = self.swarm.judge().running();
        let unsettled = unsettled
            .filter(|&node| !self.is_settled(node) && self.swarm.judge().degree(node) == 0);
        let is_whole = self.swarm.judge().pieces() <= 1 + unsettled.count();
        self.apart = if is_whole { 0 } else { self.apart + 10 };
        let apart = Duration::from_secs(self.apart);
        self.out.longest_apart = self.out.longest_apart.max(apart);
    }

    fn finish(mut self) -> Churned {
        self.out.degree = ratio(self.degrees, self.out.seconds.max(1));
        self.out.dials = self.swarm.all_stats().map(|stats| stats.dials).sum();
        self.out.partings = self.swarm.judge().partings().clone();
        self.out.steps = self.swarm.steps();
        self.out
    }
}
