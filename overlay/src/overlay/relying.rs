//! What neighbours do when they are relied upon: who brings what, who withholds it, who is excused, who
//! is tested.
//!
//! A parent that did not push a broadcast may have lacked it as well, because somebody above it withheld
//! it. So blame counts only in the heartbeat after the one in which it arose, and whoever shows
//! meanwhile that it lacked the broadcast, or that it means to announce and not to push, is excused: it
//! asks for it, it announces it, or its copy comes soon after the one that was fetched. An honest node
//! always does one of these; who takes a copy that it lacked from a neighbour that it would push to
//! says so at once.

use core::time::Duration;

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::gossip::conduct::Heartbeat;
use crate::gossip::mask::Slot;
use crate::planted::{self, Bug};
use crate::reputation::evidence::{self, Component, Evidence};
use crate::types::ShortId;
use crate::wire::{Announce, Message, Want, joined_announced, joined_ids};

/// A parent that was relied upon so lately need not be tested.
const PARENT_EVERY: Duration = Duration::from_secs(2);
/// Nor need anybody else, on whom nothing depends. Who is barred comes back by passing such tests: after
/// minutes of good conduct.
const OTHER_EVERY: Duration = Duration::from_secs(20);
/// Larger broadcasts are not asked for twice.
const AUDIT_LEN_MAX: usize = 2_048;

impl Overlay {
    /// A neighbour leaves: what it did lately still counts.
    pub(super) fn close_conduct(&mut self, now: Instant, peer: NodeId) {
        // What is not past excuse, and then what is not counted yet.
        self.count_heartbeat(now, peer);
        self.count_heartbeat(now, peer);
    }

    /// Counts what neighbours did in the heartbeat before the one that ends.
    pub(super) fn count_heartbeats(&mut self, now: Instant) {
        let peers: Vec<NodeId> = self
            .gossip
            .neighbours
            .iter()
            .map(|(peer, _)| peer)
            .collect();
        for peer in peers {
            self.count_heartbeat(now, peer);
        }
        let parents = self.gossip.origins.parents();
        self.gossip.audits.on_heartbeat(parents);
    }

    fn count_heartbeat(&mut self, now: Instant, peer: NodeId) {
        let Some(neighbour) = self.gossip.neighbours.get_mut(&peer) else {
            return;
        };
        let (slot, was_barred) = (neighbour.slot, neighbour.is_barred);
        let might_be_parent = neighbour.may_be_parent();
        let Some(heartbeat) = neighbour.end_heartbeat(now) else {
            return;
        };
        if might_be_parent && !neighbour.may_be_parent() {
            self.dismiss(peer, slot);
        }
        let Heartbeat {
            favour,
            against,
            evidence,
        } = heartbeat;
        // Where one that used to serve is barred, the others may have turned as well. One that never served
        // says nothing of them, and names are free.
        let is_telling = !was_barred && self.reputations.has_served(&peer);
        self.weigh(now, peer, Component::Relay, (favour, against), evidence);
        let neighbours = &mut self.gossip.neighbours;
        if is_telling && neighbours.get(&peer).is_some_and(|of| of.is_barred) {
            neighbours.watch_all_but(&peer);
        }
        let served = against <= 0.0;
        let severity = if served {
            0.2
        } else {
            against / evidence::BROKEN / 2.0
        };
        self.weigh_trust(peer, served, severity);
    }

