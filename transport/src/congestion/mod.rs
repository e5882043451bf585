//! Congestion control behind one trait.
//!
//! A controller sees packets with their numbers, acknowledgements with rate material, and each kind
//! of congestion apart (fast loss, probe timeout, persistent congestion, ECN, a loss that was none);
//! it answers with a window and, if it has one, a pacing rate.

mod new_reno;

use alloc::boxed::Box;
use core::fmt::Debug;
use core::time::Duration;

pub use new_reno::NewReno;

use crate::ids::PacketNumber;
use crate::send::loss::DeclaredLost;
use crate::send::rtt::RttEstimator;
use crate::time::Instant;

/// One acknowledgement, summed over the packets it newly covers.
#[derive(Clone, Copy, Debug)]
pub struct Acked<'a> {
    /// When it came.
    pub now: Instant,
    /// The largest number it newly covers.
    pub largest: PacketNumber,
    /// When that packet was sent.
    pub largest_sent_at: Instant,
    /// Bytes newly acknowledged.
    pub bytes: u64,
    /// Bytes still in flight.
    pub in_flight: u64,
    /// The round-trip times.
    pub rtt: &'a RttEstimator,
    /// The sender had less to send than the window allowed since the acknowledged packets left.
    pub app_limited: bool,
}

/// What kind of congestion was noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CongestionKind {
    /// Packets were declared lost by an acknowledgement or the loss timer.
    Loss,
    /// The peer reported congestion marks.
    Ecn,
    /// Everything sent over a long time was lost (RFC 9002 §7.6).
    Persistent,
}

/// A congestion signal.
#[derive(Clone, Copy, Debug)]
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
}

/// A congestion controller. All sizes are bytes.
pub trait Controller: Send + Debug {
    /// A packet left; `in_flight` includes it.
    fn on_sent(&mut self, now: Instant, number: PacketNumber, bytes: u64, in_flight: u64);

    /// Packets were acknowledged.
    fn on_acked(&mut self, acked: &Acked<'_>);

    /// Congestion was noticed.
    fn on_congestion(&mut self, congestion: &Congestion);

    /// A packet that had been declared lost was acknowledged after all.
    fn on_spurious_loss(&mut self, now: Instant, lost: &DeclaredLost);

    /// The probe timer went off.
    fn on_probe_timeout(&mut self, now: Instant);

    /// The packet size changed.
    fn on_mtu_change(&mut self, mtu: usize);

    /// Bytes that may be in flight.
    fn window(&self) -> u64;

    /// The slow-start threshold, if it has one; for statistics.
    fn slow_start_threshold(&self) -> Option<u64> {
        None
    }

    /// Bytes per second to pace at. The default spreads 1.25 windows over a round trip, 2 in slow
    /// start (RFC 9002 §7.7; the factor 2 keeps slow start doubling).
    fn pacing_rate(&self, smoothed_rtt: Duration) -> Option<u64> {
        let slow_start = self
            .slow_start_threshold()
            .is_some_and(|limit| self.window() < limit);
        let (numerator, denominator) = if slow_start { (2, 1) } else { (5, 4) };
        let nanos = smoothed_rtt.as_nanos().max(1);
        let rate = u128::from(self.window()) * numerator * 1_000_000_000 / (denominator * nanos);
        Some(u64::try_from(rate).unwrap_or(u64::MAX))
    }
}

/// Makes a controller for a new connection.
pub type ControllerFactory = fn(mtu: usize, initial_window_packets: u64) -> Box<dyn Controller>;
