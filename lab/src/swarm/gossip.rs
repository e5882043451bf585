//! Measures gossip: copies and delay in a quiet network, delivery while most nodes die at once, and
//! after half of the network was apart.
//!
//! The networks are [`Swarm`]s of default overlays: reliable links with one-way delays of 10–50 ms
//! that break unnoticed. Nobody is told of a death: the transport's idle timeout is 30 s, all that is
//! noticed sooner the overlay notices itself.

use std::time::Duration;

use bytes::Bytes;
use dunlin_overlay::{Instant, OverlayStats};

use super::adversary::Adversary;
use super::report::{Distribution, ratio};
use super::violation::SwarmFailure;
use super::world::{Climate, Swarm};
use crate::rng::Rng;

const SECOND: Duration = Duration::from_secs(1);
/// Bytes of each broadcast.
const PAYLOAD: usize = 64;
/// The first so many nodes are known to all from the start.
const BOOTSTRAPS: usize = 8;
/// How long a network grows and settles before anything is measured.
const SETTLED: Duration = Duration::from_secs(60);

/// A network to measure.
pub(super) struct Study {
    pub(super) swarm: Swarm,
    rng: Rng,
    numbers: u64,
    /// Hostile nodes that change their names, and since when they have the present one.
    washing: Vec<(usize, Instant)>,
}

impl Study {
    /// `nodes` that have joined within ten seconds and settled.
    pub(super) fn new(nodes: usize, seed: u64) -> Result<Self, SwarmFailure> {
        let climate = Climate {
            check_every: 0,
            ..Climate::default()
        };
        let mut swarm = Swarm::new(seed, climate);
        let step = 10 * SECOND / u32::try_from(nodes.max(1)).unwrap_or(u32::MAX);
        for node in 0..nodes {
            let others: Vec<_> = (0..BOOTSTRAPS)
                .filter(|&other| other != node)
                .map(Swarm::address_of)
                .collect();
            swarm.add(Swarm::config(), &others)?;
            swarm.run_for(step)?;
        }
        swarm.run_for(SETTLED)?;
        Ok(Self {
            swarm,
            rng: Rng::new(seed).split(u64::from(b'g')),
            numbers: 0,
            washing: Vec::new(),
        })
    }

    /// A running node drawn at random.
    fn any(&mut self, among: impl Fn(usize) -> bool) -> usize {
        let running: Vec<usize> = self.swarm.judge().running().filter(|&n| among(n)).collect();
        self.rng.pick(&running).copied().unwrap_or(0)
    }

    /// One of `nodes`.
    pub(super) fn pick(&mut self, nodes: &[usize]) -> usize {
        self.rng.pick(nodes).copied().unwrap_or(0)
    }

    /// So many nodes drawn at random.
    pub(super) fn some(&mut self, count: usize) -> Vec<usize> {
        let mut nodes: Vec<usize> = (0..self.swarm.len()).collect();
        for place in 0..nodes.len() {
            let rest = (nodes.len() - place) as u64;
            let other = place + usize::try_from(self.rng.below(rest)).unwrap_or(0);
            nodes.swap(place, other);
        }
        nodes.truncate(count);
        nodes
    }

    /// These have their present names from now on.
    pub(super) fn note_identities(&mut self, nodes: &[usize]) {
        let now = self.swarm.now();
        self.washing = nodes.iter().map(|&node| (node, now)).collect();
    }

    /// Whoever has had its name for `each` leaves and comes back as a stranger.
    pub(super) fn wash(&mut self, each: Duration, kind: Adversary) -> Result<(), SwarmFailure> {
        let now = self.swarm.now();
        let bootstraps: Vec<_> = (0..BOOTSTRAPS).map(Swarm::address_of).collect();
        for place in 0..self.washing.len() {
            let (node, since) = self.washing[place];
            if now >= since + each {
                self.swarm.crash(node);
                let fresh = self.swarm.add(Swarm::config(), &bootstraps)?;
                self.swarm.corrupt(fresh, kind);
                self.washing[place] = (fresh, now);
            }
        }
        Ok(())
    }

    /// Lets a node broadcast; the number of the broadcast.
    pub(super) fn broadcast(&mut self, node: usize) -> Result<usize, SwarmFailure> {
        self.numbers += 1;
        let payload: Bytes = self.numbers.to_be_bytes().repeat(PAYLOAD / 8).into();
        self.swarm.broadcast(node, payload)?;
        Ok(self.swarm.judge().sent() - 1)
    }

