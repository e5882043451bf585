//! Exact deduplication: which broadcasts were here.
//!
//! Entries are ordered by the time their origin signed, then by ID. When the set is full the entry
//! signed longest ago is evicted and the *floor* rises to its time; nothing signed at or before the
//! floor is accepted afterwards. So a broadcast is delivered at most once, whatever arrives; the
//! price of a flood above the capacity is that the window of acceptable times shrinks, not that
//! messages repeat. Entries past the age limit leave without raising the floor, because the age
//! check refuses their copies already.
//!
//! What is not held any more because its origin sent too much ([`super::store`]) is still remembered, but
//! is no longer compared with neighbours: nobody could get it here.

use std::collections::BTreeSet;

use crate::planted::{self, Bug};
use crate::types::{BroadcastId, ShortId};

/// The broadcasts that were delivered or sent.
pub(crate) struct SeenSet {
    capacity: usize,
    entries: BTreeSet<(u64, BroadcastId)>,
    /// Those that are not compared.
    let_go: BTreeSet<(u64, BroadcastId)>,
    /// Both by the first half of their IDs, as announcements name them.
    by_id: BTreeSet<ShortId>,
    /// Signed at or before this (milliseconds since the Unix epoch): refused.
    floor: Option<u64>,
}

/// What the set says about a broadcast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    /// Not here yet.
    New,
    /// Here already.
    Duplicate,
    /// So old that it may have been here and evicted.
    BelowFloor,
}

impl SeenSet {
    /// An empty set for `capacity` broadcasts (at least 1).
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            entries: BTreeSet::new(),
            let_go: BTreeSet::new(),
            by_id: BTreeSet::new(),
            floor: None,
        }
    }

    /// Looks a broadcast up; changes nothing.
    pub(crate) fn lookup(&self, unix_millis: u64, id: BroadcastId) -> Seen {
        let key = (unix_millis, id);
        if self.entries.contains(&key) || self.let_go.contains(&key) {
            Seen::Duplicate
        } else if self.floor.is_some_and(|floor| unix_millis <= floor) {
            Seen::BelowFloor
        } else {
            Seen::New
        }
    }

    /// Remembers a broadcast whose signature was checked.
    pub(crate) fn insert(&mut self, unix_millis: u64, id: BroadcastId) {
        self.entries.insert((unix_millis, id));
        self.by_id.insert(id.short());
        while self.len() > self.capacity {
            let Some(evicted) = self.pop_first() else {
                break;
            };
            if !planted::is(Bug::SeenForgetsTooSoon) {
                self.floor = self.floor.max(Some(evicted));
            }
        }
    }

    /// Forgets what was signed before `oldest` (milliseconds since the Unix epoch).
    pub(crate) fn expire(&mut self, oldest: u64) {
        while self
            .first()
            .is_some_and(|&(unix_millis, _)| unix_millis < oldest)
        {
            self.pop_first();
        }
    }

    /// Remembers one of them without comparing it from now on.
    pub(crate) fn let_go(&mut self, unix_millis: u64, id: BroadcastId) {
        if self.entries.remove(&(unix_millis, id)) {
            self.let_go.insert((unix_millis, id));
        }
    }

    fn first(&self) -> Option<&(u64, BroadcastId)> {
        let firsts = [self.entries.first(), self.let_go.first()];
        firsts.into_iter().flatten().min()
    }

    fn pop_first(&mut self) -> Option<u64> {
        let first = *self.first()?;
        if !self.entries.remove(&first) {
            self.let_go.remove(&first);
        }
        let (unix_millis, id) = first;
        self.by_id.remove(&id.short());
        Some(unix_millis)
    }

    /// Whether a broadcast of which only the first half of its ID is known is remembered.
    pub(crate) fn has(&self, id: &ShortId) -> bool {
        self.by_id.contains(id)
    }

    /// Those that are compared, by the time they were signed.
    pub(crate) fn by_time(&self) -> &BTreeSet<(u64, BroadcastId)> {
        &self.entries
    }

    /// Signed at or before this: may have been forgotten (milliseconds since the Unix epoch).
    pub(crate) fn floor(&self) -> u64 {
        self.floor.unwrap_or(0)
    }

    /// How many are remembered.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() + self.let_go.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(n: u64) -> BroadcastId {
        BroadcastId::of_body(&n.to_be_bytes())
    }

    #[test]
    fn holds_its_capacity_and_evicts_the_oldest_one_past_it() {
        let mut seen = SeenSet::new(3);
        for n in 1..=3 {
            seen.insert(n * 10, id(n));
        }
        assert_eq!(seen.len(), 3);
        assert_eq!(
            seen.lookup(5, id(99)),
            Seen::New,
            "no floor before the first eviction"
        );
        seen.insert(40, id(4));
        assert_eq!(seen.len(), 3);
        assert_eq!(
            seen.lookup(10, id(1)),
            Seen::BelowFloor,
            "evicted, yet not new again"
        );
        assert_eq!(seen.lookup(10, id(77)), Seen::BelowFloor);
        assert_eq!(seen.lookup(11, id(77)), Seen::New);
        assert_eq!(seen.lookup(20, id(2)), Seen::Duplicate);
    }

    #[test]
    fn expiry_forgets_without_raising_the_floor() {
        let mut seen = SeenSet::new(3);
        seen.insert(10, id(1));
        seen.insert(20, id(2));
        seen.expire(20);
        assert_eq!(seen.len(), 1);
        assert_eq!(
            seen.lookup(10, id(1)),
            Seen::New,
            "the age check is what refuses it"
        );
    }

    proptest! {
        #[test]
        fn nothing_is_new_twice_whatever_the_capacity(
            capacity in 1usize..20,
            arrivals in prop::collection::vec((0u64..30, 0u64..40, any::<bool>()), 0..200),
        ) {
            let mut seen = SeenSet::new(capacity);
            let mut delivered = BTreeSet::new();
            for (time, n, is_let_go) in arrivals {
                if seen.lookup(time, id(n)) == Seen::New {
                    prop_assert!(delivered.insert((time, n)), "{n} at {time} twice");
                    seen.insert(time, id(n));
                }
                if is_let_go {
                    seen.let_go(time, id(n));
                    prop_assert!(!seen.by_time().contains(&(time, id(n))));
                }
                prop_assert!(seen.len() <= capacity);
            }
        }
    }
}
