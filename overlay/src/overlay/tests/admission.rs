//! Limits, eviction, bans, health, proofs on demand.

use std::net::IpAddr;

use super::*;
use crate::limits::{BANS_MAX, RATE_DROPS_MAX};
use crate::saved::{BanSubject, SavedBan};
use crate::wire::{Disconnect, Ping};
use crate::{
    Admission, Ailment, BanEnd, CloseReason, ConnectionKind, DisconnectReason, OverlayError,
    PeerGroup, PeerState, PeerView, Rate, Refusal, StateReason,
};

/// Somewhere on the Internet: the n-th host of the `net`-th network.
fn public(net: u8, n: u8) -> SocketAddr {
    SocketAddr::from(([20, net, 0, n], 4000))
}

/// Between two newcomers: short, because peers that are played by hand fall silent.
const STEP: Duration = Duration::from_millis(5);

impl Bench {
    /// Peer `n` opens a link from `remote`.
    fn link_from(&mut self, n: u8, remote: SocketAddr) -> LinkId {
        self.next_link += 1;
        let link = LinkId(self.next_link);
        let info = LinkInfo {
            id: link,
            direction: Direction::Inbound,
            remote,
            public: *identity(n).public(),
        };
        self.call(|overlay, now| overlay.handle_connected(now, id(n), info));
        link
    }

    /// … and says hello; whether it is accepted and connected.
    fn come_from(&mut self, n: u8, remote: SocketAddr) -> bool {
        self.link_from(n, remote);
        if view(self, n).is_none_or(|of| of.state != PeerState::Handshaking) {
            return false;
        }
        self.deliver(n, &hello_of(n));
        self.deliver(n, &accepting_reply());
        self.is_connected(n)
    }
}

fn view(bench: &Bench, n: u8) -> Option<PeerView> {
    bench.overlay.peers().find(|peer| peer.id == id(n))
}

fn state(bench: &Bench, n: u8) -> Option<(PeerState, StateReason)> {
    view(bench, n).map(|peer| (peer.state, peer.reason))
}

fn subject(text: &str) -> BanSubject {
    text.parse().unwrap()
}

fn ban(bench: &mut Bench, of: BanSubject, seconds: u32) -> bool {
    bench.call(|overlay, now| overlay.ban(now, of, SECOND * seconds, "for the test"))
}

#[test]
fn one_address_and_one_subnet_have_their_limits_and_refused_ones_hear_of_others() {
    let mut bench = Bench::new();
    let max = u8::try_from(Admission::default().max_per_address).unwrap();
    for n in 1..=max {
        assert!(bench.come_from(n, public(1, 1)), "peer {n}");
    }
    bench.link_from(max + 1, public(1, 1));
    bench.deliver(max + 1, &hello_of(max + 1));
    let sent = bench.sent_to(max + 1);
    let Message::HelloReply(reply) = decoded(&sent[0]) else {
        panic!("a reply")
    };
    assert_eq!(reply.verdict, Refusal::ConnectionLimit.code());
    let why = StateReason::RefusedByUs(Refusal::ConnectionLimit);
    assert_eq!(state(&bench, max + 1), Some((PeerState::Failed, why)));
    let of_subnet = u8::try_from(Admission::default().max_per_subnet).unwrap();
    for n in max + 2..2 + of_subnet {
        assert!(bench.come_from(n, public(1, n)), "peer {n}");
    }
    assert!(!bench.come_from(50, public(1, 50)));
    assert!(
        bench.come_from(51, public(2, 50)),
        "elsewhere there is room"
    );
}

#[test]
fn inbound_peers_leave_places_for_those_we_choose() {
    let mut bench = Bench::with(OverlayConfig {
        max_peers: 16,
        ..config()
    });
    for n in 1..=14 {
        assert!(bench.come_from(n, address(n)), "peer {n}");
    }
    assert!(!bench.come_from(15, address(15)), "seven eighths are taken");
    for n in 21..=22 {
        bench.link(n, Direction::Outbound);
        bench.deliver(n, &hello_of(n));
        bench.deliver(n, &accepting_reply());
        assert!(bench.is_connected(n));
    }
    bench.link(23, Direction::Outbound);
    bench.deliver(23, &hello_of(23));
    let why = StateReason::RefusedByUs(Refusal::ConnectionLimit);
    assert_eq!(state(&bench, 23), Some((PeerState::Failed, why)));
}

