//! Who waits here for the answer of another node: requests of the operator by their number, questions
//! whom a peer trusts by the peer.
//!
//! What waits is entered in the task of the node or before it is asked, so that no answer comes before
//! there is somebody to take it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use dunlin_overlay::{Event, RequestFailure, RequestId};
use dunlin_session::NodeId;
use tokio::sync::oneshot;

use super::limits::WAITING_MAX;

/// What came of a request.
pub(super) type Outcome = Result<Bytes, RequestFailure>;
/// What a peer says of others: thousandths of trust.
pub(super) type Stated = Vec<(NodeId, u16)>;

/// All that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    requests: BTreeMap<(NodeId, RequestId), oneshot::Sender<Outcome>>,
    /// In the order in which they asked.
    statements: Vec<(NodeId, oneshot::Sender<Stated>)>,
}

impl Waiting {
    /// What will come of a request. At the limit it has failed already.
    pub(super) fn for_request(&self, peer: NodeId, id: RequestId) -> oneshot::Receiver<Outcome> {
        let (tell, told) = oneshot::channel();
        let mut inner = self.inner();
        // Who has waited long enough is gone, and its answer may never come.
        inner.requests.retain(|_, tell| !tell.is_closed());
        if inner.requests.len() < WAITING_MAX {
            inner.requests.insert((peer, id), tell);
        }
        told
    }

    /// What a peer says next of whom it trusts. At the limit nothing comes.
    pub(super) fn for_statements(&self, peer: NodeId) -> oneshot::Receiver<Stated> {
        let (tell, told) = oneshot::channel();
        let mut inner = self.inner();
        inner.statements.retain(|(_, tell)| !tell.is_closed());
        if inner.statements.len() < WAITING_MAX {
            inner.statements.push((peer, tell));
        }
        told
    }

    /// Tells those whom it concerns. Who has gone meanwhile needs no answer.
    pub(super) fn on_event(&self, event: &Event) {
        match event {
            Event::Response { peer, id, payload } => {
                if let Some(tell) = self.inner().requests.remove(&(*peer, *id)) {
                    let _ = tell.send(Ok(payload.clone()));
                }
            }
            Event::RequestFailed { peer, id, failure } => {
                if let Some(tell) = self.inner().requests.remove(&(*peer, *id)) {
                    let _ = tell.send(Err(*failure));
                }
            }
            Event::TrustStatements { peer, entries } => {
                let of_peer = |(of, _): &mut (NodeId, _)| of == peer;
                for (_, tell) in self.inner().statements.extract_if(.., of_peer) {
                    let _ = tell.send(entries.clone());
                }
            }
            _ => {}
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Each change is complete or has not begun, also after a panic elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: NodeId = NodeId::from_bytes([1; 32]);
    const OTHER: NodeId = NodeId::from_bytes([2; 32]);

    fn response(peer: NodeId, id: u64) -> Event {
        let (id, payload) = (RequestId(id), Bytes::from_static(b"x"));
        Event::Response { peer, id, payload }
    }

    #[test]
    fn each_request_is_told_its_own_outcome() {
        let waiting = Waiting::default();
        let mut first = waiting.for_request(PEER, RequestId(1));
        let mut second = waiting.for_request(PEER, RequestId(2));
        waiting.on_event(&response(OTHER, 1));
        assert!(first.try_recv().is_err(), "of another peer");
        waiting.on_event(&response(PEER, 1));
        assert_eq!(first.try_recv(), Ok(Ok(Bytes::from_static(b"x"))));
        let (peer, id, failure) = (PEER, RequestId(2), RequestFailure::Timeout);
        waiting.on_event(&Event::RequestFailed { peer, id, failure });
        assert_eq!(second.try_recv(), Ok(Err(RequestFailure::Timeout)));
    }

    #[test]
    fn statements_are_told_to_all_who_asked_that_peer() {
        let waiting = Waiting::default();
        let mut both = [waiting.for_statements(PEER), waiting.for_statements(PEER)];
        let mut other = waiting.for_statements(OTHER);
        let entries = vec![(OTHER, 700)];
        waiting.on_event(&Event::TrustStatements {
            peer: PEER,
            entries: entries.clone(),
        });
        assert!(
            both.iter_mut()
                .all(|of| of.try_recv() == Ok(entries.clone()))
        );
        assert!(other.try_recv().is_err());
    }

    #[test]
    fn so_many_wait_and_not_one_more_until_one_has_gone() {
        let waiting = Waiting::default();
        let limit = u64::try_from(WAITING_MAX).unwrap();
        let mut held: Vec<_> = (0..limit)
            .map(|id| waiting.for_request(PEER, RequestId(id)))
            .collect();
        let ended = Err(oneshot::error::TryRecvError::Closed);
        assert_eq!(
            waiting.for_request(PEER, RequestId(limit)).try_recv(),
            ended
        );
        held.pop();
        let mut next = waiting.for_request(PEER, RequestId(limit));
        assert_eq!(next.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        let mut held: Vec<_> = (0..limit).map(|_| waiting.for_statements(PEER)).collect();
        assert_eq!(
            waiting.for_statements(OTHER).try_recv(),
            Err(oneshot::error::TryRecvError::Closed)
        );
        held.clear();
        assert_eq!(
            waiting.for_statements(OTHER).try_recv(),
            Err(oneshot::error::TryRecvError::Empty)
        );
    }
}
