//! What is counted and measured apart from the whole connection: its path, and each stream.

use alloc::boxed::Box;

use super::Connection;
use crate::ids::StreamId;
use crate::stats::{PathStats, Stats, StreamStats};
use crate::time::Instant;

/// Where the current path began.
#[derive(Debug)]
pub(super) struct PathStart {
    at: Instant,
    /// What had been counted by then; None: it is the first path.
    counted: Option<Box<Stats>>,
}

impl PathStart {
    pub(super) const fn new(at: Instant) -> Self {
        Self { at, counted: None }
    }
}

impl Connection {
    /// Counters and current values of the path that packets take now. Counters begin at zero when the
    /// peer's address changes; round-trip times and window are taken over from the path before.
    #[must_use]
    pub fn path_stats(&self) -> PathStats {
        let now = self.stats();
        let then = self.path_start.counted.as_deref();
        let since =
            |counter: fn(&Stats) -> u64| counter(&now).saturating_sub(then.map_or(0, counter));
        PathStats {
            remote: self.path.remote(),
            since: self.path_start.at,
            rtt: now.rtt,
            rtt_latest: now.rtt_latest,
            rtt_variance: now.rtt_variance,
            rtt_min: now.rtt_min,
            congestion_window: now.congestion_window,
            slow_start_threshold: self.congestion.slow_start_threshold(),
            bytes_in_flight: now.bytes_in_flight,
            packets_in_flight: now.packets_in_flight,
            delivery_rate: now.delivery_rate,
            pacing_rate: now.pacing_rate,
            mtu: now.mtu,
            ecn_usable: now.ecn_usable,
            ecn_ce: since(|it| it.ecn_ce),
            packets_sent: since(|it| it.packets_sent),
            bytes_sent: since(|it| it.bytes_sent),
            packets_received: since(|it| it.packets_received),
            bytes_received: since(|it| it.bytes_received),
            packets_lost: since(|it| it.packets_lost),
            packets_lost_by_time: since(|it| it.packets_lost_by_time),
            packets_spuriously_lost: since(|it| it.packets_spuriously_lost),
            probe_timeouts: since(|it| it.probe_timeouts),
            congestion_events: since(|it| it.congestion_events),
            reordering: self.loss.packet_threshold(),
        }
    }

    /// Counters and current values of a stream; None: it was not opened yet, or both halves are over
    /// and forgotten.
    #[must_use]
    pub fn stream_stats(&self, id: StreamId) -> Option<StreamStats> {
        self.streams.stats(id)
    }

    /// Packets take another path from now on.
    pub(super) fn begin_path_stats(&mut self, now: Instant) {
        self.path_start = PathStart {
            at: now,
            counted: Some(Box::new(self.stats())),
        };
    }
}
