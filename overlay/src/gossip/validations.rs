//! Broadcasts that wait for the application's verdict. Bounded in all, for each peer and for each origin,
//! so that one that sends much cannot take the places of others.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_session::NodeId;

use crate::Instant;
use crate::limits::{VALIDATIONS_MAX, VALIDATIONS_PER_ORIGIN_MAX, VALIDATIONS_PER_PEER_MAX};
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
    per_origin: BTreeMap<NodeId, usize>,
}

impl Validations {
    /// Whether one more of this peer and this origin may wait.
    pub(crate) fn has_room(&self, from: NodeId, origin: NodeId) -> bool {
        let of_peer = self.per_peer.get(&from).copied().unwrap_or(0);
        let of_origin = self.per_origin.get(&origin).copied().unwrap_or(0);
        self.entries.len() < VALIDATIONS_MAX
            && of_peer < VALIDATIONS_PER_PEER_MAX
            && of_origin < VALIDATIONS_PER_ORIGIN_MAX
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
            *self.per_origin.entry(origin).or_default() += 1;
        }
    }

    /// A verdict came, or none will; `None`: it does not wait.
    pub(crate) fn take(&mut self, id: &BroadcastId) -> Option<Waiting> {
        let waiting = self.entries.remove(id)?;
        self.deadlines.remove(&(waiting.deadline, *id));
        count_down(&mut self.per_peer, waiting.from);
        count_down(&mut self.per_origin, waiting.origin);
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

fn count_down(counts: &mut BTreeMap<NodeId, usize>, id: NodeId) {
    if let Some(count) = counts.get_mut(&id) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&id);
        }
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
            let origin = peer(100 + n / VALIDATIONS_PER_ORIGIN_MAX);
            assert!(waiting.has_room(from, origin));
            waiting.insert(id(n), origin, from, Instant::ZERO);
            let is_full = (n + 1) % VALIDATIONS_PER_PEER_MAX == 0;
            assert_eq!(waiting.has_room(from, peer(99)), !is_full, "{n}");
            let is_full = (n + 1) % VALIDATIONS_PER_ORIGIN_MAX == 0;
            assert_eq!(waiting.has_room(peer(98), origin), !is_full, "{n}");
            if n + 1 == VALIDATIONS_MAX {
                assert!(!waiting.has_room(peer(98), peer(99)), "full for everybody");
            }
        }
        assert_eq!(
            waiting
                .overdue(Instant::ZERO)
                .map(|id| waiting.take(&id).is_some()),
            Some(true)
        );
        assert!(waiting.has_room(peer(77), peer(77)));
        while let Some(id) = waiting.overdue(Instant::ZERO) {
            assert!(waiting.take(&id).is_some() && waiting.take(&id).is_none());
        }
        assert_eq!((waiting.len(), waiting.next_deadline()), (0, None));
        assert!(waiting.per_peer.is_empty() && waiting.per_origin.is_empty());
    }
}
