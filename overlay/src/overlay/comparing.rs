//! Finding out what was missed: once in a while two neighbours compare what they have seen.
//!
//! The comparison narrows down on ranges of time in which they differ ([`crate::gossip::reconcile`]).
//! Short ranges are listed; what a list has and we have not is fetched, what we have and it has not
//! is announced. So whatever one living node holds reaches all that it is connected with, however
//! the announcements were lost.

use core::time::Duration;
use std::collections::BTreeSet;

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::gossip::reconcile::{fingerprint, members, split};
use crate::gossip::shares::Claim;
use crate::limits::{
    ANNOUNCE_MAX, BROADCAST_AGE_MAX, RECONCILE_PARTS_MAX, RECONCILE_STEPS_MAX, WANTS_PER_PEER_MAX,
};
use crate::planted::{self, Bug};
use crate::types::ShortId;
use crate::wire::{Message, Part, PartKind, Reconcile};

/// What was signed less than this ago may still be on its way and is left out of regular rounds.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
/// Comparisons leave out what is forgotten within this time: two nodes forget at different moments.
const FORGOTTEN_SOON: Duration = Duration::from_secs(60);

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Overlay {
    /// When the next round is; `None` while there is nobody to compare with.
    pub(super) fn next_comparison(&self) -> Option<Instant> {
        (self.gossip.neighbours.len() > 0).then_some(self.gossip.next_round)
    }

    /// Begins a comparison with a random neighbour when it is time; first with those of which it is
    /// known that something may be missing, with silent ones when there are no others.
    pub(super) fn compare_if_due(&mut self, now: Instant) {
        if self.gossip.next_round > now || self.gossip.neighbours.len() == 0 {
            return;
        }
        self.gossip.next_round = now + self.jittered(self.config.gossip_interval);
        self.count_heartbeats(now);
        let all = || self.gossip.neighbours.iter().filter(|(_, of)| of.gossips);
        let of_kind = |kind: &dyn Fn(bool, bool) -> bool| -> Vec<(NodeId, bool)> {
            all()
                .filter(|(_, of)| kind(of.needs_comparison, of.is_silent()))
                .map(|(peer, of)| (peer, of.needs_comparison))
                .collect()
        };
        let mut candidates = of_kind(&|needs, silent| needs && !silent);
        if candidates.is_empty() {
            candidates = of_kind(&|_, silent| !silent);
        }
        if candidates.is_empty() {
            candidates = of_kind(&|_, _| true);
        }
        let choice = usize::try_from(self.rng.below(candidates.len() as u64)).unwrap_or(0);
        if let Some(&(peer, is_full)) = candidates.get(choice) {
            let recent = self.unix_millis(now).saturating_sub(millis(ON_ITS_WAY));
            let until = if is_full { u64::MAX } else { recent };
            self.compare_with(now, peer, until);
        }
    }

    /// Begins a comparison of all that was signed until `until`.
    pub(super) fn compare_with(&mut self, now: Instant, peer: NodeId, until: u64) {
        let round = self.rng.next_u64();
        let after = self.comparable_after(now);
        // When much comes, what is on its way may be all that is remembered: then the range is empty,
        // and the question still tells whether the neighbour is there.
        let until = until.max(after.saturating_add(1));
        let ids = members(self.seen.by_time(), after, until).map(|(_, id)| id);
        let parts = vec![Part::fingerprint(until, fingerprint(ids, round))];
        if let Some(neighbour) = self.gossip.neighbours.get_mut(&peer) {
            neighbour.needs_comparison = false;
        }
        self.counters.comparisons += 1;
        let comparison = Reconcile {
            round,
            step: 0,
            after,
            parts,
        };
        self.send_message(peer, &Message::Reconcile(comparison));
        self.note_question(now, peer);
    }

    /// What was signed after this is remembered, and held unless it may not be passed on.
    fn comparable_after(&self, now: Instant) -> u64 {
        let kept = millis(BROADCAST_AGE_MAX.saturating_sub(FORGOTTEN_SOON));
        let oldest = self.unix_millis(now).saturating_sub(kept);
        oldest.max(self.gossip.store.floor()).max(self.seen.floor())
    }

    /// A message of a comparison.
    pub(super) fn on_reconcile(&mut self, now: Instant, peer: NodeId, theirs: &Reconcile) {
        let bounds = theirs.parts.iter().map(|part| part.upper);
        if !core::iter::once(theirs.after)
            .chain(bounds)
            .is_sorted_by(|a, b| a < b)
        {
            return self.on_malformed_list(now, peer);
        }
        let admitted = self
            .gossip
            .neighbours
            .get_mut(&peer)
            .is_some_and(|neighbour| neighbour.admit_comparison(now));
        if !admitted || theirs.step >= RECONCILE_STEPS_MAX {
            self.counters.comparisons_refused += 1;
            return;
        }
        let after = theirs.after.max(self.comparable_after(now));
        let mut answer = Answer::new(&theirs.parts);
        let begin = first_place(theirs);
        for place in (begin..theirs.parts.len()).chain(0..begin) {
            let Some(part) = theirs.parts.get(place) else {
                continue;
            };
            let before = place.checked_sub(1).and_then(|of| theirs.parts.get(of));
            let from = before.map_or(theirs.after, |of| of.upper).max(after);
            if part.upper <= from {
                answer.drop(place);
                continue;
            }
            match &part.kind {
                PartKind::Skip => {}
                PartKind::Fingerprint(fingerprint) => {
                    let range = (from, part.upper);
                    self.answer_range(&mut answer, place, range, (*fingerprint, theirs.round));
                }
                PartKind::List(ids) => self.on_listed(now, peer, (from, part.upper), ids),
            }
        }
        let is_question = |part: &Part| matches!(part.kind, PartKind::Fingerprint(_));
        if theirs.parts.iter().any(is_question) {
            let comparison = Reconcile {
                round: theirs.round,
                step: theirs.step.saturating_add(1),
                after,
                parts: answer.finish(),
            };
            self.send_message(peer, &Message::Reconcile(comparison));
        }
    }

    /// What to say of a range of which the other side gave a fingerprint.
    fn answer_range(
        &self,
        answer: &mut Answer,
        place: usize,
        (from, upper): (u64, u64),
        (theirs, salt): (u64, u64),
    ) {
        let seen = self.seen.by_time();
        let ids = members(seen, from, upper).map(|(_, id)| id);
        if fingerprint(ids, salt) == theirs {
            return;
        }
        match split(seen, from, upper, salt) {
            Some(parts) => answer.say(place, parts),
            None => {
                let held = self.gossip.store.range(from, upper);
                answer.list(place, held.map(|(key, _)| key), upper);
            }
        }
    }

    /// The other side holds these of a range, and no others.
    fn on_listed(
        &mut self,
        now: Instant,
        peer: NodeId,
        (from, upper): (u64, u64),
        ids: &[ShortId],
    ) {
        for &key in ids {
            if !self.seen.has(&key) && !planted::is(Bug::DifferencesIgnored) {
                self.counters.differences += 1;
                let due = now + self.config.graft_after;
                // Half of what may be asked of it is kept for what it announces.
                self.on_lacking(now, peer, key, (due, false), WANTS_PER_PEER_MAX / 2);
            }
        }
        let gossip = &mut self.gossip;
        let Some(neighbour) = gossip.neighbours.get_mut(&peer) else {
            return;
        };
        // Each side chooses how long its list is, and how much is held in a range: no search of one for each
        // of the other.
        let listed: BTreeSet<&ShortId> = ids.iter().collect();
        for (key, held) in gossip.store.range(from, upper) {
            let may_ask =
                held.is_fair || neighbour.has_room(now, held.message.len(), Claim::Surplus);
            if held.origin != peer && may_ask && !listed.contains(&key) {
                neighbour.announce_later(key, true);
                gossip.flush_at = Some(now);
            }
        }
    }
}

