//! Trees, announcements, comparisons, verdicts and silence, with neighbours played by hand.

use super::*;
use crate::limits::{
    ANNOUNCE_MAX, RECONCILE_BURST, RECONCILE_LIST_MAX, RECONCILE_STEPS_MAX,
    VALIDATIONS_PER_ORIGIN_MAX, VALIDATIONS_PER_PEER_MAX,
};
use crate::types::ShortId;
use crate::wire::{
    Announce, Part, PartKind, Ping, Reconcile, Tree, Want, announced, joined_announced, joined_ids,
    joined_nodes, node_ids, short_ids,
};
use crate::{
    BroadcastId, Handlers, Interaction, OverlayError, PeerViolation, Priority, Rate, Validation,
    Verdict,
};

const MILLI: Duration = Duration::from_millis(1);

/// A bench that compares no sets by itself.
pub(super) fn quiet() -> OverlayConfig {
    OverlayConfig {
        gossip_interval: 3600 * SECOND,
        ..config()
    }
}

pub(super) fn with_peers(config: OverlayConfig, count: u8) -> Bench {
    let mut bench = Bench::with(config);
    for n in 1..=count {
        bench.connect(n);
    }
    bench
}

/// The `number`-th broadcast of node 9, and its ID.
pub(super) fn news(number: u64) -> (Vec<u8>, BroadcastId) {
    let payload = number.to_be_bytes();
    let (body, signature) = body_of(9, &payload, |body| {
        body.unix_millis = START_MILLIS - 10_000 + number;
        body.sequence = number;
    });
    (frame(2, &body, signature), BroadcastId::of_body(&body))
}

pub(super) fn announce(pushed: &[(ShortId, u16)], offered: &[ShortId]) -> Vec<u8> {
    let (pushed, offered) = (joined_announced(pushed), joined_ids(offered));
    let announce = Announce {
        pushed: &pushed,
        offered: &offered,
    };
    Message::Announce(announce).encode()
}

pub(super) fn want(ids: &[ShortId], graft: bool) -> Vec<u8> {
    let ids = joined_ids(ids);
    Message::Want(Want { ids: &ids, graft }).encode()
}

pub(super) fn tree(prune: &[NodeId], graft: &[NodeId]) -> Vec<u8> {
    let (prune, graft) = (joined_nodes(prune), joined_nodes(graft));
    let (prune, graft) = (prune.as_slice(), graft.as_slice());
    Message::Tree(Tree { prune, graft }).encode()
}

