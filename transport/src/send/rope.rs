//! Bytes that wait to be acknowledged: what was copied in, and what was handed over as it is.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use crate::rest::Rest;

/// Bytes that copied pieces gather in one chunk. Small enough that a chunk given back is used again while
/// it is in the processor's caches. Guess.
const CHUNK_MAX: usize = 64 * 1024;

#[derive(Debug)]
enum Chunk {
    Copied(Vec<u8>),
    Shared(Bytes),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// A queue of bytes, named by their offset: appended at the end, forgotten at the front.
#[derive(Debug, Default)]
pub(super) struct Rope {
    /// Chunks without holes, none empty, each with the offset of its first byte. Those of the first one
    /// that lie before `start` are forgotten already.
    chunks: VecDeque<(u64, Chunk)>,
    start: u64,
    end: u64,
    /// Which chunk was copied from last: the next piece is usually there, or in the one after it.
    last: usize,
}

impl Rope {
    /// One that is empty, and whose next byte has this offset.
    #[cfg(test)]
    pub(super) const fn starting_at(offset: u64) -> Self {
        Self {
            chunks: VecDeque::new(),
            start: offset,
            end: offset,
            last: 0,
        }
    }

    /// Offset of the first byte.
    pub(super) const fn start(&self) -> u64 {
        self.start
    }

    /// Offset after the last byte.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Appends a copy of `data`.
    pub(super) fn copy_in(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let room = match self.chunks.back() {
                Some((_, Chunk::Copied(last))) => CHUNK_MAX.saturating_sub(last.len()),
                _ => 0,
            };
            if room == 0 {
                let chunk = Chunk::Copied(Vec::with_capacity(data.len().min(CHUNK_MAX)));
                self.chunks.push_back((self.end, chunk));
                continue;
            }
            let (now, later) = data.split_at(room.min(data.len()));
            if let Some((_, Chunk::Copied(last))) = self.chunks.back_mut() {
                last.extend_from_slice(now);
            }
            self.end += now.len() as u64;
            data = later;
        }
    }

    /// Appends `data` itself.
    pub(super) fn share(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        let offset = self.end;
        self.end += data.len() as u64;
        self.chunks.push_back((offset, Chunk::Shared(data)));
    }

    /// Appends the bytes of `range`, as far as they are there, to `out`.
    pub(super) fn copy_out(&mut self, range: &Range<u64>, out: &mut Vec<u8>) {
        let mut from = range.start.max(self.start);
        self.last = self.chunk_with(from);
        for (offset, chunk) in self.chunks.range(self.last..) {
            if from >= range.end {
                return;
            }
            let bytes = chunk.bytes();
            let skip = usize::try_from(from - offset).unwrap_or(usize::MAX);
            let until = usize::try_from(range.end - offset).unwrap_or(usize::MAX);
            let part = bytes.get(skip..until.min(bytes.len())).unwrap_or_default();
            out.extend_from_slice(part);
            from += part.len() as u64;
        }
    }

    /// The chunk with the byte at `offset`; one that exists, if there is any.
    fn chunk_with(&self, offset: u64) -> usize {
        let begins_after = |at: usize| self.chunks.get(at).is_none_or(|(first, _)| *first > offset);
        if !begins_after(self.last) {
            if begins_after(self.last + 1) {
                return self.last;
            }
            if begins_after(self.last + 2) {
                return self.last + 1;
            }
        }
        let after = self.chunks.partition_point(|(first, _)| *first <= offset);
        after.saturating_sub(1)
    }

    /// Forgets everything before `offset`.
    pub(super) fn forget_below(&mut self, offset: u64) {
        self.start = offset.clamp(self.start, self.end);
        while let Some((first, chunk)) = self.chunks.front() {
            if first + chunk.bytes().len() as u64 > self.start {
                return;
            }
            self.chunks.pop_front();
            self.last = self.last.saturating_sub(1);
        }
        self.chunks = VecDeque::new();
    }
}

impl Rest for Rope {
    fn rest(&mut self) {
        self.chunks.rest();
        if let Some((_, Chunk::Copied(last))) = self.chunks.back_mut() {
            last.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Beside a plain vector, whatever is appended, read and forgotten in whatever order.
        #[test]
        fn holds_what_a_vector_holds(
            start in 0u64..1_000,
            steps in proptest::collection::vec((0u8..3, 0usize..90_000), 1..30),
        ) {
            let mut rope = Rope::starting_at(start);
            let mut all = Vec::new();
            let offset = |at: usize| start + at as u64;
            for (step, (kind, amount)) in steps.into_iter().enumerate() {
                let data: Vec<u8> = (0..amount).map(|at| (at * 7 + step) as u8).collect();
                match kind {
                    0 => rope.copy_in(&data),
                    1 => rope.share(data.clone().into()),
                    _ => rope.forget_below((rope.start() + amount as u64).min(rope.end())),
                }
                if kind < 2 {
                    all.extend(data);
                }
                prop_assert_eq!(rope.end(), offset(all.len()));
                let from = usize::try_from(rope.start() - start).unwrap();
                let to = (from + amount).min(all.len());
                let mut out = Vec::new();
                rope.copy_out(&(offset(from)..offset(to)), &mut out);
                prop_assert_eq!(&out, &all[from..to]);
                let held: usize = rope.chunks.iter().map(|(_, chunk)| chunk.bytes().len()).sum();
                prop_assert!(held <= all.len() - from + 90_000, "what is forgotten is given back");
            }
        }
    }

    #[test]
    fn what_is_shared_is_not_copied() {
        let data = Bytes::from(alloc::vec![1; 1_000]);
        let mut rope = Rope::default();
        rope.copy_in(b"x");
        rope.share(data.clone());
        let held = rope.chunks.back().map(|(_, chunk)| chunk.bytes().as_ptr());
        assert_eq!(held, Some(data.as_ptr()));
        rope.forget_below(1_001);
        assert!(data.is_unique(), "given back");
    }
}
