//! What counts for and against neighbours played by hand, and what follows.

use super::*;
use crate::limits::{
    HEARSAY_MAX_PERMILLE, PROBATION_TESTS, TRUST_ENTRIES_MAX, TRUST_PER_MINUTE, WANT_MAX,
    WATCH_OCCASIONS,
};
use crate::types::ShortId;
use crate::wire::{
    Announce, Ping, Tree, TrustUpdate, TrustedPeersRequest, TrustedPeersResponse, joined_announced,
    joined_trust, node_ids, short_ids, trust_entries,
};
use crate::{
    BroadcastId, Component, DisconnectReason, Evidence, Handlers, Interaction, LinkEnd,
    LinkEndCause, PeerState, Reputation, StateReason, Validation, Verdict,
};

const MILLI: Duration = Duration::from_millis(1);

fn bench_of(count: u8) -> Bench {
    let mut bench = Bench::new();
    for n in 1..=count {
        bench.connect(n);
    }
    bench
}

/// The `number`-th broadcast of node 9, and its short ID.
fn news(number: u64) -> (Vec<u8>, ShortId) {
    let payload = number.to_be_bytes();
    let (body, signature) = body_of(9, &payload, |body| body.sequence = number);
    (
        frame(2, &body, signature),
        BroadcastId::of_body(&body).short(),
    )
}

fn announce(key: ShortId) -> Vec<u8> {
    let pushed = joined_announced(&[(key, 5)]);
    let announce = Announce {
        pushed: &pushed,
        offered: &[],
    };
    Message::Announce(announce).encode()
}

fn reputation(bench: &Bench, n: u8) -> Reputation {
    bench.overlay.reputation(id(n)).expect("met")
}

/// Lets time pass in which everybody is heard; the events of all of it.
fn live(bench: &mut Bench, peers: u8, duration: Duration) -> Vec<Event> {
    let mut events = Vec::new();
    let end = bench.now + duration;
    while bench.now < end {
        for n in 1..=peers {
            bench.deliver(n, &Message::Ping(Ping { nonce: 1 }).encode());
            events.append(&mut bench.events);
        }
        bench.advance(100 * MILLI);
        events.append(&mut bench.events);
    }
    events
}

fn is_against(event: &Event, n: u8, of: Component) -> bool {
    matches!(event, Event::ScoreChanged { peer, component, from, to, .. }
        if *peer == id(n) && *component == of && to <= from)
}

fn pruned(bench: &Bench, n: u8) -> Vec<NodeId> {
    let sent = bench.sent_to(n);
    let prune = |bytes: &bytes::Bytes| match decoded(bytes) {
        Message::Tree(Tree { prune, .. }) => node_ids(prune),
        _ => None,
    };
    sent.iter().filter_map(prune).flatten().collect()
}

fn is_pushed(bench: &Bench, n: u8) -> bool {
    let sent = bench.sent_to(n);
    sent.iter()
        .any(|bytes| matches!(decoded(bytes), Message::Broadcast(_)))
}

#[test]
fn a_newcomer_that_breaks_its_first_promise_is_barred_with_its_evidence() {
    let mut bench = bench_of(2);
    assert!(reputation(&bench, 1).may_relay && reputation(&bench, 1).score == 60);
    bench.deliver(1, &announce(news(1).1));
    let events = live(&mut bench, 2, 3 * SECOND);
    let broken = events
        .iter()
        .find(|event| is_against(event, 1, Component::Relay));
    let Some(Event::ScoreChanged { evidence, .. }) = broken else {
        panic!("{events:?}");
    };
    assert!(matches!(
        evidence,
        Evidence::Relay {
            broken: 1,
            brought: 0,
            ..
        }
    ));
    assert!(!reputation(&bench, 1).may_relay && reputation(&bench, 2).may_relay);
    // It is told, not pushed to, and being the first it is no parent for it.
    let (fresh, _) = news(2);
    bench.deliver(2, &fresh);
    assert!(!is_pushed(&bench, 1));
    let (body, signature) = body_of(8, b"of another", |_| {});
    bench.deliver(1, &frame(2, &body, signature));
    assert_eq!(pruned(&bench, 1), [id(8)]);
    assert_eq!(bench.overlay.tree_places(id(1)).parent, 0);
    assert_eq!(bench.delivered(), 1, "what it brings is taken all the same");
}

