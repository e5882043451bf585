//! Networks of full-stack nodes: transport, handshake and gossip, a thousand in one process.
//!
//! Each node is a production `dunlin_transport::Endpoint` with the real handshake of
//! `dunlin-session` (in pure Rust) and a production `dunlin_overlay::Overlay` on top, an
//! [`crate::net::Application`] of the laboratory's network of datagrams. What is checked and
//! reported is that of [`crate::swarm`], and more: no end accuses the other of breaking the
//! transport or the handshake, and when all have said goodbye nothing is left of any connection.

mod node;
mod run;
mod scenario;
mod world;

pub use self::run::{StackReport, run};
pub use self::scenario::{DiskFull, Path, Rebinds, StackScenario};
pub use self::world::Stack;
