//! What "strict" means for an Ed25519 signature, beyond what every library checks.
//!
//! Libraries differ on keys and nonces of small order and on encodings that are not canonical; a
//! difference would let a signature hold on one node and fail on another ("Taming the many
//! EdDSAs", Chalkias, Garillot, Nikolaenko 2020). So these are refused before a library is asked.

use ed25519_dalek::VerifyingKey;

/// Whether key and nonce point are canonical encodings of points that are not of small order.
pub(crate) fn points_are_acceptable(key: &[u8; 32], signature: &[u8; 64]) -> bool {
    let Some((nonce, _)) = signature.split_first_chunk::<32>() else {
        return false;
    };
    is_acceptable(key) && is_acceptable(nonce)
}

fn is_acceptable(point: &[u8; 32]) -> bool {
    is_canonical(point) && VerifyingKey::from_bytes(point).is_ok_and(|key| !key.is_weak())
}

/// Whether the coordinate is below p = 2^255 − 19.
fn is_canonical(point: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = point;
    !(last & 0x7f == 0x7f && middle.iter().all(|byte| *byte == 0xff) && *first >= 0xed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_encoding_of_a_good_point_is_refused() {
        // p + y fits 255 bits for y up to 18; some of these are coordinates of the curve.
        let mut tried = 0;
        for y in 2..=18 {
            let mut canonical = [0; 32];
            canonical[0] = y;
            if is_acceptable(&canonical) {
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
        for point in curve25519_dalek::constants::EIGHT_TORSION {
            assert!(!is_acceptable(&point.compress().to_bytes()));
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
