//! Makes a scenario happen: one timeline for simulations with and without a transport.

use std::time::Duration;

use bytes::Bytes;
use dunlin_overlay::Instant;
use dunlin_session::NodeId;

use super::judge::Judge;
use super::report::SwarmReport;
use super::scenario::{Origin, Restart, SwarmScenario};
use crate::rng::{Ppm, Rng};
use crate::scheduler::Scheduler;

/// A network that can be directed.
pub(crate) trait World {
    /// What ends a run early.
    type Failure;

    /// Who runs and what was delivered.
    fn judge<R>(&self, look: impl FnOnce(&Judge) -> R) -> R;
    /// Runs until `at`.
    fn run_until(&mut self, at: Instant) -> Result<(), Self::Failure>;
    /// One more node.
    fn join(&mut self) -> Result<(), Self::Failure>;
    /// A node broadcasts.
    fn broadcast(&mut self, node: usize, payload: Bytes) -> Result<(), Self::Failure>;
    /// A node asks a peer.
    fn request(&mut self, node: usize, peer: NodeId, payload: Bytes) -> Result<(), Self::Failure>;
    /// A node says goodbye; a moment later it is crashed.
    fn leave(&mut self, node: usize) -> Result<(), Self::Failure>;
    /// A node stops without a word.
    fn crash(&mut self, node: usize) -> Result<(), Self::Failure>;
    /// A node stands still.
    fn pause(&mut self, node: usize) -> Result<(), Self::Failure>;
    /// A node comes back.
    fn restart(&mut self, node: usize, how: Restart) -> Result<(), Self::Failure>;
    /// The network falls into two parts.
    fn partition(&mut self, part: &[bool]);
    /// It becomes one again.
    fn heal(&mut self);
    /// The link between two nodes breaks.
    fn cut(&mut self, a: usize, b: usize);
    /// What must hold when everything has had its time.
    fn check_end(&self) -> Result<(), Self::Failure>;
}

/// What is to happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Join,
    Broadcast,
    Request,
    Crash,
    CrashEnds,
    Partition,
    Heal,
    Leave,
    Gone(usize),
    Back(usize),
    Cut,
    Look,
    LookHealed,
}

/// Between two looks at whether the network is whole.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a node that says goodbye stays for it: the time that `dunlin-node` gives it.
const GOODBYE: Duration = Duration::from_millis(700);

/// Directs one run.
pub(crate) struct Director<'a> {
    scenario: &'a SwarmScenario,
    timeline: Scheduler<Step>,
    rng: Rng,
    joined: usize,
    crashed: Vec<usize>,
    numbers: u64,
    whole_at: Option<Duration>,
    healed_at: Option<Duration>,
}

impl<'a> Director<'a> {
    /// The timeline of `scenario`; what it leaves open is drawn from `seed`.
    pub(crate) fn new(scenario: &'a SwarmScenario, seed: u64) -> Self {
        let mut director = Self {
            scenario,
            timeline: Scheduler::new(),
            rng: Rng::new(seed).split(u64::from(b'd')),
            joined: 0,
            crashed: Vec::new(),
            numbers: 0,
            whole_at: None,
            healed_at: None,
        };
        director.plan_traffic();
        director.plan_faults();
        director.at(LOOK_EVERY, Step::Look);
        if let Some(at) = scenario.faults_end() {
            director.at(at, Step::LookHealed);
        }
        director
    }

    fn at(&mut self, at: Duration, step: Step) {
        self.timeline.schedule(Instant::ZERO + at, step);
    }

    fn plan_traffic(&mut self) {
        let scenario = self.scenario;
        let nodes = self.scenario.node_count();
        for node in 0..nodes {
            let at = share_of(scenario.join_over, node, nodes);
            self.at(at, Step::Join);
        }
        for number in 0..scenario.broadcasts {
            let at = scenario.warm_up + scenario.broadcast_interval * number;
            self.at(at, Step::Broadcast);
        }
        let during = scenario.broadcast_interval * scenario.broadcasts;
        let requests = usize::try_from(scenario.requests).unwrap_or(usize::MAX);
        for number in 0..requests {
            let at = scenario.warm_up + share_of(during, number, requests);
            self.at(at, Step::Request);
        }
    }

