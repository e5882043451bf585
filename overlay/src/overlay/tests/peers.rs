//! Hellos, records, exchange, dialling, goodbyes, bans.

use super::*;
use crate::limits::{
    ALTERNATIVES_MAX, BOOTSTRAP_MAX, DIALS_MAX, EXCHANGE_RECORDS_MAX, HANDSHAKING_MAX,
};
use crate::saved::BanSubject;
use crate::wire::{Disconnect, DisconnectAck, GetPeers, Peers};
use crate::{
    CloseReason, DialTarget, DisconnectReason, LinkEnd, LinkEndCause, OverlayError, PeerState,
    PeerView, PeerViolation, Refusal, StateReason,
};

fn peer(bench: &Bench, n: u8) -> Option<PeerView> {
    bench.overlay.peers().find(|peer| peer.id == id(n))
}

fn state(bench: &Bench, n: u8) -> Option<(PeerState, StateReason)> {
    peer(bench, n).map(|peer| (peer.state, peer.reason))
}

/// The ID of the question for peers that the last call sent to `n`.
fn question_to(bench: &Bench, n: u8) -> Option<u64> {
    bench
        .sent_to(n)
        .iter()
        .find_map(|bytes| match decoded(bytes) {
            Message::GetPeers(question) => Some(question.id),
            _ => None,
        })
}

fn answer(id: u64, records: &[VerifiedRecord]) -> Vec<u8> {
    let records = records.iter().map(VerifiedRecord::signed).collect();
    Message::Peers(Peers { id, records }).encode()
}

fn reply_to(bench: &Bench, n: u8) -> u8 {
    let sent = bench.sent_to(n);
    let verdict = sent.iter().find_map(|bytes| match decoded(bytes) {
        Message::HelloReply(reply) => Some(reply.verdict),
        _ => None,
    });
    verdict.expect("a reply")
}

#[test]
fn a_hello_is_sent_at_once_and_answered() {
    let mut bench = Bench::new();
    bench.link(1, Direction::Outbound);
    let sent = bench.sent_to(1);
    let Message::Hello(hello) = decoded(&sent[0]) else {
        panic!("a hello")
    };
    assert_eq!(
        (hello.version_min, hello.version_max, hello.network),
        (1, 1, "dunlin")
    );
    assert!(hello.record.is_some(), "we listen, so we have a record");
    bench.deliver(1, &hello_of(1));
    assert_eq!(reply_to(&bench, 1), 0);
    assert!(!bench.is_connected(1), "our own hello is not accepted yet");
    bench.deliver(1, &accepting_reply());
    assert_eq!(
        state(&bench, 1),
        Some((PeerState::Connected, StateReason::HelloAccepted))
    );
}

#[test]
fn refuses_other_versions_and_networks_with_the_reason() {
    let cases = [
        (
            encode_hello(|hello| (hello.version_min, hello.version_max) = (2, 9)),
            Refusal::Version,
        ),
        (
            encode_hello(|hello| (hello.version_min, hello.version_max) = (0, 0)),
            Refusal::Version,
        ),
        (
            encode_hello(|hello| hello.network = "elsewhere"),
            Refusal::Network,
        ),
    ];
    for (hello, refusal) in cases {
        let mut bench = Bench::new();
        bench.link(1, Direction::Inbound);
        bench.deliver(1, &hello);
        assert_eq!(reply_to(&bench, 1), refusal.code());
        let reason = StateReason::RefusedByUs(refusal);
        assert_eq!(state(&bench, 1), Some((PeerState::Failed, reason)));
        bench.advance(config().disconnect_timeout);
        assert!(matches!(bench.actions[..], [Action::CloseLink { .. }]));
    }
    let mut bench = Bench::new();
    bench.link(1, Direction::Inbound);
    bench.deliver(
        1,
        &encode_hello(|hello| (hello.version_min, hello.version_max) = (1, 9)),
    );
    assert_eq!(reply_to(&bench, 1), 0, "a range that contains ours is fine");
}