#[test]
fn outbound_links_end_at_their_maximum() {
    let mut bench = Bench::with(OverlayConfig {
        admission: Admission {
            max_outbound: Some(2),
            ..Admission::default()
        },
        ..config()
    });
    for n in 1..=9 {
        bench.call(|overlay, now| overlay.add_bootstrap(now, address(n), None).unwrap());
    }
    bench.advance(Duration::ZERO);
    assert_eq!(bench.actions.len(), 2);
    for n in 1..=2 {
        bench.link(n, Direction::Outbound);
    }
    bench.advance(SECOND);
    let is_dial = |action: &Action| matches!(action, Action::Dial(_));
    assert!(!bench.actions.iter().any(is_dial));
}

#[test]
fn a_group_has_its_maximum() {
    let mut bench = Bench::with(OverlayConfig {
        admission: Admission {
            groups: vec![PeerGroup {
                name: "one provider".to_owned(),
                prefixes: vec![
                    "20.1.0.0/16".parse().unwrap(),
                    "20.2.0.0/16".parse().unwrap(),
                ],
                max: 2,
            }],
            ..Admission::default()
        },
        ..config()
    });
    assert!(bench.come_from(1, public(1, 1)) && bench.come_from(2, public(2, 1)));
    assert!(!bench.come_from(3, public(2, 2)));
    assert!(bench.come_from(4, public(3, 1)));
}

#[test]
fn a_full_node_lets_the_youngest_of_the_largest_network_go_for_a_newcomer() {
    let mut bench = Bench::with(OverlayConfig {
        admission: Admission {
            max_inbound: Some(28),
            ..Admission::default()
        },
        ..config()
    });
    for n in 1..=22 {
        assert!(bench.come_from(n, public(n, 1)), "peer {n}");
        bench.advance(STEP);
    }
    for n in 23..=28 {
        assert!(bench.come_from(n, public(100, n)), "peer {n}");
        bench.advance(STEP);
    }
    assert!(
        !bench.come_from(29, public(100, 29)),
        "its network is the largest"
    );
    assert!(bench.come_from(30, public(30, 1)));
    assert_eq!(
        state(&bench, 28),
        Some((PeerState::Disconnected, StateReason::Evicted))
    );
    let stats = bench.overlay.stats();
    assert_eq!((stats.connected, stats.evictions), (28, 1));
    let goodbye = Message::Disconnect(Disconnect {
        reason: DisconnectReason::ConnectionLimitReached.code(),
    });
    assert_eq!(decoded(bench.sent_to(28).last().unwrap()), goodbye);
}

#[test]
fn a_configured_peer_is_taken_when_full_and_never_evicted() {
    let mut bench = Bench::with(OverlayConfig {
        admission: Admission {
            max_inbound: Some(28),
            max_per_subnet: 2,
            ..Admission::default()
        },
        ..config()
    });
    for n in [40, 41] {
        bench.call(|overlay, now| overlay.add_bootstrap(now, address(n), Some(id(n))).unwrap());
    }
    for n in 1..=28 {
        assert!(bench.come_from(n, public(n, 1)), "peer {n}");
        bench.advance(STEP);
    }
    assert!(bench.come_from(40, public(1, 40)));
    for n in 50..=90 {
        bench.come_from(n, public(n, 1));
        bench.advance(STEP);
    }
    assert!(bench.is_connected(40), "the youngest of all at its time");
}

