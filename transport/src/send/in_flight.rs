//! Sent packets by number: a ring, so that lookup is a search by halves and nothing is sorted
//! (`docs/wire.md` W-PN-1: numbers only rise).
//!
//! A batch is mostly packets that are alike but for their number and their place in a stream. A run of
//! up to [`RUN_MAX`] such packets is one record, with a bit for each that is outstanding (ADR 0621).
//!
//! Acknowledgements name the same ranges again and again. Records that are empty for good are therefore
//! jumped over: the first of several knows how many. So the work grows with the packets and the ranges,
//! not with how far the lowest outstanding packet lies behind.

use alloc::collections::VecDeque;
use core::ops::RangeInclusive;

use crate::ids::PacketNumber;
use crate::planted::{self, Bug};
use crate::rest::Rest;
use crate::time::Instant;

/// Packets of a run, at most: the bits of a word.
pub const RUN_MAX: usize = u64::BITS as usize;

/// What a packet carried; of a run, what its first one did.
pub trait Carried: Clone {
    /// What the packet `index` places behind this one in a run carried, of packets of `size` bytes.
    #[must_use]
    fn nth(&self, index: u64, size: u32) -> Self;
}

/// One sent packet that has to be acknowledged, and is neither acknowledged nor declared lost.
#[derive(Clone, Debug)]
pub struct SentPacket<C> {
    /// When it left.
    pub sent_at: Instant,
    /// Its bytes, header and trailer included.
    pub size: u32,
    /// What it carried.
    pub contents: C,
}

impl<C: Carried> SentPacket<C> {
    fn nth(&self, index: u64) -> Self {
        Self {
            contents: self.contents.nth(index, self.size),
            ..*self
        }
    }
}

/// Packets with numbers that follow each other, which left together and are alike.
#[derive(Clone, Debug)]
pub struct SentRun<C> {
    /// The number of the first.
    pub first: PacketNumber,
    /// How many they are, at least one.
    pub count: u64,
    /// The first.
    pub packet: SentPacket<C>,
}

impl<C> SentRun<C> {
    /// The number of the last one.
    #[must_use]
    pub const fn last(&self) -> PacketNumber {
        PacketNumber(self.first.0 + self.count - 1)
    }

    /// Bytes of them all.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.packet.size as u64 * self.count
    }
}

/// What some numbers that follow each other stand for.
#[derive(Debug)]
struct Record<C> {
    first: u64,
    state: State<C>,
}

#[derive(Debug)]
enum State<C> {
    /// A run. Bit n stands for the packet n places behind the first; one at least is outstanding.
    Run { left: u64, packet: SentPacket<C> },
    /// Nothing, and neither do so many records from this one on, at least; one or more.
    Gone(usize),
}

/// The sent packets of one connection; `C` says what a packet carried.
#[derive(Debug)]
pub struct SentPackets<C> {
    records: VecDeque<Record<C>>,
    next: u64,
    bytes_in_flight: u64,
    outstanding: usize,
    /// Records that were looked at, in all.
    #[cfg(test)]
    visited: u64,
}

impl<C> SentPackets<C> {
    /// Empty; the first packet will have number `first`.
    #[must_use]
    pub const fn new(first: PacketNumber) -> Self {
        Self {
            records: VecDeque::new(),
            next: first.0,
            bytes_in_flight: 0,
            outstanding: 0,
            #[cfg(test)]
            visited: 0,
        }
    }

    /// Number of the next packet to send.
    #[must_use]
    pub const fn next_number(&self) -> PacketNumber {
        PacketNumber(self.next)
    }

    /// Bytes of the outstanding packets.
    #[must_use]
    pub const fn bytes_in_flight(&self) -> u64 {
        self.bytes_in_flight
    }

    /// Whether a packet is outstanding.
    #[must_use]
    pub const fn is_any_in_flight(&self) -> bool {
        self.outstanding > 0
    }

