//! Messages on their way in: reassembly within bounds, each delivered once.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::sequence::{Held, Sequence};
use super::{Label, compression, fragment_size};
use crate::error::PeerViolation;
use crate::flow::ReceiveFlow;
use crate::ids::{MessageId, reconstruct};
use crate::io::{Event, Message};
use crate::limits::{
    DATAGRAMS_IN_REASSEMBLY_MAX, MESSAGES_IN_REASSEMBLY_MAX, REASSEMBLY_PAGES_EXTRA,
    REASSEMBLY_RANGES_MAX, RECEIVED_DATAGRAMS_MAX, RECEIVED_MESSAGES_MAX,
};
use crate::planted::{self, Bug};
use crate::range_set::RangeSet;
use crate::recv::assembler::{Assembler, PAGE};
use crate::rest::{Rest, Sparse};
use crate::streams::Placed;

/// A message of which some fragments came.
#[derive(Debug)]
struct Partial {
    length: u64,
    total: u16,
    label: Label,
    assembler: Assembler,
}

/// Where a fragment belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Position {
    /// The message.
    pub id: MessageId,
    /// Which fragment.
    pub index: u16,
    /// Of how many (at least 2).
    pub total: u16,
    /// Bytes of the message.
    pub length: u64,
    /// What else is said of it.
    pub label: Label,
}

impl Position {
    /// The fragment's byte offset, if `data` is exactly what belongs there.
    fn offset_of(&self, data: &[u8]) -> Result<u64, PeerViolation> {
        let size = fragment_size(self.length, self.total);
        let offset = u64::from(self.index) * size;
        let expected = self.length.checked_sub(offset).map(|rest| rest.min(size));
        if expected != Some(data.len() as u64) || data.is_empty() {
            return Err(PeerViolation::FragmentMismatch);
        }
        Ok(offset)
    }
}

/// All incoming messages of a connection.
#[derive(Debug)]
pub(crate) struct IncomingMessages {
    max_message: u64,
    max_datagram: u64,
    /// Reliable messages that were completed.
    done: RangeSet,
    highest: u64,
    partial: Sparse<BTreeMap<MessageId, Partial>>,
    /// Bytes of the reliable ones of them, arrived or not.
    begun: u64,
    /// Pages that the reliable ones of them hold.
    pages: usize,
    /// Ordered ones whose turn has not come.
    sequence: Sequence,
    ready: VecDeque<Held>,
    highest_datagram: u64,
    partial_datagrams: Sparse<BTreeMap<MessageId, Partial>>,
    ready_datagrams: Sparse<VecDeque<Held>>,
    dropped_datagrams: u64,
    /// The peer was told that it may compress messages.
    takes_compressed: bool,
    /// A compressed message became something else than it claimed, when its turn came.
    violation: Option<PeerViolation>,
}

impl IncomingMessages {
    /// Accepts messages and datagrams up to these lengths.
    #[must_use]
    pub(crate) fn new(max_message: u64, max_datagram: u64) -> Self {
        Self {
            max_message,
            max_datagram,
            done: RangeSet::new(),
            highest: 0,
            partial: Sparse::default(),
            begun: 0,
            pages: 0,
            sequence: Sequence::default(),
            ready: VecDeque::new(),
            highest_datagram: 0,
            partial_datagrams: Sparse::default(),
            ready_datagrams: Sparse::default(),
            dropped_datagrams: 0,
            takes_compressed: false,
            violation: None,
        }
    }

    /// The same, and compressed ones too if `yes`.
    #[must_use]
    pub(crate) const fn taking_compressed(mut self, yes: bool) -> Self {
        self.takes_compressed = yes;
        self
    }

    /// What was wrong with a message that was to be delivered.
    #[must_use]
    pub(crate) const fn violation(&self) -> Option<PeerViolation> {
        self.violation
    }

    /// As if `count` messages and as many datagrams had come.
    #[cfg(test)]
    pub(crate) const fn go_on_with(&mut self, count: u64) {
        (self.highest, self.highest_datagram) = (count - 1, count - 1);
    }

