//! HKDF with SHA-256 (RFC 5869) and the labelled expansion of TLS 1.3 (RFC 8446 §7.1) with a
//! prefix of our own.

use std::io::Write;

use zeroize::Zeroizing;

use crate::provider::{CryptoProvider, HmacKey, Secret};

/// HKDF-Extract: a pseudorandom key from `input`.
pub(crate) fn extract(provider: &dyn CryptoProvider, salt: &[u8], input: &[&[u8]]) -> Secret {
    provider.hmac_sha256(salt, input)
}

/// Expands one secret, as often as is asked for. HMAC hashes its key twice before the message (RFC 2104 §4): that is
/// done once.
pub(crate) struct Expander(Box<dyn HmacKey>);

impl Expander {
    /// Of this pseudorandom key.
    pub(crate) fn new(provider: &dyn CryptoProvider, secret: &[u8; 32]) -> Self {
        Self(provider.hmac_key(secret))
    }

    /// HKDF-Expand: fills `out` (at most 255 × 32 bytes), bound to `info`.
    pub(crate) fn expand(&self, info: &[u8], out: &mut [u8]) {
        let mut previous: Option<Secret> = None;
        for (chunk, counter) in out.chunks_mut(32).zip(1u8..) {
            let before: &[u8] = previous.as_ref().map_or(&[], |block| block.as_slice());
            let block = self.0.mac(&[before, info, &[counter]]);
            let (used, _) = block.split_at(chunk.len());
            chunk.copy_from_slice(used);
            previous = Some(block);
        }
    }

    /// Fills `out`, bound to a label, a context and the length.
    ///
    /// The info string is length (2) ‖ n (1) ‖ "dunlin1 " ‖ `label` ‖ m (1) ‖ `context`, where n
    /// counts the prefixed label and m the context. It has at most [`INFO_MAX`] bytes.
    pub(crate) fn label(&self, label: &str, context: &[u8], out: &mut [u8]) {
        let count = |length: usize| u8::try_from(length).expect("no more than the room for them");
        let length = u16::try_from(out.len()).expect("keys are short");
        let parts = [
            &length.to_be_bytes()[..],
            &[count(PREFIX.len() + label.len())],
            PREFIX,
            label.as_bytes(),
            &[count(context.len())],
            context,
        ];
        let mut info = [0; INFO_MAX];
        let mut room = info.as_mut_slice();
        for part in parts {
            room.write_all(part).expect("labels and contexts are short");
        }
        let unused = room.len();
        self.expand(&info[..INFO_MAX - unused], out);
    }

    /// [`Self::label`] to a secret of 32 bytes.
    pub(crate) fn derive(&self, label: &str, context: &[u8]) -> Secret {
        let mut out = Zeroizing::new([0; 32]);
        self.label(label, context, out.as_mut());
        out
    }
}

const PREFIX: &[u8] = b"dunlin1 ";
/// Bytes of the longest info string: the label "exporter" with a hash as its context has 52.
const INFO_MAX: usize = 64;
