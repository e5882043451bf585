//! The report of a study: one page with the table, what had to hold, and the pictures.

use super::outcome::{Judgement, Outcome};
use super::study::Study;
use super::summary::names;
use super::table::{judgements, table};
use crate::plot::{Distribution, DrawError, Page, Table, charts_of};

/// Combinations of which series are drawn; a page with more is too long to be read.
const DRAWN_MAX: usize = 12;

/// The page.
///
/// # Errors
/// A chart cannot be drawn.
pub fn report(outcome: &Outcome, study: &Study, judged: &[Judgement]) -> Result<String, DrawError> {
    let head = study.head();
    let mut page = Page::new(&head.title);
    for paragraph in head.description.split("\n\n") {
        page.paragraph(&paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    let seeds = outcome.seeds.len();
    page.paragraph(&format!(
        "Scenario {}, {} of parameters, {}; virtual time, reproducible to the byte.",
        outcome.scenario,
        counted(outcome.cases.len(), "combination"),
        counted(seeds, "seed"),
    ));
    page.heading("Figures");
    page.table(&table(outcome, study));
    violations(&mut page, outcome);
    if !judged.is_empty() {
        page.heading("What must hold");
        page.table(&judgements(outcome, judged));
    }
    if seeds > 1 {
        distributions(&mut page, outcome, study)?;
    }
    let drawn = outcome
        .runs
        .iter()
        .filter(|run| run.recording.is_some())
        .take(DRAWN_MAX);
    for run in drawn {
        let label = outcome.label(run.case);
        let title = format!(
            "Seed {}{}{label}",
            run.seed,
            if label.is_empty() { "" } else { ", " }
        );
        page.heading(&title);
        let charts: Vec<_> = run.recording.iter().flat_map(charts_of).collect();
        page.charts(&charts)?;
    }
    page.heading("Scenario file");
    let sets = &outcome.sets;
    if !sets.is_empty() {
        page.paragraph(&format!("Set on the command line: {}.", sets.join(", ")));
    }
    page.preformatted(&format!("{}.toml", outcome.scenario), &outcome.source);
    Ok(page.html())
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn violations(page: &mut Page, outcome: &Outcome) {
    let failed = outcome.runs.iter().filter_map(|run| {
        let violation = run.violation.clone()?;
        let label = outcome.label(run.case);
        Some(vec![format!("FAILED seed {}", run.seed), label, violation])
    });
    let rows: Vec<_> = failed.take(100).collect();
    if !rows.is_empty() {
        page.heading("Violations");
        let head = ["run", "parameters", "what happened"]
            .map(String::from)
            .into();
        page.table(&Table { head, rows });
    }
}

/// How each shown figure is spread over the seeds, a staircase for each combination.
fn distributions(page: &mut Page, outcome: &Outcome, study: &Study) -> Result<(), DrawError> {
    const CHARTS_MAX: usize = 8;
    let runs: Vec<_> = outcome.runs.iter().collect();
    let show = &study.head().show;
    let shown = |name: &&str| show.is_empty() || show.iter().any(|wanted| wanted == name);
    let mut charts = Vec::new();
    for name in names(&runs).into_iter().filter(shown).take(CHARTS_MAX) {
        let groups: Vec<(String, Vec<u64>)> = (0..outcome.cases.len())
            .map(|case| {
                let runs = outcome.runs_of(case);
                let figures = runs.iter().filter_map(|run| run.figure(name));
                let label = outcome.label(case);
                let label = if label.is_empty() {
                    "all seeds".into()
                } else {
                    label
                };
                (label, figures.map(|figure| figure.value).collect())
            })
            .collect();
        let varies = groups
            .iter()
            .flat_map(|(_, values)| values)
            .collect::<std::collections::BTreeSet<_>>();
        let Some(unit) = runs.iter().find_map(|run| run.figure(name)) else {
            continue;
        };
        if varies.len() > 1 {
            let distribution = Distribution {
                name: name.into(),
                unit: unit.unit,
                share_of: "share of seeds".into(),
                groups,
            };
            charts.push(distribution.chart());
        }
    }
    if !charts.is_empty() {
        page.heading("Over the seeds");
        page.charts(&charts)?;
    }
    Ok(())
}
