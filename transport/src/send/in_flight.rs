//! Sent packets by number: a ring, so that lookup is an index and nothing is sorted
//! (`docs/wire.md` W-PN-1: numbers only rise).
//!
//! Acknowledgements name the same ranges again and again. A run of slots that are empty for good is
//! therefore jumped over: its first slot knows how long it is. So the work grows with the packets and
//! the ranges, not with how far the lowest outstanding packet lies behind.

use alloc::collections::VecDeque;
use core::ops::RangeInclusive;

use crate::ids::PacketNumber;
use crate::planted::{self, Bug};
use crate::rest::Rest;
use crate::time::Instant;

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

/// What a number stands for.
#[derive(Debug)]
enum Slot<C> {
    /// Outstanding.
    Packet(SentPacket<C>),
    /// Nothing, and neither do so many numbers from this one on, at least; one or more.
    Gone(u64),
}

/// The sent packets of one connection; `C` says what a packet carried.
#[derive(Debug)]
pub struct SentPackets<C> {
    /// Number of the slot at the front.
    base: u64,
    slots: VecDeque<Slot<C>>,
    bytes_in_flight: u64,
    outstanding: usize,
    /// Slots that were looked at, in all.
    #[cfg(test)]
    visited: u64,
}

impl<C> SentPackets<C> {
    /// Empty; the first packet will have number `first`.
    #[must_use]
    pub const fn new(first: PacketNumber) -> Self {
        Self {
            base: first.0,
            slots: VecDeque::new(),
            bytes_in_flight: 0,
            outstanding: 0,
            #[cfg(test)]
            visited: 0,
        }
    }

    /// Number of the next packet to send.
    #[must_use]
    pub fn next_number(&self) -> PacketNumber {
        PacketNumber(self.base + self.slots.len() as u64)
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

    /// The packet before the next one, unless nobody has to acknowledge that.
    #[must_use]
    pub fn last(&self) -> Option<&SentPacket<C>> {
        match self.slots.back()? {
            Slot::Packet(packet) => Some(packet),
            Slot::Gone(_) => None,
        }
    }

    /// Adds the packet with number [`Self::next_number`].
    pub fn push(&mut self, packet: SentPacket<C>) {
        self.bytes_in_flight += u64::from(packet.size);
        self.outstanding += 1;
        self.slots.push_back(Slot::Packet(packet));
    }

    /// Counts a packet with number [`Self::next_number`] that nobody has to acknowledge: nothing is
    /// kept of it.
    pub fn skip(&mut self) {
        self.slots.push_back(Slot::Gone(1));
        self.trim();
    }

    /// Takes the outstanding packets of `range` out, lowest first, and passes them to `each`.
    /// Numbers outside the ring are skipped without cost.
    pub fn take_range(
        &mut self,
        range: &RangeInclusive<u64>,
        mut each: impl FnMut(PacketNumber, SentPacket<C>),
    ) {
        let start = (*range.start()).max(self.base);
        let end = (*range.end()).min(self.next_number().0.saturating_sub(1));
        let mut number = start;
        while number <= end {
            self.visit();
            if let Some(Slot::Gone(run)) = self.slot(number) {
                number += *run;
                continue;
            }
            if let Some(packet) = self.take(PacketNumber(number)) {
                each(PacketNumber(number), packet);
            }
            number += 1;
        }
        self.join(start, number);
        self.trim();
    }

    /// Takes out the packets below `limit`, lowest first, up to the first for which `is_lost` does not
    /// hold: none that left later is lost before it.
    pub fn take_lost(
        &mut self,
        limit: PacketNumber,
        mut is_lost: impl FnMut(PacketNumber, &SentPacket<C>) -> bool,
        mut each: impl FnMut(PacketNumber, SentPacket<C>),
    ) {
        let mut number = self.base;
        while number < limit.0 {
            self.visit();
            match self.slot(number) {
                Some(Slot::Gone(run)) => number += *run,
                Some(Slot::Packet(packet)) if is_lost(PacketNumber(number), packet) => {
                    if let Some(packet) = self.take(PacketNumber(number)) {
                        if planted::is(Bug::InFlightLeaksOnLoss) {
                            self.bytes_in_flight += u64::from(packet.size);
                        }
                        each(PacketNumber(number), packet);
                    }
                    number += 1;
                }
                _ => break,
            }
        }
        self.trim();
    }

    /// The outstanding packets, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = (PacketNumber, &SentPacket<C>)> {
        (self.base..)
            .zip(&self.slots)
            .filter_map(|(number, slot)| match slot {
                Slot::Packet(packet) => Some((PacketNumber(number), packet)),
                Slot::Gone(_) => None,
            })
    }

