//! Endpoints driven by bytes: arbitrary calls, arbitrary treatment of packets.
//!
//! [`connection_pair`] is the body of a fuzz target and of a test that runs on stable. Each byte
//! chooses what happens next: a call at one end, or the fate of the next packet between them.
//! After every operation what was read is compared with what was written. When the bytes are used
//! up faults stop, and what was accepted has to arrive. [`endpoints`] does the same to a server
//! with many connections among strangers, [`event_queue`] to the queue of events.

mod end;
mod endpoints;
mod queue;

use std::collections::VecDeque;
use std::time::Duration;

use dunlin_transport::{CloseReason, Connection, EndpointConfig, Instant, Side, StreamDirection};

use crate::link::corrupt;
use crate::net::Net;
use crate::profile::Profile;
use crate::rng::Rng;
use crate::workload::Agent;
use end::End;
pub use endpoints::endpoints;
pub use queue::event_queue;

/// Operations of one run; what remains of the input is ignored.
const OPERATIONS_MAX: usize = 4_096;
/// Packets on their way in one direction; further ones are lost.
const IN_FLIGHT_MAX: usize = 512;
/// Rounds within which everything accepted has to arrive once faults have stopped.
const ROUNDS_MAX: usize = 20_000;

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
    run.finish();
}

struct Input<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl Input<'_> {
    fn next(&mut self) -> Option<u8> {
        self.bytes.next().copied()
    }

    /// The next byte; 0 at the end.
    fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// A length that is often small and sometimes large.
    fn length(&mut self) -> usize {
        let byte = usize::from(self.byte());
        if byte < 200 {
            byte
        } else {
            (byte - 199) * 1_000
        }
    }
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

    fn deliver_all(&mut self) {
        for from in 0..2 {
            for _ in 0..self.flight[from].len() {
                self.deliver(from);
            }
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

    fn advance(&mut self, by: Duration) {
        self.now = self.now + by;
        for end in &mut self.ends {
            end.endpoint.handle_timeout(self.now);
        }
    }

    fn advance_to_timeout(&mut self) {
        let next = self
            .ends
            .iter_mut()
            .filter_map(|end| end.endpoint.poll_timeout())
            .min();
        if let Some(next) = next {
            self.now = self.now.max(next);
            self.advance(Duration::ZERO);
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
            let broken = matches!(
                end.closed,
                Some(CloseReason::Violation(_) | CloseReason::TransportReset { .. })
            );
            assert!(!broken || self.strangers, "honest ends: {:?}", end.closed);
            let mut rounds = 0;
            while let Some(transmit) =
                self.ends[node]
                    .endpoint
                    .poll_transmit(self.now, 8, &mut self.buffer)
            {
                rounds += 1;
                assert!(rounds < ROUNDS_MAX, "transmission without end");
                let segment = transmit.segment_size.unwrap_or(transmit.size).max(1);
                for packet in self.buffer.chunks(segment) {
                    if self.flight[node].len() < IN_FLIGHT_MAX {
                        self.flight[node].push_back(packet.to_vec());
                    }
                }
            }
        }
    }

    /// Faults stop: either the connection ends, or all that was accepted arrives.
    fn finish(&mut self) {
        for _ in 0..ROUNDS_MAX {
            self.settle();
            if self.flight.iter().all(VecDeque::is_empty) {
                if self.is_done() {
                    return;
                }
                self.advance_to_timeout();
            } else {
                self.now = self.now + Duration::from_millis(5);
                self.deliver_all();
            }
        }
        let ends = self.ends.each_ref().map(|end| {
            (
                end.connected,
                end.closed.clone(),
                end.written.clone(),
                end.read.clone(),
            )
        });
        panic!("not everything arrived: {ends:?}");
    }

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

#[cfg(test)]
mod tests {
    use dunlin_transport::protect::Random;

    use super::*;

    #[test]
    fn arbitrary_operations_keep_every_promise() {
        for seed in crate::seed::seeds(400) {
            let _guard = crate::seed::SeedGuard::new("arbitrary_operations", seed);
            let mut rng = Rng::new(seed);
            let mut data = vec![0; usize::try_from(rng.between(0, 1_500)).unwrap()];
            rng.fill(&mut data);
            connection_pair(&data);
        }
    }

    fn seeded(seed: u64, longest: u64) -> Vec<u8> {
        let mut rng = Rng::new(seed);
        let mut data = vec![0; usize::try_from(rng.between(0, longest)).unwrap()];
        rng.fill(&mut data);
        data
    }

    #[test]
    fn the_queue_agrees_with_a_sorted_list() {
        for seed in 0..200 {
            event_queue(&seeded(seed, 600));
        }
    }

    #[test]
    fn arbitrary_operations_among_strangers_keep_every_promise() {
        for seed in crate::seed::seeds(150) {
            let _guard = crate::seed::SeedGuard::new("among_strangers", seed);
            endpoints(&seeded(seed, 600));
        }
    }

    #[test]
    fn no_input_is_too_short() {
        endpoints(&[]);
        endpoints(&[0xff; 64]);
        event_queue(&[]);
        connection_pair(&[]);
        connection_pair(&[0]);
        connection_pair(&[0xff; 64]);
    }
}
