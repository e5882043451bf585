//! How well a peer answers: the last pings, the round trip and how much it varies (RFC 6298 §2), and
//! when anything was heard.

use core::fmt;
use core::time::Duration;

use crate::Instant;

/// Pings that are remembered: one bit each.
const HISTORY: u32 = 32;
/// Fewer say nothing of the share that was answered.
const JUDGED_FROM: u32 = 4;

/// From where on a peer counts as unhealthy. What follows from it: nothing protects the peer from
/// eviction, and it is listed by [`crate::Overlay::unhealthy`]; the link ends for other reasons.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HealthThresholds {
    /// Fewer of the last 32 pings were answered, in percent, once there were four. Default 75
    /// (chosen).
    pub success_percent: u8,
    /// The smoothed round trip is longer. Default 2 s (chosen).
    pub rtt: Duration,
    /// So many pings in a row were missed. Default 2; three end the link.
    pub missed: u32,
}

impl Default for HealthThresholds {
    fn default() -> Self {
        Self {
            success_percent: 75,
            rtt: Duration::from_secs(2),
            missed: 2,
        }
    }
}

/// What is wrong with a peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Ailment {
    /// It has not answered for a few round trips.
    Silent,
    /// It missed several pings in a row.
    PingsMissed,
    /// It missed too many of the last pings.
    LowSuccess,
    /// Its answers take too long.
    HighLatency,
}

impl fmt::Display for Ailment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "silent",
            Self::PingsMissed => "pings missed in a row",
            Self::LowSuccess => "too few pings answered",
            Self::HighLatency => "slow to answer",
        })
    }
}

/// How a peer answers, as of now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerHealth {
    /// Of the last pings (at most 32), so many were answered or missed.
    pub pings: u32,
    /// Of these, so many were answered.
    pub answered: u32,
    /// Missed in a row.
    pub missed: u32,
    /// Smoothed round-trip time.
    pub rtt: Option<Duration>,
    /// Smoothed mean deviation of it.
    pub rtt_variance: Option<Duration>,
    /// When anything was heard of it.
    pub last_activity: Instant,
    /// What is wrong, if anything.
    pub ailments: Vec<Ailment>,
}

impl PeerHealth {
    /// Whether anything is wrong.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.ailments.is_empty()
    }

    /// The share of pings that were answered, in percent; 100 when there was none.
    #[must_use]
    pub fn success_percent(&self) -> u8 {
        let percent = (self.answered * 100).checked_div(self.pings).unwrap_or(100);
        u8::try_from(percent).unwrap_or(100)
    }
}

/// Liveness: pings, and the round-trip time they measure.
pub(crate) struct PingState {
    /// When the next ping is due.
    pub(crate) due: Instant,
    /// Nonce, sending time and deadline of the ping on its way.
    pub(crate) outstanding: Option<(u64, Instant, Instant)>,
    /// Missed in a row.
    pub(crate) missed: u32,
    /// Smoothed round-trip time in nanoseconds (RFC 6298 §2, α = 1/8).
    pub(crate) smoothed_rtt_nanos: Option<u64>,
    /// Smoothed mean deviation (β = 1/4).
    variance_nanos: u64,
    /// The last pings, the newest in the lowest bit: 1 was answered.
    history: u32,
    /// How many bits of it count.
    pings: u32,
}

impl PingState {
    /// Nothing is known; the first ping is due then.
    pub(crate) fn new(due: Instant) -> Self {
        Self {
            due,
            outstanding: None,
            missed: 0,
            smoothed_rtt_nanos: None,
            variance_nanos: 0,
            history: 0,
            pings: 0,
        }
    }

    /// A pong came; false when it answers no ping of ours.
    pub(crate) fn on_pong(&mut self, now: Instant, nonce: u64) -> bool {
        let Some((_, sent, _)) = self.outstanding.filter(|(of, ..)| *of == nonce) else {
            return false;
        };
        let sample = now.as_nanos().saturating_sub(sent.as_nanos());
        match self.smoothed_rtt_nanos {
            None => {
                self.smoothed_rtt_nanos = Some(sample);
                self.variance_nanos = sample / 2;
            }
            Some(smoothed) => {
                let off = smoothed.abs_diff(sample);
                self.variance_nanos = self.variance_nanos - self.variance_nanos / 4 + off / 4;
                self.smoothed_rtt_nanos = Some(smoothed - smoothed / 8 + sample / 8);
            }
        }
        self.outstanding = None;
        self.missed = 0;
        self.note(true);
        true
    }

    /// The ping on its way was not answered in time.
    pub(crate) fn on_missed(&mut self) {
        self.missed += 1;
        self.note(false);
    }

    fn note(&mut self, answered: bool) {
        self.history = self.history << 1 | u32::from(answered);
        self.pings = (self.pings + 1).min(HISTORY);
    }

