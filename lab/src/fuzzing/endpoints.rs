//! Endpoints with many connections, amid strangers: floods of SYNs, retries, changes of address,
//! replays, and packets of one connection spliced into another.
//!
//! One server and three clients, with the real handshake in one run of two. Each byte chooses what
//! happens next. After every operation the bounds hold, nobody who has not proven an address gets
//! more bytes than came from it, and what the applications hear was said by whom the handshake
//! names. When the bytes are used up faults stop; then every connection has ended or works.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use dunlin_session::CipherSuite;
use dunlin_transport::plain::{PlainProtection, TRAILER_LEN};
use dunlin_transport::protect::{PacketProtection, PeerIdentity};
use dunlin_transport::wire::{HEADER_LEN, Header, PacketType};
use dunlin_transport::{
    CloseReason, Connection, ConnectionHandle, Delivery, Endpoint, EndpointConfig, Event, Instant,
    PacketNumber,
};

use super::Input;
use super::drive::{self, Driven};
use crate::profile::Profile;
use crate::rng::Rng;

/// Clients; the server's number is one past them.
const CLIENTS: usize = 3;
const SERVER: usize = CLIENTS;
const MAX_CONNECTIONS: usize = 6;
const MAX_HALF_OPEN: usize = 3;
/// Operations of one run; what remains of the input is ignored.
const OPERATIONS_MAX: usize = 512;
/// Handshakes that clients begin in one run: each takes a millisecond of cryptography.
const HANDSHAKES_MAX: usize = 4;
/// SYNs of strangers in one run, for the same reason.
const STRANGERS_MAX: usize = 8;
/// Datagrams on their way in one direction; further ones are lost.
const IN_FLIGHT_MAX: usize = 64;
/// Datagrams that an attacker remembers.
const REMEMBERED_MAX: usize = 32;

/// Runs the operations that `data` spells.
///
/// # Panics
/// When an endpoint breaks a promise.
pub fn endpoints(data: &[u8]) {
    let mut input = Input { bytes: data.iter() };
    let mut world = World::new(input.byte());
    for _ in 0..OPERATIONS_MAX {
        let Some(operation) = input.next() else { break };
        world.operate(operation, &mut input);
        world.settle();
        world.check();
    }
    assert!(
        world.comes_to_rest(),
        "a connection neither ends nor works: {:#?}",
        world
            .nodes
            .iter()
            .map(|node| &node.connections)
            .collect::<Vec<_>>()
    );
}

/// A datagram and the address it comes from.
type Flying = (SocketAddr, Vec<u8>);

struct World {
    profile: Profile,
    now: Instant,
    nodes: Vec<Node>,
    /// Towards each node.
    flight: Vec<VecDeque<Flying>>,
    /// What an attacker has seen: destination and datagram.
    remembered: VecDeque<(usize, Flying)>,
    /// Bytes that the server has sent to an address and received from it.
    accounts: BTreeMap<SocketAddr, (u64, u64)>,
    /// Addresses that a handshake or a challenge has proven to the server.
    proven: BTreeSet<SocketAddr>,
    rng: Rng,
    handshakes: usize,
    strangers: usize,
    buffer: Vec<u8>,
}

struct Node {
    endpoint: Endpoint,
    address: SocketAddr,
    connections: BTreeMap<ConnectionHandle, Link>,
}

/// What an application knows of a connection.
#[derive(Default, Debug)]
struct Link {
    connected: bool,
    closed: Option<CloseReason>,
    /// The node at the other end, as its messages say.
    other: Option<u8>,
    /// Messages sent, those the other end has acknowledged, and the numbers of those received.
    sent: u8,
    delivered: u8,
    received: BTreeSet<u8>,
}

