//! What an endpoint shows of itself to an observer ([`crate::trace`]).

use core::net::SocketAddr;

use super::Endpoint;
use crate::connection::Connection;
use crate::ids::ConnectionId;
use crate::io::ConnectionHandle;
use crate::time::Instant;
use crate::trace::{Answer, ConnectionStart, DropReason, EndpointEvent};

impl Endpoint {
    /// Asks the observer whether it wants to see a new connection.
    pub(super) fn introduce(
        &mut self,
        now: Instant,
        handle: ConnectionHandle,
        local_cid: ConnectionId,
        connection: &mut Connection,
    ) {
        let Some(observer) = &mut self.observer else {
            return;
        };
        let start = ConnectionStart {
            handle,
            side: connection.side(),
            local_cid,
            remote_cid: connection.remote_cid(),
            remote: connection.remote_address(),
        };
        if let Some(observer) = observer.open(now, &start) {
            connection.observe(now, observer);
        }
    }

    /// The rest of a datagram has no effect.
    pub(super) fn trace_dropped(
        &mut self,
        now: Instant,
        from: SocketAddr,
        reason: DropReason,
        rest: &[u8],
    ) {
        if let Some(observer) = &mut self.observer {
            let bytes = rest.len();
            let event = EndpointEvent::Dropped {
                from,
                reason,
                bytes,
            };
            observer.on_endpoint_event(now, &event);
        }
    }

    /// A SYN, a packet of another version or one of an unknown connection is answered.
    pub(super) fn trace_answered(
        &mut self,
        now: Instant,
        to: SocketAddr,
        answer: Answer,
        bytes: usize,
    ) {
        if let Some(observer) = &mut self.observer {
            let event = EndpointEvent::Answered { to, answer, bytes };
            observer.on_endpoint_event(now, &event);
        }
    }
}