    /// How many packets are outstanding.
    #[must_use]
    pub const fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// The first packet of the run with the number before the next one, unless none of it is outstanding.
    #[must_use]
    pub fn last_run(&self) -> Option<&SentPacket<C>> {
        match &self.records.back()?.state {
            State::Run { packet, .. } => Some(packet),
            State::Gone(_) => None,
        }
    }

    /// Adds `count` packets that are like `packet`, the first of them, from number [`Self::next_number`] on:
    /// [`RUN_MAX`] at most.
    pub fn push_run(&mut self, packet: SentPacket<C>, count: u64) {
        debug_assert!((1..=RUN_MAX as u64).contains(&count), "a bit for each");
        self.bytes_in_flight += u64::from(packet.size) * count;
        self.outstanding += usize::try_from(count).unwrap_or(usize::MAX);
        let left = ones(count);
        self.append(count, State::Run { left, packet });
    }

    /// Counts a packet with number [`Self::next_number`] that nobody has to acknowledge: nothing is
    /// kept of it.
    pub fn skip(&mut self) {
        self.append(1, State::Gone(1));
        self.trim();
    }

    fn append(&mut self, count: u64, state: State<C>) {
        let first = self.next;
        self.records.push_back(Record { first, state });
        self.next += count;
    }

    const fn visit(&mut self) {
        #[cfg(test)]
        {
            self.visited += 1;
        }
    }

    /// Where the record is in which `number` lies; the first one, when the number lies below it.
    fn position(&self, number: u64) -> usize {
        match self.records.front() {
            Some(front) if front.first < number => {
                let behind = self.records.partition_point(|it| it.first <= number);
                behind.saturating_sub(1)
            }
            _ => 0,
        }
    }

    /// The records from `start` to before `end` are all gone: the first one says so.
    fn join(&mut self, start: usize, end: usize) {
        let record = self.records.get_mut(start).filter(|_| start < end);
        if let Some(State::Gone(run)) = record.map(|it| &mut it.state) {
            *run = end - start;
        }
    }

    fn trim(&mut self) {
        while let Some(State::Gone(_)) = self.records.front().map(|it| &it.state) {
            self.records.pop_front();
        }
    }
}

impl<C: Carried> SentPackets<C> {
    /// Takes the outstanding packets of `range` out, lowest first, and passes them to `each`, as many at a
    /// time as follow each other in a run. Numbers outside the ring are skipped without cost.
    pub fn take_range(&mut self, range: &RangeInclusive<u64>, mut each: impl FnMut(SentRun<C>)) {
        let mut index = self.position(*range.start());
        // From here on all that was looked at is gone.
        let mut empty = index;
        while let Some(record) = self.records.get_mut(index) {
            if record.first > *range.end() {
                break;
            }
            let taken = record.take(range, &mut each);
            self.outstanding -= taken.count;
            self.bytes_in_flight -= taken.bytes;
            self.visit();
            match taken.gone {
                0 => {
                    self.join(empty, index);
                    index += 1;
                    empty = index;
                }
                gone => index += gone,
            }
        }
        self.join(empty, index);
        self.trim();
    }

    /// Takes out the packets below `limit`, lowest first, up to the first for which `is_lost` does not
    /// hold: none that left later is lost before it. `is_lost` sees the first packet of a run.
    pub fn take_lost(
        &mut self,
        limit: PacketNumber,
        mut is_lost: impl FnMut(PacketNumber, &SentPacket<C>) -> bool,
        mut each: impl FnMut(PacketNumber, SentPacket<C>),
    ) {
        let mut index = 0;
        while index < self.records.len() {
            self.visit();
            let Some(Record { first, state }) = self.records.get_mut(index) else {
                break;
            };
            let (left, packet) = match state {
                State::Gone(run) => {
                    index += *run;
                    continue;
                }
                State::Run { left, packet } => (left, packet),
            };
            for place in places(*left & ones(limit.0.saturating_sub(*first))) {
                let number = PacketNumber(*first + place);
                if !is_lost(number, packet) {
                    break;
                }
                *left &= !(1 << place);
                self.outstanding -= 1;
                if !planted::is(Bug::InFlightLeaksOnLoss) {
                    self.bytes_in_flight -= u64::from(packet.size);
                }
                each(number, packet.nth(place));
            }
            if *left != 0 {
                break;
            }
            *state = State::Gone(1);
            index += 1;
        }
        self.trim();
    }

