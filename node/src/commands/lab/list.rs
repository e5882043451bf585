//! `dunlin lab list` and `dunlin lab show`.

use dunlin_lab::experiment::library::{LIBRARY, find};
use dunlin_lab::experiment::study::Study;
use dunlin_lab::experiment::table::text;
use dunlin_lab::plot::Table;
use serde_json::{Value, json};

use super::scenario::usage;
use crate::cli::lab::{ListArgs, ShowArgs};
use crate::commands::print_line;
use crate::failure::Failure;

/// Prints a line for each scenario.
pub(super) fn list(args: ListArgs) -> Result<(), Failure> {
    let (mut rows, mut objects) = (Vec::new(), Vec::new());
    for named in LIBRARY {
        let study = named
            .document()
            .and_then(Study::new)
            .map_err(|error| usage(&error))?;
        let head = study.head();
        objects.push(json!({
            "scenario": named.name,
            "cases": study.cases().len(),
            "seeds": head.seeds,
            "title": head.title,
        }));
        rows.push(vec![
            named.name.into(),
            study.cases().len().to_string(),
            head.seeds.to_string(),
            head.title.clone(),
        ]);
    }
    if args.json {
        return print_line(&Value::from(objects).to_string());
    }
    let head = ["scenario", "cases", "seeds", "what it is"].map(String::from);
    let table = Table {
        head: head.into(),
        rows,
    };
    print_line(text(&table).trim_end())?;
    print_line("\ndunlin lab run NAME runs one; dunlin lab show NAME prints its file")
}

/// Prints the file of a scenario.
pub(super) fn show(args: &ShowArgs) -> Result<(), Failure> {
    let named = find(&args.name).map_err(|error| usage(&error))?;
    print_line(named.text.trim_end())
}
