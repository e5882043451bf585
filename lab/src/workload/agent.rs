//! What one side knows: its plan, what it has done, what it has seen.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_transport::{
    CloseReason, ConnectionHandle, Instant, MessageId, Side, StreamDirection, StreamId,
};

use super::{Fate, Plan, StreamPlan};
use crate::violation::Violation;

/// A stream as its writer sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// Bytes the endpoint has accepted.
    pub accepted: u64,
    /// Bytes to be written.
    pub planned: u64,
    /// Finished, reset or stopped: nothing more will be written.
    pub ended: bool,
    /// It was finished.
    pub finished: bool,
    /// The endpoint says that everything was acknowledged.
    pub delivered: bool,
    pub(super) reset_after: Option<u64>,
}

/// A stream as its reader sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Read {
    /// Bytes read.
    pub received: u64,
    /// How it ended.
    pub end: Option<End>,
    pub(super) stop_after: Option<u64>,
}

/// How a reader saw a stream end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// After the last byte.
    Finished,
    /// The writer abandoned it.
    Reset,
    /// We asked to stop.
    Stopped,
    /// The connection ended first.
    Closed,
}

/// One side's application.
#[derive(Debug)]
pub struct Agent {
    /// Its number in the network.
    pub node: usize,
    pub(super) side: Side,
    pub(super) plan: Plan,
    pub(super) peer: Plan,
    pub(super) handle: Option<ConnectionHandle>,
    pub(super) connected: bool,
    pub(super) closed: Option<CloseReason>,
    /// We have asked for the end.
    pub(super) ending: bool,
    pub(super) accepted_at_close: Option<Accepted>,
    pub(super) to_open: usize,
    pub(super) written: BTreeMap<StreamId, Written>,
    pub(super) read: BTreeMap<StreamId, Read>,
    pub(super) writable: BTreeSet<StreamId>,
    pub(super) readable: BTreeSet<StreamId>,
    pub(super) may_open: [bool; 2],
    pub(super) messages_sent: usize,
    pub(super) messages_delivered: BTreeSet<MessageId>,
    pub(super) messages_blocked: bool,
    /// There are messages or datagrams to take.
    pub(super) messages_wait: bool,
    pub(super) messages_received: BTreeSet<u64>,
    pub(super) datagrams_sent: usize,
    pub(super) datagrams_received: BTreeSet<u64>,
    pub(super) next_read: Instant,
    pub(super) scratch: Vec<u8>,
    pub(super) expected: Vec<u8>,
}

/// What an endpoint had accepted when it was asked to close.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Accepted {
    /// Bytes of streams that were not abandoned.
    pub streams: BTreeMap<StreamId, u64>,
    /// Messages.
    pub messages: usize,
}

pub(super) const READ_BUFFER: usize = 65_536;

impl Agent {
    /// The application of `side` that follows `plan` and expects the peer to follow `peer`.
    #[must_use]
    pub fn new(node: usize, side: Side, plan: Plan, peer: Plan) -> Self {
        Self {
            node,
            side,
            plan,
            peer,
            handle: None,
            connected: false,
            closed: None,
            ending: false,
            accepted_at_close: None,
            to_open: 0,
            written: BTreeMap::new(),
            read: BTreeMap::new(),
            writable: BTreeSet::new(),
            readable: BTreeSet::new(),
            may_open: [true; 2],
            messages_sent: 0,
            messages_delivered: BTreeSet::new(),
            messages_blocked: false,
            messages_wait: false,
            messages_received: BTreeSet::new(),
            datagrams_sent: 0,
            datagrams_received: BTreeSet::new(),
            next_read: Instant::ZERO,
            scratch: vec![0; READ_BUFFER],
            expected: vec![0; READ_BUFFER],
        }
    }

    /// The connection it opened.
    pub const fn set_connection(&mut self, handle: ConnectionHandle) {
        self.handle = Some(handle);
    }

    /// Its connection, once there is one.
    #[must_use]
    pub const fn connection(&self) -> Option<ConnectionHandle> {
        self.handle
    }

