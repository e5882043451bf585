//! Direct messages and requests to nodes that are no neighbours, through one neighbour that relays.
//!
//! The origin signs the message for its target; the relay checks that the message is its neighbour's
//! own (so there is one hop and no loop) and hands it on if the target is a neighbour as well. The
//! answer to a request goes the same way back. The relay can read what it passes on: who does not want
//! that encrypts. A relay that cannot hand a message on gives it back, and the origin tries another.

use core::time::Duration;

use bytes::Bytes;
use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::error::{OverlayError, PeerViolation};
use crate::event::{Event, RequestFailure};
use crate::gossip::seen::Seen;
use crate::gossip::shares::Claim;
use crate::limits::{RELAY_AGE_MAX, RELAYED_PAYLOAD_LEN_MAX, RELAYS_TRIED_MAX};
use crate::relayed::Waiting;
use crate::types::{BroadcastId, Capabilities, RequestId, RequestRefusal};
use crate::wire::{CheckedRelay, Message, Relay, RelayBody, RelayKind, check_relay, sign_relay};

/// How long a relay may take to give a message back.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(5);

/// What is to be said to whom.
struct Saying<'a> {
    /// Through whom; `None`: through any neighbour that relays.
    relay: Option<NodeId>,
    target: NodeId,
    kind: RelayKind,
    request: RequestId,
    status: u8,
    handler: &'a str,
    payload: &'a [u8],
}

impl Overlay {
    /// Sends `payload` to the handler of a node that is no neighbour, through `relay`, a neighbour that
    /// relays ([`Capabilities::RELAYS`]), or through any of these. The relay can read it; whether it
    /// arrives is not reported.
    ///
    /// # Errors
    /// [`OverlayError::NoRelay`], [`OverlayError::TooManyRelayed`], an invalid name, a payload past
    /// [`RELAYED_PAYLOAD_LEN_MAX`], or a `relay` that is not connected or does not relay.
    pub fn send_relayed(
        &mut self,
        now: Instant,
        relay: Option<NodeId>,
        target: NodeId,
        handler: &str,
        payload: &[u8],
    ) -> Result<(), OverlayError> {
        self.check_outgoing(handler, payload, RELAYED_PAYLOAD_LEN_MAX)?;
        self.check_relays(target, relay)?;
        let saying = Saying {
            relay,
            target,
            kind: RelayKind::Direct,
            request: RequestId(0),
            status: 0,
            handler,
            payload,
        };
        self.say_through_any(now, &saying);
        Ok(())
    }

    /// Asks the handler of a node that is no neighbour, through a neighbour that relays. As with
    /// [`Self::request`], exactly one event with the returned ID follows.
    ///
    /// # Errors
    /// As [`Self::send_relayed`], and [`OverlayError::TooManyRequests`].
    pub fn request_relayed(
        &mut self,
        now: Instant,
        relay: Option<NodeId>,
        target: NodeId,
        handler: &str,
        payload: &[u8],
    ) -> Result<RequestId, OverlayError> {
        self.check_outgoing(handler, payload, RELAYED_PAYLOAD_LEN_MAX)?;
        self.check_relays(target, relay)?;
        let timeout = self.config.request_timeout;
        let request = self
            .requests
            .open(now, target, timeout)
            .ok_or(OverlayError::TooManyRequests(target))?;
        let saying = Saying {
            relay,
            target,
            kind: RelayKind::Request,
            request,
            status: 0,
            handler,
            payload,
        };
        self.say_through_any(now, &saying);
        Ok(request)
    }

    fn check_relays(&self, target: NodeId, relay: Option<NodeId>) -> Result<(), OverlayError> {
        if let Some(relay) = relay {
            self.check_offers(relay, Capabilities::RELAYS)?;
        }
        if self.relays(target, relay).next().is_none() {
            Err(OverlayError::NoRelay(target))
        } else if !self.relayed.has_room() {
            Err(OverlayError::TooManyRelayed)
        } else {
            Ok(())
        }
    }

