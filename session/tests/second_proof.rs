//! The post-quantum proof between real endpoints, on a path that loses, repeats and reorders; and
//! what each end hears when it fails, or when a peer is refused later.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dunlin_session::fuzzing::SeededRandom;
use dunlin_session::{
    Identity, PeerInfo, PostQuantum, Refusal, SessionAcceptor, SessionConfig, SessionInitiator,
    provider,
};
use dunlin_transport::protect::Random;
use dunlin_transport::{
    CloseReason, ConnectionHandle, Delivery, Endpoint, EndpointConfig, Event, Instant,
};

struct End {
    endpoint: Endpoint,
    address: SocketAddr,
    handle: Option<ConnectionHandle>,
    peer_proven: Option<bool>,
    messages: Vec<Vec<u8>>,
    closed: Option<CloseReason>,
    /// Proofs on demand that came.
    proofs: u32,
}

impl End {
    fn new(endpoint: Endpoint, last: u8) -> Self {
        Self {
            endpoint,
            address: ([10, 0, 0, last], 1_000).into(),
            handle: None,
            peer_proven: None,
            messages: Vec::new(),
            closed: None,
            proofs: 0,
        }
    }

    fn settle(&mut self) {
        while let Some((handle, event)) = self.endpoint.poll_event() {
            match event {
                Event::Connected { peer, .. } => {
                    assert!(self.peer_proven.is_none() && self.messages.is_empty());
                    self.handle = Some(handle);
                    let peer = PeerInfo::from_identity(&peer).unwrap();
                    self.peer_proven = Some(peer.post_quantum);
                }
                Event::Closed(reason) => self.closed = Some(reason),
                Event::PeerProven => self.proofs += 1,
                Event::MessageReceived => {
                    let connection = self.endpoint.connection_mut(handle).unwrap();
                    while let Some(message) = connection.receive_message() {
                        self.messages.push(message.data);
                    }
                }
                _ => {}
            }
        }
    }
}

/// What one end has and wants.
#[derive(Clone, Copy)]
struct Kind {
    hybrid: bool,
    wants: PostQuantum,
}

const HYBRID: Kind = Kind {
    hybrid: true,
    wants: PostQuantum::Preferred,
};

impl Kind {
    fn identity(self, seed: u8) -> Identity {
        if self.hybrid {
            Identity::hybrid([seed; 32], [seed + 9; 32], &*provider::pure())
        } else {
            Identity::from_seed([seed; 32])
        }
    }

    fn config(self) -> SessionConfig {
        SessionConfig {
            post_quantum: self.wants,
            ..SessionConfig::default()
        }
    }
}

struct Scene {
    now: Instant,
    ends: [End; 2],
    random: SeededRandom,
    /// Of 256 datagrams.
    lost: u8,
}

impl Scene {
    fn new(seed: u64, [initiator, responder]: [Kind; 2], lost: u8) -> Self {
        let mut random = SeededRandom::new(seed);
        let acceptor = SessionAcceptor::new(
            Arc::new(responder.identity(2)),
            responder.config(),
            provider::pure(),
            &mut random,
        );
        let initiator = SessionInitiator::new(
            Arc::new(initiator.identity(1)),
            initiator.config(),
            provider::pure(),
            Some(responder.identity(2).node_id()),
            &mut random,
        );
        let endpoint = |label, acceptor| {
            let random = Box::new(SeededRandom::new(seed * 10 + label));
            let mut config = EndpointConfig::default();
            // Long enough for a path that loses every third datagram.
            config.transport.handshake_timeout = Duration::from_secs(50);
            Endpoint::new(config, random, acceptor)
        };
        let mut client = End::new(endpoint(1, None), 1);
        let server = End::new(endpoint(2, Some(Box::new(acceptor))), 2);
        let handle = client
            .endpoint
            .connect(Instant::ZERO, server.address, Box::new(initiator));
        client.handle = Some(handle.unwrap());
        Self {
            now: Instant::ZERO,
            ends: [client, server],
            random,
            lost,
        }
    }

