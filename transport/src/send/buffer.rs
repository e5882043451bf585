//! Bytes of a stream from the moment they are accepted until they are acknowledged.

use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use super::rope::Rope;
use crate::planted::{self, Bug};
use crate::range_set::RangeSet;
use crate::rest::Rest;

/// A piece to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Its bytes' offsets; may be empty when only the end is to be told.
    pub range: Range<u64>,
    /// Whether the stream ends with it.
    pub fin: bool,
    /// Whether it was never sent before, so that it counts against flow control.
    pub is_new: bool,
}

/// Where the end of the stream stands.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum End {
    #[default]
    Open,
    /// To be sent, for the first time or again.
    Pending,
    InFlight,
    Acknowledged,
}

/// The send buffer of one stream.
#[derive(Debug, Default)]
pub struct SendBuffer {
    /// Everything below its start is acknowledged and forgotten.
    bytes: Rope,
    /// Everything from here on was never sent.
    next: u64,
    /// Acknowledged above `base`.
    acknowledged: RangeSet,
    /// How many bytes these are.
    ahead: u64,
    /// Sent, declared lost, to be sent again.
    lost: RangeSet,
    /// Bytes that were sent more than once, each time counted.
    sent_again: u64,
    end: End,
}

impl SendBuffer {
    /// One whose first `offset` bytes were delivered.
    #[cfg(test)]
    pub(crate) fn starting_at(offset: u64) -> Self {
        Self {
            bytes: Rope::starting_at(offset),
            next: offset,
            ..Self::default()
        }
    }

    /// Accepts bytes for sending.
    pub fn write(&mut self, data: &[u8]) {
        debug_assert!(self.end == End::Open, "the caller checks for the end");
        self.bytes.copy_in(data);
    }

    /// The same without a copy.
    pub fn write_shared(&mut self, data: Bytes) {
        debug_assert!(self.end == End::Open, "the caller checks for the end");
        self.bytes.share(data);
    }

    /// No more bytes will come.
    pub fn finish(&mut self) {
        if self.end == End::Open {
            self.end = End::Pending;
        }
    }

    /// Whether [`Self::finish`] was called.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.end != End::Open
    }

    /// Bytes held.
    #[must_use]
    pub fn buffered(&self) -> u64 {
        self.bytes.end() - self.bytes.start()
    }

    /// Bytes accepted so far, the stream's final size once it is finished.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.bytes.end()
    }

    /// Bytes sent at least once.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.next
    }

    /// Bytes accepted and never sent.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.written() - self.next
    }

    /// Bytes sent once more, each time counted.
    #[must_use]
    pub const fn sent_again(&self) -> u64 {
        self.sent_again
    }

    /// Bytes acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.bytes.start() + self.ahead
    }

    /// Bytes acknowledged and still held, because some before them are not.
    #[must_use]
    pub const fn ahead(&self) -> u64 {
        self.ahead
    }

    /// Whether bytes and end are all acknowledged.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.end == End::Acknowledged && self.buffered() == 0
    }

    /// Whether everything accepted so far, the end included when there is one, is acknowledged.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.buffered() == 0 && matches!(self.end, End::Open | End::Acknowledged)
    }

    /// Whether there is something to send when new bytes may go up to `limit`.
    #[must_use]
    pub fn has_work(&self, limit: u64) -> bool {
        !self.lost.is_empty()
            || self.next < self.written().min(limit)
            || (self.end == End::Pending && self.next == self.written())
    }

    /// How many pieces of exactly `len` bytes can be polled next, all new, below `limit`, and none of
    /// them the last one of the bytes that may go.
    #[must_use]
    pub fn full_pieces(&self, len: usize, limit: u64) -> usize {
        if !self.lost.is_empty() || len == 0 {
            return 0;
        }
        let new = self.written().min(limit).saturating_sub(self.next);
        usize::try_from(new.saturating_sub(1) / len as u64).unwrap_or(usize::MAX)
    }

    /// The next piece of at most `max` bytes: lost ones first. New bytes stay below `limit`.
    /// The piece counts as sent.
    pub fn poll(&mut self, max: usize, limit: u64) -> Option<Piece> {
        let written = self.written();
        let (range, is_new) = if let Some(range) = self.lost.pop_first(max as u64) {
            self.sent_again += range.end - range.start;
            (range, false)
        } else {
            let end = written
                .min(limit)
                .min(self.next + max as u64)
                .max(self.next);
            (self.next..end, true)
        };
        let reaches_end = range.end == written && self.next.max(range.end) == written;
        let fin = self.end == End::Pending && reaches_end;
        if range.is_empty() && !fin {
            return None;
        }
        if is_new {
            self.next = range.end;
        }
        if fin {
            self.end = End::InFlight;
        }
        Some(Piece { range, fin, is_new })
    }

    /// Appends the bytes of `range`, which was polled and not yet acknowledged, to `out`.
    pub fn copy(&mut self, range: &Range<u64>, out: &mut Vec<u8>) {
        self.bytes.copy_out(range, out);
    }

    /// A piece was acknowledged.
    pub fn on_acknowledged(&mut self, range: Range<u64>, fin: bool) {
        if fin {
            self.end = End::Acknowledged;
        }
        let range = range.start.max(self.bytes.start())..range.end;
        if range.is_empty() {
            return;
        }
        if range.start == self.bytes.start() && self.acknowledged.is_empty() && self.lost.is_empty()
        {
            // In order, as nearly always.
            self.bytes.forget_below(range.end);
            return;
        }
        self.lost.remove(range.clone());
        let is_lowest = range.start == self.bytes.start() || planted::is(Bug::SendBufferFreedEarly);
        self.ahead += self.acknowledged.insert(range);
        if is_lowest && let Some(first) = self.acknowledged.pop_first(u64::MAX) {
            self.ahead -= first.end - first.start;
            self.bytes.forget_below(first.end);
        }
    }

    /// A piece was declared lost: what of it is not acknowledged is sent again.
    pub fn on_lost(&mut self, range: Range<u64>, fin: bool) {
        if fin && self.end == End::InFlight && !planted::is(Bug::LostEndNotRepeated) {
            self.end = End::Pending;
        }
        let range = range.start.max(self.bytes.start())..range.end;
        if range.is_empty() {
            return;
        }
        self.lost.insert(range.clone());
        for have in self.acknowledged.within(range) {
            self.lost.remove(have);
        }
    }
}

