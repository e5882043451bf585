//! The header mask of the ChaCha20 suite: a block of key stream, as in RFC 9001 §5.4.4.

use chacha20::ChaChaCore;
use chacha20::cipher::{Block, KeyIvInit, StreamCipherCore};
use chacha20::variants::Ietf;
use chacha20::{Key, R20};
use zeroize::Zeroizing;

use crate::provider::{CryptoError, HeaderKey};

/// A ChaCha20 key that makes header masks. Used by both providers: AWS-LC offers no bare key
/// stream.
pub(crate) struct ChaChaMask(Zeroizing<[u8; 32]>);

impl ChaChaMask {
    pub(crate) fn new(key: &[u8]) -> Result<Self, CryptoError> {
        Ok(Self(Zeroizing::new(
            key.try_into().map_err(|_| CryptoError)?,
        )))
    }
}

impl HeaderKey for ChaChaMask {
    fn mask(&self, sample: &[u8; 16]) -> [u8; 32] {
        let [c0, c1, c2, c3, nonce @ ..] = *sample;
        let mut core = ChaChaCore::<R20, Ietf>::new(&Key::from(*self.0), &nonce.into());
        // The core, unlike the stream on top of it, has no end: the last counter value is an
        // ordinary sample.
        core.set_block_pos(u32::from_le_bytes([c0, c1, c2, c3]));
        let mut block = Block::<ChaChaCore<R20, Ietf>>::default();
        core.write_keystream_block(&mut block);
        let mut mask = [0; 32];
        mask.copy_from_slice(&block[..32]);
        mask
    }
}
