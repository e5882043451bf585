//! Seeds: where they come from, and how a failing one names itself.

use std::ops::Range;

/// Prints the seed, and the command that replays it, if the thread panics while it lives.
#[derive(Debug)]
pub struct SeedGuard {
    test: &'static str,
    seed: u64,
}

/// Environment variable with one seed to replay.
pub const SEED_VARIABLE: &str = "DUNLIN_SEED";
/// Environment variable with the number of seeds to run.
pub const SEEDS_VARIABLE: &str = "DUNLIN_SEEDS";

impl SeedGuard {
    /// Guards a run of `seed` in the integration test `test` of `dunlin-lab`.
    #[must_use]
    pub const fn new(test: &'static str, seed: u64) -> Self {
        Self { test, seed }
    }

    /// What it prints.
    #[must_use]
    pub fn message(&self) -> String {
        let Self { test, seed } = self;
        format!(
            "seed {seed} failed; replay: {SEED_VARIABLE}={seed} cargo test -p dunlin-lab {test}"
        )
    }
}

impl Drop for SeedGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.message());
        }
    }
}

/// The seeds a test runs: the one of [`SEED_VARIABLE`] if it is set, else the first so many of
/// [`SEEDS_VARIABLE`], else the first `default`.
#[must_use]
pub fn seeds(default: u64) -> Range<u64> {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse::<u64>().ok())
    };
    match (number(SEED_VARIABLE), number(SEEDS_VARIABLE)) {
        (Some(seed), _) => seed..seed.saturating_add(1),
        (None, Some(count)) => 0..count,
        (None, None) => 0..default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_holds_the_command_that_replays_the_seed() {
        let message = SeedGuard::new("torture", 42).message();
        assert!(
            message.ends_with("DUNLIN_SEED=42 cargo test -p dunlin-lab torture"),
            "{message}"
        );
    }
}