    /// What is known, judged by `thresholds`.
    pub(crate) fn health(
        &self,
        thresholds: &HealthThresholds,
        is_silent: bool,
        last_activity: Instant,
    ) -> PeerHealth {
        let rtt = self.smoothed_rtt_nanos.map(Duration::from_nanos);
        let mut health = PeerHealth {
            pings: self.pings,
            answered: self.history.count_ones(),
            missed: self.missed,
            rtt,
            rtt_variance: rtt.map(|_| Duration::from_nanos(self.variance_nanos)),
            last_activity,
            ailments: Vec::new(),
        };
        let is_judged = self.pings >= JUDGED_FROM;
        let all = [
            (is_silent, Ailment::Silent),
            (
                self.missed >= thresholds.missed.max(1),
                Ailment::PingsMissed,
            ),
            (
                is_judged && health.success_percent() < thresholds.success_percent,
                Ailment::LowSuccess,
            ),
            (
                rtt.is_some_and(|rtt| rtt > thresholds.rtt),
                Ailment::HighLatency,
            ),
        ];
        let present = all.into_iter().filter(|(is_present, _)| *is_present);
        health.ailments.extend(present.map(|(_, ailment)| ailment));
        health
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    /// A ping that is answered after so many milliseconds, or missed.
    fn ping(state: &mut PingState, answered_after: Option<u64>) {
        state.outstanding = Some((1, at(0), at(9_000)));
        match answered_after {
            Some(millis) => assert!(state.on_pong(at(millis), 1)),
            None => {
                state.outstanding = None;
                state.on_missed();
            }
        }
    }

    fn ailments(state: &PingState) -> Vec<Ailment> {
        let thresholds = HealthThresholds::default();
        state.health(&thresholds, false, Instant::ZERO).ailments
    }

    #[test]
    fn only_the_right_pong_measures_the_round_trip() {
        let mut ping = PingState::new(Instant::ZERO);
        ping.outstanding = Some((7, at(0), at(1000)));
        assert!(!ping.on_pong(at(10), 8));
        assert!(ping.on_pong(at(80), 7));
        assert!(!ping.on_pong(at(80), 7), "answered once only");
        assert_eq!(ping.smoothed_rtt_nanos, Some(80_000_000));
        ping.outstanding = Some((9, at(100), at(1000)));
        assert!(ping.on_pong(at(260), 9));
        assert_eq!(ping.smoothed_rtt_nanos, Some(90_000_000));
    }

    #[test]
    fn the_variance_follows_the_rule_of_rfc_6298() {
        let mut state = PingState::new(Instant::ZERO);
        ping(&mut state, Some(80));
        let health =
            |state: &PingState| state.health(&HealthThresholds::default(), false, Instant::ZERO);
        assert_eq!(health(&state).rtt_variance, Some(Duration::from_millis(40)));
        ping(&mut state, Some(160));
        assert_eq!(health(&state).rtt_variance, Some(Duration::from_millis(50)));
        assert_eq!(health(&state).rtt, Some(Duration::from_millis(90)));
    }

    #[test]
    fn the_share_of_answers_counts_from_four_pings_and_at_the_threshold() {
        let mut state = PingState::new(Instant::ZERO);
        for answered in [None, Some(50), Some(50)] {
            ping(&mut state, answered);
        }
        assert!(ailments(&state).is_empty(), "three pings say nothing");
        ping(&mut state, Some(50));
        assert!(ailments(&state).is_empty(), "three of four are enough");
        ping(&mut state, None);
        assert_eq!(
            ailments(&state),
            [Ailment::LowSuccess],
            "three of five are not"
        );
        for _ in 0..32 {
            ping(&mut state, Some(50));
        }
        assert!(ailments(&state).is_empty(), "what is long ago is forgotten");
    }

    #[test]
    fn missed_pings_and_slow_answers_count_at_their_threshold_and_not_one_before() {
        let mut state = PingState::new(Instant::ZERO);
        ping(&mut state, None);
        assert!(ailments(&state).is_empty());
        ping(&mut state, None);
        assert_eq!(ailments(&state), [Ailment::PingsMissed]);
        let mut state = PingState::new(Instant::ZERO);
        ping(&mut state, Some(2_000));
        assert!(ailments(&state).is_empty());
        let mut state = PingState::new(Instant::ZERO);
        ping(&mut state, Some(2_001));
        assert_eq!(ailments(&state), [Ailment::HighLatency]);
        let health = state.health(&HealthThresholds::default(), true, Instant::ZERO + SECOND);
        assert_eq!(health.ailments, [Ailment::Silent, Ailment::HighLatency]);
        assert!(!health.is_healthy());
    }
}
