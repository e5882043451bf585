//! The provider on top of AWS-LC.
//!
//! Each `expect` here is about a library call whose only remaining failure is lack of memory or of
//! system entropy; no byte of a peer reaches it unchecked.

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::kem::{DecapsulationKey, EncapsulationKey, ML_KEM_768};
use aws_lc_rs::signature::{
    self, Ed25519KeyPair, KeyPair, ML_DSA_65, ML_DSA_65_SIGNING, PqdsaKeyPair,
};
use aws_lc_rs::{aead, digest, kem};
use dunlin_transport::protect::Random;
use zeroize::Zeroizing;

use super::gcm::{self, Gcm};
use super::mac::{self, MacKey};
use super::verifier::Verifier;
use super::{
    AeadKey, CryptoError, CryptoProvider, Ed25519Key, HeaderKey, HmacKey, KEM_CIPHERTEXT_LEN,
    KEM_PUBLIC_LEN, KemSecret, MLDSA_PUBLIC_LEN, MLDSA_SIGNATURE_LEN, NONCE_LEN, Secret, TAG_LEN,
    X25519Key,
};
use crate::aes_mask::aes_mask;
use crate::chacha_mask::ChaChaMask;
use crate::suite::CipherSuite;

pub(super) struct AwsLc {
    /// Whose AES-GCM seals and opens packets.
    gcm: Gcm,
    /// Whose arithmetic verifies Ed25519 signatures.
    verifier: Verifier,
}

impl AwsLc {
    /// With this AES-GCM and this verification of Ed25519.
    pub(super) const fn new(gcm: Gcm, verifier: Verifier) -> Self {
        Self { gcm, verifier }
    }
}

impl AwsLc {
    /// Whether the packet cipher of `suite` is ring's.
    fn is_ring(&self, suite: CipherSuite) -> bool {
        suite != CipherSuite::ChaCha20Poly1305 && self.gcm == Gcm::Ring
    }
}

impl CryptoProvider for AwsLc {
    fn name(&self) -> &'static str {
        match self.gcm {
            Gcm::AwsLc => "aws-lc",
            Gcm::Ring => "aws-lc with ring",
        }
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = digest::Context::new(&digest::SHA256);
        for part in parts {
            hash.update(part);
        }
        exactly(hash.finish().as_ref())
    }

    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> Secret {
        mac::hmac_sha256(key, parts)
    }

    fn hmac_key(&self, key: &[u8]) -> Box<dyn HmacKey> {
        Box::new(MacKey::new(key))
    }

    fn x25519_key(&self, secret: &Secret) -> Box<dyn X25519Key> {
        let key = PrivateKey::from_private_key(&X25519, secret.as_ref());
        Box::new(AwsX25519(key.expect("any 32 bytes are a scalar")))
    }

    fn kem_generate(&self, _random: &mut dyn Random) -> Box<dyn KemSecret> {
        let secret = DecapsulationKey::generate(&ML_KEM_768).expect("memory and entropy");
        let public = secret
            .encapsulation_key()
            .expect("a fresh key has its public half");
        let public = exactly(public.key_bytes().expect("memory").as_ref());
        Box::new(AwsKem { secret, public })
    }

    fn kem_encapsulate(
        &self,
        public: &[u8; KEM_PUBLIC_LEN],
        _random: &mut dyn Random,
    ) -> Result<([u8; KEM_CIPHERTEXT_LEN], Secret), CryptoError> {
        let key = EncapsulationKey::new(&ML_KEM_768, public).map_err(|_| CryptoError)?;
        let (ciphertext, shared) = key.encapsulate().map_err(|_| CryptoError)?;
        let ciphertext = ciphertext.as_ref().try_into().map_err(|_| CryptoError)?;
        let shared: [u8; 32] = shared.as_ref().try_into().map_err(|_| CryptoError)?;
        Ok((ciphertext, Zeroizing::new(shared)))
    }

    fn ed25519_key(&self, seed: &[u8; 32]) -> Box<dyn Ed25519Key> {
        let key = Ed25519KeyPair::from_seed_unchecked(seed).expect("every seed is a key");
        Box::new(AwsEd25519(key))
    }

    fn ed25519_verify(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        self.verifier.verify(key, message, signature)
    }

    fn mldsa_public(&self, seed: &Secret) -> Box<[u8; MLDSA_PUBLIC_LEN]> {
        Box::new(exactly(mldsa_key(seed).public_key().as_ref()))
    }

    fn mldsa_sign(&self, seed: &Secret, message: &[u8]) -> Box<[u8; MLDSA_SIGNATURE_LEN]> {
        let mut signature = Box::new([0; MLDSA_SIGNATURE_LEN]);
        mldsa_key(seed)
            .sign(message, signature.as_mut_slice())
            .expect("room, memory and entropy");
        signature
    }

    fn mldsa_verify(
        &self,
        key: &[u8; MLDSA_PUBLIC_LEN],
        message: &[u8],
        signature: &[u8; MLDSA_SIGNATURE_LEN],
    ) -> bool {
        signature::UnparsedPublicKey::new(&ML_DSA_65, key)
            .verify(message, signature)
            .is_ok()
    }

    fn aead_block(&self, suite: CipherSuite) -> usize {
        if self.is_ring(suite) { gcm::BLOCK } else { 1 }
    }

    fn aead(&self, suite: CipherSuite, key: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError> {
        if self.is_ring(suite) {
            return Ok(Box::new(gcm::ring_key(suite, key)?));
        }
        let algorithm = match suite {
            CipherSuite::Aes128Gcm => &aead::AES_128_GCM,
            CipherSuite::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
            CipherSuite::Aes256Gcm => &aead::AES_256_GCM,
        };
        let key = aead::UnboundKey::new(algorithm, key).map_err(|_| CryptoError)?;
        Ok(Box::new(AwsAead(aead::LessSafeKey::new(key))))
    }

    fn header_key(
        &self,
        suite: CipherSuite,
        key: &[u8],
    ) -> Result<Box<dyn HeaderKey>, CryptoError> {
        match suite {
            CipherSuite::Aes128Gcm | CipherSuite::Aes256Gcm => aes_mask(suite, key),
            CipherSuite::ChaCha20Poly1305 => Ok(Box::new(ChaChaMask::new(key)?)),
        }
    }
}

