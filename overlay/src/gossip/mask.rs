//! A set of neighbours in 32 bytes: a bit for each of [`PEERS_MAX`] places.

use crate::limits::PEERS_MAX;

const WORDS: usize = PEERS_MAX.div_ceil(64);

/// A neighbour's place: it keeps it while it is connected.
pub(crate) type Slot = u8;

const _: () = assert!(PEERS_MAX <= 256, "a slot is a byte");

/// A set of slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Mask([u64; WORDS]);

impl Mask {
    fn split(slot: Slot) -> (usize, u64) {
        (usize::from(slot) / 64, 1 << (slot % 64))
    }

    /// Whether `slot` is in it.
    pub(crate) fn has(&self, slot: Slot) -> bool {
        let (word, bit) = Self::split(slot);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Puts `slot` in or takes it out.
    pub(crate) fn set(&mut self, slot: Slot, is_in: bool) {
        let (word, bit) = Self::split(slot);
        if let Some(word) = self.0.get_mut(word) {
            *word = if is_in { *word | bit } else { *word & !bit };
        }
    }

    /// The lowest slot that is not in it.
    pub(crate) fn first_free(&self) -> Option<Slot> {
        (0..=Slot::MAX)
            .take(PEERS_MAX)
            .find(|&slot| !self.has(slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_every_slot_and_finds_the_free_one() {
        let mut mask = Mask::default();
        for slot in 0..=Slot::MAX {
            assert_eq!(mask.first_free(), Some(slot));
            mask.set(slot, true);
            assert!(mask.has(slot));
        }
        assert_eq!(mask.first_free(), None);
        mask.set(77, false);
        assert_eq!(mask.first_free(), Some(77));
    }
}
