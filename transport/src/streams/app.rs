//! The application's calls on streams.

use super::recv::ReadOutcome;
use super::send::{Reset, SendStream};
use super::{RecvStream, Streams, index};
use crate::error::{ApiMisuse, ReadError, WriteError};
use crate::flow::ReceiveFlow;
use crate::ids::{Side, StreamDirection, StreamId};
use crate::options::Priority;
use crate::planted::{self, Bug};
use crate::recv::lent::Lent;
use alloc::collections::BTreeMap;
use bytes::Bytes;

impl Streams {
    /// Opens a stream, if the peer's grant allows one more.
    pub(crate) fn open(&mut self, direction: StreamDirection) -> Option<StreamId> {
        let side = self.side;
        let counters = &mut self.counters[index(direction)];
        if counters.opened >= counters.granted_to_us.limit() {
            counters.wanted = true;
            return None;
        }
        let id = StreamId::new(side, direction, counters.opened);
        counters.opened += 1;
        self.send.insert(id, SendStream::new(self.peer_bidi_window));
        if direction == StreamDirection::Bidirectional {
            self.recv.insert(id, RecvStream::new(self.windows));
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
        let count = self.admit(id, data.len(), room)?;
        let stream = sending(&mut self.send, self.side, id)?;
        stream.buffer.write(&data[..count]);
        self.on_written(id, count);
        Ok(count)
    }

    /// The same without a copy: what is taken is split off.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub(crate) fn write_shared(
        &mut self,
        id: StreamId,
        data: &mut Bytes,
        room: u64,
    ) -> Result<usize, WriteError> {
        let count = self.admit(id, data.len(), room)?;
        let stream = sending(&mut self.send, self.side, id)?;
        stream.buffer.write_shared(data.split_to(count));
        self.on_written(id, count);
        Ok(count)
    }

    /// How many of `wanted` bytes are taken now.
    fn admit(&mut self, id: StreamId, wanted: usize, room: u64) -> Result<usize, WriteError> {
        let stream = sending(&mut self.send, self.side, id)?;
        if let Some(code) = stream.stopped {
            return Err(WriteError::Stopped(code));
        }
        if stream.reset.is_some() || stream.buffer.is_finished() {
            return Err(ApiMisuse::AlreadyFinished.into());
        }
        let count = wanted.min(usize::try_from(room).unwrap_or(usize::MAX));
        if count == 0 && wanted > 0 {
            if !planted::is(Bug::WriterNeverWoken) {
                self.blocked.insert(id);
            }
            return Err(WriteError::Blocked);
        }
        Ok(count)
    }

    fn on_written(&mut self, id: StreamId, count: usize) {
        self.buffered += count as u64;
        self.enqueue(id);
    }

    /// Bytes of a stream that wait to be sent for the first time.
    #[must_use]
    pub(crate) fn backlog(&self, id: StreamId) -> u64 {
        self.send
            .get(&id)
            .map_or(0, |stream| stream.buffer.backlog())
    }

    /// Whose turn it is from now on.
    ///
    /// # Errors
    /// [`ApiMisuse::UnknownStream`] or [`ApiMisuse::WrongDirection`].
    pub(crate) fn set_priority(
        &mut self,
        id: StreamId,
        priority: Priority,
    ) -> Result<(), ApiMisuse> {
        let stream = sending(&mut self.send, self.side, id)?;
        let before = core::mem::replace(&mut stream.priority, priority);
        if core::mem::take(&mut stream.queued) {
            self.ready[before.slot()].retain(|it| *it != id);
            self.enqueue(id);
        }
        Ok(())
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
            self.ahead -= stream.buffer.ahead();
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
        let outcome = stream.read(out, (flow, &mut self.spare));
        self.on_read(id, outcome)
    }

    /// The same without a copy.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub(crate) fn read_lent(
        &mut self,
        id: StreamId,
        lent: &mut Lent,
        flow: &mut ReceiveFlow,
    ) -> Result<usize, ReadError> {
        let stream = receiving(&mut self.recv, self.side, id)?;
        let outcome = stream.read_lent(lent, (flow, &mut self.spare));
        self.on_read(id, outcome)
    }

    fn on_read(&mut self, id: StreamId, outcome: ReadOutcome) -> Result<usize, ReadError> {
        let stream = receiving(&mut self.recv, self.side, id)?;
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
            ReadOutcome::Reset(code) if planted::is(Bug::StreamSlotLeaksOnReset) => {
                self.recv.remove(&id);
                Err(ReadError::Reset(code))
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
