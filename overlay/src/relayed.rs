//! What waits and what is remembered of messages through a third node. Everything is bounded.

use std::collections::BTreeMap;

use bytes::Bytes;
use dunlin_session::NodeId;

use crate::Instant;
use crate::error::OverlayError;
use crate::gossip::seen::SeenSet;
use crate::limits::{
    INBOUND_REQUEST_AGE_MAX, INBOUND_REQUESTS_PER_PEER_MAX, RELAYED_PARTNERS_MAX,
    RELAYED_PAYLOAD_LEN_MAX, RELAYED_SEEN_MAX, RELAYED_WAITING_MAX,
};
use crate::types::RequestId;

/// A message of ours that a relay may still give back.
pub(crate) struct Waiting {
    /// Through whom it goes; `None`: through any neighbour that relays.
    pub(crate) relay: Option<NodeId>,
    pub(crate) target: NodeId,
    /// Set when it is a request.
    pub(crate) request: Option<RequestId>,
    /// As it is sent.
    pub(crate) message: Bytes,
    /// The relays that were given it.
    pub(crate) tried: Vec<NodeId>,
    pub(crate) until: Instant,
}

/// All of it.
pub(crate) struct Relayed {
    number: u64,
    waiting: BTreeMap<u64, Waiting>,
    /// What came to us, so that nothing is taken twice.
    pub(crate) seen: SeenSet,
    /// Requests that wait for our application: through whom each came, and until when.
    inbound: BTreeMap<(NodeId, RequestId), (NodeId, Instant)>,
    /// Whom messages came from or went to lately, and through whom.
    partners: BTreeMap<NodeId, (NodeId, Instant)>,
}

impl Default for Relayed {
    fn default() -> Self {
        Self {
            number: 0,
            waiting: BTreeMap::new(),
            seen: SeenSet::new(RELAYED_SEEN_MAX),
            inbound: BTreeMap::new(),
            partners: BTreeMap::new(),
        }
    }
}

