//! What a flow of the client does: one stream, pairs of request and answer, or messages by the
//! clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dunlin_transport::{
    Connection, Delivery, Instant, MessageId, ReadError, SendMessageError, StreamDirection,
    StreamId, WriteError,
};

use super::payload::{ENDLESS, Expected, HEAD, Head, fill_request};
use crate::experiment::model::{End, Flow, FlowKind};
use crate::violation::Violation;

/// A flow's plan and how far it is.
#[derive(Debug)]
pub(super) struct Work {
    /// Index among the flows.
    pub(super) id: u32,
    /// When it begins.
    pub(super) start: Instant,
    /// When nothing new begins.
    pub(super) stop: Instant,
    kind: FlowKind,
    /// Bytes of a bulk stream, a request or a message.
    size: u64,
    /// Bytes of an answer.
    answer: u64,
    every: Option<std::time::Duration>,
    total: u64,
    due: VecDeque<Instant>,
    next_due: Instant,
    /// Requests, messages or streams that were due.
    pub(super) issued: u64,
    /// Of these, those the endpoint has taken.
    begun: u64,
    open: BTreeMap<StreamId, Open>,
    /// Reliable messages that are not acknowledged yet.
    unacknowledged: BTreeSet<MessageId>,
    /// Answers that were read to their end.
    pub(super) answered: u64,
    /// Requests and streams that ended otherwise.
    pub(super) failed: u64,
    /// Bytes of answers.
    pub(super) bytes: u64,
    /// Bytes that the endpoint has taken.
    pub(super) written: u64,
    /// When the last answer, or acknowledgement of the whole stream, came.
    pub(super) last: Instant,
    /// The stream of an upload is acknowledged to its end.
    pub(super) delivered: bool,
    /// When each answer came, and how long it took.
    pub(super) ages: Vec<(Instant, u64)>,
}

#[derive(Debug)]
struct Open {
    head: Head,
    size: u64,
    sent: u64,
    received: u64,
    finished: bool,
}

/// What the client's flows share.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) node: usize,
    pub(super) buffer: Vec<u8>,
    pub(super) expected: Expected,
}

pub(super) const BUFFER: usize = 65_536;

impl Work {
    /// The work of the `id`-th flow between two times.
    pub(super) fn new(flow: &Flow, id: u32, (start, stop): (Instant, Instant)) -> Self {
        let upload = flow.kind == FlowKind::Bulk && flow.from == End::Client;
        let bulk = flow.bytes.map_or(ENDLESS, |bytes| bytes.0);
        let or = |size: Option<crate::units::Size>, other| size.map_or(other, |size| size.0);
        let (size, answer) = match flow.kind {
            FlowKind::Bulk if upload => (bulk.max(HEAD as u64), 0),
            FlowKind::Bulk => (HEAD as u64, bulk),
            FlowKind::Requests => (or(flow.request, 200), or(flow.response, 1_000)),
            FlowKind::Messages | FlowKind::Datagrams => (or(flow.size, 1_000), 0),
        };
        Self {
            id,
            start,
            stop,
            kind: flow.kind,
            size,
            answer,
            every: flow.every.map(|time| time.0),
            total: if flow.kind == FlowKind::Bulk {
                1
            } else {
                flow.total.unwrap_or(u64::MAX)
            },
            due: VecDeque::new(),
            next_due: start,
            issued: 0,
            begun: 0,
            open: BTreeMap::new(),
            unacknowledged: BTreeSet::new(),
            answered: 0,
            failed: 0,
            bytes: 0,
            written: 0,
            last: Instant::ZERO,
            delivered: false,
            ages: Vec::new(),
        }
    }

    /// Whether it is one stream without end.
    pub(super) const fn is_endless(&self) -> bool {
        matches!(self.kind, FlowKind::Bulk) && (self.size >= ENDLESS || self.answer >= ENDLESS)
    }

    /// Whether the client writes one stream.
    pub(super) const fn is_upload(&self) -> bool {
        matches!(self.kind, FlowKind::Bulk) && self.answer == 0
    }

