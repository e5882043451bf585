//! Control frames of streams, as they are remembered until they are acknowledged.

use crate::ids::{StreamDirection, StreamId};
use crate::wire::frame::Frame;

/// A control frame of a stream, kept with the packet that carried it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Control {
    /// RESET_STREAM.
    Reset {
        /// Stream.
        id: StreamId,
        /// Code.
        code: u64,
        /// Bytes sent.
        final_size: u64,
    },
    /// STOP_SENDING.
    Stop {
        /// Stream.
        id: StreamId,
        /// Code.
        code: u64,
    },
    /// MAX_STREAM_DATA.
    Credit {
        /// Stream.
        id: StreamId,
        /// Limit.
        limit: u64,
    },
    /// MAX_STREAMS.
    Grant {
        /// Direction.
        direction: StreamDirection,
        /// Count.
        count: u64,
    },
}

impl Control {
    /// The frame that says it.
    #[must_use]
    pub(crate) const fn frame(&self) -> Frame<'static> {
        match *self {
            Self::Reset {
                id,
                code,
                final_size,
            } => Frame::ResetStream {
                id,
                code,
                final_size,
            },
            Self::Stop { id, code } => Frame::StopSending { id, code },
            Self::Credit { id, limit } => Frame::MaxStreamData { id, limit },
            Self::Grant { direction, count } => Frame::MaxStreams { direction, count },
        }
    }
}
