//! BBRv3 as draft-ietf-ccwg-bbr-06 (6 July 2026) describes it, in integers.
//!
//! BBR keeps a model of the path: how fast it delivers at most, how long it takes at least, how much
//! in flight it bears without loss. It paces at that speed and, in turns, a little faster (to find
//! more), a little slower (to drain what queued) and, every five seconds, with half of what fits
//! (to see the delay without a queue).
//!
//! | file | draft |
//! |---|---|
//! | `startup` | §5.3.1, §5.3.2: Startup and Drain |
//! | `probe_bw` | §5.3.3: the cycle DOWN, CRUISE, REFILL, UP |
//! | `probe_rtt` | §5.3.4, §5.4: ProbeRTT, the least delay, restart from idleness |
//! | `model` | §5.5: rounds, bandwidth, aggregation, bounds from loss, undo |
//! | `control` | §5.6: pace, burst, window |
//! | `noise` | not in the draft: loss that is there anyway ([`Bbr::tolerant`] only) |
//!
//! Discrepancies:
//!
//! - The draft leaves the response to ECN marks open but wants them treated as congestion (§3.7):
//!   marks count as a loss that is too high while probing, as a loss in the round otherwise.
//! - The pace before the first round-trip sample is not limited; from it on it is what the draft's
//!   InitPacingRate says (the draft assumes a millisecond before the sample and never lowers it in
//!   Startup).
//! - State for an undo is saved once, before a loss changes anything; the draft's OnEnterFastRecovery
//!   would save it a second time, after the change.
//! - A sample of an application-limited sender counts for the full-pipe estimator when what was in
//!   flight has queued: a sender at the limit of its peer's window would stay in Startup for ever, and
//!   overflow the queue the moment the window grows.
//! - After idleness the interval for aggregation begins anew with nothing delivered; the draft moves its
//!   beginning only, and all that was delivered before then counts as an aggregate.
//! - The allowance for acknowledgements that come together has a bound where the least round trip is below a
//!   millisecond: it is the scheduler of a host that gathers them there (ADR 0624).
//! - A retransmission timeout is persistent congestion here (RFC 9002 §7.6), not a probe timeout.

mod constants;
mod control;
mod filter;
mod model;
mod noise;
mod probe_bw;
mod probe_rtt;
mod startup;

use core::time::Duration;

use super::{
    Acked, AckedPacket, Congestion, CongestionKind, Controller, LostPacket, Recovery, RttEstimator,
    SavedPath, Sent, Setup, SpuriousLoss,
};
use crate::ids::PacketNumber;
use crate::time::Instant;
use constants::{
    DOWN_PACING_GAIN, DRAIN_PACING_GAIN, PROBE_RTT_WINDOW_GAIN, STARTUP_PACING_GAIN,
    UP_PACING_GAIN, UP_WINDOW_GAIN, WINDOW_GAIN,
};
use filter::{CycleMax, RoundMax};
use model::Undo;
use noise::Noise;
use probe_bw::Cycle;
use probe_rtt::Delay;

/// No bound.
const INFINITY: u64 = u64::MAX;

/// What BBR is doing (§5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Startup,
    Drain,
    Down,
    Cruise,
    Refill,
    Up,
    ProbeRtt,
}

impl State {
    const fn is_probe_bw(self) -> bool {
        matches!(self, Self::Down | Self::Cruise | Self::Refill | Self::Up)
    }

    /// Sending faster on purpose: loss is then no news about the path.
    const fn is_probing(self) -> bool {
        matches!(self, Self::Startup | Self::Refill | Self::Up)
    }

    const fn pacing_gain(self) -> u64 {
        match self {
            Self::Startup => STARTUP_PACING_GAIN,
            Self::Drain => DRAIN_PACING_GAIN,
            Self::Down => DOWN_PACING_GAIN,
            Self::Cruise | Self::Refill | Self::ProbeRtt => 100,
            Self::Up => UP_PACING_GAIN,
        }
    }

    const fn window_gain(self) -> u64 {
        match self {
            Self::Up => UP_WINDOW_GAIN,
            Self::ProbeRtt => PROBE_RTT_WINDOW_GAIN,
            _ => WINDOW_GAIN,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Drain => "drain",
            Self::Down => "probe_bw_down",
            Self::Cruise => "probe_bw_cruise",
            Self::Refill => "probe_bw_refill",
            Self::Up => "probe_bw_up",
            Self::ProbeRtt => "probe_rtt",
        }
    }
}

