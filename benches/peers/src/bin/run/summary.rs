//! Samples as CSV, and as Markdown tables of medians.

use std::fmt::Write as _;

use crate::samples::{Sample, Spread, Value};
use crate::tables::Table;

/// Every sample with every figure; empty where a run has no such figure.
pub fn csv(samples: &[Sample]) -> String {
    let mut out = String::from("table,round,peer,seconds,cpu_client_s,cpu_server_s");
    for value in Value::ALL {
        let _ = write!(out, ",{}", value.key());
    }
    out.push('\n');
    for sample in samples {
        let found = &sample.found;
        let _ = write!(
            out,
            "{},{},\"{}\",{},{},{}",
            sample.table.name(),
            sample.round,
            sample.name,
            found.report.seconds,
            found.cpu_client_s,
            found.cpu_server_s,
        );
        for value in Value::ALL {
            match found.value(value) {
                Some(figure) => {
                    let _ = write!(out, ",{figure}");
                }
                None => out.push(','),
            }
        }
        out.push('\n');
    }
    out
}

/// Names of the contestants of a table, in their order.
pub fn names(samples: &[Sample], table: Table) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for sample in samples.iter().filter(|sample| sample.table == table) {
        if !names.contains(&sample.name.as_str()) {
            names.push(&sample.name);
        }
    }
    names
}

/// One table for each table that was measured.
pub fn markdown(samples: &[Sample]) -> String {
    let mut out = String::new();
    for table in Table::ALL {
        let names = names(samples, table);
        if !names.is_empty() {
            print(&mut out, table, &names, samples);
        }
    }
    out
}

/// What went wrong, for all to see; empty when nothing did.
pub fn failures(failures: &[String]) -> String {
    if failures.is_empty() {
        return String::new();
    }
    format!("\n## Runs that failed\n\n- {}\n", failures.join("\n- "))
}

fn print(out: &mut String, table: Table, names: &[&str], samples: &[Sample]) {
    let columns = table.columns();
    let _ = write!(out, "\n## {}\n\n| |", table.title());
    for value in columns {
        let _ = write!(out, " {} | of dunlin's |", value.heading());
    }
    let _ = write!(out, "\n|---|{}\n", "---|---|".repeat(columns.len()));
    for name in names {
        let _ = write!(out, "| {name} |");
        for value in columns {
            let of = |name| Spread::of(samples, table, name, *value);
            let cells = match (of(name), of("dunlin")) {
                (Some(own), Some(dunlin)) if dunlin.median > 0.0 => {
                    format!(" {} | {:.2} |", own.show(), own.median / dunlin.median)
                }
                (Some(own), _) => format!(" {} | – |", own.show()),
                (None, _) => " – | – |".to_owned(),
            };
            out.push_str(&cells);
        }
        out.push('\n');
    }
    let _ = write!(out, "\n![{}]({}.svg)\n", table.title(), table.name());
}
