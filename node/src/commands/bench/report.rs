//! What a measurement found, as one JSON object or for a person. The fields are those that
//! `benches/peers` reads from every program.

use std::time::Duration;

use serde::Serialize;

use crate::cli::BenchMode;
use crate::commands::stopwatch::Stopwatch;

/// A measurement. Fields that a mode does not measure are absent.
#[derive(Clone, PartialEq, Default, Debug, Serialize)]
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
    messages: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<u64>,
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
    /// A report without figures of its mode.
    pub(super) fn new(mode: BenchMode, plain: bool, stopwatch: &Stopwatch) -> Self {
        Self {
            peer: "dunlin",
            mode: match mode {
                BenchMode::Bulk => "bulk",
                BenchMode::Rr => "rr",
                BenchMode::Messages => "messages",
                BenchMode::Handshake => "handshake",
                BenchMode::Idle => "idle",
            },
            profile: if plain { "plain" } else { "sealed" },
            seconds: stopwatch.elapsed().as_secs_f64(),
            cpu_client_s: stopwatch.cpu().as_secs_f64(),
            ..Self::default()
        }
    }

    /// Of a bulk run in which the server confirmed `bytes`.
    pub(super) fn with_bytes(mut self, bytes: u64, stats: Option<dunlin_transport::Stats>) -> Self {
        self.bytes = Some(bytes);
        self.gbit_per_s = Some(bytes as f64 * 8.0 / self.seconds / 1e9);
        self.cpu_client_ns_per_byte = Some(self.cpu_client_s * 1e9 / (bytes.max(1)) as f64);
        self.packets_sent = stats.map(|stats| stats.packets_sent);
        self.packets_lost = stats.map(|stats| stats.packets_lost);
        self
    }

    /// Of requests or handshakes that took `each`.
    pub(super) fn with_times(mut self, mut each: Vec<Duration>) -> Self {
        each.sort_unstable();
        if self.mode == "handshake" {
            self.handshakes_per_s = Some(each.len() as f64 / self.seconds);
        } else {
            self.requests = Some(each.len() as u64);
        }
        self.times = Times::of(&each);
        self
    }

    /// Of messages that the server confirmed.
    pub(super) fn with_messages(mut self, count: u64) -> Self {
        self.messages = Some(count);
        self
    }

    /// Of open connections.
    pub(super) fn with_connections(mut self, count: usize) -> Self {
        self.connections = Some(count as u64);
        self
    }

    /// The report for a person.
    pub(super) fn sentence(&self) -> String {
        let seconds = self.seconds;
        let each = |count: u64| self.cpu_client_s * 1e6 / count.max(1) as f64;
        let mut text = format!("{} ", self.profile);
        if let Some(rate) = self.gbit_per_s {
            text += &format!(
                "{rate:.2} Gbit/s for {seconds:.1} s, {:.2} ns of client processor time a byte, {} of {} packets lost",
                self.cpu_client_ns_per_byte.unwrap_or_default(),
                self.packets_lost.unwrap_or_default(),
                self.packets_sent.unwrap_or_default(),
            );
        }
        for (count, name) in [(self.requests, "requests"), (self.messages, "messages")] {
            if let Some(count) = count {
                text += &format!(
                    "{:.0} {name}/s, {:.2} µs of client processor time each",
                    count as f64 / seconds,
                    each(count)
                );
            }
        }
        if let Some(rate) = self.handshakes_per_s {
            text += &format!("{rate:.0} handshakes/s");
        }
        if let Some(count) = self.connections {
            text += &format!("{count} connections, opened in {seconds:.1} s");
        }
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

    fn report(mode: BenchMode) -> Report {
        Report::new(mode, false, &Stopwatch::start())
    }

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let times: Vec<_> = (0..=1_000).rev().map(Duration::from_micros).collect();
        let report = report(BenchMode::Rr).with_times(times);
        let found = report.times.unwrap();
        assert_eq!(
            (found.p50_us, found.p99_us, found.max_us),
            (500.0, 990.0, 1_000.0)
        );
        assert_eq!(Times::of(&[]), None);
    }

    #[test]
    fn the_json_object_has_the_fields_that_the_harness_reads() {
        let has = |report: &Report, fields: &[&str]| {
            let text = serde_json::to_value(report).unwrap();
            for field in fields {
                assert!(text.get(*field).is_some(), "{field}");
            }
            assert!(text.get("packets_lost").is_none(), "nobody counted them");
        };
        let always = ["peer", "mode", "seconds", "cpu_client_s"];
        has(&report(BenchMode::Idle), &always);
        let bulk = report(BenchMode::Bulk).with_bytes(9, None);
        has(&bulk, &["bytes", "gbit_per_s"]);
        let times = || vec![Duration::from_micros(1)];
        let handshakes = report(BenchMode::Handshake).with_times(times());
        has(&handshakes, &["handshakes_per_s", "p50_us", "p99_us"]);
        has(
            &report(BenchMode::Rr).with_times(times()),
            &["requests", "p50_us"],
        );
        has(&report(BenchMode::Messages).with_messages(1), &["messages"]);
        has(
            &report(BenchMode::Idle).with_connections(1),
            &["connections"],
        );
    }
}
