//! Seeded randomness that gives the same numbers on every machine.
//!
//! xoshiro256** (Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators", 2018),
//! its state filled by SplitMix64, as its authors advise. Not for secrets. Every node and every
//! link draws from a generator of its own, split off by label, so that a further draw in one place
//! does not change what happens in another.

use dunlin_transport::protect::Random;

/// A deterministic generator.
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

/// A probability in parts per million: 0 never, [`Ppm::ALWAYS`] always.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Ppm(pub u32);

impl Ppm {
    /// Certainty.
    pub const ALWAYS: Self = Self(1_000_000);

    /// So many per cent.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self(percent * 10_000)
    }
}

impl Rng {
    /// The generator of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut mixer = seed;
        Self {
            state: std::array::from_fn(|_| split_mix(&mut mixer)),
        }
    }

    /// A generator of its own for `label`, which depends on this one's seed and on nothing drawn
    /// from other splits. Draws one number.
    #[must_use]
    pub fn split(&mut self, label: u64) -> Self {
        Self::new(self.bits() ^ label.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number below `bound` (0 when `bound` is 0). Biased by less than `bound` / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.bits()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// Whether something of this probability happens now.
    pub fn chance(&mut self, probability: Ppm) -> bool {
        probability.0 > 0 && self.below(1_000_000) < u64::from(probability.0)
    }

    /// One of `options`; None when there are none.
    pub fn pick<'a, T>(&mut self, options: &'a [T]) -> Option<&'a T> {
        let index = self.below(options.len() as u64);
        options.get(usize::try_from(index).ok()?)
    }
}

impl Random for Rng {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let bytes = self.bits().to_le_bytes();
            for (to, from) in chunk.iter_mut().zip(bytes) {
                *to = from;
            }
        }
    }
}

/// One step of SplitMix64 (Steele, Lea, Flood, 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_numbers_of_a_seed_never_change() {
        // SplitMix64 of seed 0, as published with its reference code.
        let mut state = 0;
        assert_eq!(split_mix(&mut state), 0xe220_a839_7b1d_cdaf);
        let mut first = Rng::new(7);
        let mut second = first.clone();
        let drawn: Vec<u64> = (0..4).map(|_| first.bits()).collect();
        assert_eq!(drawn, (0..4).map(|_| second.bits()).collect::<Vec<_>>());
        assert_ne!(
            drawn,
            (0..4).map(|_| Rng::new(8).bits()).collect::<Vec<_>>()
        );
    }

    #[test]
    fn draws_stay_in_range_and_reach_both_ends() {
        let mut rng = Rng::new(1);
        let mut seen = [false; 4];
        for _ in 0..1_000 {
            let drawn = rng.between(3, 6);
            assert!((3..=6).contains(&drawn));
            seen[usize::try_from(drawn).unwrap() - 3] = true;
        }
        assert_eq!(seen, [true; 4]);
        assert_eq!(rng.below(0), 0);
        assert!(rng.chance(Ppm::ALWAYS) && !rng.chance(Ppm(0)));
    }

    #[test]
    fn one_per_cent_happens_once_in_a_hundred() {
        let mut rng = Rng::new(2);
        let hits = (0..100_000).filter(|_| rng.chance(Ppm::percent(1))).count();
        assert!((850..1_150).contains(&hits), "{hits}");
    }

    #[test]
    fn splits_do_not_depend_on_draws_from_each_other() {
        let splits = |draws: usize| {
            let mut root = Rng::new(3);
            let mut first = root.split(1);
            let mut second = root.split(2);
            (0..draws).for_each(|_| {
                first.bits();
            });
            second.bits()
        };
        assert_eq!(splits(0), splits(9));
    }
}
