//! What gossip promises, in networks small enough to be tested every time; the example `gossip`
//! measures the same with a thousand nodes.

use std::time::Duration;

use dunlin_lab::seed::{SeedGuard, seeds};
use dunlin_lab::swarm::gossip::{SteadyPlan, crash, partition, steady};

use super::SECOND;

const NODES: usize = 60;

#[test]
fn a_random_source_costs_one_copy_and_little_more_time_than_a_flood() {
    for seed in seeds(2) {
        let _guard = SeedGuard::new("gossip", seed);
        let plan = SteadyPlan {
            nodes: NODES,
            sources: NODES,
            measured: 60,
            interval: Duration::from_millis(200),
        };
        let quiet = steady(plan, seed).expect("sound");
        assert_eq!(quiet.delivered, quiet.expected);
        assert!(quiet.copies <= 1.15, "{} copies", quiet.copies);
        assert!(quiet.copies_at_first > 3.0, "the tree has to be found");
        let ratio = quiet.latency_ms.p99 / quiet.flood_ms.p99;
        assert!(ratio <= 1.5, "{ratio} times as long as a flood");
    }
}

#[test]
fn survivors_of_a_silent_crash_have_every_message_that_one_of_them_holds_in_ten_seconds() {
    for seed in seeds(2) {
        let _guard = SeedGuard::new("gossip", seed);
        for percent in [30, 50, 80] {
            let crashed = crash(NODES, percent, 10 * SECOND, seed).expect("sound");
            assert_eq!(crashed.survivors, NODES - NODES * percent / 100);
            assert_eq!(crashed.missing, 0, "{percent} %");
            assert!(crashed.first_after.is_some(), "{percent} %");
            assert!(crashed.in_flight_after.is_some(), "{percent} %");
        }
    }
}

#[test]
fn both_halves_have_all_messages_half_a_minute_after_a_partition() {
    for seed in seeds(2) {
        let _guard = SeedGuard::new("gossip", seed);
        let healed = partition(NODES, 30 * SECOND, seed).expect("sound");
        assert_eq!((healed.broadcasts, healed.missing), (60, 0));
        assert!(healed.after.is_some());
    }
}
