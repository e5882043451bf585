//! ed25519-dalek and libcrux: keys and signatures.

use dunlin_session::{Identity, PublicIdentity, fuzzing::SeededRandom, provider};

/// Signing with a public key that the caller chose gave two signatures from which the private key
/// follows. Here an identity derives its public key itself and takes none; signing the same bytes
/// twice gives the same signature.
#[test]
fn rustsec_2022_0093() {
    for seed in 0..32 {
        let identity = Identity::from_seed([seed; 32]);
        let first = identity.sign(b"context", b"message");
        assert_eq!(first, identity.sign(b"context", b"message"));
        assert!(identity.public().verify(b"context", b"message", &first));
        // The same nonce point for another key would be the leak.
        let other = Identity::from_seed([seed + 100; 32]).sign(b"context", b"message");
        assert_ne!(first[..32], other[..32]);
    }
}

/// The check of an X25519 secret looked neither at its length nor at its form. Here a secret has 32
/// bytes by its type and each value is one; what can be wrong is the peer's value, and a result of
/// zeros is an error on both providers, for points of small order and their other encodings.
#[test]
fn rustsec_2026_0023() {
    let mut points = vec![[0u8; 32], [0xff; 32]];
    points[1][0] = 0xed;
    points[1][31] = 0x7f;
    let mut one = [0; 32];
    one[0] = 1;
    points.push(one);
    // p - 1, p + 1 and the two points of order eight (RFC 7748 §6.1 lists why they matter).
    let mut below = [0xff; 32];
    (below[0], below[31]) = (0xec, 0x7f);
    points.push(below);
    let mut above = [0xff; 32];
    (above[0], above[31]) = (0xee, 0x7f);
    points.push(above);
    points.push([
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ]);
    points.push([
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ]);
    for provider in [provider::pure(), provider::aws_lc()] {
        for point in &points {
            let secret = provider::Secret::new([0x42; 32]);
            assert!(provider.x25519(&secret, point).is_err(), "{point:02x?}");
        }
    }
}

/// A generator that failed gave a key of zeros, silently. Here the source of randomness is an
/// argument and cannot fail silently; two identities of one source differ.
#[test]
fn rustsec_2026_0075() {
    let mut random = SeededRandom::new(5);
    let identities: Vec<_> = (0..50)
        .map(|_| Identity::generate(&mut random).node_id())
        .collect();
    for (index, id) in identities.iter().enumerate() {
        assert!(!identities[index + 1..].contains(id));
    }
    let zeros = Identity::from_seed([0; 32]).node_id();
    assert!(!identities.contains(&zeros));
}

/// Signatures that some libraries take and others refuse split a network in two ("Taming the many
/// EdDSAs", 2020). Here keys and nonces of small order are refused by both providers and by the
/// identity, so what verifies anywhere verifies everywhere.
#[test]
fn iacr_2020_1244() {
    let weak = PublicIdentity {
        ed25519: {
            let mut point = [0; 32];
            point[0] = 1;
            point
        },
        mldsa_commitment: [0; 32],
    };
    // With the neutral element as key and as nonce and a scalar of zero, the equation holds for
    // every message.
    let mut signature = [0; 64];
    signature[0] = 1;
    assert!(!weak.verify(b"context", b"any", &signature));
    for provider in [provider::pure(), provider::aws_lc()] {
        assert!(!provider.ed25519_verify(&weak.ed25519, b"any", &signature));
    }
}
