//! DualPI2 (RFC 9332): a classic queue and a queue for L4S senders (ECT(1)), coupled so that both
//! get their share, the second with a delay of a millisecond.
//!
//! The appendix of RFC 9332 gives two example schedulers; here it is weighted round robin with a
//! tenth of the rate for the classic queue when both have something (appendix A, "Scheduler").
//! Probabilities are `f64` and use only `+ - * /`, which are IEEE-exact; they become drops by
//! counting (`recur`), not by drawing numbers.

use std::time::Duration;

use dunlin_transport::{EcnMark, Instant};
use serde::{Deserialize, Serialize};

use super::super::element::{ElementError, delay, positive};
use super::{Desk, Fifo, Waiting, mark};
use crate::units;

/// Its parameters. Others are those of RFC 9332 appendix A.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DualPi2 {
    /// Delay the classic queue is steered to. Default: 15 ms (RFC 9332 appendix A.1).
    #[serde(with = "units::time")]
    pub target: Duration,
    /// L4S datagrams that have waited longer are marked more and more. Default: 800 µs (A.1).
    #[serde(with = "units::time")]
    pub l4s_threshold: Duration,
    /// Bytes that fit both queues together. Default: 1.5 MB (guess: 120 ms at 100 Mbit/s).
    #[serde(with = "units::size")]
    pub bytes: u64,
}

impl Default for DualPi2 {
    fn default() -> Self {
        Self {
            target: Duration::from_millis(15),
            l4s_threshold: Duration::from_micros(800),
            bytes: 1_500_000,
        }
    }
}

impl DualPi2 {
    pub(super) fn validate(&self) -> Result<(), ElementError> {
        delay("target", self.target)?;
        delay("l4s_threshold", self.l4s_threshold)?;
        positive("bytes", self.bytes)
    }
}

/// Coupling factor k.
const COUPLING: f64 = 2.0;
/// Worst round-trip time expected, in seconds.
const RTT_MAX: f64 = 0.1;
/// The base probability is updated this often: min(target, RTT_max / 3) for the default target.
const UPDATE: Duration = Duration::from_millis(15);
/// Integral gain per update: 0.1 · Tupdate / RTT_max².
const ALPHA: f64 = 0.1 * 0.015 / (RTT_MAX * RTT_MAX);
/// Proportional gain: 0.3 / RTT_max.
const BETA: f64 = 0.3 / RTT_MAX;
/// From the threshold to marking everything.
const RAMP_SECONDS: f64 = 0.000_4;
/// Shares of the scheduler when both queues have something.
const WEIGHT_CLASSIC: i64 = 1;
const WEIGHT_L4S: i64 = 9;

#[derive(Debug)]
pub(in crate::link) struct State {
    queue: DualPi2,
    classic: Fifo,
    l4s: Fifo,
    /// The base probability p'.
    base: f64,
    next_update: Instant,
    /// Delay of the classic queue at the last update, in seconds.
    delay_before: f64,
    /// Above zero: the classic queue's turn.
    credit: i64,
    /// What `recur` has counted: classic, L4S, L4S in overload.
    counts: [f64; 3],
}

impl State {
    pub(super) fn new(queue: DualPi2) -> Self {
        Self {
            queue,
            classic: Fifo::default(),
            l4s: Fifo::default(),
            base: 0.0,
            next_update: Instant::ZERO,
            delay_before: 0.0,
            credit: 0,
            counts: [0.0; 3],
        }
    }

    pub(super) fn enqueue(&mut self, now: Instant, waiting: Waiting, desk: &mut Desk<'_>) {
        self.update(now);
        if self.bytes() + waiting.length > self.queue.bytes && self.bytes() > 0 {
            desk.stats.queue_full += 1;
            desk.dropped.push(waiting.hop);
            return;
        }
        match waiting.hop.datagram.ecn {
            Some(EcnMark::Ect1 | EcnMark::Ce) => self.l4s.push(waiting),
            Some(EcnMark::Ect0) | None => self.classic.push(waiting),
        }
    }

    pub(super) fn dequeue(&mut self, now: Instant, desk: &mut Desk<'_>) -> Option<Waiting> {
        self.update(now);
        loop {
            let next = if self.is_l4s_turn() {
                self.next_l4s(now, desk)
            } else {
                self.next_classic(desk)
            };
            if next.is_some() || self.bytes() == 0 {
                return next;
            }
        }
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.classic.bytes + self.l4s.bytes
    }

    fn is_l4s_turn(&self) -> bool {
        self.l4s.bytes > 0 && (self.classic.bytes == 0 || self.credit <= 0)
    }

    fn next_l4s(&mut self, now: Instant, desk: &mut Desk<'_>) -> Option<Waiting> {
        let waited = self.l4s.sojourn(now).as_secs_f64();
        let mut next = self.l4s.pop()?;
        self.charge(&next, WEIGHT_CLASSIC);
        let over = waited - self.queue.l4s_threshold.as_secs_f64();
        // A lone datagram is never marked for what it waited (Th_len).
        let native = if self.l4s.bytes == 0 {
            0.0
        } else {
            (over / RAMP_SECONDS).clamp(0.0, 1.0)
        };
        let coupled = COUPLING * self.base;
        if coupled >= 1.0 && recur(&mut self.counts[2], self.base * self.base) {
            // Overload (appendix A.2): marks are not heeded, so it drops as for the classic queue.
            desk.stats.queue_early += 1;
            desk.dropped.push(next.hop);
            return None;
        }
        if recur(&mut self.counts[1], native.max(coupled).min(1.0)) {
            mark(&mut next.hop, desk.stats);
        }
        Some(next)
    }

    fn next_classic(&mut self, desk: &mut Desk<'_>) -> Option<Waiting> {
        let mut next = self.classic.pop()?;
        self.charge(&next, -WEIGHT_L4S);
        let squared = self.base * self.base;
        if recur(&mut self.counts[0], squared) && !mark(&mut next.hop, desk.stats) {
            desk.stats.queue_early += 1;
            desk.dropped.push(next.hop);
            return None;
        }
        Some(next)
    }

    /// Weighted round robin matters only while both queues have something.
    fn charge(&mut self, sent: &Waiting, weight: i64) {
        let bytes = i64::try_from(sent.length).unwrap_or(0);
        let both = self.classic.bytes > 0 && self.l4s.bytes > 0;
        self.credit = if both {
            self.credit + weight * bytes
        } else {
            0
        };
    }

    /// The routine `dualpi2_update`, for every update that is due by `now`.
    fn update(&mut self, now: Instant) {
        while self.next_update <= now {
            let delay = self.classic.sojourn(self.next_update).as_secs_f64();
            let error = delay - self.queue.target.as_secs_f64();
            self.base += ALPHA * error + BETA * (delay - self.delay_before);
            self.base = self.base.clamp(0.0, 1.0);
            self.delay_before = delay;
            if self.base == 0.0 && self.classic.bytes == 0 {
                // At rest: nothing changes until something arrives.
                self.next_update = now;
            }
            self.next_update = self.next_update + UPDATE;
        }
    }
}

/// Whether it happens now, so that it happens as often as `likelihood` says, evenly spread.
fn recur(count: &mut f64, likelihood: f64) -> bool {
    *count += likelihood;
    let happens = *count > 1.0;
    if happens {
        *count -= 1.0;
    }
    happens
}
