//! Somebody on the path who holds no key, or a peer who breaks the rules.
//!
//! Two families of runs over a [`crate::meddled_pair`]. In the first an intruder on the path of two honest
//! ends copies, forges and replays; it must change nothing but delays. In the second the peer itself
//! is hostile: after an honest handshake of the plain profile it is replaced by a script that breaks
//! one rule, and the victim has to answer as the rule says.
//!
//! These are fixed plays, to be run by the thousand from seeds. Single attacks with a name, a source
//! and a test of their own are in `lab/tests/attacks`, most of them spoken by [`crate::adversary`].

mod forge;
mod hostile;
mod on_path;

use crate::violation::Failure;

/// Kinds of attacks; a seed is of the kind `seed % KINDS`.
pub const KINDS: u64 = hostile::KINDS + on_path::KINDS;

/// Runs the attack of `seed`.
///
/// # Errors
/// What it achieved.
pub fn run(seed: u64) -> Result<(), Failure> {
    let (kind, turn) = (seed % KINDS, seed / KINDS);
    match kind.checked_sub(hostile::KINDS) {
        None => hostile::run(kind, turn),
        Some(kind) => on_path::run(kind, turn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{SeedGuard, seeds};

    #[test]
    fn attacks_achieve_nothing() {
        for seed in seeds(KINDS * 10) {
            let _guard = SeedGuard::new("attacks", seed);
            if let Err(failure) = run(seed) {
                panic!("{failure}");
            }
        }
    }
}
