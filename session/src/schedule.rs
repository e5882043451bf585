//! Transcript and key schedule (`docs/session.md` S-KEY): what is hashed, and which secret comes
//! from what.
//!
//! ML-KEM comes first in the combination and both public values and the ciphertext are in the
//! salt (`th2`), so the result is secret as long as one of the two exchanges is.

use crate::hkdf::{Expander, extract};
use crate::node_id::NodeId;
use crate::planted::{self, Bug};
use crate::provider::{AeadKey, CryptoProvider, HeaderKey, NONCE_LEN, Secret};
use crate::suite::CipherSuite;
use zeroize::Zeroizing;

/// Hash of the network's name, as it enters every other hash.
pub(crate) fn network_id(provider: &dyn CryptoProvider, network: &str) -> [u8; 32] {
    provider.sha256(&[b"dunlin network v1", network.as_bytes()])
}

/// The key of the first check of a SYN to `responder` (zeros: whoever answers).
pub(crate) fn mac1_key(
    provider: &dyn CryptoProvider,
    network_id: &[u8; 32],
    responder: &NodeId,
) -> [u8; 32] {
    provider.sha256(&[b"dunlin mac1 v1", network_id, responder.as_bytes()])
}

/// Hash over protocol, network, SYN content and the responder's name (zeros: whoever answers).
pub(crate) fn th1(
    provider: &dyn CryptoProvider,
    network_id: &[u8; 32],
    syn_content: &[u8],
    responder: &NodeId,
) -> [u8; 32] {
    let th0 = provider.sha256(&[
        b"dunlin H1 v1 X25519 ML-KEM-768 SHA-256 Ed25519",
        network_id,
    ]);
    let covered = match planted::is(Bug::TranscriptOmitsOffer) {
        true => syn_content.get(8..).unwrap_or_default(),
        false => syn_content,
    };
    provider.sha256(&[&th0, covered, responder.as_bytes()])
}

/// Hash over `th1` and the clear part of the SYN_ACK.
pub(crate) fn th2(provider: &dyn CryptoProvider, th1: &[u8; 32], clear: &[u8]) -> [u8; 32] {
    provider.sha256(&[th1, clear])
}

/// Hash over `th2`, the sealed part of the SYN_ACK and the initiator's name.
pub(crate) fn th3(
    provider: &dyn CryptoProvider,
    th2: &[u8; 32],
    sealed: &[u8],
    initiator: &NodeId,
) -> [u8; 32] {
    provider.sha256(&[th2, sealed, initiator.as_bytes()])
}

/// The secrets of a half-open handshake; what they came from is gone.
pub(crate) struct HandshakeSecrets {
    responder: Secret,
    initiator: Secret,
    master: Secret,
}

impl HandshakeSecrets {
    /// From the shared secrets and the transcript up to the SYN_ACK's clear part, which names the
    /// suite; `kem` is None in the classical key exchange.
    pub(crate) fn new(
        provider: &dyn CryptoProvider,
        th2: &[u8; 32],
        kem: Option<&Secret>,
        x25519: &Secret,
    ) -> Self {
        let kem = kem.map_or(&[][..], |kem| kem.as_slice());
        let secret = extract(provider, th2, &[kem, x25519.as_slice()]);
        let secret = Expander::new(provider, &secret);
        Self {
            responder: secret.derive("hs r", &[]),
            initiator: secret.derive("hs i", &[]),
            master: secret.derive("ms", &[]),
        }
    }

    /// Key of the SYN_ACK's sealed part.
    pub(crate) fn syn_ack_key(
        &self,
        provider: &dyn CryptoProvider,
        suite: CipherSuite,
    ) -> MessageKey {
        MessageKey::new(provider, suite, &self.responder, &[])
    }

    /// Key of the confirm message that answers the SYN_ACK with this sealed part. Bound to it, so
    /// that no two confirm messages that differ share a key.
    pub(crate) fn confirm_key(
        &self,
        provider: &dyn CryptoProvider,
        suite: CipherSuite,
        sealed: &[u8],
    ) -> MessageKey {
        MessageKey::new(
            provider,
            suite,
            &self.initiator,
            &provider.sha256(&[sealed]),
        )
    }

    /// The secrets of the finished handshake.
    pub(crate) fn finish(&self, provider: &dyn CryptoProvider, th3: &[u8; 32]) -> SessionSecrets {
        let master = Expander::new(provider, &self.master);
        SessionSecrets {
            initiator: master.derive("ap i", th3),
            responder: master.derive("ap r", th3),
            exporter: master.derive("exp", th3),
        }
    }
}

/// The secrets of a connection: one for each sender, one for everything else.
pub(crate) struct SessionSecrets {
    pub(crate) initiator: Secret,
    pub(crate) responder: Secret,
    pub(crate) exporter: Secret,
}

/// A key that seals exactly one handshake message, with the nonce zero.
pub(crate) struct MessageKey(Box<dyn AeadKey>);

impl MessageKey {
    fn new(
        provider: &dyn CryptoProvider,
        suite: CipherSuite,
        secret: &Secret,
        context: &[u8],
    ) -> Self {
        let secret = Expander::new(provider, secret);
        Self(RawKey::new(suite, &secret, "key", context).aead(provider))
    }

    pub(crate) fn seal(&self, th2: &[u8; 32], buffer: &mut [u8]) {
        self.0.seal([0; NONCE_LEN], th2, buffer);
    }

    pub(crate) fn open(&self, th2: &[u8; 32], buffer: &mut [u8]) -> Option<()> {
        self.0.open([0; NONCE_LEN], th2, buffer).ok()
    }
}

/// The bytes of a cipher's key.
#[derive(Clone)]
pub(crate) struct RawKey {
    suite: CipherSuite,
    /// Of which the first [`CipherSuite::key_len`] are the key.
    bytes: Zeroizing<[u8; 32]>,
}

impl RawKey {
    /// The expansion of a secret with `label`, to the cipher's length.
    pub(crate) fn new(suite: CipherSuite, secret: &Expander, label: &str, context: &[u8]) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        let (key, _) = bytes.split_at_mut(suite.key_len());
        secret.label(label, context, key);
        Self { suite, bytes }
    }

    fn bytes(&self) -> &[u8] {
        let (key, _) = self.bytes.split_at(self.suite.key_len());
        key
    }

    /// As a key that seals and opens.
    pub(crate) fn aead(&self, provider: &dyn CryptoProvider) -> Box<dyn AeadKey> {
        provider
            .aead(self.suite, self.bytes())
            .expect("the key has the suite's length")
    }

    /// As a key that masks headers.
    pub(crate) fn header_key(&self, provider: &dyn CryptoProvider) -> Box<dyn HeaderKey> {
        provider
            .header_key(self.suite, self.bytes())
            .expect("the key has the suite's length")
    }
}
