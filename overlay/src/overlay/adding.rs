//! Peers that the operator names, and takes back.

use core::net::SocketAddr;

use dunlin_session::NodeId;

use super::Overlay;
use super::hints::is_place;
use crate::Instant;
use crate::error::OverlayError;
use crate::event::DialTarget;
use crate::limits::PERSISTENT_MAX;
use crate::peers::state::PeerState;
use crate::peers::table::{Entry, PeerSource};
use crate::types::{AddedPeer, DisconnectReason, HintSource, PeerPriority};
use crate::wire::canonical;

impl Overlay {
    /// Adds a peer at `address`; with an ID, only that node is accepted there. What follows depends on
    /// the priority ([`PeerPriority`]). A peer to which there is a link keeps it: its priority changes
    /// and nothing is dialled. Adding a peer again is harmless, and ends the effect of an earlier
    /// disconnect at the operator's request.
    ///
    /// # Errors
    /// [`OverlayError::NotDialable`], [`OverlayError::OwnAddress`], [`OverlayError::PeerBanned`],
    /// [`OverlayError::TooManyPersistent`] past [`PERSISTENT_MAX`], [`OverlayError::ShuttingDown`].
    /// Nothing changed then.
    pub fn add_peer(
        &mut self,
        now: Instant,
        address: SocketAddr,
        id: Option<NodeId>,
        priority: PeerPriority,
    ) -> Result<AddedPeer, OverlayError> {
        let address = canonical(address);
        if self.shutting_down {
            return Err(OverlayError::ShuttingDown);
        }
        if !is_place(address) {
            return Err(OverlayError::NotDialable(address));
        }
        if id == Some(self.me) || self.config.listen.contains(&address) {
            return Err(OverlayError::OwnAddress);
        }
        let id = id.or_else(|| self.peer_linked_at(address));
        let state = id.and_then(|id| Some((id, self.table.get(id)?.state)));
        if let Some((id, PeerState::Banned)) = state {
            return Err(OverlayError::PeerBanned(id));
        }
        if priority == PeerPriority::High {
            self.add_persistent(now, address, id)?;
        }
        if let Some(entry) = id.and_then(|id| self.table.get_mut(id)) {
            entry.held = false;
            entry.priority = entry.priority.max(priority);
        }
        match id.filter(|id| self.live.contains_key(id)) {
            Some(id) => Ok(AddedPeer::Live(id)),
            None => Ok(self.add_absent(now, address, id, priority)),
        }
    }

    /// [`Self::add_peer`] for an address that says who and not where (`quantum://ID`): the address book
    /// has to know where.
    ///
    /// # Errors
    /// [`OverlayError::NoAddress`] when it does not; else those of [`Self::add_peer`].
    pub fn add_known_peer(
        &mut self,
        now: Instant,
        id: NodeId,
        priority: PeerPriority,
    ) -> Result<AddedPeer, OverlayError> {
        let address = self.table.get(id).and_then(Entry::next_address);
        let remote = || self.live.get(&id).map(|live| live.remote());
        let address = address.or_else(remote);
        let address = address.ok_or(OverlayError::NoAddress(id))?;
        self.add_peer(now, address, Some(id), priority)
    }

    /// Adds a peer without a link.
    fn add_absent(
        &mut self,
        now: Instant,
        address: SocketAddr,
        id: Option<NodeId>,
        priority: PeerPriority,
    ) -> AddedPeer {
        let is_kept = match id {
            Some(id) => self.keep_named(now, id, address, priority),
            None => self.add_hint(now, address, HintSource::User),
        };
        let is_going = self.dials.contains_key(&address)
            || id.is_some_and(|id| self.dials.values().any(|dial| dial.is_to(id)));
        if !is_going && priority >= PeerPriority::Normal && self.has_room_for_dials() {
            // Somebody waits for it: back-off and the number of peers do not count.
            self.dial(now, DialTarget { address, id });
            return AddedPeer::Dialling;
        }
        let is_waiting = self.bootstraps.iter().any(|b| b.address == address)
            || self.hints.iter().any(|hint| hint.address == address);
        match (is_going, is_kept || is_waiting) {
            (true, _) => AddedPeer::Dialling,
            (false, true) => AddedPeer::Kept,
            (false, false) => AddedPeer::NoRoom,
        }
    }

