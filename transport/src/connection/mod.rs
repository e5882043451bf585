//! One connection: state here, and a room for each of its activities.
//!
//! | file | what it does |
//! |---|---|
//! | [`state`] | the life cycle as a table |
//! | `opening` | the initiator's handshake |
//! | `receive` | what a packet that came does |
//! | `follow` | packets that came and are like the one before them |
//! | `acks` | what an acknowledgement, or its absence, does |
//! | `transmit` | which packet leaves next, and how it is built |
//! | `draft` | a packet under construction |
//! | `size` | how large packets are |
//! | `fill` | what a packet is filled with |
//! | `train` | packets that are like the one before them |
//! | `timers` | when to wake, and what then |
//! | `closing` | FIN, RST and their echoes |
//! | `rest` | what an idle connection gives back |
//! | `channel` | what the session layers of both ends say to each other |
//! | `admission` | whether a packet may leave now |
//! | `path` | where packets go |
//! | `connection_ids` | under which IDs |
//! | `reset_tokens` | how each end recognises that the other has lost the connection |
//! | `off_path` | what goes elsewhere |
//! | `statistics` | what is counted for its path and its streams |
//! | `tracing` | what an observer is told |

mod acks;
mod admission;
mod api;
mod channel;
mod closing;
mod connection_ids;
mod contents;
mod draft;
mod fill;
mod follow;
mod off_path;
pub(crate) mod opening;
mod path;
mod receive;
mod reset_tokens;
mod rest;
mod size;
pub mod state;
mod statistics;
mod timers;
mod tracing;
mod train;
mod transmit;
#[cfg(test)]
mod wraps;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::net::SocketAddr;
use core::time::Duration;

use crate::config::TransportConfig;
use crate::congestion::{Controller, Setup};
use crate::flow::{ReceiveFlow, SendFlow};
use crate::ids::{ConnectionId, PacketNumber, Side};
use crate::io::{Delivery, Event};
use crate::messages::compression;
use crate::messages::incoming::IncomingMessages;
use crate::messages::outgoing::OutgoingMessages;
use crate::protect::{Established, Initiator, PacketProtection, PeerIdentity};
use crate::recv::packets::ReceivedPackets;
use crate::rest::Sparse;
use crate::send::ack_frequency::AckFrequency;
use crate::send::ecn::EcnValidation;
use crate::send::in_flight::SentPackets;
use crate::send::loss::LossDetector;
use crate::send::mtu::MtuSearch;
use crate::send::named::NamedRanges;
use crate::send::pacer::Pacer;
use crate::send::prr::Reducer;
use crate::send::rate::RateSampler;
use crate::send::rtt::RttEstimator;
use crate::send::skipped::SkippedNumbers;
use crate::streams::Streams;
use crate::time::Instant;
use crate::trace::Tracer;
use crate::wire::params::TransportParams;
use channel::SessionChannel;
use closing::Closing;
use connection_ids::{LocalIds, RemoteIds};
use contents::Contents;
use opening::Opening;
use path::Path;
use reset_tokens::ResetTokens;
use state::State;
use statistics::{Counters, PathStart};
use timers::Timers;

/// What messages the peer takes.
#[derive(Clone, Copy, Default, Debug)]
struct Accepted {
    /// Bytes of a reliable one.
    message: u64,
    /// Bytes of a datagram.
    datagram: u64,
    /// Compressed ones too.
    compressed: bool,
}

