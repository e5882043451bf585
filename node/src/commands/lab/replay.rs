//! `dunlin lab replay`.

use dunlin_lab::experiment::run::run as run_once;

use super::scenario::study;
use crate::cli::lab::ReplayArgs;
use crate::commands::print_line;
use crate::failure::{Exit, Failure};
use crate::signals::Shutdown;

/// Runs one seed of each combination again.
pub(super) fn run(args: &ReplayArgs, shutdown: &Shutdown) -> Result<(), Failure> {
    let study = study(&args.scenario, &args.sets)?;
    let stop = || shutdown.is_requested();
    let mut violations = 0;
    for (index, case) in study.cases().iter().enumerate() {
        let result = run_once(&case.experiment, (index, args.seed), false, &stop)
            .map_err(|_| shutdown.interrupted("stopped before the end of the run"))?;
        let label = case.label();
        let space = if label.is_empty() { "" } else { " " };
        let what = match &result.violation {
            None => format!(
                "nothing was violated, trace hash {:016x}",
                result.trace_hash
            ),
            Some(violation) => {
                violations += 1;
                violation.clone()
            }
        };
        let (seed, datagrams) = (args.seed, result.datagrams);
        print_line(&format!(
            "seed {seed}{space}{label}: {what} ({datagrams} datagrams)"
        ))?;
    }
    if violations == 0 {
        return Ok(());
    }
    let sentence = format!("seed {} violated a promise, as it did before", args.seed);
    Err(Failure::new(Exit::Broken, sentence))
}