#[test]
fn peers_are_taken_up_to_the_limit_and_refused_one_past_it_with_alternatives() {
    let mut bench = Bench::with(OverlayConfig {
        max_peers: 3,
        ..config()
    });
    for n in 1..=3 {
        bench.connect(n);
    }
    bench.link(4, Direction::Inbound);
    bench.deliver(4, &hello_of(4));
    assert_eq!(reply_to(&bench, 4), Refusal::ConnectionLimit.code());
    let sent = bench.sent_to(4);
    let Message::HelloReply(reply) = decoded(&sent[0]) else {
        panic!("a reply")
    };
    assert_eq!(reply.alternatives.len(), 3);
}

#[test]
fn links_without_a_hello_are_bounded_and_time_out() {
    let mut bench = Bench::new();
    for n in 0..HANDSHAKING_MAX {
        bench.link(u8::try_from(n).unwrap(), Direction::Inbound);
        assert_eq!(bench.overlay.stats().handshaking, n + 1);
    }
    bench.link(99, Direction::Inbound);
    let reason = CloseReason::Disconnect(DisconnectReason::ConnectionLimitReached);
    assert!(matches!(bench.actions[..], [Action::CloseLink { reason: of, .. }] if of == reason));
    bench.advance(config().handshake_timeout);
    assert_eq!(bench.overlay.stats().handshaking, 0);
    assert_eq!(
        state(&bench, 1),
        Some((PeerState::Failed, StateReason::HelloTimeout))
    );
}

#[test]
fn a_link_to_ourselves_is_closed() {
    let mut bench = Bench::new();
    bench.link(100, Direction::Outbound);
    let reason = CloseReason::OwnIdentity;
    assert!(matches!(bench.actions[..], [Action::CloseLink { reason: of, .. }] if of == reason));
}

#[test]
fn asked_for_records_are_learned_and_dialled_with_their_identity() {
    let mut bench = Bench::new();
    bench.connect(1);
    bench.advance(config().exchange_interval_low * 2);
    let mut bench = Bench::new();
    bench.link(1, Direction::Inbound);
    bench.deliver(1, &hello_of(1));
    bench.deliver(1, &accepting_reply());
    let question = question_to(&bench, 1).expect("a new peer is asked at once");
    bench.deliver(1, &answer(question, &[record(2, 5, address(2))]));
    assert_eq!(
        state(&bench, 2),
        Some((PeerState::Discovered, StateReason::PeerExchange))
    );
    bench.call(|overlay, now| overlay.handle_timeout(now));
    let target = DialTarget {
        address: address(2),
        id: Some(id(2)),
    };
    assert!(bench.actions.contains(&Action::Dial(target)));
    assert_eq!(
        state(&bench, 2),
        Some((PeerState::Connecting, StateReason::Dialled))
    );
}

#[test]
fn unsolicited_peers_are_ignored() {
    let mut bench = Bench::new();
    bench.connect(1);
    let question = question_to(&bench, 1).expect("asked");
    bench.deliver(1, &answer(question ^ 1, &[record(2, 5, address(2))]));
    assert!(peer(&bench, 2).is_none());
    bench.deliver(1, &answer(question, &[]));
    bench.deliver(1, &answer(question, &[record(2, 5, address(2))]));
    assert!(peer(&bench, 2).is_none(), "one answer to one question");
    assert_eq!(bench.overlay.stats().unsolicited, 2);
}

#[test]
fn records_with_a_bad_signature_or_an_older_sequence_are_refused() {
    let mut bench = Bench::new();
    bench.connect(1);
    let question = question_to(&bench, 1).expect("asked");
    let newest = record(2, 5, address(2));
    let older = record(2, 4, address(3));
    let same = record(2, 5, address(4));
    bench.deliver(1, &answer(question, &[newest, older, same]));
    assert_eq!(peer(&bench, 2).unwrap().addresses, [address(2)]);
    assert_eq!(bench.overlay.stats().records_refused, 2);

    bench.connect(7);
    let question = question_to(&bench, 7).expect("asked");
    let genuine = record(3, 1, address(3));
    let mut forged = genuine.signed();
    forged.signature[5] ^= 1;
    bench.deliver(
        7,
        &Message::Peers(Peers {
            id: question,
            records: vec![forged],
        })
        .encode(),
    );
    assert!(peer(&bench, 3).is_none());
    let violation = PeerViolation::RecordInvalid;
    assert!(bench.events.contains(&Event::PeerViolation {
        peer: id(7),
        violation
    }));
}

