//! Two endpoints with the real handshake, and everything an observer can see of one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dunlin_session::fuzzing::SeededRandom;
use dunlin_session::{Identity, SessionAcceptor, SessionConfig, SessionInitiator, provider};
use dunlin_transport::wire::PacketType;
use dunlin_transport::{
    Connection, ConnectionHandle, Delivery, Endpoint, EndpointConfig, Event, Instant, Stats,
};

pub(crate) const CLIENT: ([u8; 4], u16) = ([10, 0, 0, 1], 1_000);
pub(crate) const SERVER: ([u8; 4], u16) = ([10, 0, 0, 2], 2_000);

/// What can be seen of an endpoint, but for the counters of rejected and repeated packets.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Digest {
    connections: usize,
    half_open: usize,
    timeout: Option<Instant>,
    links: Vec<String>,
}

/// One endpoint and its connections.
pub(crate) struct End {
    pub(crate) endpoint: Endpoint,
    pub(crate) address: SocketAddr,
    pub(crate) handles: Vec<ConnectionHandle>,
    pub(crate) events: Vec<String>,
    messages: BTreeMap<ConnectionHandle, Vec<Vec<u8>>>,
}

impl End {
    fn new(endpoint: Endpoint, address: ([u8; 4], u16)) -> Self {
        Self {
            endpoint,
            address: address.into(),
            handles: Vec::new(),
            events: Vec::new(),
            messages: BTreeMap::new(),
        }
    }

    /// Takes events and messages.
    pub(crate) fn settle(&mut self) {
        while let Some((handle, event)) = self.endpoint.poll_event() {
            if !self.handles.contains(&handle) {
                self.handles.push(handle);
            }
            if matches!(event, Event::MessageReceived) {
                let connection = self.endpoint.connection_mut(handle).expect("it is open");
                let got = self.messages.entry(handle).or_default();
                got.extend(std::iter::from_fn(|| connection.receive_message()).map(|it| it.data));
            }
            self.events.push(match event {
                Event::Connected { incoming, .. } => format!("connected, incoming: {incoming}"),
                other => format!("{other:?}"),
            });
        }
    }

    /// The datagrams that leave now.
    pub(crate) fn transmit(&mut self, now: Instant) -> Vec<Vec<u8>> {
        self.settle();
        let mut out = Vec::new();
        let mut buf = Vec::new();
        while let Some(transmit) = self.endpoint.poll_transmit(now, 8, &mut buf) {
            let segment = transmit.segment_size.unwrap_or(transmit.size);
            out.extend(buf.chunks(segment).map(<[u8]>::to_vec));
        }
        out
    }

    pub(crate) fn connection(&mut self) -> &mut Connection {
        let handle = *self.handles.first().expect("there is a connection");
        self.endpoint.connection_mut(handle).expect("it is kept")
    }

    pub(crate) fn messages(&self) -> Vec<Vec<u8>> {
        self.messages.values().flatten().cloned().collect()
    }

    pub(crate) fn digest(&mut self) -> Digest {
        self.settle();
        let links = self.handles.iter().map(|handle| {
            let Some(connection) = self.endpoint.connection(*handle) else {
                return "gone".to_owned();
            };
            let mut stats: Stats = connection.stats();
            stats.packets_rejected = 0;
            stats.packets_duplicate = 0;
            format!(
                "{:?} {} {:?} {stats:?}",
                connection.state(),
                connection.remote_address(),
                connection.close_reason()
            )
        });
        let links = links.chain(self.events.iter().cloned()).collect();
        Digest {
            connections: self.endpoint.connection_count(),
            half_open: self.endpoint.half_open_count(),
            timeout: self.endpoint.poll_timeout(),
            links,
        }
    }
}

/// A client and a server.
pub(crate) struct Scene {
    pub(crate) now: Instant,
    pub(crate) client: End,
    pub(crate) server: End,
}

fn config(under_load: bool) -> EndpointConfig {
    let mut config = EndpointConfig::default();
    if under_load {
        config.half_open_under_load = 0;
    }
    config
}

