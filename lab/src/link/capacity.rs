//! How fast a bottleneck sends: at one rate, or as a recorded trace says (cellular and satellite
//! links).
//!
//! Two forms of traces are common: rates over time, and delivery opportunities as Mahimahi records
//! them (Netravali and others, "Mahimahi: Accurate Record-and-Replay for HTTP", 2015): a list of
//! milliseconds at each of which the link can carry 1,504 bytes. All arithmetic is on integers.

use std::sync::Arc;
use std::time::Duration;

use dunlin_transport::Instant;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::element::{ElementError, positive};
use super::text::{Either, either};
use crate::units::{BitRate, Time};

/// How fast a bottleneck sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Capacity {
    /// So many bits per second.
    Constant(u64),
    /// What was recorded.
    Trace(Arc<RateTrace>),
}

/// A recorded capacity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RateTrace {
    /// Rates that hold from a time on.
    Steps(Steps),
    /// Times at which 1,504 bytes may leave; what is not used is lost.
    Opportunities(Opportunities),
}

/// Rates over time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    /// From when on which rate holds, since the start of the run; the first at 0.
    pub steps: Vec<(Time, BitRate)>,
    /// When it begins again; without it the last rate holds for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Time>,
}

/// Delivery opportunities. They begin again after the last.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opportunities {
    /// Milliseconds since the start; a time may stand more than once.
    pub opportunities_ms: Vec<u64>,
}

/// Bytes of IP packets that one delivery opportunity carries, as Mahimahi has it.
pub const OPPORTUNITY_BYTES: u64 = 1_504;

const MS: u64 = 1_000_000;
/// Nanoseconds in a second times bits in a byte.
const BYTE_NANOS: u64 = 8_000_000_000;

impl RateTrace {
    /// Reads lines of `time,rate`: a time in seconds or with a unit, a rate in bits per second or
    /// with a unit. Lines that begin with `#` and one header line are skipped. It repeats at the
    /// time of its last line, whose rate therefore does not count.
    ///
    /// # Errors
    /// A line that does not read, or a trace that makes no sense.
    pub fn from_csv(text: &str) -> Result<Self, ElementError> {
        let mut steps: Vec<(Time, BitRate)> = Vec::new();
        let is_header = |line: &str| !line.starts_with(|first: char| first.is_ascii_digit());
        let mut first = true;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if std::mem::replace(&mut first, false) && is_header(line) {
                continue;
            }
            let read = |reason: String| ElementError::TraceLine {
                line: index + 1,
                reason,
            };
            let (time, rate) = line
                .split_once(',')
                .ok_or_else(|| read(format!("{line:?} is not `time,rate`")))?;
            let with_unit = |value: &str, unit: &str| match value.trim() {
                bare if bare.ends_with(|last: char| last.is_ascii_digit()) => {
                    format!("{bare}{unit}")
                }
                whole => whole.to_owned(),
            };
            let time = with_unit(time, "s").parse();
            let rate = with_unit(rate, "bit").parse();
            steps.push((
                time.map_err(|error: crate::units::UnitError| read(error.to_string()))?,
                rate.map_err(|error: crate::units::UnitError| read(error.to_string()))?,
            ));
        }
        let repeat = if steps.len() > 1 {
            steps.pop().map(|(end, _)| end)
        } else {
            None
        };
        let trace = Self::Steps(Steps { steps, repeat });
        trace.validate().map(|()| trace)
    }

    /// Reads a Mahimahi trace: one millisecond a line.
    ///
    /// # Errors
    /// A line that does not read, or a trace that makes no sense.
    pub fn from_mahimahi(text: &str) -> Result<Self, ElementError> {
        let lines = text.lines().map(str::trim).enumerate();
        let opportunities_ms = lines
            .filter(|(_, line)| !line.is_empty())
            .map(|(index, line)| {
                line.parse().map_err(|_| ElementError::TraceLine {
                    line: index + 1,
                    reason: format!("{line:?} is not a number of milliseconds"),
                })
            })
            .collect::<Result<Vec<u64>, _>>()?;
        let trace = Self::Opportunities(Opportunities { opportunities_ms });
        trace.validate().map(|()| trace)
    }

    /// Checks that its numbers make sense.
    ///
    /// # Errors
    /// The first that does not.
    pub fn validate(&self) -> Result<(), ElementError> {
        match self {
            Self::Steps(steps) => steps.validate(),
            Self::Opportunities(list) => list.validate(),
        }
    }
}

