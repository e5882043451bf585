//! `dunlin lab run`.

use super::files::{Folder, default_folder};
use super::present::{print, verdict};
use super::scenario::{run_study, study};
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
