//! Stateless resets between real endpoints (`docs/threats.md` T29): a responder that has lost its
//! connections says so at once; nobody else can.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dunlin_session::fuzzing::SeededRandom;
use dunlin_session::{Identity, SessionAcceptor, SessionConfig, SessionInitiator, provider};
use dunlin_transport::limits::{RESETS_BURST, RESETS_PER_SECOND};
use dunlin_transport::wire::reset;
use dunlin_transport::{
    CloseReason, ConnectionHandle, Delivery, Endpoint, EndpointConfig, Event, Instant,
};

struct End {
    endpoint: Endpoint,
    address: SocketAddr,
    handle: Option<ConnectionHandle>,
    closed: Option<CloseReason>,
}

impl End {
    /// A node with this key. `start` tells its processes apart.
    fn new(seed: u8, start: u64, open: bool) -> Self {
        let mut random = SeededRandom::new(start);
        let config = SessionConfig {
            open,
            ..SessionConfig::default()
        };
        let acceptor = SessionAcceptor::new(
            Arc::new(Identity::from_seed([seed; 32])),
            config,
            provider::aws_lc(),
            &mut random,
        );
        let (config, acceptor) = (EndpointConfig::default(), Some(Box::new(acceptor) as _));
        Self {
            endpoint: Endpoint::new(config, Box::new(random), acceptor),
            address: ([10, 0, 0, seed], 1_000).into(),
            handle: None,
            closed: None,
        }
    }

    fn settle(&mut self) {
        while let Some((handle, event)) = self.endpoint.poll_event() {
            match event {
                Event::Connected { .. } => self.handle = Some(handle),
                Event::Closed(reason) => self.closed = Some(reason),
                _ => {}
            }
        }
    }

    fn send(&mut self, length: usize) {
        let connection = self.endpoint.connection_mut(self.handle.unwrap()).unwrap();
        connection
            .send_message(vec![7; length], Delivery::Reliable)
            .unwrap();
    }
}

struct Scene {
    now: Instant,
    ends: [End; 2],
    /// What was delivered to the first end.
    seen: Vec<Vec<u8>>,
}

impl Scene {
    /// Two nodes of which the first has connected to the second.
    fn new(open: bool) -> Self {
        let mut one = End::new(1, 1, true);
        let two = End::new(2, 2, open);
        let now = Instant::ZERO + Duration::from_secs(1);
        let initiator = SessionInitiator::new(
            Arc::new(Identity::from_seed([1; 32])),
            SessionConfig::default(),
            provider::aws_lc(),
            Some(Identity::from_seed([2; 32]).node_id()),
            &mut SeededRandom::new(3),
        );
        let initiator = Box::new(initiator);
        one.endpoint.connect(now, two.address, initiator).unwrap();
        let seen = Vec::new();
        let mut scene = Self {
            now,
            ends: [one, two],
            seen,
        };
        scene.exchange();
        assert!(scene.ends.iter().all(|end| end.handle.is_some()));
        scene
    }

    /// Everything that an end has to send now.
    fn drain(&mut self, from: usize) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        let mut buf = Vec::new();
        let end = &mut self.ends[from];
        while let Some(sent) = end.endpoint.poll_transmit(self.now, 4, &mut buf) {
            let segment = sent.segment_size.unwrap_or(sent.size);
            out.extend(buf.chunks(segment).map(<[u8]>::to_vec));
        }
        end.settle();
        out
    }

    fn deliver(&mut self, to: usize, from: SocketAddr, datagram: &[u8]) {
        let end = &mut self.ends[to];
        let mut copy = datagram.to_vec();
        end.endpoint
            .handle_datagram(self.now, from, None, &mut copy);
        end.settle();
    }

    /// Lets both talk until they have nothing to say for a second.
    fn exchange(&mut self) {
        for _ in 0..100 {
            for from in 0..2 {
                for datagram in self.drain(from) {
                    let address = self.ends[from].address;
                    if from == 1 {
                        self.seen.push(datagram.clone());
                    }
                    self.deliver(1 - from, address, &datagram);
                }
            }
            self.now = self.now + Duration::from_millis(10);
            for end in &mut self.ends {
                end.endpoint.handle_timeout(self.now);
                end.settle();
            }
        }
    }

    /// A packet of the first end, and the answers of the second.
    fn ask(&mut self) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        self.ends[0].send(100);
        let asked = self.drain(0);
        assert!(!asked.is_empty());
        let from = self.ends[0].address;
        for datagram in &asked {
            self.deliver(1, from, datagram);
        }
        let answers = self.drain(1);
        (asked, answers)
    }
}

#[test]
fn who_was_restarted_says_so_at_the_next_packet() {
    let mut scene = Scene::new(true);
    scene.ends[1] = End::new(2, 99, true);
    let (asked, answers) = scene.ask();
    assert_eq!(answers.len(), asked.len());
    for (asked, answer) in asked.iter().zip(&answers) {
        assert!(answer.len() < asked.len());
    }
    let from = scene.ends[1].address;
    scene.deliver(0, from, &answers[0]);
    assert_eq!(scene.ends[0].closed, Some(CloseReason::PeerRestarted));
    assert!(scene.drain(0).is_empty(), "nothing answers a reset");
}

#[test]
fn the_end_that_was_called_hears_it_too() {
    let mut scene = Scene::new(true);
    scene.ends[0] = End::new(1, 99, true);
    scene.ends[1].send(100);
    scene.exchange();
    assert_eq!(scene.ends[1].closed, Some(CloseReason::PeerRestarted));
}

