//! The receiving half of one stream (states of RFC 9000 §3.2).

use core::time::Duration;

use crate::error::PeerViolation;
use crate::flow::{ReceiveFlow, Tuner};
use crate::limits::LENT_PAGES_MAX;
use crate::planted::{self, Bug};
use crate::recv::assembler::{Assembler, SparePages, TooFragmented};
use crate::recv::lent::Lent;
use crate::rest::Rest;
use crate::time::Instant;

/// A limit is announced once it has moved by this part of the window. No header repeats it, as headers
/// do the connection's: with half a window, the peer's credit ends just before the announcement after a
/// lost one, and both ends wait for a probe timeout. With a quarter the next one comes in time (ADR 0129).
const ANNOUNCED_PART: u64 = 4;

/// One receiving half.
#[derive(Debug)]
pub(super) struct RecvStream {
    assembler: Assembler,
    /// One past the highest byte that came.
    highest: u64,
    final_size: Option<u64>,
    tuner: Tuner,
    /// The highest limit that was announced.
    announced: u64,
    /// The peer abandoned it with this code.
    reset: Option<u64>,
    /// We asked the peer to stop: bytes are discarded.
    pub(super) stopped: bool,
    /// The application waits for an event.
    waiting: bool,
}

/// How far a stream has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// Bytes received, or discarded because nobody wants them.
    pub(super) received: u64,
    /// Bytes that the application has, discarded ones included.
    pub(super) read: u64,
    /// Bytes between those that can be read and the highest that came.
    pub(super) missing: u64,
    /// Bytes that may be on their way or unread.
    pub(super) window: u64,
}

/// What a read found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReadOutcome {
    Bytes(usize),
    End,
    Reset(u64),
    Blocked,
}

impl RecvStream {
    /// The window at first, and at most.
    pub(super) fn new((window, max): (u64, u64)) -> Self {
        Self {
            assembler: Assembler::default(),
            highest: 0,
            final_size: None,
            tuner: Tuner::new(window, max),
            announced: window,
            reset: None,
            stopped: false,
            waiting: true,
        }
    }

    /// As if `offset` bytes had come and been read.
    #[cfg(test)]
    pub(super) fn go_on_at(&mut self, offset: u64) {
        self.assembler.skip_to(offset);
        self.highest = offset;
        self.announced += offset;
    }

    /// Stores a piece. Returns false when it cannot be placed now and must count as not received.
    pub(super) fn on_data(
        &mut self,
        offset: u64,
        data: &[u8],
        fin: bool,
        (flow, spare): (&mut ReceiveFlow, &mut SparePages),
    ) -> Result<bool, PeerViolation> {
        let end = offset
            .checked_add(data.len() as u64)
            .ok_or(PeerViolation::FinalSize)?;
        self.check_size(end, fin)?;
        if self.reset.is_some() {
            return Ok(true);
        }
        self.grow(end, flow)?;
        if !planted::is(Bug::OverlapWritesTwice) && self.assembler.contradicts(offset, data) {
            return Err(PeerViolation::ContradictingData);
        }
        if self.stopped {
            self.discard(flow);
        } else if let Err(TooFragmented) = self.assembler.insert_into(spare, offset, data) {
            return Ok(false);
        }
        if fin {
            self.final_size = Some(end);
        }
        Ok(true)
    }

    /// Bytes behind the highest that may come in order, if that is `offset` and nothing but flow control is
    /// to be minded: no end, nobody who gave up, no place that stays empty.
    pub(super) fn room_at(&self, offset: u64, flow: &ReceiveFlow) -> u64 {
        let goes_on = offset == self.highest
            && offset == self.assembler.end()
            && self.final_size.is_none()
            && self.reset.is_none()
            && !self.stopped;
        match goes_on {
            true => flow.room().min(self.limit().saturating_sub(offset)),
            false => 0,
        }
    }

    /// Stores a piece behind the highest byte, where [`Self::room_at`] said that there is room for it.
    pub(super) fn append(
        &mut self,
        data: &[u8],
        (flow, spare): (&mut ReceiveFlow, &mut SparePages),
    ) {
        self.assembler.append(spare, data);
        self.highest += data.len() as u64;
        flow.on_received_in_room(data.len() as u64);
    }

    /// The peer abandons the stream.
    pub(super) fn on_reset(
        &mut self,
        code: u64,
        final_size: u64,
        flow: &mut ReceiveFlow,
    ) -> Result<(), PeerViolation> {
        self.check_size(final_size, true)?;
        if self.reset.is_some() || self.is_complete() {
            return Ok(());
        }
        self.grow(final_size, flow)?;
        self.final_size = Some(final_size);
        self.reset = Some(code);
        self.discard(flow);
        Ok(())
    }