impl Steps {
    fn validate(&self) -> Result<(), ElementError> {
        let what = "steps";
        let (Some((first, _)), Some((last, rate))) = (self.steps.first(), self.steps.last()) else {
            return Err(ElementError::Empty { what });
        };
        if first.0 != Duration::ZERO {
            return Err(ElementError::NotAscending { what, position: 0 });
        }
        let mut pairs = self.steps.windows(2);
        if let Some(position) = pairs.position(|pair| pair[1].0 <= pair[0].0) {
            let position = position + 1;
            return Err(ElementError::NotAscending { what, position });
        }
        let Some(repeat) = self.repeat else {
            return positive("the last rate", rate.0);
        };
        if repeat <= *last {
            let position = self.steps.len();
            return Err(ElementError::NotAscending { what, position });
        }
        let nanobits: u128 = (0..self.steps.len())
            .map(|index| {
                let (rate, until) = self.step(index);
                let (from, _) = self.steps.get(index).copied().unwrap_or_default();
                u128::from(rate) * u128::from(until.saturating_sub(nanos(from)))
            })
            .sum();
        match u64::try_from(nanobits / u128::from(BYTE_NANOS)).unwrap_or(u64::MAX) {
            value if value < OPPORTUNITY_BYTES => Err(ElementError::Range {
                what: "what one repetition carries (bytes)",
                value,
                range: "at least one packet of 1504",
            }),
            _ => Ok(()),
        }
    }

    /// Rate of a step, and when it ends, in nanoseconds of its repetition.
    fn step(&self, index: usize) -> (u64, u64) {
        let rate = self.steps.get(index).map_or(0, |(_, rate)| rate.0);
        let next = self.steps.get(index + 1).map(|(time, _)| *time);
        let until = next.or(self.repeat).map_or(u64::MAX, nanos);
        (rate, until)
    }

    /// When `bytes` that begin at `start` have left.
    fn finish(&self, start: u64, bytes: u64) -> u64 {
        let period = self.repeat.map_or(u64::MAX, nanos).max(1);
        let mut base = start - start % period;
        let mut at = start - base;
        let after = self.steps.partition_point(|(time, _)| nanos(*time) <= at);
        let mut index = after.saturating_sub(1);
        let mut nanobits = u128::from(bytes) * u128::from(BYTE_NANOS);
        loop {
            let (rate, until) = self.step(index);
            let carried = u128::from(rate) * u128::from(until.saturating_sub(at));
            if nanobits <= carried || base > u64::MAX / 2 {
                let time = nanobits.div_ceil(u128::from(rate.max(1)));
                return base
                    .saturating_add(at)
                    .saturating_add(u64::try_from(time).unwrap_or(u64::MAX));
            }
            nanobits -= carried;
            at = until;
            index += 1;
            if index >= self.steps.len() {
                (index, at) = (0, 0);
                base = base.saturating_add(period);
            }
        }
    }
}

impl Opportunities {
    fn validate(&self) -> Result<(), ElementError> {
        let what = "opportunities_ms";
        let list = &self.opportunities_ms;
        let Some(last) = list.last() else {
            return Err(ElementError::Empty { what });
        };
        if let Some(position) = list.windows(2).position(|pair| pair[1] < pair[0]) {
            let position = position + 1;
            return Err(ElementError::NotAscending { what, position });
        }
        positive("the last opportunity", *last)
    }

    /// Number of the first opportunity at `start` or later.
    fn first_from(&self, start: u64) -> u64 {
        let period = self.period();
        let cycle = start / period;
        let within = start - cycle * period;
        let index = self
            .opportunities_ms
            .partition_point(|ms| ms.saturating_mul(MS) < within);
        cycle * self.opportunities_ms.len() as u64 + index as u64
    }

