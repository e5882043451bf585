//! What one origin, or one neighbour with many names, leaves to the others.

use super::trees::{announcements, copies, quiet, want, wants, with_peers};
use super::*;
use crate::types::ShortId;
use crate::{BroadcastId, Priority, Rate};

/// The `number`-th broadcast of an origin, and the short form of its ID.
fn news(origin: u8, number: u64) -> (Vec<u8>, ShortId) {
    let payload = number.to_be_bytes();
    let (body, signature) = body_of(origin, &payload, |body| {
        body.unix_millis = START_MILLIS - 10_000 + number;
        body.sequence = number;
    });
    let id = BroadcastId::of_body(&body).short();
    (frame(2, &body, signature), id)
}

/// What may be pushed to a neighbour at once.
fn link_burst() -> usize {
    usize::try_from(config().messages.burst / 2).unwrap()
}

/// These say something, so that they are not taken for mute.
fn speak(bench: &mut Bench, peers: &[u8]) {
    for &n in peers {
        bench.deliver(n, &trees::tree(&[], &[]));
    }
}

#[test]
fn a_flood_by_one_origin_gets_half_of_a_link_and_others_are_pushed_all_the_same() {
    let mut bench = with_peers(quiet(), 3);
    let mut pushed = 0;
    for number in 1..=config().origin_rate.burst {
        bench.deliver(1, &news(9, number).0);
        pushed += copies(&bench, 2);
        speak(&mut bench, &[2, 3]);
    }
    assert_eq!(pushed, link_burst() / 2);
    let fair = config().origin_share.burst;
    for number in 1..=fair {
        bench.deliver(1, &news(8, number).0);
        assert_eq!((copies(&bench, 2), copies(&bench, 3)), (1, 1), "{number}");
        speak(&mut bench, &[2, 3]);
    }
    bench.deliver(1, &news(8, fair + 1).0);
    assert_eq!(copies(&bench, 2), 0, "its share was that many");
}

#[test]
fn an_origin_alone_gets_more_than_its_share() {
    let mut bench = with_peers(quiet(), 2);
    for number in 1..=config().origin_share.burst * 3 {
        bench.deliver(1, &news(9, number).0);
        assert_eq!(copies(&bench, 2), 1, "{number}");
        speak(&mut bench, &[2]);
    }
}

#[test]
fn many_names_behind_one_link_have_that_links_share_together() {
    let mut bench = with_peers(quiet(), 3);
    let mut pushed = 0;
    for number in 1..=12 {
        for origin in 10..60 {
            bench.deliver(1, &news(origin, number).0);
            pushed += copies(&bench, 2);
        }
        speak(&mut bench, &[2, 3]);
    }
    let shares = usize::try_from(config().link_share.burst).unwrap();
    assert_eq!(pushed, shares.max(link_burst() / 2));
    bench.deliver(3, &news(9, 1).0);
    assert_eq!(copies(&bench, 2), 1, "through another link");
}

#[test]
fn surplus_without_room_is_neither_pushed_nor_announced_nor_brought_until_there_is_room() {
    let mut bench = with_peers(quiet(), 2);
    let most = u64::try_from(link_burst() / 2).unwrap();
    for number in 1..=most {
        bench.deliver(1, &news(9, number).0);
        assert_eq!(copies(&bench, 2), 1);
        speak(&mut bench, &[2]);
    }
    let (surplus, its_id) = news(9, most + 1);
    bench.deliver(1, &surplus);
    assert_eq!(copies(&bench, 2), 0);
    bench.deliver(2, &want(&[its_id], false));
    assert_eq!(copies(&bench, 2), 0, "half of the link is for others");
    bench.advance(Duration::from_millis(100));
    assert_eq!(announcements(&bench, 2), []);
    bench.deliver(2, &want(&[its_id], false));
    assert_eq!(copies(&bench, 2), 1, "there is room again");
    let stats = bench.overlay.stats();
    assert_eq!(stats.surplus_withheld, 1);
    assert_eq!(
        stats.broadcasts_over_share,
        most + 1 - config().origin_share.burst
    );
}