    /// The outstanding packets, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = (PacketNumber, SentPacket<C>)> {
        self.records.iter().flat_map(|record| {
            let (left, packet) = match &record.state {
                State::Run { left, packet } => (*left, Some(packet)),
                State::Gone(_) => (0, None),
            };
            let number = |place| PacketNumber(record.first + place);
            let one = move |place| Some((number(place), packet?.nth(place)));
            places(left).filter_map(one)
        })
    }
}

/// What was taken out of a record.
#[derive(Default)]
struct Taken {
    count: usize,
    bytes: u64,
    /// How many records from that one on are gone now.
    gone: usize,
}

impl<C: Carried> Record<C> {
    /// Takes what lies in `range`, which does not end before it, out.
    fn take(&mut self, range: &RangeInclusive<u64>, each: &mut impl FnMut(SentRun<C>)) -> Taken {
        let first = PacketNumber(self.first);
        let (left, packet) = match &mut self.state {
            State::Run { left, packet } => (left, packet),
            State::Gone(run) => {
                return Taken {
                    gone: *run,
                    ..Taken::default()
                };
            }
        };
        let below = ones(range.start().saturating_sub(first.0));
        let wanted = *left & ones((range.end() - first.0).saturating_add(1)) & !below;
        if wanted == 0 {
            return Taken::default();
        }
        let is_start = wanted & wanted.wrapping_add(1) == 0;
        let count = match is_start {
            true => wanted.trailing_ones(),
            false => wanted.count_ones(),
        };
        *left &= !wanted;
        let mut taken = Taken {
            count: count as usize,
            bytes: u64::from(packet.size) * u64::from(count),
            gone: 0,
        };
        if *left != 0 {
            pass_on(first, wanted, packet, each);
            return taken;
        }
        taken.gone = 1;
        if let State::Run { packet, .. } = core::mem::replace(&mut self.state, State::Gone(1)) {
            if is_start {
                // All of it at once, as nearly always.
                let count = u64::from(count);
                each(SentRun {
                    first,
                    count,
                    packet,
                });
            } else {
                pass_on(first, wanted, &packet, each);
            }
        }
        taken
    }
}

/// Passes on the packets of a run whose bits are set in `wanted`, as many at a time as follow each other.
fn pass_on<C: Carried>(
    first: PacketNumber,
    wanted: u64,
    packet: &SentPacket<C>,
    each: &mut impl FnMut(SentRun<C>),
) {
    let mut rest = wanted;
    while rest != 0 {
        let place = u64::from(rest.trailing_zeros());
        let count = u64::from((rest >> place).trailing_ones());
        rest &= !(ones(count) << place);
        each(SentRun {
            first: PacketNumber(first.0 + place),
            count,
            packet: packet.nth(place),
        });
    }
}

/// The lowest `count` bits.
const fn ones(count: u64) -> u64 {
    match count {
        0..64 => (1 << count) - 1,
        _ => u64::MAX,
    }
}

/// The places of the bits that are set, lowest first.
fn places(bits: u64) -> impl Iterator<Item = u64> {
    let without_lowest = |bits: &u64| Some(bits & (bits - 1)).filter(|rest| *rest != 0);
    let set = core::iter::successors(Some(bits).filter(|bits| *bits != 0), without_lowest);
    set.map(|bits| u64::from(bits.trailing_zeros()))
}

