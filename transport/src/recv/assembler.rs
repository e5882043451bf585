//! Puts bytes that arrive in any order into place, once each.
//!
//! Data is placed directly into pages by its offset; nothing is merged or moved. What may arrive
//! is bounded by the caller's flow control; the number of separate ranges by
//! [`REASSEMBLY_RANGES_MAX`] (quinn-proto RUSTSEC-2026-0185 is what happens without).

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::fetch;
use super::lent::Piece;
use crate::limits::{REASSEMBLY_RANGES_MAX, SPARE_PAGES_MAX};
use crate::planted::{self, Bug};
use crate::range_set::RangeSet;
use crate::rest::Rest;

/// Bytes of a page: a few packets, so a short stream costs one small allocation.
pub(crate) const PAGE: usize = 4_096;

/// One more separate range than [`REASSEMBLY_RANGES_MAX`]; nothing was stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooFragmented;

pub(crate) type Page = Box<[u8; PAGE]>;

/// Pages that were read, to be filled again: a fast stream needs one for every three packets.
#[derive(Debug, Default)]
pub(crate) struct SparePages(Vec<Page>);

impl SparePages {
    fn take(&mut self) -> Page {
        self.0.pop().unwrap_or_else(|| Box::new([0; PAGE]))
    }

    pub(super) fn keep(&mut self, page: Page) {
        if self.0.len() < SPARE_PAGES_MAX {
            self.0.push(page);
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Gives the memory back.
    pub(crate) fn release(&mut self) {
        self.0 = Vec::new();
    }
}

/// Bytes of one stream or message.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    /// Pages from the one that holds `read` on.
    pages: VecDeque<Option<Page>>,
    /// Everything below was read.
    read: u64,
    /// Everything below was received.
    contiguous: u64,
    /// Received ranges above `contiguous`.
    ahead: RangeSet,
}

impl Assembler {
    /// Stores `data` at `offset` and returns how many of its bytes are new. Bytes received before
    /// are kept; a second copy is ignored.
    ///
    /// # Errors
    /// [`TooFragmented`]; nothing changed.
    pub(crate) fn insert(&mut self, offset: u64, data: &[u8]) -> Result<u64, TooFragmented> {
        self.insert_into(&mut SparePages::default(), offset, data)
    }

    /// The same, into pages of `spare` while there are some.
    pub(crate) fn insert_into(
        &mut self,
        spare: &mut SparePages,
        offset: u64,
        data: &[u8],
    ) -> Result<u64, TooFragmented> {
        let end = offset + data.len() as u64;
        let start = offset.max(self.contiguous);
        if end <= start {
            return Ok(0);
        }
        let range = start..end;
        if start > self.contiguous
            && self.ahead.range_count() >= REASSEMBLY_RANGES_MAX
            && self.ahead.would_add_range(&range)
        {
            return Err(TooFragmented);
        }
        let fresh = &data[distance(offset, start)..];
        if self.ahead.is_empty() && start == self.contiguous {
            self.place(spare, start, fresh);
            self.contiguous = end;
            return Ok(end - start);
        }
        let first = self.ahead.first().map_or(u64::MAX, |first| first.start);
        if start == self.contiguous && end < first {
            // The beginning of the first gap.
            self.place(spare, start, fresh);
            self.contiguous = end;
            return Ok(end - start);
        }
        if start >= self.ahead.end() || planted::is(Bug::OverlapWritesTwice) {
            self.place(spare, start, fresh);
            self.fetch(spare, end, fresh.len());
        } else {
            self.place_missing(spare, start, fresh);
        }
        let mut added = self.ahead.insert(range);
        if planted::is(Bug::OverlapCountsTwice) {
            added = end - start;
        }
        if let Some(first) = self.ahead.first().filter(|first| {
            first.start <= self.contiguous || planted::is(Bug::GapCreditedAsReceived)
        }) {
            self.contiguous = first.end;
            self.ahead.pop_first(u64::MAX);
        }
        Ok(added)
    }

    /// One past the highest byte that is held or was read.
    #[must_use]
    pub(crate) fn end(&self) -> u64 {
        self.contiguous.max(self.ahead.end())
    }

