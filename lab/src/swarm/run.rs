//! A scenario, a seed, a report.

use bytes::Bytes;
use dunlin_overlay::{Instant, OverlayConfig};
use dunlin_session::NodeId;

use super::director::{Director, World};
use super::judge::Judge;
use super::report::{Distribution, SwarmReport};
use super::scenario::{Restart, SwarmScenario};
use super::violation::SwarmFailure;
use super::world::{Climate, Swarm};

/// Runs `scenario`; what it leaves open is drawn from `seed`. Same scenario and seed, same report,
/// on every machine.
///
/// # Errors
/// The first thing that happened and must never happen. That a message did not reach everybody is
/// no failure but a figure of the report.
pub fn run(scenario: &SwarmScenario, seed: u64) -> Result<SwarmReport, SwarmFailure> {
    let climate = Climate {
        latency: scenario.latency,
        jitter: scenario.jitter,
        loss: scenario.loss,
        notice_after: scenario.notice_after,
        check_every: scenario.check_every,
    };
    let mut directed = Directed {
        swarm: Swarm::new(seed, climate),
        config: overlay_config(scenario, Swarm::config()),
        bootstraps: bootstraps(scenario),
    };
    let mut director = Director::new(scenario, seed);
    director.run(&mut directed)?;
    let mut report = SwarmReport::of(seed);
    directed.swarm.report(&mut report);
    director.report(&mut report);
    Ok(report)
}

/// The overlay's settings in `scenario`.
pub(crate) fn overlay_config(scenario: &SwarmScenario, config: OverlayConfig) -> OverlayConfig {
    let number = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
    OverlayConfig {
        target_peers: number(scenario.degree),
        max_peers: number(scenario.max_peers),
        ..config
    }
}

/// How many of the first nodes everybody knows.
pub(crate) fn bootstraps(scenario: &SwarmScenario) -> usize {
    let most = dunlin_overlay::limits::BOOTSTRAP_MAX;
    usize::try_from(scenario.bootstraps)
        .unwrap_or(most)
        .clamp(1, most)
        .min(scenario.node_count())
}

struct Directed {
    swarm: Swarm,
    config: OverlayConfig,
    bootstraps: usize,
}

impl World for Directed {
    type Failure = SwarmFailure;

    fn judge<R>(&self, look: impl FnOnce(&Judge) -> R) -> R {
        look(self.swarm.judge())
    }

    fn run_until(&mut self, at: Instant) -> Result<(), SwarmFailure> {
        self.swarm.run_until(at)
    }

    fn join(&mut self) -> Result<(), SwarmFailure> {
        let joiner = self.swarm.len();
        let others: Vec<_> = (0..self.bootstraps)
            .filter(|&node| node != joiner)
            .map(Swarm::address_of)
            .collect();
        self.swarm.add(self.config.clone(), &others).map(drop)
    }

    fn broadcast(&mut self, node: usize, payload: Bytes) -> Result<(), SwarmFailure> {
        self.swarm.broadcast(node, payload).map(drop)
    }

    fn request(&mut self, node: usize, peer: NodeId, payload: Bytes) -> Result<(), SwarmFailure> {
        self.swarm.request(node, peer, payload).map(drop)
    }

    fn leave(&mut self, node: usize) -> Result<(), SwarmFailure> {
        self.swarm
            .with(node, |overlay, now| overlay.shutdown(now))
            .map(drop)
    }

    fn crash(&mut self, node: usize) -> Result<(), SwarmFailure> {
        self.swarm.crash(node);
        Ok(())
    }

    fn pause(&mut self, node: usize) -> Result<(), SwarmFailure> {
        self.swarm.pause(node);
        Ok(())
    }

    fn restart(&mut self, node: usize, how: Restart) -> Result<(), SwarmFailure> {
        self.swarm.restart(node, how)
    }

    fn partition(&mut self, part: &[bool]) {
        self.swarm
            .partition(|node| part.get(node).copied().unwrap_or(false));
    }

    fn heal(&mut self) {
        self.swarm.heal();
    }

    fn cut(&mut self, a: usize, b: usize) {
        self.swarm.cut(a, b);
    }

    fn check_end(&self) -> Result<(), SwarmFailure> {
        self.swarm.check_end()
    }
}

impl SwarmReport {
    /// Nothing is known yet.
    pub(crate) fn of(seed: u64) -> Self {
        Self {
            seed,
            nodes: 0,
            running: 0,
            broadcasts: 0,
            expected: 0,
            delivered: 0,
            delivery_ratio: 1.0,
            complete: 0,
            copies: 0,
            copies_per_delivery: 0.0,
            latency_ms: Default::default(),
            hops: Default::default(),
            degree: Default::default(),
            known: Default::default(),
            pieces: 0,
            whole_at: None,
            healed_after: None,
            expected_healed: 0,
            delivered_healed: 0,
            requests: Default::default(),
            messages: 0,
            bytes: 0,
            dials: 0,
            dials_failed: 0,
            each: Vec::new(),
            trace_hash: 0,
            virtual_time: Default::default(),
            events: 0,
        }
    }
}

impl Swarm {
    /// Checks all nodes, and that nothing waits any more that should have ended.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn check_end(&self) -> Result<(), SwarmFailure> {
        (0..self.len()).try_for_each(|node| self.check(node))?;
        self.judge()
            .check_end(self.now())
            .map_err(|(node, violation)| self.failure(node, violation))
    }

    /// Fills in the figures of the simulation.
    fn report(&mut self, report: &mut SwarmReport) {
        let known = self.judge.running().map(|node| self.overlay(node).stats());
        let mut known: Vec<u32> = known
            .map(|stats| u32::try_from(stats.known).unwrap_or(u32::MAX))
            .collect();
        report.known = Distribution::of(&mut known, 1.0);
        for stats in self.all_stats() {
            report.copies += stats.broadcasts_received + stats.broadcasts_duplicate;
            report.dials += stats.dials;
        }
        (report.messages, report.bytes) = self.traffic();
        report.dials_failed = self.dials_failed();
        report.trace_hash = self.trace_hash();
        report.events = self.steps();
        self.judge.report(report);
    }
}
