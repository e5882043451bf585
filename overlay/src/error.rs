//! Errors by blame: what a message's bytes did wrong, what a peer did wrong, what our caller did
//! wrong.

use dunlin_session::NodeId;

use crate::limits;
use crate::types::BroadcastId;

/// Bytes that are no overlay message. Decoding changes no state.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum DecodeError {
    /// Longer than [`limits::MESSAGE_LEN_MAX`], or a part is longer than its own bound.
    #[error("longer than its bound of {max} bytes or items")]
    TooLong {
        /// The bound.
        max: usize,
    },
    /// Ends before its last item.
    #[error("the input ends inside an item")]
    Truncated,
    /// An item of indefinite length, which the profile does not allow.
    #[error("an item of indefinite length")]
    IndefiniteLength,
    /// Containers nest deeper than [`limits::NESTING_MAX`].
    #[error("containers nest deeper than {} levels", limits::NESTING_MAX)]
    TooDeep,
    /// The keys of a map are not unsigned integers in rising order.
    #[error("the keys of a map are not rising unsigned integers")]
    UnorderedKeys,
    /// Bytes follow the message.
    #[error("bytes follow the message")]
    TrailingBytes,
    /// A reserved initial byte, or UTF-8 that is none.
    #[error("not well-formed CBOR")]
    NotWellFormed,
    /// Well-formed CBOR that is not what the schema says; a field is missing or of another type.
    #[error("does not fit the schema")]
    Schema,
}

/// What a peer did that no correct peer does. Each is counted; [`limits::VIOLATIONS_MAX`] of them
/// end the link and ban the peer for a while.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum PeerViolation {
    /// A message that does not decode, and the rule that it broke.
    #[error("sent a message that does not decode: {0}")]
    Malformed(DecodeError),
    /// A broadcast whose signature does not verify: a correct peer checks before it relays.
    #[error("relayed a broadcast whose signature does not verify")]
    BroadcastSignature,
    /// A broadcast with a hop count of zero or above its limit.
    #[error("relayed a broadcast beyond its hop limit")]
    BroadcastHops,
    /// A broadcast of another network.
    #[error("relayed a broadcast of another network")]
    BroadcastNetwork,
    /// A broadcast that our application rejects, from its origin or from a peer that says it
    /// validates what it passes on.
    #[error("sent a broadcast that the application rejects")]
    BroadcastRejected,
    /// A peer record whose signature does not verify, or of another network.
    #[error("sent a peer record that does not verify")]
    RecordInvalid,
    /// A record in its hello that is not its own.
    #[error("presented another node's record as its own")]
    RecordNotOwn,
    /// A relayed message that does not verify: a correct relay checks before it hands on.
    #[error("handed on a relayed message that does not verify")]
    RelayInvalid,
    /// A name or payload outside its bounds.
    #[error("sent a name or payload outside its bounds")]
    OutOfBounds,
}

/// What the caller of the overlay did wrong. Nothing was sent and no state changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OverlayError {
    /// The peer has no finished hello with us.
    #[error("not connected to {0}")]
    NotConnected(NodeId),
    /// The peer says that it does not take such messages.
    #[error("{0} does not take messages of this kind")]
    NotSupported(NodeId),
    /// The payload is longer than the kind of message allows.
    #[error("payload of {len} bytes exceeds the limit of {max}")]
    PayloadTooLong {
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// A handler or topic name is empty, longer than 64 bytes or holds control characters.
    #[error("a handler or topic name has 1 to 64 bytes and no control characters")]
    InvalidName,
    /// Too many requests wait for this peer's answer.
    #[error("too many requests wait for {0}")]
    TooManyRequests(NodeId),
    /// No such request of this peer waits for an answer (any more).
    #[error("no request {0} of that peer waits for an answer")]
    UnknownRequest(u64),
    /// We broadcast faster than our own rate; try again later.
    #[error("broadcasting faster than the configured rate")]
    TooFast,
    /// No such broadcast waits for a verdict (any more).
    #[error("{0:?} does not wait for a verdict")]
    UnknownBroadcast(BroadcastId),
    /// [`limits::BOOTSTRAP_MAX`] addresses are configured already.
    #[error("at most {} bootstrap addresses", limits::BOOTSTRAP_MAX)]
    TooManyBootstraps,
    /// [`limits::PERSISTENT_MAX`] peers are to be kept for ever already.
    #[error("at most {} peers with high priority", limits::PERSISTENT_MAX)]
    TooManyPersistent,
    /// Nothing can listen at that address.
    #[error("nothing can be dialled at {0}: a port is needed, and an address of one host")]
    NotDialable(core::net::SocketAddr),
    /// It is this node itself.
    #[error("that is this node itself")]
    OwnAddress,
    /// Nothing is known of where that node is.
    #[error("no address is known for {0}; add it with one")]
    NoAddress(NodeId),
    /// The peer is banned.
    #[error("{0} is banned; end its ban first")]
    PeerBanned(NodeId),
    /// A record that was given to us does not verify, is of another network or too old.
    #[error("the record does not verify, is of another network or too old")]
    BadRecord,
    /// [`limits::HANDLERS_MAX`] names are registered already.
    #[error("at most {} handlers", limits::HANDLERS_MAX)]
    TooManyHandlers,
    /// [`limits::TOPICS_MAX`] topics are taken already, or more are to be.
    #[error("at most {} topics", limits::TOPICS_MAX)]
    TooManyTopics,
    /// No connected neighbour relays messages.
    #[error("no neighbour relays messages to {0}")]
    NoRelay(NodeId),
    /// [`limits::RELAYED_WAITING_MAX`] messages wait for their relays already.
    #[error(
        "at most {} messages through relays at a time",
        limits::RELAYED_WAITING_MAX
    )]
    TooManyRelayed,
    /// The overlay was shut down.
    #[error("the overlay is shutting down")]
    ShuttingDown,
}
