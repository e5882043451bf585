//! Bodies of the fuzz targets. They run under libFuzzer and, over seeded inputs, as unit tests on
//! a stable compiler. Not part of the API.
//!
//! Each body panics when a property breaks: a forged message is believed, or a genuine one is no
//! longer believed after forged ones.

#[cfg(feature = "pure-rust")]
pub use bodies::{handshake_messages, open_packet};
#[cfg(all(feature = "aws-lc", feature = "pure-rust"))]
pub use both::providers;
pub use text::{key_file, node_id};

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

#[cfg(feature = "pure-rust")]
mod bodies;
#[cfg(all(feature = "aws-lc", feature = "pure-rust"))]
mod both;
mod text;

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(count: u64, longest: u32) -> impl Iterator<Item = Vec<u8>> {
        (0..count).map(move |seed| {
            let mut random = SeededRandom::new(seed);
            let length = random.next_u32() % (longest + 1);
            let mut data = vec![0; usize::try_from(length).unwrap()];
            random.fill(&mut data);
            data
        })
    }

    #[test]
    fn handshake_messages_hold_over_seeded_inputs() {
        for data in inputs(200, 1_400).chain(inputs(200, 20)) {
            handshake_messages(&data);
        }
        handshake_messages(&[]);
    }

    #[test]
    fn open_packet_holds_over_seeded_inputs() {
        inputs(1_000, 300).for_each(|data| open_packet(&data));
    }

    #[test]
    fn providers_agree_over_seeded_inputs() {
        inputs(600, 200)
            .chain(inputs(40, 1_400))
            .for_each(|data| providers(&data));
    }

    #[test]
    fn texts_hold_over_seeded_inputs() {
        for mut data in inputs(3_000, 160) {
            node_id(&data);
            key_file(&data);
            // Mostly characters that such texts consist of.
            for byte in &mut data {
                *byte = b"dunlin1-keyv qpzry9x8gf2tvdw0s3jn54khce6mua7l\n0123456789abcdef"
                    [usize::from(*byte) % 62];
            }
            node_id(&data);
            key_file(&data);
        }
    }

    #[test]
    fn seeded_bytes_repeat_and_differ_by_seed() {
        let bytes = |seed| {
            let mut out = [0; 100];
            SeededRandom::new(seed).fill(&mut out);
            out
        };
        assert_eq!(bytes(1), bytes(1));
        assert_ne!(bytes(1), bytes(2));
    }
}
