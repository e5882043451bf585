//! Messages from the moment they are accepted until they are acknowledged (or, unreliable ones,
//! sent).

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::fragment_size;
use crate::ids::MessageId;
use crate::limits::{QUEUED_DATAGRAMS_MAX, QUEUED_MESSAGES_MAX};
use crate::planted::{self, Bug};
use crate::range_set::RangeSet;
use crate::time::Instant;

/// One message being sent.
#[derive(Debug)]
struct Outgoing {
    data: Vec<u8>,
    /// Number of fragments; 1: whole.
    total: u16,
    /// The first fragment that was never sent.
    next: u16,
    lost: RangeSet,
    acknowledged: RangeSet,
    /// Unreliable ones: not sent after this.
    expires: Option<Instant>,
}

/// A whole message or one of its fragments, to be sent next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    /// The message.
    pub id: MessageId,
    /// Reliable or not.
    pub reliable: bool,
    /// Which fragment.
    pub index: u16,
    /// Of how many; 1: the message is whole.
    pub total: u16,
    /// Bytes of this part.
    pub len: usize,
    /// Bytes of the message.
    pub message_len: u64,
    /// Never sent before, so it counts against flow control.
    pub is_new: bool,
}

/// All outgoing messages of a connection.
#[derive(Debug, Default)]
pub(crate) struct OutgoingMessages {
    reliable: BTreeMap<MessageId, Outgoing>,
    /// Those with fragments never sent, in order.
    fresh: VecDeque<MessageId>,
    /// Those with lost fragments.
    lost: BTreeSet<MessageId>,
    next_id: u64,
    datagrams: VecDeque<(MessageId, Outgoing)>,
    next_datagram_id: u64,
    buffered: u64,
    expired: u64,
}

impl OutgoingMessages {
    /// Bytes of reliable messages not yet acknowledged.
    #[must_use]
    pub(crate) const fn buffered(&self) -> u64 {
        self.buffered
    }

    /// Datagrams that were dropped before they could be sent.
    #[must_use]
    pub(crate) const fn expired(&self) -> u64 {
        self.expired
    }

    /// Whether a further reliable message is welcome.
    #[must_use]
    pub(crate) fn has_room(&self) -> bool {
        self.reliable.len() < QUEUED_MESSAGES_MAX
    }

    /// Accepts a reliable message; `part_max` bytes fit a packet. The caller has checked length and
    /// room.
    pub(crate) fn push_reliable(&mut self, data: Vec<u8>, part_max: usize) -> MessageId {
        let id = MessageId(self.next_id);
        self.next_id += 1;
        self.buffered += data.len() as u64;
        self.reliable
            .insert(id, Outgoing::new(data, part_max, None));
        self.fresh.push_back(id);
        id
    }

    /// Accepts a datagram; the oldest is dropped when too many wait.
    pub(crate) fn push_datagram(
        &mut self,
        data: Vec<u8>,
        part_max: usize,
        expires: Option<Instant>,
    ) -> MessageId {
        let id = MessageId(self.next_datagram_id);
        self.next_datagram_id += 1;
        if self.datagrams.len() >= QUEUED_DATAGRAMS_MAX {
            self.datagrams.pop_front();
            self.expired += 1;
        }
        self.datagrams
            .push_back((id, Outgoing::new(data, part_max, expires)));
        id
    }

    /// The reliable part to send next: lost ones first; a new one only within `credit`.
    #[must_use]
    pub(crate) fn peek_reliable(&self, credit: u64) -> Option<Part> {
        if let Some(id) = self.lost.first() {
            let message = self.reliable.get(id)?;
            let index = message
                .lost
                .first()
                .and_then(|range| u16::try_from(range.start).ok())?;
            return Some(message.part(*id, true, index, false));
        }
        let id = self.fresh.front()?;
        let message = self.reliable.get(id)?;
        let part = message.part(*id, true, message.next, true);
        (part.len as u64 <= credit).then_some(part)
    }

    /// The datagram part to send next; expired datagrams are dropped.
    pub(crate) fn peek_datagram(&mut self, now: Instant) -> Option<Part> {
        while let Some((id, datagram)) = self.datagrams.front() {
            // One that has begun to leave is sent to its end.
            if datagram.next > 0 || datagram.expires.is_none_or(|expires| now <= expires) {
                return Some(datagram.part(*id, false, datagram.next, true));
            }
            self.datagrams.pop_front();
            self.expired += 1;
        }
        None
    }

    /// Whether anything may be sent within `credit`.
    #[must_use]
    pub(crate) fn has_work(&self, credit: u64) -> bool {
        !self.datagrams.is_empty() || self.peek_reliable(credit).is_some()
    }

    /// Appends the bytes of a peeked part to `out` and counts it as sent.
    pub(crate) fn take(&mut self, part: &Part, out: &mut Vec<u8>) {
        if !part.reliable {
            if let Some((_, datagram)) = self.datagrams.front_mut() {
                datagram.copy(part.index, out);
                datagram.next += 1;
                if datagram.next >= datagram.total {
                    self.datagrams.pop_front();
                }
            }
            return;
        }
        let Some(message) = self.reliable.get_mut(&part.id) else {
            return;
        };
        message.copy(part.index, out);
        if part.is_new {
            message.next += 1;
            if message.next >= message.total {
                self.fresh.pop_front();
            }
        } else {
            message.lost.pop_first(1);
            if message.lost.is_empty() {
                self.lost.remove(&part.id);
            }
        }
    }

