//! Messages from the moment they are accepted until they are acknowledged, given up, or, unreliable
//! ones, sent.
//!
//! A message that expires is given up on both ends: its bytes are forgotten here, and the peer is
//! told how many of them had taken credit (`docs/wire.md` W-MSG-5; the idea of RFC 3758).

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::datagrams::OutgoingDatagrams;
use super::{Label, fragment_size};
use crate::ids::MessageId;
use crate::io::Delivery;
use crate::limits::QUEUED_MESSAGES_MAX;
use crate::options::{Priority, SendOptions};
use crate::planted::{self, Bug};
use crate::range_set::RangeSet;
use crate::rest::{Queues, Rest, Sparse};
use crate::time::Instant;

/// The bytes of a message as they travel.
#[derive(Debug)]
pub(crate) struct Packed {
    /// The bytes.
    pub data: Vec<u8>,
    /// Their length before they were compressed.
    pub uncompressed: Option<u64>,
}

impl From<Vec<u8>> for Packed {
    fn from(data: Vec<u8>) -> Self {
        Self {
            data,
            uncompressed: None,
        }
    }
}

/// The bytes of a message, cut into fragments.
#[derive(Debug)]
pub(super) struct Parted {
    data: Vec<u8>,
    uncompressed: Option<u64>,
    /// Number of fragments; 1: whole.
    total: u16,
}

/// One reliable message being sent.
#[derive(Debug)]
struct Outgoing {
    parted: Parted,
    /// The first fragment that was never sent.
    next: u16,
    lost: RangeSet,
    acknowledged: RangeSet,
    priority: Priority,
    /// Given up at this time.
    expires: Option<Instant>,
    /// Its place among the ordered ones.
    order: Option<u64>,
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
    /// From 0, the most urgent, to 7.
    pub urgency: usize,
    /// What else is said of the message.
    pub label: Label,
}

/// All outgoing messages of a connection.
#[derive(Debug)]
pub(crate) struct OutgoingMessages {
    reliable: BTreeMap<MessageId, Outgoing>,
    /// Those with fragments never sent, by urgency, in order.
    fresh: Queues<MessageId>,
    /// Those with lost fragments, by urgency.
    lost: Sparse<BTreeSet<(usize, MessageId)>>,
    next_id: u64,
    buffered: u64,
    /// Bytes of messages of which some fragments were sent and some never, and the most there may be
    /// (W-FLW-4).
    begun: u64,
    begun_max: u64,
    next_order: u64,
    /// Ordered messages in `fresh`, and their urgency: they leave in order.
    ordered: (usize, Priority),
    expiries: Sparse<BTreeSet<(Instant, MessageId)>>,
    /// Given up, and how many bytes had been sent by then, until the peer has acknowledged to know.
    given_up: Sparse<BTreeMap<MessageId, u64>>,
    /// Those of which the peer is to be told.
    to_tell: Sparse<BTreeSet<MessageId>>,
    datagrams: OutgoingDatagrams,
}

impl Default for OutgoingMessages {
    fn default() -> Self {
        Self {
            reliable: BTreeMap::new(),
            fresh: Queues::default(),
            lost: Sparse::default(),
            next_id: 0,
            buffered: 0,
            begun: 0,
            begun_max: u64::MAX,
            next_order: 0,
            ordered: (0, Priority::MESSAGE),
            expiries: Sparse::default(),
            given_up: Sparse::default(),
            to_tell: Sparse::default(),
            datagrams: OutgoingDatagrams::default(),
        }
    }
}

impl OutgoingMessages {
    /// The peer accepts messages of `longest` bytes, and so many bytes of begun ones.
    pub(crate) const fn set_longest(&mut self, longest: u64) {
        self.begun_max = longest;
    }

    /// As if `count` messages and as many datagrams had been sent and acknowledged.
    #[cfg(test)]
    pub(crate) const fn go_on_with(&mut self, count: u64) {
        self.next_id = count;
        self.datagrams.go_on_with(count);
    }

    /// Bytes of reliable messages not yet acknowledged.
    #[must_use]
    pub(crate) const fn buffered(&self) -> u64 {
        self.buffered
    }

    /// Datagrams that were dropped before they could be sent.
    #[must_use]
    pub(crate) const fn expired(&self) -> u64 {
        self.datagrams.dropped()
    }

    /// Whether a further reliable message is welcome.
    #[must_use]
    pub(crate) fn has_room(&self) -> bool {
        self.reliable.len() + self.given_up.len() < QUEUED_MESSAGES_MAX
    }

