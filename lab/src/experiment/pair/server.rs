//! The end that answers: it reads what comes, checks every byte, and answers streams whose head
//! asks for it. It knows nothing of the scenario but the number of flows.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_transport::{
    ConnectionHandle, Endpoint, Event, Instant, Message, ReadError, StreamDirection, StreamId,
    WriteError,
};

use super::payload::{Expected, HEAD, Head};
use crate::violation::Violation;
use crate::workload::fill;

/// What has arrived of a flow.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrived {
    /// The connection it came on.
    pub(super) connection: Option<ConnectionHandle>,
    /// Bytes of streams and messages, heads included.
    pub(super) bytes: u64,
    /// Messages and datagrams.
    pub(super) messages: u64,
    /// Streams that were read to their end.
    pub(super) streams_ended: u64,
    /// When it was last read from.
    pub(super) last: Instant,
    /// Arrival and age of each message and datagram.
    pub(super) ages: Vec<(Instant, u64)>,
    seen: BTreeSet<u32>,
}

/// A stream that is read, and answered then.
#[derive(Debug, Default)]
struct Incoming {
    head: Vec<u8>,
    parsed: Option<Head>,
    offset: u64,
    ended: bool,
    answered: u64,
}

impl Incoming {
    /// Bytes of the answer that are still to be written.
    fn left(&self) -> u64 {
        let answer = self.parsed.map_or(0, |head| head.answer);
        answer.saturating_sub(self.answered)
    }
}

/// The answering application.
#[derive(Debug)]
pub(super) struct Server {
    node: usize,
    pub(super) flows: Vec<Arrived>,
    streams: BTreeMap<(ConnectionHandle, StreamId), Incoming>,
    /// Streams whose answers may go on.
    writable: BTreeSet<(ConnectionHandle, StreamId)>,
    buffer: Vec<u8>,
    expected: Expected,
}

const BUFFER: usize = 65_536;

impl Server {
    pub(super) fn new(node: usize, flows: usize) -> Self {
        Self {
            node,
            flows: vec![Arrived::default(); flows],
            streams: BTreeMap::new(),
            writable: BTreeSet::new(),
            buffer: vec![0; BUFFER],
            expected: Expected::default(),
        }
    }

    pub(super) fn on_progress(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
    ) -> Result<(), Violation> {
        while let Some((handle, event)) = endpoint.poll_event() {
            self.on_event(now, endpoint, handle, &event)?;
        }
        // Short answers first: one without end takes all the room there is.
        let mut writable: Vec<_> = std::mem::take(&mut self.writable)
            .into_iter()
            .filter_map(|key| Some((self.streams.get(&key)?.left(), key)))
            .collect();
        writable.sort_unstable();
        for (_, key) in writable {
            self.answer(endpoint, key)?;
        }
        Ok(())
    }

    fn on_event(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        handle: ConnectionHandle,
        event: &Event,
    ) -> Result<(), Violation> {
        match *event {
            Event::StreamsOpened(direction) => {
                self.accept(now, endpoint, handle, direction)?;
            }
            Event::StreamReadable(id) => self.read(now, endpoint, (handle, id))?,
            Event::StreamWritable(id) => {
                self.writable.insert((handle, id));
            }
            Event::StreamStopped(id, _) => {
                if let Some(connection) = endpoint.connection_mut(handle) {
                    // It may have ended by itself meanwhile.
                    let _ = connection.reset(id, 0);
                }
                self.streams.remove(&(handle, id));
            }
            Event::MessageReceived => {
                while let Some(message) = endpoint
                    .connection_mut(handle)
                    .and_then(|connection| connection.receive_message())
                {
                    self.on_message(now, handle, &message)?;
                }
            }
            Event::DatagramReceived => {
                while let Some(message) = endpoint
                    .connection_mut(handle)
                    .and_then(|connection| connection.receive_datagram())
                {
                    self.on_message(now, handle, &message)?;
                }
            }
            Event::Closed(_) => {
                self.streams.retain(|(of, _), _| *of != handle);
            }
            _ => {}
        }
        Ok(())
    }

    fn accept(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        handle: ConnectionHandle,
        direction: StreamDirection,
    ) -> Result<(), Violation> {
        while let Some(id) = endpoint
            .connection_mut(handle)
            .and_then(|connection| connection.accept_stream(direction))
        {
            self.streams.insert((handle, id), Incoming::default());
            self.read(now, endpoint, (handle, id))?;
        }
        Ok(())
    }

