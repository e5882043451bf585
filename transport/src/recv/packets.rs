//! Which packet numbers were received: the replay window and what to acknowledge, in one bitmap.
//!
//! RFC 9000 §13.2 and what the peer asked for (`docs/wire.md` W-ACK-6) decide when to acknowledge; the
//! window is that of RFC 6479 in spirit: looked up before a packet is opened, marked after
//! (`docs/wire.md` W-PN-3).

use alloc::vec::Vec;
use core::ops::RangeInclusive;
use core::time::Duration;

use super::bitmap::Bitmap;
use super::told::Told;
use crate::ids::PacketNumber;
use crate::io::EcnMark;
use crate::limits::{ACK_RANGES_PER_PACKET, REPLAY_WINDOW_PACKETS};
use crate::planted::{self, Bug};
use crate::rest::Rest;
use crate::send::ack_frequency::AckRequest;
use crate::time::Instant;
use crate::wire::ack::EcnCounts;

/// A packet that ends a message or stream is acknowledged after this long: enough for a response
/// to carry the acknowledgement, far below the 25 ms that a lone request would wait. A guess.
pub(crate) const END_DELAY: Duration = Duration::from_millis(1);

/// What a packet asks of its receiver.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Arrival {
    /// It has to be acknowledged.
    pub ack_eliciting: bool,
    /// It ends a message or stream.
    pub end: bool,
    /// It asks for an acknowledgement at once.
    pub at_once: bool,
    /// Its congestion mark.
    pub ecn: Option<EcnMark>,
}

/// The received packets of one connection.
#[derive(Debug)]
pub(crate) struct ReceivedPackets {
    largest: Option<u64>,
    largest_at: Instant,
    /// Those of the window that ends with `largest`.
    bits: Bitmap,
    /// The peer knows what we received below; it is not reported again.
    floor: u64,
    /// Reports that the peer may have, until it shows that it does.
    told: Told,
    /// What the peer asked for last, and the number after that of its request.
    request: AckRequest,
    next_request: u64,
    eliciting_unacknowledged: u64,
    immediate: bool,
    deadline: Option<Instant>,
    max_ack_delay: Duration,
    /// The peer has been told of what is missing below, and that enough came after it.
    reported: u64,
    /// The lowest number from there on that is missing, below the largest.
    missing: Option<u64>,
    ecn: EcnCounts,
    /// The last packet was marked CE.
    congested: bool,
}

impl ReceivedPackets {
    /// Nothing received yet; acknowledgements wait at most `max_ack_delay`.
    #[must_use]
    pub(crate) fn new(max_ack_delay: Duration) -> Self {
        Self {
            largest: None,
            largest_at: Instant::ZERO,
            bits: Bitmap::new(),
            floor: 0,
            told: Told::default(),
            request: AckRequest::unasked(max_ack_delay),
            next_request: 0,
            eliciting_unacknowledged: 0,
            immediate: false,
            deadline: None,
            max_ack_delay,
            reported: 0,
            missing: None,
            ecn: EcnCounts::default(),
            congested: false,
        }
    }

    /// The peer asks to be acknowledged more or less often. What it asks for beyond what was announced
    /// is cut to that; an older request says nothing.
    pub(crate) fn on_request(&mut self, sequence: u64, request: AckRequest) {
        if sequence < self.next_request {
            return;
        }
        self.next_request = sequence.saturating_add(1);
        self.request = AckRequest {
            delay: request
                .delay
                .clamp(END_DELAY.min(self.max_ack_delay), self.max_ack_delay),
            ..request
        };
    }

    /// The number near which the next truncated one is looked for. Before the first packet that is
    /// 2^31: first numbers stay well below 2^32 (`docs/wire.md` W-PN-2).
    #[must_use]
    pub(crate) fn expected(&self) -> u64 {
        self.largest
            .map_or(1 << 31, |largest| largest.saturating_add(1))
    }

    /// The largest number received.
    #[must_use]
    pub(crate) fn largest(&self) -> Option<PacketNumber> {
        self.largest.map(PacketNumber)
    }