    /// Delivers until `done` or for two minutes.
    fn run(&mut self, done: impl Fn(&[End; 2]) -> bool) {
        for _ in 0..120_000 / 20 {
            for from in 0..2 {
                self.deliver(from);
            }
            if done(&self.ends) {
                return;
            }
            self.now = self.now + Duration::from_millis(20);
            for end in &mut self.ends {
                end.endpoint.handle_timeout(self.now);
            }
        }
    }

    fn deliver(&mut self, from: usize) {
        let mut datagrams = Vec::new();
        let mut buf = Vec::new();
        self.ends[from].settle();
        while let Some(sent) = self.ends[from]
            .endpoint
            .poll_transmit(self.now, 4, &mut buf)
        {
            let segment = sent.segment_size.unwrap_or(sent.size);
            datagrams.extend(buf.chunks(segment).map(<[u8]>::to_vec));
        }
        let address = self.ends[from].address;
        let mut fate = [0; 3];
        for at in 0..datagrams.len() {
            self.random.fill(&mut fate);
            let [lost, repeated, swapped] = fate;
            if lost < self.lost {
                continue;
            }
            if swapped < self.lost && at + 1 < datagrams.len() {
                datagrams.swap(at, at + 1);
            }
            for _ in 0..=u8::from(repeated < self.lost) {
                let mut copy = datagrams[at].clone();
                let to = &mut self.ends[1 - from];
                to.endpoint
                    .handle_datagram(self.now, address, None, &mut copy);
                to.settle();
            }
        }
    }

    fn say(&mut self, from: usize, text: &[u8]) {
        let end = &mut self.ends[from];
        let connection = end.endpoint.connection_mut(end.handle.unwrap()).unwrap();
        connection
            .send_message(text.to_vec(), Delivery::Reliable)
            .unwrap();
    }
}

#[test]
fn both_ends_prove_themselves_whatever_the_path_loses() {
    for seed in 1..60 {
        let lost = u8::try_from(seed % 4 * 25).unwrap();
        let mut scene = Scene::new(seed, [HYBRID, HYBRID], lost);
        scene.run(|ends| ends.iter().all(|end| end.peer_proven.is_some()));
        let proven = scene.ends.each_ref().map(|end| end.peer_proven);
        assert_eq!(proven, [Some(true); 2], "seed {seed}");
        scene.say(0, b"there");
        scene.say(1, b"back");
        scene.run(|ends| ends.iter().all(|end| !end.messages.is_empty()));
        let heard = scene.ends.each_ref().map(|end| end.messages.clone());
        assert_eq!(heard, [vec![b"back".to_vec()], vec![b"there".to_vec()]]);
    }
}

#[test]
fn what_is_sent_before_the_other_end_is_convinced_reaches_its_application() {
    // The initiator asks for nothing and is ready at once; it sends, and closes.
    let eager = Kind {
        wants: PostQuantum::Off,
        ..HYBRID
    };
    for seed in 1..40 {
        let mut scene = Scene::new(seed, [eager, HYBRID], 70);
        scene.run(|[client, _]| client.peer_proven.is_some());
        scene.say(0, b"first words");
        let end = &mut scene.ends[0];
        let connection = end.endpoint.connection_mut(end.handle.unwrap()).unwrap();
        connection.close(0, "said it");
        scene.run(|[_, server]| server.closed.is_some());
        assert_eq!(scene.ends[1].messages, [b"first words"], "seed {seed}");
        assert_eq!(scene.ends[1].peer_proven, Some(true));
    }
}