#[test]
fn another_nodes_record_in_a_hello_is_a_fault() {
    let mut bench = Bench::new();
    bench.link(1, Direction::Inbound);
    let of_another = record(2, 1, address(2));
    bench.deliver(
        1,
        &encode_hello(|hello| hello.record = Some(of_another.signed())),
    );
    let violation = PeerViolation::RecordNotOwn;
    assert!(bench.events.contains(&Event::PeerViolation {
        peer: id(1),
        violation
    }));
    assert!(peer(&bench, 2).is_none());
}

#[test]
fn only_records_of_peers_seen_at_their_address_are_passed_on() {
    let mut bench = Bench::new();
    bench.connect(1);
    // Node 2 is seen at its own address but claims another host's.
    bench.link(2, Direction::Inbound);
    let elsewhere = record(2, 1, address(77));
    bench.deliver(
        2,
        &encode_hello(|hello| hello.record = Some(elsewhere.signed())),
    );
    bench.deliver(2, &accepting_reply());
    // Node 3 is only heard of.
    let question = question_to(&bench, 2).expect("asked");
    bench.deliver(2, &answer(question, &[record(3, 1, address(3))]));
    assert!(peer(&bench, 3).is_some());
    bench.connect(4);
    bench.deliver(
        4,
        &Message::GetPeers(GetPeers {
            id: 9,
            count: u16::MAX,
        })
        .encode(),
    );
    let sent = bench.sent_to(4);
    let Message::Peers(peers) = decoded(&sent[0]) else {
        panic!("an answer")
    };
    let known = record(1, 1, address(1));
    assert_eq!(
        peers,
        Peers {
            id: 9,
            records: vec![known.signed()]
        }
    );
}

#[test]
fn a_peer_that_was_heard_of_first_is_passed_on_once_it_is_seen_at_its_address() {
    let mut bench = Bench::new();
    bench.connect(1);
    let question = question_to(&bench, 1).expect("asked");
    // The very record that node 2 will give itself.
    bench.deliver(1, &answer(question, &[record(2, 1, address(2))]));
    let ask = |id| {
        let count = u16::MAX;
        Message::GetPeers(GetPeers { id, count }).encode()
    };
    bench.deliver(1, &ask(8));
    let sent = bench.sent_to(1);
    let Message::Peers(before) = decoded(&sent[0]) else {
        panic!("an answer")
    };
    assert_eq!(before.records, [], "it was only heard of");
    bench.connect(2);
    bench.deliver(1, &ask(9));
    let sent = bench.sent_to(1);
    let Message::Peers(after) = decoded(&sent[0]) else {
        panic!("an answer")
    };
    assert_eq!(after.records, [record(2, 1, address(2)).signed()]);
}

#[test]
fn a_record_that_is_no_news_is_passed_over_before_its_signature_is_checked() {
    let mut bench = Bench::new();
    bench.connect(1);
    let question = question_to(&bench, 1).expect("asked");
    let known = record(2, 5, address(2));
    let mut forged = known.signed();
    forged.signature[5] ^= 1;
    let records = vec![known.signed(), forged];
    let id = question;
    bench.deliver(1, &Message::Peers(Peers { id, records }).encode());
    assert_eq!(bench.overlay.stats().records_refused, 1);
    assert_eq!(bench.overlay.stats().violations, 0);
    // The node's own hello is another matter: it is to be the known record, or to verify.
    bench.link(2, Direction::Inbound);
    bench.deliver(2, &encode_hello(|hello| hello.record = Some(forged)));
    assert_eq!(bench.overlay.stats().violations, 1);
}

