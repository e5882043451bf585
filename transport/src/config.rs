//! What an application may set. Every default says where it comes from.

use core::time::Duration;

use crate::congestion::ControllerChoice;
use crate::limits;
use crate::wire::params::window_shift;

/// Settings of a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TransportConfig {
    /// Close when nothing arrived for this long; the smaller of both ends' values holds. 30 s:
    /// what QUIC stacks commonly ship. Zero: never.
    pub idle_timeout: Duration,
    /// Send a PING after this much silence. None: never.
    pub keep_alive: Option<Duration>,
    /// Give up a handshake after this long (10 s: security.md T11).
    pub handshake_timeout: Duration,
    /// The most bytes that the peer may ever have in flight to us or unread by the application, over
    /// all streams and messages. The window begins at [`Self::initial_receive_window`] and doubles
    /// while the application keeps up (ADR 0120). 64 MiB fill 1 Gbit/s × 250 ms, measured up to
    /// 1 Gbit/s × 150 ms.
    pub receive_window: u64,
    /// The same for one stream.
    pub stream_receive_window: u64,
    /// The connection's window at first, at most [`Self::receive_window`]. 1 MiB: ten times what a
    /// first round trip can bring at the usual initial window, and what a reader that never reads
    /// costs.
    pub initial_receive_window: u64,
    /// The same for one stream.
    pub initial_stream_receive_window: u64,
    /// The most bytes that we ever buffer for sending, over all streams and messages. What was not
    /// acknowledged of them follows the congestion window: twice as much, and at least
    /// [`limits::SEND_BUFFER_MIN`]; beyond, writes block.
    pub send_buffer: u64,
    /// Longest reliable message that we accept, in bytes. At most `receive_window`.
    pub max_message_size: u64,
    /// Longest unreliable datagram that we accept, in bytes (fragmented when above the path MTU).
    pub max_datagram_size: u64,
    /// Bidirectional streams that the peer may have open at once.
    pub max_streams_bidi: u64,
    /// Unidirectional streams that the peer may have open at once.
    pub max_streams_uni: u64,
    /// UDP payload bytes of our packets at first, and what the search for more falls back to. 1,344
    /// is less than what the session handshake sends (1,396), so a path that completes it carries it.
    pub mtu: usize,
    /// UDP payload bytes up to which larger packets are searched for (RFC 8899), and which we
    /// accept. 1,472: what Ethernet leaves over IPv4. For jumbo frames 8,972, for loopback 65,507;
    /// not above `mtu`: no search.
    pub mtu_max: usize,
    /// Longest delay of an acknowledgement (25 ms: RFC 9000 §18.2).
    pub max_ack_delay: Duration,
    /// Round-trip time assumed before the first sample (333 ms: RFC 9002 §6.2.2).
    pub initial_rtt: Duration,
    /// Initial congestion window in packets (10: RFC 6928, RFC 9002 §7.2).
    pub initial_window_packets: u64,
    /// The congestion controller (CUBIC: RFC 9438, what most of the internet runs; ADR 0121).
    pub controller: ControllerChoice,
    /// Tell the peer that it may compress messages to us. Without the feature `lz4` it is not told. Off:
    /// who does not expect compressed messages need not spend time on them.
    pub accept_compression: bool,
    /// First packet number; None: random below 2^31. Set by tests of wrap-around.
    pub first_packet_number: Option<u32>,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(30),
            keep_alive: None,
            handshake_timeout: Duration::from_secs(10),
            receive_window: 64 << 20,
            stream_receive_window: 64 << 20,
            initial_receive_window: 1 << 20,
            initial_stream_receive_window: 1 << 20,
            send_buffer: 64 << 20,
            max_message_size: 16 << 20,
            max_datagram_size: 65_535,
            max_streams_bidi: 1_024,
            max_streams_uni: 1_024,
            mtu: 1_344,
            mtu_max: 1_472,
            max_ack_delay: Duration::from_millis(25),
            initial_rtt: Duration::from_millis(333),
            initial_window_packets: 10,
            controller: ControllerChoice::Cubic,
            accept_compression: false,
            first_packet_number: None,
        }
    }
}

impl TransportConfig {
    /// The same settings, each moved into the range the protocol allows.
    #[must_use]
    pub fn clamped(mut self) -> Self {
        self.receive_window = self.receive_window.clamp(65_536, limits::WINDOW_MAX);
        self.stream_receive_window = self
            .stream_receive_window
            .clamp(16_384, self.receive_window);
        // A few units of the header's field, so that rounding to units never closes the window.
        let least = (4 << window_shift(self.receive_window)).clamp(65_536, self.receive_window);
        self.initial_receive_window = self
            .initial_receive_window
            .clamp(least, self.receive_window);
        self.initial_stream_receive_window = self
            .initial_stream_receive_window
            .clamp(16_384, self.stream_receive_window);
        self.send_buffer = self.send_buffer.clamp(65_536, limits::WINDOW_MAX);
        self.max_message_size = self.max_message_size.min(self.receive_window);
        self.max_datagram_size = self.max_datagram_size.min(self.receive_window);
        self.max_streams_bidi = self.max_streams_bidi.min(limits::STREAMS_MAX);
        self.max_streams_uni = self.max_streams_uni.min(limits::STREAMS_MAX);
        self.mtu = self
            .mtu
            .clamp(limits::UDP_PAYLOAD_MIN, limits::UDP_PAYLOAD_MAX);
        self.mtu_max = self.mtu_max.clamp(self.mtu, limits::UDP_PAYLOAD_MAX);
        self.max_ack_delay = self.max_ack_delay.min(Duration::from_millis(1 << 14));
        self.initial_window_packets = self.initial_window_packets.clamp(2, 1_000);
        self.first_packet_number = self
            .first_packet_number
            .map(|number| number.min(limits::FIRST_PACKET_NUMBER_MAX));
        self
    }
}

/// Settings of an endpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndpointConfig {
    /// Settings of its connections.
    pub transport: TransportConfig,
    /// Connections it holds; at most [`limits::CONNECTIONS_MAX`].
    pub max_connections: usize,
    /// Incoming connections from one prefix (IPv4 /24, IPv6 /48); further SYNs from it are ignored.
    /// A quarter of all by default.
    pub max_connections_per_prefix: usize,
    /// Incoming connections of one peer, by its key; a further one is reset. 1,024 by default.
    pub max_connections_per_peer: usize,
    /// Half-open handshakes it holds; at most [`limits::HALF_OPEN_MAX`].
    pub max_half_open: usize,
    /// From so many half-open handshakes on a SYN has to prove its address by a RETRY token.
    pub half_open_under_load: usize,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self {
            transport: TransportConfig::default(),
            max_connections: limits::CONNECTIONS_MAX,
            max_connections_per_prefix: limits::CONNECTIONS_MAX / 4,
            max_connections_per_peer: limits::CONNECTIONS_PER_PEER,
            max_half_open: limits::HALF_OPEN_MAX,
            half_open_under_load: limits::HALF_OPEN_UNDER_LOAD,
        }
    }
}
