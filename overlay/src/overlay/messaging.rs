//! Direct messages and requests to named handlers.

use bytes::Bytes;
use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::config::Handlers;
use crate::error::{OverlayError, PeerViolation};
use crate::event::{Event, RequestFailure};
use crate::limits::{HANDLERS_MAX, PAYLOAD_LEN_MAX};
use crate::types::{Capabilities, RequestId, RequestRefusal, is_valid_name};
use crate::wire::{Direct, Message, Request, Response};

/// `Response::status` of a request that was served.
const SERVED: u8 = 0;

impl Overlay {
    /// Adds a name to [`Handlers::Named`]; with [`Handlers::Any`] every name is handled already.
    ///
    /// # Errors
    /// An invalid name, or one past [`HANDLERS_MAX`].
    pub fn register_handler(&mut self, name: &str) -> Result<(), OverlayError> {
        if !is_valid_name(name) {
            return Err(OverlayError::InvalidName);
        }
        if let Handlers::Named(names) = &mut self.config.handlers {
            if names.len() >= HANDLERS_MAX && !names.contains(name) {
                return Err(OverlayError::TooManyHandlers);
            }
            names.insert(name.to_owned());
        }
        Ok(())
    }

    /// Sends `payload` to the handler of a connected peer. Whether it arrives is not reported.
    ///
    /// # Errors
    /// Not connected, not offered by the peer, an invalid name, or a payload past
    /// [`PAYLOAD_LEN_MAX`].
    pub fn send(
        &mut self,
        _now: Instant,
        peer: NodeId,
        handler: &str,
        payload: &[u8],
    ) -> Result<(), OverlayError> {
        self.check_outgoing(handler, payload, PAYLOAD_LEN_MAX)?;
        self.check_offers(peer, Capabilities::DIRECT)?;
        self.send_message(peer, &Message::Direct(Direct { handler, payload }));
        Ok(())
    }

    /// Asks the handler of a connected peer. Exactly one [`Event::Response`] or
    /// [`Event::RequestFailed`] with the returned ID follows, the latter after
    /// [`crate::OverlayConfig::request_timeout`] at most.
    ///
    /// # Errors
    /// As [`Self::send`], and [`OverlayError::TooManyRequests`] past
    /// [`crate::limits::REQUESTS_PER_PEER_MAX`].
    pub fn request(
        &mut self,
        now: Instant,
        peer: NodeId,
        handler: &str,
        payload: &[u8],
    ) -> Result<RequestId, OverlayError> {
        self.check_outgoing(handler, payload, PAYLOAD_LEN_MAX)?;
        self.check_offers(peer, Capabilities::REQUESTS)?;
        let timeout = self.config.request_timeout;
        let id = self
            .requests
            .open(now, peer, timeout)
            .ok_or(OverlayError::TooManyRequests(peer))?;
        self.send_message(
            peer,
            &Message::Request(Request {
                id: id.0,
                handler,
                payload,
            }),
        );
        Ok(id)
    }

    /// Answers a request of a peer.
    ///
    /// # Errors
    /// [`OverlayError::UnknownRequest`] when it does not wait (any more): answered already, too
    /// old, or its peer is gone. A payload past [`PAYLOAD_LEN_MAX`] leaves it waiting; so does one past
    /// [`crate::limits::RELAYED_PAYLOAD_LEN_MAX`] when the request came through a relay.
    pub fn respond(
        &mut self,
        now: Instant,
        peer: NodeId,
        id: RequestId,
        payload: &[u8],
    ) -> Result<(), OverlayError> {
        if payload.len() > PAYLOAD_LEN_MAX {
            let (len, max) = (payload.len(), PAYLOAD_LEN_MAX);
            return Err(OverlayError::PayloadTooLong { len, max });
        }
        self.answer(now, peer, id, SERVED, payload)
    }

    /// Refuses a request of a peer.
    ///
    /// # Errors
    /// [`OverlayError::UnknownRequest`] when it does not wait (any more).
    pub fn refuse(
        &mut self,
        now: Instant,
        peer: NodeId,
        id: RequestId,
        refusal: RequestRefusal,
    ) -> Result<(), OverlayError> {
        self.answer(now, peer, id, refusal.code(), &[])
    }

