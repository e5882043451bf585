//! Samples as CSV, and as Markdown tables of medians.

use std::fmt::Write as _;

use dunlin_peers::cli::Mode;

use crate::rounds::{MODES, Sample};

/// A column of a table: its heading and its value in a sample.
type Column = (&'static str, fn(&Sample) -> Option<f64>);

/// Every sample with everything measured; empty where a mode has no such value.
pub fn csv(samples: &[Sample]) -> String {
    let mut out = String::from(
        "mode,round,peer,seconds,bytes,gbit_per_s,requests,p50_us,p99_us,handshakes_per_s,\
         cpu_client_s,cpu_server_s\n",
    );
    for sample in samples {
        let report = &sample.report;
        let cell = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        let count = |value: Option<u64>| value.map_or(String::new(), |value| value.to_string());
        let _ = writeln!(
            out,
            "{},{},{},{},{},{},{},{},{},{},{},{}",
            sample.mode.name(),
            sample.round,
            sample.name,
            report.seconds,
            count(report.bytes),
            cell(report.gbit_per_s),
            count(report.requests),
            cell(report.p50_us),
            cell(report.p99_us),
            cell(report.handshakes_per_s),
            sample.cpu_client_s,
            sample.cpu_server_s,
        );
    }
    out
}

/// One table for each mode.
pub fn markdown(samples: &[Sample]) -> String {
    let mut out = String::new();
    for mode in MODES {
        let of_mode: Vec<_> = samples
            .iter()
            .filter(|sample| sample.mode == mode)
            .collect();
        if !of_mode.is_empty() {
            table(&mut out, mode, &of_mode);
        }
    }
    out
}

fn table(out: &mut String, mode: Mode, samples: &[&Sample]) {
    let columns = columns(mode);
    let mut names: Vec<&str> = Vec::new();
    for sample in samples {
        if !names.contains(&sample.name.as_str()) {
            names.push(&sample.name);
        }
    }
    let _ = write!(out, "\n| {} |", mode.name());
    for (heading, _) in columns {
        let _ = write!(out, " {heading} | of dunlin's |");
    }
    let _ = write!(out, "\n|---|{}\n", "---|---|".repeat(columns.len()));
    for name in names {
        let _ = write!(out, "| {name} |");
        for (_, value) in columns {
            let of = |name| Spread::of(samples.iter().filter(|one| one.name == name), *value);
            let cells = match (of(name), of("dunlin")) {
                (Some(own), Some(dunlin)) => {
                    format!(" {} | {:.2} |", own.show(), own.median / dunlin.median)
                }
                (Some(own), None) => format!(" {} | – |", own.show()),
                (None, _) => " – | – |".to_owned(),
            };
            out.push_str(&cells);
        }
        out.push('\n');
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn columns(mode: Mode) -> &'static [Column] {
    match mode {
        Mode::Bulk => &[
            ("Gbit/s", |sample| sample.report.gbit_per_s),
            ("CPU ns/byte, both ends", |sample| {
                per(sample, sample.report.bytes? as f64, 1e9)
            }),
        ],
        Mode::Rr => &[
            ("p50 µs", |sample| sample.report.p50_us),
            ("p99 µs", |sample| sample.report.p99_us),
            ("CPU µs/request, both ends", |sample| {
                per(sample, sample.report.requests? as f64, 1e6)
            }),
        ],
        Mode::Handshake => &[
            ("handshakes/s", |sample| sample.report.handshakes_per_s),
            ("CPU µs/handshake, both ends", |sample| {
                per(
                    sample,
                    sample.report.handshakes_per_s? * sample.report.seconds,
                    1e6,
                )
            }),
        ],
    }
}

/// Processor time of both ends for each of `count`, in units of 1/`scale` seconds.
fn per(sample: &Sample, count: f64, scale: f64) -> Option<f64> {
    (count > 0.0).then(|| (sample.cpu_client_s + sample.cpu_server_s) * scale / count)
}

/// Median and extremes.
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of<'a>(
        samples: impl Iterator<Item = &'a &'a Sample>,
        value: fn(&Sample) -> Option<f64>,
    ) -> Option<Self> {
        Self::of_values(samples.filter_map(|sample| value(sample)).collect())
    }

    fn of_values(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, min, max })
    }

    fn show(&self) -> String {
        let digits = if self.median >= 1000.0 {
            0
        } else if self.median >= 10.0 {
            1
        } else {
            2
        };
        format!(
            "{:.digits$} [{:.digits$}–{:.digits$}]",
            self.median, self.min, self.max
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert!(Spread::of_values(vec![]).is_none());
        assert_eq!(
            Spread::of_values(vec![3.0, 1.0, 2.0]).unwrap().show(),
            "2.00 [1.00–3.00]"
        );
        assert_eq!(
            Spread::of_values(vec![40.0, 10.0]).unwrap().show(),
            "25.0 [10.0–40.0]"
        );
    }
}
