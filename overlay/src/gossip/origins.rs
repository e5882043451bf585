//! A tree for each recent origin: along which links its broadcasts are pushed.
//!
//! Plumtree (Leitão, Pereira, Rodrigues 2007) keeps one tree for all, which is right for the source
//! that made it and long for every other. Here each origin has its own: a set of neighbours that
//! asked not to be pushed this origin's broadcasts (*lazy*, a bit each), the neighbour from which
//! they come first (the *parent*), and the next best one (the *backup*). An origin costs about 200
//! bytes; the one unused for longest leaves at the limit.

use core::time::Duration;
use std::collections::BTreeMap;

use dunlin_session::NodeId;

use super::mask::{Mask, Slot};
use super::shares::OriginRates;
use crate::Instant;
use crate::bucket::TokenBucket;
use crate::limits::ORIGINS_MAX;

/// For so long after an origin sent more than it may, nobody is blamed for dropping some of it.
const EXCESS_REMEMBERED: Duration = Duration::from_secs(4);

/// What is known of an origin's tree here.
pub(crate) struct Origin {
    /// Neighbours that are sent announcements only.
    pub(crate) lazy: Mask,
    /// From whom its broadcasts come first.
    pub(crate) parent: Option<Slot>,
    /// Who would have been the next to bring one, and by how many nanoseconds later.
    pub(crate) backup: Option<(Slot, u64)>,
    /// No shorter way is tried before.
    pub(crate) settled_until: Instant,
    /// What of it is taken.
    rate: TokenBucket,
    /// What of it is passed on before what others bring too much of.
    share: TokenBucket,
    /// What it may send by the rules, with some room for jitter.
    lawful: TokenBucket,
    /// Until when it counts as one that sends more.
    excessive_until: Option<Instant>,
    used: u64,
}

/// The recent origins, the least recently used of which leaves at the limit.
pub(crate) struct Origins {
    entries: BTreeMap<NodeId, Origin>,
    by_use: BTreeMap<u64, NodeId>,
    uses: u64,
    rates: OriginRates,
}

impl Origins {
    /// None yet; each may bring as much as `rates` say.
    pub(crate) fn new(rates: OriginRates) -> Self {
        Self {
            entries: BTreeMap::new(),
            by_use: BTreeMap::new(),
            uses: 0,
            rates,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// A known origin.
    pub(crate) fn get_mut(&mut self, id: &NodeId) -> Option<&mut Origin> {
        self.entries.get_mut(id)
    }

    /// Whether it is one of them.
    pub(crate) fn has(&self, id: &NodeId) -> bool {
        self.entries.contains_key(id)
    }

    /// A known origin.
    pub(crate) fn get(&self, id: &NodeId) -> Option<&Origin> {
        self.entries.get(id)
    }

    /// The entry of an origin of which a broadcast was verified; it is used now.
    pub(crate) fn touch(&mut self, now: Instant, id: NodeId) -> &mut Origin {
        self.uses += 1;
        let (uses, rates) = (self.uses, self.rates);
        let is_new = !self.entries.contains_key(&id);
        if is_new
            && self.entries.len() >= ORIGINS_MAX
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.entries.remove(&oldest);
        }
        let entry = self.entries.entry(id).or_insert_with(|| Origin {
            lazy: Mask::default(),
            parent: None,
            backup: None,
            settled_until: now,
            rate: rates.taken.bucket(now),
            share: rates.share.bucket(now),
            lawful: rates.lawful().bucket(now),
            excessive_until: None,
            used: uses,
        });
        if !is_new {
            self.by_use.remove(&entry.used);
        }
        entry.used = uses;
        self.by_use.insert(uses, id);
        entry
    }

    /// All of them, by ID.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, &Origin)> {
        self.entries.iter().map(|(&id, origin)| (id, origin))
    }

    /// The slots from which broadcasts of any of them come.
    pub(crate) fn parents(&self) -> Mask {
        let mut parents = Mask::default();
        for slot in self.entries.values().filter_map(|origin| origin.parent) {
            parents.set(slot, true);
        }
        parents
    }

    /// Those whose broadcasts come from this slot.
    pub(crate) fn of_parent(&self, slot: Slot) -> impl Iterator<Item = NodeId> {
        let of = self.entries.iter();
        of.filter(move |(_, origin)| origin.parent == Some(slot))
            .map(|(&id, _)| id)
    }

    /// A neighbour takes a slot: it is announced to, not pushed, until it asks for more.
    pub(crate) fn on_slot_taken(&mut self, slot: Slot) {
        for origin in self.entries.values_mut() {
            origin.lazy.set(slot, true);
        }
    }

