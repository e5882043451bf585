//! Peers and gossip above authenticated links, sans-IO.
//!
//! The crate knows peer IDs and messages, never packets or sockets. A driver (in `dunlin-node`, or
//! a simulator) opens links when [`Overlay`] asks for them, carries messages both ways and hands on
//! what happened. Time, bytes and randomness are arguments; the same seed and inputs give the same
//! outputs.
//!
//! `docs/overlay.md` is the normative text: the messages (CBOR after RFC 8949, schema after
//! RFC 8610), the state machine, the limits, and what is deliberately not here yet.

mod bucket;
mod config;
mod error;
mod event;
pub mod fuzzing;
mod gossip;
pub mod limits;
mod outbox;
mod overlay;
mod peers;
#[cfg_attr(not(feature = "planted-bugs"), doc(hidden))]
pub mod planted;
mod reputation;
mod requests;
mod rng;
pub mod saved;
mod types;
mod wire;

pub use dunlin_session::Instant;

pub use crate::config::{Handlers, OverlayConfig, Rate, Validation, WallClock};
pub use crate::error::{DecodeError, OverlayError, PeerViolation};
pub use crate::event::{
    Action, CloseReason, DialTarget, Direction, Event, LinkEnd, LinkEndCause, LinkInfo,
    RequestFailure,
};
pub use crate::overlay::{BrokenInvariant, Overlay, OverlayStats, PeerView, TreePlaces};
pub use crate::peers::live::PeerCounters;
pub use crate::peers::state::{PeerState, StateReason, is_transition};
pub use crate::peers::table::PeerSource;
pub use crate::reputation::{
    Component, Evidence, Interaction, Reputation, ReputationConfig, Weights, WeightsError,
};
pub use crate::types::{
    BroadcastId, Capabilities, DisconnectReason, LinkId, Priority, Refusal, RequestId,
    RequestRefusal, Roles, Verdict, is_valid_name,
};

/// The protocol version of this crate's hellos.
pub const PROTOCOL_VERSION: u16 = 1;
/// The lowest version it still speaks.
pub const PROTOCOL_VERSION_MIN: u16 = 1;