impl Relayed {
    /// A number for one more message.
    pub(crate) const fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Whether one more message may wait.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < RELAYED_WAITING_MAX
    }

    /// Keeps a message that a relay may give back.
    pub(crate) fn wait(&mut self, number: u64, waiting: Waiting) {
        self.waiting.insert(number, waiting);
    }

    /// The message with that number, if `via` was given it last.
    pub(crate) fn given_back(&mut self, number: u64, via: NodeId) -> Option<Waiting> {
        let waiting = self.waiting.get(&number)?;
        (waiting.tried.last() == Some(&via)).then(|| self.waiting.remove(&number))?
    }

    /// Notes a request that came through `via`; false at the limit of that relay, or when the ID waits
    /// already.
    pub(crate) fn admit(&mut self, now: Instant, peer: NodeId, id: RequestId, via: NodeId) -> bool {
        let of_relay = self.inbound.values().filter(|(of, _)| *of == via).count();
        if of_relay >= INBOUND_REQUESTS_PER_PEER_MAX || self.inbound.contains_key(&(peer, id)) {
            return false;
        }
        let until = now + INBOUND_REQUEST_AGE_MAX;
        self.inbound.insert((peer, id), (via, until));
        true
    }

    /// Our application answers with so many bytes: through whom the answer goes, if the request came
    /// through a relay.
    ///
    /// # Errors
    /// Too many bytes; the request waits on.
    pub(crate) fn answer(
        &mut self,
        peer: NodeId,
        id: RequestId,
        len: usize,
    ) -> Result<Option<NodeId>, OverlayError> {
        let max = RELAYED_PAYLOAD_LEN_MAX;
        if len > max && self.inbound.contains_key(&(peer, id)) {
            return Err(OverlayError::PayloadTooLong { len, max });
        }
        Ok(self.inbound.remove(&(peer, id)).map(|(via, _)| via))
    }

    /// A relay is gone: what came through it cannot be answered.
    pub(crate) fn drop_relay(&mut self, via: NodeId) {
        self.inbound.retain(|_, (of, _)| *of != via);
        self.partners.retain(|_, (of, _)| *of != via);
    }

    /// Messages pass between us and `peer` through `via`. At the limit the one noted longest ago is
    /// forgotten.
    pub(crate) fn note_partner(&mut self, now: Instant, peer: NodeId, via: NodeId) {
        self.partners.insert(peer, (via, now));
        if self.partners.len() > RELAYED_PARTNERS_MAX {
            let oldest = self.partners.iter().min_by_key(|(of, (_, at))| (*at, **of));
            if let Some(oldest) = oldest.map(|(&of, _)| of) {
                self.partners.remove(&oldest);
            }
        }
    }

    /// Through whom messages pass between us and `peer`.
    pub(crate) fn via(&self, peer: NodeId) -> Option<NodeId> {
        self.partners.get(&peer).map(|&(via, _)| via)
    }

    /// Forgets what has waited too long.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.waiting.retain(|_, waiting| waiting.until > now);
        self.inbound.retain(|_, (_, until)| *until > now);
    }

    /// When the next of them has.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let waiting = self.waiting.values().map(|waiting| waiting.until);
        let inbound = self.inbound.values().map(|(_, until)| *until);
        waiting.chain(inbound).min()
    }

    /// How many messages wait, and how many partners are remembered.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.waiting.len(), self.partners.len())
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn id(n: usize) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        NodeId::from_bytes(bytes)
    }

    fn waiting(via: usize) -> Waiting {
        Waiting {
            relay: None,
            target: id(1),
            request: None,
            message: Bytes::new(),
            tried: vec![id(via)],
            until: Instant::ZERO + Duration::from_secs(5),
        }
    }

    #[test]
    fn messages_wait_up_to_the_limit_and_only_their_relay_gives_them_back() {
        let mut relayed = Relayed::default();
        for _ in 0..RELAYED_WAITING_MAX {
            assert!(relayed.has_room());
            let number = relayed.next_number();
            relayed.wait(number, waiting(7));
        }
        assert!(!relayed.has_room());
        assert!(relayed.given_back(1, id(8)).is_none());
        assert!(relayed.given_back(1, id(7)).is_some());
        assert!(relayed.given_back(1, id(7)).is_none(), "once only");
        let due = relayed.next_deadline().unwrap();
        relayed.expire(due);
        assert_eq!(relayed.sizes(), (0, 0));
    }

    #[test]
    fn requests_of_one_relay_reach_the_limit_and_not_one_more() {
        let mut relayed = Relayed::default();
        for n in 0..INBOUND_REQUESTS_PER_PEER_MAX {
            assert!(relayed.admit(Instant::ZERO, id(n), RequestId(1), id(7)));
        }
        assert!(!relayed.admit(Instant::ZERO, id(900), RequestId(1), id(7)));
        assert!(relayed.admit(Instant::ZERO, id(900), RequestId(1), id(8)));
        assert!(
            !relayed.admit(Instant::ZERO, id(900), RequestId(1), id(9)),
            "it waits already"
        );
        let (len, max) = (RELAYED_PAYLOAD_LEN_MAX + 1, RELAYED_PAYLOAD_LEN_MAX);
        let too_long = Err(OverlayError::PayloadTooLong { len, max });
        assert_eq!(relayed.answer(id(3), RequestId(1), len), too_long);
        assert_eq!(relayed.answer(id(3), RequestId(1), max), Ok(Some(id(7))));
        assert_eq!(relayed.answer(id(3), RequestId(1), 0), Ok(None));
        relayed.drop_relay(id(7));
        assert_eq!(relayed.answer(id(4), RequestId(1), 0), Ok(None));
        assert_eq!(relayed.answer(id(900), RequestId(1), 0), Ok(Some(id(8))));
    }

    #[test]
    fn partners_are_remembered_up_to_the_limit_and_one_more_pushes_out_the_oldest() {
        let mut relayed = Relayed::default();
        for n in 0..=RELAYED_PARTNERS_MAX {
            let at = Instant::from_nanos(n as u64);
            relayed.note_partner(at, id(n), id(7));
        }
        assert_eq!(relayed.sizes().1, RELAYED_PARTNERS_MAX);
        assert_eq!(
            (relayed.via(id(0)), relayed.via(id(1))),
            (None, Some(id(7)))
        );
    }
}
