//! Which known peers have a place in the address book.
//!
//! Heard of, from another peer, a name server or its own hello: a slot of *new*, if it is free or
//! who holds it has failed. Dialled and found: a slot of *tried*; when that is taken, its holder is
//! dialled first and stays if it answers (test before evict). A peer has at most one slot. It belongs
//! to the first of its addresses; when that address changes the peer has to find a new one.

use core::net::SocketAddr;

use dunlin_session::NodeId;

use super::state::{PeerState, StateReason};
use super::table::{Entry, PeerTable};
use crate::book::{Group, Shelf, Slot, Test};
use crate::limits::RECORD_ADDRESSES_MAX;
use crate::wire::canonical;

/// Buckets of the new in which a group of addresses may be after a restart.
const RESTORED_BUCKETS: u8 = 4;

impl PeerTable {
    /// Whether [`Self::place_new`] would find a slot.
    pub(crate) fn has_place(&self, address: SocketAddr, source: Group) -> bool {
        let slot = self.book.new_slot(canonical(address), source);
        self.is_free(slot) || self.weak_holder(slot).is_some()
    }

    /// Gives a peer that has addresses and no slot one among the new, as told by `source`. A holder
    /// that has failed is forgotten. False when there is none for it.
    pub(crate) fn place_new(&mut self, id: NodeId, source: Group) -> bool {
        let Some(entry) = self.entries.get(&id) else {
            return false;
        };
        let (None, Some(&address)) = (entry.slot, entry.addresses.first()) else {
            return entry.slot.is_some();
        };
        let slot = self.book.new_slot(address, source);
        if !self.is_free(slot) {
            let Some(weak) = self.weak_holder(slot).filter(|&weak| weak != id) else {
                return false;
            };
            self.forget(weak);
        }
        self.put(id, slot);
        true
    }

    /// The same for a peer that told of itself.
    pub(crate) fn place_own(&mut self, id: NodeId) -> bool {
        let first = self.get(id).and_then(|entry| entry.addresses.first());
        let source = first.map(|&address| Group::of(address));
        source.is_some_and(|source| self.place_new(id, source))
    }

    /// Gives a peer from our own store the slot it had, or one near it.
    pub(crate) fn place_again(&mut self, id: NodeId, tried: bool) -> bool {
        let Some(&address) = self.get(id).and_then(|entry| entry.addresses.first()) else {
            return false;
        };
        let tried = tried.then(|| self.book.tried_slot(address));
        // Who told of it is not stored. As many buckets for a group of addresses as it would have had
        // from so many groups of sources.
        let sources = (1..RESTORED_BUCKETS).map(Group::Store);
        let sources = core::iter::once(Group::of(address)).chain(sources);
        let new = sources.map(|source| self.book.new_slot(address, source));
        let mut free = tried.into_iter().chain(new);
        let Some(slot) = free.find_map(|slot| self.book.free_near(slot)) else {
            return false;
        };
        self.put(id, slot);
        true
    }

    /// We dialled `address` and found the peer there: it belongs to the tried. Whoever holds its slot
    /// keeps it if linked, loses it if the last dial to it failed, and is to be tested otherwise.
    pub(crate) fn promote(&mut self, id: NodeId, address: SocketAddr) {
        self.book.finish_test(id);
        let address = canonical(address);
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.anchor = false;
        let slot = self.book.tried_slot(address);
        let holder = self.book.holder(slot);
        if holder == Some(id) {
            return;
        }
        let failed = |entry: &Entry| {
            let reasons = [StateReason::DialFailed, StateReason::DialTimeout];
            entry.state == PeerState::Failed && reasons.contains(&entry.reason)
        };
        if let Some(holder) = holder {
            let of_holder = self.entries.get(&holder);
            if of_holder.is_some_and(Entry::is_idle) && !of_holder.is_some_and(failed) {
                let candidate = id;
                self.book.want_test(Test {
                    holder,
                    candidate,
                    slot,
                });
                return;
            }
            if !of_holder.is_some_and(failed) {
                return;
            }
            self.displace(holder);
        }
        self.move_to(id, address, slot);
    }

