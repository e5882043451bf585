//! What goes in from the driver besides bytes, and what comes out.

use std::net::SocketAddr;

use bytes::Bytes;
use dunlin_session::{NodeId, PublicIdentity};

use crate::error::PeerViolation;
use crate::peers::state::{PeerState, StateReason};
use crate::reputation::{Component, Evidence};
use crate::saved::{BanSubject, SavedBan};
use crate::types::{BroadcastId, DisconnectReason, LinkId, RequestId, RequestRefusal};

/// Which side opened a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Direction {
    /// The peer did.
    Inbound,
    /// We did.
    Outbound,
}

/// An authenticated link that has just come up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkInfo {
    /// The driver's name for it, never used twice.
    pub id: LinkId,
    /// Who opened it.
    pub direction: Direction,
    /// The peer's address as our socket sees it; of an outbound link, the address dialled.
    pub remote: SocketAddr,
    /// The peer's keys, proven by the session's handshake.
    pub public: PublicIdentity,
}

/// The end of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkEnd {
    /// Which.
    pub link: LinkId,
    /// How.
    pub cause: LinkEndCause,
}

/// How a link ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LinkEndCause {
    /// We closed it ([`Action::CloseLink`]).
    ClosedLocally,
    /// The peer closed it.
    ClosedByPeer,
    /// Nothing came from the peer for too long.
    TimedOut,
    /// The transport or the session failed.
    Failed,
}

/// Whom to dial.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DialTarget {
    /// Where.
    pub address: SocketAddr,
    /// Who must answer; `None` takes whoever is there (a bootstrap known by address only).
    pub id: Option<NodeId>,
}

/// Why a link is to be closed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CloseReason {
    /// There is another link to the same peer.
    DuplicateLink,
    /// The peer is ourselves.
    OwnIdentity,
    /// The peers have parted, or the hello failed.
    Disconnect(DisconnectReason),
}

/// What the driver is to do. In order; the queue is drained after every input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Send one message on that link, reliably. Order within a link is not relied on.
    Send {
        /// To whom.
        peer: NodeId,
        /// On which of the links to that peer.
        link: LinkId,
        /// One message, at most [`crate::limits::MESSAGE_LEN_MAX`] bytes.
        bytes: Bytes,
    },
    /// Open a link. Answered by `handle_connected` or `handle_dial_failed`.
    Dial(DialTarget),
    /// Close a link, after what was sent before. Answered by `handle_disconnected`.
    CloseLink {
        /// Whose.
        peer: NodeId,
        /// Which.
        link: LinkId,
        /// Why.
        reason: CloseReason,
    },
    /// Have the peer prove once more, over that link, that it has the key of its identity. Answered by
    /// `handle_challenged`.
    ChallengePeer {
        /// Who.
        peer: NodeId,
        /// Over which link.
        link: LinkId,
    },
}

/// How a ban came to its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BanEnd {
    /// Its time was over.
    Expired,
    /// The application lifted it.
    Lifted,
    /// There were too many, and it would have ended first.
    Displaced,
}

/// Why a request has no answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RequestFailure {
    /// No answer in time.
    Timeout,
    /// The peer was lost or left.
    PeerGone,
    /// No relay reaches it.
    Unreachable,
    /// The peer refused (`None`: with a code of a later version).
    Refused(Option<RequestRefusal>),
}

