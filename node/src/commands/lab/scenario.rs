//! From a word of the command line to a study, and from a study to its runs.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use dunlin_lab::experiment::document::Document;
use dunlin_lab::experiment::error::ScenarioError;
use dunlin_lab::experiment::library::{LIBRARY, find};
use dunlin_lab::experiment::outcome::Outcome;
use dunlin_lab::experiment::pool::{Shard, jobs, run_all};
use dunlin_lab::experiment::study::Study;

use super::present::Bar;
use crate::cli::lab::{Seeds, SweepArgs};
use crate::failure::{Exit, Failure, plain_reason};
use crate::signals::Shutdown;

/// A scenario that cannot be run, as a person reads it.
pub(super) fn usage(error: &ScenarioError) -> Failure {
    Failure::new(Exit::Usage, error.to_string())
}

/// The study of a name or a file, with what is set.
pub(super) fn study(scenario: &str, sets: &[String]) -> Result<Study, Failure> {
    let mut document = document(scenario)?;
    for set in sets {
        document.set(set).map_err(|error| usage(&error))?;
    }
    Study::new(document).map_err(|error| usage(&error))
}

fn document(scenario: &str) -> Result<Document, Failure> {
    let path = Path::new(scenario);
    let is_name = LIBRARY.iter().any(|named| named.name == scenario);
    let is_path = path.extension().is_some() || path.components().count() > 1 || path.exists();
    if is_name || !is_path {
        let named = find(scenario).map_err(|error| {
            let sentence = format!("{error}; a file is written with its ending, {scenario}.toml");
            Failure::new(Exit::Usage, sentence)
        })?;
        return named.document().map_err(|error| usage(&error));
    }
    let text = std::fs::read_to_string(path).map_err(|error| {
        let reason = plain_reason(&error);
        let hint = "`dunlin lab list` names the scenarios that need no file";
        Failure::new(
            Exit::Local,
            format!("cannot read {scenario}: {reason}; {hint}"),
        )
    })?;
    let folder: PathBuf = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let load = |name: &str| {
        std::fs::read_to_string(folder.join(name))
            .map_err(|error| format!("cannot read {name}: {}", plain_reason(&error)))
    };
    Document::parse(scenario, &text, &load).map_err(|error| usage(&error))
}

/// The seeds that are asked for, or those that the scenario names.
pub(super) fn seeds(study: &Study, args: &SweepArgs) -> Vec<u64> {
    match (args.seed, args.seeds) {
        (Some(seed), _) => vec![seed],
        (None, Some(Seeds { from, until })) => (from..until).collect(),
        (None, None) => (0..study.head().seeds).collect(),
    }
}

/// Runs a study, or a shard of it.
pub(super) fn run_study(
    study: &Study,
    args: &SweepArgs,
    shard: Option<Shard>,
    shutdown: &Shutdown,
) -> Result<Outcome, Failure> {
    let seeds = seeds(study, args);
    let jobs = jobs(study, &seeds, shard);
    let bar = Bar::new(jobs.len() as u64);
    let stop = || shutdown.is_requested();
    let threads = args.threads.unwrap_or_else(all_cores);
    let results = run_all(study, &jobs, threads, &|result| bar.done(result), &stop);
    let done = bar.finish();
    let results = results.map_err(|_| {
        let sentence = format!(
            "stopped after {done} of {} runs; nothing was written",
            jobs.len()
        );
        shutdown.interrupted(&sentence)
    })?;
    let part = shard.map(|shard| format!("{}/{}", shard.index, shard.of));
    Ok(Outcome::new(study, &seeds, part, results))
}

fn all_cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
