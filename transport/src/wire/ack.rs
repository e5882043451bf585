//! Acknowledgement ranges (`docs/wire.md`, chapter "Acknowledgement"; the encoding idea is that of
//! RFC 9000 §19.3).
//!
//! The largest number is the header's Acknowledgment Number. The frame's value is
//! `delay (µs) ‖ count ‖ first ‖ (gap ‖ length)* ‖ [ect0 ‖ ect1 ‖ ce]`, all variable-length
//! integers: `first` further packets below the largest are received; each `gap + 1` missing ones
//! are followed by `length + 1` received ones.

use alloc::vec::Vec;
use core::ops::RangeInclusive;
use core::time::Duration;

use super::{Cursor, DecodeError, varint};
use crate::limits::ACK_RANGES_PER_PACKET;
use crate::planted::{self, Bug};

/// Datagrams received with each mark, cumulative over the connection (RFC 9000 §13.4).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct EcnCounts {
    /// ECT(0).
    pub ect0: u64,
    /// ECT(1).
    pub ect1: u64,
    /// Congestion experienced.
    pub ce: u64,
}

impl EcnCounts {
    /// Whether nothing was ever marked.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.ect0 == 0 && self.ect1 == 0 && self.ce == 0
    }
}

/// A decoded acknowledgement frame; `ranges` were checked when it was decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AckFrame<'a> {
    /// Time between the receipt of the largest packet and this acknowledgement.
    pub delay: Duration,
    /// Counts of marks, if the peer reports them.
    pub ecn: Option<EcnCounts>,
    count: u64,
    encoded: &'a [u8],
}

impl<'a> AckFrame<'a> {
    /// Decodes a frame's value and checks its shape; whether it goes below zero depends on the
    /// largest number and is found by [`Self::ranges`].
    ///
    /// # Errors
    /// [`DecodeError::AckRanges`] or [`DecodeError::Truncated`].
    pub fn decode(value: &'a [u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(value);
        let delay = Duration::from_micros(cursor.varint()?);
        let count = cursor.varint()?;
        if count > ACK_RANGES_PER_PACKET as u64 {
            return Err(DecodeError::AckRanges);
        }
        let before = cursor;
        cursor.varint()?;
        for _ in 0..count {
            cursor.varint()?;
            cursor.varint()?;
        }
        let mut encoded = before;
        let encoded = encoded.slice(before.remaining() - cursor.remaining())?;
        let ecn = if cursor.remaining() == 0 {
            None
        } else {
            Some(EcnCounts {
                ect0: cursor.varint()?,
                ect1: cursor.varint()?,
                ce: cursor.varint()?,
            })
        };
        cursor.finish()?;
        Ok(Self {
            delay,
            ecn,
            count,
            encoded,
        })
    }

    /// The ranges from `largest` down. The last item is an error when a range would go below
    /// zero.
    #[must_use]
    pub const fn ranges(&self, largest: u64) -> Ranges<'a> {
        Ranges {
            cursor: Cursor::new(self.encoded),
            left: self.count + 1,
            top: largest,
            first: true,
        }
    }
}

/// Iterator of [`AckFrame::ranges`].
#[derive(Clone, Debug)]
pub struct Ranges<'a> {
    cursor: Cursor<'a>,
    left: u64,
    /// The largest number of the range to come, before its gap is taken off.
    top: u64,
    first: bool,
}

impl Ranges<'_> {
    fn step(&mut self) -> Result<RangeInclusive<u64>, DecodeError> {
        if !self.first {
            let gap = self.cursor.varint()?;
            // One more than the gap is missing, and the top of the next range lies one below.
            self.top = self
                .top
                .checked_sub(gap + 2)
                .ok_or(DecodeError::AckRanges)?;
        }
        self.first = false;
        let below = self.cursor.varint()?;
        let mut bottom = self.top.checked_sub(below).ok_or(DecodeError::AckRanges)?;
        if planted::is(Bug::AckRangeOneTooLow) {
            bottom = bottom.saturating_sub(1);
        }
        let range = bottom..=self.top;
        self.top = bottom;
        Ok(range)
    }
}

