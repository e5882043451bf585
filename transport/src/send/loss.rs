//! When a packet counts as lost (RFC 9002 §6), and how loss detection corrects itself.
//!
//! Beside RFC 9002 (ADR 0108): a packet that was declared lost and is acknowledged after all shows
//! that the path reorders further than was tolerated. If the number of later packets condemned it,
//! the packet threshold grows to its distance; if its age did, the reordering window grows by a
//! quarter of the least round trip, at most once a round trip and up to a whole one (RFC 8985
//! §6.2). Both go back after sixteen recovery periods in which nothing came so late that the usual
//! threshold would have condemned it. The memory for that is bounded.
//!
//! The first probe of a flight is a tail-loss probe (RFC 8985 §7): after two round trips at the latest,
//! and sooner when samples vary little and the peer is known to answer soon (`docs/wire.md` W-ACK-3
//! says when), where that is less than the probe timeout. Later ones back off, to a ceiling.

use alloc::collections::VecDeque;
use core::ops::RangeInclusive;
use core::time::Duration;

use super::rtt::{GRANULARITY, RttEstimator};
use crate::ids::PacketNumber;
use crate::limits::REPLAY_WINDOW_PACKETS;
use crate::planted::{self, Bug};
use crate::rest::{Rest, Sparse};
use crate::time::Instant;

/// Reordering tolerated in packets at first (RFC 9002 §6.1.1).
const PACKET_THRESHOLD: u64 = 3;
/// Reordering tolerated in packets at most: what comes later is dropped by the receiver
/// (`docs/wire.md` W-PN-3).
const PACKET_THRESHOLD_MAX: u64 = REPLAY_WINDOW_PACKETS;
/// Lost packets that are remembered for noticing a mistake; the oldest is forgotten first.
const REMEMBERED_MAX: usize = 1_024;
/// Back-off of the probe timeout stops doubling here; more would overflow nothing, and the ceiling
/// holds long before.
const BACKOFF_MAX: u32 = 16;
/// Backed-off probe timeouts are not longer than this, unless the probe timeout itself is: after an
/// outage the connection goes on within this time. Guess: a packet or two in four seconds burden no
/// network, and TCP's minimum of one second (RFC 6298) is left well behind.
const PROBE_TIMEOUT_CEILING: Duration = Duration::from_secs(4);
/// A tail-loss probe waits at least for this: timers and schedulers are late by milliseconds. Guess;
/// Linux waits two ticks.
const TAIL_PROBE_MIN: Duration = Duration::from_millis(10);
/// The part of a round trip that is left to chance before a tail is probed, where the samples say that
/// less varies: what reordering is allowed at first, too (RFC 8985 §6.2).
const TAIL_SLACK_PER_RTT: u32 = 4;
/// The reordering window grows in steps of the least round trip divided by this (RFC 8985 §6.2).
const WINDOW_STEPS_PER_RTT: u32 = 4;
/// Recovery periods without a mistake after which tolerance goes back (RFC 8985 §6.2).
const PERSISTENCE: u8 = 16;
/// Duration of persistent congestion in probe timeouts (RFC 9002 §7.6.1).
const PERSISTENT_CONGESTION_THRESHOLD: u32 = 3;

/// Loss detection of one connection.
#[derive(Debug)]
pub struct LossDetector {
    largest_acked: Option<PacketNumber>,
    packet_threshold: u64,
    /// Quarters of the least round trip by which the reordering window has grown.
    window_steps: u32,
    /// How long the peer may keep to itself that a packet came late.
    report_delay: Duration,
    /// When it grew last.
    widened: Option<Instant>,
    /// Recovery periods until tolerance goes back.
    persistence: u8,
    /// When the current recovery period began.
    period: Option<Instant>,
    /// When the next packet will count as lost by time.
    loss_time: Option<Instant>,
    /// When the last ack-eliciting packet left.
    last_eliciting_sent: Instant,
    probe_count: u32,
    /// Packets recently declared lost, by their numbers.
    remembered: Sparse<VecDeque<Remembered>>,
}

