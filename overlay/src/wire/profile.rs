//! The CBOR profile of overlay messages (RFC 8949), checked before anything is decoded.
//!
//! A message is one data item that is well-formed (RFC 8949 §5.3.1) and, beyond that, has definite
//! lengths only, map keys that are unsigned integers in strictly rising order (which also rules
//! out duplicates, §5.6), and bounded nesting. Whoever passes this check can be skipped over by a
//! decoder that does not know it, without allocation and in linear time. Shortest-form integers
//! are not demanded: what is signed is signed as the bytes that were sent.

use crate::error::DecodeError;
use crate::limits::NESTING_MAX;

/// Checks that `bytes` are exactly one data item of the profile.
pub(crate) fn check(bytes: &[u8]) -> Result<(), DecodeError> {
    let mut cursor = Cursor { rest: bytes };
    cursor.item(NESTING_MAX)?;
    if cursor.rest.is_empty() {
        Ok(())
    } else {
        Err(DecodeError::TrailingBytes)
    }
}

/// What is left of the input.
struct Cursor<'b> {
    rest: &'b [u8],
}

impl<'b> Cursor<'b> {
    fn take(&mut self, len: u64) -> Result<&'b [u8], DecodeError> {
        let len = usize::try_from(len).map_err(|_| DecodeError::Truncated)?;
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Major type (0–7) and argument of the next item's head (RFC 8949 §3).
    fn head(&mut self) -> Result<(u8, u64), DecodeError> {
        let initial = self
            .take(1)?
            .first()
            .copied()
            .ok_or(DecodeError::Truncated)?;
        let (major, info) = (initial >> 5, initial & 0x1f);
        let argument = match info {
            0..=23 => u64::from(info),
            24..=27 => {
                let bytes = self.take(1 << (info - 24))?;
                bytes
                    .iter()
                    .fold(0u64, |sum, &byte| sum << 8 | u64::from(byte))
            }
            31 => return Err(DecodeError::IndefiniteLength),
            _ => return Err(DecodeError::NotWellFormed),
        };
        // Simple values below 32 have one encoding only (§3.3).
        if major == 7 && info == 24 && argument < 32 {
            return Err(DecodeError::NotWellFormed);
        }
        Ok((major, argument))
    }

    /// One item; `depth` more containers may open. The recursion is bounded by it.
    fn item(&mut self, depth: usize) -> Result<(), DecodeError> {
        let (major, argument) = self.head()?;
        match major {
            2 => self.take(argument).map(|_| ()),
            3 => {
                let text = self.take(argument)?;
                core::str::from_utf8(text)
                    .map(|_| ())
                    .map_err(|_| DecodeError::NotWellFormed)
            }
            4..=6 => {
                let depth = depth.checked_sub(1).ok_or(DecodeError::TooDeep)?;
                match major {
                    4 => (0..argument).try_for_each(|_| self.item(depth)),
                    5 => self.map(argument, depth),
                    _ => self.item(depth),
                }
            }
            _ => Ok(()),
        }
    }

    fn map(&mut self, entries: u64, depth: usize) -> Result<(), DecodeError> {
        let mut previous = None;
        for _ in 0..entries {
            let (major, key) = self.head()?;
            if major != 0 || previous.is_some_and(|previous| key <= previous) {
                return Err(DecodeError::UnorderedKeys);
            }
            previous = Some(key);
            self.item(depth)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accepts_the_items_of_the_profile() {
        let good: &[&[u8]] = &[
            &[0x00],
            &[0x39, 0x01, 0x00],
            &[0x43, 1, 2, 3],
            &[0x62, 0xc3, 0xa9],
            &[0x82, 0x01, 0xa1, 0x00, 0xf6],
            &[0xa2, 0x00, 0x01, 0x18, 0x20, 0x40],
            &[0xc1, 0x00],
            &[0xfb, 0, 0, 0, 0, 0, 0, 0, 0],
        ];
        for bytes in good {
            assert_eq!(check(bytes), Ok(()), "{bytes:02x?}");
        }
    }

    #[test]
    fn rejects_with_the_broken_rule() {
        let bad: &[(&[u8], DecodeError)] = &[
            (&[], DecodeError::Truncated),
            (&[0x43, 1, 2], DecodeError::Truncated),
            (
                &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                DecodeError::Truncated,
            ),
            (
                &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                DecodeError::Truncated,
            ),
            (&[0x9f, 0xff], DecodeError::IndefiniteLength),
            (&[0x5f, 0xff], DecodeError::IndefiniteLength),
            (&[0x1c], DecodeError::NotWellFormed),
            (&[0xf8, 0x14], DecodeError::NotWellFormed),
            (&[0x61, 0xff], DecodeError::NotWellFormed),
            (&[0xa2, 0x01, 0x00, 0x01, 0x00], DecodeError::UnorderedKeys),
            (&[0xa2, 0x02, 0x00, 0x01, 0x00], DecodeError::UnorderedKeys),
            (&[0xa1, 0x61, 0x61, 0x00], DecodeError::UnorderedKeys),
            (&[0x00, 0x00], DecodeError::TrailingBytes),
        ];
        for (bytes, error) in bad {
            assert_eq!(check(bytes), Err(*error), "{bytes:02x?}");
        }
    }

    #[test]
    fn nesting_is_accepted_at_the_limit_and_rejected_one_past_it() {
        let nested = |depth: usize| {
            let mut bytes = vec![0x81; depth];
            bytes.push(0x00);
            bytes
        };
        assert_eq!(check(&nested(NESTING_MAX)), Ok(()));
        assert_eq!(check(&nested(NESTING_MAX + 1)), Err(DecodeError::TooDeep));
        assert_eq!(check(&nested(1_000_000)), Err(DecodeError::TooDeep));
    }

    proptest! {
        #[test]
        fn what_passes_is_skipped_whole_by_the_decoder(
            bytes in prop::collection::vec(any::<u8>(), 0..64)
        ) {
            if check(&bytes).is_ok() {
                let mut decoder = minicbor::Decoder::new(&bytes);
                prop_assert!(decoder.skip().is_ok());
                prop_assert_eq!(decoder.position(), bytes.len());
            }
        }
    }
}
