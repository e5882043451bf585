//! A link that wanders: how the parts of a network that fell apart find each other again.
//!
//! A node that has its peers dials nobody. Were that all, a network that was cut in two for longer
//! than links last would stay so for ever: each part fills its places from within. So a node with
//! enough peers keeps one link more, the *rover*, to a peer drawn evenly from all that it knows and
//! is not linked to; every [`crate::OverlayConfig::rove_interval`] it dials another such peer, and
//! says goodbye to the last rover when that one is up. The peers that it found itself stay. (Bitcoin
//! Core's feelers and rotating extra outbound connection serve the same end.)
//!
//! It costs one dial an interval, however large the network is.

use core::time::Duration;

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::event::{DialTarget, Direction};
use crate::types::DisconnectReason;

/// Where a node stands in it.
#[derive(Default)]
pub(super) struct Roving {
    /// When to dial the next one.
    due: Instant,
    /// Being dialled.
    next: Option<NodeId>,
    /// The link that goes when the next one is up.
    rover: Option<NodeId>,
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
        let known: Vec<_> = self
            .due_candidates(now)
            .filter_map(|(id, entry)| Some((id, entry.next_address()?)))
            .collect();
        let choice = usize::try_from(self.rng.below(known.len() as u64)).ok();
        if let Some(&(id, address)) = choice.and_then(|choice| known.get(choice)) {
            self.roving.next = Some(id);
            let id = Some(id);
            self.dial(now, DialTarget { address, id });
        }
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
        if self.roving.next != Some(peer) {
            return;
        }
        self.roving.next = None;
        let former = self.roving.rover.replace(peer).filter(|&id| id != peer);
        let Some(former) = former.and_then(|id| Some((id, self.live.get(&id)?))) else {
            return;
        };
        let (id, live) = former;
        let is_ours = live.is_connected() && live.link.direction == Direction::Outbound;
        if is_ours && self.connected_count() > self.config.target_peers {
            self.disconnect(now, id, DisconnectReason::ConnectionLimitReached);
        }
    }
}
