//! Tests of outgoing messages.

use super::*;
use crate::limits::QUEUED_DATAGRAMS_MAX;
use alloc::vec;
use core::time::Duration;

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
        messages.push(data.clone(), 100, &Delivery::Reliable.into());
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
    let id = messages.push(vec![7; 250], 100, &Delivery::Reliable.into());
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
    messages.push(
        vec![1],
        100,
        &Delivery::Unreliable {
            expires: Some(Instant::ZERO),
        }
        .into(),
    );
    let kept = messages.push(vec![2], 100, &Delivery::Unreliable { expires: None }.into());
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
        messages.push(vec![1], 100, &Delivery::Unreliable { expires: None }.into());
    }
    assert_eq!(messages.expired(), 1);
    assert_eq!(
        messages.peek_datagram(Instant::ZERO).map(|part| part.id),
        Some(MessageId(1))
    );
}

fn push(messages: &mut OutgoingMessages, length: usize, options: SendOptions) -> MessageId {
    messages.push(vec![1; length], 100, &options)
}

fn urgent(urgency: u8) -> SendOptions {
    SendOptions::new(Delivery::Reliable).with_priority(Priority::new(urgency))
}

/// The messages whose parts leave, in order.
fn order(messages: &mut OutgoingMessages) -> Vec<u64> {
    core::iter::from_fn(|| sent(messages, u64::MAX).map(|(part, _)| part.id.0)).collect()
}

#[test]
fn the_most_urgent_leaves_first_lost_or_new() {
    let mut messages = OutgoingMessages::default();
    let bulk = push(&mut messages, 300, urgent(7));
    sent(&mut messages, u64::MAX);
    let first = push(&mut messages, 50, urgent(2));
    let second = push(&mut messages, 50, urgent(2));
    messages.on_lost(bulk, 0);
    assert_eq!(
        order(&mut messages),
        [first.0, second.0, bulk.0, bulk.0, bulk.0]
    );
    messages.on_lost(second, 0);
    messages.on_lost(bulk, 2);
    assert_eq!(order(&mut messages), [second.0, bulk.0]);
}

#[test]
fn incremental_messages_take_turns_and_others_do_not() {
    let mut messages = OutgoingMessages::default();
    let turns =
        SendOptions::new(Delivery::Reliable).with_priority(Priority::new(3).incremental(true));
    push(&mut messages, 250, turns);
    push(&mut messages, 250, turns);
    assert_eq!(order(&mut messages), [0, 1, 0, 1, 0, 1]);
    push(&mut messages, 250, urgent(3));
    push(&mut messages, 250, urgent(3));
    assert_eq!(order(&mut messages), [2, 2, 2, 3, 3, 3]);
}

#[test]
fn more_is_not_begun_than_the_peer_promised_to_hold() {
    let mut messages = OutgoingMessages::default();
    messages.set_longest(500);
    push(&mut messages, 400, urgent(7));
    sent(&mut messages, u64::MAX);
    push(&mut messages, 101, urgent(0));
    push(&mut messages, 100, urgent(1));
    push(&mut messages, 101, urgent(2));
    // 400 + 101 bytes are too many: what was begun is finished before.
    assert_eq!(order(&mut messages), [0, 0, 0, 1, 1, 2, 3, 3]);
}

#[test]
fn an_urgent_message_that_fits_a_packet_waits_for_nothing_begun() {
    let mut messages = OutgoingMessages::default();
    messages.set_longest(400);
    push(&mut messages, 400, urgent(7));
    sent(&mut messages, u64::MAX);
    push(&mut messages, 100, urgent(0));
    assert_eq!(order(&mut messages), [1, 0, 0, 0]);
}

#[test]
fn ordered_messages_leave_in_order_whatever_their_urgency() {
    let mut messages = OutgoingMessages::default();
    let ordered = |urgency| {
        SendOptions::new(Delivery::Ordered).with_priority(Priority::new(urgency).incremental(true))
    };
    push(&mut messages, 250, ordered(5));
    push(&mut messages, 250, ordered(0));
    push(&mut messages, 50, urgent(4));
    let orders: Vec<_> = core::iter::from_fn(|| sent(&mut messages, u64::MAX))
        .map(|(part, _)| part.label.order)
        .collect();
    let [first, second] = [Some(0), Some(1)];
    assert_eq!(orders, [None, first, first, first, second, second, second]);
    push(&mut messages, 50, ordered(0));
    let (part, _) = sent(&mut messages, u64::MAX).unwrap();
    assert_eq!((part.urgency, part.label.order), (0, Some(2)), "none waits");
}

#[test]
fn an_expired_message_is_forgotten_and_told_until_it_is_known() {
    let mut messages = OutgoingMessages::default();
    let at = Instant::ZERO + Duration::from_millis(10);
    let until = SendOptions::new(Delivery::Until { expires: at });
    let kept = push(&mut messages, 250, until);
    while sent(&mut messages, u64::MAX).is_some() {}
    (0..2).for_each(|index| assert!(!messages.on_acknowledged(kept, index)));
    assert!(messages.on_acknowledged(kept, 2));
    let begun = push(&mut messages, 250, until);
    sent(&mut messages, u64::MAX);
    messages.on_lost(begun, 0);
    let untouched = push(&mut messages, 250, until);
    assert_eq!(messages.deadline(), Some(at));
    assert_eq!(messages.expire(at - Duration::from_nanos(1)), None);
    assert_eq!(messages.expire(at), Some(begun));
    assert_eq!(messages.expire(at), Some(untouched));
    assert_eq!((messages.expire(at), messages.deadline()), (None, None));
    assert_eq!(messages.peek_reliable(u64::MAX), None);
    assert_eq!((messages.buffered(), messages.begun), (0, 0));
    assert!(!messages.is_drained() && messages.has_work(0));
    assert_eq!(messages.poll_given_up(), Some((begun, 84)));
    assert_eq!(messages.poll_given_up(), Some((untouched, 0)));
    assert_eq!(messages.poll_given_up(), None);
    messages.on_given_up_lost(begun);
    messages.on_given_up_acknowledged(untouched);
    assert_eq!(messages.poll_given_up(), Some((begun, 84)));
    messages.on_given_up_acknowledged(begun);
    messages.on_given_up_lost(begun);
    assert!(messages.is_drained() && !messages.has_work(0));
}

#[test]
fn messages_that_wait_to_be_acknowledged_are_counted() {
    let mut messages = OutgoingMessages::default();
    for _ in 0..QUEUED_MESSAGES_MAX {
        assert!(messages.has_room());
        messages.push(Vec::new(), 100, &Delivery::Reliable.into());
    }
    assert!(!messages.has_room());
    while sent(&mut messages, u64::MAX).is_some() {}
    assert!(!messages.has_room(), "sent is not acknowledged");
    assert!(messages.on_acknowledged(MessageId(7), 0));
    assert!(messages.has_room());
}
