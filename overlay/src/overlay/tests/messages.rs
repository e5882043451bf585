//! Direct messages, requests, rates, pings.

use super::*;
use crate::limits::{EARLY_MESSAGES_MAX, PAYLOAD_LEN_MAX, RATE_DROPS_MAX, REQUESTS_PER_PEER_MAX};
use crate::wire::{Direct, Disconnect, Ping, Request, Response};
use crate::{
    DecodeError, DisconnectReason, Handlers, OverlayError, PeerViolation, Rate, RequestFailure,
    RequestId, RequestRefusal,
};

fn direct(payload: &[u8]) -> Vec<u8> {
    Message::Direct(Direct {
        handler: "chat",
        payload,
    })
    .encode()
}

fn directs(bench: &Bench) -> usize {
    bench
        .events
        .iter()
        .filter(|event| matches!(event, Event::Direct { .. }))
        .count()
}

#[test]
fn direct_messages_reach_the_named_handler() {
    let handlers = Handlers::Named(["chat".to_owned()].into());
    let mut bench = Bench::with(OverlayConfig {
        handlers,
        ..config()
    });
    bench.connect(1);
    bench.deliver(1, &direct(b"hi"));
    let (handler, payload) = ("chat".to_owned(), b"hi"[..].into());
    assert_eq!(
        bench.events,
        [Event::Direct {
            peer: id(1),
            handler,
            payload,
            via: None
        }]
    );
    bench.deliver(
        1,
        &Message::Direct(Direct {
            handler: "other",
            payload: b"",
        })
        .encode(),
    );
    assert!(bench.events.is_empty());
    assert_eq!(bench.overlay.stats().unhandled, 1);
}

#[test]
fn sending_needs_a_connected_peer_that_offers_it() {
    let mut bench = Bench::new();
    bench.link(1, Direction::Inbound);
    bench.call(|overlay, now| {
        let refused = overlay.send(now, id(1), "chat", b"");
        assert_eq!(refused, Err(OverlayError::NotConnected(id(1))));
    });
    bench.deliver(
        1,
        &encode_hello(|hello| hello.capabilities = Capabilities::REQUESTS.0),
    );
    bench.deliver(1, &accepting_reply());
    bench.call(|overlay, now| {
        let refused = overlay.send(now, id(1), "chat", b"");
        assert_eq!(refused, Err(OverlayError::NotSupported(id(1))));
        let payload = vec![0; PAYLOAD_LEN_MAX + 1];
        assert!(overlay.request(now, id(1), "chat", &payload[1..]).is_ok());
        assert!(matches!(
            overlay.request(now, id(1), "chat", &payload),
            Err(OverlayError::PayloadTooLong { .. })
        ));
    });
}

#[test]
fn a_request_is_answered_once() {
    let mut bench = Bench::new();
    bench.connect(1);
    let request = bench.call(|overlay, now| overlay.request(now, id(1), "sum", b"1+1").unwrap());
    let answer = Message::Response(Response {
        id: request.0,
        status: 0,
        payload: b"2",
    })
    .encode();
    bench.deliver(1, &answer);
    let payload = b"2"[..].into();
    assert_eq!(
        bench.events,
        [Event::Response {
            peer: id(1),
            id: request,
            payload
        }]
    );
    bench.deliver(1, &answer);
    assert!(bench.events.is_empty());
    assert_eq!(bench.overlay.stats().unsolicited, 1);
}

#[test]
fn an_answer_of_another_peer_is_ignored() {
    let mut bench = Bench::new();
    bench.connect(1);
    bench.connect(2);
    let request = bench.call(|overlay, now| overlay.request(now, id(1), "sum", b"").unwrap());
    let answer = Message::Response(Response {
        id: request.0,
        status: 0,
        payload: b"",
    })
    .encode();
    bench.deliver(2, &answer);
    assert!(bench.events.is_empty());
}

