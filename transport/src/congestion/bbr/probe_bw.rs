//! ProbeBW, the cycle of bandwidth probing (§5.3.3).

use core::time::Duration;

use super::constants::{HEADROOM, PROBE_ROUNDS_MAX, PROBE_UP_ROUNDS_MAX, PROBE_WAIT};
use super::{Bbr, INFINITY, Sample, State, percent};
use crate::time::Instant;

/// Which packets the acknowledgements that come in are about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AckPhase {
    Init,
    Refilling,
    ProbeStarting,
    ProbeFeedback,
    ProbeStopping,
}

/// The state of the cycle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cycle {
    /// When it began.
    start: Instant,
    /// How long until the next probe.
    wait: Duration,
    pub(super) rounds_since_probe: u64,
    pub(super) ack_phase: AckPhase,
    /// Samples may be of a probe that has not been answered for yet.
    pub(super) is_probe_sample: bool,
    /// The last probe met too much loss.
    pub(super) previous_too_high: bool,
    /// The last probe was ended early, out of precaution.
    pub(super) previous_precautionary: bool,
    up_rounds: u32,
    up_acked: u64,
    up_acked_per_packet: u64,
}

impl Cycle {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            start: now,
            wait: Duration::ZERO,
            rounds_since_probe: 0,
            ack_phase: AckPhase::Init,
            is_probe_sample: false,
            previous_too_high: false,
            previous_precautionary: false,
            up_rounds: 0,
            up_acked: 0,
            up_acked_per_packet: INFINITY,
        }
    }
}

impl Bbr {
    pub(super) fn update_cycle(&mut self, sample: &Sample) {
        if !self.pipe.reached || self.adapt_long_term(sample) {
            return;
        }
        match self.state {
            State::Down => {
                if !self.probe_if_due(sample.now) && self.may_cruise(sample) {
                    self.state = State::Cruise;
                }
            }
            State::Cruise => {
                self.probe_if_due(sample.now);
            }
            State::Refill => {
                if self.round.start {
                    self.cycle.is_probe_sample = true;
                    self.start_up(sample);
                }
            }
            State::Up => {
                if self.may_go_down(sample) {
                    self.cycle.previous_too_high = false;
                    self.start_down(sample.now);
                }
            }
            State::Startup | State::Drain | State::ProbeRtt => {}
        }
    }

    pub(super) fn start_down(&mut self, now: Instant) {
        self.reset_congestion_signals();
        self.cycle.up_acked_per_packet = INFINITY;
        self.pick_wait();
        self.cycle.start = now;
        self.cycle.ack_phase = AckPhase::ProbeStopping;
        self.start_round();
        self.state = State::Down;
    }

    pub(super) const fn start_cruise(&mut self) {
        self.state = State::Cruise;
    }

    pub(super) fn start_refill(&mut self, now: Instant) {
        self.reset_short_term();
        self.cycle.start = now;
        self.cycle.up_rounds = 0;
        self.cycle.up_acked = 0;
        self.cycle.previous_precautionary = false;
        self.cycle.ack_phase = AckPhase::Refilling;
        self.start_round();
        self.state = State::Refill;
    }

    fn start_up(&mut self, sample: &Sample) {
        self.cycle.ack_phase = AckPhase::ProbeStarting;
        self.start_round();
        self.reset_full_pipe(sample.rate);
        self.state = State::Up;
        self.raise_slope();
    }

    /// Chance keeps flows from probing together.
    fn pick_wait(&mut self) {
        let random = self.next_random();
        self.cycle.rounds_since_probe = random & 1;
        let nanos = ((random >> 32) * 1_000_000_000) >> 32;
        self.cycle.wait = PROBE_WAIT + Duration::from_nanos(nanos);
    }

    /// Probes when it is time by the clock, or when Reno would have filled the pipe (§5.3.3.8).
    fn probe_if_due(&mut self, now: Instant) -> bool {
        let reno_rounds = (self.target_volume() / self.mtu.max(1)).min(PROBE_ROUNDS_MAX);
        let due = now > self.cycle.start + self.cycle.wait
            || self.cycle.rounds_since_probe >= reno_rounds;
        if due {
            self.start_refill(now);
        }
        due
    }

    fn may_cruise(&self, sample: &Sample) -> bool {
        sample.in_flight <= self.volume_with_headroom()
            && sample.in_flight <= self.volume_at_max_rate()
    }

    fn may_go_down(&mut self, sample: &Sample) -> bool {
        if self.cycle.previous_too_high && sample.in_flight >= self.volume_bound {
            self.cycle.previous_precautionary = true;
            return true;
        }
        if sample.window_limited && self.window >= self.volume_bound {
            // The bound, not the path, limits the rate.
            self.reset_full_pipe(sample.rate);
            return false;
        }
        self.pipe.now
    }

    /// The long-term bound without the share that is left to others.
    pub(super) fn volume_with_headroom(&self) -> u64 {
        if self.volume_bound == INFINITY {
            return INFINITY;
        }
        let headroom = percent(self.volume_bound, HEADROOM).max(self.mtu);
        self.volume_bound
            .saturating_sub(headroom)
            .max(self.minimum())
    }

    /// The bound grows by 1, 2, 4, … packets a round.
    fn raise_slope(&mut self) {
        let growth = 1 << self.cycle.up_rounds;
        self.cycle.up_rounds = (self.cycle.up_rounds + 1).min(PROBE_UP_ROUNDS_MAX);
        self.cycle.up_acked_per_packet = (self.window / growth).max(self.mtu);
    }

    pub(super) fn probe_volume(&mut self, sample: &Sample) {
        if !sample.window_limited || self.window < self.volume_bound {
            return;
        }
        self.cycle.up_acked += sample.bytes;
        let packets = self.cycle.up_acked / self.cycle.up_acked_per_packet.max(1);
        self.cycle.up_acked -= packets * self.cycle.up_acked_per_packet;
        self.volume_bound = self
            .volume_bound
            .saturating_add(packets.saturating_mul(self.mtu));
        if self.round.start {
            self.raise_slope();
        }
    }
}
