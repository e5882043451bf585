//! What is known of each connected peer as a neighbour in gossip: its place in masks, what it is to
//! be told, how much may be sent to it, and whether it is silent.
//!
//! A peer that was asked something answers within a few round trips. One that does not, three times in
//! a row, is *silent*: it keeps its link, because a machine that slept or a network that was cut may
//! come back, but it does not count as a peer until something is heard of it. (SWIM, Das, Gupta,
//! Motivala 2002, calls this suspicion; here nobody is told of it.)

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use dunlin_session::NodeId;

use super::conduct::{Conduct, Heartbeat};
use super::mask::{Mask, Slot};
use super::shares::Claim;
use crate::Instant;
use crate::bucket::TokenBucket;
use crate::config::OverlayConfig;
use crate::limits::{ANNOUNCEMENTS_PENDING_MAX, RECONCILE_BURST, RECONCILE_PER_SECOND};
use crate::peers::map::PeerMap;
use crate::planted::{self, Bug};
use crate::topics::Topics;
use crate::types::ShortId;

/// Questions in a row without an answer after which a peer is silent.
const UNANSWERED_MAX: u32 = 3;
/// How long an answer may take, while no round trip was measured.
const PATIENCE: Duration = Duration::from_millis(500);
/// The least and the most of it, and what is added to four round trips: the peer's own work.
const PATIENCE_MIN: Duration = Duration::from_millis(250);
const PATIENCE_MAX: Duration = Duration::from_secs(1);
const PATIENCE_EXTRA: Duration = Duration::from_millis(50);

/// A peer as a neighbour.
pub(crate) struct Neighbour {
    pub(crate) slot: Slot,
    /// Takes broadcasts.
    pub(crate) gossips: bool,
    /// Of which topics it wants them for its own application.
    pub(crate) topics: Topics,
    /// What it is to be told that we have, and whether it is to ask at once.
    pub(crate) announcements: Vec<(ShortId, bool)>,
    /// Something may be missing on either side: compare sets with it next.
    pub(crate) needs_comparison: bool,
    /// The driver's queue towards it is full.
    pub(crate) is_congested: bool,
    messages: TokenBucket,
    bytes: TokenBucket,
    burst: (u64, u64),
    /// The same for what it may send us, if it has our settings.
    its_messages: TokenBucket,
    its_bytes: TokenBucket,
    /// What of the broadcasts that it brings first comes before the excess of others.
    share: TokenBucket,
    comparisons: TokenBucket,
    heard_at: Instant,
    /// When the answer to the open question is overdue, and how many were not answered before.
    question: Option<(Instant, u32)>,
    is_silent: bool,
    /// It is nobody's parent here and is announced to, because of its conduct.
    pub(crate) is_barred: bool,
    pub(crate) conduct: Conduct,
}

/// What became of an overdue question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Overdue {
    /// Ask again; `true`: it is the first in a row, others may be gone as well.
    Again(bool),
    /// It has fallen silent.
    Silent,
}

impl Neighbour {
    fn new(now: Instant, slot: Slot, gossips: bool, config: &OverlayConfig) -> Self {
        // Half of what a peer with our settings admits: the rest is for everything else.
        let half = |number: u64| (number / 2).max(1);
        let (messages, bytes) = (config.messages, config.bytes);
        let burst = (half(messages.burst), half(bytes.burst));
        let messages = TokenBucket::new(now, half(messages.per_second), burst.0);
        let bytes = TokenBucket::new(now, half(bytes.per_second), burst.1);
        Self {
            slot,
            gossips,
            topics: Topics::All,
            announcements: Vec::new(),
            needs_comparison: false,
            is_congested: false,
            its_messages: messages.clone(),
            its_bytes: bytes.clone(),
            messages,
            bytes,
            burst,
            share: config.link_share.bucket(now),
            comparisons: TokenBucket::new(now, RECONCILE_PER_SECOND, RECONCILE_BURST),
            heard_at: now,
            question: None,
            is_silent: false,
            is_barred: false,
            conduct: Conduct::new(now),
        }
    }

    /// Whether broadcasts go to it.
    pub(crate) const fn takes_broadcasts(&self) -> bool {
        self.gossips && !self.is_silent
    }

    /// Whether it has not answered for long.
    pub(crate) const fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// Whether it may be a parent: neither barred nor suspended.
    pub(crate) const fn may_be_parent(&self) -> bool {
        !self.is_barred && !self.conduct.is_suspended()
    }

