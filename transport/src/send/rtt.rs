//! Round-trip time (RFC 9002 §5, RFC 6298).

use core::time::Duration;

use crate::planted::{self, Bug};

/// Timer granularity (RFC 9002 §6.1.2).
pub const GRANULARITY: Duration = Duration::from_millis(1);

/// A least round trip below this is a path within a machine or a room: no radio link gathers and answers so soon.
/// Guess; 802.11 takes milliseconds under load.
pub(crate) const LOCAL_RTT: Duration = Duration::from_millis(1);

/// The estimator of one path.
#[derive(Clone, Copy, Debug)]
pub struct RttEstimator {
    latest: Duration,
    smoothed: Duration,
    variance: Duration,
    minimum: Duration,
    sampled: bool,
}

impl RttEstimator {
    /// Before any sample: `initial`, with half of it as variance (RFC 9002 §5.3).
    #[must_use]
    pub fn new(initial: Duration) -> Self {
        Self {
            latest: initial,
            smoothed: initial,
            variance: initial / 2,
            minimum: initial,
            sampled: false,
        }
    }

    /// Takes a sample; `ack_delay` is what the peer says it waited, already capped at what it
    /// promised.
    pub fn on_sample(&mut self, sample: Duration, ack_delay: Duration) {
        self.latest = sample;
        if !self.sampled {
            self.sampled = true;
            self.minimum = sample;
            self.smoothed = sample;
            self.variance = sample / 2;
            return;
        }
        self.minimum = self.minimum.min(sample);
        let may_take_off =
            sample >= self.minimum + ack_delay || planted::is(Bug::AckDelayBelowMinimum);
        let adjusted = if may_take_off {
            sample.saturating_sub(ack_delay)
        } else {
            sample
        };
        let deviation = self.smoothed.abs_diff(adjusted);
        self.variance = (self.variance * 3 + deviation) / 4;
        self.smoothed = (self.smoothed * 7 + adjusted) / 8;
    }

    /// The latest sample.
    #[must_use]
    pub const fn latest(&self) -> Duration {
        self.latest
    }

    /// Smoothed round-trip time.
    #[must_use]
    pub const fn smoothed(&self) -> Duration {
        self.smoothed
    }

    /// Mean deviation.
    #[must_use]
    pub const fn variance(&self) -> Duration {
        self.variance
    }

    /// The least ever seen.
    #[must_use]
    pub const fn minimum(&self) -> Duration {
        self.minimum
    }

    /// Whether there was a sample.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// Whether the path is one within a machine or a room, as far as is known.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.sampled && self.minimum < LOCAL_RTT
    }

    /// The probe timeout without back-off (RFC 9002 §6.2.1).
    #[must_use]
    pub fn probe_timeout(&self, max_ack_delay: Duration) -> Duration {
        self.smoothed + (self.variance * 4).max(GRANULARITY) + max_ack_delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn first_sample_replaces_the_guess() {
        let mut rtt = RttEstimator::new(333 * MS);
        rtt.on_sample(40 * MS, 30 * MS);
        assert_eq!(
            (rtt.smoothed(), rtt.variance(), rtt.minimum()),
            (40 * MS, 20 * MS, 40 * MS)
        );
    }

    #[test]
    fn ack_delay_is_taken_off_unless_it_would_go_below_the_minimum() {
        let mut rtt = RttEstimator::new(333 * MS);
        rtt.on_sample(40 * MS, Duration::ZERO);
        rtt.on_sample(64 * MS, 16 * MS);
        // 7/8 · 40 + 1/8 · 48 = 41; 3/4 · 20 + 1/4 · 8 = 17.
        assert_eq!((rtt.smoothed(), rtt.variance()), (41 * MS, 17 * MS));
        rtt.on_sample(41 * MS, 16 * MS);
        assert_eq!(rtt.smoothed(), 41 * MS);
    }

    #[test]
    fn probe_timeout_follows_rfc_9002() {
        let mut rtt = RttEstimator::new(333 * MS);
        assert_eq!(rtt.probe_timeout(Duration::ZERO), 999 * MS);
        rtt.on_sample(Duration::from_micros(10), Duration::ZERO);
        assert_eq!(
            rtt.probe_timeout(25 * MS),
            Duration::from_micros(10) + 26 * MS
        );
    }
}
