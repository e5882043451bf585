//! A page: words, tables and charts in one HTML file that makes no request.

use std::fmt::Write as _;

use plotters::style::RGBColor;

use super::chart::{COLOURS, GRID, INK};
use super::{Chart, DrawError};

/// A page in the making.
#[derive(Clone, Debug)]
pub struct Page {
    title: String,
    body: String,
}

/// Rows of text under a heading.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Table {
    /// The heading of each column.
    pub head: Vec<String>,
    /// The cells, row by row.
    pub rows: Vec<Vec<String>>,
}

impl Page {
    /// A page under a heading.
    #[must_use]
    pub fn new(title: &str) -> Self {
        let mut page = Self {
            title: title.into(),
            body: String::new(),
        };
        page.element("h1", title);
        page
    }

    /// A heading.
    pub fn heading(&mut self, text: &str) {
        self.element("h2", text);
    }

    /// A paragraph of plain text.
    pub fn paragraph(&mut self, text: &str) {
        self.element("p", text);
    }

    /// Text that keeps its lines, such as a scenario file.
    pub fn preformatted(&mut self, summary: &str, text: &str) {
        let (summary, text) = (escape(summary), escape(text));
        let _ = writeln!(
            self.body,
            "<details><summary>{summary}</summary><pre>{text}</pre></details>"
        );
    }

    /// A table. Cells that begin with a digit stand at the right, those that begin with `FAILED`
    /// stand out.
    pub fn table(&mut self, table: &Table) {
        self.body.push_str("<div class=\"wide\"><table><thead><tr>");
        for cell in &table.head {
            let _ = write!(self.body, "<th>{}</th>", escape(cell));
        }
        self.body.push_str("</tr></thead><tbody>\n");
        for row in &table.rows {
            self.body.push_str("<tr>");
            for cell in row {
                let class = match cell.as_bytes().first() {
                    Some(b'0'..=b'9') => " class=\"number\"",
                    _ if cell.starts_with("FAILED") => " class=\"failed\"",
                    _ => "",
                };
                let _ = write!(self.body, "<td{class}>{}</td>", escape(cell));
            }
            self.body.push_str("</tr>\n");
        }
        self.body.push_str("</tbody></table></div>\n");
    }

    /// A chart with its heading.
    ///
    /// # Errors
    /// It cannot be drawn.
    pub fn chart(&mut self, chart: &Chart) -> Result<(), DrawError> {
        let svg = chart.svg()?;
        let title = escape(&chart.title);
        let _ = writeln!(
            self.body,
            "<figure><figcaption>{title}</figcaption>{svg}</figure>"
        );
        Ok(())
    }

    /// Charts with their headings, side by side where there is room.
    ///
    /// # Errors
    /// One of them cannot be drawn.
    pub fn charts(&mut self, charts: &[Chart]) -> Result<(), DrawError> {
        self.body.push_str("<div class=\"charts\">\n");
        let drawn = charts.iter().try_for_each(|chart| self.chart(chart));
        self.body.push_str("</div>\n");
        drawn
    }

    /// The file.
    #[must_use]
    pub fn html(&self) -> String {
        let (title, body) = (escape(&self.title), &self.body);
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title}</title>\n<style>\n{}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
            style()
        )
    }

    fn element(&mut self, tag: &str, text: &str) {
        let _ = writeln!(self.body, "<{tag}>{}</{tag}>", escape(text));
    }
}

/// Text as HTML shows it.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

/// The colours on dark ground, in the order of [`COLOURS`]: lighter where the others would sink.
const DARK: [&str; 8] = [
    "#4aa8e0", "#f08a3c", "#2fc79a", "#e39cc4", "#f2b632", "#8fd0f5", "#d8c93a", "#a88cf0",
];
const INK_DARK: &str = "#e4e4e6";
const GRID_DARK: &str = "#3a3b40";

/// The style sheet. The drawing library writes colours as numbers; the rules at the end replace
/// them where the reader wants dark ground.
fn style() -> String {
    let mut rules = String::from(STYLE);
    rules.push_str("@media (prefers-color-scheme: dark) {\n");
    let colours = COLOURS.into_iter().zip(DARK);
    for (light, dark) in colours.chain([(INK, INK_DARK), (GRID, GRID_DARK)]) {
        let light = hex(light);
        let _ = writeln!(
            rules,
            "svg [stroke=\"{light}\" i] {{ stroke: {dark}; }} svg [fill=\"{light}\" i] {{ fill: {dark}; }}"
        );
    }
    rules.push_str("}\n");
    rules
}

fn hex(colour: RGBColor) -> String {
    format!("#{:02x}{:02x}{:02x}", colour.0, colour.1, colour.2)
}

const STYLE: &str = "\
:root { color-scheme: light dark; --ink: #1a1a1b; --paper: #ffffff; --line: #d4d4d8; --soft: #f4f4f6; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e4e6; --paper: #17181b; --line: #3a3b40; --soft: #222327; --bad: #ff8a80; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 80rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
figure { margin: 1.2rem 0; } figcaption { font-weight: 600; }
svg { width: 100%; height: auto; }
p, pre { max-width: 62rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 34rem), 1fr)); gap: 0 1.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
th { background: var(--soft); } td.number { text-align: right; } td.failed { color: var(--bad); font-weight: 600; }
pre { background: var(--soft); padding: .8rem; overflow-x: auto; font-size: 13px; }
";
