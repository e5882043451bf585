//! When a packet counts as lost (RFC 9002 §6), and how loss detection corrects itself.
//!
//! Beside RFC 9002: a packet that was declared lost and is acknowledged after all shows that the
//! path reorders further than the threshold; the packet threshold then grows to that distance (the
//! idea of RFC 8985 §6.2, counted in packets). The memory for that is bounded.

use alloc::collections::BTreeMap;
use core::ops::RangeInclusive;
use core::time::Duration;

use super::rtt::{GRANULARITY, RttEstimator};
use crate::ids::PacketNumber;
use crate::planted::{self, Bug};
use crate::time::Instant;

/// Reordering tolerated in packets at first (RFC 9002 §6.1.1).
const PACKET_THRESHOLD: u64 = 3;
/// Reordering tolerated in packets at most. A guess: beyond it the time threshold decides alone.
const PACKET_THRESHOLD_MAX: u64 = 256;
/// Lost packets that are remembered for noticing a mistake; the oldest is forgotten first.
const REMEMBERED_MAX: usize = 1_024;
/// Back-off of the probe timeout stops doubling here; 2^16 probe timeouts is beyond any idle
/// timeout.
const BACKOFF_MAX: u32 = 16;
/// Duration of persistent congestion in probe timeouts (RFC 9002 §7.6.1).
const PERSISTENT_CONGESTION_THRESHOLD: u32 = 3;

/// Loss detection of one connection.
#[derive(Debug)]
pub struct LossDetector {
    largest_acked: Option<PacketNumber>,
    packet_threshold: u64,
    /// When the next packet will count as lost by time.
    loss_time: Option<Instant>,
    /// When the last ack-eliciting packet left.
    last_eliciting_sent: Instant,
    probe_count: u32,
    /// Packets recently declared lost.
    remembered: BTreeMap<u64, DeclaredLost>,
}

impl Default for LossDetector {
    fn default() -> Self {
        Self {
            largest_acked: None,
            packet_threshold: PACKET_THRESHOLD,
            loss_time: None,
            last_eliciting_sent: Instant::ZERO,
            probe_count: 0,
            remembered: BTreeMap::new(),
        }
    }
}

/// A packet that was declared lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeclaredLost {
    /// When the verdict fell.
    pub at: Instant,
    /// The packet's bytes.
    pub bytes: u64,
}

/// The thresholds of one pass over the packets in flight.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// Packets at or below this number count as lost.
    number: Option<PacketNumber>,
    /// Packets sent at or before this count as lost.
    sent_at: Instant,
    delay: Duration,
}

impl Thresholds {
    /// Whether `number` is so far below the largest acknowledged one that its age does not matter.
    #[must_use]
    pub fn is_overtaken(&self, number: PacketNumber) -> bool {
        Some(number) <= self.number
    }
}

impl LossDetector {
    /// The largest number that was acknowledged.
    #[must_use]
    pub const fn largest_acked(&self) -> Option<PacketNumber> {
        self.largest_acked
    }

    /// An ack-eliciting packet left.
    pub const fn on_sent(&mut self, now: Instant) {
        self.last_eliciting_sent = now;
    }

