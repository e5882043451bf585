//! The model of the path (§5.5): rounds, bandwidth, aggregation, bounds from loss, undo.

use super::constants::BETA;
use super::noise::beyond_chance;
use super::probe_bw::AckPhase;
use super::{Bbr, INFINITY, Sample, State, percent, volume};
use crate::congestion::LostPacket;
use crate::time::Instant;

/// What a loss that was none gives back (§5.5.11).
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Undo {
    /// The state that the losses ended.
    pub(super) state: Option<State>,
    rate_bound: u64,
    volume_bound_short: u64,
    volume_bound: u64,
}

impl Bbr {
    pub(super) const fn start_round(&mut self) {
        self.round.end = self.delivered;
    }

    fn update_round(&mut self, sample: &Sample) {
        self.round.start = sample.prior_delivered >= self.round.end;
        if self.round.start {
            self.start_round();
            self.round.count += 1;
            self.cycle.rounds_since_probe += 1;
            self.aggregation.filter.advance();
        }
    }

    pub(super) fn update_latest_delivery(&mut self, sample: &Sample) {
        let losses = &mut self.losses;
        losses.rate_latest = losses.rate_latest.max(sample.rate);
        losses.delivered_latest = losses.delivered_latest.max(sample.delivered);
        losses.over = sample.prior_delivered >= losses.end;
        if losses.over {
            losses.end = self.delivered;
        }
    }

    pub(super) const fn advance_latest_delivery(&mut self, sample: &Sample) {
        if self.losses.over {
            self.losses.rate_latest = sample.rate;
            self.losses.delivered_latest = sample.delivered;
            self.losses.previous_runs = self.losses.runs;
            self.losses.runs = 0;
        }
    }

    pub(super) const fn reset_congestion_signals(&mut self) {
        self.losses.is_lossy = false;
        self.losses.rate_latest = 0;
        self.losses.delivered_latest = 0;
    }

    /// Rounds, the bandwidth, and once a round with losses the short-term bounds.
    pub(super) fn update_congestion(&mut self, sample: &Sample) {
        self.update_round(sample);
        let is_evidence = sample.rate >= self.max_rate.get() || !sample.app_limited;
        if sample.rate > 0 && is_evidence {
            self.max_rate.update(sample.rate);
        }
        if !self.losses.over {
            return;
        }
        if self.losses.is_lossy && !self.state.is_probing() && !self.is_noise(sample) {
            self.lower_bounds();
        }
        self.losses.before = (self.delivered, sample.lost_total);
        self.losses.is_marked_again = self.losses.is_marked && self.losses.was_marked;
        self.losses.was_marked = self.losses.is_marked;
        self.losses.is_marked = false;
        self.losses.is_lossy = false;
    }

    /// Whether a round's loss is bearable and means nothing; never by the draft, nor with marks.
    fn is_noise(&self, sample: &Sample) -> bool {
        let (delivered, lost) = self.losses.before;
        let delivered = self.delivered.saturating_sub(delivered);
        let lost = sample.lost_total.saturating_sub(lost);
        self.noise.is_believed()
            && !self.losses.is_marked
            && !self.is_too_high(lost, delivered.saturating_add(lost))
    }

    /// Adapts to what the path delivered in the last round, by at most 30 %.
    fn lower_bounds(&mut self) {
        if self.rate_bound == INFINITY {
            self.rate_bound = self.max_rate.get();
        }
        if self.volume_bound_short == INFINITY {
            self.volume_bound_short = self.window;
        }
        let losses = &self.losses;
        self.rate_bound = losses.rate_latest.max(percent(self.rate_bound, BETA));
        self.volume_bound_short = losses
            .delivered_latest
            .max(percent(self.volume_bound_short, BETA));
    }

    pub(super) const fn reset_short_term(&mut self) {
        self.rate_bound = INFINITY;
        self.volume_bound_short = INFINITY;
    }

    /// How much more is acknowledged at a time than the bandwidth explains.
    pub(super) fn update_aggregation(&mut self, sample: &Sample) {
        let aggregation = &mut self.aggregation;
        let interval = sample
            .now
            .saturating_duration_since(aggregation.interval_start);
        let mut expected = volume(self.rate, interval);
        if aggregation.delivered <= expected {
            aggregation.restart(sample.now);
            expected = 0;
        }
        aggregation.delivered += sample.bytes;
        let extra = aggregation.delivered.saturating_sub(expected);
        aggregation.filter.update(extra.min(self.window));
        aggregation.extra = if self.pipe.reached {
            aggregation.filter.get()
        } else {
            aggregation.filter.latest()
        };
    }

    /// Whether more than the threshold of a flight was lost.
    pub(super) fn is_volume_too_high(&self, sample: &Sample) -> bool {
        self.is_too_high(sample.lost, sample.in_flight_at_send)
    }

