//! The torture scenario as an experiment: two endpoints whose everything is drawn from the seed.

use super::result::{Figure, RunResult, Worse};
use super::run::{Interrupted, Stop};
use crate::pair::Pair;
use crate::plot::Unit;
use crate::scenario::Scenario;
use crate::violation::Failure;

const STEPS_BETWEEN_LOOKS: u32 = 20_000;

/// Runs the scenario that `seed` means.
///
/// # Errors
/// It was told to stop.
pub(super) fn run((case, seed): (usize, u64), stop: Stop<'_>) -> Result<RunResult, Interrupted> {
    let scenario = Scenario::from_seed(seed);
    let mut result = RunResult {
        case,
        seed,
        trace_hash: 0,
        virtual_ns: 0,
        datagrams: 0,
        figures: Vec::new(),
        violation: None,
        recording: None,
    };
    let mut pair = match Pair::new(&scenario, seed) {
        Ok(pair) => pair,
        Err(failure) => return Ok(failed(result, &failure)),
    };
    let mut outcome = finish(&mut pair, stop)?;
    if outcome.is_ok() {
        outcome = pair.check_ending();
    }
    let report = pair.report();
    result.trace_hash = report.trace_hash;
    result.virtual_ns = report.finished_at.as_nanos();
    result.datagrams = report.datagrams;
    if let Err(failure) = outcome {
        return Ok(failed(result, &failure));
    }
    let stats = report.stats;
    let sum = |of: fn(&dunlin_transport::Stats) -> u64| stats.iter().map(of).sum::<u64>();
    let count = |name: &str, value| Figure::new(name, Unit::Count, value, Worse::Higher);
    result.figures = vec![
        Figure::new(
            "virtual_time",
            Unit::Nanoseconds,
            result.virtual_ns,
            Worse::Higher,
        ),
        count("datagrams", report.datagrams),
        count("events", report.steps),
        Figure::new(
            "stream_bytes",
            Unit::Bytes,
            report.stream_bytes,
            Worse::Lower,
        ),
        Figure::new(
            "messages",
            Unit::Count,
            report.messages as u64,
            Worse::Lower,
        ),
        count("packets_lost", sum(|stats| stats.packets_lost)),
        count("probe_timeouts", sum(|stats| stats.probe_timeouts)),
        count("path_changes", sum(|stats| stats.path_changes)),
    ];
    Ok(result)
}

fn failed(result: RunResult, failure: &Failure) -> RunResult {
    RunResult {
        violation: Some(failure.to_string()),
        ..result
    }
}

fn finish(pair: &mut Pair<'_>, stop: Stop<'_>) -> Result<Result<(), Failure>, Interrupted> {
    loop {
        for _ in 0..STEPS_BETWEEN_LOOKS {
            if pair.is_finished() {
                return Ok(Ok(()));
            }
            if let Err(failure) = pair.step() {
                return Ok(Err(failure));
            }
        }
        if stop() {
            return Err(Interrupted);
        }
    }
}
