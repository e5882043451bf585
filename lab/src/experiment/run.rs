//! One run: parameters and a seed to a result.

use super::model::{Experiment, Kind};
use super::result::RunResult;
use super::{pair, swarm, torture};
use crate::instruments::Instruments;

/// Asked now and then whether to stop.
pub type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// The run was told to stop before its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("stopped before the end")]
pub struct Interrupted;

/// Runs `experiment` with the randomness of `seed`. `case` stands in the result; `keep`: series
/// over time too.
///
/// # Errors
/// It was told to stop.
pub fn run(
    experiment: &Experiment,
    (case, seed): (usize, u64),
    keep: bool,
    stop: Stop<'_>,
) -> Result<RunResult, Interrupted> {
    observed(
        experiment,
        (case, seed),
        keep,
        (&mut Instruments::default(), stop),
    )
}

/// [`run`] under observation. Kinds without endpoints ([`Kind::has_endpoints`]) show nothing.
///
/// # Errors
/// It was told to stop.
pub fn observed(
    experiment: &Experiment,
    (case, seed): (usize, u64),
    keep: bool,
    (instruments, stop): (&mut Instruments, Stop<'_>),
) -> Result<RunResult, Interrupted> {
    match experiment.kind {
        Kind::Pair => pair::run(experiment, (case, seed), keep, (instruments, stop)),
        Kind::Torture => torture::run(experiment, (case, seed), (instruments, stop)),
        Kind::Swarm => {
            let scenario = experiment.swarm.clone().unwrap_or_default();
            Ok(swarm::run(&scenario, (case, seed)))
        }
        Kind::Stack => {
            let scenario = experiment.stack.clone().unwrap_or_default();
            Ok(swarm::run_stack(&scenario, (case, seed)))
        }
    }
}
