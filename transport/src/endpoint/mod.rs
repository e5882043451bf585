//! Datagrams to connections: routing by connection ID, answering SYNs, and asking the connections
//! in turn what they have to send.
//!
//! The contract: one input (`connect`, `handle_datagram`, `handle_timeout`, a call on a
//! connection), then drain [`Endpoint::poll_transmit`] and [`Endpoint::poll_event`] (in this order, or
//! what leaves and so makes room for writers is told after the next input), then wait until
//! [`Endpoint::poll_timeout`].

pub(crate) mod admission;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod half_open;
mod handshakes;
mod receive;
mod stateless;
mod surge;
mod tracing;
mod turns;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::config::{EndpointConfig, TransportConfig};
use crate::connection::Connection;
use crate::connection::state::State;
#[cfg(feature = "tokio")]
use crate::error::CloseReason;
use crate::error::ConnectError;
use crate::ids::{ConnectionId, PacketNumber};
use crate::io::{ConnectionHandle, Event, Transmit};
use crate::limits::{CONNECTIONS_MAX, HALF_OPEN_MAX, STATELESS_REPLIES_MAX};
use crate::protect::{Acceptor, Initiator, Random};
use crate::shard::Shard;
use crate::time::Instant;
use crate::trace::{Answer, Observer};
use admission::{Admission, Gate, Place};
use half_open::HalfOpenTable;
use stateless::Resets;
use surge::Surge;

/// A connection with what the endpoint knows about it.
struct Slot {
    connection: Connection,
    /// The deadline that stands in the timer set.
    deadline: Option<Instant>,
    /// The application has let go of it.
    released: bool,
    /// Its connection ID is still routed.
    routed: bool,
    /// It stands in [`Endpoint::ready`].
    ready: bool,
    /// It stands in [`Endpoint::eventful`].
    eventful: bool,
    /// What it counts as, if a peer opened it and it is not over.
    place: Option<Place>,
    /// The peer's connection ID that a stateless reset has to name.
    resettable: Option<ConnectionId>,
}

impl Slot {
    /// Something happened: the connection is to be asked for events and packets.
    fn touch(
        &mut self,
        handle: ConnectionHandle,
        ready: &mut VecDeque<ConnectionHandle>,
        eventful: &mut VecDeque<ConnectionHandle>,
    ) {
        if !core::mem::replace(&mut self.eventful, true) {
            eventful.push_back(handle);
        }
        if !core::mem::replace(&mut self.ready, true) {
            ready.push_back(handle);
        }
    }
}

/// Many connections behind one address.
pub struct Endpoint {
    config: EndpointConfig,
    /// The settings of its connections, which share them.
    transport: Arc<TransportConfig>,
    random: Box<dyn Random>,
    /// Which connection IDs are ours.
    shard: Shard,
    acceptor: Option<Box<dyn Acceptor>>,
    /// Boxed, because the table has room for as many again that do not exist.
    connections: BTreeMap<ConnectionHandle, Box<Slot>>,
    routes: BTreeMap<ConnectionId, ConnectionHandle>,
    half_open: HalfOpenTable,
    gate: Box<dyn Gate>,
    surge: Surge,
    /// What carries the datagrams has proven where they come from.
    addresses_are_proven: bool,
    resets: Resets,
    /// Our own handshakes that nobody has answered yet.
    opening: BTreeSet<ConnectionHandle>,
    next_handle: u64,
    /// A connection was established since this was asked last.
    established: bool,
    /// Connections that may have something to send, in turn.
    ready: VecDeque<ConnectionHandle>,
    /// Connections that may have events, in turn.
    eventful: VecDeque<ConnectionHandle>,
    timers: BTreeSet<(Instant, ConnectionHandle)>,
    /// Answers that belong to no connection.
    replies: VecDeque<(SocketAddr, Vec<u8>)>,
    /// Told what happens, if anybody wants to know.
    observer: Option<Box<dyn Observer>>,
}

