//! The provider in Rust: x25519-dalek, ed25519-dalek and RustCrypto.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Aes256Gcm, Nonce, Tag};
use chacha20poly1305::ChaCha20Poly1305;
use dunlin_transport::protect::Random;
use ed25519_dalek::{Signer, SigningKey};
use ml_dsa::{EncodedVerifyingKey, MlDsa65, SigningKey as MlDsaKey, VerifyingKey as MlDsaPublic};
use ml_kem::kem::{Decapsulate, KeyExport};
use ml_kem::ml_kem_768::{DecapsulationKey, EncapsulationKey};
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::mac::{self, MacKey};
use super::{
    AeadKey, CryptoError, CryptoProvider, Ed25519Key, HeaderKey, HmacKey, KEM_CIPHERTEXT_LEN,
    KEM_PUBLIC_LEN, KemSecret, MLDSA_PUBLIC_LEN, MLDSA_SIGNATURE_LEN, NONCE_LEN, Secret, TAG_LEN,
    X25519Key,
};
use crate::aes_mask::aes_mask;
use crate::chacha_mask::ChaChaMask;
use crate::strict;
use crate::suite::CipherSuite;

pub(super) struct PureRust;

impl CryptoProvider for PureRust {
    fn name(&self) -> &'static str {
        "pure-rust"
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part);
        }
        hash.finalize().into()
    }

    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> Secret {
        mac::hmac_sha256(key, parts)
    }

    fn hmac_key(&self, key: &[u8]) -> Box<dyn HmacKey> {
        Box::new(MacKey::new(key))
    }

    fn x25519_key(&self, secret: &Secret) -> Box<dyn X25519Key> {
        Box::new(PureX25519(StaticSecret::from(**secret)))
    }

    fn kem_generate(&self, random: &mut dyn Random) -> Box<dyn KemSecret> {
        let mut seed = Zeroizing::new([0; 64]);
        random.fill(seed.as_mut());
        Box::new(PureKem(DecapsulationKey::from_seed((*seed).into())))
    }

    fn kem_encapsulate(
        &self,
        public: &[u8; KEM_PUBLIC_LEN],
        random: &mut dyn Random,
    ) -> Result<([u8; KEM_CIPHERTEXT_LEN], Secret), CryptoError> {
        let key = public.as_slice().try_into().map_err(|_| CryptoError)?;
        let key = EncapsulationKey::new(key).map_err(|_| CryptoError)?;
        let mut message = Zeroizing::new([0; 32]);
        random.fill(message.as_mut());
        let (ciphertext, shared) = key.encapsulate_deterministic(&(*message).into());
        let ciphertext = ciphertext.as_slice().try_into().map_err(|_| CryptoError)?;
        Ok((ciphertext, Zeroizing::new(shared.into())))
    }

    fn ed25519_key(&self, seed: &[u8; 32]) -> Box<dyn Ed25519Key> {
        Box::new(PureEd25519(SigningKey::from_bytes(seed)))
    }

    fn ed25519_verify(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        strict::verify(key, message, signature)
    }

    fn mldsa_public(&self, seed: &Secret) -> Box<[u8; MLDSA_PUBLIC_LEN]> {
        let key = mldsa_key(seed).expanded_key().verifying_key().encode();
        Box::new(
            key.as_slice()
                .try_into()
                .expect("FIPS 204 fixes the length"),
        )
    }

    fn mldsa_sign(&self, seed: &Secret, message: &[u8]) -> Box<[u8; MLDSA_SIGNATURE_LEN]> {
        let signature = mldsa_key(seed)
            .expanded_key()
            .sign_deterministic(message, &[])
            .expect("rejection sampling ends but once in 2^128 times");
        let signature = signature.encode();
        Box::new(
            signature
                .as_slice()
                .try_into()
                .expect("FIPS 204 fixes the length"),
        )
    }

    fn mldsa_verify(
        &self,
        key: &[u8; MLDSA_PUBLIC_LEN],
        message: &[u8],
        signature: &[u8; MLDSA_SIGNATURE_LEN],
    ) -> bool {
        let key = EncodedVerifyingKey::<MlDsa65>::try_from(key.as_slice());
        let signature = ml_dsa::Signature::<MlDsa65>::try_from(signature.as_slice());
        let (Ok(key), Ok(signature)) = (key, signature) else {
            return false;
        };
        MlDsaPublic::decode(&key).verify_with_context(message, &[], &signature)
    }

    fn aead(&self, suite: CipherSuite, key: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError> {
        Ok(match suite {
            CipherSuite::Aes128Gcm => Box::new(PureAead(
                Aes128Gcm::new_from_slice(key).map_err(|_| CryptoError)?,
            )),
            CipherSuite::ChaCha20Poly1305 => Box::new(PureAead(
                ChaCha20Poly1305::new_from_slice(key).map_err(|_| CryptoError)?,
            )),
            CipherSuite::Aes256Gcm => Box::new(PureAead(
                Aes256Gcm::new_from_slice(key).map_err(|_| CryptoError)?,
            )),
        })
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

fn mldsa_key(seed: &Secret) -> MlDsaKey<MlDsa65> {
    MlDsaKey::from_seed(&(**seed).into())
}

struct PureX25519(StaticSecret);

impl X25519Key for PureX25519 {
    fn public(&self) -> [u8; 32] {
        PublicKey::from(&self.0).to_bytes()
    }

    fn agree(&self, peer: &[u8; 32]) -> Result<Secret, CryptoError> {
        let shared = self.0.diffie_hellman(&PublicKey::from(*peer));
        if !shared.was_contributory() {
            return Err(CryptoError);
        }
        Ok(Zeroizing::new(shared.to_bytes()))
    }
}

struct PureEd25519(SigningKey);

impl Ed25519Key for PureEd25519 {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

struct PureKem(DecapsulationKey);

impl KemSecret for PureKem {
    fn public(&self) -> [u8; KEM_PUBLIC_LEN] {
        let mut bytes = [0; KEM_PUBLIC_LEN];
        bytes.copy_from_slice(&self.0.encapsulation_key().to_bytes());
        bytes
    }

    fn decapsulate(&self, ciphertext: &[u8; KEM_CIPHERTEXT_LEN]) -> Result<Secret, CryptoError> {
        let shared = self
            .0
            .decapsulate_slice(ciphertext)
            .map_err(|_| CryptoError)?;
        Ok(Zeroizing::new(shared.into()))
    }
}

struct PureAead<C>(C);

impl<C> AeadKey for PureAead<C>
where
    C: AeadInOut<NonceSize = aes_gcm::aead::consts::U12, TagSize = aes_gcm::aead::consts::U16>
        + Send
        + Sync,
{
    fn seal(&self, nonce: [u8; NONCE_LEN], aad: &[u8], buffer: &mut [u8]) {
        let (text, tag) = buffer
            .split_last_chunk_mut::<TAG_LEN>()
            .expect("room for the tag");
        let made = self
            .0
            .encrypt_inout_detached(&Nonce::from(nonce), aad, text.into())
            .expect("a packet is far below the cipher's length limit");
        *tag = made.into();
    }

    fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        buffer: &mut [u8],
    ) -> Result<(), CryptoError> {
        let (text, tag) = buffer
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or(CryptoError)?;
        self.0
            .decrypt_inout_detached(&Nonce::from(nonce), aad, text.into(), &Tag::from(*tag))
            .map_err(|_| CryptoError)
    }
}