    /// The message whose low 32 bits a header carries.
    #[must_use]
    pub(crate) const fn full_id(&self, low: u32, reliable: bool) -> MessageId {
        let near = if reliable {
            self.highest
        } else {
            self.highest_datagram
        };
        MessageId(reconstruct(low, near))
    }

    /// A whole reliable message came.
    ///
    /// # Errors
    /// The rule that the peer broke.
    pub(crate) fn on_message(
        &mut self,
        (id, label): (MessageId, Label),
        data: &[u8],
        flow: &mut ReceiveFlow,
        events: &mut VecDeque<Event>,
    ) -> Result<Placed, PeerViolation> {
        self.check_length(data.len() as u64, label, self.max_message)?;
        if self.partial.contains_key(&id) {
            return Err(PeerViolation::FragmentMismatch);
        }
        if self.done.contains(id.0) {
            return Ok(Placed::Yes);
        }
        if !self.may_complete(id, label) {
            return Ok(Placed::No);
        }
        flow.on_received(data.len() as u64)?;
        self.complete((id, label), data.to_vec(), events)?;
        Ok(Placed::Yes)
    }

    /// A fragment of a reliable message came.
    ///
    /// # Errors
    /// The rule that the peer broke.
    pub(crate) fn on_fragment(
        &mut self,
        at: Position,
        data: &[u8],
        flow: &mut ReceiveFlow,
        events: &mut VecDeque<Event>,
    ) -> Result<Placed, PeerViolation> {
        self.check_length(at.length, at.label, self.max_message)?;
        let offset = at.offset_of(data)?;
        if self.done.contains(at.id.0) {
            return Ok(Placed::Yes);
        }
        if !self.partial.contains_key(&at.id) {
            let beyond = usize::from(planted::is(Bug::ReassemblyBoundOffByOne));
            if self.partial.len() >= MESSAGES_IN_REASSEMBLY_MAX + beyond {
                return Ok(Placed::No);
            }
            self.partial.insert(at.id, Partial::new(&at));
            self.begun += at.length;
            flow.reserve(self.begun);
        }
        let may_complete = self.may_complete(at.id, at.label);
        let Some(partial) = self.partial.get_mut(&at.id) else {
            return Ok(Placed::No);
        };
        partial.check(&at, offset, data)?;
        if !may_complete && partial.would_complete(data.len()) {
            return Ok(Placed::No);
        }
        let wanted = partial.assembler.pages_wanted(offset, data.len());
        if wanted > 0 && self.pages + wanted > pages_max(flow.window()) {
            return Ok(Placed::No);
        }
        let Ok(added) = partial.assembler.insert(offset, data) else {
            return Ok(Placed::No);
        };
        self.pages += wanted;
        flow.on_received(added)?;
        if partial.is_complete() {
            self.pages -= partial.assembler.pages_held();
        }
        if let Some(data) = partial.take_complete() {
            self.partial.remove(&at.id);
            self.begun -= at.length;
            self.complete((at.id, at.label), data, events)?;
        }
        Ok(Placed::Yes)
    }

    /// A whole datagram came.
    ///
    /// # Errors
    /// The rule that the peer broke.
    pub(crate) fn on_datagram(
        &mut self,
        (id, label): (MessageId, Label),
        data: &[u8],
        events: &mut VecDeque<Event>,
    ) -> Result<(), PeerViolation> {
        self.check_length(data.len() as u64, label, self.max_datagram)?;
        self.highest_datagram = self.highest_datagram.max(id.0);
        self.complete_datagram((id, label), data.to_vec(), events);
        Ok(())
    }

