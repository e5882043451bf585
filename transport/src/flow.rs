//! Connection-level flow control (`docs/wire.md`, chapter "Flow control"; RFC 9000 §4).
//!
//! Both directions count reliable bytes over all streams and messages: a stream by its highest
//! offset, a message by the fragments that came. The limit travels two ways: on every packet as
//! the header's Window Size (low 16 bits of the limit in units), and in MAX_DATA frames, which are
//! retransmitted.
//!
//! A receive window begins small and doubles while the application empties it within five round
//! trips ([`Tuner`]), up to a bound of memory: who reads slowly never offers more than at first.

use core::time::Duration;

use crate::error::PeerViolation;
use crate::ids::PacketNumber;
use crate::planted::{self, Bug};
use crate::time::Instant;

/// A limit as frames tell it: it never shrinks (`docs/wire.md` W-FLW-5).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Granted {
    limit: u64,
    /// The newest packet that told it.
    told_in: PacketNumber,
}

impl Granted {
    /// What the handshake granted.
    #[must_use]
    pub(crate) const fn new(limit: u64) -> Self {
        Self {
            limit,
            told_in: PacketNumber(0),
        }
    }

    /// The limit.
    #[must_use]
    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    /// The packet `number` tells a limit. An old packet may tell an old one.
    ///
    /// # Errors
    /// [`PeerViolation::LimitShrank`]: of two packets the newer tells less.
    pub(crate) fn on_told(
        &mut self,
        number: PacketNumber,
        limit: u64,
    ) -> Result<(), PeerViolation> {
        if (number > self.told_in && limit < self.limit)
            || (number < self.told_in && limit > self.limit)
        {
            return Err(PeerViolation::LimitShrank);
        }
        self.limit = self.limit.max(limit);
        self.told_in = self.told_in.max(number);
        Ok(())
    }
}

/// What we may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendFlow {
    limit: u64,
    /// What MAX_DATA told.
    told: Granted,
    sent: u64,
    shift: u8,
}

