//! Two endpoints and a faulty path between them, driven by bytes.

use std::collections::VecDeque;
use std::time::Duration;

use dunlin_transport::{Connection, Endpoint, EndpointConfig, Instant, Side, StreamDirection};

use super::Input;
use super::drive::{self, Driven};
use super::end::End;
use crate::link::corrupt;
use crate::net::Net;
use crate::profile::Profile;
use crate::rng::Rng;
use crate::workload::Agent;

/// Operations of one run; what remains of the input is ignored.
const OPERATIONS_MAX: usize = 4_096;
/// Packets on their way in one direction; further ones are lost.
const IN_FLIGHT_MAX: usize = 512;

/// Runs the operations that `data` spells.
///
/// # Panics
/// When an endpoint breaks a promise.
pub fn connection_pair(data: &[u8]) {
    let mut input = Input { bytes: data.iter() };
    let mut run = Run::new(input.byte());
    for _ in 0..OPERATIONS_MAX {
        let Some(operation) = input.next() else { break };
        run.operate(operation, &mut input);
        run.settle();
    }
    assert!(
        run.comes_to_rest(),
        "not everything arrived: {:?}",
        run.ends
            .each_ref()
            .map(|end| (end.connected, &end.closed, &end.written, &end.read))
    );
}

struct Run {
    now: Instant,
    ends: [End; 2],
    /// Packets from end 0 to end 1, and back.
    flight: [VecDeque<Vec<u8>>; 2],
    rng: Rng,
    /// Somebody else has sent bytes, which may by bad luck be a valid packet.
    strangers: bool,
    buffer: Vec<u8>,
}

impl Run {
    fn new(settings: u8) -> Self {
        let mut rng = Rng::new(u64::from(settings));
        let mut config = EndpointConfig::default();
        if settings & 1 == 1 {
            config.transport.receive_window = 65_536;
            config.transport.stream_receive_window = 16_384;
            config.transport.send_buffer = 65_536;
            config.transport.max_message_size = 50_000;
        }
        if settings & 2 == 2 {
            config.transport.max_streams_bidi = 2;
            config.transport.max_streams_uni = 1;
        }
        if settings & 4 == 4 {
            config.transport.first_packet_number = Some(u32::MAX - 200);
        }
        let end = |node: usize, side, rng: &mut Rng| {
            End::new(Profile::Plain.endpoint(node, &config, node == 1, rng), side)
        };
        let mut ends = [
            end(0, Side::Initiator, &mut rng),
            end(1, Side::Responder, &mut rng),
        ];
        let initiator = Profile::Plain.initiator(0, 1, &mut rng);
        let connected = ends[0]
            .endpoint
            .connect(Instant::ZERO, address(1), initiator);
        ends[0].handle = Some(connected.expect("a new endpoint has room and the address is good"));
        Self {
            now: Instant::ZERO,
            ends,
            flight: [VecDeque::new(), VecDeque::new()],
            rng,
            strangers: false,
            buffer: Vec::new(),
        }
    }

    fn operate(&mut self, operation: u8, input: &mut Input<'_>) {
        let node = usize::from(operation >> 7);
        match operation & 0x1f {
            0 => self.ends[node].open(StreamDirection::Bidirectional),
            1 => self.ends[node].open(StreamDirection::Unidirectional),
            2..=4 => self.ends[node].write(input.byte(), input.length()),
            5 => self.ends[node].finish(input.byte()),
            6 => self.ends[node].reset(input.byte()),
            7 => self.ends[node].stop(input.byte()),
            8 | 9 => self.ends[node].send(input.length(), true),
            10 => self.ends[node].send(input.length(), false),
            11 if input.byte() < 24 => {
                self.with(node, |connection, _| connection.close(1, "closed"));
            }
            12 if input.byte() < 24 => {
                self.with(node, |connection, now| connection.abort(now, 2, "aborted"));
            }
            13..=19 => self.deliver(node),
            20 => drop(self.flight[node].pop_front()),
            21 => {
                let copy = self.flight[node].front().cloned();
                self.flight[node].extend(copy);
            }
            22 => {
                if let Some(packet) = self.flight[node].front_mut() {
                    corrupt(packet, &mut self.rng);
                }
            }
            23 => {
                let packet = self.flight[node].pop_front();
                self.flight[node].extend(packet);
            }
            24 => self.inject(node, input),
            25 => self.truncate(node, usize::from(input.byte())),
            26 | 27 => self.advance(Duration::from_millis(u64::from(input.byte()))),
            28 => self.advance_to_timeout(),
            _ => self.deliver_all(),
        }
    }

