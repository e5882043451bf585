//! The address book at work: whom a node dials, what it remembers, what the operator adds.

use super::*;
use crate::book::Group;
use crate::limits::{
    ANCHORS_MAX, HINT_FAILURES_MAX, HINTS_MAX, HINTS_PER_SOURCE_MAX, PERSISTENT_MAX,
};
use crate::outbox::Outbox;
use crate::peers::table::PeerSource;
use crate::saved::SavedPeer;
use crate::{
    AddedPeer, ConnectionKind, DialTarget, DisconnectReason, HintSource, LinkEnd, LinkEndCause,
    OverlayError, PeerPriority, PeerState, PeerView,
};

fn global(a: u8, b: u8, c: u8, d: u8) -> SocketAddr {
    SocketAddr::from(([a, b, c, d], 4600))
}

fn numbered(n: u64) -> NodeId {
    NodeId::from_bytes(*blake3::hash(&n.to_be_bytes()).as_bytes())
}

fn dialled(bench: &Bench) -> Vec<DialTarget> {
    let target = |action: &Action| match action {
        Action::Dial(target) => Some(*target),
        _ => None,
    };
    bench.actions.iter().filter_map(target).collect()
}

fn view(bench: &Bench, id: NodeId) -> Option<PeerView> {
    bench.overlay.peers().find(|peer| peer.id == id)
}

/// The overlay hears of a peer at `address` as if one at `source` had named it.
fn hear(overlay: &mut Overlay, id: NodeId, address: SocketAddr, source: SocketAddr) -> bool {
    let from = PeerSource::Exchange(NodeId::from_bytes([source.port().to_be_bytes()[1]; 32]));
    let group = Group::of(source);
    let mut out = Outbox::default();
    let has_room = overlay.table.get(id).is_some()
        || overlay.table.has_room(id, from) && overlay.table.has_place(address, group);
    if has_room {
        overlay.table.insert(Instant::ZERO, id, from, &mut out);
        overlay.table.add_address(id, address);
        overlay.table.place_new(id, group);
    }
    has_room
}

/// A link to node `n` that we dialled, with finished hellos.
fn finish(bench: &mut Bench, n: u8) -> LinkId {
    let link = bench.link(n, Direction::Outbound);
    bench.deliver(n, &hello_of(n));
    bench.deliver(n, &accepting_reply());
    link
}

/// A second goes by, in which peer 1 answers its pings; returns the dials.
fn pass(bench: &mut Bench) -> Vec<DialTarget> {
    bench.advance(SECOND);
    let (dials, actions) = (dialled(bench), core::mem::take(&mut bench.actions));
    for action in &actions {
        if let Action::Send { peer, bytes, .. } = action
            && *peer == id(1)
            && let Message::Ping(ping) = decoded(bytes)
        {
            bench.deliver(1, &Message::Pong(ping).encode());
        }
    }
    bench.actions = actions;
    dials
}

const HONEST: u64 = 800;
const EVIL: u64 = 200;
const EVIL_GROUPS: u8 = 4;
const PICKS: usize = 8;

/// A node that was told of 800 honest addresses in 400 groups, after an attacker with four groups told
/// it of 6,000 of his own.
fn flooded(seed: u8) -> Overlay {
    let config = OverlayConfig {
        target_peers: PICKS,
        parallel_dials: PICKS,
        ..config()
    };
    let identity = Arc::new(Identity::from_seed([seed; 32]));
    let mut overlay = Overlay::new(config, identity, [seed; 32]);
    let mut rng = crate::rng::Rng::new([seed; 32]);
    let mut byte = || rng.next_u64().to_be_bytes()[0];
    let evil_group = |n: u8| (200, n % EVIL_GROUPS);
    // He comes first, and his addresses take all that his groups can have.
    for n in 0..EVIL * 30 {
        let (a, b) = evil_group(byte());
        let (x, y) = evil_group(byte());
        let address = global(a, b, byte(), byte());
        hear(&mut overlay, numbered(n), address, global(x, y, 1, byte()));
    }
    for n in 0..HONEST * 3 {
        let who = n % HONEST;
        let group = u16::try_from(who / 2).unwrap().to_be_bytes();
        let last = u8::try_from(who % 2).unwrap();
        let address = global(20 + group[0], group[1], 1, last + 1);
        let source = global(20 + byte() % 2, byte(), 2, byte());
        hear(&mut overlay, numbered(1_000_000 + who), address, source);
    }
    overlay
}

