//! Startup, the full-pipe estimator, and Drain (§5.3.1, §5.3.2).

use super::constants::{
    ACK_DELAY_USUAL, DRAIN_ROUNDS, FULL_PIPE_GROWTH, FULL_PIPE_ROUNDS, STARTUP_LOSS_RUNS,
};
use super::{Bbr, Sample, State, percent, volume};

impl Bbr {
    pub(super) const fn enter_startup(&mut self) {
        self.state = State::Startup;
    }

    /// Forgets what the full-pipe estimator knows of this acceleration.
    pub(super) const fn reset_full_pipe(&mut self, baseline: u64) {
        self.pipe.baseline = baseline;
        self.pipe.rounds = 0;
        self.pipe.now = false;
    }

    /// Three rounds of acceleration that made delivery less than a quarter faster: the pipe is full.
    pub(super) fn check_full_pipe(&mut self, sample: &Sample) {
        if self.pipe.now || !self.round.start {
            return;
        }
        if sample.app_limited && !self.is_queueing(sample) {
            return;
        }
        if sample.rate >= percent(self.pipe.baseline, FULL_PIPE_GROWTH) {
            self.reset_full_pipe(sample.rate);
            self.note_startup_round(true);
            return;
        }
        self.note_startup_round(false);
        self.pipe.rounds += 1;
        if self.pipe.rounds >= FULL_PIPE_ROUNDS {
            self.pipe.now = true;
            self.pipe.reached = true;
        }
    }

    /// Whether so much was in flight that some of it waited in a queue, for longer than
    /// acknowledgements do: then the path was the limit, whatever the application did.
    fn is_queueing(&self, sample: &Sample) -> bool {
        let Some(minimum) = self.delay.minimum else {
            return false;
        };
        let longest = (minimum + minimum / 2).max(minimum + ACK_DELAY_USUAL);
        sample.rate > 0 && sample.in_flight_at_send >= volume(sample.rate, longest)
    }

    fn note_startup_round(&mut self, faster: bool) {
        if self.state == State::Startup {
            self.noise.on_startup_round(faster);
        }
    }

    pub(super) fn check_startup_done(&mut self, sample: &Sample) {
        if self.state != State::Startup {
            return;
        }
        self.check_startup_loss(sample);
        if self.pipe.reached {
            self.state = State::Drain;
            self.drain_start = self.round.count;
        }
    }

    /// A round of much loss, in several places, after a round of recovery: the pipe is full. Marks
    /// in two rounds in a row mean the same.
    fn check_startup_loss(&mut self, sample: &Sample) {
        let much_loss = self.in_recovery
            && self.losses.previous_runs > 0
            && self.losses.runs >= STARTUP_LOSS_RUNS
            && self.is_volume_too_high(sample);
        if self.pipe.reached || !self.losses.over || !(much_loss || self.losses.is_marked_again) {
            return;
        }
        self.undo.state = much_loss.then_some(State::Startup);
        self.pipe.reached = true;
        self.volume_bound = self.bdp().max(self.losses.delivered_latest);
    }

    /// What queued in Startup has left, or will not.
    pub(super) fn check_drain_done(&mut self, sample: &Sample) {
        let drained = sample.in_flight <= self.volume_at(100);
        if self.state == State::Drain
            && (drained || self.round.count > self.drain_start + DRAIN_ROUNDS)
        {
            self.start_down(sample.now);
        }
    }
}