    /// How long ago the last ack-eliciting packet left.
    #[must_use]
    pub const fn time_since_sent(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_eliciting_sent)
    }

    /// Something was newly acknowledged.
    pub fn on_progress(&mut self) {
        if !planted::is(Bug::ProbeBackoffNeverReset) {
            self.probe_count = 0;
        }
    }

    /// An acknowledgement named all that was received up to `largest`.
    pub fn on_acknowledged(&mut self, largest: PacketNumber) {
        self.largest_acked = self.largest_acked.max(Some(largest));
    }

    /// The thresholds that hold now.
    #[must_use]
    pub fn thresholds(&self, now: Instant, rtt: &RttEstimator) -> Thresholds {
        let longest = rtt.smoothed().max(rtt.latest());
        let delay = (longest + longest / 8).max(GRANULARITY);
        let threshold = match planted::is(Bug::ReorderingByOneIsLoss) {
            true => 1,
            false => self.packet_threshold,
        };
        let number = self
            .largest_acked
            .and_then(|largest| largest.0.checked_sub(threshold))
            .map(PacketNumber);
        Thresholds {
            number,
            sent_at: now - delay,
            delay,
        }
    }

    /// Whether a packet below the largest acknowledged is lost by `thresholds`; if not, its time
    /// counts for the loss timer. Call [`Self::begin_pass`] first.
    pub fn is_lost(
        &mut self,
        thresholds: &Thresholds,
        number: PacketNumber,
        sent: Instant,
    ) -> bool {
        if sent <= thresholds.sent_at || thresholds.is_overtaken(number) {
            return true;
        }
        if planted::is(Bug::LossTimerForgotten) {
            return false;
        }
        let due = sent + thresholds.delay;
        self.loss_time = Some(self.loss_time.map_or(due, |earlier| earlier.min(due)));
        false
    }

    /// Starts a pass over the packets in flight.
    pub const fn begin_pass(&mut self) {
        self.loss_time = None;
    }

    /// Remembers a packet that was declared lost.
    pub fn remember_lost(&mut self, number: PacketNumber, lost: DeclaredLost) {
        self.remembered.insert(number.0, lost);
        if self.remembered.len() > REMEMBERED_MAX {
            self.remembered.pop_first();
        }
    }

    /// Takes a packet of an acknowledged range that had been declared lost, wrongly. Widens the
    /// packet threshold.
    pub fn take_spurious(
        &mut self,
        range: &RangeInclusive<u64>,
    ) -> Option<(PacketNumber, DeclaredLost)> {
        let (&number, &lost) = self.remembered.range(range.clone()).next()?;
        self.remembered.remove(&number);
        if let Some(largest) = self.largest_acked {
            let distance = largest.0.saturating_sub(number) + 1;
            self.packet_threshold = self
                .packet_threshold
                .max(distance)
                .min(PACKET_THRESHOLD_MAX);
        }
        Some((PacketNumber(number), lost))
    }

    /// When to look for lost packets again.
    #[must_use]
    pub const fn loss_time(&self) -> Option<Instant> {
        self.loss_time
    }

    /// When to probe, given that something is in flight (RFC 9002 §6.2.1).
    #[must_use]
    pub fn probe_time(&self, rtt: &RttEstimator, max_ack_delay: Duration) -> Instant {
        let timeout = rtt.probe_timeout(max_ack_delay);
        let mut doublings = self.probe_count.min(BACKOFF_MAX);
        if planted::is(Bug::ProbeNotBackedOff) {
            doublings = 0;
        }
        self.last_eliciting_sent + timeout * (1 << doublings)
    }

    /// A probe timeout passed.
    pub const fn on_probe_timeout(&mut self) {
        self.probe_count = self.probe_count.saturating_add(1);
    }

    /// Probe timeouts in a row without an acknowledgement.
    #[must_use]
    pub const fn probe_count(&self) -> u32 {
        self.probe_count
    }

    /// Reordering tolerated in packets.
    #[must_use]
    pub const fn packet_threshold(&self) -> u64 {
        self.packet_threshold
    }

    /// Whether losses that span `first..=last` (times of sending) without any acknowledged packet
    /// between them mean persistent congestion (RFC 9002 §7.6).
    #[must_use]
    pub fn is_persistent(
        first: Instant,
        last: Instant,
        rtt: &RttEstimator,
        max_ack_delay: Duration,
    ) -> bool {
        rtt.is_sampled()
            && last.saturating_duration_since(first)
                > rtt.probe_timeout(max_ack_delay) * PERSISTENT_CONGESTION_THRESHOLD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn rtt() -> RttEstimator {
        let mut rtt = RttEstimator::new(333 * MS);
        rtt.on_sample(80 * MS, Duration::ZERO);
        rtt
    }

    #[test]
    fn three_packets_behind_is_lost_two_is_not_yet() {
        let mut loss = LossDetector::default();
        loss.on_acknowledged(PacketNumber(10));
        let now = Instant::ZERO + 1_000 * MS;
        let thresholds = loss.thresholds(now, &rtt());
        loss.begin_pass();
        assert!(loss.is_lost(&thresholds, PacketNumber(7), now));
        assert_eq!(loss.loss_time(), None);
        assert!(!loss.is_lost(&thresholds, PacketNumber(8), now));
        assert_eq!(loss.loss_time(), Some(now + 90 * MS));
    }

    #[test]
    fn nine_eighths_of_the_round_trip_is_lost() {
        let mut loss = LossDetector::default();
        loss.on_acknowledged(PacketNumber(10));
        let sent = Instant::ZERO + 1_000 * MS;
        let at = |after: u32| loss.thresholds(sent + after * MS, &rtt());
        let (before, after) = (at(89), at(90));
        assert!(!loss.is_lost(&before, PacketNumber(9), sent));
        assert!(loss.is_lost(&after, PacketNumber(9), sent));
    }

    const LOST: DeclaredLost = DeclaredLost {
        at: Instant::ZERO,
        bytes: 1_000,
    };

    #[test]
    fn a_wrong_verdict_widens_the_packet_threshold() {
        let mut loss = LossDetector::default();
        loss.on_acknowledged(PacketNumber(20));
        loss.remember_lost(PacketNumber(12), LOST);
        assert_eq!(loss.take_spurious(&(0..=11)), None);
        assert_eq!(
            loss.take_spurious(&(11..=13)),
            Some((PacketNumber(12), LOST))
        );
        assert_eq!(loss.packet_threshold(), 9);
        assert_eq!(loss.take_spurious(&(11..=13)), None);
        loss.on_acknowledged(PacketNumber(1_000_000));
        loss.remember_lost(PacketNumber(13), LOST);
        assert_eq!(
            loss.take_spurious(&(13..=13)),
            Some((PacketNumber(13), LOST))
        );
        assert_eq!(loss.packet_threshold(), PACKET_THRESHOLD_MAX);
    }

    #[test]
    fn memory_of_lost_packets_is_bounded() {
        let mut loss = LossDetector::default();
        for number in 0..=REMEMBERED_MAX as u64 {
            loss.remember_lost(PacketNumber(number), LOST);
        }
        let remembered = core::iter::from_fn(|| loss.take_spurious(&(0..=u64::MAX))).count();
        assert_eq!(remembered, REMEMBERED_MAX);
    }

    #[test]
    fn probe_timeout_doubles_and_an_acknowledgement_resets_it() {
        let mut loss = LossDetector::default();
        loss.on_sent(Instant::ZERO);
        let base = rtt().probe_timeout(25 * MS);
        let probe = |loss: &LossDetector| loss.probe_time(&rtt(), 25 * MS);
        assert_eq!(probe(&loss), Instant::ZERO + base);
        loss.on_probe_timeout();
        loss.on_probe_timeout();
        assert_eq!(probe(&loss), Instant::ZERO + base * 4);
        for _ in 0..200 {
            loss.on_probe_timeout();
        }
        assert_eq!(probe(&loss), Instant::ZERO + base * (1 << BACKOFF_MAX));
        loss.on_progress();
        assert_eq!(probe(&loss), Instant::ZERO + base);
    }
}
