//! Networks of overlays: convergence, broadcast, gossip under faults, crash, partition, churn, goodbyes,
//! replay.

mod byzantine;
mod gossip;
mod heal;
mod peers;
mod topics;

use std::time::Duration;

use bytes::Bytes;
use dunlin_lab::rng::Ppm;
use dunlin_lab::seed::{SeedGuard, seeds};
use dunlin_lab::swarm::{
    self, Churn, Climate, Crash, Cuts, Partition, Restart, Swarm, SwarmReport, SwarmScenario,
};
use dunlin_overlay::{
    Direction, DisconnectReason, Event, OverlayConfig, PeerState, Refusal, StateReason,
};

const SECOND: Duration = Duration::from_secs(1);

/// `count` nodes that all know the address of node 0 and nothing else.
fn star(seed: u64, count: usize, config: &OverlayConfig) -> Swarm {
    let mut swarm = Swarm::new(seed, Climate::default()).keeping_events();
    for node in 0..count {
        let bootstrap = (node > 0).then(|| Swarm::address_of(0));
        swarm
            .add(config.clone(), bootstrap.as_slice())
            .expect("a fresh node is sound");
    }
    swarm
}

/// Whether every running node has at least four running peers and the network is one piece.
fn converged(swarm: &Swarm) -> bool {
    let judge = swarm.judge();
    judge.running().all(|node| judge.degree(node) >= 4) && judge.pieces() == 1
}

fn converge(swarm: &mut Swarm, limit: Duration) -> Duration {
    let took = swarm
        .run_until_done(limit, converged)
        .expect("nothing is wrong");
    took.expect("the network becomes whole")
}

/// Every running node but the origin has the broadcast; the judge saw that it came once.
fn assert_delivered(swarm: &Swarm, payload: &'static [u8], origin: usize) {
    for node in swarm.judge().running() {
        let has_it = swarm.events(node).iter().any(
            |event| matches!(event, Event::Broadcast { payload: p, .. } if p.as_ref() == payload),
        );
        assert_eq!(has_it, node != origin, "{payload:?} at node {node}");
    }
}

fn broadcast(swarm: &mut Swarm, node: usize, payload: &'static [u8]) {
    let sent = swarm
        .broadcast(node, Bytes::from_static(payload))
        .expect("nothing is wrong");
    assert!(sent.is_some());
}

