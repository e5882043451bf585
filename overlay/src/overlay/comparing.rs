//! Finding out what was missed: once in a while two neighbours compare what they have seen.
//!
//! The comparison narrows down on ranges of time in which they differ ([`crate::gossip::reconcile`]).
//! Short ranges are listed; what a list has and we have not is fetched, what we have and it has not
//! is announced. So whatever one living node holds reaches all that it is connected with, however
//! the announcements were lost.

use core::time::Duration;

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::gossip::reconcile::{fingerprint, members, split};
use crate::limits::{ANNOUNCE_MAX, BROADCAST_AGE_MAX, RECONCILE_PARTS_MAX, RECONCILE_STEPS_MAX};
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
        let mut answer = Answer::default();
        let mut lower = theirs.after;
        for part in &theirs.parts {
            let from = lower.max(after);
            lower = part.upper;
            if part.upper <= from {
                continue;
            }
            match &part.kind {
                PartKind::Skip => answer.skip(part.upper),
                PartKind::Fingerprint(fingerprint) => {
                    self.answer_range(&mut answer, (from, part.upper), *fingerprint, theirs.round);
                }
                PartKind::List(ids) => {
                    self.on_listed(now, peer, (from, part.upper), ids);
                    answer.skip(part.upper);
                }
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
    fn answer_range(&self, answer: &mut Answer, (from, upper): (u64, u64), theirs: u64, salt: u64) {
        let seen = self.seen.by_time();
        let ids = members(seen, from, upper).map(|(_, id)| id);
        if fingerprint(ids, salt) == theirs {
            return answer.skip(upper);
        }
        match split(seen, from, upper, salt) {
            Some(parts) => answer.extend(parts, upper),
            None => {
                let held = self.gossip.store.range(from, upper);
                answer.list(held.map(|(key, _)| key), upper);
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
                self.on_lacking(peer, key, now + self.config.graft_after, false);
            }
        }
        let gossip = &mut self.gossip;
        let Some(neighbour) = gossip.neighbours.get_mut(&peer) else {
            return;
        };
        for (key, held) in gossip.store.range(from, upper) {
            if held.origin != peer && !ids.contains(&key) {
                neighbour.announce_later(key, true);
                gossip.flush_at = Some(now);
            }
        }
    }
}

/// An answer in the making.
#[derive(Default)]
struct Answer {
    parts: Vec<Part>,
    listed: usize,
}

impl Answer {
    fn skip(&mut self, upper: u64) {
        match self.parts.last_mut() {
            Some(last) if last.kind == PartKind::Skip => last.upper = upper,
            _ => self.parts.push(Part::skip(upper)),
        }
    }

    /// Adds fingerprints, if there is room for them (and for what may follow).
    fn extend(&mut self, parts: Vec<Part>, upper: u64) {
        if self.parts.len() + parts.len() < RECONCILE_PARTS_MAX {
            self.parts.extend(parts);
        } else {
            self.skip(upper);
        }
    }

    fn list(&mut self, ids: impl Iterator<Item = ShortId>, upper: u64) {
        if self.parts.len() + 1 >= RECONCILE_PARTS_MAX || self.listed >= ANNOUNCE_MAX {
            return self.skip(upper);
        }
        let ids: Vec<ShortId> = ids.take(ANNOUNCE_MAX - self.listed).collect();
        self.listed += ids.len();
        let kind = PartKind::List(ids);
        self.parts.push(Part { upper, kind });
    }

    fn finish(mut self) -> Vec<Part> {
        while self.parts.len() > RECONCILE_PARTS_MAX
            || self
                .parts
                .last()
                .is_some_and(|last| last.kind == PartKind::Skip)
        {
            self.parts.pop();
        }
        self.parts
    }
}
