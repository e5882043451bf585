//! Published test vectors on each provider, and the providers against each other.

use proptest::prelude::*;
use shake::{ExtendableOutput, Shake128, Update, XofReader};

use super::*;
use crate::fuzzing::SeededRandom;
use crate::hkdf::{Expander, extract};
use crate::testing::{hex, providers};

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

fn secret(text: &str) -> Secret {
    Zeroizing::new(array(text))
}

#[test]
fn hashes_match_fips_180_4_and_rfc_4231() {
    for provider in providers() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(provider.sha256(&[b"abc"]), array(abc));
        assert_eq!(provider.sha256(&[b"a", b"", b"bc"]), array(abc));
        let mac = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let parts: [&[u8]; 2] = [b"what do ya want ", b"for nothing?"];
        assert_eq!(*provider.hmac_sha256(b"Jefe", &parts), array(mac));
    }
}

#[test]
fn hkdf_matches_rfc_5869() {
    let range = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
    let cases = [
        (
            vec![0x0b; 22],
            range(0x00, 0x0c),
            range(0xf0, 0xf9),
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            range(0x00, 0x4f),
            range(0x60, 0xaf),
            range(0xb0, 0xff),
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb\
             41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            vec![0x0b; 22],
            vec![],
            vec![],
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ];
    for provider in providers() {
        for (input, salt, info, pseudorandom, expected) in &cases {
            let key = extract(&*provider, salt, &[input]);
            assert_eq!(*key, array(pseudorandom));
            let expected = hex(expected);
            let mut out = vec![0; expected.len()];
            Expander::new(&*provider, &key).expand(info, &mut out);
            assert_eq!(out, expected);
        }
    }
}

#[test]
fn x25519_matches_rfc_7748() {
    for provider in providers() {
        for (scalar, point, expected) in [
            (
                "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
                "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
                "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
            ),
            (
                "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
                "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
                "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
            ),
        ] {
            let shared = provider.x25519(&secret(scalar), &array(point)).unwrap();
            assert_eq!(*shared, array(expected));
        }
        let alice = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
        let public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
        assert_eq!(provider.x25519_public(&secret(alice)), array(public));
        assert_eq!(provider.x25519(&secret(alice), &[0; 32]), Err(CryptoError));
    }
}

#[test]
fn ed25519_matches_rfc_8032() {
    for provider in providers() {
        for (seed, key, message, signature) in [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e\
                 39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f\
                 3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
        ] {
            let (seed, message, signature) = (array(seed), hex(message), array(signature));
            assert_eq!(provider.ed25519_sign(&seed, &message), signature);
            assert!(provider.ed25519_verify(&array(key), &message, &signature));
            assert!(!provider.ed25519_verify(&array(key), b"other", &signature));
        }
    }
}

#[test]
fn aes_128_gcm_matches_its_specification() {
    // McGrew and Viega, "The Galois/Counter Mode of Operation", test case 4.
    let text = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf\
                0e2449a6b525b16aedf5aa0de657ba637b39";
    let sealed = "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d\
                  8f6a5aac84aa051ba30b396a0aac973d58e0915bc94fbc3221a5db94fae95ae7121a47";
    check_aead(
        CipherSuite::Aes128Gcm,
        "feffe9928665731c6d6a8f9467308308",
        "cafebabefacedbaddecaf888",
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        &hex(text),
        sealed,
    );
}

#[test]
fn chacha20_poly1305_matches_rfc_8439() {
    let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for \
                 the future, sunscreen would be it.";
    let sealed = "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fa\
                  fb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4\
                  fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecb\
                  d0600691";
    check_aead(
        CipherSuite::ChaCha20Poly1305,
        "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
        "070000004041424344454647",
        "50515253c0c1c2c3c4c5c6c7",
        text,
        sealed,
    );
}

fn check_aead(suite: CipherSuite, key: &str, nonce: &str, aad: &str, text: &[u8], sealed: &str) {
    let (key, nonce, aad, sealed) = (hex(key), array(nonce), hex(aad), hex(sealed));
    for provider in providers() {
        let aead = provider.aead(suite, &key).unwrap();
        let mut buffer = [text, &[0; TAG_LEN]].concat();
        aead.seal(nonce, &aad, &mut buffer);
        assert_eq!(buffer, sealed);
        aead.open(nonce, &aad, &mut buffer).unwrap();
        assert_eq!(&buffer[..text.len()], text);
        for bit in 0..sealed.len() * 8 {
            let mut wrong = sealed.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(aead.open(nonce, &aad, &mut wrong), Err(CryptoError));
        }
        assert_eq!(
            aead.open(nonce, b"other", &mut sealed.clone()),
            Err(CryptoError)
        );
        assert_eq!(
            aead.open(nonce, &aad, &mut [0; TAG_LEN - 1]),
            Err(CryptoError)
        );
    }
}

#[test]
fn header_masks_match_rfc_9001_and_sp_800_38a() {
    for provider in providers() {
        let mask = |suite, key: &str, sample: &str| {
            provider
                .header_key(suite, &hex(key))
                .unwrap()
                .mask(&array(sample))
        };
        let (aes, chacha) = (CipherSuite::Aes128Gcm, CipherSuite::ChaCha20Poly1305);
        // RFC 9001 A.2 and A.5: the first five bytes.
        let quic = mask(
            aes,
            "9f50449e04a0e810283a1e9933adedd2",
            "d1b1c98dd7689fb8ec11d242b123dc9b",
        );
        assert_eq!(quic[..5], hex("437b9aec36"));
        let quic = mask(
            chacha,
            "25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4",
            "5e5cd55c41f69080575d7999c25a5bfb",
        );
        assert_eq!(quic[..5], hex("aefefe7d03"));
        // SP 800-38A F.5.1 (CTR-AES128): input ⊕ output of the first two blocks.
        let counter = mask(
            aes,
            "2b7e151628aed2a6abf7158809cf4f3c",
            "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
        );
        let expected = "ec8cdf7398607cb0f2d21675ea9ea1e4362b7c3c6773516318a077d7fc5073ae";
        assert_eq!(counter, array::<32>(expected));
    }
}

#[test]
fn many_header_masks_are_each_what_it_is_alone() {
    for suite in CipherSuite::ALL {
        for provider in providers() {
            let key = provider
                .header_key(suite, &vec![7; suite.key_len()])
                .unwrap();
            for count in [0, 1, 31, 32, 33, 64, 100] {
                let samples: Vec<[u8; 16]> = (0..count).map(|index| [index; 16]).collect();
                let mut together: Vec<[u8; 32]> = samples
                    .iter()
                    .map(|sample| array_of_two(sample, &[0xee; 16]))
                    .collect();
                key.masks(&mut together);
                let alone: Vec<_> = samples.iter().map(|sample| key.mask(sample)).collect();
                assert_eq!(together, alone, "{suite:?}, {count}");
            }
        }
    }
}

fn array_of_two(low: &[u8; 16], high: &[u8; 16]) -> [u8; 32] {
    [&low[..], high].concat().try_into().unwrap()
}

#[test]
fn the_last_counter_value_is_an_ordinary_sample() {
    for suite in CipherSuite::ALL {
        let masks: Vec<_> = providers()
            .iter()
            .map(|provider| {
                let key = provider
                    .header_key(suite, &vec![7; suite.key_len()])
                    .unwrap();
                (key.mask(&[0xff; 16]), key.mask(&[0; 16]))
            })
            .collect();
        assert_eq!(masks[0], masks[1]);
        assert_ne!(masks[0].0, masks[0].1);
    }
    // The second block of the highest counter is the first of the lowest.
    for provider in providers() {
        let key = provider
            .header_key(CipherSuite::Aes128Gcm, &[7; 16])
            .unwrap();
        assert_eq!(key.mask(&[0xff; 16])[16..], key.mask(&[0; 16])[..16]);
    }
}

#[test]
fn keys_of_the_wrong_length_are_refused() {
    for provider in providers() {
        for suite in CipherSuite::ALL {
            for length in [0, 15, 17, 24, 31, 33] {
                assert!(provider.aead(suite, &vec![0; length]).is_err());
                assert!(provider.header_key(suite, &vec![0; length]).is_err());
            }
        }
    }
}

/// Bytes of SHAKE-128 as a source of randomness.
struct Stream(<Shake128 as ExtendableOutput>::Reader);

impl Random for Stream {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.read(out);
    }
}

