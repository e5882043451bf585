//! Passing broadcasts on: copies along the origin's tree, announcements to everybody else.
//!
//! A tree is what is left of a flood: the first broadcast of an origin goes to all neighbours, and
//! whoever gets a second copy says so to its sender (*prune*), who announces to it from then on. So
//! the tree consists of the fastest ways. Announcements carry how long their sender has had the
//! broadcast; a neighbour that was faster than the parent takes its place (*graft*). How much of a link an
//! origin may use up [`crate::gossip::shares`] says.

use core::time::Duration;

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::event::Direction;
use crate::gossip::mask::{Mask, Slot};
use crate::gossip::neighbours::Neighbour;
use crate::gossip::origins::Origin;
use crate::gossip::shares::Claim;
use crate::gossip::store::Held;
use crate::limits::ANNOUNCE_MAX;
use crate::planted::{self, Bug};
use crate::types::{Capabilities, Priority, ShortId};
use crate::wire::{Announce, Message, Tree, joined_announced, joined_ids, joined_nodes, node_ids};

/// How much of a link a broadcast that is pushed may use up.
const fn push_claim(held: &Held) -> Claim {
    match (held.is_fair, held.priority) {
        (false, _) => Claim::Surplus,
        (true, Priority::High) => Claim::Urgent,
        (true, Priority::Normal | Priority::Low) => Claim::Fair,
    }
}

/// By so much a neighbour must have been faster than the parent to take its place: above the jitter
/// of most links.
const SHORTCUT_MIN: Duration = Duration::from_millis(10);
/// How long an origin's parent is kept after such a change.
const SETTLE: Duration = Duration::from_secs(2);

impl Overlay {
    /// A peer is connected: it gets a place, and the side that opened the link compares sets.
    pub(super) fn on_neighbour_up(&mut self, now: Instant, peer: NodeId) {
        let Some(live) = self.live.get(&peer) else {
            return;
        };
        let opened = live.link.direction == Direction::Outbound;
        let gossips = live.offers(Capabilities::GOSSIP)
            && self.config.capabilities.contains(Capabilities::GOSSIP);
        let gossip = &mut self.gossip;
        let slot = gossip.neighbours.add(now, peer, gossips, &self.config);
        let Some(slot) = slot else { return };
        gossip.origins.on_slot_taken(slot);
        gossip.store.on_slot_taken(slot);
        self.on_conduct_known(now, peer);
        if gossips {
            self.tell_topics_to(peer);
        }
        if opened && gossips && !planted::is(Bug::NewLinkNotCompared) {
            self.compare_with(now, peer, u64::MAX);
        }
    }

    /// A peer is gone.
    pub(super) fn on_neighbour_down(&mut self, now: Instant, peer: NodeId) {
        self.close_conduct(now, peer);
        if let Some(slot) = self.gossip.neighbours.remove(&peer) {
            self.on_slot_lost(slot);
        }
    }

    /// The tree of an origin of which a broadcast is taken. An origin without one gets it, and its
    /// broadcast floods, if the budget for that allows: else whoever invents origins could push out
    /// the trees of others.
    pub(super) fn find_tree(&mut self, now: Instant, origin: NodeId) -> Option<&mut Origin> {
        let gossip = &mut self.gossip;
        let is_found = gossip.origins.has(&origin) || gossip.explorations.take(now, 1);
        is_found.then(|| gossip.origins.touch(now, origin))
    }

    /// Everybody but a few random neighbours: for broadcasts of origins without a tree.
    fn all_but_a_few(&mut self) -> Mask {
        let neighbours = self.gossip.neighbours.iter();
        let mut slots: Vec<Slot> = neighbours.map(|(_, of)| of.slot).collect();
        self.rng.shuffle(&mut slots);
        let mut lazy = Mask::default();
        for &slot in slots.iter().skip(self.config.gossip_fanout) {
            lazy.set(slot, true);
        }
        lazy
    }

