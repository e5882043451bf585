//! Budgets and places of an endpoint with the real handshake: who floods is held, who is honest gets
//! in (`docs/threats.md` T5, T10).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dunlin_session::fuzzing::SeededRandom;
use dunlin_session::{Identity, SessionAcceptor, SessionConfig, SessionInitiator, provider};
use dunlin_transport::limits::{HANDSHAKES_BURST, HANDSHAKES_PER_SECOND, PREFIX_HANDSHAKES_BURST};
use dunlin_transport::{CloseReason, Endpoint, EndpointConfig, Event, Instant};

/// Bytes of a RETRY packet at most; a SYN_ACK is far longer.
const RETRY_MAX: usize = 200;

struct Scene {
    now: Instant,
    server: Endpoint,
    random: SeededRandom,
}

impl Scene {
    fn new(configure: impl FnOnce(&mut EndpointConfig)) -> Self {
        let mut random = SeededRandom::new(1);
        let acceptor = SessionAcceptor::new(
            Arc::new(Identity::from_seed([2; 32])),
            SessionConfig::default(),
            provider::aws_lc(),
            &mut random,
        );
        let mut config = EndpointConfig::default();
        // So that only the budgets ask for proof of addresses.
        config.half_open_under_load = usize::MAX;
        configure(&mut config);
        let random_of_server = Box::new(SeededRandom::new(2));
        Self {
            now: Instant::ZERO + Duration::from_secs(1),
            server: Endpoint::new(config, random_of_server, Some(Box::new(acceptor))),
            random,
        }
    }

    fn client(&mut self, seed: u8) -> Endpoint {
        let initiator = SessionInitiator::new(
            Arc::new(Identity::from_seed([seed; 32])),
            SessionConfig::default(),
            provider::aws_lc(),
            None,
            &mut self.random,
        );
        let label = dunlin_transport::protect::Random::next_u64(&mut self.random);
        let mut client = Endpoint::new(
            EndpointConfig::default(),
            Box::new(SeededRandom::new(label)),
            None,
        );
        let to = (Ipv4Addr::new(10, 9, 9, 9), 4_600).into();
        client.connect(self.now, to, Box::new(initiator)).unwrap();
        client
    }

    /// A valid SYN.
    fn syn(&mut self) -> Vec<u8> {
        let now = self.now;
        let mut client = self.client(1);
        let mut buf = Vec::new();
        client.poll_transmit(now, 1, &mut buf).unwrap();
        buf
    }

    /// Hands over a datagram and returns what is answered.
    fn deliver(&mut self, from: SocketAddr, datagram: &[u8]) -> Vec<Vec<u8>> {
        // Another moment, so that none is passed over as one of too many.
        self.now = self.now + Duration::from_nanos(1);
        let mut copy = datagram.to_vec();
        self.server.handle_datagram(self.now, from, None, &mut copy);
        drain(&mut self.server, self.now)
    }

    /// The whole handshake of a client at `from`, and why it ended if it did.
    fn connect(&mut self, seed: u8, from: SocketAddr) -> Result<Endpoint, Option<CloseReason>> {
        let mut client = self.client(seed);
        let mut end = Err(None);
        for _ in 0..8 {
            for datagram in drain(&mut client, self.now) {
                for answer in self.deliver(from, &datagram) {
                    let mut answer = answer;
                    let server = (Ipv4Addr::new(10, 9, 9, 9), 4_600).into();
                    client.handle_datagram(self.now, server, None, &mut answer);
                }
            }
            while let Some((_, event)) = client.poll_event() {
                match event {
                    Event::Connected { .. } => end = Ok(()),
                    Event::Closed(reason) => end = Err(Some(reason)),
                    _ => {}
                }
            }
        }
        end.map(|()| client)
    }

    fn opened(&mut self) -> usize {
        let mut opened = 0;
        while let Some((_, event)) = self.server.poll_event() {
            opened += usize::from(matches!(event, Event::Connected { .. }));
        }
        opened
    }
}

fn drain(endpoint: &mut Endpoint, now: Instant) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut buf = Vec::new();
    while let Some(sent) = endpoint.poll_transmit(now, 4, &mut buf) {
        let segment = sent.segment_size.unwrap_or(sent.size);
        out.extend(buf.chunks(segment).map(<[u8]>::to_vec));
    }
    out
}

