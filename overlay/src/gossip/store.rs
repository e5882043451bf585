//! Broadcasts that are held for neighbours which lack them.
//!
//! Bounded in number and bytes. When there is no room, an origin of which more than its share is held
//! loses what it signed longest ago, and nobody else anything: that one is *let go*, and left out of
//! comparisons from then on. When there is no such origin, what was signed longest ago by anybody
//! leaves, and the *floor* rises to its time. So everything that is compared, was signed after the
//! floor and may be passed on is still held. That is what a comparison of sets needs: two nodes compare
//! what was signed after both floors.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use dunlin_session::NodeId;

use super::mask::{Mask, Slot};
use crate::Instant;
use crate::limits::STORE_SHARE;
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
    /// Within the shares of its origin and of who brought it.
    pub(crate) is_fair: bool,
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
    by_origin: BTreeSet<(NodeId, u64, ShortId)>,
    /// Number and bytes of each origin's.
    loads: BTreeMap<NodeId, (usize, usize)>,
    /// The same as parts of the room, to find the largest.
    by_load: BTreeSet<(u64, NodeId)>,
    bytes: usize,
    floor: u64,
}

/// All the room, in the units of loads.
const ALL: u64 = 1 << 20;
/// What one origin keeps of it.
const SHARE: u64 = ALL / STORE_SHARE as u64;

impl Store {
    /// Room for so many broadcasts and bytes.
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self {
            messages_max,
            bytes_max,
            entries: BTreeMap::new(),
            by_time: BTreeSet::new(),
            by_origin: BTreeSet::new(),
            loads: BTreeMap::new(),
            by_load: BTreeSet::new(),
            bytes: 0,
            floor: 0,
        }
    }

    /// Holds a broadcast; others leave for it if they must, or it does itself. Those that were let go
    /// because their origin has more than its share.
    pub(crate) fn insert(&mut self, held: Held) -> Vec<(u64, BroadcastId)> {
        let key = held.id.short();
        let mut let_go = Vec::new();
        if self.entries.contains_key(&key) {
            return let_go;
        }
        self.bytes += held.message.len();
        self.by_time.insert((held.unix_millis, key));
        self.by_origin.insert((held.origin, held.unix_millis, key));
        let (count, bytes) = self.load_of(held.origin);
        self.set_load(held.origin, (count + 1, bytes + held.message.len()));
        self.entries.insert(key, held);
        while self.entries.len() > self.messages_max || self.bytes > self.bytes_max {
            if let Some(key) = self.oldest_of_the_greedy() {
                let held = self.remove(&key);
                let_go.extend(held.map(|held| (held.unix_millis, held.id)));
                continue;
            }
            let Some(&(unix_millis, key)) = self.by_time.first() else {
                break;
            };
            self.floor = self.floor.max(unix_millis);
            self.remove(&key);
        }
        let_go
    }

    /// What was signed longest ago by the origin of which most is held, if that is past its share.
    fn oldest_of_the_greedy(&self) -> Option<ShortId> {
        let &(load, origin) = self.by_load.last()?;
        let range = (origin, 0, ShortId::MIN)..=(origin, u64::MAX, ShortId::MAX);
        let (_, _, key) = self.by_origin.range(range).next()?;
        (load > SHARE).then_some(*key)
    }

    fn load_of(&self, origin: NodeId) -> (usize, usize) {
        self.loads.get(&origin).copied().unwrap_or_default()
    }

    fn set_load(&mut self, origin: NodeId, load: (usize, usize)) {
        let former = self.part(self.load_of(origin));
        self.by_load.remove(&(former, origin));
        if load.0 == 0 {
            self.loads.remove(&origin);
        } else {
            self.loads.insert(origin, load);
            self.by_load.insert((self.part(load), origin));
        }
    }

    /// How much of the room this is.
    fn part(&self, (count, bytes): (usize, usize)) -> u64 {
        let of = |some: usize, all: usize| {
            let [some, all] = [some, all.max(1)].map(|n| u64::try_from(n).unwrap_or(u64::MAX));
            some.saturating_mul(ALL) / all
        };
        of(count, self.messages_max).max(of(bytes, self.bytes_max))
    }

    /// Forgets a broadcast.
    pub(crate) fn remove(&mut self, key: &ShortId) -> Option<Held> {
        let held = self.entries.remove(key)?;
        self.by_time.remove(&(held.unix_millis, *key));
        self.by_origin
            .remove(&(held.origin, held.unix_millis, *key));
        self.bytes -= held.message.len();
        let (count, bytes) = self.load_of(held.origin);
        self.set_load(held.origin, (count - 1, bytes - held.message.len()));
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

    /// Each broadcast of these tests has an origin of its own.
    fn origin(n: u64) -> NodeId {
        NodeId::from_bytes(*blake3::hash(&n.to_be_bytes()).as_bytes())
    }

    fn held(n: u64, len: usize) -> Held {
        Held {
            id: BroadcastId::of_body(&n.to_be_bytes()),
            unix_millis: n,
            origin: origin(n),
            message: Bytes::from(vec![0; len]),
            arrived: Instant::ZERO,
            from: None,
            known_by: Mask::default(),
            blamed: None,
            priority: Priority::Normal,
            is_fair: true,
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
        let mut store = Store::new(16, 160);
        for n in (1..=16).rev() {
            assert_eq!(store.insert(held(n, 10)), []);
        }
        assert_eq!((times(&store), store.floor()), ((1..=16).collect(), 0));
        store.insert(held(17, 10));
        assert_eq!((times(&store), store.floor()), ((2..=17).collect(), 1));
        assert_eq!((store.len(), store.bytes()), (16, 160));
        store.insert(held(18, 20));
        assert_eq!((times(&store), store.floor()), ((4..=18).collect(), 3));
        assert_eq!((store.len(), store.bytes()), (15, 160));
    }

    #[test]
    fn an_origin_past_its_share_loses_its_own_and_nobody_else_anything() {
        for len in [1, 10] {
            // Once the number is what is short, once the bytes are.
            let (messages, bytes) = if len == 1 { (16, 1_000) } else { (100, 160) };
            let mut store = Store::new(messages, bytes);
            let of_one = |n: u64| Held {
                origin: origin(0),
                ..held(n, len)
            };
            for n in 1..=14 {
                store.insert(held(n, len));
            }
            for n in [101, 102] {
                assert_eq!(store.insert(of_one(n)), [], "its share, a full store");
            }
            let let_go = store.insert(of_one(103));
            assert_eq!(let_go, [(101, of_one(101).id)]);
            assert_eq!(store.floor(), 0, "everybody else's is there");
            assert_eq!(store.range(0, 50).count(), 14);
            assert_eq!(
                store.insert(held(200, len)),
                [],
                "at its share it loses nothing"
            );
            assert_eq!((store.floor(), store.range(100, 150).count()), (1, 2));
        }
    }

    #[test]
    fn what_has_no_room_at_all_is_let_go_itself() {
        let mut store = Store::new(16, 100);
        store.insert(held(1, 10));
        assert_eq!(store.insert(held(2, 101)), [(2, held(2, 0).id)]);
        assert_eq!((times(&store), store.bytes()), (vec![1], 10));
        assert_eq!((store.loads.len(), store.by_load.len()), (1, 1));
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