/// Where to begin with the parts of a question. There may not be room for all differences in one answer;
/// this changes with the round and the step, so that differences that stay do not hide others.
fn first_place(question: &Reconcile) -> usize {
    let turned = question
        .round
        .rotate_right(u32::from(question.step) * u8::BITS);
    let count = u64::try_from(question.parts.len().max(1)).unwrap_or(1);
    usize::try_from(turned % count).unwrap_or(0)
}

/// An answer in the making: for each part of the question what is said of it, at first nothing.
struct Answer {
    parts: Vec<Vec<Part>>,
    listed: usize,
}

impl Answer {
    fn new(question: &[Part]) -> Self {
        let nothing = |part: &Part| vec![Part::skip(part.upper)];
        Self {
            parts: question.iter().map(nothing).collect(),
            listed: 0,
        }
    }

    /// Nothing is to be said of this part, which we cannot compare.
    fn drop(&mut self, place: usize) {
        if let Some(of_place) = self.parts.get_mut(place) {
            of_place.clear();
        }
    }

    /// Says this of a part, if there is room for it.
    fn say(&mut self, place: usize, parts: Vec<Part>) {
        let Some(of_place) = self.parts.get_mut(place) else {
            return;
        };
        let former = core::mem::replace(of_place, parts);
        if merged(self.parts.iter().flatten().cloned()).len() > RECONCILE_PARTS_MAX
            && let Some(of_place) = self.parts.get_mut(place)
        {
            *of_place = former;
        }
    }

