//! Two endpoints of the plain profile over a small virtual link: the contract of the core, end to
//! end. The laboratory crate does the same at scale and with the real handshake.

#![expect(
    clippy::cast_possible_truncation,
    reason = "test data is cut to size on purpose"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use dunlin_transport::plain::{PlainAcceptor, PlainInitiator};
use dunlin_transport::protect::Random;
use dunlin_transport::{
    CloseReason, Connection, ConnectionHandle, Delivery, EcnMark, Endpoint, EndpointConfig, Event,
    Instant, ReadError, StreamDirection, StreamId, WriteError,
};

/// SplitMix64 (Steele, Lea, Flood 2014): enough for a test, and the same everywhere.
#[derive(Clone)]
struct Seeded(u64);

impl Random for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (z ^ (z >> 31)).to_le_bytes()[0];
        }
    }
}

impl Seeded {
    fn chance(&mut self, per_mille: u32) -> bool {
        self.next_u32() % 1_000 < per_mille
    }
}

const DELAY: Duration = Duration::from_millis(10);
const BIDI: StreamDirection = StreamDirection::Bidirectional;

struct Side {
    endpoint: Endpoint,
    address: SocketAddr,
    handle: Option<ConnectionHandle>,
    events: Vec<Event>,
}

struct Pair {
    now: Instant,
    sides: [Side; 2],
    /// Datagrams by arrival time and order.
    wire: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    sent: u64,
    random: Seeded,
    /// Per mille.
    loss: u32,
    corrupt: u32,
    duplicate: u32,
    /// Port from which the client's packets seem to come.
    client_port: u16,
    /// Packets are delayed by up to so much more, and overtake each other; at least 1.
    jitter_micros: u32,
    /// What the path makes of ECN marks.
    ecn: Option<EcnMark>,
    /// ECN-capable batches that left the client.
    capable: u64,
}

impl Pair {
    fn new(seed: u64, config: &EndpointConfig) -> Self {
        let side = |port: u16, acceptor: bool| Side {
            endpoint: Endpoint::new(
                config.clone(),
                Box::new(Seeded(seed ^ u64::from(port))),
                acceptor.then(|| Box::new(PlainAcceptor::new()) as _),
            ),
            address: SocketAddr::from(([10, 0, 0, 1], port)),
            handle: None,
            events: Vec::new(),
        };
        Self {
            now: Instant::ZERO,
            sides: [side(1, false), side(2, true)],
            wire: BTreeMap::new(),
            sent: 0,
            random: Seeded(seed),
            loss: 0,
            corrupt: 0,
            duplicate: 0,
            client_port: 1,
            jitter_micros: 3_000,
            ecn: None,
            capable: 0,
        }
    }

    fn connected(seed: u64, config: &EndpointConfig) -> Self {
        let mut pair = Self::new(seed, config);
        pair.connect();
        pair.run(|pair| pair.sides[1].handle.is_some());
        pair
    }

    fn connect(&mut self) {
        let remote = self.sides[1].address;
        let initiator = Box::new(PlainInitiator::new());
        let handle = self.sides[0]
            .endpoint
            .connect(self.now, remote, initiator)
            .expect("a valid address");
        self.sides[0].handle = Some(handle);
    }

    fn conn(&mut self, side: usize) -> &mut Connection {
        let handle = self.sides[side].handle.expect("connected");
        self.sides[side]
            .endpoint
            .connection_mut(handle)
            .expect("alive")
    }

    fn drain(&mut self) {
        for from in 0..2 {
            let side = &mut self.sides[from];
            while let Some((handle, event)) = side.endpoint.poll_event() {
                side.handle.get_or_insert(handle);
                side.events.push(event);
            }
            let mut buf = Vec::new();
            while let Some(transmit) = self.sides[from]
                .endpoint
                .poll_transmit(self.now, 8, &mut buf)
            {
                assert_eq!(transmit.size, buf.len());
                self.capable += u64::from(from == 0 && transmit.ecn == Some(EcnMark::Ect0));
                for datagram in buf.chunks(transmit.segment_size.unwrap_or(buf.len())) {
                    self.send(1 - from, datagram);
                }
            }
        }
    }

