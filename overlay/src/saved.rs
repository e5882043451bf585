//! What of an overlay outlives its process: plain values that a store keeps and gives back.
//!
//! Times are milliseconds since the Unix epoch, because the driver's clock begins anew with each start.
//! What comes back from a store is treated as what a peer says: it is bounded, and a value out of its
//! range is left out.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use dunlin_session::NodeId;

/// A peer of the address book.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SavedPeer {
    /// Its name.
    pub id: NodeId,
    /// Where it may be dialled.
    pub addresses: Vec<SocketAddr>,
    /// Its newest record as it was signed: body and signature as in a message (`docs/overlay.md`).
    pub record: Option<Bytes>,
    /// Who named it, if another peer did.
    pub introducer: Option<NodeId>,
    /// Whether it was ever connected ("tried" instead of "new").
    pub tried: bool,
    /// Whether it was connected when this was saved: an anchor, dialled first after a restart.
    pub anchor: bool,
    /// When it was last connected.
    pub seen_at: Option<u64>,
    /// Failures in a row since then.
    pub failures: u32,
    /// Whether the operator wants it for ever ([`crate::PeerPriority::High`]).
    pub persistent: bool,
}

/// Whom a ban is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BanSubject {
    /// One identity.
    Peer(NodeId),
    /// One address of the network.
    Address(IpAddr),
    /// All addresses with the same first so many bits (IPv4 0–32, IPv6 0–128).
    Prefix(IpAddr, u8),
}

/// A ban.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SavedBan {
    /// Whom it is for.
    pub subject: BanSubject,
    /// When it was pronounced.
    pub since: u64,
    /// When it ends.
    pub until: u64,
    /// Why, in words: at most 256 bytes.
    pub reason: String,
}

/// What is known of a peer's conduct.
#[derive(Clone, PartialEq, Debug)]
pub struct SavedReputation {
    /// Whose.
    pub peer: NodeId,
    /// Evidence for and against, of each component in the order uptime, latency, validity, consensus,
    /// relay.
    pub evidence: [(f64, f64); 5],
    /// Trust, 0 to 1.
    pub trust: f64,
    /// When it was last brought up to date.
    pub at: u64,
}
