//! When a failed dial is tried again: exponential back-off with jitter.
//!
//! The delay after the n-th failure in a row is drawn evenly from the upper half of
//! `base · 2^(n-1)`, capped. The jitter keeps nodes that lost the same peer from returning
//! together.

use core::time::Duration;

use crate::Instant;
use crate::planted::{self, Bug};
use crate::rng::Rng;

/// Failures in a row and the earliest next try.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    failures: u32,
    not_before: Instant,
}

impl Backoff {
    /// May be tried at once.
    pub(crate) const fn new() -> Self {
        Self {
            failures: 0,
            not_before: Instant::ZERO,
        }
    }

    /// May be tried at once, though it has failed so often before.
    pub(crate) const fn after(failures: u32) -> Self {
        Self {
            failures,
            not_before: Instant::ZERO,
        }
    }

    /// Failures since the last success.
    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    /// The earliest next try.
    pub(crate) const fn not_before(&self) -> Instant {
        self.not_before
    }

    /// Counts a failure and sets the next try.
    pub(crate) fn on_failure(
        &mut self,
        now: Instant,
        base: Duration,
        cap: Duration,
        rng: &mut Rng,
    ) {
        let mut doublings = self.failures.min(32);
        if planted::is(Bug::DialBackoffNeverGrows) {
            doublings = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let full = base
            .saturating_mul(1u32.checked_shl(doublings).unwrap_or(u32::MAX))
            .min(cap);
        let half = u64::try_from(full.as_nanos() / 2).unwrap_or(u64::MAX / 2);
        let delay = Duration::from_nanos(half.saturating_add(rng.below(half.saturating_add(1))));
        self.not_before = now + delay;
    }

    /// May be tried at once, though the failures count still.
    pub(crate) const fn retry(&mut self) {
        self.not_before = Instant::ZERO;
    }

    /// Forgets the failures: the peer has proved itself.
    pub(crate) fn on_success(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_with_jitter_up_to_the_cap() {
        let (base, cap) = (Duration::from_secs(1), Duration::from_secs(300));
        let mut rng = Rng::new([5; 32]);
        let mut backoff = Backoff::new();
        for n in 0..100u32 {
            let now = Instant::ZERO + Duration::from_secs(1_000_000);
            backoff.on_failure(now, base, cap, &mut rng);
            let full = base.saturating_mul(1 << n.min(20)).min(cap);
            let delay = backoff.not_before().saturating_duration_since(now);
            assert!(delay >= full / 2 && delay <= full, "failure {n}: {delay:?}");
        }
        backoff.on_success();
        assert_eq!(
            (backoff.failures(), backoff.not_before()),
            (0, Instant::ZERO)
        );
    }
}
