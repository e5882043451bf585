//! Asking for what is here already, to see whether it comes.
//!
//! A parent whose origins seldom speak is seldom relied upon, and might withhold for long. So one of
//! [`AUDIT_EVERY`] broadcasts is asked for again, of a neighbour that announces it and was not relied upon
//! lately; of one that is nobody's parent more seldom. It cannot tell such a question from an earnest one.
//! Each time that a tree fails or a promise is broken [`AUDIT_ALARM`] tests more are paid for: where somebody
//! withholds, others may as well, and where nobody does tests stay rare. Who is on probation, and a parent
//! that is watched ([`super::conduct`]), is tested at the cost of nobody else. Of one broadcast one neighbour
//! is asked at a time.

use std::collections::BTreeMap;

use core::time::Duration;

use dunlin_session::NodeId;

use super::mask::{Mask, Slot};
use crate::Instant;
use crate::limits::{AUDIT_ALARM, AUDIT_BURST, AUDIT_EVERY, AUDITS_MAX};
use crate::types::ShortId;

/// Tests under way, and how many more there may be.
#[derive(Default)]
pub(crate) struct Audits {
    open: BTreeMap<ShortId, (NodeId, Instant)>,
    credit: u32,
    /// Who was anybody's parent when the heartbeat began.
    parents: Mask,
}

impl Audits {
    /// One more broadcast came.
    pub(crate) fn on_news(&mut self) {
        self.credit += u32::from(self.credit < AUDIT_EVERY);
    }

    /// Somebody did not bring what it should.
    pub(crate) fn on_alarm(&mut self) {
        self.credit = (self.credit + AUDIT_ALARM * AUDIT_EVERY).min(AUDIT_EVERY * AUDIT_BURST);
    }

    /// A heartbeat begins: these are parents.
    pub(crate) const fn on_heartbeat(&mut self, parents: Mask) {
        self.parents = parents;
    }

    /// Whether a neighbour was a parent when it began.
    pub(crate) fn is_parent(&self, slot: Slot) -> bool {
        self.parents.has(slot)
    }

    /// Whether there may be one more.
    pub(crate) fn may_begin(&self) -> bool {
        self.credit >= AUDIT_EVERY && self.open.len() < AUDITS_MAX
    }

    /// `peer` is asked for this; if it owes the test, that costs no other one. False: somebody is being
    /// asked for it already, or too many are.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        id: ShortId,
        peer: NodeId,
        patience: Duration,
        is_owed: bool,
    ) -> bool {
        let has_room = self.open.len() < AUDITS_MAX && !self.open.contains_key(&id);
        let begins = has_room && (is_owed || self.may_begin());
        if begins {
            self.credit -= if is_owed { 0 } else { AUDIT_EVERY };
            self.open.insert(id, (peer, now + patience));
        }
        begins
    }

    /// A further copy came from `peer`. True: it was asked for.
    pub(crate) fn on_copy(&mut self, id: &ShortId, peer: NodeId) -> bool {
        let asked = self.is_asked(id, peer);
        if asked {
            self.open.remove(id);
        }
        asked
    }

    /// Whether `peer` is being asked for this.
    pub(crate) fn is_asked(&self, id: &ShortId, peer: NodeId) -> bool {
        self.open.get(id).is_some_and(|(of, _)| *of == peer)
    }

    /// Those who did not bring it in time.
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<NodeId> {
        let late = self
            .open
            .extract_if(.., |_, (_, deadline)| *deadline <= now);
        late.map(|(_, (peer, _))| peer).collect()
    }

    /// When the next answer is overdue.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.open.values().map(|&(_, deadline)| deadline).min()
    }

    /// How many are under way.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> ShortId {
        ShortId([n; 16])
    }

    fn peer(n: u8) -> NodeId {
        NodeId::from_bytes([n; 32])
    }

    #[test]
    fn one_of_many_broadcasts_is_a_test_and_one_test_is_saved_up() {
        let mut audits = Audits::default();
        let patience = Duration::from_millis(500);
        assert!(!audits.begin(Instant::ZERO, id(0), peer(1), patience, false));
        (0..AUDIT_EVERY * 5).for_each(|_| audits.on_news());
        assert!(audits.begin(Instant::ZERO, id(1), peer(1), patience, false));
        assert!(!audits.begin(Instant::ZERO, id(2), peer(1), patience, false));
    }

    #[test]
    fn a_test_that_is_owed_costs_no_other_one() {
        let mut audits = Audits::default();
        let patience = Duration::from_millis(500);
        assert!(audits.begin(Instant::ZERO, id(1), peer(1), patience, true));
        assert!(!audits.begin(Instant::ZERO, id(1), peer(2), patience, true));
        (0..AUDIT_EVERY).for_each(|_| audits.on_news());
        assert!(audits.begin(Instant::ZERO, id(2), peer(1), patience, true));
        assert!(audits.begin(Instant::ZERO, id(3), peer(1), patience, false));
    }

    #[test]
    fn an_alarm_pays_for_tests_and_alarms_are_not_saved_up_without_end() {
        let mut audits = Audits::default();
        let patience = Duration::from_millis(500);
        audits.on_alarm();
        for n in 0..AUDIT_ALARM {
            let n = u8::try_from(n).unwrap();
            assert!(audits.begin(Instant::ZERO, id(n), peer(1), patience, false));
        }
        assert!(!audits.begin(Instant::ZERO, id(200), peer(1), patience, false));
        (0..100).for_each(|_| audits.on_alarm());
        let begun =
            (3..100).filter(|&n| audits.begin(Instant::ZERO, id(n), peer(1), patience, false));
        assert_eq!(u32::try_from(begun.count()).unwrap(), AUDIT_BURST);
    }

    #[test]
    fn tests_under_way_are_bounded() {
        let mut audits = Audits::default();
        let patience = Duration::from_millis(500);
        let mut begun = 0;
        for n in 0..200_u8 {
            (0..AUDIT_EVERY).for_each(|_| audits.on_news());
            // Owed or not.
            let is_owed = n % 2 == 0;
            begun += usize::from(audits.begin(Instant::ZERO, id(n), peer(1), patience, is_owed));
        }
        assert_eq!((begun, audits.len()), (AUDITS_MAX, AUDITS_MAX));
    }

    #[test]
    fn only_who_was_asked_answers_and_who_does_not_is_found() {
        let mut audits = Audits::default();
        audits.on_alarm();
        let patience = Duration::from_millis(500);
        assert!(audits.begin(Instant::ZERO, id(1), peer(1), patience, false));
        assert!(!audits.begin(Instant::ZERO, id(1), peer(2), patience, false));
        assert!(!audits.on_copy(&id(1), peer(2)));
        assert!(audits.on_copy(&id(1), peer(1)) && !audits.on_copy(&id(1), peer(1)));
        assert!(audits.begin(Instant::ZERO, id(2), peer(2), patience, false));
        let due = audits.next_deadline().expect("one is under way");
        assert_eq!(due, Instant::ZERO + patience);
        assert_eq!(audits.overdue(due), [peer(2)]);
        assert!(audits.overdue(due).is_empty());
    }
}
