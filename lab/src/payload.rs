//! Bytes of a datagram, and their digest once somebody has worked it out.
//!
//! A datagram is fingerprinted when it is sent and when it is delivered ([`crate::trace`]), and
//! mostly nobody has changed it in between. Here every way to the bytes that could change them
//! forgets the digest, so that one which is known is true.

use std::ops::{Deref, DerefMut};

use crate::trace;

/// The bytes of a datagram. Reads and changes like the `Vec<u8>` it is.
#[derive(Clone, Default, Debug)]
pub struct Payload {
    bytes: Vec<u8>,
    digest: Option<u64>,
}

impl Payload {
    /// Hash of the bytes ([`trace::digest`]); worked out if it is not known.
    pub fn digest(&mut self) -> u64 {
        let digest = *self
            .digest
            .get_or_insert_with(|| trace::digest(&self.bytes));
        debug_assert_eq!(digest, trace::digest(&self.bytes));
        digest
    }

    /// Becomes a copy of `bytes` and keeps its memory.
    pub fn set(&mut self, bytes: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        self.digest = None;
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            digest: None,
        }
    }
}

impl From<Payload> for Vec<u8> {
    fn from(payload: Payload) -> Self {
        payload.bytes
    }
}

impl Deref for Payload {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Payload {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        self.digest = None;
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_the_bytes_forgets_the_digest() {
        let digest_of = |bytes: &[u8]| trace::digest(bytes);
        let mut payload = Payload::from(vec![1, 2, 3]);
        assert_eq!(payload.digest(), digest_of(&[1, 2, 3]));
        payload[1] = 9;
        assert_eq!(payload.digest(), digest_of(&[1, 9, 3]));
        payload.truncate(1);
        assert_eq!(payload.digest(), digest_of(&[1]));
        payload.set(&[7, 7]);
        assert_eq!(payload.digest(), digest_of(&[7, 7]));
        crate::link::corrupt(&mut payload, &mut crate::rng::Rng::new(1));
        let changed = payload.to_vec();
        assert_ne!(changed, [7, 7]);
        assert_eq!(payload.digest(), digest_of(&changed));
    }
}
