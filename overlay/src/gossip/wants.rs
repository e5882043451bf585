//! Broadcasts that somebody announced and that have not come: when to ask whom for them.
//!
//! An announced broadcast is usually on its way along its origin's tree, so it is asked for only
//! after a wait (Plumtree §3.6), at first from whoever announced it first, then from the next.

use std::collections::{BTreeMap, BTreeSet};

use core::time::Duration;

use dunlin_session::NodeId;

use crate::Instant;
use crate::limits::{ANNOUNCERS_MAX, WANTS_MAX, WANTS_PER_PEER_MAX};
use crate::types::ShortId;

/// A broadcast that is missing.
struct Want {
    due: Instant,
    /// Whoever has it and was not asked yet, the first to say so first.
    announcers: Vec<NodeId>,
    /// Who was asked last.
    asked: Option<NodeId>,
    /// Whether whoever brings it shall push that origin's from then on.
    grafts: bool,
}

/// What is missing.
#[derive(Default)]
pub(crate) struct Wants {
    entries: BTreeMap<ShortId, Want>,
    due: BTreeSet<(Instant, ShortId)>,
    /// How many were first announced by, or are asked of, a peer.
    per_peer: BTreeMap<NodeId, usize>,
}

/// What to ask whom for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Question {
    pub(crate) peer: NodeId,
    pub(crate) id: ShortId,
    pub(crate) grafts: bool,
}

impl Wants {
    /// A peer says it has what we lack. False: there is no room to remember it. At most `most` of one peer
    /// are remembered, and at most [`WANTS_PER_PEER_MAX`].
    pub(crate) fn announced(
        &mut self,
        id: ShortId,
        peer: NodeId,
        (due, grafts): (Instant, bool),
        most: usize,
    ) -> bool {
        if let Some(want) = self.entries.get_mut(&id) {
            let known = want.asked == Some(peer) || want.announcers.contains(&peer);
            if !known && want.announcers.len() < ANNOUNCERS_MAX {
                want.announcers.push(peer);
            }
            return true;
        }
        let of_peer = self.per_peer.get(&peer).copied().unwrap_or(0);
        if of_peer >= most.min(WANTS_PER_PEER_MAX) || self.entries.len() >= WANTS_MAX {
            return false;
        }
        *self.per_peer.entry(peer).or_default() += 1;
        let (announcers, asked) = (vec![peer], None);
        self.due.insert((due, id));
        self.entries.insert(
            id,
            Want {
                due,
                announcers,
                asked,
                grafts,
            },
        );
        true
    }

    /// It came. Whoever was asked for it last, and whether that one shall push from now on.
    pub(crate) fn arrived(&mut self, id: &ShortId) -> Option<(Option<NodeId>, bool)> {
        let want = self.take(id)?;
        Some((want.asked, want.grafts))
    }

    fn take(&mut self, id: &ShortId) -> Option<Want> {
        let want = self.entries.remove(id)?;
        self.due.remove(&(want.due, *id));
        self.forget_charge(&want);
        Some(want)
    }

    /// A want is charged to the peer that was asked last, before that to the first announcer.
    fn forget_charge(&mut self, want: &Want) {
        if let Some(peer) = want.asked.or_else(|| want.announcers.first().copied()) {
            self.uncharge(peer);
        }
    }