impl Default for LossDetector {
    fn default() -> Self {
        Self {
            largest_acked: None,
            packet_threshold: PACKET_THRESHOLD,
            window_steps: 0,
            report_delay: Duration::ZERO,
            widened: None,
            persistence: PERSISTENCE,
            period: None,
            loss_time: None,
            last_eliciting_sent: Instant::ZERO,
            probe_count: 0,
            remembered: Sparse::default(),
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

/// A packet that was declared lost and may arrive after all.
#[derive(Debug)]
struct Remembered {
    number: u64,
    lost: DeclaredLost,
    /// Its age condemned it.
    by_time: bool,
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

impl Rest for LossDetector {
    fn rest(&mut self) {
        self.remembered.rest();
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

    /// `lowest` was newly acknowledged. If packets far above it were before, the path still reorders,
    /// and what is tolerated stays.
    pub fn on_arrived(&mut self, lowest: PacketNumber) {
        let usual = lowest.0.saturating_add(PACKET_THRESHOLD);
        if self.largest_acked.is_some_and(|largest| usual <= largest.0) {
            self.persistence = PERSISTENCE;
        }
    }

    /// An acknowledgement named all that was received up to `largest`.
    pub fn on_acknowledged(&mut self, largest: PacketNumber) {
        self.largest_acked = self.largest_acked.max(Some(largest));
    }

    /// The thresholds that hold now.
    #[must_use]
    pub fn thresholds(&self, now: Instant, rtt: &RttEstimator) -> Thresholds {
        let delay = self.time_threshold(rtt);
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

    /// Age from which a packet below the largest acknowledged is lost: the round trip and an eighth
    /// (RFC 9002 §6.1.2), what the peer may wait before it reports what came late, or as much more as
    /// the reordering window has grown to.
    #[must_use]
    pub fn time_threshold(&self, rtt: &RttEstimator) -> Duration {
        let longest = rtt.smoothed().max(rtt.latest());
        let grown = rtt.minimum() * self.window_steps / WINDOW_STEPS_PER_RTT;
        let window = grown
            .min(rtt.smoothed())
            .max(longest / 8 + self.report_delay);
        (longest + window).max(GRANULARITY)
    }

    /// The peer reports a packet that comes late after `delay` at the latest.
    pub const fn set_report_delay(&mut self, delay: Duration) {
        self.report_delay = delay;
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

    /// Remembers a packet that was declared lost; `by_time` when its age condemned it.
    pub fn remember_lost(&mut self, number: PacketNumber, lost: DeclaredLost, by_time: bool) {
        // Mostly at the end: what was sent first is condemned first.
        let place = self.place_of(number.0);
        let remembered = Remembered {
            number: number.0,
            lost,
            by_time,
        };
        self.remembered.insert(place, remembered);
        if self.remembered.len() > REMEMBERED_MAX {
            self.remembered.pop_front();
        }
    }

    /// Where the first remembered packet is that has this number or a higher one.
    fn place_of(&self, number: u64) -> usize {
        match self.remembered.back() {
            Some(newest) if number <= newest.number => {
                self.remembered.partition_point(|it| it.number < number)
            }
            _ => self.remembered.len(),
        }
    }

    /// Congestion was noticed of packets the newest of which left at `newest`. True: a recovery period
    /// begins; packets that left before are the congestion of this one (RFC 9002 §7.3.2).
    pub fn begin_period(&mut self, now: Instant, newest: Instant) -> bool {
        let begins = self.period.is_none_or(|start| newest > start);
        if begins {
            self.period = Some(now);
        }
        begins
    }

    /// Packets were declared lost, the newest of which left at `newest`; true: a recovery period
    /// begins. Tolerates less reordering again after enough of them without a mistake.
    pub fn on_lost(&mut self, now: Instant, newest: Instant) -> bool {
        if !self.begin_period(now, newest) {
            return false;
        }
        self.persistence = self.persistence.saturating_sub(1);
        if self.persistence == 0 {
            self.persistence = PERSISTENCE;
            self.packet_threshold = PACKET_THRESHOLD;
            self.window_steps = 0;
        }
        true
    }

    /// Takes a packet of an acknowledged range that had been declared lost, wrongly. Tolerates more
    /// reordering from now on: in packets or in time, by what condemned it.
    pub fn take_spurious(
        &mut self,
        now: Instant,
        range: &RangeInclusive<u64>,
        rtt: &RttEstimator,
    ) -> Option<(PacketNumber, DeclaredLost)> {
        let place = self.place_of(*range.start());
        self.remembered
            .get(place)
            .filter(|it| range.contains(&it.number))?;
        let Remembered {
            number,
            lost,
            by_time,
        } = self.remembered.remove(place)?;
        self.persistence = PERSISTENCE;
        let lately = self
            .widened
            .is_some_and(|at| now.saturating_duration_since(at) < rtt.smoothed());
        if by_time && !lately {
            self.widened = Some(now);
            let most = WINDOW_STEPS_PER_RTT * WINDOW_STEPS_PER_RTT;
            self.window_steps = (self.window_steps + 1).min(most);
        }
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

    /// When to probe, given that something is in flight (RFC 9002 §6.2.1, RFC 8985 §7.2).
    /// `ack_delay`: what the peer may wait with the acknowledgement of this flight.
    #[must_use]
    pub fn probe_time(
        &self,
        rtt: &RttEstimator,
        max_ack_delay: Duration,
        ack_delay: Duration,
    ) -> Instant {
        let timeout = rtt.probe_timeout(max_ack_delay);
        let mut doublings = self.probe_count.min(BACKOFF_MAX);
        if planted::is(Bug::ProbeNotBackedOff) {
            doublings = 0;
        }
        let wait = if self.probe_count == 0 && rtt.is_sampled() {
            let slack = (rtt.variance() * 4).max(rtt.smoothed() / TAIL_SLACK_PER_RTT);
            let tail = rtt.smoothed() + slack.min(rtt.smoothed()) + ack_delay;
            timeout.min(tail.max(TAIL_PROBE_MIN))
        } else {
            let ceiling = PROBE_TIMEOUT_CEILING.max(timeout);
            (timeout * (1 << doublings)).min(ceiling)
        };
        self.last_eliciting_sent + wait
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

    #[test]
    fn what_the_peer_may_keep_to_itself_is_waited_for() {
        let mut loss = LossDetector::default();
        loss.set_report_delay(10 * MS);
        assert_eq!(loss.time_threshold(&rtt()), 100 * MS);
    }

    const LOST: DeclaredLost = DeclaredLost {
        at: Instant::ZERO,
        bytes: 1_000,
    };

    #[test]
    fn a_wrong_verdict_widens_the_packet_threshold() {
        let mut loss = LossDetector::default();
        loss.on_acknowledged(PacketNumber(20));
        loss.remember_lost(PacketNumber(12), LOST, false);
        let take =
            |loss: &mut LossDetector, range| loss.take_spurious(Instant::ZERO, &range, &rtt());
        assert_eq!(take(&mut loss, 0..=11), None);
        assert_eq!(take(&mut loss, 11..=13), Some((PacketNumber(12), LOST)));
        assert_eq!(loss.packet_threshold(), 9);
        assert_eq!(take(&mut loss, 11..=13), None);
        loss.on_acknowledged(PacketNumber(1_000_000));
        loss.remember_lost(PacketNumber(13), LOST, false);
        assert_eq!(take(&mut loss, 13..=13), Some((PacketNumber(13), LOST)));
        assert_eq!(loss.packet_threshold(), PACKET_THRESHOLD_MAX);
        assert_eq!(loss.time_threshold(&rtt()), 90 * MS, "not a matter of time");
    }

    #[test]
    fn a_wrong_verdict_by_age_widens_the_window_once_a_round_trip_up_to_a_whole_one() {
        let mut loss = LossDetector::default();
        let mut now = Instant::ZERO;
        let mistake = |loss: &mut LossDetector, now| {
            loss.remember_lost(PacketNumber(5), LOST, true);
            assert!(loss.take_spurious(now, &(5..=5), &rtt()).is_some());
            loss.time_threshold(&rtt())
        };
        assert_eq!(mistake(&mut loss, now), 100 * MS, "80 and a quarter");
        assert_eq!(mistake(&mut loss, now), 100 * MS, "the same round trip");
        for expected in [120, 140, 160, 160] {
            now = now + 80 * MS;
            assert_eq!(mistake(&mut loss, now), expected * MS);
        }
    }

    #[test]
    fn tolerance_goes_back_after_sixteen_periods_without_a_mistake() {
        let mut loss = LossDetector::default();
        loss.on_acknowledged(PacketNumber(20));
        loss.remember_lost(PacketNumber(12), LOST, true);
        assert!(
            loss.take_spurious(Instant::ZERO, &(12..=12), &rtt())
                .is_some()
        );
        for period in 1..=16 {
            assert_eq!((loss.packet_threshold(), loss.window_steps), (9, 1));
            let now = Instant::ZERO + period * 100 * MS;
            loss.on_lost(now, now);
            loss.on_lost(now + MS, now);
        }
        assert_eq!(
            (loss.packet_threshold(), loss.window_steps),
            (PACKET_THRESHOLD, 0)
        );
    }

    #[test]
    fn tolerance_stays_while_packets_come_late() {
        let mut loss = LossDetector::default();
        loss.on_acknowledged(PacketNumber(20));
        loss.remember_lost(PacketNumber(12), LOST, false);
        assert!(
            loss.take_spurious(Instant::ZERO, &(12..=12), &rtt())
                .is_some()
        );
        for period in 1..=100 {
            let now = Instant::ZERO + period * 100 * MS;
            loss.on_lost(now, now);
            loss.on_arrived(PacketNumber(17));
        }
        assert_eq!(loss.packet_threshold(), 9);
        for period in 101..=116 {
            let now = Instant::ZERO + period * 100 * MS;
            loss.on_lost(now, now);
            loss.on_arrived(PacketNumber(18));
        }
        assert_eq!(loss.packet_threshold(), PACKET_THRESHOLD);
    }

    #[test]
    fn memory_of_lost_packets_is_bounded() {
        let mut loss = LossDetector::default();
        for number in 0..=REMEMBERED_MAX as u64 {
            loss.remember_lost(PacketNumber(number), LOST, false);
        }
        let mut take = || loss.take_spurious(Instant::ZERO, &(0..=u64::MAX), &rtt());
        let remembered = core::iter::from_fn(&mut take).count();
        assert_eq!(remembered, REMEMBERED_MAX);
    }

    #[test]
    fn the_tail_is_probed_after_two_round_trips_then_with_back_off_up_to_a_ceiling() {
        let mut loss = LossDetector::default();
        loss.on_sent(Instant::ZERO);
        let base = rtt().probe_timeout(25 * MS);
        let probe = |loss: &LossDetector| loss.probe_time(&rtt(), 25 * MS, MS);
        assert_eq!(probe(&loss), Instant::ZERO + 161 * MS);
        loss.on_probe_timeout();
        assert_eq!(probe(&loss), Instant::ZERO + base * 2);
        loss.on_probe_timeout();
        assert_eq!(probe(&loss), Instant::ZERO + base * 4);
        for _ in 0..200 {
            loss.on_probe_timeout();
        }
        assert_eq!(probe(&loss), Instant::ZERO + PROBE_TIMEOUT_CEILING);
        loss.on_progress();
        assert_eq!(probe(&loss), Instant::ZERO + 161 * MS);
    }

    #[test]
    fn a_tail_on_a_steady_path_is_probed_after_a_round_trip_and_a_quarter() {
        let mut steady = RttEstimator::new(333 * MS);
        for _ in 0..100 {
            steady.on_sample(80 * MS, Duration::ZERO);
        }
        let loss = LossDetector::default();
        let at = loss.probe_time(&steady, 25 * MS, MS);
        assert_eq!(at, Instant::ZERO + 101 * MS);
        let at = loss.probe_time(&steady, MS, 25 * MS);
        assert_eq!(at, Instant::ZERO + 82 * MS, "never after the timeout");
    }

    #[test]
    fn no_tail_probe_without_a_sample_none_in_a_hurry_and_none_later_than_the_timeout() {
        let mut loss = LossDetector::default();
        let unknown = RttEstimator::new(333 * MS);
        assert_eq!(
            loss.probe_time(&unknown, 25 * MS, 25 * MS),
            Instant::ZERO + unknown.probe_timeout(25 * MS)
        );
        let mut short = RttEstimator::new(333 * MS);
        for _ in 0..100 {
            short.on_sample(MS / 10, Duration::ZERO);
        }
        let at = loss.probe_time(&short, 25 * MS, MS);
        assert_eq!(at, Instant::ZERO + TAIL_PROBE_MIN);
        let at = loss.probe_time(&short, Duration::ZERO, MS);
        assert_eq!(at, Instant::ZERO + short.probe_timeout(Duration::ZERO));
        let long = RttEstimator::new(3_000 * MS);
        loss.on_probe_timeout();
        assert_eq!(
            loss.probe_time(&long, MS, MS),
            Instant::ZERO + long.probe_timeout(MS),
            "the ceiling is not below one probe timeout"
        );
    }
}