    fn plan_faults(&mut self) {
        let scenario = self.scenario;
        if let Some(crash) = scenario.crash {
            self.at(crash.at, Step::Crash);
            if let Some(after) = crash.restart_after {
                self.at(crash.at + after, Step::CrashEnds);
            }
        }
        if let Some(partition) = scenario.partition {
            self.at(partition.at, Step::Partition);
            self.at(partition.until, Step::Heal);
        }
        if let Some(churn) = scenario.churn {
            self.scatter(churn.from, churn.until, churn.per_minute, Step::Leave);
        }
        if let Some(cuts) = scenario.cuts {
            self.scatter(cuts.from, cuts.until, cuts.per_minute, Step::Cut);
        }
    }

    /// `step` at random times, so often in a minute as that share of the nodes.
    fn scatter(&mut self, from: Duration, until: Duration, per_minute: Ppm, step: Step) {
        let length = until.saturating_sub(from);
        let nodes = self.scenario.node_count() as u128;
        let times = nodes * u128::from(per_minute.0) * length.as_nanos() / 60_000_000_000_000_000;
        let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        for _ in 0..times {
            let at = from + Duration::from_nanos(self.rng.below(nanos));
            self.at(at, step);
        }
    }

    /// Runs the scenario on `world` to its end.
    pub(crate) fn run<W: World>(&mut self, world: &mut W) -> Result<(), W::Failure> {
        let end = Instant::ZERO + self.scenario.end();
        while let Some(at) = self.timeline.next_time().filter(|&at| at <= end) {
            world.run_until(at)?;
            if let Some((_, step)) = self.timeline.pop() {
                self.take(at, step, world)?;
            }
        }
        world.run_until(end)?;
        world.check_end()
    }

    /// Fills in what the director knows; the judge has reported before.
    pub(crate) fn report(&self, report: &mut SwarmReport) {
        report.whole_at = self.whole_at;
        if let (Some(end), Some(at)) = (self.scenario.faults_end(), self.healed_at) {
            report.healed_after = Some(at - end);
            for each in report.each.iter().filter(|each| each.at >= at) {
                report.expected_healed += each.expected;
                report.delivered_healed += each.delivered;
            }
        }
        report.virtual_time = self.scenario.end();
    }

    fn take<W: World>(
        &mut self,
        now: Instant,
        step: Step,
        world: &mut W,
    ) -> Result<(), W::Failure> {
        match step {
            Step::Join => {
                self.joined += 1;
                world.join()?;
            }
            Step::Broadcast => {
                if let Some(node) = self.origin(world) {
                    let payload = self.payload();
                    world.broadcast(node, payload)?;
                }
            }
            Step::Request => self.request(world)?,
            Step::Crash => self.crash(world)?,
            Step::CrashEnds => self.crash_ends(world)?,
            Step::Partition => self.partition(world),
            Step::Heal => world.heal(),
            Step::Leave => self.leave(now, world)?,
            Step::Gone(node) => world.crash(node)?,
            Step::Back(node) => {
                let how = self.scenario.churn.map(|churn| churn.restart);
                world.restart(node, how.unwrap_or_default())?;
            }
            Step::Cut => self.cut(world),
            Step::Look => self.look(now, world),
            Step::LookHealed => self.look_healed(now, world),
        }
        Ok(())
    }

    fn any<W: World>(&mut self, world: &W) -> Option<usize> {
        let running: Vec<_> = world.judge(|judge| judge.running().collect());
        self.rng.pick(&running).copied()
    }

    fn origin<W: World>(&mut self, world: &W) -> Option<usize> {
        match self.scenario.origin {
            Origin::Random => self.any(world),
            Origin::First => world.judge(|judge| judge.running().next()),
        }
    }

    /// Bytes that no other broadcast or request of this run has.
    fn payload(&mut self) -> Bytes {
        self.numbers += 1;
        let len = usize::try_from(self.scenario.payload).unwrap_or(usize::MAX);
        let len = len.clamp(8, dunlin_overlay::limits::BROADCAST_PAYLOAD_LEN_MAX);
        let number = self.numbers.to_be_bytes();
        number.iter().copied().cycle().take(len).collect()
    }