    fn uncharge(&mut self, peer: NodeId) {
        if let Some(count) = self.per_peer.get_mut(&peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.per_peer.remove(&peer);
            }
        }
    }

    /// The questions that are due, each of which is due again after `patience`, and those who were asked
    /// before and brought nothing. What nobody is left to be asked for is forgotten: it is found again
    /// when sets are compared. Whoever is not `preferred` is asked last.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        patience: Duration,
        is_alive: impl Fn(&NodeId) -> bool,
        is_preferred: impl Fn(&NodeId) -> bool,
    ) -> (Vec<Question>, Vec<NodeId>) {
        let (mut questions, mut in_vain) = (Vec::new(), Vec::new());
        while let Some(&(due, id)) = self.due.first()
            && due <= now
        {
            let Some(mut want) = self.take(&id) else {
                break;
            };
            in_vain.extend(want.asked);
            want.announcers.retain(&is_alive);
            let preferred = want.announcers.iter().position(&is_preferred);
            let Some(_) = want.announcers.first() else {
                continue;
            };
            let peer = want.announcers.remove(preferred.unwrap_or(0));
            (want.asked, want.due) = (Some(peer), now + patience);
            questions.push(Question {
                peer,
                id,
                grafts: want.grafts,
            });
            *self.per_peer.entry(peer).or_default() += 1;
            self.due.insert((want.due, id));
            self.entries.insert(id, want);
        }
        (questions, in_vain)
    }

    /// When the next question is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|&(due, _)| due)
    }

    /// How many are missing.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::BroadcastId;

    const PATIENCE: Duration = Duration::from_millis(500);

    fn id(n: usize) -> ShortId {
        BroadcastId::of_body(&n.to_be_bytes()).short()
    }

    fn peer(n: u8) -> NodeId {
        NodeId::from_bytes([n; 32])
    }

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    fn ask(wants: &mut Wants, millis: u64) -> Vec<NodeId> {
        let questions = wants.ask(at(millis), PATIENCE, |_| true, |_| true).0;
        questions.iter().map(|question| question.peer).collect()
    }

    #[test]
    fn announcers_are_asked_one_after_the_other_until_it_comes() {
        let mut wants = Wants::default();
        assert!(wants.announced(id(1), peer(1), (at(200), true), usize::MAX));
        assert!(wants.announced(id(1), peer(2), (at(250), true), usize::MAX));
        assert!(wants.announced(id(1), peer(1), (at(260), true), usize::MAX));
        assert_eq!(wants.next_due(), Some(at(200)));
        assert_eq!(ask(&mut wants, 199), []);
        assert_eq!(ask(&mut wants, 200), [peer(1)]);
        assert_eq!(ask(&mut wants, 699), []);
        let (_, in_vain) = wants.ask(at(700), PATIENCE, |_| true, |_| true);
        assert_eq!(in_vain, [peer(1)]);
        assert_eq!(wants.arrived(&id(1)), Some((Some(peer(2)), true)));
        assert_eq!((wants.len(), wants.next_due()), (0, None));
        assert!(wants.per_peer.is_empty());
    }

    #[test]
    fn who_is_silent_is_not_asked_and_what_nobody_is_left_for_is_forgotten() {
        let mut wants = Wants::default();
        wants.announced(id(1), peer(1), (at(0), true), usize::MAX);
        wants.announced(id(1), peer(2), (at(0), true), usize::MAX);
        let (asked, _) = wants.ask(at(0), PATIENCE, |of| *of == peer(2), |_| true);
        assert_eq!(asked[0].peer, peer(2));
        assert_eq!(ask(&mut wants, 500), []);
        assert_eq!((wants.len(), wants.per_peer.len()), (0, 0));
    }

    #[test]
    fn who_is_not_preferred_is_asked_last() {
        let mut wants = Wants::default();
        for n in 1..4 {
            wants.announced(id(1), peer(n), (at(0), true), usize::MAX);
        }
        let mut asked = Vec::new();
        for millis in [0, 500, 1000, 1500] {
            let (questions, _) = wants.ask(at(millis), PATIENCE, |_| true, |of| *of != peer(1));
            asked.extend(questions.iter().map(|question| question.peer));
        }
        assert_eq!(asked, [peer(2), peer(3), peer(1)]);
    }

    #[test]
    fn each_limit_is_reached_and_not_passed() {
        let mut wants = Wants::default();
        for n in 0..WANTS_PER_PEER_MAX {
            assert!(wants.announced(id(n), peer(1), (at(0), false), usize::MAX));
        }
        assert!(!wants.announced(id(WANTS_PER_PEER_MAX), peer(1), (at(0), false), usize::MAX));
        let mut n = WANTS_PER_PEER_MAX;
        while n < WANTS_MAX {
            let from = u8::try_from(2 + n / WANTS_PER_PEER_MAX).unwrap();
            assert!(wants.announced(id(n), peer(from), (at(0), false), usize::MAX));
            n += 1;
        }
        assert!(!wants.announced(id(n), peer(200), (at(0), false), usize::MAX));
        assert_eq!(wants.len(), WANTS_MAX);
        let listed = Wants::default().announced(id(0), peer(1), (at(0), false), 0);
        assert!(!listed, "what is allowed is less");
        for from in 2..20 {
            assert!(wants.announced(id(0), peer(from), (at(0), false), usize::MAX));
        }
        assert_eq!(wants.entries[&id(0)].announcers.len(), ANNOUNCERS_MAX);
    }
}
