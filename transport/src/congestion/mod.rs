//! Congestion control behind one trait.
//!
//! A [`Controller`] sees every packet with its number (sent, acknowledged, lost), each
//! acknowledgement with a delivery-rate sample and its ECN counts, and each kind of congestion
//! apart: fast loss, probe timeout, persistent congestion, ECN marks, a loss that was none. It
//! answers with a window and, if it has them, a pacing rate and the size of a burst. Which
//! controller a connection gets is a [`ControllerChoice`] in its settings.
//!
//! | controller | specification |
//! |---|---|
//! | [`NewReno`] | RFC 9002 §7 and appendix B |
//! | [`Cubic`] | RFC 9438, with HyStart++ (RFC 9406) |
//! | [`Bbr`] | BBRv3: draft-ietf-ccwg-bbr-06 |
//!
//! A controller is deterministic: time and a seed are arguments ([`Setup`]), decisions are integer
//! arithmetic. `docs/congestion.md` is the manual, with an example of a controller of one's own.

mod bbr;
mod choice;
mod cubic;
mod events;
mod hystart;
mod new_reno;
mod recovery;
mod resume;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod testing_path;

use core::fmt::Debug;
use core::time::Duration;

pub use bbr::Bbr;
pub use choice::{ControllerChoice, ControllerFactory, Setup};
pub use cubic::Cubic;
pub use events::{
    Acked, AckedPacket, Congestion, CongestionKind, EcnSample, LostPacket, Sent, SpuriousLoss,
};
pub use new_reno::NewReno;
pub use recovery::Recovery;

pub use crate::send::rate::{LossSample, RateSample};
pub use crate::send::rtt::RttEstimator;

use crate::planted::{self, Bug};
use crate::time::Instant;

/// Smallest window in packets (RFC 9002 §7.2).
pub const MINIMUM_WINDOW_PACKETS: u64 = 2;

/// The same in bytes.
fn minimum_window(mtu: u64) -> u64 {
    if planted::is(Bug::WindowBelowMinimum) {
        return 0;
    }
    MINIMUM_WINDOW_PACKETS * mtu
}

/// A congestion controller of one path. All sizes are bytes of UDP payload.
///
/// For an acknowledgement the calls come in this order: [`on_spurious_loss`] and
/// [`on_packet_acked`] for each packet, [`on_congestion`] for new ECN marks, [`on_packet_lost`] for
/// each packet that it condemns and one [`on_congestion`] for all of them, then [`on_acked`] once
/// for the whole (RFC 9002 appendix A.7). Losses by timer come without an acknowledgement.
///
/// Nothing here may panic, whatever a peer sends: numbers and times are true, their pattern is the
/// peer's.
///
/// [`on_spurious_loss`]: Self::on_spurious_loss
/// [`on_packet_acked`]: Self::on_packet_acked
/// [`on_packet_lost`]: Self::on_packet_lost
/// [`on_congestion`]: Self::on_congestion
/// [`on_acked`]: Self::on_acked
pub trait Controller: Send + Debug {
    /// Its name in statistics and traces: lower case, one word.
    fn name(&self) -> &'static str;

