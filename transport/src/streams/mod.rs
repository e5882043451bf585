//! All streams of a connection: opening and accepting, scheduling, credit.
//!
//! A lost packet of one stream never delays another: each has its own buffers, and the scheduler
//! goes round the streams that have something to send, one packet each.

mod recv;
mod send;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::ops::Range;

use crate::config::TransportConfig;
use crate::error::{ApiMisuse, PeerViolation, ReadError, WriteError};
use crate::flow::ReceiveFlow;
use crate::ids::{Side, StreamDirection, StreamId, reconstruct};
use crate::io::Event;
use crate::send::buffer::Piece;
use crate::wire::frame::Frame;
use crate::wire::params::TransportParams;
use recv::{ReadOutcome, RecvStream};
use send::{Reset, SendStream};

const DIRECTIONS: [StreamDirection; 2] = [
    StreamDirection::Bidirectional,
    StreamDirection::Unidirectional,
];

/// Counters of one direction.
#[derive(Debug, Default)]
struct Counters {
    /// Streams we opened.
    opened: u64,
    /// Streams the peer lets us open.
    granted_to_us: u64,
    /// We wanted to open one more.
    wanted: bool,
    /// Streams the peer opened, counted by the highest.
    peer_opened: u64,
    /// Streams we let the peer open.
    granted_to_peer: u64,
    /// The highest grant that was announced.
    announced: u64,
    /// Streams the peer may have open at once.
    concurrency: u64,
    /// Opened by the peer, not yet accepted by the application.
    accept: VecDeque<StreamId>,
}

/// The streams of one connection.
#[derive(Debug)]
pub(crate) struct Streams {
    side: Side,
    send: BTreeMap<StreamId, SendStream>,
    recv: BTreeMap<StreamId, RecvStream>,
    counters: [Counters; 2],
    /// Streams with something to send, in turn.
    ready: VecDeque<StreamId>,
    /// Writers that found the send buffer full.
    blocked: BTreeSet<StreamId>,
    /// Streams whose reset, stop or credit is to be told.
    resets: BTreeSet<StreamId>,
    stops: BTreeMap<StreamId, u64>,
    credits: BTreeSet<StreamId>,
    grants: [bool; 2],
    buffered: u64,
    window: u64,
    peer_bidi_window: u64,
}

/// What became of a piece that arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Placed {
    /// Stored, or known already.
    Yes,
    /// No room at a bound: the packet counts as not received.
    No,
}

impl Streams {
    /// No streams yet.
    #[must_use]
    pub(crate) fn new(side: Side, config: &TransportConfig) -> Self {
        let counters = |concurrency| Counters {
            granted_to_peer: concurrency,
            announced: concurrency,
            concurrency,
            ..Counters::default()
        };
        Self {
            side,
            send: BTreeMap::new(),
            recv: BTreeMap::new(),
            counters: [
                counters(config.max_streams_bidi),
                counters(config.max_streams_uni),
            ],
            ready: VecDeque::new(),
            blocked: BTreeSet::new(),
            resets: BTreeSet::new(),
            stops: BTreeMap::new(),
            credits: BTreeSet::new(),
            grants: [false; 2],
            buffered: 0,
            window: config.stream_receive_window,
            peer_bidi_window: 0,
        }
    }

    /// The handshake told what the peer grants.
    pub(crate) fn on_params(&mut self, params: &TransportParams) {
        self.peer_bidi_window = params.max_stream_data;
        self.counters[0].granted_to_us = params.max_streams_bidi;
        self.counters[1].granted_to_us = params.max_streams_uni;
    }

    /// Bytes accepted and not yet acknowledged.
    #[must_use]
    pub(crate) const fn buffered(&self) -> u64 {
        self.buffered
    }

    // ---- the application's side -------------------------------------------------------------

