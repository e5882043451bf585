//! What the peer programs share: the command line and the JSON object of `dunlin bench`, the
//! workloads, and a TLS set-up that does the same work as Dunlin's handshake.
//!
//! A stack with streams of its own (QUIC) implements the traits of [`stack`] and is measured by
//! [`multiplexed`]; one that carries one stream of bytes (TCP, KCP) is measured by [`bytestream`].

pub mod bytestream;
pub mod cli;
pub mod datagrams;
pub mod multiplexed;
pub mod report;
pub mod socket;
pub mod stack;
pub mod tls;

/// UDP payload of every packet: what an Ethernet path over IPv6 carries (1,500 − 40 − 8).
pub const UDP_PAYLOAD: u16 = 1452;
/// What TCP takes of it: a segment is smaller by the larger header with its time stamps.
pub const TCP_MORE_HEADER: u16 = 24;
/// Flow-control window of a stream and of a connection, in bytes.
pub const WINDOW: u32 = 16 << 20;
/// Kernel buffers of a socket, in bytes (the kernel may grant less).
pub const SOCKET_BUFFER: usize = 4 << 20;
/// Bytes of one write in `bulk`.
pub const WRITE_SIZE: usize = 64 << 10;
/// Bytes of a request, of its answer and of a message.
pub const REQUEST_SIZE: usize = 64;
/// Handshakes at once while idle connections are opened.
pub const OPENING_AT_ONCE: usize = 32;

/// Why a program gave up; told to its user.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
/// Of what may fail in any way.
pub type Result<T> = std::result::Result<T, Failure>;
