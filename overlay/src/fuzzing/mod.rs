//! Bodies of the fuzz targets. They live here so that they also run on stable, as unit tests over
//! seeded inputs; a target calls one of them with the fuzzer's bytes.

mod between_neighbours;
mod management;
mod structures;
mod wire_bodies;

use core::cell::RefCell;
use core::time::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

pub use structures::{seen_set, token_bucket};
pub use wire_bodies::{overlay_message, overlay_record};

use bytes::Bytes;
use dunlin_session::Identity;

use crate::saved::SavedPeer;
use crate::wire::{
    self, BroadcastBody, BroadcastFrame, Direct, Disconnect, DisconnectAck, GetPeers, Hello,
    HelloReply, Message, Peers, Ping, RecordFields, Request, Response, VerifiedRecord,
    sign_broadcast,
};
use crate::{
    Action, Capabilities, DialTarget, Direction, DisconnectReason, Event, HintSource, Instant,
    LinkEnd, LinkEndCause, LinkId, LinkInfo, Overlay, OverlayConfig, PeerPriority, RequestId,
    RequestRefusal, Roles, WallClock, limits,
};

const START_MILLIS: u64 = 1_800_000_000_000;
const NETWORK: &str = "dunlin";
/// Peers that the operations play with.
const PEERS: u8 = 5;
/// From this number on a message's kind is one between neighbours in gossip.
const GOSSIP_KINDS: u8 = 192;
/// From this one on it is a message through a third node.
const RELAY_KINDS: u8 = 240;
/// Operations of one run; what remains of the input is ignored.
const OPERATIONS_MAX: usize = 512;
/// Timers that are let go off once the input is used up. A thousand of them took 25 ms a run.
const TIMERS_MAX: usize = 24;
/// Signed records that are kept for later runs; at the limit all are forgotten.
const RECORDS_KEPT: usize = 4_096;

/// What every run needs and none changes. To make it takes longer than most runs.
struct Cast {
    /// The last one is our own identity: for links to ourselves.
    identities: Vec<Identity>,
    us: Arc<Identity>,
    /// Records by node, sequence and hour: a signature takes longer than most operations.
    records: RefCell<BTreeMap<(u8, u64, u64), VerifiedRecord>>,
}

thread_local! {
    static CAST: Rc<Cast> = Rc::new(Cast {
        identities: (0..PEERS - 1)
            .map(|n| Identity::from_seed([n; 32]))
            .chain([Identity::from_seed([200; 32])])
            .collect(),
        us: Arc::new(Identity::from_seed([200; 32])),
        records: RefCell::default(),
    });
}

/// An overlay driven by arbitrary inputs of driver, peers and application; the invariants are
/// checked after each.
pub fn overlay_operations(data: &[u8]) {
    let mut world = World::new();
    let mut input = Input { rest: data };
    for _ in 0..OPERATIONS_MAX {
        if input.rest.is_empty() {
            break;
        }
        world.operation(&mut input);
        world.drain();
        world.check_invariants();
    }
    world.finish();
}

/// The fuzzer's bytes; zeros once they are used up.
struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((&first, rest)) => {
                self.rest = rest;
                first
            }
            None => 0,
        }
    }

    fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.rest.len());
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        taken
    }
}

struct World {
    overlay: Overlay,
    now: Instant,
    cast: Rc<Cast>,
    next_link: u64,
    /// Links that the driver believes to be open.
    links: Vec<(u8, LinkId)>,
    dials: Vec<DialTarget>,
    requests: Vec<(dunlin_session::NodeId, RequestId)>,
    challenged: Vec<(dunlin_session::NodeId, LinkId)>,
    /// The last question for peers that each peer was asked.
    asked: [u64; PEERS as usize],
    /// The last question whom it trusts that each peer was asked.
    asked_of_trust: [u64; PEERS as usize],
}

impl World {
    fn new() -> Self {
        let clock = WallClock {
            at: Instant::ZERO,
            unix_millis: START_MILLIS,
        };
        let config = OverlayConfig {
            max_peers: 3,
            target_peers: 2,
            min_peers: 1,
            roles: Roles::RELAY,
            seen_capacity: 4,
            store_messages: 3,
            store_bytes: 1_000,
            listen: vec![SocketAddr::from(([10, 0, 0, 200], 1))],
            ..OverlayConfig::new(clock)
        };
        let cast = CAST.with(Rc::clone);
        Self {
            overlay: Overlay::new(config, Arc::clone(&cast.us), [0; 32]),
            now: Instant::ZERO,
            cast,
            next_link: 0,
            links: Vec::new(),
            dials: Vec::new(),
            requests: Vec::new(),
            challenged: Vec::new(),
            asked: [0; PEERS as usize],
            asked_of_trust: [0; PEERS as usize],
        }
    }

