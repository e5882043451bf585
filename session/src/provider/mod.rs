//! The cryptographic primitives behind one small trait, so that two implementations check each
//! other (`docs/session.md` S-SUITE).
//!
//! [`aws_lc`] is fast and written in C and assembly; [`pure`] is Rust only, slower, and takes all
//! randomness from the injected source, so that the simulator is deterministic with it. Both speak
//! the same protocol; the tests run on each and across them.

#[cfg(feature = "aws-lc")]
mod aws;
#[cfg(feature = "aws-lc")]
mod gcm;
#[cfg(any(feature = "aws-lc", feature = "pure-rust"))]
mod mac;
#[cfg(feature = "pure-rust")]
mod rust;
#[cfg(feature = "aws-lc")]
mod verifier;

use dunlin_transport::protect::Random;
use zeroize::Zeroizing;

use crate::suite::CipherSuite;

/// A 32-byte secret that is erased when dropped.
pub type Secret = Zeroizing<[u8; 32]>;

/// Bytes of an ML-KEM-768 encapsulation key (FIPS 203, table 3).
pub const KEM_PUBLIC_LEN: usize = 1_184;
/// Bytes of an ML-KEM-768 ciphertext (FIPS 203, table 3).
pub const KEM_CIPHERTEXT_LEN: usize = 1_088;
/// Bytes of an ML-DSA-65 public key (FIPS 204, table 2).
pub const MLDSA_PUBLIC_LEN: usize = 1_952;
/// Bytes of an ML-DSA-65 signature (FIPS 204, table 2).
pub const MLDSA_SIGNATURE_LEN: usize = 3_309;
/// Bytes of the tag of both AEADs.
pub const TAG_LEN: usize = 16;
/// Bytes of the nonce of both AEADs.
pub const NONCE_LEN: usize = 12;

/// A peer's public value or ciphertext is unusable, or a tag does not match. Deliberately without
/// detail; nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the cryptographic check failed")]
pub struct CryptoError;

/// Everything the session layer asks of a cryptographic library.
pub trait CryptoProvider: Send + Sync {
    /// Name for logs and benchmarks.
    fn name(&self) -> &'static str;