    /// Whether something of it is still to come: a bulk stream that ends, a request, a message that
    /// the endpoint has not taken or the peer not acknowledged.
    pub(super) fn is_busy(&self) -> bool {
        let waiting =
            !self.due.is_empty() || !self.open.is_empty() || !self.unacknowledged.is_empty();
        match self.kind {
            FlowKind::Bulk => !self.is_endless() && (self.issued == 0 || waiting),
            _ => waiting,
        }
    }

    /// When it wants to act again by the clock.
    pub(super) fn wake_time(&self, now: Instant) -> Option<Instant> {
        if now < self.start {
            return Some(self.start);
        }
        let stop = (now < self.stop).then_some(self.stop);
        let clocked = self.every.is_some() && self.next_due < self.stop && self.issued < self.total;
        clocked.then_some(self.next_due).or(stop)
    }

    /// Does what is due at `now`.
    pub(super) fn act(
        &mut self,
        now: Instant,
        connection: &mut Connection,
        tools: &mut Tools,
    ) -> Result<(), Violation> {
        if now < self.start {
            return Ok(());
        }
        self.issue(now);
        match self.kind {
            FlowKind::Messages | FlowKind::Datagrams => self.send_messages(connection, tools),
            FlowKind::Bulk | FlowKind::Requests => {
                self.open_streams(connection);
                let ids: Vec<StreamId> = self.open.keys().copied().collect();
                for id in ids {
                    self.write(id, connection, tools)?;
                }
                if now >= self.stop && self.is_endless() {
                    self.abandon(connection);
                }
                Ok(())
            }
        }
    }

    /// Puts onto the list what the clock, or the last answer, makes due.
    fn issue(&mut self, now: Instant) {
        while self.issued < self.total && self.next_due <= now && self.next_due < self.stop {
            match self.every {
                Some(every) => {
                    self.due.push_back(self.next_due);
                    self.next_due = self.next_due + every;
                }
                None if self.due.is_empty() && self.open.is_empty() && now < self.stop => {
                    self.due.push_back(now);
                }
                None => break,
            }
            self.issued += 1;
        }
    }

    fn head(&self, issued: Instant) -> Head {
        Head {
            flow: self.id,
            index: u32::try_from(self.begun).unwrap_or(u32::MAX),
            answer: self.answer,
            issued,
        }
    }

    fn open_streams(&mut self, connection: &mut Connection) {
        let direction = if self.is_upload() {
            StreamDirection::Unidirectional
        } else {
            StreamDirection::Bidirectional
        };
        while let Some(issued) = self.due.front().copied() {
            let Some(id) = connection.open_stream(direction) else {
                return;
            };
            self.due.pop_front();
            let open = Open {
                head: self.head(issued),
                size: self.size,
                sent: 0,
                received: 0,
                finished: false,
            };
            self.begun += 1;
            self.open.insert(id, open);
        }
    }

    fn write(
        &mut self,
        id: StreamId,
        connection: &mut Connection,
        tools: &mut Tools,
    ) -> Result<(), Violation> {
        let Some(open) = self.open.get_mut(&id).filter(|open| !open.finished) else {
            return Ok(());
        };
        while open.sent < open.size {
            let left = usize::try_from(open.size - open.sent).unwrap_or(usize::MAX);
            let chunk = tools.buffer.get_mut(..left.min(BUFFER)).unwrap_or_default();
            fill_request(open.head, open.sent, chunk);
            match connection.write(id, chunk) {
                Ok(count) => {
                    open.sent += count as u64;
                    self.written += count as u64;
                }
                Err(WriteError::Blocked) => return Ok(()),
                Err(WriteError::Misuse(misuse)) => {
                    return Err(interface(tools.node, "write", &misuse));
                }
                Err(_) => {
                    self.open.remove(&id);
                    self.failed += 1;
                    return Ok(());
                }
            }
        }
        open.finished = true;
        // An error means that the connection is over; its event says so.
        let _ = connection.finish(id);
        Ok(())
    }

