//! A token bucket that drops what exceeds it, as the policers of access networks do (RFC 2697 with
//! one colour).

use dunlin_transport::Instant;

/// Tokens are nanobits: a bit per second earns one each nanosecond, so no fraction is ever lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policer {
    bits_per_second: u64,
    full: u128,
    tokens: u128,
    at: Instant,
}

const NANOBITS_PER_BYTE: u128 = 8_000_000_000;

impl Policer {
    /// A full bucket.
    pub(super) fn new(bits_per_second: u64, burst_bytes: u64) -> Self {
        let full = u128::from(burst_bytes) * NANOBITS_PER_BYTE;
        Self {
            bits_per_second,
            full,
            tokens: full,
            at: Instant::ZERO,
        }
    }

    /// Whether `bytes` pass at `now`; if so, they have.
    pub(super) fn admits(&mut self, now: Instant, bytes: u64) -> bool {
        let rest = now.saturating_duration_since(self.at).as_nanos();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + rest * u128::from(self.bits_per_second)).min(self.full);
        match self
            .tokens
            .checked_sub(u128::from(bytes) * NANOBITS_PER_BYTE)
        {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        // 8 Mbit/s: a byte each microsecond.
        let mut policer = Policer::new(8_000_000, 3_000);
        let at = |us: u64| Instant::from_nanos(us * 1_000);
        let admitted: Vec<_> = [(0, 1_500), (0, 1_500), (0, 1), (999, 1_000), (1_000, 1_000)]
            .map(|(us, bytes)| policer.admits(at(us), bytes))
            .into();
        assert_eq!(admitted, [true, true, false, false, true]);
        // A long rest fills it, and no more.
        assert!(!policer.admits(at(1_000_000), 3_001));
        assert!(policer.admits(at(1_000_000), 3_000));
        assert!(!policer.admits(at(1_000_000), 1));
    }
}
