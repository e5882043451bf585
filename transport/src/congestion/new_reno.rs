//! NewReno as RFC 9002 §7 and appendix B describe it (RFC 5681, RFC 6582), counting bytes (RFC
//! 3465), with undo after a spurious loss.
//!
//! Discrepancies: RFC 9002 has no undo; here a recovery period that turns out to rest on spurious
//! losses only restores the window it began with ([`Recovery`]).

use core::time::Duration;

use super::resume::{Advice, CarefulResume};
use super::{
    Acked, Congestion, CongestionKind, Controller, Recovery, RttEstimator, SavedPath, Sent, Setup,
    SpuriousLoss, minimum_window, pace, slow_start_phase,
};
use crate::planted::{self, Bug};

/// What a recovery period began with.
#[derive(Clone, Copy, Debug)]
struct Before {
    window: u64,
    threshold: u64,
}

/// The controller.
#[derive(Clone, Debug)]
pub struct NewReno {
    mtu: u64,
    window: u64,
    /// `u64::MAX` until the first congestion.
    threshold: u64,
    recovery: Recovery<Before>,
    /// Bytes acknowledged towards the next packet of growth in congestion avoidance.
    growth: u64,
    resume: CarefulResume,
}

impl NewReno {
    /// A controller in slow start.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        Self {
            mtu: setup.mtu as u64,
            window: setup.initial_window,
            threshold: u64::MAX,
            recovery: Recovery::default(),
            growth: 0,
            resume: CarefulResume::new(setup.initial_window),
        }
    }

    fn minimum(&self) -> u64 {
        minimum_window(self.mtu)
    }
}

