//! Sent packets by number: a ring, so that lookup is an index and nothing is sorted
//! (`docs/wire.md` W-PN-1: numbers only rise).

use alloc::collections::VecDeque;
use core::ops::RangeInclusive;

use crate::ids::PacketNumber;
use crate::planted::{self, Bug};
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

/// The sent packets of one connection; `C` says what a packet carried.
#[derive(Debug)]
pub struct SentPackets<C> {
    /// Number of the slot at the front.
    base: u64,
    slots: VecDeque<Option<SentPacket<C>>>,
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

    /// Adds the packet with number [`Self::next_number`].
    pub fn push(&mut self, packet: SentPacket<C>) {
        self.bytes_in_flight += u64::from(packet.size);
        self.outstanding += 1;
        self.slots.push_back(Some(packet));
    }

    /// Counts a packet with number [`Self::next_number`] that nobody has to acknowledge: nothing is
    /// kept of it.
    pub fn skip(&mut self) {
        self.slots.push_back(None);
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
        let end = (*range.end()).min((self.base + self.slots.len() as u64).saturating_sub(1));
        for number in start..=end {
            self.visit();
            if let Some(packet) = self.take(PacketNumber(number)) {
                each(PacketNumber(number), packet);
            }
        }
        self.trim();
    }

    /// Takes out, lowest first, the packets below `limit` for which `is_lost` holds.
    pub fn take_lost(
        &mut self,
        limit: PacketNumber,
        mut is_lost: impl FnMut(PacketNumber, &SentPacket<C>) -> bool,
        mut each: impl FnMut(PacketNumber, SentPacket<C>),
    ) {
        let mut number = self.base;
        while number < limit.0 {
            self.visit();
            let Some(slot) = self.slot(number) else { break };
            if slot
                .as_ref()
                .is_some_and(|packet| is_lost(PacketNumber(number), packet))
                && let Some(packet) = self.take(PacketNumber(number))
            {
                if planted::is(Bug::InFlightLeaksOnLoss) {
                    self.bytes_in_flight += u64::from(packet.size);
                }
                each(PacketNumber(number), packet);
            }
            number += 1;
        }
        self.trim();
    }

    /// The outstanding packets, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = (PacketNumber, &SentPacket<C>)> {
        (self.base..)
            .zip(&self.slots)
            .filter_map(|(number, slot)| Some((PacketNumber(number), slot.as_ref()?)))
    }

    const fn visit(&mut self) {
        #[cfg(test)]
        {
            self.visited += 1;
        }
    }

    fn slot(&self, number: u64) -> Option<&Option<SentPacket<C>>> {
        self.slots
            .get(usize::try_from(number.checked_sub(self.base)?).ok()?)
    }

    fn take(&mut self, number: PacketNumber) -> Option<SentPacket<C>> {
        let index = usize::try_from(number.0.checked_sub(self.base)?).ok()?;
        let packet = self.slots.get_mut(index)?.take()?;
        self.bytes_in_flight -= u64::from(packet.size);
        self.outstanding -= 1;
        Some(packet)
    }

    fn trim(&mut self) {
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.base += 1;
        }
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
        const THRESHOLD: u64 = 256;
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
        assert!(lost >= PACKETS / 100 - 3, "{lost}");
        let each = ring.visited / PACKETS;
        assert!(each <= 3 * THRESHOLD, "{each} times");
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
                        let lost = model.range(..limit.0).filter(|(_, s)| **s < size);
                        expected.extend(lost.map(|(n, s)| (*n, *s)));
                        model.retain(|n, s| *n >= limit.0 || *s >= size);
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
