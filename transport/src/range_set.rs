//! A set of `u64` kept as disjoint, non-touching half-open ranges.

use alloc::collections::BTreeMap;
use core::ops::Range;

use crate::rest::Rest;

/// Ranges keyed by their start. All operations cost O(log n) for n ranges, plus the ranges they
/// merge or remove; at the upper end, where numbers come in order, they cost O(1).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct RangeSet {
    /// All but the highest: start → end (exclusive).
    below: BTreeMap<u64, u64>,
    /// The highest: start and end (exclusive). None: the set is empty.
    highest: Option<(u64, u64)>,
}

impl RangeSet {
    /// An empty set.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self {
            below: BTreeMap::new(),
            highest: None,
        }
    }

    /// Number of ranges.
    #[must_use]
    pub(crate) fn range_count(&self) -> usize {
        self.below.len() + usize::from(self.highest.is_some())
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub(crate) const fn is_empty(&self) -> bool {
        self.highest.is_none()
    }

    /// One past the highest number, 0 if there is none.
    #[must_use]
    pub(crate) const fn end(&self) -> u64 {
        match self.highest {
            Some((_, end)) => end,
            None => 0,
        }
    }

    /// Adds a range and returns how many numbers were not in the set before.
    pub(crate) fn insert(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let Some((start, end)) = self.highest else {
            self.highest = Some((range.start, range.end));
            return range.end - range.start;
        };
        if range.start > end {
            self.below.insert(start, end);
            self.highest = Some((range.start, range.end));
            return range.end - range.start;
        }
        let above = range.end.saturating_sub(end);
        let new_end = end.max(range.end);
        if range.start >= start {
            self.highest = Some((start, new_end));
            return above;
        }
        let (merged, added) = self.insert_below(range.start..range.end.min(start));
        if merged.end == start {
            self.below.remove(&merged.start);
            self.highest = Some((merged.start, new_end));
        }
        added + above
    }

    /// Adds all from the end of the highest range to `end`; nothing, if there is none.
    pub(crate) fn extend_highest(&mut self, end: u64) {
        if let Some((_, highest_end)) = &mut self.highest {
            *highest_end = end.max(*highest_end);
        }
    }

    /// Adds a range that is not empty and ends at most where the highest one begins. Returns the range
    /// that it is part of now, and how many numbers were not in the set before.
    fn insert_below(&mut self, range: Range<u64>) -> (Range<u64>, u64) {
        let Range { mut start, mut end } = range;
        let mut present = 0;
        if let Some((&before, &before_end)) = self.below.range(..start).next_back()
            && before_end >= start
        {
            present += before_end.min(end) - start;
            start = before;
            end = end.max(before_end);
        }
        while let Some((&next, &next_end)) = self.below.range(range.start..=end).next() {
            present += next_end.min(range.end).saturating_sub(next);
            end = end.max(next_end);
            self.below.remove(&next);
        }
        self.below.insert(start, end);
        (start..end, range.end - range.start - present)
    }

    /// Removes a range.
    pub(crate) fn remove(&mut self, range: Range<u64>) {
        let Some((start, end)) = self.highest.filter(|_| !range.is_empty()) else {
            return;
        };
        if range.start < start {
            self.remove_below(&range);
        }
        if range.end <= start || range.start >= end {
            return;
        }
        let lower = (start < range.start).then_some((start, range.start));
        let upper = (range.end < end).then_some((range.end, end));
        self.highest = match (lower, upper) {
            (Some((start, end)), Some(upper)) => {
                self.below.insert(start, end);
                Some(upper)
            }
            (None, None) => self.below.pop_last(),
            (one, other) => one.or(other),
        };
    }

    /// Removes what of a range that is not empty is below the highest.
    fn remove_below(&mut self, range: &Range<u64>) {
        if let Some((&before, &before_end)) = self.below.range(..range.start).next_back()
            && before_end > range.start
        {
            self.below.insert(before, range.start);
            if before_end > range.end {
                self.below.insert(range.end, before_end);
                return;
            }
        }
        while let Some((&next, &next_end)) = self.below.range(range.clone()).next() {
            self.below.remove(&next);
            if next_end > range.end {
                self.below.insert(range.end, next_end);
            }
        }
    }

    /// Whether `value` is in the set.
    #[must_use]
    pub(crate) fn contains(&self, value: u64) -> bool {
        match self.highest {
            Some((start, end)) if value >= start => value < end,
            _ => {
                let lower = self.below.range(..=value).next_back();
                lower.is_some_and(|(_, &end)| end > value)
            }
        }
    }

    /// Whether inserting `range` would make one range more, instead of growing one.
    #[must_use]
    pub(crate) fn would_add_range(&self, range: &Range<u64>) -> bool {
        match self.highest {
            Some((start, end)) if range.end >= start => end < range.start,
            _ => {
                let lower = self.below.range(..=range.end).next_back();
                lower.is_none_or(|(_, &end)| end < range.start)
            }
        }
    }

    /// The lowest range.
    #[must_use]
    pub(crate) fn first(&self) -> Option<Range<u64>> {
        let lowest = self.below.first_key_value();
        let lowest = lowest.map(|(&start, &end)| (start, end)).or(self.highest);
        lowest.map(|(start, end)| start..end)
    }

    /// Takes at most `max` numbers off the lowest range.
    pub(crate) fn pop_first(&mut self, max: u64) -> Option<Range<u64>> {
        let (start, end) = self.below.pop_first().or_else(|| self.highest.take())?;
        let cut = end.min(start.saturating_add(max));
        if cut < end && self.highest.is_some() {
            self.below.insert(cut, end);
        } else if cut < end {
            self.highest = Some((cut, end));
        }
        Some(start..cut)
    }

    /// What of `range` is in the set, lowest first.
    pub(crate) fn within(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let reaching = self.below.range(..range.start).next_back();
        let inside = self.below.range(range.start..range.end.max(range.start));
        reaching
            .into_iter()
            .chain(inside)
            .map(|(&start, &end)| (start, end))
            .chain(self.highest)
            .map(move |(start, end)| start.max(range.start)..end.min(range.end))
            .filter(|part| !part.is_empty())
    }

    /// The ranges, lowest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = Range<u64>> + '_ {
        let below = self.below.iter().map(|(&start, &end)| (start, end));
        below.chain(self.highest).map(|(start, end)| start..end)
    }
}

impl Rest for RangeSet {
    fn rest(&mut self) {
        self.below.rest();
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
                prop_assert_eq!(set.end(), model.last().map_or(0, |last| last + 1));
                prop_assert_eq!(set.range_count(), ranges.len());
                prop_assert_eq!(set.first(), ranges.first().cloned());
                let part: BTreeSet<_> = set.within(start..start + length).flatten().collect();
                let expected = model.iter().copied().filter(|n| range.contains(n));
                prop_assert_eq!(part, expected.collect::<BTreeSet<_>>());
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
