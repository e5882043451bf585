//! Trees that lose their parent, with neighbours played by hand.

use super::trees::{announcements, news, quiet, tree, trees, want};
use super::*;
use crate::{Interaction, LinkEnd, LinkEndCause};

/// A bench to which the first of three neighbours brought the first broadcast of node 9, and its link.
fn with_a_tree() -> (Bench, LinkId) {
    let mut bench = Bench::with(quiet());
    let link = bench.connect(1);
    bench.connect(2);
    bench.connect(3);
    bench.deliver(1, &news(1).0);
    assert_eq!(bench.overlay.tree_places(id(1)).parent, 1);
    (bench, link)
}

/// These say that they get the broadcasts of node 9 from somebody else.
fn prune(bench: &mut Bench, peers: &[u8]) {
    for &n in peers {
        bench.deliver(n, &tree(&[id(9)], &[]));
    }
}

/// The first neighbour's link ends.
fn lose(bench: &mut Bench, link: LinkId) {
    let ended = LinkEnd {
        link,
        cause: LinkEndCause::ClosedByPeer,
    };
    bench.call(|overlay, now| overlay.handle_disconnected(now, id(1), ended));
}

fn grafts(bench: &Bench, n: u8) -> Vec<NodeId> {
    let sent = trees(bench, n);
    sent.into_iter().flat_map(|(_, graft)| graft).collect()
}

#[test]
fn who_brings_the_second_copy_of_a_flood_takes_the_place_of_a_parent_that_leaves() {
    let (mut bench, link) = with_a_tree();
    bench.deliver(2, &news(1).0);
    bench.deliver(3, &news(1).0);
    prune(&mut bench, &[2, 3]);
    lose(&mut bench, link);
    assert_eq!(
        (grafts(&bench, 2), grafts(&bench, 3)),
        (vec![id(9)], vec![])
    );
    assert_eq!(bench.overlay.tree_places(id(2)).parent, 1);
}

#[test]
fn who_is_pushed_to_is_no_parent() {
    let (mut bench, link) = with_a_tree();
    bench.deliver(2, &news(1).0);
    prune(&mut bench, &[2, 3]);
    bench.deliver(2, &tree(&[], &[id(9)]));
    lose(&mut bench, link);
    assert_eq!((grafts(&bench, 2), grafts(&bench, 3)), (vec![], vec![]));
    assert_eq!(bench.overlay.tree_places(id(2)).parent, 0);
}

#[test]
fn where_no_backup_is_known_one_that_has_served_stands_in() {
    let (mut bench, link) = with_a_tree();
    prune(&mut bench, &[2, 3]);
    bench.call(|overlay, now| overlay.update(now, id(3), Interaction::Relay, true, 1.0));
    lose(&mut bench, link);
    assert_eq!(
        (grafts(&bench, 2), grafts(&bench, 3)),
        (vec![], vec![id(9)])
    );
    assert_eq!(bench.overlay.tree_places(id(3)).parent, 1);
}

#[test]
fn an_origin_that_is_a_neighbour_stands_in_for_its_own_tree() {
    let (mut bench, link) = with_a_tree();
    bench.connect(9);
    prune(&mut bench, &[2, 3]);
    bench.call(|overlay, now| overlay.update(now, id(3), Interaction::Relay, true, 1.0));
    lose(&mut bench, link);
    assert_eq!(
        (grafts(&bench, 9), grafts(&bench, 3)),
        (vec![id(9)], vec![])
    );
}

#[test]
fn two_that_take_each_other_for_parent_part_at_once() {
    let (mut bench, _) = with_a_tree();
    bench.deliver(2, &news(1).0);
    prune(&mut bench, &[2, 3]);
    bench.deliver(1, &tree(&[], &[id(9)]));
    assert_eq!(grafts(&bench, 2), [id(9)]);
    let places = [1, 2].map(|n| bench.overlay.tree_places(id(n)).parent);
    assert_eq!(places, [0, 1]);
    // The other way to say so is to ask for a broadcast and what follows it.
    let (second, second_id) = news(2);
    bench.deliver(3, &second);
    bench.deliver(3, &want(&[second_id.short()], true));
    assert_eq!(bench.overlay.tree_places(id(3)).parent, 0);
}

#[test]
fn who_has_lost_its_parent_says_to_whom_it_pushes_what_it_lacked() {
    let (mut bench, link) = with_a_tree();
    assert_eq!(announcements(&bench, 1), [], "a flood needs no answer");
    prune(&mut bench, &[3]);
    lose(&mut bench, link);
    let (second, second_id) = news(2);
    bench.deliver(2, &second);
    assert_eq!(
        announcements(&bench, 2),
        [(vec![(second_id.short(), 0)], vec![])],
        "its parent here might be blamed"
    );
}
