//! The extension block: `data ‖ frames ‖ length (2)`, at the end of the payload so that data stays
//! at offset 32 (`docs/wire.md` W-EXT-1).

use super::DecodeError;

/// Bytes of the length field.
pub const LENGTH_LEN: usize = 2;

/// Splits a clear payload that has the EXTENSION flag into data and frames.
///
/// # Errors
/// [`DecodeError::ExtensionLength`].
pub fn split(payload: &[u8]) -> Result<(&[u8], &[u8]), DecodeError> {
    let (rest, length) = payload
        .split_last_chunk()
        .ok_or(DecodeError::ExtensionLength)?;
    let start = rest
        .len()
        .checked_sub(usize::from(u16::from_be_bytes(*length)))
        .ok_or(DecodeError::ExtensionLength)?;
    Ok(rest.split_at(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_and_rejects_a_length_beyond_the_payload() {
        assert_eq!(split(&[1, 2, 3, 0, 2]), Ok((&[1][..], &[2, 3][..])));
        assert_eq!(split(&[1, 0, 0]), Ok((&[1][..], &[][..])));
        assert_eq!(split(&[1, 0, 2]), Err(DecodeError::ExtensionLength));
        assert_eq!(split(&[0]), Err(DecodeError::ExtensionLength));
    }
}
