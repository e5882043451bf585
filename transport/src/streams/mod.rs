//! All streams of a connection: opening and accepting, scheduling, credit.
//!
//! A lost packet of one stream never delays another: each has its own buffers, and the scheduler
//! serves the most urgent first and goes round those of the same urgency, a packet's worth each.

mod app;
mod control;
mod peer;
mod recv;
mod scheduler;
mod send;
mod statistics;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::config::TransportConfig;
use crate::flow::Granted;
use crate::ids::{Side, StreamDirection, StreamId};
use crate::recv::assembler::SparePages;
use crate::rest::{Queues, Rest, Sparse};
use crate::wire::params::TransportParams;
pub(crate) use control::Control;
use recv::RecvStream;
use send::SendStream;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use send::TURN;

const DIRECTIONS: [StreamDirection; 2] = [
    StreamDirection::Bidirectional,
    StreamDirection::Unidirectional,
];

/// Counters of one direction.
#[derive(Debug)]
struct Counters {
    /// Streams we opened.
    opened: u64,
    /// Streams the peer lets us open.
    granted_to_us: Granted,
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
    accept: Sparse<VecDeque<StreamId>>,
}

/// The streams of one connection.
#[derive(Debug)]
pub(crate) struct Streams {
    side: Side,
    send: BTreeMap<StreamId, SendStream>,
    recv: BTreeMap<StreamId, RecvStream>,
    counters: [Counters; 2],
    /// Streams with something to send, by urgency, in turn.
    ready: Queues<StreamId>,
    /// Writers that found the send buffer full.
    blocked: Sparse<BTreeSet<StreamId>>,
    /// Streams whose reset, stop or credit is to be told.
    resets: Sparse<BTreeSet<StreamId>>,
    stops: Sparse<BTreeMap<StreamId, u64>>,
    credits: Sparse<BTreeSet<StreamId>>,
    grants: [bool; 2],
    buffered: u64,
    /// Those of them that were acknowledged before others in front of them.
    ahead: u64,
    /// Pages that receiving halves have emptied.
    spare: SparePages,
    /// What each stream may receive at first, and at most.
    windows: (u64, u64),
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
            opened: 0,
            granted_to_us: Granted::new(0),
            wanted: false,
            peer_opened: 0,
            granted_to_peer: concurrency,
            announced: concurrency,
            concurrency,
            accept: Sparse::default(),
        };
        Self {
            side,
            send: BTreeMap::new(),
            recv: BTreeMap::new(),
            counters: [
                counters(config.max_streams_bidi),
                counters(config.max_streams_uni),
            ],
            ready: Queues::default(),
            spare: SparePages::default(),
            blocked: Sparse::default(),
            resets: Sparse::default(),
            stops: Sparse::default(),
            credits: Sparse::default(),
            grants: [false; 2],
            buffered: 0,
            ahead: 0,
            windows: (
                config.initial_stream_receive_window,
                config.stream_receive_window,
            ),
            peer_bidi_window: 0,
        }
    }

    /// The handshake told what the peer grants.
    pub(crate) fn on_params(&mut self, params: &TransportParams) {
        self.peer_bidi_window = params.max_stream_data;
        self.counters[0].granted_to_us = Granted::new(params.max_streams_bidi);
        self.counters[1].granted_to_us = Granted::new(params.max_streams_uni);
    }

    /// Bytes accepted and not yet acknowledged.
    #[must_use]
    pub(crate) const fn buffered(&self) -> u64 {
        self.buffered
    }

    /// Those of them that were acknowledged, and are held because some before them are not.
    pub(crate) const fn ahead(&self) -> u64 {
        self.ahead
    }

    /// As if `offset` bytes of a stream had been sent, received and read.
    #[cfg(test)]
    pub(crate) fn go_on_at(&mut self, id: StreamId, offset: u64) {
        if let Some(stream) = self.send.get_mut(&id) {
            stream.buffer = crate::send::buffer::SendBuffer::starting_at(offset);
            stream.granted = Granted::new(stream.granted.limit() + offset);
        }
        if let Some(stream) = self.recv.get_mut(&id) {
            stream.go_on_at(offset);
        }
    }

    /// As if `count` streams of a direction had been opened, by either end, and were over.
    #[cfg(test)]
    pub(crate) fn go_on_with(&mut self, direction: StreamDirection, count: u64) {
        let counters = &mut self.counters[index(direction)];
        counters.opened = count;
        counters.peer_opened = count;
        counters.granted_to_us = Granted::new(counters.granted_to_us.limit() + count);
        counters.granted_to_peer += count;
        counters.announced += count;
    }

    fn enqueue(&mut self, id: StreamId) {
        if let Some(stream) = self.send.get_mut(&id)
            && !stream.queued
            && stream.has_work(u64::MAX)
        {
            stream.queued = true;
            self.ready[stream.priority.slot()].push_back(id);
        }
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

impl Rest for Streams {
    fn rest(&mut self) {
        self.spare.release();
        self.send.rest();
        self.recv.rest();
        for stream in self.send.values_mut() {
            stream.buffer.rest();
        }
        self.recv.values_mut().for_each(Rest::rest);
        for counters in &mut self.counters {
            counters.accept.rest();
        }
        self.ready.rest();
        self.blocked.rest();
        self.resets.rest();
        self.stops.rest();
        self.credits.rest();
    }
}

const fn index(direction: StreamDirection) -> usize {
    match direction {
        StreamDirection::Bidirectional => 0,
        StreamDirection::Unidirectional => 1,
    }
}

#[cfg(test)]
mod tests;
