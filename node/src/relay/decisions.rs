//! What happens to the n-th packet of a direction, from the seed alone.
//!
//! A decision is a function of (seed, flow, direction, index), not of a generator's history, so
//! that the fate of packet 1,000 does not depend on how often something else asked. The function
//! is SplitMix64 (Steele, Lea, Flood 2014) used as a counter-based generator.

use crate::cli::values::Percent;

/// Which way a packet travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From the client to the target.
    Forward,
    /// From the target back to the client.
    Backward,
}

/// Shares of packets that meet a fate.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Shares {
    /// Lost.
    pub loss: Percent,
    /// Held back so that later packets overtake.
    pub reorder: Percent,
    /// Delivered twice.
    pub duplicate: Percent,
    /// Delivered with one bit flipped.
    pub corrupt: Percent,
}

/// The fate of one packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fate {
    /// It is lost; nothing else matters.
    pub lost: bool,
    /// It is held back.
    pub reordered: bool,
    /// It arrives twice.
    pub duplicated: bool,
    /// A bit of it is flipped: this number modulo the bits of the packet.
    pub flipped_bit: Option<u64>,
    /// Share of the jitter that is added to its delay, as a fraction of 2^32.
    pub jitter: u32,
}

/// The stream of fates of one direction of one client.
#[derive(Clone, Debug)]
pub struct Decisions {
    key: u64,
    shares: Shares,
    next: u64,
}

impl Decisions {
    /// The stream of `direction` of the client numbered `flow` (0 for the first one).
    #[must_use]
    pub fn new(seed: u64, flow: u64, direction: Direction, shares: Shares) -> Self {
        let side = match direction {
            Direction::Forward => 0,
            Direction::Backward => 1,
        };
        let key = mix(mix(seed) ^ flow.wrapping_mul(2).wrapping_add(side));
        Self {
            key,
            shares,
            next: 0,
        }
    }

    /// The fate of the packet with this index, counted from 0.
    #[must_use]
    pub fn at(&self, index: u64) -> Fate {
        let draw = |lane: u64| mix(self.key ^ mix(index.wrapping_mul(LANES).wrapping_add(lane)));
        let hits = |lane: u64, share: Percent| {
            let share = u64::from(share.millionths());
            share > 0 && draw(lane) % 1_000_000 < share
        };
        Fate {
            lost: hits(0, self.shares.loss),
            reordered: hits(1, self.shares.reorder),
            duplicated: hits(2, self.shares.duplicate),
            flipped_bit: hits(3, self.shares.corrupt).then(|| draw(4)),
            jitter: u32::try_from(draw(5) >> 32).unwrap_or(u32::MAX),
        }
    }
}

impl Iterator for Decisions {
    type Item = Fate;

    fn next(&mut self) -> Option<Fate> {
        let fate = self.at(self.next);
        self.next += 1;
        Some(fate)
    }
}

/// Flips one bit of `packet`, chosen by `bit` modulo its length; an empty packet stays empty.
pub fn flip(packet: &mut [u8], bit: u64) {
    let bits = u64::try_from(packet.len())
        .unwrap_or(u64::MAX)
        .saturating_mul(8);
    if bits == 0 {
        return;
    }
    let position = bit % bits;
    let byte = usize::try_from(position / 8).unwrap_or(0);
    if let Some(byte) = packet.get_mut(byte) {
        *byte ^= 1 << (position % 8);
    }
}

// Independent draws a packet; a power of two above the number of lanes used.
const LANES: u64 = 8;

/// The output function of SplitMix64.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shares(percent: &str) -> Shares {
        let share = percent.parse().unwrap();
        Shares {
            loss: share,
            reorder: share,
            duplicate: share,
            corrupt: share,
        }
    }

    #[test]
    fn mix_matches_the_published_sequence_of_splitmix64() {
        // First outputs for the seed 1234567 (Rosetta Code, "Pseudo-random numbers/Splitmix64").
        let step = 0x9e37_79b9_7f4a_7c15_u64;
        assert_eq!(mix(1_234_567), 6_457_827_717_110_365_317);
        assert_eq!(
            mix(1_234_567_u64.wrapping_add(step)),
            3_203_168_211_198_807_973
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_fates() {
        let one: Vec<_> = Decisions::new(7, 0, Direction::Forward, shares("10%"))
            .take(500)
            .collect();
        let two: Vec<_> = Decisions::new(7, 0, Direction::Forward, shares("10%"))
            .take(500)
            .collect();
        assert_eq!(one, two);
    }

    #[test]
    fn seed_flow_and_direction_each_change_the_fates() {
        let base: Vec<_> = Decisions::new(7, 0, Direction::Forward, shares("50%"))
            .take(64)
            .collect();
        for other in [
            Decisions::new(8, 0, Direction::Forward, shares("50%")),
            Decisions::new(7, 1, Direction::Forward, shares("50%")),
            Decisions::new(7, 0, Direction::Backward, shares("50%")),
        ] {
            assert_ne!(base, other.take(64).collect::<Vec<_>>());
        }
    }

    #[test]
    fn shares_are_met_within_five_standard_deviations() {
        let count = 100_000_u32;
        let fates = Decisions::new(3, 0, Direction::Forward, shares("5%")).take(count as usize);
        let (mut lost, mut reordered, mut duplicated, mut corrupt) = (0_u32, 0_u32, 0_u32, 0_u32);
        for fate in fates {
            lost += u32::from(fate.lost);
            reordered += u32::from(fate.reordered);
            duplicated += u32::from(fate.duplicated);
            corrupt += u32::from(fate.flipped_bit.is_some());
        }
        // Mean 5,000, standard deviation √(n·p·q) = 69.
        for hits in [lost, reordered, duplicated, corrupt] {
            assert!((4_655..=5_345).contains(&hits), "{hits}");
        }
    }

    #[test]
    fn nothing_happens_at_zero_and_everything_at_a_hundred_percent() {
        let never = Decisions::new(1, 0, Direction::Forward, shares("0%")).take(1_000);
        assert!(
            never
                .into_iter()
                .all(|fate| !fate.lost && fate.flipped_bit.is_none())
        );
        let always = Decisions::new(1, 0, Direction::Forward, shares("100%")).take(1_000);
        assert!(
            always
                .into_iter()
                .all(|fate| fate.lost && fate.duplicated && fate.reordered)
        );
    }

    proptest! {
        #[test]
        fn flip_changes_exactly_one_bit(mut packet in proptest::collection::vec(any::<u8>(), 1..64), bit: u64) {
            let before = packet.clone();
            flip(&mut packet, bit);
            let changed: u32 = before.iter().zip(&packet).map(|(a, b)| (a ^ b).count_ones()).sum();
            prop_assert_eq!(changed, 1);
        }
    }

    #[test]
    fn flip_leaves_an_empty_packet_alone() {
        flip(&mut [], 5);
    }
}
