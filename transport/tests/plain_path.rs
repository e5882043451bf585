//! In the plain profile a connection does not migrate (`docs/wire.md` W-PTH-3): an end whose address
//! has changed finds out by silence.

use std::net::SocketAddr;
use std::time::Duration;

use dunlin_transport::plain::{PlainAcceptor, PlainInitiator};
use dunlin_transport::protect::Random;
use dunlin_transport::{CloseReason, Delivery, Endpoint, EndpointConfig, Event, Instant};

/// A counter is random enough where only difference matters.
struct Counter(u32);

impl Random for Counter {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
            *byte = self.0.to_be_bytes()[0];
        }
    }
}

const SERVER: ([u8; 4], u16) = ([10, 0, 0, 2], 2);
const BEFORE: ([u8; 4], u16) = ([10, 0, 0, 1], 1);
const AFTER: ([u8; 4], u16) = ([10, 0, 0, 1], 9);

fn sent(endpoint: &mut Endpoint, now: Instant) -> Vec<(SocketAddr, Vec<u8>)> {
    let (mut out, mut buf) = (Vec::new(), Vec::new());
    while let Some(transmit) = endpoint.poll_transmit(now, 1, &mut buf) {
        out.push((transmit.destination, buf.clone()));
    }
    out
}

/// Its probes were answered where they came from, so it lived on for ever, while everything that
/// acknowledged its data went to the old address.
#[test]
fn an_end_that_has_moved_times_out_instead_of_living_on_unacknowledged() {
    let config = EndpointConfig::default();
    let mut client = Endpoint::new(config.clone(), Box::new(Counter(1)), None);
    let acceptor = Box::new(PlainAcceptor::new());
    let mut server = Endpoint::new(config, Box::new(Counter(2)), Some(acceptor));
    let mut now = Instant::ZERO;
    let handle = client
        .connect(now, SERVER.into(), Box::new(PlainInitiator::new()))
        .expect("a good address");
    let mut address: SocketAddr = BEFORE.into();
    let mut closed = None;
    for _ in 0..2_000 {
        for (_, mut datagram) in sent(&mut client, now) {
            server.handle_datagram(now, address, None, &mut datagram);
        }
        while server.poll_event().is_some() {}
        for (to, mut datagram) in sent(&mut server, now) {
            assert_eq!(to, BEFORE.into(), "the server knows no other address");
            if to == address {
                client.handle_datagram(now, SERVER.into(), None, &mut datagram);
            }
        }
        while let Some((_, event)) = client.poll_event() {
            match event {
                Event::Connected { .. } => {
                    address = AFTER.into();
                    let connection = client.connection_mut(handle).expect("it is open");
                    let message = connection.send_message(vec![1; 100], Delivery::Reliable);
                    message.expect("there is room");
                }
                Event::Closed(reason) => closed = Some((now, reason)),
                _ => {}
            }
        }
        if closed.is_some() {
            break;
        }
        let due = [client.poll_timeout(), server.poll_timeout()];
        now = due.into_iter().flatten().min().unwrap_or(now).max(now);
        client.handle_timeout(now);
        server.handle_timeout(now);
    }
    let (at, reason) = closed.expect("it ends");
    assert_eq!(reason, CloseReason::TimedOut);
    assert!(at <= Instant::ZERO + Duration::from_secs(60), "{at:?}");
}