#[test]
fn a_parent_that_withholds_loses_all_its_trees_at_once_and_says_goodbye_to_none() {
    let mut bench = bench_of(3);
    for n in [7, 8, 9] {
        let (body, signature) = body_of(n, b"first", |_| {});
        bench.deliver(1, &frame(2, &body, signature));
        bench.deliver(2, &frame(2, &body, signature));
    }
    assert_eq!(bench.overlay.tree_places(id(1)).parent, 3);
    // It is told by others of what it should have pushed, and is itself silent about it.
    for number in 2..5 {
        let (fresh, key) = news(number);
        bench.deliver(2, &announce(key));
        live(&mut bench, 3, 300 * MILLI);
        bench.deliver(2, &fresh);
        live(&mut bench, 3, 2 * SECOND);
    }
    live(&mut bench, 3, 2 * SECOND);
    let relay = reputation(&bench, 1).components[4];
    assert!(relay < 60, "{relay}");
    assert!(reputation(&bench, 2).components[4] > 60);
    assert!(bench.is_connected(1), "being slow ends no link");
}

#[test]
fn a_parent_that_lacked_it_itself_is_not_blamed() {
    let mut bench = bench_of(3);
    bench.deliver(1, &news(1).0);
    let (fresh, key) = news(2);
    bench.deliver(2, &announce(key));
    live(&mut bench, 3, 300 * MILLI);
    bench.deliver(2, &fresh);
    bench.advance(50 * MILLI);
    bench.deliver(1, &fresh);
    let events = live(&mut bench, 3, 3 * SECOND);
    assert!(
        !events
            .iter()
            .any(|event| is_against(event, 1, Component::Relay)),
        "{events:?}"
    );
}

/// What a neighbour is asked for in the last call.
fn asked_of(bench: &Bench, n: u8) -> Vec<ShortId> {
    let sent = bench.sent_to(n);
    let want = |bytes: &bytes::Bytes| match decoded(bytes) {
        Message::Want(want) => short_ids(want.ids, WANT_MAX),
        _ => None,
    };
    sent.iter().filter_map(want).flatten().collect()
}

#[test]
fn who_has_withheld_is_tested_and_barred_when_it_fails_one_test() {
    let mut bench = bench_of(3);
    for number in 1..=10 {
        bench.deliver(1, &news(number).0);
        live(&mut bench, 3, 1_300 * MILLI);
    }
    let (fresh, key) = news(11);
    bench.deliver(2, &announce(key));
    live(&mut bench, 3, 300 * MILLI);
    bench.deliver(2, &fresh);
    live(&mut bench, 3, 4 * SECOND);
    assert!(reputation(&bench, 1).components[4] < 60, "it is blamed");
    assert!(
        reputation(&bench, 1).may_relay,
        "and not barred for one failure"
    );
    let mut number = 11;
    let mut test = |bench: &mut Bench, n: u8| {
        number += 1;
        let (fresh, key) = news(number);
        bench.deliver(2, &fresh);
        bench.deliver(n, &announce(key));
        let asked = asked_of(bench, n);
        assert!(asked.is_empty() || asked == [key], "{asked:?}");
        (!asked.is_empty()).then_some(fresh)
    };
    for _ in 1..PROBATION_TESTS {
        let fresh = test(&mut bench, 1).expect("it owes a test");
        bench.deliver(1, &fresh);
        live(&mut bench, 3, 100 * MILLI);
    }
    assert!(test(&mut bench, 1).is_some(), "the last one");
    live(&mut bench, 3, 4 * SECOND);
    assert!(!reputation(&bench, 1).may_relay);
    assert!(reputation(&bench, 3).may_relay);
    assert_eq!(test(&mut bench, 1), None, "it has nothing to lose");
}

