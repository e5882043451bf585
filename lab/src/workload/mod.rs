//! What applications do in a simulated run, and the check of everything they see.
//!
//! Every byte of every stream and message is a function of its place ([`fill`]), so a reader
//! checks what it got without knowing what was sent. An [`Agent`] acts only on events, as a real
//! application does: an event that the core forgets to raise makes it wait for ever, and the run
//! fails.

mod actions;
mod agent;

use std::time::Duration;

use dunlin_transport::{Instant, Side, StreamDirection, StreamId};

pub use agent::{Accepted, Agent, End, Read, Written};

/// A stream that an agent opens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamPlan {
    /// Whether the peer writes too.
    pub direction: StreamDirection,
    /// Bytes its opener writes.
    pub bytes: u64,
    /// Bytes the peer writes, if it does.
    pub answer: u64,
    /// How the opener's bytes end.
    pub fate: Fate,
}

/// How a stream ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// After the last byte.
    Finish,
    /// The writer abandons it after so many bytes.
    Reset(u64),
    /// The reader asks to stop after so many bytes.
    Stop(u64),
}

/// How an agent reads streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reader {
    /// All at once.
    Eager,
    /// So many bytes of each stream, so often.
    Paced {
        /// Bytes.
        bytes: usize,
        /// Time between.
        every: Duration,
    },
}

/// What one side does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Streams it opens.
    pub streams: Vec<StreamPlan>,
    /// Sizes of the reliable messages it sends.
    pub messages: Vec<usize>,
    /// Sizes of the datagrams it sends.
    pub datagrams: Vec<usize>,
    /// How it reads.
    pub reader: Reader,
    /// How it ends the connection, if it is the one.
    pub ending: Option<Ending>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            streams: Vec::new(),
            messages: Vec::new(),
            datagrams: Vec::new(),
            reader: Reader::Eager,
            ending: None,
        }
    }
}

/// How an agent ends the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Gracefully, when everything planned on both sides is done as far as it can see.
    WhenDone,
    /// Gracefully at this time, whatever is still to do.
    CloseAt(Instant),
    /// At once at this time.
    AbortAt(Instant),
}

/// Code that a resetting writer or stopping reader gives.
pub const STREAM_CODE: u64 = 77;
/// Code of a close.
pub const CLOSE_CODE: u64 = 5;

/// Fills `out` with the bytes that stand at `offset` of the thing named by `key`.
pub fn fill(key: u64, offset: u64, out: &mut [u8]) {
    let mut words = Words::from(key, offset / 8);
    let (skip, head) = cut(offset, out.len());
    let (first, rest) = out.split_at_mut(head);
    if head > 0 {
        first.copy_from_slice(&words.next()[skip..skip + head]);
    }
    let (chunks, last) = rest.as_chunks_mut();
    for chunk in chunks {
        *chunk = words.next();
    }
    last.copy_from_slice(&words.next()[..last.len()]);
}

/// Whether `data` are the bytes that stand at `offset` of the thing named by `key`.
#[must_use]
pub fn matches(key: u64, offset: u64, data: &[u8]) -> bool {
    let mut words = Words::from(key, offset / 8);
    let (skip, head) = cut(offset, data.len());
    let (first, rest) = data.split_at(head);
    if head > 0 && first != &words.next()[skip..skip + head] {
        return false;
    }
    let (chunks, last) = rest.as_chunks();
    let mut difference = 0;
    for chunk in chunks {
        difference |= u64::from_le_bytes(*chunk) ^ u64::from_le_bytes(words.next());
    }
    difference == 0 && last == &words.next()[..last.len()]
}

/// Bytes of the first word that lie before `offset`, and how many of `length` are left of it.
fn cut(offset: u64, length: usize) -> (usize, usize) {
    let skip = usize::try_from(offset % 8).unwrap_or(0);
    (skip, if skip > 0 { length.min(8 - skip) } else { 0 })
}

/// The words of the thing named by `key`, one after the other: a counter in large odd steps, which
/// never has a value twice, stirred. Without a multiplication a compiler makes several at once.
struct Words {
    /// The next, before it is stirred.
    counter: u64,
}

impl Words {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    const fn from(key: u64, index: u64) -> Self {
        // Neighbouring keys begin far from each other.
        let origin = (key ^ (key >> 32) ^ Self::STEP).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self {
            counter: origin.wrapping_add(index.wrapping_mul(Self::STEP)),
        }
    }

    const fn next(&mut self) -> [u8; 8] {
        let word = Self::stir(self.counter);
        self.counter = self.counter.wrapping_add(Self::STEP);
        word
    }

    /// Bijective: different counters give different words.
    const fn stir(counter: u64) -> [u8; 8] {
        (counter ^ (counter >> 29)).to_le_bytes()
    }
}

/// Key of the bytes that `writer` puts on a stream.
#[must_use]
pub const fn stream_key(writer: Side, id: StreamId) -> u64 {
    (id.0 << 3) | side_bit(writer)
}

/// Key of the bytes of a message.
#[must_use]
pub const fn message_key(writer: Side, reliable: bool, id: u64) -> u64 {
    (id << 3) | 4 | if reliable { 2 } else { 0 } | side_bit(writer)
}

const fn side_bit(side: Side) -> u64 {
    match side {
        Side::Initiator => 0,
        Side::Responder => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn bytes_depend_on_place_and_name_and_not_on_how_they_are_cut() {
        let mut whole = [0; 100];
        fill(7, 0, &mut whole);
        for (offset, length) in [(0, 100), (3, 5), (8, 8), (13, 40), (99, 1)] {
            let mut part = vec![0; length];
            fill(7, offset as u64, &mut part);
            assert_eq!(part, whole[offset..offset + length]);
            assert!(matches(7, offset as u64, &part));
            for index in 0..length {
                part[index] ^= 1;
                assert!(!matches(7, offset as u64, &part));
                part[index] ^= 1;
            }
        }
        let mut other = [0; 100];
        fill(8, 0, &mut other);
        assert_ne!(whole, other);
    }

    #[test]
    fn names_never_collide() {
        let stream = StreamId::new(Side::Initiator, StreamDirection::Bidirectional, 5);
        let keys = BTreeSet::from([
            stream_key(Side::Initiator, stream),
            stream_key(Side::Responder, stream),
            message_key(Side::Initiator, true, 20),
            message_key(Side::Initiator, false, 20),
            message_key(Side::Responder, true, 20),
            message_key(Side::Responder, false, 20),
        ]);
        assert_eq!(keys.len(), 6);
    }
}