    fn request<W: World>(&mut self, world: &mut W) -> Result<(), W::Failure> {
        let Some(node) = self.any(world) else {
            return Ok(());
        };
        let peers: Vec<_> = world.judge(|judge| judge.peers_of(node).collect());
        let peer = self.rng.pick(&peers).copied();
        if let Some(peer) = peer.and_then(|peer| world.judge(|judge| judge.id_of(peer))) {
            let payload = self.payload();
            world.request(node, peer, payload)?;
        }
        Ok(())
    }

    fn crash<W: World>(&mut self, world: &mut W) -> Result<(), W::Failure> {
        let Some(crash) = self.scenario.crash else {
            return Ok(());
        };
        let running: Vec<_> = world.judge(|judge| judge.running().collect());
        self.crashed = self.sample(running, crash.fraction);
        for &node in &self.crashed {
            match crash.restart {
                Restart::Resumed => world.pause(node)?,
                Restart::Empty | Restart::KnownPeers => world.crash(node)?,
            }
        }
        Ok(())
    }

    fn crash_ends<W: World>(&mut self, world: &mut W) -> Result<(), W::Failure> {
        let how = self.scenario.crash.map(|crash| crash.restart);
        for node in core::mem::take(&mut self.crashed) {
            world.restart(node, how.unwrap_or_default())?;
        }
        Ok(())
    }

    fn partition<W: World>(&mut self, world: &mut W) {
        let Some(partition) = self.scenario.partition else {
            return;
        };
        let mut part = vec![false; self.scenario.node_count()];
        let nodes = (0..part.len()).collect();
        for node in self.sample(nodes, partition.fraction) {
            if let Some(is_in) = part.get_mut(node) {
                *is_in = true;
            }
        }
        world.partition(&part);
    }

    fn leave<W: World>(&mut self, now: Instant, world: &mut W) -> Result<(), W::Failure> {
        let (Some(churn), Some(node)) = (self.scenario.churn, self.any(world)) else {
            return Ok(());
        };
        let mut back = now + churn.away;
        if churn.restart == Restart::Resumed {
            world.pause(node)?;
        } else if self.rng.chance(churn.silent) {
            world.crash(node)?;
        } else {
            world.leave(node)?;
            self.timeline.schedule(now + GOODBYE, Step::Gone(node));
            back = back + GOODBYE;
        }
        self.timeline.schedule(back, Step::Back(node));
        Ok(())
    }

    fn cut<W: World>(&mut self, world: &mut W) {
        let Some(node) = self.any(world) else {
            return;
        };
        let peers: Vec<_> = world.judge(|judge| judge.peers_of(node).collect());
        if let Some(&peer) = self.rng.pick(&peers) {
            world.cut(node, peer);
        }
    }

    fn look<W: World>(&mut self, now: Instant, world: &W) {
        let enough = usize::try_from(self.scenario.degree / 2).unwrap_or(0);
        let enough = enough.min(self.scenario.node_count().saturating_sub(1));
        let is_whole = |judge: &Judge| {
            judge.running().all(|node| judge.degree(node) >= enough) && judge.pieces() == 1
        };
        if self.joined == self.scenario.node_count() && world.judge(is_whole) {
            self.whole_at = Some(now.saturating_duration_since(Instant::ZERO));
        } else {
            self.timeline.schedule(now + LOOK_EVERY, Step::Look);
        }
    }

    fn look_healed<W: World>(&mut self, now: Instant, world: &W) {
        if world.judge(|judge| judge.pieces() == 1) {
            self.healed_at = Some(now.saturating_duration_since(Instant::ZERO));
        } else {
            self.timeline.schedule(now + LOOK_EVERY, Step::LookHealed);
        }
    }

    /// That share of `nodes`, drawn at random, rounded down.
    fn sample(&mut self, mut nodes: Vec<usize>, share: Ppm) -> Vec<usize> {
        let count = nodes.len() as u64 * u64::from(share.0) / u64::from(Ppm::ALWAYS.0);
        let count = usize::try_from(count).unwrap_or(0).min(nodes.len());
        for place in 0..count {
            let rest = (nodes.len() - place) as u64;
            let other = place + usize::try_from(self.rng.below(rest)).unwrap_or(0);
            nodes.swap(place, other);
        }
        nodes.truncate(count);
        nodes
    }
}

/// The `part`-th of `parts` equal steps through `whole`.
fn share_of(whole: Duration, part: usize, parts: usize) -> Duration {
    let nanos = whole.as_nanos() * part as u128 / parts.max(1) as u128;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
