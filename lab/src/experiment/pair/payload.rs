//! The bytes that flows move: a head that says what they belong to, and a pattern that the reader
//! can check without knowing what was sent.

use dunlin_transport::Instant;

use crate::workload::fill;

/// In front of each request stream and message, 24 bytes: flow u32, index u32, bytes of the answer
/// u64, issue time in nanoseconds u64, all little-endian. The pattern follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    /// Index of the flow.
    pub(super) flow: u32,
    /// Which of the flow's requests or messages.
    pub(super) index: u32,
    /// Bytes that the server is to answer with; [`ENDLESS`]: without end.
    pub(super) answer: u64,
    /// When it was due.
    pub(super) issued: Instant,
}

pub(super) const HEAD: usize = 24;
/// More bytes than any run moves.
pub(super) const ENDLESS: u64 = 1 << 60;

impl Head {
    pub(super) fn encode(self) -> [u8; HEAD] {
        let mut out = [0; HEAD];
        let words = [
            (u64::from(self.index) << 32) | u64::from(self.flow),
            self.answer,
            self.issued.as_nanos(),
        ];
        for (to, word) in out.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    pub(super) fn decode(bytes: &[u8; HEAD]) -> Self {
        let mut words = bytes
            .chunks_exact(8)
            .map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
        let mut next = || words.next().unwrap_or(0);
        let (ids, answer, issued) = (next(), next(), next());
        let low = |word: u64| u32::try_from(word & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        Self {
            flow: low(ids),
            index: low(ids >> 32),
            answer,
            issued: Instant::from_nanos(issued),
        }
    }

    /// Key of the pattern that the client writes.
    pub(super) fn request_key(self) -> u64 {
        ((u64::from(self.index) << 32) | u64::from(self.flow)) << 1
    }

    /// Key of the pattern that the server answers with.
    pub(super) fn answer_key(self) -> u64 {
        self.request_key() | 1
    }
}

/// Writes what stands at `offset` of a request: its head, then the pattern.
pub(super) fn fill_request(head: Head, offset: u64, out: &mut [u8]) {
    fill(head.request_key(), offset, out);
    let bytes = head.encode();
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    for (to, from) in out.iter_mut().zip(bytes.iter().skip(start)) {
        *to = *from;
    }
}

/// A buffer to compare with, never made smaller.
#[derive(Debug, Default)]
pub(super) struct Expected {
    bytes: Vec<u8>,
}

impl Expected {
    /// Whether `got` stands at `offset` of the pattern of `key`.
    pub(super) fn is_at(&mut self, key: u64, offset: u64, got: &[u8]) -> bool {
        if self.bytes.len() < got.len() {
            self.bytes.resize(got.len(), 0);
        }
        let Some(wanted) = self.bytes.get_mut(..got.len()) else {
            return false;
        };
        fill(key, offset, wanted);
        wanted == got
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_round_trip_and_lead_the_request() {
        let head = Head {
            flow: 7,
            index: 9,
            answer: ENDLESS,
            issued: Instant::from_nanos(123),
        };
        assert_eq!(Head::decode(&head.encode()), head);
        let mut whole = [0; 64];
        fill_request(head, 0, &mut whole);
        assert_eq!(whole[..HEAD], head.encode());
        let mut part = [0; 30];
        fill_request(head, 10, &mut part);
        assert_eq!(part, whole[10..40]);
        let mut expected = Expected::default();
        assert!(expected.is_at(head.request_key(), 24, &whole[24..]));
        assert!(!expected.is_at(head.answer_key(), 24, &whole[24..]));
    }
}
