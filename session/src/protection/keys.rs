//! The keys of one direction and their succession (`docs/session.md` S-PKT).

use std::sync::{Arc, OnceLock};

use zeroize::Zeroizing;

use crate::hkdf::{Expander, extract};
use crate::key_log::DirectionKeyLog;
use crate::planted::{self, Bug};
use crate::provider::{AeadKey, CryptoError, CryptoProvider, HeaderKey, NONCE_LEN, Secret};
use crate::rekey::Fresh;
use crate::schedule::RawKey;
use crate::suite::CipherSuite;

/// Bytes of the header, which is the associated data of a packet.
pub(super) const HEADER_LEN: usize = 32;
/// Bytes of ciphertext that the mask is made from.
const SAMPLE_LEN: usize = 16;
/// Masks that are computed together. Guess: 64 blocks, so that a call does not count; a KiB on the stack.
const MASKS_AT_ONCE: usize = 32;
/// First and one past the last byte of the header that is masked.
const MASKED: std::ops::Range<usize> = 2..28;

/// The AEAD key of one key phase. Expanded it takes half a kibibyte, so it is not while it rests.
pub(super) struct PacketKey {
    raw: RawKey,
    aead: Option<Box<dyn AeadKey>>,
    iv: Zeroizing<[u8; NONCE_LEN]>,
}

impl PacketKey {
    fn new(provider: &dyn CryptoProvider, suite: CipherSuite, secret: &Expander) -> Self {
        let mut iv = Zeroizing::new([0; NONCE_LEN]);
        secret.label("iv", &[], iv.as_mut());
        let raw = RawKey::new(suite, secret, "key", &[]);
        Self {
            aead: Some(raw.aead(provider)),
            raw,
            iv,
        }
    }

    /// Seals `header ‖ payload ‖ room for the tag`.
    pub(super) fn seal(&mut self, chain: &KeyChain, number: u64, packet: &mut [u8]) {
        let nonce = self.nonce(number);
        let (header, body) = packet.split_at_mut(HEADER_LEN);
        self.wake(chain).seal(nonce, header, body);
    }

    /// Opens `header ‖ ciphertext ‖ tag`.
    pub(super) fn open(
        &mut self,
        chain: &KeyChain,
        number: u64,
        packet: &mut [u8],
    ) -> Result<(), CryptoError> {
        let nonce = self.nonce(number);
        let (header, body) = packet.split_at_mut_checked(HEADER_LEN).ok_or(CryptoError)?;
        self.wake(chain).open(nonce, header, body)
    }

    /// The expanded key.
    pub(super) fn wake(&mut self, chain: &KeyChain) -> &dyn AeadKey {
        let raw = &self.raw;
        &**self.aead.get_or_insert_with(|| raw.aead(&*chain.provider))
    }

    /// Forgets the expanded key.
    pub(super) fn rest(&mut self) {
        self.aead = None;
    }

    /// Whether [`Self::wake`] has work to do.
    pub(super) fn is_resting(&self) -> bool {
        self.aead.is_none()
    }

    /// The IV with the packet number XORed into its last eight bytes (RFC 9001 §5.3).
    fn nonce(&self, number: u64) -> [u8; NONCE_LEN] {
        let number = match planted::is(Bug::NonceTruncated) {
            true => number & u64::from(u32::MAX),
            false => number,
        };
        // In the pieces in which it will be copied: other ones would have to reach memory first.
        let first: [u8; 8] = *self.iv.first_chunk().expect("twelve bytes");
        let last: [u8; 4] = *self.iv.last_chunk().expect("twelve bytes");
        let [n0, n1, n2, n3, low @ ..] = number.to_be_bytes();
        let first = u64::from_be_bytes(first) ^ u64::from(u32::from_be_bytes([n0, n1, n2, n3]));
        let last = u32::from_be_bytes(last) ^ u32::from_be_bytes(low);
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&first.to_be_bytes());
        nonce[8..].copy_from_slice(&last.to_be_bytes());
        nonce
    }
}

/// The endless succession of keys of one direction: each is derived from the one before, never the
/// other way round.
pub(super) struct KeyChain {
    provider: Arc<dyn CryptoProvider>,
    suite: CipherSuite,
    /// Of the next key to make.
    secret: Secret,
    generation: u64,
    /// Of the key that was made last.
    made: Secret,
    /// What goes into a later key.
    planned: Option<Box<Fresh>>,
    log: Option<Box<DirectionKeyLog>>,
}

impl KeyChain {
    pub(super) fn new(
        provider: Arc<dyn CryptoProvider>,
        suite: CipherSuite,
        secret: Secret,
        log: Option<DirectionKeyLog>,
    ) -> Self {
        Self {
            provider,
            suite,
            secret,
            generation: 0,
            made: Zeroizing::new([0; 32]),
            planned: None,
            log: log.map(Box::new),
        }
    }