    /// When `bytes` that begin at `start` have left.
    fn finish(&self, progress: &mut Progress, start: u64, bytes: u64) -> u64 {
        let is_over = |number: u64| self.time_of(number) < start;
        if progress.left == 0 || is_over(progress.next.saturating_sub(1)) {
            progress.next = self.first_from(start).max(progress.next) + 1;
            progress.left = OPPORTUNITY_BYTES;
        }
        let mut need = bytes;
        while need > progress.left {
            need -= progress.left;
            progress.next += 1;
            progress.left = OPPORTUNITY_BYTES;
        }
        progress.left -= need;
        self.time_of(progress.next - 1).max(start)
    }

    fn time_of(&self, number: u64) -> u64 {
        let count = (self.opportunities_ms.len() as u64).max(1);
        let index = usize::try_from(number % count).unwrap_or(0);
        let ms = self.opportunities_ms.get(index).copied().unwrap_or(0);
        (number / count)
            .saturating_mul(self.period())
            .saturating_add(ms.saturating_mul(MS))
    }

    fn period(&self) -> u64 {
        let last = self.opportunities_ms.last().copied().unwrap_or(1);
        last.max(1).saturating_mul(MS)
    }
}

/// What a sender at some capacity remembers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// The first opportunity that was not opened yet.
    next: u64,
    /// Bytes that the one before can still carry.
    left: u64,
}

impl Capacity {
    /// Checks that its numbers make sense.
    ///
    /// # Errors
    /// The first that does not.
    pub fn validate(&self) -> Result<(), ElementError> {
        match self {
            Self::Constant(rate) => positive("rate", *rate),
            Self::Trace(trace) => trace.validate(),
        }
    }

    /// When `bytes` have left whose first may leave at `start`. Starts never go back.
    pub(super) fn finish(&self, progress: &mut Progress, start: Instant, bytes: u64) -> Instant {
        let start_nanos = start.as_nanos();
        match self {
            Self::Constant(rate) => start + time_for(bytes, *rate),
            Self::Trace(trace) => Instant::from_nanos(match trace.as_ref() {
                RateTrace::Steps(steps) => steps.finish(start_nanos, bytes),
                RateTrace::Opportunities(list) => list.finish(progress, start_nanos, bytes),
            }),
        }
    }
}

/// How long `bytes` take.
pub(super) fn time_for(bytes: u64, bits_per_second: u64) -> Duration {
    Duration::from_nanos(bytes.saturating_mul(BYTE_NANOS) / bits_per_second.max(1))
}

fn nanos(time: Time) -> u64 {
    u64::try_from(time.0.as_nanos()).unwrap_or(u64::MAX)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TraceText {
    steps: Option<Vec<(Time, BitRate)>>,
    repeat: Option<Time>,
    opportunities_ms: Option<Vec<u64>>,
}

impl<'de> Deserialize<'de> for Capacity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting = "a rate such as \"100mbit\", or a table of steps or opportunities_ms";
        let trace = match either::<BitRate, TraceText, D>(deserializer, expecting)? {
            Either::Value(rate) => return Ok(Self::Constant(rate.0)),
            Either::Table(TraceText {
                steps: Some(steps),
                repeat,
                opportunities_ms: None,
            }) => RateTrace::Steps(Steps { steps, repeat }),
            Either::Table(TraceText {
                steps: None,
                repeat: None,
                opportunities_ms: Some(opportunities_ms),
            }) => RateTrace::Opportunities(Opportunities { opportunities_ms }),
            Either::Table(_) => {
                let wrong = "a rate has either steps (and repeat), or opportunities_ms";
                return Err(serde::de::Error::custom(wrong));
            }
        };
        Ok(Self::Trace(Arc::new(trace)))
    }
}

