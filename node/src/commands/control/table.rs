//! Tables for people: columns, a line below their names, colour only on a terminal.

use std::fmt;

use comfy_table::{Cell, ContentArrangement, LineStyle, TableStyle};

/// A table that is being filled.
pub(super) struct Table(comfy_table::Table);

/// Nothing but a line below the header.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

impl Table {
    /// A table with these columns.
    pub(super) fn new(columns: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table
            .load_style(STYLE)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(columns.iter().map(Cell::new));
        // The convention of no-color.org.
        if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            table.force_no_tty();
        }
        Self(table)
    }

    /// Adds a line.
    pub(super) fn row<const N: usize>(&mut self, cells: &[String; N]) {
        self.0
            .add_row(cells.iter().map(|cell| Cell::new(plain(cell))));
    }

    /// Adds a line of which some cells have a colour.
    pub(super) fn coloured<const N: usize>(&mut self, cells: [(String, Option<Colour>); N]) {
        self.0.add_row(cells.map(|(text, colour)| {
            let cell = Cell::new(plain(&text));
            match colour {
                Some(colour) => cell.fg(colour.into()),
                None => cell,
            }
        }));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is_first = true;
        for line in self.0.lines() {
            if !is_first {
                f.write_str("\n")?;
            }
            is_first = false;
            f.write_str(line.trim_end())?;
        }
        Ok(())
    }
}

/// What a colour means.
#[derive(Clone, Copy)]
pub(super) enum Colour {
    /// As it should be.
    Good,
    /// On its way.
    Passing,
    /// Not as it should be.
    Bad,
}

impl From<Colour> for comfy_table::Color {
    fn from(colour: Colour) -> Self {
        match colour {
            Colour::Good => Self::Green,
            Colour::Passing => Self::Yellow,
            Colour::Bad => Self::Red,
        }
    }
}

/// A value that may be missing.
pub(super) fn opt(value: Option<String>) -> String {
    value.unwrap_or_else(|| "-".to_owned())
}

/// Text of peers must not steer the terminal.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_plain_text_where_there_is_no_terminal() {
        let mut table = Table::new(&["Peer ID", "Status"]);
        table.coloured([
            ("dunlin1abc…".into(), None),
            ("Connected".into(), Some(Colour::Good)),
        ]);
        table.row(&["x\u{1b}[2J".into(), "-".into()]);
        let text = table.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(
            lines[0].contains("Peer ID") && lines[1].starts_with('─'),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
