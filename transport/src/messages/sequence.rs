//! Ordered messages that came before their turn (`docs/wire.md` W-MSG-4).

use alloc::collections::BTreeMap;

use crate::error::PeerViolation;
use crate::io::Message;
use crate::limits::RECEIVED_MESSAGES_MAX;
use crate::rest::{Rest, Sparse};

/// A complete message, as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Held {
    /// The message; compressed, if it came so.
    pub(super) message: Message,
    /// Its length when it is not compressed any more.
    pub(super) uncompressed: Option<u64>,
}

/// Complete ordered messages of which an earlier one is missing. Their bytes keep the credit they
/// took; how many there may be is bounded beside.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    next: u64,
    waiting: Sparse<BTreeMap<u64, Held>>,
}

impl Rest for Sequence {
    fn rest(&mut self) {
        self.waiting.rest();
    }
}

impl Sequence {
    /// Whether the message at `order` may be stored: the next one always may.
    pub(super) fn has_room(&self, order: u64) -> bool {
        order == self.next || self.waiting.len() < RECEIVED_MESSAGES_MAX
    }

    /// A complete message, which is new.
    ///
    /// # Errors
    /// [`PeerViolation::MessageOrder`]: another one had this place.
    pub(super) fn insert(&mut self, order: u64, message: Held) -> Result<(), PeerViolation> {
        if order < self.next || self.waiting.contains_key(&order) {
            return Err(PeerViolation::MessageOrder);
        }
        self.waiting.insert(order, message);
        Ok(())
    }

    /// The next message in order, if it is there.
    pub(super) fn pop(&mut self) -> Option<Held> {
        let message = self.waiting.remove(&self.next)?;
        self.next += 1;
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::MessageId;
    use alloc::vec::Vec;

    fn message(id: u64) -> Held {
        Held {
            message: Message {
                id: MessageId(id),
                reliable: true,
                data: Vec::new(),
            },
            uncompressed: None,
        }
    }

    #[test]
    fn messages_wait_for_those_before_them() {
        let mut sequence = Sequence::default();
        for order in [2, 1, 4] {
            sequence.insert(order, message(order + 10)).unwrap();
            assert_eq!(sequence.pop(), None);
        }
        sequence.insert(0, message(10)).unwrap();
        let ids: Vec<_> = core::iter::from_fn(|| sequence.pop())
            .map(|held| held.message.id.0)
            .collect();
        assert_eq!(ids, [10, 11, 12]);
    }

    #[test]
    fn a_place_is_taken_once() {
        let mut sequence = Sequence::default();
        sequence.insert(1, message(1)).unwrap();
        let again = sequence.insert(1, message(2));
        assert_eq!(again, Err(PeerViolation::MessageOrder));
        sequence.insert(0, message(3)).unwrap();
        while sequence.pop().is_some() {}
        let past = sequence.insert(0, message(4));
        assert_eq!(past, Err(PeerViolation::MessageOrder));
    }

    #[test]
    fn at_the_bound_only_the_next_one_is_welcome() {
        let mut sequence = Sequence::default();
        for order in 1..=RECEIVED_MESSAGES_MAX as u64 {
            assert!(sequence.has_room(order));
            sequence.insert(order, message(order)).unwrap();
        }
        assert!(!sequence.has_room(RECEIVED_MESSAGES_MAX as u64 + 1));
        assert!(sequence.has_room(0));
    }
}
