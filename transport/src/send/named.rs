//! The ranges that the peer's newest acknowledgement named.
//!
//! Each acknowledgement names again what earlier ones did, until the peer knows that we have heard: where
//! packets get lost, that is dozens of ranges of which one is new. What a range stands for was done when
//! it was first named, so a range within one of the acknowledgement before needs no second look.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// Compares the ranges of one acknowledgement with those of the one before.
#[derive(Debug, Default)]
pub(crate) struct NamedRanges {
    /// Those of the acknowledgement before, highest first: at most as many as one may have.
    before: Vec<RangeInclusive<u64>>,
    /// Those of this one so far.
    current: Vec<RangeInclusive<u64>>,
    /// The first of `before` that may hold the next range.
    at: usize,
}

impl NamedRanges {
    /// An acknowledgement came, whose ranges follow.
    pub(crate) fn begin(&mut self) {
        core::mem::swap(&mut self.before, &mut self.current);
        self.current.clear();
        self.at = 0;
    }

    /// The next range, below those before it. True: all of it was named by the acknowledgement before.
    pub(crate) fn is_known(&mut self, range: &RangeInclusive<u64>) -> bool {
        self.current.push(range.clone());
        while let Some(before) = self.before.get(self.at) {
            if before.start() <= range.end() {
                return before.start() <= range.start() && range.end() <= before.end();
            }
            self.at += 1;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(named: &mut NamedRanges, ranges: &[(u64, u64)]) -> Vec<(u64, u64)> {
        named.begin();
        let is_new = |(start, end): &&(u64, u64)| !named.is_known(&(*start..=*end));
        ranges.iter().filter(is_new).copied().collect()
    }

    #[test]
    fn only_ranges_that_the_one_before_did_not_hold_are_new() {
        let mut named = NamedRanges::default();
        assert_eq!(news(&mut named, &[(5, 9), (1, 3)]), [(5, 9), (1, 3)]);
        assert_eq!(news(&mut named, &[(5, 9), (1, 3)]), []);
        assert_eq!(
            news(&mut named, &[(12, 14), (5, 10), (1, 3)]),
            [(12, 14), (5, 10)]
        );
        assert_eq!(news(&mut named, &[(1, 14)]), [(1, 14)], "gaps were filled");
        assert_eq!(news(&mut named, &[(13, 14), (2, 3)]), [], "parts of it");
        assert_eq!(news(&mut named, &[(2, 4)]), [(2, 4)], "one more");
        assert_eq!(news(&mut named, &[]), []);
        assert_eq!(news(&mut named, &[(2, 4)]), [(2, 4)], "forgotten");
    }
}
