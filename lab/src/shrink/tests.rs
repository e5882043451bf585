//! Tests of the shrinker.

use std::time::Duration;

use dunlin_transport::Instant;

use super::*;
use crate::link::Element;
use crate::pair;

fn failure(violation: Violation) -> Failure {
    Failure {
        violation,
        at: Instant::ZERO,
        step: 0,
    }
}

/// A fault that needs a stream of 1,000 bytes or more from node 0 and a lossy way there.
fn pretend(scenario: &Scenario, _seed: u64) -> Option<Failure> {
    let long = scenario.plans[0]
        .streams
        .iter()
        .any(|stream| stream.bytes >= 1_000);
    let lossy = scenario.path[0]
        .iter()
        .any(|element| matches!(element, Element::Loss(_)));
    (long && lossy).then(|| failure(Violation::Livelock { node: 0 }))
}

fn failing_seed() -> u64 {
    let found = (0..1_000).find(|seed| {
        let scenario = Scenario::from_seed(*seed);
        scenario.plans[0].streams.len() > 3 && pretend(&scenario, 0).is_some()
    });
    found.unwrap()
}

#[test]
fn only_what_the_fault_needs_is_left() {
    let seed = failing_seed();
    let shrunk = shrink_with(&Scenario::from_seed(seed), seed, 10_000, pretend).unwrap();
    let Scenario { path, plans, .. } = &shrunk.scenario;
    assert!(matches!(path[0].as_slice(), [Element::Loss(_)]), "{path:?}");
    assert!(path[1].is_empty(), "{path:?}");
    assert_eq!(plans[0].streams.len(), 1);
    assert!(
        (1_000..2_000).contains(&plans[0].streams[0].bytes),
        "{plans:?}"
    );
    assert_eq!(plans[0].streams[0].answer, 0);
    assert!(
        plans[0].messages.is_empty() && plans[1].streams.is_empty(),
        "{plans:?}"
    );
    assert!(shrunk.runs < 10_000);
}

#[test]
fn the_path_leads_to_the_same_scenario_again() {
    let seed = failing_seed();
    let shrunk = shrink_with(&Scenario::from_seed(seed), seed, 10_000, pretend).unwrap();
    let path: Path = shrunk.path.to_string().parse().unwrap();
    let (scenario, run_seed) = follow(seed, &path).unwrap();
    assert_eq!(format!("{scenario:?}"), format!("{:?}", shrunk.scenario));
    assert_eq!(run_seed, shrunk.run_seed);
    assert_eq!(path.steps().len(), shrunk.taken.len());
    assert!(follow(seed, &"60000".parse().unwrap()).is_none());
}

#[test]
fn another_kind_of_failure_is_not_followed() {
    let seed = failing_seed();
    let run = |scenario: &Scenario, seed| {
        pretend(scenario, seed).or_else(|| Some(failure(Violation::Stranger { node: 1 })))
    };
    let shrunk = shrink_with(&Scenario::from_seed(seed), seed, 10_000, run).unwrap();
    assert!(matches!(
        shrunk.failure.violation,
        Violation::Livelock { .. }
    ));
    assert!(pretend(&shrunk.scenario, 0).is_some());
}

#[test]
fn the_budget_of_runs_is_kept() {
    let seed = failing_seed();
    let mut runs = 0;
    let count = |scenario: &Scenario, seed| {
        runs += 1;
        pretend(scenario, seed)
    };
    let shrunk = shrink_with(&Scenario::from_seed(seed), seed, 7, count).unwrap();
    assert_eq!((shrunk.runs, runs), (7, 7));
}

#[test]
fn a_seed_that_passes_is_not_shrunk() {
    assert!(shrink(1, 100).is_none());
}

#[test]
fn real_runs_shrink_too() {
    // Without patience nothing that takes longer than the faults can finish.
    let mut scenario = Scenario::from_seed(3);
    scenario.patience = Duration::ZERO;
    scenario.heal_at = Instant::ZERO + Duration::from_millis(20);
    let run = |scenario: &Scenario, seed| pair::run(scenario, seed).err();
    let shrunk = shrink_with(&scenario, 3, 300, run).unwrap();
    assert!(matches!(
        shrunk.failure.violation,
        Violation::NotFinished { .. }
    ));
    assert!(shrunk.taken.len() > 3, "{:?}", shrunk.taken);
    let again = pair::run(&shrunk.scenario, shrunk.run_seed).unwrap_err();
    assert_eq!(again, shrunk.failure);
}

#[test]
fn no_reduction_makes_a_sound_scenario_fail() {
    for seed in 0..12 {
        let scenario = Scenario::from_seed(seed);
        let list = reductions(&scenario);
        for reduction in list.iter().step_by(1 + list.len() / 12) {
            let smaller = reduction.applied(&scenario);
            if let Err(failure) = pair::run(&smaller, seed) {
                panic!("seed {seed}, {reduction}: {failure}");
            }
        }
    }
}