impl Endpoint {
    /// An endpoint. Without an acceptor it never answers a SYN.
    #[must_use]
    pub fn new(
        mut config: EndpointConfig,
        random: Box<dyn Random>,
        acceptor: Option<Box<dyn Acceptor>>,
    ) -> Self {
        config.transport = config.transport.clamped();
        config.max_connections = config.max_connections.min(CONNECTIONS_MAX);
        config.max_half_open = config.max_half_open.clamp(1, HALF_OPEN_MAX);
        Self {
            gate: Box::new(Admission::new(&config)),
            surge: Surge::default(),
            addresses_are_proven: false,
            transport: Arc::new(config.transport.clone()),
            config,
            random,
            shard: Shard::WHOLE,
            acceptor,
            connections: BTreeMap::new(),
            routes: BTreeMap::new(),
            half_open: HalfOpenTable::default(),
            resets: Resets::default(),
            opening: BTreeSet::new(),
            next_handle: 0,
            established: false,
            ready: VecDeque::new(),
            eventful: VecDeque::new(),
            timers: BTreeSet::new(),
            replies: VecDeque::new(),
            observer: None,
        }
    }

    /// It is one of several cores behind its address: its connection IDs tell it from the others.
    #[must_use]
    pub fn with_shard(mut self, shard: Shard) -> Self {
        self.shard = shard;
        self
    }

    /// Work and places are those of `gate`. `proven`: what carries the datagrams proves addresses, as TCP
    /// does.
    #[cfg(any(test, feature = "tokio"))]
    #[must_use]
    pub(crate) fn with_gate(mut self, gate: Box<dyn Gate>, proven: bool) -> Self {
        (self.gate, self.addresses_are_proven) = (gate, proven);
        self
    }

    /// From now on `observer` is asked about every connection that begins.
    pub fn set_observer(&mut self, observer: Box<dyn Observer>) {
        self.observer = Some(observer);
    }

