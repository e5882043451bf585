//! One chart as SVG, drawn by `plotters`.
//!
//! Colours are fixed numbers in the SVG; [`super::Page`] replaces each by a rule of its style sheet
//! that matches the number, so that the same picture is read on light and on dark ground. The legend
//! stands above the chart in rows of its own: it never covers a line.

use plotters::coord::Shift;
use plotters::prelude::{
    ChartBuilder, Circle, DashedLineSeries, DrawingArea, IntoDrawingArea, IntoFont, LineSeries,
    PathElement, RGBColor, SVGBackend, Text, TextStyle,
};
use plotters::style::{Color, ShapeStyle};

/// A chart.
#[derive(Clone, PartialEq, Debug)]
pub struct Chart {
    /// Its heading.
    pub title: String,
    /// Name and unit of the horizontal axis.
    pub x_label: String,
    /// Name and unit of the vertical axis.
    pub y_label: String,
    /// What is drawn.
    pub lines: Vec<Line>,
    /// Where the vertical axis ends; None: a little above the largest value.
    pub y_max: Option<f64>,
}

/// A line of a chart.
#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    /// What the legend calls it.
    pub label: String,
    /// How it is drawn.
    pub mark: Mark,
    /// Where it goes through.
    pub points: Vec<(f64, f64)>,
}

/// How a line is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// From point to point.
    Solid,
    /// From point to point, in dashes.
    Dashed,
    /// A dot for each point.
    Dots,
}

/// A chart could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("the chart \"{title}\" cannot be drawn: {why}")]
pub struct DrawError {
    /// Its heading.
    title: String,
    /// What the library says.
    why: String,
}

/// Width of a chart in its own units.
pub(super) const WIDTH: u32 = 860;
const PLOT_HEIGHT: u32 = 300;
const LEGEND_ROW: u32 = 20;
const LEGEND_LEFT: u32 = 76;
/// About the width of a letter of the legend.
const LETTER: u32 = 7;
const SWATCH: u32 = 30;

/// Text and axes; [`super::Page`] knows the number.
pub(super) const INK: RGBColor = RGBColor(0x1a, 0x1a, 0x1b);
/// Lines behind the data.
pub(super) const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xde);
/// Okabe and Ito, "Color Universal Design" (2008): eight colours that people with any kind of colour
/// vision tell apart, without black and with a darker yellow.
pub(super) const COLOURS: [RGBColor; 8] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0xb8, 0xa9, 0x00),
    RGBColor(0x7a, 0x5a, 0xc8),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

impl Chart {
    /// The chart as an SVG element.
    ///
    /// # Errors
    /// The drawing library refused, for example a range that is not a number.
    pub fn svg(&self) -> Result<String, DrawError> {
        let mut text = String::new();
        self.draw(&mut text).map_err(|error| DrawError {
            title: self.title.clone(),
            why: error.to_string(),
        })?;
        Ok(text)
    }

    fn draw(&self, text: &mut String) -> Drawn {
        let legend = self.legend_rows();
        let rows = u32::try_from(legend.len()).unwrap_or(1);
        let head = 6 + rows * LEGEND_ROW;
        let backend = SVGBackend::with_string(text, (WIDTH, head + PLOT_HEIGHT));
        let root = backend.into_drawing_area();
        let (top, bottom) = root.split_vertically(head);
        draw_legend(&top, &legend)?;
        self.draw_plot(&bottom)?;
        root.present()?;
        Ok(())
    }

    /// Entries of the legend by row: (left edge, colour, line).
    fn legend_rows(&self) -> Vec<Vec<(u32, RGBColor, &Line)>> {
        let mut rows = vec![Vec::new()];
        let mut left = LEGEND_LEFT;
        for (index, line) in self.lines.iter().enumerate() {
            let letters = u32::try_from(line.label.chars().count()).unwrap_or(u32::MAX);
            let width = letters
                .saturating_mul(LETTER)
                .saturating_add(SWATCH + 2 * LETTER);
            if left > LEGEND_LEFT && left.saturating_add(width) > WIDTH {
                left = LEGEND_LEFT;
                rows.push(Vec::new());
            }
            if let Some(row) = rows.last_mut() {
                row.push((left, colour(index), line));
            }
            left = left.saturating_add(width);
        }
        rows
    }

    fn draw_plot(&self, area: &Area<'_>) -> Drawn {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (mut left, mut right) = points().fold((f64::MAX, f64::MIN), |(low, high), point| {
            (low.min(point.0), high.max(point.0))
        });
        if left > right {
            (left, right) = (0.0, 1.0);
        }
        if right - left <= f64::EPSILON * right.abs() {
            let room = if right > 0.0 { right * 0.05 } else { 1.0 };
            (left, right) = (left - room, right + room);
        }
        let highest = points().fold(0.0_f64, |high, point| high.max(point.1));
        let top = self
            .y_max
            .unwrap_or(if highest > 0.0 { highest * 1.08 } else { 1.0 });
        let mut chart = ChartBuilder::on(area)
            .margin_right(18)
            .margin_top(4)
            .x_label_area_size(44)
            .y_label_area_size(68)
            .build_cartesian_2d(left..right, 0.0..top)?;
        chart
            .configure_mesh()
            .light_line_style(GRID.mix(0.0))
            .bold_line_style(GRID)
            .axis_style(INK)
            .label_style(font(15))
            .axis_desc_style(font(16))
            .x_labels(11)
            .y_labels(6)
            .x_label_formatter(&|value| number(*value))
            .y_label_formatter(&|value| number(*value))
            .x_desc(self.x_label.clone())
            .y_desc(self.y_label.clone())
            .draw()?;
        for (index, line) in self.lines.iter().enumerate() {
            let style = ShapeStyle::from(colour(index)).stroke_width(2);
            let points = line.points.iter().copied();
            match line.mark {
                Mark::Solid => chart.draw_series(LineSeries::new(points, style)).map(drop),
                Mark::Dashed => chart
                    .draw_series(DashedLineSeries::new(points, 8, 5, style))
                    .map(drop),
                Mark::Dots => chart
                    .draw_series(points.map(|point| Circle::new(point, 2, style.filled())))
                    .map(drop),
            }?;
        }
        Ok(())
    }
}

fn draw_legend(area: &Area<'_>, rows: &[Vec<(u32, RGBColor, &Line)>]) -> Drawn {
    for (row, entries) in rows.iter().enumerate() {
        let row = i32::try_from(row).unwrap_or(0) * i32::try_from(LEGEND_ROW)?;
        for (left, colour, line) in entries {
            let (left, middle) = (i32::try_from(*left)?, row + 12);
            let style = ShapeStyle::from(colour).stroke_width(3);
            match line.mark {
                Mark::Solid => area.draw(&PathElement::new(
                    vec![(left, middle), (left + 22, middle)],
                    style,
                ))?,
                Mark::Dashed => {
                    for start in [left, left + 13] {
                        let dash = vec![(start, middle), (start + 9, middle)];
                        area.draw(&PathElement::new(dash, style))?;
                    }
                }
                Mark::Dots => area.draw(&Circle::new((left + 11, middle), 4, style.filled()))?,
            }
            area.draw(&Text::new(
                line.label.clone(),
                (left + 28, row + 5),
                font(15),
            ))?;
        }
    }
    Ok(())
}

fn font(size: u32) -> TextStyle<'static> {
    TextStyle::from(("sans-serif", size).into_font()).color(&INK)
}

fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

/// A number on an axis: as many digits as the steps between labels need.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        let text = text.trim_end_matches('0').trim_end_matches('.');
        return if text == "-0" { "0" } else { text }.into();
    }
    text
}
