//! Hellos: each side says what it is, each side accepts or refuses the other.
//!
//! Both send a hello as soon as a link is up and answer the other's. Messages flow once our hello
//! was accepted and theirs is acceptable. What arrives between is kept (bounded) because links need
//! not preserve order. A later hello of a connected peer is an update: of its record, its
//! capabilities or its roles.

use bytes::Bytes;
use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::error::PeerViolation;
use crate::event::{Action, CloseReason, Event};
use crate::limits::{ALTERNATIVES_MAX, NETWORK_LEN_MAX, RECORD_AGE_MAX, USER_AGENT_LEN_MAX};
use crate::peers::live::RemoteHello;
use crate::peers::state::{PeerState, StateReason};
use crate::planted::{self, Bug};
use crate::types::{Capabilities, DisconnectReason, LinkId, Refusal, Roles};
use crate::wire::{
    CheckedRecord, Hello, HelloReply, Message, RecordError, RecordFields, SignedRecord,
    VerifiedRecord, WireAddress, is_dialable,
};
use crate::{PROTOCOL_VERSION, PROTOCOL_VERSION_MIN};

/// Peers to try next that are enough for the moment: new peers are asked for more below this, and
/// the table fills over time.
const KNOWN_ENOUGH: usize = 64;
/// `HelloReply::verdict` of an accepted hello.
const ACCEPTED: u8 = 0;

impl Overlay {
    /// Queues our hello on a link that has just come up.
    pub(super) fn send_hello(&mut self, now: Instant, peer: NodeId, link: LinkId) {
        let bytes = self.encode_hello(now);
        if let Some(live) = self.live.get_mut(&peer) {
            live.counters.messages_out += 1;
            live.counters.bytes_out += bytes.len() as u64;
            self.out.action(Action::Send { peer, link, bytes });
        }
    }

    fn encode_hello(&mut self, now: Instant) -> Bytes {
        self.refresh_own_record(now);
        let hello = Hello {
            version_min: PROTOCOL_VERSION_MIN,
            version_max: PROTOCOL_VERSION,
            network: &self.config.network,
            capabilities: self.config.capabilities.0,
            roles: self.config.roles.0,
            user_agent: &self.config.user_agent,
            record: self.own_record.as_ref().map(VerifiedRecord::signed),
        };
        Message::Hello(hello).encode_to_keep()
    }

    /// Signs our record anew when there is none or it is past a third of its life. True when it
    /// did.
    pub(super) fn refresh_own_record(&mut self, now: Instant) -> bool {
        let unix_millis = self.unix_millis(now);
        let renew_before = unix_millis.saturating_sub(renewal_millis());
        let known = self.own_record.as_ref();
        let is_nowhere = self.config.listen.is_empty() && self.config.external.is_empty();
        if is_nowhere || known.is_some_and(|r| r.signed_at() > renew_before) {
            return false;
        }
        self.record_sequence = self.record_sequence.saturating_add(1).max(unix_millis);
        let fields = RecordFields {
            network: &self.config.network,
            sequence: self.record_sequence,
            unix_millis,
            addresses: &self.config.listen,
            external: &self.config.external,
            capabilities: self.config.capabilities,
            roles: self.config.roles,
        };
        self.own_record = Some(VerifiedRecord::sign(&self.identity, &fields));
        true
    }

    /// When our record is to be signed anew.
    pub(super) fn next_record_renewal(&self) -> Option<Instant> {
        let clock = &self.config.wall_clock;
        let due = self
            .own_record
            .as_ref()?
            .signed_at()
            .saturating_add(renewal_millis());
        let from_start = due.saturating_sub(clock.unix_millis);
        Some(clock.at + core::time::Duration::from_millis(from_start))
    }

    /// Replaces the addresses at which peers can dial us (at most
    /// [`crate::limits::RECORD_ADDRESSES_MAX`]; unspecified ones are left out) and tells the
    /// connected peers.
    pub fn set_listen(&mut self, now: Instant, addresses: Vec<std::net::SocketAddr>) {
        self.config.listen = addresses;
        self.config = self.config.clone().bounded();
        self.own_record = None;
        self.announce_own_record(now);
    }

