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
mod reset;
mod responder;
mod token;

pub use initiator::SessionInitiator;
pub use responder::SessionAcceptor;

use std::sync::Arc;

use dunlin_transport::Side;
use dunlin_transport::protect::Established;

use crate::config::SessionConfig;
use crate::identity::Identity;
use crate::key_exchange::KeyExchange;
use crate::key_log::ConnectionKeyLog;
use crate::peer::PeerInfo;
use crate::protection::{KeyLimits, SealedProtection};
use crate::provider::{CryptoProvider, Secret};
use crate::reauth::Reauthentication;
use crate::rekey::Rekey;
use crate::schedule::SessionSecrets;
use crate::second_proof::SecondProof;
use crate::suite::CipherSuite;
use messages::Introduction;
#[cfg(feature = "pure-rust")]
pub(crate) use messages::parse_any_introduction;

/// Version of the session protocol that this crate speaks.
pub const PROTOCOL_VERSION: u8 = 1;

const RESPONDER_CONTEXT: &[u8] = b"dunlin H1 responder v1";
const INITIATOR_CONTEXT: &[u8] = b"dunlin H1 initiator v1";

/// One end of a handshake, as the messages of the other end meet it.
struct Ends<'a> {
    identity: &'a Arc<Identity>,
    config: &'a SessionConfig,
    provider: &'a Arc<dyn CryptoProvider>,
    side: Side,
    /// Our transport parameters, for the key log.
    own_params: &'a [u8],
}

/// What the transport gets: keys in the right direction, the peer's parameters and who it is. A
/// peer that is `welcome` proves its second key, when it has one and we ask for it, and we ours.
fn established(
    ends: &Ends<'_>,
    (key_exchange, cipher): (KeyExchange, CipherSuite),
    (outgoing, incoming, exporter): (Secret, Secret, Secret),
    introduction: Introduction<'_>,
    welcome: bool,
) -> Established {
    let (config, side) = (ends.config, ends.side);
    let log = config.key_log.as_ref();
    let log = log.map(|log| ConnectionKeyLog::new(log, side, ends.own_params, introduction.params));
    let node_id = introduction.public.node_id();
    let peer = Arc::new(PeerInfo {
        node_id,
        post_quantum: config.asks_second() && introduction.public.is_hybrid(),
        public: introduction.public,
        capabilities: introduction.capabilities,
        user_agent: introduction.user_agent.to_owned(),
        version: PROTOCOL_VERSION,
        key_exchange,
        cipher,
        exporter,
        provider: Arc::clone(ends.provider),
    });
    let mut proof = SecondProof::default();
    if welcome && introduction.asks_second {
        proof.prove(ends.identity, side, &peer);
    }
    if welcome && peer.post_quantum {
        proof.demand(side, &peer, config.refusals.clone());
    }
    let rekey = config.randomness.as_ref();
    let rekey = rekey
        .filter(|_| welcome && introduction.can_rekey)
        .map(|randomness| {
            let due = (side, config.rekey_due());
            Rekey::new(due, ends.identity, &peer, randomness.make())
        });
    let reauthentication = welcome.then(|| Reauthentication::new(side, ends.identity, &peer));
    let protection = SealedProtection::logged(
        ends.provider,
        cipher,
        (outgoing, incoming),
        KeyLimits::new(
            cipher,
            config.key_update_packets,
            config.key_update_interval,
        ),
        log,
    );
    Established {
        protection: Box::new(protection.with_channel(proof, rekey, reauthentication)),
        peer_params: introduction.params.to_vec(),
        peer,
        peer_name: Some(*node_id.as_bytes()),
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
mod exchange_tests;
#[cfg(test)]
mod second_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