    /// Whether the handshake is complete.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.connected
    }

    /// How the connection ended.
    #[must_use]
    pub const fn close_reason(&self) -> Option<&CloseReason> {
        self.closed.as_ref()
    }

    /// What its endpoint had accepted when it asked for a graceful close.
    #[must_use]
    pub const fn accepted_at_close(&self) -> Option<&Accepted> {
        self.accepted_at_close.as_ref()
    }

    /// Streams it writes.
    #[must_use]
    pub const fn written(&self) -> &BTreeMap<StreamId, Written> {
        &self.written
    }

    /// Streams it reads.
    #[must_use]
    pub const fn read(&self) -> &BTreeMap<StreamId, Read> {
        &self.read
    }

    /// Messages its endpoint has accepted.
    #[must_use]
    pub const fn messages_sent(&self) -> usize {
        self.messages_sent
    }

    /// Messages it has got.
    #[must_use]
    pub fn messages_received(&self) -> usize {
        self.messages_received.len()
    }

    /// Datagrams it has got.
    #[must_use]
    pub fn datagrams_received(&self) -> usize {
        self.datagrams_received.len()
    }

    /// What it still waits for, in words; None: everything planned is done.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        if !self.connected {
            return Some("the handshake".into());
        }
        if self.to_open < self.plan.streams.len() {
            return Some(format!(
                "to open stream {} of {}",
                self.to_open,
                self.plan.streams.len()
            ));
        }
        for (id, written) in &self.written {
            let abandoned = written.ended && !written.finished;
            if !written.delivered && !abandoned {
                return Some(format!("delivery of {id:?}: {written:?}"));
            }
        }
        let (sent, delivered) = (self.messages_sent, self.messages_delivered.len());
        if delivered < self.plan.messages.len() {
            return Some(format!("delivery of messages: {delivered} of {sent} sent"));
        }
        self.missing_reads()
    }

    /// What it still waits to get, in words; None: it has got everything planned.
    #[must_use]
    pub fn missing_reads(&self) -> Option<String> {
        for (id, read) in self.expected_streams() {
            if read.is_none_or(|read| matches!(read.end, None | Some(End::Closed))) {
                return Some(format!("the end of {id:?}: {read:?}"));
            }
        }
        let received = self.messages_received.len();
        (received < self.peer.messages.len()).then(|| format!("messages: {received} received"))
    }

    /// Every stream this side will read, with what it has read so far.
    fn expected_streams(&self) -> impl Iterator<Item = (StreamId, Option<&Read>)> {
        let ids = |opener: Side, plans: &[StreamPlan], own: bool| {
            let mut counts = [0; 2];
            let mut ids = Vec::new();
            for plan in plans {
                let count = &mut counts[direction_index(plan.direction)];
                let id = StreamId::new(opener, plan.direction, *count);
                *count += 1;
                if !own || plan.direction == StreamDirection::Bidirectional {
                    ids.push(id);
                }
            }
            ids
        };
        let own = ids(self.side, &self.plan.streams, true);
        let theirs = ids(self.side.peer(), &self.peer.streams, false);
        own.into_iter()
            .chain(theirs)
            .map(|id| (id, self.read.get(&id)))
    }

    pub(super) fn misuse(&self, what: &'static str, answer: &dyn std::fmt::Debug) -> Violation {
        Violation::Interface {
            node: self.node,
            what,
            answer: format!("{answer:?}"),
        }
    }

    fn plan_of(&self, id: StreamId) -> Option<StreamPlan> {
        let plans = if id.opener() == self.side {
            &self.plan
        } else {
            &self.peer
        };
        let index = usize::try_from(id.index()).ok()?;
        plans
            .streams
            .iter()
            .filter(|plan| plan.direction == id.direction())
            .nth(index)
            .copied()
    }

    /// A stream that we write has come into being.
    pub(super) fn begin_writing(&mut self, id: StreamId, own: bool) {
        let Some(plan) = self.plan_of(id) else { return };
        let reset_after = match plan.fate {
            Fate::Reset(bytes) if own => Some(bytes.min(plan.bytes)),
            _ => None,
        };
        let planned = if own { plan.bytes } else { plan.answer };
        self.written.insert(
            id,
            Written {
                planned,
                reset_after,
                ..Written::default()
            },
        );
        self.writable.insert(id);
    }

    /// A stream that we read has come into being.
    pub(super) fn begin_reading(&mut self, id: StreamId, own: bool) {
        let stop_after = match self.plan_of(id).map(|plan| plan.fate) {
            Some(Fate::Stop(bytes)) if !own => Some(bytes),
            _ => None,
        };
        self.read.insert(
            id,
            Read {
                stop_after,
                ..Read::default()
            },
        );
        self.readable.insert(id);
    }
}

pub(super) const fn direction_index(direction: StreamDirection) -> usize {
    match direction {
        StreamDirection::Bidirectional => 0,
        StreamDirection::Unidirectional => 1,
    }
}