impl Serialize for Capacity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Constant(rate) => BitRate(*rate).serialize(serializer),
            Self::Trace(trace) => match trace.as_ref() {
                RateTrace::Steps(steps) => steps.serialize(serializer),
                RateTrace::Opportunities(list) => list.serialize(serializer),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(list: &[(u64, u64)], repeat: Option<u64>) -> RateTrace {
        let time = |ms| Time(Duration::from_millis(ms));
        RateTrace::Steps(Steps {
            steps: list
                .iter()
                .map(|(ms, rate)| (time(*ms), BitRate(*rate)))
                .collect(),
            repeat: repeat.map(time),
        })
    }

    fn finish_ms(trace: &RateTrace, sends: &[(u64, u64)]) -> Vec<u64> {
        let capacity = Capacity::Trace(Arc::new(trace.clone()));
        let mut progress = Progress::default();
        let mut free = Instant::ZERO;
        let send = |(ms, bytes): &(u64, u64)| {
            let start = Instant::from_nanos(ms * MS).max(free);
            free = capacity.finish(&mut progress, start, *bytes);
            free.as_nanos() / MS
        };
        sends.iter().map(send).collect()
    }

    #[test]
    fn a_rate_changes_in_the_middle_of_a_packet() {
        // 8 Mbit/s is a byte each microsecond. 10 ms of that, then a tenth, then again.
        let trace = steps(&[(0, 8_000_000), (10, 800_000)], Some(20));
        assert_eq!(
            finish_ms(&trace, &[(0, 9_000), (0, 1_100), (0, 800), (0, 500)]),
            [9, 11, 19, 20]
        );
        assert_eq!(finish_ms(&trace, &[(39, 100), (59, 200)]), [40, 60]);
        // Without repetition the last rate holds.
        let trace = steps(&[(0, 8_000_000), (10, 800_000)], None);
        assert_eq!(finish_ms(&trace, &[(100, 1_000)]), [110]);
        // Nothing passes in an outage.
        let trace = steps(&[(0, 8_000_000), (10, 0)], Some(1_000));
        assert_eq!(finish_ms(&trace, &[(9, 2_000)]), [1_001]);
    }

    #[test]
    fn opportunities_carry_1504_bytes_each_and_none_is_saved() {
        let trace = RateTrace::from_mahimahi("0\n5\n5\n10\n").unwrap();
        // 0 is used up by the first; then the pair at 5; the rest of an opportunity serves small ones.
        assert_eq!(
            finish_ms(&trace, &[(0, 1_504), (0, 1_504), (0, 1_504), (0, 1_504)]),
            [0, 5, 5, 10]
        );
        assert_eq!(
            finish_ms(&trace, &[(1, 700), (1, 700), (1, 700)]),
            [5, 5, 5]
        );
        // 10 is the end of a period and the beginning of the next: two opportunities.
        assert_eq!(
            finish_ms(&trace, &[(7, 1_504), (7, 1_504), (7, 1_504), (7, 4_000)]),
            [10, 10, 15, 20]
        );
    }

    #[test]
    fn reads_csv_with_and_without_units() {
        let trace =
            RateTrace::from_csv("time,rate\n# comment\n0,1000000\n1.5,2mbit\n3s,0\n").unwrap();
        assert_eq!(
            trace,
            steps(&[(0, 1_000_000), (1_500, 2_000_000)], Some(3_000))
        );
        let error = RateTrace::from_csv("0,1mbit\nx,y\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 2") && error.contains("\"x\""),
            "{error}"
        );
    }

    #[test]
    fn refuses_traces_that_make_no_sense() {
        for (trace, text) in [
            (steps(&[], None), "empty"),
            (steps(&[(1, 5)], None), "ascend"),
            (steps(&[(0, 5), (0, 6)], None), "ascend"),
            (steps(&[(0, 5), (7, 6)], Some(7)), "ascend"),
            (steps(&[(0, 5), (7, 0)], None), "zero"),
            (steps(&[(0, 0), (7, 1)], Some(9)), "at least one packet"),
        ] {
            let error = trace.validate().unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
        assert!(RateTrace::from_mahimahi("").is_err());
        assert!(RateTrace::from_mahimahi("0\n0").is_err());
        assert!(RateTrace::from_mahimahi("5\n3").is_err());
        assert!(RateTrace::from_mahimahi("5\n-3").is_err());
    }
}