    /// A neighbour is silent, gone or dismissed: the origins that lose their parent.
    pub(crate) fn on_slot_lost(&mut self, slot: Slot) -> Vec<NodeId> {
        let mut orphans = Vec::new();
        for (&id, origin) in &mut self.entries {
            origin.backup.take_if(|(backup, _)| *backup == slot);
            if origin.parent.take_if(|parent| *parent == slot).is_some() {
                orphans.push(id);
            }
        }
        orphans
    }
}

impl Origin {
    /// Whether one more broadcast is within the origin's rate.
    pub(crate) fn admit(&mut self, now: Instant) -> bool {
        if !self.lawful.take(now, 1) {
            self.excessive_until = Some(now + EXCESS_REMEMBERED);
        }
        self.rate.take(now, 1)
    }

    /// Whether nobody has asked yet not to be pushed its broadcasts: what comes is a flood.
    pub(crate) fn is_flooded(&self) -> bool {
        self.lazy == Mask::default()
    }

    /// What it may still have passed on as its share.
    pub(crate) fn share(&mut self) -> &mut TokenBucket {
        &mut self.share
    }

    /// Whether it speaks so much that somebody may have dropped some of it.
    pub(crate) fn is_strained(&mut self, now: Instant) -> bool {
        self.rate.is_strained(now) || self.is_excessive(now)
    }

    /// Whether it has sent more than the rules allow an origin lately.
    pub(crate) fn is_excessive(&self, now: Instant) -> bool {
        self.excessive_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rate;

    fn id(n: u64) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        NodeId::from_bytes(bytes)
    }

    fn origins() -> Origins {
        Origins::new(OriginRates {
            taken: Rate::new(1, 2),
            share: Rate::new(1, 1),
        })
    }

    #[test]
    fn holds_the_limit_and_forgets_the_least_recently_used_one_past_it() {
        let mut origins = origins();
        for n in 0..ORIGINS_MAX as u64 {
            origins.touch(Instant::ZERO, id(n));
        }
        origins.touch(Instant::ZERO, id(0));
        assert_eq!(origins.len(), ORIGINS_MAX);
        origins.touch(Instant::ZERO, id(1 << 40));
        assert_eq!(origins.len(), ORIGINS_MAX);
        assert!(origins.get(&id(0)).is_some() && origins.get(&id(1)).is_none());
    }

    #[test]
    fn a_new_neighbour_is_lazy_for_known_origins_and_eager_for_later_ones() {
        let mut origins = origins();
        origins.touch(Instant::ZERO, id(1));
        origins.on_slot_taken(5);
        origins.touch(Instant::ZERO, id(2));
        assert!(origins.get(&id(1)).unwrap().lazy.has(5));
        assert!(!origins.get(&id(2)).unwrap().lazy.has(5));
    }

    #[test]
    fn who_is_lost_is_neither_parent_nor_backup() {
        let mut origins = origins();
        let origin = origins.touch(Instant::ZERO, id(1));
        (origin.parent, origin.backup) = (Some(3), Some((4, 1)));
        assert_eq!(origins.on_slot_lost(9), []);
        assert_eq!(origins.on_slot_lost(3), [id(1)]);
        let origin = origins.get(&id(1)).unwrap();
        assert_eq!((origin.parent, origin.backup), (None, Some((4, 1))));
        assert_eq!(origins.on_slot_lost(4), [], "it is no parent");
        assert_eq!(origins.get(&id(1)).unwrap().backup, None);
    }

    #[test]
    fn a_tree_is_a_flood_until_somebody_prunes() {
        let mut origins = origins();
        let origin = origins.touch(Instant::ZERO, id(1));
        assert!(origin.is_flooded());
        origin.lazy.set(7, true);
        assert!(!origin.is_flooded());
    }

    #[test]
    fn an_origin_gets_its_rate_and_not_one_more() {
        let mut origins = origins();
        let origin = origins.touch(Instant::ZERO, id(1));
        assert!(origin.admit(Instant::ZERO) && origin.admit(Instant::ZERO));
        assert!(!origin.admit(Instant::ZERO));
    }

    #[test]
    fn who_sends_more_than_it_may_is_known_for_a_while() {
        let mut origins = Origins::new(OriginRates {
            taken: Rate::new(1_000, 1_000),
            share: Rate::new(1, 1),
        });
        let origin = origins.touch(Instant::ZERO, id(1));
        // An origin may send half of what is taken of it; a quarter of that is for jitter.
        assert!((0..625).all(|_| origin.admit(Instant::ZERO)));
        let later = Instant::ZERO + Duration::from_secs(2);
        assert!(!origin.is_strained(later));
        assert!((0..626).all(|_| origin.admit(later)));
        assert!(origin.is_strained(later + Duration::from_secs(3)));
        assert!(origin.is_excessive(later + Duration::from_secs(3)));
        assert!(!origin.is_excessive(later + EXCESS_REMEMBERED));
    }
}
