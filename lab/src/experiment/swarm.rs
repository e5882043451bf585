//! Networks of overlays, alone or on the full stack, as experiments.

use super::result::{Figure, RunResult, Worse};
use crate::plot::Unit;
use crate::stack::StackScenario;
use crate::swarm::{SwarmReport, SwarmScenario, run as run_swarm};

/// Runs a network of overlays.
pub(super) fn run(scenario: &SwarmScenario, at: (usize, u64)) -> RunResult {
    match run_swarm(scenario, at.1) {
        Err(failure) => failed(at, failure.to_string()),
        Ok(report) => result(at, &report),
    }
}

/// Runs a network of full-stack nodes.
pub(super) fn run_stack(scenario: &StackScenario, at: (usize, u64)) -> RunResult {
    match crate::stack::run(scenario, at.1) {
        Err(failure) => failed(at, failure.to_string()),
        Ok(report) => {
            let mut result = result(at, &report.network);
            result.datagrams = report.datagrams;
            let count = |name: &str, value| Figure::new(name, Unit::Count, value, Worse::Higher);
            result.figures.push(count("datagrams", report.datagrams));
            result.figures.push(count("handshakes", report.handshakes));
            result
        }
    }
}

fn failed((case, seed): (usize, u64), violation: String) -> RunResult {
    RunResult {
        violation: Some(violation),
        ..RunResult::empty(case, seed)
    }
}

fn result((case, seed): (usize, u64), report: &SwarmReport) -> RunResult {
    RunResult {
        trace_hash: report.trace_hash,
        virtual_ns: u64::try_from(report.virtual_time.as_nanos()).unwrap_or(u64::MAX),
        datagrams: report.messages,
        figures: figures(report),
        ..RunResult::empty(case, seed)
    }
}

/// The figures of a report. Its decimals become integers here.
fn figures(report: &SwarmReport) -> Vec<Figure> {
    let count = |name: &str, value, worse| Figure::new(name, Unit::Count, value, worse);
    let share = |name: &str, part: u64, whole: u64| {
        let value = u128::from(part) * 1_000_000 / u128::from(whole.max(1));
        let value = if whole == 0 { 1_000_000 } else { value };
        let value = u64::try_from(value).unwrap_or(u64::MAX);
        Figure::new(name, Unit::Millionths, value, Worse::Lower)
    };
    let time =
        |name: &str, ms: f64| Figure::new(name, Unit::Nanoseconds, whole(ms * 1e6), Worse::Higher);
    let length = |value: usize| value as u64;
    let requests = report.requests;
    let mut all = vec![
        share("delivered", report.delivered, report.expected),
        count("complete", length(report.complete), Worse::Lower),
        count("broadcasts", length(report.broadcasts), Worse::Lower),
        time("latency_p50", report.latency_ms.p50),
        time("latency_p95", report.latency_ms.p95),
        time("latency_p99", report.latency_ms.p99),
        time("latency_max", report.latency_ms.max),
        Figure::new(
            "copies_per_delivery",
            Unit::Millionths,
            whole(report.copies_per_delivery * 1e6),
            Worse::Higher,
        ),
        count("hops_p50", whole(report.hops.p50), Worse::Higher),
        count("hops_max", whole(report.hops.max), Worse::Higher),
        Figure::new(
            "degree_mean",
            Unit::Millionths,
            whole(report.degree.mean * 1e6),
            Worse::Lower,
        ),
        count("running", length(report.running), Worse::Lower),
        count("pieces", length(report.pieces), Worse::Higher),
        count("messages", report.messages, Worse::Higher),
        Figure::new("bytes", Unit::Bytes, report.bytes, Worse::Higher),
        count("dials", report.dials, Worse::Higher),
        count("dials_failed", report.dials_failed, Worse::Higher),
        count("events", report.events, Worse::Higher),
    ];
    if let Some(at) = report.whole_at {
        all.push(time("whole_after", at.as_secs_f64() * 1e3));
    }
    if let Some(after) = report.healed_after {
        all.push(time("healed_after", after.as_secs_f64() * 1e3));
        let (part, of) = (report.delivered_healed, report.expected_healed);
        all.push(share("delivered_healed", part, of));
    }
    if requests.sent > 0 {
        let kept = requests.sent - requests.abandoned.min(requests.sent);
        all.push(share("requests_answered", requests.answered, kept));
    }
    all
}

/// A figure without decimals, rounded.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures are neither negative nor near the end of their range"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}
