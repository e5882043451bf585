//! Token buckets: how many messages and bytes a peer may send us.
//!
//! Integer arithmetic in billionths of a token, so that every machine decides alike.

use crate::Instant;

const NANOS: u128 = 1_000_000_000;

/// A bucket that holds at most `burst` tokens and gains `rate` of them a second.
#[derive(Clone, Debug)]
pub(crate) struct TokenBucket {
    rate: u64,
    burst: u64,
    /// Billionths of a token.
    level: u128,
    filled_at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub(crate) fn new(now: Instant, rate: u64, burst: u64) -> Self {
        Self {
            rate,
            burst,
            level: u128::from(burst) * NANOS,
            filled_at: now,
        }
    }

    /// Whether there are so many tokens; takes none.
    pub(crate) fn has(&mut self, now: Instant, tokens: u64) -> bool {
        self.fill(now);
        u128::from(tokens) * NANOS <= self.level
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled_at).as_nanos();
        let gained = elapsed.saturating_mul(u128::from(self.rate));
        self.level = self
            .level
            .saturating_add(gained)
            .min(u128::from(self.burst) * NANOS);
        self.filled_at = self.filled_at.max(now);
    }

    /// Takes `tokens`, or all that there are when there are fewer.
    pub(crate) fn drain(&mut self, now: Instant, tokens: u64) {
        self.fill(now);
        self.level = self.level.saturating_sub(u128::from(tokens) * NANOS);
    }

    /// Whether less than half is left: who sends so much that not all of it may be taken.
    pub(crate) fn is_strained(&mut self, now: Instant) -> bool {
        !self.has(now, self.burst / 2)
    }

    /// Takes `tokens` and returns true, or takes nothing when there are fewer.
    pub(crate) fn take(&mut self, now: Instant, tokens: u64) -> bool {
        let is_enough = self.has(now, tokens);
        if is_enough {
            self.level -= u128::from(tokens) * NANOS;
        }
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn gives_the_burst_and_not_one_more() {
        let mut bucket = TokenBucket::new(Instant::ZERO, 10, 5);
        assert!((0..5).all(|_| bucket.take(Instant::ZERO, 1)));
        assert!(!bucket.take(Instant::ZERO, 1));
    }

    #[test]
    fn refills_at_its_rate_and_never_above_the_burst() {
        let mut bucket = TokenBucket::new(Instant::ZERO, 10, 5);
        assert!(bucket.take(Instant::ZERO, 5));
        let later = Instant::ZERO + Duration::from_millis(199);
        assert!(bucket.take(later, 1) && !bucket.take(later, 1));
        let much_later = Instant::ZERO + Duration::from_secs(1000);
        assert!(bucket.take(much_later, 5) && !bucket.take(much_later, 1));
    }

    #[test]
    fn draining_takes_what_there_is() {
        let mut bucket = TokenBucket::new(Instant::ZERO, 10, 5);
        bucket.drain(Instant::ZERO, 3);
        assert!(bucket.has(Instant::ZERO, 2) && !bucket.has(Instant::ZERO, 3));
        bucket.drain(Instant::ZERO, u64::MAX);
        assert!(!bucket.has(Instant::ZERO, 1));
    }

    #[test]
    fn time_that_stands_still_or_goes_back_gives_nothing() {
        let start = Instant::ZERO + Duration::from_secs(9);
        let mut bucket = TokenBucket::new(start, 1000, 1);
        assert!(bucket.take(start, 1));
        assert!(!bucket.take(Instant::ZERO, 1));
        assert!(!bucket.take(start, 1));
    }
}
