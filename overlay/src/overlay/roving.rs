//! A link that wanders: how the parts of a network that fell apart find each other again.
//!
//! A node that has its peers dials nobody. Were that all, a network that was cut in two for longer
//! than links last would stay so for ever: each part fills its places from within. So a node with
//! enough peers keeps one link more, the *rover*, to a peer drawn evenly from all that it knows and
//! is not linked to; every [`crate::OverlayConfig::rove_interval`] it dials another such peer, and
//! says goodbye to the last rover when that one is up. The peers that it found itself stay. (Bitcoin
//! Core's feelers and rotating extra outbound connection serve the same end.)
//!
//! It costs one dial an interval, however large the network is. The same dial is the *feeler* of the
//! address book: it goes first to whoever has to show that it deserves its place among the tried, else,
//! by lot, to a peer of which nobody but others has told (who answers is tried from then on), to
//! any known peer, or to a mere hint.

use core::net::SocketAddr;
use core::time::Duration;

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::book::{Shelf, Slot};
use crate::event::{DialTarget, Direction};
use crate::types::DisconnectReason;

/// Where a node stands in it.
#[derive(Default)]
pub(super) struct Roving {
    /// When to dial the next one.
    due: Instant,
    /// Being dialled.
    next: Option<Target>,
    /// The link that goes when the next one is up.
    rover: Option<NodeId>,
}

/// Whom the rover is to find.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    /// A node that is known.
    Node(NodeId),
    /// Whoever answers at a hint.
    Place(SocketAddr),
}

impl Overlay {
    /// The first time is drawn evenly from an interval, so that nodes which start together do not
    /// rove together.
    pub(super) fn start_roving(&mut self, now: Instant) {
        let interval = u64::try_from(self.config.rove_interval.as_nanos()).unwrap_or(u64::MAX / 2);
        let wait = self.rng.below(interval.saturating_add(1));
        self.roving.due = now + Duration::from_nanos(wait);
    }

    /// Dials somebody new when it is time and there are enough peers; below that the usual dials
    /// do the same more often.
    pub(super) fn rove_if_due(&mut self, now: Instant) {
        if self.roving.due > now {
            return;
        }
        self.roving.due = now + self.jittered(self.config.rove_interval);
        self.roving.next = None;
        if self.wants_peers(now) || !self.may_dial(now) {
            return;
        }
        let Some((target, address)) = self.choose_to_rove(now) else {
            return;
        };
        self.roving.next = Some(target);
        let id = match target {
            Target::Node(id) => Some(id),
            Target::Place(_) => None,
        };
        self.dial(now, DialTarget { address, id });
    }

    fn choose_to_rove(&mut self, now: Instant) -> Option<(Target, SocketAddr)> {
        let lot = self.rng.below(4);
        let known: Vec<_> = self
            .due_candidates(now)
            .filter_map(|(id, entry)| Some((id, entry.next_address()?, entry.slot)))
            .collect();
        let tested = self.table.tests().next();
        let tested = known.iter().find(|(id, ..)| Some(*id) == tested);
        if let Some(&(id, address, _)) = tested {
            return Some((Target::Node(id), address));
        }
        let is_new = |slot: Option<Slot>| slot.is_some_and(|slot| slot.shelf == Shelf::New);
        let of_book = |only_new: bool| {
            let chosen = known
                .iter()
                .filter(move |known| !only_new || is_new(known.2));
            chosen.map(|&(id, address, _)| (Target::Node(id), address))
        };
        let hints: Vec<_> = self.hints_now(now).collect();
        let hinted = hints.iter().map(|&at| (Target::Place(at), at));
        let mut choices: Vec<_> = match lot {
            0 => hinted.collect(),
            1 => of_book(true).collect(),
            _ => of_book(false).collect(),
        };
        if choices.is_empty() {
            choices = of_book(false).collect();
        }
        let is_elsewhere = |choice: &(Target, SocketAddr)| !self.is_of_a_used_group(choice.1);
        if choices.iter().any(is_elsewhere) {
            choices.retain(is_elsewhere);
        }
        let choice = self.rng.below(choices.len() as u64);
        choices.get(usize::try_from(choice).ok()?).copied()
    }

    /// When the next one is due; `None` while there are no peers.
    pub(super) fn next_rove(&self) -> Option<Instant> {
        (self.connected_count() > 0).then_some(self.roving.due)
    }

    /// Whether the link to a peer is the one that wanders.
    pub(super) fn roves_to(&self, peer: NodeId) -> bool {
        self.roving.rover == Some(peer)
    }

    /// A peer is up. If it is the new rover, the old one may go, unless it is needed.
    pub(super) fn on_rover_up(&mut self, now: Instant, peer: NodeId) {
        let remote = self.live.get(&peer).map(|live| live.remote());
        let is_rover = match self.roving.next {
            Some(Target::Node(id)) => id == peer,
            Some(Target::Place(address)) => remote == Some(address),
            None => false,
        };
        if !is_rover {
            return;
        }
        self.roving.next = None;
        let former = self.roving.rover.replace(peer).filter(|&id| id != peer);
        let Some(former) = former.and_then(|id| Some((id, self.live.get(&id)?))) else {
            return;
        };
        let (id, live) = former;
        let is_wanted = self.is_persistent(id);
        let is_ours =
            !is_wanted && live.is_connected() && live.link.direction == Direction::Outbound;
        if is_ours && self.connected_count() > self.config.target_peers {
            self.disconnect(now, id, DisconnectReason::ConnectionLimitReached);
        }
    }
}