    fn read(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        key: (ConnectionHandle, StreamId),
    ) -> Result<(), Violation> {
        // Of a stream that has ended, the event may still come; there is nothing left to read.
        if self.streams.get(&key).is_none_or(|stream| stream.ended) {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.read_into(now, endpoint, key, &mut buffer);
        self.buffer = buffer;
        if result? {
            self.answer(endpoint, key)?;
        }
        Ok(())
    }

    /// Reads all there is; whether the stream has come to its end.
    fn read_into(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        key: (ConnectionHandle, StreamId),
        buffer: &mut [u8],
    ) -> Result<bool, Violation> {
        let Some(connection) = endpoint.connection_mut(key.0) else {
            return Ok(false);
        };
        loop {
            match connection.read(key.1, buffer) {
                Ok(0) => return Ok(self.on_end(now, key)),
                Ok(count) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    self.on_bytes(now, key, bytes)?;
                }
                Err(ReadError::Blocked) => return Ok(false),
                Err(_) => {
                    self.streams.remove(&key);
                    return Ok(false);
                }
            }
        }
    }

    fn on_end(&mut self, now: Instant, key: (ConnectionHandle, StreamId)) -> bool {
        let Some(stream) = self.streams.get_mut(&key) else {
            return false;
        };
        stream.ended = true;
        let head = stream.parsed;
        if let Some(flow) = head.and_then(|head| self.flows.get_mut(flow_index(head))) {
            flow.streams_ended += 1;
            flow.last = now;
        }
        true
    }

    fn on_bytes(
        &mut self,
        now: Instant,
        key: (ConnectionHandle, StreamId),
        bytes: &[u8],
    ) -> Result<(), Violation> {
        let wrong = |offset| Violation::StreamContent {
            node: self.node,
            stream: key.1.0,
            offset,
        };
        let Some(stream) = self.streams.get_mut(&key) else {
            return Ok(());
        };
        let in_head = bytes.len().min(HEAD - stream.head.len());
        let (head, body) = bytes.split_at(in_head);
        stream.head.extend_from_slice(head);
        if stream.parsed.is_none()
            && let Ok(head) = stream.head.as_slice().try_into()
        {
            stream.parsed = Some(Head::decode(head));
        }
        let body_at = stream.offset + in_head as u64;
        stream.offset += bytes.len() as u64;
        let Some(head) = stream.parsed else {
            return Ok(());
        };
        if !self.expected.is_at(head.request_key(), body_at, body) {
            return Err(wrong(body_at));
        }
        let flow = self.flows.get_mut(flow_index(head));
        let flow = flow.ok_or_else(|| wrong(0))?;
        flow.bytes += bytes.len() as u64;
        flow.last = now;
        flow.connection = Some(key.0);
        Ok(())
    }

    /// Writes as much of the answer as there is room for.
    fn answer(
        &mut self,
        endpoint: &mut Endpoint,
        key: (ConnectionHandle, StreamId),
    ) -> Result<(), Violation> {
        let Some(stream) = self.streams.get_mut(&key).filter(|stream| stream.ended) else {
            return Ok(());
        };
        let (Some(head), Some(connection)) = (stream.parsed, endpoint.connection_mut(key.0)) else {
            return Ok(());
        };
        if key.1.direction() == StreamDirection::Unidirectional {
            self.streams.remove(&key);
            return Ok(());
        }
        while stream.answered < head.answer {
            let left = usize::try_from(head.answer - stream.answered).unwrap_or(usize::MAX);
            let chunk = self.buffer.get_mut(..left.min(BUFFER)).unwrap_or_default();
            fill(head.answer_key(), stream.answered, chunk);
            match connection.write(key.1, chunk) {
                Ok(count) => stream.answered += count as u64,
                Err(WriteError::Blocked) => return Ok(()),
                Err(WriteError::Misuse(misuse)) => {
                    return Err(Violation::Interface {
                        node: self.node,
                        what: "write of an answer",
                        answer: misuse.to_string(),
                    });
                }
                Err(_) => break,
            }
        }
        // The peer may have stopped reading, or the connection may be over.
        let _ = connection.finish(key.1);
        self.streams.remove(&key);
        Ok(())
    }

    fn on_message(
        &mut self,
        now: Instant,
        handle: ConnectionHandle,
        message: &Message,
    ) -> Result<(), Violation> {
        let wrong = |how| Violation::Message {
            node: self.node,
            message: message.id.0,
            how,
        };
        let (head, body) = message
            .data
            .split_first_chunk::<HEAD>()
            .ok_or_else(|| wrong("is shorter than its head"))?;
        let head = Head::decode(head);
        if !self.expected.is_at(head.request_key(), HEAD as u64, body) {
            return Err(wrong("was changed"));
        }
        let flow = self.flows.get_mut(flow_index(head));
        let flow = flow.ok_or_else(|| wrong("belongs to no flow"))?;
        if !flow.seen.insert(head.index) {
            return Err(wrong("came twice"));
        }
        let age = now.saturating_duration_since(head.issued).as_nanos();
        flow.ages
            .push((now, u64::try_from(age).unwrap_or(u64::MAX)));
        flow.messages += 1;
        flow.bytes += message.data.len() as u64;
        flow.last = now;
        flow.connection = Some(handle);
        Ok(())
    }
}

fn flow_index(head: Head) -> usize {
    usize::try_from(head.flow).unwrap_or(usize::MAX)
}
