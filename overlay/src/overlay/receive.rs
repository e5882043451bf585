//! What a message is and who handles it.

use dunlin_session::NodeId;

use super::Overlay;
use crate::Instant;
use crate::error::PeerViolation;
use crate::types::Capabilities;
use crate::wire::{self, Message};

impl Overlay {
    /// One message from a peer, on whichever of its links. Never panics, whatever the bytes.
    pub fn handle_message(&mut self, now: Instant, peer: NodeId, bytes: &[u8]) {
        let Some(traffic) = self.live.traffic_of(&peer) else {
            if let Ok(Some(message)) = wire::decode(bytes) {
                self.on_message_while_closing(peer, &message);
            }
            return;
        };
        traffic.counters.messages_in += 1;
        traffic.counters.bytes_in += bytes.len() as u64;
        // The rate comes before everything that costs anything.
        if traffic.meter.admit(now, bytes.len()) {
            *traffic.last_activity = now;
            self.on_heard(now, peer);
            self.on_bytes(now, peer, bytes);
            return;
        }
        self.counters.dropped_for_rate += 1;
        if traffic.meter.is_flooding() {
            self.on_flood(now, peer);
        }
    }

    /// Decodes a message that is within the peer's rate, and handles it.
    pub(super) fn on_bytes(&mut self, now: Instant, peer: NodeId, bytes: &[u8]) {
        let message = match wire::decode(bytes) {
            Ok(Some(message)) => message,
            Ok(None) => {
                self.counters.unknown_types += 1;
                return;
            }
            Err(error) => {
                return self.on_violation(now, peer, PeerViolation::Malformed(error));
            }
        };
        let Some(live) = self.live.get(&peer) else {
            return;
        };
        if !live.is_connected() && !is_of_the_hello(&message) {
            let live = self.live.get_mut(&peer);
            if !live.is_some_and(|live| live.early.push(bytes)) {
                self.counters.early_dropped += 1;
            }
            return;
        }
        if !self.config.capabilities.contains(needed(&message)) {
            self.on_unsupported(peer, &message);
            return;
        }
        self.dispatch(now, peer, message);
    }

    fn dispatch(&mut self, now: Instant, peer: NodeId, message: Message<'_>) {
        match message {
            Message::Hello(hello) => self.on_hello(now, peer, &hello),
            Message::HelloReply(reply) => self.on_hello_reply(now, peer, &reply),
            Message::Ping(ping) => self.send_message(peer, &Message::Pong(ping)),
            Message::Pong(pong) => self.on_pong(now, peer, pong.nonce),
            Message::GetPeers(question) => self.on_get_peers(now, peer, question),
            Message::Peers(answer) => self.on_peers(now, peer, &answer),
            Message::Broadcast(frame) => self.on_broadcast(now, peer, frame),
            Message::Announce(announce) => self.on_announce(now, peer, &announce),
            Message::Want(want) => self.on_want(now, peer, &want),
            Message::Tree(tree) => self.on_tree(now, peer, &tree),
            Message::Reconcile(comparison) => self.on_reconcile(now, peer, &comparison),
            Message::TrustUpdate(update) => self.on_trust_update(now, peer, &update),
            Message::TrustedPeersRequest(question) => {
                self.on_trusted_peers_request(now, peer, question);
            }
            Message::TrustedPeersResponse(answer) => {
                self.on_trusted_peers_response(now, peer, &answer);
            }
            Message::Relay(relay) => self.on_relay(now, peer, &relay),
            Message::Topics(topics) => self.on_topics(now, peer, &topics),
            Message::Direct(direct) => self.on_direct(now, peer, &direct),
            Message::Request(request) => self.on_request(now, peer, &request),
            Message::Response(response) => self.on_response(now, peer, &response),
            Message::Disconnect(goodbye) => self.on_disconnect(now, peer, goodbye),
            // The goodbye that this would acknowledge has ended the live state.
            Message::DisconnectAck(_) => {}
        }
    }
}

/// Messages that are handled before the hellos are finished.
fn is_of_the_hello(message: &Message<'_>) -> bool {
    matches!(
        message,
        Message::Hello(_) | Message::HelloReply(_) | Message::Disconnect(_)
    )
}

/// What we must offer for a message of this kind to be handled.
fn needed(message: &Message<'_>) -> Capabilities {
    match message {
        Message::GetPeers(_) => Capabilities::PEER_EXCHANGE,
        Message::Broadcast(_)
        | Message::Announce(_)
        | Message::Want(_)
        | Message::Tree(_)
        | Message::Reconcile(_)
        | Message::Topics(_) => Capabilities::GOSSIP,
        Message::Direct(_) => Capabilities::DIRECT,
        Message::Request(_) => Capabilities::REQUESTS,
        Message::Hello(_)
        | Message::HelloReply(_)
        | Message::Ping(_)
        | Message::Pong(_)
        | Message::Peers(_)
        | Message::Response(_)
        | Message::TrustUpdate(_)
        | Message::TrustedPeersRequest(_)
        | Message::TrustedPeersResponse(_)
        | Message::Relay(_)
        | Message::Disconnect(_)
        | Message::DisconnectAck(_) => Capabilities::default(),
    }
}
