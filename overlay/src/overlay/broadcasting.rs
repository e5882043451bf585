//! Broadcasts: signed once by the origin, checked by every hop, delivered once.
//!
//! The order of the checks matters: rate, schema and hop limit, deduplication, signature, the
//! origin's own rate; and only what passes is marked as seen, so that a forged copy which comes
//! first does not suppress the genuine one. What is new is held for neighbours that lack it and
//! passed on ([`super::relaying`]), at once or when the application accepts it.

use bytes::Bytes;
use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::config::{Handlers, Validation};
use crate::error::{OverlayError, PeerViolation};
use crate::event::Event;
use crate::gossip::mask::{Mask, Slot};
use crate::gossip::neighbours::Neighbour;
use crate::gossip::seen::Seen;
use crate::gossip::shares;
use crate::gossip::store::Held;
use crate::limits::{BROADCAST_AGE_MAX, BROADCAST_PAYLOAD_LEN_MAX};
use crate::planted::{self, Bug};
use crate::types::{BroadcastId, Priority, is_valid_name};
use crate::wire::{
    BroadcastBody, BroadcastFrame, CheckedBroadcast, Message, check_broadcast, sign_broadcast,
};

impl Overlay {
    /// Sends `payload` to every node of the network that hears us, under `topic`. `unix_millis` is
    /// the time of now in milliseconds since the Unix epoch; receivers refuse what is ten minutes
    /// old or two minutes ahead. Whoever is connected later, within that time and while we hold it,
    /// gets it then.
    ///
    /// # Errors
    /// An invalid topic, a payload past [`BROADCAST_PAYLOAD_LEN_MAX`], too many broadcasts a second
    /// ([`crate::OverlayConfig::broadcasts`]), or after [`Overlay::shutdown`].
    pub fn broadcast(
        &mut self,
        now: Instant,
        unix_millis: u64,
        topic: &str,
        payload: &[u8],
    ) -> Result<BroadcastId, OverlayError> {
        self.broadcast_as(now, unix_millis, topic, payload, Priority::Normal)
    }

    /// The same with another priority than [`Priority::Normal`].
    ///
    /// # Errors
    /// As [`Self::broadcast`].
    pub fn broadcast_as(
        &mut self,
        now: Instant,
        unix_millis: u64,
        topic: &str,
        payload: &[u8],
        priority: Priority,
    ) -> Result<BroadcastId, OverlayError> {
        self.check_outgoing(topic, payload, BROADCAST_PAYLOAD_LEN_MAX)?;
        if !self.own_broadcasts.take(now, 1) {
            return Err(OverlayError::TooFast);
        }
        self.sequence += 1;
        let (body, signature) = sign_broadcast(
            &self.identity,
            &BroadcastBody {
                network: &self.config.network,
                origin: self.identity.public().to_bytes(),
                unix_millis,
                epoch: self.epoch,
                sequence: self.sequence,
                hop_limit: self.config.hop_limit,
                topic,
                payload,
                priority: (priority != Priority::Normal).then(|| priority.code()),
            },
        );
        let id = BroadcastId::of_body(&body);
        self.seen.insert(unix_millis, id);
        self.counters.broadcasts_sent += 1;
        let frame = BroadcastFrame {
            hops: 1,
            body: &body,
            signature,
        };
        let is_offered = self.is_offered(priority, payload.len());
        self.find_tree(now, self.me);
        let message = Message::Broadcast(frame).encode_to_keep();
        let is_fair = self.is_fair(now, self.me, None, message.len());
        self.hold(Held {
            id,
            unix_millis,
            origin: self.me,
            message,
            arrived: now,
            from: None,
            known_by: Mask::default(),
            blamed: None,
            priority,
            is_fair,
            is_offered,
            is_pending: false,
        });
        self.spread(now, id.short());
        Ok(id)
    }

    /// What every outgoing message of the application must satisfy.
    pub(super) fn check_outgoing(
        &self,
        name: &str,
        payload: &[u8],
        max: usize,
    ) -> Result<(), OverlayError> {
        if self.shutting_down {
            Err(OverlayError::ShuttingDown)
        } else if !is_valid_name(name) {
            Err(OverlayError::InvalidName)
        } else if payload.len() > max {
            Err(OverlayError::PayloadTooLong {
                len: payload.len(),
                max,
            })
        } else {
            Ok(())
        }
    }

    /// Whether such a broadcast is announced instead of pushed.
    fn is_offered(&self, priority: Priority, payload_len: usize) -> bool {
        priority == Priority::Low || payload_len > self.config.announce_above
    }

