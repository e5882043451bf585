//! Messages on their way in: reassembly within bounds, each delivered once.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::fragment_size;
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
use crate::streams::Placed;

/// A message of which some fragments came.
#[derive(Debug)]
struct Partial {
    length: u64,
    total: u16,
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
    partial: BTreeMap<MessageId, Partial>,
    /// Bytes of the reliable ones of them, arrived or not.
    begun: u64,
    /// Pages that the reliable ones of them hold.
    pages: usize,
    ready: VecDeque<Message>,
    highest_datagram: u64,
    partial_datagrams: BTreeMap<MessageId, Partial>,
    ready_datagrams: VecDeque<Message>,
    dropped_datagrams: u64,
}

impl IncomingMessages {
    /// Accepts messages and datagrams up to these lengths.
    #[must_use]
    pub(crate) const fn new(max_message: u64, max_datagram: u64) -> Self {
        Self {
            max_message,
            max_datagram,
            done: RangeSet::new(),
            highest: 0,
            partial: BTreeMap::new(),
            begun: 0,
            pages: 0,
            ready: VecDeque::new(),
            highest_datagram: 0,
            partial_datagrams: BTreeMap::new(),
            ready_datagrams: VecDeque::new(),
            dropped_datagrams: 0,
        }
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
        id: MessageId,
        data: &[u8],
        flow: &mut ReceiveFlow,
        events: &mut VecDeque<Event>,
    ) -> Result<Placed, PeerViolation> {
        if data.len() as u64 > self.max_message {
            return Err(PeerViolation::MessageTooLarge);
        }
        if self.partial.contains_key(&id) {
            return Err(PeerViolation::FragmentMismatch);
        }
        if self.done.contains(id.0) {
            return Ok(Placed::Yes);
        }
        if !self.may_complete(id) {
            return Ok(Placed::No);
        }
        flow.on_received(data.len() as u64)?;
        self.complete(id, data.to_vec(), events);
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
        if at.length > self.max_message {
            return Err(PeerViolation::MessageTooLarge);
        }
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
        let may_complete = self.may_complete(at.id);
        let Some(partial) = self.partial.get_mut(&at.id) else {
            return Ok(Placed::No);
        };
        partial.check(&at)?;
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
            self.complete(at.id, data, events);
        }
        Ok(Placed::Yes)
    }

    /// A whole datagram came.
    ///
    /// # Errors
    /// [`PeerViolation::MessageTooLarge`].
    pub(crate) fn on_datagram(
        &mut self,
        id: MessageId,
        data: &[u8],
        events: &mut VecDeque<Event>,
    ) -> Result<(), PeerViolation> {
        if data.len() as u64 > self.max_datagram {
            return Err(PeerViolation::MessageTooLarge);
        }
        self.highest_datagram = self.highest_datagram.max(id.0);
        self.complete_datagram(id, data.to_vec(), events);
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
        if at.length > self.max_datagram {
            return Err(PeerViolation::MessageTooLarge);
        }
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
        partial.check(&at)?;
        if partial.assembler.insert(offset, data).is_ok()
            && let Some(data) = partial.take_complete()
        {
            self.partial_datagrams.remove(&at.id);
            self.complete_datagram(at.id, data, events);
        }
        Ok(())
    }

    /// The next reliable message; its credit goes back to the peer.
    pub(crate) fn pop(&mut self, flow: &mut ReceiveFlow) -> Option<Message> {
        let message = self.ready.pop_front()?;
        flow.on_consumed(message.data.len() as u64);
        Some(message)
    }

    /// The next datagram.
    pub(crate) fn pop_datagram(&mut self) -> Option<Message> {
        self.ready_datagrams.pop_front()
    }

    /// Datagrams given up in reassembly or because the application was too slow.
    #[must_use]
    pub(crate) const fn dropped_datagrams(&self) -> u64 {
        self.dropped_datagrams
    }

    /// Whether the bounds allow `id` to be completed.
    fn may_complete(&self, id: MessageId) -> bool {
        self.ready.len() < RECEIVED_MESSAGES_MAX
            && (self.done.range_count() < REASSEMBLY_RANGES_MAX
                || !self.done.would_add_range(&(id.0..id.0 + 1)))
    }

    fn complete(&mut self, id: MessageId, data: Vec<u8>, events: &mut VecDeque<Event>) {
        self.done.insert(id.0..id.0 + 1);
        self.highest = self.highest.max(id.0);
        if planted::is(Bug::DuplicateAfterWindowSlides) {
            self.done.remove(0..self.highest.saturating_sub(16));
        }
        if self.ready.is_empty() {
            events.push_back(Event::MessageReceived);
        }
        self.ready.push_back(Message {
            id,
            reliable: true,
            data,
        });
    }

    fn complete_datagram(&mut self, id: MessageId, data: Vec<u8>, events: &mut VecDeque<Event>) {
        if self.ready_datagrams.is_empty() {
            events.push_back(Event::DatagramReceived);
        }
        if self.ready_datagrams.len() >= RECEIVED_DATAGRAMS_MAX {
            self.ready_datagrams.pop_front();
            self.dropped_datagrams += 1;
        }
        self.ready_datagrams.push_back(Message {
            id,
            reliable: false,
            data,
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

impl Partial {
    fn new(at: &Position) -> Self {
        Self {
            length: at.length,
            total: at.total,
            assembler: Assembler::default(),
        }
    }

    fn check(&self, at: &Position) -> Result<(), PeerViolation> {
        if (self.length, self.total) == (at.length, at.total)
            || planted::is(Bug::FragmentOfOtherTotal)
        {
            Ok(())
        } else {
            Err(PeerViolation::FragmentMismatch)
        }
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
mod tests {
    use super::*;
    use crate::messages::outgoing::OutgoingMessages;
    use proptest::prelude::*;

    fn flow() -> ReceiveFlow {
        ReceiveFlow::new(1 << 24, 1 << 24, 10)
    }

    fn incoming() -> IncomingMessages {
        IncomingMessages::new(1 << 20, 1 << 16)
    }

    /// A fragment a page: sixteen times the memory that its bytes are credited for.
    #[test]
    fn scattered_fragments_hold_no_more_pages_than_a_window_fills() {
        let window = 1 << 20;
        let mut flow = ReceiveFlow::new(window, window, 10);
        let mut incoming = IncomingMessages::new(window, 1 << 16);
        let mut events = VecDeque::new();
        let mut placed = 0;
        'all: for id in 0.. {
            for page in 0..256u16 {
                let at = Position {
                    id: MessageId(id),
                    index: page * 256,
                    total: 65_535,
                    length: 16 * 65_535,
                };
                let data = [1; 16];
                let stored = incoming.on_fragment(at, &data, &mut flow, &mut events);
                if stored.unwrap() == Placed::No {
                    break 'all;
                }
                placed += 1;
            }
        }
        assert_eq!(
            (incoming.pages, placed),
            (pages_max(window), pages_max(window))
        );
        // What lies in a page that is held already is still taken.
        let at = Position {
            id: MessageId(0),
            index: 1,
            total: 65_535,
            length: 16 * 65_535,
        };
        let stored = incoming.on_fragment(at, &[1; 16], &mut flow, &mut events);
        assert_eq!(stored, Ok(Placed::Yes));
        assert_eq!(incoming.pages, pages_max(window));
    }

    #[test]
    fn complete_messages_give_their_pages_back() {
        let (mut flow, mut incoming) = (flow(), incoming());
        let mut events = VecDeque::new();
        for id in 0..2_000 {
            for index in 0..3 {
                let at = Position {
                    id: MessageId(id),
                    index,
                    total: 3,
                    length: 3 * 3_000,
                };
                let stored = incoming.on_fragment(at, &[1; 3_000], &mut flow, &mut events);
                assert_eq!(stored, Ok(Placed::Yes));
            }
            assert_eq!(incoming.pages, 0);
            assert!(incoming.pop(&mut flow).is_some());
        }
    }

    proptest! {
        #[test]
        fn fragments_in_any_order_make_the_message_once(
            length in 101usize..3_000,
            seed in proptest::collection::vec(any::<prop::sample::Index>(), 80),
        ) {
            let data: Vec<u8> = (0..length).map(|index| (index * 13) as u8).collect();
            let mut outgoing = OutgoingMessages::default();
            outgoing.push_reliable(data.clone(), 100);
            let mut parts = Vec::new();
            while let Some(part) = outgoing.peek_reliable(u64::MAX) {
                let mut out = Vec::new();
                outgoing.take(&part, &mut out);
                parts.push((part, out));
            }
            let (mut incoming, mut flow, mut events) = (incoming(), flow(), VecDeque::new());
            let picks = seed.iter().map(|index| index.get(&parts).clone());
            for (part, bytes) in picks.chain(parts.clone()) {
                let at = Position {
                    id: part.id, index: part.index, total: part.total, length: part.message_len,
                };
                prop_assert_eq!(
                    incoming.on_fragment(at, &bytes, &mut flow, &mut events),
                    Ok(Placed::Yes)
                );
            }
            prop_assert_eq!(incoming.pop(&mut flow).map(|message| message.data), Some(data));
            prop_assert_eq!(incoming.pop(&mut flow), None);
            prop_assert_eq!(flow.unread(), 0);
        }
    }

    #[test]
    fn rejects_contradicting_fragments() {
        let (mut incoming, mut flow, mut events) = (incoming(), flow(), VecDeque::new());
        let at = Position {
            id: MessageId(1),
            index: 0,
            total: 3,
            length: 30,
        };
        let mut on = |at, data: &[u8]| incoming.on_fragment(at, data, &mut flow, &mut events);
        assert_eq!(on(at, &[0; 10]), Ok(Placed::Yes));
        let mismatch = Err(PeerViolation::FragmentMismatch);
        assert_eq!(on(Position { total: 2, ..at }, &[0; 15]), mismatch);
        assert_eq!(on(Position { length: 29, ..at }, &[0; 10]), mismatch);
        assert_eq!(on(at, &[0; 9]), mismatch);
        assert_eq!(
            on(
                Position {
                    total: 40,
                    index: 35,
                    ..at
                },
                &[0; 1]
            ),
            mismatch
        );
        let long = Position {
            length: (1 << 20) + 1,
            ..at
        };
        assert_eq!(on(long, &[0; 10]), Err(PeerViolation::MessageTooLarge));
    }

    #[test]
    fn a_fragment_flood_stays_inside_its_budget() {
        let (mut incoming, mut flow, mut events) = (incoming(), flow(), VecDeque::new());
        let at = |id| Position {
            id: MessageId(id),
            index: 0,
            total: 2,
            length: 20,
        };
        for id in 0..MESSAGES_IN_REASSEMBLY_MAX as u64 {
            let placed = incoming.on_fragment(at(id), &[0; 10], &mut flow, &mut events);
            assert_eq!(placed, Ok(Placed::Yes));
        }
        let beyond = at(MESSAGES_IN_REASSEMBLY_MAX as u64);
        let placed = incoming.on_fragment(beyond, &[0; 10], &mut flow, &mut events);
        assert_eq!(placed, Ok(Placed::No));
        let last = Position { index: 1, ..at(0) };
        incoming
            .on_fragment(last, &[1; 10], &mut flow, &mut events)
            .unwrap();
        let placed = incoming.on_fragment(beyond, &[0; 10], &mut flow, &mut events);
        assert_eq!(placed, Ok(Placed::Yes), "a finished message makes room");
    }

    #[test]
    fn a_datagram_flood_keeps_the_newest() {
        let (mut incoming, mut events) = (incoming(), VecDeque::new());
        for id in 0..=DATAGRAMS_IN_REASSEMBLY_MAX as u64 {
            let at = Position {
                id: MessageId(id),
                index: 0,
                total: 2,
                length: 20,
            };
            incoming
                .on_datagram_fragment(at, &[0; 10], &mut events)
                .unwrap();
        }
        assert_eq!(
            incoming.partial_datagrams.len(),
            DATAGRAMS_IN_REASSEMBLY_MAX
        );
        assert!(!incoming.partial_datagrams.contains_key(&MessageId(0)));
        for id in 100..=100 + RECEIVED_DATAGRAMS_MAX as u64 {
            incoming
                .on_datagram(MessageId(id), &[1], &mut events)
                .unwrap();
        }
        assert_eq!(incoming.ready_datagrams.len(), RECEIVED_DATAGRAMS_MAX);
        assert_eq!(
            incoming.pop_datagram().map(|message| message.id),
            Some(MessageId(101))
        );
    }

    #[test]
    fn a_second_copy_of_a_message_is_not_delivered() {
        let (mut incoming, mut flow, mut events) = (incoming(), flow(), VecDeque::new());
        for _ in 0..2 {
            incoming
                .on_message(MessageId(3), b"once", &mut flow, &mut events)
                .unwrap();
        }
        assert!(incoming.pop(&mut flow).is_some());
        incoming
            .on_message(MessageId(3), b"once", &mut flow, &mut events)
            .unwrap();
        assert!(incoming.pop(&mut flow).is_none());
    }

    #[test]
    fn empty_messages_are_bounded_too() {
        let (mut incoming, mut flow, mut events) = (incoming(), flow(), VecDeque::new());
        for id in 0..RECEIVED_MESSAGES_MAX as u64 {
            incoming
                .on_message(MessageId(id), b"", &mut flow, &mut events)
                .unwrap();
        }
        let beyond = MessageId(RECEIVED_MESSAGES_MAX as u64);
        let placed = incoming.on_message(beyond, b"", &mut flow, &mut events);
        assert_eq!(placed, Ok(Placed::No));
        incoming.pop(&mut flow);
        let placed = incoming.on_message(beyond, b"", &mut flow, &mut events);
        assert_eq!(placed, Ok(Placed::Yes));
    }
}