/// Of the first eight dials of a node, how many go to the attacker.
fn evil_picks(mut overlay: Overlay) -> usize {
    overlay.dial_candidates(Instant::ZERO);
    let actions = core::iter::from_fn(|| overlay.poll_action());
    let targets: Vec<_> = actions
        .filter_map(|action| match action {
            Action::Dial(target) => Some(target.address),
            _ => None,
        })
        .collect();
    assert_eq!(targets.len(), PICKS);
    let mut groups: Vec<_> = targets.iter().map(|&a| Group::of(a)).collect();
    groups.sort_unstable();
    groups.dedup();
    assert_eq!(groups.len(), PICKS, "no two of one group");
    overlay.check_invariants().unwrap();
    let is_evil =
        |address: &&SocketAddr| matches!(address, SocketAddr::V4(a) if a.ip().octets()[0] == 200);
    targets.iter().filter(is_evil).count()
}

const SEEDS: usize = 60;

/// The picks of all seeds are no more than the bound that his buckets allow on average, and not none.
fn check_picks(picks: &[usize]) {
    let all: usize = picks.iter().sum();
    // An eighth, and three standard deviations of so many draws.
    let most = SEEDS * PICKS / 8 + 22;
    assert!(all <= most, "{all} dials of {}", SEEDS * PICKS);
    assert!(all > 0, "he is drawn now and then, or nothing was tried");
    assert!(picks.iter().all(|&evil| evil <= usize::from(EVIL_GROUPS)));
}

#[test]
fn an_attacker_with_few_groups_gets_few_of_the_dials_however_many_addresses_he_names() {
    // Each pair of his groups (source, address) leads to one bucket: 16 of 128, an eighth, in each of
    // which he has at most one candidate of the first round. Dials of one group exclude each other.
    let seeds = 0..u8::try_from(SEEDS).unwrap();
    let picks: Vec<_> = seeds.map(|seed| evil_picks(flooded(seed))).collect();
    check_picks(&picks);
}

#[test]
fn an_attacker_whose_nodes_all_answer_gets_no_more_of_the_dials() {
    // Each of his groups reaches two of the 64 buckets of the tried: an eighth again.
    let seeds = 0..u8::try_from(SEEDS).unwrap();
    let picks = seeds.map(|seed| {
        let mut overlay = flooded(seed);
        let known: Vec<_> = overlay
            .table
            .iter()
            .map(|(id, e)| (id, e.addresses[0]))
            .collect();
        for (id, address) in known {
            overlay.table.promote(id, address);
        }
        evil_picks(overlay)
    });
    check_picks(&picks.collect::<Vec<_>>());
}

#[test]
fn peers_of_one_network_are_dialled_when_there_are_no_others() {
    let mut bench = Bench::with(OverlayConfig {
        parallel_dials: 3,
        ..config()
    });
    let source = global(8, 8, 8, 8);
    let mut n = 0;
    while bench.overlay.stats().in_book < 3 {
        n += 1;
        let address = global(9, 9, u8::try_from(n % 250).unwrap(), 1);
        hear(&mut bench.overlay, numbered(n), address, source);
    }
    bench.call(Overlay::handle_timeout);
    assert_eq!(dialled(&bench).len(), 3);
}

#[test]
fn the_second_bootstrap_is_tried_when_the_first_fails() {
    let mut bench = Bench::with(OverlayConfig {
        parallel_dials: 1,
        ..config()
    });
    let (first, second) = (address(1), address(2));
    for address in [first, second] {
        bench
            .call(|o, now| o.add_bootstrap(now, address, None))
            .unwrap();
    }
    bench.call(Overlay::handle_timeout);
    let target = DialTarget {
        address: first,
        id: None,
    };
    assert_eq!(dialled(&bench), [target]);
    bench.call(|o, now| {
        o.handle_dial_failed(now, &target);
        o.handle_timeout(now);
    });
    assert_eq!(dialled(&bench).first().map(|t| t.address), Some(second));
}

