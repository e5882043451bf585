use std::collections::BTreeSet;

use super::*;
use crate::Instant;
use crate::limits::{BUCKET_LEN, NEW_BUCKETS, NEW_BUCKETS_PER_SOURCE};
use crate::outbox::Outbox;
use crate::peers::table::PeerSource;

struct Shop {
    table: PeerTable,
    out: Outbox,
    next: u64,
}

impl Shop {
    fn new() -> Self {
        Self {
            table: PeerTable::new([7; 32]),
            out: Outbox::default(),
            next: 0,
        }
    }

    /// Hears of a new identity at an address; who has no place is forgotten.
    fn hear(&mut self, address: SocketAddr, source: Group) -> Option<NodeId> {
        if !self.table.has_place(address, source) {
            return None;
        }
        self.next += 1;
        let id = NodeId::from_bytes(*blake3::hash(&self.next.to_be_bytes()).as_bytes());
        let introducer = NodeId::from_bytes([u8::try_from(self.next % 250).unwrap(); 32]);
        let from = PeerSource::Exchange(introducer);
        let is_new = self.table.insert(Instant::ZERO, id, from, &mut self.out);
        assert!(is_new);
        self.table.add_address(id, address);
        assert!(self.table.place_new(id, source));
        assert!(self.table.is_consistent());
        Some(id)
    }

    fn set(&mut self, id: NodeId, state: PeerState, reason: StateReason) {
        let entry = self.table.get_mut(id).unwrap();
        (entry.state, entry.reason) = (state, reason);
    }

    fn fail(&mut self, id: NodeId) {
        let second = core::time::Duration::from_secs(1);
        let mut rng = crate::rng::Rng::new([1; 32]);
        let entry = self.table.get_mut(id).unwrap();
        let backoff = &mut entry.backoff;
        backoff.on_failure(Instant::ZERO, second, second, &mut rng);
        self.set(id, PeerState::Failed, StateReason::DialFailed);
    }

    fn shelf(&self, id: NodeId) -> Option<Shelf> {
        self.table.get(id)?.slot.map(|slot| slot.shelf)
    }

    /// Two peers whose addresses belong to one slot of the tried; both are among the new.
    fn rivals(&mut self) -> (NodeId, NodeId, SocketAddr, SocketAddr) {
        let first = at(9, 9, 1, 1);
        let slot = self.table.book.tried_slot(first);
        let same_group = (0..=255).flat_map(|c| (0..=255).map(move |d| at(9, 9, c, d)));
        let second = same_group
            .filter(|&other| other != first)
            .find(|&other| self.table.book.tried_slot(other) == slot)
            .unwrap();
        let a = self.hear(first, Group::of(at(8, 1, 1, 1))).unwrap();
        let b = self.hear(second, Group::of(at(8, 2, 1, 1))).unwrap();
        (a, b, first, second)
    }
}

fn at(a: u8, b: u8, c: u8, d: u8) -> SocketAddr {
    SocketAddr::from(([a, b, c, d], 4600))
}

#[test]
fn one_group_of_sources_fills_at_most_a_quarter_of_the_new() {
    let mut shop = Shop::new();
    let source = Group::of(at(8, 8, 1, 1));
    for n in 0..40_000u32 {
        let [_, a, b, c] = n.to_be_bytes();
        shop.hear(at(20 + a, b, c, 7), source);
    }
    let most = NEW_BUCKETS_PER_SOURCE * BUCKET_LEN;
    let placed = shop.table.placed();
    assert!(placed <= most && placed > most / 2, "{placed} of {most}");
    assert_eq!(most * 4, NEW_BUCKETS * BUCKET_LEN);
}

#[test]
fn many_identities_at_one_address_share_one_slot() {
    let mut shop = Shop::new();
    let source = Group::of(at(8, 8, 1, 1));
    let taken = (0..1_000).filter_map(|_| shop.hear(at(9, 9, 9, 9), source));
    assert_eq!(taken.count(), 1);
}

#[test]
fn who_holds_a_slot_keeps_it_until_it_has_failed() {
    let mut shop = Shop::new();
    let source = Group::of(at(8, 8, 1, 1));
    let first = shop.hear(at(9, 9, 9, 9), source).unwrap();
    assert_eq!(shop.hear(at(9, 9, 9, 9), source), None);
    shop.fail(first);
    let second = shop.hear(at(9, 9, 9, 9), source).unwrap();
    assert!(shop.table.get(first).is_none(), "it is forgotten");
    assert_eq!(shop.shelf(second), Some(Shelf::New));
}

