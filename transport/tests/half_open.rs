//! Handshakes that strangers begin: bounded, forgotten in time, and never answered with more bytes
//! than came.

use std::net::SocketAddr;
use std::time::Duration;

use dunlin_transport::plain::{PlainAcceptor, PlainInitiator};
use dunlin_transport::protect::Random;
use dunlin_transport::{Endpoint, EndpointConfig, Event, Instant};

/// A counter is random enough where only difference matters.
struct Counter(u32);

impl Random for Counter {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(4) {
            self.0 = self.0.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
            chunk.copy_from_slice(&self.0.to_be_bytes()[..chunk.len()]);
        }
    }
}

const SERVER: ([u8; 4], u16) = ([10, 0, 0, 2], 4_600);

fn server(max_half_open: usize) -> Endpoint {
    let mut config = EndpointConfig::default();
    config.max_half_open = max_half_open;
    Endpoint::new(
        config,
        Box::new(Counter(1)),
        Some(Box::new(PlainAcceptor::new())),
    )
}

fn client(seed: u32) -> Endpoint {
    let mut client = Endpoint::new(EndpointConfig::default(), Box::new(Counter(seed)), None);
    client
        .connect(
            Instant::ZERO,
            SERVER.into(),
            Box::new(PlainInitiator::new()),
        )
        .expect("a valid address");
    client
}

fn next_datagram(endpoint: &mut Endpoint, now: Instant) -> Option<Vec<u8>> {
    let mut buf = Vec::new();
    endpoint.poll_transmit(now, 1, &mut buf).map(|_| buf)
}

fn stranger(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 9, 9, 9], port))
}

#[test]
fn a_flood_of_syns_stays_within_the_limit_and_is_never_amplified() {
    let mut server = server(8);
    for port in 1..=1_000 {
        // Each in a moment of its own: of those that come together not all are looked at.
        let now = Instant::ZERO + Duration::from_nanos(port.into());
        let mut syn = next_datagram(&mut client(port.into()), Instant::ZERO).expect("a SYN");
        let received = syn.len();
        server.handle_datagram(now, stranger(port), None, &mut syn);
        assert!(server.half_open_count() <= 8);
        let answer = next_datagram(&mut server, now).expect("an answer");
        assert!(
            answer.len() <= received,
            "{} bytes for {received}",
            answer.len()
        );
        assert!(next_datagram(&mut server, now).is_none());
    }
    assert_eq!(server.half_open_count(), 8);
    assert_eq!(server.connection_count(), 0);
}

#[test]
fn half_open_handshakes_are_forgotten_and_nothing_is_sent_on_a_timer() {
    let mut server = server(8);
    let mut syn = next_datagram(&mut client(5), Instant::ZERO).expect("a SYN");
    server.handle_datagram(Instant::ZERO, stranger(5), None, &mut syn);
    next_datagram(&mut server, Instant::ZERO).expect("an answer");
    let deadline = server.poll_timeout().expect("it will be forgotten");
    assert!(deadline <= Instant::ZERO + Duration::from_secs(10));
    server.handle_timeout(deadline);
    assert_eq!(server.half_open_count(), 0);
    assert!(next_datagram(&mut server, deadline).is_none());
    assert!(server.poll_timeout().is_none());
}

#[test]
fn a_genuine_client_gets_in_while_forged_copies_of_its_syn_wait() {
    let mut server = server(64);
    let mut client = client(77);
    let from = stranger(77);
    let mut genuine = next_datagram(&mut client, Instant::ZERO).expect("a SYN");
    // Other contents under the same address and connection ID, with a right checksum: what a
    // forger on the path can send. Another client's parameters make it.
    for seed in 100..110 {
        let other = next_datagram(&mut self::client(seed), Instant::ZERO).expect("a SYN");
        let mut forged = genuine[..36].to_vec();
        forged.extend_from_slice(&other[36..other.len() - 4]);
        let crc = crc32(&forged);
        forged.extend_from_slice(&crc.to_be_bytes());
        server.handle_datagram(Instant::ZERO, from, None, &mut forged);
    }
    while next_datagram(&mut server, Instant::ZERO).is_some() {}
    server.handle_datagram(Instant::ZERO, from, None, &mut genuine);
    let mut answer = next_datagram(&mut server, Instant::ZERO).expect("an answer");
    client.handle_datagram(Instant::ZERO, SERVER.into(), None, &mut answer);
    let mut confirm = next_datagram(&mut client, Instant::ZERO).expect("a confirm message");
    server.handle_datagram(Instant::ZERO, from, None, &mut confirm);
    assert!(matches!(
        server.poll_event(),
        Some((_, Event::Connected { incoming: true, .. }))
    ));
}

#[test]
fn the_first_number_is_not_always_the_same() {
    let numbers: Vec<Vec<u8>> = (1..5)
        .map(|seed| next_datagram(&mut client(seed), Instant::ZERO).expect("a SYN")[4..8].to_vec())
        .collect();
    assert!(
        numbers.windows(2).all(|pair| pair[0] != pair[1]),
        "{numbers:?}"
    );
}

/// CRC-32 (IEEE 802.3), bit by bit: independent of the crate under test.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
