//! Two production endpoints through random faults, by the hundred.
//!
//! `DUNLIN_SEEDS=10000 cargo test -p dunlin-lab torture` runs more of them, `DUNLIN_SEED=7 …` one.

use dunlin_lab::pair;
use dunlin_lab::scenario::Scenario;
use dunlin_lab::seed::{SeedGuard, seeds};

fn torture(seed: u64) -> pair::Report {
    let _guard = SeedGuard::new("torture", seed);
    match pair::run(&Scenario::from_seed(seed), seed) {
        Ok(report) => report,
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn torture_seeds_keep_every_promise() {
    let (mut datagrams, mut lost) = (0, 0);
    for seed in seeds(300) {
        let report = torture(seed);
        datagrams += report.datagrams;
        lost += report
            .stats
            .iter()
            .map(|stats| stats.packets_lost)
            .sum::<u64>();
    }
    assert!(
        datagrams > 0 && lost > 0,
        "no faults happened: {datagrams} datagrams, {lost} lost"
    );
}

#[test]
fn torture_of_the_same_seed_leaves_the_same_trace() {
    for seed in seeds(10) {
        let (first, second) = (torture(seed), torture(seed));
        assert_eq!(first.trace_hash, second.trace_hash, "seed {seed}");
        assert_eq!(first.datagrams, second.datagrams, "seed {seed}");
    }
    assert_ne!(torture(1).trace_hash, torture(2).trace_hash);
}
