//! A bar chart of the first column of a table, drawn by `plotters`.

use plotters::coord::Shift;
use plotters::prelude::{
    DrawingArea, DrawingAreaErrorKind, IntoDrawingArea, IntoFont, PathElement, RGBColor, Rectangle,
    SVGBackend, Text, TextStyle,
};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::samples::{Sample, Spread, digits};
use crate::summary::names;
use crate::tables::Table;

const WIDTH: u32 = 760;
const TOP: i32 = 44;
const ROW: i32 = 30;
const BAR: i32 = 18;
/// Where names end and bars begin.
const LEFT: i32 = 210;
/// Where the longest bar ends; the figure stands behind it.
const RIGHT: i32 = 640;

const INK: RGBColor = RGBColor(0x1a, 0x1a, 0x1b);
const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);
const OWN: RGBColor = RGBColor(0x00, 0x72, 0xb2);
const OTHER: RGBColor = RGBColor(0xa8, 0xb4, 0xbd);

/// What the library can complain of.
type Failure = DrawingAreaErrorKind<std::io::Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The chart as SVG; None when nobody has a figure in that table.
///
/// # Errors
/// When the library cannot draw.
pub fn svg(samples: &[Sample], table: Table) -> Result<Option<String>, Failure> {
    let value = *table.columns().first().expect("a table has columns");
    let bars: Vec<_> = names(samples, table)
        .into_iter()
        .filter_map(|name| Some((name, Spread::of(samples, table, name, value)?)))
        .collect();
    let longest = bars.iter().map(|(_, bar)| bar.max).fold(0.0, f64::max);
    if longest <= 0.0 {
        return Ok(None);
    }
    let rows = i32::try_from(bars.len()).unwrap_or(i32::MAX / ROW);
    let height = u32::try_from(TOP + rows * ROW + 12).unwrap_or(u32::MAX);
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        area.fill(&PAPER)?;
        let better = match value.more_is_better() {
            true => "more is better",
            false => "less is better",
        };
        let title = format!("{}: {} ({better})", table.title(), value.heading());
        area.draw(&Text::new(title, (12, 14), font(16)))?;
        for ((name, bar), row) in bars.iter().zip(0..) {
            draw_bar(&area, name, bar, longest, TOP + row * ROW)?;
        }
        area.present()?;
    }
    Ok(Some(text))
}

fn draw_bar(
    area: &Area<'_>,
    name: &str,
    bar: &Spread,
    longest: f64,
    y: i32,
) -> Result<(), Failure> {
    #[expect(clippy::cast_possible_truncation, reason = "at most the width")]
    let end = |value: f64| LEFT + (value / longest * f64::from(RIGHT - LEFT)) as i32;
    let colour = if name.starts_with("dunlin") {
        OWN
    } else {
        OTHER
    };
    let middle = y + BAR / 2;
    let right = font(14).pos(Pos::new(HPos::Right, VPos::Center));
    let left = font(14).pos(Pos::new(HPos::Left, VPos::Center));
    area.draw(&Text::new(name.to_owned(), (LEFT - 8, middle), right))?;
    let corners = [(LEFT, y), (end(bar.median), y + BAR)];
    area.draw(&Rectangle::new(corners, colour.filled()))?;
    // From the least to the most.
    let range = vec![(end(bar.min), middle), (end(bar.max), middle)];
    area.draw(&PathElement::new(range, INK.stroke_width(1)))?;
    let precision = digits(bar.median);
    let figure = format!("{:.precision$}", bar.median);
    area.draw(&Text::new(figure, (end(bar.max) + 8, middle), left))
}

fn font(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::Found;

    #[test]
    fn a_chart_names_all_and_shows_medians() {
        let sample = |name: &str, rate: f64| Sample {
            round: 1,
            table: Table::Bulk,
            name: name.to_owned(),
            found: Found {
                report: serde_json::from_value(serde_json::json!({
                    "peer": name, "mode": "bulk", "seconds": 1.0, "gbit_per_s": rate,
                }))
                .unwrap(),
                cpu_client_s: 1.0,
                cpu_server_s: 1.0,
                idle: None,
                lossless: None,
            },
        };
        let samples = [sample("dunlin", 16.25), sample("slow", 8.5)];
        let drawn = svg(&samples, Table::Bulk).unwrap().unwrap();
        for text in ["dunlin", "slow", "16.2", "8.50", "more is better"] {
            assert!(drawn.contains(text), "{text}: {drawn}");
        }
        assert!(svg(&samples, Table::Rr).unwrap().is_none());
    }
}
