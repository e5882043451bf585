//! Broadcasts that came and were not taken because their origin sends too much.
//!
//! They count as if they had not come, so each comparison of sets would find them again, and they would be
//! asked for again only to be dropped. They are remembered for some seconds, in two halves of which the
//! older one is forgotten when the newer one is full or old.

use core::time::Duration;
use std::collections::BTreeSet;

use crate::Instant;
use crate::limits::DECLINED_MAX;
use crate::types::ShortId;

/// How long a half is filled.
const TURN: Duration = Duration::from_secs(5);

/// What is not to be asked for.
#[derive(Default)]
pub(crate) struct Declined {
    newer: BTreeSet<ShortId>,
    older: BTreeSet<ShortId>,
    since: Option<Instant>,
}

impl Declined {
    /// One more was not taken.
    pub(crate) fn insert(&mut self, now: Instant, id: ShortId) {
        self.turn(now);
        if self.newer.len() >= DECLINED_MAX / 2 {
            self.older = core::mem::take(&mut self.newer);
        }
        self.newer.insert(id);
        self.since.get_or_insert(now);
    }

    /// Whether it was not taken lately.
    pub(crate) fn has(&mut self, now: Instant, id: &ShortId) -> bool {
        self.turn(now);
        self.newer.contains(id) || self.older.contains(id)
    }

    fn turn(&mut self, now: Instant) {
        while let Some(since) = self.since
            && since + TURN <= now
        {
            self.older = core::mem::take(&mut self.newer);
            self.since = (!self.older.is_empty()).then_some(since + TURN);
        }
    }

    /// How many are remembered.
    pub(crate) fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> ShortId {
        crate::types::BroadcastId::of_body(&n.to_be_bytes()).short()
    }

    #[test]
    fn is_forgotten_after_two_turns() {
        let mut declined = Declined::default();
        let at = |turns: u32| Instant::ZERO + TURN * turns;
        declined.insert(at(0), id(1));
        assert!(declined.has(at(0), &id(1)) && !declined.has(at(0), &id(2)));
        assert!(declined.has(at(1), &id(1)));
        declined.insert(at(1), id(2));
        assert!(!declined.has(at(2), &id(1)) && declined.has(at(2), &id(2)));
        assert!(!declined.has(at(9), &id(2)));
        assert_eq!(declined.len(), 0);
    }

    #[test]
    fn holds_its_limit_and_forgets_the_older_half_one_past_it() {
        let mut declined = Declined::default();
        for n in 0..DECLINED_MAX {
            declined.insert(Instant::ZERO, id(n));
        }
        assert_eq!(declined.len(), DECLINED_MAX);
        declined.insert(Instant::ZERO, id(DECLINED_MAX));
        assert_eq!(declined.len(), DECLINED_MAX / 2 + 1);
        assert!(!declined.has(Instant::ZERO, &id(0)));
        assert!(declined.has(Instant::ZERO, &id(DECLINED_MAX)));
    }
}