#[test]
fn a_subnet_connects_at_its_rate_and_near_addresses_at_any() {
    let mut bench = Bench::with(OverlayConfig {
        admission: Admission {
            connects_per_subnet: Rate {
                per_second: 1,
                burst: 3,
            },
            ..Admission::default()
        },
        ..config()
    });
    let knock = |bench: &mut Bench, n: u8, remote| {
        bench.link_from(n, remote);
        let is_refusal = |event: &Event| matches!(event, Event::LinkRefused { .. });
        !bench.events.iter().any(is_refusal)
    };
    for n in 1..=3 {
        assert!(knock(&mut bench, n, public(1, n)));
    }
    assert!(!knock(&mut bench, 4, public(1, 4)));
    assert!(view(&bench, 4).is_none(), "nothing is kept of it");
    assert!(knock(&mut bench, 5, public(2, 5)));
    for n in 10..20 {
        assert!(knock(&mut bench, n, address(n)));
    }
    bench.advance(SECOND);
    assert!(knock(&mut bench, 4, public(1, 4)));
}

#[test]
fn a_banned_address_is_dropped_at_once_and_refused_until_the_ban_ends() {
    let mut bench = Bench::new();
    assert!(bench.come_from(1, public(1, 1)) && bench.come_from(2, public(2, 1)));
    bench.link_from(3, public(1, 3));
    assert!(ban(&mut bench, subject("20.1.0.0/16"), 60));
    let why = (PeerState::Disconnected, StateReason::AddressBanned);
    assert_eq!(state(&bench, 1), Some(why));
    assert_eq!(state(&bench, 3), Some(why), "its hello was not finished");
    assert!(bench.is_connected(2));
    let Some(Event::Banned { ban }) = bench.events.first() else {
        panic!("the ban comes first: {:?}", bench.events)
    };
    assert_eq!(ban.until - ban.since, 60_000);
    assert_eq!(ban.reason, "for the test");
    assert!(!bench.come_from(4, public(1, 4)));
    let reason = CloseReason::Disconnect(DisconnectReason::Banned);
    let remote = public(1, 4);
    assert!(bench.events.contains(&Event::LinkRefused {
        peer: id(4),
        remote,
        reason
    }));
    bench.advance(60 * SECOND);
    let subject = subject("20.1.0.0/16");
    let how = BanEnd::Expired;
    assert!(bench.events.contains(&Event::Unbanned { subject, how }));
    assert!(bench.come_from(4, public(1, 4)));
}

#[test]
fn a_banned_address_is_not_dialled() {
    let mut bench = Bench::new();
    for n in [1, 2] {
        bench.call(|overlay, now| overlay.add_bootstrap(now, address(n), Some(id(n))).unwrap());
    }
    assert!(ban(&mut bench, BanSubject::Address(address(1).ip()), 60));
    bench.advance(Duration::ZERO);
    let target = crate::DialTarget {
        address: address(2),
        id: Some(id(2)),
    };
    assert_eq!(bench.actions, [Action::Dial(target)]);
}

#[test]
fn what_is_allowed_cannot_be_banned_by_address_and_we_cannot_be_at_all() {
    let mut bench = Bench::with(OverlayConfig {
        admission: Admission {
            allow: vec!["20.1.0.0/24".parse().unwrap()],
            max_per_address: 1,
            ..Admission::default()
        },
        ..config()
    });
    for n in 1..=3 {
        assert!(bench.come_from(n, public(1, 1)), "no limit is for peer {n}");
    }
    for of in ["20.1.0.1", "20.1.0.0/24", "20.1.0.128/25", "20.0.0.0/8"] {
        assert!(!ban(&mut bench, subject(of), 60), "{of}");
    }
    assert!(!ban(&mut bench, BanSubject::Peer(id(100)), 60));
    assert!(!ban(
        &mut bench,
        BanSubject::Prefix(IpAddr::from([20, 2, 0, 0]), 33),
        60
    ));
    assert!(bench.events.is_empty() && bench.overlay.bans().next().is_none());
    assert!(
        ban(&mut bench, BanSubject::Peer(id(1)), 60),
        "by name it can"
    );
    assert!(!bench.is_connected(1));
}