    fn is_too_high(&self, lost: u64, in_flight: u64) -> bool {
        let lost = if self.noise.is_believed() && self.is_local() {
            beyond_chance(lost, self.mtu)
        } else {
            lost
        };
        u128::from(lost) * 1_000 > u128::from(in_flight) * u128::from(self.noise.bearable())
    }

    fn note_loss(&mut self) {
        if !self.losses.is_lossy {
            self.losses.end = self.delivered;
            self.save_window();
            self.undo = Undo {
                state: None,
                rate_bound: self.rate_bound,
                volume_bound_short: self.volume_bound_short,
                volume_bound: self.volume_bound,
            };
        }
        self.losses.is_lossy = true;
    }

    pub(super) fn on_lost(&mut self, packet: &LostPacket) {
        self.note_loss();
        let follows = self.losses.last_lost.map(crate::PacketNumber::next) == Some(packet.number);
        self.losses.last_lost = Some(packet.number);
        if !follows {
            self.losses.runs = self.losses.runs.saturating_add(1);
        }
        let told = &packet.sample;
        if self.cycle.is_probe_sample
            && self.is_too_high(told.lost_since_sent, told.in_flight_at_send)
        {
            let bearable = volume_at_loss(
                self.noise.bearable(),
                told.in_flight_at_send.saturating_sub(packet.bytes),
                told.lost_since_sent.saturating_sub(packet.bytes),
            );
            self.on_volume_too_high(packet.now, bearable, told.app_limited);
        }
    }

    /// Marks are congestion: of a probe, that it went too far; otherwise as a loss in this round.
    pub(super) fn on_marks(&mut self, sample: &Sample) {
        if sample.newly_marked == 0 {
            return;
        }
        self.note_loss();
        self.losses.is_marked = true;
        if self.cycle.is_probe_sample {
            self.on_volume_too_high(sample.now, sample.in_flight_at_send, sample.app_limited);
            self.undo.state = None;
        }
    }

    /// A probe put more in flight than the path bears: `bearable` bytes were still well.
    fn on_volume_too_high(&mut self, now: Instant, bearable: u64, app_limited: bool) {
        self.cycle.previous_too_high = true;
        self.cycle.is_probe_sample = false;
        if !app_limited {
            self.volume_bound = bearable.max(percent(self.target_volume(), BETA));
        }
        if self.state == State::Up {
            self.undo.state = Some(State::Up);
            self.start_down(now);
        }
    }

    /// The losses were none.
    pub(super) fn undo_losses(&mut self, now: Instant) {
        self.restore_window();
        self.losses.is_lossy = false;
        self.reset_full_pipe(0);
        self.rate_bound = self.rate_bound.max(self.undo.rate_bound);
        self.volume_bound_short = self.volume_bound_short.max(self.undo.volume_bound_short);
        self.volume_bound = self.volume_bound.max(self.undo.volume_bound);
        match self.undo.state.take() {
            Some(State::Startup) if self.state != State::Startup => {
                self.pipe.reached = false;
                if self.state != State::ProbeRtt {
                    self.enter_startup();
                }
            }
            Some(State::Up) if !matches!(self.state, State::Up | State::ProbeRtt) => {
                self.start_refill(now);
            }
            _ => {}
        }
    }

    /// Samples of a probe begin or end to come in; the long-term bound rises while loss is bearable.
    /// True: the state was decided.
    pub(super) fn adapt_long_term(&mut self, sample: &Sample) -> bool {
        if self.round.start && self.cycle.ack_phase == AckPhase::ProbeStarting {
            self.cycle.ack_phase = AckPhase::ProbeFeedback;
        }
        if self.round.start && self.cycle.ack_phase == AckPhase::ProbeStopping {
            self.cycle.is_probe_sample = false;
            self.cycle.ack_phase = AckPhase::Init;
            if self.state.is_probe_bw() && !sample.app_limited {
                self.max_rate.advance();
            }
            if self.state.is_probe_bw()
                && self.cycle.previous_precautionary
                && !self.cycle.previous_too_high
            {
                self.start_refill(sample.now);
                return true;
            }
        }
        if self.is_volume_too_high(sample) || self.volume_bound == INFINITY {
            return false;
        }
        self.volume_bound = self.volume_bound.max(sample.in_flight_at_send);
        if self.state == State::Up {
            self.probe_volume(sample);
        }
        false
    }
}

/// The volume in flight at which losses crossed the threshold (thousandths), given what was in
/// flight and lost before the packet that crossed it (§5.5.10.2).
pub(super) fn volume_at_loss(threshold: u64, in_flight: u64, lost: u64) -> u64 {
    let budget = u128::from(in_flight) * u128::from(threshold) / 1_000;
    let left = budget.saturating_sub(u128::from(lost));
    let prefix = left * 1_000 / u128::from(1_000u64.saturating_sub(threshold).max(1));
    in_flight.saturating_add(u64::try_from(prefix).unwrap_or(u64::MAX))
}
