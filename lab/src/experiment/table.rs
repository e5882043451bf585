//! Results as tables: for people, and as comma-separated values.

use std::fmt::Write as _;

use super::hold::Verdict;
use super::outcome::{Judgement, Outcome};
use super::result::{base_unit, readable};
use super::study::Study;
use super::summary::{Summary, names, summaries};
use crate::plot::Table;

/// The table of a study: with one seed a row for each combination, with more a row for each figure of
/// each combination, with median, spread and the worst seed. `show`: only these figures, if any.
#[must_use]
pub fn table(outcome: &Outcome, study: &Study) -> Table {
    let show = &study.head().show;
    let shown = |name: &str| {
        show.is_empty()
            || show
                .iter()
                .any(|wanted| wanted == name || name.starts_with(&format!("{wanted}.")))
    };
    if outcome.seeds.len() == 1 {
        one_seed(outcome, &shown)
    } else {
        many_seeds(outcome, &shown)
    }
}

fn one_seed(outcome: &Outcome, shown: &dyn Fn(&str) -> bool) -> Table {
    let runs: Vec<_> = outcome.runs.iter().collect();
    let names: Vec<&str> = names(&runs)
        .into_iter()
        .filter(|name| shown(name))
        .collect();
    // A single combination reads better from top to bottom.
    if let ([run], 1) = (runs.as_slice(), outcome.cases.len()) {
        let figures = run.figures.iter().filter(|figure| shown(&figure.name));
        let mut rows: Vec<Vec<String>> = figures
            .map(|figure| vec![figure.name.clone(), readable(figure.unit, figure.value)])
            .collect();
        rows.push(vec![
            "trace hash".into(),
            format!("{:016x}", run.trace_hash),
        ]);
        let head = ["figure".into(), format!("seed {}", run.seed)].into();
        return Table { head, rows };
    }
    let mut head = axis_names(outcome);
    head.extend(names.iter().map(ToString::to_string));
    head.push("trace hash".into());
    let rows = runs.iter().map(|run| {
        let mut row = axis_values(outcome, run.case);
        row.extend(names.iter().map(|name| {
            let figure = run.figure(name);
            figure.map_or_else(String::new, |figure| readable(figure.unit, figure.value))
        }));
        row.push(format!("{:016x}", run.trace_hash));
        row
    });
    Table {
        head,
        rows: rows.collect(),
    }
}

fn many_seeds(outcome: &Outcome, shown: &dyn Fn(&str) -> bool) -> Table {
    let mut head = axis_names(outcome);
    let columns = [
        "figure",
        "seeds",
        "median",
        "p5",
        "p95",
        "worst",
        "worst seed",
    ];
    head.extend(columns.map(String::from));
    let mut rows = Vec::new();
    for case in 0..outcome.cases.len() {
        for summary in summaries(&outcome.runs_of(case)) {
            if shown(&summary.name) {
                let mut row = axis_values(outcome, case);
                row.extend(cells(&summary));
                rows.push(row);
            }
        }
    }
    Table { head, rows }
}

fn cells(summary: &Summary) -> [String; 7] {
    let text = |value| readable(summary.unit, value);
    [
        summary.name.clone(),
        summary.count.to_string(),
        text(summary.median),
        text(summary.p5),
        text(summary.p95),
        text(summary.worst),
        summary.worst_seed.to_string(),
    ]
}

fn axis_names(outcome: &Outcome) -> Vec<String> {
    let first = outcome.cases.first().into_iter().flatten();
    first.map(|(key, _)| key.clone()).collect()
}

fn axis_values(outcome: &Outcome, case: usize) -> Vec<String> {
    let values = outcome.cases.get(case).into_iter().flatten();
    values.map(|(_, value)| value.clone()).collect()
}

/// What had to hold, a row for each sentence and combination that it speaks of.
#[must_use]
pub fn judgements(outcome: &Outcome, judged: &[Judgement]) -> Table {
    let mut rows = Vec::new();
    for judgement in judged {
        let verdict = match &judgement.verdict {
            Verdict::NotMeant => continue,
            Verdict::Held => "held".into(),
            Verdict::Broken { seeds, seen } => format!("FAILED: {seen} ({})", seed_list(seeds)),
        };
        let label = outcome.label(judgement.case);
        rows.push(vec![judgement.sentence.clone(), label, verdict]);
    }
    let head = ["what must hold", "parameters", "verdict"].map(String::from);
    Table {
        head: head.into(),
        rows,
    }
}

