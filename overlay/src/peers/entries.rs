//! The entries of the table, and who of them waits to be dialled.
//!
//! A node that is short of peers asks after every input when the next dial is due. That is looked up in a
//! list of those who may be dialled, which is kept until an entry may have changed.

use core::ops::Deref;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::OnceLock;

use dunlin_session::NodeId;

use super::table::Entry;
use crate::Instant;

/// Somebody that the policy may dial.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Waiting {
    pub(crate) id: NodeId,
    /// Where it is to be tried next.
    pub(crate) address: SocketAddr,
    /// Not before that.
    pub(crate) due: Instant,
    /// Linked when the node stopped.
    pub(crate) anchor: bool,
}

/// Entries by ID. Reading goes through to the map.
#[derive(Default)]
pub(crate) struct Entries {
    map: BTreeMap<NodeId, Entry>,
    /// Set when it was asked for, empty when it may have changed.
    waiting: OnceLock<Vec<Waiting>>,
}

impl Entries {
    /// None.
    pub(crate) const fn new() -> Self {
        Self {
            map: BTreeMap::new(),
            waiting: OnceLock::new(),
        }
    }

    /// One of them, to be changed.
    pub(crate) fn get_mut(&mut self, id: &NodeId) -> Option<&mut Entry> {
        self.waiting.take();
        self.map.get_mut(id)
    }

    /// All of them, to be changed.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.waiting.take();
        self.map.values_mut()
    }

    /// One more, or another in its place.
    pub(crate) fn insert(&mut self, id: NodeId, entry: Entry) {
        self.waiting.take();
        self.map.insert(id, entry);
    }

    /// One less.
    pub(crate) fn remove(&mut self, id: &NodeId) -> Option<Entry> {
        self.waiting.take();
        self.map.remove(id)
    }

    /// Those that the policy may choose and knows where to dial, by ID.
    pub(crate) fn waiting(&self) -> &[Waiting] {
        self.waiting.get_or_init(|| self.all_waiting().collect())
    }

    /// Whether what is kept is what there is.
    pub(crate) fn is_consistent(&self) -> bool {
        let kept = self.waiting.get();
        kept.is_none_or(|kept| self.all_waiting().eq(kept.iter().copied()))
    }

    fn all_waiting(&self) -> impl Iterator<Item = Waiting> {
        let chosen = |entry: &&Entry| entry.may_be_dialled() && entry.is_choosable();
        let chosen = self.map.iter().filter(move |(_, entry)| chosen(entry));
        chosen.filter_map(|(&id, entry)| {
            Some(Waiting {
                id,
                address: entry.next_address()?,
                due: entry.backoff.not_before(),
                anchor: entry.anchor,
            })
        })
    }
}

impl Deref for Entries {
    type Target = BTreeMap<NodeId, Entry>;

    fn deref(&self) -> &Self::Target {
        &self.map
    }
}
