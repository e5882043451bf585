//! What a node takes for the time.
//!
//! A node's clock may be set apart from the simulation's and may run fast or slow; it never goes
//! back. All on integers, so every machine sees the same times.

use std::time::Duration;

use dunlin_transport::Instant;

/// A clock that reads `offset + t · (1 + ppm / 1,000,000)` at the time `t` of the simulation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Clock {
    offset: Duration,
    ppm: i32,
}

/// What it may run fast or slow: half as fast to one and a half times. A quartz is within 100.
pub const SKEW_MAX_PPM: i32 = 500_000;

const MILLION: i128 = 1_000_000;

impl Clock {
    /// A clock that reads `offset` at the start and gains `ppm` millionths (loses them when
    /// negative), held to ± [`SKEW_MAX_PPM`].
    #[must_use]
    pub fn new(offset: Duration, ppm: i32) -> Self {
        Self {
            offset,
            ppm: ppm.clamp(-SKEW_MAX_PPM, SKEW_MAX_PPM),
        }
    }

    /// The clock of the simulation.
    pub const IDEAL: Self = Self {
        offset: Duration::ZERO,
        ppm: 0,
    };

    /// What it reads at `time`.
    #[must_use]
    pub fn read(&self, time: Instant) -> Instant {
        if self.ppm == 0 {
            return time + self.offset;
        }
        let nanos = i128::from(time.as_nanos()) * self.rate() / MILLION;
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)) + self.offset
    }

    /// The first time at which it reads `reading` or later.
    #[must_use]
    pub fn when(&self, reading: Instant) -> Instant {
        if self.ppm == 0 {
            return reading - self.offset;
        }
        let nanos = i128::from((reading - self.offset).as_nanos()) * MILLION;
        let rounded = (nanos + self.rate() - 1) / self.rate();
        Instant::from_nanos(u64::try_from(rounded).unwrap_or(u64::MAX))
    }

    fn rate(&self) -> i128 {
        MILLION + i128::from(self.ppm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_gains_and_a_slow_one_loses_what_they_should() {
        let day = Instant::ZERO + Duration::from_secs(86_400);
        let gained = |ppm| {
            let read = Clock::new(Duration::ZERO, ppm).read(day).as_nanos();
            i128::from(read) - i128::from(day.as_nanos())
        };
        assert_eq!(gained(100), 8_640_000_000);
        assert_eq!(gained(-100), -8_640_000_000);
        assert_eq!(gained(0), 0);
        assert_eq!(gained(9_999_999), i128::from(day.as_nanos()) / 2);
    }

    #[test]
    fn a_timer_fires_at_the_first_time_at_which_it_is_due() {
        let mut rng = crate::rng::Rng::new(1);
        for _ in 0..10_000 {
            let ppm = i32::try_from(rng.below(1_000_001)).unwrap() - SKEW_MAX_PPM;
            let clock = Clock::new(Duration::from_nanos(rng.below(1 << 40)), ppm);
            let reading = Instant::from_nanos(rng.below(1 << 50)).max(clock.read(Instant::ZERO));
            let time = clock.when(reading);
            assert!(clock.read(time) >= reading, "{clock:?} {reading:?}");
            let before = time - Duration::from_nanos(1);
            assert!(
                time == before || clock.read(before) < reading,
                "{clock:?} {reading:?}"
            );
        }
    }
}
