//! A UDP relay that treats packets badly, from a seed: `dunlin relay`, and a test harness.
//!
//! It stands between clients and one target. Each client gets a socket of its own towards the
//! target, as a NAT would give it a port of its own; [`Relay::rebind`] gives it another one in
//! mid-flight. The packets are not looked into: the relay works for any protocol over UDP.
//!
//! [`path`] is the sans-IO core (what happens to a packet and when), [`decisions`] the seeded
//! choices, [`server`] the sockets.
//!
//! What it does not do: it adds no clock skew, forwards no ICMP, and its timers are those of the
//! runtime, so a delay may be up to 1–2 ms longer than asked.

pub mod decisions;
pub mod limits;
pub mod packets;
pub mod path;
pub mod server;
mod socket;

pub use decisions::{Direction, Shares};
pub use path::{PathConfig, PathCounters};
pub use server::{Relay, RelayConfig, RelayCounters};
