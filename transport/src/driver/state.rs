//! What the task and all handles share: the core, and who waits for what, behind one lock.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::carrier::Carrier;
use super::clock::Clock;
use super::connection::Connection;
use super::incoming::Incoming;
use super::socket::Socket;
use super::strays::Mailbox;
use super::wake::{Signal, Signals, Wakes};
use crate::Instant;
use crate::error::CloseReason;
use crate::ids::{MessageId, StreamDirection, StreamId};
use crate::io::{ConnectionHandle, Event};
use crate::protect::PeerIdentity;

/// Where all cores of an endpoint meet those who wait for any of them.
#[derive(Default)]
pub(super) struct Meeting {
    /// Connections to accept.
    pub(super) incoming: Incoming,
    /// While shutting down: something ended. At the end: a task did.
    pub(super) progress: Notify,
}

/// Shared by the task of a core and every handle of what the core holds.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Time of this endpoint.
    pub(super) clock: Clock,
    /// Where the socket is bound.
    local_addr: Mutex<SocketAddr>,
    /// What the socket is.
    pub(super) carrier: Carrier,
    /// The endpoint's.
    pub(super) meeting: Arc<Meeting>,
}

impl Shared {
    /// Shares a new core.
    pub(super) fn new(
        core: crate::Endpoint,
        clock: Clock,
        local_addr: SocketAddr,
        carrier: Carrier,
        meeting: Arc<Meeting>,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                core,
                connections: BTreeMap::new(),
                task: None,
                closing: false,
                stop: false,
                stopped: false,
                handles_gone: false,
                rebound: None,
                mailbox: Mailbox::default(),
            }),
            clock,
            local_addr: Mutex::new(local_addr),
            carrier,
            meeting,
        }
    }

    /// Where the socket is bound.
    pub(super) fn local_addr(&self) -> SocketAddr {
        *self.local_addr.lock()
    }

    /// It is bound elsewhere from now on.
    pub(super) fn set_local_addr(&self, address: SocketAddr) {
        *self.local_addr.lock() = address;
    }

    /// Runs `act` under the lock and wakes the task, which sends what came of it.
    pub(super) fn act<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let result = act(&mut state);
        let task = state.task.take();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
        result
    }

    /// Runs `look` under the lock; nothing comes of it.
    pub(super) fn look<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        look(&mut self.state.lock())
    }
}

/// What the lock protects.
pub(super) struct State {
    /// The protocol.
    pub(super) core: crate::Endpoint,
    /// Boxed, because the table has room for as many again that do not exist.
    connections: BTreeMap<ConnectionHandle, Box<ConnectionState>>,
    /// Set while the task sleeps.
    pub(super) task: Option<Waker>,
    /// No new connections; those there are are being closed.
    pub(super) closing: bool,
    /// The task ends at its next step.
    pub(super) stop: bool,
    /// The task has ended.
    pub(super) stopped: bool,
    /// The application dropped its last endpoint handle.
    pub(super) handles_gone: bool,
    /// The socket to use from now on.
    pub(super) rebound: Option<Socket>,
    /// What came to other sockets.
    pub(super) mailbox: Mailbox,
}

/// A connection as its handles see it.
#[derive(Default)]
pub(super) struct ConnectionState {
    /// Where its callers wait.
    pub(super) signals: Arc<Signals>,
    /// Set once the handshake is complete.
    pub(super) peer: Option<PeerIdentity>,
    /// Set once it is over.
    pub(super) closed: Option<Box<CloseReason>>,
    /// Streams with a live handle.
    pub(super) streams: BTreeMap<StreamId, StreamState>,
    /// How often the peer has proven its identity since the handshake.
    pub(super) proofs: u64,
    /// Messages whose sender waits for their delivery.
    pub(super) deliveries: BTreeMap<MessageId, Awaited>,
}

/// A message whose sender waits for its delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Awaited {
    /// Nothing is known yet.
    Open,
    /// The peer has acknowledged all of it.
    Delivered,
    /// It was given up.
    Expired,
}

/// A stream as its handles see it.
#[derive(Default)]
pub(super) struct StreamState {
    /// Live handles: the sending half, the receiving half.
    pub(super) halves: u8,
    /// Waits to read.
    pub(super) reader: Option<Waker>,
    /// Waits to write.
    pub(super) writer: Option<Waker>,
    /// Waits for the delivery of everything, or for the peer to stop reading.
    pub(super) watcher: Option<Waker>,
    /// Everything was delivered.
    pub(super) delivered: bool,
    /// The peer stopped reading, with this code.
    pub(super) stopped: Option<u64>,
}

impl ConnectionState {
    /// Registers another live handle of a stream.
    pub(super) fn add_half(&mut self, id: StreamId) {
        self.streams.entry(id).or_default().halves += 1;
    }

    /// Removes one; the last takes the entry along.
    pub(super) fn remove_half(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.halves = stream.halves.saturating_sub(1);
            if stream.halves == 0 {
                self.streams.remove(&id);
            }
        }
    }

    fn on_stream(&mut self, id: StreamId, wakes: &mut Wakes, event: &Event) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        match event {
            Event::StreamReadable(_) => wakes.waker(stream.reader.take()),
            Event::StreamWritable(_) => wakes.waker(stream.writer.take()),
            Event::StreamDelivered(_) => {
                stream.delivered = true;
                wakes.waker(stream.watcher.take());
            }
            Event::StreamStopped(_, code) => {
                stream.stopped = Some(*code);
                wakes.waker(stream.writer.take());
                wakes.waker(stream.watcher.take());
            }
            _ => {}
        }
    }

    /// The end: everyone wakes up to see it.
    fn close(&mut self, reason: CloseReason, wakes: &mut Wakes) {
        self.closed.get_or_insert_with(|| Box::new(reason));
        for stream in self.streams.values_mut() {
            wakes.waker(stream.reader.take());
            wakes.waker(stream.writer.take());
            wakes.waker(stream.watcher.take());
        }
        wakes.every_signal(&self.signals);
    }
}

