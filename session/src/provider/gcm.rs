//! AES-GCM where AWS-LC does not use the vector instructions that the processor has.
//!
//! AWS-LC takes two blocks or more at a time (VAES, VPCLMULQDQ) only with AVX-512. AMD's Zen 3, Intel's client
//! processors and many virtual machines have these instructions with AVX2 alone; there ring, whose code for that
//! comes from BoringSSL, needs 0.6 of the time (ADR 0615).

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::{AeadKey, CryptoError, NONCE_LEN, TAG_LEN};
use crate::suite::CipherSuite;

/// Bytes of a block (FIPS 197). ring takes what is left of a text behind the last whole one in a separate step
/// (ADR 0622).
pub(super) const BLOCK: usize = 16;

/// Whose AES-GCM it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gcm {
    /// AWS-LC's.
    AwsLc,
    /// ring's.
    Ring,
}

impl Gcm {
    /// The one that is faster on this processor.
    pub(super) fn of_this_processor() -> Self {
        match has_vectors_without_avx512() {
            true => Self::Ring,
            false => Self::AwsLc,
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn has_vectors_without_avx512() -> bool {
    use std::arch::is_x86_feature_detected as has;

    let vectors = has!("avx2") && has!("vaes") && has!("vpclmulqdq");
    // What AWS-LC asks for.
    let avx512 = has!("avx512f") && has!("avx512vl") && has!("avx512bw") && has!("avx512dq");
    vectors && !avx512
}

#[cfg(not(target_arch = "x86_64"))]
fn has_vectors_without_avx512() -> bool {
    false
}

/// A key of ring's AES-GCM.
///
/// # Errors
/// Another suite, or a key of the wrong length.
pub(super) fn ring_key(suite: CipherSuite, key: &[u8]) -> Result<RingGcm, CryptoError> {
    let algorithm = match suite {
        CipherSuite::Aes128Gcm => &AES_128_GCM,
        CipherSuite::Aes256Gcm => &AES_256_GCM,
        CipherSuite::ChaCha20Poly1305 => return Err(CryptoError),
    };
    let key = UnboundKey::new(algorithm, key).map_err(|_| CryptoError)?;
    Ok(RingGcm(LessSafeKey::new(key)))
}

pub(super) struct RingGcm(LessSafeKey);

impl AeadKey for RingGcm {
    fn seal(&self, nonce: [u8; NONCE_LEN], aad: &[u8], buffer: &mut [u8]) {
        let (text, tag) = buffer
            .split_last_chunk_mut::<TAG_LEN>()
            .expect("room for the tag");
        let nonce = Nonce::assume_unique_for_key(nonce);
        let made = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(aad), text)
            .expect("a packet is far below the cipher's length limit");
        tag.copy_from_slice(made.as_ref());
    }

    fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        buffer: &mut [u8],
    ) -> Result<(), CryptoError> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0
            .open_in_place(nonce, Aad::from(aad), buffer)
            .map(drop)
            .map_err(|_| CryptoError)
    }
}
