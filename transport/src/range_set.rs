//! A set of `u64` kept as disjoint, non-touching half-open ranges.

use alloc::collections::BTreeMap;
use core::ops::Range;

use crate::rest::Rest;

/// Ranges keyed by their start. All operations cost O(log n) for n ranges, plus the ranges they
/// merge or remove.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct RangeSet {
    /// start → end (exclusive).
    ranges: BTreeMap<u64, u64>,
}

impl RangeSet {
    /// An empty set.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self {
            ranges: BTreeMap::new(),
        }
    }

    /// Number of ranges.
    #[must_use]
    pub(crate) fn range_count(&self) -> usize {
        self.ranges.len()
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Adds a range and returns how many numbers were not in the set before.
    pub(crate) fn insert(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let Range {
            start: range_start,
            end: range_end,
        } = range;
        let (mut start, mut end) = (range_start, range_end);
        let mut present = 0;
        if let Some((&before, &before_end)) = self.ranges.range(..start).next_back()
            && before_end >= start
        {
            present += before_end.min(end) - start;
            start = before;
            end = end.max(before_end);
        }
        let (low, high) = (range_start, end);
        while let Some((&next, &next_end)) = self.ranges.range(low..=high).next() {
            present += next_end.min(range_end).saturating_sub(next);
            end = end.max(next_end);
            self.ranges.remove(&next);
        }
        let added = range_end - range_start - present;
        self.ranges.insert(start, end);
        added
    }

    /// Removes a range.
    pub(crate) fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        if let Some((&before, &before_end)) = self.ranges.range(..range.start).next_back()
            && before_end > range.start
        {
            self.ranges.insert(before, range.start);
            if before_end > range.end {
                self.ranges.insert(range.end, before_end);
                return;
            }
        }
        while let Some((&next, &next_end)) = self.ranges.range(range.clone()).next() {
            self.ranges.remove(&next);
            if next_end > range.end {
                self.ranges.insert(range.end, next_end);
            }
        }
    }

    /// Whether `value` is in the set.
    #[must_use]
    pub(crate) fn contains(&self, value: u64) -> bool {
        self.ranges
            .range(..=value)
            .next_back()
            .is_some_and(|(_, &end)| end > value)
    }

    /// Whether inserting `range` would make one range more, instead of growing one.
    #[must_use]
    pub(crate) fn would_add_range(&self, range: &Range<u64>) -> bool {
        self.ranges
            .range(..=range.end)
            .next_back()
            .is_none_or(|(_, &end)| end < range.start)
    }

    /// The lowest range.
    #[must_use]
    pub(crate) fn first(&self) -> Option<Range<u64>> {
        self.ranges
            .first_key_value()
            .map(|(&start, &end)| start..end)
    }

    /// Takes at most `max` numbers off the lowest range.
    pub(crate) fn pop_first(&mut self, max: u64) -> Option<Range<u64>> {
        let (start, end) = self.ranges.pop_first()?;
        let cut = end.min(start.saturating_add(max));
        if cut < end {
            self.ranges.insert(cut, end);
        }
        Some(start..cut)
    }

    /// What of `range` is in the set, lowest first.
    pub(crate) fn within(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let reaching = self.ranges.range(..range.start).next_back();
        let inside = self.ranges.range(range.start..range.end.max(range.start));
        reaching
            .into_iter()
            .chain(inside)
            .map(move |(&start, &end)| start.max(range.start)..end.min(range.end))
            .filter(|part| !part.is_empty())
    }

    /// The ranges, lowest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = Range<u64>> + '_ {
        self.ranges.iter().map(|(&start, &end)| start..end)
    }
}

impl Rest for RangeSet {
    fn rest(&mut self) {
        self.ranges.rest();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    proptest! {
        /// The slow obvious model is a set of single numbers; compared after each operation.
        #[test]
        fn behaves_as_a_set_of_numbers(
            operations in proptest::collection::vec((any::<bool>(), 0u64..60, 0u64..12), 1..60),
        ) {
            let mut set = RangeSet::new();
            let mut model = BTreeSet::new();
            for (add, start, length) in operations {
                let range = start..start + length;
                let would_add = set.would_add_range(&range);
                let count = set.range_count();
                if add {
                    let before = model.len();
                    model.extend(range.clone());
                    prop_assert_eq!(set.insert(range.clone()), (model.len() - before) as u64);
                    if !range.is_empty() {
                        prop_assert_eq!(set.range_count() > count, would_add);
                    }
                } else {
                    set.remove(range.clone());
                    model.retain(|n| !range.contains(n));
                }
                prop_assert_eq!(set.iter().flatten().collect::<BTreeSet<_>>(), model.clone());
                let ranges: Vec<_> = set.iter().collect();
                prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
                prop_assert!((0..80).all(|n| set.contains(n) == model.contains(&n)));
            }
        }
    }

    #[test]
    fn pops_from_the_lowest_range_in_pieces() {
        let mut set = RangeSet::new();
        set.insert(5..9);
        set.insert(20..21);
        assert_eq!(set.pop_first(3), Some(5..8));
        assert_eq!(set.pop_first(3), Some(8..9));
        assert_eq!(set.pop_first(3), Some(20..21));
        assert_eq!(set.pop_first(3), None);
    }
}