impl State {
    /// The two sides of a connection; its end, if the core has forgotten it or the task is gone.
    pub(super) fn connection(
        &mut self,
        handle: ConnectionHandle,
    ) -> Result<(&mut crate::Connection, &mut ConnectionState), CloseReason> {
        let Some(state) = self.connections.get_mut(&handle) else {
            return Err(CloseReason::EndpointStopped);
        };
        match self.core.connection_mut(handle) {
            Some(connection) => Ok((connection, state)),
            None => Err(state
                .closed
                .as_deref()
                .cloned()
                .unwrap_or(CloseReason::EndpointStopped)),
        }
    }

    /// The driver's side of a connection.
    pub(super) fn connection_state(
        &mut self,
        handle: ConnectionHandle,
    ) -> Option<&mut ConnectionState> {
        self.connections.get_mut(&handle).map(|state| &mut **state)
    }

    /// Registers a connection that the core has just made.
    pub(super) fn insert(&mut self, handle: ConnectionHandle) -> Arc<Signals> {
        let state = Box::<ConnectionState>::default();
        let signals = Arc::clone(&state.signals);
        self.connections.insert(handle, state);
        signals
    }

    /// The last handle of the connection is gone.
    pub(super) fn release(&mut self, handle: ConnectionHandle) {
        if self.connections.remove(&handle).is_some() {
            self.core.release(handle);
        }
    }

    /// Begins the graceful end of every connection, and takes no new ones.
    pub(super) fn begin_shutdown(&mut self) {
        self.closing = true;
        for handle in self.connections.keys() {
            if let Some(connection) = self.core.connection_mut(*handle) {
                connection.close(0, "");
            }
        }
    }

    /// Whether every connection with a live handle has ended.
    pub(super) fn all_closed(&self) -> bool {
        self.connections
            .values()
            .all(|state| state.closed.is_some())
    }

    /// Lets the core forget every connection as soon as the protocol allows.
    pub(super) fn release_all(&mut self) {
        for handle in self.connections.keys() {
            self.core.release(*handle);
        }
    }

    /// Takes the core's events and notes who has to be woken. True: somebody may accept.
    pub(super) fn dispatch_events(
        &mut self,
        shared: &Arc<Shared>,
        now: Instant,
        wakes: &mut Wakes,
    ) -> bool {
        let mut incoming = false;
        while let Some((handle, event)) = self.core.poll_event() {
            if let Event::Connected {
                peer,
                incoming: true,
            } = event
            {
                incoming |= self.on_incoming(shared, now, handle, peer);
            } else if let Some(state) = self.connections.get_mut(&handle) {
                state.on_event(event, wakes);
            }
        }
        incoming
    }

    fn on_incoming(
        &mut self,
        shared: &Arc<Shared>,
        now: Instant,
        handle: ConnectionHandle,
        peer: PeerIdentity,
    ) -> bool {
        let incoming = &shared.meeting.incoming;
        if self.closing || !incoming.has_room() {
            if let Some(connection) = self.core.connection_mut(handle) {
                connection.abort(now, 0, "not accepting connections");
            }
            self.core.release(handle);
            return false;
        }
        let signals = self.insert(handle);
        if let Some(state) = self.connections.get_mut(&handle) {
            state.peer = Some(peer);
        }
        incoming.push(Connection::new(Arc::clone(shared), handle, signals));
        true
    }

    /// What carried the connections is gone: each of them ends with this reason.
    pub(super) fn lose(&mut self, now: Instant, reason: &CloseReason) {
        self.core.lose_all(now, reason);
    }

    /// The task is gone: nothing will happen any more.
    pub(super) fn stop(&mut self, wakes: &mut Wakes) {
        self.stopped = true;
        for state in self.connections.values_mut() {
            state.close(CloseReason::EndpointStopped, wakes);
        }
    }
}

impl ConnectionState {
    fn on_event(&mut self, event: Event, wakes: &mut Wakes) {
        let signal = match event {
            Event::Connected { peer, .. } => {
                self.peer = Some(peer);
                Signal::State
            }
            Event::StreamsOpened(StreamDirection::Bidirectional) => Signal::IncomingBidi,
            Event::StreamsOpened(StreamDirection::Unidirectional) => Signal::IncomingUni,
            Event::StreamsAvailable(StreamDirection::Bidirectional) => Signal::OpenBidi,
            Event::StreamsAvailable(StreamDirection::Unidirectional) => Signal::OpenUni,
            Event::StreamReadable(id)
            | Event::StreamWritable(id)
            | Event::StreamDelivered(id)
            | Event::StreamStopped(id, _) => return self.on_stream(id, wakes, &event),
            Event::MessageReceived => Signal::Message,
            Event::DatagramReceived => Signal::Datagram,
            Event::MessagesWritable => Signal::MessageWritable,
            Event::MessageDelivered(id) => match self.deliveries.get_mut(&id) {
                Some(awaited) => {
                    *awaited = Awaited::Delivered;
                    Signal::State
                }
                None => return,
            },
            Event::MessageExpired(id) => match self.deliveries.get_mut(&id) {
                Some(awaited) => {
                    *awaited = Awaited::Expired;
                    Signal::State
                }
                None => return,
            },
            Event::PeerProven => {
                self.proofs += 1;
                Signal::State
            }
            Event::PathChanged(_) => return,
            Event::Closed(reason) => return self.close(reason, wakes),
        };
        wakes.signal(&self.signals, signal);
    }
}
