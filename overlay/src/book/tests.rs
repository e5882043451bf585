use std::collections::BTreeSet;

use super::*;

fn at(a: u8, b: u8, c: u8, d: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([a, b, c, d], port))
}

fn id(n: u8) -> NodeId {
    NodeId::from_bytes([n; 32])
}

fn buckets(slots: impl Iterator<Item = Slot>) -> usize {
    slots.map(Slot::bucket).collect::<BTreeSet<_>>().len()
}

#[test]
fn a_group_of_sources_reaches_its_share_of_the_new_buckets_and_not_one_more() {
    let book = Book::new([1; 32]);
    let source = Group::of(at(8, 8, 0, 1, 1));
    let all = (0..250).flat_map(|a| (0..40).map(move |b| at(a + 1, b, 1, 1, 1)));
    let reached = buckets(all.map(|address| book.new_slot(address, source)));
    // The buckets of a source are drawn, so two of its numbers may lead to the same one.
    let most = NEW_BUCKETS_PER_SOURCE;
    assert!(reached <= most && reached > most * 2 / 3, "{reached}");
}

#[test]
fn a_group_of_addresses_has_one_new_bucket_for_a_source_and_its_share_of_the_tried() {
    let book = Book::new([2; 32]);
    let source = Group::of(at(8, 8, 0, 1, 1));
    let group = || (0..250).flat_map(|c| (0..8).map(move |d| at(9, 9, c, d, 4600)));
    assert_eq!(buckets(group().map(|a| book.new_slot(a, source))), 1);
    let tried = buckets(group().map(|a| book.tried_slot(a)));
    assert!((1..=TRIED_BUCKETS_PER_GROUP).contains(&tried), "{tried}");
}

#[test]
fn where_an_address_belongs_depends_on_the_key() {
    let slots = |key: u8| {
        let book = Book::new([key; 32]);
        let all = (0..64).map(move |n| at(9, n, 1, 1, 1));
        all.map(|a| (book.tried_slot(a), book.new_slot(a, Group::of(a))))
            .collect::<Vec<_>>()
    };
    assert_eq!(slots(1), slots(1));
    let (one, other) = (slots(1), slots(2));
    let same = one.iter().zip(&other).filter(|(a, b)| a == b).count();
    assert!(same <= 2, "{same} of 64 slots are where they were");
}

#[test]
fn tests_wait_up_to_the_limit_and_one_past_it_is_left_out() {
    let mut book = Book::new([3; 32]);
    let test = |n: u8| Test {
        holder: id(n),
        candidate: id(200),
        slot: Slot {
            shelf: Shelf::Tried,
            index: u16::from(n),
        },
    };
    for n in 0..=u8::try_from(TESTS_MAX).unwrap() {
        book.want_test(test(n));
        book.want_test(test(n));
    }
    assert_eq!(book.tests().count(), TESTS_MAX);
    assert_eq!(
        book.tests().next(),
        Some(id(0)),
        "the first one waits longest"
    );
    assert_eq!(book.finish_test(id(0)), Some(test(0)));
    assert_eq!(book.finish_test(id(0)), None);
}

#[test]
fn the_places_of_a_bucket_are_found_until_all_are_taken() {
    let mut book = Book::new([4; 32]);
    let slot = book.tried_slot(at(9, 9, 9, 9, 9));
    for n in 0..u8::try_from(BUCKET_LEN).unwrap() {
        let free = book.free_near(slot).unwrap();
        assert_eq!(free.bucket(), slot.bucket());
        book.put(free, id(n));
    }
    assert_eq!(book.free_near(slot), None);
    book.take(slot);
    assert_eq!(book.free_near(slot), Some(slot));
}
