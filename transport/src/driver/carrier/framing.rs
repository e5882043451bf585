//! Datagrams in a stream of bytes (`docs/wire.md` W-TCP-1, 2): `length (2) ‖ datagram`, and so on.
//! Bytes in and out; the socket is elsewhere.

use std::io;

use crate::io::Transmit;
use crate::limits::UDP_PAYLOAD_MAX;
use crate::wire::HEADER_LEN;
use crate::wire::header::MAGIC;

/// Bytes of the length in front of a datagram.
const PREFIX_LEN: usize = 2;
/// Bytes of the first receive buffer: what a handshake needs.
const RECEIVE_FIRST: usize = 4_096;
/// Bytes to which the receive buffer grows when it comes out full: a batch, and more than the longest
/// datagram with its length. Guess.
const RECEIVE_MAX: usize = 65_536;
const _: () = assert!(RECEIVE_MAX > PREFIX_LEN + UDP_PAYLOAD_MAX);
/// Bytes of datagrams from which on no further batch is taken. Guess: one system call's worth.
const SEND_ENOUGH: usize = 65_536;

/// Why a stream of bytes is no sequence of datagrams.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum FramingError {
    /// Shorter than a header, or longer than any datagram.
    #[error("a datagram of {0} bytes")]
    Length(u16),
    /// It does not begin as every packet does (W-INV-1).
    #[error("a datagram that is no packet")]
    NoPacket,
}

impl From<FramingError> for io::Error {
    fn from(error: FramingError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// The receiving side: bytes in any pieces, datagrams out.
pub(super) struct Inbox {
    buffer: Vec<u8>,
    /// What has come and was not yet taken is `buffer[start..end]`.
    start: usize,
    end: usize,
}

impl Inbox {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; RECEIVE_FIRST],
            start: 0,
            end: 0,
        }
    }

    /// Where the next bytes belong; never empty once every datagram was taken.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        &mut self.buffer[self.end..]
    }

    /// `count` bytes were put into [`Self::room`].
    pub(super) fn on_filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
        // A read that fills the buffer leaves more behind, or part of a datagram that needs more.
        if self.end == self.buffer.len() && self.end < RECEIVE_MAX {
            self.buffer.resize((2 * self.end).min(RECEIVE_MAX), 0);
        }
    }

    /// The next whole datagram. An error is final, and comes as early as the bytes allow.
    pub(super) fn next(&mut self) -> Result<Option<&mut [u8]>, FramingError> {
        let waiting = &self.buffer[self.start..self.end];
        let Some((prefix, rest)) = waiting.split_first_chunk::<PREFIX_LEN>() else {
            return Ok(None);
        };
        let announced = u16::from_be_bytes(*prefix);
        let length = usize::from(announced);
        if !(HEADER_LEN..=UDP_PAYLOAD_MAX).contains(&length) {
            return Err(FramingError::Length(announced));
        }
        if rest.first().is_some_and(|first| *first != MAGIC) {
            return Err(FramingError::NoPacket);
        }
        if rest.len() < length {
            return Ok(None);
        }
        let from = self.start + PREFIX_LEN;
        self.start = from + length;
        Ok(Some(&mut self.buffer[from..from + length]))
    }
}

/// The sending side: batches in, bytes out.
#[derive(Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    /// Bytes at the front that the socket has taken.
    sent: usize,
    batch: Vec<u8>,
}

impl Outbox {
    /// What the socket has not taken yet.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// The socket took `count` bytes.
    pub(super) fn on_sent(&mut self, count: usize) {
        self.sent = (self.sent + count).min(self.bytes.len());
    }

