//! The end of a connection: FIN after everything was delivered, RST at once, and the answers to
//! stragglers (`docs/wire.md`, chapter "Life cycle").

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Connection;
use super::state::{Input, State};
use crate::error::{CloseReason, PeerViolation};
use crate::io::Event;
use crate::limits::CLOSE_REASON_MAX;
use crate::planted::{self, Bug};
use crate::time::Instant;
use crate::wire::{Cursor, DecodeError, varint};

/// Probe timeouts for which stragglers are answered (RFC 9000 §10.2).
pub(super) const LINGER_PROBE_TIMEOUTS: u32 = 3;
/// How often a repeated FIN doubles that. Guess: 192 probe timeouts are about 15 s at 50 ms. The
/// idle timeout bounds it, or a peer that promises slow acknowledgements would be held for an hour.
const LINGER_DOUBLINGS_MAX: u32 = 6;

/// Who ends a connection by RST.
const BY_APPLICATION: u8 = 0;
const BY_TRANSPORT: u8 = 1;

/// What is said, and what was heard.
#[derive(Debug, Default)]
pub(super) struct Closing {
    /// Body of our FIN or RST.
    body: Vec<u8>,
    reason: Option<Box<CloseReason>>,
    /// The application has heard the reason.
    told: bool,
    /// FINs that came after the first.
    fins_repeated: u32,
    /// A FIN, FIN_ACK or RST waits to leave.
    pub(super) fin: bool,
    pub(super) fin_ack: bool,
    pub(super) reset: bool,
    /// Packets that came since the last RST, and how many make the next one.
    answered: u32,
    answer_after: u32,
}

impl Closing {
    pub(super) fn reason(&self) -> Option<&CloseReason> {
        self.reason.as_deref()
    }

    pub(super) const fn is_told(&self) -> bool {
        self.told
    }

    pub(super) const fn set_told(&mut self) {
        self.told = true;
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }
}

impl Connection {
    /// Closes gracefully: no further bytes are accepted, those accepted are delivered, then the
    /// peer hears `code` and `reason` (at most [`CLOSE_REASON_MAX`] bytes of it).
    pub fn close(&mut self, code: u64, reason: &str) {
        let Some(next) = self.state.next(Input::LocalClose) else {
            return;
        };
        self.closing.body = fin_body(code, reason);
        self.state = next;
        if next == State::Closed {
            self.end(CloseReason::Local);
        }
        self.check_delivered();
    }

    /// Ends at once: what was not delivered is dropped, the peer hears `code` and `reason`.
    pub fn abort(&mut self, now: Instant, code: u64, reason: &str) {
        self.abort_with(now, BY_APPLICATION, code, reason, CloseReason::Local);
    }

    /// The session layer refuses a peer whose handshake is complete.
    pub(super) fn refuse_session(
        &mut self,
        now: Instant,
        code: u64,
        reason: &str,
        own_reason: &'static str,
    ) {
        let own_reason = CloseReason::Handshake(own_reason);
        self.abort_with(now, BY_APPLICATION, code, reason, own_reason);
    }

    /// The peer broke a rule.
    pub(super) fn on_violation(&mut self, now: Instant, violation: PeerViolation) {
        let text = violation.to_string();
        let reason = CloseReason::Violation(violation);
        self.abort_with(now, BY_TRANSPORT, violation.code(), &text, reason);
    }

    fn abort_with(&mut self, now: Instant, by: u8, code: u64, text: &str, reason: CloseReason) {
        let Some(next) = self.state.next(Input::Abort) else {
            return;
        };
        self.closing.body = alloc::vec![by];
        self.closing.body.extend(fin_body(code, text));
        self.state = next;
        self.closing.reset = next == State::Reset;
        self.closing.answer_after = 1;
        let timeout = self.probe_timeout();
        self.timers.linger(now, timeout, LINGER_PROBE_TIMEOUTS);
        self.end(reason);
    }

    /// It is over without a word: no answer, an RST believed, or a failed handshake.
    pub(crate) fn lose(&mut self, reason: CloseReason) {
        if let Some(next) = self.state.next(Input::Lost) {
            self.state = next;
            self.end(reason);
        }
    }

