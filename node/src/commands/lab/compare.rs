//! `dunlin lab compare`.

use std::path::Path;

use dunlin_lab::experiment::compare::compare;
use dunlin_lab::experiment::table::text;

use super::files::{is_results, read};
use super::scenario::{run_study, study};
use crate::cli::lab::CompareArgs;
use crate::commands::print_line;
use crate::failure::Failure;
use crate::signals::Shutdown;

/// Reads or runs each side and prints them side by side.
pub(super) fn run(args: &CompareArgs, shutdown: &Shutdown) -> Result<(), Failure> {
    let mut sides = Vec::new();
    for word in &args.sides {
        let outcome = if is_results(word) {
            read(Path::new(word))?
        } else {
            let study = study(word, &args.sweep.sets)?;
            run_study(&study, &args.sweep, None, shutdown)?
        };
        sides.push((word.clone(), outcome));
    }
    print_line(text(&compare(&sides)).trim_end())
}
