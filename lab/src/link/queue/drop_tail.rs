//! First in, first out; what does not fit is dropped.

use serde::{Deserialize, Deserializer, Serialize};

use super::super::element::{ElementError, positive};
use super::super::text::{Either, either};
use super::{Desk, Fifo, Waiting, mark};
use crate::units::{self, Size};

/// A queue of so many bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct DropTail {
    /// Bytes that may wait, headers included, the datagram on the wire not.
    #[serde(with = "units::size")]
    pub bytes: u64,
    /// Marks ECN-capable datagrams that find more bytes than this waiting, as data centres do
    /// (DCTCP, RFC 8257 section 3.1). None: never.
    #[serde(with = "optional_size", skip_serializing_if = "Option::is_none")]
    pub mark_above: Option<u64>,
}

mod optional_size {
    use serde::{Serialize, Serializer};

    use crate::units::Size;

    pub(super) fn serialize<S: Serializer>(
        size: &Option<u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        size.map(Size).serialize(serializer)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    bytes: Size,
    mark_above: Option<Size>,
}

impl<'de> Deserialize<'de> for DropTail {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting = "a size such as \"500kB\", or a table of bytes and mark_above";
        Ok(match either::<Size, Table, D>(deserializer, expecting)? {
            Either::Value(size) => Self::new(size.0),
            Either::Table(table) => Self {
                bytes: table.bytes.0,
                mark_above: table.mark_above.map(|size| size.0),
            },
        })
    }
}

impl DropTail {
    /// A queue of so many bytes that marks nothing.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self {
            bytes,
            mark_above: None,
        }
    }

    pub(super) const fn validate(&self) -> Result<(), ElementError> {
        positive("queue", self.bytes)
    }
}

#[derive(Debug)]
pub(in crate::link) struct State {
    queue: DropTail,
    fifo: Fifo,
}

impl State {
    pub(super) fn new(queue: DropTail) -> Self {
        Self {
            queue,
            fifo: Fifo::default(),
        }
    }

    pub(super) fn enqueue(&mut self, mut waiting: Waiting, desk: &mut Desk<'_>) {
        // However small the queue is, one datagram fits it.
        let after = self.fifo.bytes + waiting.length;
        if after > self.queue.bytes && self.fifo.bytes > 0 {
            desk.stats.queue_full += 1;
            desk.dropped.push(waiting.hop);
            return;
        }
        if self
            .queue
            .mark_above
            .is_some_and(|above| self.fifo.bytes > above)
        {
            mark(&mut waiting.hop, desk.stats);
        }
        self.fifo.push(waiting);
    }

    pub(super) fn dequeue(&mut self) -> Option<Waiting> {
        self.fifo.pop()
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.fifo.bytes
    }
}