    const fn visit(&mut self) {
        #[cfg(test)]
        {
            self.visited += 1;
        }
    }

    fn index(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.base)?).ok()
    }

    fn slot(&self, number: u64) -> Option<&Slot<C>> {
        self.slots.get(self.index(number)?)
    }

    fn take(&mut self, number: PacketNumber) -> Option<SentPacket<C>> {
        let index = self.index(number.0)?;
        let slot = self.slots.get_mut(index)?;
        if matches!(slot, Slot::Gone(_)) {
            return None;
        }
        let Slot::Packet(packet) = core::mem::replace(slot, Slot::Gone(1)) else {
            return None;
        };
        self.bytes_in_flight -= u64::from(packet.size);
        self.outstanding -= 1;
        Some(packet)
    }

    /// The numbers from `start` to before `end` are all gone: the first one says so.
    fn join(&mut self, start: u64, end: u64) {
        let Some(index) = self.index(start).filter(|_| start < end) else {
            return;
        };
        if let Some(Slot::Gone(run)) = self.slots.get_mut(index) {
            *run = end - start;
        }
    }

    fn trim(&mut self) {
        while let Some(Slot::Gone(_)) = self.slots.front() {
            self.slots.pop_front();
            self.base += 1;
        }
    }
}

impl<C> Rest for SentPackets<C> {
    fn rest(&mut self) {
        self.slots.rest();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;
    use proptest::prelude::*;

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
            ring.push(packet(1_000));
        }
        let (mut acked, mut lost) = (0, 0);
        for largest in (1..PACKETS).step_by(2) {
            let first = largest / 100 * 100;
            for range in (0..64u64).map_while(|back| first.checked_sub(back * 100)) {
                ring.take_range(&(range + 1..=largest.min(range + 99)), |_, _| acked += 1);
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
            steps in proptest::collection::vec((0u8..3, 0u64..40, 0u64..20, 1u32..2_000), 1..80),
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
                        if size % 3 == 0 {
                            ring.skip();
                        } else {
                            ring.push(packet(size));
                            model.insert(next, size);
                        }
                        next += 1;
                    }
                    1 => {
                        ring.take_range(&range, |n, p| out.push((n.0, p.contents)));
                        expected.extend(model.range(range.clone()).map(|(n, s)| (*n, *s)));
                        model.retain(|n, _| !range.contains(n));
                    }
                    _ => {
                        let limit = PacketNumber(*range.end());
                        ring.take_lost(limit, |_, p| p.size < size, |n, p| out.push((n.0, p.size)));
                        let lost = model.range(..limit.0).take_while(|(_, s)| **s < size);
                        expected.extend(lost.map(|(n, s)| (*n, *s)));
                        model.retain(|n, _| expected.iter().all(|(lost, _)| lost != n));
                    }
                }
                prop_assert_eq!(out, expected);
                let bytes: u64 = model.values().map(|size| u64::from(*size)).sum();
                prop_assert_eq!(ring.bytes_in_flight(), bytes);
                prop_assert_eq!(ring.is_any_in_flight(), !model.is_empty());
                prop_assert!(ring.iter().map(|(n, p)| (n.0, p.size)).eq(model.clone()));
            }
        }
    }
}