    /// Takes a peer that the operator named by ID into table and book; false: there is no room.
    fn keep_named(
        &mut self,
        now: Instant,
        id: NodeId,
        address: SocketAddr,
        priority: PeerPriority,
    ) -> bool {
        let source = PeerSource::Hint(HintSource::User);
        let is_new = self.table.get(id).is_none();
        if !self.table.insert(now, id, source, &mut self.out) {
            return false;
        }
        self.table.add_address(id, address);
        let is_placed = self.table.place_own(id);
        let Some(entry) = self.table.get_mut(id) else {
            return false;
        };
        entry.priority = entry.priority.max(priority);
        let is_kept = is_placed || entry.is_choosable();
        if !is_kept && is_new && priority == PeerPriority::Low {
            self.table.forget(id);
        }
        is_kept
    }

    /// Makes a peer persistent; one that is has another address from now on.
    fn add_persistent(
        &mut self,
        now: Instant,
        address: SocketAddr,
        id: Option<NodeId>,
    ) -> Result<(), OverlayError> {
        if let Some(known) = self.bootstraps.iter_mut().find(|b| b.address == address) {
            known.persistent = true;
            known.id = id.or(known.id);
            return Ok(());
        }
        let persistent = self.bootstraps.iter().filter(|b| b.persistent);
        if persistent.count() >= PERSISTENT_MAX {
            return Err(OverlayError::TooManyPersistent);
        }
        if id.is_some() {
            self.bootstraps.retain(|b| !b.persistent || b.id != id);
        }
        self.push_bootstrap(now, address, id, true);
        Ok(())
    }

    /// Takes a peer back: says goodbye to it, forgets its addresses and no longer wants it. False when
    /// it is not known. A ban of it stays.
    pub fn remove_peer(&mut self, now: Instant, id: NodeId) -> bool {
        let is_of_it = |b: &super::dialing::Bootstrap| b.id.or(b.answered) == Some(id);
        let configured = self.bootstraps.len();
        self.bootstraps.retain(|b| !is_of_it(b));
        let was_configured = self.bootstraps.len() < configured;
        if self.live.contains_key(&id) {
            self.disconnect(now, id, DisconnectReason::UserRequested);
        }
        let Some(entry) = self.table.get_mut(id) else {
            return was_configured;
        };
        entry.priority = PeerPriority::Low;
        if entry.source == PeerSource::Bootstrap {
            entry.source = PeerSource::Inbound;
        }
        entry.held = true;
        self.table.forget(id);
        true
    }

    /// Takes back an address that was added without an ID: as bootstrap, persistent peer or hint. False
    /// when there is none; a peer that was met there stays, unless it is removed by its ID.
    pub fn remove_address(&mut self, address: SocketAddr) -> bool {
        let address = canonical(address);
        let before = self.bootstraps.len() + self.hints.len();
        self.bootstraps.retain(|b| b.address != address);
        self.hints.retain(|hint| hint.address != address);
        self.bootstraps.len() + self.hints.len() < before
    }

    /// Whether the operator wants this peer for ever: it is not to make room for others.
    pub(super) fn is_persistent(&self, id: NodeId) -> bool {
        let entry = self.table.get(id);
        entry.is_some_and(|entry| entry.priority == PeerPriority::High)
    }

    /// The peer at the other end of the link that we opened to this address.
    fn peer_linked_at(&self, address: SocketAddr) -> Option<NodeId> {
        let mut live = self.live.iter();
        let found = live.find(|(_, live)| live.remote() == address);
        found.map(|(&id, _)| id)
    }
}
