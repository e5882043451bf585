//! Counters of a connection.

use core::time::Duration;

/// What a connection has done so far, and where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Packets sent, of every type.
    pub packets_sent: u64,
    /// Bytes of UDP payload sent.
    pub bytes_sent: u64,
    /// Packets opened.
    pub packets_received: u64,
    /// Bytes of opened packets.
    pub bytes_received: u64,
    /// Packets declared lost.
    pub packets_lost: u64,
    /// Of those, packets that were acknowledged after all.
    pub packets_spuriously_lost: u64,
    /// Times the probe timer went off.
    pub probe_timeouts: u64,
    /// Times the window was reduced for loss or marks.
    pub congestion_events: u64,
    /// Packets that were not opened: forged, corrupted or of other keys.
    pub packets_rejected: u64,
    /// Packets that came twice, or too late to tell.
    pub packets_duplicate: u64,
    /// Datagrams dropped here before they were sent or read.
    pub datagrams_dropped: u64,
    /// Smoothed round-trip time.
    pub rtt: Duration,
    /// Its mean deviation.
    pub rtt_variance: Duration,
    /// The least round-trip time.
    pub rtt_min: Duration,
    /// Congestion window in bytes.
    pub congestion_window: u64,
    /// Bytes in flight.
    pub bytes_in_flight: u64,
    /// Bytes accepted from the application and not yet acknowledged.
    pub bytes_buffered: u64,
    /// Bytes received and not yet read by the application.
    pub bytes_unread: u64,
    /// UDP payload bytes of a full packet.
    pub mtu: u64,
    /// Times the peer's address changed.
    pub path_changes: u64,
}