impl Scene {
    /// A client that has begun a handshake; `under_load`: the server asks for proof of addresses.
    pub(crate) fn new(seed: u64, under_load: bool) -> Self {
        let answering = Arc::new(Identity::from_seed([2; 32]));
        let acceptor = SessionAcceptor::new(
            answering,
            SessionConfig::default(),
            provider::pure(),
            &mut SeededRandom::new(seed + 100),
        );
        let random = |label| Box::new(SeededRandom::new(seed * 10 + label));
        let server = Endpoint::new(config(under_load), random(1), Some(Box::new(acceptor)));
        let client = Endpoint::new(config(under_load), random(2), None);
        let mut scene = Self {
            now: Instant::ZERO,
            client: End::new(client, CLIENT),
            server: End::new(server, SERVER),
        };
        scene.connect(seed);
        scene
    }

    /// Begins one more connection from the client.
    pub(crate) fn connect(&mut self, seed: u64) {
        let initiator = SessionInitiator::new(
            Arc::new(Identity::from_seed([1; 32])),
            SessionConfig::default(),
            provider::pure(),
            Some(Identity::from_seed([2; 32]).node_id()),
            &mut SeededRandom::new(seed + 200),
        );
        let handle = self
            .client
            .endpoint
            .connect(self.now, self.server.address, Box::new(initiator))
            .expect("a good address");
        self.client.handles.push(handle);
    }

    /// A connection that both ends believe in, with nothing more to say.
    pub(crate) fn established(seed: u64) -> Self {
        let mut scene = Self::new(seed, false);
        scene.run();
        scene
    }

    pub(crate) fn deliver_to_server(&mut self, datagram: &[u8]) {
        let (from, mut copy) = (self.client.address, datagram.to_vec());
        // Of the SYNs that come at the same moment not all are looked at.
        if datagram.get(2) == Some(&(PacketType::Syn as u8)) {
            self.now = self.now + Duration::from_nanos(1);
        }
        self.server
            .endpoint
            .handle_datagram(self.now, from, None, &mut copy);
    }

    pub(crate) fn deliver_to_client(&mut self, datagram: &[u8]) {
        let (from, mut copy) = (self.server.address, datagram.to_vec());
        self.client
            .endpoint
            .handle_datagram(self.now, from, None, &mut copy);
    }

    /// Everything is delivered until nobody has anything to send; acknowledgements that wait leave.
    pub(crate) fn run(&mut self) -> [Vec<Vec<u8>>; 2] {
        let mut seen = [Vec::new(), Vec::new()];
        for _ in 0..20 {
            for _ in 0..20 {
                let there = self.client.transmit(self.now);
                there
                    .iter()
                    .for_each(|datagram| self.deliver_to_server(datagram));
                let back = self.server.transmit(self.now);
                back.iter()
                    .for_each(|datagram| self.deliver_to_client(datagram));
                let quiet = there.is_empty() && back.is_empty();
                seen[0].extend(there);
                seen[1].extend(back);
                if quiet {
                    break;
                }
            }
            self.advance(Duration::from_millis(30));
        }
        self.client.settle();
        self.server.settle();
        seen
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.now = self.now + by;
        self.client.endpoint.handle_timeout(self.now);
        self.server.endpoint.handle_timeout(self.now);
    }

    /// Both ends have the same keys: what one says the other hears, both ways, and nothing else was
    /// heard before.
    pub(crate) fn assert_works(&mut self) {
        self.run();
        assert_eq!(self.server.handles.len(), 1, "one connection");
        for (text, to_server) in [(b"there".to_vec(), true), (b"back".to_vec(), false)] {
            let end = if to_server {
                &mut self.client
            } else {
                &mut self.server
            };
            let sent = end.connection().send_message(text, Delivery::Reliable);
            sent.expect("the connection is open");
        }
        self.run();
        assert_eq!(self.server.messages(), [b"there"]);
        assert_eq!(self.client.messages(), [b"back"]);
    }
}
