//! Tests of numbers that outgrow the fields that carry them: two endpoints of the plain profile that
//! begin near an edge, and everything arrives.
//!
//! | field | bits | carries | test |
//! |---|---|---|---|
//! | Sequence Number, Acknowledgment Number | 32 | packet numbers of 62 | `packet_numbers_cross_every_edge_of_the_field_in_both_directions` |
//! | Window Size | 16 | the connection's limit in units | `the_window_field_wraps_many_times` |
//! | Fragment ID | 32 | stream IDs | `stream_ids_cross_the_edge_of_the_field` |
//! | Fragment ID | 32 | numbers of messages and datagrams | `message_numbers_cross_the_edge_of_the_field` |
//! | Fragment Index, Total of a stream | 16, 16 | the halves of the offset's low half | `stream_offsets_cross_the_edges_of_both_halves` |
//! | Fragment Index, Total of a fragment | 16, 16 | position and count | `a_message_has_as_many_fragments_as_the_field_can_count` |
//!
//! Checksum and Payload Length do not count anything that goes on.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::Connection;
use crate::config::EndpointConfig;
use crate::endpoint::Endpoint;
use crate::error::{CloseReason, PeerViolation};
use crate::ids::{PacketNumber, StreamDirection};
use crate::io::{ConnectionHandle, Delivery, Event};
use crate::plain::{PlainAcceptor, PlainInitiator};
use crate::protect::Random;
use crate::recv::packets::Arrival;
use crate::send::in_flight::SentPackets;
use crate::time::Instant;

const BIDI: StreamDirection = StreamDirection::Bidirectional;
/// Every seventh datagram is lost.
const LOSS: usize = 7;

struct Counter(u8);

impl Random for Counter {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_mul(5).wrapping_add(113);
            *byte = self.0;
        }
    }
}

struct Pair {
    now: Instant,
    ends: [Endpoint; 2],
    handles: [Option<ConnectionHandle>; 2],
    events: [Vec<Event>; 2],
    wire: VecDeque<(usize, Vec<u8>)>,
    sent: usize,
    loses: bool,
}

fn address(end: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], if end == 0 { 1 } else { 2 }))
}

impl Pair {
    fn new(config: &EndpointConfig) -> Self {
        let end = |seed, answers: bool| {
            let acceptor = answers.then(|| Box::new(PlainAcceptor::new()) as _);
            Endpoint::new(config.clone(), Box::new(Counter(seed)), acceptor)
        };
        let mut pair = Self {
            now: Instant::ZERO,
            ends: [end(1, false), end(2, true)],
            handles: [None, None],
            events: [Vec::new(), Vec::new()],
            wire: VecDeque::new(),
            sent: 0,
            loses: false,
        };
        let initiator = Box::new(PlainInitiator::new());
        pair.handles[0] = pair.ends[0].connect(pair.now, address(1), initiator).ok();
        pair.run(|pair| pair.handles[1].is_some());
        for _ in 0..20 {
            pair.step();
        }
        pair.loses = true;
        pair
    }

    fn conn(&mut self, end: usize) -> &mut Connection {
        let handle = self.handles[end].expect("connected");
        self.ends[end].connection_mut(handle).expect("alive")
    }

    fn drain(&mut self, end: usize) {
        let mut buffer = Vec::new();
        while let Some(transmit) = self.ends[end].poll_transmit(self.now, 8, &mut buffer) {
            for datagram in buffer.chunks(transmit.segment_size.unwrap_or(transmit.size)) {
                self.sent += 1;
                if !self.loses || !self.sent.is_multiple_of(LOSS) {
                    self.wire.push_back((1 - end, datagram.to_vec()));
                }
            }
        }
        while let Some((handle, event)) = self.ends[end].poll_event() {
            self.handles[end].get_or_insert(handle);
            self.events[end].push(event);
        }
    }

