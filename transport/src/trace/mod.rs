//! What a connection does, told to whoever wants to know: for logs, pictures and tests.
//!
//! An [`Observer`] given to [`crate::Endpoint::set_observer`] is asked about each new connection and
//! may return a [`ConnectionObserver`], which then gets every [`TraceEvent`] of it, with the time. The
//! events borrow what they show; the core allocates nothing for them. Without an observer each
//! place that could report costs one branch. An observer is told and cannot answer: nothing that it
//! does changes the connection.
//!
//! The events follow the names of qlog (draft-ietf-quic-qlog-quic-events) where the same thing
//! exists there; [`crate::qlog`] writes them as such a log.

mod tracer;

use alloc::boxed::Box;
use core::net::SocketAddr;
use core::ops::RangeInclusive;
use core::time::Duration;

use crate::congestion::CongestionKind;
use crate::connection::state::State;
use crate::error::CloseReason;
use crate::ids::{ConnectionId, PacketNumber, Side, StreamId};
use crate::io::{ConnectionHandle, EcnMark};
use crate::protect::Flow;
use crate::time::Instant;
use crate::wire::frame::Frames;
use crate::wire::params::TransportParams;
use crate::wire::{DecodeError, Header, PacketType};

pub(crate) use tracer::{Snapshot, Tracer};

/// Sees the connections of an endpoint.
pub trait Observer: Send {
    /// A connection begins. None: nobody is interested in it.
    fn open(
        &mut self,
        now: Instant,
        start: &ConnectionStart,
    ) -> Option<Box<dyn ConnectionObserver>>;

    /// Something happened that belongs to no connection.
    fn on_endpoint_event(&mut self, _now: Instant, _event: &EndpointEvent) {}
}

/// Sees one connection.
pub trait ConnectionObserver: Send {
    /// Something happened.
    fn on_event(&mut self, now: Instant, event: &TraceEvent<'_>);
}

/// A connection at its beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionStart {
    /// Its name within the endpoint.
    pub handle: ConnectionHandle,
    /// Which end we are.
    pub side: Side,
    /// The connection ID that we chose.
    pub local_cid: ConnectionId,
    /// The one that the peer chose; None while an initiator has no answer.
    pub remote_cid: Option<ConnectionId>,
    /// Where the peer is.
    pub remote: SocketAddr,
}

/// Something that belongs to no connection, or to none yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum EndpointEvent {
    /// The rest of a datagram was dropped.
    Dropped {
        /// Where it came from.
        from: SocketAddr,
        /// Why.
        reason: DropReason,
        /// Bytes that were dropped.
        bytes: usize,
    },
    /// A SYN, or a packet that belongs to no connection, was answered.
    Answered {
        /// Where it came from.
        to: SocketAddr,
        /// With what.
        answer: Answer,
        /// Bytes of the answer.
        bytes: usize,
    },
}

/// What an endpoint answers on its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// A SYN_ACK; the handshake is half-open.
    SynAck,
    /// A RETRY: prove the address first.
    Retry,
    /// A version reply.
    Version,
    /// A stateless reset: we do not know the connection.
    Reset,
}

/// Why a packet that came has no effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DropReason {
    /// The header breaks this rule.
    Header(DecodeError),
    /// It is not protected as this connection's packets are, or too short to be.
    Profile,
    /// Payload Length runs past the datagram.
    Length,
    /// It came before, or is too old to tell.
    Duplicate,
    /// The trailer does not match.
    Undecryptable,
    /// It does not belong to this state of the connection.
    Unexpected,
    /// The handshake message was not believed.
    Handshake,
    /// A bound was met: it counts as not received.
    Bound,
    /// No connection has this ID.
    UnknownConnection,
    /// The endpoint has no room, or does not want it.
    Refused,
}

/// A packet that was sent or received. Handshake packets have their fixed body and no frames.
#[derive(Clone, Copy, Debug)]
pub struct TracedPacket<'a> {
    /// Its number, whole. Of a received handshake packet: as far as the header tells.
    pub number: PacketNumber,
    /// The clear header.
    pub header: Header,
    /// The acknowledgment number, whole; None without the ACK flag.
    pub largest_acked: Option<PacketNumber>,
    /// Bytes, header and trailer included.
    pub bytes: usize,
    /// Bytes of the body, in front of the frames.
    pub body: usize,
    /// The extension block; see [`Self::frames`].
    pub extension: &'a [u8],
    /// The piece of a stream that the body is.
    pub stream: Option<StreamPiece>,
    /// The other end of its way.
    pub remote: SocketAddr,
    /// The mark it came with; None for sent ones.
    pub ecn: Option<EcnMark>,
}

impl<'a> TracedPacket<'a> {
    /// The frames.
    #[must_use]
    pub const fn frames(&self) -> Frames<'a> {
        Frames::new(self.extension)
    }

    /// The type.
    #[must_use]
    pub const fn kind(&self) -> PacketType {
        self.header.kind
    }
}

/// A piece of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamPiece {
    /// The stream.
    pub id: StreamId,
    /// Where the piece begins.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// Whether the stream ends with it.
    pub fin: bool,
}

/// Which rule declared a packet lost (RFC 9002 §6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LossTrigger {
    /// Enough later packets were acknowledged.
    Reordering,
    /// It was sent long enough before an acknowledged one.
    Time,
}

/// Numbers of loss recovery and congestion control (RFC 9002). Sizes are bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Metrics {
    /// Smoothed round-trip time.
    pub smoothed_rtt: Duration,
    /// The least one.
    pub min_rtt: Duration,
    /// The last sample.
    pub latest_rtt: Duration,
    /// Mean deviation.
    pub rtt_variance: Duration,
    /// Probe timeouts in a row.
    pub pto_count: u32,
    /// Congestion window.
    pub congestion_window: u64,
    /// In flight.
    pub bytes_in_flight: u64,
    /// Slow-start threshold; None before the first congestion, or when there is no such thing.
    pub ssthresh: Option<u64>,
    /// Bytes per second that the pacer lets go; None: as many as the window allows.
    pub pacing_rate: Option<u64>,
}

