//! What a measurement found, as one JSON object or for a person. The fields are those that
//! `benches/peers` reads from every program.

use std::time::Duration;

use serde::Serialize;

use crate::cli::BenchMode;
use crate::commands::stopwatch::Stopwatch;

/// A measurement. Fields that a mode does not measure are absent.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Report {
    peer: &'static str,
    mode: &'static str,
    profile: &'static str,
    seconds: f64,
    cpu_client_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gbit_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_client_ns_per_byte: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packets_sent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packets_lost: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handshakes_per_s: Option<f64>,
    #[serde(flatten)]
    times: Option<Times>,
}

/// How long each request or handshake took, in microseconds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
struct Times {
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "figures for people, far below 2^52"
)]
impl Report {
    fn new(mode: BenchMode, plain: bool, stopwatch: &Stopwatch) -> Self {
        let cpu = stopwatch.cpu();
        Self {
            peer: "dunlin",
            mode: match mode {
                BenchMode::Bulk => "bulk",
                BenchMode::Rr => "rr",
                BenchMode::Handshake => "handshake",
            },
            profile: if plain { "plain" } else { "sealed" },
            seconds: stopwatch.elapsed().as_secs_f64(),
            cpu_client_s: cpu.as_secs_f64(),
            bytes: None,
            gbit_per_s: None,
            cpu_client_ns_per_byte: None,
            packets_sent: None,
            packets_lost: None,
            requests: None,
            handshakes_per_s: None,
            times: None,
        }
    }

    /// A bulk run in which the server confirmed `bytes`.
    pub(super) fn bulk(
        plain: bool,
        stopwatch: &Stopwatch,
        bytes: u64,
        stats: Option<dunlin_transport::Stats>,
    ) -> Self {
        let mut report = Self::new(BenchMode::Bulk, plain, stopwatch);
        report.bytes = Some(bytes);
        report.gbit_per_s = Some(bytes as f64 * 8.0 / report.seconds / 1e9);
        report.cpu_client_ns_per_byte = Some(report.cpu_client_s * 1e9 / (bytes.max(1)) as f64);
        report.packets_sent = stats.map(|stats| stats.packets_sent);
        report.packets_lost = stats.map(|stats| stats.packets_lost);
        report
    }

    /// Requests or handshakes that took `each`.
    pub(super) fn times(
        mode: BenchMode,
        plain: bool,
        stopwatch: &Stopwatch,
        mut each: Vec<Duration>,
    ) -> Self {
        let mut report = Self::new(mode, plain, stopwatch);
        each.sort_unstable();
        if mode == BenchMode::Handshake {
            report.handshakes_per_s = Some(each.len() as f64 / report.seconds);
        } else {
            report.requests = Some(each.len() as u64);
        }
        report.times = Times::of(&each);
        report
    }

    /// The report for a person.
    pub(super) fn sentence(&self) -> String {
        let mut text = match (self.gbit_per_s, self.requests, self.handshakes_per_s) {
            (Some(rate), _, _) => format!(
                "{} {rate:.2} Gbit/s for {:.1} s, {:.2} ns of client processor time a byte, {} of {} packets lost",
                self.profile,
                self.seconds,
                self.cpu_client_ns_per_byte.unwrap_or_default(),
                self.packets_lost.unwrap_or_default(),
                self.packets_sent.unwrap_or_default(),
            ),
            (None, Some(count), _) => format!(
                "{} {:.0} requests/s, {:.1} µs of client processor time each",
                self.profile,
                count as f64 / self.seconds,
                self.cpu_client_s * 1e6 / count.max(1) as f64
            ),
            (None, None, handshakes) => {
                format!(
                    "{} {:.0} handshakes/s",
                    self.profile,
                    handshakes.unwrap_or_default()
                )
            }
        };
        if let Some(times) = self.times {
            text += &format!(
                "; p50 {:.1} µs, p90 {:.1}, p99 {:.1}, p99.9 {:.1}, most {:.1}",
                times.p50_us, times.p90_us, times.p99_us, times.p999_us, times.max_us
            );
        }
        text
    }
}

impl Times {
    fn of(sorted: &[Duration]) -> Option<Self> {
        let last = sorted.len().checked_sub(1)?;
        let at = |permille: usize| {
            let index = last.saturating_mul(permille) / 1_000;
            sorted.get(index).map(|time| time.as_secs_f64() * 1e6)
        };
        Some(Self {
            p50_us: at(500)?,
            p90_us: at(900)?,
            p99_us: at(990)?,
            p999_us: at(999)?,
            max_us: at(1_000)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let times: Vec<_> = (0..=1_000).rev().map(Duration::from_micros).collect();
        let report = Report::times(BenchMode::Rr, false, &Stopwatch::start(), times);
        let found = report.times.unwrap();
        assert_eq!(
            (found.p50_us, found.p99_us, found.max_us),
            (500.0, 990.0, 1_000.0)
        );
        assert_eq!(Times::of(&[]), None);
    }

    #[test]
    fn the_json_object_has_the_fields_that_the_harness_reads() {
        let stopwatch = Stopwatch::start();
        let text = serde_json::to_value(Report::bulk(false, &stopwatch, 9, None)).unwrap();
        for field in [
            "peer",
            "mode",
            "seconds",
            "bytes",
            "gbit_per_s",
            "cpu_client_s",
        ] {
            assert!(text.get(field).is_some(), "{field}");
        }
        let times = vec![Duration::from_micros(1)];
        let report = Report::times(BenchMode::Handshake, false, &stopwatch, times);
        let text = serde_json::to_value(report).unwrap();
        for field in ["handshakes_per_s", "p50_us", "p99_us"] {
            assert!(text.get(field).is_some(), "{field}");
        }
        assert!(text.get("requests").is_none());
    }
}