    /// A reliable part was acknowledged. Returns true when its message is complete.
    pub(crate) fn on_acknowledged(&mut self, id: MessageId, index: u16) -> bool {
        let Some(message) = self.reliable.get_mut(&id) else {
            return false;
        };
        let index = u64::from(index);
        message.acknowledged.insert(index..index + 1);
        message.lost.remove(index..index + 1);
        if message.lost.is_empty() {
            self.lost.remove(&id);
        }
        let complete = message.acknowledged.first() == Some(0..u64::from(message.total));
        if complete {
            self.buffered -= message.data.len() as u64;
            self.reliable.remove(&id);
        }
        complete
    }

    /// A reliable part was declared lost.
    pub(crate) fn on_lost(&mut self, id: MessageId, index: u16) {
        let Some(message) = self.reliable.get_mut(&id) else {
            return;
        };
        let index = u64::from(index);
        let last = index + 1 == u64::from(message.total);
        if last && planted::is(Bug::LastFragmentNotRepeated) {
            return;
        }
        if !message.acknowledged.contains(index) {
            message.lost.insert(index..index + 1);
            self.lost.insert(id);
        }
    }

    /// Whether every message is acknowledged and every datagram sent.
    #[must_use]
    pub(crate) fn is_drained(&self) -> bool {
        self.reliable.is_empty() && self.datagrams.is_empty()
    }
}

impl Outgoing {
    fn new(data: Vec<u8>, part_max: usize, expires: Option<Instant>) -> Self {
        let total = data.len().div_ceil(part_max.max(1)).max(1);
        Self {
            data,
            total: u16::try_from(total).unwrap_or(u16::MAX),
            next: 0,
            lost: RangeSet::new(),
            acknowledged: RangeSet::new(),
            expires,
        }
    }

    fn range(&self, index: u16) -> core::ops::Range<usize> {
        let size = usize::try_from(fragment_size(self.data.len() as u64, self.total)).unwrap_or(0);
        let start = (usize::from(index) * size).min(self.data.len());
        start..(start + size).min(self.data.len())
    }

    fn part(&self, id: MessageId, reliable: bool, index: u16, is_new: bool) -> Part {
        Part {
            id,
            reliable,
            index,
            total: self.total,
            len: self.range(index).len(),
            message_len: self.data.len() as u64,
            is_new,
        }
    }

    fn copy(&self, index: u16, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.data[self.range(index)]);
    }
}

/// The longest message that fits `u16::MAX` fragments of `part_max` bytes.
#[must_use]
pub(crate) const fn longest(part_max: usize) -> u64 {
    part_max as u64 * u16::MAX as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn sent(messages: &mut OutgoingMessages, credit: u64) -> Option<(Part, Vec<u8>)> {
        let part = messages.peek_reliable(credit)?;
        let mut out = Vec::new();
        messages.take(&part, &mut out);
        assert_eq!(out.len(), part.len);
        Some((part, out))
    }

    #[test]
    fn fragments_cover_the_message_and_none_exceeds_a_packet() {
        for length in [0, 1, 99, 100, 101, 1_234, 99_999] {
            let data: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let mut messages = OutgoingMessages::default();
            messages.push_reliable(data.clone(), 100);
            let mut got = Vec::new();
            while let Some((part, out)) = sent(&mut messages, u64::MAX) {
                assert!(out.len() <= 100);
                assert_eq!(
                    got.len() as u64,
                    u64::from(part.index) * fragment_size(length, part.total)
                );
                got.extend(out);
            }
            assert_eq!(got, data);
        }
    }

    #[test]
    fn a_lost_fragment_goes_first_and_does_not_need_credit() {
        let mut messages = OutgoingMessages::default();
        let id = messages.push_reliable(vec![7; 250], 100);
        assert_eq!(
            sent(&mut messages, u64::MAX).map(|(part, _)| part.index),
            Some(0)
        );
        assert_eq!(sent(&mut messages, 10), None, "no credit for a new one");
        messages.on_lost(id, 0);
        let (part, _) = sent(&mut messages, 0).unwrap();
        assert_eq!((part.index, part.is_new), (0, false));
        sent(&mut messages, u64::MAX);
        sent(&mut messages, u64::MAX);
        assert!(!messages.on_acknowledged(id, 2) && !messages.on_acknowledged(id, 0));
        messages.on_lost(id, 0);
        assert_eq!(
            messages.peek_reliable(u64::MAX),
            None,
            "acknowledged before"
        );
        assert!(messages.on_acknowledged(id, 1));
        assert!(messages.is_drained() && messages.buffered() == 0);
    }

    #[test]
    fn expired_datagrams_do_not_leave() {
        let mut messages = OutgoingMessages::default();
        messages.push_datagram(vec![1], 100, Some(Instant::ZERO));
        let kept = messages.push_datagram(vec![2], 100, None);
        let later = Instant::from_nanos(1);
        assert_eq!(
            messages.peek_datagram(later).map(|part| part.id),
            Some(kept)
        );
        assert_eq!(messages.expired(), 1);
    }

    #[test]
    fn at_the_limit_the_oldest_datagram_makes_room() {
        let mut messages = OutgoingMessages::default();
        for _ in 0..=QUEUED_DATAGRAMS_MAX {
            messages.push_datagram(vec![1], 100, None);
        }
        assert_eq!(messages.datagrams.len(), QUEUED_DATAGRAMS_MAX);
        assert_eq!(
            messages.peek_datagram(Instant::ZERO).map(|part| part.id),
            Some(MessageId(1))
        );
    }
}