    /// Whether `number` was not received before and is not too old to tell.
    #[must_use]
    pub(crate) fn is_new(&self, number: PacketNumber) -> bool {
        let Some(largest) = self.largest else {
            return true;
        };
        let behind = largest.saturating_sub(number.0);
        let at_edge = number.0 % 64 == 63 && largest / 64 > number.0 / 64;
        if (at_edge && planted::is(Bug::ReplayWindowWordEdge))
            || (behind >= 64 && planted::is(Bug::ReplayWindowForgets))
        {
            return true;
        }
        number.0 > largest
            || (largest - number.0 < REPLAY_WINDOW_PACKETS && !self.bits.get(number.0))
    }

    /// Marks an opened packet as received and decides when to acknowledge it.
    pub(crate) fn mark(&mut self, now: Instant, number: PacketNumber, arrival: Arrival) {
        let is_late = self.note(now, number.0);
        self.count(now, 1, is_late, arrival);
    }

    /// The same for `count` packets one after the other, the first of which is [`Self::expected`].
    pub(crate) fn mark_run(
        &mut self,
        now: Instant,
        first: PacketNumber,
        count: u64,
        arrival: Arrival,
    ) {
        // Nothing is missing between them, and what counts up only asks for more at the last one.
        self.largest = Some(first.0 + count - 1);
        self.largest_at = now;
        self.bits.set_run(first.0, count);
        self.count(now, count, false, arrival);
    }

    /// Decides when to acknowledge `count` packets that were noted.
    fn count(&mut self, now: Instant, count: u64, is_late: bool, arrival: Arrival) {
        match arrival.ecn {
            Some(EcnMark::Ect0) => self.ecn.ect0 += count,
            Some(EcnMark::Ect1) => self.ecn.ect1 += count,
            Some(EcnMark::Ce) => self.ecn.ce += count,
            None => {}
        }
        let was_congested = self.congested;
        self.congested = arrival.ecn == Some(EcnMark::Ce);
        if !arrival.ack_eliciting {
            return;
        }
        self.eliciting_unacknowledged += count;
        self.immediate |= arrival.at_once
            || (self.congested && !was_congested)
            || self.eliciting_unacknowledged >= self.request.packets
            || (self.request.reordering > 0 && (is_late || self.is_gap_due(arrival.end)));
        let delay = if arrival.end {
            self.request.delay.min(END_DELAY)
        } else {
            self.request.delay
        };
        if planted::is(Bug::AckTimerNeverArmed) {
            return;
        }
        let deadline = now + delay;
        self.deadline = Some(
            self.deadline
                .map_or(deadline, |earlier| earlier.min(deadline)),
        );
    }

    /// Sets the bit of `number` and follows what is missing. True: it comes so late that the peer may
    /// hold it for lost.
    fn note(&mut self, now: Instant, number: u64) -> bool {
        let Some(largest) = self.largest else {
            self.reported = number;
            self.advance(number);
            self.largest_at = now;
            self.bits.set(number);
            return false;
        };
        if number > largest {
            self.advance(number);
            self.largest_at = now;
            if number > largest + 1 {
                self.missing.get_or_insert(largest + 1);
            }
        }
        if number < largest {
            // Nobody has told of it yet.
            self.floor = self.floor.min(number);
            self.told.on_late(number);
        }
        self.bits.set(number);
        if self.missing == Some(number) {
            self.missing = self.first_missing(number + 1);
        }
        number < self.reported
    }

    /// Whether a packet is missing for so long that the peer wants to know; `end`: what came ends
    /// something, and perhaps nothing follows that would tell.
    fn is_gap_due(&self, end: bool) -> bool {
        let wanted = if end { 1 } else { self.request.reordering };
        let ahead = self
            .missing
            .and_then(|missing| self.largest?.checked_sub(missing));
        ahead.is_some_and(|ahead| ahead >= wanted)
    }

    /// The lowest number from `from` on that is missing, below the largest.
    fn first_missing(&self, from: u64) -> Option<u64> {
        let largest = self.largest?;
        let mut at = from.max(largest.saturating_sub(REPLAY_WINDOW_PACKETS - 1));
        while at < largest {
            let run = u64::from((self.bits.word(at) >> (at % 64)).trailing_ones());
            if run < 64 - at % 64 {
                return Some(at + run).filter(|missing| *missing < largest);
            }
            at += run;
        }
        None
    }

    /// Asks for an acknowledgement with the next transmission.
    pub(crate) const fn acknowledge_now(&mut self) {
        self.immediate = true;
    }