    /// Whether a copy of `len` bytes may be sent to it now; if so, it counts as sent.
    pub(crate) fn may_send(&mut self, now: Instant, len: usize, claim: Claim) -> bool {
        let len_tokens = u64::try_from(len).unwrap_or(u64::MAX);
        self.has_room(now, len, claim)
            && self.messages.take(now, 1)
            && self.bytes.take(now, len_tokens)
    }

    /// The same, and nothing is counted.
    pub(crate) fn has_room(&mut self, now: Instant, len: usize, claim: Claim) -> bool {
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        let (messages, bytes) = (claim.leaves(self.burst.0), claim.leaves(self.burst.1));
        !self.is_congested
            && self.messages.has(now, messages.saturating_add(1))
            && self.bytes.has(now, bytes.saturating_add(len))
    }

    /// It sent a copy of `len` bytes.
    pub(crate) fn on_copy(&mut self, now: Instant, len: usize) {
        self.its_messages.drain(now, 1);
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        self.its_bytes.drain(now, len);
    }

    /// Whether it has sent so much lately that it may not have been allowed to send us something else.
    /// An eighth is for what it takes copies to come here.
    pub(crate) fn is_spent(&mut self, now: Instant) -> bool {
        let enough = |burst: u64| Claim::Surplus.leaves(burst) + Claim::Fair.leaves(burst);
        let (messages, bytes) = (enough(self.burst.0), enough(self.burst.1));
        !self.its_messages.has(now, messages) || !self.its_bytes.has(now, bytes)
    }

    /// What it may still bring as its share.
    pub(crate) fn share(&mut self) -> &mut TokenBucket {
        &mut self.share
    }

    /// Notes that it is to be told of a broadcast; beyond the limit a comparison of sets will tell.
    pub(crate) fn announce_later(&mut self, id: ShortId, ask_at_once: bool) {
        if self.announcements.len() < ANNOUNCEMENTS_PENDING_MAX {
            self.announcements.push((id, ask_at_once));
        } else {
            self.needs_comparison = true;
        }
    }

    /// Whether one more comparison that it began is within its rate.
    pub(crate) fn admit_comparison(&mut self, now: Instant) -> bool {
        self.comparisons.take(now, 1)
    }

    /// It was asked something that is answered at once.
    fn on_asked(&mut self, now: Instant, rtt: Option<Duration>) {
        if self.question.is_none() && !self.is_silent {
            self.question = Some((now + patience(rtt), 0));
        }
    }

    /// Something came from it. True: it was silent before.
    pub(crate) fn on_heard(&mut self, now: Instant) -> bool {
        self.heard_at = now;
        self.question = None;
        core::mem::take(&mut self.is_silent)
    }

    /// What the heartbeat that ends comes to. Nothing yet as long as nothing was heard since it was last
    /// relied upon: then its link may be gone, which is no fault of it.
    pub(crate) fn end_heartbeat(&mut self, now: Instant) -> Option<Heartbeat> {
        let relied_at = self.conduct.relied_at;
        let is_heard = relied_at.is_none_or(|at| self.heard_at >= at);
        is_heard.then(|| self.conduct.take(now))?
    }

    /// Whether nothing was asked or heard lately.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        let quiet = now.saturating_duration_since(self.heard_at);
        self.question.is_none() && !self.is_silent && quiet >= PATIENCE_MAX
    }

    /// What an overdue question means, if there is one.
    fn overdue(&mut self, now: Instant, rtt: Option<Duration>) -> Option<Overdue> {
        let (_, unanswered) = self.question.take_if(|(due, _)| *due <= now)?;
        let unanswered = unanswered + 1;
        if unanswered >= UNANSWERED_MAX {
            if planted::is(Bug::SilenceNotNoticed) {
                return None;
            }
            self.is_silent = true;
            self.conduct.forget(now);
            return Some(Overdue::Silent);
        }
        self.question = Some((now + patience(rtt), unanswered));
        Some(Overdue::Again(unanswered == 1))
    }
}

/// How long the answer to a question may take: four round trips and a little.
fn patience(rtt: Option<Duration>) -> Duration {
    rtt.map_or(PATIENCE, |rtt| {
        rtt.saturating_mul(4)
            .saturating_add(PATIENCE_EXTRA)
            .clamp(PATIENCE_MIN, PATIENCE_MAX)
    })
}

/// The connected peers.
#[derive(Default)]
pub(crate) struct Neighbours {
    entries: PeerMap<Neighbour>,
    slots: Mask,
    /// Who holds each slot.
    holders: BTreeMap<Slot, NodeId>,
    /// Those that owe an answer: few of them.
    asked: BTreeSet<NodeId>,
    silent: usize,
}