    /// A fragment of a datagram came.
    ///
    /// # Errors
    /// The rule that the peer broke.
    pub(crate) fn on_datagram_fragment(
        &mut self,
        at: Position,
        data: &[u8],
        events: &mut VecDeque<Event>,
    ) -> Result<(), PeerViolation> {
        self.check_length(at.length, at.label, self.max_datagram)?;
        let offset = at.offset_of(data)?;
        self.highest_datagram = self.highest_datagram.max(at.id.0);
        if !self.partial_datagrams.contains_key(&at.id) {
            if self.partial_datagrams.len() >= DATAGRAMS_IN_REASSEMBLY_MAX {
                if self
                    .partial_datagrams
                    .first_key_value()
                    .is_some_and(|(old, _)| *old > at.id)
                {
                    self.dropped_datagrams += 1;
                    return Ok(());
                }
                self.partial_datagrams.pop_first();
                self.dropped_datagrams += 1;
            }
            self.partial_datagrams.insert(at.id, Partial::new(&at));
        }
        let Some(partial) = self.partial_datagrams.get_mut(&at.id) else {
            return Ok(());
        };
        partial.check(&at, offset, data)?;
        if partial.assembler.insert(offset, data).is_ok()
            && let Some(data) = partial.take_complete()
        {
            self.partial_datagrams.remove(&at.id);
            self.complete_datagram((at.id, at.label), data, events);
        }
        Ok(())
    }

    /// The next reliable message; its credit goes back to the peer.
    pub(crate) fn pop(&mut self, flow: &mut ReceiveFlow) -> Option<Message> {
        let held = self.ready.pop_front()?;
        flow.on_consumed(held.message.data.len() as u64);
        self.deliver(held)
    }

    /// The next datagram.
    pub(crate) fn pop_datagram(&mut self) -> Option<Message> {
        let held = self.ready_datagrams.pop_front()?;
        self.deliver(held)
    }

    /// What the application gets. A compressed message is made whole only now: so what is held is never
    /// more than what came.
    fn deliver(&mut self, held: Held) -> Option<Message> {
        let Held {
            mut message,
            uncompressed,
        } = held;
        if let Some(length) = uncompressed {
            match compression::decompress(&message.data, length) {
                Ok(data) => message.data = data,
                Err(violation) => {
                    self.violation.get_or_insert(violation);
                    return None;
                }
            }
        }
        Some(message)
    }

    /// Whether a message of `length` bytes, of which this is said, is within its limit `max`.
    fn check_length(&self, length: u64, label: Label, max: u64) -> Result<(), PeerViolation> {
        match label.uncompressed {
            Some(uncompressed) => {
                compression::check(uncompressed, length, (max, self.takes_compressed))
            }
            None if length > max => Err(PeerViolation::MessageTooLarge),
            None => Ok(()),
        }
    }

    /// Datagrams given up in reassembly or because the application was too slow.
    #[must_use]
    pub(crate) const fn dropped_datagrams(&self) -> u64 {
        self.dropped_datagrams
    }

    /// The peer has given up a message of which it had sent `sent` bytes: what came is dropped, what
    /// did not come is not waited for, and the credit of all of it goes back.
    ///
    /// # Errors
    /// The rule that the peer broke.
    pub(crate) fn on_given_up(
        &mut self,
        id: MessageId,
        sent: u64,
        flow: &mut ReceiveFlow,
    ) -> Result<Placed, PeerViolation> {
        if sent > self.max_message {
            return Err(PeerViolation::MessageTooLarge);
        }
        if self.done.contains(id.0) {
            return Ok(Placed::Yes);
        }
        if !self.may_be_done(id) {
            return Ok(Placed::No);
        }
        let mut came = 0;
        if let Some(partial) = self.partial.get(&id) {
            came = partial.assembler.stored();
            if sent < came || sent > partial.length || partial.label.order.is_some() {
                return Err(PeerViolation::FragmentMismatch);
            }
        }
        flow.on_received(sent - came)?;
        flow.on_consumed(sent);
        if let Some(partial) = self.partial.remove(&id) {
            self.pages -= partial.assembler.pages_held();
            self.begun -= partial.length;
        }
        self.done.insert(id.0..id.0 + 1);
        self.highest = self.highest.max(id.0);
        Ok(Placed::Yes)
    }

