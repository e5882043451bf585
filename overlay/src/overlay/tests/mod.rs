//! One overlay against peers that are played by hand, so that they can misbehave.

mod admission;
mod book;
mod conduct;
mod gossip;
mod messages;
mod peers;
mod repairing;
mod roving;
mod shares;
mod through;
mod topics;
mod trees;

use core::time::Duration;
use std::net::SocketAddr;
use std::sync::Arc;

use dunlin_session::{Identity, NodeId};

use crate::wire::{
    self, BroadcastBody, BroadcastFrame, Hello, HelloReply, Message, RecordFields, VerifiedRecord,
    sign_broadcast,
};
use crate::{
    Action, Capabilities, Direction, Event, Instant, LinkId, LinkInfo, Overlay, OverlayConfig,
    Roles, WallClock,
};

const SECOND: Duration = Duration::from_secs(1);
/// Calendar time at the start of every test.
const START_MILLIS: u64 = 1_800_000_000_000;

/// The default configuration with the calendar of the tests.
fn config() -> OverlayConfig {
    OverlayConfig::new(WallClock {
        at: Instant::ZERO,
        unix_millis: START_MILLIS,
    })
}

pub(super) fn identity(n: u8) -> Identity {
    Identity::from_seed([n; 32])
}

pub(super) fn id(n: u8) -> NodeId {
    identity(n).node_id()
}

pub(super) fn address(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 4000))
}

/// A record of node `n` at `address`.
pub(super) fn record(n: u8, sequence: u64, address: SocketAddr) -> VerifiedRecord {
    VerifiedRecord::sign(
        &identity(n),
        &RecordFields {
            network: "dunlin",
            sequence,
            unix_millis: START_MILLIS,
            addresses: &[address],
            external: &[],
            capabilities: Capabilities::ALL,
            roles: Roles::FULL,
        },
    )
}

pub(super) fn hello_of(n: u8) -> Vec<u8> {
    let record = record(n, 1, address(n));
    encode_hello(|hello| hello.record = Some(record.signed()))
}

pub(super) fn encode_hello<'a>(change: impl FnOnce(&mut Hello<'a>)) -> Vec<u8> {
    let mut hello = Hello {
        version_min: 1,
        version_max: 1,
        network: "dunlin",
        capabilities: Capabilities::ALL.0,
        roles: 0,
        user_agent: "by hand",
        record: None,
    };
    change(&mut hello);
    Message::Hello(hello).encode()
}

pub(super) fn accepting_reply() -> Vec<u8> {
    Message::HelloReply(HelloReply {
        verdict: 0,
        observed: None,
        alternatives: Vec::new(),
    })
    .encode()
}

/// A signed body of origin `n`, changed at will before it is signed.
pub(super) fn body_of<'a>(
    n: u8,
    payload: &'a [u8],
    change: impl FnOnce(&mut BroadcastBody<'a>),
) -> (Vec<u8>, [u8; 64]) {
    let mut body = BroadcastBody {
        network: "dunlin",
        origin: identity(n).public().to_bytes(),
        unix_millis: START_MILLIS,
        epoch: 1,
        sequence: 1,
        hop_limit: 16,
        topic: "news",
        payload,
        priority: None,
    };
    change(&mut body);
    sign_broadcast(&identity(n), &body)
}

pub(super) fn frame(hops: u8, body: &[u8], signature: [u8; 64]) -> Vec<u8> {
    Message::Broadcast(BroadcastFrame {
        hops,
        body,
        signature,
    })
    .encode()
}

/// The overlay under test, and what it said last.
pub(super) struct Bench {
    pub(super) overlay: Overlay,
    pub(super) now: Instant,
    pub(super) actions: Vec<Action>,
    pub(super) events: Vec<Event>,
    next_link: u64,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(config())
    }

    pub(super) fn with(config: OverlayConfig) -> Self {
        let config = OverlayConfig {
            listen: vec![address(100)],
            ..config
        };
        Self {
            overlay: Overlay::new(config, Arc::new(identity(100)), [1; 32]),
            now: Instant::ZERO,
            actions: Vec::new(),
            events: Vec::new(),
            next_link: 0,
        }
    }

    /// Calls the overlay and takes all that it says; earlier sayings are forgotten.
    pub(super) fn call<T>(&mut self, call: impl FnOnce(&mut Overlay, Instant) -> T) -> T {
        let result = call(&mut self.overlay, self.now);
        self.actions = core::iter::from_fn(|| self.overlay.poll_action()).collect();
        self.events = core::iter::from_fn(|| self.overlay.poll_event()).collect();
        self.overlay.check_invariants().unwrap();
        result
    }

    pub(super) fn link(&mut self, n: u8, direction: Direction) -> LinkId {
        self.next_link += 1;
        let id = LinkId(self.next_link);
        let public = *identity(n).public();
        let info = LinkInfo {
            id,
            direction,
            remote: address(n),
            public,
        };
        self.call(|overlay, now| overlay.handle_connected(now, public.node_id(), info));
        id
    }

    pub(super) fn deliver(&mut self, n: u8, bytes: &[u8]) {
        self.call(|overlay, now| overlay.handle_message(now, id(n), bytes));
    }

    /// A peer that has finished its hellos, with a record.
    pub(super) fn connect(&mut self, n: u8) -> LinkId {
        let link = self.link(n, Direction::Inbound);
        self.deliver(n, &hello_of(n));
        self.deliver(n, &accepting_reply());
        assert!(
            self.events.contains(&Event::PeerUp { peer: id(n) }),
            "{:?}",
            self.events
        );
        link
    }

    pub(super) fn advance(&mut self, duration: Duration) {
        self.now = self.now + duration;
        self.call(|overlay, now| overlay.handle_timeout(now));
    }

    /// The encoded messages of the last call to peer `n`.
    pub(super) fn sent_to(&self, n: u8) -> Vec<bytes::Bytes> {
        let to_n = |action: &Action| match action {
            Action::Send { peer, bytes, .. } if *peer == id(n) => Some(bytes.clone()),
            _ => None,
        };
        self.actions.iter().filter_map(to_n).collect()
    }

    /// How many broadcasts were delivered in the last call.
    pub(super) fn delivered(&self) -> usize {
        self.events
            .iter()
            .filter(|event| matches!(event, Event::Broadcast { .. }))
            .count()
    }

    pub(super) fn is_connected(&self, n: u8) -> bool {
        let connected = |peer: &crate::PeerView| peer.state == crate::PeerState::Connected;
        self.overlay
            .peers()
            .any(|peer| peer.id == id(n) && connected(&peer))
    }
}

/// Decodes what our side is sure to have encoded.
pub(super) fn decoded(bytes: &[u8]) -> Message<'_> {
    wire::decode(bytes).expect("decodes").expect("is known")
}