    /// A broadcast that is new came from `peer`. `asked`: who was asked for it last, and whether because
    /// the tree had not brought it. The parent that is blamed for that, if one is.
    pub(super) fn note_news(
        &mut self,
        now: Instant,
        peer: NodeId,
        origin: NodeId,
        key: ShortId,
        asked: Option<(Option<NodeId>, bool)>,
    ) -> Option<Slot> {
        self.gossip.audits.on_news();
        let weight = (evidence::VALID, 0.0);
        let valid = Evidence::ValidBroadcast;
        self.weigh(now, peer, Component::Validity, weight, valid);
        let asked_of = asked.and_then(|(of, _)| of);
        self.answer_news(now, peer, origin, key, asked_of);
        let neighbours = &mut self.gossip.neighbours;
        if (asked_of.is_none() || asked_of == Some(peer))
            && let Some(neighbour) = neighbours.get_mut(&peer)
        {
            neighbour.conduct.on_brought(now);
            if asked_of.is_some() {
                neighbour.conduct.on_kept();
            }
        }
        let was_missed = asked.is_some_and(|(of, grafts)| of.is_some() && grafts);
        if was_missed {
            self.gossip.audits.on_alarm();
        }
        let tree = self.gossip.origins.get_mut(&origin)?;
        // Of an origin at its rate the parent may have had to drop some.
        let is_owed = was_missed && !tree.is_strained(now);
        let parent = tree.parent.filter(|_| is_owed)?;
        let culprit = neighbours.holder(parent).filter(|&of| of != peer)?;
        let neighbour = neighbours.get_mut(&culprit)?;
        let is_excused = neighbour.conduct.has_announced(&key);
        let is_excused = is_excused || planted::is(Bug::WithheldNotCounted);
        if neighbour.is_silent() || neighbour.is_spent(now) || is_excused {
            return None;
        }
        neighbour.conduct.on_withheld(now);
        Some(parent)
    }

    /// Tells who brought what is new that it was lacking here, where that one would have been pushed to
    /// from here and may wonder; and says a word to who brings much and hears nothing.
    fn answer_news(
        &mut self,
        now: Instant,
        peer: NodeId,
        origin: NodeId,
        key: ShortId,
        asked_of: Option<NodeId>,
    ) {
        let Some(neighbour) = self.gossip.neighbours.get_mut(&peer) else {
            return;
        };
        let slot = neighbour.slot;
        let is_owed = neighbour.conduct.owes_a_word(1);
        let tree = self.gossip.origins.get(&origin);
        let is_child = tree.is_some_and(|tree| {
            tree.parent != Some(slot) && !tree.lazy.has(slot) && !tree.is_flooded()
        });
        if is_owed || (is_child && asked_of != Some(peer)) {
            self.say_that_it_is_here(now, peer, key);
        }
    }

    fn say_that_it_is_here(&mut self, now: Instant, peer: NodeId, key: ShortId) {
        let held = self.gossip.store.get(&key);
        let age = held.map_or(0, |held| {
            let age = now.saturating_duration_since(held.arrived).as_millis();
            u16::try_from(age).unwrap_or(u16::MAX)
        });
        if let Some(neighbour) = self.gossip.neighbours.get_mut(&peer) {
            neighbour.conduct.on_told(1);
        }
        let pushed = joined_announced(&[(key, age)]);
        let announce = Announce {
            pushed: &pushed,
            offered: &[],
        };
        self.send_message(peer, &Message::Announce(announce));
    }

    /// A neighbour announces this: it does not withhold it.
    pub(super) fn note_announced(&mut self, now: Instant, peer: NodeId, key: ShortId) {
        let Some(neighbour) = self.gossip.neighbours.get_mut(&peer) else {
            return;
        };
        neighbour.conduct.on_announced(key);
        let held = self.gossip.store.get(&key);
        let is_blamed = held.is_some_and(|held| held.blamed == Some(neighbour.slot));
        // Also where the application did not let it be passed on: its announcer has it.
        let is_here = held.is_some() || self.seen.has(&key);
        if is_here && neighbour.conduct.owes_a_word(1) {
            self.say_that_it_is_here(now, peer, key);
        }
        if is_blamed {
            self.excuse(peer, key);
        }
    }

    /// The parent that was blamed for a broadcast turns out to have lacked it as well.
    pub(super) fn excuse(&mut self, peer: NodeId, key: ShortId) {
        if planted::is(Bug::ParentNeverExcused) {
            return;
        }
        let gossip = &mut self.gossip;
        let neighbour = gossip.neighbours.get_mut(&peer);
        if let (Some(held), Some(neighbour)) = (gossip.store.get_mut(&key), neighbour)
            && held.blamed == Some(neighbour.slot)
        {
            held.blamed = None;
            neighbour.conduct.on_excused(held.arrived);
        }
    }