    /// Ends a stream without end.
    fn abandon(&mut self, connection: &mut Connection) {
        for (id, _) in std::mem::take(&mut self.open) {
            // The stream may be over at this end already.
            let _ = connection.reset(id, 0);
            if !self.is_upload() {
                let _ = connection.stop(id, 0);
            }
        }
        self.due.clear();
    }

    fn send_messages(
        &mut self,
        connection: &mut Connection,
        tools: &Tools,
    ) -> Result<(), Violation> {
        let delivery = if self.kind == FlowKind::Messages {
            Delivery::Reliable
        } else {
            Delivery::Unreliable { expires: None }
        };
        while let Some(issued) = self.due.front().copied() {
            let mut bytes = vec![0; usize::try_from(self.size).unwrap_or(usize::MAX)];
            fill_request(self.head(issued), 0, &mut bytes);
            match connection.send_message(bytes, delivery) {
                Ok(id) => {
                    self.due.pop_front();
                    if delivery == Delivery::Reliable {
                        self.unacknowledged.insert(id);
                    }
                    self.begun += 1;
                    self.written += self.size;
                }
                Err(SendMessageError::Blocked) => return Ok(()),
                Err(SendMessageError::Closed(_)) => {
                    self.failed += self.due.len() as u64;
                    self.due.clear();
                }
                Err(error) => return Err(interface(tools.node, "send_message", &error)),
            }
        }
        Ok(())
    }

    /// Reads all there is of an answer.
    pub(super) fn read(
        &mut self,
        now: Instant,
        id: StreamId,
        connection: &mut Connection,
        tools: &mut Tools,
    ) -> Result<(), Violation> {
        let Some(open) = self.open.get_mut(&id) else {
            return Ok(());
        };
        loop {
            match connection.read(id, &mut tools.buffer) {
                Ok(0) => break,
                Ok(count) => {
                    let bytes = tools.buffer.get(..count).unwrap_or_default();
                    let offset = open.received;
                    if !tools.expected.is_at(open.head.answer_key(), offset, bytes) {
                        let (node, stream) = (tools.node, id.0);
                        return Err(Violation::StreamContent {
                            node,
                            stream,
                            offset,
                        });
                    }
                    open.received += count as u64;
                    self.bytes += count as u64;
                    self.last = now;
                }
                Err(ReadError::Blocked) => return Ok(()),
                Err(_) => {
                    self.open.remove(&id);
                    self.failed += 1;
                    return Ok(());
                }
            }
        }
        let wrong = open.received != open.head.answer;
        let age = now.saturating_duration_since(open.head.issued).as_nanos();
        self.open.remove(&id);
        if wrong {
            self.failed += 1;
        } else {
            self.answered += 1;
            self.last = now;
            self.ages
                .push((now, u64::try_from(age).unwrap_or(u64::MAX)));
        }
        Ok(())
    }

    /// Everything of a stream is acknowledged.
    pub(super) fn on_delivered(&mut self, now: Instant, id: StreamId) {
        if self.is_upload() && self.open.remove(&id).is_some() {
            self.delivered = true;
            self.last = now;
            let age = now.saturating_duration_since(self.start).as_nanos();
            self.ages
                .push((now, u64::try_from(age).unwrap_or(u64::MAX)));
        }
    }

    /// The peer has all of a message, perhaps one of this flow.
    pub(super) fn on_message_delivered(&mut self, id: MessageId) {
        self.unacknowledged.remove(&id);
    }

    /// The connection is over: nothing more comes.
    pub(super) fn on_closed(&mut self) {
        self.failed += (self.open.len() + self.due.len()) as u64;
        self.open.clear();
        self.unacknowledged.clear();
        self.due.clear();
        self.stop = Instant::ZERO;
        self.total = self.issued;
    }

    /// Whether it owns the stream.
    pub(super) fn has(&self, id: StreamId) -> bool {
        self.open.contains_key(&id)
    }
}

fn interface(node: usize, what: &'static str, answer: &dyn std::fmt::Display) -> Violation {
    Violation::Interface {
        node,
        what,
        answer: answer.to_string(),
    }
}