impl SendFlow {
    /// The peer grants `limit` bytes at first and counts its Window Size in units of 2^`shift`.
    #[must_use]
    pub(crate) const fn new(limit: u64, shift: u8) -> Self {
        Self {
            limit,
            told: Granted::new(limit),
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

    /// A MAX_DATA frame came, in the packet `number`.
    ///
    /// # Errors
    /// [`PeerViolation::LimitShrank`].
    pub(crate) fn on_max_data(
        &mut self,
        number: PacketNumber,
        limit: u64,
    ) -> Result<(), PeerViolation> {
        self.told.on_told(number, limit)?;
        self.limit = self.limit.max(limit);
        Ok(())
    }

    /// Whether [`Self::on_window`] would change nothing.
    #[must_use]
    pub(crate) fn knows(&self, window: u16) -> bool {
        let mut told = *self;
        told.on_window(window);
        told.limit == self.limit
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

/// A window that is consumed faster than this many round trips doubles. A sender without credit gets
/// half a window each round trip and what the announcement waited: just above two. Where packets are
/// lost, half a window waits for repairs and their repairs: twice as long and more (ADR 0120).
const ROUND_TRIPS: u128 = 5;

/// A receive window that follows the bandwidth-delay product (the idea of dynamic right-sizing:
/// Fisk and Feng, LACSI 2001). ADR 0120 says why these numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuner {
    window: u64,
    max: u64,
    /// When the limit was last announced, and what had been consumed by then.
    since: Option<(Instant, u64)>,
}

impl Tuner {
    /// Begins with `window` bytes and never exceeds `max`.
    #[must_use]
    pub(crate) const fn new(window: u64, max: u64) -> Self {
        Self {
            window,
            max,
            since: None,
        }
    }

    /// Bytes that may be in flight or unread.
    #[must_use]
    pub(crate) const fn window(&self) -> u64 {
        self.window
    }

    /// A new limit is about to be announced after `consumed` bytes in all: the window doubles when
    /// at this pace all of it is consumed in less than [`ROUND_TRIPS`].
    pub(crate) fn on_announcing(&mut self, now: Instant, rtt: Duration, consumed: u64) {
        if let Some((then, before)) = self.since {
            let moved = consumed - before;
            if moved < self.window / 2 {
                // Told to a peer without credit, or for a stream, soon after the last: no pace yet.
                return;
            }
            let elapsed = now.saturating_duration_since(then).as_nanos();
            let moved = u128::from(moved);
            if elapsed * u128::from(self.window) < ROUND_TRIPS * rtt.as_nanos() * moved {
                self.window = (self.window * 2).min(self.max);
            }
        }
        self.since = Some((now, consumed));
    }

    /// The window must hold `bytes`. True: it grew for that.
    fn reserve(&mut self, bytes: u64) -> bool {
        let wanted = bytes.min(self.max);
        let grows = wanted > self.window;
        self.window = self.window.max(wanted);
        grows
    }
}

/// What we let the peer send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiveFlow {
    tuner: Tuner,
    /// The window at first: what streams and short messages get beside a long message.
    initial: u64,
    shift: u8,
    received: u64,
    consumed: u64,
    /// The highest limit that a MAX_DATA frame (or the handshake) announced.
    announced: u64,
    /// The window grew for a long message, whose sender should hear of it.
    reserved: bool,
}

impl ReceiveFlow {
    /// At first `window` bytes may be in flight or unread, at most `max`; the header counts in units
    /// of 2^`shift` bytes.
    #[must_use]
    pub(crate) const fn new(window: u64, max: u64, shift: u8) -> Self {
        Self {
            tuner: Tuner::new(window, max),
            initial: window,
            shift,
            received: 0,
            consumed: 0,
            announced: window,
            reserved: false,
        }
    }

    /// Bytes that may be in flight or unread.
    #[must_use]
    pub(crate) const fn window(&self) -> u64 {
        self.tuner.window()
    }

    /// The limit that holds, in whole units so that the header can carry it exactly.
    #[must_use]
    pub(crate) fn limit(&self) -> u64 {
        let limit = self.exact() >> self.shift << self.shift;
        limit.max(self.announced)
    }

    /// The limit that could be announced.
    const fn exact(&self) -> u64 {
        self.consumed + self.tuner.window()
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

    /// New bytes that may still arrive.
    #[must_use]
    pub(crate) fn room(&self) -> u64 {
        self.limit().saturating_sub(self.received)
    }

    /// New bytes arrived, no more than there was [`Self::room`] for.
    pub(crate) const fn on_received_in_room(&mut self, bytes: u64) {
        self.received += bytes;
    }

    /// The application took bytes, or they were discarded.
    pub(crate) const fn on_consumed(&mut self, bytes: u64) {
        self.consumed += bytes;
    }

    /// Whether the limit has moved so far beyond the announced one that it is worth a MAX_DATA
    /// frame: half a window, as TCP stacks do against silly windows (RFC 9293 §3.8.6.2.2).
    #[must_use]
    pub(crate) fn wants_announcement(&self) -> bool {
        self.reserved || self.exact().saturating_sub(self.announced) >= self.tuner.window() / 2
    }

    /// Whether the peer, for all we know, has no credit for another packet of `packet` bytes, and
    /// there is some. Less than half a window is then worth announcing when nothing else will
    /// happen: the application may wait for exactly the bytes that are held back, and never read
    /// those of other streams that fill the window.
    #[must_use]
    pub(crate) fn withholds_credit(&self, packet: usize) -> bool {
        let told = self.announced.saturating_sub(self.received);
        told < packet as u64 && self.exact() > self.announced
    }

    /// Messages of `bytes` in all have begun to arrive: each is consumed only when it is whole, so
    /// the window has to hold them, as far as its bound allows.
    pub(crate) fn reserve(&mut self, bytes: u64) {
        self.reserved |= self.tuner.reserve(bytes.saturating_add(self.initial));
    }

    /// The limit to announce now, given the round-trip time.
    pub(crate) fn announce(&mut self, now: Instant, rtt: Duration) -> u64 {
        self.tuner.on_announcing(now, rtt, self.consumed);
        self.reserved = false;
        self.announced = self.announced.max(self.exact());
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
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const RTT: Duration = Duration::from_millis(100);

    proptest! {
        /// A sender that hears only some headers, late, never believes a limit that was not given,
        /// and knows the latest one as soon as it hears it.
        #[test]
        fn limits_in_headers_are_exact_across_wraps(
            window in 65_536u64..1 << 30,
            steps in proptest::collection::vec((0.0f64..1.0, any::<bool>(), 0usize..3), 1..200),
        ) {
            let shift = window_shift(window);
            let mut receiver = ReceiveFlow::new(window, window, shift);
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
        let mut flow = ReceiveFlow::new(65_536, 65_536, 3);
        assert_eq!(flow.on_received(65_536), Ok(()));
        assert_eq!(flow.on_received(1), Err(PeerViolation::FlowControl));
        flow.on_consumed(8);
        assert_eq!(flow.on_received(8), Ok(()));
        assert_eq!(flow.on_received(u64::MAX), Err(PeerViolation::FlowControl));
    }

    #[test]
    fn a_newer_packet_that_grants_less_takes_credit_back() {
        let told = |steps: &[(u64, u64)]| {
            let mut granted = Granted::new(100);
            let results = steps
                .iter()
                .map(|(number, limit)| granted.on_told(PacketNumber(*number), *limit));
            results
                .collect::<Result<Vec<()>, _>>()
                .map(|_| granted.limit())
        };
        assert_eq!(
            told(&[(5, 200), (7, 300), (6, 250)]),
            Ok(300),
            "one overtaken"
        );
        assert_eq!(told(&[(5, 200), (7, 200), (6, 200)]), Ok(200), "told again");
        let shrank = Err(PeerViolation::LimitShrank);
        assert_eq!(told(&[(5, 99)]), shrank, "less than the handshake");
        assert_eq!(told(&[(5, 200), (6, 199)]), shrank);
        assert_eq!(
            told(&[(6, 199), (5, 200)]),
            shrank,
            "in whatever order they come"
        );
    }

    #[test]
    fn announces_after_half_a_window() {
        let mut flow = ReceiveFlow::new(65_536, 65_536, 3);
        flow.on_consumed(32_767);
        assert!(!flow.wants_announcement());
        flow.on_consumed(1);
        assert!(flow.wants_announcement());
        assert_eq!(flow.announce(Instant::ZERO, RTT), 65_536 + 32_768);
        assert!(!flow.wants_announcement());
    }

    fn consume(flow: &mut ReceiveFlow, bytes: u64) {
        flow.on_received(bytes).unwrap();
        flow.on_consumed(bytes);
    }

    #[test]
    fn a_window_emptied_within_five_round_trips_doubles_up_to_its_bound() {
        let mut flow = ReceiveFlow::new(65_536, 200_000, 4);
        let mut now = Instant::ZERO;
        let mut windows = Vec::new();
        for _ in 0..4 {
            let half = flow.window() / 2;
            consume(&mut flow, half);
            assert!(flow.wants_announcement());
            flow.announce(now, RTT);
            windows.push(flow.window());
            now = now + RTT * 5 / 2 - Duration::from_millis(1);
        }
        assert_eq!(windows, [65_536, 131_072, 200_000, 200_000]);
    }

    #[test]
    fn a_peer_without_credit_is_told_of_every_byte_there_is() {
        let mut flow = ReceiveFlow::new(65_536, 1 << 24, 10);
        flow.on_received(65_000).unwrap();
        flow.on_consumed(10);
        assert!(!flow.wants_announcement());
        assert!(!flow.withholds_credit(500), "a packet may still come");
        flow.on_received(500).unwrap();
        assert!(flow.withholds_credit(500));
        assert_eq!(flow.announce(Instant::ZERO, RTT), 65_546);
        assert!(!flow.withholds_credit(500), "all there is was told");
    }

    #[test]
    fn a_window_emptied_slowly_stays() {
        let mut flow = ReceiveFlow::new(65_536, 1 << 20, 6);
        let mut now = Instant::ZERO;
        for _ in 0..10 {
            consume(&mut flow, 32_768);
            flow.announce(now, RTT);
            now = now + RTT * 5 / 2;
        }
        assert_eq!(flow.window(), 65_536);
    }

    /// Each half comes a round trip after it was announced, and a little later, or two with a repair:
    /// that is no path of this rate but a window that is too small.
    #[test]
    fn a_window_that_holds_the_sender_back_does_not_stay() {
        for rounds in [1, 2] {
            let mut flow = ReceiveFlow::new(65_536, 1 << 20, 6);
            let mut now = Instant::ZERO;
            for _ in 0..2 {
                consume(&mut flow, 32_768);
                flow.announce(now, RTT);
                now = now + RTT * rounds + Duration::from_millis(1);
            }
            assert_eq!(flow.window(), 131_072);
        }
    }

    #[test]
    fn announcements_in_quick_succession_are_no_pace() {
        let mut flow = ReceiveFlow::new(65_536, 1 << 20, 6);
        consume(&mut flow, 32_768);
        flow.announce(Instant::ZERO, RTT);
        for micros in 1..10 {
            consume(&mut flow, 3_000);
            flow.announce(Instant::ZERO + Duration::from_micros(micros), RTT);
        }
        assert_eq!(flow.window(), 65_536);
    }

    #[test]
    fn a_message_longer_than_the_window_gets_room_within_the_bound() {
        let mut flow = ReceiveFlow::new(65_536, 200_000, 4);
        flow.reserve(100_000);
        assert!(flow.wants_announcement());
        assert_eq!(flow.announce(Instant::ZERO, RTT), 165_536);
        assert!(!flow.wants_announcement());
        flow.reserve(u64::MAX);
        assert_eq!(flow.announce(Instant::ZERO, RTT), 200_000);
        flow.reserve(u64::MAX);
        assert!(!flow.wants_announcement(), "at the bound");
    }
}
