//! HKDF with SHA-256 (RFC 5869) and the labelled expansion of TLS 1.3 (RFC 8446 §7.1) with a
//! prefix of our own.

use zeroize::Zeroizing;

use crate::provider::{CryptoProvider, Secret};

/// HKDF-Extract: a pseudorandom key from `input`.
pub(crate) fn extract(provider: &dyn CryptoProvider, salt: &[u8], input: &[&[u8]]) -> Secret {
    provider.hmac_sha256(salt, input)
}

/// HKDF-Expand: fills `out` (at most 255 × 32 bytes) from the key `secret`.
pub(crate) fn expand(
    provider: &dyn CryptoProvider,
    secret: &[u8; 32],
    info: &[u8],
    out: &mut [u8],
) {
    let mut previous: Option<Secret> = None;
    for (chunk, counter) in out.chunks_mut(32).zip(1u8..) {
        let before: &[u8] = previous.as_ref().map_or(&[], |block| block.as_slice());
        let block = provider.hmac_sha256(secret, &[before, info, &[counter]]);
        let (used, _) = block.split_at(chunk.len());
        chunk.copy_from_slice(used);
        previous = Some(block);
    }
}

/// Expands `secret` into `out`, bound to a label, a context and the length.
///
/// The info string is length (2) ‖ n (1) ‖ "dunlin1 " ‖ `label` ‖ m (1) ‖ `context`, where n
/// counts the prefixed label and m the context; both are at most 255 bytes.
pub(crate) fn expand_label(
    provider: &dyn CryptoProvider,
    secret: &[u8; 32],
    label: &str,
    context: &[u8],
    out: &mut [u8],
) {
    let count = |length: usize| u8::try_from(length).expect("labels and contexts are short");
    let length = u16::try_from(out.len()).expect("keys are short");
    let info = [
        &length.to_be_bytes()[..],
        &[count(PREFIX.len() + label.len())],
        PREFIX,
        label.as_bytes(),
        &[count(context.len())],
        context,
    ]
    .concat();
    expand(provider, secret, &info, out);
}

/// [`expand_label`] to a secret of 32 bytes.
pub(crate) fn derive(
    provider: &dyn CryptoProvider,
    secret: &[u8; 32],
    label: &str,
    context: &[u8],
) -> Secret {
    let mut out = Zeroizing::new([0; 32]);
    expand_label(provider, secret, label, context, out.as_mut());
    out
}

const PREFIX: &[u8] = b"dunlin1 ";
