//! What a simulation of many nodes found out.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::units;

/// The figures of one run. Same scenario and seed, same figures, on every machine.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SwarmReport {
    /// The seed of the run.
    pub seed: u64,
    /// Nodes, running or not.
    pub nodes: usize,
    /// Nodes that run at the end.
    pub running: usize,
    /// Broadcasts that were sent.
    pub broadcasts: usize,
    /// Deliveries that a perfect network would have made: for each broadcast the nodes that ran
    /// without a break from its sending to the end of the run, its origin not counted.
    pub expected: u64,
    /// How many of these happened.
    pub delivered: u64,
    /// `delivered / expected`; 1 when nothing was expected.
    pub delivery_ratio: f64,
    /// Broadcasts that reached every node they were expected at.
    pub complete: usize,
    /// Copies of broadcasts that arrived, first ones included.
    pub copies: u64,
    /// Copies that arrived for each first one: 1 is the least. (The relative message redundancy of
    /// the literature is this less one.)
    pub copies_per_delivery: f64,
    /// From the sending of a broadcast to its delivery, in milliseconds, over all deliveries.
    pub latency_ms: Distribution,
    /// Links travelled, as the relays say, over all deliveries.
    pub hops: Distribution,
    /// Connected peers of the nodes that run at the end.
    pub degree: Distribution,
    /// Peers that the nodes know which run at the end, connected or not.
    pub known: Distribution,
    /// Pieces in which the network of running nodes is at the end: 1 is whole.
    pub pieces: usize,
    /// When the network was first whole with all nodes joined and none below half the aimed degree,
    /// to the second; `None`: never.
    #[serde(with = "units::optional_time")]
    pub whole_at: Option<Duration>,
    /// How long after the last of the faults the network was one piece, to the second; `None`: there
    /// was no fault, or it never was.
    #[serde(with = "units::optional_time")]
    pub healed_after: Option<Duration>,
    /// Deliveries expected of the broadcasts that were sent from then on.
    pub expected_healed: u64,
    /// How many of these happened.
    pub delivered_healed: u64,
    /// Requests by what became of them.
    pub requests: Requests,
    /// Overlay messages that arrived.
    pub messages: u64,
    /// Their bytes, without what lower layers add.
    pub bytes: u64,
    /// Dials.
    pub dials: u64,
    /// Dials that led to no link.
    pub dials_failed: u64,
    /// Broadcast by broadcast, in the order of sending.
    pub each: Vec<BroadcastReport>,
    /// Fingerprint of all that happened, in order.
    #[serde(serialize_with = "hexadecimal")]
    pub trace_hash: u64,
    /// Virtual time at the end.
    #[serde(with = "units::time")]
    pub virtual_time: Duration,
    /// Events that were simulated.
    pub events: u64,
}

/// What became of one broadcast.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct BroadcastReport {
    /// When it was sent.
    #[serde(with = "units::time")]
    pub at: Duration,
    /// By which node.
    pub origin: usize,
    /// See [`SwarmReport::expected`].
    pub expected: u64,
    /// See [`SwarmReport::delivered`].
    pub delivered: u64,
    /// From the sending to the delivery, in milliseconds.
    pub latency_ms: Distribution,
}

/// What became of the requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Requests {
    /// Sent.
    pub sent: u64,
    /// Answered.
    pub answered: u64,
    /// Failed, as the requester was told.
    pub failed: u64,
    /// Lost with the requester, which stopped.
    pub abandoned: u64,
}

/// A summary of many numbers. All zero when there are none.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Distribution {
    /// How many.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Half of them are at most this (nearest rank).
    pub p50: f64,
    /// 95 % are at most this.
    pub p95: f64,
    /// 99 % are at most this.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Distribution {
    /// The summary of `samples`, each multiplied by `scale`. Sorts them.
    #[must_use]
    pub fn of(samples: &mut [u32], scale: f64) -> Self {
        samples.sort_unstable();
        let Some(&max) = samples.last() else {
            return Self::default();
        };
        let count = samples.len();
        let rank = |per_cent: usize| {
            let index = (count * per_cent).div_ceil(100).saturating_sub(1);
            f64::from(samples.get(index).copied().unwrap_or(max)) * scale
        };
        let sum: u64 = samples.iter().map(|&sample| u64::from(sample)).sum();
        Self {
            count: count as u64,
            mean: ratio(sum, count as u64) * scale,
            p50: rank(50),
            p95: rank(95),
            p99: rank(99),
            max: f64::from(max) * scale,
        }
    }
}

/// `part / whole`; 0 when the whole is nothing.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "a figure to read; counts stay far below 2^53"
)]
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// As text: a reader of JSON may hold numbers as 53 bits.
fn hexadecimal<S: Serializer>(hash: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{hash:016x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_numbers_that_occurred() {
        let mut samples: Vec<u32> = (1..=200).rev().collect();
        let summary = Distribution::of(&mut samples, 0.5);
        let expected = Distribution {
            count: 200,
            mean: 50.25,
            p50: 50.0,
            p95: 95.0,
            p99: 99.0,
            max: 100.0,
        };
        assert_eq!(summary, expected);
        assert_eq!(Distribution::of(&mut [], 1.0), Distribution::default());
        assert_eq!(Distribution::of(&mut [7], 1.0).p99, 7.0);
    }
}
