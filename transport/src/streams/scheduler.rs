//! Which stream sends next, and what its packets' acknowledgement or loss does.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use super::send::{Reset, SendStream};
use super::{Control, DIRECTIONS, Streams, index};
use crate::ids::StreamId;
use crate::io::Event;
use crate::limits::STREAM_BACKLOG_MAX;
use crate::planted::{self, Bug};
use crate::send::buffer::{Piece, SendBuffer};
use crate::time::Instant;

impl Streams {
    /// Whether a stream has something to send, new bytes only within `credit`.
    #[must_use]
    pub(crate) fn has_work(&self, credit: u64) -> bool {
        self.urgency(credit).is_some()
    }

    /// The most urgent urgency, from 0 to 7, of a stream with something to send.
    #[must_use]
    pub(crate) fn urgency(&self, credit: u64) -> Option<usize> {
        let has_work = |id: &StreamId| self.send.get(id).is_some_and(|it| it.has_work(credit));
        self.ready
            .iter()
            .position(|queue| !queue.is_empty() && queue.iter().any(has_work))
    }

    /// A stream with unsent bytes that its own credit holds back.
    #[must_use]
    pub(crate) fn out_of_credit(&self) -> Option<StreamId> {
        let held = |stream: &SendStream| {
            let sent = stream.buffer.sent();
            stream.reset.is_none()
                && sent >= stream.granted.limit()
                && sent < stream.buffer.written()
        };
        let mut held_back = self.send.iter().filter(|(_, stream)| held(stream));
        held_back.next().map(|(id, _)| *id)
    }

    /// The next piece of the streams with this urgency, of at most `max(id, offset)` bytes where
    /// `max` takes the frame's own cost into account. A stream whose turn is over goes to the end of
    /// the queue.
    pub(crate) fn poll_piece(
        &mut self,
        credit: u64,
        urgency: usize,
        mut max: impl FnMut(StreamId, u64) -> usize,
    ) -> Option<(StreamId, Piece)> {
        for _ in 0..self.ready[urgency].len() {
            let id = self.ready[urgency].pop_front()?;
            let Some(stream) = self.send.get_mut(&id) else {
                continue;
            };
            stream.queued = false;
            if !stream.has_work(credit) {
                // Without connection credit it stays in the queue; without stream credit
                // MAX_STREAM_DATA brings it back.
                if stream.has_work(u64::MAX) {
                    self.enqueue(id);
                }
                continue;
            }
            let room = max(id, stream.buffer.sent());
            let limit = stream.new_limit(credit);
            let piece = if room == 0 {
                None
            } else {
                stream.buffer.poll(room, limit)
            };
            let Some(piece) = piece else {
                // No room in this packet: first in the next one.
                stream.queued = true;
                self.ready[urgency].push_front(id);
                return None;
            };
            let keeps_turn = stream.keeps_turn(piece.range.end - piece.range.start);
            if stream.has_work(credit) && (keeps_turn || planted::is(Bug::OneStreamStarvesOthers)) {
                stream.queued = true;
                self.ready[urgency].push_front(id);
            } else {
                stream.turn = 0;
                self.enqueue(id);
            }
            return Some((id, piece));
        }
        None
    }

    /// Whether, as long as it has bytes that may go, all next pieces are of stream `id`.
    #[must_use]
    pub(crate) fn goes_on(&self, id: StreamId, credit: u64) -> bool {
        let queue = self.urgency(credit).map(|urgency| &self.ready[urgency]);
        let Some(queue) = queue.filter(|queue| queue.front() == Some(&id)) else {
            return false;
        };
        let keeps = |stream: &SendStream| !stream.priority.is_incremental();
        queue.len() == 1 || self.send.get(&id).is_some_and(keeps)
    }

    /// Lends the buffer of a stream, with the offset below which new bytes of it may go, to who takes
    /// several pieces. Until it is taken back the stream must not be asked for anything.
    pub(crate) fn lend_buffer(&mut self, id: StreamId, credit: u64) -> Option<(SendBuffer, u64)> {
        let stream = self.send.get_mut(&id)?;
        let limit = stream.new_limit(credit);
        Some((core::mem::take(&mut stream.buffer), limit))
    }

    /// Takes a lent buffer back, of which `count` pieces of `len` bytes were taken.
    pub(crate) fn take_buffer_back(
        &mut self,
        id: StreamId,
        buffer: SendBuffer,
        (count, len): (usize, usize),
    ) {
        let Some(stream) = self.send.get_mut(&id) else {
            return;
        };
        stream.buffer = buffer;
        for _ in 0..count {
            if !stream.keeps_turn(len as u64) {
                stream.turn = 0;
            }
        }
    }