    /// A millisecond: what is on the wire arrives, in trains.
    fn step(&mut self) {
        self.now = self.now + Duration::from_millis(1);
        while let Some((to, mut train)) = self.wire.pop_front() {
            let size = train.len();
            let goes_on = |next: &mut (usize, Vec<u8>)| next.0 == to && next.1.len() == size;
            while let Some((_, next)) = self.wire.pop_front_if(goes_on) {
                train.extend(next);
            }
            self.ends[to].handle_datagrams(self.now, address(1 - to), None, &mut train, size);
        }
        for end in 0..2 {
            self.ends[end].handle_timeout(self.now);
            self.drain(end);
        }
    }

    fn run(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..60_000 {
            self.step();
            if done(self) {
                return;
            }
        }
        panic!("not done at {:?}", self.now);
    }

    /// Everything that was sent so far has been acknowledged; the next packet of `end` has `number`.
    fn go_on_at(&mut self, end: usize, number: u64) {
        let now = self.now;
        self.conn(end).sent = SentPackets::new(PacketNumber(number));
        let last = PacketNumber(number - 1);
        self.conn(1 - end)
            .received
            .mark(now, last, Arrival::default());
    }

    /// Bytes on a stream from `from` to the other end, whose first `offset` have come already.
    fn transfer(&mut self, from: usize, offset: u64, length: usize) {
        let id = self.conn(from).open_stream(BIDI).expect("granted");
        self.conn(from).write(id, b"!").expect("room");
        self.run(|pair| pair.conn(1 - from).accept_stream(BIDI).is_some());
        let mut buffer = alloc::vec![0; 1 << 16];
        assert_eq!(self.conn(1 - from).read(id, &mut buffer), Ok(1));
        self.run(|pair| pair.conn(from).buffered() == 0);
        if offset > 1 {
            for end in 0..2 {
                self.conn(end).streams.go_on_at(id, offset);
            }
        }
        let (data, mut written) = (pattern(length), 0);
        let mut got = Vec::new();
        self.run(|pair| {
            if written < data.len() {
                written += pair.conn(from).write(id, &data[written..]).unwrap_or(0);
                if written == data.len() {
                    pair.conn(from).finish(id).expect("open");
                }
            }
            loop {
                match pair.conn(1 - from).read(id, &mut buffer) {
                    Ok(0) => return true,
                    Ok(count) => got.extend_from_slice(&buffer[..count]),
                    Err(_) => return false,
                }
            }
        });
        assert!(got == data, "other bytes arrived");
    }

    fn closed(&self, end: usize) -> Option<&CloseReason> {
        self.events[end].iter().find_map(|event| match event {
            Event::Closed(reason) => Some(reason),
            _ => None,
        })
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from((at * 7 + at / 251) % 256).expect("a byte"))
        .collect()
}

#[test]
fn packet_numbers_cross_every_edge_of_the_field_in_both_directions() {
    for edge in [1u64 << 32, 2 << 32, 0xffff_ffff << 30, 1 << 61] {
        let mut pair = Pair::new(&EndpointConfig::default());
        for end in 0..2 {
            pair.go_on_at(end, edge - 40);
        }
        pair.transfer(0, 0, 300_000);
        pair.transfer(1, 0, 300_000);
        for end in 0..2 {
            assert!(pair.conn(end).sent.next_number().0 > edge + 40);
        }
    }
}

#[test]
fn the_last_packet_number_ends_the_connection_and_is_named() {
    let mut pair = Pair::new(&EndpointConfig::default());
    pair.loses = false;
    pair.go_on_at(0, PacketNumber::MAX.0 - 20);
    for _ in 0..100 {
        let message = pattern(1_000);
        if pair
            .conn(0)
            .send_message(message, Delivery::Reliable)
            .is_err()
        {
            break;
        }
        pair.step();
    }
    pair.run(|pair| pair.closed(0).is_some() && pair.closed(1).is_some());
    let violation = PeerViolation::NumbersExhausted;
    assert_eq!(pair.closed(0), Some(&CloseReason::Violation(violation)));
    let code = violation.code();
    assert_eq!(pair.closed(1), Some(&CloseReason::TransportReset { code }));
}

