//! NewReno as RFC 9002 §7 and appendix B describe it (RFC 5681, RFC 6582), counting bytes (RFC
//! 3465), with undo after a spurious loss.
//!
//! Discrepancies: RFC 9002 has no undo; here a recovery period that turns out to rest on spurious
//! losses only (as many as were declared) restores the window it began with (the idea of RFC 4015).

use alloc::boxed::Box;

use super::{Acked, Congestion, CongestionKind, Controller};
use crate::ids::PacketNumber;
use crate::planted::{self, Bug};
use crate::send::loss::DeclaredLost;
use crate::time::Instant;

/// Smallest window in packets (RFC 9002 §7.2).
const MINIMUM_WINDOW_PACKETS: u64 = 2;

/// What to restore when a recovery period was a mistake.
#[derive(Clone, Copy, Debug)]
struct Undo {
    window: u64,
    threshold: u64,
    /// Bytes declared lost in this period that are not yet known to be spurious.
    lost: u64,
}

/// The controller.
#[derive(Clone, Debug)]
pub struct NewReno {
    mtu: u64,
    window: u64,
    /// `u64::MAX` until the first congestion.
    threshold: u64,
    /// Packets sent before this belong to the current recovery period.
    recovery_start: Option<Instant>,
    /// Bytes acknowledged towards the next packet of growth in congestion avoidance.
    growth: u64,
    undo: Option<Undo>,
}

impl NewReno {
    /// A controller in slow start with a window of `initial_packets` packets.
    #[must_use]
    pub const fn new(mtu: usize, initial_packets: u64) -> Self {
        Self {
            mtu: mtu as u64,
            window: initial_packets * mtu as u64,
            threshold: u64::MAX,
            recovery_start: None,
            growth: 0,
            undo: None,
        }
    }

    /// [`Self::new`] as a [`super::ControllerFactory`].
    #[must_use]
    pub fn boxed(mtu: usize, initial_packets: u64) -> Box<dyn Controller> {
        Box::new(Self::new(mtu, initial_packets))
    }

    fn minimum(&self) -> u64 {
        if planted::is(Bug::WindowBelowMinimum) {
            return 0;
        }
        MINIMUM_WINDOW_PACKETS * self.mtu
    }

    fn in_recovery(&self, sent_at: Instant) -> bool {
        self.recovery_start.is_some_and(|start| sent_at <= start)
    }
}

impl Controller for NewReno {
    fn on_sent(&mut self, _: Instant, _: PacketNumber, _: u64, _: u64) {}

    fn on_acked(&mut self, acked: &Acked<'_>) {
        if acked.app_limited || self.in_recovery(acked.largest_sent_at) {
            return;
        }
        self.undo = None;
        if self.window < self.threshold {
            self.window = self.window.saturating_add(acked.bytes);
            return;
        }
        self.growth += acked.bytes;
        if self.growth >= self.window {
            self.growth -= self.window;
            self.window = self.window.saturating_add(self.mtu);
        }
    }

    fn on_congestion(&mut self, congestion: &Congestion) {
        if congestion.kind == CongestionKind::Persistent {
            self.window = self.minimum();
            self.recovery_start =
                planted::is(Bug::CollapseNeverLeaves).then_some(Instant::FAR_FUTURE);
            self.growth = 0;
            self.undo = None;
            return;
        }
        if self.in_recovery(congestion.sent_at) && !planted::is(Bug::HalvesPerPass) {
            if let Some(undo) = &mut self.undo {
                undo.lost += congestion.bytes;
            }
            return;
        }
        self.undo = (congestion.kind == CongestionKind::Loss).then_some(Undo {
            window: self.window,
            threshold: self.threshold,
            lost: congestion.bytes,
        });
        self.recovery_start = Some(congestion.now);
        self.threshold = (self.window / 2).max(self.minimum());
        self.window = self.threshold;
        self.growth = 0;
    }

    fn on_spurious_loss(&mut self, _: Instant, lost: &DeclaredLost) {
        // A mistake of an earlier recovery period says nothing about this one.
        let in_this_period = self.recovery_start.is_some_and(|start| lost.at >= start);
        let Some(undo) = self.undo.as_mut().filter(|_| in_this_period) else {
            return;
        };
        undo.lost = undo.lost.saturating_sub(lost.bytes);
        if planted::is(Bug::UndoAppliedTwice) {
            self.window += undo.window / 2;
            return;
        }
        if undo.lost == 0 || planted::is(Bug::UndoWithoutEvidence) {
            self.window = self.window.max(undo.window);
            self.threshold = undo.threshold;
            self.recovery_start = None;
            self.undo = None;
        }
    }