impl Neighbours {
    /// A peer is connected. Its slot; `None`: it is known, or there is no slot left, which the limit
    /// of connected peers prevents.
    pub(crate) fn add(
        &mut self,
        now: Instant,
        peer: NodeId,
        gossips: bool,
        config: &OverlayConfig,
    ) -> Option<Slot> {
        if self.entries.contains_key(&peer) {
            return None;
        }
        let slot = self.slots.first_free()?;
        self.slots.set(slot, true);
        self.holders.insert(slot, peer);
        self.entries
            .insert(peer, Neighbour::new(now, slot, gossips, config));
        Some(slot)
    }

    /// A peer is gone. Its former slot.
    pub(crate) fn remove(&mut self, peer: &NodeId) -> Option<Slot> {
        let neighbour = self.entries.remove(peer)?;
        self.silent -= usize::from(neighbour.is_silent);
        self.slots.set(neighbour.slot, false);
        self.holders.remove(&neighbour.slot);
        self.asked.remove(peer);
        Some(neighbour.slot)
    }

    /// One of them was barred: the others are watched.
    pub(crate) fn watch_all_but(&mut self, peer: &NodeId) {
        for (other, neighbour) in self.entries.iter_mut() {
            if other != peer {
                neighbour.conduct.on_watch();
            }
        }
    }

    /// These are watched.
    pub(crate) fn watch(&mut self, slots: &BTreeSet<Slot>) {
        for neighbour in self.entries.values_mut() {
            if slots.contains(&neighbour.slot) {
                neighbour.conduct.on_watch();
            }
        }
    }

    /// One of them.
    pub(crate) fn get(&self, peer: &NodeId) -> Option<&Neighbour> {
        self.entries.get(peer)
    }

    /// One of them.
    pub(crate) fn get_mut(&mut self, peer: &NodeId) -> Option<&mut Neighbour> {
        self.entries.get_mut(peer)
    }

    /// Who holds a slot.
    pub(crate) fn holder(&self, slot: Slot) -> Option<NodeId> {
        self.holders.get(&slot).copied()
    }

