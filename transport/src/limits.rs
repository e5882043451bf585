//! Every bound on what a peer, or a flood of strangers, can make us hold.
//!
//! Each constant says what happens at the bound. Configurable values are clamped to these.

/// Replay window and acknowledgement memory in packets: a packet older than this below the largest
/// is dropped unopened. WireGuard-go keeps 8,128, boringtun 1,024; at 1,452 bytes 8,192 packets are
/// 12 MB of reordering.
pub const REPLAY_WINDOW_PACKETS: u64 = 8_192;
/// Acknowledgement ranges in one packet; older ones wait for the next. Guess: 64 ranges are about
/// 200 bytes.
pub const ACK_RANGES_PER_PACKET: usize = 64;
/// Bytes of one message between the session layers; a longer one is a violation. An ML-DSA-65 key
/// and signature are 5,261.
pub const SESSION_MESSAGE_MAX: usize = 8_192;
/// Bytes of the session layer's channel that may be on their way or wait for earlier ones; more is
/// a violation. Twice the longest message.
pub const SESSION_WINDOW: u64 = 16_384;
/// Connections of one endpoint; further SYNs are ignored, `connect` fails.
pub const CONNECTIONS_MAX: usize = 65_536;
/// Cores of one endpoint ([`crate::Shard`]); more are not made. Guess: more than the processors of a large machine that
/// one address is worth.
pub const SHARDS_MAX: u32 = 64;
/// Bytes of datagrams that came to the socket of another core and wait for their own; further ones are dropped, as a
/// full socket drops them. A quarter of the driver's receive buffer.
pub const STRAY_BYTES_MAX: usize = 1 << 20;
/// Incoming connections of one peer, unless configured otherwise; a further one is reset. Guess: more
/// than a program needs that opens one for each request.
pub const CONNECTIONS_PER_PEER: usize = 1_024;
/// Half-open handshakes of one endpoint; the oldest is evicted for a newer one that has proven its
/// address. WireGuard's Linux cookie threshold is 4,096 queued handshakes.
pub const HALF_OPEN_MAX: usize = 1_024;
/// From this many half-open handshakes on, the session layer is told that the endpoint is under
/// load (security.md §1.3: 256).
pub const HALF_OPEN_UNDER_LOAD: usize = 256;
/// SYNs a second that are answered with a key exchange, from everywhere. Guess: at 82 µs of work for
/// a whole handshake (security.md §1.3) a quarter of one core.
pub const HANDSHAKES_PER_SECOND: u64 = 3_000;
/// The same at once. Half of it is kept for addresses that are proven.
pub const HANDSHAKES_BURST: u64 = 3_000;
/// SYNs that have to prove their address and are looked at, of those that come at the same moment: in
/// one batch of the driver. More are dropped. What it does was measured: `docs/threats.md`, "A flood
/// of SYNs on loopback".
pub const UNPROVEN_SYNS_AT_ONCE: u32 = 2;
/// SYNs a second that are answered for one prefix (IPv4 /24, IPv6 /48), those with and those without
/// a proof of their address counted apart. Guess: an office behind one address that comes back
/// after a failure of its line.
pub const PREFIX_HANDSHAKES_PER_SECOND: u64 = 250;
/// The same at once.
pub const PREFIX_HANDSHAKES_BURST: u64 = 500;
/// Prefixes whose use is remembered; the SYNs of a further one have to prove their address, or are
/// dropped if they have. An entry goes when its bucket is full again.
pub const PREFIXES_MAX: usize = 4_096;
/// Bytes of one UDP payload that we ever send (65,535 − 8 − 20, RFC 768 and 791).
pub const UDP_PAYLOAD_MAX: usize = 65_507;
/// Smallest UDP payload a path must carry (RFC 9000 §14.1).
pub const UDP_PAYLOAD_MIN: usize = 1_200;
/// Concurrent incoming streams per direction that may be granted.
pub const STREAMS_MAX: u64 = 65_536;
/// Largest flow-control window of a connection, in bytes: what a 4-byte varint holds, so that the
/// parameters fit a SYN_ACK. Keeps 32-bit wire offsets exact
/// (`docs/wire.md` W-STR-3).
pub const WINDOW_MAX: u64 = (1 << 30) - 1;
/// The send buffer never shrinks below this, however small the congestion window, unless
/// configured. A guess: what a first second brings, and four of the driver's largest writes.
pub const SEND_BUFFER_MIN: u64 = 1 << 20;
/// Bytes of a stream that wait to be sent for the first time, when they come through `write_short`, as
/// those of the driver do; a writer that waits is woken when half of them have left. More would leave a processor's second-level cache between the call that writes them
/// and the packet, and a stream that its peer does not read would hold more of the connection's
/// buffer. Guess: half a millisecond at 4 Gbit/s to wake a writer.
pub const STREAM_BACKLOG_MAX: u64 = 256 << 10;
/// Separate ranges that a stream or message in reassembly keeps; a packet that would add one more
/// is dropped before it is acknowledged, so the peer sends it again.
pub const REASSEMBLY_RANGES_MAX: usize = 16_384;
/// Pages of reassembly (4 KiB) that incomplete messages may hold beyond what the receive window fills
/// and one for each message: half a mebibyte. A fragment that needs one more is dropped
/// unacknowledged.
pub const REASSEMBLY_PAGES_EXTRA: usize = 128;
/// Pages of reassembly that a connection keeps to fill them again: 4 MiB, what comes within three
/// milliseconds at 10 Gbit/s, as long as a lost packet and the loss of its repair take on a short path. No
/// more than the peer may have us hold anyway. Given back when the connection rests.
pub const SPARE_PAGES_MAX: usize = 1_024;
/// Pages that one call lends to the reader of a stream: 64 KiB, a usual buffer for reading.
pub const LENT_PAGES_MAX: usize = 16;
/// Incomplete incoming messages; a fragment of a further one is dropped unacknowledged (reliable)
/// or for good (unreliable).
pub const MESSAGES_IN_REASSEMBLY_MAX: usize = 256;
/// Unreliable messages in reassembly are forgotten after this many newer ones have started.
pub const DATAGRAMS_IN_REASSEMBLY_MAX: usize = 16;
/// Complete messages or datagrams that wait for the application. Reliable ones stay within the
/// flow-control window; at the bound a further one is dropped unacknowledged, a datagram is lost.
pub const RECEIVED_MESSAGES_MAX: usize = 65_536;
/// Datagrams that wait for the application; the oldest is dropped for a newer one.
pub const RECEIVED_DATAGRAMS_MAX: usize = 1_024;
/// Outgoing datagrams that wait to be sent; the oldest is dropped for a newer one.
pub const QUEUED_DATAGRAMS_MAX: usize = 1_024;
/// Outgoing reliable messages not yet acknowledged; `send_message` then blocks.
pub const QUEUED_MESSAGES_MAX: usize = 65_536;
/// Answers to PINGs that wait to be sent; a further PING goes unanswered (quic-go CVE-2023-49295).
pub const QUEUED_PONGS_MAX: usize = 8;
/// Connection IDs that one end gives the other at once, the used one included; one more is a
/// violation. Guess: one for each of three changes of path in a round trip.
pub const CONNECTION_IDS_MAX: usize = 4;
/// Connection IDs on their way back to the peer; until it knows of some, no fresh one is taken.
pub const RETIRED_IDS_MAX: usize = 8;
/// Bytes of the reason in FIN and RST.
pub const CLOSE_REASON_MAX: usize = 256;
/// Packets of one datagram that are looked at.
pub const PACKETS_PER_DATAGRAM_MAX: usize = 64;
/// Bytes of encoded transport parameters.
pub const TRANSPORT_PARAMS_MAX: usize = 128;
/// Packets of one transmit batch: the kernel's limit for segmentation offload (UDP_MAX_SEGMENTS).
pub const SEGMENTS_MAX: usize = 64;
/// TCP streams of one endpoint; a further one is closed at once, `connect` fails. Guess: each is a
/// file descriptor.
pub const CARRIER_STREAMS_MAX: usize = 4_096;
/// TCP streams whose peer has not completed a handshake; the oldest makes room for a newer one.
/// Guess: as many as half-open handshakes are before the endpoint counts as under load.
pub const CARRIER_STREAMS_UNPROVEN_MAX: usize = 256;
/// The same of one prefix (IPv4 /24, IPv6 /48; loopback excepted): the oldest of them makes room. A
/// quarter of all.
pub const CARRIER_STREAMS_UNPROVEN_PER_PREFIX: usize = 64;
/// Datagrams that a TCP stream may bring before its handshake is complete; the stream is closed at
/// one more. Guess: an initiator sends its SYN about five times in ten seconds, twice over when it
/// was asked for a token.
pub const CARRIER_OPENING_DATAGRAMS_MAX: usize = 64;
/// Addresses of which an endpoint remembers that TCP alone reached them; the one longest unused
/// makes room.
pub const CARRIER_MEMORY_MAX: usize = 1_024;
/// Answers to SYNs and to unknown versions that wait to be sent; further ones are not given.
pub const STATELESS_REPLIES_MAX: usize = 1_024;
/// Stateless resets a second that an endpoint sends; further packets of unknown connections are not
/// answered. Guess: about a hundredth of a core; who is left out is told at a later packet.
pub const RESETS_PER_SECOND: u64 = 2_000;
/// The same at once.
pub const RESETS_BURST: u64 = 2_000;
/// Stateless-reset tokens of the peer's that a connection keeps; the oldest makes room. Guess: more
/// than change within a round trip.
pub const RESET_TOKENS_MAX: usize = 4;
/// Connections with peers that chose the same connection ID, which a stateless reset is compared
/// with. A guess: by chance there are hardly ever two.
pub const RESET_CANDIDATES_MAX: usize = 16;
/// Largest first packet number: the first packets must not wrap before one of them arrives
/// (`docs/wire.md` W-PN-2).
pub const FIRST_PACKET_NUMBER_MAX: u32 = u32::MAX - 100;