    fn answer(
        &mut self,
        now: Instant,
        peer: NodeId,
        id: RequestId,
        status: u8,
        payload: &[u8],
    ) -> Result<(), OverlayError> {
        if let Some(via) = self.relayed.answer(peer, id, payload.len())? {
            self.respond_through(now, via, peer, id, status, payload);
            return Ok(());
        }
        if !self.requests.answer(peer, id) {
            return Err(OverlayError::UnknownRequest(id.0));
        }
        self.send_message(
            peer,
            &Message::Response(Response {
                id: id.0,
                status,
                payload,
            }),
        );
        Ok(())
    }

    pub(super) fn check_offers(
        &self,
        peer: NodeId,
        needed: Capabilities,
    ) -> Result<(), OverlayError> {
        let live = self.live.get(&peer).filter(|live| live.is_connected());
        let live = live.ok_or(OverlayError::NotConnected(peer))?;
        if live.offers(needed) {
            Ok(())
        } else {
            Err(OverlayError::NotSupported(peer))
        }
    }

    /// A message to one of our handlers.
    pub(super) fn on_direct(&mut self, now: Instant, peer: NodeId, direct: &Direct<'_>) {
        if !is_within_bounds(direct.handler, direct.payload) {
            self.on_violation(now, peer, PeerViolation::OutOfBounds);
        } else if self.is_handled(direct.handler) {
            self.out.event(Event::Direct {
                peer,
                handler: direct.handler.to_owned(),
                payload: Bytes::copy_from_slice(direct.payload),
                via: None,
            });
        } else {
            self.counters.unhandled += 1;
        }
    }

    /// A request to one of our handlers.
    pub(super) fn on_request(&mut self, now: Instant, peer: NodeId, request: &Request<'_>) {
        let id = RequestId(request.id);
        if !is_within_bounds(request.handler, request.payload) {
            self.on_violation(now, peer, PeerViolation::OutOfBounds);
        } else if !self.is_handled(request.handler) {
            self.counters.unhandled += 1;
            self.send_refusal(peer, id, RequestRefusal::NoHandler);
        } else if !self.requests.admit(now, peer, id) {
            self.send_refusal(peer, id, RequestRefusal::Busy);
        } else {
            self.out.event(Event::Request {
                peer,
                id,
                handler: request.handler.to_owned(),
                payload: Bytes::copy_from_slice(request.payload),
                via: None,
            });
        }
    }

    fn send_refusal(&mut self, peer: NodeId, id: RequestId, refusal: RequestRefusal) {
        let response = Response {
            id: id.0,
            status: refusal.code(),
            payload: &[],
        };
        self.send_message(peer, &Message::Response(response));
    }

    /// An answer; one that nobody waits for is ignored.
    pub(super) fn on_response(&mut self, now: Instant, peer: NodeId, response: &Response<'_>) {
        let id = RequestId(response.id);
        if response.payload.len() > PAYLOAD_LEN_MAX {
            self.on_violation(now, peer, PeerViolation::OutOfBounds);
        } else {
            self.take_response(peer, id, response.status, response.payload);
        }
    }

    /// An answer that is within its bounds, whichever way it came.
    pub(super) fn take_response(
        &mut self,
        peer: NodeId,
        id: RequestId,
        status: u8,
        payload: &[u8],
    ) {
        if !self.requests.close(peer, id) {
            self.counters.unsolicited += 1;
        } else if status == SERVED {
            let payload = Bytes::copy_from_slice(payload);
            self.out.event(Event::Response { peer, id, payload });
        } else {
            let refusal = RequestRefusal::from_code(status);
            let failure = RequestFailure::Refused(refusal);
            self.out.event(Event::RequestFailed { peer, id, failure });
        }
    }

    /// A message of a kind that our hello does not offer.
    pub(super) fn on_unsupported(&mut self, peer: NodeId, message: &Message<'_>) {
        self.counters.unhandled += 1;
        if let Message::Request(request) = message {
            self.send_refusal(peer, RequestId(request.id), RequestRefusal::NoHandler);
        }
    }

    /// Fails the requests that have waited too long.
    pub(super) fn expire_requests(&mut self, now: Instant) {
        for (peer, id) in self.requests.expire(now) {
            let failure = RequestFailure::Timeout;
            self.out.event(Event::RequestFailed { peer, id, failure });
        }
    }
}

fn is_within_bounds(handler: &str, payload: &[u8]) -> bool {
    is_valid_name(handler) && payload.len() <= PAYLOAD_LEN_MAX
}