    pub(super) fn totals(&self) -> OverlayStats {
        let mut total = OverlayStats::default();
        for stats in self.swarm.all_stats() {
            total.broadcasts_received += stats.broadcasts_received;
            total.broadcasts_duplicate += stats.broadcasts_duplicate;
            total.announced += stats.announced;
            total.asked_for += stats.asked_for;
            total.prunes_sent += stats.prunes_sent;
            total.grafts_sent += stats.grafts_sent;
            total.comparisons += stats.comparisons;
            total.silences += stats.silences;
        }
        total
    }

    /// Runs until every one of `broadcasts` that a living node holds is everywhere: how long that
    /// took from `since`, or `None` after `limit`.
    fn time_to_complete(
        &mut self,
        broadcasts: &[usize],
        limit: Duration,
    ) -> Result<Option<Duration>, SwarmFailure> {
        let is_done = |swarm: &Swarm| {
            let judge = swarm.judge();
            broadcasts
                .iter()
                .all(|&number| !judge.is_held(number) || judge.missing(number) == 0)
        };
        self.swarm.run_until_done(limit, is_done)
    }
}

/// A quiet network in which a random node speaks each time.
#[derive(Clone, PartialEq, Debug)]
pub struct Steady {
    /// Deliveries expected and made.
    pub expected: u64,
    /// See above.
    pub delivered: u64,
    /// Copies of a payload that a node receives, the first one included.
    pub copies: f64,
    /// The same while every node speaks for the first time.
    pub copies_at_first: f64,
    /// From the sending to a delivery, in milliseconds.
    pub latency_ms: Distribution,
    /// The same for a flood over the same links at the same moments, without its jitter.
    pub flood_ms: Distribution,
    /// IDs announced to a node for each broadcast.
    pub announced: f64,
    /// All bytes of overlay messages that a node receives for each broadcast, pings and exchange of
    /// peers included.
    pub bytes: f64,
    /// Peers of a node.
    pub degree: f64,
}

/// How a quiet network is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SteadyPlan {
    /// Nodes.
    pub nodes: usize,
    /// The first so many of them speak, each once before anything is measured.
    pub sources: usize,
    /// Broadcasts that are measured, each of a random source.
    pub measured: usize,
    /// Between two of them.
    pub interval: Duration,
}

/// Every source speaks once; then the broadcasts of random sources are measured.
///
/// # Errors
/// What must not be.
pub fn steady(plan: SteadyPlan, seed: u64) -> Result<Steady, SwarmFailure> {
    let SteadyPlan {
        nodes,
        sources,
        measured,
        interval,
    } = plan;
    let mut study = Study::new(nodes, seed)?;
    for node in 0..sources {
        study.broadcast(node)?;
        study.swarm.run_for(SECOND / 20)?;
    }
    study.swarm.run_for(5 * SECOND)?;
    let (before, (_, bytes_before)) = (study.totals(), study.swarm.traffic());
    let first = study.swarm.judge().sent();
    let mut flood_us = Vec::new();
    for _ in 0..measured {
        let node = study.any(|node| node < sources);
        let times = study.swarm.flood_times(node);
        let others = times.iter().enumerate().filter(|&(other, _)| other != node);
        let micros = others.filter_map(|(_, time)| u32::try_from((*time)?.as_micros()).ok());
        flood_us.extend(micros);
        study.broadcast(node)?;
        study.swarm.run_for(interval)?;
    }
    study.swarm.run_for(5 * SECOND)?;
    let (after, (_, bytes_after)) = (study.totals(), study.swarm.traffic());
    let judge = study.swarm.judge();
    let mut latencies: Vec<u32> = (first..judge.sent())
        .flat_map(|number| judge.latencies_us(number).iter().copied())
        .collect();
    let each = ratio(measured as u64 * nodes as u64, 1);
    let degrees: u64 = (0..nodes).map(|node| judge.degree(node) as u64).sum();
    let received = after.broadcasts_received - before.broadcasts_received;
    let duplicates = after.broadcasts_duplicate - before.broadcasts_duplicate;
    Ok(Steady {
        expected: (measured * (nodes - 1)) as u64,
        delivered: latencies.len() as u64,
        copies: ratio(received + duplicates, received),
        copies_at_first: ratio(
            before.broadcasts_received + before.broadcasts_duplicate,
            before.broadcasts_received,
        ),
        latency_ms: Distribution::of(&mut latencies, 1e-3),
        flood_ms: Distribution::of(&mut flood_us, 1e-3),
        announced: ratio(after.announced - before.announced, 1) / each,
        bytes: ratio(bytes_after - bytes_before, 1) / each,
        degree: ratio(degrees, nodes as u64),
    })
}