/// Lets neighbour 1 bring ten broadcasts of node 9.
fn let_it_serve(bench: &mut Bench, peers: u8) {
    for number in 1..=10 {
        bench.deliver(1, &news(number).0);
        live(bench, peers, 1_300 * MILLI);
    }
    assert_eq!(bench.overlay.tree_places(id(1)).parent, 1);
}

/// Neighbour 1 announces the `number`-th broadcast of node 9 and never brings it.
fn let_it_break(bench: &mut Bench, peers: u8, number: u64) {
    bench.deliver(1, &announce(news(number).1));
    live(bench, peers, 3 * SECOND);
}

/// Neighbour 3 brings the `number`-th broadcast, and `n` announces it: whether it is asked for it. Then it
/// brings it.
fn is_tested(bench: &mut Bench, n: u8, peers: u8, number: u64) -> bool {
    let (fresh, key) = news(number);
    bench.deliver(3, &fresh);
    bench.deliver(n, &announce(key));
    let is_asked = asked_of(bench, n) == [key];
    bench.deliver(n, &fresh);
    live(bench, peers, 100 * MILLI);
    is_asked
}

fn is_watched(bench: &Bench, n: u8) -> bool {
    let neighbour = bench.overlay.gossip.neighbours.get(&id(n));
    neighbour.is_some_and(|of| of.conduct.is_watched())
}

#[test]
fn who_has_served_and_breaks_one_promise_is_no_parent_until_it_has_passed_its_tests() {
    let mut bench = Bench::new();
    let link = bench.connect(1);
    bench.connect(2);
    bench.connect(3);
    let_it_serve(&mut bench, 3);
    let_it_break(&mut bench, 3, 11);
    assert!(reputation(&bench, 1).may_relay, "one is no habit");
    assert_eq!(bench.overlay.tree_places(id(1)).parent, 0);
    // A new link does not end that.
    let ended = LinkEnd {
        link,
        cause: LinkEndCause::ClosedByPeer,
    };
    bench.call(|overlay, now| overlay.handle_disconnected(now, id(1), ended));
    bench.connect(1);
    bench.deliver(1, &news(12).0);
    assert_eq!(pruned(&bench, 1), [id(9)]);
    assert_eq!(bench.overlay.tree_places(id(1)).parent, 0);
    let mut numbers = 13..;
    for number in numbers.by_ref().take(PROBATION_TESTS as usize) {
        assert!(is_tested(&mut bench, 1, 3, number), "{number}");
        assert_eq!(bench.overlay.tree_places(id(1)).parent, 0);
    }
    let number = numbers.next().unwrap();
    assert!(!is_tested(&mut bench, 1, 3, number));
    bench.deliver(1, &news(number + 1).0);
    assert_eq!(bench.overlay.tree_places(id(1)).parent, 1);
}

#[test]
fn who_gets_the_trees_of_one_that_is_suspended_is_watched() {
    let mut bench = bench_of(4);
    let_it_serve(&mut bench, 4);
    bench.deliver(2, &news(10).0);
    let origin = id(9);
    let prune = Tree {
        prune: origin.as_bytes(),
        graft: &[],
    };
    bench.deliver(2, &Message::Tree(prune).encode());
    let_it_break(&mut bench, 4, 11);
    assert!(reputation(&bench, 1).may_relay, "suspended, not barred");
    assert_eq!(bench.overlay.tree_places(id(2)).parent, 1);
    assert!(is_watched(&bench, 2) && !is_watched(&bench, 3));
}