#[test]
fn what_was_saved_comes_back_and_anchors_are_dialled_first() {
    let mut bench = Bench::new();
    for n in 1..=6 {
        finish(&mut bench, n);
        bench.advance(SECOND);
    }
    bench.connect(7);
    let saved = bench.overlay.saved_peers();
    assert_eq!(saved.len(), 7);
    let anchors: Vec<_> = saved.iter().filter(|peer| peer.anchor).collect();
    let first_ones = (1..=4).map(id);
    assert_eq!(anchors.len(), ANCHORS_MAX);
    assert!(
        first_ones
            .into_iter()
            .all(|id| anchors.iter().any(|a| a.id == id))
    );
    let of = |n: u8| saved.iter().find(|peer| peer.id == id(n)).unwrap();
    assert!(
        of(6).tried && !of(7).tried,
        "7 dialled us, which proves nothing"
    );
    assert!(of(1).record.is_some() && of(1).seen_at.is_some());

    let mut again = Bench::new();
    again
        .call(|o, now| o.add_bootstrap(now, address(50), None))
        .unwrap();
    for peer in &saved {
        assert!(again.call(|o, now| o.restore_peer(now, peer.clone())));
    }
    again.call(Overlay::handle_timeout);
    let first: Vec<_> = dialled(&again).iter().filter_map(|t| t.id).collect();
    assert_eq!(first.len(), 4);
    assert!(first.iter().all(|id| anchors.iter().any(|a| a.id == *id)));
    let mut back = again.overlay.saved_peers();
    back.iter_mut().for_each(|peer| peer.anchor = false);
    let mut expected = saved.clone();
    expected.iter_mut().for_each(|peer| peer.anchor = false);
    assert_eq!(back, expected, "records, places and times are kept");
}

#[test]
fn what_a_store_gives_back_is_bounded_and_checked() {
    let mut bench = Bench::new();
    let saved = |id: NodeId, addresses: Vec<SocketAddr>| SavedPeer {
        id,
        addresses,
        record: None,
        introducer: None,
        tried: true,
        anchor: false,
        seen_at: None,
        failures: u32::MAX,
        persistent: false,
    };
    let mut restore = |peer| bench.call(|o, now| o.restore_peer(now, peer));
    assert!(!restore(saved(id(1), vec![])));
    assert!(!restore(saved(id(100), vec![address(1)])), "ourselves");
    assert!(!restore(saved(id(1), vec!["0.0.0.0:1".parse().unwrap()])));
    assert!(restore(saved(id(1), (1..200).map(address).collect())));
    let other = record(2, 1, address(2)).to_bytes();
    assert!(restore(SavedPeer {
        record: Some(other.into()),
        ..saved(id(3), vec![address(3)])
    }));
    for n in 1..5_000u64 {
        let [.., a, b] = n.to_be_bytes();
        restore(saved(numbered(n), vec![global(9, a, b, 1)]));
    }
    let of = |n| view(&bench, id(n)).unwrap();
    assert!(of(1).addresses.len() <= crate::limits::RECORD_ADDRESSES_MAX);
    assert!(of(1).failures < crate::limits::FAILURES_MAX);
    let kept = bench.overlay.saved_peers();
    let third = kept.iter().find(|peer| peer.id == id(3)).unwrap();
    assert_eq!(third.record, None, "that record is another node's");
}

#[test]
fn a_persistent_peer_is_dialled_whatever_the_number_of_peers_and_again_for_ever() {
    let mut bench = Bench::with(OverlayConfig {
        min_peers: 1,
        target_peers: 1,
        ..config()
    });
    bench.connect(1);
    let added = bench.call(|o, now| o.add_peer(now, address(2), Some(id(2)), PeerPriority::High));
    assert_eq!(added, Ok(AddedPeer::Dialling));
    let target = DialTarget {
        address: address(2),
        id: Some(id(2)),
    };
    for _ in 0..2 * crate::limits::FAILURES_MAX {
        assert_eq!(dialled(&bench), [target]);
        bench.call(|o, now| o.handle_dial_failed(now, &target));
        let due = bench.now + config().backoff_max;
        while bench.now < due && dialled(&bench).is_empty() {
            pass(&mut bench);
        }
    }
    let link = finish(&mut bench, 2);
    let kind = view(&bench, id(2)).and_then(|peer| peer.kind);
    assert_eq!(kind, Some(ConnectionKind::Persistent));
    let added = bench.call(|o, now| o.add_peer(now, address(2), None, PeerPriority::High));
    assert_eq!(added, Ok(AddedPeer::Live(id(2))), "the link is reused");
    let (peer, cause) = (id(2), LinkEndCause::TimedOut);
    bench.call(|o, now| o.handle_disconnected(now, peer, LinkEnd { link, cause }));
    bench.advance(config().backoff_max);
    assert_eq!(dialled(&bench), [target], "and made again when it is lost");

    assert!(bench.call(|o, now| o.remove_peer(now, id(2))));
    bench.call(|o, now| o.handle_dial_failed(now, &target));
    bench.advance(config().backoff_max);
    assert_eq!(dialled(&bench), []);
}