/// What the application is told.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Messages to and from this peer flow from now on.
    PeerUp {
        /// Who.
        peer: NodeId,
    },
    /// They do not any more.
    PeerDown {
        /// Who.
        peer: NodeId,
        /// Why.
        reason: StateReason,
    },
    /// A peer's place in the state machine changed. An audit trail is the sequence of these.
    PeerStateChanged {
        /// Who.
        peer: NodeId,
        /// `None`: it was not known before.
        from: Option<PeerState>,
        /// The state now.
        to: PeerState,
        /// Why.
        reason: StateReason,
    },
    /// A broadcast that is new here and whose origin is proven.
    Broadcast {
        /// Its name.
        id: BroadcastId,
        /// Who signed it.
        origin: NodeId,
        /// Under which topic.
        topic: String,
        /// The application's bytes.
        payload: Bytes,
        /// When the origin says it signed it (milliseconds since the Unix epoch).
        unix_millis: u64,
        /// Links travelled as the relays say (not proven).
        hops: u8,
        /// Who handed it to us.
        from: NodeId,
    },
    /// The application rejected a broadcast ([`crate::Verdict::Reject`]). Evidence against its
    /// origin, whose signature it carries.
    BroadcastRejected {
        /// Its name.
        id: BroadcastId,
        /// Who signed it.
        origin: NodeId,
        /// Who handed it to us.
        from: NodeId,
        /// Whether the sender answers for it as well: it is the origin, or says that it validates.
        sender_answers: bool,
    },
    /// A connected peer has another link from now on: it came back before the one it had was given up, or
    /// both ends had opened one.
    LinkReplaced {
        /// Who.
        peer: NodeId,
        /// Its address on the new link.
        remote: SocketAddr,
        /// Who opened the new link.
        direction: Direction,
    },
    /// A peer has not answered for a few round trips, or does so again. It keeps its link.
    PeerSilent {
        /// Who.
        peer: NodeId,
        /// True: it has fallen silent. False: it was heard again.
        is_silent: bool,
    },
    /// A message to a handler of ours.
    Direct {
        /// From whom.
        peer: NodeId,
        /// To which handler.
        handler: String,
        /// The application's bytes.
        payload: Bytes,
        /// The relay, if it came through one.
        via: Option<NodeId>,
    },
    /// A request to a handler of ours; answer with `respond` or `refuse`.
    Request {
        /// From whom.
        peer: NodeId,
        /// The peer's name for it.
        id: RequestId,
        /// To which handler.
        handler: String,
        /// The application's bytes.
        payload: Bytes,
        /// The relay, if it came through one; the answer goes the same way.
        via: Option<NodeId>,
    },
    /// The answer to a request of ours.
    Response {
        /// From whom.
        peer: NodeId,
        /// Our name for it.
        id: RequestId,
        /// The application's bytes.
        payload: Bytes,
    },
    /// A request of ours that has no answer.
    RequestFailed {
        /// To whom it went.
        peer: NodeId,
        /// Our name for it.
        id: RequestId,
        /// Why.
        failure: RequestFailure,
    },
    /// A peer did what no correct peer does. A few of these ban it.
    PeerViolation {
        /// Who.
        peer: NodeId,
        /// What.
        violation: PeerViolation,
    },
    /// The score of a peer changed by a point or more, or something counts against it.
    ScoreChanged {
        /// Who.
        peer: NodeId,
        /// In what.
        component: Component,
        /// Its score before, 0 to 100.
        from: u8,
        /// Its score now.
        to: u8,
        /// Because of what.
        evidence: Evidence,
    },
    /// A peer says how much it trusts others, in thousandths. It moves little: see `docs/overlay.md`.
    TrustStatements {
        /// Who says so.
        peer: NodeId,
        /// Of whom what; at most [`crate::limits::TRUST_ENTRIES_MAX`].
        entries: Vec<(NodeId, u16)>,
    },
    /// Somebody is not wanted from now on.
    Banned {
        /// Who, why, and until when.
        ban: SavedBan,
    },
    /// A ban has ended.
    Unbanned {
        /// Whose.
        subject: BanSubject,
        /// How.
        how: BanEnd,
    },
    /// A link was closed as soon as it was up. Of a peer that was not known nothing else is told.
    LinkRefused {
        /// With whom.
        peer: NodeId,
        /// From where.
        remote: SocketAddr,
        /// Why.
        reason: CloseReason,
    },
    /// A peer has proved its identity again ([`crate::Overlay::challenge`]).
    PeerProven {
        /// Who.
        peer: NodeId,
    },
    /// A peer tells the address it sees us at. Not proven: do not believe a single peer.
    ObservedAddress {
        /// Who says so.
        peer: NodeId,
        /// The address.
        address: SocketAddr,
    },
}
