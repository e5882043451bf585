//! What the modules share: a hostile peer, an overlay with peers played by hand, and CBOR by hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dunlin_lab::adversary::Duel;
use dunlin_lab::profile::Profile;
use dunlin_overlay::{
    Action, Direction, Event, LinkId, LinkInfo, Overlay, OverlayConfig, WallClock,
};
use dunlin_session::{CipherSuite, Identity, NodeId};
use dunlin_transport::{CloseReason, EndpointConfig, Instant, PeerViolation};

pub(crate) const SEALED: Profile = Profile::Sealed(CipherSuite::Aes128Gcm);
/// Calendar time at the start, in milliseconds.
pub(crate) const START_MILLIS: u64 = 1_800_000_000_000;

/// An endpoint under attack by a peer with keys.
pub(crate) fn duel() -> Duel {
    Duel::new(SEALED, &EndpointConfig::default(), 1).expect("an honest handshake")
}

/// The rule that the endpoint says was broken.
pub(crate) fn violation(duel: &Duel) -> Option<PeerViolation> {
    duel.events.iter().find_map(|event| match event {
        dunlin_transport::Event::Closed(CloseReason::Violation(violation)) => Some(*violation),
        _ => None,
    })
}

pub(crate) fn is_open(duel: &Duel) -> bool {
    duel.connection()
        .is_some_and(dunlin_transport::Connection::is_established)
}

/// CBOR (RFC 8949), as much as the overlay's messages need.
pub(crate) mod cbor {
    fn head(major: u8, value: u64) -> Vec<u8> {
        let bytes = value.to_be_bytes();
        let major = major << 5;
        match value {
            0..=23 => vec![major | bytes[7]],
            24..=0xff => vec![major | 24, bytes[7]],
            0x100..=0xffff => [&[major | 25], &bytes[6..]].concat(),
            0x1_0000..=0xffff_ffff => [&[major | 26], &bytes[4..]].concat(),
            _ => [&[major | 27], &bytes[..]].concat(),
        }
    }

    pub(crate) fn uint(value: u64) -> Vec<u8> {
        head(0, value)
    }

    pub(crate) fn bytes(value: &[u8]) -> Vec<u8> {
        [&head(2, value.len() as u64), value].concat()
    }

    pub(crate) fn text(value: &str) -> Vec<u8> {
        [&head(3, value.len() as u64), value.as_bytes()].concat()
    }

    pub(crate) fn array(items: &[Vec<u8>]) -> Vec<u8> {
        [head(4, items.len() as u64), items.concat()].concat()
    }

    /// A map with the keys 0, 1, 2, …
    pub(crate) fn map(values: &[Vec<u8>]) -> Vec<u8> {
        let pairs = values.iter().enumerate();
        let pairs: Vec<Vec<u8>> = pairs
            .map(|(key, value)| [&uint(key as u64), value.as_slice()].concat())
            .collect();
        [head(5, values.len() as u64), pairs.concat()].concat()
    }

    /// `[kind, {fields}]`.
    pub(crate) fn message(kind: u64, fields: &[Vec<u8>]) -> Vec<u8> {
        array(&[uint(kind), map(fields)])
    }
}

pub(crate) fn identity(n: u16) -> Identity {
    let [a, b] = n.to_be_bytes();
    let mut seed = [9; 32];
    (seed[0], seed[1]) = (a, b);
    Identity::from_seed(seed)
}

pub(crate) fn address(n: u16) -> SocketAddr {
    let [a, b] = n.to_be_bytes();
    SocketAddr::from(([93, 184, a, b], 4_000))
}

fn wire_address(address: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(address) = address else {
        return cbor::array(&[cbor::uint(9), cbor::uint(0)]);
    };
    let bytes = [&address.ip().octets()[..], &address.port().to_be_bytes()].concat();
    cbor::array(&[cbor::uint(0), cbor::bytes(&bytes)])
}

/// A record that says it is of `claimed` and is signed by `signer`.
pub(crate) fn record(
    claimed: &Identity,
    signer: &Identity,
    (sequence, millis): (u64, u64),
    at: SocketAddr,
) -> Vec<u8> {
    let body = cbor::map(&[
        cbor::text("dunlin"),
        cbor::bytes(&claimed.public().to_bytes()),
        cbor::uint(sequence),
        cbor::uint(millis),
        cbor::array(&[wire_address(at)]),
        cbor::uint(15),
        cbor::uint(2),
    ]);
    let signature = signer.sign(b"dunlin overlay v1 peer record", &body);
    cbor::array(&[cbor::bytes(&body), cbor::bytes(&signature)])
}