#[test]
fn bans_survive_a_restart_with_their_reason_and_what_is_left_of_their_time() {
    let mut bench = Bench::new();
    assert!(ban(&mut bench, BanSubject::Peer(id(1)), 60));
    assert!(ban(&mut bench, subject("20.1.0.0/16"), 90));
    bench.advance(30 * SECOND);
    let saved = bench.overlay.saved_bans();
    let mut again = Bench::with(OverlayConfig {
        wall_clock: WallClock {
            at: Instant::ZERO,
            unix_millis: START_MILLIS + 40_000,
        },
        ..config()
    });
    for ban in saved.clone() {
        assert!(again.call(|overlay, now| overlay.restore_ban(now, ban)));
    }
    let why = (PeerState::Banned, StateReason::BanRestored);
    assert_eq!(state(&again, 1), Some(why));
    assert_eq!(
        view(&again, 1).unwrap().ban_reason.as_deref(),
        Some("for the test")
    );
    assert!(!again.come_from(2, public(1, 1)));
    let ends: Vec<u64> = again
        .overlay
        .saved_bans()
        .iter()
        .map(|ban| ban.until)
        .collect();
    assert_eq!(ends, [START_MILLIS + 60_000, START_MILLIS + 90_000]);
    let begun = again.overlay.bans().map(|ban| ban.since);
    let saved_begun = saved.iter().map(|ban| ban.since);
    assert!(begun.eq(saved_begun), "since when, not since the restart");
    again.advance(20 * SECOND);
    assert_eq!(again.overlay.bans().count(), 1);
    let over = SavedBan {
        until: START_MILLIS,
        ..saved[0].clone()
    };
    assert!(!again.call(|overlay, now| overlay.restore_ban(now, over)));
}

#[test]
fn bans_are_kept_up_to_the_limit_and_one_past_it_displaces_another() {
    let mut bench = Bench::new();
    for n in 0..BANS_MAX {
        let n = u16::try_from(n).unwrap().to_be_bytes();
        let of = BanSubject::Address(IpAddr::from([20, 9, n[0], n[1]]));
        assert!(ban(&mut bench, of, 1_000));
    }
    assert!(ban(&mut bench, BanSubject::Peer(id(1)), 10));
    assert_eq!(bench.overlay.bans().count(), BANS_MAX);
    let (subject, how) = (subject("20.9.0.0"), BanEnd::Displaced);
    assert!(bench.events.contains(&Event::Unbanned { subject, how }));
    assert_eq!(state(&bench, 1).unwrap().0, PeerState::Banned);
}

#[test]
fn who_floods_for_long_is_banned_and_who_does_so_now_and_then_is_not() {
    let ping = Message::Ping(Ping { nonce: 1 }).encode();
    let mut bench = Bench::new();
    bench.connect(1);
    let burst = u32::try_from(config().messages.burst).unwrap();
    // Two messages were the hello; one less than is tolerated.
    for _ in 0..burst - 2 + RATE_DROPS_MAX - 2 {
        bench.overlay.handle_message(bench.now, id(1), &ping);
    }
    bench.deliver(1, &ping);
    assert!(bench.is_connected(1), "one more is tolerated");
    bench.deliver(1, &ping);
    let why = (PeerState::Banned, StateReason::BannedForFlooding);
    assert_eq!(state(&bench, 1), Some(why));
    let mut bench = Bench::new();
    bench.connect(1);
    for _ in 0..3 {
        for _ in 0..burst + RATE_DROPS_MAX / 2 {
            bench.overlay.handle_message(bench.now, id(1), &ping);
        }
        bench.now = bench.now + 61 * SECOND;
        bench.call(|_, _| ());
        assert!(bench.is_connected(1));
    }
}

#[test]
fn connections_say_what_they_are_for_and_peers_what_they_are() {
    let mut bench = Bench::new();
    bench.call(|overlay, now| overlay.add_bootstrap(now, address(1), Some(id(1))).unwrap());
    bench.link(1, Direction::Outbound);
    bench.connect(2);
    let kind = |n| view(&bench, n).unwrap().kind;
    assert_eq!(kind(1), Some(ConnectionKind::Seed));
    assert_eq!(kind(2), Some(ConnectionKind::Inbound));
    let peer = view(&bench, 2).unwrap();
    assert_eq!(
        (peer.version, peer.user_agent.as_str()),
        (Some(1), "by hand")
    );
    assert_eq!(peer.last_activity, Some(bench.now));
}

