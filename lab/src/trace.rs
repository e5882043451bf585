//! The fingerprint of a run: every datagram sent and delivered, with time and place.

use dunlin_transport::Instant;

/// Hash over all that crossed the border between endpoints and network. Not cryptographic: it tells
/// runs apart, no more. It is made of 64-bit integers read from bytes in little-endian order, so it
/// is the same on every machine.
#[derive(Clone, Debug)]
pub struct Trace {
    state: u64,
    records: u64,
}

/// What happened to a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record {
    /// An endpoint handed it to the network.
    Sent,
    /// The network handed it to an endpoint.
    Delivered,
}

impl Trace {
    /// Nothing has happened.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: 0x6a09_e667_f3bc_c908,
            records: 0,
        }
    }

    /// Something has.
    pub fn add(&mut self, at: Instant, record: Record, node: usize, bytes: &[u8]) {
        self.add_digest(at, record, node, (bytes.len(), digest(bytes)));
    }

    /// Something has happened to bytes of which the length and the [`digest`] are known.
    pub fn add_digest(
        &mut self,
        at: Instant,
        record: Record,
        node: usize,
        (length, digest): (usize, u64),
    ) {
        self.records += 1;
        let place = ((node as u64) << 1)
            | match record {
                Record::Sent => 0,
                Record::Delivered => 1,
            };
        let state = fold(self.state ^ at.as_nanos(), KEYS[0] ^ place);
        self.state = fold(state ^ length as u64, KEYS[1] ^ digest);
    }

    /// The fingerprint so far.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.state ^ (self.state >> 32)
    }

    /// How many datagrams were sent or delivered.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }
}

/// Odd numbers without pattern: the fractions of the square roots of 2, 3, 5 and 7.
const KEYS: [u64; 4] = [
    0x6a09_e667_f3bc_c909,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
];

/// Hash of `bytes`, 64 at a time in four lanes that do not wait for each other.
#[must_use]
pub fn digest(bytes: &[u8]) -> u64 {
    let mut lanes = KEYS;
    let mut blocks = bytes.chunks_exact(64);
    for block in &mut blocks {
        mix(&mut lanes, block);
    }
    let rest = blocks.remainder();
    if !rest.is_empty() {
        let mut last = [0; 64];
        if let Some(start) = last.get_mut(..rest.len()) {
            start.copy_from_slice(rest);
        }
        mix(&mut lanes, &last);
    }
    let [a, b, c, d] = lanes;
    fold(a ^ b.rotate_left(17), c ^ d.rotate_left(43))
}

fn mix(lanes: &mut [u64; 4], block: &[u8]) {
    for ((lane, key), pair) in lanes.iter_mut().zip(KEYS).zip(block.chunks_exact(16)) {
        let (low, high) = pair.split_at(8);
        let word = |half: &[u8]| u64::from_le_bytes(half.try_into().unwrap_or_default());
        // Turned, or the two halves of a first block could change places.
        *lane = fold(*lane ^ word(low), key.rotate_left(32) ^ word(high));
    }
}

/// Both halves of the product, one over the other.
fn fold(a: u64, b: u64) -> u64 {
    let (low, high) = a.carrying_mul(b, 0);
    low ^ high
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_record_changes_the_hash() {
        let hash = |nanos, record, node, bytes: &[u8]| {
            let mut trace = Trace::new();
            trace.add(Instant::from_nanos(nanos), record, node, bytes);
            trace.hash()
        };
        let base = hash(1, Record::Sent, 0, b"123456789");
        assert_eq!(base, hash(1, Record::Sent, 0, b"123456789"));
        for other in [
            hash(2, Record::Sent, 0, b"123456789"),
            hash(1, Record::Delivered, 0, b"123456789"),
            hash(1, Record::Sent, 1, b"123456789"),
            hash(1, Record::Sent, 0, b"123456780"),
            hash(1, Record::Sent, 0, b"123456789\0"),
            hash(1, Record::Sent, 0, b"023456789"),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn every_bit_of_a_datagram_changes_the_hash() {
        let mut bytes = [0x5a; 200];
        let mut seen = std::collections::BTreeSet::from([digest(&bytes)]);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(seen.insert(digest(&bytes)), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(digest(&bytes[..0]), digest(&[]));
        assert_ne!(digest(&bytes[..63]), digest(&bytes[..64]));
    }
}