#[test]
fn urgent_surplus_is_surplus() {
    let mut bench = with_peers(quiet(), 1);
    let broadcasts = Rate::new(1, 10_000);
    let mut own = Bench::with(OverlayConfig {
        broadcasts,
        ..quiet()
    });
    own.connect(1);
    let mut pushed = 0;
    for _ in 0..link_burst() {
        own.call(|overlay, now| {
            overlay
                .broadcast_as(now, START_MILLIS, "t", b"x", Priority::High)
                .unwrap()
        });
        pushed += copies(&own, 1);
        speak(&mut own, &[1]);
    }
    assert_eq!(pushed, link_burst() / 2);
    bench.call(|overlay, now| {
        overlay
            .broadcast_as(now, START_MILLIS, "t", b"x", Priority::High)
            .unwrap()
    });
    assert_eq!(copies(&bench, 1), 1);
}

#[test]
fn what_was_not_taken_is_not_asked_for_again_at_once() {
    let origin_rate = Rate::new(1, 1);
    let mut bench = with_peers(
        OverlayConfig {
            origin_rate,
            ..quiet()
        },
        2,
    );
    bench.deliver(1, &news(9, 1).0);
    bench.deliver(1, &news(9, 2).0);
    assert_eq!(bench.delivered(), 0);
    let offer = |id| trees::announce(&[], &[id]);
    bench.deliver(2, &offer(news(9, 2).1));
    assert_eq!(wants(&bench, 2), []);
    bench.deliver(2, &offer(news(9, 3).1));
    assert_eq!(wants(&bench, 2).len(), 1, "another one is");
    bench.advance(11 * SECOND);
    bench.deliver(2, &offer(news(9, 2).1));
    assert_eq!(wants(&bench, 2).len(), 1, "and this one later");
}

#[test]
fn a_parent_that_has_spent_what_it_may_send_is_not_blamed_for_the_rest() {
    for is_busy in [false, true] {
        let mut bench = with_peers(
            OverlayConfig {
                gossip_interval: SECOND,
                ..config()
            },
            3,
        );
        bench.deliver(1, &news(9, 1).0);
        if is_busy {
            for number in 2..=u64::try_from(link_burst()).unwrap() / 2 {
                bench.deliver(1, &news(9, number).0);
            }
        }
        let (missing, its_id) = news(9, 1_000);
        bench.deliver(2, &trees::announce(&[(its_id, 0)], &[]));
        bench.advance(Duration::from_millis(200));
        bench.deliver(2, &missing);
        assert_eq!(bench.delivered(), 1);
        bench.advance(Duration::from_millis(1));
        // It counts at the end of the next heartbeat, if the peer was heard of.
        for _ in 0..2 {
            bench.deliver(1, &Message::Pong(wire::Ping { nonce: 0 }).encode());
            bench.advance(2 * SECOND);
        }
        let blamed = bench.events.iter().any(|event| {
            matches!(event, Event::ScoreChanged { peer, evidence: crate::Evidence::Relay { withheld, .. }, .. }
                if *peer == id(1) && *withheld > 0)
        });
        assert_eq!(blamed, !is_busy);
    }
}

#[test]
fn what_an_origin_sends_past_its_share_of_the_store_is_not_compared_any_more() {
    let mut bench = with_peers(
        OverlayConfig {
            store_messages: 16,
            ..quiet()
        },
        1,
    );
    for number in 1..=14 {
        bench.deliver(1, &news(20 + u8::try_from(number).unwrap(), number).0);
    }
    for number in 101..=110 {
        bench.deliver(1, &news(9, number).0);
        assert_eq!(bench.delivered(), 1);
    }
    let stats = bench.overlay.stats();
    assert_eq!((stats.held, stats.seen), (16, 24));
    assert_eq!(
        bench.overlay.gossip.store.floor(),
        0,
        "nobody else's has left"
    );
    assert_eq!(bench.overlay.seen.by_time().len(), 16);
    bench.deliver(1, &news(9, 101).0);
    assert_eq!(bench.delivered(), 0, "it is still known");
}