fn found<T>(bench: &Bench, n: u8, of: impl Fn(Message<'_>) -> Option<T>) -> Vec<T> {
    let sent = bench.sent_to(n);
    sent.iter().filter_map(|bytes| of(decoded(bytes))).collect()
}

/// How many broadcasts went to `n` in the last call.
pub(super) fn copies(bench: &Bench, n: u8) -> usize {
    found(bench, n, |m| {
        matches!(m, Message::Broadcast(_)).then_some(())
    })
    .len()
}

/// The questions for broadcasts to `n` in the last call.
pub(super) fn wants(bench: &Bench, n: u8) -> Vec<(Vec<ShortId>, bool)> {
    found(bench, n, |message| match message {
        Message::Want(want) => Some((short_ids(want.ids, 64).unwrap(), want.graft)),
        _ => None,
    })
}

/// Pushed ones with their ages, and offered ones.
pub(super) type Told = (Vec<(ShortId, u16)>, Vec<ShortId>);

/// What `n` was told of in the last call: pushed ones with their ages, and offered ones.
pub(super) fn announcements(bench: &Bench, n: u8) -> Vec<Told> {
    found(bench, n, |message| match message {
        Message::Announce(said) => Some((
            announced(said.pushed).unwrap(),
            short_ids(said.offered, ANNOUNCE_MAX).unwrap(),
        )),
        _ => None,
    })
}

/// Prunes and grafts sent to `n` in the last call.
pub(super) fn trees(bench: &Bench, n: u8) -> Vec<(Vec<NodeId>, Vec<NodeId>)> {
    found(bench, n, |message| match message {
        Message::Tree(tree) => Some((node_ids(tree.prune)?, node_ids(tree.graft)?)),
        _ => None,
    })
}

fn comparison(bench: &Bench, n: u8) -> Option<Reconcile> {
    let sent = found(bench, n, |message| match message {
        Message::Reconcile(comparison) => Some(comparison),
        _ => None,
    });
    sent.into_iter().next()
}

fn violated(bench: &Bench) -> bool {
    let violation = |event: &Event| matches!(event, Event::PeerViolation { .. });
    bench.events.iter().any(violation)
}

#[test]
fn the_sender_of_a_second_copy_is_pruned_and_who_prunes_is_announced_to() {
    let mut bench = with_peers(quiet(), 3);
    let (first, _) = news(1);
    bench.deliver(1, &first);
    assert_eq!((copies(&bench, 2), copies(&bench, 3)), (1, 1), "explored");
    bench.deliver(2, &first);
    assert_eq!(trees(&bench, 2), [(vec![id(9)], vec![])]);
    bench.deliver(1, &first);
    assert_eq!(trees(&bench, 1), [], "the parent stays");
    bench.deliver(3, &tree(&[id(9)], &[]));
    let (second, second_id) = news(2);
    bench.deliver(1, &second);
    assert_eq!((copies(&bench, 2), copies(&bench, 3)), (1, 0));
    bench.advance(100 * MILLI);
    assert_eq!(
        announcements(&bench, 3),
        [(vec![(second_id.short(), 100)], vec![])]
    );
    bench.deliver(3, &tree(&[], &[id(9)]));
    bench.deliver(1, &news(3).0);
    assert_eq!(copies(&bench, 3), 1, "grafted again");
}

#[test]
fn a_neighbour_that_has_it_meanwhile_is_not_told() {
    let mut bench = with_peers(quiet(), 2);
    bench.deliver(1, &news(1).0);
    bench.deliver(2, &tree(&[id(9)], &[]));
    let (second, second_id) = news(2);
    bench.deliver(1, &second);
    bench.deliver(2, &announce(&[(second_id.short(), 0)], &[]));
    bench.advance(100 * MILLI);
    assert_eq!(announcements(&bench, 2), []);
}

#[test]
fn what_was_announced_and_does_not_come_is_asked_for_and_grafts() {
    let mut bench = with_peers(quiet(), 3);
    let (missing, missing_id) = news(1);
    bench.deliver(2, &announce(&[(missing_id.short(), 3)], &[]));
    bench.deliver(3, &announce(&[(missing_id.short(), 3)], &[]));
    bench.advance(199 * MILLI);
    assert!(bench.actions.is_empty());
    bench.advance(MILLI);
    assert_eq!(wants(&bench, 2), [(vec![missing_id.short()], true)]);
    bench.advance(500 * MILLI);
    assert_eq!(wants(&bench, 3), [(vec![missing_id.short()], true)]);
    assert_eq!(bench.overlay.stats().promises_broken, 1);
    bench.deliver(3, &missing);
    assert_eq!((bench.delivered(), bench.overlay.stats().wanted), (1, 0));
    bench.deliver(2, &missing);
    assert_eq!(trees(&bench, 2), [(vec![id(9)], vec![])], "too late");
}

#[test]
fn what_comes_in_time_is_not_asked_for() {
    let mut bench = with_peers(quiet(), 2);
    let (message, its_id) = news(1);
    bench.deliver(2, &announce(&[(its_id.short(), 3)], &[]));
    bench.deliver(1, &message);
    bench.advance(SECOND);
    assert_eq!(wants(&bench, 2), []);
}

#[test]
fn who_asks_is_served_and_pushed_from_then_on() {
    let mut bench = with_peers(quiet(), 2);
    let (first, first_id) = news(1);
    bench.deliver(1, &first);
    bench.deliver(2, &tree(&[id(9)], &[]));
    bench.deliver(2, &want(&[first_id.short(), ShortId([7; 16])], false));
    assert_eq!(copies(&bench, 2), 1, "what is held");
    bench.deliver(1, &news(2).0);
    assert_eq!(copies(&bench, 2), 0);
    bench.deliver(2, &want(&[news(2).1.short()], true));
    bench.deliver(1, &news(3).0);
    assert_eq!(copies(&bench, 2), 1);
}

#[test]
fn large_and_low_broadcasts_are_offered_and_offers_are_taken_at_once() {
    let mut bench = with_peers(quiet(), 2);
    let large = vec![1; config().announce_above + 1];
    let mut ids = Vec::new();
    for (payload, priority) in [(&large[..], Priority::High), (b"small", Priority::Low)] {
        let sent = bench
            .call(|overlay, now| overlay.broadcast_as(now, START_MILLIS, "t", payload, priority));
        assert_eq!(copies(&bench, 1) + copies(&bench, 2), 0);
        ids.push(sent.unwrap().short());
    }
    bench.advance(Duration::ZERO);
    assert_eq!(announcements(&bench, 1), [(vec![], ids.clone())]);
    bench.deliver(2, &want(&ids, false));
    assert_eq!(copies(&bench, 2), 2);
    let at_limit = bench.call(|overlay, now| {
        overlay
            .broadcast(now, START_MILLIS, "t", &large[1..])
            .unwrap()
    });
    assert_eq!(copies(&bench, 1), 1, "{at_limit} is pushed");

    let (message, its_id) = news(1);
    bench.deliver(1, &announce(&[], &[its_id.short()]));
    assert_eq!(wants(&bench, 1), [(vec![its_id.short()], false)]);
    bench.deliver(1, &message);
    assert_eq!(bench.delivered(), 1);
}

#[test]
fn a_faster_neighbour_takes_the_parents_place_once() {
    let mut bench = with_peers(quiet(), 3);
    bench.deliver(1, &news(1).0);
    let (second, second_id) = news(2);
    bench.advance(50 * MILLI);
    bench.deliver(1, &second);
    bench.advance(20 * MILLI);
    // It had it 25 ms ago: a copy would have come 5 ms sooner than ours, which is not enough.
    bench.deliver(2, &announce(&[(second_id.short(), 25)], &[]));
    assert!(trees(&bench, 2).is_empty());
    bench.deliver(3, &announce(&[(second_id.short(), 30)], &[]));
    assert_eq!(trees(&bench, 3), [], "it has never brought anything");
    for n in [2, 3] {
        bench.call(|overlay, now| overlay.update(now, id(n), Interaction::Relay, true, 1.0));
    }
    bench.deliver(3, &announce(&[(second_id.short(), 30)], &[]));
    assert_eq!(trees(&bench, 3), [(vec![], vec![id(9)])]);
    assert_eq!(trees(&bench, 1), [(vec![id(9)], vec![])]);
    bench.deliver(2, &announce(&[(second_id.short(), 60)], &[]));
    assert!(bench.actions.is_empty(), "not again so soon");
}

#[test]
fn the_next_best_neighbour_is_grafted_when_the_parent_goes() {
    let mut bench = with_peers(quiet(), 3);
    let (first, first_id) = news(1);
    bench.deliver(1, &first);
    bench.deliver(2, &tree(&[id(9)], &[]));
    bench.deliver(3, &tree(&[id(9)], &[]));
    bench.deliver(3, &announce(&[(first_id.short(), 0)], &[]));
    bench.advance(30 * MILLI);
    bench.deliver(2, &announce(&[(first_id.short(), 25)], &[]));
    bench.call(|overlay, now| {
        overlay.disconnect(now, id(1), crate::DisconnectReason::UserRequested);
    });
    assert_eq!(trees(&bench, 3), [(vec![], vec![id(9)])]);
    assert_eq!(trees(&bench, 2), []);
}

#[test]
fn unknown_origins_beyond_the_rate_go_to_a_few_neighbours() {
    let explorations = Rate {
        per_second: 0,
        burst: 0,
    };
    let mut bench = with_peers(
        OverlayConfig {
            explorations,
            gossip_fanout: 2,
            ..quiet()
        },
        6,
    );
    bench.deliver(1, &news(1).0);
    let pushed: usize = (1..=6).map(|n| copies(&bench, n)).sum();
    assert!((1..=2).contains(&pushed), "{pushed}");
    bench.advance(100 * MILLI);
    let told: usize = (1..=6).map(|n| announcements(&bench, n).len()).sum();
    assert_eq!(pushed + told, 5);
}

#[test]
fn an_origin_brings_its_rate_and_the_rest_may_come_later() {
    let origin_rate = Rate {
        per_second: 1,
        burst: 2,
    };
    let mut bench = with_peers(
        OverlayConfig {
            origin_rate,
            ..quiet()
        },
        1,
    );
    for number in 1..=3 {
        bench.deliver(1, &news(number).0);
        assert_eq!(bench.delivered(), usize::from(number < 3));
    }
    assert_eq!(bench.overlay.stats().broadcasts_over_rate, 1);
    assert!(!violated(&bench), "the sender may count otherwise");
    bench.advance(SECOND);
    bench.deliver(1, &news(3).0);
    assert_eq!(bench.delivered(), 1);
}

#[test]
fn a_congested_neighbour_is_told_instead_of_pushed() {
    let mut bench = with_peers(quiet(), 2);
    bench.call(|overlay, _| overlay.set_congested(id(2), true));
    let (first, first_id) = news(1);
    bench.deliver(1, &first);
    assert_eq!(copies(&bench, 2), 0);
    bench.advance(100 * MILLI);
    assert_eq!(announcements(&bench, 2), [(vec![], vec![first_id.short()])]);
    bench.deliver(2, &want(&[first_id.short()], false));
    assert_eq!(copies(&bench, 2), 0, "still congested");
    bench.call(|overlay, _| overlay.set_congested(id(2), false));
    bench.deliver(2, &want(&[first_id.short()], false));
    assert_eq!(copies(&bench, 2), 1);
}

#[test]
fn comparisons_agree_list_and_split() {
    let mut bench = with_peers(quiet(), 1);
    let many = RECONCILE_LIST_MAX as u64 * 2;
    for number in 1..=many {
        bench.deliver(1, &news(number).0);
    }
    let after = START_MILLIS - 20_000;
    let ask = |bench: &mut Bench, upper: u64, fingerprint: u64| {
        let parts = vec![Part::fingerprint(upper, fingerprint)];
        let (round, step) = (5, 0);
        let ours = Reconcile {
            round,
            step,
            after,
            parts,
        };
        bench.deliver(1, &Message::Reconcile(ours).encode());
        comparison(bench, 1).unwrap()
    };
    let few = START_MILLIS - 10_000 + 3;
    let answer = ask(&mut bench, few, 0);
    assert_eq!((answer.round, answer.step), (5, 1));
    let PartKind::List(listed) = &answer.parts[0].kind else {
        panic!("{answer:?}")
    };
    let expected: Vec<_> = (1..=3).map(|number| news(number).1.short()).collect();
    assert_eq!(listed, &expected);
    let answer = ask(&mut bench, u64::MAX, 0);
    let is_fingerprint = |part: &Part| matches!(part.kind, PartKind::Fingerprint(_));
    assert!(answer.parts.len() > 1 && answer.parts.iter().all(is_fingerprint));
    // Each of these is what it would say itself: the next answer is that there is no difference.
    let (round, step) = (5, 2);
    let echo = Reconcile {
        round,
        step,
        after: answer.after,
        parts: answer.parts,
    };
    bench.deliver(1, &Message::Reconcile(echo).encode());
    assert_eq!(comparison(&bench, 1).unwrap().parts, []);
}

#[test]
fn what_a_list_has_more_is_fetched_and_what_it_has_less_is_offered() {
    let mut bench = with_peers(quiet(), 1);
    for number in 1..=3 {
        bench.deliver(1, &news(number).0);
    }
    // As if the link were new: nothing is known of what the peer has.
    bench.connect(2);
    let ids = vec![news(2).1.short(), news(7).1.short()];
    let parts = vec![Part {
        upper: u64::MAX,
        kind: PartKind::List(ids),
    }];
    let (round, step, after) = (1, 1, START_MILLIS - 20_000);
    let list = Reconcile {
        round,
        step,
        after,
        parts,
    };
    bench.deliver(2, &Message::Reconcile(list).encode());
    assert_eq!(comparison(&bench, 2), None, "no question, no answer");
    bench.advance(Duration::ZERO);
    let told = announcements(&bench, 2);
    assert_eq!(told, [(vec![], vec![news(1).1.short(), news(3).1.short()])]);
    bench.advance(200 * MILLI);
    assert_eq!(wants(&bench, 2), [(vec![news(7).1.short()], false)]);
    assert_eq!(bench.overlay.stats().differences, 1);
}

#[test]
fn comparisons_are_bounded_in_rate_and_steps() {
    let mut bench = with_peers(quiet(), 2);
    let ask = |step| {
        let parts = vec![Part::fingerprint(u64::MAX, 0)];
        let (round, after) = (1, 1);
        Message::Reconcile(Reconcile {
            round,
            step,
            after,
            parts,
        })
        .encode()
    };
    bench.deliver(2, &ask(RECONCILE_STEPS_MAX));
    assert_eq!(comparison(&bench, 2), None);
    bench.deliver(2, &ask(RECONCILE_STEPS_MAX - 1));
    assert!(comparison(&bench, 2).is_some());
    for n in 0..=RECONCILE_BURST {
        bench.deliver(1, &ask(0));
        assert_eq!(comparison(&bench, 1).is_some(), n < RECONCILE_BURST);
    }
    assert_eq!(bench.overlay.stats().comparisons_refused, 2);
    assert!(!violated(&bench));
}

#[test]
fn lists_of_wrong_lengths_and_ranges_out_of_order_are_violations() {
    let parts = vec![Part::skip(9), Part::skip(9)];
    let (round, step, after) = (1, 0, 1);
    let (pushed, ids, node): (&[u8], &[u8], &[u8]) = (&[0; 19], &[0; 17], &[0; 33]);
    let messages = [
        Message::Announce(Announce {
            pushed,
            offered: &[],
        })
        .encode(),
        Message::Announce(Announce {
            pushed: &[],
            offered: ids,
        })
        .encode(),
        Message::Want(Want { ids, graft: true }).encode(),
        Message::Tree(Tree {
            prune: node,
            graft: &[],
        })
        .encode(),
        Message::Reconcile(Reconcile {
            round,
            step,
            after,
            parts,
        })
        .encode(),
    ];
    for message in messages {
        let mut bench = with_peers(quiet(), 1);
        bench.deliver(1, &message);
        assert!(violated(&bench));
    }
}

#[test]
fn a_new_link_that_we_opened_is_compared_at_once() {
    let mut bench = Bench::with(quiet());
    bench.link(1, Direction::Outbound);
    bench.deliver(1, &hello_of(1));
    bench.deliver(1, &accepting_reply());
    let begun = comparison(&bench, 1).unwrap();
    assert_eq!(begun.parts.last().unwrap().upper, u64::MAX);
    bench.connect(2);
    assert_eq!(comparison(&bench, 2), None, "the other side begins");
}

#[test]
fn who_does_not_answer_is_silent_until_it_is_heard_again() {
    let mut bench = with_peers(config(), 2);
    let is_silent = |bench: &Bench| bench.overlay.stats().silent;
    let mut silent_after = None;
    for step in 0..160 {
        bench.advance(50 * MILLI);
        let pings = found(&bench, 2, |message| match message {
            Message::Ping(Ping { nonce }) => Some(nonce),
            _ => None,
        });
        if is_silent(&bench) > 0 {
            silent_after.get_or_insert(step);
        }
        // The second peer answers, the first does not.
        bench.deliver(
            2,
            &Message::Pong(Ping {
                nonce: pings.first().copied().unwrap_or(0),
            })
            .encode(),
        );
    }
    assert_eq!(is_silent(&bench), 1);
    let after = silent_after.unwrap();
    assert!(after >= 30, "{after}: three patiences of half a second");
    assert!(bench.is_connected(1), "its link stays");
    bench.call(|overlay, now| overlay.broadcast(now, START_MILLIS, "t", b"x").unwrap());
    assert_eq!((copies(&bench, 1), copies(&bench, 2)), (0, 1));
    bench.deliver(1, &Message::Pong(Ping { nonce: 1 }).encode());
    let heard = Event::PeerSilent {
        peer: id(1),
        is_silent: false,
    };
    assert!(bench.events.contains(&heard));
    bench.advance(Duration::ZERO);
    let until = comparison(&bench, 1).unwrap().parts[0].upper;
    assert_eq!((is_silent(&bench), until), (0, u64::MAX));
}

#[test]
fn a_full_node_gives_the_place_of_a_silent_peer_away() {
    let mut bench = Bench::with(OverlayConfig {
        max_peers: 2,
        ..config()
    });
    bench.connect(1);
    bench.connect(2);
    for _ in 0..160 {
        bench.advance(50 * MILLI);
    }
    assert_eq!(bench.overlay.stats().silent, 2);
    bench.connect(3);
    assert_eq!(bench.overlay.stats().connected, 2);
    assert!(bench.is_connected(3));
}

#[test]
fn a_place_that_a_silent_peer_takes_back_is_not_given_away() {
    let mut bench = Bench::with(OverlayConfig {
        max_peers: 2,
        ..config()
    });
    bench.connect(1);
    bench.connect(2);
    for _ in 0..160 {
        bench.advance(50 * MILLI);
    }
    for n in [3, 4] {
        bench.link(n, Direction::Inbound);
        bench.deliver(n, &hello_of(n));
    }
    for n in [1, 2] {
        bench.deliver(n, &Message::Pong(Ping { nonce: 1 }).encode());
    }
    for n in [3, 4] {
        bench.deliver(n, &accepting_reply());
        assert_eq!(bench.overlay.stats().connected, 2);
    }
    assert!(bench.is_connected(1) && bench.is_connected(2));
}

fn judging(handlers: Handlers) -> OverlayConfig {
    OverlayConfig {
        validation: Validation::Application { timeout: SECOND },
        handlers,
        ..quiet()
    }
}

#[test]
fn only_what_the_application_accepts_is_passed_on_and_served() {
    let mut bench = with_peers(judging(Handlers::Any), 2);
    for (number, verdict) in [
        (1, Verdict::Accept),
        (2, Verdict::Ignore),
        (3, Verdict::Reject),
    ] {
        let (message, its_id) = news(number);
        bench.deliver(1, &message);
        assert_eq!((bench.delivered(), copies(&bench, 2)), (1, 0));
        bench.deliver(2, &want(&[its_id.short()], false));
        assert_eq!(copies(&bench, 2), 0, "not before it is judged");
        bench.call(|overlay, now| overlay.validate(now, its_id, verdict).unwrap());
        assert_eq!(copies(&bench, 2), usize::from(verdict == Verdict::Accept));
        let again = bench.call(|overlay, now| overlay.validate(now, its_id, verdict));
        assert_eq!(again, Err(OverlayError::UnknownBroadcast(its_id)));
        bench.deliver(1, &message);
        assert_eq!(bench.delivered(), 0, "it was here");
    }
    let (message, its_id) = news(4);
    bench.deliver(1, &message);
    bench.advance(SECOND);
    let late = bench.call(|overlay, now| overlay.validate(now, its_id, Verdict::Accept));
    assert_eq!(late, Err(OverlayError::UnknownBroadcast(its_id)));
    assert_eq!(bench.overlay.stats().broadcasts_not_accepted, 3);
}

#[test]
fn a_rejection_blames_the_origin_and_only_senders_who_could_know() {
    let validates = Capabilities::ALL.union(Capabilities::VALIDATES);
    for (capabilities, origin, answers) in [
        (Capabilities::ALL, 9, false),
        (validates, 9, true),
        (Capabilities::ALL, 1, true),
    ] {
        let mut bench = Bench::with(judging(Handlers::Any));
        bench.link(1, Direction::Inbound);
        bench.deliver(
            1,
            &encode_hello(|hello| hello.capabilities = capabilities.0),
        );
        bench.deliver(1, &accepting_reply());
        let (body, signature) = body_of(origin, b"bad", |_| {});
        bench.deliver(1, &frame(1, &body, signature));
        let its_id = BroadcastId::of_body(&body);
        bench.call(|overlay, now| overlay.validate(now, its_id, Verdict::Reject).unwrap());
        let rejected = Event::BroadcastRejected {
            id: its_id,
            origin: id(origin),
            from: id(1),
            sender_answers: answers,
        };
        assert!(bench.events.contains(&rejected));
        let (peer, violation) = (id(1), PeerViolation::BroadcastRejected);
        let blamed = bench
            .events
            .contains(&Event::PeerViolation { peer, violation });
        assert_eq!(blamed, answers);
    }
}

#[test]
fn topics_that_are_not_handled_are_passed_on_unjudged() {
    let named = Handlers::Named(["chat".to_owned()].into());
    let mut bench = with_peers(judging(named), 2);
    bench.deliver(1, &news(1).0);
    assert_eq!((bench.delivered(), copies(&bench, 2)), (0, 1));
}

#[test]
fn one_peer_has_so_many_verdicts_pending_and_the_next_may_come_again() {
    let mut bench = with_peers(
        OverlayConfig {
            validation: Validation::Application {
                timeout: 60 * SECOND,
            },
            origin_rate: Rate {
                per_second: 1,
                burst: 10_000,
            },
            ..quiet()
        },
        2,
    );
    let of_each = VALIDATIONS_PER_ORIGIN_MAX as u64;
    let of_origin = |origin: u8, number: u64| {
        let payload = number.to_be_bytes();
        let (body, signature) = body_of(origin, &payload, |body| body.sequence = number);
        frame(2, &body, signature)
    };
    for number in 1..=of_each {
        bench.deliver(1, &of_origin(9, number));
        assert_eq!(bench.delivered(), 1);
    }
    bench.deliver(2, &of_origin(9, of_each + 1));
    assert_eq!(bench.delivered(), 0, "of one origin");
    for number in of_each + 1..=VALIDATIONS_PER_PEER_MAX as u64 {
        bench.deliver(1, &of_origin(8, number));
        assert_eq!(bench.delivered(), 1);
    }
    bench.deliver(1, &of_origin(7, 1));
    assert_eq!(
        (bench.delivered(), bench.overlay.stats().validations_refused),
        (0, 2)
    );
    bench.deliver(2, &of_origin(7, 1));
    assert_eq!(bench.delivered(), 1, "through another peer");
}
