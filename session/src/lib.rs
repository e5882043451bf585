//! Who you are talking to: identities, the hybrid post-quantum handshake and packet encryption.
//!
//! The crate implements the four traits of [`dunlin_transport::protect`]. It is sans-IO: time,
//! bytes and randomness are arguments. The one exception is [`keyfile`], which reads and writes
//! the identity file and says so.
//!
//! `docs/session.md` is the normative text; rule numbers there (`S-…`) are cited here.

pub mod identity;
pub mod keyfile;
mod node_id;

pub use identity::{Identity, PublicIdentity};
pub use node_id::{NodeId, NodeIdError};
