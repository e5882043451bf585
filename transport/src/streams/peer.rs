//! What the peer's pieces and frames do to streams.

use alloc::collections::VecDeque;

use super::recv::RecvStream;
use super::send::SendStream;
use super::{Placed, Streams, index};
use crate::error::PeerViolation;
use crate::flow::ReceiveFlow;
use crate::ids::{PacketNumber, StreamDirection, StreamId, reconstruct};
use crate::io::Event;
use crate::planted::{self, Bug};
use crate::recv::assembler::SparePages;

/// The end of a stream's bytes, which grows piece by piece.
pub(crate) struct Tail<'a> {
    stream: &'a mut RecvStream,
    spare: &'a mut SparePages,
    flow: &'a mut ReceiveFlow,
}

impl Tail<'_> {
    /// Stores the next piece.
    pub(crate) fn append(&mut self, data: &[u8]) {
        self.stream.append(data, (self.flow, self.spare));
    }
}

impl Streams {
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
        self.check_peer_sends_on(id)?;
        let Some(stream) = self.recv.get_mut(&id) else {
            return Ok(Placed::Yes);
        };
        if !stream.on_data(offset, data, fin, (flow, &mut self.spare))? {
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

    /// Bytes that may come at the end of stream `id` in order, if that is `offset` and they would change nothing
    /// else.
    #[must_use]
    pub(crate) fn room_at(&self, id: StreamId, offset: u64, flow: &ReceiveFlow) -> u64 {
        let stream = self.recv.get(&id);
        stream.map_or(0, |stream| stream.room_at(offset, flow))
    }

    /// The end of stream `id`, where [`Self::room_at`] said that there is room.
    pub(crate) fn tail<'a>(
        &'a mut self,
        id: StreamId,
        flow: &'a mut ReceiveFlow,
    ) -> Option<Tail<'a>> {
        Some(Tail {
            stream: self.recv.get_mut(&id)?,
            spare: &mut self.spare,
            flow,
        })
    }

    /// Pieces were put at the end of stream `id`.
    pub(crate) fn on_carried_on(&mut self, id: StreamId, events: &mut VecDeque<Event>) {
        let stream = self.recv.get_mut(&id);
        if stream.is_some_and(RecvStream::take_readable) {
            events.push_back(Event::StreamReadable(id));
        }
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

    /// A MAX_STREAM_DATA frame came, in the packet `number`.
    ///
    /// # Errors
    /// The rule that the peer broke.
    pub(crate) fn on_max_stream_data(
        &mut self,
        id: StreamId,
        (number, limit): (PacketNumber, u64),
        events: &mut VecDeque<Event>,
    ) -> Result<(), PeerViolation> {
        self.open_by_peer(id, events)?;
        if let Some(stream) = self.we_send_on(id)? {
            stream.granted.on_told(number, limit)?;
            self.enqueue(id);
        }
        Ok(())
    }

    /// A MAX_STREAMS frame came, in the packet `number`.
    ///
    /// # Errors
    /// [`PeerViolation::LimitShrank`].
    pub(crate) fn on_max_streams(
        &mut self,
        direction: StreamDirection,
        (number, count): (PacketNumber, u64),
        events: &mut VecDeque<Event>,
    ) -> Result<(), PeerViolation> {
        let counters = &mut self.counters[index(direction)];
        let before = counters.granted_to_us.limit();
        counters.granted_to_us.on_told(number, count)?;
        if count > before && core::mem::take(&mut counters.wanted) {
            events.push_back(Event::StreamsAvailable(direction));
        }
        Ok(())
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
        let beyond = u64::from(planted::is(Bug::MaxStreamsOffByOne));
        if id.index() >= counters.granted_to_peer + beyond {
            return Err(PeerViolation::StreamLimit);
        }
        if id.index() < counters.peer_opened {
            return Ok(());
        }
        let lowest = match planted::is(Bug::LowerStreamsNotOpened) {
            true => id.index(),
            false => counters.peer_opened,
        };
        for next in lowest..=id.index() {
            let id = StreamId::new(self.side.peer(), direction, next);
            self.recv.insert(id, RecvStream::new(self.windows));
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
        self.check_peer_sends_on(id)?;
        Ok(self.recv.get_mut(&id))
    }

    fn check_peer_sends_on(&self, id: StreamId) -> Result<(), PeerViolation> {
        let ours = id.opener() == self.side;
        let unidirectional = id.direction() == StreamDirection::Unidirectional;
        if ours && (unidirectional || id.index() >= self.counters[index(id.direction())].opened) {
            return Err(PeerViolation::StreamState);
        }
        Ok(())
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
}
