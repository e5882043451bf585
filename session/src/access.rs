//! Who is welcome: what is required of a peer, who is denied, and who hears of a refusal.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Refusal;
use crate::limits::DENIED_MAX;
use crate::node_id::NodeId;

/// What we want of a peer beside its Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PostQuantum {
    /// Nothing: an Ed25519 signature is enough.
    Off,
    /// Whoever has an ML-DSA-65 key proves it before the application gets the connection; whoever
    /// has none is welcome.
    #[default]
    Preferred,
    /// Whoever has none is refused.
    Required,
}

/// Node IDs that are refused, shared by all handshakes of whoever holds a clone. A change counts for
/// handshakes that are completed after it; connections that exist are closed by their owner
/// (`dunlin_transport::Endpoint::refuse_peer`).
#[derive(Clone, Default)]
pub struct DenyList(Arc<Mutex<BTreeSet<NodeId>>>);

impl DenyList {
    /// Replaces the list by these, at most [`DENIED_MAX`] of them, and returns those that are new.
    pub fn replace(&self, denied: impl IntoIterator<Item = NodeId>) -> Vec<NodeId> {
        let denied: BTreeSet<_> = denied.into_iter().take(DENIED_MAX).collect();
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = denied.difference(&list).copied().collect();
        *list = denied;
        new
    }

    /// Whether it is refused.
    #[must_use]
    pub fn contains(&self, node_id: &NodeId) -> bool {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.contains(node_id)
    }
}

impl fmt::Debug for DenyList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DenyList")
    }
}

/// Hears of every proven peer that we refuse as responder, so that the operator learns what the
/// peer is told. As an initiator the reason is the result of the attempt.
#[derive(Clone)]
pub struct RefusalLogger(Arc<Tell>);

type Tell = dyn Fn(&NodeId, Refusal) + Send + Sync;

impl RefusalLogger {
    /// Calls `tell`, in the middle of handling a packet: it should not wait.
    #[must_use]
    pub fn new(tell: impl Fn(&NodeId, Refusal) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(crate) fn tell(&self, node_id: &NodeId, refusal: Refusal) {
        (self.0)(node_id, refusal);
    }
}

impl fmt::Debug for RefusalLogger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefusalLogger")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        NodeId::from_bytes(bytes)
    }

    #[test]
    fn a_list_names_who_is_new_and_all_clones_see_it() {
        let list = DenyList::default();
        let clone = list.clone();
        assert_eq!(list.replace([id(1), id(2)]), [id(1), id(2)]);
        assert_eq!(clone.replace([id(2), id(3)]), [id(3)]);
        assert!(!list.contains(&id(1)) && list.contains(&id(2)) && list.contains(&id(3)));
    }

    #[test]
    fn a_list_takes_as_many_as_its_limit_and_no_more() {
        let list = DenyList::default();
        let max = u32::try_from(DENIED_MAX).unwrap();
        list.replace((0..=max).map(id));
        assert!(list.contains(&id(max - 1)));
        assert!(!list.contains(&id(max)));
    }
}