#[test]
fn when_one_that_served_is_barred_the_other_parents_are_watched() {
    let mut bench = bench_of(3);
    let_it_serve(&mut bench, 3);
    let (body, signature) = body_of(8, b"of another", |_| {});
    bench.deliver(2, &frame(2, &body, signature));
    let_it_break(&mut bench, 3, 11);
    assert!(!is_watched(&bench, 2), "nobody is barred yet");
    let_it_break(&mut bench, 3, 12);
    assert!(!reputation(&bench, 1).may_relay);
    let tested = (13..32).filter(|&number| is_tested(&mut bench, 2, 3, number));
    assert_eq!(tested.count(), WATCH_OCCASIONS as usize);
    assert!(reputation(&bench, 2).may_relay && reputation(&bench, 3).may_relay);
}

#[test]
fn a_newcomer_that_is_barred_has_nobody_watched() {
    let mut bench = bench_of(3);
    let (body, signature) = body_of(8, b"of another", |_| {});
    bench.deliver(2, &frame(2, &body, signature));
    let_it_break(&mut bench, 3, 11);
    assert!(!reputation(&bench, 1).may_relay);
    assert!(!is_watched(&bench, 2) && !is_watched(&bench, 3));
}

fn forged() -> Vec<u8> {
    let (body, mut signature) = body_of(9, b"forged", |_| {});
    signature[0] ^= 1;
    frame(1, &body, signature)
}

#[test]
fn faults_on_several_links_add_up_to_one_ban() {
    let mut bench = Bench::new();
    let mut faults = 0;
    let mut state = None;
    for _ in 0..4 {
        let link = bench.connect(1);
        bench.deliver(1, &forged());
        faults += 1;
        let banned = bench.events.iter().find_map(|event| match event {
            Event::PeerStateChanged {
                to: PeerState::Banned,
                reason,
                ..
            } => Some(*reason),
            _ => None,
        });
        if let Some(reason) = banned {
            state = Some(reason);
            break;
        }
        let ended = LinkEnd {
            link,
            cause: LinkEndCause::ClosedByPeer,
        };
        bench.call(|overlay, now| overlay.handle_disconnected(now, id(1), ended));
    }
    assert_eq!((faults, state), (4, Some(StateReason::BannedForViolations)));
    assert!(reputation(&bench, 1).components[2] < 15);
}

#[test]
fn a_forged_broadcast_counts_against_who_delivers_it_and_not_against_its_alleged_origin() {
    let mut bench = bench_of(2);
    let (body, mut signature) = body_of(2, b"in the name of 2", |_| {});
    signature[0] ^= 1;
    bench.deliver(1, &frame(1, &body, signature));
    assert!(reputation(&bench, 1).score < 60);
    assert_eq!(reputation(&bench, 2).score, 60);
}

#[test]
fn what_is_rejected_counts_against_its_origin_and_not_against_who_could_not_know() {
    let mut bench = Bench::with(OverlayConfig {
        validation: Validation::Application { timeout: SECOND },
        handlers: Handlers::Any,
        ..config()
    });
    bench.connect(1);
    bench.connect(9);
    for number in 1..=4 {
        let (fresh, _) = news(number);
        bench.deliver(1, &fresh);
        let delivered = bench.events.iter().find_map(|event| match event {
            Event::Broadcast { id, .. } => Some(*id),
            _ => None,
        });
        let name = delivered.expect("delivered");
        bench.call(|overlay, now| overlay.validate(now, name, Verdict::Reject).unwrap());
    }
    assert!(reputation(&bench, 1).score >= 60);
    let banned = |event: &Event| {
        matches!(event, Event::PeerStateChanged { peer, to: PeerState::Banned, reason, .. }
            if *peer == id(9) && *reason == StateReason::BannedForScore)
    };
    assert!(bench.events.iter().any(banned), "{:?}", bench.events);
}

