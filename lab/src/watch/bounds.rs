//! What must hold between an endpoint's own figures and what was seen of it.

use std::time::Duration;

use dunlin_transport::connection::state::State;
use dunlin_transport::{Connection, Instant, Stats};

use super::Ledger;
use crate::violation::Violation;

/// Probe timeouts in a row that nothing explains: the shortest, doubled as often, is longer than
/// any idle timeout of a scenario.
const PROBES_IN_A_ROW_MAX: u64 = 24;
/// Rounding of the estimator: each sample cuts less than a nanosecond off.
const ROUNDING: Duration = Duration::from_micros(1);
/// Doublings at which the probe timer's back-off stops (`transport/src/send/loss.rs`).
const DOUBLINGS_MAX: u64 = 16;

/// Two clocks of a scenario differ by less than one part in so many.
pub const SKEW_SHARE: u32 = 400;

/// What is remembered of one end between checks.
#[derive(Clone, Copy, Default, Debug)]
struct Memory {
    probes_when_advanced: u64,
    probes_when_progressed: u64,
    window: u64,
    /// Losses, and those that were none, when the window was last seen.
    losses: [u64; 2],
    acked: u64,
    reduced: Option<Reduction>,
    lingers_until: Option<Instant>,
}

/// A window that shrank.
#[derive(Clone, Copy, Debug)]
struct Reduction {
    at: Instant,
    to_minimum: bool,
    /// Losses, and those that were none, before.
    losses: [u64; 2],
}

/// Checks an endpoint's figures against the ledger after every event.
#[derive(Debug)]
pub struct Bounds {
    memory: [Memory; 2],
    initial_rtt: [Duration; 2],
    initial_window: [u64; 2],
}

/// What is known of one end at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Which end.
    pub node: usize,
    /// When.
    pub now: Instant,
    /// When its endpoint wants to be woken.
    pub deadline: Option<Instant>,
    /// No round trip takes less.
    pub rtt_floor: Duration,
    /// What clocks that run fast or slow may have added up to.
    pub slack: Duration,
    /// The application has heard that the peer closed gracefully.
    pub peer_closed: bool,
}

impl Bounds {
    /// For two ends with these settings.
    #[must_use]
    pub fn new(configs: &[dunlin_transport::EndpointConfig; 2]) -> Self {
        let transports = configs
            .each_ref()
            .map(|config| config.transport.clone().clamped());
        Self {
            memory: [Memory::default(); 2],
            initial_rtt: transports.each_ref().map(|config| config.initial_rtt),
            initial_window: transports
                .each_ref()
                .map(|config| config.initial_window_packets),
        }
    }

    /// Checks `connection` of the end that `moment` is about.
    ///
    /// # Errors
    /// What must not be.
    pub fn check(
        &mut self,
        moment: &Moment,
        connection: Option<&Connection>,
        ledger: &mut Ledger,
    ) -> Result<(), Violation> {
        let node = moment.node;
        if let Some(detail) = self.linger(moment, connection) {
            let what = "the end was forgotten too soon";
            return Err(Violation::Wire { node, what, detail });
        }
        let Some(connection) = connection else {
            return Ok(());
        };
        let stats = connection.stats();
        self.remember(node, &stats, ledger);
        if let Some(violation) = ledger.take_violation() {
            return Err(violation);
        }
        let wrong = |what, detail| Err(Violation::Wire { node, what, detail });
        if connection.state().is_transferring() {
            ledger.on_probe_timeout(probe_timeout(&stats, ledger, node));
            let twice = ledger.sides.get(node).and_then(|side| side.opened_twice);
            if let Some(number) = twice {
                return wrong("a packet was opened twice", format!("{number}"));
            }
            if let Some((what, detail)) = self
                .timers(moment, &stats, ledger)
                .or_else(|| self.round_trips(moment, &stats))
                .or_else(|| self.windows(moment, &stats, ledger))
            {
                return wrong(what, detail);
            }
        }
        Ok(())
    }

    fn remember(&mut self, node: usize, stats: &Stats, ledger: &mut Ledger) {
        let (Some(memory), Some(side)) = (self.memory.get_mut(node), ledger.sides.get_mut(node))
        else {
            return;
        };
        if std::mem::take(&mut side.advanced) {
            memory.probes_when_advanced = stats.probe_timeouts;
        }
        if std::mem::take(&mut side.progressed) {
            memory.probes_when_progressed = stats.probe_timeouts;
        }
    }

