//! Two honest ends, a transfer, and somebody who may add datagrams to what arrives.
//!
//! What an attacker adds arrives just before a genuine datagram does, so that a run with and one
//! without him can be compared byte by byte: if all that both ends ever send is the same, at the
//! same times, then nothing he sent had an effect.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use dunlin_lab::profile::Profile;
use dunlin_lab::rng::Rng;
use dunlin_transport::{
    CloseReason, ConnectionHandle, ConnectionId, Endpoint, EndpointConfig, Event, Instant,
    ReadError, Stats, StreamDirection, StreamId,
};

/// One-way delay.
pub(crate) const DELAY: Duration = Duration::from_millis(10);

/// A datagram on its way.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    pub(crate) to: usize,
    pub(crate) from: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// What the attacker knows when a datagram is about to arrive.
pub(crate) struct Scene<'a> {
    /// The genuine datagram.
    pub(crate) next: &'a Datagram,
    /// Everything that arrived before it.
    pub(crate) passed: &'a [Datagram],
    /// The connection IDs of both ends, as routed packets show them.
    pub(crate) ids: [ConnectionId; 2],
    /// Whether both ends know that the handshake is over.
    pub(crate) settled: bool,
}

/// The run so far.
pub(crate) struct Line {
    pub(crate) ends: [Endpoint; 2],
    pub(crate) handles: [Option<ConnectionHandle>; 2],
    pub(crate) now: Instant,
    /// Everything sent: time, sender, destination, bytes.
    pub(crate) log: Vec<(Instant, usize, SocketAddr, Vec<u8>)>,
    pub(crate) closed: [Option<CloseReason>; 2],
    /// Bytes that end 1 read, in order.
    pub(crate) read: Vec<u8>,
    pub(crate) finished_at: Option<Instant>,
    /// What the attacker adds may begin handshakes of its own.
    pub(crate) begins: bool,
    /// Datagrams that the attacker added.
    pub(crate) injected: usize,
    pub(crate) passed: Vec<Datagram>,
    ids: [ConnectionId; 2],
    wire: BTreeMap<(Instant, u64), Datagram>,
    sequence: u64,
    to_write: Vec<u8>,
    stream: Option<StreamId>,
    reading: Option<StreamId>,
}

pub(crate) fn address(end: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(end + 1).unwrap_or(9)], 4_433))
}

pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from(at * 31 % 251).unwrap_or(0))
        .collect()
}

impl Line {
    /// End 0 connects to end 1 and sends `bytes` on a stream.
    pub(crate) fn new(profile: Profile, config: &EndpointConfig, seed: u64, bytes: usize) -> Self {
        let mut rng = Rng::new(seed);
        let mut ends = [0, 1].map(|node| profile.endpoint(node, config, node == 1, &mut rng));
        let initiator = profile.initiator(0, 1, &mut rng);
        let handle = ends[0].connect(Instant::ZERO, address(1), initiator);
        Self {
            ends,
            handles: [Some(handle.expect("a valid address")), None],
            now: Instant::ZERO,
            log: Vec::new(),
            closed: [None, None],
            read: Vec::new(),
            finished_at: None,
            begins: false,
            injected: 0,
            passed: Vec::new(),
            ids: [ConnectionId::NONE; 2],
            wire: BTreeMap::new(),
            sequence: 0,
            to_write: pattern(bytes),
            stream: None,
            reading: None,
        }
    }