    /// A peer hands us a broadcast.
    pub(super) fn on_broadcast(&mut self, now: Instant, peer: NodeId, frame: BroadcastFrame<'_>) {
        let unix_millis_now = self.unix_millis(now);
        self.on_word(&peer);
        if let Some(neighbour) = self.gossip.neighbours.get_mut(&peer) {
            neighbour.on_copy(now, frame.body.len());
        }
        let checked = match check_broadcast(frame, &self.config.network, unix_millis_now) {
            Ok(Some(checked)) => checked,
            Ok(None) => {
                self.counters.broadcasts_stale += 1;
                return;
            }
            Err(violation) => {
                self.counters.broadcasts_invalid += 1;
                return self.on_violation(now, peer, violation);
            }
        };
        let id = BroadcastId::of_body(frame.body);
        let unix_millis = checked.body().unix_millis;
        match self.seen.lookup(unix_millis, id) {
            Seen::New => {}
            // A copy that was asked for as a test has to be genuine, other ones are not looked at.
            Seen::Duplicate
                if self.gossip.audits.is_asked(&id.short(), peer)
                    && checked.verify(&*self.signatures).is_none() =>
            {
                self.counters.broadcasts_invalid += 1;
                return self.on_violation(now, peer, PeerViolation::BroadcastSignature);
            }
            Seen::Duplicate => return self.on_duplicate(now, peer, id),
            Seen::BelowFloor => {
                self.counters.broadcasts_stale += 1;
                return;
            }
        }
        if planted::is(Bug::SeenBeforeVerified) {
            self.seen.insert(unix_millis, id);
        }
        let Some(origin) = checked.verify(&*self.signatures) else {
            self.counters.broadcasts_invalid += 1;
            return self.on_violation(now, peer, PeerViolation::BroadcastSignature);
        };
        let origin = origin.node_id();
        if self.is_admitted(now, peer, origin) {
            self.on_news(now, peer, id, origin, &checked);
        } else {
            // Who was asked for it has brought it; that it was not wanted is not its fault.
            self.gossip.wants.arrived(&id.short());
            self.gossip.declined.insert(now, id.short());
        }
    }

    /// Whether one more broadcast of this origin, through this peer, is taken now. If not, it is as
    /// if it had not come: it is not seen, and may come later.
    fn is_admitted(&mut self, now: Instant, peer: NodeId, origin: NodeId) -> bool {
        let waits = self.config.validation != Validation::None;
        if waits && !self.gossip.validations.has_room(peer, origin) {
            self.counters.validations_refused += 1;
            return false;
        }
        let is_admitted = self
            .find_tree(now, origin)
            .is_none_or(|tree| tree.admit(now));
        self.counters.broadcasts_over_rate += u64::from(!is_admitted);
        is_admitted
    }

    /// Whether a broadcast is within the shares of its origin and of the neighbour that brought it first.
    /// An origin without a tree has no share.
    fn is_fair(&mut self, now: Instant, origin: NodeId, from: Option<NodeId>, len: usize) -> bool {
        let gossip = &mut self.gossip;
        let bringer = from.and_then(|peer| gossip.neighbours.get_mut(&peer));
        let bringer = bringer.map(Neighbour::share);
        let is_fair = gossip
            .origins
            .get_mut(&origin)
            .is_some_and(|tree| shares::take(now, len, tree.share(), bringer));
        self.counters.broadcasts_over_share += u64::from(!is_fair);
        is_fair
    }

    /// Holds a broadcast for neighbours that lack it.
    fn hold(&mut self, held: Held) {
        for (unix_millis, id) in self.gossip.store.insert(held) {
            self.seen.let_go(unix_millis, id);
        }
    }

