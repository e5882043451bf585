//! The Wycheproof vectors for every primitive, through both providers. They hold the published
//! answers of the standards and what implementations of others got wrong.

use dunlin_transport::protect::Random;
use wycheproof::{TestResult, aead, eddsa, hkdf, mac, mldsa_sign, mldsa_verify, mlkem, xdh};

use super::*;
use crate::hkdf::{Expander, extract};
use crate::testing::providers;

/// Hands out these bytes.
struct Fixed<'a>(&'a [u8]);

impl Random for Fixed<'_> {
    fn fill(&mut self, out: &mut [u8]) {
        let (head, tail) = self.0.split_at(out.len());
        out.copy_from_slice(head);
        self.0 = tail;
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap()
}

#[test]
fn hmac_sha_256_answers_as_published() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    for group in &set.test_groups {
        for test in &group.tests {
            for provider in providers() {
                let made = provider.hmac_sha256(&test.key, &[&test.msg]);
                let fits = made.starts_with(&test.tag);
                assert_eq!(fits, !test.result.must_fail(), "{test:?}");
            }
        }
    }
}

#[test]
fn hkdf_sha_256_answers_as_published() {
    let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap();
    for group in &set.test_groups {
        // The longest outputs that RFC 5869 allows, and longer ones, are nothing the protocol asks for.
        for test in group.tests.iter().filter(|test| test.size < 255 * 32) {
            for provider in providers() {
                let key = extract(&*provider, &test.salt, &[&test.ikm]);
                let mut out = vec![0; test.size];
                Expander::new(&*provider, &key).expand(&test.info, &mut out);
                assert_eq!(out == *test.okm, !test.result.must_fail(), "{test:?}");
            }
        }
    }
}

#[test]
fn x25519_answers_as_published_and_refuses_small_order() {
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    for group in &set.test_groups {
        for test in &group.tests {
            for provider in providers() {
                let secret = Zeroizing::new(array(&test.private_key));
                let shared = provider.x25519(&secret, &array(&test.public_key));
                if test.shared_secret.iter().all(|byte| *byte == 0) {
                    assert_eq!(shared, Err(CryptoError), "{test:?}");
                } else {
                    assert_eq!(*shared.unwrap(), array(&test.shared_secret), "{test:?}");
                }
            }
        }
    }
}

#[test]
fn ed25519_verdicts_are_the_published_ones() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    for group in &set.test_groups {
        let key = array(&group.key.pk);
        for test in &group.tests {
            for provider in providers() {
                let valid = <&[u8; 64]>::try_from(test.sig.as_slice())
                    .is_ok_and(|signature| provider.ed25519_verify(&key, &test.msg, signature));
                assert_eq!(valid, test.result == TestResult::Valid, "{test:?}");
            }
        }
    }
}

#[test]
fn aead_ciphers_answer_as_published() {
    for (name, suite) in [
        (aead::TestName::AesGcm, CipherSuite::Aes128Gcm),
        (aead::TestName::AesGcm, CipherSuite::Aes256Gcm),
        (
            aead::TestName::ChaCha20Poly1305,
            CipherSuite::ChaCha20Poly1305,
        ),
    ] {
        let set = aead::TestSet::load(name).unwrap();
        let sizes = (suite.key_len() * 8, NONCE_LEN * 8, TAG_LEN * 8);
        let mut tests = 0;
        for group in &set.test_groups {
            if (group.key_size, group.nonce_size, group.tag_size) != sizes {
                continue;
            }
            for test in &group.tests {
                for provider in providers() {
                    let key = provider.aead(suite, &test.key).unwrap();
                    let nonce = array(&test.nonce);
                    let sealed = [&test.ct[..], &test.tag].concat();
                    let mut opened = sealed.clone();
                    let result = key.open(nonce, &test.aad, &mut opened);
                    assert_eq!(result.is_err(), test.result.must_fail(), "{test:?}");
                    if result.is_ok() {
                        assert_eq!(opened[..test.pt.len()], test.pt[..], "{test:?}");
                        let mut made = [&test.pt[..], &[0; TAG_LEN]].concat();
                        key.seal(nonce, &test.aad, &mut made);
                        assert_eq!(made, sealed, "{test:?}");
                    }
                    tests += 1;
                }
            }
        }
        assert!(tests > 100, "{suite:?}: {tests}");
    }
}

