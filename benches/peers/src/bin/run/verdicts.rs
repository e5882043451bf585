//! Whether the bounds hold that Dunlin is to keep, as ratios within one run.

use std::fmt::Write as _;

use crate::samples::{Sample, Spread, Value, digits};
use crate::tables::Table;

/// A row: a figure of Dunlin, what it must reach and what it aims at.
struct Goal {
    what: &'static str,
    /// Row of the figure.
    row: &'static str,
    table: Table,
    value: Value,
    must: Bound,
    aim: Bound,
}

/// A bound of the figure.
enum Bound {
    /// At most this many times the figure of each of these.
    AtMost(f64, &'static [&'static str]),
    /// At least this many times the figure of each of these.
    AtLeast(f64, &'static [&'static str]),
    /// At most this, in the unit of the figure.
    NoMoreThan(f64),
    /// At least this.
    NoLessThan(f64),
}

const TLS: &[&str] = &["rustls over TCP"];
const QUINN: &[&str] = &["quinn"];
const BLAST: &[&str] = &["sealed packets thrown"];

const GOALS: [Goal; 14] = [
    Goal {
        what: "bulk, one stream: CPU of both ends",
        row: "dunlin",
        table: Table::Bulk,
        value: Value::CpuPerByte,
        must: Bound::AtMost(0.45, QUINN),
        aim: Bound::AtMost(1.1, TLS),
    },
    Goal {
        what: "bulk, one stream: rate",
        row: "dunlin",
        table: Table::Bulk,
        value: Value::Gigabits,
        must: Bound::AtLeast(2.0, &["quinn", "s2n-quic", "noq", "quiche"]),
        aim: Bound::AtLeast(0.85, BLAST),
    },
    Goal {
        what: "large packets: rate",
        row: "dunlin",
        table: Table::Large,
        value: Value::Gigabits,
        must: Bound::AtLeast(1.1, &["quinn", "noq"]),
        aim: Bound::AtLeast(1.2, TLS),
    },
    Goal {
        what: "without segmentation offload: rate",
        row: "dunlin",
        table: Table::NoGso,
        value: Value::Gigabits,
        must: Bound::AtLeast(1.5, QUINN),
        aim: Bound::AtLeast(2.0, QUINN),
    },
    Goal {
        what: "request and response, one outstanding: p50",
        row: "dunlin",
        table: Table::Rr,
        value: Value::Median,
        must: Bound::AtMost(0.9, &["quinn", "quiche"]),
        aim: Bound::AtMost(1.1, TLS),
    },
    Goal {
        what: "request and response, one outstanding: p99",
        row: "dunlin",
        table: Table::Rr,
        value: Value::Late,
        must: Bound::AtMost(0.9, &["quinn", "quiche"]),
        aim: Bound::AtMost(1.1, TLS),
    },
    Goal {
        what: "requests per second, 64 outstanding",
        row: "dunlin",
        table: Table::Rr64,
        value: Value::PerSecond,
        must: Bound::AtLeast(2.0, QUINN),
        aim: Bound::AtLeast(1.0, TLS),
    },
    Goal {
        what: "full handshakes, none hybrid: CPU of both ends",
        row: "dunlin, classical",
        table: Table::Handshake,
        value: Value::CpuEach,
        must: Bound::AtMost(0.7, &["s2n-quic"]),
        aim: Bound::AtMost(0.4, &["s2n-quic"]),
    },
    Goal {
        what: "full handshakes, what hybrid ones cost: CPU of both ends",
        row: "dunlin",
        table: Table::Handshake,
        value: Value::CpuEach,
        must: Bound::AtMost(1.6, &["dunlin, classical"]),
        aim: Bound::AtMost(1.3, &["dunlin, classical"]),
    },
    Goal {
        what: "full handshakes, all hybrid: CPU of both ends",
        row: "dunlin",
        table: Table::Handshake,
        value: Value::CpuEach,
        must: Bound::AtMost(0.7, &["s2n-quic, hybrid"]),
        aim: Bound::AtMost(0.4, &["s2n-quic, hybrid"]),
    },
    Goal {
        what: "idle connection: memory of the server",
        row: "dunlin",
        table: Table::Idle,
        value: Value::ServerKib,
        must: Bound::NoMoreThan(6.0),
        aim: Bound::NoMoreThan(2.0),
    },
    Goal {
        what: "goodput at 1 % loss over goodput without, bbr-tolerant",
        row: "dunlin, bbr-tolerant",
        table: Table::Loss,
        value: Value::Kept,
        must: Bound::NoLessThan(0.93),
        aim: Bound::NoLessThan(0.97),
    },
    Goal {
        what: "the same with a relay that waits for a core as both ends do",
        row: "dunlin, bbr-tolerant",
        table: Table::LossShared,
        value: Value::Kept,
        must: Bound::NoLessThan(0.93),
        aim: Bound::NoLessThan(0.97),
    },
    Goal {
        what: "goodput at 1 % loss over goodput without, CUBIC as all others",
        row: "dunlin",
        table: Table::Loss,
        value: Value::Kept,
        must: Bound::NoLessThan(0.93),
        aim: Bound::NoLessThan(0.97),
    },
];

