//! Datagrams that came: whose they are, and what their connections make of them.
//!
//! Datagrams that came together from one address often belong to one connection: those are routed once,
//! and their header masks are removed together.

use core::net::SocketAddr;

use super::Endpoint;
use crate::connection::state::State;
use crate::ids::ConnectionId;
use crate::io::{ConnectionHandle, EcnMark};
use crate::limits::PACKETS_PER_DATAGRAM_MAX;
use crate::time::Instant;
use crate::trace::{Answer, DropReason};
use crate::wire::header::{route, same_route};
use crate::wire::{DecodeError, version};

/// When and from where datagrams came.
#[derive(Clone, Copy)]
struct Origin {
    now: Instant,
    from: SocketAddr,
    ecn: Option<EcnMark>,
}

impl Endpoint {
    /// Handles a datagram that came from `from`. Packets are opened in place: its bytes are
    /// unspecified afterwards.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        ecn: Option<EcnMark>,
        datagram: &mut [u8],
    ) {
        let size = datagram.len();
        self.handle_datagrams(now, from, ecn, datagram, size);
    }

    /// Handles datagrams that came together from `from`, as the kernel hands on a train (GRO): of `size` bytes
    /// each, the last one maybe shorter. The same as [`Self::handle_datagram`] for each, and cheaper.
    pub fn handle_datagrams(
        &mut self,
        now: Instant,
        from: SocketAddr,
        ecn: Option<EcnMark>,
        datagrams: &mut [u8],
        size: usize,
    ) {
        self.half_open.expire(now);
        let origin = Origin { now, from, ecn };
        if datagrams.is_empty() {
            self.handle_packets(origin, 1, datagrams);
        }
        let size = size.max(1);
        let mut rest = datagrams;
        while !rest.is_empty() {
            let count = alike(rest, size);
            let (run, behind) = rest.split_at_mut(rest.len().min(count.saturating_mul(size)));
            rest = behind;
            let handle = route(run).ok().and_then(|id| self.routes.get(&id).copied());
            match handle.and_then(|handle| self.connections.get(&handle).map(|it| (handle, it))) {
                Some((handle, slot)) if slot.connection.unmask_headers(run, size) => {
                    self.handle_train(origin, handle, run, size);
                }
                _ => {
                    for datagram in run.chunks_mut(size) {
                        self.handle_packets(origin, PACKETS_PER_DATAGRAM_MAX, datagram);
                    }
                }
            }
        }
    }

    /// Gives a connection datagrams of `size` bytes each whose first headers are clear.
    fn handle_train(
        &mut self,
        origin: Origin,
        handle: ConnectionHandle,
        datagrams: &mut [u8],
        size: usize,
    ) {
        let mut rest = datagrams;
        while !rest.is_empty() {
            let taken = self.handle_run(origin, handle, rest, size);
            let (done, behind) = rest.split_at_mut(rest.len().min(taken.max(1) * size));
            if taken == 0 {
                let taken = self.handle_unmasked(origin, handle, done);
                self.handle_rest(origin, taken, done);
            }
            rest = behind;
        }
    }

    /// Gives a connection the datagrams at the start of a train that are a run; how many that were. One alone
    /// is not tried.
    fn handle_run(
        &mut self,
        origin: Origin,
        handle: ConnectionHandle,
        datagrams: &mut [u8],
        size: usize,
    ) -> usize {
        let Origin { now, from, ecn } = origin;
        let slot = self.connections.get_mut(&handle);
        let Some(slot) = slot.filter(|_| datagrams.len() / 2 >= size) else {
            return 0;
        };
        let count = slot
            .connection
            .handle_run(now, (from, ecn), datagrams, size);
        if count > 0 {
            slot.touch(handle, &mut self.ready, &mut self.eventful);
        }
        count
    }

    /// What is in a datagram behind its first packet, of `taken` bytes.
    fn handle_rest(&mut self, origin: Origin, taken: usize, datagram: &mut [u8]) {
        if let Some(rest) = datagram.get_mut(taken..)
            && taken > 0
            && !rest.is_empty()
        {
            self.handle_packets(origin, PACKETS_PER_DATAGRAM_MAX - 1, rest);
        }
    }

    /// Handles the packets in (the rest of) a datagram, `most` of them at most.
    fn handle_packets(&mut self, origin: Origin, most: usize, datagram: &mut [u8]) {
        let Origin { now, from, .. } = origin;
        let mut rest = datagram;
        for _ in 0..most {
            let taken = match route(rest) {
                Ok(ConnectionId::NONE) => {
                    self.handle_syn(now, from, rest);
                    return;
                }
                Ok(cid) => self.handle_routed(origin, cid, rest),
                Err(DecodeError::Version(_)) => {
                    self.handle_other_version(now, from, rest);
                    return;
                }
                Err(error) => {
                    self.trace_dropped(now, from, DropReason::Header(error), rest);
                    return;
                }
            };
            match rest.get_mut(taken..) {
                Some(next) if taken > 0 && !next.is_empty() => rest = next,
                _ => return,
            }
        }
    }

    fn handle_routed(&mut self, origin: Origin, cid: ConnectionId, rest: &mut [u8]) -> usize {
        let Origin { now, from, .. } = origin;
        if let Some(handle) = self.routes.get(&cid).copied() {
            let Some(slot) = self.connections.get_mut(&handle) else {
                return 0;
            };
            let size = rest.len();
            if slot.connection.unmask_headers(rest, size) {
                return self.handle_unmasked(origin, handle, rest);
            }
            let taken = slot.connection.handle_syn_ack(now, from, rest);
            self.established |= slot.connection.state() == State::Established;
            slot.connection.trace_settled(now);
            slot.touch(handle, &mut self.ready, &mut self.eventful);
            return taken;
        }
        if self.half_open.contains(cid) {
            self.handle_confirm((now, from), cid, rest)
        } else {
            self.reset_unknown(now, from, cid, rest);
            0
        }
    }

    /// Gives a connection the packet at the start of a datagram whose header is clear; how long it was.
    fn handle_unmasked(
        &mut self,
        origin: Origin,
        handle: ConnectionHandle,
        datagram: &mut [u8],
    ) -> usize {
        let Origin { now, from, ecn } = origin;
        let Some(slot) = self.connections.get_mut(&handle) else {
            return 0;
        };
        let random = &mut *self.random;
        let taken = slot
            .connection
            .handle_unmasked(now, (from, ecn), datagram, random);
        slot.connection.trace_settled(now);
        slot.touch(handle, &mut self.ready, &mut self.eventful);
        taken
    }

    /// A packet of another version: a stateless reset, a reply to our SYN, or a stranger who gets a
    /// version reply.
    fn handle_other_version(&mut self, now: Instant, from: SocketAddr, packet: &[u8]) {
        if self.handle_reset(now, from, packet) {
            return;
        }
        if let Some((sequence, _)) = version::parse(packet) {
            for handle in &self.opening {
                if let Some(slot) = self.connections.get_mut(handle) {
                    slot.connection.on_version_reply(from, sequence);
                }
            }
        } else if let Some(reply) = version::reply(packet).filter(|_| self.acceptor.is_some()) {
            self.reply(now, from, Answer::Version, reply.to_vec());
        }
    }
}

/// How many datagrams of `size` bytes, the last one maybe shorter, are for the same connection as the first, from
/// that one on: at least one.
fn alike(datagrams: &[u8], size: usize) -> usize {
    let (first, others) = datagrams.split_at(datagrams.len().min(size));
    let others = others.chunks(size);
    1 + others.take_while(|next| same_route(first, next)).count()
}
