//! Unreliable messages on their way out: sent once, the most urgent first, the oldest dropped when
//! too many wait.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::outgoing::{Part, Parted};
use crate::ids::MessageId;
use crate::limits::QUEUED_DATAGRAMS_MAX;
use crate::options::{Priority, URGENCIES};
use crate::rest::{Queues, Rest};
use crate::time::Instant;

/// One datagram that waits.
#[derive(Debug)]
struct Waiting {
    id: MessageId,
    parted: Parted,
    /// The first fragment that was never sent.
    next: u16,
    /// Not sent after this.
    expires: Option<Instant>,
}

/// The datagrams of a connection that were not sent yet.
#[derive(Debug, Default)]
pub(super) struct OutgoingDatagrams {
    queues: Queues<Waiting>,
    waiting: usize,
    next_id: u64,
    dropped: u64,
}

impl Rest for OutgoingDatagrams {
    fn rest(&mut self) {
        self.queues.rest();
    }
}

impl OutgoingDatagrams {
    /// As if `count` datagrams had been sent.
    #[cfg(test)]
    pub(super) const fn go_on_with(&mut self, count: u64) {
        self.next_id = count;
    }

    pub(super) fn push(
        &mut self,
        parted: Parted,
        expires: Option<Instant>,
        priority: Priority,
    ) -> MessageId {
        let id = MessageId(self.next_id);
        self.next_id += 1;
        if self.waiting >= QUEUED_DATAGRAMS_MAX {
            // The least urgent gives way, and of those the oldest.
            let queue = self.queues.iter_mut().rev().find(|it| !it.is_empty());
            if queue.and_then(VecDeque::pop_front).is_some() {
                self.on_dropped();
            }
        }
        self.waiting += 1;
        self.queues[priority.slot()].push_back(Waiting {
            id,
            parted,
            next: 0,
            expires,
        });
        id
    }

    /// The part to send next; expired datagrams are dropped.
    pub(super) fn peek(&mut self, now: Instant) -> Option<Part> {
        if self.waiting == 0 {
            return None;
        }
        for urgency in 0..URGENCIES {
            while let Some(first) = self.queues[urgency].front() {
                // One that has begun to leave is sent to its end.
                if first.next > 0 || first.expires.is_none_or(|expires| now <= expires) {
                    return Some(Part {
                        reliable: false,
                        urgency,
                        is_new: true,
                        ..first.parted.part(first.id, first.next)
                    });
                }
                self.queues[urgency].pop_front();
                self.on_dropped();
            }
        }
        None
    }

    /// Appends the bytes of a peeked part and counts it as sent.
    pub(super) fn take(&mut self, part: &Part, out: &mut Vec<u8>) {
        let queue = &mut self.queues[part.urgency];
        let Some(first) = queue.front_mut() else {
            return;
        };
        first.parted.copy(part.index, out);
        first.next += 1;
        if first.next >= part.total {
            queue.pop_front();
            self.waiting -= 1;
        }
    }

    /// Whether none waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Those dropped before they could be sent.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    fn on_dropped(&mut self) {
        self.waiting -= 1;
        self.dropped += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn push(datagrams: &mut OutgoingDatagrams, urgency: u8) -> MessageId {
        let parted = Parted::new(vec![urgency], 100);
        datagrams.push(parted, None, Priority::new(urgency))
    }

    fn next(datagrams: &mut OutgoingDatagrams) -> Option<MessageId> {
        let part = datagrams.peek(Instant::ZERO)?;
        datagrams.take(&part, &mut Vec::new());
        Some(part.id)
    }

    #[test]
    fn the_most_urgent_leaves_first_and_the_least_urgent_makes_room() {
        let mut datagrams = OutgoingDatagrams::default();
        let idle = push(&mut datagrams, 7);
        let usual: Vec<_> = (1..QUEUED_DATAGRAMS_MAX)
            .map(|_| push(&mut datagrams, 3))
            .collect();
        assert_eq!(
            (datagrams.waiting, datagrams.dropped),
            (QUEUED_DATAGRAMS_MAX, 0)
        );
        let urgent = push(&mut datagrams, 0);
        assert_eq!(
            (datagrams.waiting, datagrams.dropped),
            (QUEUED_DATAGRAMS_MAX, 1)
        );
        assert_eq!(next(&mut datagrams), Some(urgent));
        assert_eq!(next(&mut datagrams), Some(usual[0]));
        let rest: Vec<_> = core::iter::from_fn(|| next(&mut datagrams)).collect();
        assert!(!rest.contains(&idle) && rest.len() == usual.len() - 1);
        assert!(datagrams.is_empty());
    }
}