    /// Whether an acknowledgement must leave now.
    #[must_use]
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.immediate || self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Whether an acknowledgement is worth adding to a packet that leaves anyway.
    #[must_use]
    pub(crate) const fn is_pending(&self) -> bool {
        self.immediate || self.eliciting_unacknowledged > 0
    }

    /// When an acknowledgement must leave at the latest.
    #[must_use]
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// An acknowledgement with all ranges was sent.
    pub(crate) fn on_ack_sent(&mut self) {
        self.eliciting_unacknowledged = 0;
        self.immediate = false;
        self.deadline = None;
        let Some(largest) = self.largest else {
            return;
        };
        let told = (largest + 1).saturating_sub(self.request.reordering.max(1));
        self.reported = self.reported.max(told);
        if self.missing.is_some_and(|missing| missing < self.reported) {
            self.missing = self.first_missing(self.reported);
        }
    }

    /// The peer has acknowledged a packet of ours that reported everything up to `largest`: older
    /// ranges need no further report (RFC 9000 §13.2.4).
    pub(crate) fn on_ack_acknowledged(&mut self, largest: PacketNumber) {
        self.floor = self.floor.max(largest.0.saturating_add(1));
    }

    /// An acknowledgement with all ranges left in our packet `number`. The peer need not acknowledge that:
    /// each packet's header says which of ours was its last (`docs/wire.md` W-ACK-1).
    pub(crate) fn on_report_sent(&mut self, number: PacketNumber) {
        if self.told.extend(number) {
            return;
        }
        if let Some(largest) = self.largest.filter(|largest| self.is_long(*largest)) {
            self.told.begin(number, largest);
        }
    }

    /// The last of our packets that the peer has received is `number`.
    pub(crate) fn on_echo(&mut self, number: PacketNumber) {
        if let Some(largest) = self.told.on_echo(number) {
            self.on_ack_acknowledged(largest);
        }
    }

    /// Nothing below is reported.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) const fn floor(&self) -> u64 {
        self.floor
    }

    /// Time since the largest packet came.
    #[must_use]
    pub(crate) const fn ack_delay(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.largest_at)
    }

    /// Counts of marks, if there ever was one.
    #[must_use]
    pub(crate) fn ecn(&self) -> Option<EcnCounts> {
        (!self.ecn.is_zero()).then_some(self.ecn)
    }

    /// Whether a report would be shorter, or sooner found, if the peer knew all up to `largest`: something is
    /// missing in it, or it spans many numbers.
    fn is_long(&self, largest: u64) -> bool {
        let bottom = self.bottom(largest).min(largest);
        let start = self.scan_down(largest, bottom, true);
        let below = start.checked_sub(1).filter(|below| *below >= bottom);
        let has_gap = || below.is_some_and(|below| self.scan_down(below, bottom, false) > bottom);
        largest - start >= u64::from(u64::BITS) || has_gap()
    }

    /// Nothing below is to be reported.
    fn bottom(&self, largest: u64) -> u64 {
        largest
            .saturating_sub(REPLAY_WINDOW_PACKETS - 1)
            .max(self.floor)
    }

    /// The ranges to report, highest first; the first one ends with [`Self::largest`].
    #[must_use]
    pub(crate) fn ranges(&self) -> Vec<RangeInclusive<u64>> {
        let mut out = Vec::new();
        let Some(largest) = self.largest else {
            return out;
        };
        let bottom = self.bottom(largest);
        let mut top = largest;
        while out.len() <= ACK_RANGES_PER_PACKET {
            let start = self.scan_down(top, bottom.min(top), true);
            out.push(start..=top);
            let Some(below) = start.checked_sub(1).filter(|below| *below >= bottom) else {
                break;
            };
            let gap_start = self.scan_down(below, bottom, false);
            match gap_start.checked_sub(1) {
                Some(next) if next >= bottom && self.bits.get(next) => top = next,
                _ => break,
            }
        }
        out
    }

    /// The lowest number of the run of equal bits (`value`) that ends with `from`, not going below
    /// `bottom`.
    fn scan_down(&self, from: u64, bottom: u64, value: bool) -> u64 {
        let mut at = from;
        loop {
            let in_word = at % 64;
            let word = self.bits.word(at);
            let word = if value { word } else { !word };
            // Bits above `at` shifted out, so leading ones are the run.
            let run = u64::from((word << (63 - in_word)).leading_ones());
            if run < in_word || (run == in_word && !planted::is(Bug::AckRunCrossesWord)) {
                return (at + 1 - run).max(bottom);
            }
            match at.checked_sub(in_word + 1) {
                Some(next) if next >= bottom => at = next,
                _ => return bottom,
            }
        }
    }

    fn advance(&mut self, number: u64) {
        if let Some(largest) = self.largest {
            let step = number - largest;
            if step >= REPLAY_WINDOW_PACKETS {
                self.bits.clear_all();
            } else {
                // The bit of `number` itself is set next.
                for skipped in largest + 1..number {
                    self.bits.clear(skipped);
                }
            }
        }
        self.largest = Some(number);
    }
}