#[test]
fn a_classical_initiator_hears_why_it_is_refused() {
    let classical = Kind {
        hybrid: false,
        wants: PostQuantum::Off,
    };
    let strict = Kind {
        hybrid: true,
        wants: PostQuantum::Required,
    };
    let mut scene = Scene::new(1, [classical, strict], 0);
    scene.run(|[client, _]| client.closed.is_some());
    let Some(CloseReason::Reset { code, reason }) = &scene.ends[0].closed else {
        panic!("{:?}", scene.ends[0].closed)
    };
    assert_eq!(Refusal::from_code(*code), Some(Refusal::ClassicalOnly));
    assert_eq!(reason, Refusal::ClassicalOnly.reason());
    assert!(scene.ends[1].peer_proven.is_none());
    // The other way round the initiator learns it from the SYN_ACK, and says nothing of itself.
    let mut scene = Scene::new(1, [strict, classical], 0);
    scene.run(|[client, _]| client.closed.is_some());
    let own = Refusal::ClassicalOnly.own_reason();
    assert_eq!(scene.ends[0].closed, Some(CloseReason::Handshake(own)));
    assert!(scene.ends[1].peer_proven.is_none());
}

#[test]
fn a_peer_that_never_proves_what_it_must_is_forgotten_unannounced() {
    let mut scene = Scene::new(3, [HYBRID, HYBRID], 0);
    // SYN, SYN_ACK; then the confirm message and nothing behind it.
    scene.deliver(0);
    scene.deliver(1);
    let (mut buf, now) = (Vec::new(), scene.now);
    let sent = scene.ends[0].endpoint.poll_transmit(now, 1, &mut buf);
    assert!(sent.is_some());
    let address = scene.ends[0].address;
    let server = &mut scene.ends[1];
    server
        .endpoint
        .handle_datagram(now, address, None, &mut buf);
    assert_eq!(server.endpoint.connection_count(), 1);
    for seconds in 1..60 {
        let now = now + Duration::from_secs(seconds);
        server.endpoint.handle_timeout(now);
        while server.endpoint.poll_transmit(now, 4, &mut buf).is_some() {}
        server.settle();
    }
    assert!(server.peer_proven.is_none() && server.closed.is_none());
    assert_eq!(server.endpoint.connection_count(), 0);
}

#[test]
fn either_end_can_ask_a_live_peer_to_prove_itself_again_on_a_bad_path() {
    for seed in 1..20 {
        let mut scene = Scene::new(seed, [HYBRID, HYBRID], 60);
        scene.run(|ends| ends.iter().all(|end| end.peer_proven.is_some()));
        for round in 1..9 {
            scene.now = scene.now + dunlin_session::limits::PROOF_INTERVAL;
            let now = scene.now;
            for end in &mut scene.ends {
                let connection = end.endpoint.connection_mut(end.handle.unwrap()).unwrap();
                assert!(connection.challenge_peer(now, [round; 32]));
                let again = connection.challenge_peer(now, [round; 32]);
                assert!(!again, "one is owed");
            }
            scene.run(|ends| ends.iter().all(|end| end.proofs >= u32::from(round)));
            let proofs = scene.ends.each_ref().map(|end| end.proofs);
            assert_eq!(proofs, [u32::from(round); 2], "seed {seed}");
        }
    }
}

#[test]
fn a_peer_that_is_refused_later_loses_its_connection_and_hears_why() {
    let mut scene = Scene::new(5, [HYBRID, HYBRID], 0);
    scene.run(|ends| ends.iter().all(|end| end.peer_proven.is_some()));
    let (name, refusal) = (*HYBRID.identity(1).node_id().as_bytes(), Refusal::Revoked);
    let now = scene.now;
    let endpoint = &mut scene.ends[1].endpoint;
    assert_eq!(endpoint.refuse_peer(now, &[0; 32], 1, "nobody"), 0);
    let ended = endpoint.refuse_peer(now, &name, refusal.code(), refusal.reason());
    assert_eq!(ended, 1);
    scene.run(|[client, _]| client.closed.is_some());
    let told = scene.ends[0].closed.clone();
    assert!(matches!(told, Some(CloseReason::Reset { code, .. }) if code == refusal.code()));
    assert_eq!(scene.ends[1].closed, Some(CloseReason::Local));
}
