//! The least delay, ProbeRTT, and restart from idleness (§5.3.4, §5.4).

use core::time::Duration;

use super::constants::{
    MIN_RTT_FILTER, PROBE_RTT_DURATION, PROBE_RTT_INTERVAL, PROBE_RTT_WINDOW_GAIN,
};
use super::probe_bw::AckPhase;
use super::{Bbr, Sample, State};
use crate::time::Instant;

/// What is known of the delay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delay {
    /// The least round-trip time of the last ten seconds or so; None before the first sample.
    pub(super) minimum: Option<Duration>,
    minimum_at: Instant,
    /// The least since the last ProbeRTT, which decides when the next is due.
    recent: Duration,
    recent_at: Instant,
    /// The recent one is out of date.
    expired: bool,
    /// When ProbeRTT may end; None: what is in flight is still too much.
    done_at: Option<Instant>,
    round_done: bool,
}

impl Delay {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            minimum: None,
            minimum_at: now,
            recent: Duration::MAX,
            recent_at: now,
            expired: false,
            done_at: None,
            round_done: false,
        }
    }
}

impl Bbr {
    pub(super) fn update_delay(&mut self, sample: &Sample) {
        let delay = &mut self.delay;
        let now = sample.now;
        delay.expired = now > delay.recent_at + PROBE_RTT_INTERVAL;
        if sample.round_trip < delay.recent || delay.expired {
            delay.recent = sample.round_trip;
            delay.recent_at = now;
        }
        let outdated = now > delay.minimum_at + MIN_RTT_FILTER;
        if outdated || delay.minimum.is_none_or(|minimum| delay.recent < minimum) {
            delay.minimum = Some(delay.recent);
            delay.minimum_at = delay.recent_at;
        }
    }

    pub(super) fn check_probe_rtt(&mut self, sample: &Sample) {
        if self.state != State::ProbeRtt && self.delay.expired && !self.idle_restart {
            self.save_window();
            self.state = State::ProbeRtt;
            self.delay.done_at = None;
            self.cycle.ack_phase = AckPhase::ProbeStopping;
            self.start_round();
        }
        if self.state == State::ProbeRtt {
            self.stay_in_probe_rtt(sample);
        }
        if sample.delivered > 0 {
            self.idle_restart = false;
        }
    }

    fn stay_in_probe_rtt(&mut self, sample: &Sample) {
        // Samples of what leaves now tell about us, not about the path.
        let until = self.delivered.saturating_add(sample.in_flight);
        let from = match self.slowed {
            Some((from, to)) if to >= self.delivered => from,
            _ => self.delivered,
        };
        self.slowed = Some((from, until));
        if self.delay.done_at.is_none() {
            if sample.in_flight <= self.probe_rtt_window() {
                self.delay.done_at = Some(sample.now + PROBE_RTT_DURATION);
                self.delay.round_done = false;
                self.noise.begin(sample.now);
                self.start_round();
            }
            return;
        }
        self.delay.round_done |= self.round.start;
        if self.delay.round_done {
            self.leave_probe_rtt_if_done(sample.now);
        }
    }

    fn leave_probe_rtt_if_done(&mut self, now: Instant) {
        if self.delay.done_at.is_none_or(|done_at| now <= done_at) {
            return;
        }
        self.delay.recent_at = now;
        self.noise.end(now);
        self.restore_window();
        self.reset_short_term();
        if self.pipe.reached {
            self.start_down(now);
            self.start_cruise();
        } else {
            self.enter_startup();
        }
    }

    pub(super) fn probe_rtt_window(&self) -> u64 {
        self.bdp_times(PROBE_RTT_WINDOW_GAIN).max(self.minimum())
    }

    /// Something is sent again after nothing was in flight for want of data.
    pub(super) fn restart_from_idle(&mut self, now: Instant) {
        self.idle_restart = true;
        self.aggregation.restart(now);
        if self.state.is_probe_bw() {
            self.set_pace(100);
        } else if self.state == State::ProbeRtt {
            self.leave_probe_rtt_if_done(now);
        }
    }
}