impl<C> Rest for SentPackets<C> {
    fn rest(&mut self) {
        self.records.rest();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    impl Carried for u32 {
        fn nth(&self, index: u64, _size: u32) -> Self {
            self + u32::try_from(index).unwrap()
        }
    }

    fn packet(size: u32) -> SentPacket<u32> {
        SentPacket {
            sent_at: Instant::ZERO,
            size,
            contents: size,
        }
    }

    /// One packet in a hundred is lost, and every second one brings an acknowledgement of all so far
    /// in 64 ranges: what is looked at grows with the packets, not with their square.
    #[test]
    fn a_hundred_thousand_packets_in_flight_are_looked_at_a_few_times_each() {
        const PACKETS: u64 = 100_000;
        const THRESHOLD: u64 = 8_192;
        let mut ring = SentPackets::new(PacketNumber(0));
        for _ in 0..PACKETS {
            ring.push_run(packet(1_000), 1);
        }
        let (mut acked, mut lost) = (0, 0);
        for largest in (1..PACKETS).step_by(2) {
            let first = largest / 100 * 100;
            for range in (0..64u64).map_while(|back| first.checked_sub(back * 100)) {
                let range = range + 1..=largest.min(range + 99);
                ring.take_range(&range, |run| acked += run.count);
            }
            let overtaken = |number: PacketNumber, _: &_| number.0 + THRESHOLD <= largest;
            ring.take_lost(PacketNumber(largest), overtaken, |_, _| lost += 1);
        }
        assert_eq!(acked, PACKETS / 100 * 99);
        assert_eq!(lost, (PACKETS - THRESHOLD) / 100 + 1);
        // Half as many acknowledgements as packets, of 64 ranges and a verdict each.
        let each = ring.visited / PACKETS;
        assert!(each <= 34, "{each} times");
    }

    proptest! {
        #[test]
        fn agrees_with_a_map(
            first in prop_oneof![Just(0u64), Just((1 << 62) - 500), 0u64..1 << 33],
            steps in proptest::collection::vec((0u8..3, 0u64..200, 0u64..150, 1u32..2_000), 1..80),
        ) {
            let mut ring = SentPackets::new(PacketNumber(first));
            let mut model = BTreeMap::new();
            let mut next = first;
            for (kind, start, length, size) in steps {
                let range = first + start..=first + start + length;
                let mut out = Vec::new();
                let mut expected = Vec::new();
                match kind {
                    0 => {
                        prop_assert_eq!(ring.next_number(), PacketNumber(next));
                        let count = match size % 5 {
                            0 => 0,
                            1 => 1,
                            _ => 1 + length % RUN_MAX as u64,
                        };
                        if count == 0 {
                            ring.skip();
                        } else {
                            ring.push_run(packet(size), count);
                        }
                        for number in next..next + count {
                            let place = u32::try_from(number - next).unwrap();
                            model.insert(number, (size, size + place));
                        }
                        next += count.max(1);
                    }
                    1 => {
                        ring.take_range(&range, |run| {
                            let all = (run.first.0..=run.last().0).zip(0..);
                            out.extend(all.map(|(n, at)| (n, run.packet.nth(at).contents)));
                        });
                        expected.extend(model.range(range.clone()).map(|(n, it)| (*n, it.1)));
                        model.retain(|n, _| !range.contains(n));
                    }
                    _ => {
                        let limit = PacketNumber(*range.end());
                        ring.take_lost(
                            limit,
                            |n, p| p.size < size && n.0 % 64 != 63,
                            |n, p| out.push((n.0, p.contents)),
                        );
                        let lost = model.range(..limit.0);
                        let lost = lost.take_while(|(n, it)| it.0 < size && **n % 64 != 63);
                        expected.extend(lost.map(|(n, it)| (*n, it.1)));
                        model.retain(|n, _| expected.iter().all(|(lost, _)| lost != n));
                    }
                }
                prop_assert_eq!(out, expected);
                let bytes: u64 = model.values().map(|it| u64::from(it.0)).sum();
                prop_assert_eq!(ring.bytes_in_flight(), bytes);
                prop_assert_eq!(ring.outstanding(), model.len());
                prop_assert_eq!(ring.is_any_in_flight(), !model.is_empty());
                let have = ring.iter().map(|(n, p)| (n.0, (p.size, p.contents)));
                prop_assert!(have.eq(model.clone()));
            }
        }
    }
}
