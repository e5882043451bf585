//! Trees that lose their parent: who takes its place, before the next broadcast is missed.
//!
//! It is the backup, the neighbour that would have been next to bring what came last. Where none is
//! known, or it depends on us by now, somebody stands in: the origin itself if it is a neighbour, else
//! one drawn from those that have served well and get these broadcasts from somebody else. If that was no
//! good choice the next broadcast is asked for, as it would have been without.

use std::collections::BTreeSet;

use dunlin_session::NodeId;

use super::Overlay;
use crate::gossip::mask::Slot;
use crate::limits::TREE_ORIGINS_MAX;

impl Overlay {
    /// Through this slot nothing comes any more: its trees get other parents, which are returned.
    pub(super) fn on_slot_lost(&mut self, slot: Slot) -> BTreeSet<Slot> {
        let orphans = self.gossip.origins.on_slot_lost(slot);
        self.find_parents(orphans)
    }

    /// A neighbour is pushed these origins' broadcasts from now on. So it does not get them from elsewhere,
    /// and where it was the parent, each would wait for the other.
    pub(super) fn on_grafted(&mut self, slot: Slot, origins: impl IntoIterator<Item = NodeId>) {
        let mut orphans = Vec::new();
        for origin in origins {
            let Some(tree) = self.gossip.origins.get_mut(&origin) else {
                continue;
            };
            tree.lazy.set(slot, false);
            if tree.parent.take_if(|parent| *parent == slot).is_some() {
                orphans.push(origin);
            }
        }
        self.find_parents(orphans);
    }

    /// Gives each of these origins, which have no parent, a new one. Those who became it.
    fn find_parents(&mut self, orphans: Vec<NodeId>) -> BTreeSet<Slot> {
        if orphans.is_empty() {
            return BTreeSet::new();
        }
        let mut stand_ins = self.stand_ins();
        self.rng.shuffle(&mut stand_ins);
        let mut found: Vec<(Slot, NodeId)> = Vec::new();
        for origin in orphans {
            let itself = self.gossip.neighbours.get(&origin);
            let itself = itself.filter(|of| of.takes_broadcasts() && of.may_be_parent());
            let itself = itself.map(|of| of.slot);
            let Some(tree) = self.gossip.origins.get_mut(&origin) else {
                continue;
            };
            let is_elsewhere = |slot: &Slot| tree.lazy.has(*slot);
            let backup = tree.backup.take().map(|(slot, _)| slot);
            let others = || stand_ins.iter().copied().find(is_elsewhere);
            tree.parent = backup.filter(is_elsewhere).or(itself).or_else(others);
            found.extend(tree.parent.map(|slot| (slot, origin)));
        }
        found.sort_unstable();
        for of_one in found.chunk_by(|a, b| a.0 == b.0) {
            let slot = of_one.first().map(|&(slot, _)| slot);
            let Some(peer) = slot.and_then(|slot| self.gossip.neighbours.holder(slot)) else {
                continue;
            };
            let origins: Vec<NodeId> = of_one.iter().map(|&(_, origin)| origin).collect();
            for some in origins.chunks(TREE_ORIGINS_MAX) {
                self.send_tree(peer, &[], some);
            }
        }
        found.into_iter().map(|(slot, _)| slot).collect()
    }

    /// Neighbours that have served well, in no order that they could choose.
    fn stand_ins(&self) -> Vec<Slot> {
        let neighbours = self.gossip.neighbours.iter();
        let fit = neighbours.filter(|(peer, of)| {
            of.takes_broadcasts() && of.may_be_parent() && self.reputations.has_proven_itself(peer)
        });
        fit.map(|(_, of)| of.slot).collect()
    }
}
