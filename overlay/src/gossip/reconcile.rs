//! Comparing two sets of broadcasts by ranges of time.
//!
//! Both sides order what they have seen by the time it was signed. A fingerprint of a range tells
//! whether they agree on it; where they do not, the range is split, or listed when it is short
//! (range-based set reconciliation, Meyer 2022; ADR 0305 compares it with vectors of sequence
//! numbers and invertible Bloom tables). A fingerprint is salted with the number of the round, which
//! its beginner drew: nobody can prepare two sets that look alike.

use std::collections::BTreeSet;

use crate::limits::{RECONCILE_LIST_MAX, RECONCILE_SPLIT};
use crate::types::BroadcastId;
use crate::wire::Part;

/// All that is in a range, as a number: a salted sum over its members and their count.
pub(crate) fn fingerprint(items: impl Iterator<Item = BroadcastId>, salt: u64) -> u64 {
    let (mut sum, mut count) = (0u64, 0u64);
    for id in items {
        let (a, b) = id.halves();
        sum = sum.wrapping_add(fold(a ^ salt, b ^ salt.rotate_left(32)));
        count += 1;
    }
    fold(sum ^ salt, count ^ !salt)
}

/// The two halves of a product, folded: a keyed mixture of two numbers without pattern.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b ^ 0xd1b5_4a32_d192_ed03);
    let low = u64::try_from(product & u128::from(u64::MAX)).unwrap_or(0);
    let high = u64::try_from(product >> 64).unwrap_or(0);
    low ^ high
}

/// The members signed after `after` and not after `until`.
pub(crate) fn members(
    seen: &BTreeSet<(u64, BroadcastId)>,
    after: u64,
    until: u64,
) -> impl Iterator<Item = (u64, BroadcastId)> + Clone + '_ {
    let start = after.saturating_add(1);
    let range = (start <= until && after < until)
        .then_some((start, BroadcastId::MIN)..=(until, BroadcastId::MAX));
    range
        .into_iter()
        .flat_map(|range| seen.range(range))
        .copied()
}

/// What to say about a range on which the two sides do not agree: `None`, it is short and to be
/// listed, or the fingerprints of its parts.
pub(crate) fn split(
    seen: &BTreeSet<(u64, BroadcastId)>,
    after: u64,
    until: u64,
    salt: u64,
) -> Option<Vec<Part>> {
    let count = members(seen, after, until).count();
    if count <= RECONCILE_LIST_MAX {
        return None;
    }
    let each = count.div_ceil(RECONCILE_SPLIT);
    let mut bounds: Vec<u64> = members(seen, after, until)
        .skip(each - 1)
        .step_by(each)
        .map(|(unix_millis, _)| unix_millis)
        .filter(|&bound| bound < until)
        .collect();
    bounds.dedup();
    bounds.push(until);
    if bounds.len() == 1 {
        return None;
    }
    let mut lower = after;
    let parts = bounds.into_iter().map(|upper| {
        let of_part = members(seen, lower, upper).map(|(_, id)| id);
        lower = upper;
        let fingerprint = fingerprint(of_part, salt);
        Part::fingerprint(upper, fingerprint)
    });
    Some(parts.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::PartKind;

    fn set(times: &[u16]) -> BTreeSet<(u64, BroadcastId)> {
        let item = |&time: &u16| (u64::from(time), BroadcastId::of_body(&time.to_be_bytes()));
        times.iter().map(item).collect()
    }

    fn of(seen: &BTreeSet<(u64, BroadcastId)>, salt: u64) -> u64 {
        fingerprint(seen.iter().map(|&(_, id)| id), salt)
    }

    #[test]
    fn short_ranges_are_listed_and_long_ones_split() {
        let times: Vec<u16> = (1..=400).collect();
        let short = set(&times[..RECONCILE_LIST_MAX]);
        assert!(split(&short, 0, 1_000, 7).is_none());
        let long = set(&times);
        let parts = split(&long, 0, 1_000, 7).unwrap();
        assert!(parts.len() > 1 && parts.len() <= RECONCILE_SPLIT + 1);
        assert_eq!(parts.last().unwrap().upper, 1_000);
        assert!(parts.is_sorted_by_key(|part| part.upper));
        let at_once: BTreeSet<_> = (0..400u16)
            .map(|n| (5, BroadcastId::of_body(&n.to_be_bytes())))
            .collect();
        let parts = split(&at_once, 0, 1_000, 7).unwrap();
        assert_eq!(parts.len(), 2, "an instant is not split");
        assert!(split(&at_once, 4, 5, 7).is_none());
    }

    proptest! {
        #[test]
        fn fingerprints_differ_when_sets_do_and_agree_when_they_agree(
            mut times in prop::collection::vec(1u16..5_000, 0..200), extra in 5_000u16.., salt: u64,
        ) {
            let one = set(&times);
            times.reverse();
            prop_assert_eq!(of(&one, salt), of(&set(&times), salt));
            times.push(extra);
            prop_assert_ne!(of(&one, salt), of(&set(&times), salt));
        }

        #[test]
        fn a_difference_is_found_in_some_part(
            times in prop::collection::btree_set(1u16..5_000, 150..300), salt: u64, pick: prop::sample::Index,
        ) {
            let times: Vec<u16> = times.into_iter().collect();
            let all = set(&times);
            let mut fewer = all.clone();
            let missing = (u64::from(times[pick.index(times.len())]), ());
            fewer.retain(|(time, _)| *time != missing.0);
            let mut lower = 0;
            let mut found = 0;
            for part in split(&all, 0, 10_000, salt).unwrap() {
                let PartKind::Fingerprint(theirs) = part.kind else { panic!("a fingerprint") };
                let ours = fingerprint(members(&fewer, lower, part.upper).map(|(_, id)| id), salt);
                let holds_it = lower < missing.0 && missing.0 <= part.upper;
                prop_assert_eq!(ours != theirs, holds_it);
                found += usize::from(holds_it);
                lower = part.upper;
            }
            prop_assert_eq!(found, 1);
        }
    }
}
