//! HMAC-SHA-256 of both providers: most keys serve once, and AWS-LC makes and copies three contexts for each, which
//! takes longer than the hashing.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{HmacKey, Secret};

/// HMAC (RFC 2104) over the concatenation of `parts`.
pub(super) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Secret {
    finish(keyed(key), parts)
}

/// A key that is hashed once for all messages.
pub(super) struct MacKey(Hmac<Sha256>);

impl MacKey {
    pub(super) fn new(key: &[u8]) -> Self {
        Self(keyed(key))
    }
}

impl HmacKey for MacKey {
    fn mac(&self, parts: &[&[u8]]) -> Secret {
        finish(self.0.clone(), parts)
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("any length is a key")
}

fn finish(mut mac: Hmac<Sha256>, parts: &[&[u8]]) -> Secret {
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}
