//! The header mask of the AES suites: two blocks of the key stream that begins at the sample, as in RFC 9001
//! §5.4.3, which takes one.

use aes::cipher::array::Array;
use aes::cipher::{BlockCipherEncrypt, BlockSizeUser, KeyInit, consts::U16};
use aes::{Aes128Enc, Aes256Enc};

use crate::provider::{CryptoError, HeaderKey};
use crate::suite::CipherSuite;

/// Samples whose blocks are encrypted in one call.
const AT_ONCE: usize = 32;

/// The key of an AES suite's header masks. Used by both providers: AWS-LC encrypts one block at a time, and a
/// mask of two then costs what seven cost here (ADR 0620).
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

type AesBlock = Array<u8, U16>;

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
        let mut blocks = blocks_of(sample);
        self.0.encrypt_blocks(&mut blocks);
        bytes_of(&blocks)
    }

    fn masks(&self, samples: &mut [[u8; 32]]) {
        for group in samples.chunks_mut(AT_ONCE) {
            let mut blocks = [AesBlock::from([0; 16]); 2 * AT_ONCE];
            let (pairs, _) = blocks.as_chunks_mut::<2>();
            for (pair, array) in pairs.iter_mut().zip(&*group) {
                if let Some(sample) = array.first_chunk() {
                    *pair = blocks_of(sample);
                }
            }
            self.0.encrypt_blocks(&mut blocks[..2 * group.len()]);
            let (pairs, _) = blocks.as_chunks::<2>();
            for (array, pair) in group.iter_mut().zip(pairs) {
                *array = bytes_of(pair);
            }
        }
    }
}

/// The sample and the number after it.
fn blocks_of(sample: &[u8; 16]) -> [AesBlock; 2] {
    let second = u128::from_be_bytes(*sample).wrapping_add(1).to_be_bytes();
    [AesBlock::from(*sample), AesBlock::from(second)]
}

fn bytes_of([low, high]: &[AesBlock; 2]) -> [u8; 32] {
    let mut mask = [0; 32];
    mask[..16].copy_from_slice(low);
    mask[16..].copy_from_slice(high);
    mask
}