/// A Markdown table of the bounds that the samples can judge; empty when there are none.
pub fn markdown(samples: &[Sample]) -> String {
    let mut rows = String::new();
    for goal in &GOALS {
        let Some(own) = Spread::of(samples, goal.table, goal.row, goal.value) else {
            continue;
        };
        let others = |name: &str| {
            let other = Spread::of(samples, goal.table, name, goal.value)?;
            Some(other.median)
        };
        let must = goal.must.judge(own.median, others);
        let aim = goal.aim.judge(own.median, others);
        let precision = digits(own.median);
        let _ = writeln!(
            rows,
            "| {} | {:.precision$} {} | {must} | {aim} |",
            goal.what,
            own.median,
            goal.value.heading(),
        );
    }
    if rows.is_empty() {
        return rows;
    }
    format!("\n## Bounds\n\n| figure | dunlin | must | aim |\n|---|---|---|---|\n{rows}")
}

impl Bound {
    /// What the bound is and whether `own` keeps it, in words.
    fn judge(&self, own: f64, others: impl Fn(&str) -> Option<f64>) -> String {
        match self {
            Self::AtMost(factor, names) => compare(own, *factor, names, others, false),
            Self::AtLeast(factor, names) => compare(own, *factor, names, others, true),
            Self::NoMoreThan(most) => verdict(&format!("≤ {most}"), own / most, false),
            Self::NoLessThan(least) => verdict(&format!("≥ {least}"), own / least, true),
        }
    }
}

/// Against the strictest of `names` that took part.
fn compare(
    own: f64,
    factor: f64,
    names: &[&str],
    others: impl Fn(&str) -> Option<f64>,
    at_least: bool,
) -> String {
    let measured = names.iter().filter_map(|name| Some((*name, others(name)?)));
    let strictest = if at_least {
        measured.max_by(|a, b| a.1.total_cmp(&b.1))
    } else {
        measured.min_by(|a, b| a.1.total_cmp(&b.1))
    };
    let sign = if at_least { "≥" } else { "≤" };
    match strictest {
        Some((name, other)) => verdict(
            &format!("{sign} {factor} × {name}: {:.2}", own / other),
            own / other / factor,
            at_least,
        ),
        None => format!("{sign} {factor} × {}: not measured", names.join(", ")),
    }
}

/// `share` is what was reached over the bound.
fn verdict(bound: &str, share: f64, at_least: bool) -> String {
    let reached = if at_least { share >= 1.0 } else { share <= 1.0 };
    let off = (share - 1.0).abs() * 100.0;
    if reached {
        format!("{bound}, **reached**")
    } else {
        format!("{bound}, **missed by {off:.0} %**")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn others(name: &str) -> Option<f64> {
        match name {
            "slow" => Some(4.0),
            "fast" => Some(10.0),
            _ => None,
        }
    }

    #[test]
    fn the_strictest_peer_that_took_part_decides() {
        let rate = Bound::AtLeast(2.0, &["slow", "fast", "absent"]);
        assert_eq!(rate.judge(25.0, others), "≥ 2 × fast: 2.50, **reached**");
        assert_eq!(
            rate.judge(15.0, others),
            "≥ 2 × fast: 1.50, **missed by 25 %**"
        );
        let cost = Bound::AtMost(0.5, &["slow", "fast"]);
        assert_eq!(cost.judge(2.0, others), "≤ 0.5 × slow: 0.50, **reached**");
        let nobody = Bound::AtMost(0.5, &["absent"]);
        assert_eq!(nobody.judge(2.0, others), "≤ 0.5 × absent: not measured");
    }

    #[test]
    fn bounds_without_a_peer_have_the_unit_of_the_figure() {
        let most = Bound::NoMoreThan(6.0);
        assert_eq!(most.judge(9.0, others), "≤ 6, **missed by 50 %**");
        let least = Bound::NoLessThan(0.93);
        assert_eq!(least.judge(0.95, others), "≥ 0.93, **reached**");
    }
}