/// The acknowledgement at hand (RS, and what of C changes with it).
#[derive(Clone, Copy, Debug)]
struct Sample {
    now: Instant,
    /// Bytes per second; zero: none could be measured.
    rate: u64,
    delivered: u64,
    prior_delivered: u64,
    lost: u64,
    lost_total: u64,
    in_flight_at_send: u64,
    app_limited: bool,
    bytes: u64,
    in_flight: u64,
    window_limited: bool,
    round_trip: Duration,
    newly_marked: u64,
}

/// Packet-timed rounds (§5.5.1).
#[derive(Clone, Copy, Default, Debug)]
struct Round {
    /// The round ends when a packet is acknowledged that left after this much was delivered.
    end: u64,
    /// This acknowledgement begins one.
    start: bool,
    count: u64,
}

/// Whether the pipe is full (§5.3.1.2).
#[derive(Clone, Copy, Default, Debug)]
struct FullPipe {
    baseline: u64,
    rounds: u32,
    /// In this acceleration.
    now: bool,
    /// Ever.
    reached: bool,
}

/// What happened in the current round of losses (§5.5.10.3).
#[derive(Clone, Copy, Default, Debug)]
struct LossRound {
    /// The round ends when a packet is acknowledged that left after this much was delivered.
    end: u64,
    /// This acknowledgement ends it.
    over: bool,
    is_lossy: bool,
    is_marked: bool,
    /// The round before had marks.
    was_marked: bool,
    /// The last two rounds had marks.
    is_marked_again: bool,
    /// Runs of consecutive lost packets.
    runs: u32,
    /// The same in the round before.
    previous_runs: u32,
    last_lost: Option<PacketNumber>,
    rate_latest: u64,
    delivered_latest: u64,
    /// Bytes delivered and lost when the round began.
    before: (u64, u64),
}

/// Acknowledgements beyond what the bandwidth explains (§5.5.9).
#[derive(Clone, Copy, Debug)]
struct Aggregation {
    interval_start: Instant,
    delivered: u64,
    filter: RoundMax,
    extra: u64,
}

impl Aggregation {
    /// What was acknowledged before says nothing any more.
    const fn restart(&mut self, now: Instant) {
        self.interval_start = now;
        self.delivered = 0;
    }
}

/// The controller.
#[derive(Clone, Debug)]
pub struct Bbr {
    mtu: u64,
    initial_window: u64,
    state: State,
    window: u64,
    /// The window without what ProbeRTT and recovery took from it (prior_cwnd).
    prior_window: u64,
    /// Bytes per second; zero before the first acknowledgement.
    pace: u64,
    quantum: u64,
    /// Bytes delivered so far.
    delivered: u64,
    max_rate: CycleMax,
    /// Bandwidth in use: the most, bounded by the short term.
    rate: u64,
    rate_bound: u64,
    volume_bound_short: u64,
    /// inflight_longterm: the volume that the path bears.
    volume_bound: u64,
    round: Round,
    pipe: FullPipe,
    losses: LossRound,
    aggregation: Aggregation,
    cycle: Cycle,
    delay: Delay,
    drain_start: u64,
    idle_restart: bool,
    /// Samples of packets that left between these counts of delivered bytes are ProbeRTT's.
    slowed: Option<(u64, u64)>,
    recovery: Recovery<()>,
    in_recovery: bool,
    undo: Undo,
    noise: Noise,
    random: u64,
}

