//! Hostile nodes lose their places, and honest ones are not taken for hostile. The example `conduct`
//! measures the same with more nodes and seeds.

use std::time::Duration;

use dunlin_lab::rng::Ppm;
use dunlin_lab::seed::{SeedGuard, seeds};
use dunlin_lab::swarm::Adversary;
use dunlin_lab::swarm::conduct::{ConductPlan, Conducted, conduct};

use super::SECOND;

fn run(adversary: Adversary, seed: u64) -> Conducted {
    let plan = ConductPlan {
        nodes: 40,
        percent: 30,
        adversary,
        interval: Duration::from_millis(100),
        heartbeats: 40,
    };
    let conducted = conduct(plan, seed).expect("sound");
    assert!(conducted.before.pairs > 50, "{conducted:?}");
    assert_eq!(conducted.delivered, conducted.expected, "{conducted:?}");
    assert!(conducted.false_bans <= 0.0001, "{conducted:?}");
    assert!(conducted.hearsay <= 0.05 + 1e-9, "{conducted:?}");
    conducted
}

/// Each is no parent anywhere it matters within 40 heartbeats, in 95 of 100 pairs with honest nodes.
#[test]
fn withholding_loses_the_places_of_parents_whatever_its_pattern() {
    for seed in seeds(1) {
        let _guard = SeedGuard::new("byzantine", seed);
        for adversary in [
            Adversary::Drop(Ppm::ALWAYS),
            Adversary::Drop(Ppm::percent(50)),
            Adversary::Mute,
            Adversary::Delay(SECOND),
            Adversary::OnOff(5 * SECOND),
        ] {
            let conducted = run(adversary, seed);
            assert!(conducted.before.parents > 0.15, "{conducted:?}");
            assert!(
                conducted.end.no_parent >= 0.95,
                "{adversary:?} {conducted:?}"
            );
        }
    }
}

#[test]
fn invalid_broadcasts_end_in_bans_of_those_who_send_them_only() {
    for seed in seeds(1) {
        let _guard = SeedGuard::new("byzantine", seed);
        let conducted = run(Adversary::Invalid, seed);
        assert!(conducted.end.no_parent >= 0.95, "{conducted:?}");
    }
}

/// Praise, slander and new names change nothing that matters.
#[test]
fn what_hostile_nodes_say_of_others_and_of_themselves_moves_next_to_nothing() {
    for seed in seeds(1) {
        let _guard = SeedGuard::new("byzantine", seed);
        for adversary in [
            Adversary::Collude,
            Adversary::Slander,
            Adversary::Whitewash(10 * SECOND),
        ] {
            let conducted = run(adversary, seed);
            assert!(
                conducted.end.no_parent >= 0.95,
                "{adversary:?} {conducted:?}"
            );
        }
    }
}
