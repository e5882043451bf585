//! When to wake, and what then. Deadlines that a part knows (probe, loss, acknowledgement, pacing,
//! path) are asked of it; the rest is kept here.

use core::time::Duration;

use super::Connection;
use super::closing::LINGER_PROBE_TIMEOUTS;
use super::rest::REST_AFTER;
use super::state::{Input, State};
use crate::config::TransportConfig;
use crate::error::CloseReason;
use crate::io::Event;
use crate::planted::{self, Bug};
use crate::recv::packets::END_DELAY;
use crate::time::Instant;
use crate::trace::Timer;
use crate::wire::params::TransportParams;

/// Deadlines that belong to no part.
#[derive(Debug)]
pub(super) struct Timers {
    last_received: Instant,
    /// Zero: none.
    idle_timeout: Duration,
    last_eliciting: Instant,
    keep_alive: Option<Duration>,
    linger: Option<Instant>,
    /// Something happened since the connection last rested.
    is_awake: bool,
    /// When the pacer lets the next batch go.
    pub(super) pacing: Option<Instant>,
}

impl Timers {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            last_received: now,
            idle_timeout: Duration::ZERO,
            last_eliciting: now,
            keep_alive: None,
            linger: None,
            is_awake: true,
            pacing: None,
        }
    }

    /// The smaller non-zero idle timeout holds (RFC 9000 §10.1).
    pub(super) fn on_established(
        &mut self,
        now: Instant,
        config: &TransportConfig,
        params: &TransportParams,
    ) {
        self.last_received = now;
        self.last_eliciting = now;
        self.keep_alive = config.keep_alive;
        self.idle_timeout = match (config.idle_timeout, params.idle_timeout) {
            (Duration::ZERO, theirs) => theirs,
            (ours, Duration::ZERO) => ours,
            (ours, theirs) => ours.min(theirs),
        };
    }

    pub(super) const fn on_received(&mut self, now: Instant) {
        self.last_received = now;
        self.is_awake = true;
    }

    pub(super) const fn on_eliciting_sent(&mut self, now: Instant) {
        self.last_eliciting = now;
        self.is_awake = true;
    }

    /// Stays for so many probe timeouts to answer stragglers, but not for longer than they come:
    /// a peer that hears nothing for the idle timeout has given up.
    pub(super) fn linger(&mut self, now: Instant, probe_timeout: Duration, times: u32) {
        let mut stay = probe_timeout * times;
        if !self.idle_timeout.is_zero() {
            stay = stay.min(self.idle_timeout.max(probe_timeout * LINGER_PROBE_TIMEOUTS));
        }
        self.linger = Some(now + stay);
    }

    fn keep_alive_time(&self) -> Option<Instant> {
        Some(self.last_active() + self.keep_alive?)
    }

    fn last_active(&self) -> Instant {
        self.last_eliciting.max(self.last_received)
    }

    /// When the connection rests.
    fn rest_time(&self) -> Option<Instant> {
        self.is_awake.then(|| self.last_active() + REST_AFTER)
    }
}

