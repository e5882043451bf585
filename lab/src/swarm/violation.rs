//! What must never happen in a network of overlays.

use dunlin_overlay::{BroadcastId, BrokenInvariant, Instant, PeerViolation};
use dunlin_transport::CloseReason;

/// Something that must never happen did.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SwarmViolation {
    /// A bound of an overlay, or an agreement between its parts, is broken.
    #[error(transparent)]
    Invariant(#[from] BrokenInvariant),
    /// A broadcast was delivered that should not have been, or not like this.
    #[error("{id}: {how}")]
    Broadcast {
        /// Which.
        id: BroadcastId,
        /// In words.
        how: &'static str,
    },
    /// A request was answered wrongly, twice or never.
    #[error("request {id}: {how}")]
    Request {
        /// Its number at the requester.
        id: u64,
        /// In words.
        how: &'static str,
    },
    /// An honest node was accused of a fault.
    #[error("accuses an honest node: {0:?}")]
    Accusation(PeerViolation),
    /// A connection ended because one end says that the other broke the transport or the handshake.
    #[error("a connection between honest nodes ended with: {0}")]
    Connection(CloseReason),
    /// The story that a node tells of its peers contradicts itself.
    #[error("tells of a peer: {how}")]
    PeerStory {
        /// In words.
        how: &'static str,
    },
    /// Actions or events were dropped although everything is polled after each input.
    #[error("dropped {actions} actions and {events} events")]
    Dropped {
        /// Actions.
        actions: u64,
        /// Events.
        events: u64,
    },
    /// A node keeps working without time passing.
    #[error("keeps working without end at one instant")]
    Livelock,
    /// Something is still held that nobody needs any more.
    #[error("at the end, still holds {what}")]
    Leak {
        /// In words.
        what: &'static str,
    },
}

/// A [`SwarmViolation`] with its place in the run.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("node {node}: {violation} (at {at:?}, event {step})")]
pub struct SwarmFailure {
    /// What happened.
    #[source]
    pub violation: SwarmViolation,
    /// Where.
    pub node: usize,
    /// When, in virtual time.
    pub at: Instant,
    /// After so many events.
    pub step: u64,
}
