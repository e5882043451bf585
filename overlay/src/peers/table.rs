//! The table of known peers, bounded and honest about where each entry came from.
//!
//! At most [`KNOWN_PEERS_MAX`] entries; one peer may have introduced at most
//! [`KNOWN_PER_SOURCE_MAX`] of those that were never linked. When the table is full, a peer that
//! links to us evicts the entry with the most failures (then the longest untouched) that has no
//! link, no dial, no ban and is no bootstrap; those without a place in the address book before all
//! others. Hearsay evicts only entries that have failed. Who has a place in the book, and so may be
//! dialled by the policy, is decided in [`super::places`].

use std::net::SocketAddr;

use dunlin_session::NodeId;

use super::backoff::Backoff;
use super::entries::{Entries, Waiting};
use super::state::{PeerState, StateReason, is_transition};
use crate::Instant;
use crate::book::{Book, Slot};
use crate::event::Event;
use crate::limits::{KNOWN_PEERS_MAX, KNOWN_PER_SOURCE_MAX};
use crate::outbox::Outbox;
use crate::planted::{self, Bug};
use crate::types::{HintSource, PeerPriority};
use crate::wire::VerifiedRecord;

/// How we came to know a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeerSource {
    /// Configured.
    Bootstrap,
    /// It dialled us.
    Inbound,
    /// This peer named it.
    Exchange(NodeId),
    /// The operator, a name server or the local network named it.
    Hint(HintSource),
    /// It was known before the restart.
    Restored,
}

/// A known peer.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) state: PeerState,
    pub(crate) reason: StateReason,
    pub(crate) source: PeerSource,
    /// Where it may be dialled (at most [`crate::limits::RECORD_ADDRESSES_MAX`]); the one that decided its place in
    /// the book first.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Its newest record.
    pub(crate) record: Option<VerifiedRecord>,
    /// Its record names an address that we have seen it at: it may be passed on.
    pub(crate) relayable: bool,
    pub(crate) backoff: Backoff,
    /// A person asked us to leave it: not dialled by the policy.
    pub(crate) held: bool,
    /// End of its ban; only in state `Banned`.
    pub(crate) banned_until: Option<Instant>,
    /// Last time something happened to it.
    pub(crate) touched: Instant,
    /// Its place in the book.
    pub(crate) slot: Option<Slot>,
    /// How much the operator wants it.
    pub(crate) priority: PeerPriority,
    /// Linked when the node stopped: dialled first, once.
    pub(crate) anchor: bool,
    /// When it was last connected, in milliseconds since the Unix epoch.
    pub(crate) seen_at: Option<u64>,
}

impl Entry {
    /// The address to try next: each in turn as failures mount.
    pub(crate) fn next_address(&self) -> Option<SocketAddr> {
        let count = self.addresses.len();
        let turn = usize::try_from(self.backoff.failures())
            .unwrap_or(0)
            .checked_rem(count)?;
        self.addresses.get(turn).copied()
    }

    /// Whether the policy may dial it, apart from the time and of knowing where.
    pub(crate) fn may_be_dialled(&self) -> bool {
        self.is_idle() && !self.held
    }

    /// Whether the policy chooses it: it has a place in the book, or a person named it.
    pub(crate) fn is_choosable(&self) -> bool {
        self.slot.is_some() || self.is_configured() || self.anchor
    }

    /// Whether it is a bootstrap or persistent.
    fn is_configured(&self) -> bool {
        self.source == PeerSource::Bootstrap || self.priority == PeerPriority::High
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(
            self.state,
            PeerState::Discovered | PeerState::Disconnected | PeerState::Failed
        )
    }

    /// Whether nobody but who introduced it has shown that it exists: dialling in vain proves
    /// nothing, or an introducer of dead addresses would have his quota back with each try.
    const fn is_hearsay(&self) -> bool {
        matches!(
            self.reason,
            StateReason::PeerExchange
                | StateReason::Dialled
                | StateReason::DialFailed
                | StateReason::DialTimeout
        )
    }

    pub(super) fn is_evictable(&self) -> bool {
        self.is_idle() && !self.is_configured()
    }
}

/// All known peers.
pub(crate) struct PeerTable {
    pub(super) entries: Entries,
    pub(super) book: Book,
    /// How many of them are banned.
    banned: usize,
}

/// Where a new entry can go.
enum Room {
    /// There is a free place.
    Free,
    /// In the place of this one.
    InsteadOf(NodeId),
    /// Nowhere.
    None,
}

impl PeerTable {
    /// An empty table with a book under this key.
    pub(crate) const fn new(key: [u8; 32]) -> Self {
        Self {
            entries: Entries::new(),
            book: Book::new(key),
            banned: 0,
        }
    }

    /// The entry of a peer.
    pub(crate) fn get(&self, id: NodeId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// The entry of a peer.
    pub(crate) fn get_mut(&mut self, id: NodeId) -> Option<&mut Entry> {
        self.entries.get_mut(&id)
    }

    /// All of them, by ID.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, &Entry)> {
        self.entries.iter().map(|(&id, entry)| (id, entry))
    }

