//! Identifiers and numbers of the protocol as types of their own.
//!
//! Numbers that the header carries in 32 bits are 64-bit here; [`reconstruct`] restores the high
//! half (RFC 9000 appendix A.3, widened to 32 bits).

use core::fmt;

/// Which end of a connection: the one that sent the SYN, or the one that answered it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Side {
    /// Sent the SYN.
    Initiator,
    /// Answered it.
    Responder,
}

impl Side {
    /// The other end.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }
}

/// Number of a packet in one direction of a connection: 64 bits, only rises, never reused
/// (`docs/wire.md` W-PN-1). It is the nonce of a sealed packet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PacketNumber(pub u64);

impl PacketNumber {
    /// A connection closes before its numbers reach this (2^62).
    pub const MAX: Self = Self((1 << 62) - 1);

    /// The next number.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The 32 bits that travel in the header.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low half is what is wanted"
    )]
    pub const fn truncated(self) -> u32 {
        self.0 as u32
    }
}

impl fmt::Debug for PacketNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A connection ID: chosen by its receiver, at bytes 28–31 of every packet. Zero is in no use but
/// the first SYN.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ConnectionId(pub u32);

impl ConnectionId {
    /// The value of the first SYN, which no receiver has chosen.
    pub const NONE: Self = Self(0);
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cid:{:08x}", self.0)
    }
}

/// Whether both ends write to a stream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StreamDirection {
    /// Both ends write.
    Bidirectional,
    /// Only the end that opened it writes.
    Unidirectional,
}

/// A stream of a connection. Bit 0: opened by the responder; bit 1: unidirectional; the rest
/// counts from zero (RFC 9000 §2.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

impl StreamId {
    /// The `index`-th stream that `opener` opens in `direction`.
    #[must_use]
    pub const fn new(opener: Side, direction: StreamDirection, index: u64) -> Self {
        let opener = match opener {
            Side::Initiator => 0,
            Side::Responder => 1,
        };
        let direction = match direction {
            StreamDirection::Bidirectional => 0,
            StreamDirection::Unidirectional => 2,
        };
        Self((index << 2) | direction | opener)
    }

    /// Who opened it.
    #[must_use]
    pub const fn opener(self) -> Side {
        if self.0 & 1 == 0 {
            Side::Initiator
        } else {
            Side::Responder
        }
    }

    /// Whether both ends write.
    #[must_use]
    pub const fn direction(self) -> StreamDirection {
        if self.0 & 2 == 0 {
            StreamDirection::Bidirectional
        } else {
            StreamDirection::Unidirectional
        }
    }

    /// Its place among the streams of the same opener and direction.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.0 >> 2
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream:{}", self.0)
    }
}

/// A message or datagram of one direction of a connection; the two kinds count apart, each from
/// zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MessageId(pub u64);

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message:{}", self.0)
    }
}

/// The 64-bit number nearest to `expected` whose low half is `low` (RFC 9000 A.3 for 32 bits).
///
/// Exact as long as the true number is within 2^31 of `expected`. Never negative, never above
/// `u64::MAX`.
#[must_use]
pub const fn reconstruct(low: u32, expected: u64) -> u64 {
    const WINDOW: u64 = 1 << 32;
    const HALF: u64 = WINDOW / 2;
    let candidate = (expected & !(WINDOW - 1)) | low as u64;
    if candidate.saturating_add(HALF) <= expected && candidate <= u64::MAX - WINDOW {
        candidate + WINDOW
    } else if candidate > expected.saturating_add(HALF) && candidate >= WINDOW {
        candidate - WINDOW
    } else {
        candidate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reconstruction_is_exact_within_half_a_window(
            truth in 0u64..(1 << 62),
            distance in -(1i64 << 31) + 1..(1i64 << 31) - 1,
        ) {
            if let Some(expected) = truth.checked_add_signed(distance) {
                prop_assert_eq!(reconstruct(PacketNumber(truth).truncated(), expected), truth);
            }
        }

        #[test]
        fn reconstruction_never_panics(low: u32, expected: u64) {
            prop_assert_eq!(PacketNumber(reconstruct(low, expected)).truncated(), low);
        }
    }

    #[test]
    fn stream_ids_round_trip() {
        for opener in [Side::Initiator, Side::Responder] {
            for direction in [
                StreamDirection::Bidirectional,
                StreamDirection::Unidirectional,
            ] {
                let id = StreamId::new(opener, direction, 77);
                assert_eq!(
                    (id.opener(), id.direction(), id.index()),
                    (opener, direction, 77)
                );
            }
        }
    }
}
