//! Bytes that are read without a copy: the pages they were put together in change hands.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Range;

use super::assembler::{Page, SparePages};

/// Bytes of a stream in order, taken with [`crate::Connection::read_lent`]: looked at where they lie,
/// and consumed from the front. Pages go back to the connection with the next call. Takes the room of a
/// pointer until something is lent.
#[derive(Debug, Default)]
pub struct Lent(Option<Box<Held>>);

#[derive(Debug, Default)]
struct Held {
    pieces: VecDeque<Piece>,
    /// Pages that were consumed.
    empty: Vec<Page>,
}

/// A part of a page.
#[derive(Debug)]
pub(crate) struct Piece {
    page: Page,
    range: Range<usize>,
}

impl Piece {
    /// The bytes of `range`, which lies within a page.
    pub(super) const fn new(page: Page, range: Range<usize>) -> Self {
        Self { page, range }
    }

    /// How many bytes it has left.
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }
}

impl Lent {
    /// Whether all was consumed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.front().is_none()
    }

    /// The next bytes: a page at most, and none only when all was consumed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.front()
            .and_then(|piece| piece.page.get(piece.range.clone()))
            .unwrap_or_default()
    }

    /// `count` bytes are done with; more than [`Self::bytes`] gave are cut to that.
    pub fn consume(&mut self, count: usize) {
        let Some(held) = &mut self.0 else {
            return;
        };
        let Some(piece) = held.pieces.front_mut() else {
            return;
        };
        piece.range.start = piece.range.end.min(piece.range.start + count);
        if piece.range.is_empty()
            && let Some(piece) = held.pieces.pop_front()
        {
            held.empty.push(piece.page);
        }
    }

    /// Copies the next bytes into `out` and consumes them; how many.
    pub fn copy_to(&mut self, out: &mut [u8]) -> usize {
        let mut done = 0;
        while done < out.len() && !self.is_empty() {
            let bytes = self.bytes();
            let count = bytes.len().min(out.len() - done);
            out[done..done + count].copy_from_slice(&bytes[..count]);
            self.consume(count);
            done += count;
        }
        done
    }

    pub(crate) fn push(&mut self, piece: Piece) {
        self.0.get_or_insert_default().pieces.push_back(piece);
    }

    /// Gives back what was consumed.
    pub(crate) fn return_to(&mut self, spare: &mut SparePages) {
        for page in self.0.iter_mut().flat_map(|held| held.empty.drain(..)) {
            spare.keep(page);
        }
    }

    fn front(&self) -> Option<&Piece> {
        self.0.as_ref()?.pieces.front()
    }
}
