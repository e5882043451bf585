//! Reliable packets over UDP with a hand-rolled 32-byte header.
//!
//! The crate is a sans-IO core, [`Endpoint`], and, behind the feature `tokio` (on by default), a
//! driver that runs it on a UDP socket and, where UDP is blocked, over TCP. Time, bytes and randomness are arguments of the core; it
//! returns what to send, when to wake and what happened. The same code therefore runs in
//! production, in the simulator, under the fuzzer and in benchmarks.
//!
//! The wire format is specified in `docs/wire.md`; rule numbers there (`W-…`) are cited here.
//!
//! What this crate deliberately does not know: ciphers, keys and who the peer is. All of that
//! enters through the traits of [`protect`].
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    test,
    allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "test data is cut to size on purpose"
    )
)]

extern crate alloc;

pub mod config;
pub mod congestion;
pub mod connection;
#[cfg(feature = "tokio")]
pub mod driver;
mod endpoint;
pub mod error;
mod flow;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod ids;
mod io;
pub mod limits;
mod messages;
mod options;
#[cfg(feature = "std")]
pub mod pcapng;
pub mod plain;
#[cfg_attr(not(feature = "planted-bugs"), doc(hidden))]
pub mod planted;
pub mod protect;
#[cfg(feature = "std")]
pub mod qlog;
mod range_set;
mod recv;
mod rest;
pub mod secret;
pub mod send;
mod shard;
mod stats;
mod streams;
pub mod tap;
pub mod time;
pub mod trace;
pub mod wire;

pub use config::{EndpointConfig, TransportConfig};
pub use connection::Connection;
pub use endpoint::Endpoint;
pub use error::{
    ApiMisuse, CloseReason, ConnectError, PeerViolation, ReadError, SendMessageError, WriteError,
};
pub use ids::{ConnectionId, MessageId, PacketNumber, Side, StreamDirection, StreamId};
pub use io::{ConnectionHandle, Delivery, EcnMark, Event, Message, Transmit};
pub use options::{Priority, SendOptions};
pub use recv::lent::Lent;
pub use shard::Shard;
pub use stats::{PathStats, Stats, StreamStats};
pub use time::Instant;