    /// All of them, by ID.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, &Neighbour)> {
        self.entries.iter().map(|(&id, neighbour)| (id, neighbour))
    }

    /// All of them, by ID.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (NodeId, &mut Neighbour)> {
        self.entries
            .iter_mut()
            .map(|(&id, neighbour)| (id, neighbour))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many of them are silent.
    pub(crate) const fn silent(&self) -> usize {
        self.silent
    }

    /// A peer was asked something that is answered at once.
    pub(crate) fn on_asked(&mut self, now: Instant, peer: NodeId, rtt: Option<Duration>) {
        if let Some(neighbour) = self.entries.get_mut(&peer) {
            neighbour.on_asked(now, rtt);
            if neighbour.question.is_some() {
                self.asked.insert(peer);
            }
        }
    }

    /// Something came from a peer. True: it was silent before.
    pub(crate) fn on_heard(&mut self, now: Instant, peer: &NodeId) -> bool {
        let Some(neighbour) = self.entries.get_mut(peer) else {
            return false;
        };
        if neighbour.question.is_some() {
            self.asked.remove(peer);
        }
        let was_silent = neighbour.on_heard(now);
        self.silent -= usize::from(was_silent);
        was_silent
    }

    /// The peers that owe an answer, and what that means.
    pub(crate) fn overdue(
        &mut self,
        now: Instant,
        rtt: impl Fn(&NodeId) -> Option<Duration>,
    ) -> Vec<(NodeId, Overdue)> {
        let mut all = Vec::new();
        for &peer in &self.asked {
            if let Some(neighbour) = self.entries.get_mut(&peer)
                && let Some(overdue) = neighbour.overdue(now, rtt(&peer))
            {
                self.silent += usize::from(overdue == Overdue::Silent);
                all.push((peer, overdue));
            }
        }
        let entries = &self.entries;
        let is_open = |of: &Neighbour| of.question.is_some();
        self.asked
            .retain(|peer| entries.get(peer).is_some_and(is_open));
        all
    }

    /// When the next answer is overdue.
    pub(crate) fn next_overdue(&self) -> Option<Instant> {
        let asked = self.asked.iter();
        let questions = asked.filter_map(|peer| self.entries.get(peer)?.question);
        questions.map(|(due, _)| due).min()
    }

    /// Whether exactly those that owe an answer are listed so.
    pub(crate) fn is_consistent(&self) -> bool {
        let owe = self.entries.iter().filter(|(_, of)| of.question.is_some());
        owe.map(|(peer, _)| peer).eq(&self.asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WallClock;

    fn config() -> OverlayConfig {
        OverlayConfig::new(WallClock {
            at: Instant::ZERO,
            unix_millis: 0,
        })
    }

    fn peer(n: u8) -> NodeId {
        NodeId::from_bytes([n; 32])
    }

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    fn one() -> Neighbours {
        let mut neighbours = Neighbours::default();
        assert_eq!(neighbours.add(at(0), peer(1), true, &config()), Some(0));
        neighbours
    }

    #[test]
    fn a_peer_falls_silent_after_three_questions_and_comes_back_with_a_word() {
        let mut neighbours = one();
        let rtt = |_: &NodeId| Some(Duration::from_millis(50));
        neighbours.on_asked(at(0), peer(1), rtt(&peer(1)));
        let asked_once = neighbours.next_overdue();
        neighbours.on_asked(at(100), peer(1), None);
        assert_eq!(
            neighbours.next_overdue(),
            asked_once,
            "one question is open"
        );
        assert_eq!(asked_once, Some(at(250)));
        assert_eq!(neighbours.overdue(at(249), rtt), []);
        assert_eq!(
            neighbours.overdue(at(250), rtt),
            [(peer(1), Overdue::Again(true))]
        );
        assert_eq!(
            neighbours.overdue(at(500), rtt),
            [(peer(1), Overdue::Again(false))]
        );
        assert_eq!(
            neighbours.overdue(at(750), rtt),
            [(peer(1), Overdue::Silent)]
        );
        assert_eq!((neighbours.silent(), neighbours.next_overdue()), (1, None));
        assert!(neighbours.on_heard(at(800), &peer(1)));
        assert!(!neighbours.on_heard(at(801), &peer(1)));
        assert_eq!(neighbours.silent(), 0);
    }

    #[test]
    fn slots_are_given_again_and_silence_is_not_inherited() {
        let mut neighbours = one();
        assert_eq!(neighbours.add(at(0), peer(1), true, &config()), None);
        assert_eq!(neighbours.add(at(0), peer(2), true, &config()), Some(1));
        neighbours.get_mut(&peer(1)).unwrap().is_silent = true;
        neighbours.silent = 1;
        assert_eq!(neighbours.remove(&peer(1)), Some(0));
        assert_eq!(neighbours.silent(), 0);
        assert_eq!(neighbours.holder(0), None);
        assert_eq!(neighbours.add(at(0), peer(3), true, &config()), Some(0));
        assert_eq!((neighbours.holder(0), neighbours.len()), (Some(peer(3)), 2));
    }

    #[test]
    fn announcements_beyond_the_limit_become_a_comparison() {
        let mut neighbours = one();
        let neighbour = neighbours.get_mut(&peer(1)).unwrap();
        for _ in 0..ANNOUNCEMENTS_PENDING_MAX {
            neighbour.announce_later(ShortId::MIN, false);
        }
        assert!(!neighbour.needs_comparison);
        neighbour.announce_later(ShortId::MIN, false);
        assert!(neighbour.needs_comparison);
        assert_eq!(neighbour.announcements.len(), ANNOUNCEMENTS_PENDING_MAX);
    }

    #[test]
    fn surplus_uses_half_of_the_rate_and_only_what_is_urgent_the_last_of_it() {
        let mut neighbours = one();
        let neighbour = neighbours.get_mut(&peer(1)).unwrap();
        let burst = config().messages.burst / 2;
        let mut sent = |claim| {
            let sent = (0..burst).filter(|_| neighbour.may_send(at(0), 1, claim));
            u64::try_from(sent.count()).unwrap()
        };
        assert_eq!(sent(Claim::Surplus), burst / 2);
        assert_eq!(sent(Claim::Fair), burst / 2 - burst / 8);
        assert_eq!(sent(Claim::Surplus), 0);
        assert!(neighbour.has_room(at(0), 1, Claim::Urgent));
        neighbour.is_congested = true;
        assert!(!neighbour.may_send(at(0), 1, Claim::Urgent));
    }

    #[test]
    fn who_has_sent_what_it_may_is_spent_and_recovers() {
        let mut neighbours = one();
        let neighbour = neighbours.get_mut(&peer(1)).unwrap();
        let burst = config().messages.burst / 2;
        // Of what it may send, three eighths are spent when surplus of the sender is near its end.
        (0..burst * 3 / 8).for_each(|_| neighbour.on_copy(at(0), 1));
        assert!(!neighbour.is_spent(at(0)));
        neighbour.on_copy(at(0), 1);
        assert!(neighbour.is_spent(at(0)) && !neighbour.is_spent(at(100)));
        let bytes = usize::try_from(config().bytes.burst).unwrap();
        neighbour.on_copy(at(100), bytes);
        assert!(neighbour.is_spent(at(100)));
    }
}
