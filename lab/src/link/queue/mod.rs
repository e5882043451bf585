//! Queues in front of a bottleneck: drop-tail, CoDel, DualPI2.
//!
//! A queue decides twice: on arrival (is there room?) and on departure (has it waited too long?).
//! The server behind it (`server`) asks for the next datagram when the one before has
//! left.

pub mod codel;
pub mod drop_tail;
pub mod dual_pi2;

use std::collections::VecDeque;

use dunlin_transport::{EcnMark, Instant};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use codel::CoDel;
pub use drop_tail::DropTail;
pub use dual_pi2::DualPi2;

use super::element::ElementError;
use super::text::{Either, either};
use super::{Hop, LinkStats};
use crate::units::Size;

/// How a bottleneck holds what waits. In a file a size alone is a drop-tail queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Queue {
    /// First in, first out, so many bytes. `"500kB"` or
    /// `{ drop_tail = { bytes = "500kB", mark_above = "100kB" } }`
    DropTail(DropTail),
    /// Controlled delay. `{ codel = { target = "5ms", interval = "100ms" } }`
    CoDel(CoDel),
    /// Two coupled queues. `{ dual_pi2 = { target = "15ms" } }`
    DualPi2(DualPi2),
}

impl Queue {
    /// Checks that its numbers make sense.
    ///
    /// # Errors
    /// The first that does not.
    pub fn validate(&self) -> Result<(), ElementError> {
        match self {
            Self::DropTail(queue) => queue.validate(),
            Self::CoDel(queue) => queue.validate(),
            Self::DualPi2(queue) => queue.validate(),
        }
    }

    pub(super) fn discipline(&self) -> Discipline {
        match *self {
            Self::DropTail(queue) => Discipline::DropTail(drop_tail::State::new(queue)),
            Self::CoDel(queue) => Discipline::CoDel(codel::State::new(queue)),
            Self::DualPi2(queue) => Discipline::DualPi2(Box::new(dual_pi2::State::new(queue))),
        }
    }
}

/// The form of a file: a table with one key.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum QueueText {
    DropTail(DropTail),
    #[serde(rename = "codel")]
    CoDel(CoDel),
    DualPi2(DualPi2),
}

impl<'de> Deserialize<'de> for Queue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting = "a size such as \"500kB\", or a table of drop_tail, codel or dual_pi2";
        Ok(
            match either::<Size, QueueText, D>(deserializer, expecting)? {
                Either::Value(size) => Self::DropTail(DropTail::new(size.0)),
                Either::Table(QueueText::DropTail(queue)) => Self::DropTail(queue),
                Either::Table(QueueText::CoDel(queue)) => Self::CoDel(queue),
                Either::Table(QueueText::DualPi2(queue)) => Self::DualPi2(queue),
            },
        )
    }
}

impl Serialize for Queue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::DropTail(DropTail {
                bytes,
                mark_above: None,
            }) => Size(bytes).serialize(serializer),
            Self::DropTail(queue) => QueueText::DropTail(queue).serialize(serializer),
            Self::CoDel(queue) => QueueText::CoDel(queue).serialize(serializer),
            Self::DualPi2(queue) => QueueText::DualPi2(queue).serialize(serializer),
        }
    }
}

/// A datagram that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) hop: Hop,
    /// Since when.
    pub(super) since: Instant,
    /// Bytes with headers.
    pub(super) length: u64,
}

/// Datagrams in the order of their arrival, and how much they are.
#[derive(Debug, Default)]
pub(super) struct Fifo {
    list: VecDeque<Waiting>,
    bytes: u64,
}

impl Fifo {
    fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.length;
        self.list.push_back(waiting);
    }

    fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.list.pop_front()?;
        self.bytes -= waiting.length;
        Some(waiting)
    }

    /// How long the first has waited.
    fn sojourn(&self, now: Instant) -> std::time::Duration {
        let since = self.list.front().map_or(now, |waiting| waiting.since);
        now.saturating_duration_since(since)
    }
}

/// A queue at work.
#[derive(Debug)]
pub(super) enum Discipline {
    DropTail(drop_tail::State),
    CoDel(codel::State),
    DualPi2(Box<dual_pi2::State>),
}

/// What a queue works with besides itself.
pub(super) struct Desk<'a> {
    pub(super) stats: &'a mut LinkStats,
    /// Datagrams that were dropped in the queue.
    pub(super) dropped: &'a mut Vec<Hop>,
}

impl Discipline {
    /// A datagram arrives; what does not fit goes to `desk.dropped`.
    pub(super) fn enqueue(&mut self, now: Instant, waiting: Waiting, desk: &mut Desk<'_>) {
        match self {
            Self::DropTail(state) => state.enqueue(waiting, desk),
            Self::CoDel(state) => state.enqueue(waiting, desk),
            Self::DualPi2(state) => state.enqueue(now, waiting, desk),
        }
    }

    /// The next to be sent.
    pub(super) fn dequeue(&mut self, now: Instant, desk: &mut Desk<'_>) -> Option<Waiting> {
        match self {
            Self::DropTail(state) => state.dequeue(),
            Self::CoDel(state) => state.dequeue(now, desk),
            Self::DualPi2(state) => state.dequeue(now, desk),
        }
    }

    /// Bytes that wait, headers included.
    pub(super) const fn bytes(&self) -> u64 {
        match self {
            Self::DropTail(state) => state.bytes(),
            Self::CoDel(state) => state.bytes(),
            Self::DualPi2(state) => state.bytes(),
        }
    }
}

/// Marks a datagram "congestion experienced" if it is ECN-capable; whether it is.
pub(super) const fn mark(hop: &mut Hop, stats: &mut LinkStats) -> bool {
    if hop.datagram.ecn.is_none() {
        return false;
    }
    stats.marked += 1;
    hop.datagram.ecn = Some(EcnMark::Ce);
    true
}