impl World {
    fn new(settings: u8) -> Self {
        let profile = match settings % 4 {
            0 | 1 => Profile::Plain,
            2 => Profile::Sealed(CipherSuite::Aes128Gcm),
            _ => Profile::Sealed(CipherSuite::ChaCha20Poly1305),
        };
        let mut rng = Rng::new(settings.into());
        let mut config = EndpointConfig::default();
        config.max_connections = MAX_CONNECTIONS;
        config.max_half_open = MAX_HALF_OPEN;
        config.half_open_under_load = usize::from(settings / 64);
        let nodes = (0..=CLIENTS).map(|node| Node {
            endpoint: profile.endpoint(node, &config, node == SERVER, &mut rng),
            address: address(node, 0),
            connections: BTreeMap::new(),
        });
        Self {
            profile,
            now: Instant::ZERO,
            nodes: nodes.collect(),
            flight: vec![VecDeque::new(); CLIENTS + 1],
            remembered: VecDeque::new(),
            accounts: BTreeMap::new(),
            proven: BTreeSet::new(),
            rng: Rng::new(u64::from(settings) + 1_000),
            handshakes: 0,
            strangers: 0,
            buffer: Vec::new(),
        }
    }

    fn operate(&mut self, operation: u8, input: &mut Input<'_>) {
        let node = usize::from(operation >> 6);
        match operation & 0x1f {
            0 | 1 => self.connect(node),
            2..=5 => self.send(node, input.byte()),
            6 => self.close(node, input.byte()),
            7 => self.move_to(node, input.byte()),
            8..=14 => self.deliver(node),
            15 => drop(self.flight[node].pop_front()),
            16 => {
                let copy = self.flight[node].front().cloned();
                self.flight[node].extend(copy);
            }
            17 => self.flip(node, input.byte()),
            18 => {
                let datagram = self.flight[node].pop_front();
                self.flight[node].extend(datagram);
            }
            19 => self.replay(input.byte(), None),
            20 => self.replay(input.byte(), Some(stranger(input.byte()))),
            21 => self.splice(input.byte(), input.byte()),
            22 => self.flood(input.byte()),
            23 | 24 => self.advance(Duration::from_millis(u64::from(input.byte()))),
            25 => self.advance_to_timeout(),
            _ => self.deliver_all(),
        }
    }

    fn with(&mut self, node: usize, which: u8, call: impl FnOnce(&mut Connection, &mut Link, u8)) {
        let Node {
            endpoint,
            connections,
            ..
        } = &mut self.nodes[node];
        let index = usize::from(which) % connections.len().max(1);
        let Some((handle, link)) = connections.iter_mut().nth(index) else {
            return;
        };
        if let Some(connection) = endpoint.connection_mut(*handle) {
            call(connection, link, number_of(node));
        }
    }

    fn connect(&mut self, node: usize) {
        if node == SERVER || self.handshakes >= HANDSHAKES_MAX {
            return;
        }
        self.handshakes += 1;
        let initiator = self.profile.initiator(node, SERVER, &mut self.rng);
        let to = self.nodes[SERVER].address;
        let client = &mut self.nodes[node];
        let handle = client.endpoint.connect(self.now, to, initiator);
        let handle = handle.expect("fewer than the limit, and the address is good");
        client.connections.insert(handle, Link::default());
    }

    fn send(&mut self, node: usize, which: u8) {
        let length = 2 + usize::from(which) * 13;
        self.with(node, which, |connection, link, node| {
            let mut data = vec![link.sent; length];
            if let Some(first) = data.first_mut() {
                *first = node;
            }
            let room = link.connected && link.sent < u8::MAX;
            if room && connection.send_message(data, Delivery::Reliable).is_ok() {
                link.sent += 1;
            }
        });
    }

    fn close(&mut self, node: usize, which: u8) {
        let now = self.now;
        self.with(node, which, |connection, _, _| match which % 8 {
            0 | 1 => connection.close(1, "closed"),
            2 => connection.abort(now, 2, "aborted"),
            _ => {}
        });
    }

    /// A client's packets come from another address from now on, and only that one reaches it.
    fn move_to(&mut self, node: usize, place: u8) {
        if node != SERVER {
            self.nodes[node].address = address(node, place % 3);
        }
    }

    fn deliver(&mut self, to: usize) {
        if let Some((from, datagram)) = self.flight[to].pop_front() {
            self.hand_over(to, from, datagram);
        }
    }

    fn hand_over(&mut self, to: usize, from: SocketAddr, mut datagram: Vec<u8>) {
        self.account(to, from, &datagram);
        self.nodes[to]
            .endpoint
            .handle_datagram(self.now, from, None, &mut datagram);
    }