#[test]
fn a_request_without_an_answer_times_out() {
    let mut bench = Bench::new();
    bench.connect(1);
    let request = bench.call(|overlay, now| overlay.request(now, id(1), "sum", b"").unwrap());
    let failed = |failure| Event::RequestFailed {
        peer: id(1),
        id: request,
        failure,
    };
    bench.advance(config().request_timeout - Duration::from_nanos(1));
    assert!(!bench.events.contains(&failed(RequestFailure::Timeout)));
    bench.advance(Duration::from_nanos(1));
    assert!(bench.events.contains(&failed(RequestFailure::Timeout)));
}

#[test]
fn a_request_to_a_peer_that_leaves_fails() {
    let mut bench = Bench::new();
    bench.connect(1);
    let request = bench.call(|overlay, now| overlay.request(now, id(1), "sum", b"").unwrap());
    bench.call(|overlay, now| overlay.disconnect(now, id(1), DisconnectReason::UserRequested));
    let failure = RequestFailure::PeerGone;
    assert!(bench.events.contains(&Event::RequestFailed {
        peer: id(1),
        id: request,
        failure
    }));
}

#[test]
fn requests_of_ours_reach_the_limit_and_not_one_more() {
    let mut bench = Bench::new();
    bench.connect(1);
    bench.call(|overlay, now| {
        for _ in 0..REQUESTS_PER_PEER_MAX {
            assert!(overlay.request(now, id(1), "sum", b"").is_ok());
        }
        let refused = overlay.request(now, id(1), "sum", b"");
        assert_eq!(refused, Err(OverlayError::TooManyRequests(id(1))));
    });
}

#[test]
fn a_peers_request_is_answered_refused_or_unknown() {
    let handlers = Handlers::Named(["sum".to_owned()].into());
    let mut bench = Bench::with(OverlayConfig {
        handlers,
        ..config()
    });
    bench.connect(1);
    let ask = |id: u64, handler| {
        Message::Request(Request {
            id,
            handler,
            payload: b"",
        })
        .encode()
    };
    bench.deliver(1, &ask(1, "sum"));
    assert!(matches!(
        bench.events[..],
        [Event::Request {
            id: RequestId(1),
            ..
        }]
    ));
    bench.call(|overlay, now| overlay.respond(now, id(1), RequestId(1), b"2").unwrap());
    let served = Response {
        id: 1,
        status: 0,
        payload: b"2",
    };
    assert_eq!(decoded(&bench.sent_to(1)[0]), Message::Response(served));
    bench.call(|overlay, now| {
        let again = overlay.respond(now, id(1), RequestId(1), b"2");
        assert_eq!(again, Err(OverlayError::UnknownRequest(1)));
    });
    bench.deliver(1, &ask(2, "sum"));
    bench.call(|overlay, now| {
        overlay
            .refuse(now, id(1), RequestId(2), RequestRefusal::Failed)
            .unwrap();
    });
    let refused = Response {
        id: 2,
        status: RequestRefusal::Failed.code(),
        payload: b"",
    };
    assert_eq!(decoded(&bench.sent_to(1)[0]), Message::Response(refused));
    bench.deliver(1, &ask(3, "unknown"));
    let refused = Response {
        id: 3,
        status: RequestRefusal::NoHandler.code(),
        payload: b"",
    };
    assert_eq!(decoded(&bench.sent_to(1)[0]), Message::Response(refused));
}

#[test]
fn a_flood_is_cut_to_the_rate_and_harms_no_other_peer() {
    let messages = Rate {
        per_second: 10,
        burst: 20,
    };
    let mut bench = Bench::with(OverlayConfig {
        messages,
        ..config()
    });
    bench.connect(1);
    bench.connect(2);
    let mut admitted = 0;
    for _ in 0..2000 {
        bench.deliver(1, &direct(b"flood"));
        admitted += directs(&bench);
    }
    assert_eq!(admitted, 20 - 2, "the burst, less the hello and its reply");
    bench.deliver(2, &direct(b"honest"));
    assert_eq!(directs(&bench), 1);
    bench.now = bench.now + SECOND;
    for _ in 0..100 {
        bench.deliver(1, &direct(b"flood"));
        admitted += directs(&bench);
    }
    assert_eq!(admitted, 18 + 10, "and ten a second from then on");
}