    /// Those that the policy may choose and knows where to dial, by ID.
    pub(crate) fn waiting(&self) -> &[Waiting] {
        self.entries.waiting()
    }

    /// How many are banned.
    pub(crate) fn banned(&self) -> usize {
        self.banned
    }

    /// How many are known.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Makes sure that `id` has an entry; false when there is no room for it.
    pub(crate) fn insert(
        &mut self,
        now: Instant,
        id: NodeId,
        source: PeerSource,
        out: &mut Outbox,
    ) -> bool {
        if self.entries.contains_key(&id) {
            return true;
        }
        if !self.make_room(source) {
            return false;
        }
        let reason = match source {
            PeerSource::Bootstrap => StateReason::Bootstrap,
            PeerSource::Inbound => StateReason::InboundLink,
            PeerSource::Exchange(_) => StateReason::PeerExchange,
            PeerSource::Hint(source) => StateReason::Hinted(source),
            PeerSource::Restored => StateReason::Restored,
        };
        let entry = Entry {
            state: PeerState::Discovered,
            reason,
            source,
            addresses: Vec::new(),
            record: None,
            relayable: false,
            backoff: Backoff::new(),
            held: false,
            banned_until: None,
            touched: now,
            slot: None,
            priority: PeerPriority::Low,
            anchor: false,
            seen_at: None,
        };
        self.entries.insert(id, entry);
        out.event(Event::PeerStateChanged {
            peer: id,
            from: None,
            to: PeerState::Discovered,
            reason,
        });
        true
    }

    /// Whether [`Self::insert`] would succeed.
    pub(crate) fn has_room(&self, id: NodeId, source: PeerSource) -> bool {
        self.entries.contains_key(&id) || !matches!(self.room_for(source), Room::None)
    }

    fn make_room(&mut self, source: PeerSource) -> bool {
        match self.room_for(source) {
            Room::Free => true,
            Room::InsteadOf(victim) => self.remove(victim),
            Room::None => false,
        }
    }