/// A connection. All its calls are made through its [`crate::Endpoint`].
pub struct Connection {
    side: Side,
    config: Arc<TransportConfig>,
    state: State,
    local_cid: ConnectionId,
    local_ids: LocalIds,
    remote_ids: RemoteIds,
    reset_tokens: ResetTokens,
    path: Path,
    /// An address that is being proven, and the ID with its number for packets to it.
    candidate_id: Option<Box<(SocketAddr, (u64, ConnectionId))>>,
    /// The initiator's handshake, while it lasts.
    opening: Option<Box<Opening>>,
    /// The initiator's confirm message, until the peer shows that it has it.
    confirm: Option<Box<[u8]>>,
    /// The responder's copy of the confirm message, until the initiator has acknowledged something.
    confirmed_by: Option<Box<[u8]>>,
    protection: Option<Box<dyn PacketProtection>>,
    peer: Option<PeerIdentity>,
    peer_name: Option<[u8; 32]>,
    /// What the peer announced, for an observer; gone when the connection has rested.
    peer_params: Option<Box<TransportParams>>,
    accepted: Accepted,
    /// UDP payload bytes of a full packet.
    mtu: usize,
    /// Finds out how large it may be.
    search: MtuSearch,
    received: ReceivedPackets,
    sent: SentPackets<Contents>,
    /// How often the peer is asked to acknowledge.
    ack_frequency: AckFrequency,
    /// What such a request is made from may have changed since the last one.
    ack_request_due: bool,
    /// Numbers that are left out, to find out who acknowledges blindly.
    skipped: SkippedNumbers,
    rtt: RttEstimator,
    loss: LossDetector,
    congestion: Box<dyn Controller>,
    pacer: Pacer,
    rate: RateSampler,
    /// How the flight shrinks after congestion.
    reducer: Reducer,
    /// Whether the path passes ECN marks.
    ecn: EcnValidation,
    /// The last packet that must be acknowledged ended a message or stream: the peer answers soon.
    tail_ends: bool,
    /// The number that came back last, in a header: whatever it told was acted on.
    header_acked: Option<PacketNumber>,
    /// The ranges that came back last; None: it rests.
    named: Option<Box<NamedRanges>>,
    /// The last packet whose number came back, and when it was sent, while no frame has told how
    /// long the peer waited.
    unsampled: Option<(PacketNumber, Instant)>,
    streams: Streams,
    outgoing: OutgoingMessages,
    incoming: IncomingMessages,
    send_flow: SendFlow,
    receive_flow: ReceiveFlow,
    announce_max_data: bool,
    session: SessionChannel,
    /// A message writer waits for room.
    message_blocked: bool,
    /// Messages and streams take turns; true: a stream's turn.
    stream_turn: bool,
    /// PONGs to send: where to and which token.
    pongs: Sparse<VecDeque<(SocketAddr, u64)>>,
    /// A PING to send, to be answered.
    ping: bool,
    /// Packets that may leave whatever the window says (RFC 9002 §6.2.4).
    probes: u8,
    closing: Closing,
    timers: Timers,
    events: Sparse<VecDeque<Event>>,
    stats: Counters,
    path_start: PathStart,
    /// Tells an observer, if there is one.
    trace: Option<Box<Tracer>>,
}

impl Connection {
    /// An initiator's connection; its SYN is due at once.
    pub(crate) fn connect(
        now: Instant,
        config: Arc<TransportConfig>,
        (local_cid, first_number): (ConnectionId, PacketNumber),
        remote: SocketAddr,
        initiator: Box<dyn Initiator>,
    ) -> Self {
        let params = TransportParams::of(&config, local_cid);
        let first_timeout = RttEstimator::new(config.initial_rtt).probe_timeout(Duration::ZERO);
        let opening = Opening::new(
            now,
            initiator,
            &params,
            first_number,
            first_timeout,
            config.handshake_timeout,
        );
        let mut connection = Self::new(now, Side::Initiator, config, local_cid, remote);
        connection.opening = Some(Box::new(opening));
        connection
    }

    /// A responder's connection, whose peer has completed the handshake.
    pub(crate) fn accepted(
        now: Instant,
        config: Arc<TransportConfig>,
        (local_cid, first_number): (ConnectionId, PacketNumber),
        remote: SocketAddr,
        (established, params, rtt): (Established, &TransportParams, Option<Duration>),
        confirm: &[u8],
    ) -> Self {
        let mut connection = Self::new(now, Side::Responder, config, local_cid, remote);
        connection.establish(now, established, params, first_number);
        connection.confirmed_by = Some(confirm.into());
        if let Some(rtt) = rtt {
            connection.rtt.on_sample(rtt, Duration::ZERO);
        }
        // The first packet tells the initiator that its confirm message arrived.
        connection.received.acknowledge_now();
        connection
    }

    /// Proven and not wanted: the application never hears of it, the peer hears why.
    pub(crate) fn refuse(&mut self, now: Instant, code: u64, reason: &str) {
        self.abort(now, code, reason);
        self.events.clear();
    }

    /// The same for a rule that the peer broke before it had a connection.
    pub(crate) fn refuse_for(&mut self, now: Instant, violation: crate::PeerViolation) {
        self.on_violation(now, violation);
        self.events.clear();
    }

    /// What the session layer calls the peer.
    pub(crate) const fn peer_name(&self) -> Option<&[u8; 32]> {
        self.peer_name.as_ref()
    }

