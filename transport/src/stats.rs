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
    /// Packets with nothing but an acknowledgement that were sent.
    pub acks_sent: u64,
    /// Packets declared lost; probes for a larger packet size are not among them.
    pub packets_lost: u64,
    /// Of those, packets that their age condemned; the others were overtaken by too many.
    pub packets_lost_by_time: u64,
    /// Of those, packets that were acknowledged after all.
    pub packets_spuriously_lost: u64,
    /// Times the probe timer went off.
    pub probe_timeouts: u64,
    /// Times the window was reduced for loss or marks.
    pub congestion_events: u64,
    /// Times that everything was lost for so long that the window fell to its minimum (RFC 9002
    /// §7.6).
    pub persistent_congestion: u64,
    /// Pieces of streams and messages, and control frames, that were scheduled to be sent again: by
    /// loss or by a probe timeout.
    pub pieces_sent_again: u64,
    /// Probes for a larger packet size that were sent.
    pub mtu_probes_sent: u64,
    /// Of those, how many were lost.
    pub mtu_probes_lost: u64,
    /// Times that large packets stopped passing.
    pub mtu_black_holes: u64,
    /// Packets of ours that the peer saw marked ECT(0), and as having met congestion (CE).
    pub ecn_ect0: u64,
    /// The same for CE.
    pub ecn_ce: u64,
    /// Packets leave marked as ECN-capable: the path passes marks, as far as is known.
    pub ecn_usable: bool,
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
    /// Bytes a second that the path delivered lately; zero: not known.
    pub delivery_rate: u64,
    /// Bytes a second that packets are paced at; zero: they are not.
    pub pacing_rate: u64,
    /// Bytes accepted from the application and not yet acknowledged.
    pub bytes_buffered: u64,
    /// Bytes received and not yet read by the application.
    pub bytes_unread: u64,
    /// UDP payload bytes of a full packet, as far as the search has come.
    pub mtu: u64,
    /// Times the peer's address changed.
    pub path_changes: u64,
}
