//! Runs every fuzz target over its committed seeds and over seeded random inputs, without
//! libFuzzer: what was found once is tested for ever, the targets are known to run, and none holds
//! more memory than its bound says.

mod folders;

use std::fs;

use dunlin_fuzz::targets::{ALL, Target};
use dunlin_lab::rng::Rng;
use dunlin_transport::protect::Random;
use folders::{folder, names_in};

/// Random inputs for each target, beside its seeds.
const RANDOM_INPUTS: u64 = 20;

fn random_input(target: &Target, seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed ^ target.name.len() as u64);
    let longest = if seed.is_multiple_of(4) { 2_000 } else { 120 };
    let mut data = vec![0; usize::try_from(rng.between(0, longest)).expect("small")];
    rng.fill(&mut data);
    data
}

/// One test for all: memory is counted for the whole process.
#[test]
fn every_target_holds_over_its_seeds_and_random_inputs_within_its_memory() {
    for target in ALL {
        let seeds = folder("seeds").join(target.name);
        for name in names_in(&seeds) {
            // Shown when the target panics.
            println!("{}/{name}", target.name);
            let data = fs::read(seeds.join(&name)).expect("the seed is readable");
            target.run(&data);
        }
        for seed in 0..RANDOM_INPUTS {
            println!("{}, random input {seed}", target.name);
            target.run(&random_input(target, seed));
        }
    }
}