    /// Stores `data` at [`Self::end`]: no range more, so there is room for it.
    pub(crate) fn append(&mut self, spare: &mut SparePages, data: &[u8]) {
        let start = self.end();
        let end = start + data.len() as u64;
        self.place(spare, start, data);
        if self.ahead.is_empty() {
            self.contiguous = end;
        } else {
            self.fetch(spare, end, data.len());
            self.ahead.extend_highest(end);
        }
    }

    /// Whether `data` at `offset` differs from bytes that came before and are still held. Of what was
    /// read nothing is known any more.
    #[must_use]
    pub(crate) fn contradicts(&self, offset: u64, data: &[u8]) -> bool {
        let end = offset.saturating_add(data.len() as u64);
        if offset >= self.end() {
            return false;
        }
        let readable = self.read.max(offset)..self.contiguous.min(end);
        let ahead = self.ahead.within(offset..end);
        core::iter::once(readable)
            .chain(ahead)
            .filter(|range| !range.is_empty())
            .any(|range| {
                self.differs(
                    range.start,
                    &data[distance(offset, range.start)..distance(offset, range.end)],
                )
            })
    }

    /// Pages that are held.
    #[must_use]
    pub(crate) fn pages_held(&self) -> usize {
        self.pages.iter().flatten().count()
    }

    /// Pages that [`Self::insert`] of `length` bytes at `offset` would add at most.
    #[must_use]
    pub(crate) fn pages_wanted(&self, offset: u64, length: usize) -> usize {
        let page = |offset: u64| offset / PAGE as u64;
        let (first, end) = (offset.max(self.read), offset + length as u64);
        (page(first)..end.div_ceil(PAGE as u64))
            .filter(|wanted| {
                let index = distance(page(self.read), *wanted);
                !matches!(self.pages.get(index), Some(Some(_)))
            })
            .count()
    }

    /// Bytes that can be read now.
    #[must_use]
    pub(crate) const fn readable(&self) -> u64 {
        self.contiguous - self.read
    }

    /// Bytes received, read or not.
    #[must_use]
    pub(crate) fn stored(&self) -> u64 {
        self.contiguous
            + self
                .ahead
                .iter()
                .map(|range| range.end - range.start)
                .sum::<u64>()
    }

    /// Everything below this offset was received.
    #[must_use]
    pub(crate) const fn contiguous(&self) -> u64 {
        self.contiguous
    }

    /// Everything below this offset was read.
    #[must_use]
    pub(crate) const fn read_offset(&self) -> u64 {
        self.read
    }

    /// Moves readable bytes into `out` and returns how many.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> usize {
        self.read_from(&mut SparePages::default(), out)
    }

    /// The same; pages that were read to their end go to `spare`.
    pub(crate) fn read_from(&mut self, spare: &mut SparePages, out: &mut [u8]) -> usize {
        let mut done = 0;
        while done < out.len() && self.read < self.contiguous {
            let within = within_page(self.read);
            let count = (PAGE - within)
                .min(out.len() - done)
                .min(usize::try_from(self.contiguous - self.read).unwrap_or(usize::MAX));
            if let Some(Some(page)) = self.pages.front() {
                out[done..done + count].copy_from_slice(&page[within..within + count]);
            }
            done += count;
            self.read += count as u64;
            if within + count == PAGE
                && let Some(Some(page)) = self.pages.pop_front()
            {
                spare.keep(page);
            }
        }
        self.forget_room();
        done
    }

    /// Gives away the page with the next readable bytes. What lies behind a gap in the same page stays:
    /// then the bytes are copied into a page of `spare`.
    pub(crate) fn take_piece(&mut self, spare: &mut SparePages) -> Option<Piece> {
        if self.read == self.contiguous {
            return None;
        }
        let start = within_page(self.read);
        let end = (PAGE - start).min(distance(self.read, self.contiguous)) + start;
        let next_page = self.read + (PAGE - start) as u64;
        let is_shared = self
            .ahead
            .first()
            .is_some_and(|first| first.start < next_page);
        let front = self.pages.front_mut()?;
        let page = if is_shared {
            let mut page = spare.take();
            page[start..end].copy_from_slice(&front.as_ref()?[start..end]);
            page
        } else {
            front.take()?
        };
        self.read += (end - start) as u64;
        if end == PAGE {
            self.pages.pop_front();
        }
        self.forget_room();
        Some(Piece::new(page, start..end))
    }