impl Controller for NewReno {
    fn name(&self) -> &'static str {
        "new_reno"
    }

    fn phase(&self) -> &'static str {
        if self.recovery.is_active() {
            return "recovery";
        }
        let usual = slow_start_phase(self.window, self.threshold);
        self.resume.phase().unwrap_or(usual)
    }

    fn on_sent(&mut self, sent: &Sent) {
        self.resume.on_sent(sent);
    }

    fn on_acked(&mut self, acked: &Acked<'_>) {
        match self.resume.on_acked(acked, self.window) {
            Advice::Usual => {}
            Advice::Hold => return,
            Advice::Window(window) => {
                self.window = window.max(self.minimum());
                return;
            }
            Advice::Threshold(threshold) => self.threshold = threshold.max(self.minimum()),
        }
        if self.recovery.covers(acked.largest_sent_at) {
            return;
        }
        self.recovery.on_progress();
        let slow_start = self.window < self.threshold;
        if !acked.allows_growth(self.window, slow_start) {
            return;
        }
        if slow_start {
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
        let retreat = self.resume.on_congestion(congestion);
        if congestion.kind == CongestionKind::Persistent {
            self.window = self.minimum();
            self.growth = 0;
            self.recovery.reset();
            return;
        }
        let before = Before {
            window: self.window,
            threshold: self.threshold,
        };
        if self.recovery.begin(congestion, before) {
            self.threshold = (self.window / 2).max(self.minimum());
            self.window = self.threshold;
            self.growth = 0;
        }
        if let Some(window) = retreat {
            self.window = window.max(self.minimum());
            // What came too boldly is no mistake to undo.
            self.recovery.on_progress();
        }
    }

    fn on_spurious_loss(&mut self, spurious: &SpuriousLoss) {
        if let Some(before) = self.recovery.on_spurious_loss(spurious) {
            self.window = self.window.max(before.window);
            self.threshold = before.threshold;
            if planted::is(Bug::UndoAppliedTwice) {
                self.window += before.window / 2;
            }
        }
    }

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

    fn pacing_rate(&self, smoothed_rtt: Duration) -> Option<u64> {
        let slow_start = self.window < self.threshold && !self.resume.wants_even_pace();
        Some(pace(self.window, smoothed_rtt, slow_start))
    }

    fn reduces_proportionally(&self) -> bool {
        true
    }

    fn saved_path(&self, rtt: &RttEstimator) -> Option<SavedPath> {
        SavedPath::of(self.window, self.threshold, rtt)
    }

    fn resume(&mut self, saved: SavedPath) {
        self.resume.start(saved);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Script, at};
    use super::*;

    fn reno(packets: u64) -> Script<NewReno> {
        Script::new(NewReno::new(&Setup::new(1_000, packets)))
    }

    #[test]
    fn slow_start_doubles_and_avoidance_adds_one_packet_a_window() {
        let mut reno = reno(10);
        reno.ack(1, 10_000);
        assert_eq!(reno.window(), 20_000);
        reno.lose(100, 60, CongestionKind::Loss);
        assert_eq!(reno.window(), 10_000);
        reno.ack(101, 9_999);
        assert_eq!(reno.window(), 10_000);
        reno.ack(102, 1);
        assert_eq!(reno.window(), 11_000);
    }

    #[test]
    fn many_losses_of_one_flight_halve_once() {
        let mut reno = reno(20);
        reno.lose(100, 60, CongestionKind::Loss);
        reno.lose(110, 99, CongestionKind::Loss);
        reno.ack(100, 5_000);
        assert_eq!(reno.window(), 10_000, "no growth inside recovery");
        reno.lose(200, 150, CongestionKind::Ecn);
        assert_eq!(reno.window(), 5_000);
    }

    #[test]
    fn loss_and_marks_in_one_round_halve_once_and_cannot_be_undone() {
        let mut reno = reno(20);
        reno.lose(100, 60, CongestionKind::Loss);
        reno.lose(101, 61, CongestionKind::Ecn);
        assert_eq!(reno.window(), 10_000);
        reno.spurious(100);
        assert_eq!(reno.window(), 10_000, "the marks were real");
    }

    #[test]
    fn persistent_congestion_collapses_to_two_packets() {
        let mut reno = reno(20);
        reno.lose(100, 60, CongestionKind::Persistent);
        assert_eq!(reno.window(), 2_000);
        reno.lose(300, 200, CongestionKind::Loss);
        assert_eq!(reno.window(), 2_000, "never below the minimum");
    }

    #[test]
    fn a_recovery_that_was_all_spurious_is_undone_once() {
        let mut reno = reno(20);
        reno.lose(100, 60, CongestionKind::Loss);
        reno.lose(101, 61, CongestionKind::Loss);
        reno.spurious(100);
        assert_eq!(reno.window(), 10_000);
        reno.spurious(101);
        assert_eq!(reno.window(), 20_000);
        reno.lose(120, 115, CongestionKind::Loss);
        assert_eq!(reno.window(), 10_000);
        reno.ack(121, 1_000);
        reno.spurious(120);
        assert_eq!(reno.window(), 10_000, "too late: growth has gone on");
    }

    #[test]
    fn a_mistake_of_an_earlier_recovery_undoes_nothing() {
        let mut reno = reno(20);
        reno.lose(100, 60, CongestionKind::Loss);
        reno.ack(110, 1_000);
        reno.lose(200, 150, CongestionKind::Loss);
        assert_eq!(reno.window(), 5_000);
        reno.spurious(100);
        assert_eq!(reno.window(), 5_000);
        reno.spurious(200);
        assert_eq!(reno.window(), 10_000);
    }

    #[test]
    fn an_idle_application_does_not_grow_the_window() {
        let mut reno = reno(10);
        reno.window_limited = false;
        reno.in_flight_before = 4_999;
        reno.ack(1, 1_000);
        assert_eq!(reno.window(), 10_000);
        reno.in_flight_before = 5_000;
        reno.ack(2, 1_000);
        assert_eq!(reno.window(), 11_000, "half a window is use in slow start");
        reno.lose(100, 60, CongestionKind::Loss);
        let window = reno.window();
        for sent in 101..200 {
            reno.ack(sent, 1_000);
        }
        assert_eq!(reno.window(), window, "but not in avoidance");
    }

    #[test]
    fn a_larger_packet_raises_the_least_window() {
        let mut reno = reno(2);
        reno.on_mtu_change(9_000);
        assert_eq!(reno.window(), 18_000);
        assert!(!reno.recovery.covers(at(0)));
    }
}