/// `seed 7`, `seeds 7, 9`, and no more than ten of them.
#[must_use]
pub fn seed_list(seeds: &[u64]) -> String {
    const SHOWN: usize = 10;
    let mut text: String = if seeds.len() == 1 { "seed" } else { "seeds" }.into();
    for (index, seed) in seeds.iter().take(SHOWN).enumerate() {
        let _ = write!(text, "{} {seed}", if index == 0 { "" } else { "," });
    }
    if seeds.len() > SHOWN {
        let _ = write!(text, " and {} more", seeds.len() - SHOWN);
    }
    text
}

/// A table in columns of equal width, numbers to the right.
#[must_use]
pub fn text(table: &Table) -> String {
    let columns = table.head.len();
    let all = || std::iter::once(&table.head).chain(&table.rows);
    let width = |column: usize| {
        let cells = all().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let numeric: Vec<bool> = (0..columns)
        .map(|column| {
            let mut cells = table.rows.iter().filter_map(|row| row.get(column));
            cells.all(|cell| {
                cell.is_empty() || cell.starts_with(|first: char| first.is_ascii_digit())
            })
        })
        .collect();
    let mut out = String::new();
    for row in all() {
        let mut line = String::new();
        for ((cell, width), numeric) in row.iter().zip(&widths).zip(&numeric) {
            let width = *width;
            if *numeric {
                let _ = write!(line, "{cell:>width$}  ");
            } else {
                let _ = write!(line, "{cell:<width$}  ");
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Every run as a line of comma-separated values (RFC 4180): parameters, seed, hash, figures in base
/// units.
#[must_use]
pub fn csv(outcome: &Outcome) -> String {
    let runs: Vec<_> = outcome.runs.iter().collect();
    let names = names(&runs);
    let mut head: Vec<String> = vec!["scenario".into()];
    head.extend(axis_names(outcome));
    head.extend(["seed", "trace_hash", "violation"].map(String::from));
    for name in &names {
        let unit = runs
            .iter()
            .find_map(|run| run.figure(name))
            .map(|figure| figure.unit);
        head.push(format!("{name} [{}]", unit.map_or("", base_unit)));
    }
    let mut out = line(&head);
    for run in runs {
        let mut row = vec![outcome.scenario.clone()];
        row.extend(axis_values(outcome, run.case));
        row.push(run.seed.to_string());
        row.push(format!("{:016x}", run.trace_hash));
        row.push(run.violation.clone().unwrap_or_default());
        row.extend(names.iter().map(|name| {
            let figure = run.figure(name);
            figure.map_or_else(String::new, |figure| figure.value.to_string())
        }));
        out.push_str(&line(&row));
    }
    out
}

fn line(cells: &[String]) -> String {
    let quoted = cells.iter().map(|cell| {
        if cell.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.clone()
        }
    });
    let mut out = quoted.collect::<Vec<_>>().join(",");
    out.push_str("\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_numbers_stand_at_the_right() {
        let row = |a: &str, b: &str| vec![a.into(), b.into()];
        let table = Table {
            head: row("name", "value"),
            rows: vec![row("goodput", "9.1 Mbit/s"), row("rtt", "12 ms")],
        };
        assert_eq!(
            text(&table),
            "name          value\ngoodput  9.1 Mbit/s\nrtt           12 ms\n"
        );
    }

    #[test]
    fn cells_with_commas_and_quotes_are_quoted() {
        let cells = ["a,b", "c\"d", "e"].map(String::from);
        assert_eq!(line(&cells), "\"a,b\",\"c\"\"d\",e\r\n");
    }

    #[test]
    fn long_lists_of_seeds_are_cut() {
        assert_eq!(seed_list(&[7]), "seed 7");
        assert_eq!(seed_list(&[7, 9]), "seeds 7, 9");
        let many: Vec<u64> = (0..14).collect();
        assert!(seed_list(&many).ends_with("8, 9 and 4 more"));
    }
}