    /// So it does when its copy comes soon after: it had to fetch it, as we had.
    pub(super) fn excuse_if_soon(&mut self, now: Instant, peer: NodeId, key: ShortId) {
        let held = self.gossip.store.get(&key);
        let patience = self.config.graft_after;
        if held.is_some_and(|held| now < held.arrived + patience) {
            self.excuse(peer, key);
        }
    }

    /// Peers were asked for what they had announced, and have not brought it.
    pub(super) fn note_broken(&mut self, now: Instant, peers: impl IntoIterator<Item = NodeId>) {
        for peer in peers {
            self.counters.promises_broken += 1;
            self.gossip.audits.on_alarm();
            let mut is_strained = planted::is(Bug::BrokenPromiseForgiven);
            if let Some(traffic) = self.live.traffic_of(&peer) {
                traffic.counters.promises_broken += 1;
                is_strained |= traffic.meter.is_strained(now);
            }
            if !is_strained
                && let Some(neighbour) = self.gossip.neighbours.get_mut(&peer)
                && !neighbour.is_silent()
                && !neighbour.is_spent(now)
            {
                neighbour.conduct.on_broken(now);
            }
        }
    }

    /// A further copy came; if it was asked for as a test, the test is passed.
    pub(super) fn is_audit(&mut self, now: Instant, peer: NodeId, key: ShortId) -> bool {
        let is_audit = self.gossip.audits.on_copy(&key, peer);
        if is_audit && let Some(neighbour) = self.gossip.neighbours.get_mut(&peer) {
            neighbour.conduct.on_brought(now);
            neighbour.conduct.on_kept();
        }
        is_audit
    }

    /// A neighbour announces what is here: perhaps it is asked whether it would bring it.
    pub(super) fn audit_perhaps(&mut self, now: Instant, peer: NodeId, key: ShortId) {
        let gossip = &mut self.gossip;
        let Some(neighbour) = gossip.neighbours.get_mut(&peer) else {
            return;
        };
        let (slot, conduct) = (neighbour.slot, &neighbour.conduct);
        let is_on_probation = conduct.is_on_probation() && !neighbour.is_barred;
        if !is_on_probation && !conduct.is_watched() && !gossip.audits.may_begin() {
            return;
        }
        let has_places = gossip.audits.is_parent(slot);
        let is_owed = is_on_probation || (conduct.is_watched() && has_places);
        let pause = if has_places {
            PARENT_EVERY
        } else {
            OTHER_EVERY
        };
        let relied_at = conduct.relied_at;
        let is_chosen = is_owed || relied_at.is_none_or(|at| now >= at + pause);
        let held = gossip.store.get(&key);
        let is_short = held.is_some_and(|held| held.message.len() <= AUDIT_LEN_MAX);
        let patience = self.config.want_timeout;
        if !is_chosen || !is_short || !gossip.audits.begin(now, key, peer, patience, is_owed) {
            return;
        }
        self.counters.audits += 1;
        let ids = joined_ids(&[key]);
        let want = Want {
            ids: &ids,
            graft: false,
        };
        self.send_message(peer, &Message::Want(want));
        self.note_question(now, peer);
    }

    /// Tests that were not passed.
    pub(super) fn expire_audits(&mut self, now: Instant) {
        if self
            .gossip
            .audits
            .next_deadline()
            .is_some_and(|due| due <= now)
        {
            let late = self.gossip.audits.overdue(now);
            self.note_broken(now, late);
        }
    }

    /// A neighbour showed that it has a broadcast.
    pub(super) fn on_word(&mut self, peer: &NodeId) {
        if let Some(neighbour) = self.gossip.neighbours.get_mut(peer) {
            neighbour.conduct.on_word();
        }
    }
}