#[test]
fn a_reset_in_answer_to_a_fin_is_as_good_as_its_answer() {
    let mut scene = Scene::new(true);
    let handle = scene.ends[0].handle.unwrap();
    let connection = scene.ends[0].endpoint.connection_mut(handle).unwrap();
    connection.close(0, "done");
    scene.ends[1] = End::new(2, 99, true);
    scene.exchange();
    assert_eq!(scene.ends[0].closed, Some(CloseReason::Local));
}

#[test]
fn another_node_at_the_address_cannot_reset() {
    let mut scene = Scene::new(true);
    scene.ends[1] = End::new(3, 99, true);
    let (_, answers) = scene.ask();
    let from: SocketAddr = ([10, 0, 0, 2], 1_000).into();
    assert!(!answers.is_empty(), "it tries");
    for answer in &answers {
        scene.deliver(0, from, answer);
    }
    assert_eq!(scene.ends[0].closed, None);
}

#[test]
fn a_forged_or_misdirected_reset_changes_nothing() {
    let mut scene = Scene::new(true);
    let own = End::new(2, 99, true);
    let living = std::mem::replace(&mut scene.ends[1], own);
    let (_, answers) = scene.ask();
    let genuine = answers[0].clone();
    scene.ends[1] = living;
    let from = scene.ends[1].address;
    for bit in 0..genuine.len() * 8 {
        let mut forged = genuine.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        scene.deliver(0, from, &forged);
        assert_eq!(scene.ends[0].closed, None, "bit {bit}");
    }
    for elsewhere in [([10, 0, 0, 9], 1_000), ([10, 0, 0, 2], 1_001)] {
        scene.deliver(0, elsewhere.into(), &genuine);
        assert_eq!(scene.ends[0].closed, None);
    }
    // The end that issued the connection ID does not believe it either.
    let from = scene.ends[0].address;
    scene.deliver(1, from, &genuine);
    scene.exchange();
    assert_eq!(scene.ends[1].closed, None);
    // That it was genuine shows now.
    let from = scene.ends[1].address;
    scene.deliver(0, from, &genuine);
    assert_eq!(scene.ends[0].closed, Some(CloseReason::PeerRestarted));
}

#[test]
fn a_reset_for_an_id_that_was_left_ends_nothing() {
    let mut scene = Scene::new(true);
    let own = End::new(2, 99, true);
    let living = std::mem::replace(&mut scene.ends[1], own);
    let (_, answers) = scene.ask();
    scene.ends[1] = living;
    let connection = scene.ends[0].handle.unwrap();
    let connection = scene.ends[0].endpoint.connection_mut(connection).unwrap();
    assert!(connection.use_fresh_id());
    scene.exchange();
    let from = scene.ends[1].address;
    scene.deliver(0, from, &answers[0]);
    assert_eq!(scene.ends[0].closed, None);
    // For the fresh one there is a token as well.
    scene.ends[1] = End::new(2, 77, true);
    scene.ends[0].send(100);
    scene.exchange();
    assert_eq!(scene.ends[0].closed, Some(CloseReason::PeerRestarted));
}

#[test]
fn a_node_in_stealth_sends_no_resets() {
    let mut scene = Scene::new(false);
    scene.ends[1] = End::new(2, 99, false);
    let (_, answers) = scene.ask();
    assert!(answers.is_empty());
}

#[test]
fn answers_no_short_packet_no_reset_and_no_handshake_message() {
    let mut scene = Scene::new(true);
    let from = scene.ends[0].address;
    let mut garbage = vec![0x5a; 1_200];
    garbage[..2].copy_from_slice(&[0x0d, 1]);
    for length in 0..reset::ANSWERED_MIN {
        scene.deliver(1, from, &garbage[..length]);
        assert!(scene.drain(1).is_empty(), "{length} bytes");
    }
    for length in reset::ANSWERED_MIN..garbage.len() {
        scene.deliver(1, from, &garbage[..length]);
        let answers = scene.drain(1);
        assert_eq!(answers.len(), 1, "{length} bytes");
        assert!(answers[0].len() < length);
        scene.deliver(1, from, &answers[0]);
        scene.deliver(0, from, &answers[0]);
        assert!(scene.drain(1).is_empty() && scene.drain(0).is_empty());
    }
    // What the responder had sent, all of it, said to a process that knows nothing of it: only what
    // was sealed is answered.
    scene.ends[0] = End::new(1, 98, true);
    let seen = std::mem::take(&mut scene.seen);
    let from = scene.ends[1].address;
    for (index, datagram) in seen.iter().enumerate() {
        scene.deliver(0, from, datagram);
        assert_eq!(scene.drain(0).len(), usize::from(index > 0), "{index}");
    }
}

#[test]
fn resets_have_a_budget_that_time_fills_again() {
    let mut scene = Scene::new(true);
    let mut garbage = vec![0x5a; 64];
    garbage[..2].copy_from_slice(&[0x0d, 1]);
    let answered = |scene: &mut Scene, packets: u64| {
        let mut count = 0;
        for source in 0..packets {
            let [.., high, low] = source.to_be_bytes();
            let from = ([10, 1, high, low], 9).into();
            scene.deliver(1, from, &garbage);
            count += scene.drain(1).len() as u64;
        }
        count
    };
    assert_eq!(answered(&mut scene, RESETS_BURST + 9), RESETS_BURST);
    scene.now = scene.now + Duration::from_secs(1) / 2;
    assert_eq!(answered(&mut scene, RESETS_BURST), RESETS_PER_SECOND / 2);
}