    /// Runs until the transfer is over, or `limit` of virtual time, and lets `attack` add
    /// datagrams ahead of each genuine one.
    pub(crate) fn run(
        &mut self,
        limit: Duration,
        mut attack: impl FnMut(&Scene<'_>, &mut Vec<Datagram>),
    ) {
        let end = self.now + limit;
        (0..2).for_each(|end| self.settle(end));
        while self.finished_at.is_none() && self.closed.iter().all(Option::is_none) {
            let arrival = self.wire.first_key_value().map(|((at, _), _)| *at);
            let timers = [0, 1].map(|end| self.ends[end].poll_timeout());
            let Some(next) = [arrival, timers[0], timers[1]].into_iter().flatten().min() else {
                return;
            };
            if next > end {
                return;
            }
            self.now = self.now.max(next);
            if arrival == Some(next)
                && let Some((_, datagram)) = self.wire.pop_first()
            {
                self.arrive(datagram, &mut attack);
                continue;
            }
            for (index, timer) in timers.into_iter().enumerate() {
                if timer.is_some_and(|at| at <= self.now) {
                    self.ends[index].handle_timeout(self.now);
                    self.settle(index);
                }
            }
        }
    }

    fn arrive(
        &mut self,
        mut datagram: Datagram,
        attack: &mut impl FnMut(&Scene<'_>, &mut Vec<Datagram>),
    ) {
        if let Ok(id) = dunlin_transport::wire::header::route(&datagram.bytes)
            && id != ConnectionId::NONE
        {
            self.ids[datagram.to] = id;
        }
        let mut added = Vec::new();
        let scene = Scene {
            next: &datagram,
            passed: &self.passed,
            ids: self.ids,
            settled: self.passed.len() > 40,
        };
        attack(&scene, &mut added);
        for mut forged in added {
            self.injected += 1;
            let before = self.digest(forged.to);
            let bytes = &mut forged.bytes;
            self.ends[forged.to].handle_datagram(self.now, forged.from, None, bytes);
            let after = self.digest(forged.to);
            assert!(
                after == before || self.begins,
                "a forged datagram had an effect: {before} became {after}"
            );
        }
        self.passed.push(datagram.clone());
        let to = datagram.to;
        self.ends[to].handle_datagram(self.now, datagram.from, None, &mut datagram.bytes);
        self.settle(to);
    }

    /// All that can be seen of an end without asking it to send, but for the counters of refused
    /// packets.
    pub(crate) fn digest(&mut self, end: usize) -> String {
        let deadline = self.ends[end].poll_timeout();
        let endpoint = &self.ends[end];
        let connection = self.handles[end].and_then(|handle| endpoint.connection(handle));
        let seen = connection.map(|connection| {
            let mut stats = connection.stats();
            (stats.packets_rejected, stats.packets_duplicate) = (0, 0);
            (stats, connection.state(), connection.remote_address())
        });
        let counts = (endpoint.connection_count(), endpoint.half_open_count());
        format!("{deadline:?} {seen:?} {counts:?}")
    }

    fn settle(&mut self, end: usize) {
        self.act(end);
        let mut buffer = Vec::new();
        while let Some(transmit) = self.ends[end].poll_transmit(self.now, 16, &mut buffer) {
            let segment = transmit.segment_size.unwrap_or(transmit.size).max(1);
            for bytes in buffer.chunks(segment) {
                let to = transmit.destination;
                self.log.push((self.now, end, to, bytes.to_vec()));
                if to == address(1 - end) {
                    let datagram = Datagram {
                        to: 1 - end,
                        from: address(end),
                        bytes: bytes.to_vec(),
                    };
                    self.wire
                        .insert((self.now + DELAY, self.sequence), datagram);
                    self.sequence += 1;
                }
            }
            self.act(end);
        }
    }

    fn act(&mut self, end: usize) {
        while let Some((handle, event)) = self.ends[end].poll_event() {
            self.handles[end].get_or_insert(handle);
            match event {
                Event::Connected {
                    incoming: false, ..
                } => {
                    let connection = self.ends[end].connection_mut(handle);
                    self.stream =
                        connection.and_then(|it| it.open_stream(StreamDirection::Unidirectional));
                }
                Event::StreamsOpened(direction) => {
                    let connection = self.ends[end].connection_mut(handle);
                    self.reading = connection.and_then(|it| it.accept_stream(direction));
                }
                Event::Closed(reason) => self.closed[end] = Some(reason),
                _ => {}
            }
        }
        let Some(connection) = self.handles[end].and_then(|it| self.ends[end].connection_mut(it))
        else {
            return;
        };
        if end == 0
            && let Some(stream) = self.stream
        {
            while let Ok(count) = connection.write(stream, &self.to_write) {
                self.to_write.drain(..count);
                if self.to_write.is_empty() {
                    let _ = connection.finish(stream);
                    self.stream = None;
                    break;
                }
            }
        }
        if end == 1
            && let Some(stream) = self.reading
        {
            let mut buffer = [0; 16_384];
            loop {
                match connection.read(stream, &mut buffer) {
                    Ok(0) => {
                        self.finished_at = Some(self.now);
                        self.reading = None;
                        return;
                    }
                    Ok(count) => self.read.extend_from_slice(&buffer[..count]),
                    Err(ReadError::Blocked) => return,
                    Err(error) => panic!("reading failed: {error}"),
                }
            }
        }
    }

    /// Counters of an end's connection.
    pub(crate) fn stats(&self, end: usize) -> Stats {
        self.handles[end]
            .and_then(|handle| self.ends[end].connection(handle))
            .map(dunlin_transport::Connection::stats)
            .expect("there is a connection")
    }
}
