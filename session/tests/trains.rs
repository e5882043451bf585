//! Datagrams that are handed over as trains, as a kernel that gathers them does, do what they do one by one:
//! sealed, of two connections in turn, with damaged, foreign, repeated, cut and joined ones among them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dunlin_session::fuzzing::SeededRandom;
use dunlin_session::{Identity, SessionAcceptor, SessionConfig, SessionInitiator, provider};
use dunlin_transport::protect::Random;
use dunlin_transport::{
    ConnectionHandle, Endpoint, EndpointConfig, Event, Instant, ReadError, Stats, StreamDirection,
    StreamId,
};

const CONNECTIONS: usize = 2;
/// Bytes that each connection sends.
const LENGTH: usize = 400_000;
/// Rounds of 5 ms: what was damaged has to be repeated.
const ROUNDS: u32 = 4_000;

/// What came of a run.
#[derive(PartialEq, Debug)]
struct Outcome {
    received: BTreeMap<ConnectionHandle, Vec<u8>>,
    stats: Vec<Stats>,
}

struct Scene {
    now: Instant,
    client: Endpoint,
    server: Endpoint,
    streams: Vec<(ConnectionHandle, StreamId, usize)>,
    received: BTreeMap<ConnectionHandle, Vec<u8>>,
    random: SeededRandom,
    in_trains: bool,
    /// Trains of more than one datagram that were handed over.
    trains: u32,
}

fn address(last: u8) -> SocketAddr {
    ([10, 0, 0, last], 1_000).into()
}

impl Scene {
    fn new(seed: u64, in_trains: bool) -> Self {
        let mut random = SeededRandom::new(seed);
        let identity = Identity::from_seed([2; 32]);
        let server_id = identity.node_id();
        let config = SessionConfig::default;
        let acceptor =
            SessionAcceptor::new(Arc::new(identity), config(), provider::pure(), &mut random);
        let endpoint = |label, acceptor| {
            let random = Box::new(SeededRandom::new(seed * 10 + label));
            Endpoint::new(EndpointConfig::default(), random, acceptor)
        };
        let mut client = endpoint(1, None);
        for index in 0..CONNECTIONS {
            let ours = Identity::from_seed([10 + u8::try_from(index).unwrap(); 32]);
            let pure = provider::pure();
            let initiator =
                SessionInitiator::new(Arc::new(ours), config(), pure, Some(server_id), &mut random);
            client
                .connect(Instant::ZERO, address(2), Box::new(initiator))
                .unwrap();
        }
        Self {
            now: Instant::ZERO,
            client,
            server: endpoint(2, Some(Box::new(acceptor))),
            streams: Vec::new(),
            received: BTreeMap::new(),
            random,
            in_trains,
            trains: 0,
        }
    }

    fn run(mut self) -> (Outcome, u32) {
        for _ in 0..ROUNDS {
            self.act();
            let there = Self::leaves(&mut self.client, self.now);
            let there = self.meddled(there);
            self.deliver(true, &there);
            self.act();
            let back = Self::leaves(&mut self.server, self.now);
            let back = self.meddled(back);
            self.deliver(false, &back);
            let whole = |bytes: &Vec<u8>| bytes.len() == LENGTH;
            if self.received.len() == CONNECTIONS && self.received.values().all(whole) {
                break;
            }
            self.now = self.now + Duration::from_millis(5);
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
        }
        let clients = self
            .streams
            .iter()
            .map(|(handle, ..)| (&self.client, handle));
        let servers = self.received.keys().map(|handle| (&self.server, handle));
        let stats = clients
            .chain(servers)
            .map(|(endpoint, handle)| endpoint.connection(*handle).unwrap().stats())
            .collect();
        let outcome = Outcome {
            received: self.received,
            stats,
        };
        (outcome, self.trains)
    }