/// What became of the broadcasts around a mass crash.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Crashed {
    /// Nodes that live on.
    pub survivors: usize,
    /// Broadcasts that were on their way and that a survivor holds.
    pub in_flight: usize,
    /// How long after its sending the slowest of them was at all survivors; `None`: not within the
    /// limit.
    pub in_flight_after: Option<Duration>,
    /// How long after its sending all survivors had the first broadcast after the crash.
    pub first_after: Option<Duration>,
    /// Its deliveries that were missing at the limit.
    pub missing: usize,
}

/// Ten broadcasts are under way when `percent` of the nodes fall silent; a survivor sends one more
/// a tenth of a second later. What is not everywhere within `limit` from then on counts as missing.
///
/// # Errors
/// What must not be.
pub fn crash(
    nodes: usize,
    percent: usize,
    limit: Duration,
    seed: u64,
) -> Result<Crashed, SwarmFailure> {
    let mut study = Study::new(nodes, seed)?;
    // Trees are there for some origins, as in a network that is in use.
    for _ in 0..20 {
        let node = study.any(|_| true);
        study.broadcast(node)?;
        study.swarm.run_for(SECOND / 4)?;
    }
    let mut flying = Vec::new();
    for _ in 0..10 {
        let node = study.any(|_| true);
        flying.push(study.broadcast(node)?);
        study.swarm.run_for(Duration::from_millis(8))?;
    }
    let victims = study.some(nodes * percent / 100);
    for &node in &victims {
        study.swarm.crash(node);
    }
    study.swarm.run_for(SECOND / 10)?;
    let judge = study.swarm.judge();
    let held: Vec<usize> = flying.into_iter().filter(|&n| judge.is_held(n)).collect();
    let survivors = judge.running().count();
    let node = study.any(|_| true);
    let first = study.broadcast(node)?;
    let sent = study.swarm.now();
    let first_after = study.time_to_complete(&[first], limit)?;
    let missing = study.swarm.judge().missing(first);
    let spent = study.swarm.now().saturating_duration_since(sent);
    study.time_to_complete(&held, limit.saturating_sub(spent))?;
    let judge = study.swarm.judge();
    let late = |number: &usize| judge.latencies_us(*number).iter().max().copied();
    let is_complete = held.iter().all(|&number| judge.missing(number) == 0);
    let arrived = held.iter().filter_map(late).max().unwrap_or(0);
    let in_flight_after = is_complete.then(|| Duration::from_micros(u64::from(arrived)));
    Ok(Crashed {
        survivors,
        in_flight: held.len(),
        in_flight_after,
        first_after,
        missing,
    })
}

/// What became of the broadcasts of a network that was in two halves.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Healed {
    /// Broadcasts sent meanwhile, in both halves.
    pub broadcasts: usize,
    /// How long after it became one network again all nodes had all of them.
    pub after: Option<Duration>,
    /// Deliveries missing at the limit.
    pub missing: usize,
}

/// Half of the nodes are apart for a minute, in which one node of each half speaks every two
/// seconds.
///
/// # Errors
/// What must not be.
pub fn partition(nodes: usize, limit: Duration, seed: u64) -> Result<Healed, SwarmFailure> {
    let mut study = Study::new(nodes, seed)?;
    study.swarm.partition(|node| node % 2 == 0);
    let mut all = Vec::new();
    for _ in 0..30 {
        for side in [0, 1] {
            let node = study.any(|node| node % 2 == side);
            all.push(study.broadcast(node)?);
        }
        study.swarm.run_for(2 * SECOND)?;
    }
    study.swarm.heal();
    let after = study.time_to_complete(&all, limit)?;
    let judge = study.swarm.judge();
    Ok(Healed {
        broadcasts: all.len(),
        after,
        missing: all.iter().map(|&number| judge.missing(number)).sum(),
    })
}