    /// Who waits for an acknowledgement has a timer, not later than RFC 9002 §6.2 says.
    fn timers(
        &self,
        moment: &Moment,
        stats: &Stats,
        ledger: &Ledger,
    ) -> Option<(&'static str, String)> {
        let memory = self.memory.get(moment.node)?;
        let in_a_row = stats.probe_timeouts - memory.probes_when_progressed;
        if in_a_row > PROBES_IN_A_ROW_MAX {
            return Some(("probe timeouts that do not back off", format!("{in_a_row}")));
        }
        let last = ledger.sides.get(moment.node)?.last_eliciting?;
        if stats.bytes_in_flight == 0 {
            return None;
        }
        let probes = stats.probe_timeouts - memory.probes_when_advanced;
        let doublings = u32::try_from(probes.min(DOUBLINGS_MAX)).unwrap_or(0);
        let timeout = probe_timeout(stats, ledger, moment.node) * (1 << doublings);
        let latest = last + timeout + moment.slack + timeout / SKEW_SHARE;
        let late = moment.deadline.is_none_or(|deadline| deadline > latest);
        late.then(|| {
            let detail = format!("{:?}, {latest:?} at the latest", moment.deadline);
            ("data in flight, and the timer is too late", detail)
        })
    }

    /// Round trips are neither shorter than the path nor smoothed below the shortest.
    fn round_trips(&self, moment: &Moment, stats: &Stats) -> Option<(&'static str, String)> {
        let initial = self.initial_rtt.get(moment.node)?;
        let (least, floor) = (stats.rtt_min, moment.rtt_floor);
        if least < floor && least != *initial {
            let detail = format!("{least:?}, the path takes {floor:?}");
            return Some(("a round trip faster than the path", detail));
        }
        (stats.rtt + ROUNDING < least).then(|| {
            let detail = format!("{:?} below {least:?}", stats.rtt);
            ("a smoothed round trip below the least", detail)
        })
    }

    /// The window is earned, halves at most once a round trip, and never falls below two packets;
    /// bytes in flight are bytes in flight.
    fn windows(
        &mut self,
        moment: &Moment,
        stats: &Stats,
        ledger: &Ledger,
    ) -> Option<(&'static str, String)> {
        let side = ledger.sides.get(moment.node)?;
        let memory = self.memory.get_mut(moment.node)?;
        let window = stats.congestion_window;
        let before = std::mem::replace(&mut memory.window, window);
        let (least, in_flight) = (2 * stats.mtu, stats.bytes_in_flight);
        if window < least {
            return Some(("a window below two packets", format!("{window}")));
        }
        let packets = self.initial_window.get(moment.node)?;
        let earned = (packets + 1) * side.params.max_udp_payload.max(stats.mtu) + side.bytes_acked;
        if window > earned {
            let detail = format!("{window}, {earned} at most");
            return Some(("a window that nobody earned", detail));
        }
        if in_flight > side.bytes_outstanding {
            let detail = format!("{in_flight} of {}", side.bytes_outstanding);
            return Some(("more in flight than was sent", detail));
        }
        let losses = [stats.packets_lost, stats.packets_spuriously_lost];
        let known = std::mem::replace(&mut memory.losses, losses);
        let acked = side.bytes_acked - std::mem::replace(&mut memory.acked, side.bytes_acked);
        if before > 0 && window > before + acked + stats.mtu {
            return given_back(memory.reduced?, losses);
        }
        if window >= before {
            return None;
        }
        let reduction = Reduction {
            at: moment.now,
            // What was acknowledged in the same event has let it grow again.
            to_minimum: window <= least + acked,
            losses: known,
        };
        // What was given back in between, or fell to the minimum, may shrink again at once.
        let earlier = memory.reduced.replace(reduction).filter(|earlier| {
            earlier.losses.last() == losses.last() && !earlier.to_minimum && !reduction.to_minimum
        });
        let since = moment.now.saturating_duration_since(earlier?.at);
        (since < moment.rtt_floor).then(|| {
            let detail = format!("again after {since:?}");
            ("the window was reduced twice in a round trip", detail)
        })
    }

    /// Who was told that the peer closed stays to answer its FIN (RFC 9000 §10.2).
    fn linger(&mut self, moment: &Moment, connection: Option<&Connection>) -> Option<String> {
        let memory = self.memory.get_mut(moment.node)?;
        if !moment.peer_closed {
            return None;
        }
        let rtt = connection.map_or(Duration::ZERO, |connection| connection.stats().rtt);
        let least = (rtt * 3).max(Duration::from_millis(1));
        let least = least.saturating_sub(least / SKEW_SHARE);
        let until = *memory.lingers_until.get_or_insert(moment.now + least);
        let over = connection.is_none_or(|connection| connection.state() == State::Closed);
        (over && moment.now < until).then(|| format!("{:?} before {until:?}", moment.now))
    }
}

/// A window is given back only when every loss since its reduction was none.
fn given_back(reduction: Reduction, now: [u64; 2]) -> Option<(&'static str, String)> {
    let [lost, spurious] = [0, 1].map(|index| now[index] - reduction.losses[index]);
    (spurious < lost).then(|| {
        let detail = format!("{spurious} of {lost} losses were none");
        ("a window was given back that was rightly reduced", detail)
    })
}

/// The probe timeout without back-off (RFC 9002 §6.2.1).
fn probe_timeout(stats: &Stats, ledger: &Ledger, node: usize) -> Duration {
    let delay = ledger
        .sides
        .get(1 - node)
        .map_or(Duration::ZERO, |peer| peer.params.max_ack_delay);
    stats.rtt + (stats.rtt_variance * 4).max(Duration::from_millis(1)) + delay
}