#[test]
fn persistent_peers_are_taken_up_to_the_limit_and_refused_one_past_it() {
    let mut bench = Bench::new();
    let mut add = |n: usize| {
        let address = global(9, u8::try_from(n).unwrap(), 1, 1);
        bench.call(|o, now| o.add_peer(now, address, None, PeerPriority::High))
    };
    for n in 0..PERSISTENT_MAX {
        assert!(add(n).is_ok());
    }
    assert_eq!(add(PERSISTENT_MAX), Err(OverlayError::TooManyPersistent));
    assert!(add(0).is_ok(), "it is one of them already");
}

#[test]
fn a_normal_peer_is_dialled_at_once_and_a_low_one_in_its_turn() {
    let mut bench = Bench::with(OverlayConfig {
        min_peers: 1,
        target_peers: 1,
        ..config()
    });
    bench.connect(1);
    let low = bench.call(|o, now| o.add_peer(now, address(2), Some(id(2)), PeerPriority::Low));
    assert_eq!((low, dialled(&bench)), (Ok(AddedPeer::Kept), vec![]));
    let normal =
        bench.call(|o, now| o.add_peer(now, address(3), Some(id(3)), PeerPriority::Normal));
    assert_eq!(normal, Ok(AddedPeer::Dialling));
    assert_eq!(dialled(&bench)[0].id, Some(id(3)));
    let nameless = bench.call(|o, now| o.add_peer(now, address(4), None, PeerPriority::Low));
    assert_eq!(nameless, Ok(AddedPeer::Kept));
    assert_eq!(bench.overlay.stats().hints, 1);
    assert!(bench.call(|o, _| o.remove_address(address(4))));
    assert!(bench.call(|o, now| o.remove_peer(now, id(2))));
    assert_eq!(view(&bench, id(2)), None);
    assert!(!bench.call(|o, now| o.remove_peer(now, id(2))));
}

#[test]
fn a_peer_is_added_by_its_id_alone_if_the_book_knows_where_it_is() {
    let mut bench = Bench::with(OverlayConfig {
        min_peers: 1,
        target_peers: 1,
        ..config()
    });
    bench.connect(1);
    let mut add = |n: u8| bench.call(|o, now| o.add_known_peer(now, id(n), PeerPriority::Normal));
    assert_eq!(add(2), Err(OverlayError::NoAddress(id(2))));
    assert_eq!(add(1), Ok(AddedPeer::Live(id(1))));
    let bytes = record(2, 1, address(2)).to_bytes();
    bench
        .call(|o, now| o.add_record(now, &bytes, HintSource::Dns))
        .unwrap();
    let added = bench.call(|o, now| o.add_known_peer(now, id(2), PeerPriority::Normal));
    assert_eq!(added, Ok(AddedPeer::Dialling));
    let target = DialTarget {
        address: address(2),
        id: Some(id(2)),
    };
    assert_eq!(dialled(&bench), [target]);
}

#[test]
fn refuses_to_add_ourselves_the_banned_and_what_nobody_can_listen_at() {
    let mut bench = Bench::new();
    bench.connect(1);
    bench.call(|o, now| o.disconnect(now, id(1), DisconnectReason::Banned));
    let mut add = |address: SocketAddr, id: Option<NodeId>| {
        bench.call(|o, now| o.add_peer(now, address, id, PeerPriority::High))
    };
    assert_eq!(add(address(100), None), Err(OverlayError::OwnAddress));
    assert_eq!(
        add(address(2), Some(id(100))),
        Err(OverlayError::OwnAddress)
    );
    assert_eq!(
        add(address(1), Some(id(1))),
        Err(OverlayError::PeerBanned(id(1)))
    );
    let nowhere = "10.0.0.1:0".parse().unwrap();
    assert_eq!(add(nowhere, None), Err(OverlayError::NotDialable(nowhere)));
}

