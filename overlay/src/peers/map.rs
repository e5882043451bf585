//! A map by node ID for as many peers as have links: a few dozen.
//!
//! It is looked into for every message. The first eight bytes of the IDs lie side by side, so that a
//! search reads two or three lines of the cache, and the values lie still in boxes, side by side with
//! their IDs. To insert and to remove costs as many moves as there are peers, at most
//! [`crate::limits::PEERS_MAX`] and those whose hello is not finished. What has the same first bytes is
//! told apart by the rest; a peer would have to find such keys, and its search would be longer by them.

use dunlin_session::NodeId;

/// Values by node ID, in the order of the IDs.
pub(crate) struct PeerMap<V> {
    firsts: Vec<u64>,
    entries: Vec<Box<(NodeId, V)>>,
}

impl<V> Default for PeerMap<V> {
    fn default() -> Self {
        Self {
            firsts: Vec::new(),
            entries: Vec::new(),
        }
    }
}

/// The first eight bytes; they are in the order of the IDs.
fn first_of(id: &NodeId) -> u64 {
    let first = id.as_bytes().first_chunk();
    first.map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

impl<V> PeerMap<V> {
    /// Where it is, or where it would be.
    fn find(&self, id: &NodeId) -> Result<usize, usize> {
        let first = first_of(id);
        let start = self.firsts.partition_point(|&of| of < first);
        let same = self.firsts.iter().skip(start);
        let same = same.take_while(|&&of| of == first).count();
        let range = self.entries.get(start..start + same).unwrap_or_default();
        let found = range.binary_search_by(|entry| entry.0.cmp(id));
        found.map(|at| start + at).map_err(|at| start + at)
    }

    /// The value of a peer.
    pub(crate) fn get(&self, id: &NodeId) -> Option<&V> {
        let at = self.find(id).ok()?;
        self.entries.get(at).map(|entry| &entry.1)
    }

    /// The value of a peer.
    pub(crate) fn get_mut(&mut self, id: &NodeId) -> Option<&mut V> {
        let at = self.find(id).ok()?;
        self.entries.get_mut(at).map(|entry| &mut entry.1)
    }

    /// Whether there is one.
    pub(crate) fn contains_key(&self, id: &NodeId) -> bool {
        self.find(id).is_ok()
    }

    /// Sets the value of a peer.
    pub(crate) fn insert(&mut self, id: NodeId, value: V) {
        let entry = Box::new((id, value));
        match self.find(&id) {
            Ok(at) => {
                if let Some(place) = self.entries.get_mut(at) {
                    *place = entry;
                }
            }
            Err(at) => {
                self.firsts.insert(at, first_of(&id));
                self.entries.insert(at, entry);
            }
        }
    }

    /// Takes the value of a peer out.
    pub(crate) fn remove(&mut self, id: &NodeId) -> Option<V> {
        let at = self.find(id).ok()?;
        self.firsts.remove(at);
        Some(self.entries.remove(at).1)
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// All of them, by ID.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&NodeId, &V)> {
        self.entries.iter().map(|entry| (&entry.0, &entry.1))
    }

    /// All of them, by ID.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&NodeId, &mut V)> {
        self.entries.iter_mut().map(|entry| {
            let (id, value) = &mut **entry;
            (&*id, value)
        })
    }

    /// The IDs, in their order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &NodeId> {
        self.iter().map(|(id, _)| id)
    }

    /// The values, by ID.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The values, by ID.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.iter_mut().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// IDs of which many have the same first bytes.
    fn id(first: u8, last: u8) -> NodeId {
        let mut bytes = [0; 32];
        (bytes[7], bytes[8], bytes[31]) = (first, last / 4, last);
        NodeId::from_bytes(bytes)
    }

    proptest! {
        #[test]
        fn it_is_a_map_in_the_order_of_ids(
            steps in prop::collection::vec((0u8..6, 0u8..12, 0u8..4, any::<u32>()), 0..200),
        ) {
            let (mut map, mut model) = (PeerMap::default(), BTreeMap::new());
            for (first, last, step, value) in steps {
                let id = id(first, last);
                match step {
                    0 => prop_assert_eq!(map.remove(&id), model.remove(&id)),
                    1 => prop_assert_eq!(map.get_mut(&id), model.get_mut(&id)),
                    _ => {
                        map.insert(id, value);
                        model.insert(id, value);
                    }
                }
                prop_assert_eq!(map.get(&id), model.get(&id));
                prop_assert_eq!(map.contains_key(&id), model.contains_key(&id));
                prop_assert_eq!(map.len(), model.len());
                prop_assert!(map.iter().eq(model.iter()) && map.iter_mut().eq(model.iter_mut()));
                prop_assert!(map.keys().eq(model.keys()) && map.values().eq(model.values()));
            }
        }
    }
}
