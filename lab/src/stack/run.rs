//! A scenario, a seed, a report.

use serde::Serialize;

use super::scenario::StackScenario;
use super::world::Stack;
use crate::swarm::{Director, Distribution, SwarmFailure, SwarmReport};

/// The figures of one run.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StackReport {
    /// Those of the overlays. Bytes and messages are those of the overlay; events are those of the
    /// network of datagrams.
    #[serde(flatten)]
    pub network: SwarmReport,
    /// UDP datagrams that were sent.
    pub datagrams: u64,
    /// Handshakes that were completed, counted at each end.
    pub handshakes: u64,
    /// Times that a full disk refused the addresses of a node's peers.
    pub saves_refused: u64,
}

/// Runs `scenario`; what it leaves open is drawn from `seed`. Same scenario and seed, same report,
/// on every machine. When the report is made everybody says goodbye, and nothing may be left of
/// the connections.
///
/// # Errors
/// The first thing that happened and must never happen. That a message did not reach everybody is
/// no failure but a figure of the report.
pub fn run(scenario: &StackScenario, seed: u64) -> Result<StackReport, SwarmFailure> {
    let mut stack = Stack::new(scenario, seed);
    let mut director = Director::new(&scenario.network, seed);
    director.run(&mut stack)?;
    let mut report = stack.report(SwarmReport::of(seed));
    director.report(&mut report.network);
    stack.end()?;
    Ok(report)
}

impl Stack {
    /// The figures of the simulation so far.
    fn report(&mut self, mut report: SwarmReport) -> StackReport {
        let mut known = Vec::new();
        for stats in self.all_stats() {
            report.copies += stats.broadcasts_received + stats.broadcasts_duplicate;
            report.dials += stats.dials;
        }
        let running: Vec<_> = self.with_judge(|judge| judge.running().collect());
        for node in running {
            if let Some(app) = self.net().app(node) {
                known.push(u32::try_from(app.overlay.stats().known).unwrap_or(u32::MAX));
            }
        }
        report.known = Distribution::of(&mut known, 1.0);
        report.trace_hash = self.net().trace().hash();
        report.events = self.net().steps();
        let datagrams = self.net().datagrams();
        let mut shared = self.shared().borrow_mut();
        (report.messages, report.bytes) = (shared.messages, shared.bytes);
        report.dials_failed = shared.dials_failed;
        shared.judge.report(&mut report);
        StackReport {
            network: report,
            datagrams,
            handshakes: shared.handshakes,
            saves_refused: shared.saves_refused,
        }
    }
}
