//! One end of the pair: the calls it makes and what its application knows.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_transport::{
    CloseReason, Connection, ConnectionHandle, Delivery, Endpoint, Event, Message, ReadError, Side,
    StreamDirection, StreamId,
};

use crate::workload::{fill, message_key, stream_key};

/// One end and what its application knows.
pub(super) struct End {
    pub(super) endpoint: Endpoint,
    pub(super) handle: Option<ConnectionHandle>,
    pub(super) side: Side,
    pub(super) connected: bool,
    pub(super) closed: Option<CloseReason>,
    /// Streams it writes: bytes accepted, and whether it reset them.
    pub(super) written: BTreeMap<StreamId, (u64, bool)>,
    /// Streams it reads: bytes read, and whether they have ended here.
    pub(super) read: BTreeMap<StreamId, (u64, bool)>,
    /// Lengths of the messages and datagrams it sent.
    pub(super) messages: Vec<usize>,
    pub(super) datagrams: Vec<usize>,
    pub(super) got_messages: BTreeSet<u64>,
    pub(super) got_datagrams: BTreeSet<u64>,
}

impl End {
    /// An end without a connection.
    pub(super) const fn new(endpoint: Endpoint, side: Side) -> Self {
        Self {
            endpoint,
            handle: None,
            side,
            connected: false,
            closed: None,
            written: BTreeMap::new(),
            read: BTreeMap::new(),
            messages: Vec::new(),
            datagrams: Vec::new(),
            got_messages: BTreeSet::new(),
            got_datagrams: BTreeSet::new(),
        }
    }

    fn connection(&mut self) -> Option<&mut Connection> {
        self.endpoint
            .connection_mut(self.handle.filter(|_| self.connected)?)
    }

    pub(super) fn open(&mut self, direction: StreamDirection) {
        if let Some(id) = self
            .connection()
            .and_then(|connection| connection.open_stream(direction))
        {
            self.written.insert(id, (0, false));
            if direction == StreamDirection::Bidirectional {
                self.read.insert(id, (0, false));
            }
        }
    }

    pub(super) fn write(&mut self, which: u8, length: usize) {
        let Some((id, (accepted, _))) = nth(&self.written, which) else {
            return;
        };
        let mut bytes = vec![0; length];
        fill(stream_key(self.side, id), accepted, &mut bytes);
        let result = self
            .connection()
            .map(|connection| connection.write(id, &bytes));
        if let (Some(Ok(count)), Some((accepted, _))) = (result, self.written.get_mut(&id)) {
            *accepted += count as u64;
        }
    }

    pub(super) fn finish(&mut self, which: u8) {
        if let Some((id, _)) = nth(&self.written, which) {
            // A second finish is an error that changes nothing.
            self.connection().map(|connection| connection.finish(id));
        }
    }

    pub(super) fn reset(&mut self, which: u8) {
        let Some((id, _)) = nth(&self.written, which) else {
            return;
        };
        let result = self.connection().map(|connection| connection.reset(id, 3));
        if let (Some(Ok(())), Some((_, reset))) = (result, self.written.get_mut(&id)) {
            *reset = true;
        }
    }

    pub(super) fn stop(&mut self, which: u8) {
        let Some((id, _)) = nth(&self.read, which) else {
            return;
        };
        let result = self.connection().map(|connection| connection.stop(id, 4));
        if let (Some(Ok(())), Some((_, ended))) = (result, self.read.get_mut(&id)) {
            *ended = true;
        }
    }

    pub(super) fn send(&mut self, length: usize, reliable: bool) {
        let list = if reliable {
            &self.messages
        } else {
            &self.datagrams
        };
        let index = list.len() as u64;
        let mut bytes = vec![0; length];
        fill(message_key(self.side, reliable, index), 0, &mut bytes);
        let delivery = if reliable {
            Delivery::Reliable
        } else {
            Delivery::Unreliable { expires: None }
        };
        let sent = self
            .connection()
            .map(|connection| connection.send_message(bytes, delivery));
        if let Some(Ok(id)) = sent {
            assert_eq!(id.0, index, "messages are numbered in the order of sending");
            if reliable {
                &mut self.messages
            } else {
                &mut self.datagrams
            }
            .push(length);
        }
    }

