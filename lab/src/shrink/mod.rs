//! Makes a failing scenario smaller: the same fault with less around it.
//!
//! Greedy delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing
//! Input", 2002) over the list of [`reduction`]s of a scenario: the first one that still fails in
//! the same way is taken, until none does or the budget of runs is spent. A smaller scenario draws
//! its randomness in other places, so each is tried with a few run seeds.
//!
//! The result needs no file format: it is the seed of the scenario and a [`Path`], the reductions
//! that were taken by their place in the list, which is the same for everybody at one commit.

mod element;
pub mod path;
pub mod reduction;

use std::mem::discriminant;

pub use path::{Path, Step};
pub use reduction::{Reduction, reductions};

use crate::scenario::Scenario;
use crate::violation::{Failure, Violation};

/// Run seeds that a smaller scenario is tried with. Guess: three more find most of what another
/// order of draws hides, at four times the cost.
pub const RESEEDS: u8 = 3;

/// What is left of a failing scenario; `F` says how it fails.
#[derive(Clone, Debug)]
pub struct Shrunk<F = Failure> {
    /// The smallest that was found.
    pub scenario: Scenario,
    /// The seed of its randomness.
    pub run_seed: u64,
    /// How it fails.
    pub failure: F,
    /// What was taken away, in order.
    pub taken: Vec<Reduction>,
    /// The same, to repeat it.
    pub path: Path,
    /// Runs that it took.
    pub runs: u32,
}

/// The seed of the randomness of a run of `seed`, the `reseed`-th of them.
#[must_use]
pub const fn run_seed(seed: u64, reseed: u8) -> u64 {
    seed ^ (reseed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Shrinks the scenario that [`Scenario::from_seed`] makes of `seed`, in at most `budget` runs of
/// [`crate::pair::run`]. None: it does not fail.
#[must_use]
pub fn shrink(seed: u64, budget: u32) -> Option<Shrunk> {
    let run = |scenario: &Scenario, seed| crate::pair::run(scenario, seed).err();
    shrink_with(&Scenario::from_seed(seed), seed, budget, run)
}

/// The scenario and the run seed that `path` leads to from `seed`. None: the path belongs to
/// another version or another seed.
#[must_use]
pub fn follow(seed: u64, path: &Path) -> Option<(Scenario, u64)> {
    let mut scenario = Scenario::from_seed(seed);
    let mut run = seed;
    for step in path.steps() {
        let list = reductions(&scenario);
        scenario = list.get(usize::from(step.reduction))?.applied(&scenario);
        run = run_seed(seed, step.reseed);
    }
    Some((scenario, run))
}

/// As [`shrink`], for any scenario and any way to run it.
pub fn shrink_with(
    scenario: &Scenario,
    seed: u64,
    budget: u32,
    run: impl FnMut(&Scenario, u64) -> Option<Failure>,
) -> Option<Shrunk> {
    let same = |one: &Failure, other: &Failure| is_same_kind(&one.violation, &other.violation);
    shrink_by(scenario, seed, budget, (run, same))
}

/// As [`shrink_with`], for any kind of failure: `same` says whether two are of one kind.
pub fn shrink_by<F: Clone>(
    scenario: &Scenario,
    seed: u64,
    budget: u32,
    (mut run, same): (
        impl FnMut(&Scenario, u64) -> Option<F>,
        impl Fn(&F, &F) -> bool,
    ),
) -> Option<Shrunk<F>> {
    let first = run(scenario, seed)?;
    let mut run = |scenario: &Scenario, seed| {
        let failure = run(scenario, seed)?;
        same(&failure, &first).then_some(failure)
    };
    let failure = first.clone();
    let mut best = Shrunk {
        scenario: scenario.clone(),
        run_seed: seed,
        failure,
        taken: Vec::new(),
        path: Path::default(),
        runs: 1,
    };
    let mut from = 0;
    while let Some(next) = smaller(&best, seed, from, budget, &mut run) {
        match next {
            Attempt::Found(place, found) => {
                best = *found;
                from = place;
            }
            Attempt::Spent(runs) => {
                best.runs = runs;
                break;
            }
        }
    }
    Some(best)
}

enum Attempt<F> {
    /// Smaller, by the reduction at this place.
    Found(usize, Box<Shrunk<F>>),
    /// The budget, after so many runs.
    Spent(u32),
}

/// The first reduction from place `from` on, and round, that keeps the kind of failure.
fn smaller<F: Clone>(
    best: &Shrunk<F>,
    seed: u64,
    from: usize,
    budget: u32,
    run: &mut impl FnMut(&Scenario, u64) -> Option<F>,
) -> Option<Attempt<F>> {
    let list = reductions(&best.scenario);
    let mut runs = best.runs;
    let places = (0..list.len()).map(|place| (place + from) % list.len());
    for place in places {
        let Some(reduction) = list.get(place) else {
            continue;
        };
        let scenario = reduction.applied(&best.scenario);
        for reseed in 0..=RESEEDS {
            if runs >= budget {
                return Some(Attempt::Spent(runs));
            }
            runs += 1;
            let run_seed = run_seed(seed, reseed);
            let Some(failure) = run(&scenario, run_seed) else {
                continue;
            };
            let (mut taken, mut path) = (best.taken.clone(), best.path.clone());
            taken.push(*reduction);
            path.push(place, reseed);
            return Some(Attempt::Found(
                place,
                Box::new(Shrunk {
                    scenario,
                    run_seed,
                    failure,
                    taken,
                    path,
                    runs,
                }),
            ));
        }
    }
    None
}

/// Whether two violations are of one kind: another may be another fault.
#[must_use]
pub fn is_same_kind(one: &Violation, other: &Violation) -> bool {
    discriminant(one) == discriminant(other)
}

#[cfg(test)]
mod tests;