#[test]
fn an_application_can_raise_lower_and_end() {
    let mut bench = bench_of(3);
    for _ in 0..20 {
        bench.call(|overlay, now| {
            overlay.update(now, id(1), Interaction::Message, true, 1.0);
            overlay.report_conduct(now, id(2), Interaction::Consensus, false, 1.0);
            overlay.report_conduct(now, id(3), Interaction::Message, false, f64::NAN);
        });
    }
    let (good, bad, other) = (
        reputation(&bench, 1),
        reputation(&bench, 2),
        reputation(&bench, 3),
    );
    assert!(good.score > 65 && good.trust > 0.7 && good.counts_consensus);
    assert!(bad.score < 50 && !bad.may_take_part && bad.trust < 0.1 && !bad.is_trusted);
    assert_eq!(other.score, 60, "what is no number is no report");
    let best: Vec<NodeId> = bench
        .overlay
        .top_peers(2)
        .iter()
        .map(|of| of.peer)
        .collect();
    assert_eq!(best, [id(1), id(3)]);
    let mut last = Vec::new();
    for _ in 0..4 {
        bench.call(|overlay, now| overlay.update(now, id(3), Interaction::Message, false, 1.0));
        last.append(&mut bench.events);
    }
    assert!(!bench.is_connected(3));
    assert!(last.contains(&Event::PeerDown {
        peer: id(3),
        reason: StateReason::BannedForScore
    }));
}

#[test]
fn a_score_below_the_threshold_ends_the_link_and_does_not_ban() {
    let mut config = config();
    config.reputation.auto_disconnect = 55;
    let mut bench = Bench::with(config);
    bench.connect(1);
    let mut events = Vec::new();
    for _ in 0..3 {
        bench.call(|overlay, now| overlay.update(now, id(1), Interaction::Response, false, 1.0));
        events.append(&mut bench.events);
    }
    let reason = StateReason::LocalDisconnect(DisconnectReason::ProtocolViolation);
    assert!(
        events.contains(&Event::PeerDown {
            peer: id(1),
            reason
        }),
        "{events:?}"
    );
}

fn update(entries: &[(NodeId, u16)]) -> Vec<u8> {
    let entries = joined_trust(entries);
    Message::TrustUpdate(TrustUpdate { entries: &entries }).encode()
}

#[test]
fn statements_move_trust_by_little_and_neither_ban_nor_unban() {
    let mut bench = bench_of(5);
    for n in 2..=5 {
        for _ in 0..200 {
            bench.call(|overlay, now| overlay.update(now, id(n), Interaction::Relay, true, 1.0));
        }
    }
    let before = reputation(&bench, 1);
    for n in 2..=5 {
        bench.deliver(n, &update(&[(id(1), 0), (id(n), 1000), (id(77), 1000)]));
        let told = |event: &Event| matches!(event, Event::TrustStatements { .. });
        assert!(bench.events.iter().any(told));
    }
    let after = reputation(&bench, 1);
    let most = f64::from(HEARSAY_MAX_PERMILLE) / 1000.0;
    assert!(after.trust < before.trust && before.trust - after.trust <= most + 1e-9);
    assert_eq!(
        (after.score, after.own_trust.to_bits()),
        (before.score, before.own_trust.to_bits())
    );
    assert!(
        bench.overlay.reputation(id(77)).is_none(),
        "nobody is met by hearsay"
    );
    assert!(bench.is_connected(1));
    for _ in 0..4 {
        bench.deliver(1, &forged());
    }
    assert!(!bench.is_connected(1));
    for n in 2..=5 {
        bench.deliver(n, &update(&[(id(1), 1000)]));
    }
    assert!(
        bench
            .overlay
            .peers()
            .any(|peer| peer.id == id(1) && peer.state == PeerState::Banned)
    );
}

#[test]
fn messages_about_trust_are_read_up_to_their_rate_and_number() {
    let mut bench = bench_of(1);
    for turn in 0..=TRUST_PER_MINUTE {
        bench.deliver(1, &update(&[(id(2), 1)]));
        let heard = bench
            .events
            .iter()
            .any(|event| matches!(event, Event::TrustStatements { .. }));
        assert_eq!(heard, turn < TRUST_PER_MINUTE);
    }
    assert_eq!(bench.overlay.stats().trust_refused, 1);
    bench.advance(60 * SECOND);
    let many: Vec<(NodeId, u16)> = (0..=TRUST_ENTRIES_MAX).map(|_| (id(2), 1)).collect();
    let mut bench = bench_of(1);
    bench.deliver(1, &update(&many));
    assert_eq!(bench.overlay.stats().violations, 1);
}

