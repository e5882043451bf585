//! Bytes that arrive in any order, and bytes that are sent until they are acknowledged: both
//! against an array with one entry a byte.

use alloc::vec::Vec;
use core::ops::Range;

use arbitrary::Arbitrary;

use super::{operations, pattern};
use crate::recv::assembler::Assembler;
use crate::send::buffer::{Piece, SendBuffer};

/// Bytes of the streams here: a little over three pages of the assembler.
const STREAM: usize = 13_000;

#[derive(Arbitrary, Debug)]
enum Assembly {
    Insert { offset: u16, length: u16, copy: u8 },
    Small { offset: u16, length: u8, copy: u8 },
    Read { max: u16 },
    SkipTo { offset: u16 },
    Take,
}

/// An `Assembler` against an array of optional bytes, where the first copy of a byte wins.
///
/// # Panics
/// When they differ.
pub fn assembler(data: &[u8]) {
    let mut assembler = Assembler::default();
    let mut model = Bytes {
        slots: alloc::vec![None; STREAM],
        read: 0,
    };
    for operation in operations(data) {
        match operation {
            Assembly::Insert {
                offset,
                length,
                copy,
            } => {
                let length = usize::from(length) % 5_000;
                model.insert(&mut assembler, usize::from(offset), length, copy);
            }
            Assembly::Small {
                offset,
                length,
                copy,
            } => {
                model.insert(
                    &mut assembler,
                    usize::from(offset),
                    usize::from(length),
                    copy,
                );
            }
            Assembly::Read { max } => {
                let mut out = alloc::vec![0; usize::from(max) % 6_000];
                let count = assembler.read(&mut out);
                out.truncate(count);
                let expected = model.readable().len().min(usize::from(max) % 6_000);
                model.take(&out, expected);
            }
            Assembly::SkipTo { offset } => {
                let offset = usize::from(offset) % STREAM;
                assembler.skip_to(offset as u64);
                model.skip_to(offset);
            }
            Assembly::Take => {
                let expected = model.readable().len();
                model.take(&assembler.take(), expected);
            }
        }
        model.check(&assembler);
    }
}

struct Bytes {
    slots: Vec<Option<u8>>,
    read: usize,
}

impl Bytes {
    fn insert(&mut self, assembler: &mut Assembler, offset: usize, length: usize, copy: u8) {
        let offset = offset % STREAM;
        let length = length.min(STREAM - offset);
        let data: Vec<u8> = (offset..offset + length)
            .map(|at| pattern(u64::from(copy), at as u64))
            .collect();
        let mut added = 0;
        for (slot, byte) in self.slots.iter_mut().skip(offset).zip(&data) {
            added += u64::from(slot.is_none());
            slot.get_or_insert(*byte);
        }
        assert_eq!(assembler.insert(offset as u64, &data), Ok(added));
    }

    fn contiguous(&self) -> usize {
        self.slots
            .iter()
            .position(Option::is_none)
            .unwrap_or(STREAM)
    }

    fn readable(&self) -> Range<usize> {
        self.read..self.contiguous()
    }

    fn take(&mut self, got: &[u8], expected: usize) {
        assert_eq!(got.len(), expected);
        for byte in got {
            assert_eq!(self.slots[self.read], Some(*byte), "at {}", self.read);
            self.read += 1;
        }
    }

    fn skip_to(&mut self, offset: usize) {
        if offset > self.read {
            for slot in self.slots.iter_mut().take(offset) {
                slot.get_or_insert(0);
            }
            self.read = offset;
        }
    }

    fn check(&self, assembler: &Assembler) {
        assert_eq!(assembler.read_offset(), self.read as u64);
        assert_eq!(assembler.contiguous(), self.contiguous() as u64);
        assert_eq!(assembler.readable(), self.readable().len() as u64);
        let stored = self.slots.iter().flatten().count();
        assert_eq!(assembler.stored(), stored as u64);
    }
}

#[derive(Arbitrary, Debug)]
enum Sending {
    Write {
        length: u8,
    },
    WriteMuch {
        length: u16,
    },
    Finish,
    Poll {
        max: u8,
        limit: u16,
    },
    PollMuch {
        max: u16,
    },
    /// The verdict on a piece in flight.
    Acknowledge {
        which: u8,
    },
    Lose {
        which: u8,
    },
    /// A piece that was declared lost had arrived after all.
    LateAcknowledge {
        which: u8,
    },
}

/// A `SendBuffer` against an array with the state of each byte.
///
/// # Panics
/// When they differ.
pub fn send_buffer(data: &[u8]) {
    let mut run = SendRun::default();
    for operation in operations(data) {
        match operation {
            Sending::Write { length } => run.write(usize::from(length)),
            Sending::WriteMuch { length } => run.write(usize::from(length) % 3_000),
            Sending::Finish => {
                run.buffer.finish();
                run.end = run.end.max(ModelEnd::Pending);
            }
            Sending::Poll { max, limit } => run.poll(usize::from(max), usize::from(limit)),
            Sending::PollMuch { max } => run.poll(usize::from(max), usize::MAX),
            Sending::Acknowledge { which } => {
                if let Some(piece) = take(&mut run.in_flight, which) {
                    run.acknowledge(piece);
                }
            }
            Sending::Lose { which } => {
                if let Some(piece) = take(&mut run.in_flight, which) {
                    run.lose(piece);
                }
            }
            Sending::LateAcknowledge { which } => {
                if let Some(piece) = take(&mut run.declared_lost, which) {
                    run.acknowledge(piece);
                }
            }
        }
        run.check();
    }
    run.deliver_the_rest();
}

