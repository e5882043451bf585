//! Compression of single messages (`docs/wire.md`, chapter "Compression"; ADR 0125): LZ4 blocks, each
//! message for itself, so that what one says never shows in the length of another.
//!
//! What a compressed message becomes is known before a byte of it is allocated: its length travels
//! with it, is checked against the limit of messages, and against the most that LZ4 can make of the
//! bytes that carry it. Without the feature `lz4` nothing is compressed, and a compressed message is a
//! violation.

use alloc::vec::Vec;

use crate::error::PeerViolation;

/// Whether messages can be compressed at all.
pub(crate) const IS_AVAILABLE: bool = cfg!(feature = "lz4");

/// The most bytes that one byte of an LZ4 block can become: each byte of a length adds at most 255.
const RATIO_MAX: u64 = 255;
/// Shorter messages are not tried: the frame that tells their length would eat what is won. A guess.
#[cfg(feature = "lz4")]
const LENGTH_MIN: usize = 64;
/// Bytes that a compressed message spends on saying so, at most.
#[cfg(feature = "lz4")]
const OVERHEAD: usize = 8;

/// The compressed form of `data`; None: it would be no shorter.
#[cfg(feature = "lz4")]
pub(crate) fn compress(data: &[u8]) -> Option<Vec<u8>> {
    if data.len() < LENGTH_MIN {
        return None;
    }
    let compressed = lz4_flex::block::compress(data);
    (compressed.len() + OVERHEAD < data.len()).then_some(compressed)
}

/// None: nothing is compressed without the feature.
#[cfg(not(feature = "lz4"))]
pub(crate) const fn compress(_: &[u8]) -> Option<Vec<u8>> {
    None
}

/// Whether a message of `uncompressed` bytes may travel as one of `length`, to a receiver of messages
/// of `max` bytes.
///
/// # Errors
/// [`PeerViolation::MessageTooLarge`], or [`PeerViolation::Compression`]: it is not asked for, no
/// shorter, or shorter than anything it can become.
pub(crate) const fn check(
    uncompressed: u64,
    length: u64,
    (max, is_welcome): (u64, bool),
) -> Result<(), PeerViolation> {
    if !is_welcome || length >= uncompressed || uncompressed > length.saturating_mul(RATIO_MAX) {
        Err(PeerViolation::Compression)
    } else if uncompressed > max {
        Err(PeerViolation::MessageTooLarge)
    } else {
        Ok(())
    }
}

/// What `data` becomes, which is `length` bytes: the caller has [checked](check) that it may be.
///
/// # Errors
/// [`PeerViolation::Compression`]: it is no LZ4 block, or one of another length.
#[cfg(feature = "lz4")]
pub(crate) fn decompress(data: &[u8], length: u64) -> Result<Vec<u8>, PeerViolation> {
    let length = usize::try_from(length).map_err(|_| PeerViolation::Compression)?;
    let mut out = alloc::vec![0; length];
    match lz4_flex::block::decompress_into(data, &mut out) {
        Ok(written) if written == length => Ok(out),
        _ => Err(PeerViolation::Compression),
    }
}

/// Nothing is decompressed without the feature.
///
/// # Errors
/// Always.
#[cfg(not(feature = "lz4"))]
pub(crate) const fn decompress(_: &[u8], _: u64) -> Result<Vec<u8>, PeerViolation> {
    Err(PeerViolation::Compression)
}

#[cfg(all(test, feature = "lz4"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trips_when_it_gets_shorter(
            word in proptest::collection::vec(any::<u8>(), 1..20),
            times in 1usize..500,
            tail: Vec<u8>,
        ) {
            let mut data = word.repeat(times);
            data.extend(tail);
            if let Some(compressed) = compress(&data) {
                let (length, max) = (data.len() as u64, data.len() as u64);
                prop_assert_eq!(check(length, compressed.len() as u64, (max, true)), Ok(()));
                prop_assert_eq!(decompress(&compressed, length), Ok(data));
            }
        }

        #[test]
        fn any_bytes_become_the_length_they_claim_or_a_violation(
            bytes: Vec<u8>,
            length in 0u64..70_000,
        ) {
            match decompress(&bytes, length) {
                Ok(data) => prop_assert_eq!(data.len() as u64, length),
                Err(violation) => prop_assert_eq!(violation, PeerViolation::Compression),
            }
        }
    }

    #[test]
    fn noise_and_short_messages_are_left_as_they_are() {
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        let noise: Vec<u8> = (0..5_000).map(|_| noise()).collect();
        assert_eq!(compress(&noise), None);
        assert_eq!(compress(&[0; 63]), None);
        assert!(compress(&[0; 64]).is_some());
    }

    #[test]
    fn accepts_the_limit_and_the_ratio_and_rejects_one_beyond() {
        let check = |uncompressed, length| check(uncompressed, length, (10_000, true));
        assert_eq!(check(10_000, 9_999), Ok(()));
        assert_eq!(check(10_001, 9_999), Err(PeerViolation::MessageTooLarge));
        assert_eq!(
            check(9_999, 9_999),
            Err(PeerViolation::Compression),
            "no shorter"
        );
        assert_eq!(check(10 * RATIO_MAX, 10), Ok(()));
        assert_eq!(
            check(10 * RATIO_MAX + 1, 10),
            Err(PeerViolation::Compression)
        );
        assert_eq!(check(1, 0), Err(PeerViolation::Compression));
    }

    /// The best that the compressor itself can do stays below the bound.
    #[test]
    fn the_bound_on_the_ratio_holds_for_the_most_regular_message() {
        let data = alloc::vec![7; 16 << 20];
        let compressed = compress(&data).unwrap();
        assert!(data.len() as u64 <= compressed.len() as u64 * RATIO_MAX);
        assert!(data.len() as u64 > compressed.len() as u64 * (RATIO_MAX - 2));
    }
}
