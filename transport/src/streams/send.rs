//! The sending half of one stream (states of RFC 9000 §3.1).

use crate::planted::{self, Bug};
use crate::send::buffer::SendBuffer;

/// Where a reset stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reset {
    /// To be told, for the first time or again.
    Pending,
    InFlight,
    Acknowledged,
}

/// One sending half.
#[derive(Debug)]
pub(super) struct SendStream {
    pub(super) buffer: SendBuffer,
    /// Bytes the peer lets us send on this stream.
    pub(super) limit: u64,
    /// Abandoned with this code.
    pub(super) reset: Option<(u64, Reset)>,
    /// The peer asked us to stop, with this code.
    pub(super) stopped: Option<u64>,
    /// It stands in the ready queue.
    pub(super) queued: bool,
}

impl SendStream {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            buffer: SendBuffer::default(),
            limit,
            reset: None,
            stopped: None,
            queued: false,
        }
    }

    /// Nothing more will come of it.
    pub(super) fn is_over(&self) -> bool {
        match self.reset {
            Some((_, reset)) => reset == Reset::Acknowledged,
            None => self.buffer.is_delivered(),
        }
    }

    /// Whether it has bytes (or its end) to send; new bytes only with `credit`.
    pub(super) fn has_work(&self, credit: u64) -> bool {
        self.reset.is_none() && self.buffer.has_work(self.new_limit(credit))
    }

    /// The offset below which new bytes may go.
    pub(super) fn new_limit(&self, credit: u64) -> u64 {
        let by_connection = self.buffer.sent().saturating_add(credit);
        if planted::is(Bug::StreamLimitIgnored) {
            return by_connection;
        }
        self.limit.min(by_connection)
    }
}
