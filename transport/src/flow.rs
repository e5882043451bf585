//! Connection-level flow control (`docs/wire.md`, chapter "Flow control"; RFC 9000 §4).
//!
//! Both directions count reliable bytes over all streams and messages: a stream by its highest
//! offset, a message by the fragments that came. The limit travels two ways: on every packet as
//! the header's Window Size (low 16 bits of the limit in units), and in MAX_DATA frames, which are
//! retransmitted.

use crate::error::PeerViolation;
use crate::planted::{self, Bug};

/// What we may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendFlow {
    limit: u64,
    sent: u64,
    shift: u8,
}

impl SendFlow {
    /// The peer grants `limit` bytes at first and counts its Window Size in units of 2^`shift`.
    #[must_use]
    pub(crate) const fn new(limit: u64, shift: u8) -> Self {
        Self {
            limit,
            sent: 0,
            shift,
        }
    }

    /// New bytes that may be sent.
    #[must_use]
    pub(crate) const fn available(&self) -> u64 {
        self.limit.saturating_sub(self.sent)
    }

    /// New bytes were sent.
    pub(crate) const fn on_sent(&mut self, bytes: u64) {
        self.sent += bytes;
    }

    /// A MAX_DATA frame came. Limits never shrink.
    pub(crate) fn on_max_data(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    /// A header came: restores the limit whose low bits it carries. Older headers carry lower
    /// limits and change nothing.
    pub(crate) fn on_window(&mut self, window: u16) {
        let known = self.limit >> self.shift;
        let [low, high] = [known & 0xffff, known & !0xffff];
        let field = u64::from(window);
        // Within half of the field ahead it is a new limit, otherwise an old one.
        let ahead = field.wrapping_sub(low) & 0xffff;
        if ahead > 0 && (ahead < 0x8000 || planted::is(Bug::WindowFieldJumpsBack)) {
            let units = high + low + ahead;
            self.limit = self.limit.max(units << self.shift);
        }
    }
}

/// What we let the peer send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiveFlow {
    window: u64,
    shift: u8,
    received: u64,
    consumed: u64,
    /// The highest limit that a MAX_DATA frame (or the handshake) announced.
    announced: u64,
}

impl ReceiveFlow {
    /// `window` bytes may be in flight or unread.
    #[must_use]
    pub(crate) const fn new(window: u64, shift: u8) -> Self {
        Self {
            window,
            shift,
            received: 0,
            consumed: 0,
            announced: window,
        }
    }

    /// Bytes that may be in flight or unread.
    #[must_use]
    pub(crate) const fn window(&self) -> u64 {
        self.window
    }

    /// The limit that holds, in whole units so that the header can carry it exactly.
    #[must_use]
    pub(crate) fn limit(&self) -> u64 {
        let limit = (self.consumed + self.window) >> self.shift << self.shift;
        limit.max(self.announced)
    }

    /// The header's Window Size.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low 16 bits are the field"
    )]
    pub(crate) fn header_window(&self) -> u16 {
        (self.limit() >> self.shift) as u16
    }

    /// New bytes arrived.
    ///
    /// # Errors
    /// [`PeerViolation::FlowControl`] beyond the limit.
    pub(crate) fn on_received(&mut self, bytes: u64) -> Result<(), PeerViolation> {
        let received = self.received.saturating_add(bytes);
        if received > self.limit() {
            return Err(PeerViolation::FlowControl);
        }
        self.received = received;
        Ok(())
    }

    /// The application took bytes, or they were discarded.
    pub(crate) const fn on_consumed(&mut self, bytes: u64) {
        self.consumed += bytes;
    }

    /// Whether the limit has moved so far beyond the announced one that it is worth a MAX_DATA
    /// frame: half a window, as TCP stacks do against silly windows (RFC 9293 §3.8.6.2.2).
    #[must_use]
    pub(crate) fn wants_announcement(&self) -> bool {
        self.limit() - self.announced >= self.window / 2
    }

    /// The limit to announce now.
    pub(crate) fn announce(&mut self) -> u64 {
        self.announced = self.limit();
        self.announced
    }

    /// Bytes received and not yet consumed.
    #[must_use]
    pub(crate) const fn unread(&self) -> u64 {
        self.received.saturating_sub(self.consumed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::params::window_shift;
    use proptest::prelude::*;

    proptest! {
        /// A sender that hears only some headers, late, never believes a limit that was not given,
        /// and knows the latest one as soon as it hears it.
        #[test]
        fn limits_in_headers_are_exact_across_wraps(
            window in 65_536u64..1 << 30,
            steps in proptest::collection::vec((0.0f64..1.0, any::<bool>(), 0usize..3), 1..200),
        ) {
            let shift = window_shift(window);
            let mut receiver = ReceiveFlow::new(window, shift);
            let mut sender = SendFlow::new(window, shift);
            let mut headers = Vec::new();
            for (share, heard, late) in steps {
                let bytes = (sender.available() as f64 * share) as u64;
                sender.on_sent(bytes);
                receiver.on_received(bytes).unwrap();
                receiver.on_consumed(bytes);
                headers.push(receiver.header_window());
                if heard {
                    let old = headers[headers.len() - 1 - late.min(headers.len() - 1)];
                    sender.on_window(*headers.last().unwrap());
                    prop_assert_eq!(sender.limit, receiver.limit());
                    sender.on_window(old);
                    prop_assert_eq!(sender.limit, receiver.limit());
                }
            }
        }
    }

    #[test]
    fn one_byte_beyond_the_limit_is_a_violation() {
        let mut flow = ReceiveFlow::new(65_536, 3);
        assert_eq!(flow.on_received(65_536), Ok(()));
        assert_eq!(flow.on_received(1), Err(PeerViolation::FlowControl));
        flow.on_consumed(8);
        assert_eq!(flow.on_received(8), Ok(()));
        assert_eq!(flow.on_received(u64::MAX), Err(PeerViolation::FlowControl));
    }

    #[test]
    fn announces_after_half_a_window() {
        let mut flow = ReceiveFlow::new(65_536, 3);
        flow.on_consumed(32_767);
        assert!(!flow.wants_announcement());
        flow.on_consumed(1);
        assert!(flow.wants_announcement());
        assert_eq!(flow.announce(), 65_536 + 32_768);
        assert!(!flow.wants_announcement());
    }
}
