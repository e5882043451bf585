//! What a connection that has fallen silent gives back, and queues that take no room while nothing
//! waits in them.
//!
//! Collections keep the memory of their busiest moment, and an idle connection would keep all of
//! theirs. Nothing is forgotten here but empty places.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut, Index, IndexMut};

use crate::options::URGENCIES;

/// Gives memory back that holds nothing.
pub(crate) trait Rest {
    /// Keeps what is there, and no room for more.
    fn rest(&mut self);
}

impl<T> Rest for Vec<T> {
    fn rest(&mut self) {
        self.shrink_to_fit();
    }
}

impl<T> Rest for VecDeque<T> {
    fn rest(&mut self) {
        self.shrink_to_fit();
    }
}

/// An emptied map keeps a node with room for eleven entries.
impl<K, V> Rest for BTreeMap<K, V> {
    fn rest(&mut self) {
        if self.is_empty() {
            *self = Self::new();
        }
    }
}

impl<T> Rest for BTreeSet<T> {
    fn rest(&mut self) {
        if self.is_empty() {
            *self = Self::new();
        }
    }
}

/// A collection that can be empty without being anywhere.
pub(crate) trait Empty: Default + Rest + 'static {
    /// One with nothing in it.
    const EMPTY: &'static Self;

    /// Whether nothing is in it.
    fn is_vacant(&self) -> bool;
}

macro_rules! empty {
    ($($collection:ident)+) => {$(
        impl<T: 'static> Empty for $collection<T> {
            const EMPTY: &'static Self = &Self::new();

            fn is_vacant(&self) -> bool {
                self.is_empty()
            }
        }
    )+};
}

empty!(Vec VecDeque BTreeSet);

impl<K: 'static, V: 'static> Empty for BTreeMap<K, V> {
    const EMPTY: &'static Self = &Self::new();

    fn is_vacant(&self) -> bool {
        self.is_empty()
    }
}

/// A collection in which there is nothing most of the time: then it takes the room of a pointer.
#[derive(Debug)]
pub(crate) struct Sparse<T>(Option<Box<T>>);

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Empty> Deref for Sparse<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::EMPTY)
    }
}

impl<T: Empty> DerefMut for Sparse<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

impl<T: Empty> Rest for Sparse<T> {
    fn rest(&mut self) {
        match &mut self.0 {
            Some(held) if !held.is_vacant() => held.rest(),
            _ => self.0 = None,
        }
    }
}

/// A queue for each urgency, made when the first thing waits.
#[derive(Debug)]
pub(crate) struct Queues<T>(Option<Box<[VecDeque<T>; URGENCIES]>>);

impl<T: 'static> Queues<T> {
    const EMPTY: &'static VecDeque<T> = &VecDeque::new();

    /// The queues, the most urgent first; none if nothing has ever waited.
    pub(crate) fn iter(&self) -> core::slice::Iter<'_, VecDeque<T>> {
        self.0.as_deref().map_or(&[][..], |it| &it[..]).iter()
    }

    /// The same, to change them.
    pub(crate) fn iter_mut(&mut self) -> core::slice::IterMut<'_, VecDeque<T>> {
        let queues = self.0.as_deref_mut();
        queues.map_or(&mut [][..], |it| &mut it[..]).iter_mut()
    }
}

impl<T> Default for Queues<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: 'static> Index<usize> for Queues<T> {
    type Output = VecDeque<T>;

    /// # Panics
    /// There is no such urgency.
    fn index(&self, urgency: usize) -> &VecDeque<T> {
        self.0.as_ref().map_or(Self::EMPTY, |it| &it[urgency])
    }
}

impl<T: 'static> IndexMut<usize> for Queues<T> {
    fn index_mut(&mut self, urgency: usize) -> &mut VecDeque<T> {
        &mut self.0.get_or_insert_default()[urgency]
    }
}

impl<T: 'static> Rest for Queues<T> {
    fn rest(&mut self) {
        if self.iter().all(VecDeque::is_empty) {
            self.0 = None;
        }
        self.iter_mut().for_each(Rest::rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_keep_what_waits_and_give_back_the_others() {
        let mut queues = Queues::default();
        assert!(queues[7].is_empty());
        assert_eq!(queues.iter().count(), 0);
        queues[3].extend(0..100);
        queues[7].push_back(7);
        queues[3].truncate(1);
        queues.rest();
        assert_eq!(queues.iter().flatten().collect::<Vec<_>>(), [&0, &7]);
        assert!(queues[3].capacity() < 100);
        queues[3].clear();
        queues.iter_mut().for_each(VecDeque::clear);
        queues.rest();
        assert!(queues.0.is_none());
    }

    #[test]
    fn a_sparse_collection_is_there_while_something_is_in_it() {
        let mut queue = Sparse::<VecDeque<u8>>::default();
        assert!(queue.is_empty() && queue.0.is_none());
        queue.push_back(7);
        queue.rest();
        assert_eq!(queue.pop_front(), Some(7));
        queue.rest();
        assert!(queue.0.is_none() && queue.iter().next().is_none());
        assert_eq!(size_of_val(&queue), size_of::<usize>());
    }

    #[test]
    fn maps_keep_what_they_hold() {
        let mut map = BTreeMap::from([(1, 2)]);
        map.rest();
        assert_eq!(map, BTreeMap::from([(1, 2)]));
        let mut set = BTreeSet::from([1]);
        set.rest();
        assert!(set.contains(&1));
        set.clear();
        set.rest();
        assert!(set.insert(2));
    }
}
