//! The application's verdicts on broadcasts.
//!
//! With [`Validation::Application`] a broadcast is delivered as soon as its signature was checked, and
//! passed on when the application accepts it. A rejection is evidence against the origin, who signed
//! it. It is a fault of the sender only if that one could know: if it is the origin, or says in its
//! hello that its application judges what it passes on (`Capabilities::VALIDATES`). Whoever relays a
//! topic that it does not handle could not know, and is not blamed.

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::config::Validation;
use crate::error::{OverlayError, PeerViolation};
use crate::event::Event;
use crate::types::{BroadcastId, Capabilities, Verdict};

impl Overlay {
    /// Says what became of the judgement of a broadcast ([`Event::Broadcast`]). Only with
    /// [`Validation::Application`].
    ///
    /// # Errors
    /// [`OverlayError::UnknownBroadcast`]: it does not wait for a verdict, or not any more.
    pub fn validate(
        &mut self,
        now: Instant,
        id: BroadcastId,
        verdict: Verdict,
    ) -> Result<(), OverlayError> {
        let waiting = self.gossip.validations.take(&id);
        let waiting = waiting.ok_or(OverlayError::UnknownBroadcast(id))?;
        let key = id.short();
        if verdict == Verdict::Accept {
            if let Some(held) = self.gossip.store.get_mut(&key) {
                held.is_pending = false;
            }
            self.spread(now, key);
            return Ok(());
        }
        self.counters.broadcasts_not_accepted += 1;
        self.gossip.store.remove(&key);
        if verdict == Verdict::Reject {
            let from = waiting.from;
            let says_so = self.live.get(&from);
            let validates = says_so.is_some_and(|live| live.offers(Capabilities::VALIDATES));
            let sender_answers = from == waiting.origin || validates;
            self.out.event(Event::BroadcastRejected {
                id,
                origin: waiting.origin,
                from,
                sender_answers,
            });
            if waiting.origin != from {
                self.note_rejected(now, waiting.origin, id);
            }
            if sender_answers {
                self.on_violation(now, from, PeerViolation::BroadcastRejected);
            }
        }
        Ok(())
    }

    /// Lets a broadcast wait for a verdict, if there is somebody to give one.
    pub(super) fn hold_for_verdict(
        &mut self,
        now: Instant,
        from: NodeId,
        id: BroadcastId,
        origin: NodeId,
    ) -> bool {
        match self.config.validation {
            Validation::None => false,
            Validation::Application { timeout } => {
                let validations = &mut self.gossip.validations;
                validations.insert(id, origin, from, now + timeout);
                true
            }
        }
    }

    /// Ignores what was not judged in time.
    pub(super) fn expire_validations(&mut self, now: Instant) {
        while let Some(id) = self.gossip.validations.overdue(now) {
            // It waits: it was just found among those that do.
            let _ = self.validate(now, id, Verdict::Ignore);
        }
    }

    /// The driver's queue towards a peer is full, or is not any more. While it is, the peer gets no
    /// copies of broadcasts; it is told of them, and asks for them later.
    pub fn set_congested(&mut self, peer: NodeId, is_congested: bool) {
        if let Some(neighbour) = self.gossip.neighbours.get_mut(&peer) {
            neighbour.is_congested = is_congested;
        }
    }
}