impl Connection {
    /// When [`Self::handle_timeout`] is wanted next.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Closed => None,
            State::SynSent => self.opening.as_ref().map(|opening| opening.next_time()),
            State::TimeWait | State::Reset => self.timers.linger,
            State::Established | State::Closing | State::FinSent => [
                self.idle_time(),
                self.loss.loss_time(),
                self.probe_time(),
                self.received.deadline(),
                self.timers.pacing,
                self.timers.keep_alive_time(),
                self.rest_time(),
                self.path.deadline(),
                self.session.deadline(),
                self.outgoing.deadline(),
            ]
            .into_iter()
            .flatten()
            .min(),
        }
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Closed => {}
            State::SynSent => {
                let expired = self
                    .opening
                    .as_ref()
                    .filter(|opening| opening.is_expired(now));
                if let Some(opening) = expired {
                    let peer_speaks_other_version = opening.other_version;
                    self.trace_timer(now, Timer::Handshake);
                    self.lose(CloseReason::HandshakeTimeout {
                        peer_speaks_other_version,
                    });
                }
            }
            State::TimeWait | State::Reset => {
                if self.timers.linger.is_some_and(|until| until <= now)
                    && let Some(next) = self.state.next(Input::LingerOver)
                {
                    self.state = next;
                    self.trace_timer(now, Timer::Linger);
                }
            }
            State::Established | State::Closing | State::FinSent => {
                self.handle_transfer_timeout(now);
            }
        }
    }

    fn handle_transfer_timeout(&mut self, now: Instant) {
        if self.idle_time().is_some_and(|at| at <= now) {
            self.trace_timer(now, Timer::Idle);
            // FIN leaves only when everything was acknowledged: of the graceful end just the echo is
            // missing.
            let graceful = self.state == State::FinSent && !planted::is(Bug::FinAckLostIsTimeout);
            self.lose(if graceful {
                CloseReason::Local
            } else {
                CloseReason::TimedOut
            });
            return;
        }
        if self.loss.loss_time().is_some_and(|at| at <= now) {
            self.trace_timer(now, Timer::Loss);
            self.detect_lost(now);
        } else if self.probe_time().is_some_and(|at| at <= now) {
            self.trace_timer(now, Timer::Probe);
            self.on_probe_timeout(now);
        }
        while let Some(id) = self.outgoing.expire(now) {
            self.events.push_back(Event::MessageExpired(id));
            self.wake_writers();
        }
        if self.timers.pacing.is_some_and(|at| at <= now) {
            self.timers.pacing = None;
        }
        if self.timers.keep_alive_time().is_some_and(|at| at <= now) {
            self.ping = true;
            self.trace_timer(now, Timer::KeepAlive);
            // Even if the PING cannot leave now, the next one is an interval away.
            self.timers.on_eliciting_sent(now);
        }
        let timeout = self.probe_timeout();
        if let Some(protection) = &mut self.protection {
            protection.on_time(now, timeout);
        }
        self.on_session_time(now);
        if self.rest_time().is_some_and(|at| at <= now) {
            self.timers.is_awake = false;
            self.rest();
        }
    }

    /// When the connection rests: not while an answer is awaited, which may take its time.
    fn rest_time(&self) -> Option<Instant> {
        let is_quiet = !self.sent.is_any_in_flight();
        is_quiet.then(|| self.timers.rest_time()).flatten()
    }

    /// Idle since the last packet; never less than three probe timeouts (RFC 9000 §10.1).
    fn idle_time(&self) -> Option<Instant> {
        let timeout = self.timers.idle_timeout;
        (!timeout.is_zero())
            .then(|| self.timers.last_received + timeout.max(self.probe_timeout() * 3))
    }

    pub(super) fn probe_time(&self) -> Option<Instant> {
        if planted::is(Bug::ProbeTimerOnlyOnce) && self.loss.probe_count() > 0 {
            return None;
        }
        self.sent.is_any_in_flight().then(|| {
            let (most, expected) = (self.peer_ack_delay(), self.tail_ack_delay());
            self.loss.probe_time(&self.rtt, most, expected)
        })
    }

    /// How long the peer may wait before it acknowledges what is in flight (`docs/wire.md` W-ACK-3):
    /// hardly at all when it has as many packets as it was asked to wait for, or one that ends
    /// something.
    fn tail_ack_delay(&self) -> Duration {
        let enough = self.sent.outstanding() as u64 >= self.ack_frequency.packets();
        let prompt = self.tail_ends || enough;
        let most = self.peer_ack_delay();
        if prompt { most.min(END_DELAY) } else { most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_lingers_longer_than_the_idle_timeout_unless_three_probe_timeouts_are() {
        let (now, second) = (Instant::ZERO, Duration::from_secs(1));
        let mut timers = Timers::new(now);
        timers.idle_timeout = 30 * second;
        timers.linger(now, second, 12);
        assert_eq!(timers.linger, Some(now + 12 * second));
        timers.linger(now, second, 192);
        assert_eq!(timers.linger, Some(now + 30 * second));
        timers.linger(now, 20 * second, 192);
        assert_eq!(timers.linger, Some(now + 60 * second));
        timers.idle_timeout = Duration::ZERO;
        timers.linger(now, second, 192);
        assert_eq!(timers.linger, Some(now + 192 * second));
    }
}
