//! Datagrams that are handed over as trains, as a kernel that gathers them does, do what they do one by one:
//! sealed, of two connections in turn, with damaged, foreign, repeated, cut and joined ones among them, with keys
//! that change on the way, and windows that are full at times. Most packets follow the one before them, as
//! [`counting`] shows.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "trains/counting.rs"]
mod counting;

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

use counting::{Counting, Counts};

const CONNECTIONS: usize = 2;
/// Bytes that each connection sends.
const LENGTH: usize = 400_000;
/// Rounds of 5 ms: what was damaged has to be repeated.
const ROUNDS: u32 = 4_000;
/// What a stream may be ahead of its reader at first: some trains.
const WINDOW: u64 = 100_000;
/// Packets after which keys change: several times in each transfer.
const KEY_PACKETS: u64 = 90;

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
    readers: BTreeMap<ConnectionHandle, StreamId>,
    received: BTreeMap<ConnectionHandle, Vec<u8>>,
    ended: usize,
    random: SeededRandom,
    counts: Counts,
    style: Style,
}

/// How a run goes.
#[derive(Clone, Copy)]
struct Style {
    seed: u64,
    in_trains: bool,
    /// Things happen to datagrams on their way.
    is_meddled: bool,
    /// What the server reads of a stream in a round.
    reads: usize,
}

fn address(last: u8) -> SocketAddr {
    ([10, 0, 0, last], 1_000).into()
}

impl Scene {
    fn new(style: Style) -> Self {
        let seed = style.seed;
        let counts = Counts::default();
        let mut random = SeededRandom::new(seed);
        let identity = Identity::from_seed([2; 32]);
        let server_id = identity.node_id();
        let config = || SessionConfig {
            key_update_packets: KEY_PACKETS,
            ..SessionConfig::default()
        };
        let acceptor =
            SessionAcceptor::new(Arc::new(identity), config(), provider::pure(), &mut random);
        let endpoint = |label, acceptor| {
            let random = Box::new(SeededRandom::new(seed * 10 + label));
            let mut config = EndpointConfig::default();
            config.transport.initial_stream_receive_window = WINDOW;
            Endpoint::new(config, random, acceptor)
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
            server: endpoint(2, Some(Box::new(Counting(acceptor, counts.clone())))),
            streams: Vec::new(),
            readers: BTreeMap::new(),
            received: BTreeMap::new(),
            ended: 0,
            random,
            counts,
            style,
        }
    }

    /// What came of it, and how many packets followed another one.
    fn run(mut self) -> (Outcome, u64) {
        for _ in 0..ROUNDS {
            self.act();
            let there = Self::leaves(&mut self.client, self.now);
            let there = self.meddled(there);
            self.deliver(true, &there);
            self.act();
            let back = Self::leaves(&mut self.server, self.now);
            let back = self.meddled(back);
            self.deliver(false, &back);
            if self.ended == CONNECTIONS {
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
        (outcome, self.counts.followed())
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
                if *written == LENGTH {
                    connection.finish(*id).unwrap();
                }
            }
        }
        while let Some((handle, event)) = self.server.poll_event() {
            if let Event::StreamReadable(id) = event {
                self.readers.insert(handle, id);
            }
        }
        let mut buffer = vec![0; self.style.reads];
        self.readers.retain(|handle, id| {
            let connection = self.server.connection_mut(*handle).unwrap();
            let into = self.received.entry(*handle).or_default();
            match connection.read(*id, &mut buffer) {
                Ok(0) => {
                    self.ended += 1;
                    false
                }
                Ok(count) => {
                    into.extend_from_slice(&buffer[..count]);
                    true
                }
                Err(ReadError::Blocked) => false,
                Err(error) => panic!("{error}"),
            }
        });
    }

    fn leaves(endpoint: &mut Endpoint, now: Instant) -> Vec<Vec<u8>> {
        let (mut datagrams, mut buffer) = (Vec::new(), Vec::new());
        while let Some(sent) = endpoint.poll_transmit(now, 40, &mut buffer) {
            let size = sent.segment_size.unwrap_or(sent.size);
            datagrams.extend(buffer.chunks(size).map(<[u8]>::to_vec));
        }
        datagrams
    }

    /// What becomes of datagrams on their way.
    fn meddled(&mut self, datagrams: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        if !self.style.is_meddled {
            return datagrams;
        }
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
            if self.style.in_trains {
                to.handle_datagrams(now, from, None, &mut train.concat(), first.len());
            } else {
                for datagram in train {
                    to.handle_datagram(now, from, None, &mut datagram.clone());
                }
            }
        }
    }
}

/// The same run twice, and what of the packets followed in trains.
fn compare(style: Style) -> u64 {
    let one_by_one = Style {
        in_trains: false,
        ..style
    };
    let seed = style.seed;
    let (one_by_one, singly) = Scene::new(one_by_one).run();
    let (in_trains, followed) = Scene::new(style).run();
    assert_eq!(in_trains, one_by_one, "seed {seed}");
    assert_eq!(singly, 0, "seed {seed}");
    assert_eq!(in_trains.received.len(), CONNECTIONS, "seed {seed}");
    for bytes in in_trains.received.values() {
        assert_eq!(bytes.len(), LENGTH, "seed {seed}");
    }
    followed
}

#[test]
fn a_train_does_what_its_datagrams_do_one_by_one() {
    for seed in 0..8 {
        let style = Style {
            seed,
            in_trains: true,
            is_meddled: true,
            reads: [LENGTH, 30_000][usize::from(seed % 2 == 1)],
        };
        let followed = compare(style);
        assert!(followed > 100, "seed {seed}: {followed} followed");
    }
}

#[test]
fn in_trains_that_arrive_as_they_left_nearly_every_packet_follows_another() {
    for (seed, reads) in [(8, LENGTH), (9, 30_000), (10, 9_000)] {
        let style = Style {
            seed,
            in_trains: true,
            is_meddled: false,
            reads,
        };
        let followed = compare(style);
        assert!(followed > 400, "seed {seed}: {followed} followed");
    }
}