    /// Gives the room for pages back when there is none.
    fn forget_room(&mut self) {
        if self.read == self.contiguous && self.ahead.is_empty() && within_page(self.read) == 0 {
            self.pages = VecDeque::new();
        }
    }

    /// Moves all readable bytes out.
    #[must_use]
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut out = alloc::vec![0; usize::try_from(self.readable()).unwrap_or(0)];
        let count = self.read(&mut out);
        out.truncate(count);
        out
    }

    /// Drops everything below `offset`, received or not, as if it had been read.
    pub(crate) fn skip_to(&mut self, offset: u64) {
        if offset <= self.read {
            return;
        }
        let pages = distance(self.read / PAGE as u64, offset / PAGE as u64);
        self.pages.drain(..pages.min(self.pages.len()));
        self.ahead.remove(0..offset);
        self.read = offset;
        self.contiguous = self.contiguous.max(offset);
        if let Some(first) = self
            .ahead
            .first()
            .filter(|first| first.start <= self.contiguous)
        {
            self.contiguous = first.end;
            self.ahead.pop_first(u64::MAX);
        }
    }

    /// Places the parts of `data` that are not there yet, so that what was received first stays.
    fn place_missing(&mut self, spare: &mut SparePages, start: u64, data: &[u8]) {
        let mut gaps = RangeSet::new();
        gaps.insert(start..start + data.len() as u64);
        for present in self.ahead.within(start..start + data.len() as u64) {
            gaps.remove(present);
        }
        for gap in gaps.iter() {
            self.place(
                spare,
                gap.start,
                &data[distance(start, gap.start)..distance(start, gap.end)],
            );
        }
    }

    /// Whether the bytes held at `offset` are others than `data`.
    fn differs(&self, mut offset: u64, mut data: &[u8]) -> bool {
        let first_page = self.read / PAGE as u64;
        while !data.is_empty() {
            let within = within_page(offset);
            let (now, later) = data.split_at(data.len().min(PAGE - within));
            let page = self.pages.get(distance(first_page, offset / PAGE as u64));
            if let Some(Some(page)) = page
                && page[within..within + now.len()] != *now
            {
                return true;
            }
            offset += now.len() as u64;
            data = later;
        }
        false
    }

    fn place(&mut self, spare: &mut SparePages, mut offset: u64, mut data: &[u8]) {
        let first_page = self.read / PAGE as u64;
        while !data.is_empty() {
            let within = within_page(offset);
            let (now, later) = data.split_at(data.len().min(PAGE - within));
            let index = distance(first_page, offset / PAGE as u64);
            if index >= self.pages.len() {
                self.pages.resize_with(index + 1, || None);
            }
            let page = self.pages[index].get_or_insert_with(|| spare.take());
            page[within..within + now.len()].copy_from_slice(now);
            offset += now.len() as u64;
            data = later;
        }
    }

    /// Fetches the memory that the next `length` bytes from `offset` on will be copied to, if it is there, while they are
    /// opened.
    fn fetch(&self, spare: &SparePages, offset: u64, length: usize) {
        let within = within_page(offset);
        let index = distance(self.read / PAGE as u64, offset / PAGE as u64);
        let next = spare.0.last();
        let (here, after) = match self.pages.get(index) {
            Some(Some(page)) => (Some(page), next),
            _ => (next, None),
        };
        if let Some(page) = here {
            fetch::to_write(&page[within..PAGE.min(within + length)]);
        }
        if let Some(page) = after {
            fetch::to_write(&page[..(within + length).saturating_sub(PAGE).min(PAGE)]);
        }
    }
}

fn within_page(offset: u64) -> usize {
    usize::try_from(offset % PAGE as u64).unwrap_or(0)
}

/// `to - from`, which callers keep within one flow-control window.
fn distance(from: u64, to: u64) -> usize {
    usize::try_from(to - from).unwrap_or(usize::MAX)
}

