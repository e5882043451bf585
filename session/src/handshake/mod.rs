//! The hybrid handshake H1 (`docs/session.md` S-HS): three messages, one round trip before the
//! initiator's data.
//!
//! ```text
//! SYN      → offer, X25519 and ML-KEM-768 public keys, token, mac1
//! SYN_ACK  ← selection, X25519 public key, ciphertext, sealed: who I am, signature
//! confirm  → sealed: who I am, signature
//! ```
//!
//! The shape is SIGMA (Krawczyk 2003): ephemeral keys first, then each side signs the transcript
//! with its long-term key under encryption. Both identities are hidden from who only listens, the
//! initiator's also from who answers in the wrong name.

mod initiator;
mod messages;
mod responder;
mod token;

pub use initiator::SessionInitiator;
pub use responder::SessionAcceptor;

use std::sync::Arc;

use dunlin_transport::Side;
use dunlin_transport::protect::Established;

use crate::config::SessionConfig;
use crate::key_log::ConnectionKeyLog;
use crate::peer::PeerInfo;
use crate::protection::{KeyLimits, SealedProtection};
use crate::provider::{CryptoProvider, Secret};
use crate::schedule::SessionSecrets;
use crate::suite::CipherSuite;
use messages::Introduction;
#[cfg(feature = "pure-rust")]
pub(crate) use messages::parse_any_introduction;

/// Version of the session protocol that this crate speaks.
pub const PROTOCOL_VERSION: u8 = 1;

const RESPONDER_CONTEXT: &[u8] = b"dunlin H1 responder v1";
const INITIATOR_CONTEXT: &[u8] = b"dunlin H1 initiator v1";

/// What the transport gets: keys in the right direction, the peer's parameters and who it is.
fn established(
    config: &SessionConfig,
    provider: &Arc<dyn CryptoProvider>,
    cipher: CipherSuite,
    (outgoing, incoming, exporter): (Secret, Secret, Secret),
    (side, own_params): (Side, &[u8]),
    introduction: Introduction<'_>,
) -> Established {
    let theirs = introduction.params;
    let log = config.key_log.as_ref();
    let log = log.map(|log| ConnectionKeyLog::new(log, side, own_params, theirs));
    let limits = KeyLimits::new(cipher, config.key_update_packets);
    let peer = PeerInfo {
        node_id: introduction.public.node_id(),
        public: introduction.public,
        capabilities: introduction.capabilities,
        user_agent: introduction.user_agent.to_owned(),
        version: PROTOCOL_VERSION,
        cipher,
        exporter,
        provider: Arc::clone(provider),
    };
    Established {
        protection: Box::new(SealedProtection::logged(
            provider,
            cipher,
            (outgoing, incoming),
            limits,
            log,
        )),
        peer_params: introduction.params.to_vec(),
        peer: Arc::new(peer),
    }
}

/// The secrets as (outgoing, incoming, exporter) of the initiator.
fn as_initiator(secrets: SessionSecrets) -> (Secret, Secret, Secret) {
    (secrets.initiator, secrets.responder, secrets.exporter)
}

/// The secrets as (outgoing, incoming, exporter) of the responder.
fn as_responder(secrets: SessionSecrets) -> (Secret, Secret, Secret) {
    (secrets.responder, secrets.initiator, secrets.exporter)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