fn take(pieces: &mut Vec<Piece>, which: u8) -> Option<Piece> {
    if pieces.is_empty() {
        return None;
    }
    let index = usize::from(which) % pieces.len();
    Some(pieces.swap_remove(index))
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum ModelEnd {
    #[default]
    Open,
    Pending,
    InFlight,
    Acknowledged,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Byte {
    Unsent,
    InFlight,
    Lost,
    Acknowledged,
}

#[derive(Default)]
struct SendRun {
    buffer: SendBuffer,
    bytes: Vec<Byte>,
    end: ModelEnd,
    in_flight: Vec<Piece>,
    declared_lost: Vec<Piece>,
}

impl SendRun {
    fn write(&mut self, length: usize) {
        if self.end != ModelEnd::Open || self.bytes.len() > 3 * STREAM {
            return;
        }
        let from = self.bytes.len();
        let data: Vec<u8> = (from..from + length)
            .map(|at| pattern(1, at as u64))
            .collect();
        self.buffer.write(&data);
        self.bytes.resize(from + length, Byte::Unsent);
    }

    fn sent(&self) -> usize {
        let unsent = self.bytes.iter().position(|byte| *byte == Byte::Unsent);
        unsent.unwrap_or(self.bytes.len())
    }

    /// What has to be sent next: the lowest run of lost bytes, else new ones.
    fn expected(&self, max: usize, limit: usize) -> (Range<usize>, bool) {
        let lost = self.bytes.iter().position(|byte| *byte == Byte::Lost);
        if let Some(start) = lost {
            let run = self.bytes[start..]
                .iter()
                .take(max)
                .take_while(|byte| **byte == Byte::Lost);
            return (start..start + run.count(), false);
        }
        let start = self.sent();
        let end = self.bytes.len().min(limit).min(start.saturating_add(max));
        (start..end.max(start), true)
    }

    fn poll(&mut self, max: usize, limit: usize) {
        // A caller without room does not ask.
        let max = max.max(1);
        let (range, is_new) = self.expected(max, limit);
        let sent_after = self.sent().max(range.end);
        let fin = self.end == ModelEnd::Pending
            && range.end == self.bytes.len()
            && sent_after == self.bytes.len();
        let expected = (!range.is_empty() || fin).then_some(Piece {
            range: range.start as u64..range.end as u64,
            fin,
            is_new,
        });
        assert_eq!(self.buffer.poll(max, limit as u64), expected);
        let Some(piece) = expected else { return };
        let mut out = Vec::new();
        self.buffer.copy(&piece.range, &mut out);
        assert!(
            out.iter()
                .copied()
                .eq(piece.range.clone().map(|at| pattern(1, at))),
            "the bytes of {piece:?}"
        );
        self.bytes[range].fill(Byte::InFlight);
        if fin {
            self.end = ModelEnd::InFlight;
        }
        self.in_flight.push(piece);
    }

    fn states(&mut self, range: &Range<u64>) -> &mut [Byte] {
        let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        &mut self.bytes[index(range.start)..index(range.end)]
    }

    fn acknowledge(&mut self, piece: Piece) {
        self.states(&piece.range).fill(Byte::Acknowledged);
        if piece.fin {
            self.end = ModelEnd::Acknowledged;
        }
        self.buffer.on_acknowledged(piece.range, piece.fin);
    }

    fn lose(&mut self, piece: Piece) {
        for byte in self.states(&piece.range) {
            if *byte != Byte::Acknowledged {
                *byte = Byte::Lost;
            }
        }
        if piece.fin && self.end == ModelEnd::InFlight {
            self.end = ModelEnd::Pending;
        }
        self.buffer.on_lost(piece.range.clone(), piece.fin);
        self.declared_lost.push(piece);
    }

    fn check(&self) {
        let base = self
            .bytes
            .iter()
            .position(|byte| *byte != Byte::Acknowledged)
            .unwrap_or(self.bytes.len());
        let (buffer, all) = (&self.buffer, self.bytes.len());
        assert_eq!(buffer.buffered(), (all - base) as u64);
        assert_eq!(buffer.written(), all as u64);
        assert_eq!(buffer.sent(), self.sent() as u64);
        assert_eq!(buffer.is_finished(), self.end != ModelEnd::Open);
        let delivered = base == all && self.end == ModelEnd::Acknowledged;
        assert_eq!(buffer.is_delivered(), delivered);
        let lost = self.bytes.contains(&Byte::Lost);
        let end_is_due = self.end == ModelEnd::Pending && self.sent() == all;
        assert_eq!(
            buffer.has_work(u64::MAX),
            lost || self.sent() < all || end_is_due
        );
        assert_eq!(buffer.has_work(0), lost || end_is_due);
    }

    /// When nothing is lost any more everything arrives.
    fn deliver_the_rest(mut self) {
        self.buffer.finish();
        self.end = self.end.max(ModelEnd::Pending);
        for _ in 0..self.bytes.len() + 2 {
            while let Some(piece) = self.in_flight.pop() {
                self.acknowledge(piece);
            }
            if self.buffer.is_delivered() {
                break;
            }
            self.poll(usize::MAX / 2, usize::MAX);
        }
        self.check();
        assert!(self.buffer.is_delivered());
    }
}
