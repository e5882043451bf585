//! Counters of a connection, of its path and of its streams. Sizes are bytes, rates bytes a second.

use core::net::SocketAddr;
use core::time::Duration;

use crate::time::Instant;

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
    /// Times that packets were declared lost, or new marks were reported: each pass over the packets
    /// in flight that condemned some, each acknowledgement with more marks.
    pub congestion_signals: u64,
    /// Recovery periods: signals about packets that left before the first of them was noticed are the
    /// same congestion (RFC 9002 §7.3.2).
    pub congestion_events: u64,
    /// Times the controller cut its window.
    pub window_reductions: u64,
    /// Times it took that back, because nothing had been lost.
    pub reductions_undone: u64,
    /// Times that everything was lost for so long that the window fell to its minimum (RFC 9002
    /// §7.6).
    pub persistent_congestion: u64,
    /// Pieces of streams and messages, and control frames, that were scheduled to be sent again: by
    /// loss or by a probe timeout.
    pub pieces_sent_again: u64,
    /// Times the peer was asked to acknowledge more or less often.
    pub ack_requests_sent: u64,
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
    /// The last sample of it.
    pub rtt_latest: Duration,
    /// Its mean deviation.
    pub rtt_variance: Duration,
    /// The least round-trip time.
    pub rtt_min: Duration,
    /// Congestion window in bytes.
    pub congestion_window: u64,
    /// Bytes in flight.
    pub bytes_in_flight: u64,
    /// Packets in flight.
    pub packets_in_flight: u64,
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

/// What a connection knows of the path that its packets take, and has done on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PathStats {
    /// The peer's address.
    pub remote: SocketAddr,
    /// Since when packets go there; what is counted is counted from then on.
    pub since: Instant,
    /// Smoothed round-trip time.
    pub rtt: Duration,
    /// The last sample of it.
    pub rtt_latest: Duration,
    /// Its mean deviation.
    pub rtt_variance: Duration,
    /// The least round-trip time.
    pub rtt_min: Duration,
    /// Congestion window.
    pub congestion_window: u64,
    /// The slow-start threshold, if the controller has one; `u64::MAX` before the first congestion.
    pub slow_start_threshold: Option<u64>,
    /// Bytes in flight.
    pub bytes_in_flight: u64,
    /// Packets in flight.
    pub packets_in_flight: u64,
    /// What the path delivered lately; zero: not known.
    pub delivery_rate: u64,
    /// What packets are paced at; zero: they are not.
    pub pacing_rate: u64,
    /// UDP payload of a full packet.
    pub mtu: u64,
    /// Packets leave marked as ECN-capable.
    pub ecn_usable: bool,
    /// Packets that the peer saw marked as having met congestion.
    pub ecn_ce: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Packets received, whichever address they came from.
    pub packets_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// Packets declared lost.
    pub packets_lost: u64,
    /// Of those, packets that their age condemned.
    pub packets_lost_by_time: u64,
    /// Packets acknowledged after they had been declared lost.
    pub packets_spuriously_lost: u64,
    /// Times the probe timer went off.
    pub probe_timeouts: u64,
    /// Recovery periods.
    pub congestion_events: u64,
    /// By how many packets one may be overtaken before it counts as lost.
    pub reordering: u64,
}

/// How far a stream has come, in both directions; zeros for the half that does not exist or is over
/// and forgotten.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct StreamStats {
    /// Accepted from the application.
    pub bytes_written: u64,
    /// Sent at least once.
    pub bytes_sent: u64,
    /// Sent once more, each time counted.
    pub bytes_sent_again: u64,
    /// Acknowledged.
    pub bytes_acknowledged: u64,
    /// New bytes that the peer's limit for this stream admits.
    pub send_credit: u64,
    /// Received, or discarded because nobody wants them.
    pub bytes_received: u64,
    /// Read by the application, or discarded.
    pub bytes_read: u64,
    /// Missing below the highest that came: what waits behind them is received and not readable.
    pub bytes_missing: u64,
    /// What may be on its way or unread.
    pub receive_window: u64,
}

impl StreamStats {
    /// Bytes that wait to be sent for the first time.
    #[must_use]
    pub const fn bytes_queued(&self) -> u64 {
        self.bytes_written - self.bytes_sent
    }
}