    /// Passes a broadcast that is held on to every neighbour that is not known to have it.
    pub(super) fn spread(&mut self, now: Instant, key: ShortId) {
        let held = self.gossip.store.get(&key);
        let Some(origin) = held.map(|held| held.origin) else {
            return;
        };
        let tree = self.gossip.origins.get(&origin);
        let is_excessive = tree.is_some_and(|tree| tree.is_excessive(now));
        let lazy = match tree {
            Some(tree) => tree.lazy,
            None => self.all_but_a_few(),
        };
        let gossip = &mut self.gossip;
        let Some(held) = gossip.store.get_mut(&key) else {
            return;
        };
        let is_ours = held.origin == self.me;
        let claim = push_claim(held);
        if claim == Claim::Surplus && is_excessive {
            // Who sends more than it may has its share and no more.
            self.counters.surplus_withheld += 1;
            return;
        }
        let (mut pushes, mut mute, mut told) = (Vec::new(), Vec::new(), Vec::new());
        let mut is_withheld = false;
        for (peer, neighbour) in gossip.neighbours.iter_mut() {
            if !neighbour.takes_broadcasts() {
                neighbour.needs_comparison = true;
                continue;
            }
            if held.known_by.has(neighbour.slot) || peer == held.origin {
                continue;
            }
            let is_pushed = !held.is_offered && !lazy.has(neighbour.slot) && !neighbour.is_barred;
            if is_pushed && neighbour.may_send(now, held.message.len(), claim) {
                held.known_by.set(neighbour.slot, true);
                if held.is_fair && neighbour.conduct.on_given(now) {
                    mute.push(neighbour.slot);
                }
                pushes.push(peer);
                continue;
            }
            let asks_at_once = is_pushed || held.is_offered;
            // Surplus for which there is no room would not be brought to who asks for it either.
            let is_surplus = claim == Claim::Surplus && !neighbour.is_congested;
            if asks_at_once && is_surplus && !neighbour.has_room(now, held.message.len(), claim) {
                is_withheld = true;
            } else {
                told.push((peer, asks_at_once));
            }
        }
        if is_withheld {
            self.counters.surplus_withheld += 1;
            told.retain(|&(_, asks_at_once)| asks_at_once);
        }
        // Who takes and says nothing is announced to. Whoever depends on us asks, and is pushed to again.
        for slot in mute {
            gossip.origins.on_slot_taken(slot);
        }
        let (message, is_offered) = (held.message.clone(), held.is_offered);
        self.tell(now, key, &told, is_offered);
        if !is_ours {
            self.counters.copies_relayed += pushes.len() as u64;
        }
        for peer in pushes {
            self.send_bytes(peer, message.clone());
        }
    }

    /// Tells neighbours of a broadcast, with those of which they are told at the same time; whether they are to
    /// ask at once.
    fn tell(&mut self, now: Instant, key: ShortId, told: &[(NodeId, bool)], is_offered: bool) {
        let gossip = &mut self.gossip;
        for &(peer, asks_at_once) in told {
            if let Some(neighbour) = gossip.neighbours.get_mut(&peer) {
                neighbour.announce_later(key, asks_at_once);
            }
        }
        if !told.is_empty() && !planted::is(Bug::NothingAnnounced) {
            let wait = if is_offered {
                Duration::ZERO
            } else {
                self.config.announce_interval
            };
            let at = now + wait;
            gossip.flush_at = Some(gossip.flush_at.map_or(at, |due| due.min(at)));
        }
    }

    /// Sends the announcements that wait, when their time has come.
    pub(super) fn flush_if_due(&mut self, now: Instant) {
        if self.gossip.flush_at.is_none_or(|at| at > now) {
            return;
        }
        self.gossip.flush_at = None;
        let gossip = &mut self.gossip;
        let mut messages = Vec::new();
        for (peer, neighbour) in gossip.neighbours.iter_mut() {
            let announcements = core::mem::take(&mut neighbour.announcements);
            if neighbour.is_silent() {
                neighbour.needs_comparison |= !announcements.is_empty();
                continue;
            }
            for some in announcements.chunks(ANNOUNCE_MAX) {
                let (mut pushed, mut offered) = (Vec::new(), Vec::new());
                let mut is_told = false;
                for &(key, ask_at_once) in some {
                    let held = gossip.store.get(&key);
                    let held = held.filter(|held| !held.known_by.has(neighbour.slot));
                    let Some(held) = held else { continue };
                    let age = now.saturating_duration_since(held.arrived).as_millis();
                    match ask_at_once {
                        true => offered.push(key),
                        false => {
                            is_told |= held.is_fair;
                            pushed.push((key, u16::try_from(age).unwrap_or(u16::MAX)));
                        }
                    }
                }
                neighbour.conduct.on_told(u32::from(is_told));
                if !pushed.is_empty() || !offered.is_empty() {
                    messages.push((peer, pushed, offered));
                }
            }
        }
        for (peer, pushed, offered) in messages {
            self.counters.announced += (pushed.len() + offered.len()) as u64;
            let (pushed, offered) = (joined_announced(&pushed), joined_ids(&offered));
            let announce = Announce {
                pushed: &pushed,
                offered: &offered,
            };
            self.send_message(peer, &Message::Announce(announce));
        }
    }

