//! The link that wanders, whom a full node names, and what being cut off means.

use super::*;
use crate::limits::FAILURES_MAX;
use crate::wire::{Disconnect, Peers};
use crate::{DialTarget, DisconnectReason, LinkEnd, LinkEndCause, PeerState, Refusal, StateReason};

const ROVE: Duration = Duration::from_secs(100);

/// A node that wants two peers and roves.
fn roving() -> Bench {
    Bench::with(OverlayConfig {
        min_peers: 1,
        target_peers: 2,
        rove_interval: ROVE,
        ..config()
    })
}

fn dialled(bench: &Bench) -> Vec<DialTarget> {
    let target = |action: &Action| match action {
        Action::Dial(target) => Some(*target),
        _ => None,
    };
    bench.actions.iter().filter_map(target).collect()
}

/// Who of `1..=last` is told goodbye in the last call, and why.
fn farewells(bench: &Bench, last: u8) -> Vec<(u8, Option<DisconnectReason>)> {
    let reason = |bytes: &bytes::Bytes| match decoded(bytes) {
        Message::Disconnect(Disconnect { reason }) => Some(DisconnectReason::from_code(reason)),
        _ => None,
    };
    let of = |n| bench.sent_to(n).iter().find_map(reason);
    (1..=last).filter_map(|n| Some((n, of(n)?))).collect()
}

/// Peer `n` finishes its hellos on a link that we dialled.
fn finish(bench: &mut Bench, n: u8) -> LinkId {
    let link = bench.link(n, Direction::Outbound);
    bench.deliver(n, &hello_of(n));
    bench.deliver(n, &accepting_reply());
    link
}

/// Peer 1, already linked, answers the open question with the records of these.
fn learn(bench: &mut Bench, others: core::ops::RangeInclusive<u8>) {
    let sent = bench.sent_to(1);
    let question = sent.iter().find_map(|bytes| match decoded(bytes) {
        Message::GetPeers(question) => Some(question.id),
        _ => None,
    });
    let records: Vec<_> = others.map(|n| record(n, 1, address(n))).collect();
    let records = records.iter().map(VerifiedRecord::signed).collect();
    let id = question.expect("a question is open");
    bench.deliver(1, &Message::Peers(Peers { id, records }).encode());
    bench.call(Overlay::handle_timeout);
}

/// Lets time pass in small steps while peers answer pings; the first dial ends it.
fn wait_for_dial(bench: &mut Bench, peers: &[u8]) -> (Duration, DialTarget) {
    let start = bench.now;
    while bench.now.saturating_duration_since(start) < 2 * ROVE {
        bench.advance(SECOND);
        if let Some(&target) = dialled(bench).first() {
            return (bench.now.saturating_duration_since(start), target);
        }
        let pongs: Vec<_> = peers
            .iter()
            .flat_map(|&n| bench.sent_to(n).into_iter().map(move |bytes| (n, bytes)))
            .filter_map(|(n, bytes)| match decoded(&bytes) {
                Message::Ping(ping) => Some((n, Message::Pong(ping).encode())),
                _ => None,
            })
            .collect();
        pongs.iter().for_each(|(n, pong)| bench.deliver(*n, pong));
    }
    panic!("nobody is dialled");
}

fn number(target: &DialTarget) -> u8 {
    let SocketAddr::V4(address) = target.address else {
        panic!("not of these tests")
    };
    address.ip().octets()[3]
}

#[test]
fn a_node_with_enough_peers_keeps_one_link_more_that_wanders() {
    let mut bench = roving();
    bench.connect(1);
    learn(&mut bench, 3..=9);
    let known = dialled(&bench);
    assert_eq!(known.len(), 1, "one peer is missing");
    let second = number(&known[0]);
    finish(&mut bench, second);

    let (_, first) = wait_for_dial(&mut bench, &[1, second]);
    let first = number(&first);
    finish(&mut bench, first);
    assert_eq!(farewells(&bench, 9), [], "there was no rover before");
    let peers = [1, second, first];
    let (took, next) = wait_for_dial(&mut bench, &peers);
    assert!(
        took >= ROVE * 3 / 4 && took <= ROVE * 5 / 4 + SECOND,
        "{took:?}"
    );
    let next = number(&next);
    finish(&mut bench, next);
    let enough = DisconnectReason::ConnectionLimitReached;
    assert_eq!(farewells(&bench, 9), [(first, Some(enough))]);
    assert!(bench.is_connected(1) && bench.is_connected(second) && bench.is_connected(next));
    let former = bench.overlay.peers().find(|peer| peer.id == id(first));
    assert_eq!(
        former.map(|peer| peer.failures),
        Some(0),
        "it did nothing wrong"
    );
}

