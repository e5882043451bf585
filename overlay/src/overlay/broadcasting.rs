//! Broadcasts: signed once by the origin, checked by every hop, delivered once.
//!
//! A node that receives a broadcast for the first time hands it to the application and to every
//! connected peer but the one it came from (flooding). The order of the checks matters: rate,
//! schema and hop limit, deduplication, signature; and only what verifies is marked as seen, so a
//! forged copy that comes first does not suppress the genuine one.

use bytes::Bytes;
use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::config::Handlers;
use crate::error::{OverlayError, PeerViolation};
use crate::event::Event;
use crate::gossip::seen::Seen;
use crate::limits::{BROADCAST_AGE_MAX, BROADCAST_PAYLOAD_LEN_MAX};
use crate::planted::{self, Bug};
use crate::types::{BroadcastId, Capabilities, is_valid_name};
use crate::wire::{BroadcastBody, BroadcastFrame, Message, check_broadcast, sign_broadcast};

impl Overlay {
    /// Sends `payload` to every node of the network that hears us, under `topic`. `unix_millis` is
    /// the time of now in milliseconds since the Unix epoch; receivers refuse what is ten minutes
    /// old or two minutes ahead. With no peer connected it reaches nobody.
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
            },
        );
        let id = BroadcastId::of_body(&body);
        self.seen.insert(unix_millis, id);
        self.counters.broadcasts_sent += 1;
        self.flood(
            BroadcastFrame {
                hops: 1,
                body: &body,
                signature,
            },
            None,
            self.me,
        );
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

    /// Queues a frame for every connected peer that takes broadcasts, but `from` and the origin.
    fn flood(&mut self, frame: BroadcastFrame<'_>, from: Option<NodeId>, origin: NodeId) -> usize {
        let bytes = Bytes::from(Message::Broadcast(frame).encode());
        let peers: Vec<_> = self
            .live
            .iter()
            .filter(|(_, live)| live.is_connected() && live.offers(Capabilities::GOSSIP))
            .map(|(&peer, _)| peer)
            .filter(|&peer| Some(peer) != from || planted::is(Bug::SentBackToSender))
            .filter(|&peer| peer != origin)
            .collect();
        for &peer in &peers {
            self.send_bytes(peer, bytes.clone());
        }
        peers.len()
    }

    /// A peer hands us a broadcast.
    pub(super) fn on_broadcast(&mut self, now: Instant, peer: NodeId, frame: BroadcastFrame<'_>) {
        let unix_millis_now = self.unix_millis(now);
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
            Seen::Duplicate => return self.on_duplicate(peer),
            Seen::BelowFloor => {
                self.counters.broadcasts_stale += 1;
                return;
            }
        }
        if planted::is(Bug::SeenBeforeVerified) {
            self.seen.insert(unix_millis, id);
        }
        let Some(origin) = checked.verify() else {
            self.counters.broadcasts_invalid += 1;
            return self.on_violation(now, peer, PeerViolation::BroadcastSignature);
        };
        let origin = origin.node_id();
        self.seen.insert(unix_millis, id);
        self.counters.broadcasts_received += 1;
        if let Some(live) = self.live.get_mut(&peer) {
            live.counters.first_deliveries += 1;
        }
        if let Some(next) = checked.next_hop() {
            let copies = self.flood(next, Some(peer), origin);
            self.counters.copies_relayed += copies as u64;
        }
        if self.is_handled(checked.body().topic) {
            self.out.event(Event::Broadcast {
                id,
                origin,
                topic: checked.body().topic.to_owned(),
                payload: Bytes::copy_from_slice(checked.body().payload),
                unix_millis,
                hops: frame.hops,
                from: peer,
            });
        }
    }

    fn on_duplicate(&mut self, peer: NodeId) {
        self.counters.broadcasts_duplicate += 1;
        if let Some(live) = self.live.get_mut(&peer) {
            live.counters.duplicates += 1;
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
        self.seen.expire(self.unix_millis(now).saturating_sub(age));
    }
}
