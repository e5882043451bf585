//! `dunlin lab run`.

use dunlin_lab::experiment::run::observed;
use dunlin_lab::experiment::study::Study;

use super::files::{Folder, default_folder};
use super::present::{print, verdict};
use super::scenario::{run_study, seeds, study};
use super::traces::Traces;
use crate::cli::lab::{Format, RunArgs};
use crate::commands::note;
use crate::failure::Failure;
use crate::signals::Shutdown;

/// Runs a scenario, shows and keeps what came of it.
pub(super) fn run(args: &RunArgs, shutdown: &Shutdown) -> Result<(), Failure> {
    let study = study(&args.scenario, &args.sweep.sets)?;
    let folder = if args.no_files {
        None
    } else {
        let default = || default_folder(&study.head().name);
        let path = args.out.clone().unwrap_or_else(default);
        Some(Folder::prepare(&path)?)
    };
    trace_one(args, &study, shutdown)?;
    let outcome = run_study(&study, &args.sweep, args.shard, shutdown)?;
    let judged = outcome.judge(&study);
    print(&outcome, &study, &judged, args.format)?;
    if let Some(folder) = folder {
        let report = folder.write(&outcome, &study, &judged)?;
        let blank = if args.format == Format::Table {
            "\n"
        } else {
            ""
        };
        note(&format!("{blank}report: {}", report.display()));
    }
    verdict(&outcome, &judged, &args.scenario)
}

/// Writes the traces that are asked for, in a run of its own: it is the same as the one in the table.
fn trace_one(args: &RunArgs, study: &Study, shutdown: &Shutdown) -> Result<(), Failure> {
    let seeds = seeds(study, &args.sweep);
    let runs = seeds.len() * study.cases().len();
    let mut traces = Traces::open(&args.traces, false, study, runs)?;
    let (Some(case), Some(seed)) = (study.cases().first(), seeds.first()) else {
        return Ok(());
    };
    if traces.is_wanted() {
        let stop = || shutdown.is_requested();
        let seen = (&mut traces.instruments, &stop as _);
        observed(&case.experiment, (0, *seed), false, seen)
            .map_err(|_| shutdown.interrupted("stopped before the end of the run"))?;
    }
    traces.finish()
}
