//! Broadcasts from peers that relay, forge, alter, replay and flood.

use super::*;
use crate::limits::{BROADCAST_PAYLOAD_LEN_MAX, HOP_LIMIT_MAX, VIOLATIONS_MAX};
use crate::{BroadcastId, Handlers, OverlayError, PeerViolation};

fn violation_of(bench: &Bench, n: u8) -> Option<PeerViolation> {
    bench.events.iter().find_map(|event| match event {
        Event::PeerViolation { peer, violation } if *peer == id(n) => Some(*violation),
        _ => None,
    })
}

#[test]
fn a_genuine_broadcast_is_delivered_once_and_relayed_with_its_signature() {
    let mut bench = Bench::new();
    for n in [1, 2, 3] {
        bench.connect(n);
    }
    let (body, signature) = body_of(9, b"hi", |_| {});
    bench.deliver(1, &frame(3, &body, signature));
    let expected = Event::Broadcast {
        id: BroadcastId::of_body(&body),
        origin: id(9),
        topic: "news".into(),
        payload: b"hi"[..].into(),
        unix_millis: START_MILLIS,
        hops: 3,
        from: id(1),
    };
    assert_eq!(bench.events, [expected]);
    assert!(
        bench.sent_to(1).is_empty(),
        "not back to where it came from"
    );
    for n in [2, 3] {
        let relayed = BroadcastFrame {
            hops: 4,
            body: &body,
            signature,
        };
        assert_eq!(decoded(&bench.sent_to(n)[0]), Message::Broadcast(relayed));
    }
    bench.deliver(2, &frame(2, &body, signature));
    assert_eq!(bench.delivered(), 0);
    assert_eq!(bench.overlay.stats().broadcasts_duplicate, 1);
}

#[test]
fn a_forged_copy_that_comes_first_does_not_suppress_the_genuine_one() {
    let mut bench = Bench::new();
    bench.connect(1);
    bench.connect(2);
    let (body, signature) = body_of(9, b"hi", |_| {});
    let mut forged = signature;
    forged[0] ^= 1;
    bench.deliver(1, &frame(1, &body, forged));
    assert_eq!((bench.delivered(), bench.actions.len()), (0, 0));
    assert_eq!(
        violation_of(&bench, 1),
        Some(PeerViolation::BroadcastSignature)
    );
    bench.deliver(2, &frame(1, &body, signature));
    assert_eq!(bench.delivered(), 1);
}

#[test]
fn rejects_a_relayed_message_with_altered_payload_origin_or_hops() {
    let (genuine, signature) = body_of(9, b"payload", |_| {});
    let (other_payload, _) = body_of(9, b"altered", |_| {});
    let (other_origin, _) = body_of(9, b"payload", |body| {
        body.origin = identity(8).public().to_bytes();
    });
    let cases = [
        (
            frame(1, &other_payload, signature),
            PeerViolation::BroadcastSignature,
        ),
        (
            frame(1, &other_origin, signature),
            PeerViolation::BroadcastSignature,
        ),
        (frame(0, &genuine, signature), PeerViolation::BroadcastHops),
        (frame(17, &genuine, signature), PeerViolation::BroadcastHops),
        (
            frame(255, &genuine, signature),
            PeerViolation::BroadcastHops,
        ),
    ];
    for (message, violation) in cases {
        let mut bench = Bench::new();
        bench.connect(1);
        bench.connect(2);
        bench.deliver(1, &message);
        assert_eq!(
            (bench.delivered(), bench.actions.len()),
            (0, 0),
            "{violation:?}"
        );
        assert_eq!(violation_of(&bench, 1), Some(violation));
    }
}

#[test]
fn rejects_every_flipped_bit_of_a_signed_body() {
    let (body, signature) = body_of(9, b"payload", |_| {});
    for bit in 0..body.len() * 8 {
        let mut bench = Bench::new();
        bench.connect(1);
        let mut forged = body.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        bench.deliver(1, &frame(1, &forged, signature));
        assert_eq!(bench.delivered(), 0, "bit {bit}");
    }
}

#[test]
fn a_signed_hop_limit_of_255_is_clamped() {
    let (body, signature) = body_of(9, b"far", |body| body.hop_limit = 255);
    let mut bench = Bench::new();
    bench.connect(1);
    bench.connect(2);
    bench.deliver(1, &frame(HOP_LIMIT_MAX + 1, &body, signature));
    assert_eq!(violation_of(&bench, 1), Some(PeerViolation::BroadcastHops));
    bench.deliver(2, &frame(HOP_LIMIT_MAX, &body, signature));
    assert_eq!(
        (bench.delivered(), bench.actions.len()),
        (1, 0),
        "delivered, not relayed"
    );
    let (body, signature) = body_of(9, b"nearer", |body| body.hop_limit = 255);
    bench.deliver(2, &frame(HOP_LIMIT_MAX - 1, &body, signature));
    assert_eq!(
        (bench.delivered(), bench.actions.len()),
        (1, 1),
        "one hop is left"
    );
}

#[test]
fn stale_and_future_broadcasts_are_dropped_without_blame() {
    let mut bench = Bench::new();
    bench.connect(1);
    let (age, skew) = (600_000, 120_000);
    let cases = [
        (START_MILLIS - age, true),
        (START_MILLIS - age - 1, false),
        (START_MILLIS + skew, true),
        (START_MILLIS + skew + 1, false),
    ];
    for (unix_millis, fresh) in cases {
        let (body, signature) = body_of(9, b"when", |body| body.unix_millis = unix_millis);
        bench.deliver(1, &frame(1, &body, signature));
        assert_eq!(bench.delivered(), usize::from(fresh), "{unix_millis}");
        assert_eq!(violation_of(&bench, 1), None);
    }
}

