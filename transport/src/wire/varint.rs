//! Variable-length integers of RFC 9000 §16: the two top bits of the first byte give the length
//! (1, 2, 4 or 8 bytes), the rest is the value, big endian. Range 0 to 2^62 − 1.

use alloc::vec::Vec;

use super::{Cursor, DecodeError};

/// Largest value that can be encoded.
pub const MAX: u64 = (1 << 62) - 1;

/// Bytes that [`write()`] uses for `value`.
#[must_use]
pub const fn len(value: u64) -> usize {
    match value {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..0x4000_0000 => 4,
        _ => 8,
    }
}

/// Appends `value`; values above [`MAX`] are written as [`MAX`].
#[expect(
    clippy::cast_possible_truncation,
    reason = "each arm's range fits its width"
)]
pub fn write(out: &mut Vec<u8>, value: u64) {
    match len(value) {
        1 => out.push(value as u8),
        2 => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        4 => out.extend_from_slice(&(value as u32 | 0x8000_0000).to_be_bytes()),
        _ => out.extend_from_slice(&(value.min(MAX) | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

/// Reads one. Encodings longer than needed are accepted, as in RFC 9000.
pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<u64, DecodeError> {
    let first = cursor.u8()?;
    let value = u64::from(first & 0x3f);
    match first >> 6 {
        0 => Ok(value),
        1 => Ok(value << 8 | u64::from(cursor.u8()?)),
        2 => {
            let [b, c, d] = cursor.array()?;
            Ok(value << 24 | u64::from(u32::from_be_bytes([0, b, c, d])))
        }
        _ => {
            let [b, c, d, e, f, g, h] = cursor.array()?;
            Ok(value << 56 | u64::from_be_bytes([0, b, c, d, e, f, g, h]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trips(value in 0..=MAX) {
            let mut out = Vec::new();
            write(&mut out, value);
            prop_assert_eq!(out.len(), len(value));
            let mut cursor = Cursor::new(&out);
            prop_assert_eq!(cursor.varint(), Ok(value));
            prop_assert_eq!(cursor.remaining(), 0);
        }
    }

    #[test]
    fn matches_the_examples_of_rfc_9000_a_1() {
        for (bytes, value) in [
            (
                &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..],
                151_288_809_941_952_652,
            ),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ] {
            assert_eq!(Cursor::new(bytes).varint(), Ok(value));
        }
    }

    #[test]
    fn rejects_a_truncated_integer() {
        assert_eq!(
            Cursor::new(&[0xc0, 1]).varint(),
            Err(DecodeError::Truncated)
        );
        assert_eq!(Cursor::new(&[]).varint(), Err(DecodeError::Truncated));
    }
}
