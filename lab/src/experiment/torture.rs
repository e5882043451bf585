//! The torture scenario as an experiment: two endpoints whose everything is drawn from the seed.

use super::model::Experiment;
use super::result::{Figure, RunResult, Worse};
use super::run::{Interrupted, Stop};
use crate::instruments::Instruments;
use crate::pair::{Pair, Report};
use crate::plot::Unit;
use crate::scenario::Scenario;
use crate::shrink::{Path, follow};
use crate::violation::Failure;

const STEPS_BETWEEN_LOOKS: u32 = 20_000;

/// Runs the scenario that `seed` means, or what is left of it.
///
/// # Errors
/// It was told to stop.
pub(super) fn run(
    experiment: &Experiment,
    (case, seed): (usize, u64),
    observed: (&mut Instruments, Stop<'_>),
) -> Result<RunResult, Interrupted> {
    let path = experiment
        .torture
        .as_ref()
        .and_then(|left| left.path.clone());
    let path = path.map_or_else(|| Ok(Path::default()), |path| path.parse());
    let Some((scenario, run_seed)) = path.ok().and_then(|path| follow(seed, &path)) else {
        let mut result = RunResult::empty(case, seed);
        result.violation = Some(format!(
            "the path under torture is not one of seed {seed} in this version"
        ));
        return Ok(result);
    };
    let (mut result, failure) = run_scenario(&scenario, (case, run_seed), observed)?;
    result.seed = seed;
    result.violation = failure.map(|failure| failure.to_string());
    Ok(result)
}

/// Runs a scenario; how it failed, if it did.
///
/// # Errors
/// It was told to stop.
pub(super) fn run_scenario(
    scenario: &Scenario,
    (case, seed): (usize, u64),
    (instruments, stop): (&mut Instruments, Stop<'_>),
) -> Result<(RunResult, Option<Failure>), Interrupted> {
    let mut result = RunResult::empty(case, seed);
    let mut pair = match Pair::observed(scenario, seed, instruments) {
        Ok(pair) => pair,
        Err(failure) => return Ok((result, Some(failure))),
    };
    let mut outcome = finish(&mut pair, stop)?;
    if outcome.is_ok() {
        outcome = pair.check_ending();
    }
    let report = pair.report();
    result.trace_hash = report.trace_hash;
    result.virtual_ns = report.finished_at.as_nanos();
    result.datagrams = report.datagrams;
    match outcome {
        Ok(()) => result.figures = figures(&report),
        Err(failure) => return Ok((result, Some(failure))),
    }
    Ok((result, None))
}

fn figures(report: &Report) -> Vec<Figure> {
    let stats = report.stats;
    let sum = |of: fn(&dunlin_transport::Stats) -> u64| stats.iter().map(of).sum::<u64>();
    let count = |name: &str, value| Figure::new(name, Unit::Count, value, Worse::Higher);
    vec![
        Figure::new(
            "virtual_time",
            Unit::Nanoseconds,
            report.finished_at.as_nanos(),
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
    ]
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