    fn send(&mut self, to: usize, datagram: &[u8]) {
        let copies = 1 + u32::from(self.random.chance(self.duplicate));
        for _ in 0..copies {
            if self.random.chance(self.loss) {
                continue;
            }
            let mut bytes = datagram.to_vec();
            if self.random.chance(self.corrupt) {
                let bit = self.random.next_u32() as usize % (bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            self.sent += 1;
            let jitter =
                Duration::from_micros(u64::from(self.random.next_u32() % self.jitter_micros));
            self.wire
                .insert((self.now + DELAY + jitter, self.sent), (to, bytes));
        }
    }

    /// One step of virtual time; false when nothing will ever happen again.
    fn step(&mut self) -> bool {
        self.drain();
        let timers = self
            .sides
            .iter_mut()
            .filter_map(|side| side.endpoint.poll_timeout());
        let next = timers
            .chain(self.wire.keys().next().map(|(at, _)| *at))
            .min();
        let Some(next) = next else { return false };
        self.now = self.now.max(next);
        while let Some(entry) = self
            .wire
            .first_entry()
            .filter(|entry| entry.key().0 <= self.now)
        {
            let (to, mut bytes) = entry.remove();
            let mut from = self.sides[1 - to].address;
            if to == 1 {
                from.set_port(self.client_port);
            }
            self.sides[to]
                .endpoint
                .handle_datagram(self.now, from, self.ecn, &mut bytes);
        }
        for side in &mut self.sides {
            side.endpoint.handle_timeout(self.now);
        }
        self.drain();
        true
    }

    fn run(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..200_000 {
            if done(self) {
                return;
            }
            assert!(self.step(), "nothing left to happen at {:?}", self.now);
        }
        panic!("not done at {:?}", self.now);
    }

    fn read_to_end(&mut self, side: usize, id: StreamId, into: &mut Vec<u8>) -> bool {
        let mut buf = [0; 5_000];
        loop {
            match self.conn(side).read(id, &mut buf) {
                Ok(0) => return true,
                Ok(count) => into.extend_from_slice(&buf[..count]),
                Err(ReadError::Blocked) => return false,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn closed(&self, side: usize) -> Option<&CloseReason> {
        self.sides[side]
            .events
            .iter()
            .find_map(|event| match event {
                Event::Closed(reason) => Some(reason),
                _ => None,
            })
    }
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index * 7 + index / 253) as u8)
        .collect()
}

#[test]
fn a_writer_hears_of_room_when_its_bytes_have_left_and_nothing_has_come() {
    let mut config = EndpointConfig::default();
    config.transport.initial_window_packets = 400;
    let mut pair = Pair::connected(7, &config);
    pair.drain();
    let id = pair.conn(0).open_stream(BIDI).expect("granted");
    let limit = dunlin_transport::limits::STREAM_BACKLOG_MAX;
    let written = pair.conn(0).write_short(id, &[7; 300_000]);
    assert_eq!(written, Ok(usize::try_from(limit).unwrap()));
    let blocked = Err(WriteError::Blocked);
    assert_eq!(pair.conn(0).write_short(id, &[7]), blocked);
    let other = pair.conn(0).open_stream(BIDI).expect("granted");
    assert_eq!(pair.conn(0).write_short(other, &[7]), Ok(1), "its own");
    let (mut buffer, mut left) = (Vec::new(), 0);
    let side = &mut pair.sides[0].endpoint;
    let woken = (0..1_000).any(|_| {
        pair.now = pair.now + Duration::from_millis(1);
        side.handle_timeout(pair.now);
        while side.poll_event().is_some() {}
        let sent = side.poll_transmit(pair.now, 8, &mut buffer);
        left += sent.map_or(0, |transmit| transmit.size as u64);
        matches!(side.poll_event(), Some((_, Event::StreamWritable(it))) if it == id)
    });
    assert!(woken, "{left} bytes left");
    assert!((limit / 2..limit).contains(&left), "{left}");
}

#[test]
fn a_stream_arrives_whole_over_a_bad_link() {
    for seed in 0..20 {
        let mut pair = Pair::connected(seed, &EndpointConfig::default());
        (pair.loss, pair.corrupt, pair.duplicate) = (50, 10, 20);
        let data = bytes(300_000);
        let id = pair.conn(0).open_stream(BIDI).unwrap();
        assert_eq!(pair.conn(0).write(id, &data), Ok(data.len()));
        pair.conn(0).finish(id).unwrap();
        let mut got = Vec::new();
        let mut accepted = None;
        pair.run(|pair| {
            accepted = accepted.or_else(|| pair.conn(1).accept_stream(BIDI));
            accepted.is_some_and(|id| pair.read_to_end(1, id, &mut got))
        });
        assert!(got == data, "seed {seed}");
    }
}

#[test]
fn messages_of_all_sizes_arrive_once_over_a_bad_link() {
    for seed in 0..20 {
        let mut pair = Pair::connected(seed, &EndpointConfig::default());
        (pair.loss, pair.corrupt, pair.duplicate) = (50, 10, 20);
        let sizes = [
            0, 1, 100, 1_200, 1_301, 1_302, 1_400, 5_000, 70_000, 200_000,
        ];
        for size in sizes {
            pair.conn(0)
                .send_message(bytes(size), Delivery::Reliable)
                .unwrap();
        }
        let mut got = Vec::new();
        pair.run(|pair| {
            got.extend(std::iter::from_fn(|| pair.conn(1).receive_message()).map(|m| m.data));
            got.len() == sizes.len()
        });
        got.sort_by_key(Vec::len);
        assert!(
            got.iter().zip(sizes).all(|(got, size)| *got == bytes(size)),
            "seed {seed}"
        );
    }
}

#[test]
fn a_64_mib_message_arrives_over_5_percent_loss() {
    let mut config = EndpointConfig::default();
    config.transport.receive_window = 128 << 20;
    config.transport.send_buffer = 128 << 20;
    config.transport.max_message_size = 64 << 20;
    config.transport.idle_timeout = Duration::ZERO;
    let mut pair = Pair::connected(3, &config);
    pair.loss = 50;
    let data = bytes(64 << 20);
    pair.conn(0)
        .send_message(data.clone(), Delivery::Reliable)
        .unwrap();
    let mut got = None;
    for _ in 0..20_000_000 {
        got = pair.conn(1).receive_message();
        if got.is_some() {
            break;
        }
        assert!(pair.step());
    }
    assert!(got.unwrap().data == data);
}

#[test]
fn graceful_close_loses_nothing_that_was_accepted() {
    for seed in 0..20 {
        let mut pair = Pair::connected(seed, &EndpointConfig::default());
        pair.loss = 100;
        for index in 0..140u8 {
            pair.conn(0)
                .send_message(vec![index; 700], Delivery::Reliable)
                .unwrap();
        }
        let id = pair.conn(0).open_stream(BIDI).unwrap();
        pair.conn(0).write(id, &bytes(50_000)).unwrap();
        pair.conn(0).close(42, "done");
        assert_eq!(
            pair.conn(0).write(id, b"late"),
            Err(WriteError::Closed(CloseReason::Local))
        );
        pair.run(|pair| pair.closed(0).is_some() && pair.closed(1).is_some());
        let peer = CloseReason::Peer {
            code: 42,
            reason: "done".into(),
        };
        assert_eq!(
            (pair.closed(0), pair.closed(1)),
            (Some(&CloseReason::Local), Some(&peer))
        );
        let mut got: Vec<u8> = std::iter::from_fn(|| pair.conn(1).receive_message())
            .map(|m| m.data[0])
            .collect();
        got.sort_unstable();
        assert_eq!(got, (0..140).collect::<Vec<_>>());
        let id = pair.conn(1).accept_stream(BIDI).unwrap();
        let mut all = vec![0; 60_000];
        let mut count = 0;
        while let Ok(more) = pair.conn(1).read(id, &mut all[count..]) {
            count += more;
        }
        assert_eq!(all[..count], bytes(50_000));
        for side in 0..2 {
            let handle = pair.sides[side].handle.unwrap();
            pair.sides[side].endpoint.release(handle);
        }
        pair.run(|pair| {
            pair.sides
                .iter()
                .all(|side| side.endpoint.connection_count() == 0)
        });
    }
}

#[test]
fn numbers_wrap_without_a_trace() {
    let mut config = EndpointConfig::default();
    config.transport.first_packet_number = Some(u32::MAX);
    let mut pair = Pair::connected(1, &config);
    pair.loss = 20;
    // More than the hundred packets that are left below 2^32.
    let data = bytes(400_000);
    let id = pair.conn(0).open_stream(BIDI).unwrap();
    pair.conn(0).write(id, &data).unwrap();
    pair.conn(0).finish(id).unwrap();
    let mut got = Vec::new();
    let mut accepted = None;
    pair.run(|pair| {
        accepted = accepted.or_else(|| pair.conn(1).accept_stream(BIDI));
        accepted.is_some_and(|id| pair.read_to_end(1, id, &mut got))
    });
    assert!(got == data);
}

#[test]
fn the_connection_outlives_packet_65_536() {
    let mut pair = Pair::connected(1, &EndpointConfig::default());
    pair.jitter_micros = 1;
    let data = bytes(98_000_000);
    let id = pair.conn(0).open_stream(BIDI).unwrap();
    let (mut got, mut accepted, mut written) = (Vec::new(), None, 0);
    pair.run(|pair| {
        if written < data.len() {
            written += pair.conn(0).write(id, &data[written..]).unwrap_or(0);
            if written == data.len() {
                pair.conn(0).finish(id).unwrap();
            }
        }
        accepted = accepted.or_else(|| pair.conn(1).accept_stream(BIDI));
        accepted.is_some_and(|id| pair.read_to_end(1, id, &mut got))
    });
    assert!(got == data);
    assert!(pair.conn(0).stats().packets_sent > 65_536);
}

#[test]
fn a_slow_reader_bounds_the_sender() {
    let mut config = EndpointConfig::default();
    config.transport.receive_window = 100_000;
    config.transport.stream_receive_window = 100_000;
    config.transport.send_buffer = 200_000;
    config.transport.keep_alive = Some(Duration::from_secs(1));
    let mut pair = Pair::connected(1, &config);
    let id = pair.conn(0).open_stream(BIDI).unwrap();
    assert_eq!(pair.conn(0).write(id, &bytes(1_000_000)), Ok(200_000));
    assert_eq!(pair.conn(0).write(id, b"x"), Err(WriteError::Blocked));
    let until = pair.now + Duration::from_secs(5);
    pair.run(|pair| pair.now > until);
    assert_eq!(pair.conn(1).stats().bytes_unread, 100_000);
    assert_eq!(
        pair.conn(0).write(id, &bytes(1_000_000)),
        Ok(100_000),
        "what was acknowledged"
    );
    assert_eq!(pair.conn(0).write(id, b"x"), Err(WriteError::Blocked));
    let until = pair.now + Duration::from_secs(5);
    pair.run(|pair| pair.now > until);
    assert_eq!(pair.conn(1).stats().bytes_unread, 100_000);
    let accepted = pair.conn(1).accept_stream(BIDI).unwrap();
    let mut got = Vec::new();
    pair.run(|pair| {
        pair.read_to_end(1, accepted, &mut got);
        got.len() == 300_000
    });
    assert!(pair.conn(0).write(id, b"x").is_ok());
}

#[test]
fn silence_ends_in_a_timeout_on_both_ends() {
    let mut config = EndpointConfig::default();
    config.transport.idle_timeout = Duration::from_secs(3);
    let mut pair = Pair::connected(1, &config);
    pair.loss = 1_000;
    pair.conn(0)
        .send_message(vec![1], Delivery::Reliable)
        .unwrap();
    pair.run(|pair| pair.closed(0).is_some() && pair.closed(1).is_some());
    assert_eq!(pair.closed(0), Some(&CloseReason::TimedOut));
    assert!(pair.now < Instant::ZERO + Duration::from_secs(10));
}

#[test]
fn keep_alive_keeps_an_idle_connection() {
    let mut config = EndpointConfig::default();
    config.transport.idle_timeout = Duration::from_secs(3);
    config.transport.keep_alive = Some(Duration::from_secs(1));
    let mut pair = Pair::connected(1, &config);
    let until = pair.now + Duration::from_secs(60);
    pair.run(|pair| pair.now > until);
    assert!(pair.conn(0).is_established() && pair.conn(1).is_established());
}

#[test]
fn nobody_there_ends_in_a_handshake_timeout() {
    let mut pair = Pair::new(1, &EndpointConfig::default());
    pair.loss = 1_000;
    pair.connect();
    pair.run(|pair| pair.closed(0).is_some());
    assert!(matches!(
        pair.closed(0),
        Some(CloseReason::HandshakeTimeout { .. })
    ));
    assert!(pair.now >= Instant::ZERO + Duration::from_secs(10));
}

#[test]
fn handshake_survives_heavy_loss_of_every_message() {
    for seed in 0..200 {
        let mut pair = Pair::new(seed, &EndpointConfig::default());
        (pair.loss, pair.duplicate, pair.corrupt) = (300, 100, 50);
        pair.connect();
        pair.run(|pair| pair.sides[1].handle.is_some() || pair.closed(0).is_some());
        if pair.closed(0).is_some() {
            continue;
        }
        pair.loss = 100;
        pair.run(|pair| {
            pair.closed(0).is_some()
                || pair.sides[0]
                    .events
                    .iter()
                    .any(|e| matches!(e, Event::Connected { .. }))
        });
        pair.conn(0)
            .send_message(b"through".to_vec(), Delivery::Reliable)
            .unwrap();
        pair.run(|pair| pair.conn(1).receive_message().is_some());
    }
}

#[test]
fn an_abort_reaches_the_peer_with_code_and_reason() {
    let mut pair = Pair::connected(1, &EndpointConfig::default());
    let now = pair.now;
    pair.conn(0).abort(now, 9, "enough");
    pair.run(|pair| pair.closed(1).is_some());
    let reset = CloseReason::Reset {
        code: 9,
        reason: "enough".into(),
    };
    assert_eq!(pair.closed(1), Some(&reset));
}

#[test]
fn a_lone_message_is_acknowledged_without_waiting_for_the_delay() {
    let mut pair = Pair::connected(1, &EndpointConfig::default());
    let start = pair.now;
    let id = pair
        .conn(0)
        .send_message(b"ping".to_vec(), Delivery::Reliable)
        .unwrap();
    pair.run(|pair| {
        let delivered = |e: &Event| matches!(e, Event::MessageDelivered(done) if *done == id);
        pair.sides[0].events.iter().any(delivered)
    });
    assert!(
        pair.now < start + DELAY * 2 + Duration::from_millis(8),
        "{:?}",
        pair.now
    );
}

#[test]
fn an_initiator_whose_address_changes_in_mid_handshake_gets_in() {
    let mut pair = Pair::new(1, &EndpointConfig::default());
    pair.connect();
    let is_connected = |e: &Event| matches!(e, Event::Connected { .. });
    pair.run(|pair| pair.sides[0].events.iter().any(is_connected));
    assert!(
        pair.sides[1].handle.is_none(),
        "the confirm message is still on its way"
    );
    pair.client_port = 77;
    pair.run(|pair| pair.sides[1].handle.is_some());
    assert_eq!(
        pair.conn(1).remote_address().port(),
        1,
        "only the address that got the SYN_ACK is proven"
    );
}

#[test]
fn the_plain_profile_does_not_migrate() {
    let mut pair = Pair::connected(1, &EndpointConfig::default());
    pair.client_port = 77;
    pair.conn(0)
        .send_message(b"from elsewhere".to_vec(), Delivery::Reliable)
        .unwrap();
    pair.run(|pair| pair.conn(1).receive_message().is_some());
    assert_eq!(pair.conn(1).remote_address().port(), 1);
}

#[test]
fn congestion_marks_shrink_the_window_and_a_path_that_drops_marks_is_noticed() {
    let sent_over = |ecn| {
        let mut pair = Pair::new(1, &EndpointConfig::default());
        pair.ecn = ecn;
        pair.connect();
        pair.run(|pair| pair.sides[1].handle.is_some());
        pair.jitter_micros = 1;
        for _ in 0..40 {
            pair.conn(0)
                .send_message(bytes(5_000), Delivery::Reliable)
                .unwrap();
        }
        let mut got = 0;
        pair.run(|pair| {
            got += std::iter::from_fn(|| pair.conn(1).receive_message()).count();
            got == 40
        });
        let before = pair.capable;
        pair.conn(0)
            .send_message(bytes(5_000), Delivery::Reliable)
            .unwrap();
        pair.run(|pair| pair.conn(1).receive_message().is_some());
        (pair.conn(0).stats(), pair.capable > before)
    };
    let (passed, still_capable) = sent_over(Some(EcnMark::Ect0));
    assert_eq!(
        (passed.congestion_events, passed.packets_lost, still_capable),
        (0, 0, true)
    );
    let (marked, still_capable) = sent_over(Some(EcnMark::Ce));
    assert!(
        marked.congestion_events > 0 && marked.packets_lost == 0 && still_capable,
        "{marked:?}"
    );
    assert!(
        marked.congestion_window < passed.congestion_window,
        "{marked:?} {passed:?}"
    );
    let (bleached, still_capable) = sent_over(None);
    assert_eq!((bleached.congestion_events, still_capable), (0, false));
}

#[test]
fn garbage_changes_nothing() {
    let mut pair = Pair::connected(5, &EndpointConfig::default());
    let from = pair.sides[0].address;
    let to = pair.sides[1].address;
    for length in (0..200).chain([1_400, 65_000]) {
        let mut junk = vec![0; length];
        pair.random.fill(&mut junk);
        if length > 31 {
            junk[0] = dunlin_transport::wire::MAGIC;
            junk[1] = (length % 3) as u8;
        }
        let mut again = junk.clone();
        pair.sides[1]
            .endpoint
            .handle_datagram(pair.now, from, None, &mut junk);
        pair.sides[0]
            .endpoint
            .handle_datagram(pair.now, to, None, &mut again);
    }
    pair.conn(0)
        .send_message(b"still here".to_vec(), Delivery::Reliable)
        .unwrap();
    pair.run(|pair| pair.conn(1).receive_message().is_some());
}

#[test]
fn datagrams_pass_or_vanish_and_expired_ones_never_leave() {
    let mut pair = Pair::connected(5, &EndpointConfig::default());
    let forever = Delivery::Unreliable { expires: None };
    for size in [10, 1_000, 40_000] {
        pair.conn(0).send_message(bytes(size), forever).unwrap();
    }
    let mut got = Vec::new();
    pair.run(|pair| {
        got.extend(std::iter::from_fn(|| pair.conn(1).receive_datagram()).map(|m| m.data));
        got.len() == 3
    });
    got.sort_by_key(Vec::len);
    assert!(
        got.iter()
            .zip([10, 1_000, 40_000])
            .all(|(got, size)| *got == bytes(size))
    );
}

/// Compression of messages, between two ends that are both ours.
#[cfg(feature = "lz4")]
mod compression {
    use super::*;
    use dunlin_transport::SendOptions;

    fn pair(seed: u64, accepts: bool) -> Pair {
        let mut config = EndpointConfig::default();
        config.transport.accept_compression = accepts;
        Pair::connected(seed, &config)
    }

    /// A text of `length` bytes that compresses well.
    fn text(length: usize) -> Vec<u8> {
        let words = b"the quick brown fox jumps over the lazy dog; ".iter();
        words.copied().cycle().take(length).collect()
    }

    fn compressed(delivery: Delivery) -> SendOptions {
        SendOptions::new(delivery).with_compression(true)
    }

    #[test]
    fn compressed_messages_of_all_kinds_arrive_as_they_were_over_a_bad_link() {
        for seed in 0..10 {
            let mut pair = pair(seed, true);
            (pair.loss, pair.corrupt, pair.duplicate) = (50, 10, 20);
            let sizes = [0, 63, 64, 700, 1_344, 5_000, 70_000, 400_000, 1_000];
            let deliveries = [Delivery::Reliable, Delivery::Ordered];
            for (index, size) in sizes.into_iter().enumerate() {
                for delivery in deliveries {
                    // What does not compress travels as it is, in between.
                    let data = if index % 3 == 2 {
                        bytes(size)
                    } else {
                        text(size)
                    };
                    pair.conn(0)
                        .send_message(data, compressed(delivery))
                        .unwrap();
                }
            }
            let mut got = Vec::new();
            pair.run(|pair| {
                got.extend(std::iter::from_fn(|| pair.conn(1).receive_message()).map(|m| m.data));
                got.len() == 2 * sizes.len()
            });
            let mut expected: Vec<_> = (0..sizes.len())
                .map(|index| match index % 3 {
                    2 => bytes(sizes[index]),
                    _ => text(sizes[index]),
                })
                .flat_map(|data| [data.clone(), data])
                .collect();
            got.sort();
            expected.sort();
            assert!(got == expected, "seed {seed}");
        }
    }

    #[test]
    fn compressed_datagrams_arrive_as_they_were() {
        let mut pair = pair(1, true);
        for size in [100, 1_300, 40_000] {
            let delivery = Delivery::Unreliable { expires: None };
            pair.conn(0)
                .send_message(text(size), compressed(delivery))
                .unwrap();
        }
        let mut got = Vec::new();
        pair.run(|pair| {
            got.extend(std::iter::from_fn(|| pair.conn(1).receive_datagram()).map(|m| m.data));
            got.len() == 3
        });
        got.sort_by_key(Vec::len);
        assert!(
            got.iter()
                .zip([100, 1_300, 40_000])
                .all(|(got, size)| *got == text(size))
        );
    }

    /// Bytes that leave for one long text.
    fn cost(accepts: bool, options: SendOptions) -> u64 {
        let mut pair = pair(1, accepts);
        let before = pair.conn(0).stats().bytes_sent;
        pair.conn(0)
            .send_message(text(200_000), options)
            .expect("open");
        pair.run(|pair| pair.conn(1).receive_message().is_some());
        pair.conn(0).stats().bytes_sent - before
    }

    #[test]
    fn nothing_is_compressed_unless_both_ends_want_it() {
        let wanted = compressed(Delivery::Reliable);
        assert!(cost(true, wanted) < 20_000);
        assert!(
            cost(false, wanted) > 200_000,
            "the peer did not announce it"
        );
        assert!(
            cost(true, Delivery::Reliable.into()) > 200_000,
            "nobody asked for it"
        );
    }

    #[test]
    fn what_is_too_long_uncompressed_is_too_long() {
        let mut pair = pair(1, true);
        let limit = EndpointConfig::default().transport.max_message_size;
        let length = usize::try_from(limit).unwrap() + 1;
        let refused = pair
            .conn(0)
            .send_message(text(length), compressed(Delivery::Reliable));
        assert!(refused.is_err());
    }
}
