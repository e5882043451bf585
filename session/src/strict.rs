//! What "strict" means for an Ed25519 signature, beyond what every library checks.
//!
//! Libraries differ on keys and nonces of small order and on encodings that are not canonical; a
//! difference would let a signature hold on one node and fail on another ("Taming the many
//! EdDSAs", Chalkias, Garillot, Nikolaenko 2020). So these are refused before a library is asked.

/// Whether key and nonce point are encodings that may stand for points: canonical, and not of small
/// order. Costs no arithmetic on the curve. That the key is a point at all is left to the library;
/// so is the nonce, because what is compared with it is the encoding of a point (RFC 8032 §5.1.7
/// without the cofactor).
pub(crate) fn points_are_acceptable(key: &[u8; 32], signature: &[u8; 64]) -> bool {
    let Some((nonce, _)) = signature.split_first_chunk::<32>() else {
        return false;
    };
    is_acceptable(key) && is_acceptable(nonce)
}

fn is_acceptable(point: &[u8; 32]) -> bool {
    let mut coordinate = *point;
    let [.., last] = &mut coordinate;
    // What is left is y; the sign of x does not matter: with y, −x is of the same order as x.
    *last &= 0x7f;
    is_canonical(&coordinate) && !SMALL_ORDER.contains(&coordinate)
}

/// Whether the coordinate is below p = 2^255 − 19.
fn is_canonical(point: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = point;
    !(last & 0x7f == 0x7f && middle.iter().all(|byte| *byte == 0xff) && *first >= 0xed)
}

/// The y coordinates of the eight points of small order: of order 1 and 2 (1, −1), 4 (0), and 8.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
    [0; 32],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
];

#[cfg(test)]
mod tests {
    use curve25519_dalek::Scalar;
    use ed25519_dalek::{Signature, SigningKey, Verifier, VerifyingKey};
    use sha2::{Digest, Sha512};

    use super::*;

    #[test]
    fn a_second_encoding_of_a_good_point_is_refused() {
        // p + y fits 255 bits for y up to 18; some of these are coordinates of the curve.
        let mut tried = 0;
        for y in 2..=18 {
            let mut canonical = [0; 32];
            canonical[0] = y;
            if is_acceptable(&canonical) && VerifyingKey::from_bytes(&canonical).is_ok() {
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
            let mut encoding = point.compress().to_bytes();
            assert!(!is_acceptable(&encoding));
            encoding[31] ^= 0x80;
            assert!(!is_acceptable(&encoding), "the other sign");
        }
    }

    #[test]
    fn the_list_of_small_orders_holds_nothing_else() {
        for coordinate in SMALL_ORDER {
            let key = VerifyingKey::from_bytes(&coordinate).expect("a point");
            assert!(key.is_weak());
        }
    }

    #[test]
    fn a_nonce_of_small_order_is_refused_though_the_equation_holds() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let mut nonce = [0; 32];
        nonce[0] = 1;
        let public = key.verifying_key().to_bytes();
        let challenge: [u8; 64] = Sha512::new()
            .chain_update(nonce)
            .chain_update(public)
            .chain_update(b"m")
            .finalize()
            .into();
        let s = Scalar::from_bytes_mod_order_wide(&challenge) * key.to_scalar();
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&nonce);
        signature[32..].copy_from_slice(s.as_bytes());
        let plain = key
            .verifying_key()
            .verify(b"m", &Signature::from_bytes(&signature));
        assert!(plain.is_ok(), "a library would take it");
        assert!(!points_are_acceptable(&public, &signature));
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
