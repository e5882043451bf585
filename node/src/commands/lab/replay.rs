//! `dunlin lab replay`.

use dunlin_lab::experiment::result::RunResult;
use dunlin_lab::experiment::run::observed;
use dunlin_lab::experiment::study::Case;

use super::scenario::study;
use super::traces::Traces;
use crate::cli::lab::ReplayArgs;
use crate::commands::print_line;
use crate::failure::{Exit, Failure};
use crate::signals::Shutdown;

/// Runs one seed of each combination again.
pub(super) fn run(args: &ReplayArgs, shutdown: &Shutdown) -> Result<(), Failure> {
    let study = study(&args.scenario, &args.sets)?;
    let stop = || shutdown.is_requested();
    let runs = study.cases().len();
    let mut traces = Traces::open(&args.traces, args.trace, &study, runs)?;
    let (mut violations, mut sentences) = (0, 0);
    for (index, case) in study.cases().iter().enumerate() {
        let at = (index, args.seed);
        let seen = (&mut traces.instruments, &stop as _);
        let result = observed(&case.experiment, at, false, seen)
            .map_err(|_| shutdown.interrupted("stopped before the end of the run"))?;
        violations += usize::from(result.violation.is_some());
        sentences += tell(case, &result)?;
    }
    traces.finish()?;
    let what = match (violations, sentences) {
        (0, 0) => return Ok(()),
        (0, _) => "made a sentence false",
        _ => "violated a promise",
    };
    Err(Failure::new(
        Exit::Broken,
        format!("seed {} {what}, as it did before", args.seed),
    ))
}

/// Prints what a run was like; how many sentences it made false.
fn tell(case: &Case, result: &RunResult) -> Result<usize, Failure> {
    let label = case.label();
    let space = if label.is_empty() { "" } else { " " };
    let what = match &result.violation {
        None => format!(
            "nothing was violated, trace hash {:016x}",
            result.trace_hash
        ),
        Some(violation) => violation.clone(),
    };
    let (seed, datagrams) = (result.seed, result.datagrams);
    print_line(&format!(
        "seed {seed}{space}{label}: {what} ({datagrams} datagrams)"
    ))?;
    if result.violation.is_some() {
        return Ok(0);
    }
    let broken: Vec<_> = case
        .holds
        .iter()
        .filter(|hold| hold.is_broken_by(result))
        .collect();
    for hold in &broken {
        print_line(&format!("\"{}\" is false", hold.text()))?;
    }
    Ok(broken.len())
}
