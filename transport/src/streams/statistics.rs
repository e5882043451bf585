//! What is counted for each stream.

use super::Streams;
use crate::ids::StreamId;
use crate::stats::StreamStats;

impl Streams {
    /// Counters of a stream; None: neither half of it exists.
    pub(crate) fn stats(&self, id: StreamId) -> Option<StreamStats> {
        let (send, recv) = (self.send.get(&id), self.recv.get(&id));
        if send.is_none() && recv.is_none() {
            return None;
        }
        let mut stats = StreamStats::default();
        if let Some(stream) = send {
            stats.bytes_written = stream.buffer.written();
            stats.bytes_sent = stream.buffer.sent();
            stats.bytes_sent_again = stream.buffer.sent_again();
            stats.bytes_acknowledged = stream.buffer.acknowledged();
            stats.send_credit = stream.granted.limit().saturating_sub(stream.buffer.sent());
        }
        if let Some(stream) = recv {
            let progress = stream.progress();
            stats.bytes_received = progress.received;
            stats.bytes_read = progress.read;
            stats.bytes_missing = progress.missing;
            stats.receive_window = progress.window;
        }
        Some(stats)
    }
}
