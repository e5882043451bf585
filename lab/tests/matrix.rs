//! The table of `docs/transport.md` is what `dunlin lab run matrix --format markdown` prints.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZeroUsize;

use dunlin_lab::experiment::library::find;
use dunlin_lab::experiment::markdown::markdown;
use dunlin_lab::experiment::outcome::Outcome;
use dunlin_lab::experiment::pool::{jobs, run_all};
use dunlin_lab::experiment::study::Study;

const PAGE: &str = include_str!("../../docs/transport.md");
/// Columns that say which combination a row is: rate, round-trip time, impairment.
const LABELS: usize = 3;

fn study(sets: &[&str]) -> Study {
    let mut document = find("matrix").and_then(|named| named.document()).unwrap();
    for set in sets {
        document.set(set).unwrap();
    }
    Study::new(document).unwrap()
}

fn cells(line: &str) -> Vec<&str> {
    let inner = line.trim_start_matches("| ").trim_end_matches(" |");
    inner.split(" | ").collect()
}

/// `96.7 % (95.1 %)`: median and fifth percentile of shares.
fn is_measured(cell: &str) -> bool {
    // Bytes that waited behind a hole since before the measured time count too: at 1 Gbit/s × 150 ms
    // path and queue hold 37.5 MB, a twelfth of what passes in the 3.5 s.
    let share = |text: &str| {
        let number = text.strip_suffix(" %")?;
        number.parse::<f64>().ok().filter(|share| *share <= 106.0)
    };
    let parts = cell
        .strip_suffix(')')
        .and_then(|cell| cell.split_once(" ("));
    parts.is_some_and(|(median, p5)| share(median) >= share(p5) && share(p5).is_some())
}

#[test]
fn the_page_has_a_measured_row_for_each_combination_in_the_order_of_the_command() {
    let whole = study(&[]);
    assert!(whole.head().seeds >= 20);
    let seeds: Vec<u64> = (0..whole.head().seeds).collect();
    let empty = markdown(&Outcome::new(&whole, &seeds, None, Vec::new()), &whole);
    let wanted: Vec<_> = empty.lines().map(cells).collect();
    let start = PAGE.find("| rate | rtt |").expect("the table");
    let lines = PAGE[start..]
        .lines()
        .take_while(|line| line.starts_with('|'));
    let found: Vec<_> = lines.map(cells).collect();
    assert_eq!(found.len(), wanted.len());
    assert_eq!(found[..2], wanted[..2]);
    for (found, wanted) in found.iter().zip(&wanted).skip(2) {
        assert_eq!(found[..LABELS], wanted[..LABELS]);
        assert_eq!(found.len(), wanted.len(), "{found:?}");
        let bad = found[LABELS..].iter().find(|cell| !is_measured(cell));
        assert_eq!(bad, None, "{found:?}");
    }
}

#[test]
fn the_command_prints_cells_of_that_form() {
    let sets = ["rate=10mbit", "rtt=10ms", "warm_up=1s", "duration=1s"];
    let study = study(&sets);
    let (seeds, threads) = ([0, 1], NonZeroUsize::MIN);
    let runs = run_all(
        &study,
        &jobs(&study, &seeds, None),
        threads,
        &|_| (),
        &|| false,
    );
    let outcome = Outcome::new(&study, &seeds, None, runs.unwrap());
    let text = markdown(&outcome, &study);
    let rows: Vec<_> = text.lines().skip(2).map(cells).collect();
    assert_eq!(rows.len(), 6, "{text}");
    for row in rows {
        let (label, measured) = row.split_first().unwrap();
        assert!(!label.is_empty() && measured.len() == 4, "{row:?}");
        assert!(measured.iter().all(|cell| is_measured(cell)), "{row:?}");
    }
}