#[test]
fn the_window_field_wraps_many_times() {
    let mut config = EndpointConfig::default();
    config.transport.receive_window = 65_536;
    config.transport.initial_receive_window = 65_536;
    config.transport.stream_receive_window = 65_536;
    let mut pair = Pair::new(&config);
    let length = 3 << 20;
    pair.transfer(0, 0, length);
    // The field counts in units of eight bytes.
    assert!(length / 8 > 5 * 65_536);
}

#[test]
fn stream_offsets_cross_the_edges_of_both_halves() {
    for edge in [1u64 << 16, 1 << 32, 3 << 32, 1 << 48, 1 << 61] {
        let mut pair = Pair::new(&EndpointConfig::default());
        pair.transfer(0, edge - 30_000, 200_000);
    }
}

#[test]
fn stream_ids_cross_the_edge_of_the_field() {
    // A stream's number is a quarter of its ID.
    for edge in [1u64 << 30, 3 << 30, 1 << 58] {
        let mut pair = Pair::new(&EndpointConfig::default());
        for end in 0..2 {
            pair.conn(end).streams.go_on_with(BIDI, edge - 3);
        }
        for _ in 0..6 {
            pair.transfer(0, 0, 3_000);
            pair.transfer(1, 0, 3_000);
        }
    }
}

#[test]
fn message_numbers_cross_the_edge_of_the_field() {
    for edge in [1u64 << 16, 1 << 32, 7 << 32, 1 << 60] {
        let mut pair = Pair::new(&EndpointConfig::default());
        pair.conn(0).outgoing.go_on_with(edge - 5);
        pair.conn(1).incoming.go_on_with(edge - 5);
        let lengths = [10, 5_000, 1_300, 1_301, 700, 20, 40_000, 3, 1_290, 2_600];
        for length in lengths {
            let message = pattern(length);
            pair.conn(0)
                .send_message(message, Delivery::Reliable)
                .expect("room");
        }
        let mut got = Vec::new();
        pair.run(|pair| {
            got.extend(core::iter::from_fn(|| pair.conn(1).receive_message()));
            got.len() == lengths.len()
        });
        for message in &got {
            let which = usize::try_from(message.id.0 - (edge - 5)).expect("one of ten");
            assert!(message.data == pattern(lengths[which]), "{:?}", message.id);
        }
        pair.loses = false;
        for length in lengths {
            let delivery = Delivery::Unreliable { expires: None };
            pair.conn(0)
                .send_message(pattern(length), delivery)
                .expect("room");
        }
        let mut ids = Vec::new();
        pair.run(|pair| {
            ids.extend(core::iter::from_fn(|| pair.conn(1).receive_datagram()).map(|it| it.id.0));
            ids.len() == lengths.len()
        });
        ids.sort_unstable();
        assert!(ids.into_iter().eq(edge - 5..edge + 5));
    }
}

#[test]
fn a_message_has_as_many_fragments_as_the_field_can_count() {
    let mut config = EndpointConfig::default();
    config.transport.receive_window = 256 << 20;
    config.transport.initial_receive_window = 256 << 20;
    config.transport.max_message_size = 256 << 20;
    config.transport.send_buffer = 256 << 20;
    config.transport.mtu_max = config.transport.mtu;
    let mut pair = Pair::new(&config);
    pair.loses = false;
    let longest = pair.conn(0).part_max(Delivery::Reliable, false) * usize::from(u16::MAX);
    let too_long = pair.conn(0).check_message(longest + 1, Delivery::Reliable);
    assert!(too_long.is_err(), "one more fragment");
    pair.conn(0)
        .send_message(pattern(longest), Delivery::Reliable)
        .expect("room");
    let mut got = None;
    pair.run(|pair| {
        got = pair.conn(1).receive_message();
        got.is_some()
    });
    assert!(got.is_some_and(|it| it.data == pattern(longest)));
}