    /// Accepts a message; `part_max` bytes fit a packet. The caller has checked length and, for one
    /// that is not unreliable, room.
    pub(crate) fn push(
        &mut self,
        data: impl Into<Packed>,
        part_max: usize,
        options: &SendOptions,
    ) -> MessageId {
        let parted = Parted::new(data, part_max);
        let mut priority = options.priority;
        let (mut order, mut expires) = (None, None);
        match options.delivery {
            Delivery::Unreliable { expires } => {
                return self.datagrams.push(parted, expires, priority);
            }
            Delivery::Reliable => {}
            Delivery::Until { expires: until } => expires = Some(until),
            Delivery::Ordered => {
                (order, priority) = (Some(self.next_order), self.ordered_priority(priority));
            }
        }
        let id = MessageId(self.next_id);
        self.next_id += 1;
        self.next_order += u64::from(order.is_some());
        self.buffered += parted.data.len() as u64;
        self.expiries.extend(expires.map(|at| (at, id)));
        self.fresh[priority.slot()].push_back(id);
        let message = Outgoing {
            parted,
            next: 0,
            lost: RangeSet::new(),
            acknowledged: RangeSet::new(),
            priority,
            expires,
            order,
        };
        self.reliable.insert(id, message);
        id
    }

    /// Who comes after others may not leave before them: the peer would hold what it cannot deliver,
    /// and the credit for what is missing with it. So an ordered message is never more urgent than
    /// the ordered ones that still wait.
    fn ordered_priority(&mut self, wanted: Priority) -> Priority {
        let (waiting, before) = self.ordered;
        let urgency = match waiting {
            0 => wanted.urgency(),
            _ => wanted.urgency().max(before.urgency()),
        };
        let priority = Priority::new(urgency);
        self.ordered = (waiting + 1, priority);
        priority
    }

    /// The reliable part to send next: the most urgent, lost ones first; a new one only within
    /// `credit`.
    #[must_use]
    pub(crate) fn peek_reliable(&self, credit: u64) -> Option<Part> {
        if self.reliable.is_empty() {
            return None;
        }
        let fresh = self.peek_fresh(credit);
        if let Some((urgency, id)) = self.lost.first()
            && fresh.is_none_or(|part| *urgency <= part.urgency)
        {
            let message = self.reliable.get(id)?;
            let index = message
                .lost
                .first()
                .and_then(|range| u16::try_from(range.start).ok())?;
            return Some(message.part(*id, index, false));
        }
        fresh
    }

    fn peek_fresh(&self, credit: u64) -> Option<Part> {
        let first = self.fresh.iter().find_map(VecDeque::front)?;
        let part = |id: &MessageId| {
            let message = self.reliable.get(id)?;
            Some(message.part(*id, message.next, true))
        };
        let mut next = part(first)?;
        let begins = next.index == 0 && next.total > 1;
        if begins && self.begun > 0 && self.begun + next.message_len > self.begun_max {
            // The peer need not have room for both: what has begun is finished first.
            let begun = |part: &Part| part.index > 0;
            next = self.fresh.iter().flatten().filter_map(part).find(begun)?;
        }
        (next.len as u64 <= credit).then_some(next)
    }

    /// The datagram part to send next; expired datagrams are dropped.
    pub(crate) fn peek_datagram(&mut self, now: Instant) -> Option<Part> {
        self.datagrams.peek(now)
    }

    /// Whether the peer is to be told of messages that were given up.
    #[must_use]
    pub(crate) fn has_given_up(&self) -> bool {
        !self.to_tell.is_empty()
    }

    /// Whether anything may be sent within `credit`.
    #[must_use]
    pub(crate) fn has_work(&self, credit: u64) -> bool {
        !self.datagrams.is_empty()
            || !self.to_tell.is_empty()
            || self.peek_reliable(credit).is_some()
    }

    /// Appends the bytes of a peeked part to `out` and counts it as sent.
    pub(crate) fn take(&mut self, part: &Part, out: &mut Vec<u8>) {
        if !part.reliable {
            self.datagrams.take(part, out);
            return;
        }
        let Some(message) = self.reliable.get_mut(&part.id) else {
            return;
        };
        message.parted.copy(part.index, out);
        if part.is_new {
            message.next += 1;
            self.on_fragment_sent(part);
        } else {
            message.lost.pop_first(1);
            if message.lost.is_empty() {
                self.lost.remove(&(part.urgency, part.id));
            }
        }
    }

    /// A fragment left for the first time.
    fn on_fragment_sent(&mut self, part: &Part) {
        let Some(message) = self.reliable.get(&part.id) else {
            return;
        };
        let (done, incremental) = (
            message.next >= part.total,
            message.priority.is_incremental(),
        );
        if part.index == 0 && !done {
            self.begun += part.message_len;
        }
        if done && part.total > 1 {
            self.begun -= part.message_len;
        }
        if done || incremental {
            self.remove_fresh(part.urgency, part.id);
        }
        if done {
            self.ordered.0 -= usize::from(part.label.order.is_some());
        } else if incremental {
            self.fresh[part.urgency].push_back(part.id);
        }
    }