#[test]
fn a_full_seen_set_never_delivers_twice() {
    let mut bench = Bench::with(OverlayConfig {
        seen_capacity: 2,
        ..config()
    });
    bench.connect(1);
    let messages: Vec<_> = (0..3)
        .map(|n| body_of(9, b"x", |body| body.unix_millis = START_MILLIS + n))
        .map(|(body, signature)| frame(1, &body, signature))
        .collect();
    for message in &messages {
        bench.deliver(1, message);
        assert_eq!(bench.delivered(), 1);
    }
    assert_eq!(bench.overlay.stats().seen, 2);
    for message in &messages {
        bench.deliver(1, message);
        assert_eq!(bench.delivered(), 0);
    }
    let stats = bench.overlay.stats();
    assert_eq!((stats.broadcasts_duplicate, stats.broadcasts_stale), (2, 1));
}

#[test]
fn our_own_broadcast_does_not_come_back() {
    let mut bench = Bench::new();
    bench.connect(1);
    bench.connect(2);
    bench.call(|overlay, now| {
        overlay
            .broadcast(now, START_MILLIS, "news", b"mine")
            .unwrap()
    });
    let sent = bench.sent_to(1);
    assert_eq!((sent.len(), bench.sent_to(2).len()), (1, 1));
    let Message::Broadcast(own) = decoded(&sent[0]) else {
        panic!("a broadcast")
    };
    bench.deliver(2, &frame(2, own.body, own.signature));
    assert_eq!((bench.delivered(), bench.actions.len()), (0, 0));
}

#[test]
fn broadcasts_of_another_network_are_refused() {
    let mut bench = Bench::new();
    bench.connect(1);
    let (body, signature) = body_of(9, b"x", |body| body.network = "elsewhere");
    bench.deliver(1, &frame(1, &body, signature));
    assert_eq!(bench.delivered(), 0);
    assert_eq!(
        violation_of(&bench, 1),
        Some(PeerViolation::BroadcastNetwork)
    );
}

#[test]
fn payloads_are_taken_up_to_the_limit_and_refused_one_past_it() {
    let mut bench = Bench::new();
    bench.connect(1);
    let payload = vec![7; BROADCAST_PAYLOAD_LEN_MAX + 1];
    let at_limit = &payload[1..];
    bench.call(|overlay, now| {
        assert!(overlay.broadcast(now, START_MILLIS, "t", at_limit).is_ok());
        assert_eq!(
            overlay.broadcast(now, START_MILLIS, "t", &payload),
            Err(OverlayError::PayloadTooLong {
                len: payload.len(),
                max: BROADCAST_PAYLOAD_LEN_MAX
            })
        );
        assert_eq!(
            overlay.broadcast(now, START_MILLIS, "", b""),
            Err(OverlayError::InvalidName)
        );
    });
    let (body, signature) = body_of(9, at_limit, |_| {});
    bench.deliver(1, &frame(1, &body, signature));
    assert_eq!(bench.delivered(), 1);
    let (body, signature) = body_of(9, &payload, |_| {});
    bench.deliver(1, &frame(1, &body, signature));
    assert_eq!(violation_of(&bench, 1), Some(PeerViolation::OutOfBounds));
}

#[test]
fn our_own_rate_is_bounded() {
    let mut bench = Bench::new();
    let burst = config().broadcasts.burst;
    bench.call(|overlay, now| {
        for _ in 0..burst {
            assert!(overlay.broadcast(now, START_MILLIS, "t", b"").is_ok());
        }
        assert_eq!(
            overlay.broadcast(now, START_MILLIS, "t", b""),
            Err(OverlayError::TooFast)
        );
    });
}

#[test]
fn topics_without_a_handler_are_relayed_but_not_delivered() {
    let handlers = Handlers::Named(["chat".to_owned()].into());
    let mut bench = Bench::with(OverlayConfig {
        handlers,
        ..config()
    });
    bench.connect(1);
    bench.connect(2);
    let (body, signature) = body_of(9, b"x", |_| {});
    bench.deliver(1, &frame(1, &body, signature));
    assert_eq!((bench.delivered(), bench.sent_to(2).len()), (0, 1));
    bench.call(|overlay, _| overlay.register_handler("news").unwrap());
    let (body, signature) = body_of(9, b"y", |_| {});
    bench.deliver(1, &frame(1, &body, signature));
    assert_eq!(bench.delivered(), 1);
}

#[test]
fn peers_that_do_not_offer_gossip_are_sent_none() {
    let mut bench = Bench::new();
    bench.link(1, Direction::Inbound);
    let hello = encode_hello(|hello| hello.capabilities = Capabilities::DIRECT.0);
    bench.deliver(1, &hello);
    bench.deliver(1, &accepting_reply());
    bench.call(|overlay, now| overlay.broadcast(now, START_MILLIS, "t", b"").unwrap());
    assert!(bench.actions.is_empty());
}

#[test]
fn repeated_forgeries_ban_the_peer_that_relays_them() {
    let mut bench = Bench::new();
    bench.connect(1);
    for n in 0..VIOLATIONS_MAX {
        assert!(bench.is_connected(1), "after {n}");
        let (body, _) = body_of(9, &[u8::try_from(n).unwrap()], |_| {});
        bench.deliver(1, &frame(1, &body, [0; 64]));
    }
    let peer = bench.overlay.peers().find(|peer| peer.id == id(1)).unwrap();
    assert_eq!(peer.state, crate::PeerState::Banned);
    let link = bench.link(1, Direction::Inbound);
    assert!(matches!(bench.actions[..], [Action::CloseLink { link: of, .. }] if of == link));
    bench.advance(config().violation_ban_duration);
    bench.connect(1);
}
