//! CUBIC (RFC 9438), with HyStart++ (RFC 9406) as its slow start. All in integers.
//!
//! In congestion avoidance the window follows a cubic function of the time since the last cut: fast
//! back to where congestion was met, flat there, then fast beyond. Where Reno would be faster (short
//! round trips, small windows, much loss) it follows what Reno would do.
//!
//! Discrepancies: the window, not the flight size, is cut (RFC 9438 §4.6 allows it for senders that
//! do not grow an unused window: [`Acked::allows_growth`]).

mod curve;

use core::time::Duration;

use super::hystart::{Growth, HyStart};
use super::resume::{Advice, CarefulResume};
use super::{
    Acked, Congestion, CongestionKind, Controller, Recovery, RttEstimator, SavedPath, Sent, Setup,
    SpuriousLoss, minimum_window, pace, slow_start_phase,
};
use crate::ids::PacketNumber;
use crate::planted::{self, Bug};
use crate::time::Instant;
use curve::Curve;

/// What is left of the window after congestion: β = 0.7 (RFC 9438 §4.6).
const BETA: (u64, u64) = (7, 10);
/// Where the plateau goes when the window did not come back to the last one: (1 + β) / 2 (§4.7).
const FAST_CONVERGENCE: (u64, u64) = (17, 20);
/// Growth of the Reno estimate in packets a window: 3·(1 − β)/(1 + β) (§4.3).
const ALPHA: (u128, u128) = (9, 17);
/// Fraction bits of the Reno estimate.
const ESTIMATE_BITS: u32 = 16;

/// One stage of congestion avoidance.
#[derive(Clone, Copy, Debug)]
struct Stage {
    /// When it began, moved on by the times in which the application was the limit.
    start: Instant,
    curve: Curve,
    /// The window that Reno would have (W_est), with [`ESTIMATE_BITS`] of fraction.
    estimate: u128,
    /// Growth not yet a whole byte, in bytes · window.
    credit: u128,
    /// Since when acknowledgements have not been evidence for growth.
    unused_since: Option<Instant>,
}

/// What the algorithm knows apart from the recovery period; what an undo restores.
#[derive(Clone, Copy, Debug)]
struct Model {
    window: u64,
    /// `u64::MAX` until the first congestion.
    threshold: u64,
    /// The window when it was cut last (cwnd_prior).
    prior: u64,
    /// Where the next plateau will be (W_max).
    plateau: u64,
    /// None in slow start, and until the first acknowledgement after it.
    stage: Option<Stage>,
}

/// The controller.
#[derive(Clone, Debug)]
pub struct Cubic {
    mtu: u64,
    model: Model,
    hystart: HyStart,
    recovery: Recovery<Model>,
    resume: CarefulResume,
    /// Number of the next packet.
    next: PacketNumber,
}

impl Cubic {
    /// A controller in slow start.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        Self {
            mtu: setup.mtu as u64,
            model: Model {
                window: setup.initial_window,
                threshold: u64::MAX,
                prior: 0,
                plateau: 0,
                stage: None,
            },
            hystart: HyStart::default(),
            recovery: Recovery::default(),
            resume: CarefulResume::new(setup.initial_window),
            next: PacketNumber(0),
        }
    }

    fn minimum(&self) -> u64 {
        minimum_window(self.mtu)
    }

    const fn is_slow_start(&self) -> bool {
        self.model.window < self.model.threshold
    }

    fn grow_in_slow_start(&mut self, acked: &Acked<'_>) {
        // Only the first slow start may find a full queue at an unknown size; later ones end at a
        // threshold (RFC 9406 §4.2).
        if self.model.threshold < u64::MAX {
            self.model.window = self.model.window.saturating_add(acked.bytes);
            return;
        }
        let growth =
            self.hystart
                .on_acked(acked.largest, self.next, acked.round_trip(), acked.bytes);
        match growth {
            Growth::By(bytes) => self.model.window = self.model.window.saturating_add(bytes),
            Growth::Over => self.model.threshold = self.model.window,
        }
    }

    fn grow_in_avoidance(&mut self, acked: &Acked<'_>) {
        let (mtu, window) = (self.mtu, self.model.window);
        let plateau = self.model.plateau;
        let stage = self.model.stage.get_or_insert_with(|| Stage {
            start: acked.now,
            // After slow start without congestion the plateau is here (§4.10: K = 0).
            curve: Curve::new(window, plateau, mtu),
            estimate: u128::from(window) << ESTIMATE_BITS,
            credit: 0,
            unused_since: None,
        });
        stage.resume(acked.now);
        stage.raise_estimate(acked.bytes, window, self.model.prior, mtu);
        let elapsed = acked.now.saturating_duration_since(stage.start);
        let estimate = u64::try_from(stage.estimate >> ESTIMATE_BITS).unwrap_or(u64::MAX);
        if stage.curve.at(elapsed, mtu) < estimate {
            self.model.window = window.max(estimate);
            return;
        }
        let target = stage
            .curve
            .at(elapsed + acked.rtt.smoothed(), mtu)
            .clamp(window, window.saturating_add(window / 2));
        stage.credit += u128::from(target - window) * u128::from(acked.bytes);
        let growth = stage.credit / u128::from(window.max(1));
        stage.credit %= u128::from(window.max(1));
        let growth = u64::try_from(growth).unwrap_or(u64::MAX);
        self.model.window = window.saturating_add(growth);
    }

    /// Multiplicative decrease and fast convergence (§4.6, §4.7).
    fn cut(&mut self) {
        let model = &mut self.model;
        let (keep, of) = if model.window < model.plateau {
            FAST_CONVERGENCE
        } else {
            (1, 1)
        };
        model.plateau = fraction(model.window, keep, of);
        model.prior = model.window;
        model.threshold = fraction(model.window, BETA.0, BETA.1).max(minimum_window(self.mtu));
        model.window = model.threshold;
        model.stage = None;
    }
}