    /// A neighbour changes what it is pushed.
    pub(super) fn on_tree(&mut self, now: Instant, peer: NodeId, tree: &Tree<'_>) {
        let (Some(prune), Some(graft)) = (node_ids(tree.prune), node_ids(tree.graft)) else {
            return self.on_malformed_list(now, peer);
        };
        let Some(neighbour) = self.gossip.neighbours.get(&peer) else {
            return;
        };
        let (slot, is_barred) = (neighbour.slot, neighbour.is_barred);
        for origin in prune {
            if let Some(tree) = self.gossip.origins.get_mut(&origin) {
                tree.lazy.set(slot, true);
            }
        }
        if !is_barred {
            self.on_grafted(slot, graft);
        }
    }

    /// Tells a neighbour not to push this origin's broadcasts.
    pub(super) fn prune(&mut self, peer: NodeId, origin: NodeId) {
        self.send_tree(peer, &[origin], &[]);
    }

    pub(super) fn send_tree(&mut self, peer: NodeId, prune: &[NodeId], graft: &[NodeId]) {
        self.counters.prunes_sent += prune.len() as u64;
        self.counters.grafts_sent += graft.len() as u64;
        let (prune, graft) = (joined_nodes(prune), joined_nodes(graft));
        let tree = Tree {
            prune: &prune,
            graft: &graft,
        };
        self.send_message(peer, &Message::Tree(tree));
    }

    /// A neighbour says since how many milliseconds it has had what we have as well: was it faster?
    pub(super) fn consider_shortcut(
        &mut self,
        now: Instant,
        peer: NodeId,
        key: ShortId,
        age_millis: u16,
    ) {
        let gossip = &mut self.gossip;
        let neighbour = gossip.neighbours.get(&peer);
        let slot = neighbour.map(|of| of.slot);
        let may_be_parent = neighbour.is_some_and(Neighbour::may_be_parent);
        let (Some(held), Some(slot)) = (gossip.store.get_mut(&key), slot) else {
            return;
        };
        held.known_by.set(slot, true);
        if !may_be_parent {
            return;
        }
        let Some(tree) = gossip.origins.get_mut(&held.origin) else {
            return;
        };
        if age_millis == u16::MAX || tree.parent == Some(slot) {
            return;
        }
        // When a copy pushed by it would have come, against when ours did.
        let age = Duration::from_millis(u64::from(age_millis)).as_nanos();
        let pushed = now
            .as_nanos()
            .saturating_sub(u64::try_from(age).unwrap_or(0));
        let ours = held.arrived.as_nanos();
        let gain = u64::try_from(SHORTCUT_MIN.as_nanos()).unwrap_or(u64::MAX);
        let came_from_parent = held.from.is_some() && held.from == tree.parent;
        // A claim to be fast is followed of who has brought something before, and has not failed lately.
        let is_known = self.reputations.has_proven_itself(&peer);
        if is_known
            && came_from_parent
            && pushed.saturating_add(gain) <= ours
            && tree.settled_until <= now
        {
            tree.settled_until = now + SETTLE;
            let former = tree.parent.replace(slot);
            let origin = held.origin;
            let former = former.and_then(|slot| self.gossip.neighbours.holder(slot));
            self.send_tree(peer, &[], &[origin]);
            if let Some(former) = former {
                self.prune(former, origin);
            }
            return;
        }
        let late = pushed.saturating_sub(ours);
        // So is one to be next: of who has not, only where nobody else is known.
        if tree
            .backup
            .is_none_or(|(_, other)| is_known && late < other)
        {
            tree.backup = Some((slot, late));
        }
    }
}