    /// Lists what is held of it.
    fn list(&mut self, place: usize, ids: impl Iterator<Item = ShortId>, upper: u64) {
        if self.listed < ANNOUNCE_MAX {
            let ids: Vec<ShortId> = ids.take(ANNOUNCE_MAX - self.listed).collect();
            self.listed += ids.len();
            let kind = PartKind::List(ids);
            self.say(place, vec![Part { upper, kind }]);
        }
    }

    fn finish(self) -> Vec<Part> {
        merged(self.parts.into_iter().flatten())
    }
}

/// The parts with those of which nothing is said joined; at the end nothing needs to be said of them.
fn merged(all: impl Iterator<Item = Part>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for part in all {
        match parts.last_mut() {
            Some(last) if last.kind == PartKind::Skip && part.kind == PartKind::Skip => {
                last.upper = part.upper;
            }
            _ => parts.push(part),
        }
    }
    parts.pop_if(|last| last.kind == PartKind::Skip);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(round: u64, step: u8, count: u64) -> Reconcile {
        Reconcile {
            round,
            step,
            after: 0,
            parts: (1..=count)
                .map(|upper| Part::fingerprint(upper * 100, 0))
                .collect(),
        }
    }

    #[test]
    fn every_part_comes_first_in_some_round() {
        let firsts: BTreeSet<usize> = (0..64)
            .map(|round| first_place(&question(round, 0, 16)))
            .collect();
        assert_eq!(firsts.len(), 16);
        assert_ne!(
            first_place(&question(0x0305, 0, 16)),
            first_place(&question(0x0305, 1, 16))
        );
        assert_eq!(first_place(&question(7, 0, 0)), 0);
    }

    #[test]
    fn an_answer_has_at_most_so_many_parts_wherever_it_begins() {
        let most = u64::try_from(RECONCILE_PARTS_MAX).unwrap();
        let asked = question(0, 0, most);
        for begin in [0, 20, RECONCILE_PARTS_MAX - 1] {
            let mut answer = Answer::new(&asked.parts);
            for place in (begin..RECONCILE_PARTS_MAX).chain(0..begin) {
                let lower = u64::try_from(place).unwrap() * 100;
                let parts = (1..=10).map(|n| Part::fingerprint(lower + n * 10, 0));
                answer.say(place, parts.collect());
            }
            let parts = answer.finish();
            assert!((RECONCILE_PARTS_MAX - 12..=RECONCILE_PARTS_MAX).contains(&parts.len()));
            assert!(parts.is_sorted_by(|a, b| a.upper < b.upper));
            let first = u64::try_from(begin).unwrap() * 100 + 10;
            assert!(
                parts.iter().any(|part| part.upper == first),
                "where it begins"
            );
        }
    }
}