impl Bbr {
    /// A controller in Startup.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        let mtu = setup.mtu as u64;
        Self {
            mtu,
            initial_window: setup.initial_window,
            state: State::Startup,
            window: setup.initial_window,
            prior_window: 0,
            pace: 0,
            quantum: 2 * mtu,
            delivered: 0,
            max_rate: CycleMax::default(),
            rate: 0,
            rate_bound: INFINITY,
            volume_bound_short: INFINITY,
            volume_bound: INFINITY,
            round: Round::default(),
            pipe: FullPipe::default(),
            losses: LossRound::default(),
            aggregation: Aggregation {
                interval_start: setup.now,
                delivered: 0,
                filter: RoundMax::default(),
                extra: 0,
            },
            cycle: Cycle::new(setup.now),
            delay: Delay::new(setup.now),
            drain_start: 0,
            idle_restart: false,
            slowed: None,
            recovery: Recovery::default(),
            in_recovery: false,
            undo: Undo::default(),
            noise: Noise::new(false),
            random: setup.seed,
        }
    }

    /// The same for paths that lose packets without being full: loss as it is measured while half of
    /// what fits is in flight does not count as congestion, nor does loss below the draft's
    /// threshold. Beyond the draft; `docs/congestion.md` has the measurements.
    #[must_use]
    pub fn tolerant(setup: &Setup) -> Self {
        Self {
            noise: Noise::new(true),
            ..Self::new(setup)
        }
    }

    fn sample(&self, acked: &Acked<'_>) -> Sample {
        let rate = &acked.rate;
        let is_slowed = self
            .slowed
            .is_some_and(|(from, to)| (from..=to).contains(&rate.prior_delivered));
        Sample {
            now: acked.now,
            rate: rate.bytes_per_second.unwrap_or(0),
            delivered: rate.delivered,
            prior_delivered: rate.prior_delivered,
            lost: rate.lost,
            lost_total: rate.lost_total,
            in_flight_at_send: rate.in_flight_at_send,
            app_limited: rate.app_limited || is_slowed,
            bytes: acked.bytes,
            in_flight: acked.in_flight,
            window_limited: acked.window_limited,
            round_trip: acked.round_trip(),
            newly_marked: acked.ecn.map_or(0, |ecn| ecn.newly_marked),
        }
    }

    /// A random number (SplitMix64).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Controller for Bbr {
    fn name(&self) -> &'static str {
        if self.noise.is_believed() {
            "bbr_tolerant"
        } else {
            "bbr"
        }
    }

    fn phase(&self) -> &'static str {
        self.state.name()
    }

    fn on_sent(&mut self, sent: &Sent) {
        if sent.idle.is_some() && sent.app_limited {
            self.restart_from_idle(sent.now);
        }
    }

    fn on_acked(&mut self, acked: &Acked<'_>) {
        self.delivered = acked.rate.delivered_total;
        if self.pace == 0 {
            self.pace = self.initial_pace(acked.rtt.smoothed());
        }
        if !self.recovery.covers(acked.largest_sent_at) {
            self.recovery.on_progress();
            if core::mem::take(&mut self.in_recovery) {
                self.restore_window();
            }
        }
        let sample = self.sample(acked);
        self.on_marks(&sample);
        self.update_latest_delivery(&sample);
        self.update_congestion(&sample);
        self.update_aggregation(&sample);
        self.check_full_pipe(&sample);
        self.check_startup_done(&sample);
        self.check_drain_done(&sample);
        self.update_cycle(&sample);
        self.update_delay(&sample);
        self.check_probe_rtt(&sample);
        self.advance_latest_delivery(&sample);
        self.rate = self.max_rate.get().min(self.rate_bound);
        self.set_pace(self.state.pacing_gain());
        self.set_quantum();
        self.set_window(&sample);
    }

    fn on_packet_acked(&mut self, packet: &AckedPacket) {
        self.noise.on_packet(packet.sent_at, false);
    }

    fn on_packet_lost(&mut self, packet: &LostPacket) {
        self.noise.on_packet(packet.sent_at, true);
        self.delivered = packet.sample.delivered_total;
        self.on_lost(packet);
    }

    fn on_congestion(&mut self, congestion: &Congestion) {
        match congestion.kind {
            CongestionKind::Loss => {
                self.recovery.begin(congestion, ());
                self.in_recovery = true;
            }
            CongestionKind::Persistent => {
                self.save_window();
                self.window = congestion.in_flight.saturating_add(self.mtu);
            }
            // Handled with the acknowledgement that brings them.
            CongestionKind::Ecn => {}
        }
    }

    fn on_spurious_loss(&mut self, spurious: &SpuriousLoss) {
        if self.recovery.on_spurious_loss(spurious).is_some() {
            self.in_recovery = false;
            self.undo_losses(spurious.now);
        }
    }

    fn on_mtu_change(&mut self, mtu: usize) {
        self.mtu = mtu as u64;
        self.window = self.window.max(self.minimum());
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn pacing_rate(&self, _: Duration) -> Option<u64> {
        (self.pace > 0).then_some(self.pace)
    }

    fn send_quantum(&self) -> Option<u64> {
        (self.pace > 0).then_some(self.quantum)
    }

    fn saved_path(&self, rtt: &RttEstimator) -> Option<SavedPath> {
        self.pipe.reached.then(|| SavedPath {
            window: self.bdp(),
            rtt: rtt.minimum(),
        })
    }
}

/// `value` · `percent` / 100; infinity stays what it is.
fn percent(value: u64, percent: u64) -> u64 {
    if value == INFINITY {
        return INFINITY;
    }
    let scaled = u128::from(value) * u128::from(percent) / 100;
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// Bytes that `rate` bytes per second yield in `time`.
fn volume(rate: u64, time: Duration) -> u64 {
    let bytes = u128::from(rate) * time.as_nanos() / 1_000_000_000;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