    /// The state it is in, for traces: lower case, one word. The default knows slow start and
    /// avoidance by the threshold.
    fn phase(&self) -> &'static str {
        slow_start_phase(self.window(), self.slow_start_threshold().unwrap_or(0))
    }

    /// A packet left, or several like it together. After idleness the first one says so ([`Sent::idle`]).
    fn on_sent(&mut self, sent: &Sent) {
        let _ = sent;
    }

    /// A packet was acknowledged.
    fn on_packet_acked(&mut self, packet: &AckedPacket) {
        let _ = packet;
    }

    /// Packets were acknowledged: the sum, and what was measured.
    fn on_acked(&mut self, acked: &Acked<'_>);

    /// A packet was declared lost.
    fn on_packet_lost(&mut self, packet: &LostPacket) {
        let _ = packet;
    }

    /// Congestion was noticed.
    fn on_congestion(&mut self, congestion: &Congestion);

    /// A packet that had been declared lost was acknowledged after all.
    fn on_spurious_loss(&mut self, spurious: &SpuriousLoss) {
        let _ = spurious;
    }

    /// The probe timer went off: no evidence of loss yet (RFC 9002 §6.2), `count` times in a row.
    fn on_probe_timeout(&mut self, now: Instant, count: u32) {
        let _ = (now, count);
    }

    /// The packet size changed.
    fn on_mtu_change(&mut self, mtu: usize);

    /// Bytes that may be in flight.
    fn window(&self) -> u64;

    /// The slow-start threshold, if it has one.
    fn slow_start_threshold(&self) -> Option<u64> {
        None
    }

    /// Bytes per second to pace at; None: do not pace. The default spreads 1.25 windows over a
    /// round trip, 2 in slow start (RFC 9002 §7.7; the factor 2 keeps slow start doubling).
    fn pacing_rate(&self, smoothed_rtt: Duration) -> Option<u64> {
        let slow_start = self
            .slow_start_threshold()
            .is_some_and(|limit| self.window() < limit);
        Some(pace(self.window(), smoothed_rtt, slow_start))
    }

    /// Bytes that may leave at once when paced; None: what the pacer thinks good.
    fn send_quantum(&self) -> Option<u64> {
        None
    }

    /// Whether a cut of the window is to be approached in proportion to what is delivered (RFC 9937),
    /// by the connection: for controllers that cut once a round trip and then rely on the window.
    fn reduces_proportionally(&self) -> bool {
        false
    }

    /// What to keep of this path for a later connection (RFC 9959 §3); None: nothing worth keeping.
    fn saved_path(&self, rtt: &RttEstimator) -> Option<SavedPath> {
        let _ = rtt;
        None
    }

    /// An earlier connection to the same peer saw this path. Called once, before the first packet.
    /// A controller that cannot use it ignores it.
    fn resume(&mut self, saved: SavedPath) {
        let _ = saved;
    }
}

fn slow_start_phase(window: u64, threshold: u64) -> &'static str {
    if window < threshold {
        "slow_start"
    } else {
        "avoidance"
    }
}

/// Bytes per second that send `window` in less than a round trip: in 0.8 of it, in slow start 0.5.
/// At least one: none would mean no limit.
fn pace(window: u64, smoothed_rtt: Duration, slow_start: bool) -> u64 {
    let (numerator, denominator) = if slow_start { (2, 1) } else { (5, 4) };
    let nanos = smoothed_rtt.as_nanos().max(1);
    let rate = u128::from(window) * numerator * 1_000_000_000 / (denominator * nanos);
    u64::try_from(rate).unwrap_or(u64::MAX).max(1)
}

/// What is remembered of a path between connections (RFC 9959: `saved_cwnd`, `saved_rtt`). Whether
/// it is still the same path, and not too old, is for its keeper to decide.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SavedPath {
    /// Bytes that were in flight without congestion.
    pub window: u64,
    /// The least round-trip time.
    pub rtt: Duration,
}

impl SavedPath {
    /// Of a window that congestion has met at least once: before, it says nothing about the path.
    fn of(window: u64, threshold: u64, rtt: &RttEstimator) -> Option<Self> {
        (threshold < u64::MAX && rtt.is_sampled()).then(|| Self {
            window,
            rtt: rtt.minimum(),
        })
    }
}

/// Where a controller stands, for statistics and traces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ControllerState {
    /// [`Controller::name`].
    pub name: &'static str,
    /// [`Controller::phase`].
    pub phase: &'static str,
    /// Bytes that may be in flight.
    pub window: u64,
    /// The slow-start threshold, if it has one.
    pub slow_start_threshold: Option<u64>,
    /// Bytes per second it paces at; None: it does not.
    pub pacing_rate: Option<u64>,
    /// Bytes that may leave at once; None: what the pacer thinks good.
    pub send_quantum: Option<u64>,
}

impl ControllerState {
    /// The state of `controller` on a path of this round-trip time.
    #[must_use]
    pub fn of(controller: &dyn Controller, smoothed_rtt: Duration) -> Self {
        Self {
            name: controller.name(),
            phase: controller.phase(),
            window: controller.window(),
            slow_start_threshold: controller.slow_start_threshold(),
            pacing_rate: controller.pacing_rate(smoothed_rtt),
            send_quantum: controller.send_quantum(),
        }
    }
}

#[cfg(test)]
mod tests;