    /// Sends our hello, with the record of now, to every connected peer.
    pub(super) fn announce_own_record(&mut self, now: Instant) {
        let bytes = self.encode_hello(now);
        let peers: Vec<_> = self
            .live
            .iter()
            .filter(|(_, l)| l.is_connected())
            .map(|(&peer, _)| peer)
            .collect();
        for peer in peers {
            self.send_bytes(peer, bytes.clone());
        }
    }

    /// Judges a peer's hello and answers it.
    pub(super) fn on_hello(&mut self, now: Instant, peer: NodeId, hello: &Hello<'_>) {
        if hello.network.len() > NETWORK_LEN_MAX || hello.user_agent.len() > USER_AGENT_LEN_MAX {
            self.on_violation(now, peer, PeerViolation::OutOfBounds);
            return;
        }
        let refusal = self.judge(peer, hello);
        let Some(live) = self.live.get_mut(&peer) else {
            return;
        };
        let remote = live.remote();
        if refusal.is_none() {
            live.hello = Some(RemoteHello {
                capabilities: Capabilities(hello.capabilities),
                roles: Roles(hello.roles),
                user_agent: hello.user_agent.to_owned(),
                version: hello.version_max.min(PROTOCOL_VERSION),
            });
        }
        // Who finds no room here has room: whoever is refused next is told of it.
        if let Some(record) = &hello.record
            && matches!(refusal, None | Some(Refusal::ConnectionLimit))
        {
            self.on_own_record_of(now, peer, record);
        }
        let alternatives = match refusal {
            Some(Refusal::ConnectionLimit) => self.sample_records(now, peer, ALTERNATIVES_MAX),
            _ => Vec::new(),
        };
        let reply = HelloReply {
            verdict: refusal.map_or(ACCEPTED, Refusal::code),
            observed: Some(WireAddress::Ip(remote)),
            alternatives: alternatives.iter().map(VerifiedRecord::signed).collect(),
        };
        self.send_message(peer, &Message::HelloReply(reply));
        match refusal {
            Some(refusal) => self.refuse_link(now, peer, StateReason::RefusedByUs(refusal)),
            None => self.connect_if_ready(now, peer),
        }
    }

    /// Why a hello is not acceptable.
    fn judge(&self, peer: NodeId, hello: &Hello<'_>) -> Option<Refusal> {
        let is_new = self
            .live
            .get(&peer)
            .is_some_and(|live| live.hello.is_none());
        if hello.version_min > PROTOCOL_VERSION || hello.version_max < PROTOCOL_VERSION_MIN {
            Some(Refusal::Version)
        } else if hello.network != self.config.network {
            Some(Refusal::Network)
        } else if is_new && !self.has_room_for(peer) {
            Some(Refusal::ConnectionLimit)
        } else {
            None
        }
    }

    /// The record in a peer's hello: it must be its own. One that another peer has named before is
    /// the same to the byte and is not verified again.
    fn on_own_record_of(&mut self, now: Instant, peer: NodeId, signed: &SignedRecord<'_>) {
        let unix_millis = self.unix_millis(now);
        let record = match CheckedRecord::check(signed, &self.config.network, unix_millis) {
            Ok(record) if record.id() == peer || planted::is(Bug::RecordOfAnotherPeer) => record,
            Ok(_) => return self.on_violation(now, peer, PeerViolation::RecordNotOwn),
            Err(RecordError::Time) => return,
            Err(RecordError::Malformed | RecordError::Network | RecordError::Signature) => {
                return self.on_violation(now, peer, PeerViolation::RecordInvalid);
            }
        };
        let Some(remote) = self.live.get(&peer).map(|live| live.remote().ip()) else {
            return;
        };
        let listed = record.addresses().iter().copied();
        let dialable = listed.filter(|&a| is_dialable(a, remote)).collect();
        let known = self.table.get(peer).and_then(|entry| entry.record.as_ref());
        let verified = match known {
            Some(known) if record.is(known) => known.clone(),
            _ => match record.verify(&*self.signatures) {
                Ok(verified) => verified,
                Err(_) => return self.on_violation(now, peer, PeerViolation::RecordInvalid),
            },
        };
        if self.table.confirm_record(verified, dialable)
            && let Some(entry) = self.table.get_mut(peer)
        {
            let seen_there = |address: &std::net::SocketAddr| {
                address.ip().to_canonical() == remote.to_canonical()
            };
            entry.relayable = record.addresses().iter().any(seen_there);
            self.table.place_own(peer);
        }
    }

