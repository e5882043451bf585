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
    let one = std::env::var_os("DUNLIN_SEED").is_some();
    assert!(
        datagrams > 0 && (lost > 0 || one),
        "no faults: {datagrams} datagrams, {lost} lost"
    );
}

#[test]
fn torture_of_the_same_seed_leaves_the_same_trace() {
    for seed in seeds(10).take(10) {
        let (first, second) = (torture(seed), torture(seed));
        assert_eq!(first.trace_hash, second.trace_hash, "seed {seed}");
        assert_eq!(first.datagrams, second.datagrams, "seed {seed}");
    }
    assert_ne!(torture(1).trace_hash, torture(2).trace_hash);
}

/// Seeds that once failed. The generator may change what they mean; the faults they found have
/// tests of their own where that was possible.
mod regressions {
    use super::torture;

    #[test]
    fn torture_5_a_repeated_syn_ack_resets_nothing() {
        torture(5);
    }

    #[test]
    fn torture_20_no_event_comes_after_the_end() {
        torture(20);
    }

    #[test]
    fn torture_328_a_lost_fin_ack_is_not_a_timeout() {
        torture(328);
    }

    #[test]
    fn torture_549_a_probe_is_sent_though_all_it_would_repeat_has_arrived() {
        torture(549);
    }

    #[test]
    fn torture_4994_an_acknowledgement_behind_a_pong_is_news() {
        torture(4_994);
    }

    #[test]
    fn torture_2658_a_lost_confirm_message_is_repeated_in_front_of_long_fragments() {
        torture(2_658);
    }

    #[test]
    fn torture_109_answers_to_a_new_address_leave_enough_for_its_challenge() {
        torture(109);
    }
}
