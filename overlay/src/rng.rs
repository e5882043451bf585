//! The overlay's own randomness: the BLAKE3 output stream of the seed it was given.
//!
//! Same seed, same stream, on every machine; without the seed it cannot be predicted, which is
//! what back-off jitter, ping nonces and the choice of peers need. No key is ever made of it.

/// Bytes that BLAKE3 puts out at a time.
const BLOCK: usize = 64;

/// A deterministic random stream.
pub(crate) struct Rng {
    stream: blake3::OutputReader,
    /// A part of it, of which so many bytes were taken: reading eight bytes costs as much as a block.
    block: [u8; BLOCK],
    taken: usize,
}

impl Rng {
    /// The stream of `seed`.
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self {
            stream: blake3::Hasher::new_keyed(&seed)
                .update(b"dunlin overlay rng")
                .finalize_xof(),
            block: [0; BLOCK],
            taken: BLOCK,
        }
    }

    /// The next 64 bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        if self.taken >= BLOCK {
            self.stream.fill(&mut self.block);
            self.taken = 0;
        }
        let rest = self.block.get(self.taken..).unwrap_or_default();
        self.taken += 8;
        rest.first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// A number below `bound` (0 when `bound` is 0); the bias is below `bound` / 2^64.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// Puts `items` into random order (Fisher–Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).unwrap_or(0);
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_gives_the_same_stream_and_another_seed_another() {
        let draw = |seed: u8| {
            let mut rng = Rng::new([seed; 32]);
            (0..64).map(|_| rng.next_u64()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn the_stream_is_the_output_of_blake3_from_its_first_byte_on() {
        let mut rng = Rng::new([1; 32]);
        let mut plain = vec![0; 3 * BLOCK];
        blake3::Hasher::new_keyed(&[1; 32])
            .update(b"dunlin overlay rng")
            .finalize_xof()
            .fill(&mut plain);
        for bytes in plain.chunks_exact(8) {
            assert_eq!(rng.next_u64().to_le_bytes(), bytes);
        }
    }

    #[test]
    fn below_stays_below_and_reaches_every_value() {
        let mut rng = Rng::new([3; 32]);
        let mut hits = [0u32; 7];
        for _ in 0..7000 {
            hits[usize::try_from(rng.below(7)).unwrap()] += 1;
        }
        assert!(hits.iter().all(|&n| (800..1200).contains(&n)), "{hits:?}");
        assert_eq!(rng.below(0), 0);
    }

    #[test]
    fn shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..100).collect();
        Rng::new([4; 32]).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
