//! Pictures: from what was measured to charts, and to one HTML page that needs nothing else.
//!
//! A [`Recording`] is plain data: named series of (time, value) in integers of the base unit of a
//! [`Quantity`]. It does not say where they come from, so a run in virtual time and the log of a live
//! connection are drawn by the same code. [`charts_of`] puts the series of one quantity onto one
//! [`Chart`] with units that read well, [`Chart::svg`] draws it, and a [`Page`] puts charts, tables
//! and words into a file that makes no request and follows the reader's light or dark setting.
//!
//! A chart of many runs is a [`Distribution`]: the share of runs (or samples) at or below a value.
//!
//! Floating-point numbers are used here only: what is drawn decides nothing. They are divided and
//! rounded, which gives the same digits on every machine.

mod chart;
mod distribution;
mod page;
mod scale;
mod thin;

pub use chart::{Chart, DrawError, Line, Mark};
pub use distribution::Distribution;
pub use page::{Page, Table, escape};
pub use scale::{Scale, Unit};

/// What a run was like over time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recording {
    /// The series, in the order in which the legend names them.
    pub series: Vec<Series>,
}

/// One line of a chart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Series {
    /// What is measured; series of one quantity share a chart.
    pub quantity: Quantity,
    /// What the legend calls it, for example `flow 1`.
    pub label: String,
    /// A limit, drawn dashed, not a measurement.
    pub limit: bool,
    /// The samples, by rising time.
    pub points: Vec<Point>,
}

/// A sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Point {
    /// When, in nanoseconds.
    pub at_ns: u64,
    /// How much, in the base unit of the quantity.
    pub value: u64,
}

/// What a series measures. The order is that of the charts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Quantity {
    /// Application data that arrived, in bits per second, against what the path allows.
    Goodput,
    /// Congestion window, in bytes.
    CongestionWindow,
    /// Bytes in flight.
    InFlight,
    /// Round-trip time, in nanoseconds.
    Rtt,
    /// Bytes that wait in front of a bottleneck.
    Queue,
    /// Time that a datagram waits in front of a bottleneck, in nanoseconds.
    Sojourn,
    /// Offset of a stream that was sent, acknowledged or read, in bytes.
    Sequence,
    /// Time from a request to its answer, or from sending to arrival of a message, in nanoseconds.
    Latency,
    /// Packets declared lost so far.
    Losses,
}

impl Quantity {
    /// Every quantity.
    pub const ALL: [Self; 9] = [
        Self::Goodput,
        Self::CongestionWindow,
        Self::InFlight,
        Self::Rtt,
        Self::Queue,
        Self::Sojourn,
        Self::Sequence,
        Self::Latency,
        Self::Losses,
    ];

    /// The heading of its chart.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Goodput => "Goodput against the limit of the path",
            Self::CongestionWindow => "Congestion window",
            Self::InFlight => "Bytes in flight",
            Self::Rtt => "Round-trip time",
            Self::Queue => "Queue in front of the bottleneck",
            Self::Sojourn => "Wait in front of the bottleneck",
            Self::Sequence => "Time and sequence",
            Self::Latency => "Latency",
            Self::Losses => "Packets declared lost",
        }
    }

    /// What its axis is called, without the unit.
    #[must_use]
    pub const fn axis(self) -> &'static str {
        match self {
            Self::Goodput => "goodput",
            Self::CongestionWindow => "window",
            Self::InFlight => "in flight",
            Self::Rtt => "RTT",
            Self::Queue => "queue",
            Self::Sojourn => "wait",
            Self::Sequence => "stream offset",
            Self::Latency => "latency",
            Self::Losses => "packets",
        }
    }

    /// The name in files: lower case, words joined by `_`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Goodput => "goodput",
            Self::CongestionWindow => "congestion_window",
            Self::InFlight => "in_flight",
            Self::Rtt => "rtt",
            Self::Queue => "queue",
            Self::Sojourn => "sojourn",
            Self::Sequence => "sequence",
            Self::Latency => "latency",
            Self::Losses => "losses",
        }
    }

    /// The quantity of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|quantity| quantity.name() == name)
    }

    /// The unit of its values.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::Goodput => Unit::BitsPerSecond,
            Self::CongestionWindow | Self::InFlight | Self::Queue | Self::Sequence => Unit::Bytes,
            Self::Rtt | Self::Sojourn | Self::Latency => Unit::Nanoseconds,
            Self::Losses => Unit::Count,
        }
    }

    /// Single samples that no line should join.
    const fn is_scattered(self) -> bool {
        matches!(self, Self::Latency)
    }
}

/// One chart for each quantity that has a sample, in the order of [`Quantity`].
#[must_use]
pub fn charts_of(recording: &Recording) -> Vec<Chart> {
    let of = |quantity: Quantity| {
        recording
            .series
            .iter()
            .filter(move |series| series.quantity == quantity && !series.points.is_empty())
    };
    Quantity::ALL
        .into_iter()
        .filter(|quantity| of(*quantity).any(|series| !series.limit))
        .map(|quantity| chart_of(quantity, &of(quantity).collect::<Vec<_>>()))
        .collect()
}

fn chart_of(quantity: Quantity, series: &[&Series]) -> Chart {
    let points = || series.iter().flat_map(|series| &series.points);
    let time = Scale::of(
        Unit::Nanoseconds,
        points().map(|point| point.at_ns).max().unwrap_or(0),
    );
    let value = Scale::of(
        quantity.unit(),
        points().map(|point| point.value).max().unwrap_or(0),
    );
    let lines = series.iter().map(|series| Line {
        label: series.label.clone(),
        mark: match (series.limit, quantity.is_scattered()) {
            (true, _) => Mark::Dashed,
            (false, true) => Mark::Dots,
            (false, false) => Mark::Solid,
        },
        points: thin::thin(&series.points, thin::POINTS_MAX)
            .into_iter()
            .map(|point| (time.apply(point.at_ns), value.apply(point.value)))
            .collect(),
    });
    Chart {
        title: quantity.title().into(),
        x_label: time.label("time"),
        y_label: value.label(quantity.axis()),
        lines: lines.collect(),
        y_max: None,
    }
}

#[cfg(test)]
mod tests;
