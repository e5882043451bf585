//! What a controller is told.

use core::time::Duration;

use crate::ids::PacketNumber;
use crate::send::loss::DeclaredLost;
use crate::send::rate::{LossSample, RateSample};
use crate::send::rtt::RttEstimator;
use crate::time::Instant;
use crate::wire::ack::EcnCounts;

/// A packet that left and has to be acknowledged, or several like it that left together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Sent {
    /// When.
    pub now: Instant,
    /// Its number, the last of several.
    pub number: PacketNumber,
    /// Its bytes, or those of all.
    pub bytes: u64,
    /// Bytes in flight, these included.
    pub in_flight: u64,
    /// How long nothing was sent, when nothing was in flight: the sender restarts from idleness.
    pub idle: Option<Duration>,
    /// The application has had nothing to send for a while ([`RateSample::app_limited`]).
    pub app_limited: bool,
}

/// A packet that was newly acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct AckedPacket {
    /// When the acknowledgement came.
    pub now: Instant,
    /// Its number.
    pub number: PacketNumber,
    /// Its bytes.
    pub bytes: u64,
    /// When it was sent.
    pub sent_at: Instant,
}

/// A packet that was declared lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LostPacket {
    /// When the verdict fell.
    pub now: Instant,
    /// Its number.
    pub number: PacketNumber,
    /// Its bytes.
    pub bytes: u64,
    /// When it was sent.
    pub sent_at: Instant,
    /// What was in flight when it left, and lost since.
    pub sample: LossSample,
}

/// ECN counts that came with an acknowledgement (RFC 9000 §19.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct EcnSample {
    /// The peer's counts since the connection began.
    pub counts: EcnCounts,
    /// Packets newly reported as marked Congestion Experienced.
    pub newly_marked: u64,
}

/// One acknowledgement, summed over the packets it newly covers.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Acked<'a> {
    /// When it came.
    pub now: Instant,
    /// The largest number it newly covers.
    pub largest: PacketNumber,
    /// When the last of the packets was sent.
    pub largest_sent_at: Instant,
    /// Bytes newly acknowledged.
    pub bytes: u64,
    /// Bytes in flight before it came.
    pub in_flight_before: u64,
    /// Bytes still in flight.
    pub in_flight: u64,
    /// The round-trip times.
    pub rtt: &'a RttEstimator,
    /// How fast the path delivers.
    pub rate: RateSample,
    /// The window held data back at some moment of the round trip that ends with this.
    pub window_limited: bool,
    /// ECN counts, if it brought some.
    pub ecn: Option<EcnSample>,
}

impl Acked<'_> {
    /// From the departure of the last packet to now: a round-trip sample with whatever the peer
    /// waited.
    #[must_use]
    pub const fn round_trip(&self) -> Duration {
        self.now.saturating_duration_since(self.largest_sent_at)
    }

    /// Whether the sender used enough of `window` for this to be evidence that more is safe (RFC
    /// 9002 §7.8): the window was the limit or, in slow start, at least half of it was in flight, as
    /// pacing spreads the first half of a doubling round.
    #[must_use]
    pub const fn allows_growth(&self, window: u64, slow_start: bool) -> bool {
        self.window_limited || (slow_start && self.in_flight_before.saturating_mul(2) >= window)
    }
}

/// What kind of congestion was noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CongestionKind {
    /// Packets were declared lost by an acknowledgement or the loss timer.
    Loss,
    /// The peer reported congestion marks.
    Ecn,
    /// Everything sent over a long time was lost (RFC 9002 §7.6). Follows a [`Self::Loss`] about
    /// the same packets.
    Persistent,
}

/// A congestion signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Congestion {
    /// When it was noticed.
    pub now: Instant,
    /// Its kind.
    pub kind: CongestionKind,
    /// When the last packet concerned was sent: signals about packets sent before the current
    /// recovery period began are the same congestion.
    pub sent_at: Instant,
    /// Bytes lost.
    pub bytes: u64,
    /// Bytes in flight after the lost ones were taken off.
    pub in_flight: u64,
}

/// A packet that had been declared lost came back acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SpuriousLoss {
    /// When that was learnt.
    pub now: Instant,
    /// The verdict that was wrong.
    pub lost: DeclaredLost,
}
