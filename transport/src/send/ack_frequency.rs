//! How often the peer is asked to acknowledge (the idea of draft-ietf-quic-ack-frequency;
//! `docs/wire.md` W-ACK-6, ADR 0112).
//!
//! An acknowledgement for every second packet is what a sender of ten packets needs; one of a
//! thousand learns no more from five hundred acknowledgements than from sixteen, and both ends pay
//! for each. So the sender, which alone knows its window, asks for a share of it.
//!
//! One request is on its way at a time. It is not repeated when it was lost: the next one says what
//! is wanted by then.

use alloc::boxed::Box;
use core::time::Duration;

/// Acknowledgements for a window. Four would do for the growth of a window (RFC 9000 §13.2.1 names
/// one a round trip as the least); HyStart++ wants eight samples of a round (RFC 9406 §4.2), twice
/// that leaves room for losses.
const ACKS_PER_WINDOW: u64 = 16;
/// Fewer packets to an acknowledgement are never asked for (RFC 9000 §13.2.2).
const PACKETS_MIN: u64 = 2;
/// More are not asked for either. Guess: beyond, nothing is saved, and an acknowledgement frees a
/// burst of buffers.
const PACKETS_MAX: u64 = 128;
/// The same two within a machine or a room: what arrives at once there is a larger part of the window, and each
/// acknowledgement wakes two processes. Four do for growth, and HyStart++ looks for a delay of 4 ms or more
/// (`MIN_RTT_THRESH`), which such a path hardly has. Measured (ADR 0631).
const ACKS_PER_LOCAL_WINDOW: u64 = 4;
const LOCAL_PACKETS_MAX: u64 = 512;
/// From so many packets to an acknowledgement on, a gap waits for the next one there, at most a quarter of a window, and
/// goes on to until there are half as many: whole trains arrive at once, and with a loss in each nothing else
/// would be left of the request. Guess: more than two trains of 64 KiB.
const GAPS_WAIT_FROM: u64 = 128;
/// An acknowledgement waits at most for this part of a round trip.
const DELAYS_PER_RTT: u32 = 8;
/// But for this long at least, where the peer is allowed to: a timer costs more than it tells on a
/// short path. A guess.
const DELAY_MIN: Duration = Duration::from_millis(5);
/// A request leaves when a value would change to less than two thirds or more than three halves.
const CHANGE: (u64, u64) = (2, 3);

/// What a sender asks its peer for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AckRequest {
    /// Packets that must be acknowledged, to one acknowledgement.
    pub packets: u64,
    /// The longest wait.
    pub delay: Duration,
    /// At once when a packet is missing and one this much higher has arrived; 0: not for that.
    pub reordering: u64,
}

impl AckRequest {
    /// What holds before anything was asked for (`docs/wire.md` W-ACK-3).
    #[must_use]
    pub const fn unasked(max_ack_delay: Duration) -> Self {
        Self {
            packets: PACKETS_MIN,
            delay: max_ack_delay,
            reordering: 1,
        }
    }

    fn differs(&self, other: &Self) -> bool {
        let micros = |it: &Self| u64::try_from(it.delay.as_micros()).unwrap_or(u64::MAX);
        self.reordering != other.reordering
            || is_change(self.packets, other.packets)
            || is_change(micros(self), micros(other))
    }
}

/// What a request is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    /// Congestion window in bytes.
    pub window: u64,
    /// Bytes of a full packet.
    pub mtu: usize,
    /// Smoothed round-trip time.
    pub rtt: Duration,
    /// Whether the path is one within a machine or a room.
    pub is_local: bool,
    /// Reordering tolerated in packets.
    pub reordering: u64,
}

/// The requests of one connection.
#[derive(Debug)]
pub(crate) struct AckFrequency {
    /// What the peer can keep to, at least and at most.
    least: Duration,
    most: Duration,
    /// What the peer is known to keep to.
    in_force: AckRequest,
    /// What was asked for and is not acknowledged yet.
    pending: Option<Box<(u64, AckRequest)>>,
    next_sequence: u64,
}

