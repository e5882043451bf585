//! Bodies of the fuzz targets. They run under libFuzzer and, over seeded inputs, as unit tests on
//! a stable compiler. Not part of the API.

use dunlin_transport::protect::Random;
use sha2::{Digest, Sha256};

/// A reproducible source of bytes: SHA-256 over seed and counter. For tests and fuzzing only.
#[derive(Debug)]
pub struct SeededRandom {
    seed: u64,
    counter: u64,
}

impl SeededRandom {
    /// The source number `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, counter: 0 }
    }
}

impl Random for SeededRandom {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let block = Sha256::new()
                .chain_update(self.seed.to_be_bytes())
                .chain_update(self.counter.to_be_bytes())
                .finalize();
            self.counter += 1;
            for (slot, byte) in chunk.iter_mut().zip(block) {
                *slot = byte;
            }
        }
    }
}