    /// Opens a connection; [`Event::Connected`] or [`Event::Closed`] tells how that went.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        initiator: Box<dyn Initiator>,
    ) -> Result<ConnectionHandle, ConnectError> {
        if remote.port() == 0 || remote.ip().is_unspecified() {
            return Err(ConnectError::InvalidRemoteAddress);
        }
        if self.connections.len() >= self.config.max_connections {
            return Err(ConnectError::TooManyConnections);
        }
        let cid = fresh_cid(&mut *self.random, self.shard, &self.routes, &self.half_open);
        let first = self.first_number();
        let transport = Arc::clone(&self.transport);
        let connection = Connection::connect(now, transport, (cid, first), remote, initiator);
        let handle = self.add(now, cid, connection);
        self.opening.insert(handle);
        Ok(handle)
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.half_open.expire(now);
        while let Some((deadline, handle)) = self.timers.first().copied() {
            if deadline > now {
                break;
            }
            self.timers.pop_first();
            if let Some(slot) = self.connections.get_mut(&handle) {
                slot.deadline = None;
                slot.connection.handle_timeout(now);
                slot.connection.trace_settled(now);
            }
            self.touch(handle);
        }
    }

    /// The next batch to send: `buf` is filled with up to `max_datagrams` equal datagrams to one
    /// destination, of which the last may be shorter. None when nothing may leave now.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        max_datagrams: usize,
        buf: &mut Vec<u8>,
    ) -> Option<Transmit> {
        if let Some((destination, reply)) = self.replies.pop_front() {
            buf.clear();
            buf.extend_from_slice(&reply);
            return Some(Transmit {
                destination,
                ecn: None,
                size: buf.len(),
                segment_size: None,
            });
        }
        while let Some(handle) = self.ready.pop_front() {
            self.tend(handle);
            let Some(slot) = self.connections.get_mut(&handle) else {
                continue;
            };
            let transmit = slot.connection.poll_transmit(now, max_datagrams, buf);
            slot.connection.trace_settled(now);
            // What has left makes room for writers.
            if slot.connection.has_events() && !core::mem::replace(&mut slot.eventful, true) {
                self.eventful.push_back(handle);
            }
            if let Some(transmit) = transmit {
                self.ready.push_back(handle);
                return Some(transmit);
            }
            slot.ready = false;
            self.settle(handle);
        }
        None
    }

    /// When [`Self::handle_timeout`] is wanted, if nothing else happens.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        for at in 0..self.ready.len() {
            if let Some(handle) = self.ready.get(at).copied() {
                self.tend(handle);
                self.settle(handle);
            }
        }
        let timer = self.timers.first().map(|(deadline, _)| *deadline);
        [timer, self.half_open.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<(ConnectionHandle, Event)> {
        while let Some(handle) = self.eventful.front().copied() {
            if let Some(slot) = self.connections.get_mut(&handle) {
                if let Some(event) = slot.connection.poll_event() {
                    return Some((handle, event));
                }
                slot.eventful = false;
            }
            self.eventful.pop_front();
        }
        None
    }

    /// A connection.
    #[must_use]
    pub fn connection(&self, handle: ConnectionHandle) -> Option<&Connection> {
        self.connections.get(&handle).map(|slot| &slot.connection)
    }

    /// A connection, to call it; afterwards it is asked what it has to send.
    pub fn connection_mut(&mut self, handle: ConnectionHandle) -> Option<&mut Connection> {
        let slot = self.connections.get_mut(&handle)?;
        slot.touch(handle, &mut self.ready, &mut self.eventful);
        Some(&mut slot.connection)
    }

    /// Our own address has changed, and nothing has left from the new one yet: every established
    /// connection [migrates](Connection::migrate).
    /// Returns how many could not take a fresh connection ID.
    pub fn migrate(&mut self, now: Instant) -> usize {
        let handles: Vec<_> = self.connections.keys().copied().collect();
        handles
            .into_iter()
            .filter(|handle| {
                let connection = self.connection_mut(*handle);
                connection.is_some_and(|it| it.is_established() && !it.migrate(now))
            })
            .count()
    }

    /// The application lets go of a connection: if still open, it is closed gracefully; its state
    /// is freed when the protocol is done with it.
    pub fn release(&mut self, handle: ConnectionHandle) {
        let Some(slot) = self.connections.get_mut(&handle) else {
            return;
        };
        slot.released = true;
        slot.connection.close(0, "");
        self.touch(handle);
        self.settle(handle);
    }

    /// What carries the packets is gone: every connection ends with this reason, without a word.
    #[cfg(feature = "tokio")]
    pub(crate) fn lose_all(&mut self, now: Instant, reason: &CloseReason) {
        for (handle, slot) in &mut self.connections {
            slot.connection.lose(reason.clone());
            if let Some(place) = slot.place.take() {
                self.gate.free(&place);
            }
            slot.connection.trace_settled(now);
            slot.touch(*handle, &mut self.ready, &mut self.eventful);
        }
    }

    /// Ends all connections with the peer that the session layer calls `name`, those included that it
    /// did not open, and returns how many: it hears `code` and `reason`.
    pub fn refuse_peer(
        &mut self,
        now: Instant,
        name: &[u8; 32],
        code: u64,
        reason: &'static str,
    ) -> usize {
        let mut ended = Vec::new();
        for (handle, slot) in &mut self.connections {
            if slot.connection.peer_name() == Some(name)
                && slot.connection.state().is_transferring()
            {
                slot.connection.abort(now, code, reason);
                ended.push(*handle);
            }
        }
        for handle in &ended {
            self.touch(*handle);
        }
        ended.len()
    }

    /// Connections held, closing ones included.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// Half-open handshakes held.
    #[must_use]
    pub fn half_open_count(&self) -> usize {
        self.half_open.len()
    }

    /// Whether every connection is over.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.connections
            .values()
            .all(|slot| slot.connection.state() == State::Closed)
    }

    fn add(
        &mut self,
        now: Instant,
        cid: ConnectionId,
        mut connection: Connection,
    ) -> ConnectionHandle {
        let handle = ConnectionHandle(self.next_handle);
        self.introduce(now, handle, cid, &mut connection);
        self.next_handle += 1;
        self.routes.insert(cid, handle);
        let slot = Slot {
            connection,
            deadline: None,
            released: false,
            routed: true,
            ready: false,
            eventful: false,
            place: None,
            resettable: None,
        };
        self.connections.insert(handle, Box::new(slot));
        self.touch(handle);
        handle
    }

    fn reply(&mut self, now: Instant, to: SocketAddr, answer: Answer, packet: Vec<u8>) {
        if self.replies.len() < STATELESS_REPLIES_MAX {
            self.trace_answered(now, to, answer, packet.len());
            self.replies.push_back((to, packet));
        }
    }

    /// Replies to an unproven address with no more bytes than came from it (`docs/wire.md` W-RCV-3).
    fn reply_within(
        &mut self,
        (now, to): (Instant, SocketAddr),
        answer: Answer,
        packet: Vec<u8>,
        received: usize,
    ) {
        if packet.len() <= received {
            self.reply(now, to, answer, packet);
        }
    }

    /// Something happened to a connection: ask it for events and packets.
    fn touch(&mut self, handle: ConnectionHandle) {
        if let Some(slot) = self.connections.get_mut(&handle) {
            slot.touch(handle, &mut self.ready, &mut self.eventful);
        }
    }

    /// What packets made a connection want of its endpoint: once for all that came.
    fn tend(&mut self, handle: ConnectionHandle) {
        self.supply_ids(handle);
        self.supply_reset_token(handle);
    }

    /// Puts a connection's deadline into the timer set, and frees it when it is over.
    fn settle(&mut self, handle: ConnectionHandle) {
        let Some(slot) = self.connections.get_mut(&handle) else {
            return;
        };
        if slot.connection.state() != State::SynSent {
            self.opening.remove(&handle);
        }
        let deadline = slot.connection.next_timeout();
        if slot.deadline != deadline {
            if let Some(old) = slot.deadline {
                self.timers.remove(&(old, handle));
            }
            if let Some(new) = deadline {
                self.timers.insert((new, handle));
            }
            slot.deadline = deadline;
        }
        if slot.connection.state() == State::Closed {
            if core::mem::take(&mut slot.routed) {
                for cid in slot.connection.connection_ids() {
                    self.routes.remove(&cid);
                }
            }
            if let Some(place) = slot.place.take() {
                self.gate.free(&place);
            }
            self.resets.rename(handle, slot.resettable.take(), None);
            // Of a connection that never got through the gate nobody knows.
            if slot.released || slot.connection.is_unannounced() {
                slot.connection.trace_last();
                self.connections.remove(&handle);
            }
        }
    }

    /// Gives a connection the IDs it wants, and forgets those that came back.
    fn supply_ids(&mut self, handle: ConnectionHandle) {
        let Some(slot) = self.connections.get_mut(&handle) else {
            return;
        };
        while slot.connection.wants_connection_id() {
            let cid = fresh_cid(&mut *self.random, self.shard, &self.routes, &self.half_open);
            self.routes.insert(cid, handle);
            slot.connection.issue_connection_id(cid);
        }
        while let Some(cid) = slot.connection.poll_retired_id() {
            self.routes.remove(&cid);
        }
    }

    fn first_number(&mut self) -> PacketNumber {
        let configured = self.config.transport.first_packet_number;
        let number = configured.unwrap_or_else(|| self.random.next_u32() >> 1);
        PacketNumber(u64::from(number))
    }
}

/// Places belong to the gate, which may outlive this.
impl Drop for Endpoint {
    fn drop(&mut self) {
        for slot in self.connections.values_mut() {
            if let Some(place) = slot.place.take() {
                self.gate.free(&place);
            }
        }
    }
}

fn fresh_cid(
    random: &mut dyn Random,
    shard: Shard,
    routes: &BTreeMap<ConnectionId, ConnectionHandle>,
    half_open: &HalfOpenTable,
) -> ConnectionId {
    loop {
        let cid = shard.adopt(random.next_u32());
        if cid != ConnectionId::NONE && !routes.contains_key(&cid) && !half_open.contains(cid) {
            return cid;
        }
    }
}