impl AckFrequency {
    /// For a peer that announced these bounds of its delay.
    pub(crate) const fn new(min_ack_delay: Duration, max_ack_delay: Duration) -> Self {
        Self {
            least: min_ack_delay,
            most: max_ack_delay,
            in_force: AckRequest::unasked(max_ack_delay),
            pending: None,
            next_sequence: 0,
        }
    }

    /// The longest that the peer waits with an acknowledgement.
    pub(crate) fn delay(&self) -> Duration {
        let asked = self
            .pending
            .as_ref()
            .map_or(Duration::ZERO, |pending| pending.1.delay);
        self.in_force.delay.max(asked)
    }

    /// How long the peer may keep to itself that a packet came late: not at all before it was asked to
    /// (`docs/wire.md` W-ACK-6).
    pub(crate) fn report_delay(&self) -> Duration {
        if self.next_sequence == 0 {
            return Duration::ZERO;
        }
        self.delay()
    }

    /// Packets after which the peer acknowledges at the latest.
    pub(crate) fn packets(&self) -> u64 {
        let asked = self.pending.as_ref().map_or(0, |pending| pending.1.packets);
        self.in_force.packets.max(asked)
    }

    /// A request to send now, with its number; None: none is worth it.
    pub(crate) fn poll(&mut self, situation: &Situation) -> Option<(u64, AckRequest)> {
        if self.pending.is_some() {
            return None;
        }
        let wanted = self.wanted(situation);
        // A window so small that nothing is saved: most connections never ask.
        let is_small = self.next_sequence == 0 && wanted.packets <= PACKETS_MIN;
        if is_small || !wanted.differs(&self.in_force) {
            return None;
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.pending = Some(Box::new((sequence, wanted)));
        Some((sequence, wanted))
    }

    /// The peer has a request.
    pub(crate) fn on_acknowledged(&mut self, sequence: u64) {
        if let Some(known) = self.pending.take_if(|pending| pending.0 == sequence) {
            self.in_force = known.1;
        }
    }

    /// A request was lost.
    pub(crate) fn on_lost(&mut self, sequence: u64) {
        if self
            .pending
            .as_ref()
            .is_some_and(|pending| pending.0 == sequence)
        {
            self.pending = None;
        }
    }

    fn wanted(&self, situation: &Situation) -> AckRequest {
        let (acks, most) = match situation.is_local {
            true => (ACKS_PER_LOCAL_WINDOW, LOCAL_PACKETS_MAX),
            false => (ACKS_PER_WINDOW, PACKETS_MAX),
        };
        let packets = situation.window / (acks * situation.mtu.max(1) as u64);
        let packets = packets.clamp(PACKETS_MIN, most);
        AckRequest {
            packets,
            delay: (situation.rtt / DELAYS_PER_RTT)
                .max(DELAY_MIN)
                .max(self.least)
                .min(self.most),
            reordering: match situation.is_local && packets >= self.gaps_wait_from() {
                true => 0,
                false => situation.reordering,
            },
        }
    }

    /// Packets to an acknowledgement from which on gaps wait for it, on a local path.
    const fn gaps_wait_from(&self) -> u64 {
        match self.in_force.reordering {
            0 => GAPS_WAIT_FROM / 2,
            _ => GAPS_WAIT_FROM,
        }
    }
}

const fn is_change(wanted: u64, current: u64) -> bool {
    let (less, more) = CHANGE;
    wanted.saturating_mul(more) < current.saturating_mul(less)
        || wanted.saturating_mul(less) > current.saturating_mul(more)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    const SMALL: Situation = Situation {
        window: 10_000,
        mtu: 1_000,
        rtt: Duration::from_millis(80),
        is_local: false,
        reordering: 3,
    };

    fn large(window: u64) -> Situation {
        Situation { window, ..SMALL }
    }

    #[test]
    fn asks_for_a_sixteenth_of_the_window_within_bounds() {
        let frequency = AckFrequency::new(MS, 25 * MS);
        for (window, packets) in [(0, 2), (47_000, 2), (48_000, 3), (800_000, 50)] {
            assert_eq!(frequency.wanted(&large(window)).packets, packets);
        }
        assert_eq!(frequency.wanted(&large(u64::MAX)).packets, PACKETS_MAX);
    }

    #[test]
    fn asks_for_a_quarter_of_the_window_within_a_machine_and_lets_gaps_wait_in_large_ones() {
        let mut frequency = AckFrequency::new(MS, 25 * MS);
        let local = |window| Situation {
            is_local: true,
            ..large(window)
        };
        for (window, packets, reordering) in [
            (11_000, PACKETS_MIN, 3),
            (511_000, 127, 3),
            (512_000, 128, 0),
            (u64::MAX, LOCAL_PACKETS_MAX, 0),
        ] {
            let wanted = frequency.wanted(&local(window));
            assert_eq!((wanted.packets, wanted.reordering), (packets, reordering));
        }
        let (sequence, _) = frequency.poll(&local(512_000)).unwrap();
        frequency.on_acknowledged(sequence);
        assert_eq!(frequency.poll(&local(400_000)), None, "they go on to wait");
        let (_, request) = frequency.poll(&local(255_000)).unwrap();
        assert_eq!((request.packets, request.reordering), (63, 3));
    }

    #[test]
    fn asks_for_an_eighth_of_the_round_trip_within_what_the_peer_can_keep_to() {
        let wait = |least: Duration, rtt| {
            let frequency = AckFrequency::new(least, 25 * MS);
            frequency.wanted(&Situation { rtt, ..SMALL }).delay
        };
        assert_eq!(wait(MS, 80 * MS), 10 * MS);
        assert_eq!(wait(MS, MS), DELAY_MIN);
        assert_eq!(wait(7 * MS, MS), 7 * MS);
        assert_eq!(wait(MS, 1_000 * MS), 25 * MS);
        let prompt = AckFrequency::new(Duration::ZERO, 2 * MS);
        assert_eq!(prompt.wanted(&SMALL).delay, 2 * MS);
    }

    #[test]
    fn one_request_is_on_its_way_and_the_longer_delay_counts_until_it_is_known() {
        let mut frequency = AckFrequency::new(MS, 25 * MS);
        let (first, request) = frequency.poll(&large(160_000)).unwrap();
        assert_eq!((first, request.packets, request.delay), (0, 10, 10 * MS));
        assert_eq!(frequency.report_delay(), 25 * MS);
        assert_eq!((frequency.delay(), frequency.packets()), (25 * MS, 10));
        assert_eq!(frequency.poll(&large(1_600_000)), None);
        frequency.on_acknowledged(first + 1);
        assert_eq!(frequency.delay(), 25 * MS);
        frequency.on_acknowledged(first);
        assert_eq!((frequency.delay(), frequency.packets()), (10 * MS, 10));
        assert_eq!(frequency.poll(&large(160_000)), None, "nothing new");
        assert_eq!(frequency.poll(&large(230_000)), None, "hardly anything new");
        let (second, _) = frequency.poll(&large(1_600_000)).unwrap();
        frequency.on_lost(first);
        assert_eq!(frequency.poll(&large(1_600_000)), None);
        frequency.on_lost(second);
        let (third, request) = frequency.poll(&SMALL).unwrap();
        assert_eq!((third, request.packets), (2, 2));
    }

    #[test]
    fn does_not_ask_before_anything_is_saved_but_takes_back_what_it_asked_for() {
        let mut frequency = AckFrequency::new(MS, 25 * MS);
        assert_eq!(frequency.poll(&SMALL), None);
        assert_eq!(frequency.report_delay(), Duration::ZERO);
        let (sequence, _) = frequency.poll(&large(48_000)).unwrap();
        frequency.on_acknowledged(sequence);
        assert_eq!(frequency.poll(&SMALL), None, "hardly anything new");
        let (sequence, _) = frequency.poll(&large(96_000)).unwrap();
        frequency.on_acknowledged(sequence);
        assert_eq!(frequency.poll(&SMALL).unwrap().1.packets, 2);
    }

    #[test]
    fn asks_again_when_more_reordering_is_tolerated() {
        let mut frequency = AckFrequency::new(MS, 25 * MS);
        let (sequence, _) = frequency.poll(&large(96_000)).unwrap();
        frequency.on_acknowledged(sequence);
        let reordered = Situation {
            reordering: 4,
            ..large(96_000)
        };
        assert_eq!(frequency.poll(&reordered).unwrap().1.reordering, 4);
    }
}
