//! Tests of incoming messages.

use super::*;
use crate::io::Delivery;
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
                label: Label::default(),
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
        label: Label::default(),
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
                label: Label::default(),
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
        outgoing.push(data.clone(), 100, &Delivery::Reliable.into());
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
                label: Label::default(),
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
        label: Label::default(),
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
        label: Label::default(),
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
            label: Label::default(),
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
            .on_datagram((MessageId(id), Label::default()), &[1], &mut events)
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
            .on_message(
                (MessageId(3), Label::default()),
                b"once",
                &mut flow,
                &mut events,
            )
            .unwrap();
    }
    assert!(incoming.pop(&mut flow).is_some());
    incoming
        .on_message(
            (MessageId(3), Label::default()),
            b"once",
            &mut flow,
            &mut events,
        )
        .unwrap();
    assert!(incoming.pop(&mut flow).is_none());
}

#[test]
fn empty_messages_are_bounded_too() {
    let (mut incoming, mut flow, mut events) = (incoming(), flow(), VecDeque::new());
    for id in 0..RECEIVED_MESSAGES_MAX as u64 {
        incoming
            .on_message(
                (MessageId(id), Label::default()),
                b"",
                &mut flow,
                &mut events,
            )
            .unwrap();
    }
    let beyond = MessageId(RECEIVED_MESSAGES_MAX as u64);
    let placed = incoming.on_message((beyond, Label::default()), b"", &mut flow, &mut events);
    assert_eq!(placed, Ok(Placed::No));
    incoming.pop(&mut flow);
    let placed = incoming.on_message((beyond, Label::default()), b"", &mut flow, &mut events);
    assert_eq!(placed, Ok(Placed::Yes));
}

const fn at_place(order: Option<u64>) -> Label {
    Label {
        order,
        uncompressed: None,
    }
}

fn half(id: u64, index: u16, order: Option<u64>) -> Position {
    Position {
        id: MessageId(id),
        index,
        total: 2,
        length: 20,
        label: at_place(order),
    }
}

#[test]
fn a_message_given_up_is_dropped_and_its_credit_given_back() {
    let (mut flow, mut incoming, mut events) = (flow(), incoming(), VecDeque::new());
    incoming
        .on_fragment(half(0, 0, None), &[1; 10], &mut flow, &mut events)
        .unwrap();
    assert_eq!(flow.unread(), 10);
    // Both fragments were sent; one is still on its way.
    for _ in 0..2 {
        let placed = incoming.on_given_up(MessageId(0), 20, &mut flow);
        assert_eq!((placed, flow.unread()), (Ok(Placed::Yes), 0));
    }
    // Of this one nothing came.
    incoming.on_given_up(MessageId(1), 700, &mut flow).unwrap();
    for id in 0..2 {
        let placed = incoming.on_fragment(half(id, 1, None), &[1; 10], &mut flow, &mut events);
        assert_eq!(placed, Ok(Placed::Yes), "acknowledged, and ignored");
    }
    assert_eq!((flow.unread(), incoming.pages, incoming.begun), (0, 0, 0));
    assert!(incoming.partial.is_empty() && incoming.pop(&mut flow).is_none());
}

#[test]
fn giving_up_a_message_that_arrived_changes_nothing() {
    let (mut flow, mut incoming, mut events) = (flow(), incoming(), VecDeque::new());
    incoming
        .on_message(
            (MessageId(0), Label::default()),
            b"whole",
            &mut flow,
            &mut events,
        )
        .unwrap();
    incoming.on_given_up(MessageId(0), 5, &mut flow).unwrap();
    assert_eq!(flow.unread(), 5);
    assert_eq!(incoming.pop(&mut flow).unwrap().data, b"whole");
}

#[test]
fn rejects_giving_up_what_cannot_have_been_sent() {
    let (mut flow, mut incoming, mut events) = (flow(), incoming(), VecDeque::new());
    incoming
        .on_fragment(half(0, 0, None), &[1; 10], &mut flow, &mut events)
        .unwrap();
    incoming
        .on_fragment(half(1, 0, Some(0)), &[1; 10], &mut flow, &mut events)
        .unwrap();
    let mismatch = Err(PeerViolation::FragmentMismatch);
    for sent in [9, 21] {
        assert_eq!(
            incoming.on_given_up(MessageId(0), sent, &mut flow),
            mismatch
        );
    }
    let ordered = incoming.on_given_up(MessageId(1), 10, &mut flow);
    assert_eq!(ordered, mismatch, "nobody would wait for its place");
    let long = incoming.on_given_up(MessageId(2), (1 << 20) + 1, &mut flow);
    assert_eq!(long, Err(PeerViolation::MessageTooLarge));
}

#[test]
fn rejects_a_message_whose_fragments_claim_different_places() {
    let (mut flow, mut incoming, mut events) = (flow(), incoming(), VecDeque::new());
    incoming
        .on_fragment(half(0, 0, Some(0)), &[1; 10], &mut flow, &mut events)
        .unwrap();
    for order in [None, Some(1)] {
        let placed = incoming.on_fragment(half(0, 1, order), &[1; 10], &mut flow, &mut events);
        assert_eq!(placed, Err(PeerViolation::FragmentMismatch));
    }
}

#[test]
fn ordered_messages_wait_for_their_turn_and_then_come_together() {
    let (mut flow, mut incoming, mut events) = (flow(), incoming(), VecDeque::new());
    for (id, order, data) in [(0, Some(1), b"b"), (1, None, b"x")] {
        incoming
            .on_message(
                (MessageId(id), at_place(order)),
                data,
                &mut flow,
                &mut events,
            )
            .unwrap();
    }
    assert_eq!(incoming.pop(&mut flow).unwrap().data, b"x");
    assert_eq!(incoming.pop(&mut flow), None);
    events.clear();
    incoming
        .on_message(
            (MessageId(2), at_place(Some(0))),
            b"a",
            &mut flow,
            &mut events,
        )
        .unwrap();
    assert!(matches!(events.pop_front(), Some(Event::MessageReceived)));
    assert_eq!(incoming.pop(&mut flow).unwrap().data, b"a");
    assert_eq!(incoming.pop(&mut flow).unwrap().data, b"b");
    let again = incoming.on_message(
        (MessageId(3), at_place(Some(1))),
        b"c",
        &mut flow,
        &mut events,
    );
    assert_eq!(again, Err(PeerViolation::MessageOrder));
}
