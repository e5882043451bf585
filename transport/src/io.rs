//! What crosses the border between the core and its driver.

use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::error::CloseReason;
use crate::ids::{MessageId, StreamDirection, StreamId};
use crate::protect::PeerIdentity;

/// Congestion mark of a datagram (RFC 3168).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EcnMark {
    /// ECT(0): capable.
    Ect0,
    /// ECT(1): capable, L4S.
    Ect1,
    /// Congestion experienced.
    Ce,
}

/// A batch of datagrams to one destination, lying end to end in the caller's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// Where to.
    pub destination: SocketAddr,
    /// Mark to set.
    pub ecn: Option<EcnMark>,
    /// Bytes in all.
    pub size: usize,
    /// Bytes of each datagram but the last, which may be shorter; None: a single datagram.
    pub segment_size: Option<usize>,
}

/// Names a connection of an [`crate::Endpoint`]. Never reused within an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionHandle(pub(crate) u64);

/// How a message is delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// Retransmitted until acknowledged; delivered once, in any order.
    Reliable,
    /// The same, and delivered after every ordered message that was accepted before it. All ordered
    /// messages of a direction are one sequence; for several, open streams.
    Ordered,
    /// Retransmitted until acknowledged or until a moment. A message that is not acknowledged by then
    /// is given up on both ends ([`Event::MessageExpired`]): it may have arrived all the same, and
    /// what it had taken of the peer's credit is given back.
    Until {
        /// Given up at this time.
        expires: crate::time::Instant,
    },
    /// Sent once; dropped if it cannot leave before the deadline (None: no deadline).
    Unreliable {
        /// Not sent after this.
        expires: Option<crate::time::Instant>,
    },
}

/// A complete message from the peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Its number among those of its kind.
    pub id: MessageId,
    /// Whether it came reliably; false: a datagram.
    pub reliable: bool,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// Something happened on a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The handshake is complete. Also announces incoming connections.
    Connected {
        /// Who the peer is, as the session layer knows it.
        peer: PeerIdentity,
        /// True when the peer opened the connection.
        incoming: bool,
    },
    /// The peer opened streams of this direction: drain `accept_stream`.
    StreamsOpened(StreamDirection),
    /// We may open streams of this direction again.
    StreamsAvailable(StreamDirection),
    /// `read` has something (data, the end, or a reset).
    StreamReadable(StreamId),
    /// `write` takes bytes again, or fails for a new reason.
    StreamWritable(StreamId),
    /// Everything written to the stream, its end included, is acknowledged.
    StreamDelivered(StreamId),
    /// The peer asked us to stop sending on the stream.
    StreamStopped(StreamId, u64),
    /// `receive_message` has something.
    MessageReceived,
    /// `receive_datagram` has something.
    DatagramReceived,
    /// `send_message` takes messages again.
    MessagesWritable,
    /// The peer has acknowledged all of a reliable message.
    MessageDelivered(MessageId),
    /// The time of a [`Delivery::Until`] message was over before the peer had acknowledged all of it.
    MessageExpired(MessageId),
    /// The peer's address changed, and the new one is proven.
    PathChanged(SocketAddr),
    /// The peer has proven its identity once more (`Connection::challenge_peer`).
    PeerProven,
    /// The connection is over. Last event but for nothing; what had arrived can still be read.
    Closed(CloseReason),
}
