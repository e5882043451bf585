//! HyStart++ (RFC 9406): leaving slow start when delay grows, before a queue overflows.
//!
//! A round ends when a packet sent after its beginning is acknowledged. When the least delay of a
//! round exceeds that of the round before by a threshold, slow start goes on at a quarter of its
//! pace (conservative slow start); if delay falls again, that was noise and slow start resumes; if
//! it does not for five rounds, slow start is over.
//!
//! Discrepancies: rounds end by packet number rather than by sequence number; there is no limit on
//! growth per acknowledgement (L), as RFC 9406 §4.3 wants for paced senders.

use core::time::Duration;

use crate::ids::PacketNumber;

/// Least rise of the delay that counts (RFC 9406 §4.3).
const RTT_THRESHOLD_MIN: Duration = Duration::from_millis(4);
/// Most (RFC 9406 §4.3).
const RTT_THRESHOLD_MAX: Duration = Duration::from_millis(16);
/// Between the two the threshold is this fraction of the delay (MIN_RTT_DIVISOR).
const RTT_DIVISOR: u32 = 8;
/// Samples that a round needs to be judged (N_RTT_SAMPLE).
const SAMPLES_MIN: u32 = 8;
/// Conservative slow start is slower by this (CSS_GROWTH_DIVISOR).
const CONSERVATIVE_DIVISOR: u64 = 4;
/// Rounds of conservative slow start before it is over (CSS_ROUNDS).
const CONSERVATIVE_ROUNDS: u32 = 5;

/// What to do with an acknowledgement in slow start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Growth {
    /// Grow by so many bytes.
    By(u64),
    /// Slow start is over.
    Over,
}

/// Conservative slow start.
#[derive(Clone, Copy, Debug)]
struct Conservative {
    /// Delay that made us cautious; a lower one shows that it was noise.
    baseline: Duration,
    rounds: u32,
}

/// The state of one slow start.
#[derive(Clone, Copy, Debug)]
pub(super) struct HyStart {
    /// The round ends when a packet of this number or above is acknowledged.
    round_end: PacketNumber,
    last_round_min: Duration,
    round_min: Duration,
    samples: u32,
    conservative: Option<Conservative>,
}

impl Default for HyStart {
    fn default() -> Self {
        Self {
            round_end: PacketNumber(0),
            last_round_min: Duration::MAX,
            round_min: Duration::MAX,
            samples: 0,
            conservative: None,
        }
    }
}

impl HyStart {
    /// Whether slow start has become cautious.
    pub(super) const fn is_conservative(&self) -> bool {
        self.conservative.is_some()
    }

    /// `bytes` up to the packet `largest` were acknowledged after `round_trip`; `next` is the
    /// number of the next packet to be sent.
    pub(super) fn on_acked(
        &mut self,
        largest: PacketNumber,
        next: PacketNumber,
        round_trip: Duration,
        bytes: u64,
    ) -> Growth {
        if largest >= self.round_end && self.end_round(next) {
            return Growth::Over;
        }
        self.round_min = self.round_min.min(round_trip);
        self.samples = self.samples.saturating_add(1);
        if self.samples >= SAMPLES_MIN {
            self.judge();
        }
        Growth::By(match self.conservative {
            Some(_) => bytes / CONSERVATIVE_DIVISOR,
            None => bytes,
        })
    }

    /// Begins a round; true: there were enough of the cautious kind.
    fn end_round(&mut self, next: PacketNumber) -> bool {
        self.round_end = next;
        self.last_round_min = self.round_min;
        self.round_min = Duration::MAX;
        self.samples = 0;
        self.conservative.as_mut().is_some_and(|conservative| {
            conservative.rounds += 1;
            conservative.rounds >= CONSERVATIVE_ROUNDS
        })
    }

    fn judge(&mut self) {
        match self.conservative {
            Some(conservative) => {
                self.conservative =
                    (self.round_min >= conservative.baseline).then_some(conservative);
            }
            None if self.last_round_min < Duration::MAX => {
                let threshold =
                    (self.last_round_min / RTT_DIVISOR).clamp(RTT_THRESHOLD_MIN, RTT_THRESHOLD_MAX);
                if self.round_min >= self.last_round_min + threshold {
                    self.conservative = Some(Conservative {
                        baseline: self.round_min,
                        rounds: 0,
                    });
                }
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A round of `samples` acknowledgements of 100 bytes with the same delay, in packet numbers
    /// from `first`. Returns the growth of the last.
    fn round(hystart: &mut HyStart, first: u64, samples: u64, delay: Duration) -> Growth {
        let next = PacketNumber(first + samples);
        (first..first + samples)
            .map(|number| hystart.on_acked(PacketNumber(number), next, delay, 100))
            .last()
            .unwrap()
    }

    #[test]
    fn constant_delay_never_ends_slow_start() {
        let mut hystart = HyStart::default();
        for first in 0..100 {
            assert_eq!(
                round(&mut hystart, first * 10, 10, 50 * MS),
                Growth::By(100)
            );
        }
    }

    #[test]
    fn a_rise_by_an_eighth_makes_cautious_and_five_rounds_end_it() {
        let mut hystart = HyStart::default();
        round(&mut hystart, 0, 10, 80 * MS);
        assert_eq!(round(&mut hystart, 10, 10, 89 * MS), Growth::By(100));
        round(&mut hystart, 20, 10, 80 * MS);
        assert_eq!(round(&mut hystart, 30, 10, 90 * MS), Growth::By(25));
        for first in 4..8 {
            assert_eq!(round(&mut hystart, first * 10, 10, 90 * MS), Growth::By(25));
        }
        let next = PacketNumber(100);
        let over = hystart.on_acked(PacketNumber(80), next, 90 * MS, 100);
        assert_eq!(over, Growth::Over);
    }

    #[test]
    fn delay_that_falls_again_was_noise() {
        let mut hystart = HyStart::default();
        round(&mut hystart, 0, 10, 80 * MS);
        assert_eq!(round(&mut hystart, 10, 10, 95 * MS), Growth::By(25));
        assert_eq!(round(&mut hystart, 20, 10, 94 * MS), Growth::By(100));
        assert!(!hystart.is_conservative());
    }

    #[test]
    fn the_threshold_stays_between_4_and_16_milliseconds() {
        let cautious = |before: u32, after: u32| {
            let mut hystart = HyStart::default();
            round(&mut hystart, 0, 10, MS * before);
            round(&mut hystart, 10, 10, MS * after);
            hystart.is_conservative()
        };
        assert!(!cautious(1, 4) && cautious(1, 5));
        assert!(!cautious(400, 415) && cautious(400, 416));
    }

    #[test]
    fn seven_samples_are_too_few_to_judge() {
        let mut hystart = HyStart::default();
        round(&mut hystart, 0, 10, 50 * MS);
        assert_eq!(round(&mut hystart, 10, 7, 90 * MS), Growth::By(100));
        let next = PacketNumber(17);
        let eighth = hystart.on_acked(PacketNumber(16), next, 90 * MS, 100);
        assert_eq!(eighth, Growth::By(25));
    }
}