    /// Opens a stream, if the peer's grant allows one more.
    pub(crate) fn open(&mut self, direction: StreamDirection) -> Option<StreamId> {
        let side = self.side;
        let counters = &mut self.counters[index(direction)];
        if counters.opened >= counters.granted_to_us {
            counters.wanted = true;
            return None;
        }
        let id = StreamId::new(side, direction, counters.opened);
        counters.opened += 1;
        self.send.insert(id, SendStream::new(self.peer_bidi_window));
        if direction == StreamDirection::Bidirectional {
            self.recv.insert(id, RecvStream::new(self.window));
        }
        Some(id)
    }

    /// The next stream that the peer opened.
    pub(crate) fn accept(&mut self, direction: StreamDirection) -> Option<StreamId> {
        self.counters[index(direction)].accept.pop_front()
    }

    /// Accepts up to `room` bytes for sending.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub(crate) fn write(
        &mut self,
        id: StreamId,
        data: &[u8],
        room: u64,
    ) -> Result<usize, WriteError> {
        let stream = sending(&mut self.send, self.side, id)?;
        if let Some(code) = stream.stopped {
            return Err(WriteError::Stopped(code));
        }
        if stream.reset.is_some() || stream.buffer.is_finished() {
            return Err(ApiMisuse::AlreadyFinished.into());
        }
        let count = data.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        if count == 0 && !data.is_empty() {
            self.blocked.insert(id);
            return Err(WriteError::Blocked);
        }
        stream.buffer.write(&data[..count]);
        self.buffered += count as u64;
        self.enqueue(id);
        Ok(count)
    }

    /// No more bytes will be written.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub(crate) fn finish(&mut self, id: StreamId) -> Result<(), WriteError> {
        let stream = sending(&mut self.send, self.side, id)?;
        if let Some(code) = stream.stopped {
            return Err(WriteError::Stopped(code));
        }
        if stream.reset.is_some() || stream.buffer.is_finished() {
            return Err(ApiMisuse::AlreadyFinished.into());
        }
        stream.buffer.finish();
        self.enqueue(id);
        Ok(())
    }

    /// Abandons the sending half.
    ///
    /// # Errors
    /// [`ApiMisuse::UnknownStream`] or [`ApiMisuse::WrongDirection`].
    pub(crate) fn reset(&mut self, id: StreamId, code: u64) -> Result<(), ApiMisuse> {
        let stream = sending(&mut self.send, self.side, id)?;
        if stream.reset.is_none() {
            stream.reset = Some((code, Reset::Pending));
            self.buffered -= stream.buffer.buffered();
            self.resets.insert(id);
            self.blocked.remove(&id);
        }
        Ok(())
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub(crate) fn read(
        &mut self,
        id: StreamId,
        out: &mut [u8],
        flow: &mut ReceiveFlow,
    ) -> Result<usize, ReadError> {
        let stream = receiving(&mut self.recv, self.side, id)?;
        let outcome = stream.read(out, flow);
        if stream.wants_announcement() {
            self.credits.insert(id);
        }
        match outcome {
            ReadOutcome::Bytes(count) => Ok(count),
            ReadOutcome::Blocked => Err(ReadError::Blocked),
            ReadOutcome::End => {
                self.forget_recv(id);
                Ok(0)
            }
            ReadOutcome::Reset(code) => {
                self.forget_recv(id);
                Err(ReadError::Reset(code))
            }
        }
    }

    /// Asks the peer to stop sending; what came and comes is discarded.
    ///
    /// # Errors
    /// [`ApiMisuse::UnknownStream`] or [`ApiMisuse::WrongDirection`].
    pub(crate) fn stop(
        &mut self,
        id: StreamId,
        code: u64,
        flow: &mut ReceiveFlow,
    ) -> Result<(), ApiMisuse> {
        let stream = receiving(&mut self.recv, self.side, id)?;
        stream.stop(flow);
        if stream.is_size_known() {
            self.forget_recv(id);
        } else {
            self.stops.insert(id, code);
        }
        Ok(())
    }

    // ---- the peer's side --------------------------------------------------------------------

    /// The stream whose low 32 bits a header carries.
    #[must_use]
    pub(crate) fn full_id(&self, low: u32) -> StreamId {
        let kind = StreamId(u64::from(low));
        let counters = &self.counters[index(kind.direction())];
        let opened = if kind.opener() == self.side {
            counters.opened
        } else {
            counters.peer_opened
        };
        let near = StreamId::new(kind.opener(), kind.direction(), opened);
        StreamId(reconstruct(low, near.0))
    }

    /// A piece of a stream came.
    ///
    /// # Errors
    /// The rule that the peer broke.
    pub(crate) fn on_data(
        &mut self,
        (id, offset, fin): (StreamId, u64, bool),
        data: &[u8],
        flow: &mut ReceiveFlow,
        events: &mut VecDeque<Event>,
    ) -> Result<Placed, PeerViolation> {
        self.open_by_peer(id, events)?;
        let Some(stream) = self.peer_sends_on(id)? else {
            return Ok(Placed::Yes);
        };
        if !stream.on_data(offset, data, fin, flow)? {
            return Ok(Placed::No);
        }
        if stream.take_readable() {
            events.push_back(Event::StreamReadable(id));
        }
        if stream.stopped && stream.is_size_known() {
            self.forget_recv(id);
        }
        Ok(Placed::Yes)
    }

    /// The byte offset whose low half came with a piece of stream `id`.
    #[must_use]
    pub(crate) fn full_offset(&self, id: StreamId, low: u32) -> u64 {
        reconstruct(low, self.recv.get(&id).map_or(0, RecvStream::highest))
    }

    /// A RESET_STREAM frame came.
    ///
    /// # Errors
    /// The rule that the peer broke.
    pub(crate) fn on_reset(
        &mut self,
        id: StreamId,
        (code, final_size): (u64, u64),
        flow: &mut ReceiveFlow,
        events: &mut VecDeque<Event>,
    ) -> Result<(), PeerViolation> {
        self.open_by_peer(id, events)?;
        let Some(stream) = self.peer_sends_on(id)? else {
            return Ok(());
        };
        stream.on_reset(code, final_size, flow)?;
        if stream.take_readable() {
            events.push_back(Event::StreamReadable(id));
        }
        if stream.stopped {
            self.forget_recv(id);
        }
        Ok(())
    }

    /// A STOP_SENDING frame came: the stream is reset with the peer's code (RFC 9000 §3.5).
    ///
    /// # Errors
    /// The rule that the peer broke.
    pub(crate) fn on_stop_sending(
        &mut self,
        id: StreamId,
        code: u64,
        events: &mut VecDeque<Event>,
    ) -> Result<(), PeerViolation> {
        self.open_by_peer(id, events)?;
        let Some(stream) = self.we_send_on(id)? else {
            return Ok(());
        };
        if stream.stopped.is_none() && !stream.is_over() {
            stream.stopped = Some(code);
            self.blocked.remove(&id);
            if self.reset(id, code).is_ok() {
                events.push_back(Event::StreamStopped(id, code));
                events.push_back(Event::StreamWritable(id));
            }
        }
        Ok(())
    }

    /// A MAX_STREAM_DATA frame came.
    ///
    /// # Errors
    /// The rule that the peer broke.
    pub(crate) fn on_max_stream_data(
        &mut self,
        id: StreamId,
        limit: u64,
        events: &mut VecDeque<Event>,
    ) -> Result<(), PeerViolation> {
        self.open_by_peer(id, events)?;
        if let Some(stream) = self.we_send_on(id)? {
            stream.limit = stream.limit.max(limit);
            self.enqueue(id);
        }
        Ok(())
    }

    /// A MAX_STREAMS frame came.
    pub(crate) fn on_max_streams(
        &mut self,
        direction: StreamDirection,
        count: u64,
        events: &mut VecDeque<Event>,
    ) {
        let counters = &mut self.counters[index(direction)];
        if count > counters.granted_to_us {
            counters.granted_to_us = count;
            if core::mem::take(&mut counters.wanted) {
                events.push_back(Event::StreamsAvailable(direction));
            }
        }
    }

    // ---- sending ----------------------------------------------------------------------------

    /// Whether a stream has something to send, new bytes only within `credit`.
    #[must_use]
    pub(crate) fn has_work(&self, credit: u64) -> bool {
        self.ready
            .iter()
            .any(|id| self.send.get(id).is_some_and(|s| s.has_work(credit)))
    }

    /// The next piece to send, of at most `max(id, offset)` bytes where `max` takes the frame's own
    /// cost into account; the stream then goes to the end of the queue.
    pub(crate) fn poll_piece(
        &mut self,
        credit: u64,
        mut max: impl FnMut(StreamId, u64) -> usize,
    ) -> Option<(StreamId, Piece)> {
        for _ in 0..self.ready.len() {
            let id = self.ready.pop_front()?;
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
            if let Some(piece) = piece {
                if stream.has_work(u64::MAX) {
                    self.enqueue(id);
                }
                return Some((id, piece));
            }
            // No room in this packet: first in the next one.
            stream.queued = true;
            self.ready.push_front(id);
            return None;
        }
        None
    }

    /// Appends the bytes of a polled piece.
    pub(crate) fn copy(&self, id: StreamId, range: &Range<u64>, out: &mut Vec<u8>) {
        if let Some(stream) = self.send.get(&id) {
            stream.buffer.copy(range, out);
        }
    }

    /// The next control frame to send, as a value that [`Self::on_control_lost`] understands.
    pub(crate) fn poll_control(&mut self) -> Option<Control> {
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
                    limit: stream.announce(),
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
        let before = stream.buffer.buffered();
        stream.buffer.on_acknowledged(range, fin);
        self.buffered -= before - stream.buffer.buffered();
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
                if self.send.contains_key(&id) {
                    self.resets.insert(id);
                }
            }
            Control::Stop { id, code } => {
                if self.recv.contains_key(&id) {
                    self.stops.insert(id, code);
                }
            }
            Control::Credit { id, .. } => {
                if self.recv.contains_key(&id) {
                    self.credits.insert(id);
                }
            }
            Control::Grant { direction, .. } => self.grants[index(direction)] = true,
        }
    }

    /// Wakes the writers that found the send buffer full.
    pub(crate) fn wake_blocked(&mut self, events: &mut VecDeque<Event>) {
        events.extend(
            core::mem::take(&mut self.blocked)
                .into_iter()
                .map(Event::StreamWritable),
        );
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

    fn enqueue(&mut self, id: StreamId) {
        if let Some(stream) = self.send.get_mut(&id)
            && !stream.queued
            && stream.has_work(u64::MAX)
        {
            stream.queued = true;
            self.ready.push_back(id);
        }
    }

    /// The peer's first word on a stream of its own opens it, and all lower ones of its kind
    /// (RFC 9000 §3.2).
    fn open_by_peer(
        &mut self,
        id: StreamId,
        events: &mut VecDeque<Event>,
    ) -> Result<(), PeerViolation> {
        if id.opener() == self.side {
            return Ok(());
        }
        let direction = id.direction();
        let counters = &mut self.counters[index(direction)];
        if id.index() >= counters.granted_to_peer {
            return Err(PeerViolation::StreamLimit);
        }
        if id.index() < counters.peer_opened {
            return Ok(());
        }
        for next in counters.peer_opened..=id.index() {
            let id = StreamId::new(self.side.peer(), direction, next);
            self.recv.insert(id, RecvStream::new(self.window));
            if direction == StreamDirection::Bidirectional {
                self.send.insert(id, SendStream::new(self.peer_bidi_window));
            }
            counters.accept.push_back(id);
        }
        counters.peer_opened = id.index() + 1;
        events.push_back(Event::StreamsOpened(direction));
        Ok(())
    }

    /// The half on which the peer sends; None when it is over and forgotten.
    fn peer_sends_on(&mut self, id: StreamId) -> Result<Option<&mut RecvStream>, PeerViolation> {
        let ours = id.opener() == self.side;
        let unidirectional = id.direction() == StreamDirection::Unidirectional;
        if ours && (unidirectional || id.index() >= self.counters[index(id.direction())].opened) {
            return Err(PeerViolation::StreamState);
        }
        Ok(self.recv.get_mut(&id))
    }

    /// The half on which we send; None when it is over and forgotten.
    fn we_send_on(&mut self, id: StreamId) -> Result<Option<&mut SendStream>, PeerViolation> {
        let ours = id.opener() == self.side;
        let unidirectional = id.direction() == StreamDirection::Unidirectional;
        let unopened = ours && id.index() >= self.counters[index(id.direction())].opened;
        if (!ours && unidirectional) || unopened {
            return Err(PeerViolation::StreamState);
        }
        Ok(self.send.get_mut(&id))
    }

    fn forget_recv(&mut self, id: StreamId) {
        self.recv.remove(&id);
        self.stops.remove(&id);
        self.credits.remove(&id);
        self.on_half_over(id);
    }

    fn forget_send(&mut self, id: StreamId) {
        self.send.remove(&id);
        self.blocked.remove(&id);
        self.on_half_over(id);
    }

    /// When both halves of a peer's stream are over, it may open another one.
    fn on_half_over(&mut self, id: StreamId) {
        if id.opener() == self.side || self.send.contains_key(&id) || self.recv.contains_key(&id) {
            return;
        }
        let slot = index(id.direction());
        let counters = &mut self.counters[slot];
        counters.granted_to_peer += 1;
        if counters.granted_to_peer - counters.announced >= (counters.concurrency / 2).max(1) {
            self.grants[slot] = true;
        }
    }
}