    /// Whether the bounds allow `id` to be completed.
    fn may_complete(&self, id: MessageId, label: Label) -> bool {
        self.ready.len() < RECEIVED_MESSAGES_MAX
            && self.may_be_done(id)
            && label
                .order
                .is_none_or(|order| self.sequence.has_room(order))
    }

    /// Whether `id` can be remembered as done.
    fn may_be_done(&self, id: MessageId) -> bool {
        self.done.range_count() < REASSEMBLY_RANGES_MAX
            || !self.done.would_add_range(&(id.0..id.0 + 1))
    }

    fn complete(
        &mut self,
        (id, label): (MessageId, Label),
        data: Vec<u8>,
        events: &mut VecDeque<Event>,
    ) -> Result<(), PeerViolation> {
        self.done.insert(id.0..id.0 + 1);
        self.highest = self.highest.max(id.0);
        if planted::is(Bug::DuplicateAfterWindowSlides) {
            self.done.remove(0..self.highest.saturating_sub(16));
        }
        let was_empty = self.ready.is_empty();
        let held = Held {
            message: Message {
                id,
                reliable: true,
                data,
            },
            uncompressed: label.uncompressed,
        };
        match label.order {
            None => self.ready.push_back(held),
            Some(order) => {
                self.sequence.insert(order, held)?;
                self.ready
                    .extend(core::iter::from_fn(|| self.sequence.pop()));
            }
        }
        if was_empty && !self.ready.is_empty() {
            events.push_back(Event::MessageReceived);
        }
        Ok(())
    }

    fn complete_datagram(
        &mut self,
        (id, label): (MessageId, Label),
        data: Vec<u8>,
        events: &mut VecDeque<Event>,
    ) {
        if self.ready_datagrams.is_empty() {
            events.push_back(Event::DatagramReceived);
        }
        if self.ready_datagrams.len() >= RECEIVED_DATAGRAMS_MAX {
            self.ready_datagrams.pop_front();
            self.dropped_datagrams += 1;
        }
        self.ready_datagrams.push_back(Held {
            message: Message {
                id,
                reliable: false,
                data,
            },
            uncompressed: label.uncompressed,
        });
    }
}

/// Pages that incomplete reliable messages may hold: what a window of bytes fills, and a page for
/// the end of each message. Who sends each message from its beginning never meets it; who scatters
/// fragments would make a page of each.
fn pages_max(window: u64) -> usize {
    let filled = usize::try_from(window).unwrap_or(usize::MAX) / PAGE;
    filled + MESSAGES_IN_REASSEMBLY_MAX + REASSEMBLY_PAGES_EXTRA
}

impl Rest for IncomingMessages {
    fn rest(&mut self) {
        self.done.rest();
        self.partial.rest();
        self.sequence.rest();
        self.ready.rest();
        self.partial_datagrams.rest();
        self.ready_datagrams.rest();
    }
}

impl Partial {
    fn new(at: &Position) -> Self {
        Self {
            length: at.length,
            total: at.total,
            label: at.label,
            assembler: Assembler::default(),
        }
    }

    /// Whether a fragment with `data` at `offset` fits those that came.
    fn check(&self, at: &Position, offset: u64, data: &[u8]) -> Result<(), PeerViolation> {
        let same = (self.length, self.total, self.label) == (at.length, at.total, at.label);
        if !same && !planted::is(Bug::FragmentOfOtherTotal) {
            return Err(PeerViolation::FragmentMismatch);
        }
        if !planted::is(Bug::OverlapWritesTwice) && self.assembler.contradicts(offset, data) {
            return Err(PeerViolation::FragmentMismatch);
        }
        Ok(())
    }

    fn would_complete(&self, more: usize) -> bool {
        self.assembler.stored() + more as u64 >= self.length
    }

    const fn is_complete(&self) -> bool {
        self.assembler.contiguous() == self.length
    }

    fn take_complete(&mut self) -> Option<Vec<u8>> {
        self.is_complete().then(|| self.assembler.take())
    }
}

#[cfg(test)]
mod tests;
