//! Bounds of the relay. Anybody may send to it, so whatever a sender can grow ends here.

use std::time::Duration;

/// Clients that are relayed at the same time. A packet of one more is dropped and counted.
pub const CLIENTS_MAX: usize = 256;

/// A client that was silent in both directions for this long is forgotten when room is needed.
pub const CLIENT_IDLE: Duration = Duration::from_secs(60);

/// Packets waiting for their time, in each direction of one client. More are dropped and counted:
/// at 1,400 bytes this is 23 MB, or 1.8 s of 100 Mbit/s.
pub const WAITING_PACKETS_MAX: usize = 16_384;

/// Largest UDP payload over IPv4; a receive buffer has this size.
pub const DATAGRAM_LEN_MAX: usize = 65_535;