    /// Forgets what waits.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.sent = 0;
    }

    /// Takes batches from `poll` until it has none or there is enough for a system call. Nothing
    /// may wait: so there is never more here than [`SEND_ENOUGH`] and one batch.
    pub(super) fn fill(&mut self, mut poll: impl FnMut(&mut Vec<u8>) -> Option<Transmit>) {
        debug_assert!(self.waiting().is_empty(), "unsent bytes would be lost");
        self.clear();
        while self.bytes.len() < SEND_ENOUGH {
            let Some(transmit) = poll(&mut self.batch) else {
                break;
            };
            let size = transmit.size.min(self.batch.len());
            let segment = transmit.segment_size.unwrap_or(size).max(1);
            for datagram in self.batch[..size].chunks(segment) {
                let length = u16::try_from(datagram.len())
                    .expect("the core's datagrams have at most 65,507 bytes");
                self.bytes.extend_from_slice(&length.to_be_bytes());
                self.bytes.extend_from_slice(datagram);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddr};

    /// A datagram of `length` bytes that ends with `last`.
    fn datagram(length: usize, last: u8) -> Vec<u8> {
        let mut bytes = vec![0; length];
        bytes[0] = MAGIC;
        bytes[length - 1] = last;
        bytes
    }

    fn framed(datagrams: &[Vec<u8>]) -> Vec<u8> {
        let mut outbox = Outbox::default();
        let mut waiting = datagrams.iter();
        outbox.fill(|batch| {
            let next = waiting.next()?;
            batch.clear();
            batch.extend_from_slice(next);
            Some(Transmit {
                destination: SocketAddr::from((Ipv4Addr::LOCALHOST, 9)),
                ecn: None,
                size: next.len(),
                segment_size: None,
            })
        });
        outbox.waiting().to_vec()
    }

    /// Puts `bytes` into `inbox` in pieces of at most `piece`, taking out what is whole.
    fn pour(
        inbox: &mut Inbox,
        mut bytes: &[u8],
        piece: usize,
    ) -> Result<Vec<Vec<u8>>, FramingError> {
        let mut taken = Vec::new();
        while !bytes.is_empty() {
            let room = inbox.room();
            assert!(!room.is_empty(), "the stream would stand still");
            let count = room.len().min(piece).min(bytes.len());
            room[..count].copy_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            inbox.on_filled(count);
            while let Some(datagram) = inbox.next()? {
                taken.push(datagram.to_vec());
            }
        }
        Ok(taken)
    }

    #[test]
    fn round_trips_datagrams_however_the_stream_is_cut() {
        let lengths = [32, 33, 1_200, 16_384, 32, 9_000, 65_507, 40, 50_000];
        let datagrams: Vec<_> = (0_u8..)
            .zip(lengths)
            .map(|(last, length)| datagram(length, last))
            .collect();
        let stream: Vec<u8> = datagrams.chunks(1).flat_map(framed).collect();
        for piece in [1, 2, 3, 31, 1_000, 4_096, 70_000] {
            let mut inbox = Inbox::new();
            assert_eq!(pour(&mut inbox, &stream, piece).unwrap(), datagrams);
            assert!(inbox.buffer.len() <= RECEIVE_MAX);
        }
    }

    #[test]
    fn a_batch_is_taken_apart_into_its_datagrams() {
        let mut outbox = Outbox::default();
        let mut batches = 1;
        outbox.fill(|batch| {
            batches -= 1;
            batch.clear();
            batch.extend((0..100).map(|_| MAGIC));
            (batches == 0).then_some(Transmit {
                destination: SocketAddr::from((Ipv4Addr::LOCALHOST, 9)),
                ecn: None,
                size: 100,
                segment_size: Some(60),
            })
        });
        let mut inbox = Inbox::new();
        let taken = pour(&mut inbox, outbox.waiting(), 1_000).unwrap();
        assert_eq!(taken.iter().map(Vec::len).collect::<Vec<_>>(), [60, 40]);
    }

    #[test]
    fn takes_no_batch_beyond_what_a_system_call_moves() {
        let mut outbox = Outbox::default();
        let mut batches = 0;
        outbox.fill(|batch| {
            batches += 1;
            batch.clear();
            batch.resize(40_000, MAGIC);
            Some(Transmit {
                destination: SocketAddr::from((Ipv4Addr::LOCALHOST, 9)),
                ecn: None,
                size: 40_000,
                segment_size: Some(10_000),
            })
        });
        assert_eq!(batches, 2);
        outbox.on_sent(80_015);
        assert_eq!(outbox.waiting().len(), 1);
        outbox.on_sent(1);
        assert!(outbox.waiting().is_empty());
    }

    #[test]
    fn rejects_lengths_that_no_datagram_has() {
        for (length, accepted) in [
            (0, false),
            (31, false),
            (32, true),
            (65_507, true),
            (65_508, false),
        ] {
            let mut inbox = Inbox::new();
            let prefix = u16::try_from(length).unwrap().to_be_bytes();
            let result = pour(&mut inbox, &prefix, 2);
            assert_eq!(result.is_ok(), accepted, "{length}");
        }
    }

    #[test]
    fn rejects_other_protocols_at_their_first_bytes() {
        let openings: [&[u8]; 5] = [
            b"GET / HTTP/1.1\r\n",
            b"SSH-2.0-x\r\n",
            &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01],
            &[0, 60, 0x0e],
            &[0; 3],
        ];
        for opening in openings {
            let mut inbox = Inbox::new();
            assert!(pour(&mut inbox, opening, 3).is_err(), "{opening:?}");
        }
    }

    #[test]
    fn a_peer_that_sends_little_makes_us_hold_little() {
        let mut inbox = Inbox::new();
        let stream = framed(&vec![datagram(1_400, 1); 40]);
        pour(&mut inbox, &stream, 1_402).unwrap();
        assert_eq!(inbox.buffer.len(), RECEIVE_FIRST);
    }

    /// Streams that are mostly right: lengths, beginnings and bodies that are now and then wrong.
    fn arbitrary_stream() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
        use proptest::prelude::*;
        let length = prop_oneof![8 => 32..200_usize, 1 => 0..70_000_usize];
        let first = prop_oneof![20 => Just(MAGIC), 1 => any::<u8>()];
        let piece = (length, first, any::<u8>()).prop_map(|(length, first, rest)| {
            let prefix = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
            let mut piece = prefix.to_vec();
            piece.push(first);
            piece.resize(2 + length.max(1), rest);
            piece
        });
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest::proptest! {
        #[test]
        fn any_stream_yields_what_its_lengths_say_until_it_breaks_a_rule(
            stream in arbitrary_stream(),
            piece in 1..5_000_usize,
        ) {
            // The slow and obvious reading of the whole.
            let (mut rest, mut expected, mut broken) = (&stream[..], Vec::new(), false);
            while let Some((prefix, behind)) = rest.split_first_chunk() {
                let length = usize::from(u16::from_be_bytes(*prefix));
                broken = !(32..=65_507).contains(&length)
                    || behind.first().is_some_and(|first| *first != MAGIC);
                if broken || behind.len() < length {
                    break;
                }
                expected.push(behind[..length].to_vec());
                rest = &behind[length..];
            }
            let poured = pour(&mut Inbox::new(), &stream, piece);
            proptest::prop_assert_eq!(poured.is_err(), broken);
            if let Ok(datagrams) = poured {
                proptest::prop_assert!(datagrams == expected);
            }
        }
    }
}