    /// The peer's verdict about our hello.
    pub(super) fn on_hello_reply(&mut self, now: Instant, peer: NodeId, reply: &HelloReply<'_>) {
        let Some(live) = self.live.get_mut(&peer) else {
            return;
        };
        if reply.verdict == ACCEPTED {
            if let Some(WireAddress::Ip(address)) = reply.observed {
                self.out.event(Event::ObservedAddress { peer, address });
            }
            live.accepted = true;
            self.connect_if_ready(now, peer);
        } else if !live.is_connected() {
            let refusal = Refusal::from_code(reply.verdict);
            // They are for who has nobody left to try: each costs a signature check and a place.
            if self.due_waiting(now).nth(ALTERNATIVES_MAX).is_none() {
                self.learn_records(now, peer, &reply.alternatives);
            }
            self.refuse_link(now, peer, StateReason::RefusedByPeer(refusal));
        }
    }

    /// Gives up a link whose hello failed. The link is closed after the answer had time to travel.
    fn refuse_link(&mut self, now: Instant, peer: NodeId, why: StateReason) {
        let reason = match why {
            StateReason::RefusedByUs(Refusal::ConnectionLimit) => {
                DisconnectReason::ConnectionLimitReached
            }
            _ => DisconnectReason::ProtocolViolation,
        };
        self.close_links(now, peer, CloseReason::Disconnect(reason));
        let connected = self.live.get(&peer).is_some_and(|live| live.is_connected());
        let to = if connected {
            PeerState::Disconnected
        } else {
            PeerState::Failed
        };
        self.drop_live(now, peer, to, why);
    }

    /// Connects a peer once both hellos are accepted, and handles what overtook them.
    fn connect_if_ready(&mut self, now: Instant, peer: NodeId) {
        let Some(live) = self.live.get_mut(&peer) else {
            return;
        };
        if live.is_connected() || live.hello.is_none() || !live.accepted {
            return;
        }
        live.connected_at = Some(now);
        self.connected += 1;
        let early = live.early.take();
        if let Some(entry) = self.table.get_mut(peer) {
            entry.held = false;
        }
        let (to, reason) = (PeerState::Connected, StateReason::HelloAccepted);
        self.table.transition(now, peer, to, reason, &mut self.out);
        self.out.event(Event::PeerUp { peer });
        self.make_room(now, peer);
        if !self.live.contains_key(&peer) {
            return;
        }
        self.on_neighbour_up(now, peer);
        self.on_reached(now, peer);
        self.on_rover_up(now, peer);
        self.on_company(now);
        if self.due_waiting(now).nth(KNOWN_ENOUGH - 1).is_none() {
            self.ask_for_peers(now, peer);
        }
        for message in early {
            self.on_bytes(now, peer, &message);
        }
    }

    /// Gives up links whose hellos take too long.
    pub(super) fn expire_handshakes(&mut self, now: Instant) {
        if !self.live.are_due(now) {
            return;
        }
        let late = |live: &crate::peers::live::Live| {
            !live.is_connected() && live.handshake_deadline <= now
        };
        let due: Vec<_> = self
            .live
            .iter()
            .filter(|(_, live)| late(live))
            .map(|(&peer, _)| peer)
            .collect();
        for peer in due {
            self.close_links(
                now,
                peer,
                CloseReason::Disconnect(DisconnectReason::InactivityTimeout),
            );
            self.drop_live(now, peer, PeerState::Failed, StateReason::HelloTimeout);
        }
    }
}

/// A third of a record's life, in milliseconds.
fn renewal_millis() -> u64 {
    u64::try_from(RECORD_AGE_MAX.as_millis() / 3).unwrap_or(u64::MAX)
}
