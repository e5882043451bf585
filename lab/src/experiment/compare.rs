//! Results side by side.

use super::outcome::Outcome;
use super::result::readable;
use super::summary::{Summary, names, summaries};
use crate::plot::Table;

/// Median, spread and ratio of the medians to the first side, for each figure that two sides share.
/// Combinations are matched by their parameters; sides with a single combination match each other.
#[must_use]
pub fn compare(sides: &[(String, Outcome)]) -> Table {
    let mut head: Vec<String> = vec!["parameters".into(), "figure".into()];
    for (index, (name, _)) in sides.iter().enumerate() {
        head.push(name.clone());
        if index > 0 {
            head.push("ratio".into());
        }
    }
    let single = sides.iter().all(|(_, outcome)| outcome.cases.len() == 1);
    let mut rows = Vec::new();
    for label in labels(sides, single) {
        let all: Vec<Vec<Summary>> = sides
            .iter()
            .map(|(_, outcome)| {
                let case =
                    (0..outcome.cases.len()).find(|case| single || outcome.label(*case) == label);
                case.map_or_else(Vec::new, |case| summaries(&outcome.runs_of(case)))
            })
            .collect();
        for name in figure_names(sides) {
            let found: Vec<Option<&Summary>> = all
                .iter()
                .map(|side| side.iter().find(|summary| summary.name == name))
                .collect();
            if found.iter().flatten().count() > 1 {
                rows.push(row(&label, name, &found));
            }
        }
    }
    Table { head, rows }
}

/// Labels of combinations in the order of their first appearance.
fn labels(sides: &[(String, Outcome)], single: bool) -> Vec<String> {
    if single {
        return vec![String::new()];
    }
    let mut labels = Vec::new();
    for (_, outcome) in sides {
        for case in 0..outcome.cases.len() {
            let label = outcome.label(case);
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
    }
    labels
}

fn figure_names(sides: &[(String, Outcome)]) -> Vec<&str> {
    let runs: Vec<_> = sides
        .iter()
        .flat_map(|(_, outcome)| &outcome.runs)
        .collect();
    names(&runs)
}

fn row(label: &str, name: &str, sides: &[Option<&Summary>]) -> Vec<String> {
    let mut row = vec![label.into(), name.into()];
    let first = sides
        .first()
        .copied()
        .flatten()
        .map(|summary| summary.median);
    for (index, side) in sides.iter().enumerate() {
        row.push(side.map_or_else(String::new, spread));
        if index > 0 {
            let ratio = side.and_then(|side| ratio(first?, side.median));
            row.push(ratio.unwrap_or_default());
        }
    }
    row
}

/// `95.3 Mbit/s (94.9 Mbit/s to 95.4 Mbit/s)`, without the range when there is none.
fn spread(summary: &Summary) -> String {
    let text = |value| readable(summary.unit, value);
    let median = text(summary.median);
    let (low, high) = (text(summary.p5), text(summary.p95));
    if low == median && high == median {
        median
    } else {
        format!("{median} ({low} to {high})")
    }
}

/// `other / base` with three decimals; None for a base of zero, unless both are.
fn ratio(base: u64, other: u64) -> Option<String> {
    let thousandths = match (base, other) {
        (0, 0) => 1_000,
        (0, _) => return None,
        _ => (u128::from(other) * 1_000 + u128::from(base / 2)) / u128::from(base),
    };
    Some(format!(
        "{}.{:03}",
        thousandths / 1_000,
        thousandths % 1_000
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::result::{Figure, RunResult, Worse};
    use crate::plot::Unit;

    fn outcome(values: &[u64]) -> Outcome {
        let run = |(seed, value): (u64, &u64)| RunResult {
            figures: vec![Figure::new("goodput", Unit::Count, *value, Worse::Lower)],
            ..RunResult::empty(0, seed)
        };
        let cases = vec![vec![("loss".into(), "1%".into())]];
        Outcome {
            runs: (0..).zip(values).map(run).collect(),
            ..Outcome::of_runs((0..values.len() as u64).collect(), cases)
        }
    }

    #[test]
    fn medians_stand_beside_each_other_with_their_ratio() {
        let sides = [
            ("a".into(), outcome(&[10, 20, 30])),
            ("b".into(), outcome(&[30])),
        ];
        let table = compare(&sides);
        assert_eq!(table.head, ["parameters", "figure", "a", "b", "ratio"]);
        assert_eq!(
            table.rows,
            [["", "goodput", "20 (10 to 30)", "30", "1.500"].map(String::from)]
        );
    }

    #[test]
    fn nothing_divides_by_zero() {
        assert_eq!(ratio(0, 0).as_deref(), Some("1.000"));
        assert_eq!(ratio(0, 5), None);
        assert_eq!(ratio(3, 2).as_deref(), Some("0.667"));
    }
}
