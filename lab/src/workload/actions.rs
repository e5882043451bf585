//! What one side does at every event.

use dunlin_transport::{
    ConnectionHandle, Delivery, Endpoint, Event, Instant, ReadError, SendMessageError,
    StreamDirection, StreamId, WriteError,
};

use super::agent::{Accepted, Agent, End, READ_BUFFER, direction_index};
use super::{CLOSE_CODE, Ending, Reader, STREAM_CODE, fill, matches, message_key, stream_key};
use crate::net::Application;
use crate::violation::Violation;

/// Bytes offered to a stream at once. Guess.
const WRITE_CHUNK: u64 = 32_768;
/// Bytes given to a stream first. Guess: what an acknowledgement makes room for.
const WRITE_CHUNK_FIRST: u64 = 4_096;

impl Application for Agent {
    fn on_progress(&mut self, now: Instant, endpoint: &mut Endpoint) -> Result<(), Violation> {
        while let Some((handle, event)) = endpoint.poll_event() {
            self.on_event(endpoint, handle, event)?;
        }
        let Some(handle) = self.handle.filter(|_| self.connected) else {
            return Ok(());
        };
        if self.closed.is_none() && !self.ending {
            self.open_streams(endpoint, handle);
            self.write_streams(endpoint, handle)?;
            self.send_messages(endpoint, handle)?;
        }
        self.read_streams(now, endpoint, handle)?;
        self.receive_messages(endpoint, handle)?;
        self.end(now, endpoint, handle);
        Ok(())
    }

    fn wake_time(&self) -> Option<Instant> {
        let reading = matches!(self.plan.reader, Reader::Paced { .. }) && !self.readable.is_empty();
        let ending = match self.plan.ending {
            Some(Ending::CloseAt(at) | Ending::AbortAt(at)) if !self.ending => Some(at),
            _ => None,
        };
        let times = [
            reading.then_some(self.next_read),
            ending.filter(|_| self.connected),
        ];
        times
            .into_iter()
            .flatten()
            .min()
            .filter(|_| self.closed.is_none())
    }
}

/// Events and actions.
impl Agent {
    fn on_event(
        &mut self,
        endpoint: &mut Endpoint,
        handle: ConnectionHandle,
        event: Event,
    ) -> Result<(), Violation> {
        if *self.handle.get_or_insert(handle) != handle {
            return Err(self.misuse("a second connection", &event));
        }
        if self.closed.is_some() {
            return Err(self.misuse("an event after the end", &event));
        }
        match event {
            Event::Connected { .. } if self.connected => {
                return Err(self.misuse("connected twice", &event));
            }
            Event::Connected { .. } => self.connected = true,
            Event::StreamsOpened(direction) => self.accept_streams(endpoint, handle, direction),
            Event::StreamsAvailable(direction) => self.may_open[direction_index(direction)] = true,
            Event::StreamReadable(id) => drop(self.readable.insert(id)),
            Event::StreamWritable(id) => drop(self.writable.insert(id)),
            Event::StreamDelivered(id) => {
                let early = match self.written.get_mut(&id) {
                    Some(written) => {
                        !written.finished || std::mem::replace(&mut written.delivered, true)
                    }
                    None => true,
                };
                if early {
                    return Err(self.misuse("delivered twice or before its end", &id));
                }
            }
            Event::StreamStopped(id, code) => {
                if code != STREAM_CODE {
                    return Err(self.misuse("stopped with another code", &code));
                }
                if let Some(written) = self.written.get_mut(&id) {
                    written.ended = true;
                    written.finished = false;
                }
            }
            Event::MessageDelivered(id) => {
                let known = id.0 < self.messages_sent as u64;
                let first = self.messages_delivered.insert(id);
                if !known || !first {
                    return Err(self.misuse("delivered twice or before it was sent", &id));
                }
            }
            Event::MessagesWritable => self.messages_blocked = false,
            Event::MessageReceived | Event::DatagramReceived => self.messages_wait = true,
            Event::Closed(reason) => {
                self.closed = Some(reason);
                // What had arrived can still be taken, whoever has been told of it.
                self.messages_wait = true;
            }
            // Addresses are the network's business.
            _ => {}
        }
        Ok(())
    }

    fn accept_streams(
        &mut self,
        endpoint: &mut Endpoint,
        handle: ConnectionHandle,
        direction: StreamDirection,
    ) {
        let Some(connection) = endpoint.connection_mut(handle) else {
            return;
        };
        let ids: Vec<_> = std::iter::from_fn(|| connection.accept_stream(direction)).collect();
        for id in ids {
            self.begin_reading(id, false);
            if direction == StreamDirection::Bidirectional {
                self.begin_writing(id, false);
            }
        }
    }

