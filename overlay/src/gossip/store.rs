//! Broadcasts that are held for neighbours which lack them.
//!
//! Bounded in number and bytes; what was signed longest ago leaves first, and the *floor* rises to
//! its time: everything seen that was signed after the floor and may be passed on is still held. That
//! is what a comparison of sets needs: two nodes compare what was signed after both floors.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use dunlin_session::NodeId;

use super::mask::{Mask, Slot};
use crate::Instant;
use crate::types::{BroadcastId, Priority, ShortId};

/// A broadcast that was verified.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) id: BroadcastId,
    /// When it was signed, in milliseconds since the Unix epoch.
    pub(crate) unix_millis: u64,
    pub(crate) origin: NodeId,
    /// The message to pass on, its hops counted.
    pub(crate) message: Bytes,
    /// When it came, and through which neighbour; `None`: it is ours, or was fetched.
    pub(crate) arrived: Instant,
    pub(crate) from: Option<Slot>,
    /// Neighbours that have it.
    pub(crate) known_by: Mask,
    /// The parent that should have pushed it, and somebody else had to be asked.
    pub(crate) blamed: Option<Slot>,
    pub(crate) priority: Priority,
    /// Large or of low priority: announced, not pushed.
    pub(crate) is_offered: bool,
    /// The application has not judged it yet: until then nobody is told of it.
    pub(crate) is_pending: bool,
}

/// The broadcasts held.
pub(crate) struct Store {
    messages_max: usize,
    bytes_max: usize,
    entries: BTreeMap<ShortId, Held>,
    by_time: BTreeSet<(u64, ShortId)>,
    bytes: usize,
    floor: u64,
}

impl Store {
    /// Room for so many broadcasts and bytes.
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self {
            messages_max,
            bytes_max,
            entries: BTreeMap::new(),
            by_time: BTreeSet::new(),
            bytes: 0,
            floor: 0,
        }
    }

    /// Holds a broadcast; others leave for it if they must, or it does itself.
    pub(crate) fn insert(&mut self, held: Held) {
        let key = held.id.short();
        if self.entries.contains_key(&key) {
            return;
        }
        self.bytes += held.message.len();
        self.by_time.insert((held.unix_millis, key));
        self.entries.insert(key, held);
        while self.entries.len() > self.messages_max || self.bytes > self.bytes_max {
            let Some(&(unix_millis, key)) = self.by_time.first() else {
                break;
            };
            self.floor = self.floor.max(unix_millis);
            self.remove(&key);
        }
    }

    /// Forgets a broadcast.
    pub(crate) fn remove(&mut self, key: &ShortId) -> Option<Held> {
        let held = self.entries.remove(key)?;
        self.by_time.remove(&(held.unix_millis, *key));
        self.bytes -= held.message.len();
        Some(held)
    }

    /// Forgets what was signed before `oldest`; such broadcasts are refused by everybody.
    pub(crate) fn expire(&mut self, oldest: u64) {
        while let Some(&(unix_millis, key)) = self.by_time.first()
            && unix_millis < oldest
        {
            self.remove(&key);
        }
    }

    /// A broadcast that is held.
    pub(crate) fn get(&self, key: &ShortId) -> Option<&Held> {
        self.entries.get(key)
    }

    /// A broadcast that is held.
    pub(crate) fn get_mut(&mut self, key: &ShortId) -> Option<&mut Held> {
        self.entries.get_mut(key)
    }

    /// What is held and may be passed on, signed after `after` and not after `until`.
    pub(crate) fn range(&self, after: u64, until: u64) -> impl Iterator<Item = (ShortId, &Held)> {
        let start = after.saturating_add(1);
        let range = (start <= until).then_some((start, ShortId::MIN)..=(until, ShortId::MAX));
        range
            .into_iter()
            .flat_map(|range| self.by_time.range(range))
            .filter_map(|(_, key)| Some((*key, self.entries.get(key)?)))
            .filter(|(_, held)| !held.is_pending)
    }

    /// The slot has a new holder, who has none of these as far as is known.
    pub(crate) fn on_slot_taken(&mut self, slot: Slot) {
        for held in self.entries.values_mut() {
            held.known_by.set(slot, false);
            held.from = held.from.filter(|&from| from != slot);
        }
    }

    /// All that was signed after this and may be passed on is still held.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// How many are held.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Their bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(n: u64, len: usize) -> Held {
        Held {
            id: BroadcastId::of_body(&n.to_be_bytes()),
            unix_millis: n,
            origin: NodeId::from_bytes([1; 32]),
            message: Bytes::from(vec![0; len]),
            arrived: Instant::ZERO,
            from: None,
            known_by: Mask::default(),
            blamed: None,
            priority: Priority::Normal,
            is_offered: false,
            is_pending: false,
        }
    }

    fn times(store: &Store) -> Vec<u64> {
        let all = store.range(0, u64::MAX);
        all.map(|(_, held)| held.unix_millis).collect()
    }

    #[test]
    fn holds_its_number_and_its_bytes_and_gives_up_the_oldest_one_past_each() {
        let mut store = Store::new(3, 100);
        for n in [30, 10, 20] {
            store.insert(held(n, 10));
        }
        assert_eq!((times(&store), store.floor()), (vec![10, 20, 30], 0));
        store.insert(held(40, 70));
        assert_eq!((times(&store), store.floor()), (vec![20, 30, 40], 10));
        assert_eq!((store.len(), store.bytes()), (3, 90));
        store.insert(held(50, 11));
        assert_eq!((times(&store), store.floor()), (vec![30, 40, 50], 20));
        store.insert(held(60, 101));
        assert_eq!((times(&store), store.floor()), (vec![], 60), "too large");
        assert_eq!(store.bytes(), 0);
    }

    #[test]
    fn expiry_leaves_the_floor_and_pending_ones_are_not_named() {
        let mut store = Store::new(9, 1_000);
        for n in [10, 20, 30] {
            store.insert(held(n, 1));
        }
        store.expire(20);
        assert_eq!((times(&store), store.floor()), (vec![20, 30], 0));
        let key = BroadcastId::of_body(&20u64.to_be_bytes()).short();
        store.get_mut(&key).unwrap().is_pending = true;
        assert_eq!(times(&store), [30]);
        assert_eq!(store.range(30, 30).count(), 0, "after 30");
        assert_eq!(store.range(29, 30).count(), 1);
        assert_eq!(store.range(u64::MAX, u64::MAX).count(), 0);
    }
}