    fn unix_millis(&self) -> u64 {
        START_MILLIS + self.now.as_nanos() / 1_000_000
    }

    fn operation(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        let who = input.byte() % PEERS;
        let identity = &self.cast.identities[usize::from(who)];
        let (id, now) = (identity.node_id(), self.now);
        match choice % 16 {
            0 | 1 => self.connect(who, choice & 16 == 0),
            2 => self.end_link(input),
            3..=6 => self.peer_message(who, input),
            7 => self.overlay.handle_message(now, id, input.bytes()),
            8 => self.advance(input),
            9 => self.finish_dial(who, input),
            10 => {
                let _ = self
                    .overlay
                    .broadcast(now, self.unix_millis(), "topic", input.bytes());
            }
            11 => {
                let _ = self.overlay.request(now, id, "handler", input.bytes());
                let _ = self.overlay.send(now, id, "handler", input.bytes());
            }
            12 => self.answer(input),
            13 => {
                let reasons = DisconnectReason::ALL;
                let reason = reasons[usize::from(input.byte()) % reasons.len()];
                self.overlay.disconnect(now, id, reason);
            }
            14 => self.ban_or_unban(now, id, input),
            _ if choice >= 128 => self.operator(choice, who, input),
            _ => {
                let address = SocketAddr::from(([10, 0, 0, who], 1));
                let id = (choice & 16 == 0).then_some(id);
                let _ = self.overlay.add_bootstrap(now, address, id);
            }
        }
    }

    /// What the operator, name servers and the own store say of peers.
    fn operator(&mut self, choice: u8, who: u8, input: &mut Input<'_>) {
        let (id, now) = (self.cast.identities[usize::from(who)].node_id(), self.now);
        let address = SocketAddr::from(([10, 0, 0, input.byte() % 16], u16::from(input.byte())));
        let expected = (choice & 16 == 0).then_some(id);
        match input.byte() % 8 {
            0 => {
                let priorities = [PeerPriority::Low, PeerPriority::Normal, PeerPriority::High];
                let priority = priorities[usize::from(input.byte()) % 3];
                let _ = self.overlay.add_peer(now, address, expected, priority);
            }
            1 => drop(self.overlay.remove_peer(now, id)),
            2 => drop(self.overlay.remove_address(address)),
            3 => drop(self.overlay.add_hint(now, address, HintSource::Dns)),
            4 => {
                let record = self.record(who, u64::from(input.byte())).to_bytes();
                let _ = self.overlay.add_record(now, &record, HintSource::Lan);
                let _ = self.overlay.add_record(now, input.bytes(), HintSource::Dns);
            }
            5 => {
                let saved = SavedPeer {
                    id,
                    addresses: vec![address; usize::from(input.byte() % 6)],
                    record: Some(Bytes::copy_from_slice(input.bytes())),
                    introducer: None,
                    tried: choice & 32 == 0,
                    anchor: choice & 64 == 0,
                    seen_at: None,
                    failures: u32::from(input.byte()),
                    persistent: input.byte() < 32,
                };
                self.overlay.restore_peer(now, saved);
            }
            6 => {
                for saved in self.overlay.saved_peers() {
                    self.overlay.restore_peer(now, saved);
                }
            }
            _ if choice == 255 => self.overlay.shutdown(now),
            _ => self.speak_of_others(choice, id, input),
        }
    }

    fn connect(&mut self, who: u8, inbound: bool) {
        let public = *self.cast.identities[usize::from(who)].public();
        let direction = if inbound {
            Direction::Inbound
        } else {
            Direction::Outbound
        };
        let id = LinkId(self.next_link);
        self.next_link += 1;
        self.links.push((who, id));
        let remote = SocketAddr::from(([10, 0, 0, who], 1));
        let link = LinkInfo {
            id,
            direction,
            remote,
            public,
        };
        self.overlay
            .handle_connected(self.now, public.node_id(), link);
    }

    fn end_link(&mut self, input: &mut Input<'_>) {
        if self.links.is_empty() {
            return;
        }
        let (who, link) = self
            .links
            .swap_remove(usize::from(input.byte()) % self.links.len());
        let id = self.cast.identities[usize::from(who)].node_id();
        let ended = LinkEnd {
            link,
            cause: LinkEndCause::TimedOut,
        };
        self.overlay.handle_disconnected(self.now, id, ended);
    }

    fn advance(&mut self, input: &mut Input<'_>) {
        let step = Duration::from_millis(u64::from(input.byte()).pow(2) * 10);
        self.now = self.now + step;
        self.overlay.handle_timeout(self.now);
    }

    fn finish_dial(&mut self, who: u8, input: &mut Input<'_>) {
        let Some(target) = self.dials.pop() else {
            return;
        };
        if input.byte() < 128 {
            self.overlay.handle_dial_failed(self.now, &target);
        } else {
            self.connect(who, false);
        }
    }