    pub(super) fn read(
        &mut self,
        out: &mut [u8],
        (flow, spare): (&mut ReceiveFlow, &mut SparePages),
    ) -> ReadOutcome {
        let waits = !out.is_empty();
        let read = |assembler: &mut Assembler| assembler.read_from(spare, out);
        self.read_with(read, waits, flow)
    }

    /// The same without a copy, up to [`LENT_PAGES_MAX`] pages.
    pub(super) fn read_lent(
        &mut self,
        lent: &mut Lent,
        (flow, spare): (&mut ReceiveFlow, &mut SparePages),
    ) -> ReadOutcome {
        lent.return_to(spare);
        let read = |assembler: &mut Assembler| {
            let mut count = 0;
            for _ in 0..LENT_PAGES_MAX {
                let Some(piece) = assembler.take_piece(spare) else {
                    break;
                };
                count += piece.len();
                lent.push(piece);
            }
            count
        };
        self.read_with(read, true, flow)
    }

    /// What `read` takes, or why there is nothing; `waits`: it had room for bytes.
    fn read_with(
        &mut self,
        read: impl FnOnce(&mut Assembler) -> usize,
        waits: bool,
        flow: &mut ReceiveFlow,
    ) -> ReadOutcome {
        if let Some(code) = self.reset {
            return ReadOutcome::Reset(code);
        }
        let count = read(&mut self.assembler);
        if count > 0 {
            flow.on_consumed(count as u64);
            return ReadOutcome::Bytes(count);
        }
        let end_is_known = self.final_size.is_some();
        if self.is_finished() || (end_is_known && planted::is(Bug::EndBeforeGapIsFilled)) {
            return ReadOutcome::End;
        }
        self.waiting |= waits;
        ReadOutcome::Blocked
    }

    /// The application wants no more: what came is dropped, what comes is discarded.
    pub(super) fn stop(&mut self, flow: &mut ReceiveFlow) {
        self.stopped = true;
        self.discard(flow);
    }

    /// True once after something to read has come for an application that waits.
    pub(super) fn take_readable(&mut self) -> bool {
        let readable = self.assembler.readable() > 0 || self.is_finished() || self.reset.is_some();
        self.waiting && readable && !self.stopped && {
            self.waiting = false;
            true
        }
    }

    /// One past the highest byte that came.
    pub(super) const fn highest(&self) -> u64 {
        self.highest
    }

    pub(super) fn progress(&self) -> Progress {
        let received = self.assembler.stored();
        Progress {
            received,
            read: self.assembler.read_offset(),
            missing: self.highest.saturating_sub(received),
            window: self.tuner.window(),
        }
    }

    /// Every byte was read.
    pub(super) fn is_finished(&self) -> bool {
        self.final_size == Some(self.assembler.read_offset())
    }

    /// Every byte was received.
    fn is_complete(&self) -> bool {
        self.final_size == Some(self.assembler.contiguous())
    }

    /// Whether the peer has no more to say on it.
    pub(super) fn is_size_known(&self) -> bool {
        self.final_size.is_some()
    }

    /// Whether the limit has moved enough since it was announced.
    pub(super) fn wants_announcement(&self) -> bool {
        self.final_size.is_none()
            && !self.stopped
            && self.limit() - self.announced >= self.tuner.window() / ANNOUNCED_PART
    }

    pub(super) fn announce(&mut self, now: Instant, rtt: Duration) -> u64 {
        let consumed = self.assembler.read_offset();
        self.tuner.on_announcing(now, rtt, consumed);
        self.announced = self.limit();
        self.announced
    }

    fn limit(&self) -> u64 {
        (self.assembler.read_offset() + self.tuner.window()).max(self.announced)
    }

    fn check_size(&self, end: u64, is_final: bool) -> Result<(), PeerViolation> {
        let fits = match self.final_size {
            Some(size) if is_final => end == size,
            Some(size) => end <= size,
            None => !is_final || end >= self.highest,
        };
        if fits || planted::is(Bug::FinalSizeNotChecked) {
            Ok(())
        } else {
            Err(PeerViolation::FinalSize)
        }
    }

    fn grow(&mut self, end: u64, flow: &mut ReceiveFlow) -> Result<(), PeerViolation> {
        if end > self.limit() {
            return Err(PeerViolation::FlowControl);
        }
        if end > self.highest {
            flow.on_received(end - self.highest)?;
            self.highest = end;
        }
        Ok(())
    }

    /// Drops what is stored and gives its credit back.
    fn discard(&mut self, flow: &mut ReceiveFlow) {
        // `read_offset` counts what was consumed; move it to the highest byte that came.
        if !planted::is(Bug::ResetKeepsCredit) {
            flow.on_consumed(self.highest - self.assembler.read_offset());
        }
        self.assembler.skip_to(self.highest);
    }
}

impl Rest for RecvStream {
    fn rest(&mut self) {
        self.assembler.rest();
    }
}
