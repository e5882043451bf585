//! The address book across restarts.

use core::net::SocketAddr;

use bytes::Bytes;
use dunlin_session::NodeId;

use super::Overlay;
use super::hints::is_place;
use crate::Instant;
use crate::book::Shelf;
use crate::event::Direction;
use crate::limits::{ANCHORS_MAX, FAILURES_MAX, PERSISTENT_MAX, RECORD_ADDRESSES_MAX};
use crate::peers::backoff::Backoff;
use crate::peers::state::PeerState;
use crate::peers::table::{Entry, PeerSource};
use crate::saved::SavedPeer;
use crate::types::PeerPriority;
use crate::wire::{VerifiedRecord, canonical};

impl Overlay {
    /// The peers that are worth remembering, by ID: those that may be dialled. Anchors are the peers
    /// that we dialled ourselves and have been linked to for longest, at most [`ANCHORS_MAX`]: an
    /// attacker who dials us does not become one.
    #[must_use]
    pub fn saved_peers(&self) -> Vec<SavedPeer> {
        let anchors = self.anchors();
        let known = self
            .table
            .iter()
            .filter(|(_, entry)| entry.is_choosable() && !entry.addresses.is_empty());
        known
            .map(|(id, entry)| SavedPeer {
                id,
                addresses: entry.addresses.clone(),
                record: entry.record.as_ref().map(|r| Bytes::from(r.to_bytes())),
                introducer: match entry.source {
                    PeerSource::Exchange(introducer) => Some(introducer),
                    _ => None,
                },
                tried: entry.slot.is_some_and(|slot| slot.shelf == Shelf::Tried),
                anchor: anchors.contains(&id),
                seen_at: self.seen_at(entry),
                failures: entry.backoff.failures(),
                persistent: entry.priority == PeerPriority::High,
            })
            .collect()
    }

    fn anchors(&self) -> Vec<NodeId> {
        let ours = self
            .live
            .iter()
            .filter(|(_, live)| live.link.direction == Direction::Outbound);
        let mut since: Vec<_> = ours
            .filter_map(|(&id, live)| Some((live.connected_at?, id)))
            .collect();
        since.sort_unstable();
        since.truncate(ANCHORS_MAX);
        since.into_iter().map(|(_, id)| id).collect()
    }

    /// When a peer was last connected, as far as is known.
    fn seen_at(&self, entry: &Entry) -> Option<u64> {
        match entry.state {
            PeerState::Disconnected => entry.seen_at.max(Some(self.unix_millis(entry.touched))),
            _ => entry.seen_at,
        }
    }

    /// Gives back a peer that [`Self::saved_peers`] returned before a restart; true when it was taken
    /// in. What is out of its range is left out: addresses that cannot be dialled, a record that does
    /// not verify. A peer that is known already, banned ones included, stays as it is.
    pub fn restore_peer(&mut self, now: Instant, saved: SavedPeer) -> bool {
        let SavedPeer { id, .. } = saved;
        let addresses: Vec<SocketAddr> = saved
            .addresses
            .into_iter()
            .map(canonical)
            .filter(|&address| is_place(address) && !self.config.listen.contains(&address))
            .take(RECORD_ADDRESSES_MAX)
            .collect();
        let Some(&first) = addresses.first() else {
            return false;
        };
        if id == self.me {
            return false;
        }
        if self.table.get(id).is_some() {
            return saved.persistent && self.restore_persistent(now, id, first);
        }
        let source = match saved.introducer {
            Some(introducer) => PeerSource::Exchange(introducer),
            None => PeerSource::Restored,
        };
        if !self.table.insert(now, id, source, &mut self.out) {
            return false;
        }
        for address in addresses {
            self.table.add_address(id, address);
        }
        let is_placed = self.table.place_again(id, saved.tried);
        let record = self.restored_record(now, id, saved.record.as_deref());
        let anchors = self.table.iter().filter(|(_, e)| e.anchor).count();
        let is_anchor = saved.anchor && anchors < ANCHORS_MAX;
        if let Some(entry) = self.table.get_mut(id) {
            entry.backoff = Backoff::after(saved.failures.min(FAILURES_MAX - 1));
            entry.record = record;
            entry.seen_at = saved.seen_at;
            entry.anchor = is_anchor;
        }
        let is_persistent = saved.persistent && self.restore_persistent(now, id, first);
        if !is_placed && !is_persistent && !is_anchor {
            self.table.forget(id);
            return false;
        }
        true
    }

    fn restored_record(
        &self,
        now: Instant,
        id: NodeId,
        bytes: Option<&[u8]>,
    ) -> Option<VerifiedRecord> {
        let (network, unix_millis) = (&self.config.network, self.unix_millis(now));
        let read = VerifiedRecord::from_bytes(bytes?, network, unix_millis);
        let record = read.ok().map(|(record, _)| record);
        record.filter(|record| record.id() == id)
    }

    fn restore_persistent(&mut self, now: Instant, id: NodeId, address: SocketAddr) -> bool {
        let persistent = self.bootstraps.iter().filter(|b| b.persistent).count();
        let is_known = self.bootstraps.iter().any(|b| b.address == address);
        if persistent >= PERSISTENT_MAX || is_known {
            return false;
        }
        self.push_bootstrap(now, address, Some(id), true);
        if let Some(entry) = self.table.get_mut(id) {
            entry.priority = PeerPriority::High;
        }
        true
    }
}
