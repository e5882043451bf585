//! Who does not answer, and what follows from it.
//!
//! Every comparison of sets, every question for a missing broadcast and every ping is answered at
//! once. Three in a row without an answer, each for four round trips, and the peer is *silent*: it
//! keeps its link, but it is pushed nothing, its places in trees go to backups, another peer is
//! dialled in its stead and its place is free for others. The first unanswered question is reason
//! to ask every other peer that was not heard lately: those that fall together are noticed together.

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::event::Event;
use crate::gossip::neighbours::Overdue;
use crate::wire::{Message, Ping};

impl Overlay {
    /// Links that are of use: all but those of silent peers.
    pub(super) fn usable_links(&self) -> usize {
        self.live
            .len()
            .saturating_sub(self.gossip.neighbours.silent())
    }

    /// Something came from a peer.
    pub(super) fn on_heard(&mut self, now: Instant, peer: NodeId) {
        if self.gossip.neighbours.on_heard(now, &peer) {
            self.out.event(Event::PeerSilent {
                peer,
                is_silent: false,
            });
            if let Some(neighbour) = self.gossip.neighbours.get_mut(&peer) {
                neighbour.needs_comparison = true;
            }
            self.gossip.next_round = now;
        }
    }

    /// A peer was sent what it answers at once.
    pub(super) fn note_question(&mut self, now: Instant, peer: NodeId) {
        let rtt = self.rtt_of(peer);
        self.gossip.neighbours.on_asked(now, peer, rtt);
    }

    fn rtt_of(&self, peer: NodeId) -> Option<core::time::Duration> {
        let live = self.live.get(&peer)?;
        let nanos = live.ping.smoothed_rtt_nanos?;
        Some(core::time::Duration::from_nanos(nanos))
    }

    /// Looks after questions that were not answered.
    pub(super) fn probe_overdue(&mut self, now: Instant) {
        let next = self.gossip.neighbours.next_overdue();
        if next.is_none_or(|due| due > now) {
            return;
        }
        let live = &self.live;
        let rtt = |peer: &NodeId| {
            let nanos = live.get(peer)?.ping.smoothed_rtt_nanos?;
            Some(core::time::Duration::from_nanos(nanos))
        };
        let overdue = self.gossip.neighbours.overdue(now, rtt);
        let mut alarmed = false;
        for (peer, what) in overdue {
            match what {
                Overdue::Again(is_first) => {
                    alarmed |= is_first;
                    self.probe(now, peer);
                }
                Overdue::Silent => self.on_silent(now, peer),
            }
        }
        if alarmed {
            let idle = self
                .gossip
                .neighbours
                .iter()
                .filter(|(_, of)| of.is_idle(now));
            let idle: Vec<NodeId> = idle.map(|(peer, _)| peer).collect();
            for peer in idle {
                self.probe(now, peer);
                self.note_question(now, peer);
            }
        }
    }

    /// Sends a ping: the one that is on its way anyway, or a new one.
    fn probe(&mut self, now: Instant, peer: NodeId) {
        let fresh = self.rng.next_u64();
        let deadline = now + self.config.ping_timeout;
        let Some(live) = self.live.get_mut(&peer) else {
            return;
        };
        let ping = live.ping.outstanding.get_or_insert((fresh, now, deadline));
        let nonce = ping.0;
        self.send_message(peer, &Message::Ping(Ping { nonce }));
    }

    fn on_silent(&mut self, now: Instant, peer: NodeId) {
        self.counters.silences += 1;
        self.out.event(Event::PeerSilent {
            peer,
            is_silent: true,
        });
        self.note_silence(now, peer);
        let slot = self.gossip.neighbours.get(&peer).map(|of| of.slot);
        if let Some(slot) = slot {
            self.on_slot_lost(slot);
        }
    }
}