fn mldsa_key(seed: &Secret) -> PqdsaKeyPair {
    PqdsaKeyPair::from_seed(&ML_DSA_65_SIGNING, seed.as_ref()).expect("any 32 bytes are a seed")
}

/// The library's output as an array of the length that the algorithm has by definition.
fn exactly<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the algorithm fixes the length")
}

struct AwsX25519(PrivateKey);

impl X25519Key for AwsX25519 {
    fn public(&self) -> [u8; 32] {
        let public = self.0.compute_public_key();
        exactly(public.expect("every scalar has a point").as_ref())
    }

    fn agree(&self, peer: &[u8; 32]) -> Result<Secret, CryptoError> {
        let peer = UnparsedPublicKey::new(&X25519, peer);
        agreement::agree(&self.0, peer, CryptoError, |shared| {
            let shared: [u8; 32] = shared.try_into().map_err(|_| CryptoError)?;
            Ok(Zeroizing::new(shared))
        })
    }
}

struct AwsEd25519(Ed25519KeyPair);

impl Ed25519Key for AwsEd25519 {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        exactly(self.0.sign(message).as_ref())
    }
}

struct AwsKem {
    secret: DecapsulationKey<kem::AlgorithmId>,
    public: [u8; KEM_PUBLIC_LEN],
}

impl KemSecret for AwsKem {
    fn public(&self) -> [u8; KEM_PUBLIC_LEN] {
        self.public
    }

    fn decapsulate(&self, ciphertext: &[u8; KEM_CIPHERTEXT_LEN]) -> Result<Secret, CryptoError> {
        let shared = self
            .secret
            .decapsulate(ciphertext.as_slice().into())
            .map_err(|_| CryptoError)?;
        let shared: [u8; 32] = shared.as_ref().try_into().map_err(|_| CryptoError)?;
        Ok(Zeroizing::new(shared))
    }
}

struct AwsAead(aead::LessSafeKey);

impl AeadKey for AwsAead {
    fn seal(&self, nonce: [u8; NONCE_LEN], aad: &[u8], buffer: &mut [u8]) {
        let (text, tag) = buffer
            .split_last_chunk_mut::<TAG_LEN>()
            .expect("room for the tag");
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let made = self
            .0
            .seal_in_place_separate_tag(nonce, aead::Aad::from(aad), text)
            .expect("a packet is far below the cipher's length limit");
        tag.copy_from_slice(made.as_ref());
    }

    fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        buffer: &mut [u8],
    ) -> Result<(), CryptoError> {
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        self.0
            .open_in_place(nonce, aead::Aad::from(aad), buffer)
            .map(drop)
            .map_err(|_| CryptoError)
    }
}