/// A hello with this record.
pub(crate) fn hello(record: Option<Vec<u8>>) -> Vec<u8> {
    let mut fields = vec![
        cbor::uint(1),
        cbor::uint(1),
        cbor::text("dunlin"),
        cbor::uint(15),
        cbor::uint(0),
        cbor::text("by hand"),
    ];
    fields.extend(record);
    cbor::message(1, &fields)
}

/// What a broadcast of `origin` says, signed by `signer`.
pub(crate) struct Broadcast<'a> {
    pub(crate) origin: &'a Identity,
    pub(crate) signer: &'a Identity,
    pub(crate) millis: u64,
    pub(crate) sequence: u64,
    pub(crate) hop_limit: u64,
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
}

impl Broadcast<'_> {
    /// The body and its signature.
    pub(crate) fn signed(&self) -> (Vec<u8>, [u8; 64]) {
        let body = cbor::map(&[
            cbor::text("dunlin"),
            cbor::bytes(&self.origin.public().to_bytes()),
            cbor::uint(self.millis),
            cbor::uint(1),
            cbor::uint(self.sequence),
            cbor::uint(self.hop_limit),
            cbor::text(self.topic),
            cbor::bytes(self.payload),
        ]);
        let signature = self.signer.sign(b"dunlin overlay v1 broadcast", &body);
        (body, signature)
    }
}

/// The frame of a broadcast after `hops` links.
pub(crate) fn frame(hops: u64, body: &[u8], signature: &[u8; 64]) -> Vec<u8> {
    cbor::message(
        7,
        &[cbor::uint(hops), cbor::bytes(body), cbor::bytes(signature)],
    )
}

/// An overlay and what it said last.
pub(crate) struct Bench {
    pub(crate) overlay: Overlay,
    pub(crate) now: Instant,
    pub(crate) actions: Vec<Action>,
    pub(crate) events: Vec<Event>,
    links: u64,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut OverlayConfig)) -> Self {
        let mut config = OverlayConfig::new(WallClock {
            at: Instant::ZERO,
            unix_millis: START_MILLIS,
        });
        config.listen = vec![address(9_999)];
        change(&mut config);
        Self {
            overlay: Overlay::new(config, Arc::new(identity(9_999)), [1; 32]),
            now: Instant::ZERO,
            actions: Vec::new(),
            events: Vec::new(),
            links: 0,
        }
    }

    fn take(&mut self) {
        self.actions = std::iter::from_fn(|| self.overlay.poll_action()).collect();
        self.events = std::iter::from_fn(|| self.overlay.poll_event()).collect();
        self.overlay.check_invariants().expect("invariants hold");
    }

    pub(crate) fn link(&mut self, n: u16) -> NodeId {
        self.links += 1;
        let public = *identity(n).public();
        let info = LinkInfo {
            id: LinkId(self.links),
            direction: Direction::Inbound,
            remote: address(n),
            public,
        };
        self.overlay
            .handle_connected(self.now, public.node_id(), info);
        self.take();
        public.node_id()
    }

    pub(crate) fn deliver(&mut self, from: NodeId, bytes: &[u8]) {
        self.overlay.handle_message(self.now, from, bytes);
        self.take();
    }

    pub(crate) fn advance(&mut self, duration: Duration) {
        self.now = self.now + duration;
        self.overlay.handle_timeout(self.now);
        self.take();
    }

    /// A peer that has finished its hellos.
    pub(crate) fn connect(&mut self, n: u16) -> NodeId {
        let peer = self.link(n);
        let own = identity(n);
        let record = record(&own, &own, (1, START_MILLIS), address(n));
        self.deliver(peer, &hello(Some(record)));
        self.accept(peer);
        peer
    }

    /// The peer accepts our hello.
    pub(crate) fn accept(&mut self, peer: NodeId) {
        let reply = cbor::map(&[cbor::uint(0)]);
        // Keys 0 and 2: nobody is told where it is seen.
        let alternatives = [vec![2], cbor::array(&[])].concat();
        let mut reply = [reply, alternatives].concat();
        reply[0] = 0xa2;
        self.deliver(peer, &cbor::array(&[cbor::uint(2), reply]));
    }

    pub(crate) fn delivered(&self) -> usize {
        let is_broadcast = |event: &&Event| matches!(event, Event::Broadcast { .. });
        self.events.iter().filter(is_broadcast).count()
    }

    /// Bytes to send to `peer` that the last call made.
    pub(crate) fn sent_to(&self, peer: NodeId) -> Vec<Vec<u8>> {
        let to_peer = |action: &Action| match action {
            Action::Send {
                peer: to, bytes, ..
            } if *to == peer => Some(bytes.to_vec()),
            _ => None,
        };
        self.actions.iter().filter_map(to_peer).collect()
    }
}