#[test]
fn a_trusted_list_is_answered_from_our_own_experience_and_taken_only_when_asked_for() {
    let mut bench = bench_of(3);
    bench.call(|overlay, now| overlay.update(now, id(2), Interaction::Message, true, 1.0));
    bench.call(|overlay, now| overlay.update(now, id(3), Interaction::Message, false, 0.1));
    bench.deliver(
        1,
        &Message::TrustedPeersRequest(TrustedPeersRequest { id: 7, count: 9 }).encode(),
    );
    let sent = bench.sent_to(1);
    let Some(Message::TrustedPeersResponse(answer)) = sent.first().map(|bytes| decoded(bytes))
    else {
        panic!("answered");
    };
    assert_eq!(
        (answer.id, trust_entries(answer.entries)),
        (7, Some(vec![(id(2), 525)]))
    );
    let unasked = joined_trust(&[(id(3), 0)]);
    let response = |id| {
        Message::TrustedPeersResponse(TrustedPeersResponse {
            id,
            entries: &unasked,
        })
        .encode()
    };
    let told = |bench: &Bench| {
        bench
            .events
            .iter()
            .any(|event| matches!(event, Event::TrustStatements { .. }))
    };
    bench.deliver(1, &response(1));
    assert!(!told(&bench));
    bench.call(|overlay, now| overlay.request_trusted_peers(now, id(1)).unwrap());
    let sent = bench.sent_to(1);
    let Some(Message::TrustedPeersRequest(question)) = sent.first().map(|bytes| decoded(bytes))
    else {
        panic!("asked");
    };
    bench.deliver(1, &response(question.id));
    assert!(told(&bench));
    bench.deliver(1, &response(question.id));
    assert!(!told(&bench), "once");
    assert!(
        bench
            .call(|overlay, now| overlay.request_trusted_peers(now, id(66)))
            .is_err()
    );
    assert_eq!(bench.call(|overlay, now| overlay.share_trust(now)), 3);
}

#[test]
fn reputations_outlive_the_process_and_fade_meanwhile() {
    let mut bench = bench_of(1);
    for _ in 0..3 {
        bench.deliver(1, &forged());
    }
    let now = bench.now;
    let saved: Vec<_> = bench.overlay.saved_reputations(now).collect();
    assert_eq!((saved.len(), saved[0].peer), (1, id(1)));
    let mut next = Bench::new();
    next.call(|overlay, now| overlay.restore_reputation(now, saved[0].clone()));
    assert_eq!(reputation(&next, 1).score, reputation(&bench, 1).score);
    next.connect(1);
    next.deliver(1, &forged());
    assert!(
        !next.is_connected(1),
        "the fourth fault, in another process"
    );
    let mut later = Bench::new();
    let mut old = saved[0].clone();
    old.at -= 30 * 24 * 3_600_000;
    later.call(|overlay, now| overlay.restore_reputation(now, old.clone()));
    assert!(reputation(&later, 1).score > reputation(&bench, 1).score);
    old.trust = f64::NAN;
    let mut sound = Bench::new();
    sound.call(|overlay, now| overlay.restore_reputation(now, old));
    assert!(sound.overlay.reputation(id(1)).is_none());
}

#[test]
fn who_takes_and_says_nothing_is_announced_to_and_then_barred() {
    let mut bench = bench_of(2);
    let mut pushed = 0;
    for number in 1..=160 {
        bench.deliver(1, &news(number).0);
        pushed += u32::from(is_pushed(&bench, 2));
        live(&mut bench, 2, 200 * MILLI);
    }
    assert_eq!(pushed, crate::limits::GIVEN_MAX);
    assert!(!reputation(&bench, 2).may_relay && reputation(&bench, 1).may_relay);
}
