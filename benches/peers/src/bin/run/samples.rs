//! One measurement, and medians of many.

use dunlin_peers::report::Report;

use crate::tables::Table;

/// One measurement.
pub struct Sample {
    /// Counts from 1.
    pub round: usize,
    /// The table it belongs to.
    pub table: Table,
    /// Name of the contestant.
    pub name: String,
    /// What was found.
    pub found: Found,
}

/// What one run found.
pub struct Found {
    /// What the client printed.
    pub report: Report,
    /// Processor time of the client process, in seconds.
    pub cpu_client_s: f64,
    /// Processor time of the server process while the client ran, in seconds.
    pub cpu_server_s: f64,
    /// Of idle connections.
    pub idle: Option<Idle>,
    /// Rate through the relay when it loses nothing, in 10^9 bit/s.
    pub lossless: Option<f64>,
}

/// What connections cost that nobody uses.
pub struct Idle {
    /// Bytes that the server grew by.
    pub server_bytes: f64,
    /// Bytes that the client grew by.
    pub client_bytes: f64,
    /// Processor time of the server in a second, in seconds.
    pub server_cpu: f64,
}

/// A figure that follows from a sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value {
    /// Payload rate.
    Gigabits,
    /// Payload rate where the relay loses nothing.
    Lossless,
    /// Rate with loss over rate without.
    Kept,
    /// Processor time of both ends for a byte.
    CpuPerByte,
    /// Median time.
    Median,
    /// 99th percentile of times.
    Late,
    /// Requests, messages or handshakes in a second.
    PerSecond,
    /// Processor time of both ends for each of them.
    CpuEach,
    /// Memory of the server for each idle connection.
    ServerKib,
    /// Memory of the client for each.
    ClientKib,
    /// Processor time of the server for each 10,000 idle connections.
    IdleCpu,
}

impl Value {
    /// All of them, in the order of the columns of the CSV file.
    pub const ALL: [Self; 11] = [
        Self::Gigabits,
        Self::Lossless,
        Self::Kept,
        Self::CpuPerByte,
        Self::Median,
        Self::Late,
        Self::PerSecond,
        Self::CpuEach,
        Self::ServerKib,
        Self::ClientKib,
        Self::IdleCpu,
    ];

    /// Heading of its column.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Gigabits => "Gbit/s",
            Self::Lossless => "Gbit/s without loss",
            Self::Kept => "rate kept",
            Self::CpuPerByte => "CPU ns/byte, both ends",
            Self::Median => "p50 µs",
            Self::Late => "p99 µs",
            Self::PerSecond => "per second",
            Self::CpuEach => "CPU µs each, both ends",
            Self::ServerKib => "server KiB each",
            Self::ClientKib => "client KiB each",
            Self::IdleCpu => "server CPU ms/s for 10,000",
        }
    }

    /// Name of its column in the CSV file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Gigabits => "gbit_per_s",
            Self::Lossless => "gbit_per_s_without_loss",
            Self::Kept => "rate_kept",
            Self::CpuPerByte => "cpu_ns_per_byte",
            Self::Median => "p50_us",
            Self::Late => "p99_us",
            Self::PerSecond => "per_s",
            Self::CpuEach => "cpu_us_each",
            Self::ServerKib => "server_kib_each",
            Self::ClientKib => "client_kib_each",
            Self::IdleCpu => "server_cpu_ms_per_s_for_10000",
        }
    }

    /// Whether more is better.
    pub fn more_is_better(self) -> bool {
        matches!(
            self,
            Self::Gigabits | Self::Lossless | Self::Kept | Self::PerSecond
        )
    }
}

impl Found {
    /// The figure, if this run has it.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn value(&self, value: Value) -> Option<f64> {
        let report = &self.report;
        let cpu = self.cpu_client_s + self.cpu_server_s;
        let per = |amount: f64, count: f64| (count > 0.0).then(|| amount / count);
        let connections = || report.connections.map(|count| count as f64);
        match value {
            Value::Gigabits => report.gbit_per_s,
            Value::Lossless => self.lossless,
            Value::Kept => per(report.gbit_per_s?, self.lossless?),
            Value::CpuPerByte => per(cpu * 1e9, report.bytes? as f64),
            Value::Median => report.p50_us,
            Value::Late => report.p99_us,
            Value::PerSecond => per(self.count()?, report.seconds),
            Value::CpuEach => per(cpu * 1e6, self.count()?),
            Value::ServerKib => per(self.idle.as_ref()?.server_bytes / 1024.0, connections()?),
            Value::ClientKib => per(self.idle.as_ref()?.client_bytes / 1024.0, connections()?),
            Value::IdleCpu => per(self.idle.as_ref()?.server_cpu * 1e7, connections()?),
        }
    }

    /// Requests, messages or handshakes.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn count(&self) -> Option<f64> {
        let report = &self.report;
        let handshakes = report.handshakes_per_s.map(|rate| rate * report.seconds);
        let counted = report.requests.or(report.messages);
        counted.map(|count| count as f64).or(handshakes)
    }
}

/// Median and extremes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spread {
    /// Half of the values are above.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of the values of that contestant in that table.
    pub fn of(samples: &[Sample], table: Table, name: &str, value: Value) -> Option<Self> {
        let own = samples
            .iter()
            .filter(|sample| sample.table == table && sample.name == name);
        Self::of_values(own.filter_map(|sample| sample.found.value(value)).collect())
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

    /// `median [min–max]`.
    pub fn show(&self) -> String {
        let digits = digits(self.median);
        format!(
            "{:.digits$} [{:.digits$}–{:.digits$}]",
            self.median, self.min, self.max
        )
    }
}

/// Digits behind the point with which a figure of that size is told.
pub fn digits(size: f64) -> usize {
    match size {
        large if large >= 1_000.0 => 0,
        middle if middle >= 10.0 => 1,
        _ => 2,
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

    #[test]
    fn figures_count_both_ends() {
        let report = serde_json::from_str(
            r#"{"peer":"x","mode":"idle","seconds":2.0,"bytes":1000,"requests":10,"connections":4}"#,
        );
        let found = Found {
            report: report.unwrap(),
            cpu_client_s: 1.0,
            cpu_server_s: 2.0,
            idle: Some(Idle {
                server_bytes: 8_192.0,
                client_bytes: 4_096.0,
                server_cpu: 0.002,
            }),
            lossless: None,
        };
        assert_eq!(found.value(Value::CpuPerByte), Some(3e6));
        assert_eq!(found.value(Value::CpuEach), Some(3e5));
        assert_eq!(found.value(Value::PerSecond), Some(5.0));
        assert_eq!(found.value(Value::ServerKib), Some(2.0));
        assert_eq!(found.value(Value::IdleCpu), Some(5_000.0));
        assert_eq!(found.value(Value::Kept), None);
    }
}