    /// Neighbours that may reach `target` for us; only the one that was asked for, if one was.
    fn relays(&self, target: NodeId, asked: Option<NodeId>) -> impl Iterator<Item = NodeId> {
        self.live.iter().filter_map(move |(&peer, live)| {
            let neighbour = self.gossip.neighbours.get(&peer);
            let is_heard = neighbour.is_some_and(|of| !of.is_silent());
            let relays = live.is_connected() && live.offers(Capabilities::RELAYS);
            let is_meant = asked.is_none_or(|asked| asked == peer);
            (relays && is_heard && is_meant && peer != target).then_some(peer)
        })
    }

    /// Signs and sends through the relay that is meant, or through one drawn at random; if that gives the
    /// message back, through another.
    fn say_through_any(&mut self, now: Instant, saying: &Saying<'_>) {
        let (number, message) = self.sign_saying(now, saying);
        let waiting = Waiting {
            relay: saying.relay,
            target: saying.target,
            request: (saying.kind == RelayKind::Request).then_some(saying.request),
            message,
            tried: Vec::new(),
            until: now + GIVEN_BACK_WITHIN,
        };
        self.try_relay(now, number, waiting);
    }

    fn sign_saying(&mut self, now: Instant, saying: &Saying<'_>) -> (u64, Bytes) {
        let number = self.relayed.next_number();
        let body = RelayBody {
            network: &self.config.network,
            origin: self.identity.public().to_bytes(),
            target: *saying.target.as_bytes(),
            unix_millis: self.unix_millis(now),
            number,
            kind: saying.kind.code(),
            request: saying.request.0,
            status: saying.status,
            handler: saying.handler,
            payload: saying.payload,
        };
        let (body, signature) = sign_relay(&self.identity, &body);
        let message = Message::Relay(Relay {
            body: Some(&body),
            signature: Some(signature),
            undeliverable: None,
        });
        (number, message.encode_to_keep())
    }

    fn try_relay(&mut self, now: Instant, number: u64, mut waiting: Waiting) {
        let tried = &waiting.tried;
        let relays = self.relays(waiting.target, waiting.relay);
        let untried: Vec<NodeId> = relays.filter(|relay| !tried.contains(relay)).collect();
        let choice = usize::try_from(self.rng.below(untried.len() as u64)).ok();
        let relay = choice.and_then(|choice| untried.get(choice)).copied();
        match relay.filter(|_| tried.len() < RELAYS_TRIED_MAX) {
            Some(relay) => {
                waiting.tried.push(relay);
                self.relayed.note_partner(now, waiting.target, relay);
                self.send_bytes(relay, waiting.message.clone());
                self.relayed.wait(number, waiting);
            }
            None => self.on_unreachable(&waiting),
        }
    }

    fn on_unreachable(&mut self, waiting: &Waiting) {
        let (peer, Some(id)) = (waiting.target, waiting.request) else {
            return;
        };
        if self.requests.close(peer, id) {
            let failure = RequestFailure::Unreachable;
            self.out.event(Event::RequestFailed { peer, id, failure });
        }
    }

    /// A message to be passed on, one that was passed on to us, or one of ours that comes back.
    pub(super) fn on_relay(&mut self, now: Instant, peer: NodeId, relay: &Relay<'_>) {
        if let Some(number) = relay.undeliverable {
            match self.relayed.given_back(number, peer) {
                Some(waiting) => self.try_relay(now, number, waiting),
                None => self.counters.unsolicited += 1,
            }
            return;
        }
        let is_within = self
            .live
            .get_mut(&peer)
            .is_some_and(|l| l.relays.take(now, 1));
        if !is_within {
            self.counters.relays_refused += 1;
            return;
        }
        let (Some(body), Some(signature)) = (relay.body, relay.signature) else {
            return self.on_violation(now, peer, PeerViolation::RelayInvalid);
        };
        let unix_millis = self.unix_millis(now);
        let checked = match check_relay(body, signature, &self.config.network, unix_millis) {
            Ok(Some(checked)) => checked,
            Ok(None) => {
                self.counters.unhandled += 1;
                return;
            }
            Err(violation) => return self.on_violation(now, peer, violation),
        };
        if checked.target == self.me {
            self.on_relayed(now, peer, &checked);
        } else {
            self.pass_on(now, peer, &checked);
        }
    }