impl Rest for ReceivedPackets {
    fn rest(&mut self) {
        self.bits.rest();
        self.told.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    const PLAIN: Arrival = Arrival {
        ack_eliciting: true,
        end: false,
        at_once: false,
        ecn: None,
    };

    fn packets() -> ReceivedPackets {
        ReceivedPackets::new(Duration::from_millis(25))
    }

    fn model_ranges(model: &BTreeSet<u64>) -> Vec<RangeInclusive<u64>> {
        let mut out: Vec<RangeInclusive<u64>> = Vec::new();
        let bottom = model
            .last()
            .map_or(0, |l| l.saturating_sub(REPLAY_WINDOW_PACKETS - 1));
        for number in model.iter().rev().filter(|n| **n >= bottom) {
            match out.last_mut() {
                Some(range) if *range.start() == number + 1 => *range = *number..=*range.end(),
                _ => out.push(*number..=*number),
            }
        }
        out.truncate(ACK_RANGES_PER_PACKET + 1);
        out
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(
            start in prop_oneof![Just(0u64), Just(u64::from(u32::MAX) - 50), 0u64..1 << 40],
            steps in proptest::collection::vec((-80i64..200, 0u32..40), 1..200),
        ) {
            let mut packets = packets();
            let mut model = BTreeSet::new();
            let mut at = start;
            for (step, jump) in steps {
                let jump = if jump == 0 { 9_000 } else { 0 };
                at = at.saturating_add_signed(step) + jump;
                let largest = model.last().copied().unwrap_or(0);
                let new = !model.contains(&at)
                    && (model.is_empty() || at + REPLAY_WINDOW_PACKETS > largest);
                prop_assert_eq!(packets.is_new(PacketNumber(at)), new);
                if new {
                    packets.mark(Instant::ZERO, PacketNumber(at), PLAIN);
                    model.insert(at);
                }
                let bottom = largest.max(at).saturating_sub(REPLAY_WINDOW_PACKETS - 1);
                let from = at.max(bottom);
                let missing = (from..largest.max(at)).find(|n| !model.contains(n));
                prop_assert_eq!(packets.first_missing(at), missing);
                prop_assert_eq!(packets.ranges(), model_ranges(&model));
            }
        }

        /// With gaps before, between and behind the runs, acknowledgements, requests and marks.
        #[test]
        fn a_run_is_marked_as_its_packets_one_by_one(
            start in prop_oneof![Just(0u64), 8_100u64..8_300, 0u64..1 << 40],
            request in (1u64..80, 0u64..5),
            steps in proptest::collection::vec((0u64..4, 1u64..150, 0u8..4, any::<bool>()), 1..40),
        ) {
            let (mut at_once, mut singly) = (packets(), packets());
            let request = AckRequest {
                packets: request.0,
                delay: Duration::from_millis(8),
                reordering: request.1,
            };
            let mut now = Instant::ZERO;
            for packets in [&mut at_once, &mut singly] {
                packets.on_request(0, request);
                packets.mark(now, PacketNumber(start), PLAIN);
            }
            for (gap, count, mark, acknowledges) in steps {
                now = now + Duration::from_millis(1);
                let ecn = [None, Some(EcnMark::Ect0), Some(EcnMark::Ect1), Some(EcnMark::Ce)];
                let arrival = Arrival { ecn: ecn[usize::from(mark)], ..PLAIN };
                if gap > 0 {
                    let beyond = PacketNumber(singly.expected() + gap);
                    at_once.mark(now, beyond, PLAIN);
                    singly.mark(now, beyond, PLAIN);
                }
                let first = singly.expected();
                at_once.mark_run(now, PacketNumber(first), count, arrival);
                for number in first..first + count {
                    singly.mark(now, PacketNumber(number), arrival);
                }
                prop_assert_eq!(alloc::format!("{at_once:?}"), alloc::format!("{singly:?}"));
                if acknowledges {
                    at_once.on_ack_sent();
                    singly.on_ack_sent();
                }
            }
        }
    }

    #[test]
    fn window_is_exact_at_its_edge() {
        let mut packets = packets();
        packets.mark(Instant::ZERO, PacketNumber(REPLAY_WINDOW_PACKETS), PLAIN);
        assert!(packets.is_new(PacketNumber(1)));
        assert!(!packets.is_new(PacketNumber(0)));
    }

    #[test]
    fn second_packet_reordering_and_congestion_mark_are_acknowledged_at_once() {
        let t = Instant::from_nanos(7);
        let mut a = packets();
        a.mark(t, PacketNumber(4), PLAIN);
        assert!(!a.is_due(t) && a.is_pending());
        assert_eq!(a.deadline(), Some(t + Duration::from_millis(25)));
        a.mark(t, PacketNumber(5), PLAIN);
        assert!(a.is_due(t));
        a.on_ack_sent();
        assert!(!a.is_pending());
        a.mark(t, PacketNumber(7), PLAIN);
        assert!(a.is_due(t));
        a.on_ack_sent();
        a.mark(
            t,
            PacketNumber(8),
            Arrival {
                ecn: Some(EcnMark::Ce),
                ..PLAIN
            },
        );
        assert!(a.is_due(t));
    }

    /// A receiver asked for `packets`, 8 ms and `reordering`, that has acknowledged packet 9.
    fn asked(packets: u64, reordering: u64) -> ReceivedPackets {
        let mut a = self::packets();
        let delay = Duration::from_millis(8);
        let request = AckRequest {
            packets,
            delay,
            reordering,
        };
        a.on_request(0, request);
        a.mark(Instant::ZERO, PacketNumber(9), PLAIN);
        a.on_ack_sent();
        a
    }

    #[test]
    fn as_many_packets_and_as_long_a_wait_as_was_asked_for() {
        let t = Instant::from_nanos(7);
        let mut a = asked(5, 3);
        for number in 10..=13 {
            a.mark(t, PacketNumber(number), PLAIN);
        }
        assert!(!a.is_due(t));
        assert_eq!(a.deadline(), Some(t + Duration::from_millis(8)));
        a.mark(t, PacketNumber(14), PLAIN);
        assert!(a.is_due(t));
    }

    #[test]
    fn a_request_is_cut_to_what_was_announced_and_an_older_one_says_nothing() {
        let mut a = packets();
        let request = |delay| AckRequest {
            packets: 7,
            delay,
            reordering: 0,
        };
        a.on_request(5, request(Duration::MAX));
        assert_eq!(a.request.delay, Duration::from_millis(25));
        a.on_request(u64::MAX, request(Duration::ZERO));
        assert_eq!(a.request.delay, END_DELAY);
        a.on_request(6, request(Duration::from_millis(20)));
        assert_eq!(a.request.delay, END_DELAY);
    }

    #[test]
    fn a_gap_is_reported_once_when_enough_came_after_it() {
        let t = Instant::ZERO;
        let mut a = asked(100, 3);
        a.mark(t, PacketNumber(11), PLAIN);
        a.mark(t, PacketNumber(12), PLAIN);
        assert!(!a.is_due(t));
        a.mark(t, PacketNumber(13), PLAIN);
        assert!(a.is_due(t), "10 is missing");
        a.on_ack_sent();
        for number in 14..50 {
            a.mark(t, PacketNumber(number), PLAIN);
            assert!(!a.is_due(t), "{number}");
        }
        a.mark(t, PacketNumber(10), PLAIN);
        assert!(a.is_due(t), "the peer may hold it for lost");
    }

    #[test]
    fn a_gap_that_is_filled_in_time_is_nothing_to_report() {
        let t = Instant::ZERO;
        let mut a = asked(100, 3);
        for number in [11, 12, 10, 14, 15, 13, 17, 16, 18] {
            a.mark(t, PacketNumber(number), PLAIN);
            assert!(!a.is_due(t), "{number}");
        }
    }

    #[test]
    fn a_gap_before_the_end_of_a_message_or_a_packet_that_asks_is_reported_at_once() {
        let t = Instant::ZERO;
        let mut a = asked(100, 3);
        a.mark(t, PacketNumber(11), Arrival { end: true, ..PLAIN });
        assert!(a.is_due(t));
        let mut a = asked(100, 0);
        a.mark(t, PacketNumber(20), Arrival { end: true, ..PLAIN });
        assert!(!a.is_due(t), "reordering is not of interest");
        let at_once = true;
        a.mark(t, PacketNumber(21), Arrival { at_once, ..PLAIN });
        assert!(a.is_due(t));
    }

    #[test]
    fn the_first_of_several_congestion_marks_is_reported_at_once() {
        let t = Instant::ZERO;
        let mut a = asked(100, 3);
        let ecn = Some(EcnMark::Ce);
        a.mark(t, PacketNumber(10), Arrival { ecn, ..PLAIN });
        assert!(a.is_due(t));
        a.on_ack_sent();
        a.mark(t, PacketNumber(11), Arrival { ecn, ..PLAIN });
        assert!(!a.is_due(t));
    }

    #[test]
    fn end_of_message_does_not_wait_for_the_full_delay() {
        let mut a = packets();
        a.mark(
            Instant::ZERO,
            PacketNumber(4),
            Arrival { end: true, ..PLAIN },
        );
        assert!(!a.is_due(Instant::ZERO));
        assert!(a.is_due(Instant::ZERO + END_DELAY));
    }

    #[test]
    fn ranges_below_a_confirmed_report_are_dropped() {
        let mut a = packets();
        for number in [1, 2, 5, 6, 9] {
            a.mark(Instant::ZERO, PacketNumber(number), PLAIN);
        }
        assert_eq!(a.ranges(), [9..=9, 5..=6, 1..=2]);
        a.on_ack_acknowledged(PacketNumber(5));
        assert_eq!(a.ranges(), [9..=9, 6..=6]);
        a.on_ack_acknowledged(PacketNumber(9));
        assert_eq!(a.ranges(), [9..=9]);
    }

    #[test]
    fn ranges_of_a_report_that_the_peer_shows_to_have_are_dropped() {
        let mut a = packets();
        let mark =
            |a: &mut ReceivedPackets, number| a.mark(Instant::ZERO, PacketNumber(number), PLAIN);
        for number in [1, 2, 5, 6] {
            mark(&mut a, number);
        }
        a.on_report_sent(PacketNumber(70));
        mark(&mut a, 9);
        a.on_report_sent(PacketNumber(71));
        a.on_echo(PacketNumber(69));
        assert_eq!(a.ranges(), [9..=9, 5..=6, 1..=2]);
        a.on_echo(PacketNumber(71));
        assert_eq!(a.ranges(), [9..=9], "71 has told at least what 70 has");
    }

    #[test]
    fn few_packets_without_a_gap_need_no_row_of_reports() {
        let mut a = packets();
        for number in 1_000..1_064 {
            a.mark(Instant::ZERO, PacketNumber(number), PLAIN);
        }
        a.on_report_sent(PacketNumber(70));
        a.on_echo(PacketNumber(70));
        assert_eq!(a.ranges(), [1_000..=1_063], "the beginning is no gap");
        a.mark(Instant::ZERO, PacketNumber(1_064), PLAIN);
        a.on_report_sent(PacketNumber(71));
        a.on_echo(PacketNumber(71));
        assert_eq!(a.ranges(), [1_064..=1_064]);
    }

    #[test]
    fn what_comes_late_is_reported_although_more_was_known() {
        let mut a = packets();
        let mark =
            |a: &mut ReceivedPackets, number| a.mark(Instant::ZERO, PacketNumber(number), PLAIN);
        for number in [1, 2, 5, 6, 9] {
            mark(&mut a, number);
        }
        a.on_report_sent(PacketNumber(70));
        mark(&mut a, 4);
        a.on_echo(PacketNumber(70));
        assert_eq!(a.ranges(), [9..=9, 4..=6], "70 has not told of 4");
        a.on_report_sent(PacketNumber(71));
        a.on_echo(PacketNumber(71));
        assert_eq!(a.ranges(), [9..=9]);
        mark(&mut a, 3);
        assert_eq!(a.ranges(), [9..=9, 3..=6]);
    }
}
