//! Randomness of the operating system.

use crate::protect::Random;

/// Bytes that are asked for at once: some sixty connection IDs.
const POOL_LEN: usize = 256;

/// The operating system's random generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    /// # Panics
    /// When the operating system has no randomness to give: nothing secure can then go on.
    fn fill(&mut self, out: &mut [u8]) {
        getrandom::fill(out).expect("the operating system provides randomness");
    }
}

/// The same, asked for more than one ID at a time: a system call for each of them is a hundredth of a handshake.
/// Every byte is handed out once, and forgotten then.
pub(super) struct PooledRandom {
    pool: [u8; POOL_LEN],
    used: usize,
}

impl PooledRandom {
    /// Nothing is asked for yet.
    pub(super) const fn new() -> Self {
        Self {
            pool: [0; POOL_LEN],
            used: POOL_LEN,
        }
    }
}

impl Random for PooledRandom {
    /// # Panics
    /// As [`OsRandom`].
    fn fill(&mut self, out: &mut [u8]) {
        if out.len() > POOL_LEN - self.used {
            OsRandom.fill(&mut self.pool);
            self.used = 0;
        }
        match self.pool.get_mut(self.used..self.used + out.len()) {
            Some(fresh) => {
                out.copy_from_slice(fresh);
                fresh.fill(0);
                self.used += out.len();
            }
            None => OsRandom.fill(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_handed_out_once_and_forgotten() {
        let mut random = PooledRandom::new();
        let mut out = [0; 48];
        random.fill(&mut out);
        assert_ne!(out, [0; 48]);
        assert_eq!(random.pool[..48], [0; 48]);
        let next: [u8; 48] = random.pool[48..96].try_into().unwrap();
        random.fill(&mut out);
        assert_eq!(out, next);
    }

    #[test]
    fn requests_of_any_length_are_met_across_the_end_of_the_pool() {
        let mut random = PooledRandom::new();
        for length in [POOL_LEN - 1, 2, POOL_LEN, POOL_LEN + 1, 1_000, 0] {
            let mut out = vec![0; length];
            random.fill(&mut out);
            let zeros = out.iter().filter(|byte| **byte == 0).count();
            assert!(zeros <= length / 8 + 1, "{zeros} of {length}");
        }
    }
}
