//! Handshakes that others open: SYNs, and the confirm messages that follow.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::admission::{Allowance, Place, Prefix};
use super::half_open::HalfOpen;
use super::{Endpoint, fresh_cid};
use crate::connection::Connection;
use crate::connection::opening::{peer_params, read_plain, write_plain};
use crate::error::PeerViolation;
use crate::ids::ConnectionId;
use crate::planted::{self, Bug};
use crate::protect::{HandshakeError, Syn, SynDecision, Verdict};
use crate::time::Instant;
use crate::trace::{Answer, DropReason};
use crate::wire::params::TransportParams;
use crate::wire::{Cursor, Flags, Header, PacketType};

impl Endpoint {
    pub(super) fn handle_syn(&mut self, now: Instant, from: SocketAddr, packet: &[u8]) {
        let Some((remote_cid, payload, length)) = read_syn(packet) else {
            self.trace_dropped(now, from, DropReason::Handshake, packet);
            return;
        };
        if let Some((cid, half)) = self.half_open.find_same(from, remote_cid, payload)
            && !planted::is(Bug::SynRetransmissionNewState)
        {
            let reply = syn_ack(now, cid, half);
            self.reply_within((now, from), Answer::SynAck, reply, length);
            return;
        }
        if self.connections.len() >= self.config.max_connections || !self.gate.has_place(from) {
            self.trace_dropped(now, from, DropReason::Refused, packet);
            return;
        }
        let Some(acceptor) = &self.acceptor else {
            return;
        };
        // Whoever spends this budget spends his own: it is asked before the work.
        if self.addresses_are_proven && !self.gate.pay_proven(now, from) {
            self.trace_dropped(now, from, DropReason::Refused, packet);
            return;
        }
        let under_load = !self.addresses_are_proven
            && (self.half_open.len() >= self.config.half_open_under_load
                || self.gate.allowance(now, from) == Allowance::Proof);
        if under_load && !self.surge.admit(now) {
            self.trace_dropped(now, from, DropReason::Refused, packet);
            return;
        }
        let syn = Syn {
            from,
            payload,
            under_load,
        };
        let cid = fresh_cid(&mut *self.random, self.shard, &self.routes, &self.half_open);
        let params = TransportParams::of(&self.config.transport, cid).encode();
        match acceptor.on_syn(now, &syn, &params, &mut *self.random) {
            SynDecision::Ignore => self.trace_dropped(now, from, DropReason::Refused, packet),
            SynDecision::Retry(payload) => {
                let mut reply = Vec::new();
                let mut header = Header::new(PacketType::SynAck, remote_cid);
                header.flags = Flags::RETRY;
                write_plain(&mut reply, header, &payload);
                self.reply_within((now, from), Answer::Retry, reply, length);
            }
            // A session layer that answers under load has seen a proof of the address.
            SynDecision::Accept(_) if under_load && !self.gate.pay_proven(now, from) => {
                self.trace_dropped(now, from, DropReason::Refused, packet);
            }
            SynDecision::Accept(responder) => {
                if !under_load && !self.addresses_are_proven {
                    self.gate.on_answered(now, from);
                }
                let next_number = self.first_number();
                let (answered, answered_at) = (0, now);
                let mut half = HalfOpen {
                    responder,
                    from,
                    remote_cid,
                    next_number,
                    answered,
                    answered_at,
                };
                let reply = syn_ack(now, cid, &mut half);
                let lifetime = self.config.transport.handshake_timeout;
                self.half_open
                    .insert(now, lifetime, self.config.max_half_open, cid, half);
                self.reply_within((now, from), Answer::SynAck, reply, length);
            }
        }
    }

    /// The confirm message of a half-open handshake came, perhaps.
    pub(super) fn handle_confirm(
        &mut self,
        (now, from): (Instant, SocketAddr),
        cid: ConnectionId,
        packet: &[u8],
    ) -> usize {
        let Some((header, payload, length)) = read_plain(packet) else {
            self.trace_dropped(now, from, DropReason::Profile, packet);
            return 0;
        };
        let Some(half) = self.half_open.get(cid) else {
            return 0;
        };
        if header.kind != PacketType::Ack {
            self.trace_dropped(now, from, DropReason::Unexpected, packet);
            return 0;
        }
        let (established, refusal) = match half.responder.on_confirm(payload) {
            Ok(Verdict::Accept(established)) => (established, None),
            Ok(Verdict::Refuse {
                established,
                code,
                reason,
            }) => (established, Some((code, reason))),
            Err(_) => {
                self.trace_dropped(now, from, DropReason::Handshake, packet);
                if planted::is(Bug::ForgedConfirmKillsHandshake) {
                    self.half_open.remove(cid);
                }
                return 0;
            }
        };
        let (params, are_valid) = match peer_params(&established, half.remote_cid) {
            Ok(params) => (params, true),
            // A proven peer, which is told.
            Err(HandshakeError::Fatal(_)) => (TransportParams::least(half.remote_cid), false),
            Err(HandshakeError::Rejected(_)) => return 0,
        };
        let Some(half) = self.half_open.remove(cid) else {
            return 0;
        };
        let transport = Arc::clone(&self.transport);
        let numbers = (cid, half.next_number);
        let rtt = (half.answered == 1).then(|| now.saturating_duration_since(half.answered_at));
        let place = Place {
            prefix: Prefix::of(half.from),
            name: established.peer_name,
        };
        let accepted = (established, &params, rtt);
        // The address that got our SYN_ACK is proven. If this came from another one, the packets
        // that follow it begin a change of path.
        let mut connection =
            Connection::accepted(now, transport, numbers, half.from, accepted, payload);
        let surplus = !self.gate.take(&place);
        if let Some((code, reason)) = refusal {
            connection.refuse(now, code, reason);
        } else if !are_valid {
            connection.refuse_for(now, PeerViolation::TransportParameters);
        } else if surplus {
            connection.refuse_for(now, PeerViolation::TooManyConnections);
        }
        self.established = true;
        let handle = self.add(now, cid, connection);
        if let Some(slot) = self.connections.get_mut(&handle) {
            slot.released = refusal.is_some() || surplus || !are_valid;
            slot.place = Some(place);
        }
        self.supply_ids(handle);
        self.supply_reset_token(handle);
        length
    }
}

/// A SYN: the initiator's connection ID, the session's part, and bytes in all.
fn read_syn(packet: &[u8]) -> Option<(ConnectionId, &[u8], usize)> {
    let (header, payload, length) = read_plain(packet)?;
    let mut cursor = Cursor::new(payload);
    let cid = ConnectionId(cursor.u32().ok()?);
    let is_syn = header.kind == PacketType::Syn && cid != ConnectionId::NONE;
    is_syn.then(|| (cid, cursor.take_rest(), length))
}

fn syn_ack(now: Instant, cid: ConnectionId, half: &mut HalfOpen) -> Vec<u8> {
    let mut payload = cid.0.to_be_bytes().to_vec();
    payload.extend_from_slice(half.responder.syn_ack());
    let mut header = Header::new(PacketType::SynAck, half.remote_cid);
    header.sequence = half.next_number.truncated();
    half.next_number = half.next_number.next();
    half.answered += 1;
    half.answered_at = now;
    let mut packet = Vec::new();
    write_plain(&mut packet, header, &payload);
    packet
}