#[test]
fn a_peer_that_misses_pings_is_listed_as_unhealthy() {
    let mut bench = Bench::new();
    bench.connect(1);
    bench.connect(2);
    assert_eq!(bench.overlay.unhealthy().count(), 0);
    let mut unhealthy = None;
    for _ in 0..45 {
        bench.advance(SECOND);
        // Peer 2 answers, peer 1 says nothing.
        for bytes in bench.sent_to(2) {
            if let Message::Ping(ping) = decoded(&bytes) {
                bench.deliver(2, &Message::Pong(ping).encode());
            }
        }
        unhealthy = bench.overlay.unhealthy().next().or(unhealthy);
    }
    let (who, health) = unhealthy.expect("peer 1");
    assert_eq!(who, id(1));
    assert!(health.ailments.contains(&Ailment::Silent));
    let healthy = view(&bench, 2).unwrap().health.unwrap();
    assert!(healthy.is_healthy() && healthy.rtt.is_some());
    assert_eq!(healthy.success_percent(), 100);
}

#[test]
fn a_peer_that_proves_itself_again_stays() {
    let mut bench = Bench::new();
    assert_eq!(
        bench.call(|overlay, now| overlay.challenge(now, id(1))),
        Err(OverlayError::NotConnected(id(1)))
    );
    let link = bench.connect(1);
    bench.call(|overlay, now| overlay.challenge(now, id(1)).unwrap());
    assert_eq!(bench.actions, [Action::ChallengePeer { peer: id(1), link }]);
    bench.call(|overlay, now| overlay.challenge(now, id(1)).unwrap());
    assert!(bench.actions.is_empty(), "one is under way");
    bench.call(|overlay, now| overlay.handle_challenged(now, id(1), LinkId(77), false));
    assert!(bench.is_connected(1), "nobody was asked over that link");
    bench.call(|overlay, now| overlay.handle_challenged(now, id(1), link, true));
    assert_eq!(bench.events, [Event::PeerProven { peer: id(1) }]);
    assert_eq!(view(&bench, 1).unwrap().proved_at, Some(bench.now));
    bench.call(|overlay, now| overlay.challenge(now, id(1)).unwrap());
    assert!(bench.actions.is_empty(), "that was just now");
    assert_eq!(bench.events, [Event::PeerProven { peer: id(1) }]);
}

#[test]
fn a_peer_that_does_not_prove_itself_is_left_and_not_banned() {
    let mut bench = Bench::new();
    let link = bench.connect(1);
    let why = (PeerState::Disconnected, StateReason::NotProven);
    bench.call(|overlay, now| overlay.challenge(now, id(1)).unwrap());
    bench.call(|overlay, now| overlay.handle_challenged(now, id(1), link, false));
    assert_eq!(state(&bench, 1), Some(why));
    bench.connect(2);
    bench.call(|overlay, now| overlay.challenge(now, id(2)).unwrap());
    bench.advance(config().challenge_timeout);
    assert_eq!(state(&bench, 2), Some(why), "a driver that says nothing");
}

#[test]
fn a_peer_that_we_chose_stays_chosen_when_it_opens_the_newer_link() {
    let mut bench = Bench::with(OverlayConfig {
        admission: Admission {
            max_inbound: Some(1),
            ..Admission::default()
        },
        ..config()
    });
    bench.link(1, Direction::Outbound);
    bench.deliver(1, &hello_of(1));
    bench.deliver(1, &accepting_reply());
    assert!(bench.come_from(2, address(2)));
    bench.advance(60 * SECOND);
    bench.link(1, Direction::Inbound);
    let peer = view(&bench, 1).unwrap();
    assert_eq!(
        peer.direction,
        Some(Direction::Inbound),
        "the newer link is in use"
    );
    assert_eq!(
        peer.kind,
        Some(ConnectionKind::Seed),
        "and it was configured"
    );
    assert!(bench.is_connected(1) && bench.is_connected(2));
}