    /// Appends the bytes of a polled piece.
    pub(crate) fn copy(&mut self, id: StreamId, range: &Range<u64>, out: &mut Vec<u8>) {
        if let Some(stream) = self.send.get_mut(&id) {
            stream.buffer.copy(range, out);
        }
    }

    /// The next control frame to send, as a value that [`Self::on_control_lost`] understands; windows
    /// grow with what they brought in the last round trips.
    pub(crate) fn poll_control(&mut self, now: Instant, rtt: Duration) -> Option<Control> {
        if let Some(id) = self.resets.pop_first()
            && let Some(stream) = self.send.get_mut(&id)
            && let Some((code, state)) = &mut stream.reset
        {
            *state = Reset::InFlight;
            let final_size = stream.buffer.sent();
            return Some(Control::Reset {
                id,
                code: *code,
                final_size,
            });
        }
        if let Some((id, code)) = self.stops.pop_first() {
            return Some(Control::Stop { id, code });
        }
        while let Some(id) = self.credits.pop_first() {
            if let Some(stream) = self.recv.get_mut(&id) {
                return Some(Control::Credit {
                    id,
                    limit: stream.announce(now, rtt),
                });
            }
        }
        for direction in DIRECTIONS {
            let slot = index(direction);
            if core::mem::take(&mut self.grants[slot]) {
                let counters = &mut self.counters[slot];
                counters.announced = counters.granted_to_peer;
                return Some(Control::Grant {
                    direction,
                    count: counters.announced,
                });
            }
        }
        None
    }

    /// Whether [`Self::poll_control`] has something.
    #[must_use]
    pub(crate) fn has_control(&self) -> bool {
        !self.resets.is_empty()
            || !self.stops.is_empty()
            || !self.credits.is_empty()
            || self.grants.contains(&true)
    }

    /// A piece was acknowledged.
    pub(crate) fn on_acknowledged(
        &mut self,
        id: StreamId,
        range: Range<u64>,
        fin: bool,
        events: &mut VecDeque<Event>,
    ) {
        let Some(stream) = self.send.get_mut(&id) else {
            return;
        };
        if stream.reset.is_some() {
            return;
        }
        let (before, ahead) = (stream.buffer.buffered(), stream.buffer.ahead());
        stream.buffer.on_acknowledged(range, fin);
        self.buffered -= before - stream.buffer.buffered();
        self.ahead = self.ahead - ahead + stream.buffer.ahead();
        if stream.is_over() {
            events.push_back(Event::StreamDelivered(id));
            self.forget_send(id);
        }
    }

    /// A piece was declared lost.
    pub(crate) fn on_lost(&mut self, id: StreamId, range: Range<u64>, fin: bool) {
        if let Some(stream) = self.send.get_mut(&id) {
            stream.buffer.on_lost(range, fin);
            self.enqueue(id);
        }
    }

    /// A control frame was acknowledged.
    pub(crate) fn on_control_acknowledged(&mut self, control: &Control) {
        if let Control::Reset { id, .. } = *control
            && let Some(stream) = self.send.get_mut(&id)
        {
            if let Some((_, state)) = &mut stream.reset {
                *state = Reset::Acknowledged;
            }
            self.forget_send(id);
        }
    }

    /// A control frame was lost: it is told again, with the values of today.
    pub(crate) fn on_control_lost(&mut self, control: &Control) {
        match *control {
            Control::Reset { id, .. } => {
                if self.send.contains_key(&id) && !planted::is(Bug::LostResetNotRepeated) {
                    self.resets.insert(id);
                }
            }
            Control::Stop { id, code } => {
                if self.recv.contains_key(&id) {
                    self.stops.insert(id, code);
                }
            }
            Control::Credit { id, .. } => {
                if self.recv.contains_key(&id) && !planted::is(Bug::StreamCreditLost) {
                    self.credits.insert(id);
                }
            }
            Control::Grant { direction, .. } => self.grants[index(direction)] = true,
        }
    }

    /// Wakes the writers that found the send buffer full, those whose own bytes have left by half.
    pub(crate) fn wake_blocked(&mut self, events: &mut VecDeque<Event>) {
        let send = &self.send;
        self.blocked.retain(|id| {
            let backlog = send.get(id).map_or(0, |stream| stream.buffer.backlog());
            let waits = backlog > STREAM_BACKLOG_MAX / 2;
            if !waits {
                events.push_back(Event::StreamWritable(*id));
            }
            waits
        });
    }

    /// Whether a writer waits for room.
    #[must_use]
    pub(crate) fn is_blocked(&self) -> bool {
        !self.blocked.is_empty()
    }

    /// Whether everything accepted has been acknowledged.
    #[must_use]
    pub(crate) fn is_drained(&self) -> bool {
        self.resets.is_empty()
            && self.send.values().all(|stream| match stream.reset {
                Some((_, reset)) => reset == Reset::Acknowledged,
                None => stream.buffer.is_drained(),
            })
    }
}