    fn on_probe_timeout(&mut self, _: Instant) {}

    fn on_mtu_change(&mut self, mtu: usize) {
        self.mtu = mtu as u64;
        self.window = self.window.max(self.minimum());
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn slow_start_threshold(&self) -> Option<u64> {
        Some(self.threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::send::rtt::RttEstimator;
    use core::time::Duration;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    fn ack(reno: &mut NewReno, sent: u64, bytes: u64) {
        reno.on_acked(&Acked {
            now: at(sent + 50),
            largest: PacketNumber(sent),
            largest_sent_at: at(sent),
            bytes,
            in_flight: 0,
            rtt: &RttEstimator::new(Duration::from_millis(50)),
            app_limited: false,
        });
    }

    fn lose(reno: &mut NewReno, now: u64, sent: u64, kind: CongestionKind) {
        reno.on_congestion(&Congestion {
            now: at(now),
            kind,
            sent_at: at(sent),
            bytes: 1_000,
        });
    }

    fn spurious(reno: &mut NewReno, declared: u64) {
        let lost = DeclaredLost {
            at: at(declared),
            bytes: 1_000,
        };
        reno.on_spurious_loss(at(declared + 10), &lost);
    }

    #[test]
    fn slow_start_doubles_and_avoidance_adds_one_packet_a_window() {
        let mut reno = NewReno::new(1_000, 10);
        ack(&mut reno, 1, 10_000);
        assert_eq!(reno.window(), 20_000);
        lose(&mut reno, 100, 60, CongestionKind::Loss);
        assert_eq!(reno.window(), 10_000);
        ack(&mut reno, 101, 9_999);
        assert_eq!(reno.window(), 10_000);
        ack(&mut reno, 102, 1);
        assert_eq!(reno.window(), 11_000);
    }

    #[test]
    fn many_losses_of_one_flight_halve_once() {
        let mut reno = NewReno::new(1_000, 20);
        lose(&mut reno, 100, 60, CongestionKind::Loss);
        lose(&mut reno, 110, 99, CongestionKind::Loss);
        ack(&mut reno, 100, 5_000);
        assert_eq!(
            reno.window(),
            10_000,
            "neither shrinks nor grows inside recovery"
        );
        lose(&mut reno, 200, 150, CongestionKind::Ecn);
        assert_eq!(reno.window(), 5_000);
    }

    #[test]
    fn persistent_congestion_collapses_to_two_packets() {
        let mut reno = NewReno::new(1_000, 20);
        lose(&mut reno, 100, 60, CongestionKind::Persistent);
        assert_eq!(reno.window(), 2_000);
        lose(&mut reno, 300, 200, CongestionKind::Loss);
        assert_eq!(reno.window(), 2_000, "never below the minimum");
    }

    #[test]
    fn a_recovery_that_was_all_spurious_is_undone_once() {
        let mut reno = NewReno::new(1_000, 20);
        lose(&mut reno, 100, 60, CongestionKind::Loss);
        lose(&mut reno, 101, 61, CongestionKind::Loss);
        spurious(&mut reno, 100);
        assert_eq!(reno.window(), 10_000);
        spurious(&mut reno, 101);
        assert_eq!(reno.window(), 20_000);
        lose(&mut reno, 120, 115, CongestionKind::Loss);
        assert_eq!(reno.window(), 10_000);
        ack(&mut reno, 121, 1_000);
        spurious(&mut reno, 120);
        assert_eq!(
            reno.window(),
            10_000,
            "too late: growth has gone on from here"
        );
    }

    #[test]
    fn a_mistake_of_an_earlier_recovery_undoes_nothing() {
        let mut reno = NewReno::new(1_000, 20);
        lose(&mut reno, 100, 60, CongestionKind::Loss);
        ack(&mut reno, 110, 1_000);
        lose(&mut reno, 200, 150, CongestionKind::Loss);
        assert_eq!(reno.window(), 5_000);
        spurious(&mut reno, 100);
        assert_eq!(reno.window(), 5_000);
        spurious(&mut reno, 200);
        assert_eq!(reno.window(), 10_000);
    }

    #[test]
    fn an_idle_application_does_not_grow_the_window() {
        let mut reno = NewReno::new(1_000, 10);
        reno.on_acked(&Acked {
            now: at(1),
            largest: PacketNumber(1),
            largest_sent_at: at(0),
            bytes: 10_000,
            in_flight: 0,
            rtt: &RttEstimator::new(Duration::from_millis(50)),
            app_limited: true,
        });
        assert_eq!(reno.window(), 10_000);
    }
}
