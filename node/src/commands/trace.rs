//! `dunlin trace`: what qlog files say, as a table and as pictures.

use std::path::{Path, PathBuf};

use dunlin_lab::plot::{DrawError, Page, Recording, Table, charts_of};
use serde_json::{Value, json};

use crate::cli::trace::TraceCommandArgs;
use crate::commands::{note, print_line};
use crate::failure::{Exit, Failure, plain_reason};
use crate::trace::read::files;
use crate::trace::summary::{Summary, summarise};

/// Connections whose charts are drawn; a page with more is too long to be read.
const DRAWN_MAX: usize = 12;

const COLUMNS: [&str; 13] = [
    "log", "role", "time", "sent", "received", "dropped", "lost", "spurious", "min rtt", "rtt",
    "max cwnd", "goodput", "end",
];

type Log = (PathBuf, Summary, Recording);

/// Prints the table, and writes the page if one is wanted.
pub(super) fn run(args: &TraceCommandArgs) -> Result<(), Failure> {
    let mut logs = Vec::new();
    for path in files(&args.path)? {
        let (summary, recording) = summarise(&path)?;
        logs.push((path, summary, recording));
    }
    let rows: Vec<_> = logs.iter().map(row).collect();
    if args.json {
        let all: Vec<_> = logs.iter().map(object).collect();
        print_line(&Value::from(all).to_string())?;
    } else {
        print_line(&aligned(&rows))?;
    }
    for (path, summary, _) in &logs {
        if summary.events_lost > 0 {
            note(&format!(
                "{}: {} events are missing: the disk was too slow for them",
                path.display(),
                summary.events_lost
            ));
        }
    }
    let Some(target) = &args.html else {
        return Ok(());
    };
    let page = page(&logs, rows).map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("a chart cannot be drawn ({error}); leave out --html"),
        )
    })?;
    std::fs::write(target, page).map_err(|error| {
        Failure::new(
            Exit::Local,
            format!(
                "cannot write {}: {}; name another file with --html",
                target.display(),
                plain_reason(&error)
            ),
        )
    })?;
    note(&format!("open {} in a browser", target.display()));
    Ok(())
}

fn name(path: &Path) -> String {
    let name = path.file_stem().unwrap_or(path.as_os_str());
    name.to_string_lossy().escape_debug().to_string()
}

fn row((path, summary, _): &Log) -> Vec<String> {
    let millis = |nanos: Option<u64>| {
        nanos.map_or_else(
            || "-".into(),
            |nanos| format!("{:.2} ms", nanos as f64 / 1e6),
        )
    };
    let [sent, received, dropped] = summary.packets;
    vec![
        name(path),
        summary.role.escape_debug().to_string(),
        format!("{:.3} s", summary.duration_ns as f64 / 1e9),
        sent.to_string(),
        received.to_string(),
        dropped.to_string(),
        summary.losses[0].to_string(),
        summary.losses[1].to_string(),
        millis(summary.rtt_ns[0]),
        millis(summary.rtt_ns[1]),
        format!("{:.1} kB", summary.window_max as f64 / 1e3),
        format!("{:.2} Mbit/s", summary.goodput() as f64 / 1e6),
        match &summary.ending {
            Some(ending) => ending.escape_debug().to_string(),
            None => "open".into(),
        },
    ]
}

/// A line of the table for programs, with the units in the names.
fn object((path, summary, _): &Log) -> Value {
    let millis = |nanos: Option<u64>| nanos.map(|nanos| nanos as f64 / 1e6);
    let [sent, received, dropped] = summary.packets;
    let [lost, spurious] = summary.losses;
    json!({
        "log": path.to_string_lossy(),
        "role": summary.role,
        "remote": summary.remote,
        "duration_ms": millis(Some(summary.duration_ns)),
        "packets_sent": sent,
        "packets_received": received,
        "packets_dropped": dropped,
        "packets_lost": lost,
        "losses_spurious": spurious,
        "rtt_min_ms": millis(summary.rtt_ns[0]),
        "rtt_ms": millis(summary.rtt_ns[1]),
        "window_max_bytes": summary.window_max,
        "goodput_bits_per_second": summary.goodput(),
        "events_lost": summary.events_lost,
        "end": summary.ending,
    })
}

/// Columns of equal width.
fn aligned(rows: &[Vec<String>]) -> String {
    let head: Vec<_> = COLUMNS.map(String::from).into();
    let all = || std::iter::once(&head).chain(rows);
    let width = |column: usize| {
        let cells = all().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..COLUMNS.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let padded = cells.map(|(column, (cell, width))| {
            // Names stand at the left, numbers at the right.
            if column < 2 {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all().map(line).collect::<Vec<_>>().join("\n")
}

fn page(logs: &[Log], rows: Vec<Vec<String>>) -> Result<String, DrawError> {
    let mut page = Page::new("Connections");
    let head = COLUMNS.map(String::from).into();
    page.table(&Table { head, rows });
    for (path, summary, recording) in logs.iter().take(DRAWN_MAX) {
        page.heading(&format!("{} with {}", name(path), summary.remote));
        for chart in charts_of(recording) {
            page.chart(&chart)?;
        }
    }
    if logs.len() > DRAWN_MAX {
        page.paragraph(&format!(
            "{} more connections are not drawn; give one of their files.",
            logs.len() - DRAWN_MAX
        ));
    }
    Ok(page.html())
}