/// Decapsulation and encapsulation with given randomness: the provider that takes it from us. The
/// other one is compared with it.
#[test]
fn ml_kem_768_answers_as_published() {
    let pure = pure();
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem768).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let (Some(seed), Some(ct)) = (&test.seed, &test.ct) else {
            continue;
        };
        let Ok(ct) = <&[u8; KEM_CIPHERTEXT_LEN]>::try_from(ct.as_slice()) else {
            continue; // Another length is not a message of ours.
        };
        if seed.len() != 64 {
            continue;
        }
        let secret = pure.kem_generate(&mut Fixed(seed));
        if let Some(public) = &test.encaps_key {
            assert_eq!(secret.public()[..], public[..], "{test:?}");
        }
        let shared = secret.decapsulate(ct).unwrap();
        let expected = test.shared_secret.as_ref().unwrap();
        assert_eq!(
            shared[..] == expected[..],
            !test.result.must_fail(),
            "{test:?}"
        );
    }
}

#[test]
fn ml_kem_768_keys_that_are_not_reduced_are_refused() {
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem768Encaps).unwrap();
    let mut refused = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let public = test.encaps_key.as_ref().unwrap();
        let Ok(public) = <&[u8; KEM_PUBLIC_LEN]>::try_from(public.as_slice()) else {
            continue;
        };
        for provider in providers() {
            let message = test.msg.as_ref().unwrap();
            let result = provider.kem_encapsulate(public, &mut Fixed(message));
            assert_eq!(result.is_err(), test.result.must_fail(), "{test:?}");
            refused += usize::from(result.is_err());
            // The other provider takes no randomness from us.
            if let (Ok((ct, shared)), "pure-rust") = (result, provider.name()) {
                assert_eq!(ct[..], test.ct.as_ref().unwrap()[..], "{test:?}");
                assert_eq!(shared[..], test.shared_secret.as_ref().unwrap()[..]);
            }
        }
    }
    assert!(refused > 0);
}

#[test]
fn ml_dsa_65_verdicts_are_the_published_ones() {
    let set = mldsa_verify::TestSet::load(mldsa_verify::TestName::MlDsa65Verify).unwrap();
    let mut valid = 0;
    for group in &set.test_groups {
        let Ok(key) = <&[u8; MLDSA_PUBLIC_LEN]>::try_from(group.pubkey.as_slice()) else {
            continue;
        };
        // We use the empty context only.
        let tests = group.tests.iter();
        for test in tests.filter(|test| test.ctx.as_ref().is_none_or(|ctx| ctx.is_empty())) {
            for provider in providers() {
                let verdict = test
                    .sig
                    .as_slice()
                    .try_into()
                    .is_ok_and(|signature| provider.mldsa_verify(key, &test.msg, signature));
                assert_eq!(verdict, test.result == TestResult::Valid, "{}", test.tc_id);
                valid += usize::from(verdict);
            }
        }
    }
    assert!(valid > 10, "{valid}");
}

#[test]
fn ml_dsa_65_keys_and_signatures_are_the_published_ones() {
    let set = mldsa_sign::TestSet::load(mldsa_sign::TestName::MlDsa65SignSeed).unwrap();
    let mut signed = 0;
    for group in &set.test_groups {
        let (Some(seed), Some(public)) = (&group.privseed, &group.pubkey) else {
            continue;
        };
        let Ok(seed) = <[u8; 32]>::try_from(seed.as_slice()) else {
            continue;
        };
        let seed = Zeroizing::new(seed);
        for provider in providers() {
            assert_eq!(provider.mldsa_public(&seed)[..], public[..]);
        }
        for test in &group.tests {
            let plain = test.ctx.as_ref().is_none_or(|ctx| ctx.is_empty()) && test.rnd.is_none();
            let (Some(message), true, false) = (&test.msg, plain, test.result.must_fail()) else {
                continue;
            };
            // Deterministic signatures, which the other provider does not make.
            assert_eq!(pure().mldsa_sign(&seed, message)[..], test.sig[..]);
            let key = array(public);
            let by_library = aws_lc().mldsa_sign(&seed, message);
            assert!(pure().mldsa_verify(&key, message, &by_library));
            signed += 1;
        }
    }
    assert!(signed > 10, "{signed}");
}
