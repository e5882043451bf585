//! Peers and gossip above authenticated links, sans-IO.
//!
//! The crate knows peer IDs and messages, never packets or sockets. A driver (in `dunlin-node`, or
//! a simulator) opens links when [`Overlay`] asks for them, carries messages both ways and hands on
//! what happened. Time, bytes and randomness are arguments; the same seed and inputs give the same
//! outputs.
//!
//! `docs/overlay.md` is the normative text: the messages (CBOR after RFC 8949, schema after
//! RFC 8610), the state machine, the limits, and what is deliberately not here yet.

pub mod address;
mod book;
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
mod prefix;
mod relayed;
mod reputation;
mod requests;
mod rng;
pub mod saved;
mod signatures;
mod topics;
mod types;
mod wire;
mod words;

pub use dunlin_session::Instant;

pub use crate::config::{Handlers, OverlayConfig, Rate, Validation, WallClock};
pub use crate::error::{DecodeError, OverlayError, PeerViolation};
pub use crate::event::{
    Action, BanEnd, CloseReason, DialTarget, Direction, Event, LinkEnd, LinkEndCause, LinkInfo,
    RequestFailure,
};
pub use crate::overlay::{BrokenInvariant, Overlay, OverlayStats, PeerView, TreePlaces};
pub use crate::peers::bans::BanSubjectError;
pub use crate::peers::groups::{Admission, PeerGroup};
pub use crate::peers::health::{Ailment, HealthThresholds, PeerHealth};
pub use crate::peers::kind::ConnectionKind;
pub use crate::peers::live::PeerCounters;
pub use crate::peers::state::{PeerState, StateReason, is_transition};
pub use crate::peers::table::PeerSource;
pub use crate::prefix::{IpPrefix, PrefixError};
pub use crate::reputation::{
    Component, Evidence, Interaction, Reputation, ReputationConfig, Weights, WeightsError,
};
pub use crate::signatures::{EachAnew, Signatures};
pub use crate::topics::Topics;
pub use crate::types::{
    AddedPeer, BroadcastId, Capabilities, DisconnectReason, HintSource, LinkId, PeerPriority,
    Priority, Refusal, RequestId, RequestRefusal, Roles, Verdict, is_valid_name,
};

/// A peer record for others to find a node by, signed by the node itself: `signed-record` of
/// `docs/overlay.md`. At most [`limits::RECORD_ADDRESSES_MAX`] addresses are in it. It is believed for 30
/// days where it is given to [`Overlay::add_record`], and any record that the node signs later
/// replaces it.
#[must_use]
pub fn sign_record(
    identity: &dunlin_session::Identity,
    network: &str,
    addresses: &[core::net::SocketAddr],
    unix_millis: u64,
) -> Vec<u8> {
    let fields = wire::RecordFields {
        network,
        sequence: unix_millis,
        unix_millis,
        addresses,
        external: &[],
        capabilities: Capabilities::ALL,
        roles: Roles::FULL,
    };
    wire::VerifiedRecord::sign(identity, &fields).to_bytes()
}

/// The protocol version of this crate's hellos.
pub const PROTOCOL_VERSION: u16 = 1;
/// The lowest version it still speaks.
pub const PROTOCOL_VERSION_MIN: u16 = 1;