    /// A broadcast that is new here, and genuine.
    fn on_news(
        &mut self,
        now: Instant,
        peer: NodeId,
        id: BroadcastId,
        origin: NodeId,
        checked: &CheckedBroadcast<'_>,
    ) {
        let body = checked.body();
        self.seen.insert(body.unix_millis, id);
        self.counters.broadcasts_received += 1;
        if let Some(traffic) = self.live.traffic_of(&peer) {
            traffic.counters.first_deliveries += 1;
            traffic.counters.useful_deliveries += u64::from(origin != peer);
        }
        let slot = self.gossip.neighbours.get(&peer).map(|of| of.slot);
        let asked = self.gossip.wants.arrived(&id.short());
        let blamed = self.note_news(now, peer, origin, id.short(), asked);
        let from = self.parent_of_news(peer, slot, asked, origin);
        // Ours, from before a restart: neighbours kept it. It is passed on, not delivered.
        let is_ours = origin == self.me && !planted::is(Bug::OwnDelivered);
        let is_taken = self.is_taken(body.topic) && !is_ours;
        let waits = is_taken && self.hold_for_verdict(now, peer, id, origin);
        let priority = body.priority();
        let is_offered = self.is_offered(priority, body.payload.len());
        if let Some(next) = checked.next_hop() {
            let mut known_by = Mask::default();
            if let Some(slot) = slot.filter(|_| !planted::is(Bug::SentBackToSender)) {
                known_by.set(slot, true);
            }
            let message = Message::Broadcast(next).encode_to_keep();
            let is_fair = self.is_fair(now, origin, Some(peer), message.len());
            self.hold(Held {
                id,
                unix_millis: body.unix_millis,
                origin,
                message,
                arrived: now,
                from,
                known_by,
                blamed,
                priority,
                is_fair,
                is_offered,
                is_pending: waits,
            });
            if !waits {
                self.spread(now, id.short());
            }
        }
        if is_taken {
            self.out.event(Event::Broadcast {
                id,
                origin,
                topic: body.topic.to_owned(),
                payload: Bytes::copy_from_slice(body.payload),
                unix_millis: body.unix_millis,
                hops: checked.hops(),
                from: peer,
            });
        }
    }

    /// Notes through whom the origin's broadcasts come, unless this one was fetched for another
    /// reason than a broken tree. The slot of who pushed it.
    fn parent_of_news(
        &mut self,
        peer: NodeId,
        slot: Option<Slot>,
        asked: Option<(Option<NodeId>, bool)>,
        origin: NodeId,
    ) -> Option<Slot> {
        let is_fetched = asked.is_some_and(|(of, grafts)| of == Some(peer) && !grafts);
        let slot = slot.filter(|_| !is_fetched)?;
        if !self.may_be_parent(&peer) && peer != origin {
            // It serves, and is not relied upon: whoever brings the next copy is the parent.
            if asked.is_none() {
                self.prune(peer, origin);
            }
            return None;
        }
        if let Some(tree) = self.gossip.origins.get_mut(&origin) {
            tree.parent = Some(slot);
        }
        Some(slot)
    }

    /// One more copy of what was here: the link it came over is not needed for this origin.
    fn on_duplicate(&mut self, now: Instant, peer: NodeId, id: BroadcastId) {
        self.counters.broadcasts_duplicate += 1;
        if let Some(traffic) = self.live.traffic_of(&peer) {
            traffic.counters.duplicates += 1;
        }
        let key = id.short();
        if self.is_audit(now, peer, key) {
            return;
        }
        self.excuse_if_soon(now, peer, key);
        let may_be_parent = self.may_be_parent(&peer);
        let gossip = &mut self.gossip;
        let slot = gossip.neighbours.get(&peer).map(|of| of.slot);
        let (Some(held), Some(slot)) = (gossip.store.get_mut(&key), slot) else {
            return;
        };
        held.known_by.set(slot, true);
        let (origin, is_offered) = (held.origin, held.is_offered);
        let late = now.as_nanos().saturating_sub(held.arrived.as_nanos());
        let Some(tree) = gossip.origins.get_mut(&origin).filter(|_| !is_offered) else {
            return;
        };
        if may_be_parent && *tree.parent.get_or_insert(slot) == slot {
            return;
        }
        if may_be_parent {
            // So every flood names a backup, before anybody announces anything of this origin.
            tree.backup.get_or_insert((slot, late));
        }
        if !planted::is(Bug::DuplicatesNotPruned) {
            self.prune(peer, origin);
        }
    }

    /// Whether messages under this name reach the application.
    pub(super) fn is_handled(&self, name: &str) -> bool {
        match &self.config.handlers {
            Handlers::Any => true,
            Handlers::Named(names) => names.contains(name),
        }
    }

    /// Forgets broadcasts that the age check refuses anyway.
    pub(super) fn expire_seen(&mut self, now: Instant) {
        let age = u64::try_from(BROADCAST_AGE_MAX.as_millis()).unwrap_or(u64::MAX);
        let oldest = self.unix_millis(now).saturating_sub(age);
        self.seen.expire(oldest);
        self.gossip.store.expire(oldest);
    }
}