#[test]
fn who_was_found_by_a_dial_is_tried_and_leaves_its_place_among_the_new() {
    let mut shop = Shop::new();
    let source = Group::of(at(8, 8, 1, 1));
    let peer = shop.hear(at(9, 9, 9, 9), source).unwrap();
    shop.table.promote(peer, at(9, 9, 9, 9));
    assert_eq!(shop.shelf(peer), Some(Shelf::Tried));
    assert!(shop.table.has_place(at(9, 9, 9, 9), source));
    assert!(shop.table.is_consistent());
}

#[test]
fn a_tried_slot_is_given_away_only_after_its_holder_failed_a_test() {
    let mut shop = Shop::new();
    let (first, second, a, b) = shop.rivals();
    shop.table.promote(first, a);
    shop.set(first, PeerState::Disconnected, StateReason::Dialled);
    shop.table.promote(second, b);
    assert_eq!(shop.shelf(second), Some(Shelf::New), "not yet");
    assert_eq!(shop.table.tests().collect::<Vec<_>>(), [first]);

    // It answers: the test is over, and it stays.
    shop.table.promote(first, a);
    assert_eq!(shop.table.tests().count(), 0);
    assert_eq!(shop.shelf(first), Some(Shelf::Tried));

    // Another time it does not.
    shop.table.promote(second, b);
    shop.fail(first);
    shop.table.fail_test(first);
    assert_eq!(shop.shelf(second), Some(Shelf::Tried));
    assert_ne!(shop.shelf(first), Some(Shelf::Tried));
    assert!(shop.table.is_consistent());
}

#[test]
fn a_holder_that_is_linked_is_not_tested_and_one_whose_dial_failed_is_not_waited_for() {
    let mut shop = Shop::new();
    let (first, second, a, b) = shop.rivals();
    shop.table.promote(first, a);
    shop.set(first, PeerState::Connected, StateReason::HelloAccepted);
    shop.table.promote(second, b);
    assert_eq!(shop.table.tests().count(), 0);
    assert_eq!(shop.shelf(first), Some(Shelf::Tried));
    shop.fail(first);
    shop.table.promote(second, b);
    assert_eq!(shop.shelf(second), Some(Shelf::Tried));
}

#[test]
fn a_peer_whose_address_changed_has_to_find_a_place_anew() {
    let mut shop = Shop::new();
    let peer = shop
        .hear(at(9, 9, 9, 9), Group::of(at(8, 8, 1, 1)))
        .unwrap();
    shop.table.promote(peer, at(9, 9, 9, 9));
    let both = vec![at(7, 7, 7, 7), at(9, 9, 9, 9)];
    shop.table.set_addresses(peer, both);
    assert_eq!(shop.shelf(peer), Some(Shelf::Tried), "it is still there");
    shop.table.set_addresses(peer, vec![at(7, 7, 7, 7)]);
    assert_eq!(shop.shelf(peer), None);
    assert!(shop.table.place_own(peer));
    assert_eq!(shop.shelf(peer), Some(Shelf::New));
    assert!(shop.table.is_consistent());
}

/// Of how many peers that a book remembered, how many are in it again after a restart.
fn restarted(heard: u32) -> (usize, usize) {
    let mut shop = Shop::new();
    for n in 0..heard {
        let [.., a, b] = n.to_be_bytes();
        let source = Group::of(at(30 + b % 97, a, 1, 1));
        shop.hear(at(150 + b % 41, b.wrapping_mul(7), a, 9), source);
    }
    let saved: BTreeSet<_> = shop
        .table
        .iter()
        .map(|(id, entry)| (id, entry.addresses[0]))
        .collect();
    let mut again = Shop::new();
    let from = PeerSource::Restored;
    let restore = |&&(id, address): &&(NodeId, SocketAddr)| {
        assert!(again.table.insert(Instant::ZERO, id, from, &mut again.out));
        again.table.add_address(id, address);
        again.table.place_again(id, false)
    };
    let kept = saved.iter().filter(restore).count();
    assert!(again.table.is_consistent());
    (kept, saved.len())
}

#[test]
fn a_book_that_comes_back_from_a_store_loses_little_even_when_it_was_full() {
    let (kept, saved) = restarted(300);
    assert!(saved > 200 && kept * 50 >= saved * 49, "{kept} of {saved}");
    let (kept, saved) = restarted(3_000);
    assert!(saved > 500 && kept * 5 >= saved * 4, "{kept} of {saved}");
}