#[test]
fn a_rover_that_is_needed_stays() {
    let mut bench = roving();
    let link = bench.connect(1);
    learn(&mut bench, 3..=9);
    let second = number(&dialled(&bench)[0]);
    let other = finish(&mut bench, second);
    let (_, first) = wait_for_dial(&mut bench, &[1, second]);
    let first = number(&first);
    finish(&mut bench, first);
    let (_, next) = wait_for_dial(&mut bench, &[1, second, first]);
    let cause = LinkEndCause::TimedOut;
    for (n, link) in [(1, link), (second, other)] {
        bench.call(|overlay, now| overlay.handle_disconnected(now, id(n), LinkEnd { link, cause }));
    }
    finish(&mut bench, number(&next));
    assert_eq!(farewells(&bench, 9), []);
}

#[test]
fn who_found_no_room_is_named_to_the_next_one_for_a_while() {
    let full = OverlayConfig {
        max_peers: 0,
        ..config()
    };
    let mut bench = Bench::with(full);
    let named = |bench: &mut Bench, n: u8| {
        bench.link(n, Direction::Inbound);
        bench.deliver(n, &hello_of(n));
        let sent = bench.sent_to(n);
        let reply = sent.iter().find_map(|bytes| match decoded(bytes) {
            Message::HelloReply(reply) => Some((reply.verdict, reply.alternatives.len())),
            _ => None,
        });
        reply.expect("a reply")
    };
    let refused = Refusal::ConnectionLimit.code();
    assert_eq!(named(&mut bench, 1), (refused, 0));
    assert_eq!(named(&mut bench, 2), (refused, 1));
    bench.advance(300 * SECOND);
    assert_eq!(named(&mut bench, 3), (refused, 2));
    bench.advance(301 * SECOND);
    assert_eq!(named(&mut bench, 4), (refused, 1), "two are of long ago");
}

#[test]
fn a_peer_that_has_enough_at_once_is_not_dialled_at_once() {
    let mut bench = roving();
    bench.connect(1);
    let goodbye = |bench: &mut Bench| {
        let reason = DisconnectReason::ConnectionLimitReached.code();
        bench.deliver(1, &Message::Disconnect(Disconnect { reason }).encode());
        bench.overlay.peers().next().map(|peer| peer.failures)
    };
    assert_eq!(goodbye(&mut bench), Some(1));
    bench.connect(1);
    bench.advance(61 * SECOND);
    assert_eq!(
        goodbye(&mut bench),
        Some(0),
        "after a minute it is no fault"
    );
}

/// Fails every dial of the next `duration`.
fn fail_dials(bench: &mut Bench, duration: Duration) {
    let end = bench.now + duration;
    while bench.now < end {
        bench.advance(SECOND);
        while let Some(&target) = dialled(bench).first() {
            bench.call(|overlay, now| {
                overlay.handle_dial_failed(now, &target);
                overlay.handle_timeout(now);
            });
        }
    }
}

#[test]
fn who_was_cut_off_forgets_nobody_and_tries_all_when_it_has_company() {
    let mut bench = roving();
    let link = bench.connect(1);
    learn(&mut bench, 3..=9);
    let cause = LinkEndCause::TimedOut;
    bench.call(|overlay, now| overlay.handle_disconnected(now, id(1), LinkEnd { link, cause }));
    fail_dials(&mut bench, 3_600 * SECOND);
    let worst = bench.overlay.peers().map(|peer| peer.failures).max();
    assert!(worst > Some(FAILURES_MAX), "{worst:?}");
    assert_eq!(bench.overlay.stats().known, 8);

    bench.connect(20);
    bench.call(Overlay::handle_timeout);
    assert_eq!(dialled(&bench).len(), 1, "the peer that is missing");
    let failed = dialled(&bench)[0];
    bench.call(|overlay, now| overlay.handle_dial_failed(now, &failed));
    let state = bench.overlay.peers().find(|p| Some(p.id) == failed.id);
    assert_eq!(state, None, "in company, who is not there is forgotten");
}

#[test]
fn company_that_comes_and_goes_does_not_undo_the_back_off() {
    let mut bench = Bench::with(OverlayConfig {
        min_peers: 0,
        ..config()
    });
    let target: SocketAddr = address(50);
    bench.call(|overlay, now| overlay.add_bootstrap(now, target, Some(id(50))).unwrap());
    fail_dials(&mut bench, 20 * SECOND);
    let before = bench.overlay.stats().dials;
    for _ in 0..10 {
        let link = bench.connect(1);
        let cause = LinkEndCause::TimedOut;
        bench.call(|overlay, now| overlay.handle_disconnected(now, id(1), LinkEnd { link, cause }));
        bench.call(Overlay::handle_timeout);
    }
    assert_eq!(bench.overlay.stats().dials, before);
    let of_peer = bench.overlay.peers().find(|peer| peer.id == id(50));
    assert_eq!(
        of_peer.map(|peer| (peer.state, peer.reason)),
        Some((PeerState::Failed, StateReason::DialFailed))
    );
}
