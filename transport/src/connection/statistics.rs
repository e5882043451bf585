//! What is counted and measured apart from the whole connection: its path, and each stream.

use alloc::boxed::Box;

use super::Connection;
use crate::ids::StreamId;
use crate::stats::{PathStats, Stats, StreamStats};
use crate::time::Instant;

/// What a connection counts; the rest of [`Stats`] is asked for where it is known.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Counters {
    pub(super) packets_sent: u64,
    pub(super) bytes_sent: u64,
    pub(super) packets_received: u64,
    pub(super) bytes_received: u64,
    pub(super) acks_sent: u64,
    pub(super) packets_lost: u64,
    pub(super) packets_lost_by_time: u64,
    pub(super) packets_spuriously_lost: u64,
    pub(super) probe_timeouts: u64,
    pub(super) congestion_signals: u64,
    pub(super) congestion_events: u64,
    pub(super) window_reductions: u64,
    pub(super) reductions_undone: u64,
    pub(super) persistent_congestion: u64,
    pub(super) pieces_sent_again: u64,
    pub(super) ack_requests_sent: u64,
    pub(super) mtu_probes_sent: u64,
    pub(super) mtu_probes_lost: u64,
    pub(super) mtu_black_holes: u64,
    pub(super) packets_rejected: u64,
    pub(super) packets_duplicate: u64,
    pub(super) delivery_rate: u64,
    pub(super) path_changes: u64,
}

impl Counters {
    /// As the application sees them, with nothing in the other places.
    pub(super) fn told(self) -> Stats {
        Stats {
            packets_sent: self.packets_sent,
            bytes_sent: self.bytes_sent,
            packets_received: self.packets_received,
            bytes_received: self.bytes_received,
            acks_sent: self.acks_sent,
            packets_lost: self.packets_lost,
            packets_lost_by_time: self.packets_lost_by_time,
            packets_spuriously_lost: self.packets_spuriously_lost,
            probe_timeouts: self.probe_timeouts,
            congestion_signals: self.congestion_signals,
            congestion_events: self.congestion_events,
            window_reductions: self.window_reductions,
            reductions_undone: self.reductions_undone,
            persistent_congestion: self.persistent_congestion,
            pieces_sent_again: self.pieces_sent_again,
            ack_requests_sent: self.ack_requests_sent,
            mtu_probes_sent: self.mtu_probes_sent,
            mtu_probes_lost: self.mtu_probes_lost,
            mtu_black_holes: self.mtu_black_holes,
            packets_rejected: self.packets_rejected,
            packets_duplicate: self.packets_duplicate,
            delivery_rate: self.delivery_rate,
            path_changes: self.path_changes,
            ..Stats::default()
        }
    }
}

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
