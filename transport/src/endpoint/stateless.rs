//! Stateless reset (`docs/wire.md` W-RST, ADR 0209): who sends to a connection that is not there any
//! more, after a restart mostly, is told so, and is able to tell it from a forgery.
//!
//! The tokens come from the acceptor, as a function of the connection ID and the peer's address under
//! a key that survives a restart. Nothing is kept for them but, on the other end, which connection a
//! reset may name.

use alloc::collections::BTreeSet;
use core::net::SocketAddr;

use super::Endpoint;
use super::admission::{Bucket, Rate};
use crate::connection::opening::read_plain;
use crate::ids::ConnectionId;
use crate::io::ConnectionHandle;
use crate::limits::{RESET_CANDIDATES_MAX, RESETS_BURST, RESETS_PER_SECOND};
use crate::time::Instant;
use crate::trace::{Answer, DropReason};
use crate::wire::reset;

const RESETS: Rate = Rate {
    per_second: RESETS_PER_SECOND,
    burst: RESETS_BURST,
};

/// What an endpoint keeps for stateless resets.
#[derive(Debug)]
pub(super) struct Resets {
    /// How many more may be sent now.
    budget: Bucket,
    /// Connections that one may end, by the peer's connection ID that it has to name.
    by_id: BTreeSet<(ConnectionId, ConnectionHandle)>,
}

impl Default for Resets {
    fn default() -> Self {
        Self {
            budget: Bucket::full(Instant::ZERO),
            by_id: BTreeSet::new(),
        }
    }
}

impl Resets {
    /// A connection that was to be ended under the ID `old` is to be under `new`.
    pub(super) fn rename(
        &mut self,
        handle: ConnectionHandle,
        old: Option<ConnectionId>,
        new: Option<ConnectionId>,
    ) {
        if let Some(old) = old {
            self.by_id.remove(&(old, handle));
        }
        if let Some(new) = new {
            self.by_id.insert((new, handle));
        }
    }

    fn candidates(&self, id: ConnectionId) -> impl Iterator<Item = ConnectionHandle> {
        let all = (id, ConnectionHandle(0))..=(id, ConnectionHandle(u64::MAX));
        let handles = self.by_id.range(all).map(|(_, handle)| *handle);
        handles.take(RESET_CANDIDATES_MAX)
    }
}

impl Endpoint {
    /// A packet came for a connection ID that nobody has: the answer, if there is one.
    pub(super) fn reset_unknown(
        &mut self,
        now: Instant,
        from: SocketAddr,
        id: ConnectionId,
        packet: &[u8],
    ) {
        self.trace_dropped(now, from, DropReason::UnknownConnection, packet);
        if packet.len() < reset::ANSWERED_MIN || self.acceptor.is_none() {
            return;
        }
        let budget = &mut self.resets.budget;
        budget.refill(now);
        if !budget.has(RESETS, 0) {
            return;
        }
        budget.take(RESETS);
        // A handshake message that came late says nothing about a connection.
        let sealed = read_plain(packet).is_none();
        let token = self.acceptor.as_ref().filter(|_| sealed);
        if let Some(token) = token.and_then(|acceptor| acceptor.reset_token(from, id)) {
            let reply = reset::emit(id, &token).to_vec();
            self.reply_within((now, from), Answer::Reset, reply, packet.len());
        }
    }

    /// A stateless reset came: false if it is none.
    pub(super) fn handle_reset(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> bool {
        let Some((id, token)) = reset::parse(datagram) else {
            return false;
        };
        let mut ended = None;
        for handle in self.resets.candidates(id) {
            if let Some(slot) = self.connections.get_mut(&handle)
                && slot.connection.on_stateless_reset(from, id, &token)
            {
                slot.connection.trace_settled(now);
                ended = Some(handle);
                break;
            }
        }
        match ended {
            Some(handle) => self.touch(handle),
            None => self.trace_dropped(now, from, DropReason::Unexpected, datagram),
        }
        true
    }

    /// Gives a connection the token that it wants to tell, and notes under which ID it may be reset.
    pub(super) fn supply_reset_token(&mut self, handle: ConnectionHandle) {
        let Some(slot) = self.connections.get_mut(&handle) else {
            return;
        };
        if let Some((id, address)) = slot.connection.wants_reset_token() {
            let acceptor = self.acceptor.as_ref();
            let token = acceptor.and_then(|acceptor| acceptor.reset_token(address, id));
            slot.connection.set_reset_token((id, address), token);
        }
        let id = slot.connection.resettable_id();
        if slot.resettable != id {
            self.resets.rename(handle, slot.resettable, id);
            slot.resettable = id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_compared_with_connections_up_to_the_limit() {
        let mut resets = Resets::default();
        let id = ConnectionId(7);
        for handle in 0..RESET_CANDIDATES_MAX as u64 {
            resets.rename(ConnectionHandle(handle), None, Some(id));
        }
        assert_eq!(resets.candidates(id).count(), RESET_CANDIDATES_MAX);
        resets.rename(ConnectionHandle(u64::MAX), None, Some(id));
        assert_eq!(resets.candidates(id).count(), RESET_CANDIDATES_MAX);
        resets.rename(ConnectionHandle(0), Some(id), Some(ConnectionId(8)));
        let left: Vec<_> = resets.candidates(id).collect();
        assert!(!left.contains(&ConnectionHandle(0)));
        assert_eq!(resets.candidates(ConnectionId(8)).count(), 1);
    }
}