#[test]
fn alternatives_of_a_refusal_are_taken_by_who_has_nobody_left_to_try() {
    let mut bench = Bench::with(OverlayConfig {
        target_peers: 1,
        ..config()
    });
    let refuse_with = |bench: &mut Bench, n: u8, named: u8| {
        bench.link(n, Direction::Inbound);
        let record = record(named, 1, address(named));
        let reply = HelloReply {
            verdict: Refusal::ConnectionLimit.code(),
            observed: None,
            alternatives: vec![record.signed()],
        };
        bench.deliver(n, &Message::HelloReply(reply).encode());
        peer(bench, named).is_some()
    };
    assert!(refuse_with(&mut bench, 1, 50), "there was nobody to try");
    bench.connect(2);
    let question = question_to(&bench, 2).expect("asked");
    let many = 60..=60 + u8::try_from(ALTERNATIVES_MAX).unwrap();
    let records: Vec<_> = many.map(|n| record(n, 1, address(n))).collect();
    bench.deliver(2, &answer(question, &records));
    assert!(!refuse_with(&mut bench, 3, 51), "there are enough to try");
}

#[test]
fn answers_are_bounded_in_size_and_rate() {
    let mut bench = Bench::with(OverlayConfig {
        max_peers: 60,
        ..config()
    });
    for n in 1..=u8::try_from(EXCHANGE_RECORDS_MAX).unwrap() + 5 {
        bench.connect(n);
    }
    let ask = Message::GetPeers(GetPeers {
        id: 1,
        count: u16::MAX,
    })
    .encode();
    let mut answers = 0;
    for _ in 0..20 {
        bench.deliver(1, &ask);
        for bytes in bench.sent_to(1) {
            let Message::Peers(peers) = decoded(&bytes) else {
                panic!("an answer")
            };
            assert_eq!(peers.records.len(), EXCHANGE_RECORDS_MAX);
            answers += 1;
        }
    }
    assert_eq!(answers, 4);
    assert_eq!(bench.overlay.stats().exchange_refused, 16);
}

#[test]
fn a_goodbye_is_acknowledged_before_the_link_closes() {
    let mut bench = Bench::new();
    let link = bench.connect(1);
    bench.call(|overlay, now| overlay.disconnect(now, id(1), DisconnectReason::UserRequested));
    let reason = DisconnectReason::UserRequested;
    let goodbye = Message::Disconnect(Disconnect {
        reason: reason.code(),
    });
    assert_eq!(decoded(&bench.sent_to(1)[0]), goodbye);
    assert_eq!(
        bench.actions.len(),
        1,
        "the link stays for the acknowledgement"
    );
    let why = StateReason::LocalDisconnect(reason);
    assert_eq!(state(&bench, 1), Some((PeerState::Disconnected, why)));
    assert!(bench.events.contains(&Event::PeerDown {
        peer: id(1),
        reason: why
    }));
    bench.deliver(1, &Message::DisconnectAck(DisconnectAck {}).encode());
    let reason = CloseReason::Disconnect(reason);
    assert_eq!(
        bench.actions,
        [Action::CloseLink {
            peer: id(1),
            link,
            reason
        }]
    );
    bench.advance(600 * SECOND);
    assert!(bench.actions.is_empty(), "and the peer is left alone");
}

#[test]
fn a_goodbye_without_acknowledgement_closes_after_the_timeout() {
    let mut bench = Bench::new();
    let link = bench.connect(1);
    bench.call(|overlay, now| overlay.disconnect(now, id(1), DisconnectReason::Banned));
    assert_eq!(
        state(&bench, 1),
        Some((PeerState::Banned, StateReason::BannedByUser))
    );
    bench.advance(config().disconnect_timeout);
    let reason = CloseReason::Disconnect(DisconnectReason::Banned);
    assert_eq!(
        bench.actions,
        [Action::CloseLink {
            peer: id(1),
            link,
            reason
        }]
    );
    bench.link(1, Direction::Inbound);
    assert!(
        matches!(bench.actions[..], [Action::CloseLink { .. }]),
        "banned"
    );
    bench.call(|overlay, now| overlay.unban(now, BanSubject::Peer(id(1))));
    bench.connect(1);
}

