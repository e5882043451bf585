//! What peer management promises, in networks small enough to be tested every time; the examples
//! `churn` and `flood` measure the same with hundreds of nodes.

use std::time::Duration;

use dunlin_lab::seed::{SeedGuard, seeds};
use dunlin_lab::swarm::churn::{ChurnPlan, churn};
use dunlin_lab::swarm::overload::{FloodKind, overload};

use super::SECOND;

#[test]
fn nodes_keep_their_peers_while_all_of_them_come_and_go() {
    for seed in seeds(1) {
        let _guard = SeedGuard::new("swarm", seed);
        let plan = ChurnPlan {
            half_life: Duration::from_secs(600),
            ..ChurnPlan::new(60, 1_200 * SECOND)
        };
        let churned = churn(&plan, seed).expect("sound");
        println!("{churned:?}");
        assert!(churned.sessions > 40, "{} sessions", churned.sessions);
        let below = churned.longest_below;
        assert!(below <= 60 * SECOND, "{below:?} below min_peers");
        assert_eq!(churned.partings.unexplained(), 0);
        assert!(churned.partings.reasons().count() > 1);
        assert!(churned.longest_apart <= 60 * SECOND);
    }
}

#[test]
fn a_flooder_is_banned_and_the_others_hear_each_other_as_before() {
    for seed in seeds(1) {
        let _guard = SeedGuard::new("swarm", seed);
        for kind in [FloodKind::Broadcasts, FloodKind::Direct] {
            let flooded = overload(40, kind, seed).expect("sound");
            println!("{kind:?}: {flooded:?}");
            assert!(flooded.sent > 10_000, "{} messages", flooded.sent);
            assert!(flooded.dropped > 5_000, "{} dropped", flooded.dropped);
            assert!(flooded.banned_by > 0, "{kind:?}");
            assert_eq!(flooded.honest_bans, 0, "{kind:?}");
            assert_eq!(flooded.delivered, flooded.expected, "{kind:?}");
            let slower = flooded.slower();
            assert!(slower <= 1.25, "{kind:?}: {slower} times as long");
            assert!(flooded.grown_by <= 16 << 20, "{} bytes", flooded.grown_by);
        }
    }
}