    /// Takes a message out of its queue, at whose front it usually is.
    fn remove_fresh(&mut self, urgency: usize, id: MessageId) {
        let queue = &mut self.fresh[urgency];
        if let Some(at) = queue.iter().position(|it| *it == id) {
            queue.remove(at);
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
            self.lost.remove(&(message.priority.slot(), id));
        }
        let complete = message.acknowledged.first() == Some(0..u64::from(message.parted.total));
        if complete {
            self.buffered -= message.parted.data.len() as u64;
            if let Some(at) = message.expires {
                self.expiries.remove(&(at, id));
            }
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
        let last = index + 1 == u64::from(message.parted.total);
        if last && planted::is(Bug::LastFragmentNotRepeated) {
            return;
        }
        if !message.acknowledged.contains(index) {
            message.lost.insert(index..index + 1);
            self.lost.insert((message.priority.slot(), id));
        }
    }

    /// When the next message is to be given up.
    #[must_use]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// Gives up the next message whose time has come; call until None.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<MessageId> {
        let (at, id) = *self.expiries.first()?;
        if at > now {
            return None;
        }
        self.expiries.pop_first();
        let message = self.reliable.remove(&id)?;
        let length = message.parted.data.len() as u64;
        let sent = message.parted.range(message.next).start as u64;
        let urgency = message.priority.slot();
        self.buffered -= length;
        self.lost.remove(&(urgency, id));
        if message.next < message.parted.total {
            self.remove_fresh(urgency, id);
            if message.next > 0 {
                self.begun -= length;
            }
        }
        self.given_up.insert(id, sent);
        self.to_tell.insert(id);
        Some(id)
    }

    /// A message of whose end the peer is to be told, and how many of its bytes had been sent.
    pub(crate) fn poll_given_up(&mut self) -> Option<(MessageId, u64)> {
        let id = self.to_tell.pop_first()?;
        Some((id, *self.given_up.get(&id)?))
    }

    /// The peer knows that a message was given up.
    pub(crate) fn on_given_up_acknowledged(&mut self, id: MessageId) {
        self.given_up.remove(&id);
        self.to_tell.remove(&id);
    }

    /// The peer may not know that a message was given up.
    pub(crate) fn on_given_up_lost(&mut self, id: MessageId) {
        if self.given_up.contains_key(&id) {
            self.to_tell.insert(id);
        }
    }

    /// Whether every message is acknowledged or known to be given up, and every datagram sent.
    #[must_use]
    pub(crate) fn is_drained(&self) -> bool {
        self.reliable.is_empty() && self.given_up.is_empty() && self.datagrams.is_empty()
    }
}

impl Rest for OutgoingMessages {
    fn rest(&mut self) {
        self.reliable.rest();
        self.fresh.rest();
        self.lost.rest();
        self.expiries.rest();
        self.given_up.rest();
        self.to_tell.rest();
        self.datagrams.rest();
    }
}

impl Parted {
    /// Cuts `data` into fragments of at most `part_max` bytes.
    pub(super) fn new(data: impl Into<Packed>, part_max: usize) -> Self {
        let Packed { data, uncompressed } = data.into();
        let total = data.len().div_ceil(part_max.max(1)).max(1);
        Self {
            data,
            uncompressed,
            total: u16::try_from(total).unwrap_or(u16::MAX),
        }
    }

    fn range(&self, index: u16) -> core::ops::Range<usize> {
        let size = usize::try_from(fragment_size(self.data.len() as u64, self.total)).unwrap_or(0);
        let start = (usize::from(index) * size).min(self.data.len());
        start..(start + size).min(self.data.len())
    }

    /// A part of a message that says nothing beside where it belongs.
    pub(super) fn part(&self, id: MessageId, index: u16) -> Part {
        Part {
            id,
            reliable: true,
            index,
            total: self.total,
            len: self.range(index).len(),
            message_len: self.data.len() as u64,
            is_new: false,
            urgency: 0,
            label: Label {
                order: None,
                uncompressed: self.uncompressed,
            },
        }
    }

    pub(super) fn copy(&self, index: u16, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.data[self.range(index)]);
    }
}

impl Outgoing {
    fn part(&self, id: MessageId, index: u16, is_new: bool) -> Part {
        let part = self.parted.part(id, index);
        Part {
            is_new,
            urgency: self.priority.slot(),
            label: Label {
                order: self.order,
                ..part.label
            },
            ..part
        }
    }
}

/// The longest message that fits `u16::MAX` fragments of `part_max` bytes.
#[must_use]
pub(crate) const fn longest(part_max: usize) -> u64 {
    part_max as u64 * u16::MAX as u64
}

#[cfg(test)]
mod tests;