#[test]
fn bytes_are_limited_too() {
    let bytes = Rate {
        per_second: 1000,
        burst: 10_000,
    };
    let mut bench = Bench::with(OverlayConfig { bytes, ..config() });
    bench.connect(1);
    bench.deliver(1, &direct(&[0; 9_000]));
    assert_eq!(directs(&bench), 1);
    bench.deliver(1, &direct(&[0; 1_000]));
    assert_eq!(directs(&bench), 0);
}

#[test]
fn a_flood_past_the_tolerance_ends_the_link() {
    let messages = Rate {
        per_second: 1,
        burst: 2,
    };
    let mut bench = Bench::with(OverlayConfig {
        messages,
        ..config()
    });
    bench.connect(1);
    for n in 0..RATE_DROPS_MAX {
        assert!(bench.is_connected(1), "after {n}");
        bench.deliver(1, &direct(b""));
    }
    assert!(!bench.is_connected(1));
}

#[test]
fn messages_that_overtake_the_hello_wait_for_it_within_bounds() {
    let mut bench = Bench::new();
    bench.link(1, Direction::Inbound);
    for _ in 0..=EARLY_MESSAGES_MAX {
        bench.deliver(1, &direct(b"early"));
        assert_eq!(directs(&bench), 0);
    }
    bench.deliver(1, &accepting_reply());
    assert_eq!(directs(&bench), 0, "their hello is still missing");
    bench.deliver(1, &hello_of(1));
    assert_eq!(directs(&bench), EARLY_MESSAGES_MAX);
    assert_eq!(bench.overlay.stats().early_dropped, 1);
}

#[test]
fn malformed_messages_are_faults_and_unknown_types_are_not() {
    let mut bench = Bench::new();
    bench.connect(1);
    bench.deliver(1, &[0x82, 0x18, 99, 0xa0]);
    assert_eq!(
        (bench.events.len(), bench.overlay.stats().unknown_types),
        (0, 1)
    );
    bench.deliver(1, b"not cbor");
    let (peer, violation) = (id(1), PeerViolation::Malformed(DecodeError::Truncated));
    assert_eq!(
        bench.events.first(),
        Some(&Event::PeerViolation { peer, violation })
    );
}

#[test]
fn pings_are_answered_and_measure_the_round_trip() {
    let mut bench = Bench::new();
    bench.connect(1);
    bench.deliver(1, &Message::Ping(Ping { nonce: 7 }).encode());
    assert_eq!(
        decoded(&bench.sent_to(1)[0]),
        Message::Pong(Ping { nonce: 7 })
    );
    bench.advance(config().ping_interval);
    let sent = bench.sent_to(1);
    let ping = sent.iter().find_map(|bytes| match decoded(bytes) {
        Message::Ping(ping) => Some(ping),
        _ => None,
    });
    bench.now = bench.now + Duration::from_millis(42);
    bench.deliver(1, &Message::Pong(ping.expect("a ping is due")).encode());
    let peer = bench.overlay.peers().find(|peer| peer.id == id(1)).unwrap();
    assert_eq!(peer.rtt, Some(Duration::from_millis(42)));
}

#[test]
fn three_missed_pings_end_the_link() {
    // Nobody is asked anything else, so that pings come when they are due.
    let mut bench = Bench::with(OverlayConfig {
        gossip_interval: 3600 * SECOND,
        ..config()
    });
    bench.connect(1);
    let mut elapsed = Duration::ZERO;
    while bench.is_connected(1) {
        assert!(elapsed < 60 * SECOND);
        bench.advance(SECOND);
        elapsed += SECOND;
    }
    assert_eq!(elapsed, config().ping_interval + 3 * config().ping_timeout);
    let goodbye = Disconnect {
        reason: DisconnectReason::InactivityTimeout.code(),
    };
    assert_eq!(
        decoded(bench.sent_to(1).last().unwrap()),
        Message::Disconnect(goodbye)
    );
}
