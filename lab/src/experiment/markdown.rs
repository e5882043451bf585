//! Results as one table of a document: a row for each combination of parameters but the last, which
//! goes across. Cells show the first figure under `show`: its median over the seeds and, of several,
//! the 5th percentile in parentheses.

use std::fmt::Write as _;

use super::outcome::Outcome;
use super::result::readable;
use super::study::Study;
use super::summary::{Summary, summaries};
use crate::plot::Table;

/// The table as Markdown, every line ended.
#[must_use]
pub fn markdown(outcome: &Outcome, study: &Study) -> String {
    let figure = study.head().show.first().map(String::as_str);
    let Table { head, rows } = pivot(outcome, figure);
    let mut text = String::new();
    let rule = head.iter().map(|_| "---".to_owned()).collect();
    for cells in [head, rule].into_iter().chain(rows) {
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// `figure` (None: the first there is) of each combination; the last swept key goes across.
fn pivot(outcome: &Outcome, figure: Option<&str>) -> Table {
    let axes: Vec<&str> = outcome
        .cases
        .first()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect();
    let mut head: Vec<String> = axes.iter().map(ToString::to_string).collect();
    head.pop();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut columns: Vec<String> = Vec::new();
    let mut last_labels: Option<Vec<String>> = None;
    for (case, values) in outcome.cases.iter().enumerate() {
        let mut labels: Vec<String> = values.iter().map(|(_, value)| label(value)).collect();
        let column = labels.pop().unwrap_or_else(|| "all".into());
        if !columns.contains(&column) {
            columns.push(column);
        }
        if last_labels.as_ref() != Some(&labels) {
            rows.push(labels.clone());
            last_labels = Some(labels);
        }
        if let Some(row) = rows.last_mut() {
            row.push(cell(outcome, case, figure));
        }
    }
    head.extend(columns);
    Table { head, rows }
}

fn cell(outcome: &Outcome, case: usize, figure: Option<&str>) -> String {
    let all = summaries(&outcome.runs_of(case));
    let wanted = |summary: &&Summary| figure.is_none_or(|name| name == summary.name);
    let Some(summary) = all.iter().find(wanted) else {
        return "none".into();
    };
    let text = |value| readable(summary.unit, value);
    let median = text(summary.median);
    if summary.count > 1 {
        format!("{median} ({})", text(summary.p5))
    } else {
        median
    }
}

/// A value in words: a table without its punctuation.
fn label(value: &str) -> String {
    let bare: String = value
        .chars()
        .filter(|letter| !"{}\"=,|".contains(*letter))
        .collect();
    bare.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::result::{Figure, RunResult, Worse};
    use crate::plot::Unit;

    fn outcome(seeds: &[u64]) -> Outcome {
        let value = |rtt: &str, path: &str| {
            [("rtt", rtt), ("path", path)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec()
        };
        let cases = vec![
            value("1ms", "a"),
            value("1ms", "{ reorder = \"10%\", by = \"5ms\" }"),
            value("2ms", "a"),
            value("2ms", "{ reorder = \"10%\", by = \"5ms\" }"),
        ];
        let run = |case: usize, seed: u64| RunResult {
            figures: vec![
                Figure::new("other", Unit::Count, 0, Worse::Lower),
                Figure::new("count", Unit::Count, 10 * case as u64 + seed, Worse::Lower),
            ],
            ..RunResult::empty(case, seed)
        };
        Outcome {
            runs: (0..cases.len())
                .flat_map(|case| seeds.iter().map(move |seed| run(case, *seed)))
                .collect(),
            ..Outcome::of_runs(seeds.to_vec(), cases)
        }
    }

    #[test]
    fn the_last_parameter_goes_across_and_tables_are_named_without_punctuation() {
        let table = pivot(&outcome(&[3]), Some("count"));
        assert_eq!(table.head, ["rtt", "a", "reorder 10% by 5ms"]);
        assert_eq!(table.rows, [["1ms", "3", "13"], ["2ms", "23", "33"]]);
    }

    #[test]
    fn several_seeds_show_the_median_and_the_fifth_percentile() {
        let table = pivot(&outcome(&[1, 2, 3]), Some("count"));
        assert_eq!(table.rows[1], ["2ms", "22 (21)", "32 (31)"]);
    }
}