    fn answer(&mut self, input: &mut Input<'_>) {
        let Some((peer, id)) = self.requests.pop() else {
            return;
        };
        let _ = match input.byte() % 2 {
            0 => self.overlay.respond(self.now, peer, id, input.bytes()),
            _ => self
                .overlay
                .refuse(self.now, peer, id, RequestRefusal::Failed),
        };
    }

    /// A message that a peer could send: well-formed, or with one byte changed.
    fn peer_message(&mut self, who: u8, input: &mut Input<'_>) {
        let mut bytes = self.well_formed(who, input);
        let damage = input.byte();
        if damage < 64 {
            let at = usize::from(input.byte()) * bytes.len() / 256;
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= damage;
            }
        }
        let id = self.cast.identities[usize::from(who)].node_id();
        self.overlay.handle_message(self.now, id, &bytes);
    }

    fn well_formed(&self, who: u8, input: &mut Input<'_>) -> Vec<u8> {
        let kind = input.byte();
        let number = u64::from(input.byte());
        let about = input.byte() % PEERS;
        let record = self.record(about, number);
        let record = record.signed();
        if kind >= RELAY_KINDS {
            return self.relay_message(kind, number, (who, about), input);
        }
        if kind >= GOSSIP_KINDS {
            return self.gossip_message(kind, number, (who, about), input);
        }
        let message = match kind % 12 {
            0 => Message::Hello(Hello {
                version_min: 1,
                version_max: 1,
                network: NETWORK,
                capabilities: Capabilities::ALL.union(Capabilities::RELAYS).0,
                roles: 0,
                user_agent: "fuzz",
                record: (about == who).then_some(record),
            }),
            1 => Message::HelloReply(HelloReply {
                verdict: u8::from(number > 200),
                observed: None,
                alternatives: vec![record],
            }),
            2 => Message::Ping(Ping { nonce: number }),
            3 => Message::Pong(Ping { nonce: number }),
            4 => Message::GetPeers(GetPeers {
                id: number,
                count: 9,
            }),
            5 => Message::Peers(Peers {
                id: self.asked[usize::from(who)],
                records: vec![record],
            }),
            6 => return self.broadcast_of(about, number, input),
            7 => Message::Direct(Direct {
                handler: "handler",
                payload: input.bytes(),
            }),
            8 => Message::Request(Request {
                id: number,
                handler: "h",
                payload: input.bytes(),
            }),
            9 => Message::Response(Response {
                id: number,
                status: 0,
                payload: input.bytes(),
            }),
            10 => Message::Disconnect(Disconnect { reason: about }),
            _ => Message::DisconnectAck(DisconnectAck {}),
        };
        message.encode()
    }

    fn record(&self, about: u8, sequence: u64) -> VerifiedRecord {
        let hours = self.now.as_nanos() / 3_600_000_000_000;
        let mut kept = self.cast.records.borrow_mut();
        if kept.len() >= RECORDS_KEPT {
            kept.clear();
        }
        let sign = || {
            let fields = RecordFields {
                network: NETWORK,
                sequence,
                unix_millis: START_MILLIS + hours * 3_600_000,
                addresses: &[SocketAddr::from(([10, 0, 0, about], 1))],
                external: &[],
                capabilities: Capabilities::ALL,
                roles: Roles::FULL,
            };
            VerifiedRecord::sign(&self.cast.identities[usize::from(about)], &fields)
        };
        kept.entry((about, sequence, hours))
            .or_insert_with(sign)
            .clone()
    }

    fn broadcast_of(&self, origin: u8, sequence: u64, input: &mut Input<'_>) -> Vec<u8> {
        let origin = &self.cast.identities[usize::from(origin)];
        let body = self.body_of(origin, sequence, input.byte(), input.bytes());
        let (body, signature) = sign_broadcast(origin, &body);
        Message::Broadcast(BroadcastFrame {
            hops: input.byte() % 40,
            body: &body,
            signature,
        })
        .encode()
    }

    fn body_of<'a>(
        &self,
        origin: &Identity,
        sequence: u64,
        hop_limit: u8,
        payload: &'a [u8],
    ) -> BroadcastBody<'a> {
        BroadcastBody {
            network: NETWORK,
            origin: origin.public().to_bytes(),
            unix_millis: START_MILLIS + sequence * 1000,
            epoch: 1,
            sequence,
            hop_limit,
            topic: "topic",
            payload,
            priority: None,
        }
    }

    /// Plays the driver: notes what is asked for, and checks what is said.
    fn drain(&mut self) {
        while let Some(action) = self.overlay.poll_action() {
            match action {
                Action::Dial(target) => self.dials.push(target),
                Action::Send { peer, link, bytes } => self.check_sent(peer, link, &bytes),
                Action::CloseLink { link, .. } => {
                    self.links.retain(|(_, open)| *open != link);
                }
                Action::ChallengePeer { peer, link } => self.challenged.push((peer, link)),
            }
        }
        while let Some(event) = self.overlay.poll_event() {
            if let Event::Request { peer, id, .. } = event {
                self.requests.push((peer, id));
            }
        }
        self.dials.truncate(limits::PARALLEL_DIALS_MAX);
        self.requests.truncate(64);
        self.challenged.truncate(64);
    }

    fn check_sent(&mut self, peer: dunlin_session::NodeId, link: LinkId, bytes: &Bytes) {
        let open = self.links.iter().find(|(_, open)| *open == link);
        let &(who, _) = open.expect("messages go to links that are open");
        assert_eq!(
            self.cast.identities[usize::from(who)].node_id(),
            peer,
            "and to their peers"
        );
        match wire::decode(bytes).expect("what we send decodes") {
            Some(Message::GetPeers(question)) => self.asked[usize::from(who)] = question.id,
            Some(Message::TrustedPeersRequest(question)) => {
                self.asked_of_trust[usize::from(who)] = question.id;
            }
            _ => {}
        }
    }

    fn check_invariants(&self) {
        assert_eq!(self.overlay.check_invariants(), Ok(()));
    }

    /// Whatever happened, timers come to rest: each call moves the next one into the future.
    fn finish(mut self) {
        for _ in 0..TIMERS_MAX {
            let Some(due) = self.overlay.poll_timeout() else {
                return;
            };
            if due > self.now {
                self.now = due.max(self.now + Duration::from_millis(1));
            }
            self.overlay.handle_timeout(self.now);
            self.drain();
            self.check_invariants();
            let next = self.overlay.poll_timeout();
            assert!(
                next.is_none_or(|next| next > self.now),
                "a timer that does not rest"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn seeded_inputs(count: u64, len: u64) -> impl Iterator<Item = Vec<u8>> {
        (0..count).map(move |seed| {
            let mut rng = Rng::new(*blake3::hash(&seed.to_be_bytes()).as_bytes());
            let len = rng.below(len);
            (0..len).map(|_| rng.next_u64().to_be_bytes()[7]).collect()
        })
    }

    #[test]
    fn messages_of_seeded_bytes_never_panic() {
        for input in seeded_inputs(3000, 200) {
            overlay_message(&input);
        }
    }

    #[test]
    fn damaged_genuine_messages_never_panic() {
        let world = World::new();
        for (n, mut input) in seeded_inputs(3000, 60).enumerate() {
            let mut message = world.well_formed(0, &mut Input { rest: &input });
            overlay_message(&message);
            let at = n % message.len();
            message[at] ^= input.pop().unwrap_or(1);
            overlay_message(&message);
            overlay_message(&message[..at]);
        }
    }

    #[test]
    fn structures_agree_with_their_models_over_seeded_inputs() {
        for input in seeded_inputs(600, 900) {
            seen_set(&input);
            token_bucket(&input);
        }
    }

    #[test]
    fn records_hold_over_seeded_inputs() {
        for input in seeded_inputs(1000, 60) {
            overlay_record(&input);
        }
    }

    #[test]
    fn seeded_operations_keep_the_invariants() {
        for input in seeded_inputs(400, 1500) {
            overlay_operations(&input);
        }
    }

    #[test]
    fn every_kind_of_message_between_neighbours_is_made() {
        let world = World::new();
        let kinds: std::collections::BTreeSet<u8> = (GOSSIP_KINDS..RELAY_KINDS)
            .map(|kind| {
                world.well_formed(
                    0,
                    &mut Input {
                        rest: &[kind, 3, 2, 9, 0],
                    },
                )[1]
            })
            .collect();
        assert_eq!(
            kinds.into_iter().collect::<Vec<u8>>(),
            [13, 14, 15, 16, 17, 18, 19, 21]
        );
    }

    #[test]
    fn seeded_operations_reach_connected_peers() {
        // Guards the generator: a hello, a reply and a broadcast, by hand.
        let mut world = World::new();
        let ops: &[&[u8]] = &[&[0, 0], &[3, 0, 0, 9, 0, 255], &[3, 0, 1, 0, 0, 255]];
        for op in ops {
            world.operation(&mut Input { rest: op });
            world.drain();
        }
        assert_eq!(world.overlay.stats().connected, 1);
        world.operation(&mut Input {
            rest: &[3, 0, 6, 1, 2, 9, 1, 7, 1, 255],
        });
        assert_eq!(world.overlay.stats().broadcasts_received, 1);
        world.operation(&mut Input {
            rest: &[3, 0, 192, 3, 2, 9, 1, 255],
        });
        assert_eq!(world.overlay.stats().wanted, 2);
    }
}
