//! Who you are talking to: identities, the hybrid post-quantum handshake and packet encryption.
//!
//! The crate implements the four traits of [`dunlin_transport::protect`]. It is sans-IO: time,
//! bytes and randomness are arguments. The one exception is [`keyfile`], which reads and writes
//! the identity file and says so.
//!
//! `docs/session.md` is the normative text; rule numbers there (`S-…`) are cited here.
//!
//! A whole handshake, without a network:
//!
//! ```
//! use std::sync::Arc;
//! use dunlin_session::{Identity, PeerInfo, SessionAcceptor, SessionConfig, SessionInitiator};
//! use dunlin_session::{fuzzing::SeededRandom, provider};
//! use dunlin_transport::Instant;
//! use dunlin_transport::protect::{Acceptor, Initiator, Syn, SynDecision, Verdict};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut random = SeededRandom::new(1); // in production: the system's randomness
//! let (alice, bob) = (Identity::generate(&mut random), Identity::generate(&mut random));
//! let (alice_id, bob_id) = (alice.node_id(), bob.node_id());
//! let config = SessionConfig::default();
//! let mut initiator = SessionInitiator::new(
//!     Arc::new(alice), config.clone(), provider::pure(), Some(bob_id), &mut random);
//! let acceptor = SessionAcceptor::new(Arc::new(bob), config, provider::pure(), &mut random);
//!
//! let syn = initiator.syn(b"alice's transport parameters", &[]);
//! let syn = Syn { from: "192.0.2.1:4000".parse()?, payload: &syn, under_load: false };
//! let decision = acceptor.on_syn(Instant::ZERO, &syn, b"bob's", &mut random);
//! let SynDecision::Accept(responder) = decision else { panic!("a genuine SYN") };
//! let (confirm, at_alice) = initiator.on_syn_ack(responder.syn_ack())?;
//! let Verdict::Accept(at_bob) = responder.on_confirm(&confirm)? else { panic!("welcome") };
//!
//! let (bob, alice) = (PeerInfo::from_identity(&at_alice.peer), PeerInfo::from_identity(&at_bob.peer));
//! assert_eq!(bob.map(|peer| peer.node_id), Some(bob_id));
//! assert_eq!(alice.map(|peer| peer.node_id), Some(alice_id));
//! # Ok(()) }
//! ```

#[cfg(all(test, not(all(feature = "aws-lc", feature = "pure-rust"))))]
compile_error!("the tests compare the two providers: run them with the default features");

mod access;
#[cfg(any(feature = "aws-lc", feature = "pure-rust"))]
mod aes_mask;
#[cfg(any(feature = "aws-lc", feature = "pure-rust"))]
mod chacha_mask;
mod config;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
mod hkdf;
pub mod identity;
mod key_exchange;
mod key_log;
pub mod keyfile;
pub mod limits;
mod node_id;
mod peer;
#[cfg_attr(not(feature = "planted-bugs"), doc(hidden))]
pub mod planted;
mod protection;
pub mod provider;
mod reauth;
mod rekey;
mod schedule;
mod second_proof;
mod strict;
mod suite;
#[cfg(test)]
mod testing;

pub use access::{DenyList, PostQuantum, RefusalLogger};
pub use config::SessionConfig;
pub use dunlin_transport::Instant;
#[doc(hidden)]
pub use dunlin_transport::planted_bugs;
pub use error::Refusal;
pub use handshake::{PROTOCOL_VERSION, SessionAcceptor, SessionInitiator};
pub use identity::{Identity, PublicIdentity};
pub use key_exchange::KeyExchange;
pub use key_log::{KeyLog, KeyLogEntry, KeyLogger};
pub use node_id::{NodeId, NodeIdError};
pub use peer::PeerInfo;
pub use provider::CryptoProvider;
pub use rekey::Randomness;
pub use suite::CipherSuite;