impl Rest for SendBuffer {
    fn rest(&mut self) {
        self.bytes.rest();
        self.acknowledged.rest();
        self.lost.rest();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is lost or acknowledged in whatever order, every byte and the end arrive.
        #[test]
        fn everything_arrives(
            total in 0usize..5_000,
            verdicts in proptest::collection::vec((any::<bool>(), 1usize..700, 0usize..5), 1..50),
        ) {
            let data: Vec<u8> = (0..total).map(|index| (index * 31) as u8).collect();
            let mut buffer = SendBuffer::default();
            buffer.write(&data);
            buffer.finish();
            let mut received = alloc::vec![None; total];
            let mut fin = false;
            let mut in_flight = Vec::new();
            let mut verdicts = verdicts.into_iter().cycle();
            for _ in 0..10_000 {
                let (lose, max, pick) = verdicts.next().unwrap();
                if let Some(piece) = buffer.poll(max, u64::MAX) {
                    in_flight.push(piece);
                }
                if in_flight.is_empty() {
                    break;
                }
                if in_flight.len() > pick {
                    let piece = in_flight.remove(pick);
                    // One in two loses at first; later rounds deliver, so that the test ends.
                    if lose && !received.iter().all(Option::is_some) && pick > 0 {
                        buffer.on_lost(piece.range, piece.fin);
                    } else {
                        let mut out = Vec::new();
                        buffer.copy(&(piece.range.start..piece.range.end), &mut out);
                        for (at, byte) in (piece.range.start..).zip(out) {
                            received[at as usize] = Some(byte);
                        }
                        fin |= piece.fin;
                        buffer.on_acknowledged(piece.range, piece.fin);
                    }
                } else {
                    let piece = in_flight.remove(0);
                    buffer.on_lost(piece.range, piece.fin);
                }
                if buffer.is_delivered() {
                    break;
                }
            }
            if buffer.is_delivered() {
                prop_assert!(fin);
                prop_assert_eq!(received.into_iter().flatten().collect::<Vec<_>>(), data);
                prop_assert!(!buffer.has_work(u64::MAX));
            }
        }
    }

    #[test]
    fn new_bytes_stop_at_the_limit_and_the_end_waits_for_them() {
        let mut buffer = SendBuffer::default();
        buffer.write(&[1; 100]);
        buffer.finish();
        let piece = buffer.poll(1_000, 60).unwrap();
        assert_eq!((piece.range.clone(), piece.fin), (0..60, false));
        assert_eq!(buffer.poll(1_000, 60), None);
        assert!(!buffer.has_work(60) && buffer.has_work(61));
        let rest = buffer.poll(1_000, 100).unwrap();
        assert_eq!((rest.range.clone(), rest.fin), (60..100, true));
        buffer.on_acknowledged(piece.range, false);
        assert!(!buffer.is_delivered());
        buffer.on_acknowledged(rest.range, true);
        assert!(buffer.is_delivered());
    }

    #[test]
    fn what_arrived_behind_a_gap_is_held_and_counted_until_the_gap_is_filled() {
        let mut buffer = SendBuffer::default();
        buffer.write(&[7; 1_000]);
        buffer.poll(1_000, 1_000).unwrap();
        buffer.on_acknowledged(100..300, false);
        buffer.on_acknowledged(200..400, false);
        buffer.on_acknowledged(900..1_000, false);
        assert_eq!((buffer.buffered(), buffer.ahead()), (1_000, 400));
        assert_eq!(buffer.acknowledged(), 400);
        buffer.on_acknowledged(0..100, false);
        assert_eq!((buffer.buffered(), buffer.ahead()), (600, 100));
        buffer.on_acknowledged(400..900, false);
        assert_eq!((buffer.buffered(), buffer.ahead()), (0, 0));
        assert_eq!(buffer.acknowledged(), 1_000);
    }

    #[test]
    fn a_lost_end_is_told_again_even_without_bytes() {
        let mut buffer = SendBuffer::default();
        buffer.finish();
        let end = Piece {
            range: 0..0,
            fin: true,
            is_new: true,
        };
        assert_eq!(buffer.poll(10, 0), Some(end.clone()));
        assert_eq!(buffer.poll(10, 0), None);
        buffer.on_lost(0..0, true);
        assert_eq!(buffer.poll(10, 0), Some(end));
        buffer.on_acknowledged(0..0, true);
        assert!(buffer.is_delivered());
    }
}
