//! Topics: what is delivered, what is passed on, what neighbours say.

use super::trees::{copies, quiet, with_peers};
use super::*;
use crate::limits::TOPICS_MAX;
use crate::wire::TopicList;
use crate::{Handlers, OverlayError, PeerViolation, Topics};

fn named(names: &[&str]) -> Topics {
    Topics::Named(names.iter().map(|&name| name.to_owned()).collect())
}

/// The `number`-th broadcast of node 9 under a topic.
fn news(number: u64, topic: &str) -> Vec<u8> {
    let (body, signature) = body_of(9, b"x", |body| {
        body.topic = topic;
        body.sequence = number;
    });
    frame(2, &body, signature)
}

fn list(is_all: bool, names: &[&str]) -> Vec<u8> {
    let names = names.to_vec();
    Message::Topics(TopicList { is_all, names }).encode()
}

/// The lists of topics that went to `n` in the last call.
fn told(bench: &Bench, n: u8) -> Vec<Vec<u8>> {
    let sent = bench.sent_to(n);
    let is_list = |bytes: &&bytes::Bytes| matches!(decoded(bytes), Message::Topics(_));
    sent.iter()
        .filter(is_list)
        .map(|bytes| bytes.to_vec())
        .collect()
}

#[test]
fn only_what_is_taken_is_delivered_and_everything_is_passed_on() {
    let mut bench = with_peers(
        OverlayConfig {
            topics: named(&["prices"]),
            handlers: Handlers::Named(["chat".to_owned()].into()),
            ..quiet()
        },
        2,
    );
    for (number, topic, is_delivered) in [(1, "prices", 1), (2, "weather", 0), (3, "chat", 0)] {
        bench.deliver(1, &news(number, topic));
        assert_eq!(
            (bench.delivered(), copies(&bench, 2)),
            (is_delivered, 1),
            "{topic}"
        );
    }
    assert_eq!(
        bench.call(|overlay, now| overlay.subscribe(now, "weather")),
        Ok(true)
    );
    bench.deliver(1, &news(4, "weather"));
    assert_eq!(bench.delivered(), 1);
    bench.deliver(1, &news(2, "weather"));
    assert_eq!(bench.delivered(), 0, "what came before is not");
    assert!(bench.call(|overlay, now| overlay.unsubscribe(now, "weather")));
    assert!(!bench.call(|overlay, now| overlay.unsubscribe(now, "weather")));
    bench.deliver(1, &news(5, "weather"));
    assert_eq!((bench.delivered(), copies(&bench, 2)), (0, 1));
}

#[test]
fn neighbours_are_told_of_changes_and_new_ones_of_all_but_all() {
    let mut bench = with_peers(quiet(), 1);
    assert_eq!(told(&bench, 1), [] as [Vec<u8>; 0], "it takes all");
    assert_eq!(
        bench.call(|overlay, now| overlay.subscribe(now, "a")),
        Ok(false)
    );
    assert!(bench.actions.is_empty());
    bench
        .call(|overlay, now| overlay.set_topics(now, named(&["a"])))
        .unwrap();
    assert_eq!(told(&bench, 1), [list(false, &["a"])]);
    bench
        .call(|overlay, now| overlay.set_topics(now, named(&["a"])))
        .unwrap();
    assert!(bench.actions.is_empty(), "no change");
    assert_eq!(
        bench.call(|overlay, now| overlay.subscribe(now, "b")),
        Ok(true)
    );
    assert_eq!(told(&bench, 1), [list(false, &["a", "b"])]);
    bench.connect(2);
    assert_eq!(told(&bench, 2), [list(false, &["a", "b"])]);
    bench
        .call(|overlay, now| overlay.set_topics(now, Topics::All))
        .unwrap();
    assert_eq!(told(&bench, 2), [list(true, &[])]);
    assert_eq!(bench.overlay.topics(), &Topics::All);
}

#[test]
fn what_a_neighbour_takes_is_what_it_said_last_on_this_link() {
    let mut bench = with_peers(quiet(), 1);
    let topics = |bench: &Bench| bench.overlay.topics_of(id(1)).cloned();
    assert_eq!(topics(&bench), Some(Topics::All));
    bench.deliver(1, &list(false, &["a", "b", "a"]));
    assert_eq!(topics(&bench), Some(named(&["a", "b"])));
    bench.deliver(1, &news(1, "c"));
    assert_eq!(
        bench.delivered(),
        1,
        "who does not take a topic may bring it"
    );
    bench.deliver(1, &list(true, &["ignored"]));
    assert_eq!(topics(&bench), Some(Topics::All));
    assert_eq!(bench.overlay.topics_of(id(2)), None);
}

#[test]
fn too_many_topics_and_invalid_ones_are_refused_and_change_nothing() {
    let many = |count: usize| Topics::Named((0..count).map(|n| n.to_string()).collect());
    let mut bench = with_peers(quiet(), 1);
    let mut set = |topics| bench.call(|overlay, now| overlay.set_topics(now, topics));
    assert_eq!(set(many(TOPICS_MAX)), Ok(()));
    assert_eq!(set(many(TOPICS_MAX + 1)), Err(OverlayError::TooManyTopics));
    assert_eq!(set(named(&[""])), Err(OverlayError::InvalidName));
    let again = bench.call(|overlay, now| overlay.subscribe(now, "0"));
    assert_eq!(again, Ok(false));
    let one_more = bench.call(|overlay, now| overlay.subscribe(now, "more"));
    assert_eq!(one_more, Err(OverlayError::TooManyTopics));
    let invalid = bench.call(|overlay, now| overlay.subscribe(now, "\n"));
    assert_eq!(invalid, Err(OverlayError::InvalidName));
    assert_eq!(bench.overlay.topics(), &many(TOPICS_MAX));
}

#[test]
fn a_neighbour_that_names_an_invalid_topic_breaks_a_rule() {
    let mut bench = with_peers(quiet(), 1);
    bench.deliver(1, &list(false, &["a", ""]));
    let (peer, violation) = (id(1), PeerViolation::OutOfBounds);
    assert!(
        bench
            .events
            .contains(&Event::PeerViolation { peer, violation })
    );
    assert_eq!(bench.overlay.topics_of(id(1)), Some(&Topics::All));
}
