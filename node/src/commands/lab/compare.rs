//! `dunlin lab compare`.

use std::path::Path;

use dunlin_lab::experiment::compare::compare;
use dunlin_lab::experiment::table::text;
use dunlin_lab::plot::Table;
use serde_json::{Map, Value};

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
    let table = compare(&sides);
    if args.json {
        return print_line(&objects(&table).to_string());
    }
    print_line(text(&table).trim_end())
}

/// An object for each row, by the headings of its cells. A heading that comes again, as the name of a
/// scenario that is compared with itself, has its place in the row behind it.
fn objects(table: &Table) -> Value {
    let name = |column: usize, head: &String| {
        let is_again = table.head.iter().take(column).any(|other| other == head);
        match is_again {
            true => format!("{head} ({})", column + 1),
            false => head.clone(),
        }
    };
    let names: Vec<_> = (0..)
        .zip(&table.head)
        .map(|(n, head)| name(n, head))
        .collect();
    let object = |row: &Vec<String>| -> Value {
        let cells = names
            .iter()
            .cloned()
            .zip(row.iter().cloned().map(Value::from));
        cells.collect::<Map<_, _>>().into()
    };
    table.rows.iter().map(object).collect()
}
