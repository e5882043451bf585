//! The post-quantum proof of identity (`docs/session.md` S-PQ): an ML-DSA-65 key and signature that
//! travel in the session channel, under the keys of the finished handshake.
//!
//! The handshake itself is signed with Ed25519 only, because ML-DSA would not fit its datagrams. The
//! signature here covers a secret that only these two ends of this connection have (the exporter),
//! and the key is the one that the node ID commits to. Until it has come and fits, the application
//! does not get the connection.

use std::sync::Arc;

use dunlin_transport::Side;
use dunlin_transport::protect::SessionMessageError;

use crate::access::RefusalLogger;
use crate::error::Refusal;
use crate::identity::{Identity, PublicIdentity, separated};
use crate::peer::PeerInfo;
use crate::provider::{CryptoProvider, MLDSA_PUBLIC_LEN, MLDSA_SIGNATURE_LEN};

/// First byte of the message.
const KIND: u8 = 1;
const INITIATOR_CONTEXT: &[u8] = b"dunlin auth2 initiator v1";
const RESPONDER_CONTEXT: &[u8] = b"dunlin auth2 responder v1";
const EXPORTER_LABEL: &[u8] = b"auth2";

/// Bytes of the message: kind, key, signature.
pub(crate) const MESSAGE_LEN: usize = 1 + MLDSA_PUBLIC_LEN + MLDSA_SIGNATURE_LEN;
const _: () = assert!(MESSAGE_LEN <= dunlin_transport::limits::SESSION_MESSAGE_MAX);

/// What is still to be proven on a connection, in either direction.
#[derive(Default)]
pub(crate) struct SecondProof {
    /// Ours, until the transport takes it.
    ours: Option<Vec<u8>>,
    /// The peer's, while it is missing.
    missing: Option<Box<Missing>>,
}

/// What the peer's message is checked against.
struct Missing {
    provider: Arc<dyn CryptoProvider>,
    public: PublicIdentity,
    signed: Vec<u8>,
    refusals: Option<RefusalLogger>,
}

impl SecondProof {
    /// Makes `identity` prove itself on the connection with this peer, on whose `side` we are.
    pub(crate) fn prove(&mut self, identity: &Identity, side: Side, peer: &PeerInfo) {
        if let Some(second) = identity.second() {
            let signed = signed(side, peer);
            let signature = peer.provider.mldsa_sign(&second.seed, &signed);
            self.ours = Some([&[KIND], second.public.as_slice(), signature.as_slice()].concat());
        }
    }

    /// Waits for the proof of this peer, who is on the other side than `side`.
    pub(crate) fn demand(&mut self, side: Side, peer: &PeerInfo, refusals: Option<RefusalLogger>) {
        self.missing = Some(Box::new(Missing {
            provider: Arc::clone(&peer.provider),
            public: peer.public,
            signed: signed(side.peer(), peer),
            refusals,
        }));
    }

    /// Whether the peer has proven all that it must.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing.is_none()
    }

    /// Our message, once.
    pub(crate) fn take_ours(&mut self) -> Option<Vec<u8>> {
        self.ours.take()
    }

    /// Judges the peer's message.
    pub(crate) fn on_message(&mut self, message: &[u8]) -> Result<(), SessionMessageError> {
        let parts = message.split_first().and_then(|(kind, rest)| {
            let (key, signature) = rest.split_first_chunk::<MLDSA_PUBLIC_LEN>()?;
            let signature: &[u8; MLDSA_SIGNATURE_LEN] = signature.try_into().ok()?;
            (*kind == KIND).then_some((key, signature))
        });
        let (Some((key, signature)), Some(missing)) = (parts, &self.missing) else {
            return Err(SessionMessageError::Malformed);
        };
        if !missing.is_proven_by(key, signature) {
            let refusal = Refusal::SecondProofFailed;
            if let Some(log) = &missing.refusals {
                log.tell(&missing.public.node_id(), refusal);
            }
            return Err(SessionMessageError::Refused {
                code: refusal.code(),
                reason: refusal.reason(),
                own_reason: refusal.own_reason(),
            });
        }
        self.missing = None;
        Ok(())
    }
}

impl Missing {
    fn is_proven_by(
        &self,
        key: &[u8; MLDSA_PUBLIC_LEN],
        signature: &[u8; MLDSA_SIGNATURE_LEN],
    ) -> bool {
        self.provider.sha256(&[key]) == self.public.mldsa_commitment
            && self.provider.mldsa_verify(key, &self.signed, signature)
    }
}

/// What the end on `side` signs.
fn signed(side: Side, peer: &PeerInfo) -> Vec<u8> {
    let context = match side {
        Side::Initiator => INITIATOR_CONTEXT,
        Side::Responder => RESPONDER_CONTEXT,
    };
    separated(context, &[&peer.exporter(EXPORTER_LABEL)])
}