    pub(super) fn take_events(&mut self) {
        while let Some((handle, event)) = self.endpoint.poll_event() {
            if *self.handle.get_or_insert(handle) != handle {
                // Garbage or repetition has opened another connection: not this run's business.
                self.endpoint.release(handle);
                continue;
            }
            assert!(self.closed.is_none(), "an event after the end: {event:?}");
            match event {
                Event::Connected { .. } => self.connected = true,
                Event::StreamsOpened(direction) => self.accept(direction),
                Event::Closed(reason) => self.closed = Some(reason),
                _ => {}
            }
        }
    }

    fn accept(&mut self, direction: StreamDirection) {
        while let Some(id) = self.connection().and_then(|it| it.accept_stream(direction)) {
            self.read.insert(id, (0, false));
            if direction == StreamDirection::Bidirectional {
                self.written.insert(id, (0, false));
            }
        }
    }

    pub(super) fn read_all(&mut self, other: &Self) {
        let Some(connection) = self.handle.and_then(|it| self.endpoint.connection_mut(it)) else {
            return;
        };
        let (mut got, mut expected) = ([0; 4_096], [0; 4_096]);
        for (id, (received, ended)) in &mut self.read {
            while !*ended {
                match connection.read(*id, &mut got) {
                    Ok(0) => *ended = true,
                    Ok(count) => {
                        fill(
                            stream_key(other.side, *id),
                            *received,
                            &mut expected[..count],
                        );
                        assert!(got[..count] == expected[..count], "{id:?} has wrong bytes");
                        *received += count as u64;
                    }
                    Err(ReadError::Blocked) => break,
                    Err(_) => *ended = true,
                }
            }
            let accepted = other.written.get(id).map_or(0, |(accepted, _)| *accepted);
            assert!(
                *received <= accepted,
                "{id:?}: {received} bytes of {accepted}"
            );
        }
    }

    pub(super) fn receive_all(&mut self, [messages, datagrams]: &[Vec<usize>; 2]) {
        let peer = self.side.peer();
        let Some(connection) = self.handle.and_then(|it| self.endpoint.connection_mut(it)) else {
            return;
        };
        while let Some(message) = connection.receive_message() {
            check_message(peer, &message, messages);
            assert!(
                self.got_messages.insert(message.id.0),
                "{:?} came twice",
                message.id
            );
        }
        while let Some(message) = connection.receive_datagram() {
            check_message(peer, &message, datagrams);
            assert!(
                self.got_datagrams.insert(message.id.0),
                "{:?} came twice",
                message.id
            );
        }
    }

    /// Whether `other` has everything that was accepted here and not abandoned.
    pub(super) fn has_delivered_to(&self, other: &Self) -> bool {
        self.got_all_messages(other)
            && self.written.iter().all(|(id, (accepted, reset))| {
                let read = other.read.get(id).copied();
                let (received, ended) = read.unwrap_or((0, false));
                *reset || ended || received == *accepted
            })
    }

    fn got_all_messages(&self, other: &Self) -> bool {
        other.got_messages.len() == self.messages.len()
    }
}

fn check_message(sender: Side, message: &Message, sent: &[usize]) {
    let index = usize::try_from(message.id.0).unwrap_or(usize::MAX);
    assert_eq!(
        sent.get(index),
        Some(&message.data.len()),
        "{:?} was not sent so",
        message.id
    );
    let mut expected = vec![0; message.data.len()];
    fill(
        message_key(sender, message.reliable, message.id.0),
        0,
        &mut expected,
    );
    assert!(message.data == expected, "{:?} has wrong bytes", message.id);
}

/// The `which`-th entry, counted around.
fn nth<V: Copy>(map: &BTreeMap<StreamId, V>, which: u8) -> Option<(StreamId, V)> {
    let index = usize::from(which) % map.len().max(1);
    map.iter().nth(index).map(|(id, value)| (*id, *value))
}