    fn room_for(&self, source: PeerSource) -> Room {
        if let PeerSource::Exchange(introducer) = source
            && self.entries.len() >= KNOWN_PER_SOURCE_MAX
        {
            let introduced = self.entries.values().filter(|entry| {
                entry.source == PeerSource::Exchange(introducer) && entry.is_hearsay()
            });
            if introduced.count() >= KNOWN_PER_SOURCE_MAX {
                return Room::None;
            }
        }
        if self.entries.len() < KNOWN_PEERS_MAX {
            return Room::Free;
        }
        let hearsay = !matches!(source, PeerSource::Bootstrap | PeerSource::Inbound);
        let victim = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.is_evictable())
            .filter(|(_, entry)| !hearsay || entry.backoff.failures() > 0)
            .max_by_key(|(id, entry)| {
                (
                    entry.slot.is_none(),
                    entry.backoff.failures(),
                    core::cmp::Reverse(entry.touched),
                    **id,
                )
            });
        victim.map_or(Room::None, |(&id, _)| Room::InsteadOf(id))
    }

    /// Removes a peer that is not worth keeping.
    pub(crate) fn forget(&mut self, id: NodeId) {
        if self.entries.get(&id).is_some_and(Entry::is_evictable) {
            self.remove(id);
        }
    }

    /// Removes a peer and gives its slot back; false when it is unknown.
    fn remove(&mut self, id: NodeId) -> bool {
        let Some(entry) = self.entries.remove(&id) else {
            return false;
        };
        if let Some(slot) = entry.slot {
            self.book.take(slot);
        }
        true
    }

    /// Moves a peer to another state and says so. Unknown peers and edges that the state machine
    /// lacks change nothing.
    pub(crate) fn transition(
        &mut self,
        now: Instant,
        id: NodeId,
        to: PeerState,
        reason: StateReason,
        out: &mut Outbox,
    ) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let from = entry.state;
        debug_assert!(is_transition(from, to), "{from:?} -> {to:?} for {reason:?}");
        if !is_transition(from, to) {
            return;
        }
        self.banned += usize::from(to == PeerState::Banned);
        self.banned -= usize::from(from == PeerState::Banned);
        (entry.state, entry.reason, entry.touched) = (to, reason, now);
        if to != PeerState::Banned {
            entry.banned_until = None;
        }
        out.event(Event::PeerStateChanged {
            peer: id,
            from: Some(from),
            to,
            reason,
        });
    }

    /// Notes that a known peer is banned until `until`; the list of bans ends it.
    pub(crate) fn ban(
        &mut self,
        now: Instant,
        id: NodeId,
        until: Instant,
        reason: StateReason,
        out: &mut Outbox,
    ) {
        if self
            .entries
            .get(&id)
            .is_some_and(|entry| entry.state != PeerState::Banned)
        {
            self.transition(now, id, PeerState::Banned, reason, out);
        }
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.banned_until = Some(until);
            entry.relayable = false;
        }
    }

    /// Lets every peer be tried at once; who has failed how often is kept.
    pub(crate) fn retry_all(&mut self) {
        for entry in self.entries.values_mut() {
            entry.backoff.retry();
        }
    }

    /// Whether a record of that number would be news of that node.
    pub(crate) fn is_newer(&self, id: NodeId, sequence: u64) -> bool {
        let known = self
            .entries
            .get(&id)
            .and_then(|entry| entry.record.as_ref());
        known.is_none_or(|known| known.sequence() < sequence)
            || planted::is(Bug::OlderRecordAccepted)
    }

    /// Takes a verified record in that somebody named. False when it is not newer than what we
    /// have, or the peer is unknown. `dialable` are those of its addresses that may be dialled.
    pub(crate) fn update_record(
        &mut self,
        record: VerifiedRecord,
        dialable: Vec<SocketAddr>,
    ) -> bool {
        self.is_newer(record.id(), record.sequence()) && self.keep_record(record, dialable)
    }

    /// Takes a verified record in that its node gave itself. False when it is older than what we
    /// have, contradicts it, or the peer is unknown.
    pub(crate) fn confirm_record(
        &mut self,
        record: VerifiedRecord,
        dialable: Vec<SocketAddr>,
    ) -> bool {
        let known = self.entries.get(&record.id());
        let known = known.and_then(|entry| entry.record.as_ref());
        let is_good = known.is_none_or(|k| k.sequence() < record.sequence() || *k == record)
            || planted::is(Bug::OlderRecordAccepted);
        is_good && self.keep_record(record, dialable)
    }

    fn keep_record(&mut self, record: VerifiedRecord, dialable: Vec<SocketAddr>) -> bool {
        let Some(entry) = self.entries.get_mut(&record.id()) else {
            return false;
        };
        let id = record.id();
        entry.record = Some(record);
        self.set_addresses(id, dialable);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        NodeId::from_bytes(bytes)
    }

    fn full_of_hearsay() -> (PeerTable, Outbox) {
        let (mut table, mut out) = (PeerTable::new([9; 32]), Outbox::default());
        for n in 0..KNOWN_PEERS_MAX {
            let source = PeerSource::Exchange(id(1_000_000 + n / KNOWN_PER_SOURCE_MAX));
            assert!(table.insert(Instant::ZERO, id(n), source, &mut out));
        }
        (table, out)
    }

    #[test]
    fn one_source_fills_a_quarter_and_not_one_more() {
        let (mut table, mut out) = (PeerTable::new([9; 32]), Outbox::default());
        let source = PeerSource::Exchange(id(9_999_999));
        for n in 0..KNOWN_PER_SOURCE_MAX {
            assert!(table.insert(Instant::ZERO, id(n), source, &mut out));
        }
        assert!(!table.insert(Instant::ZERO, id(KNOWN_PER_SOURCE_MAX), source, &mut out));
        // Dialled in vain they count still.
        for entry in table.entries.values_mut() {
            (entry.state, entry.reason) = (PeerState::Failed, StateReason::DialFailed);
        }
        assert!(!table.insert(Instant::ZERO, id(KNOWN_PER_SOURCE_MAX), source, &mut out));
        let other = PeerSource::Exchange(id(8_888_888));
        assert!(table.insert(Instant::ZERO, id(KNOWN_PER_SOURCE_MAX), other, &mut out));
    }

    #[test]
    fn a_full_table_refuses_hearsay_and_makes_room_for_a_link() {
        let (mut table, mut out) = full_of_hearsay();
        assert_eq!(table.len(), KNOWN_PEERS_MAX);
        let newcomer = id(5_000_000);
        assert!(!table.insert(
            Instant::ZERO,
            newcomer,
            PeerSource::Exchange(id(7)),
            &mut out
        ));
        assert!(table.insert(Instant::ZERO, newcomer, PeerSource::Inbound, &mut out));
        assert_eq!(table.len(), KNOWN_PEERS_MAX);
    }

    #[test]
    fn the_entry_with_most_failures_goes_first() {
        let (mut table, mut out) = full_of_hearsay();
        let mut rng = crate::rng::Rng::new([0; 32]);
        let second = core::time::Duration::from_secs(1);
        for (n, failures) in [(3, 1), (4, 2)] {
            for _ in 0..failures {
                let entry = table.get_mut(id(n)).unwrap();
                entry
                    .backoff
                    .on_failure(Instant::ZERO, second, second, &mut rng);
            }
        }
        assert!(table.insert(
            Instant::ZERO,
            id(5_000_000),
            PeerSource::Exchange(id(7)),
            &mut out
        ));
        assert!(table.get(id(4)).is_none() && table.get(id(3)).is_some());
    }
}
