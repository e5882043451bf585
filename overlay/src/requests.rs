//! Requests that wait: ours for an answer, the peers' for our application. Both bounded per peer,
//! and the number of peers is bounded, so both are bounded in all.

use core::time::Duration;
use std::collections::BTreeMap;

use dunlin_session::NodeId;

use crate::Instant;
use crate::limits::{
    INBOUND_REQUEST_AGE_MAX, INBOUND_REQUESTS_PER_PEER_MAX, REQUESTS_PER_PEER_MAX,
};
use crate::planted::{self, Bug};
use crate::types::RequestId;

/// Requests by peer and ID, each with the time it stops to wait.
#[derive(Default)]
pub(crate) struct Requests {
    next_id: u64,
    outbound: BTreeMap<(NodeId, RequestId), Instant>,
    inbound: BTreeMap<(NodeId, RequestId), Instant>,
}

fn of_peer(
    map: &BTreeMap<(NodeId, RequestId), Instant>,
    peer: NodeId,
) -> impl Iterator<Item = RequestId> {
    map.range((peer, RequestId(0))..=(peer, RequestId(u64::MAX)))
        .map(|(&(_, id), _)| id)
}

impl Requests {
    /// Opens a request of ours; `None` at the limit of that peer.
    pub(crate) fn open(
        &mut self,
        now: Instant,
        peer: NodeId,
        timeout: Duration,
    ) -> Option<RequestId> {
        if of_peer(&self.outbound, peer).count() >= REQUESTS_PER_PEER_MAX {
            return None;
        }
        if !planted::is(Bug::RequestIdReused) {
            self.next_id = self.next_id.wrapping_add(1);
        }
        let id = RequestId(self.next_id);
        self.outbound.insert((peer, id), now + timeout);
        Some(id)
    }

    /// An answer came: whether one was waited for.
    pub(crate) fn close(&mut self, peer: NodeId, id: RequestId) -> bool {
        self.outbound.remove(&(peer, id)).is_some()
    }

    /// Notes a peer's request; false at the limit of that peer or when the ID waits already.
    pub(crate) fn admit(&mut self, now: Instant, peer: NodeId, id: RequestId) -> bool {
        if self.inbound.contains_key(&(peer, id))
            || of_peer(&self.inbound, peer).count() >= INBOUND_REQUESTS_PER_PEER_MAX
        {
            return false;
        }
        self.inbound
            .insert((peer, id), now + INBOUND_REQUEST_AGE_MAX);
        true
    }

    /// Our application answers: whether that request still waits.
    pub(crate) fn answer(&mut self, peer: NodeId, id: RequestId) -> bool {
        self.inbound.remove(&(peer, id)).is_some()
    }

    /// The peer is gone: forgets its requests and returns ours to it.
    pub(crate) fn drop_peer(&mut self, peer: NodeId) -> Vec<RequestId> {
        self.inbound.retain(|&(of, _), _| of != peer);
        let lost: Vec<_> = of_peer(&self.outbound, peer).collect();
        for &id in &lost {
            self.outbound.remove(&(peer, id));
        }
        lost
    }

    /// Forgets what has waited too long and returns those of ours.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<(NodeId, RequestId)> {
        self.inbound.retain(|_, deadline| *deadline > now);
        let due: Vec<_> = self
            .outbound
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(&key, _)| key)
            .collect();
        for key in &due {
            self.outbound.remove(key);
        }
        due
    }

    /// When the next of ours or theirs expires.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.outbound
            .values()
            .chain(self.inbound.values())
            .min()
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: NodeId = NodeId::from_bytes([1; 32]);
    const OTHER: NodeId = NodeId::from_bytes([2; 32]);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn our_requests_reach_the_limit_and_not_one_more() {
        let mut requests = Requests::default();
        for _ in 0..REQUESTS_PER_PEER_MAX {
            assert!(requests.open(Instant::ZERO, PEER, SECOND).is_some());
        }
        assert!(requests.open(Instant::ZERO, PEER, SECOND).is_none());
        assert!(requests.open(Instant::ZERO, OTHER, SECOND).is_some());
        assert_eq!(
            requests.expire(Instant::ZERO + SECOND).len(),
            REQUESTS_PER_PEER_MAX + 1
        );
        assert!(requests.open(Instant::ZERO, PEER, SECOND).is_some());
    }

    #[test]
    fn a_peers_requests_reach_the_limit_and_not_one_more() {
        let mut requests = Requests::default();
        for n in 0..INBOUND_REQUESTS_PER_PEER_MAX as u64 {
            assert!(requests.admit(Instant::ZERO, PEER, RequestId(n)));
        }
        assert!(!requests.admit(Instant::ZERO, PEER, RequestId(u64::MAX)));
        assert!(requests.answer(PEER, RequestId(0)));
        assert!(!requests.answer(PEER, RequestId(0)), "answered once only");
        assert!(requests.admit(Instant::ZERO, PEER, RequestId(u64::MAX)));
        assert!(
            !requests.admit(Instant::ZERO, OTHER, RequestId(1))
                || requests.answer(OTHER, RequestId(1))
        );
        requests.expire(Instant::ZERO + INBOUND_REQUEST_AGE_MAX);
        assert!(!requests.answer(PEER, RequestId(1)));
    }

    #[test]
    fn a_lost_peer_takes_its_requests_along_and_no_others() {
        let mut requests = Requests::default();
        let id = requests.open(Instant::ZERO, PEER, SECOND).unwrap();
        let other = requests.open(Instant::ZERO, OTHER, SECOND).unwrap();
        assert!(requests.admit(Instant::ZERO, PEER, RequestId(1)));
        assert_eq!(requests.drop_peer(PEER), [id]);
        assert!(!requests.answer(PEER, RequestId(1)));
        assert!(requests.close(OTHER, other));
        assert_eq!(requests.next_deadline(), None);
    }
}