    fn open_streams(&mut self, endpoint: &mut Endpoint, handle: ConnectionHandle) {
        while let Some(plan) = self.plan.streams.get(self.to_open).copied() {
            let may_open = &mut self.may_open[direction_index(plan.direction)];
            if !*may_open {
                return;
            }
            let opened = endpoint
                .connection_mut(handle)
                .and_then(|connection| connection.open_stream(plan.direction));
            let Some(id) = opened else {
                *may_open = false;
                return;
            };
            self.to_open += 1;
            self.begin_writing(id, true);
            if plan.direction == StreamDirection::Bidirectional {
                self.begin_reading(id, true);
            }
        }
    }

    fn write_streams(
        &mut self,
        endpoint: &mut Endpoint,
        handle: ConnectionHandle,
    ) -> Result<(), Violation> {
        for id in std::mem::take(&mut self.writable) {
            let Some(connection) = endpoint.connection_mut(handle) else {
                return Ok(());
            };
            let Some(written) = self.written.get_mut(&id) else {
                continue;
            };
            // Bytes that are not taken are made for nothing: small pieces at first, and a single
            // byte to be told that there is no more room.
            let mut piece = WRITE_CHUNK_FIRST;
            while !written.ended {
                let until = written.reset_after.unwrap_or(written.planned);
                let count = usize::try_from((until - written.accepted).min(piece));
                let chunk = self
                    .scratch
                    .get_mut(..count.unwrap_or(0))
                    .unwrap_or_default();
                if chunk.is_empty() {
                    written.ended = true;
                    let result = if written.reset_after.is_some() {
                        connection.reset(id, STREAM_CODE).map_err(WriteError::from)
                    } else {
                        written.finished = true;
                        connection.finish(id)
                    };
                    match result {
                        Ok(()) => {}
                        // The peer's wish has overtaken its event.
                        Err(WriteError::Stopped(STREAM_CODE)) => written.finished = false,
                        Err(error) => return Err(self.misuse("ending a stream", &error)),
                    }
                    break;
                }
                fill(stream_key(self.side, id), written.accepted, chunk);
                match connection.write(id, chunk) {
                    Ok(0) => return Err(self.misuse("write took nothing", &id)),
                    Ok(count) => {
                        let all = count == chunk.len();
                        piece = if all { (piece * 2).min(WRITE_CHUNK) } else { 1 };
                        written.accepted += count as u64;
                    }
                    Err(WriteError::Blocked) => break,
                    Err(WriteError::Stopped(STREAM_CODE)) => written.ended = true,
                    Err(error) => return Err(self.misuse("write", &error)),
                }
            }
        }
        Ok(())
    }

    fn send_messages(
        &mut self,
        endpoint: &mut Endpoint,
        handle: ConnectionHandle,
    ) -> Result<(), Violation> {
        if self.plan.datagrams.len() == self.datagrams_sent
            && (self.messages_blocked || self.plan.messages.len() == self.messages_sent)
        {
            return Ok(());
        }
        let Some(connection) = endpoint.connection_mut(handle) else {
            return Ok(());
        };
        while let Some(&size) = self.plan.datagrams.get(self.datagrams_sent) {
            let mut data = vec![0; size];
            fill(
                message_key(self.side, false, self.datagrams_sent as u64),
                0,
                &mut data,
            );
            match connection.send_message(data, Delivery::Unreliable { expires: None }) {
                Ok(id) if id.0 == self.datagrams_sent as u64 => self.datagrams_sent += 1,
                other => return Err(self.misuse("sending a datagram", &other)),
            }
        }
        while !self.messages_blocked
            && let Some(&size) = self.plan.messages.get(self.messages_sent)
        {
            let mut data = vec![0; size];
            fill(
                message_key(self.side, true, self.messages_sent as u64),
                0,
                &mut data,
            );
            match connection.send_message(data, Delivery::Reliable) {
                Ok(id) if id.0 == self.messages_sent as u64 => self.messages_sent += 1,
                Err(SendMessageError::Blocked) => self.messages_blocked = true,
                other => return Err(self.misuse("sending a message", &other)),
            }
        }
        Ok(())
    }

    fn read_streams(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        handle: ConnectionHandle,
    ) -> Result<(), Violation> {
        let mut room = READ_BUFFER;
        if let (Reader::Paced { bytes, every }, None) = (self.plan.reader, &self.closed) {
            if now < self.next_read {
                return Ok(());
            }
            self.next_read = now + every;
            room = bytes.clamp(1, READ_BUFFER);
        }
        for id in std::mem::take(&mut self.readable) {
            self.read_stream(endpoint, handle, id, room)?;
        }
        if self.closed.is_some() {
            let open: Vec<_> = self
                .read
                .iter()
                .filter(|(_, read)| read.end.is_none())
                .map(|(id, _)| *id)
                .collect();
            for id in open {
                self.read_stream(endpoint, handle, id, room)?;
            }
        }
        Ok(())
    }

