//! Pace, burst and window (§5.6).

use core::time::Duration;

use super::constants::{
    ALLOWANCE_FLOOR, ALLOWANCE_GAIN, MINIMUM_WINDOW_PACKETS, PACING_MARGIN, SEND_QUANTUM_MAX,
    SEND_QUANTUM_TIME, STARTUP_PACING_GAIN,
};
use super::{Bbr, INFINITY, Sample, State, percent, volume};
use crate::send::rtt::LOCAL_RTT;

impl Bbr {
    pub(super) const fn minimum(&self) -> u64 {
        MINIMUM_WINDOW_PACKETS * self.mtu
    }

    /// The first pace: the initial window in a round trip, times the gain of Startup.
    pub(super) fn initial_pace(&self, smoothed_rtt: Duration) -> u64 {
        let nanos = smoothed_rtt.as_nanos().max(1);
        let rate = u128::from(self.initial_window) * 1_000_000_000 / nanos;
        percent(u64::try_from(rate).unwrap_or(u64::MAX), STARTUP_PACING_GAIN).max(1)
    }

    /// Until the pipe has been full once the pace only rises, so that a slow application does not
    /// slow it down.
    pub(super) fn set_pace(&mut self, gain: u64) {
        let pace = percent(percent(self.rate, gain), 100 - PACING_MARGIN);
        if pace > 0 && (self.pipe.reached || pace > self.pace) {
            self.pace = pace;
        }
    }

    pub(super) fn set_quantum(&mut self) {
        self.quantum = volume(self.pace, SEND_QUANTUM_TIME)
            .min(SEND_QUANTUM_MAX)
            .max(2 * self.mtu);
    }

    /// The bandwidth-delay product.
    pub(super) fn bdp(&self) -> u64 {
        self.bdp_times(100)
    }

    pub(super) fn bdp_times(&self, gain: u64) -> u64 {
        match self.delay.minimum {
            None => self.initial_window,
            Some(minimum) => percent(volume(self.rate, minimum), gain),
        }
    }

    /// What is wanted in flight: the bandwidth-delay product, unless congestion has cut the window.
    pub(super) fn target_volume(&self) -> u64 {
        self.bdp().min(self.window)
    }

    fn with_quanta(&self, bytes: u64) -> u64 {
        let bytes = bytes.max(self.quantum).max(self.minimum());
        if self.state == State::Up {
            bytes.saturating_add(2 * self.mtu)
        } else {
            bytes
        }
    }

    /// What is in flight at this gain (per cent).
    pub(super) fn volume_at(&self, gain: u64) -> u64 {
        self.with_quanta(self.bdp_times(gain))
    }

    /// What is in flight at the most bandwidth, the short-term bound left aside.
    pub(super) fn volume_at_max_rate(&self) -> u64 {
        self.with_quanta(match self.delay.minimum {
            None => self.initial_window,
            Some(minimum) => volume(self.max_rate.get(), minimum),
        })
    }

    /// What may be in flight because acknowledgements come together. The draft knows no bound; on a path within
    /// a machine or a room it is not the network that gathers them (ADR 0624).
    pub(super) fn allowance(&self) -> u64 {
        let extra = self.aggregation.extra;
        if self.is_local() {
            extra.min(self.bdp_times(ALLOWANCE_GAIN).max(ALLOWANCE_FLOOR))
        } else {
            extra
        }
    }

    /// Whether the path is one within a machine or a room.
    pub(super) fn is_local(&self) -> bool {
        self.delay
            .minimum
            .is_some_and(|minimum| minimum < LOCAL_RTT)
    }

    /// The window follows the model: down at once, up by no more than what was acknowledged.
    pub(super) fn set_window(&mut self, sample: &Sample) {
        let most = self
            .bdp_times(self.state.window_gain())
            .saturating_add(self.allowance());
        let most = self.with_quanta(most);
        let grown = self.window.saturating_add(sample.bytes);
        if self.pipe.reached {
            self.window = grown.min(most);
        } else if self.window < most || self.delivered < self.initial_window {
            self.window = grown;
        }
        self.window = self.window.max(self.minimum());
        if self.state == State::ProbeRtt {
            self.window = self.window.min(self.probe_rtt_window());
        }
        let bound = match self.state {
            State::Down | State::Refill | State::Up => self.volume_bound,
            State::Cruise | State::ProbeRtt => self.volume_with_headroom(),
            State::Startup | State::Drain => INFINITY,
        };
        let bound = bound.min(self.volume_bound_short).max(self.minimum());
        self.window = self.window.min(bound);
    }

    /// Remembers the window that recovery and ProbeRTT have not touched.
    pub(super) fn save_window(&mut self) {
        self.prior_window = if self.in_recovery || self.state == State::ProbeRtt {
            self.prior_window.max(self.window)
        } else {
            self.window
        };
    }

    pub(super) fn restore_window(&mut self) {
        self.window = self.window.max(self.prior_window);
    }
}
