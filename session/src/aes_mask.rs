//! The header mask of the AES suites: two blocks of the key stream that begins at the sample, as in RFC 9001
//! §5.4.3, which takes one.

use aes::cipher::array::Array;
use aes::cipher::{BlockCipherEncrypt, BlockSizeUser, KeyInit, consts::U16};
use aes::{Aes128Enc, Aes256Enc};

use crate::provider::{CryptoError, HeaderKey};
use crate::suite::CipherSuite;

/// The key of an AES suite's header masks. Used by both providers: AWS-LC encrypts one block at a time,
/// whatever it is given (ADR 0620).
///
/// # Errors
/// A key of the wrong length, or a suite without AES.
pub(crate) fn aes_mask(suite: CipherSuite, key: &[u8]) -> Result<Box<dyn HeaderKey>, CryptoError> {
    Ok(match suite {
        CipherSuite::Aes128Gcm => Box::new(AesMask::<Aes128Enc>::new(key)?),
        CipherSuite::Aes256Gcm => Box::new(AesMask::<Aes256Enc>::new(key)?),
        CipherSuite::ChaCha20Poly1305 => return Err(CryptoError),
    })
}

struct AesMask<C>(C);

impl<C: KeyInit> AesMask<C> {
    fn new(key: &[u8]) -> Result<Self, CryptoError> {
        C::new_from_slice(key).map(Self).map_err(|_| CryptoError)
    }
}

impl<C> HeaderKey for AesMask<C>
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Send + Sync,
{
    fn mask(&self, sample: &[u8; 16]) -> [u8; 32] {
        let mut mask = [0; 32];
        mask[..16].copy_from_slice(sample);
        self.masks(core::slice::from_mut(&mut mask));
        mask
    }

    /// All blocks in one call, where they lie.
    fn masks(&self, samples: &mut [[u8; 32]]) {
        for array in &mut *samples {
            let (blocks, _) = array.as_chunks_mut::<16>();
            if let [first, second] = blocks {
                *second = u128::from_be_bytes(*first).wrapping_add(1).to_be_bytes();
            }
        }
        let (blocks, _) = samples.as_flattened_mut().as_chunks_mut::<16>();
        self.0
            .encrypt_blocks(Array::cast_slice_from_core_mut(blocks));
    }
}