impl Iterator for Ranges<'_> {
    type Item = Result<RangeInclusive<u64>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let item = self.step();
        if item.is_err() {
            self.left = 0;
        }
        Some(item)
    }
}

/// Appends the value of an acknowledgement frame. `ranges` come highest first, do not touch each
/// other, and the first one ends with the largest number; those beyond
/// [`ACK_RANGES_PER_PACKET`] are left out.
pub fn encode(
    out: &mut Vec<u8>,
    delay: Duration,
    ranges: &[RangeInclusive<u64>],
    ecn: Option<EcnCounts>,
) {
    let ranges = ranges.get(..=ACK_RANGES_PER_PACKET).unwrap_or(ranges);
    varint::write(out, u64::try_from(delay.as_micros()).unwrap_or(varint::MAX));
    varint::write(out, ranges.len().saturating_sub(1) as u64);
    let mut previous: Option<u64> = None;
    for range in ranges {
        if let Some(bottom) = previous {
            let touching = 2 + u64::from(planted::is(Bug::AckGapOneTooShort));
            varint::write(out, bottom.saturating_sub(range.end() + touching));
        }
        varint::write(out, range.end() - range.start());
        previous = Some(*range.start());
    }
    if let Some(ecn) = ecn {
        varint::write(out, ecn.ect0);
        varint::write(out, ecn.ect1);
        varint::write(out, ecn.ce);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn ranges() -> impl Strategy<Value = Vec<RangeInclusive<u64>>> {
        proptest::collection::vec((0u64..50, 0u64..50), 1..=ACK_RANGES_PER_PACKET + 1).prop_map(
            |steps| {
                let mut top = 1_000_000;
                let mut out = Vec::new();
                for (gap, below) in steps {
                    out.push(top - below..=top);
                    top = top - below - gap - 2;
                }
                out
            },
        )
    }

    proptest! {
        #[test]
        fn round_trips(ranges in ranges(), delay in 0u64..1 << 40, marks: Option<[u32; 3]>) {
            let ecn = marks.map(|[a, b, c]| EcnCounts {
                ect0: a.into(), ect1: b.into(), ce: c.into(),
            });
            let mut out = Vec::new();
            encode(&mut out, Duration::from_micros(delay), &ranges, ecn);
            let frame = AckFrame::decode(&out).unwrap();
            prop_assert_eq!(frame.delay, Duration::from_micros(delay));
            prop_assert_eq!(frame.ecn, ecn);
            let decoded: Result<Vec<_>, _> = frame.ranges(1_000_000).collect();
            prop_assert_eq!(decoded.unwrap(), ranges);
        }

        #[test]
        fn any_bytes_decode_to_falling_ranges_or_an_error(bytes: Vec<u8>, largest in 0u64..1 << 62) {
            if let Ok(frame) = AckFrame::decode(&bytes) {
                let mut floor = largest + 1;
                for range in frame.ranges(largest).map_while(Result::ok) {
                    prop_assert!(range.start() <= range.end() && *range.end() < floor);
                    floor = *range.start();
                }
            }
        }
    }

    #[test]
    fn rejects_ranges_below_zero() {
        let mut out = Vec::new();
        encode(&mut out, Duration::ZERO, &[10..=20], None);
        let frame = AckFrame::decode(&out).unwrap();
        assert_eq!(frame.ranges(5).next(), Some(Err(DecodeError::AckRanges)));
    }

    #[test]
    fn accepts_the_limit_of_ranges_and_rejects_one_more() {
        let all: Vec<_> = (0..200u64).rev().map(|n| n * 3..=n * 3).collect();
        let mut out = Vec::new();
        encode(&mut out, Duration::ZERO, &all, None);
        assert_eq!(
            AckFrame::decode(&out).unwrap().ranges(597).count(),
            ACK_RANGES_PER_PACKET + 1
        );
        let mut excess = vec![0];
        varint::write(&mut excess, ACK_RANGES_PER_PACKET as u64 + 1);
        excess.resize(1_000, 0);
        assert_eq!(AckFrame::decode(&excess), Err(DecodeError::AckRanges));
    }
}
