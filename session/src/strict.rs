//! What "strict" means for an Ed25519 signature, beyond what every library checks.
//!
//! Libraries differ on keys and nonces of small order and on encodings that are not canonical; a
//! difference would let a signature hold on one node and fail on another ("Taming the many
//! EdDSAs", Chalkias, Garillot, Nikolaenko 2020). So these are refused before a library is asked,
//! by their bytes alone: the library decompresses the points anyway, and what is on no curve fails
//! there.

use ed25519_dalek::{Signature, Verifier, VerifyingKey};

/// The coordinates y of the eight points whose order divides the cofactor, little-endian. The sign
/// of x makes no difference.
const SMALL_ORDER: [[u8; 32]; 5] = [
    // Order 4: (±√−1, 0).
    [0; 32],
    // Order 1: the neutral point (0, 1).
    hex(b"0100000000000000000000000000000000000000000000000000000000000000"),
    // Order 2: (0, −1).
    hex(b"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    // Order 8, four points: y and −y.
    hex(b"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    hex(b"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
];

/// Whether key and nonce are canonical encodings and not of small order. Whether they are points of
/// the curve is for the library to say.
pub(crate) fn points_are_acceptable(key: &[u8; 32], signature: &[u8; 64]) -> bool {
    let Some((nonce, _)) = signature.split_first_chunk::<32>() else {
        return false;
    };
    is_acceptable(key) && is_acceptable(nonce)
}

/// Whether `signature` over `message` was made with `key`, by dalek's arithmetic.
pub(crate) fn verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    points_are_acceptable(key, signature)
        && VerifyingKey::from_bytes(key).is_ok_and(|key| {
            key.verify(message, &Signature::from_bytes(signature))
                .is_ok()
        })
}

fn is_acceptable(point: &[u8; 32]) -> bool {
    let mut coordinate = *point;
    let [.., last] = &mut coordinate;
    *last &= 0x7f;
    is_canonical(&coordinate) && !SMALL_ORDER.contains(&coordinate)
}

/// Whether the coordinate is below p = 2^255 − 19; the sign of x is not looked at.
fn is_canonical(point: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = point;
    !(last & 0x7f == 0x7f && middle.iter().all(|byte| *byte == 0xff) && *first >= 0xed)
}

/// The bytes that 64 lower-case hexadecimal digits stand for.
const fn hex(digits: &[u8; 64]) -> [u8; 32] {
    const fn value(digit: u8) -> u8 {
        match digit {
            b'a'..=b'f' => digit - b'a' + 10,
            _ => digit - b'0',
        }
    }
    let (pairs, _) = digits.as_chunks::<2>();
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < bytes.len() {
        let [high, low] = pairs[at];
        bytes[at] = value(high) << 4 | value(low);
        at += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::EIGHT_TORSION;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_second_encoding_of_a_good_point_is_refused() {
        // p + y fits 255 bits for y up to 18; some of these are coordinates of the curve.
        let mut tried = 0;
        for y in 2..=18 {
            let mut canonical = [0; 32];
            canonical[0] = y;
            if VerifyingKey::from_bytes(&canonical).is_ok() {
                assert!(is_acceptable(&canonical));
                let mut second = [0xff; 32];
                (second[0], second[31]) = (0xed + y, 0x7f);
                assert!(
                    VerifyingKey::from_bytes(&second).is_ok(),
                    "a library would take it"
                );
                assert!(!is_acceptable(&second));
                tried += 1;
            }
        }
        assert!(tried > 3);
    }

    #[test]
    fn points_of_small_order_are_refused() {
        let mut coordinates = Vec::new();
        for point in EIGHT_TORSION {
            let mut encoded = point.compress().to_bytes();
            assert!(!is_acceptable(&encoded));
            encoded[31] ^= 0x80;
            assert!(!is_acceptable(&encoded), "with the other sign of x");
            encoded[31] &= 0x7f;
            coordinates.push(encoded);
        }
        coordinates.sort_unstable();
        coordinates.dedup();
        let mut table = SMALL_ORDER;
        table.sort_unstable();
        assert_eq!(coordinates, table);
    }

    proptest! {
        #[test]
        fn of_the_points_of_the_curve_only_weak_and_second_encodings_are_refused(
            mut point: [u8; 32],
            edge in 0usize..8,
        ) {
            match edge {
                0 => point[1..].fill(0),
                1 => { point[1..].fill(0xff); }
                2 => point = EIGHT_TORSION[usize::from(point[0] % 8)].compress().to_bytes(),
                _ => {}
            }
            if let Ok(key) = VerifyingKey::from_bytes(&point) {
                prop_assert_eq!(is_acceptable(&point), is_canonical(&point) && !key.is_weak());
            }
        }
    }

    #[test]
    fn coordinates_from_p_upwards_are_not_canonical() {
        let mut point = [0xff; 32];
        point[31] = 0x7f;
        for first in 0..=u8::MAX {
            point[0] = first;
            assert_eq!(is_canonical(&point), first < 0xed);
        }
        point[15] = 0xfe;
        assert!(is_canonical(&point));
    }
}