#[test]
fn a_hint_is_dialled_when_peers_are_wanted_and_dropped_when_it_keeps_failing() {
    let mut bench = Bench::new();
    assert!(bench.call(|o, now| o.add_hint(now, address(9), HintSource::Dns)));
    assert!(!bench.call(|o, now| o.add_hint(now, address(9), HintSource::Lan)));
    assert!(bench.call(|o, now| o.add_hint(now, address(8), HintSource::Lan)));
    bench.call(Overlay::handle_timeout);
    let mut targets: Vec<_> = dialled(&bench).iter().map(|t| t.address).collect();
    targets.sort_unstable();
    assert_eq!(targets, [address(8), address(9)]);
    finish(&mut bench, 8);
    let found = view(&bench, id(8)).unwrap();
    assert!(found.tried, "who answered is in the book");
    assert_eq!(found.source, PeerSource::Hint(HintSource::Lan));
    let target = DialTarget {
        address: address(9),
        id: None,
    };
    for _ in 0..HINT_FAILURES_MAX {
        assert_eq!(bench.overlay.stats().hints, 1);
        bench.call(|o, now| o.handle_dial_failed(now, &target));
        bench.advance(10 * SECOND);
    }
    assert_eq!(bench.overlay.stats().hints, 0);
}

#[test]
fn hints_of_one_source_are_taken_up_to_the_limit_and_refused_one_past_it() {
    let mut bench = Bench::new();
    let mut add = |n: usize, source| {
        let address = global(9, u8::try_from(n).unwrap(), 1, 1);
        bench.call(|o, now| o.add_hint(now, address, source))
    };
    for n in 0..HINTS_PER_SOURCE_MAX {
        assert!(add(n, HintSource::Dns));
    }
    assert!(!add(HINTS_PER_SOURCE_MAX, HintSource::Dns));
    for n in HINTS_PER_SOURCE_MAX..HINTS_MAX {
        assert!(add(n, HintSource::User));
    }
    assert!(!add(HINTS_MAX, HintSource::Lan), "and all together");
}

#[test]
fn a_signed_record_from_a_name_server_enters_the_book_and_a_forged_one_does_not() {
    let mut bench = Bench::new();
    let bytes = record(5, 1, address(5)).to_bytes();
    let mut add = |bytes: &[u8]| bench.call(|o, now| o.add_record(now, bytes, HintSource::Dns));
    assert_eq!(add(&bytes), Ok((id(5), true)));
    assert_eq!(add(&bytes), Ok((id(5), false)), "no news");
    let mut forged = bytes.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(add(&forged), Err(OverlayError::BadRecord));
    assert_eq!(add(b"no record"), Err(OverlayError::BadRecord));
    bench.call(Overlay::handle_timeout);
    assert_eq!(
        dialled(&bench)[0].id,
        Some(id(5)),
        "and it must be that node"
    );
}

#[test]
fn the_rover_tries_a_new_peer_which_is_tried_from_then_on() {
    let mut bench = Bench::with(OverlayConfig {
        min_peers: 1,
        target_peers: 1,
        ..config()
    });
    bench.connect(1);
    let peer = id(2);
    assert!(hear(&mut bench.overlay, peer, address(2), address(1)));
    assert!(!view(&bench, peer).unwrap().tried);
    let target = (0..200).find_map(|_| pass(&mut bench).first().copied());
    assert_eq!(target.and_then(|target| target.id), Some(peer));
    finish(&mut bench, 2);
    let found = view(&bench, peer).unwrap();
    assert!(found.tried && found.state == PeerState::Connected);
}

#[test]
fn the_interval_of_questions_grows_with_the_number_of_peers() {
    let mut bench = Bench::new();
    let mut intervals = Vec::new();
    for n in 1..=9 {
        bench.connect(n);
        intervals.push(bench.overlay.exchange_interval());
    }
    let (low, high) = (config().exchange_interval_low, config().exchange_interval);
    assert_eq!((intervals[0], intervals[8]), (low, high));
    assert!(intervals.is_sorted() && intervals[5] > low && intervals[5] < high);
}
