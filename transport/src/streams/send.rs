//! The sending half of one stream (states of RFC 9000 §3.1).

use crate::flow::Granted;
use crate::options::Priority;
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
    pub(super) granted: Granted,
    /// Abandoned with this code.
    pub(super) reset: Option<(u64, Reset)>,
    /// The peer asked us to stop, with this code.
    pub(super) stopped: Option<u64>,
    /// It stands in the ready queue of its urgency.
    pub(super) queued: bool,
    pub(super) priority: Priority,
    /// Bytes sent since its turn began.
    pub(super) turn: u64,
}

impl SendStream {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            buffer: SendBuffer::default(),
            granted: Granted::new(limit),
            reset: None,
            stopped: None,
            queued: false,
            priority: Priority::STREAM,
            turn: 0,
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
        self.granted.limit().min(by_connection)
    }

    /// `sent` more bytes of it leave: whether the next ones are its own too. One that is not
    /// incremental goes on to its end; the others share by bytes.
    pub(super) fn keeps_turn(&mut self, sent: u64) -> bool {
        self.turn += sent;
        !self.priority.is_incremental() || self.turn < TURN
    }
}

/// Bytes of a turn: somewhat less than a packet holds, so that full packets alternate and short
/// pieces at the ends of packets add up (deficit round robin, Shreedhar and Varghese 1995).
pub(crate) const TURN: u64 = 1_024;