    fn read_stream(
        &mut self,
        endpoint: &mut Endpoint,
        handle: ConnectionHandle,
        id: StreamId,
        room: usize,
    ) -> Result<(), Violation> {
        let Some(connection) = endpoint.connection_mut(handle) else {
            return Ok(());
        };
        let mut rounds = 0_u32;
        loop {
            let Some(read) = self.read.get_mut(&id).filter(|read| read.end.is_none()) else {
                return Ok(());
            };
            if read.stop_after.is_some_and(|after| read.received >= after) {
                read.end = Some(End::Stopped);
                return match connection.stop(id, STREAM_CODE) {
                    Ok(()) => Ok(()),
                    Err(error) => Err(self.misuse("stop", &error)),
                };
            }
            if rounds > 0
                && matches!(self.plan.reader, Reader::Paced { .. })
                && self.closed.is_none()
            {
                // More may be there; it is for the next turn.
                self.readable.insert(id);
                return Ok(());
            }
            rounds += 1;
            let out = self.scratch.get_mut(..room).unwrap_or_default();
            match connection.read(id, out) {
                Ok(0) => read.end = Some(End::Finished),
                Ok(count) => {
                    let key = stream_key(self.side.peer(), id);
                    let got = self.scratch.get(..count).unwrap_or_default();
                    if got.len() != count || !matches(key, read.received, got) {
                        let (node, offset) = (self.node, read.received);
                        return Err(Violation::StreamContent {
                            node,
                            stream: id.0,
                            offset,
                        });
                    }
                    read.received += count as u64;
                }
                Err(ReadError::Reset(STREAM_CODE)) => read.end = Some(End::Reset),
                Err(ReadError::Blocked) if self.closed.is_none() => return Ok(()),
                Err(ReadError::Closed(_)) if self.closed.is_some() => read.end = Some(End::Closed),
                Err(error) => return Err(self.misuse("read", &error)),
            }
        }
    }

    fn receive_messages(
        &mut self,
        endpoint: &mut Endpoint,
        handle: ConnectionHandle,
    ) -> Result<(), Violation> {
        if !std::mem::take(&mut self.messages_wait) {
            return Ok(());
        }
        let Some(connection) = endpoint.connection_mut(handle) else {
            return Ok(());
        };
        loop {
            let (message, reliable) = match connection.receive_message() {
                Some(message) => (message, true),
                None => match connection.receive_datagram() {
                    Some(message) => (message, false),
                    None => return Ok(()),
                },
            };
            let wrong = |how| {
                Err(Violation::Message {
                    node: self.node,
                    message: message.id.0,
                    how,
                })
            };
            let planned = if reliable {
                &self.peer.messages
            } else {
                &self.peer.datagrams
            };
            let index = usize::try_from(message.id.0).unwrap_or(usize::MAX);
            if planned.get(index) != Some(&message.data.len()) || message.reliable != reliable {
                return wrong("was never sent like this");
            }
            self.expected.resize(message.data.len().max(READ_BUFFER), 0);
            let expected = self
                .expected
                .get_mut(..message.data.len())
                .unwrap_or_default();
            fill(
                message_key(self.side.peer(), reliable, message.id.0),
                0,
                expected,
            );
            if message.data != *expected {
                return wrong("has other bytes");
            }
            let seen = if reliable {
                &mut self.messages_received
            } else {
                &mut self.datagrams_received
            };
            if !seen.insert(message.id.0) {
                return wrong("came twice");
            }
        }
    }

    fn end(&mut self, now: Instant, endpoint: &mut Endpoint, handle: ConnectionHandle) {
        if self.ending || self.closed.is_some() {
            return;
        }
        let abort = match self.plan.ending {
            Some(Ending::WhenDone) if self.missing().is_none() => false,
            Some(Ending::CloseAt(at)) if now >= at => false,
            Some(Ending::AbortAt(at)) if now >= at => true,
            _ => return,
        };
        self.ending = true;
        let Some(connection) = endpoint.connection_mut(handle) else {
            return;
        };
        if abort {
            connection.abort(now, CLOSE_CODE, "aborted");
            return;
        }
        let kept = self
            .written
            .iter()
            .filter(|(_, written)| !written.ended || written.finished);
        self.accepted_at_close = Some(Accepted {
            streams: kept.map(|(id, written)| (*id, written.accepted)).collect(),
            messages: self.messages_sent,
        });
        connection.close(CLOSE_CODE, "closed");
    }
}