    fn new(
        now: Instant,
        side: Side,
        config: Arc<TransportConfig>,
        local_cid: ConnectionId,
        remote: SocketAddr,
    ) -> Self {
        let mtu = config.mtu;
        let shift = crate::wire::params::window_shift(config.receive_window);
        let setup = Setup {
            now,
            mtu,
            initial_window: config.initial_window_packets * mtu as u64,
            // The endpoint chose it at random.
            seed: u64::from(local_cid.0),
        };
        Self {
            side,
            state: State::SynSent,
            local_cid,
            local_ids: LocalIds::new(local_cid),
            remote_ids: RemoteIds::new(ConnectionId::NONE),
            reset_tokens: ResetTokens::default(),
            path: Path::new(remote),
            candidate_id: None,
            opening: None,
            confirm: None,
            confirmed_by: None,
            protection: None,
            peer: None,
            peer_name: None,
            peer_params: None,
            accepted: Accepted::default(),
            mtu,
            search: MtuSearch::new(mtu, mtu),
            received: ReceivedPackets::new(config.max_ack_delay),
            sent: SentPackets::new(PacketNumber(0)),
            ack_frequency: AckFrequency::new(Duration::ZERO, config.max_ack_delay),
            ack_request_due: true,
            skipped: SkippedNumbers::default(),
            rtt: RttEstimator::new(config.initial_rtt),
            loss: LossDetector::default(),
            congestion: config.controller.make(&setup),
            pacer: Pacer::new(mtu),
            rate: RateSampler::default(),
            reducer: Reducer::default(),
            ecn: EcnValidation::default(),
            tail_ends: false,
            header_acked: None,
            named: None,
            unsampled: None,
            streams: Streams::new(side, &config),
            outgoing: OutgoingMessages::default(),
            incoming: IncomingMessages::new(config.max_message_size, config.max_datagram_size)
                .taking_compressed(config.accept_compression && compression::IS_AVAILABLE),
            send_flow: SendFlow::new(0, 0),
            receive_flow: ReceiveFlow::new(
                config.initial_receive_window,
                config.receive_window,
                shift,
            ),
            announce_max_data: false,
            session: SessionChannel::default(),
            message_blocked: false,
            stream_turn: false,
            pongs: Sparse::default(),
            ping: false,
            probes: 0,
            closing: Closing::default(),
            timers: Timers::new(now),
            events: Sparse::default(),
            stats: Counters::default(),
            path_start: PathStart::new(now),
            trace: None,
            config,
        }
    }

    /// The handshake is complete.
    fn establish(
        &mut self,
        now: Instant,
        established: Established,
        params: &TransportParams,
        next_number: PacketNumber,
    ) {
        self.state = State::Established;
        self.remote_ids = RemoteIds::new(params.connection_id);
        self.protection = Some(established.protection);
        self.peer = Some(established.peer.clone());
        self.peer_name = established.peer_name;
        self.peer_params = Some(Box::new(*params));
        self.accepted = Accepted {
            message: params.max_message_size,
            datagram: params.max_datagram_size,
            compressed: params.takes_lz4,
        };
        let peer_mtu = usize::try_from(params.max_udp_payload).unwrap_or(usize::MAX);
        self.mtu = self.whole_blocks(self.config.mtu.min(peer_mtu));
        self.search = MtuSearch::new(self.mtu, self.config.mtu_max.min(peer_mtu));
        self.congestion.on_mtu_change(self.mtu);
        self.sent = SentPackets::new(next_number);
        self.ack_frequency = AckFrequency::new(params.min_ack_delay, params.max_ack_delay);
        self.send_flow = SendFlow::new(params.max_data, params.window_shift);
        self.streams.on_params(params);
        self.outgoing.set_longest(params.max_message_size);
        self.timers.on_established(now, &self.config, params);
        self.trace_params(now);
        self.events.push_back(Event::Connected {
            peer: established.peer,
            incoming: self.side == Side::Responder,
        });
        self.start_session(now);
    }

    /// The longest time the peer delays acknowledgements.
    fn peer_ack_delay(&self) -> Duration {
        self.ack_frequency.delay()
    }

    /// The probe timeout without back-off.
    fn probe_timeout(&self) -> Duration {
        self.rtt.probe_timeout(self.peer_ack_delay())
    }

    /// Bytes of a message that fit a packet, its own frames taken into account. A message is cut
    /// once, so for packets that pass whatever becomes of the path.
    fn part_max(&self, delivery: Delivery, compressed: bool) -> usize {
        let order = match delivery {
            Delivery::Ordered => fill::LABEL_LEN,
            Delivery::Reliable | Delivery::Until { .. } | Delivery::Unreliable { .. } => 0,
        };
        let labels = order + if compressed { fill::LABEL_LEN } else { 0 };
        self.search.base() - transmit::FRAGMENT_OVERHEAD - labels - self.trailer_len()
    }

    /// Whether keys protect its packets.
    fn is_sealed(&self) -> bool {
        let protection = self.protection.as_ref();
        protection.is_some_and(|protection| protection.is_sealed())
    }

    fn trailer_len(&self) -> usize {
        self.protection
            .as_ref()
            .map_or(0, |protection| protection.trailer_len())
    }
}

impl core::fmt::Debug for Connection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Connection")
            .field("side", &self.side)
            .field("state", &self.state)
            .field("local_cid", &self.local_cid)
            .field("remote", &self.path.remote())
            .finish_non_exhaustive()
    }
}