    /// Hands a neighbour's message to another neighbour, or gives it back.
    fn pass_on(&mut self, now: Instant, peer: NodeId, relay: &CheckedRelay<'_>) {
        let relays = self.config.capabilities.contains(Capabilities::RELAYS);
        if !relays || relay.origin() != peer {
            self.counters.unhandled += 1;
            return;
        }
        if !relay.verifies(&*self.signatures) {
            return self.on_violation(now, peer, PeerViolation::RelayInvalid);
        }
        let message = Message::Relay(relay.message()).encode_to_keep();
        let neighbour = self.gossip.neighbours.get_mut(&relay.target);
        let has_room = neighbour
            .is_some_and(|of| !of.is_silent() && of.may_send(now, message.len(), Claim::Fair));
        if has_room {
            self.counters.relayed += 1;
            self.send_bytes(relay.target, message);
        } else {
            let back = Relay {
                body: None,
                signature: None,
                undeliverable: Some(relay.body.number),
            };
            self.send_message(peer, &Message::Relay(back));
        }
    }

    /// A message to us through `via`. Who relays answers for the signature: it has checked it.
    fn on_relayed(&mut self, now: Instant, via: NodeId, relay: &CheckedRelay<'_>) {
        let origin = relay.origin();
        if !relay.verifies(&*self.signatures) {
            return self.on_violation(now, via, PeerViolation::RelayInvalid);
        }
        let (unix_millis, id) = (relay.body.unix_millis, BroadcastId::of_body(relay.bytes()));
        let is_new = self.relayed.seen.lookup(unix_millis, id) == Seen::New;
        if !is_new || origin == self.me || self.is_banned_peer(origin) {
            self.counters.unhandled += 1;
            return;
        }
        self.relayed.seen.insert(unix_millis, id);
        self.relayed.note_partner(now, origin, via);
        match relay.kind {
            RelayKind::Direct => self.on_relayed_direct(origin, via, relay),
            RelayKind::Request => self.on_relayed_request(now, origin, via, relay),
            RelayKind::Response => {
                let (id, status) = (RequestId(relay.body.request), relay.body.status);
                self.take_response(origin, id, status, relay.body.payload);
            }
        }
    }

    fn on_relayed_direct(&mut self, origin: NodeId, via: NodeId, relay: &CheckedRelay<'_>) {
        let offered = self.config.capabilities.contains(Capabilities::DIRECT);
        if !offered || !self.is_handled(relay.body.handler) {
            self.counters.unhandled += 1;
            return;
        }
        self.out.event(Event::Direct {
            peer: origin,
            handler: relay.body.handler.to_owned(),
            payload: Bytes::copy_from_slice(relay.body.payload),
            via: Some(via),
        });
    }

    fn on_relayed_request(
        &mut self,
        now: Instant,
        origin: NodeId,
        via: NodeId,
        relay: &CheckedRelay<'_>,
    ) {
        let id = RequestId(relay.body.request);
        let offered = self.config.capabilities.contains(Capabilities::REQUESTS);
        let refusal = if !offered || !self.is_handled(relay.body.handler) {
            self.counters.unhandled += 1;
            RequestRefusal::NoHandler
        } else if !self.relayed.admit(now, origin, id, via) {
            RequestRefusal::Busy
        } else {
            self.out.event(Event::Request {
                peer: origin,
                id,
                handler: relay.body.handler.to_owned(),
                payload: Bytes::copy_from_slice(relay.body.payload),
                via: Some(via),
            });
            return;
        };
        self.respond_through(now, via, origin, id, refusal.code(), &[]);
    }

    /// Sends an answer back the way that its request came.
    pub(super) fn respond_through(
        &mut self,
        now: Instant,
        via: NodeId,
        target: NodeId,
        request: RequestId,
        status: u8,
        payload: &[u8],
    ) {
        let saying = Saying {
            relay: Some(via),
            target,
            kind: RelayKind::Response,
            request,
            status,
            handler: "",
            payload,
        };
        let (_, message) = self.sign_saying(now, &saying);
        self.send_bytes(via, message);
    }

    /// Forgets what has waited too long, and what is so old that the age check refuses it.
    pub(super) fn expire_relayed(&mut self, now: Instant) {
        let age = u64::try_from(RELAY_AGE_MAX.as_millis()).unwrap_or(u64::MAX);
        let oldest = self.unix_millis(now).saturating_sub(age);
        self.relayed.seen.expire(oldest);
        self.relayed.expire(now);
    }
}
