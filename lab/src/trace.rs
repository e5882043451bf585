//! The fingerprint of a run: every datagram sent and delivered, with time and place.

use dunlin_transport::Instant;

/// Hash over all that crossed the border between endpoints and network. Not cryptographic: it tells
/// runs apart, no more.
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
        self.records += 1;
        self.word(at.as_nanos());
        self.word(((node as u64) << 1) | u64::from(record == Record::Delivered));
        self.word(bytes.len() as u64);
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.word(u64::from_le_bytes(word.try_into().unwrap_or_default()));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(words.remainder()) {
            *to = *from;
        }
        self.word(u64::from_le_bytes(last));
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

    const fn word(&mut self, word: u64) {
        self.state = (self.state ^ word)
            .wrapping_mul(0x9fb2_1c65_1e98_df25)
            .rotate_left(29)
            ^ word;
    }
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
}