#[test]
fn ml_kem_768_matches_the_accumulated_vectors() {
    // C2SP CCTV, "ML-KEM", accumulated pq-crystals vectors for FIPS 203, the first 100: key
    // generation, encapsulation and implicit rejection in one hash.
    let provider = pure();
    let mut random = Stream(Shake128::default().finalize_xof());
    let mut results = Shake128::default();
    for _ in 0..100 {
        let key = provider.kem_generate(&mut random);
        results.update(&key.public());
        let (ciphertext, shared) = provider
            .kem_encapsulate(&key.public(), &mut random)
            .unwrap();
        results.update(&ciphertext);
        results.update(&*shared);
        assert_eq!(key.decapsulate(&ciphertext).unwrap(), shared);
        let mut invalid = [0; KEM_CIPHERTEXT_LEN];
        random.fill(&mut invalid);
        results.update(&*key.decapsulate(&invalid).unwrap());
    }
    let mut hash = [0; 32];
    results.finalize_xof().read(&mut hash);
    let expected = "1114b1b6699ed191734fa339376afa7e285c9e6acf6ff0177d346696ce564415";
    assert_eq!(hash, array(expected));
}

#[test]
fn ml_kem_works_across_providers_and_rejects_implicitly() {
    let mut random = SeededRandom::new(3);
    for receiver in providers() {
        for sender in providers() {
            for _ in 0..20 {
                let key = receiver.kem_generate(&mut random);
                let (mut ciphertext, shared) =
                    sender.kem_encapsulate(&key.public(), &mut random).unwrap();
                assert_eq!(key.decapsulate(&ciphertext), Ok(shared.clone()));
                ciphertext[random.next_u32() as usize % KEM_CIPHERTEXT_LEN] ^= 1;
                assert_ne!(key.decapsulate(&ciphertext), Ok(shared));
            }
        }
    }
}

