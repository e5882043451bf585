//! A network that fell into two parts becomes one again.

use std::time::Duration;

use dunlin_lab::seed::{SeedGuard, seeds};
use dunlin_lab::swarm::{Swarm, SwarmScenario};
use dunlin_overlay::OverlayConfig;

use super::{SECOND, assert_delivered, broadcast, converge, run, star};

/// A network of 60, of which every third node was apart for a minute. How long it took after that
/// to be in one piece; `None`: more than `limit`.
fn heal(seed: u64, config: &OverlayConfig, limit: Duration) -> (Swarm, Option<Duration>) {
    let mut swarm = star(seed, 60, config);
    converge(&mut swarm, 60 * SECOND);
    swarm.run_for(30 * SECOND).expect("sound");
    swarm.partition(|node| node % 3 == 0);
    swarm.run_for(60 * SECOND).expect("sound");
    assert_eq!(swarm.judge().pieces(), 2, "every link across was given up");
    swarm.heal();
    let whole = |swarm: &Swarm| swarm.judge().pieces() == 1;
    let took = swarm.run_until_done(limit, whole).expect("sound");
    (swarm, took)
}

#[test]
fn a_network_is_whole_again_half_a_minute_after_a_partition_of_a_minute() {
    for seed in seeds(12) {
        let _guard = SeedGuard::new("heal", seed);
        let (mut swarm, took) = heal(seed, &Swarm::config(), 30 * SECOND);
        assert!(took.is_some());
        // It stays whole, and whoever speaks is heard on both sides.
        for (origin, payload) in [(0, b"of the third" as &[u8]), (1, b"of the others")] {
            swarm.run_for(120 * SECOND).unwrap();
            assert_eq!(swarm.judge().pieces(), 1);
            broadcast(&mut swarm, origin, payload);
            swarm.run_for(5 * SECOND).unwrap();
            assert_delivered(&swarm, payload, origin);
        }
        for node in 0..swarm.len() {
            let stats = swarm.overlay(node).stats();
            assert!(stats.dials < 60, "{} dials", stats.dials);
        }
    }
}

/// Why nodes rove: each part fills its places from within, and then nobody dials across.
#[test]
fn without_roving_parts_stay_apart() {
    let config = OverlayConfig {
        rove_interval: Duration::from_secs(24 * 3600),
        ..Swarm::config()
    };
    let apart = (0..4).filter(|&seed| heal(seed, &config, 120 * SECOND).1.is_none());
    assert!(apart.count() > 0);
}

/// Full nodes name those that they refused lately, so that a dial finds room as often in a large
/// network as in a small one. (Naming their peers only took 14 dials a node at 100 nodes and 42 at
/// 1,000.)
#[test]
fn dials_of_a_node_do_not_grow_with_the_network() {
    for nodes in [100, 400] {
        let scenario = SwarmScenario {
            nodes,
            bootstraps: 8,
            join_over: 30 * SECOND,
            broadcasts: 1,
            check_every: 0,
            ..SwarmScenario::default()
        };
        let report = run(&scenario, 1);
        assert_eq!((report.pieces, report.complete), (1, 1));
        let most = 20 * u64::from(nodes);
        assert!(report.dials <= most, "{} dials of {nodes}", report.dials);
    }
}
