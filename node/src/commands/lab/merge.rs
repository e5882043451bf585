//! `dunlin lab merge`.

use dunlin_lab::experiment::library::find;
use dunlin_lab::experiment::outcome::Outcome;

use super::files::{Folder, default_folder, read};
use super::present::{print, verdict};
use crate::cli::lab::{Format, MergeArgs};
use crate::commands::note;
use crate::failure::{Exit, Failure};

/// Joins shards, shows and keeps the whole.
pub(super) fn run(args: &MergeArgs) -> Result<(), Failure> {
    let parts = args
        .parts
        .iter()
        .map(|path| read(path))
        .collect::<Result<Vec<_>, _>>()?;
    let refuse = |error: &dyn std::fmt::Display| {
        Failure::new(
            Exit::Usage,
            format!("the results cannot be joined: {error}"),
        )
    };
    let outcome = Outcome::merge(parts).map_err(|error| refuse(&error))?;
    let study = outcome.study().map_err(|error| refuse(&error))?;
    let default = || default_folder(&outcome.scenario);
    let folder = Folder::prepare(&args.out.clone().unwrap_or_else(default))?;
    let judged = outcome.judge(&study);
    print(&outcome, &study, &judged, args.format)?;
    let report = folder.write(&outcome, &study, &judged)?;
    let blank = if args.format == Format::Table {
        "\n"
    } else {
        ""
    };
    note(&format!("{blank}report: {}", report.display()));
    let scenario = match find(&outcome.scenario) {
        Ok(named) => named.name.into(),
        Err(_) => format!("{}.toml", outcome.scenario),
    };
    verdict(&outcome, &judged, &scenario)
}