    fn account(&mut self, to: usize, from: SocketAddr, datagram: &[u8]) {
        if to == SERVER {
            self.accounts.entry(from).or_default().1 += datagram.len() as u64;
        }
    }

    fn flip(&mut self, to: usize, bit: u8) {
        if let Some((_, datagram)) = self.flight[to].front_mut() {
            let at = usize::from(bit / 8) * 7 % datagram.len().max(1);
            if let Some(byte) = datagram.get_mut(at) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// An attacker sends again what it has seen, from where it came or from its own address.
    fn replay(&mut self, which: u8, from: Option<SocketAddr>) {
        let index = usize::from(which) % self.remembered.len().max(1);
        if let Some((to, (source, datagram))) = self.remembered.get(index).cloned() {
            if self.is_surplus_syn(&datagram) {
                return;
            }
            self.hand_over(to, from.unwrap_or(source), datagram);
            self.settle();
        }
    }

    /// A datagram with the connection ID of another one; its checksums, where they can be made
    /// without keys, are right.
    fn splice(&mut self, which: u8, onto: u8) {
        let count = self.remembered.len().max(1);
        let pick = |which: u8| self.remembered.get(usize::from(which) % count).cloned();
        let (Some((_, (from, mut datagram))), Some((to, (_, other)))) = (pick(which), pick(onto))
        else {
            return;
        };
        let id = HEADER_LEN - size_of::<u32>()..HEADER_LEN;
        if let (Some(into), Some(id)) = (datagram.get_mut(id.clone()), other.get(id)) {
            into.copy_from_slice(id);
        }
        // A forger of the plain profile is a peer for all that anyone can tell.
        if self.profile != Profile::Plain && !self.is_surplus_syn(&datagram) {
            self.hand_over(to, from, datagram);
            self.settle();
        }
    }

    /// A SYN that somebody sent, from an address of the attacker's and with another connection ID
    /// of the initiator.
    fn flood(&mut self, variant: u8) {
        let is_syn = |datagram: &[u8]| {
            Header::parse(datagram, 0).is_ok_and(|header| header.kind == PacketType::Syn)
        };
        let mut syns = self
            .remembered
            .iter()
            .rev()
            .filter(|(_, (_, it))| is_syn(it));
        let syn = syns.next().map(|(_, (_, datagram))| datagram.clone());
        if let Some(mut datagram) = syn
            && !self.is_surplus_syn(&datagram)
        {
            if let Some(byte) = datagram.get_mut(HEADER_LEN + 1) {
                *byte ^= variant / 4;
            }
            PlainProtection.seal(PacketNumber(0), &mut datagram);
            debug_assert!(datagram.len() > HEADER_LEN + TRAILER_LEN);
            self.hand_over(SERVER, stranger(variant), datagram);
            self.settle();
        }
    }

    /// Whether this is a SYN and enough of them were sent by strangers. Counts it.
    fn is_surplus_syn(&mut self, datagram: &[u8]) -> bool {
        if Header::parse(datagram, 0).is_ok_and(|header| header.kind == PacketType::Syn) {
            self.strangers += 1;
            return self.strangers > STRANGERS_MAX;
        }
        false
    }

    fn take_events(&mut self, index: usize) {
        let (profile, node) = (self.profile, &mut self.nodes[index]);
        while let Some((handle, event)) = node.endpoint.poll_event() {
            let link = node.connections.entry(handle).or_default();
            assert!(link.closed.is_none(), "an event after the end: {event:?}");
            match event {
                Event::Connected { .. } => {
                    assert!(!link.connected, "connected twice");
                    link.connected = true;
                    let connection = node.endpoint.connection(handle).expect("it is connected");
                    if index == SERVER {
                        self.proven.insert(connection.remote_address());
                    } else {
                        let peer = connection.peer().expect("it is connected");
                        assert!(profile.is_peer(peer, SERVER), "another server");
                    }
                }
                Event::PathChanged(address) if index == SERVER => {
                    self.proven.insert(address);
                }
                Event::MessageReceived => {
                    let connection = node.endpoint.connection_mut(handle);
                    let connection = connection.expect("messages come on open connections");
                    let peer = connection.peer().cloned();
                    while let Some(message) = connection.receive_message() {
                        link.on_message(profile, peer.as_ref(), &message.data);
                    }
                }
                Event::MessageDelivered(_) => link.delivered += 1,
                Event::Closed(reason) => {
                    let accused = drive::is_accusation(&reason);
                    assert!(!accused, "all are honest: {reason:?}");
                    link.closed = Some(reason);
                    node.endpoint.release(handle);
                }
                _ => {}
            }
        }
    }

    fn transmit(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let source = node.address;
        let mut sent = Vec::new();
        drive::transmit(
            &mut node.endpoint,
            self.now,
            &mut self.buffer,
            |destination, datagram| sent.push((destination, datagram.to_vec())),
        );
        for (destination, datagram) in sent {
            if index == SERVER {
                self.accounts.entry(destination).or_default().0 += datagram.len() as u64;
                self.check_amplification(destination);
            }
            let to = self.nodes.iter().position(|it| it.address == destination);
            let Some(to) = to else { continue };
            let flying = (source, datagram);
            if self.remembered.len() >= REMEMBERED_MAX {
                self.remembered.pop_front();
            }
            self.remembered.push_back((to, flying.clone()));
            if self.flight[to].len() < IN_FLIGHT_MAX {
                self.flight[to].push_back(flying);
            }
        }
    }

    fn check_amplification(&self, address: SocketAddr) {
        let (sent, received) = self.accounts.get(&address).copied().unwrap_or_default();
        assert!(
            self.proven.contains(&address) || sent <= received,
            "{sent} bytes to {address}, which has sent {received} and proven nothing"
        );
    }

    fn check(&self) {
        let server = &self.nodes[SERVER].endpoint;
        assert!(server.half_open_count() <= MAX_HALF_OPEN);
        assert!(server.connection_count() <= MAX_CONNECTIONS);
        for node in &self.nodes {
            for link in node.connections.values() {
                assert!(link.delivered <= link.sent);
            }
        }
    }
}

impl Driven for World {
    fn clock(&mut self) -> &mut Instant {
        &mut self.now
    }

    fn for_each_endpoint(&mut self, call: &mut dyn FnMut(&mut Endpoint)) {
        let nodes = self.nodes.iter_mut();
        nodes.for_each(|node| call(&mut node.endpoint));
    }

    fn settle(&mut self) {
        for node in 0..self.nodes.len() {
            self.take_events(node);
            self.transmit(node);
        }
    }

    fn deliver_all(&mut self) {
        for to in 0..self.nodes.len() {
            let datagrams: Vec<_> = self.flight[to].drain(..).collect();
            for (from, datagram) in &datagrams {
                self.account(to, *from, datagram);
            }
            drive::hand_over_trains(&mut self.nodes[to].endpoint, self.now, &datagrams);
        }
    }

    fn is_quiet(&self) -> bool {
        self.flight.iter().all(VecDeque::is_empty)
    }

    /// Every connection has ended, or all that was accepted on it has arrived.
    fn is_done(&self) -> bool {
        let links = self.nodes.iter().flat_map(|node| node.connections.values());
        links
            .filter(|link| link.closed.is_none())
            .all(|link| link.connected && link.delivered == link.sent)
    }
}

impl Link {
    fn on_message(&mut self, profile: Profile, peer: Option<&PeerIdentity>, data: &[u8]) {
        let [sender, number, ..] = *data else {
            panic!("a message of {} bytes was not sent", data.len());
        };
        assert!(data.iter().skip(1).all(|byte| *byte == number));
        assert_eq!(*self.other.get_or_insert(sender), sender, "two voices");
        let peer = peer.expect("it is connected");
        assert!(
            profile.is_peer(peer, usize::from(sender)),
            "{sender} is not"
        );
        assert!(self.received.insert(number), "{number} came twice");
    }
}

fn number_of(node: usize) -> u8 {
    u8::try_from(node).expect("there are four")
}

/// The addresses of a client: the first one, and those it moves to.
fn address(node: usize, place: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, number_of(node), place], 4_433))
}

fn stranger(number: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, number % 4], 7))
}