    /// SHA-256 (FIPS 180-4) of the concatenation of `parts`.
    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32];

    /// HMAC-SHA-256 (RFC 2104) over the concatenation of `parts`.
    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> Secret;

    /// [`Self::hmac_sha256`] under one key, for many messages.
    fn hmac_key(&self, key: &[u8]) -> Box<dyn HmacKey>;

    /// An X25519 key (RFC 7748 §5) of any 32 bytes.
    fn x25519_key(&self, secret: &Secret) -> Box<dyn X25519Key>;

    /// The public half of [`Self::x25519_key`], for one use.
    fn x25519_public(&self, secret: &Secret) -> [u8; 32] {
        self.x25519_key(secret).public()
    }

    /// [`X25519Key::agree`], for one use.
    ///
    /// # Errors
    /// [`CryptoError`], as there.
    fn x25519(&self, secret: &Secret, peer: &[u8; 32]) -> Result<Secret, CryptoError> {
        self.x25519_key(secret).agree(peer)
    }

    /// A fresh ML-KEM-768 key pair (FIPS 203 algorithm 19).
    fn kem_generate(&self, random: &mut dyn Random) -> Box<dyn KemSecret>;

    /// Encapsulates to `public`: the ciphertext and the shared secret (FIPS 203 algorithm 20).
    ///
    /// # Errors
    /// [`CryptoError`] when a coefficient of `public` is not reduced (FIPS 203 §7.2).
    fn kem_encapsulate(
        &self,
        public: &[u8; KEM_PUBLIC_LEN],
        random: &mut dyn Random,
    ) -> Result<([u8; KEM_CIPHERTEXT_LEN], Secret), CryptoError>;

    /// The Ed25519 key (RFC 8032) of this seed.
    fn ed25519_key(&self, seed: &[u8; 32]) -> Box<dyn Ed25519Key>;

    /// [`Ed25519Key::sign`], for one use.
    fn ed25519_sign(&self, seed: &[u8; 32], message: &[u8]) -> [u8; 64] {
        self.ed25519_key(seed).sign(message)
    }

    /// Whether an Ed25519 signature is valid, strictly: canonical encodings, neither key nor nonce
    /// of small order.
    fn ed25519_verify(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool;

    /// The ML-DSA-65 public key of this seed (FIPS 204 algorithm 6, ξ).
    fn mldsa_public(&self, seed: &Secret) -> Box<[u8; MLDSA_PUBLIC_LEN]>;

    /// An ML-DSA-65 signature (FIPS 204 algorithm 2, empty context) with the key of this seed. Two
    /// signatures of one message may differ.
    fn mldsa_sign(&self, seed: &Secret, message: &[u8]) -> Box<[u8; MLDSA_SIGNATURE_LEN]>;

    /// Whether an ML-DSA-65 signature (FIPS 204 algorithm 3, empty context) is valid.
    fn mldsa_verify(
        &self,
        key: &[u8; MLDSA_PUBLIC_LEN],
        message: &[u8],
        signature: &[u8; MLDSA_SIGNATURE_LEN],
    ) -> bool;

    /// A key of the packet cipher from [`CipherSuite::key_len`] bytes.
    ///
    /// # Errors
    /// [`CryptoError`] when `key` has another length.
    fn aead(&self, suite: CipherSuite, key: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError>;

    /// Texts of a multiple of so many bytes cost the packet cipher least; 1: it is all the same.
    fn aead_block(&self, _suite: CipherSuite) -> usize {
        1
    }

    /// A key of the header mask from [`CipherSuite::key_len`] bytes.
    ///
    /// # Errors
    /// [`CryptoError`] when `key` has another length.
    fn header_key(&self, suite: CipherSuite, key: &[u8])
    -> Result<Box<dyn HeaderKey>, CryptoError>;
}

/// A key of HMAC-SHA-256 (RFC 2104), hashed once; erased when dropped.
pub trait HmacKey: Send + Sync {
    /// The code of the concatenation of `parts`.
    fn mac(&self, parts: &[&[u8]]) -> Secret;
}

/// A private X25519 key that knows its public half; erased when dropped.
pub trait X25519Key: Send {
    /// The public key to send to the peer.
    fn public(&self) -> [u8; 32];

    /// The shared secret.
    ///
    /// # Errors
    /// [`CryptoError`] when it is all zero: the peer's value has small order (RFC 7748 §6.1).
    fn agree(&self, peer: &[u8; 32]) -> Result<Secret, CryptoError>;
}

/// An expanded Ed25519 key; erased when dropped.
pub trait Ed25519Key: Send + Sync {
    /// The signature of `message`. Deterministic.
    fn sign(&self, message: &[u8]) -> [u8; 64];
}

/// A private ML-KEM-768 key; erased when dropped.
pub trait KemSecret: Send {
    /// The encapsulation key to send to the peer.
    fn public(&self) -> [u8; KEM_PUBLIC_LEN];

    /// The shared secret (FIPS 203 algorithm 21). A wrong ciphertext gives another secret, not an
    /// error ("implicit rejection").
    ///
    /// # Errors
    /// [`CryptoError`] when the library fails.
    fn decapsulate(&self, ciphertext: &[u8; KEM_CIPHERTEXT_LEN]) -> Result<Secret, CryptoError>;
}

/// A key of an authenticated cipher (RFC 5116), in place and without allocation.
pub trait AeadKey: Send + Sync {
    /// Encrypts all but the last [`TAG_LEN`] bytes of `buffer` and writes the tag there.
    ///
    /// # Panics
    /// When `buffer` is shorter than a tag.
    fn seal(&self, nonce: [u8; NONCE_LEN], aad: &[u8], buffer: &mut [u8]);

    /// Checks the tag at the end of `buffer` and decrypts what is before it.
    ///
    /// # Errors
    /// [`CryptoError`] when the tag does not match or `buffer` is shorter than a tag; `buffer` is
    /// then unspecified.
    fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        buffer: &mut [u8],
    ) -> Result<(), CryptoError>;
}

/// A key of the header mask (`docs/session.md` S-PKT-2).
pub trait HeaderKey: Send + Sync {
    /// 32 bytes of key stream for this sample of ciphertext.
    fn mask(&self, sample: &[u8; 16]) -> [u8; 32];

    /// The same for many samples: each array holds one in its first 16 bytes, and afterwards its key stream.
    fn masks(&self, samples: &mut [[u8; 32]]) {
        for array in samples {
            if let Some(sample) = array.first_chunk() {
                *array = self.mask(sample);
            }
        }
    }
}

/// The provider on top of AWS-LC.
///
/// ML-KEM draws its randomness from the library, not from the injected source: handshakes with it
/// are not reproducible. AES-GCM is ring's and the verification of Ed25519 dalek's where that is faster.
#[cfg(feature = "aws-lc")]
#[must_use]
pub fn aws_lc() -> std::sync::Arc<dyn CryptoProvider> {
    let gcm = gcm::Gcm::of_this_processor();
    std::sync::Arc::new(aws::AwsLc::new(
        gcm,
        verifier::Verifier::of_this_processor(),
    ))
}

/// That provider with either AES-GCM and either verification of Ed25519, whatever the processor is.
#[cfg(all(test, feature = "aws-lc"))]
pub(crate) fn aws_lc_both() -> [std::sync::Arc<dyn CryptoProvider>; 2] {
    [
        (gcm::Gcm::AwsLc, verifier::Verifier::AwsLc),
        (gcm::Gcm::Ring, verifier::Verifier::Dalek),
    ]
    .map(|(gcm, verifier)| std::sync::Arc::new(aws::AwsLc::new(gcm, verifier)) as _)
}

/// The provider in Rust: dalek and RustCrypto. Every random byte comes from the injected source.
#[cfg(feature = "pure-rust")]
#[must_use]
pub fn pure() -> std::sync::Arc<dyn CryptoProvider> {
    std::sync::Arc::new(rust::PureRust)
}

#[cfg(test)]
mod published;
#[cfg(test)]
mod tests;