    fn with(&mut self, node: usize, call: impl FnOnce(&mut Connection, Instant)) {
        let now = self.now;
        let end = &mut self.ends[node];
        if let Some(connection) = end
            .handle
            .and_then(|handle| end.endpoint.connection_mut(handle))
        {
            call(connection, now);
        }
    }

    fn deliver(&mut self, from: usize) {
        if let Some(mut packet) = self.flight[from].pop_front() {
            self.ends[1 - from].endpoint.handle_datagram(
                self.now,
                address(from),
                None,
                &mut packet,
            );
        }
    }

    fn inject(&mut self, to: usize, input: &mut Input<'_>) {
        self.strangers = true;
        let mut packet: Vec<u8> = (0..input.byte()).map_while(|_| input.next()).collect();
        self.ends[to]
            .endpoint
            .handle_datagram(self.now, address(1 - to), None, &mut packet);
    }

    fn truncate(&mut self, from: usize, length: usize) {
        if let Some(packet) = self.flight[from].front_mut() {
            packet.truncate(length);
        }
    }
}

impl Driven for Run {
    fn clock(&mut self) -> &mut Instant {
        &mut self.now
    }

    fn for_each_endpoint(&mut self, call: &mut dyn FnMut(&mut Endpoint)) {
        self.ends.iter_mut().for_each(|end| call(&mut end.endpoint));
    }

    fn deliver_all(&mut self) {
        for from in 0..2 {
            let packets = self.flight[from].drain(..);
            let datagrams: Vec<_> = packets.map(|it| (address(from), it)).collect();
            let to = &mut self.ends[1 - from].endpoint;
            drive::hand_over_trains(to, self.now, &datagrams);
        }
    }

    /// The contract: after each input the applications act, and everything to be sent leaves.
    fn settle(&mut self) {
        for node in 0..2 {
            let lengths = [
                self.ends[1 - node].messages.clone(),
                self.ends[1 - node].datagrams.clone(),
            ];
            let [end, other] = self
                .ends
                .get_disjoint_mut([node, 1 - node])
                .expect("two ends");
            end.take_events();
            end.read_all(other);
            end.receive_all(&lengths);
            let broken = end.closed.as_ref().is_some_and(drive::is_accusation);
            assert!(!broken || self.strangers, "honest ends: {:?}", end.closed);
            let flight = &mut self.flight[node];
            drive::transmit(
                &mut self.ends[node].endpoint,
                self.now,
                &mut self.buffer,
                |_, packet| {
                    if flight.len() < IN_FLIGHT_MAX {
                        flight.push_back(packet.to_vec());
                    }
                },
            );
        }
    }

    fn is_quiet(&self) -> bool {
        self.flight.iter().all(VecDeque::is_empty)
    }

    /// Either the connection has ended, or all that was accepted has arrived.
    fn is_done(&self) -> bool {
        let [a, b] = &self.ends;
        if a.closed.is_some() || b.closed.is_some() {
            // Both hear of it in the end, unless one was never there.
            return [a, b]
                .iter()
                .all(|end| end.closed.is_some() || end.handle.is_none())
                || self.ends.iter().any(|end| end.handle.is_none());
        }
        a.connected && b.connected && a.has_delivered_to(b) && b.has_delivered_to(a)
    }
}

fn address(node: usize) -> std::net::SocketAddr {
    Net::<Agent>::address_of(node)
}