#[test]
fn unreduced_encapsulation_keys_are_refused() {
    let mut random = SeededRandom::new(3);
    for provider in providers() {
        let public = provider.kem_generate(&mut random).public();
        // A sample of the coefficients of the polynomial vector, set to q and to the largest 12-bit value.
        for pair in (0..KEM_PUBLIC_LEN - 32).step_by(3 * 7) {
            for value in [3_329u16, 4_095] {
                let [low, high] = value.to_le_bytes();
                let mut first = public;
                first[pair] = low;
                first[pair + 1] = (first[pair + 1] & 0xf0) | high;
                assert!(provider.kem_encapsulate(&first, &mut random).is_err());
                let mut second = public;
                second[pair + 1] = (second[pair + 1] & 0x0f) | (low << 4);
                second[pair + 2] = (high << 4) | (low >> 4);
                assert!(provider.kem_encapsulate(&second, &mut random).is_err());
            }
        }
        assert!(provider.kem_encapsulate(&public, &mut random).is_ok());
    }
}

#[test]
fn signatures_with_points_of_small_order_are_refused() {
    // For the neutral element as key, R = neutral and S = 0 satisfy the equation for any message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    let honest = array("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    for provider in providers() {
        assert!(!provider.ed25519_verify(&neutral, b"anything", &signature));
        assert!(!provider.ed25519_verify(&honest, b"anything", &signature));
        // An encoding that is not canonical: y = p + 1.
        let mut second_name = [0xff; 32];
        (second_name[0], second_name[31]) = (0xee, 0x7f);
        assert!(!provider.ed25519_verify(&second_name, b"anything", &signature));
    }
}

#[test]
fn a_valid_equation_over_a_nonce_of_small_order_is_refused() {
    use curve25519_dalek::Scalar;
    use sha2::{Digest, Sha512};

    // R is the neutral element and S = h·a, which satisfies S·B = R + h·A.
    let key = crate::Identity::from_seed([1; 32]).public().ed25519;
    let secret = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).to_scalar();
    let mut nonce = [0; 32];
    nonce[0] = 1;
    let hash = Sha512::new()
        .chain_update(nonce)
        .chain_update(key)
        .chain_update(b"text");
    let s = Scalar::from_bytes_mod_order_wide(&hash.finalize().into()) * secret;
    let signature: [u8; 64] = [nonce, s.to_bytes()].concat().try_into().unwrap();
    let lax = ed25519_dalek::VerifyingKey::from_bytes(&key).unwrap();
    let parsed = ed25519_dalek::Signature::from_bytes(&signature);
    assert!(
        ed25519_dalek::Verifier::verify(&lax, b"text", &parsed).is_ok(),
        "the equation holds"
    );
    for provider in providers() {
        assert!(!provider.ed25519_verify(&key, b"text", &signature));
    }
}

proptest! {
    #[test]
    fn providers_agree(a: [u8; 32], b: [u8; 32], message: Vec<u8>, bit in 0usize..512) {
        let all = providers();
        let (first, second) = (&all[0], &all[1]);
        let secret = Zeroizing::new(a);
        prop_assert_eq!(first.sha256(&[&message]), second.sha256(&[&message]));
        prop_assert_eq!(first.hmac_sha256(&a, &[&message]), second.hmac_sha256(&a, &[&message]));
        prop_assert_eq!(first.x25519_public(&secret), second.x25519_public(&secret));
        prop_assert_eq!(first.x25519(&secret, &b), second.x25519(&secret, &b));
        let signature = first.ed25519_sign(&a, &message);
        prop_assert_eq!(signature, second.ed25519_sign(&a, &message));
        let key = *crate::Identity::from_seed(a).public();
        let mut flipped = signature;
        flipped[bit / 8] ^= 1 << (bit % 8);
        for provider in &all {
            prop_assert!(provider.ed25519_verify(&key.ed25519, &message, &signature));
            prop_assert!(!provider.ed25519_verify(&key.ed25519, &message, &flipped));
        }
    }

    #[test]
    fn ciphers_agree(key: [u8; 32], nonce: [u8; 12], sample: [u8; 16], aad: Vec<u8>, text: Vec<u8>) {
        for suite in CipherSuite::ALL {
            let key = &key[..suite.key_len()];
            let made = providers().into_iter().map(|provider| {
                let mut buffer = [&text[..], &[0; TAG_LEN]].concat();
                provider.aead(suite, key).unwrap().seal(nonce, &aad, &mut buffer);
                (buffer, provider.header_key(suite, key).unwrap().mask(&sample))
            });
            let made: Vec<_> = made.collect();
            prop_assert!(made.iter().all(|it| *it == made[0]), "{made:?}");
        }
    }
}
