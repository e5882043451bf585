//! The address book: which of the addresses that we hear of are remembered, so that whoever tells
//! us most does not decide whom we dial.
//!
//! After Bitcoin Core's `addrman`, whose lessons are those of Heilman and others, "Eclipse Attacks on
//! Bitcoin's Peer-to-Peer Network" (USENIX Security 2015). There are two tables of buckets with
//! [`BUCKET_LEN`] slots each. *New* holds what was heard of: the bucket follows from the group of the
//! source and the group of the address, and a source's group reaches a quarter of the buckets.
//! *Tried* holds where we dialled and found the peer: the bucket follows from the group of the
//! address, which reaches [`TRIED_BUCKETS_PER_GROUP`] of them. The slot follows from the address alone,
//! so many identities at one address share one slot. All of it is hashed under a secret key: nobody
//! can choose addresses that meet.
//!
//! A slot that is taken is not given to a newcomer, unless who holds it has failed (new), or is
//! dialled once more and does not answer (tried: *test before evict*).
//!
//! The book holds slots and IDs. What a peer is, its record and its failures, is in the table of
//! peers (`docs/adr/0330-the-book-beside-the-table.md`). An empty book owns nothing on the heap.

mod group;

use core::net::SocketAddr;
use std::collections::BTreeMap;

use dunlin_session::NodeId;

pub(crate) use self::group::Group;
use crate::limits::{
    BUCKET_LEN, NEW_BUCKETS, NEW_BUCKETS_PER_SOURCE, TESTS_MAX, TRIED_BUCKETS,
    TRIED_BUCKETS_PER_GROUP,
};

/// Which of the two tables.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Shelf {
    /// Heard of.
    New,
    /// Dialled and found.
    Tried,
}

/// A slot of one table: bucket · [`BUCKET_LEN`] + place in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Slot {
    pub(crate) shelf: Shelf,
    index: u16,
}

impl Slot {
    /// The bucket, counted over both tables.
    pub(crate) fn bucket(self) -> (Shelf, u16) {
        let len = u16::try_from(BUCKET_LEN).unwrap_or(u16::MAX);
        (self.shelf, self.index / len)
    }
}

/// Who wants a place in *tried*, and who must fail first for it to have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Test {
    /// Who has the slot, and is to be dialled.
    pub(crate) holder: NodeId,
    /// Who gets it when that one does not answer.
    pub(crate) candidate: NodeId,
    pub(crate) slot: Slot,
}

/// Slots, and who is in them.
pub(crate) struct Book {
    key: [u8; 32],
    slots: BTreeMap<Slot, NodeId>,
    /// At most [`TESTS_MAX`].
    tests: Vec<Test>,
}

impl Book {
    /// An empty book. Who knows `key` can choose addresses that push others out.
    pub(crate) const fn new(key: [u8; 32]) -> Self {
        Self {
            key,
            slots: BTreeMap::new(),
            tests: Vec::new(),
        }
    }

    /// Where an address belongs that `source` tells of.
    pub(crate) fn new_slot(&self, address: SocketAddr, source: Group) -> Slot {
        let group = Group::of(address);
        let pair = self.hash(b"new bucket of the source", |hasher| {
            source.hash_into(hasher);
            group.hash_into(hasher);
        });
        let bucket = self.hash(b"new bucket", |hasher| {
            source.hash_into(hasher);
            hasher.update(&below(pair, NEW_BUCKETS_PER_SOURCE).to_be_bytes());
        });
        self.slot(Shelf::New, below(bucket, NEW_BUCKETS), address)
    }

    /// Where an address belongs at which we found its peer.
    pub(crate) fn tried_slot(&self, address: SocketAddr) -> Slot {
        let group = Group::of(address);
        let one = self.hash(b"tried bucket of the group", |hasher| {
            hash_address(address, hasher);
        });
        let bucket = self.hash(b"tried bucket", |hasher| {
            group.hash_into(hasher);
            hasher.update(&below(one, TRIED_BUCKETS_PER_GROUP).to_be_bytes());
        });
        self.slot(Shelf::Tried, below(bucket, TRIED_BUCKETS), address)
    }

    fn slot(&self, shelf: Shelf, bucket: u64, address: SocketAddr) -> Slot {
        let place = self.hash(b"place", |hasher| {
            hasher.update(&[u8::from(shelf == Shelf::Tried)]);
            hasher.update(&bucket.to_be_bytes());
            hash_address(address, hasher);
        });
        let len = u64::try_from(BUCKET_LEN).unwrap_or(1);
        let index = bucket * len + below(place, BUCKET_LEN);
        Slot {
            shelf,
            index: u16::try_from(index).expect("both tables have fewer slots than that"),
        }
    }

    fn hash(&self, what: &[u8], fill: impl FnOnce(&mut blake3::Hasher)) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(what);
        fill(&mut hasher);
        let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// Who is in a slot.
    pub(crate) fn holder(&self, slot: Slot) -> Option<NodeId> {
        self.slots.get(&slot).copied()
    }

    /// That slot, or another free one of its bucket.
    pub(crate) fn free_near(&self, slot: Slot) -> Option<Slot> {
        let len = u16::try_from(BUCKET_LEN).unwrap_or(1);
        let first = slot.index - slot.index % len;
        let others = (first..first + len).map(|index| Slot { index, ..slot });
        let mut all = core::iter::once(slot).chain(others);
        all.find(|slot| !self.slots.contains_key(slot))
    }

    /// Puts a peer into a free slot.
    pub(crate) fn put(&mut self, slot: Slot, id: NodeId) {
        let former = self.slots.insert(slot, id);
        debug_assert_eq!(former, None, "a slot is emptied before it is given away");
    }

    /// Empties a slot.
    pub(crate) fn take(&mut self, slot: Slot) {
        self.tests.retain(|test| test.slot != slot);
        self.slots.remove(&slot);
    }

    /// Slots taken.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// All slots taken and who is in them: new ones first, bucket by bucket.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, NodeId)> {
        self.slots.iter().map(|(&slot, &id)| (slot, id))
    }

    /// Remembers that the holder of a slot is to be dialled before it is given away. One test more
    /// than [`TESTS_MAX`], or a second one of a slot, is left out: the holder stays.
    pub(crate) fn want_test(&mut self, test: Test) {
        let is_known = self.tests.iter().any(|known| known.slot == test.slot);
        if !is_known && self.tests.len() < TESTS_MAX {
            self.tests.push(test);
        }
    }

    /// Whom to dial to find out whether it is still there: the longest waiting first.
    pub(crate) fn tests(&self) -> impl Iterator<Item = NodeId> {
        self.tests.iter().map(|test| test.holder)
    }

    /// Takes out the test that waits for this peer.
    pub(crate) fn finish_test(&mut self, holder: NodeId) -> Option<Test> {
        let at = self.tests.iter().position(|test| test.holder == holder)?;
        Some(self.tests.remove(at))
    }
}

/// Evenly below `bound`, from a hash.
fn below(hash: u64, bound: usize) -> u64 {
    let wide = u128::from(hash) * u128::try_from(bound).unwrap_or(1);
    u64::try_from(wide >> 64).unwrap_or(0)
}

fn hash_address(address: SocketAddr, hasher: &mut blake3::Hasher) {
    hasher.update(&group::octets(address.ip().to_canonical()));
    hasher.update(&address.port().to_be_bytes());
}

#[cfg(test)]
mod tests;