    /// A dial to a peer failed. If its slot depended on that, the candidate gets it.
    pub(crate) fn fail_test(&mut self, id: NodeId) {
        let Some(test) = self.book.finish_test(id) else {
            return;
        };
        let candidate = self.entries.get(&test.candidate);
        let reached = candidate.filter(|entry| entry.backoff.failures() == 0);
        let address = reached.and_then(|entry| {
            entry
                .addresses
                .iter()
                .copied()
                .find(|&a| self.book.tried_slot(a) == test.slot)
        });
        if let Some(address) = address {
            self.displace(id);
            self.move_to(test.candidate, address, test.slot);
        }
    }

    /// Replaces where a peer may be dialled. It keeps its slot if the address that it has it for is
    /// still among them.
    pub(super) fn set_addresses(&mut self, id: NodeId, addresses: Vec<SocketAddr>) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let placed = entry.slot.and(entry.addresses.first().copied());
        let mut addresses: Vec<_> = addresses.into_iter().map(canonical).collect();
        let kept = placed.and_then(|placed| addresses.iter().position(|&a| a == placed));
        if let Some(at) = kept {
            addresses.swap(0, at);
        }
        addresses.truncate(RECORD_ADDRESSES_MAX);
        addresses.shrink_to_fit();
        entry.addresses = addresses;
        if kept.is_none()
            && let Some(slot) = entry.slot.take()
        {
            self.book.take(slot);
        }
    }

    /// Adds an address at which a peer may be dialled, if there is room for it.
    pub(crate) fn add_address(&mut self, id: NodeId, address: SocketAddr) {
        let address = canonical(address);
        if let Some(entry) = self.entries.get_mut(&id)
            && !entry.addresses.contains(&address)
            && entry.addresses.len() < RECORD_ADDRESSES_MAX
        {
            entry.addresses.push(address);
        }
    }

    /// Peers whose slots depend on whether they answer.
    pub(crate) fn tests(&self) -> impl Iterator<Item = NodeId> {
        self.book.tests()
    }

    /// Slots taken in the book.
    pub(crate) fn placed(&self) -> usize {
        self.book.len()
    }

    /// Whether book and entries agree; for tests.
    pub(crate) fn is_consistent(&self) -> bool {
        let of_entries = self.entries.values().filter(|e| e.slot.is_some()).count();
        let holds = |(slot, id): (Slot, NodeId)| {
            let entry = self.entries.get(&id);
            entry.is_some_and(|entry| entry.slot == Some(slot) && !entry.addresses.is_empty())
        };
        let agrees = of_entries == self.book.len() && self.book.iter().all(holds);
        agrees && self.entries.is_consistent()
    }

    fn is_free(&self, slot: Slot) -> bool {
        self.book.holder(slot).is_none()
    }

    /// Who holds a slot, if it has failed and is of no other use.
    fn weak_holder(&self, slot: Slot) -> Option<NodeId> {
        let holder = self.book.holder(slot)?;
        let entry = self.entries.get(&holder)?;
        let is_weak = entry.is_evictable() && entry.backoff.failures() > 0 && !entry.anchor;
        is_weak.then_some(holder)
    }

    /// Takes a peer out of its tried slot, and puts it among the new if there is room.
    fn displace(&mut self, id: NodeId) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if let Some(slot) = entry.slot.take() {
            self.book.take(slot);
        }
        if let Some(&address) = entry.addresses.first() {
            self.place_new(id, Group::of(address));
        }
    }

    /// Puts a peer into a free slot of the tried, for this address.
    fn move_to(&mut self, id: NodeId, address: SocketAddr, slot: Slot) {
        debug_assert_eq!(slot.shelf, Shelf::Tried);
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let known = entry.addresses.iter().position(|&known| known == address);
        match known {
            Some(at) => entry.addresses.swap(0, at),
            None => {
                entry.addresses.truncate(RECORD_ADDRESSES_MAX - 1);
                entry.addresses.insert(0, address);
            }
        }
        self.put(id, slot);
    }

    /// Puts a peer into a free slot; it gives back the one that it had.
    fn put(&mut self, id: NodeId, slot: Slot) {
        if let Some(entry) = self.entries.get_mut(&id) {
            if let Some(former) = entry.slot.replace(slot) {
                self.book.take(former);
            }
            self.book.put(slot, id);
        }
    }
}

#[cfg(test)]
mod tests;
