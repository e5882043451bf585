//! Pacing (RFC 9002 §7.7): a token bucket over bytes that lets whole batches pass.
//!
//! Pacing packet by packet destroys segmentation batches and needs timers finer than a kernel
//! offers; so the bucket holds what the rate yields in two milliseconds, and a blocked sender waits
//! until a whole batch is due.

use core::time::Duration;

use crate::time::Instant;

/// Time whose worth of bytes may leave in one burst: twice the 1 ms resolution of ordinary timers.
const BURST_TIME: Duration = Duration::from_millis(2);
/// Packets that may always leave in one burst (RFC 9002 §7.7: the initial window).
const BURST_PACKETS: u64 = 10;
/// What a blocked sender waits for: half a burst.
const BATCH_DIVISOR: u64 = 2;

/// The bucket of one path.
#[derive(Debug)]
pub struct Pacer {
    tokens: u64,
    capacity: u64,
    /// Bytes per second; zero: unlimited.
    rate: u64,
    updated: Instant,
    /// What may leave at once; None: what [`BURST_TIME`] and [`BURST_PACKETS`] say.
    quantum: Option<u64>,
    /// Part of a byte earned so far, in byte-nanoseconds per second.
    remainder: u128,
}

impl Pacer {
    /// A full bucket without a limit.
    #[must_use]
    pub const fn new(mtu: usize) -> Self {
        let capacity = BURST_PACKETS * mtu as u64;
        Self {
            tokens: capacity,
            capacity,
            rate: 0,
            updated: Instant::ZERO,
            quantum: None,
            remainder: 0,
        }
    }

    /// Sets what the controller wants to leave at once; None: it does not care. Holds from the next
    /// [`Self::set_rate`] on.
    pub const fn set_quantum(&mut self, quantum: Option<u64>) {
        self.quantum = quantum;
    }

    /// Sets the rate in bytes per second. None: no limit.
    pub fn set_rate(&mut self, now: Instant, rate: Option<u64>, mtu: usize) {
        self.refill(now);
        self.rate = rate.map_or(0, |rate| rate.max(1));
        let burst = u128::from(self.rate) * BURST_TIME.as_nanos() / 1_000_000_000;
        let burst = u64::try_from(burst).unwrap_or(u64::MAX);
        self.capacity = match self.quantum {
            // A quantum is waited for, and may wait for a second one: a timer that fires late by the
            // time of a quantum loses nothing. On a fast path the timers set the burst.
            Some(quantum) => (quantum.max(mtu as u64) * BATCH_DIVISOR).max(burst),
            None => burst.max(BURST_PACKETS * mtu as u64),
        };
        self.tokens = self.tokens.min(self.capacity);
    }

    /// How many bytes may leave now; at least one packet's worth has to be there to send any.
    pub fn budget(&mut self, now: Instant) -> u64 {
        self.refill(now);
        if self.rate == 0 {
            u64::MAX
        } else {
            self.tokens
        }
    }

    /// Bytes left.
    pub const fn on_sent(&mut self, bytes: u64) {
        self.tokens = self.tokens.saturating_sub(bytes);
    }

    /// When a batch will be due for a sender that found the budget below `needed` bytes.
    #[must_use]
    pub fn next_time(&self, needed: u64) -> Option<Instant> {
        if self.rate == 0 {
            return None;
        }
        let target = (self.capacity / BATCH_DIVISOR)
            .max(needed)
            .min(self.capacity);
        let missing = u128::from(target.saturating_sub(self.tokens));
        let nanos = (missing * 1_000_000_000).div_ceil(u128::from(self.rate));
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        Some(self.updated + Duration::from_nanos(nanos))
    }

    fn refill(&mut self, now: Instant) {
        if now <= self.updated {
            return;
        }
        let elapsed = now.saturating_duration_since(self.updated);
        self.updated = self.updated.max(now);
        let earned = u128::from(self.rate) * elapsed.as_nanos() + self.remainder;
        self.remainder = earned % 1_000_000_000;
        let earned = u64::try_from(earned / 1_000_000_000).unwrap_or(u64::MAX);
        self.tokens = self.tokens.saturating_add(earned).min(self.capacity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn long_run_rate_is_exact_and_bursts_are_bounded() {
        let mut pacer = Pacer::new(1_000);
        let mut now = Instant::ZERO;
        pacer.set_rate(now, Some(1_000_000), 1_000);
        let mut sent = 0u64;
        while now < Instant::ZERO + 10_000 * MS {
            let mut burst = 0;
            while pacer.budget(now) >= 1_000 {
                pacer.on_sent(1_000);
                burst += 1_000;
            }
            assert!(burst <= 10_000);
            sent += burst;
            now = pacer.next_time(1_000).unwrap();
        }
        assert!((10_000_000..=10_010_000).contains(&sent), "{sent}");
    }

    #[test]
    fn a_fast_path_gets_whole_batches() {
        let mut pacer = Pacer::new(1_400);
        pacer.set_rate(Instant::ZERO, Some(1_250_000_000), 1_400);
        while pacer.budget(Instant::ZERO) >= 1_400 {
            pacer.on_sent(1_400);
        }
        let next = pacer.next_time(1_400).unwrap();
        assert!(
            pacer.budget(next) >= 65_507,
            "a full segmentation batch is due at once"
        );
    }

    #[test]
    fn a_quantum_of_the_controller_bounds_what_leaves_at_once() {
        let mut pacer = Pacer::new(1_000);
        pacer.set_quantum(Some(3_000));
        pacer.set_rate(Instant::ZERO, Some(1_000_000), 1_000);
        assert_eq!(pacer.budget(Instant::ZERO), 6_000);
        pacer.on_sent(6_000);
        assert_eq!(pacer.next_time(1_000), Some(Instant::ZERO + 3 * MS));
        pacer.set_rate(Instant::ZERO, Some(1_000_000_000), 1_000);
        let next = pacer.next_time(1_000).unwrap();
        assert_eq!(next, Instant::ZERO + MS, "no finer than a timer");
    }

    #[test]
    fn without_a_rate_nothing_is_limited() {
        let mut pacer = Pacer::new(1_400);
        pacer.on_sent(1 << 40);
        assert_eq!(pacer.budget(Instant::ZERO), u64::MAX);
        assert_eq!(pacer.next_time(1_400), None);
    }
}