fn host(number: u32) -> SocketAddr {
    (Ipv4Addr::from(0x0a00_0000 + number), 4_000).into()
}

#[test]
fn a_flood_from_one_network_costs_its_burst_and_then_hashes_only() {
    let mut scene = Scene::new(|_| {});
    let burst = usize::try_from(PREFIX_HANDSHAKES_BURST).unwrap();
    let (mut exchanges, mut retries) = (0, 0);
    for number in 0..burst + 200 {
        let syn = scene.syn();
        let from = host(u32::try_from(number % 250).unwrap());
        for answer in scene.deliver(from, &syn) {
            assert!(answer.len() <= syn.len());
            if answer.len() <= RETRY_MAX {
                retries += 1;
            } else {
                exchanges += 1;
            }
        }
    }
    assert_eq!((exchanges, retries), (burst, 200));
    // An honest client in the same network answers the RETRY, and one elsewhere needs not.
    assert!(scene.connect(3, host(7)).is_ok());
    assert!(scene.connect(4, host(0x0100_0000)).is_ok());
    assert_eq!(scene.opened(), 2);
}

#[test]
fn a_flood_from_everywhere_leaves_half_of_the_work_to_proven_addresses() {
    let mut scene = Scene::new(|config| config.max_half_open = 16);
    let syn = scene.syn();
    let count = usize::try_from(HANDSHAKES_BURST).unwrap();
    let exchanges = (0..count)
        .filter(|number| {
            let from = host(u32::try_from(*number).unwrap() << 8);
            let answers = scene.deliver(from, &syn);
            answers.iter().any(|answer| answer.len() > RETRY_MAX)
        })
        .count();
    assert_eq!(exchanges, count / 2);
    assert!(scene.connect(3, host(0x0100_0007)).is_ok());
    // A second later the budget has grown by what a second is worth, and no more.
    scene.now = scene.now + Duration::from_secs(1);
    let again = (0..count)
        .filter(|number| {
            let from = host(0x0100_0000 + (u32::try_from(*number).unwrap() << 8));
            let answers = scene.deliver(from, &syn);
            answers.iter().any(|answer| answer.len() > RETRY_MAX)
        })
        .count();
    let second = usize::try_from(HANDSHAKES_PER_SECOND).unwrap();
    assert!(again <= second.min(count / 2), "{again}");
}

#[test]
fn one_peer_gets_its_places_and_the_next_connection_is_reset_with_the_reason() {
    let mut scene = Scene::new(|config| config.max_connections_per_peer = 3);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(scene.connect(7, host(1)).unwrap());
    }
    assert_eq!(scene.opened(), 3);
    let refused = scene.connect(7, host(2)).err().unwrap();
    assert_eq!(refused, Some(CloseReason::TransportReset { code: 0x0d }));
    assert_eq!(scene.opened(), 0, "the application hears nothing of it");
    assert!(
        scene.connect(8, host(2)).is_ok(),
        "another peer has its own"
    );
}

#[test]
fn one_network_gets_its_places_and_not_one_more() {
    let mut scene = Scene::new(|config| config.max_connections_per_prefix = 3);
    for seed in 1..4 {
        assert!(scene.connect(seed, host(u32::from(seed))).is_ok());
    }
    assert!(
        scene
            .connect(4, host(4))
            .is_err_and(|reason| reason.is_none())
    );
    assert!(scene.connect(5, host(0x100)).is_ok());
    assert_eq!(scene.opened(), 4);
}

#[test]
fn places_are_free_again_when_their_connections_are_over() {
    let mut scene = Scene::new(|config| {
        config.max_connections_per_peer = 2;
        config.max_connections_per_prefix = 2;
    });
    for _ in 0..2 {
        assert!(scene.connect(7, host(1)).is_ok());
    }
    assert!(scene.connect(7, host(1)).is_err());
    // Their clients are gone: after the idle timeout the server knows.
    scene.now = scene.now + Duration::from_secs(60);
    scene.server.handle_timeout(scene.now);
    drain(&mut scene.server, scene.now);
    scene.opened();
    scene.server.poll_timeout();
    assert!(scene.connect(7, host(1)).is_ok());
}