/// Why data waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blocked {
    /// The connection's credit is used up.
    ConnectionCredit,
    /// A stream's credit is used up.
    StreamCredit(StreamId),
    /// The congestion window is full.
    CongestionWindow,
    /// The pacer spreads packets.
    Pacing,
}

/// What happened to a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamUpdate {
    /// A first packet named it.
    Opened,
    /// A packet with its end left; again when it has to be sent again.
    FinSent {
        /// Bytes of the stream.
        size: u64,
    },
    /// Everything, its end included, is acknowledged.
    Delivered,
    /// Its end came; again when it comes again.
    FinReceived {
        /// Bytes of the stream.
        size: u64,
    },
    /// We abandon it.
    ResetSent {
        /// The application's code.
        code: u64,
    },
    /// The peer abandons it.
    ResetReceived {
        /// The application's code.
        code: u64,
    },
    /// We want no more of it.
    StopSent {
        /// The application's code.
        code: u64,
    },
    /// The peer wants no more of it.
    StopReceived {
        /// The application's code.
        code: u64,
    },
}

/// A timer of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// The handshake is given up, or its SYN is due again.
    Handshake,
    /// Nothing came for the idle timeout.
    Idle,
    /// A packet counts as lost by time.
    Loss,
    /// Nothing was acknowledged for a probe timeout.
    Probe,
    /// A sign of life is due.
    KeepAlive,
    /// Stragglers are answered no longer.
    Linger,
}

/// Something that happened to a connection.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TraceEvent<'a> {
    /// Its life cycle moved on.
    StateUpdated {
        /// From; None at first.
        old: Option<State>,
        /// To.
        new: State,
    },
    /// It is over for the application.
    Closed {
        /// Why.
        reason: &'a CloseReason,
    },
    /// The transport parameters of one end are known.
    ParametersSet {
        /// Outgoing: ours. Incoming: the peer's.
        flow: Flow,
        /// Its parameters.
        params: &'a TransportParams,
    },
    /// A packet left.
    PacketSent(TracedPacket<'a>),
    /// A packet came and was opened.
    PacketReceived(TracedPacket<'a>),
    /// A packet came and has no effect.
    PacketDropped {
        /// Why.
        reason: DropReason,
        /// Its bytes, as far as they are known.
        bytes: usize,
        /// Where it came from.
        from: SocketAddr,
    },
    /// Packets were newly acknowledged, without a gap.
    PacketsAcked {
        /// Their numbers.
        numbers: NumberRange,
        /// Their bytes.
        bytes: u64,
    },
    /// A packet was declared lost.
    PacketLost {
        /// Its number.
        number: PacketNumber,
        /// Its bytes.
        bytes: u64,
        /// When it left.
        sent_at: Instant,
        /// By which rule.
        trigger: LossTrigger,
    },
    /// A packet that had been declared lost was acknowledged after all.
    SpuriousLoss {
        /// Its number.
        number: PacketNumber,
        /// Its bytes.
        bytes: u64,
        /// When it was declared lost.
        declared_at: Instant,
        /// Reordering in packets that is tolerated from now on.
        packet_threshold: u64,
    },
    /// The congestion controller was told of congestion.
    Congestion {
        /// Of which kind.
        kind: CongestionKind,
        /// Bytes lost.
        bytes: u64,
    },
    /// Numbers of recovery changed.
    MetricsUpdated {
        /// Before; None at first.
        old: Option<&'a Metrics>,
        /// Now.
        new: &'a Metrics,
    },
    /// Congestion control entered another phase.
    CongestionStateUpdated {
        /// From; None at first. The words are the controller's ([`Controller::phase`]).
        ///
        /// [`Controller::phase`]: crate::congestion::Controller::phase
        old: Option<&'static str>,
        /// To.
        new: &'static str,
    },
    /// The size of a full packet changed: the search found a larger one, the path became narrower,
    /// or is another one.
    MtuUpdated {
        /// UDP payload bytes before.
        old: usize,
        /// And now.
        new: usize,
    },
    /// A peer may have moved: the address has to be proven.
    PathProbed {
        /// The new address.
        candidate: SocketAddr,
    },
    /// A candidate was given up; the path stays.
    PathAbandoned {
        /// The address that was not proven.
        candidate: SocketAddr,
    },
    /// The peer's address changed, and the new one is proven.
    PathChanged {
        /// From.
        old: SocketAddr,
        /// To.
        new: SocketAddr,
    },
    /// A new key is in use.
    KeyUpdated {
        /// For packets of this direction.
        flow: Flow,
        /// Updates of this direction so far.
        generation: u64,
    },
    /// Something happened to a stream.
    StreamUpdated {
        /// The stream.
        id: StreamId,
        /// What.
        update: StreamUpdate,
    },
    /// What keeps data from being sent changed.
    BlockedUpdated {
        /// None: nothing does, or there is no data.
        by: Option<Blocked>,
    },
    /// The timer of loss detection was set, moved or (None) cancelled.
    LossTimerUpdated {
        /// Loss or probe, and when.
        set: Option<(Timer, Instant)>,
    },
    /// A timer went off.
    TimerExpired {
        /// Which.
        timer: Timer,
    },
}

/// Packet numbers from first to last, both included; a range that can be copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NumberRange {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

impl From<NumberRange> for RangeInclusive<u64> {
    fn from(range: NumberRange) -> Self {
        range.first..=range.last
    }
}

#[cfg(test)]
mod tests;
