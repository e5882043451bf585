//! Several cores behind one address: which connection IDs are whose.
//!
//! A packet names the connection that it belongs to, so its connection ID tells the core, whatever
//! address it comes from: the remainder of the ID by the number of cores. Everybody who sees the packets of an
//! endpoint may know it: two connections of one core have that in common, and one connection that moves
//! keeps it.

use crate::ids::ConnectionId;
use crate::limits::SHARDS_MAX;

/// One of the cores behind an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// The only one.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Number `index` of `count`; None: there is no such number, or `count` is more than
    /// [`SHARDS_MAX`].
    #[must_use]
    pub const fn new(index: u32, count: u32) -> Option<Self> {
        if index < count && count <= SHARDS_MAX {
            Some(Self { index, count })
        } else {
            None
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.count
    }

    /// The number of the core that a connection ID belongs to.
    #[must_use]
    pub const fn of(self, id: ConnectionId) -> u32 {
        id.0 % self.count
    }

    /// Whether it is number `index`.
    #[must_use]
    pub const fn is(self, index: u32) -> bool {
        self.index == index
    }

    /// The ID nearest below `random`, or next above it, that is this core's.
    pub(crate) const fn adopt(self, random: u32) -> ConnectionId {
        let base = random - random % self.count;
        match base.checked_add(self.index) {
            Some(id) => ConnectionId(id),
            None => ConnectionId(base - self.count + self.index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adopted_id_is_that_of_the_core() {
        for count in [1, 2, 3, 7, SHARDS_MAX] {
            for index in 0..count {
                let shard = Shard::new(index, count).unwrap();
                for random in [0, 1, 5, 1_000_003, u32::MAX - 1, u32::MAX] {
                    assert_eq!(shard.of(shard.adopt(random)), index, "{random} of {count}");
                }
            }
        }
    }

    #[test]
    fn who_is_alone_takes_any_id_as_it_is() {
        for random in [0, 7, u32::MAX] {
            assert_eq!(Shard::WHOLE.adopt(random), ConnectionId(random));
        }
    }

    #[test]
    fn there_are_so_many_and_no_more() {
        assert!(Shard::new(SHARDS_MAX - 1, SHARDS_MAX).is_some());
        assert_eq!(Shard::new(0, SHARDS_MAX + 1), None);
        assert_eq!(Shard::new(2, 2), None);
        assert_eq!(Shard::new(0, 0), None);
    }
}
