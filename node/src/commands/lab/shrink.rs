//! `dunlin lab shrink`.

use dunlin_lab::experiment::shrink::{ShrinkError, shrink};

use super::present::quoted;
use super::scenario::{study, usage};
use crate::cli::lab::ShrinkArgs;
use crate::commands::{note, print_line};
use crate::failure::{Exit, Failure, plain_reason};
use crate::signals::Shutdown;

/// Shrinks a seed and gives the scenario that is left.
pub(super) fn run(args: &ShrinkArgs, shutdown: &Shutdown) -> Result<(), Failure> {
    let study = study(&args.scenario, &args.sets)?;
    let stop = || shutdown.is_requested();
    let shrunk = shrink(&study, args.seed, args.runs, &stop).map_err(|error| match error {
        ShrinkError::Sound(_) => Failure::new(Exit::Failed, format!("{error}; nothing to shrink")),
        ShrinkError::Scenario(error) => usage(&error),
        ShrinkError::Interrupted(_) => shutdown.interrupted("stopped before the end"),
    })?;
    note(&format!("seed {}: {}", args.seed, shrunk.symptom));
    for taken in &shrunk.taken {
        note(&format!("  {taken}"));
    }
    let count = shrunk.taken.len();
    note(&format!("{count} steps smaller after {} runs", shrunk.runs));
    let Some(path) = &args.out else {
        return print_line(shrunk.text.trim_end());
    };
    std::fs::write(path, &shrunk.text).map_err(|error| {
        let (path, reason) = (path.display(), plain_reason(&error));
        let sentence = format!("cannot write {path}: {reason}; name another file with --out");
        Failure::new(Exit::Local, sentence)
    })?;
    let path = quoted(&path.display().to_string());
    print_line(&format!("dunlin lab replay {} {path}", args.seed))
}
