//! A set of packet numbers as ranges.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Numbers, kept as ranges that do not touch.
#[derive(Clone, Default, Debug)]
pub(super) struct Numbers {
    /// First → last.
    ranges: BTreeMap<u64, u64>,
}

impl Numbers {
    /// Adds a number; false: it was there.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        let below = self.ranges.range(..=number).next_back();
        let (mut first, mut last) = (number, number);
        if let Some((&start, &end)) = below {
            if end >= number {
                return false;
            }
            if end + 1 == number {
                first = start;
            }
        }
        if let Some(end) = self.ranges.remove(&(number + 1)) {
            last = end;
        }
        self.ranges.insert(first, last);
        true
    }

    /// Whether every number of `range` is there.
    pub(super) fn contains_all(&self, range: &RangeInclusive<u64>) -> bool {
        self.ranges
            .range(..=*range.start())
            .next_back()
            .is_some_and(|(_, end)| end >= range.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_touch_become_one_range() {
        let mut numbers = Numbers::default();
        assert!([5, 7, 6, 1].map(|number| numbers.insert(number)) == [true; 4]);
        assert!(!numbers.insert(6) && !numbers.insert(1));
        assert!(numbers.contains_all(&(5..=7)) && numbers.contains_all(&(1..=1)));
        assert!(!numbers.contains_all(&(4..=7)) && !numbers.contains_all(&(5..=8)));
        assert_eq!(numbers.ranges.len(), 2);
    }
}
