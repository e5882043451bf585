//! What the peer programs share: the command line and the JSON object of `dunlin bench`, and a TLS
//! set-up that does the same work as Dunlin's handshake.

pub mod cli;
pub mod report;
pub mod tls;

/// UDP payload of every packet: what an Ethernet path over IPv6 carries (1,500 − 40 − 8).
pub const UDP_PAYLOAD: u16 = 1452;
/// TCP segments of the same Ethernet path, with time stamps.
pub const TCP_SEGMENT: u32 = 1428;
/// Flow-control window of a stream and of a connection, in bytes.
pub const WINDOW: u32 = 16 << 20;
/// Kernel buffers of a socket, in bytes (the kernel may grant less).
pub const SOCKET_BUFFER: usize = 4 << 20;
/// Bytes of one write in `bulk`.
pub const WRITE_SIZE: usize = 64 << 10;
/// Bytes of a request and of its answer in `rr`.
pub const REQUEST_SIZE: usize = 64;
