//! Who you are talking to: identities, the hybrid post-quantum handshake and packet encryption.
//!
//! The crate implements the four traits of [`dunlin_transport::protect`]. It is sans-IO: time,
//! bytes and randomness are arguments. The one exception is [`keyfile`], which reads and writes
//! the identity file and says so.
//!
//! `docs/session.md` is the normative text; rule numbers there (`S-…`) are cited here.

#[cfg(all(test, not(all(feature = "aws-lc", feature = "pure-rust"))))]
compile_error!("the tests compare the two providers: run them with the default features");

#[cfg(any(feature = "aws-lc", feature = "pure-rust"))]
mod chacha_mask;
mod config;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
mod hkdf;
pub mod identity;
pub mod keyfile;
pub mod limits;
mod node_id;
mod peer;
mod protection;
pub mod provider;
mod schedule;
mod strict;
mod suite;
#[cfg(test)]
mod testing;

pub use config::SessionConfig;
pub use error::Refusal;
pub use handshake::{PROTOCOL_VERSION, SessionAcceptor, SessionInitiator};
pub use identity::{Identity, PublicIdentity};
pub use node_id::{NodeId, NodeIdError};
pub use peer::PeerInfo;
pub use provider::CryptoProvider;
pub use suite::CipherSuite;
