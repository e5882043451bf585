//! Fetching what was announced and has not come, and serving who asks.

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::error::{DecodeError, PeerViolation};
use crate::gossip::neighbours::Neighbour;
use crate::gossip::shares::Claim;
use crate::limits::{WANT_MAX, WANTS_PER_PEER_MAX};
use crate::planted::{self, Bug};
use crate::types::ShortId;
use crate::wire::{Announce, Message, Want, announced, joined_ids, short_ids};

impl Overlay {
    /// A neighbour says what it has.
    pub(super) fn on_announce(&mut self, now: Instant, peer: NodeId, announce: &Announce<'_>) {
        let pushed = announced(announce.pushed);
        let offered = short_ids(announce.offered, crate::limits::ANNOUNCE_MAX);
        let (Some(pushed), Some(offered)) = (pushed, offered) else {
            return self.on_malformed_list(now, peer);
        };
        let graft_at = now + self.config.graft_after;
        self.on_word(&peer);
        for (key, age_millis) in pushed {
            self.note_announced(now, peer, key);
            if self.gossip.store.get(&key).is_some() {
                self.consider_shortcut(now, peer, key, age_millis);
                self.audit_perhaps(now, peer, key);
            } else {
                self.on_lacking(now, peer, key, (graft_at, true), WANTS_PER_PEER_MAX);
            }
        }
        for key in offered {
            self.on_lacking(now, peer, key, (now, false), WANTS_PER_PEER_MAX);
        }
        self.ask_for_missing(now);
    }

    /// A neighbour has this; if it is new here, it is asked for at `due`, should it not come before, unless
    /// `most` are to be asked of that neighbour already.
    pub(super) fn on_lacking(
        &mut self,
        now: Instant,
        peer: NodeId,
        key: ShortId,
        (due, grafts): (Instant, bool),
        most: usize,
    ) {
        let gossip = &mut self.gossip;
        let slot = gossip.neighbours.get(&peer).map(|of| of.slot);
        if let (Some(held), Some(slot)) = (gossip.store.get_mut(&key), slot) {
            held.known_by.set(slot, true);
        } else if !self.seen.has(&key)
            && (gossip.declined.has(now, &key)
                || !gossip.wants.announced(key, peer, (due, grafts), most))
        {
            self.counters.announcements_ignored += 1;
        }
    }

    /// Asks for what has not come in time.
    pub(super) fn ask_for_missing(&mut self, now: Instant) {
        if self.gossip.wants.next_due().is_none_or(|due| due > now) {
            return;
        }
        let (gossip, patience) = (&mut self.gossip, self.config.want_timeout);
        let neighbours = &gossip.neighbours;
        let is_alive = |peer: &NodeId| neighbours.get(peer).is_some_and(|of| of.takes_broadcasts());
        let is_preferred =
            |peer: &NodeId| neighbours.get(peer).is_some_and(Neighbour::may_be_parent);
        let (mut questions, in_vain) = gossip.wants.ask(now, patience, is_alive, is_preferred);
        if planted::is(Bug::MissingNotAskedFor) {
            return;
        }
        self.note_broken(now, in_vain);
        self.counters.asked_for += questions.len() as u64;
        questions.sort_by_key(|question| (question.peer, question.grafts));
        for of_one in questions.chunk_by(|a, b| (a.peer, a.grafts) == (b.peer, b.grafts)) {
            for some in of_one.chunks(WANT_MAX) {
                let ids: Vec<ShortId> = some.iter().map(|question| question.id).collect();
                let Some(first) = some.first() else { continue };
                let ids = joined_ids(&ids);
                let want = Want {
                    ids: &ids,
                    graft: first.grafts,
                };
                self.send_message(first.peer, &Message::Want(want));
                self.note_question(now, first.peer);
            }
        }
    }

    /// A neighbour asks for broadcasts. What is not held, or exceeds what may be sent to it, it has
    /// to ask of somebody else.
    pub(super) fn on_want(&mut self, now: Instant, peer: NodeId, want: &Want<'_>) {
        let Some(keys) = short_ids(want.ids, WANT_MAX) else {
            return self.on_malformed_list(now, peer);
        };
        if want.graft {
            self.graft_for(peer, &keys);
        }
        for key in keys {
            self.excuse(peer, key);
            let gossip = &mut self.gossip;
            let held = gossip.store.get_mut(&key).filter(|held| !held.is_pending);
            let (Some(held), Some(neighbour)) = (held, gossip.neighbours.get_mut(&peer)) else {
                continue;
            };
            let claim = match (held.is_fair, held.is_offered) {
                (true, false) => Claim::Urgent,
                (true, true) => Claim::Fair,
                (false, _) => Claim::Surplus,
            };
            if !neighbour.may_send(now, held.message.len(), claim) {
                continue;
            }
            held.known_by.set(neighbour.slot, true);
            let message = held.message.clone();
            self.counters.served += 1;
            self.send_bytes(peer, message);
        }
    }

    /// Who asks for these is pushed what comes of their origins from now on.
    fn graft_for(&mut self, peer: NodeId, keys: &[ShortId]) {
        let neighbour = self.gossip.neighbours.get(&peer);
        let Some(neighbour) = neighbour.filter(|of| !of.is_barred) else {
            return;
        };
        let slot = neighbour.slot;
        let held = keys.iter().filter_map(|key| self.gossip.store.get(key));
        let held = held.filter(|held| !held.is_pending);
        let origins: Vec<NodeId> = held.map(|held| held.origin).collect();
        self.on_grafted(slot, origins);
    }

    /// A list whose length is no multiple of its entries', or above its limit.
    pub(super) fn on_malformed_list(&mut self, now: Instant, peer: NodeId) {
        let violation = PeerViolation::Malformed(DecodeError::Schema);
        self.on_violation(now, peer, violation);
    }
}