fn run(scenario: &SwarmScenario, seed: u64) -> SwarmReport {
    let _guard = SeedGuard::new("swarm", seed);
    swarm::run(scenario, seed).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn fifty_nodes_converge_from_one_bootstrap_and_a_broadcast_reaches_each_once() {
    for seed in seeds(3) {
        let _guard = SeedGuard::new("swarm", seed);
        let mut swarm = star(seed, 50, &Swarm::config());
        converge(&mut swarm, 60 * SECOND);
        let sent: [(usize, &[u8]); 3] =
            [(0, b"from the bootstrap"), (17, b"a leaf"), (49, b"last")];
        for (origin, payload) in sent {
            broadcast(&mut swarm, origin, payload);
        }
        swarm.run_for(5 * SECOND).unwrap();
        for (origin, payload) in sent {
            assert_delivered(&swarm, payload, origin);
        }
        for stats in swarm.all_stats() {
            assert_eq!((stats.violations, stats.dropped_for_rate), (0, 0));
            assert!(stats.connected <= 32, "max_peers holds");
        }
    }
}

#[test]
fn survivors_of_a_silent_crash_of_half_the_nodes_receive_later_broadcasts() {
    for seed in seeds(3) {
        let _guard = SeedGuard::new("swarm", seed);
        let mut swarm = star(seed, 50, &Swarm::config());
        converge(&mut swarm, 60 * SECOND);
        swarm.run_for(60 * SECOND).unwrap();
        for node in 0..25 {
            swarm.crash(node);
        }
        converge(&mut swarm, 180 * SECOND);
        broadcast(&mut swarm, 30, b"after the crash");
        swarm.run_for(5 * SECOND).unwrap();
        assert_delivered(&swarm, b"after the crash", 30);
    }
}

#[test]
fn same_seed_gives_the_same_report_and_another_seed_another() {
    let scenario = SwarmScenario {
        nodes: 30,
        warm_up: 20 * SECOND,
        requests: 20,
        loss: Ppm::percent(1),
        crash: Some(Crash {
            at: 24 * SECOND,
            fraction: Ppm::percent(30),
            restart_after: Some(3 * SECOND),
            restart: Restart::KnownPeers,
        }),
        ..SwarmScenario::default()
    };
    let (first, second) = (run(&scenario, 1), run(&scenario, 1));
    assert_eq!(first, second);
    assert_ne!(first.trace_hash, run(&scenario, 2).trace_hash);
}

#[test]
fn simultaneous_dials_collapse_to_one_link_without_losing_the_peer() {
    for seed in seeds(20) {
        let _guard = SeedGuard::new("swarm", seed);
        let mut swarm = Swarm::new(seed, Climate::default()).keeping_events();
        let [a, b] = [0, 1].map(|other| {
            let bootstrap = [Swarm::address_of(1 - other)];
            swarm.add(Swarm::config(), &bootstrap).unwrap()
        });
        swarm.run_for(SECOND / 2).unwrap();
        assert_eq!(swarm.links_between(a, b), 2, "both dials made a link");
        swarm.run_for(10 * SECOND).unwrap();
        assert_eq!(swarm.links_between(a, b), 1);
        let opener = if swarm.id_of(a) < swarm.id_of(b) {
            a
        } else {
            b
        };
        for node in [a, b] {
            let peer = swarm.overlay(node).peers().next().unwrap();
            let expected = if node == opener {
                Direction::Outbound
            } else {
                Direction::Inbound
            };
            assert_eq!(
                (peer.state, peer.direction),
                (PeerState::Connected, Some(expected))
            );
            let ups = |e: &&Event| matches!(e, Event::PeerUp { .. });
            let downs = |e: &&Event| matches!(e, Event::PeerDown { .. });
            assert_eq!(swarm.events(node).iter().filter(ups).count(), 1);
            assert_eq!(swarm.events(node).iter().filter(downs).count(), 0);
        }
    }
}

#[test]
fn a_full_bootstrap_refuses_but_names_others() {
    let small = OverlayConfig {
        max_peers: 4,
        target_peers: 4,
        min_peers: 2,
        ..Swarm::config()
    };
    let mut swarm = star(3, 20, &small);
    let has_two = |swarm: &Swarm| {
        let judge = swarm.judge();
        judge.running().all(|node| judge.degree(node) >= 2)
    };
    let took = swarm.run_until_done(120 * SECOND, has_two).unwrap();
    assert!(took.is_some());
    assert!(swarm.all_stats().all(|stats| stats.connected <= 4));
    let refused = (0..20).flat_map(|node| swarm.events(node)).any(|event| {
        matches!(
            event,
            Event::PeerStateChanged {
                reason: StateReason::RefusedByPeer(Some(Refusal::ConnectionLimit)),
                ..
            }
        )
    });
    assert!(refused, "the limit was met");
}

#[test]
fn shutdown_says_goodbye_with_its_reason_and_closes_the_link() {
    let mut swarm = star(4, 2, &Swarm::config());
    swarm.run_for(5 * SECOND).unwrap();
    swarm.with(1, |overlay, now| overlay.shutdown(now)).unwrap();
    swarm.run_for(5 * SECOND).unwrap();
    assert_eq!(swarm.links_between(0, 1), 0);
    let reason = StateReason::RemoteDisconnect(Some(DisconnectReason::Shutdown));
    let peer = swarm.id_of(1);
    assert!(swarm.events(0).contains(&Event::PeerDown { peer, reason }));
    assert_eq!(swarm.overlay(0).stats().connected, 0);
}

#[test]
fn a_lost_peer_is_dialled_again_with_back_off() {
    let mut swarm = star(5, 2, &Swarm::config());
    swarm.run_for(5 * SECOND).unwrap();
    swarm.crash(0);
    swarm.run_for(100 * SECOND).unwrap();
    let dials = swarm.overlay(1).stats().dials;
    assert!(
        (4..=12).contains(&dials),
        "{dials} dials: some, and ever fewer"
    );
    swarm.restart(0, Restart::Empty).unwrap();
    swarm.run_for(150 * SECOND).unwrap();
    assert_eq!(swarm.overlay(1).stats().connected, 1);
}

#[test]
fn a_bootstrap_that_always_refuses_is_dialled_with_back_off() {
    let mut swarm = Swarm::new(11, Climate::default());
    let refusing = OverlayConfig {
        max_peers: 0,
        ..Swarm::config()
    };
    swarm.add(refusing, &[]).unwrap();
    let node = swarm.add(Swarm::config(), &[Swarm::address_of(0)]).unwrap();
    swarm.run_for(100 * SECOND).unwrap();
    let dials = swarm.overlay(node).stats().dials;
    assert!(
        (4..=12).contains(&dials),
        "{dials} dials: some, and ever fewer"
    );
}

#[test]
fn dialling_ourselves_is_noticed_and_not_repeated() {
    let mut swarm = Swarm::new(6, Climate::default());
    let node = swarm.add(Swarm::config(), &[]).unwrap();
    // Known under an address that is not among the configured ones.
    let added = swarm.with(node, |overlay, now| {
        overlay.set_listen(now, Vec::new());
        overlay.add_bootstrap(now, Swarm::address_of(0), None)
    });
    assert_eq!(added.unwrap(), Some(Ok(())));
    swarm.run_for(60 * SECOND).unwrap();
    let stats = swarm.overlay(node).stats();
    assert_eq!((stats.dials, stats.connected, stats.known), (1, 0, 0));
}

#[test]
fn a_quiet_network_delivers_every_broadcast_and_answers_every_request() {
    for seed in seeds(3) {
        let scenario = SwarmScenario {
            nodes: 60,
            warm_up: 30 * SECOND,
            requests: 50,
            loss: Ppm::percent(2),
            ..SwarmScenario::default()
        };
        let report = run(&scenario, seed);
        assert_eq!(report.delivered, 10 * 59);
        assert_eq!((report.delivery_ratio, report.complete), (1.0, 10));
        assert_eq!((report.requests.sent, report.requests.answered), (50, 50));
        assert_eq!((report.pieces, report.running), (1, 60));
        assert!(report.latency_ms.max < 1_000.0 && report.latency_ms.p50 >= 10.0);
        assert!(report.copies_per_delivery >= 1.0);
    }
}

#[test]
fn a_cut_link_is_noticed_late_and_the_peers_find_together_again() {
    let mut swarm = star(8, 2, &Swarm::config());
    swarm.run_for(5 * SECOND).unwrap();
    assert!(swarm.cut(0, 1));
    swarm.run_for(20 * SECOND).unwrap();
    let connected = |swarm: &Swarm| [0, 1].map(|node| swarm.overlay(node).stats().connected);
    assert_eq!(connected(&swarm), [1, 1], "nobody has noticed yet");
    let lost = |swarm: &Swarm, node| {
        let down = |e: &Event| matches!(e, Event::PeerDown { .. });
        swarm.events(node).iter().any(down)
    };
    swarm.run_for(60 * SECOND).unwrap();
    // The end that notices later may have been dialled by then, and takes the new link instead.
    assert!(lost(&swarm, 0) || lost(&swarm, 1));
    assert_eq!(connected(&swarm), [1, 1], "linked anew");
    assert_eq!(swarm.links_between(0, 1), 1);
}

#[test]
fn what_is_sent_into_a_short_partition_arrives_after_it() {
    let mut swarm = star(9, 2, &Swarm::config());
    swarm.run_for(5 * SECOND).unwrap();
    swarm.partition(|node| node == 1);
    broadcast(&mut swarm, 0, b"wait for it");
    swarm.run_for(10 * SECOND).unwrap();
    let before = swarm.events(1).len();
    swarm.heal();
    swarm.run_for(SECOND).unwrap();
    assert_delivered(&swarm, b"wait for it", 0);
    let noticed = swarm.events(1)[before..].iter();
    let others = noticed.filter(|event| {
        use Event::{Broadcast, PeerSilent, ScoreChanged};
        !matches!(
            event,
            Broadcast { .. } | PeerSilent { .. } | ScoreChanged { .. }
        )
    });
    assert_eq!(others.count(), 0, "the link and all else stayed");
}

#[test]
fn a_node_that_slept_for_long_goes_on_with_what_it_knew() {
    let mut swarm = star(10, 20, &Swarm::config());
    converge(&mut swarm, 60 * SECOND);
    let known = swarm.overlay(7).stats().known;
    swarm.pause(7);
    swarm.run_for(120 * SECOND).unwrap();
    assert!(!swarm.judge().runs(7));
    swarm.restart(7, Restart::Resumed).unwrap();
    assert!(swarm.overlay(7).stats().known >= known);
    assert_eq!(swarm.overlay(7).stats().connected, 0, "its links had ended");
    converge(&mut swarm, 60 * SECOND);
    broadcast(&mut swarm, 7, b"I am back");
    swarm.run_for(5 * SECOND).unwrap();
    assert_delivered(&swarm, b"I am back", 7);
}

#[test]
fn a_partition_that_does_not_heal_shows_as_two_pieces_and_missing_deliveries() {
    let scenario = SwarmScenario {
        nodes: 30,
        join_over: SECOND,
        warm_up: 60 * SECOND,
        broadcasts: 4,
        partition: Some(Partition {
            at: 10 * SECOND,
            until: 500 * SECOND,
            fraction: Ppm::percent(50),
        }),
        duration: Some(90 * SECOND),
        ..SwarmScenario::default()
    };
    let report = run(&scenario, 1);
    assert_eq!((report.pieces, report.complete), (2, 0));
    assert_eq!(report.expected, 4 * 29);
    assert_eq!(
        report.delivered,
        4 * 14,
        "the origin's half, without the origin"
    );
}

#[test]
fn a_scenario_reads_from_text_with_units_and_refuses_unknown_names() {
    let text = r#"{
        "nodes": 1000,
        "latency": { "min": "5ms", "max": "0.1s" },
        "crash": { "at": "60s", "fraction": "50%" },
        "churn": { "from": "1min", "until": "2min", "per_minute": 0.01, "restart": "known-peers" }
    }"#;
    let scenario: SwarmScenario = serde_json::from_str(text).unwrap();
    assert_eq!(scenario.nodes, 1000);
    assert_eq!(scenario.latency.max, Duration::from_millis(100));
    assert_eq!(scenario.crash.unwrap().fraction, Ppm::percent(50));
    assert_eq!(scenario.crash.unwrap().restart_after, None);
    let churn = scenario.churn.unwrap();
    assert_eq!(
        (churn.per_minute, churn.silent),
        (Ppm::percent(1), Ppm::ALWAYS)
    );
    assert_eq!(churn.restart, Restart::KnownPeers);
    assert_eq!(scenario.broadcasts, SwarmScenario::default().broadcasts);

    let written = serde_json::to_string(&scenario).unwrap();
    let again: SwarmScenario = serde_json::from_str(&written).unwrap();
    assert_eq!(again, scenario);

    for wrong in [
        r#"{ "node": 1000 }"#,
        r#"{ "warm_up": "60" }"#,
        r#"{ "crash": { "at": "60s", "fraction": "200%" } }"#,
        r#"{ "crash": { "at": "60s", "fraction": "50%", "when": "1s" } }"#,
    ] {
        assert!(
            serde_json::from_str::<SwarmScenario>(wrong).is_err(),
            "{wrong}"
        );
    }
}