    /// What the applications do: the clients write, the server reads.
    fn act(&mut self) {
        while let Some((handle, event)) = self.client.poll_event() {
            if let Event::Connected { .. } = event {
                let connection = self.client.connection_mut(handle).unwrap();
                let id = connection
                    .open_stream(StreamDirection::Unidirectional)
                    .unwrap();
                self.streams.push((handle, id, 0));
            }
        }
        for (handle, id, written) in &mut self.streams {
            let connection = self.client.connection_mut(*handle).unwrap();
            while *written < LENGTH {
                let piece =
                    vec![u8::try_from(*written % 251).unwrap(); (LENGTH - *written).min(5_000)];
                let Ok(count) = connection.write(*id, &piece) else {
                    break;
                };
                *written += count;
            }
        }
        while let Some((handle, event)) = self.server.poll_event() {
            if let Event::StreamReadable(id) = event {
                let connection = self.server.connection_mut(handle).unwrap();
                let into = self.received.entry(handle).or_default();
                let mut buffer = [0; 4_096];
                loop {
                    match connection.read(id, &mut buffer) {
                        Ok(count) if count > 0 => into.extend_from_slice(&buffer[..count]),
                        Ok(_) | Err(ReadError::Blocked) => break,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }
    }

    fn leaves(endpoint: &mut Endpoint, now: Instant) -> Vec<Vec<u8>> {
        let (mut datagrams, mut buffer) = (Vec::new(), Vec::new());
        while let Some(sent) = endpoint.poll_transmit(now, 16, &mut buffer) {
            let size = sent.segment_size.unwrap_or(sent.size);
            datagrams.extend(buffer.chunks(size).map(<[u8]>::to_vec));
        }
        datagrams
    }

    /// What becomes of datagrams on their way.
    fn meddled(&mut self, datagrams: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut out: Vec<Vec<u8>> = Vec::new();
        for mut datagram in datagrams {
            let at = self.random.next_u32() as usize % datagram.len();
            match self.random.next_u32() % 100 {
                0 => datagram[at] ^= 1,
                1 => datagram.truncate(at),
                2 => out.push(datagram.clone()),
                // A stranger's, of the same length.
                3 => {
                    let mut other = datagram.clone();
                    self.random.fill(&mut other[32..]);
                    out.push(other);
                }
                4 => {
                    let mut other = vec![0; datagram.len()];
                    self.random.fill(&mut other);
                    out.push(other);
                }
                5 => {
                    if let Some(last) = out.last_mut() {
                        last.extend_from_slice(&datagram);
                        continue;
                    }
                }
                6 => {
                    let among = self.random.next_u32() as usize % (out.len() + 1);
                    out.insert(among, datagram);
                    continue;
                }
                _ => {}
            }
            out.push(datagram);
        }
        out
    }

    fn deliver(&mut self, to_server: bool, datagrams: &[Vec<u8>]) {
        let (from, to) = match to_server {
            true => (address(1), &mut self.server),
            false => (address(2), &mut self.client),
        };
        let now = self.now;
        let mut rest = datagrams;
        while let Some(first) = rest.first() {
            let alike = rest.iter().take_while(|it| it.len() == first.len()).count();
            let shorter = rest.get(alike).is_some_and(|it| it.len() < first.len());
            let (train, behind) = rest.split_at(alike + usize::from(shorter));
            rest = behind;
            if self.in_trains {
                self.trains += u32::from(train.len() > 1);
                to.handle_datagrams(now, from, None, &mut train.concat(), first.len());
            } else {
                for datagram in train {
                    to.handle_datagram(now, from, None, &mut datagram.clone());
                }
            }
        }
    }
}

#[test]
fn a_train_does_what_its_datagrams_do_one_by_one() {
    for seed in 0..6 {
        let (one_by_one, _) = Scene::new(seed, false).run();
        let (in_trains, trains) = Scene::new(seed, true).run();
        assert_eq!(in_trains, one_by_one, "seed {seed}");
        assert!(trains > 50, "seed {seed}: {trains} trains");
        assert_eq!(in_trains.received.len(), CONNECTIONS, "seed {seed}");
        for bytes in in_trains.received.values() {
            assert_eq!(bytes.len(), LENGTH, "seed {seed}");
        }
    }
}
