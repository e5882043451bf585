//! Networks of full-stack nodes: transport, real handshake and gossip under faults.

use std::time::Duration;

use dunlin_lab::rng::Ppm;
use dunlin_lab::seed::{SeedGuard, seeds};
use dunlin_lab::stack::{self, DiskFull, Path, Rebinds, StackReport, StackScenario};
use dunlin_lab::swarm::{Churn, Crash, Cuts, Partition, Restart, SwarmScenario};

const SECOND: Duration = Duration::from_secs(1);

fn run(scenario: &StackScenario, seed: u64) -> StackReport {
    let _guard = SeedGuard::new("stack", seed);
    stack::run(scenario, seed).unwrap_or_else(|failure| panic!("{failure}"))
}

/// Twenty nodes on clean paths.
fn calm() -> StackScenario {
    StackScenario {
        network: SwarmScenario {
            nodes: 20,
            degree: 4,
            join_over: 2 * SECOND,
            warm_up: 10 * SECOND,
            broadcasts: 5,
            requests: 20,
            ..SwarmScenario::default()
        },
        ..StackScenario::default()
    }
}

#[test]
fn a_calm_network_delivers_every_broadcast_and_answers_every_request() {
    for seed in 0..2 {
        let report = run(&calm(), seed);
        assert_eq!(report.network.delivered, 5 * 19);
        assert_eq!(report.network.complete, 5);
        let requests = report.network.requests;
        assert_eq!((requests.sent, requests.answered), (20, 20));
        assert_eq!((report.network.pieces, report.network.running), (1, 20));
        assert!(report.handshakes >= 2 * 19 && report.datagrams > 0);
    }
}

#[test]
fn same_seed_gives_the_same_report_and_another_seed_another() {
    let mut scenario = calm();
    scenario.path.loss = Ppm::percent(2);
    scenario.network.crash = Some(Crash {
        at: 12 * SECOND,
        fraction: Ppm::percent(30),
        restart_after: Some(2 * SECOND),
        restart: Restart::KnownPeers,
    });
    let first = run(&scenario, 1);
    assert_eq!(first, run(&scenario, 1));
    assert_ne!(
        first.network.trace_hash,
        run(&scenario, 2).network.trace_hash
    );
}

#[test]
fn whose_disk_is_full_comes_back_without_known_peers_and_finds_the_network_all_the_same() {
    let mut scenario = calm();
    scenario.network.crash = Some(Crash {
        at: 12 * SECOND,
        fraction: Ppm::percent(30),
        restart_after: Some(2 * SECOND),
        restart: Restart::KnownPeers,
    });
    let roomy = run(&scenario, 1);
    assert_eq!(roomy.saves_refused, 0);
    let full = |from, until| {
        let fraction = Ppm::ALWAYS;
        let disk_full = Some(DiskFull {
            from,
            until,
            fraction,
        });
        StackScenario {
            disk_full,
            ..scenario.clone()
        }
    };
    let always = run(&full(Duration::ZERO, 500 * SECOND), 1);
    assert!(always.saves_refused > 20, "{always:?}");
    // With nothing on the disk it is a restart with nothing.
    scenario.network.crash = scenario.network.crash.map(|crash| Crash {
        restart: Restart::Empty,
        ..crash
    });
    let empty = run(&scenario, 1);
    assert_eq!(always.network.trace_hash, empty.network.trace_hash);
    assert_ne!(always.network.trace_hash, roomy.network.trace_hash);
    assert_eq!((always.network.running, always.network.pieces), (20, 1));
}

#[test]
fn losses_reordering_and_copies_on_the_paths_cost_no_broadcast() {
    let mut scenario = calm();
    scenario.path = Path {
        loss: Ppm::percent(5),
        reorder: Ppm::percent(5),
        reorder_by: Duration::from_millis(30),
        duplicate: Ppm::percent(2),
        corrupt: Ppm::percent(1),
        clean_from: None,
    };
    let report = run(&scenario, 3);
    assert_eq!(report.network.delivery_ratio, 1.0);
}

#[test]
fn a_partition_that_does_not_heal_shows_as_two_pieces_and_missing_deliveries() {
    let mut scenario = calm();
    scenario.network.partition = Some(Partition {
        at: 5 * SECOND,
        until: 500 * SECOND,
        fraction: Ppm::percent(50),
    });
    scenario.network.warm_up = 50 * SECOND;
    scenario.network.requests = 0;
    scenario.network.duration = Some(60 * SECOND);
    let report = run(&scenario, 1);
    assert_eq!((report.network.pieces, report.network.complete), (2, 0));
    assert_eq!(report.network.delivered, 5 * 9);
}

/// Everything that the laboratory can do to fifty nodes, in the first fifty seconds.
fn torture(seed: u64) -> StackScenario {
    let restarts = [Restart::Empty, Restart::KnownPeers, Restart::Resumed];
    let restart = |turn: u64| restarts[usize::try_from((seed + turn) % 3).unwrap_or(0)];
    let per_cent = |most: u64, turn: u32| {
        let drawn = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> turn) % (most + 1);
        Ppm::percent(u32::try_from(drawn).unwrap_or(0))
    };
    let (from, until) = (10 * SECOND, 45 * SECOND);
    let network = SwarmScenario {
        nodes: 50,
        degree: 6,
        max_peers: 16,
        bootstraps: 2,
        join_over: 8 * SECOND,
        warm_up: 5 * SECOND,
        broadcasts: 28,
        broadcast_interval: 5 * SECOND,
        requests: 100,
        crash: Some(Crash {
            at: 15 * SECOND,
            fraction: per_cent(50, 3),
            restart_after: Some(20 * SECOND),
            restart: restart(0),
        }),
        partition: Some(Partition {
            at: 12 * SECOND,
            until: 48 * SECOND,
            fraction: per_cent(50, 9),
        }),
        churn: Some(Churn {
            from,
            until,
            per_minute: Ppm::percent(60),
            silent: Ppm::percent(50),
            away: 4 * SECOND,
            restart: restart(1),
        }),
        cuts: Some(Cuts {
            from,
            until,
            per_minute: Ppm::percent(40),
        }),
        duration: Some(150 * SECOND),
        ..SwarmScenario::default()
    };
    StackScenario {
        network,
        path: Path {
            loss: per_cent(8, 15),
            reorder: per_cent(8, 21),
            reorder_by: Duration::from_millis(25),
            duplicate: per_cent(3, 27),
            corrupt: per_cent(2, 33),
            clean_from: Some(50 * SECOND),
        },
        rebinds: Some(Rebinds {
            from,
            until,
            per_minute: Ppm::percent(20),
        }),
        disk_full: Some(DiskFull {
            from,
            until,
            fraction: Ppm::percent(30),
        }),
    }
}

/// Faults until 50 s (a cut path works again a minute after its cut), then quiet. The overlay promises no repair: what is sent while the network is
/// in pieces may miss somebody. But the network becomes whole, and from then on every broadcast
/// reaches every node, every request is answered or fails, and nothing is left of closed
/// connections.
#[test]
fn torture_of_fifty_nodes_ends_in_a_whole_network() {
    for seed in seeds(6) {
        let report = run(&torture(seed), seed);
        let network = &report.network;
        assert_eq!((network.pieces, network.running), (1, 50), "seed {seed}");
        for each in network.each.iter().filter(|each| each.at >= 120 * SECOND) {
            assert_eq!(each.delivered, each.expected, "seed {seed}: {each:?}");
        }
    }
}
