//! The table of `docs/assurance.md`.

use std::fmt::Write as _;

use super::{Entry, Finding, Planted};

/// The generated part lies between these lines.
const BEGIN: &str = "<!-- planted: begin (written by the test) -->";
const END: &str = "<!-- planted: end -->";
/// Characters of what was seen that the table quotes.
const QUOTED: usize = 100;

/// What the hunt for one mistake came to.
#[derive(Clone, Debug)]
pub struct Row {
    /// The mistake.
    pub planted: Planted,
    /// What found it first; None: nothing.
    pub finding: Option<Finding>,
    /// What else finds it: the first seed of each other instrument.
    pub others: Vec<Finding>,
}

/// Where the table is kept.
#[must_use]
pub fn assurance() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/assurance.md")
}

/// `page` with the table of `rows` in place of the old one; unchanged where there is none.
#[must_use]
pub fn with_table(page: &str, rows: &[Row]) -> String {
    let parts = page
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    match parts {
        Some((before, after)) => format!("{before}{BEGIN}\n\n{}\n{END}{after}", table(rows)),
        None => page.to_owned(),
    }
}

/// The mistakes that the table of `page` names, in its order.
#[must_use]
pub fn names_in(page: &str) -> Vec<&str> {
    let table = page
        .split_once(BEGIN)
        .and_then(|(_, rest)| Some(rest.split_once(END)?.0));
    let lines = table.unwrap_or_default().lines();
    lines
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect()
}

fn table(rows: &[Row]) -> String {
    let mut text = summary(rows);
    text.push_str(
        "| mistake | class | what goes wrong (where the idea is from) | found by: seed | also by: seed | what was seen |\n\
         |---|---|---|---|---|---|\n",
    );
    for row in rows {
        let Entry {
            name,
            class,
            what,
            origin,
        } = row.planted.entry();
        let (found, seen) = match &row.finding {
            Some(finding) => (place(finding), quoted(&finding.violation)),
            None => ("**missed**".to_owned(), String::new()),
        };
        let others: Vec<_> = row.others.iter().map(place).collect();
        let others = others.join(", ");
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| `{name}` | {class} | {what} ({origin}) | {found} | {others} | {seen} |"
        );
    }
    text
}

fn place(finding: &Finding) -> String {
    format!("{}: {}", finding.instrument.name, finding.seed)
}

/// `text` in one line of a table.
fn quoted(text: &str) -> String {
    let text = text.replace('|', "\\|").replace(['<', '>', '`'], "'");
    let mut short: String = text.chars().take(QUOTED).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn summary(rows: &[Row]) -> String {
    let mut seeds: Vec<_> = rows
        .iter()
        .filter_map(|row| Some(row.finding.as_ref()?.seed + 1))
        .collect();
    seeds.sort_unstable();
    let median = seeds.get(seeds.len() / 2).copied().unwrap_or(0);
    let most = seeds.last().copied().unwrap_or(0);
    let (found, all) = (seeds.len(), rows.len());
    format!(
        "{found} of {all} mistakes are found; seeds needed: median {median}, most {most}. A seed means \
         one run of every instrument that can judge the crate; \"also by\" is what each other \
         instrument finds by itself within twenty seeds.\n\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_replaces_itself_and_names_every_row() {
        let rows: Vec<_> = Planted::all()
            .into_iter()
            .map(|planted| Row {
                planted,
                finding: None,
                others: Vec::new(),
            })
            .collect();
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let once = with_table(&page, &rows);
        assert_eq!(once, with_table(&once, &rows));
        assert!(once.starts_with("before\n") && once.ends_with("after\n"));
        let names: Vec<_> = rows.iter().map(|row| row.planted.entry().name).collect();
        assert_eq!(names_in(&once), names);
    }
}