#[test]
fn a_peers_goodbye_is_acknowledged_and_its_reason_kept() {
    let mut bench = Bench::new();
    bench.connect(1);
    bench.deliver(1, &Message::Disconnect(Disconnect { reason: 5 }).encode());
    assert_eq!(
        decoded(&bench.sent_to(1)[0]),
        Message::DisconnectAck(DisconnectAck {})
    );
    let why = StateReason::RemoteDisconnect(Some(DisconnectReason::Shutdown));
    assert_eq!(state(&bench, 1), Some((PeerState::Disconnected, why)));
    bench.connect(2);
    bench.deliver(2, &Message::Disconnect(Disconnect { reason: 200 }).encode());
    let why = StateReason::RemoteDisconnect(None);
    assert_eq!(state(&bench, 2), Some((PeerState::Disconnected, why)));
}

#[test]
fn a_lost_link_is_reported_and_the_other_one_takes_over_if_there_is_one() {
    let mut bench = Bench::new();
    let first = bench.connect(1);
    let second = bench.link(1, Direction::Outbound);
    let lost = |bench: &mut Bench, link| {
        let ended = LinkEnd {
            link,
            cause: LinkEndCause::Failed,
        };
        bench.call(|overlay, now| overlay.handle_disconnected(now, id(1), ended));
    };
    lost(&mut bench, first);
    assert!(bench.events.is_empty() && bench.is_connected(1));
    bench.call(|overlay, now| overlay.send(now, id(1), "chat", b"").unwrap());
    assert!(matches!(bench.actions[..], [Action::Send { link, .. }] if link == second));
    lost(&mut bench, second);
    let reason = StateReason::LinkLost(LinkEndCause::Failed);
    assert!(bench.events.contains(&Event::PeerDown {
        peer: id(1),
        reason
    }));
}

#[test]
fn bootstraps_are_kept_up_to_the_limit_and_refused_one_past_it() {
    let mut bench = Bench::new();
    for n in 0..BOOTSTRAP_MAX {
        let n = u8::try_from(n).unwrap();
        bench.call(|overlay, now| overlay.add_bootstrap(now, address(n), None).unwrap());
    }
    bench.call(|overlay, now| {
        assert_eq!(
            overlay.add_bootstrap(now, address(1), None),
            Ok(()),
            "known already"
        );
        let refused = overlay.add_bootstrap(now, address(99), None);
        assert_eq!(refused, Err(OverlayError::TooManyBootstraps));
    });
}

#[test]
fn dials_are_bounded_and_a_silent_driver_does_not_block_them() {
    let mut bench = Bench::new();
    for n in 1..=40 {
        bench.call(|overlay, now| overlay.add_bootstrap(now, address(n), None).unwrap());
    }
    bench.advance(Duration::ZERO);
    assert_eq!(bench.actions.len(), config().parallel_dials);
    bench.advance(Duration::from_millis(399));
    assert!(bench.actions.is_empty());
    // Slow dials of a node without peers are overtaken, up to a bound.
    let mut dials = config().parallel_dials;
    while dials < DIALS_MAX {
        let due = bench.overlay.poll_timeout().unwrap();
        bench.advance(due.saturating_duration_since(bench.now));
        assert!(bench.actions.len() <= config().parallel_dials);
        dials += bench.actions.len();
    }
    assert_eq!(dials, DIALS_MAX);
    assert!(bench.now < Instant::ZERO + 4 * SECOND);
    bench.advance(3 * SECOND);
    assert!(bench.actions.is_empty());
    bench.advance(config().dial_timeout);
    assert_eq!(
        bench.actions.len(),
        config().parallel_dials,
        "others take the slots"
    );
}

#[test]
fn a_node_with_enough_peers_does_not_overtake_its_dials() {
    let mut bench = Bench::with(OverlayConfig {
        min_peers: 1,
        ..config()
    });
    bench.connect(1);
    let question = question_to(&bench, 1).unwrap();
    let records: Vec<_> = (11..=20).map(|n| record(n, 1, address(n))).collect();
    bench.deliver(1, &answer(question, &records));
    bench.call(Overlay::handle_timeout);
    let dials = |bench: &Bench| {
        bench
            .actions
            .iter()
            .filter(|a| matches!(a, Action::Dial(_)))
            .count()
    };
    assert_eq!(dials(&bench), config().parallel_dials);
    bench.advance(SECOND);
    assert_eq!(dials(&bench), 0);
}