    /// See [`CryptoProvider::aead_block`].
    pub(super) fn text_block(&self) -> usize {
        self.provider.aead_block(self.suite)
    }

    /// The next key; the first call gives that of phase 0.
    pub(super) fn next_key(&mut self) -> PacketKey {
        let generation = self.generation;
        if let Some(fresh) = self.planned.take_if(|fresh| fresh.generation == generation) {
            self.secret = extract(&*self.provider, &*self.secret, &[fresh.secret.as_slice()]);
        }
        let secret = Expander::new(&*self.provider, &self.secret);
        let key = PacketKey::new(&*self.provider, self.suite, &secret);
        if let Some(log) = &mut self.log {
            log.next(&self.secret);
        }
        self.made = std::mem::replace(&mut self.secret, secret.derive("ku", &[]));
        self.generation += 1;
        key
    }

    /// A fresh secret goes into the key of a generation that was not made yet.
    pub(super) fn plan(&mut self, fresh: Fresh) {
        self.planned = Some(Box::new(fresh));
    }

    /// The key that was made last, with a fresh secret in it.
    pub(super) fn make_again(&mut self, fresh: &Secret) -> PacketKey {
        self.secret = extract(&*self.provider, &*self.made, &[fresh.as_slice()]);
        self.generation -= 1;
        if let Some(log) = &mut self.log {
            log.again();
        }
        self.next_key()
    }
}

/// What does not change with the key phase: header mask and checksum salt.
pub(super) struct HeaderProtection {
    raw: RawKey,
    /// Expanded, unless it rests.
    key: OnceLock<Box<dyn HeaderKey>>,
    pub(super) checksum_salt: u32,
}

impl HeaderProtection {
    /// From the secret of phase 0.
    pub(super) fn new(provider: &dyn CryptoProvider, suite: CipherSuite, secret: &Secret) -> Self {
        let secret = Expander::new(provider, secret);
        let raw = RawKey::new(suite, &secret, "hp", &[]);
        let mut salt = [0; 4];
        secret.label("ck", &[], &mut salt);
        Self {
            key: OnceLock::from(raw.header_key(provider)),
            raw,
            checksum_salt: u32::from_be_bytes(salt),
        }
    }

    /// XORs the masks onto the headers of the packets at the starts of `datagrams`, which have `size` bytes
    /// each, and the last one maybe less; its own inverse. What is too short for a sample stays as it is.
    pub(super) fn apply(&self, chain: &KeyChain, datagrams: &mut [u8], size: usize) {
        let key = self
            .key
            .get_or_init(|| self.raw.header_key(&*chain.provider));
        if datagrams.len() <= size {
            if let Some((header, sample)) = sample_of(datagrams) {
                put_on(header, &key.mask(&seen(sample)));
            }
            return;
        }
        for group in datagrams.chunks_mut(size.max(1).saturating_mul(MASKS_AT_ONCE)) {
            let mut masks = [[0; HEADER_LEN]; MASKS_AT_ONCE];
            let mut count = 0;
            let starts = group.chunks_mut(size.max(1)).filter_map(sample_of);
            for (mask, (_, sample)) in masks.iter_mut().zip(starts) {
                mask[..SAMPLE_LEN].copy_from_slice(&seen(sample));
                count += 1;
            }
            key.masks(&mut masks[..count]);
            let starts = group.chunks_mut(size.max(1)).filter_map(sample_of);
            for (mask, (header, _)) in masks.iter().zip(starts) {
                put_on(header, mask);
            }
        }
    }

    /// Forgets the expanded key.
    pub(super) fn rest(&mut self) {
        self.key.take();
    }
}

/// The header and the sample of the packet at the start of a datagram; None: it is too short, or is the zeros
/// that take the place of a packet which no key may seal any more.
fn sample_of(datagram: &mut [u8]) -> Option<(&mut [u8; HEADER_LEN], &[u8; SAMPLE_LEN])> {
    let (header, rest) = datagram.split_first_chunk_mut::<HEADER_LEN>()?;
    let sample = rest.first_chunk()?;
    (header[0] != 0).then_some((header, sample))
}

/// The sample that the mask is made from.
fn seen(sample: &[u8; SAMPLE_LEN]) -> [u8; SAMPLE_LEN] {
    match planted::is(Bug::HeaderMaskReused) {
        true => [0; SAMPLE_LEN],
        false => *sample,
    }
}

/// XORs a mask onto a header. Over the whole header with zeros outside the range: one XOR of 32 bytes, which
/// the compiler turns into two vector instructions.
fn put_on(header: &mut [u8; HEADER_LEN], mask: &[u8; HEADER_LEN]) {
    let mut aligned = [0; HEADER_LEN];
    let (_, from) = aligned.split_at_mut(MASKED.start);
    for (slot, byte) in from.iter_mut().zip(mask).take(MASKED.len()) {
        *slot = *byte;
    }
    for (byte, mask) in header.iter_mut().zip(aligned) {
        *byte ^= mask;
    }
}