    /// Sends FIN once everything accepted is acknowledged.
    pub(super) fn check_delivered(&mut self) {
        if self.state == State::Closing
            && self.session.is_drained()
            && self.streams.is_drained()
            && (self.outgoing.is_drained() || planted::is(Bug::CloseBeforeDelivered))
            && let Some(next) = self.state.next(Input::AllDelivered)
        {
            self.state = next;
            self.closing.fin = true;
        }
    }

    pub(super) fn on_fin(&mut self, now: Instant, body: &[u8]) -> Result<(), PeerViolation> {
        let (code, reason) = parse_fin(body)?;
        if self.state == State::TimeWait {
            // Our FIN_ACK was lost. The peer's next FIN comes after twice the time (its probe
            // timer backs off), so we are here for it twice as long.
            self.closing.fin_ack = true;
            self.closing.fins_repeated = (self.closing.fins_repeated + 1).min(LINGER_DOUBLINGS_MAX);
            let factor = LINGER_PROBE_TIMEOUTS << self.closing.fins_repeated;
            let timeout = self.probe_timeout();
            self.timers.linger(now, timeout, factor);
        }
        if let Some(next) = self.state.next(Input::FinReceived) {
            self.state = next;
            self.closing.fin_ack = true;
            self.closing.fin = false;
            let mut lingers = LINGER_PROBE_TIMEOUTS;
            if planted::is(Bug::TimeWaitSkipped) {
                lingers = 0;
            }
            let timeout = self.probe_timeout();
            self.timers.linger(now, timeout, lingers);
            self.end(CloseReason::Peer { code, reason });
        }
        Ok(())
    }

    pub(super) fn on_fin_ack(&mut self) {
        if let Some(next) = self.state.next(Input::FinAckReceived) {
            self.state = next;
            self.end(CloseReason::Local);
        }
    }

    pub(super) fn on_reset_packet(&mut self, body: &[u8]) -> Result<(), PeerViolation> {
        let (by, rest) = body.split_first().ok_or(DecodeError::Body)?;
        let (code, reason) = parse_fin(rest)?;
        self.lose(if *by == BY_APPLICATION {
            CloseReason::Reset { code, reason }
        } else {
            CloseReason::TransportReset { code }
        });
        Ok(())
    }

    /// A packet came for a connection that we reset: answered with RST again, at doubling
    /// intervals (RFC 9000 §10.2.1).
    pub(super) const fn on_straggler(&mut self) {
        self.closing.answered += 1;
        if self.closing.answered >= self.closing.answer_after {
            self.closing.answered = 0;
            self.closing.answer_after = self.closing.answer_after.saturating_mul(2);
            self.closing.reset = true;
        }
    }

    /// Tells the application, once.
    fn end(&mut self, reason: CloseReason) {
        self.opening = None;
        if self.closing.reason.is_none() {
            self.closing.reason = Some(Box::new(reason.clone()));
            self.events.push_back(Event::Closed(reason));
        }
    }
}

fn fin_body(code: u64, reason: &str) -> Vec<u8> {
    let mut end = reason.len().min(CLOSE_REASON_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut body = Vec::new();
    varint::write(&mut body, code);
    body.extend_from_slice(&reason.as_bytes()[..end]);
    body
}

fn parse_fin(body: &[u8]) -> Result<(u64, String), PeerViolation> {
    let mut cursor = Cursor::new(body);
    let code = cursor.varint().map_err(|_| DecodeError::Body)?;
    let reason = cursor.take_rest();
    if reason.len() > CLOSE_REASON_MAX {
        return Err(DecodeError::Body.into());
    }
    Ok((code, String::from_utf8_lossy(reason).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_round_trip_and_long_ones_are_cut_at_a_character() {
        assert_eq!(parse_fin(&fin_body(77, "bye")), Ok((77, "bye".into())));
        let long = "é".repeat(200);
        let (_, cut) = parse_fin(&fin_body(1, &long)).unwrap();
        assert_eq!(cut, "é".repeat(CLOSE_REASON_MAX / 2));
    }

    #[test]
    fn rejects_a_reason_above_the_limit_and_an_empty_body() {
        let mut body = fin_body(1, "");
        body.extend([b'x'; CLOSE_REASON_MAX]);
        assert!(parse_fin(&body).is_ok());
        body.push(b'x');
        assert!(parse_fin(&body).is_err());
        assert!(parse_fin(&[]).is_err());
    }
}