#[test]
fn a_bootstrap_with_an_identity_is_dialled_with_it() {
    let mut bench = Bench::new();
    bench.call(|overlay, now| overlay.add_bootstrap(now, address(1), Some(id(1))).unwrap());
    bench.advance(Duration::ZERO);
    let target = DialTarget {
        address: address(1),
        id: Some(id(1)),
    };
    assert_eq!(bench.actions, [Action::Dial(target)]);
    bench.call(|overlay, now| overlay.handle_dial_failed(now, &target));
    assert_eq!(
        state(&bench, 1),
        Some((PeerState::Failed, StateReason::DialFailed))
    );
}

#[test]
fn the_record_is_renewed_before_it_expires() {
    let mut bench = Bench::new();
    bench.link(1, Direction::Inbound);
    let sequence = |bench: &Bench| {
        let sent = bench.sent_to(1);
        let hello = sent.iter().find_map(|bytes| match decoded(bytes) {
            Message::Hello(hello) => Some(hello),
            _ => None,
        });
        let now = bench.overlay.config.wall_clock.unix_millis_at(bench.now);
        let signed = hello.expect("a hello").record.expect("with a record");
        VerifiedRecord::verify(&signed, "dunlin", now)
            .expect("that verifies")
            .sequence()
    };
    let first = sequence(&bench);
    bench.deliver(1, &hello_of(1));
    bench.deliver(1, &accepting_reply());
    bench.now = bench.now + crate::limits::RECORD_AGE_MAX / 3;
    bench.call(|overlay, now| {
        assert!(overlay.poll_timeout().is_some_and(|due| due <= now));
        overlay.handle_timeout(now);
    });
    let second = sequence(&bench);
    assert!(second > first);
    bench.call(|overlay, now| overlay.set_listen(now, vec![address(5)]));
    assert!(sequence(&bench) > second);
}

#[test]
fn a_dial_is_recognised_when_the_socket_maps_ipv4_into_ipv6() {
    let mut bench = Bench::new();
    bench.call(|overlay, now| overlay.add_bootstrap(now, address(1), None).unwrap());
    bench.advance(Duration::ZERO);
    assert_eq!(bench.overlay.stats().dialling, 1);
    let std::net::IpAddr::V4(ip) = address(1).ip() else {
        panic!("IPv4")
    };
    let remote = (ip.to_ipv6_mapped(), address(1).port()).into();
    let (id, direction, public) = (LinkId(1), Direction::Outbound, *identity(1).public());
    let link = LinkInfo {
        id,
        direction,
        remote,
        public,
    };
    bench.call(|overlay, now| overlay.handle_connected(now, public.node_id(), link));
    assert_eq!(bench.overlay.stats().dialling, 0);
}

#[test]
fn a_corrected_calendar_decides_what_is_current() {
    let mut bench = Bench::new();
    bench.connect(1);
    let an_hour_later = START_MILLIS + 3_600_000;
    let (body, signature) = body_of(9, b"x", |body| body.unix_millis = an_hour_later);
    bench.deliver(1, &frame(1, &body, signature));
    assert_eq!(bench.delivered(), 0);
    let (at, unix_millis) = (bench.now, an_hour_later);
    bench.call(|overlay, _| overlay.set_wall_clock(WallClock { at, unix_millis }));
    bench.deliver(1, &frame(1, &body, signature));
    assert_eq!(bench.delivered(), 1);
}

#[test]
fn a_peer_that_comes_back_before_it_was_missed_is_told_to_have_another_link() {
    let mut bench = Bench::new();
    bench.connect(1);
    bench.link(1, Direction::Inbound);
    let replaced = Event::LinkReplaced {
        peer: id(1),
        remote: address(1),
        direction: Direction::Inbound,
    };
    assert!(bench.events.contains(&replaced), "{:?}", bench.events);
    assert!(bench.is_connected(1));
}
