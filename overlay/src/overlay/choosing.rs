//! Whom of the known peers to dial.
//!
//! First the anchors: peers that this node had itself dialled and was linked to when it stopped, so
//! that a restart is no occasion for an attacker. Then the fewest failures; among equals a coin decides
//! between *new* and *tried*, and within each the buckets take turns in random order, so that who
//! fills a few buckets is not drawn more often for it (Bitcoin Core's `Select_`).
//!
//! No peer of a group of addresses is dialled while there is a link that we opened to another one of
//! it, or a dial, unless nobody of another group is due. The group is that of [`crate::book`];
//! addresses of a site or of one machine are not counted so.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::book::{Group, Shelf};
use crate::event::{DialTarget, Direction};

/// A peer that may be dialled now.
struct Choice {
    id: NodeId,
    address: SocketAddr,
    failures: u32,
    /// How many of its bucket come before it.
    round: u32,
    lot: u64,
}

impl Overlay {
    /// Dials who was linked before the restart, once.
    pub(super) fn dial_anchors(&mut self, now: Instant) {
        if !self.wants_peers(now) {
            return;
        }
        let anchors: Vec<_> = self
            .due_waiting(now)
            .filter(|of| of.anchor)
            .map(|of| (of.id, of.address))
            .collect();
        for (id, address) in anchors {
            if self.may_dial(now) {
                self.dial_peer(now, id, address);
            }
        }
    }

    /// Dials known peers while more are wanted: one of each group first, then whoever there is.
    pub(super) fn dial_candidates(&mut self, now: Instant) {
        let order = self.dial_order(now);
        for is_strict in [true, false] {
            for &(id, address) in &order {
                if !self.may_dial(now) || !self.wants_peers(now) {
                    return;
                }
                let is_late = is_strict && self.is_of_a_used_group(address);
                if !is_late {
                    self.dial_peer(now, id, address);
                }
            }
        }
    }

    /// Dials a known peer, unless its address is being dialled.
    pub(super) fn dial_peer(&mut self, now: Instant, id: NodeId, address: SocketAddr) {
        if !self.dials.contains_key(&address) {
            let id = Some(id);
            self.dial(now, DialTarget { address, id });
        }
    }

    /// Whether we dial, or have dialled and are linked to, another peer of the same network.
    pub(super) fn is_of_a_used_group(&self, address: SocketAddr) -> bool {
        let group = Group::of(address);
        let linked = self.live.values().map(|live| live.link);
        let dialled = linked.filter(|link| link.direction == Direction::Outbound);
        let mut used = dialled
            .map(|link| link.remote)
            .chain(self.dials.keys().copied());
        group.is_diverse() && used.any(|address| Group::of(address) == group)
    }

    /// Everybody who may be dialled now, in the order of this module.
    fn dial_order(&mut self, now: Instant) -> Vec<(NodeId, SocketAddr)> {
        let (new, tried) = self.choices(now);
        let mut order = Vec::with_capacity(new.len() + tried.len());
        let (mut new, mut tried) = (new.into_iter().peekable(), tried.into_iter().peekable());
        loop {
            let is_new_next = match (new.peek(), tried.peek()) {
                (None, None) => return order,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some(new), Some(tried)) if new.failures == tried.failures => {
                    self.rng.below(2) == 0
                }
                (Some(new), Some(tried)) => new.failures < tried.failures,
            };
            let next = if is_new_next {
                new.next()
            } else {
                tried.next()
            };
            order.extend(next.map(|choice| (choice.id, choice.address)));
        }
    }

    /// New and tried peers that are due, each in the order of failures and of rounds through the
    /// buckets. Who has no place in the book, being configured, counts as tried.
    fn choices(&mut self, now: Instant) -> (Vec<Choice>, Vec<Choice>) {
        let mut due: Vec<_> = self
            .due_candidates(now)
            .filter_map(|(id, entry)| {
                let bucket = entry.slot.map(|slot| slot.bucket());
                let failures = entry.backoff.failures();
                Some((bucket, id, failures, entry.next_address()?))
            })
            .collect();
        self.rng.shuffle(&mut due);
        let mut rounds = BTreeMap::new();
        let mut shelves = (Vec::new(), Vec::new());
        for (bucket, id, failures, address) in due {
            let round = match bucket {
                Some(bucket) => rounds.entry((bucket, failures)).or_insert(0),
                None => &mut 0,
            };
            let shelf = match bucket {
                Some((Shelf::New, _)) => &mut shelves.0,
                Some((Shelf::Tried, _)) | None => &mut shelves.1,
            };
            shelf.push(Choice {
                id,
                address,
                failures,
                round: *round,
                lot: 0,
            });
            *round += 1;
        }
        for choice in shelves.0.iter_mut().chain(&mut shelves.1) {
            choice.lot = self.rng.next_u64();
        }
        let rank = |choice: &Choice| (choice.failures, choice.round, choice.lot);
        shelves.0.sort_by_key(rank);
        shelves.1.sort_by_key(rank);
        shelves
    }
}
