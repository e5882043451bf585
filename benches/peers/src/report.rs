//! The result of one measurement, in the JSON shape of `dunlin bench client --json`.

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use crate::cli::Mode;

/// One measurement. Fields that a mode does not measure are absent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Name of the transport.
    pub peer: String,
    /// Name of the mode.
    pub mode: String,
    /// Length of the measurement.
    pub seconds: f64,
    /// Payload bytes that the server confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Payload rate in 10^9 bit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gbit_per_s: Option<f64>,
    /// Processor time of the client process, user and system, within the measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_client_s: Option<f64>,
    /// Requests answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Median time from request to answer, or of a handshake, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<f64>,
    /// 99th percentile of the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<f64>,
    /// Messages that the server confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
    /// Connections that are open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u64>,
    /// Handshakes in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshakes_per_s: Option<f64>,
}

/// A running measurement: wall clock and processor time since it began.
pub struct Measurement {
    peer: &'static str,
    mode: Mode,
    began: Instant,
    cpu_before: f64,
    until: Duration,
}

impl Measurement {
    /// Begins now and lasts about `seconds`.
    #[must_use]
    pub fn begin(peer: &'static str, mode: Mode, seconds: f64) -> Self {
        Self {
            peer,
            mode,
            began: Instant::now(),
            cpu_before: cpu_seconds(UsageWho::RUSAGE_SELF),
            until: Duration::from_secs_f64(seconds),
        }
    }

    /// Whether the time is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.began.elapsed() >= self.until
    }

    /// Ends a `bulk` run in which the server confirmed `bytes`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn end_bulk(&self, bytes: u64) -> Report {
        let mut report = self.end();
        report.bytes = Some(bytes);
        report.gbit_per_s = Some(bytes as f64 * 8.0 / report.seconds / 1e9);
        report
    }

    /// Ends a run of requests or handshakes that took `each`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn end_times(&self, mut each: Vec<Duration>) -> Report {
        let mut report = self.end();
        each.sort_unstable();
        report.p50_us = percentile_us(&each, 50);
        report.p99_us = percentile_us(&each, 99);
        match self.mode {
            Mode::Handshake => report.handshakes_per_s = Some(each.len() as f64 / report.seconds),
            _ => report.requests = Some(each.len() as u64),
        }
        report
    }

    /// Ends a run in which the server confirmed `count` messages.
    #[must_use]
    pub fn end_messages(&self, count: u64) -> Report {
        let mut report = self.end();
        report.messages = Some(count);
        report
    }

    /// Ends the opening of `count` connections.
    #[must_use]
    pub fn end_idle(&self, count: usize) -> Report {
        let mut report = self.end();
        report.connections = Some(count as u64);
        report
    }

    fn end(&self) -> Report {
        Report {
            peer: self.peer.to_owned(),
            mode: self.mode.name().to_owned(),
            seconds: self.began.elapsed().as_secs_f64(),
            bytes: None,
            gbit_per_s: None,
            cpu_client_s: Some(cpu_seconds(UsageWho::RUSAGE_SELF) - self.cpu_before),
            requests: None,
            p50_us: None,
            p99_us: None,
            messages: None,
            connections: None,
            handshakes_per_s: None,
        }
    }
}

impl Report {
    /// Prints the report on stdout: as JSON, or for a person.
    pub fn print(&self, json: bool) {
        if json {
            let text = serde_json::to_string(self).expect("numbers and strings serialise");
            println!("{text}");
        } else {
            println!("{self:#?}");
        }
    }
}

/// Processor time, user and system, of this process or of its ended children, in seconds.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub fn cpu_seconds(who: UsageWho) -> f64 {
    let usage = getrusage(who).expect("getrusage of oneself does not fail");
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

fn percentile_us(sorted: &[Duration], percent: usize) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    Some(sorted[last * percent / 100].as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let times: Vec<_> = (0..=100).map(Duration::from_micros).collect();
        assert_eq!(percentile_us(&times, 50), Some(50.0));
        assert_eq!(percentile_us(&times, 99), Some(99.0));
        assert_eq!(percentile_us(&[], 50), None);
    }
}