/// A control frame of a stream, kept with the packet that carried it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Control {
    /// RESET_STREAM.
    Reset {
        /// Stream.
        id: StreamId,
        /// Code.
        code: u64,
        /// Bytes sent.
        final_size: u64,
    },
    /// STOP_SENDING.
    Stop {
        /// Stream.
        id: StreamId,
        /// Code.
        code: u64,
    },
    /// MAX_STREAM_DATA.
    Credit {
        /// Stream.
        id: StreamId,
        /// Limit.
        limit: u64,
    },
    /// MAX_STREAMS.
    Grant {
        /// Direction.
        direction: StreamDirection,
        /// Count.
        count: u64,
    },
}

impl Control {
    /// The frame that says it.
    #[must_use]
    pub(crate) const fn frame(&self) -> Frame<'static> {
        match *self {
            Self::Reset {
                id,
                code,
                final_size,
            } => Frame::ResetStream {
                id,
                code,
                final_size,
            },
            Self::Stop { id, code } => Frame::StopSending { id, code },
            Self::Credit { id, limit } => Frame::MaxStreamData { id, limit },
            Self::Grant { direction, count } => Frame::MaxStreams { direction, count },
        }
    }
}

const fn index(direction: StreamDirection) -> usize {
    match direction {
        StreamDirection::Bidirectional => 0,
        StreamDirection::Unidirectional => 1,
    }
}

fn sending(
    map: &mut BTreeMap<StreamId, SendStream>,
    side: Side,
    id: StreamId,
) -> Result<&mut SendStream, ApiMisuse> {
    if id.opener() != side && id.direction() == StreamDirection::Unidirectional {
        return Err(ApiMisuse::WrongDirection);
    }
    map.get_mut(&id).ok_or(ApiMisuse::UnknownStream)
}

fn receiving(
    map: &mut BTreeMap<StreamId, RecvStream>,
    side: Side,
    id: StreamId,
) -> Result<&mut RecvStream, ApiMisuse> {
    if id.opener() == side && id.direction() == StreamDirection::Unidirectional {
        return Err(ApiMisuse::WrongDirection);
    }
    map.get_mut(&id).ok_or(ApiMisuse::UnknownStream)
}

#[cfg(test)]
mod tests;