impl Rest for Assembler {
    fn rest(&mut self) {
        self.pages.rest();
        self.ahead.rest();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recv::lent::Lent;
    use proptest::prelude::*;

    fn byte(offset: u64) -> u8 {
        (offset * 7 + offset / 251) as u8
    }

    proptest! {
        /// Against the obvious model: an array of optional bytes.
        #[test]
        fn delivers_every_byte_once_and_in_order(
            pieces in proptest::collection::vec((0u64..20_000, 1usize..3_000, 0usize..5_000), 1..40),
            lends: bool,
        ) {
            let (mut assembler, mut spare) = (Assembler::default(), SparePages::default());
            let mut model = alloc::vec![false; 23_000];
            let mut read = 0;
            for (offset, length, read_max) in pieces {
                let data: Vec<u8> = (offset..offset + length as u64).map(byte).collect();
                let fresh = (offset..offset + length as u64)
                    .filter(|at| !core::mem::replace(&mut model[*at as usize], true))
                    .count() as u64;
                prop_assert_eq!(assembler.insert(offset, &data), Ok(fresh));
                let contiguous = model.iter().position(|have| !have).unwrap() as u64;
                prop_assert_eq!(assembler.contiguous(), contiguous);
                prop_assert_eq!(assembler.readable(), contiguous - read);
                let mut out = alloc::vec![0; read_max];
                let count = if lends {
                    let mut lent = Lent::default();
                    assembler.take_piece(&mut spare).into_iter().for_each(|piece| lent.push(piece));
                    out.resize(lent.bytes().len(), 0);
                    let count = lent.copy_to(&mut out);
                    lent.return_to(&mut spare);
                    count
                } else {
                    let count = assembler.read_from(&mut spare, &mut out);
                    prop_assert_eq!(count as u64, (contiguous - read).min(read_max as u64));
                    count
                } as u64;
                prop_assert_eq!(count == 0, contiguous == read || (!lends && read_max == 0));
                for (index, got) in out.iter().take(count as usize).enumerate() {
                    prop_assert_eq!(*got, byte(read + index as u64));
                }
                read += count;
                prop_assert_eq!(assembler.read_offset(), read);
            }
        }
    }

    proptest! {
        /// Behind what was read, behind what can be read, and behind gaps.
        #[test]
        fn appending_is_inserting_at_the_end(
            steps in proptest::collection::vec((0u64..9_000, 1usize..5_000, 0usize..9_000), 1..30),
        ) {
            let (mut appended, mut inserted) = (Assembler::default(), Assembler::default());
            let mut spare = SparePages::default();
            for (gap, length, read_max) in steps {
                if gap < 3_000 {
                    let data: Vec<u8> = (gap..gap + 10).map(byte).collect();
                    let offset = inserted.end() + gap;
                    prop_assert_eq!(appended.insert(offset, &data), inserted.insert(offset, &data));
                }
                let offset = inserted.end();
                let data: Vec<u8> = (offset..offset + length as u64).map(byte).collect();
                prop_assert_eq!(inserted.insert(offset, &data), Ok(length as u64));
                appended.append(&mut spare, &data);
                prop_assert_eq!(alloc::format!("{appended:?}"), alloc::format!("{inserted:?}"));
                let mut out = [alloc::vec![0; read_max], alloc::vec![0; read_max]];
                let count = appended.read(&mut out[0]);
                prop_assert_eq!(inserted.read(&mut out[1]), count);
                prop_assert_eq!(&out[0], &out[1]);
            }
        }
    }

    #[test]
    fn keeps_pages_that_were_read_up_to_the_limit_and_fills_them_again() {
        let mut spare = SparePages::default();
        let mut assembler = Assembler::default();
        let length = PAGE * (SPARE_PAGES_MAX + 1);
        let mut out = alloc::vec![0; length];
        for round in 0..2 {
            let data: Vec<u8> = (0..length as u64).map(|at| byte(at + round)).collect();
            let offset = round * length as u64;
            assert_eq!(
                assembler.insert_into(&mut spare, offset, &data),
                Ok(length as u64)
            );
            assert_eq!(spare.0.len(), 0, "all of them are in use again");
            assert_eq!(assembler.read_from(&mut spare, &mut out), length);
            assert_eq!(out, data);
            assert_eq!(spare.0.len(), SPARE_PAGES_MAX);
        }
        spare.release();
        assert_eq!(spare.0.capacity(), 0);
    }

    #[test]
    fn a_page_is_lent_as_it_is_unless_something_lies_behind_a_gap_in_it() {
        let (mut assembler, mut spare) = (Assembler::default(), SparePages::default());
        assembler.insert(0, &[1; 100]).unwrap();
        let piece = assembler.take_piece(&mut spare).unwrap();
        assert_eq!((piece.len(), assembler.pages_held()), (100, 0));
        assembler.insert(100, &[2; 100]).unwrap();
        assembler.insert(300, &[3; 10]).unwrap();
        let piece = assembler.take_piece(&mut spare).unwrap();
        assert_eq!((piece.len(), assembler.pages_held()), (100, 1));
        assert!(assembler.take_piece(&mut spare).is_none());
        assembler.insert(200, &[4; 100]).unwrap();
        assert_eq!(assembler.take()[99..101], [4, 3]);
    }

    #[test]
    fn first_copy_of_a_byte_wins() {
        let mut assembler = Assembler::default();
        assembler.insert(4, b"xx").unwrap();
        assembler.insert(0, b"aaaaaaaa").unwrap();
        assert_eq!(assembler.take(), b"aaaaxxaa");
    }

    #[test]
    fn notices_other_bytes_where_some_are_still_held() {
        let mut assembler = Assembler::default();
        assembler.insert(0, &[1; 5_000]).unwrap();
        assembler.insert(6_000, &[2; 3_000]).unwrap();
        assert!(
            !assembler.contradicts(0, &[1; 6_000]),
            "the gap may be anything"
        );
        assert!(!assembler.contradicts(6_000, &[2; 4_000]));
        for at in [0, 4_095, 4_096, 4_999, 6_000, 8_191, 8_192, 8_999] {
            assert!(assembler.contradicts(at, &[9]), "at {at}");
            let mut whole = alloc::vec![1; 5_000];
            whole.resize(6_000, 7);
            whole.resize(9_500, 2);
            assert!(!assembler.contradicts(0, &whole));
            whole[usize::try_from(at).unwrap()] = 9;
            assert!(assembler.contradicts(0, &whole), "at {at}");
        }
        for at in [5_000, 5_999, 9_000] {
            assert!(!assembler.contradicts(at, &[9]), "at {at}");
        }
        assembler.read(&mut [0; 4_500]);
        assert!(!assembler.contradicts(4_499, &[9]), "it was read");
        assert!(assembler.contradicts(4_500, &[9]));
    }

    #[test]
    fn skipping_drops_what_lies_below_and_keeps_the_rest() {
        let mut assembler = Assembler::default();
        assembler.insert(0, &[1; 100]).unwrap();
        assembler.insert(9_000, &[2; 10]).unwrap();
        assembler.skip_to(9_004);
        assert_eq!(assembler.take(), [2; 6]);
        assert_eq!(assembler.insert(0, &[3; 9_010]), Ok(0));
        assert_eq!(assembler.insert(9_010, &[4]), Ok(1));
        assert_eq!(assembler.take(), [4]);
    }

    #[test]
    fn accepts_the_limit_of_ranges_and_rejects_one_more() {
        let mut assembler = Assembler::default();
        for index in 0..REASSEMBLY_RANGES_MAX as u64 {
            assert_eq!(assembler.insert(2 + index * 2, &[1]), Ok(1));
        }
        let beyond = 2 + REASSEMBLY_RANGES_MAX as u64 * 2;
        assert_eq!(assembler.insert(beyond, &[1]), Err(TooFragmented));
        // What fills a gap is still welcome.
        assert_eq!(assembler.insert(3, &[1]), Ok(1));
        assert_eq!(assembler.insert(0, &[1, 1]), Ok(2));
        assert_eq!(assembler.contiguous(), 5);
    }
}