/// Everything at once, then time to heal: the network becomes whole and later broadcasts reach all.
#[test]
fn torture_of_fifty_overlays_ends_in_a_whole_network() {
    for seed in seeds(6) {
        let restart = [Restart::Empty, Restart::KnownPeers, Restart::Resumed]
            [usize::try_from(seed % 3).unwrap()];
        let scenario = SwarmScenario {
            nodes: 50,
            join_over: 20 * SECOND,
            warm_up: 10 * SECOND,
            broadcasts: 30,
            broadcast_interval: 10 * SECOND,
            requests: 100,
            loss: Ppm::percent(2),
            crash: Some(Crash {
                at: 30 * SECOND,
                fraction: Ppm::percent(40),
                restart_after: Some(40 * SECOND),
                restart,
            }),
            partition: Some(Partition {
                at: 50 * SECOND,
                until: 100 * SECOND,
                fraction: Ppm::percent(40),
            }),
            churn: Some(Churn {
                from: 20 * SECOND,
                until: 100 * SECOND,
                per_minute: Ppm::percent(40),
                silent: Ppm::percent(50),
                away: 5 * SECOND,
                restart,
            }),
            cuts: Some(Cuts {
                from: 20 * SECOND,
                until: 110 * SECOND,
                per_minute: Ppm::percent(40),
            }),
            ..SwarmScenario::default()
        };
        let report = run(&scenario, seed);
        assert_eq!((report.pieces, report.running), (1, 50), "seed {seed}");
        let later = report.each.iter().filter(|each| each.at >= 220 * SECOND);
        for each in later {
            assert_eq!(each.delivered, each.expected, "seed {seed}: {each:?}");
        }
    }
}
