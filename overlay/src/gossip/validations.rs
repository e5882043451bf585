//! Broadcasts that wait for the application's verdict. Bounded in all and for each peer, so that one
//! that sends much cannot take the places of others.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_session::NodeId;

use crate::Instant;
use crate::limits::{VALIDATIONS_MAX, VALIDATIONS_PER_PEER_MAX};
use crate::types::BroadcastId;

/// A broadcast that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Waiting {
    pub(crate) origin: NodeId,
    /// Who brought it.
    pub(crate) from: NodeId,
    deadline: Instant,
}

/// All that wait.
#[derive(Default)]
pub(crate) struct Validations {
    entries: BTreeMap<BroadcastId, Waiting>,
    deadlines: BTreeSet<(Instant, BroadcastId)>,
    per_peer: BTreeMap<NodeId, usize>,
}

impl Validations {
    /// Whether one more of this peer may wait.
    pub(crate) fn has_room(&self, from: NodeId) -> bool {
        let of_peer = self.per_peer.get(&from).copied().unwrap_or(0);
        self.entries.len() < VALIDATIONS_MAX && of_peer < VALIDATIONS_PER_PEER_MAX
    }

    /// A broadcast for which there is room waits until `deadline`.
    pub(crate) fn insert(
        &mut self,
        id: BroadcastId,
        origin: NodeId,
        from: NodeId,
        deadline: Instant,
    ) {
        let waiting = Waiting {
            origin,
            from,
            deadline,
        };
        if self.entries.insert(id, waiting).is_none() {
            self.deadlines.insert((deadline, id));
            *self.per_peer.entry(from).or_default() += 1;
        }
    }

    /// A verdict came, or none will; `None`: it does not wait.
    pub(crate) fn take(&mut self, id: &BroadcastId) -> Option<Waiting> {
        let waiting = self.entries.remove(id)?;
        self.deadlines.remove(&(waiting.deadline, *id));
        if let Some(count) = self.per_peer.get_mut(&waiting.from) {
            *count -= 1;
            if *count == 0 {
                self.per_peer.remove(&waiting.from);
            }
        }
        Some(waiting)
    }

    /// One that has waited for too long.
    pub(crate) fn overdue(&self, now: Instant) -> Option<BroadcastId> {
        let &(deadline, id) = self.deadlines.first()?;
        (deadline <= now).then_some(id)
    }

    /// When the next one has.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> BroadcastId {
        BroadcastId::of_body(&n.to_be_bytes())
    }

    fn peer(n: usize) -> NodeId {
        NodeId::from_bytes([u8::try_from(n).unwrap(); 32])
    }

    #[test]
    fn one_peer_and_all_peers_have_their_limits() {
        let mut waiting = Validations::default();
        for n in 0..VALIDATIONS_MAX {
            let from = peer(n / VALIDATIONS_PER_PEER_MAX);
            assert!(waiting.has_room(from));
            waiting.insert(id(n), peer(9), from, Instant::ZERO);
            let is_full = (n + 1) % VALIDATIONS_PER_PEER_MAX == 0;
            assert_eq!(waiting.has_room(from), !is_full, "{n}");
        }
        assert!(!waiting.has_room(peer(77)), "full for everybody");
        assert_eq!(
            waiting
                .overdue(Instant::ZERO)
                .map(|id| waiting.take(&id).is_some()),
            Some(true)
        );
        assert!(waiting.has_room(peer(77)));
        while let Some(id) = waiting.overdue(Instant::ZERO) {
            assert!(waiting.take(&id).is_some() && waiting.take(&id).is_none());
        }
        assert_eq!((waiting.len(), waiting.next_deadline()), (0, None));
        assert!(waiting.per_peer.is_empty());
    }
}