impl Stage {
    /// The window is in use again: the time in between does not count (§5.8).
    fn resume(&mut self, now: Instant) {
        if let Some(since) = self.unused_since.take() {
            self.skip(now.saturating_duration_since(since), now);
        }
    }

    fn skip(&mut self, time: Duration, now: Instant) {
        self.start = (self.start + time).min(now);
    }

    /// Reno's growth by `bytes` acknowledged: α packets a window, one packet once it is back at the
    /// window before the cut (§4.3).
    fn raise_estimate(&mut self, bytes: u64, window: u64, prior: u64, mtu: u64) {
        let (numerator, denominator) = if self.estimate >> ESTIMATE_BITS >= u128::from(prior) {
            (1, 1)
        } else {
            ALPHA
        };
        let grown = (u128::from(bytes) * u128::from(mtu) * numerator) << ESTIMATE_BITS;
        self.estimate += grown / (denominator * u128::from(window.max(1)));
    }
}

impl Controller for Cubic {
    fn name(&self) -> &'static str {
        "cubic"
    }

    fn phase(&self) -> &'static str {
        if self.recovery.is_active() {
            return "recovery";
        }
        if let Some(phase) = self.resume.phase() {
            return phase;
        }
        if self.is_slow_start() && self.hystart.is_conservative() {
            return "conservative_slow_start";
        }
        slow_start_phase(self.model.window, self.model.threshold)
    }

    fn on_sent(&mut self, sent: &Sent) {
        self.next = sent.number.next();
        self.resume.on_sent(sent);
        if let (Some(idle), Some(stage)) = (sent.idle, &mut self.model.stage)
            && stage.unused_since.is_none()
        {
            stage.skip(idle, sent.now);
        }
    }

    fn on_acked(&mut self, acked: &Acked<'_>) {
        match self.resume.on_acked(acked, self.model.window) {
            Advice::Usual => {}
            Advice::Hold => return,
            Advice::Window(window) => {
                self.model.window = window.max(self.minimum());
                return;
            }
            Advice::Threshold(threshold) => self.model.threshold = threshold.max(self.minimum()),
        }
        if self.recovery.covers(acked.largest_sent_at) {
            return;
        }
        self.recovery.on_progress();
        let slow_start = self.is_slow_start();
        if !acked.allows_growth(self.model.window, slow_start) {
            if let Some(stage) = &mut self.model.stage {
                stage.unused_since.get_or_insert(acked.now);
            }
            return;
        }
        if slow_start {
            self.grow_in_slow_start(acked);
        } else {
            self.grow_in_avoidance(acked);
        }
    }

    fn on_congestion(&mut self, congestion: &Congestion) {
        let retreat = self.resume.on_congestion(congestion);
        if congestion.kind == CongestionKind::Persistent {
            // Its losses have cut the window already, so that threshold and plateau stand (§4.8).
            self.model.window = self.minimum();
            self.model.stage = None;
            self.model.plateau = 0;
            self.recovery.reset();
        } else if self.recovery.begin(congestion, self.model) {
            self.cut();
        }
        if let Some(window) = retreat {
            self.model.window = window.max(self.minimum());
            // What came too boldly is no mistake to undo.
            self.recovery.on_progress();
        }
    }

    fn on_spurious_loss(&mut self, spurious: &SpuriousLoss) {
        if let Some(before) = self.recovery.on_spurious_loss(spurious)
            && before.window > self.model.window
        {
            self.model = before;
            if planted::is(Bug::UndoAppliedTwice) {
                self.model.window += before.window / 2;
            }
        }
    }

    fn on_mtu_change(&mut self, mtu: usize) {
        self.mtu = mtu as u64;
        self.model.window = self.model.window.max(self.minimum());
    }

    fn window(&self) -> u64 {
        self.model.window
    }

    fn slow_start_threshold(&self) -> Option<u64> {
        Some(self.model.threshold)
    }

    fn pacing_rate(&self, smoothed_rtt: Duration) -> Option<u64> {
        let slow_start = self.is_slow_start() && !self.resume.wants_even_pace();
        Some(pace(self.model.window, smoothed_rtt, slow_start))
    }

    fn reduces_proportionally(&self) -> bool {
        true
    }

    fn saved_path(&self, rtt: &RttEstimator) -> Option<SavedPath> {
        SavedPath::of(self.model.window, self.model.threshold, rtt)
    }

    fn resume(&mut self, saved: SavedPath) {
        self.resume.start(saved);
    }
}

/// `value` · `numerator` / `denominator`, rounded down.
fn fraction(value: u64, numerator: u64, denominator: u64) -> u64 {
    let scaled = u128::from(value) * u128::from(numerator) / u128::from(denominator);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
