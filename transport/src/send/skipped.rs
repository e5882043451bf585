//! Packet numbers that are left out on purpose (RFC 9000 §21.4).
//!
//! A receiver who acknowledges what has not arrived yet makes its peer send faster than the path
//! carries. It cannot know which numbers never will arrive: acknowledging one of those proves it.

use alloc::collections::VecDeque;
use core::ops::RangeInclusive;

use crate::ids::PacketNumber;
use crate::rest::{Rest, Sparse};

/// Numbers that are remembered. At the distances below they reach back further than a receiver's
/// window of 8,192.
const REMEMBERED: usize = 8;
/// Packets before the first one, at least, and the mask of a random number of further ones. A guess:
/// within the first second of a fast transfer.
const FIRST: (u64, u32) = (64, 0xff);
/// The same for all that follow. Each leaves a hole in the peer's acknowledgements, which it reports
/// until it knows that we have heard; so there are few in a window.
const NEXT: (u64, u32) = (1_024, 0x7ff);

/// The numbers that one connection leaves out.
#[derive(Debug, Default)]
pub(crate) struct SkippedNumbers {
    next: Option<u64>,
    recent: Sparse<VecDeque<u64>>,
}

impl Rest for SkippedNumbers {
    fn rest(&mut self) {
        self.recent.rest();
    }
}

impl SkippedNumbers {
    /// Whether [`Self::arm`] is wanted.
    #[must_use]
    pub(crate) const fn is_unarmed(&self) -> bool {
        self.next.is_none()
    }

    /// Chooses the next number to leave out, some way from `number`, the next one to be sent.
    pub(crate) fn arm(&mut self, number: PacketNumber, random: u32) {
        let (least, mask) = if self.recent.is_empty() { FIRST } else { NEXT };
        let distance = least + u64::from(random & mask);
        self.next = Some(number.0.saturating_add(distance));
    }

    /// Whether `number` is to be left out now.
    pub(crate) fn take(&mut self, number: PacketNumber) -> bool {
        if self.next.is_none_or(|next| next > number.0) {
            return false;
        }
        self.next = None;
        if self.recent.len() >= REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(number.0);
        true
    }

    /// How many numbers may be used from `number` on before the next one to leave out.
    #[must_use]
    pub(crate) fn before_next(&self, number: PacketNumber) -> u64 {
        self.next
            .map_or(u64::MAX, |next| next.saturating_sub(number.0))
    }

    /// Whether an acknowledgement of `range` names a number that was left out.
    #[must_use]
    pub(crate) fn is_named_by(&self, range: &RangeInclusive<u64>) -> bool {
        self.recent.iter().any(|number| range.contains(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn leaves_a_number_out_once_and_knows_it() {
        let mut skipped = SkippedNumbers::default();
        assert!(skipped.is_unarmed() && !skipped.take(PacketNumber(5)));
        skipped.arm(PacketNumber(10), 3);
        assert!(!skipped.take(PacketNumber(76)));
        assert_eq!(skipped.before_next(PacketNumber(70)), 7);
        assert!(skipped.take(PacketNumber(77)) && !skipped.take(PacketNumber(77)));
        assert!(skipped.is_named_by(&(70..=80)) && skipped.is_named_by(&(77..=77)));
        assert!(!skipped.is_named_by(&(78..=1_000)) && !skipped.is_named_by(&(0..=76)));
        assert!(skipped.is_unarmed());
    }

    #[test]
    fn remembers_the_latest_only() {
        let mut skipped = SkippedNumbers::default();
        let mut number = 0;
        let mut all = Vec::new();
        for random in 0..20 {
            skipped.arm(PacketNumber(number), random * 77);
            while !skipped.take(PacketNumber(number)) {
                number += 1;
            }
            all.push(number);
            number += 1;
        }
        let (old, recent) = all.split_at(20 - REMEMBERED);
        assert!(old.iter().all(|it| !skipped.is_named_by(&(*it..=*it))));
        assert!(recent.iter().all(|it| skipped.is_named_by(&(*it..=*it))));
        assert!(recent[REMEMBERED - 1] - recent[0] > crate::limits::REPLAY_WINDOW_PACKETS - 1_100);
    }

    #[test]
    fn the_last_numbers_are_no_trouble() {
        let mut skipped = SkippedNumbers::default();
        skipped.arm(PacketNumber::MAX, u32::MAX);
        assert!(!skipped.take(PacketNumber::MAX));
    }
}
