//! The two providers against each other: same inputs, same outputs, same verdicts.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use dunlin_transport::protect::{Acceptor, Initiator, PacketProtection, Syn, SynDecision};
use dunlin_transport::{Instant, PacketNumber};
use zeroize::Zeroizing;

use super::SeededRandom;
use crate::config::SessionConfig;
use crate::handshake::{SessionAcceptor, SessionInitiator};
use crate::identity::Identity;
use crate::protection::{KeyLimits, SealedProtection};
use crate::provider::{CryptoProvider, KEM_PUBLIC_LEN, Secret, TAG_LEN, aws_lc, pure};
use crate::suite::CipherSuite;

/// One primitive, or a whole acceptor, of each provider on what `data` spells: genuine values with
/// bytes changed, and arbitrary ones.
///
/// # Panics
/// When they differ.
pub fn providers(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else {
        return;
    };
    match choice % 8 {
        0 => hashes(data),
        1 => key_agreement(data),
        2 | 3 => signatures(data),
        4 => encapsulation(data),
        5 => ciphers(data),
        6 => packets(data),
        _ => acceptors(data),
    }
}

type Provider = Arc<dyn CryptoProvider>;

/// Which library seals and which opens.
fn crossings() -> [(Provider, Provider); 2] {
    [(pure(), aws_lc()), (aws_lc(), pure())]
}

/// The first `N` bytes, zeros where there are none, and the rest.
fn array<const N: usize>(data: &[u8]) -> ([u8; N], &[u8]) {
    let mut out = [0; N];
    let (head, tail) = data.split_at(data.len().min(N));
    for (to, from) in out.iter_mut().zip(head) {
        *to = *from;
    }
    (out, tail)
}

/// XORs `patch` onto `bytes`, at a place that `patch` begins with.
fn change(bytes: &mut [u8], patch: &[u8]) {
    if let Some(([high, low], patch)) = patch.split_first_chunk() {
        let at = usize::from(u16::from_be_bytes([*high, *low])) % bytes.len().max(1);
        for (byte, with) in bytes.iter_mut().skip(at).zip(patch) {
            *byte ^= with;
        }
    }
}

fn hashes(data: &[u8]) {
    let (one, two) = (pure(), aws_lc());
    let (head, tail) = data.split_at(data.len() / 3);
    assert_eq!(one.sha256(&[head, tail]), two.sha256(&[data]));
    assert_eq!(
        one.hmac_sha256(head, &[tail, data]),
        two.hmac_sha256(head, &[&[tail, data].concat()])
    );
}

fn key_agreement(data: &[u8]) {
    let (secret, data) = array(data);
    let (peer, _) = array(data);
    let secret = Zeroizing::new(secret);
    let (one, two) = (pure(), aws_lc());
    assert_eq!(one.x25519_public(&secret), two.x25519_public(&secret));
    // Any bytes are a peer's value; zero and other points of small order are refused by both.
    assert_eq!(one.x25519(&secret, &peer), two.x25519(&secret, &peer));
}

fn signatures(data: &[u8]) {
    let (seed, data) = array(data);
    let (key_patch, data) = array::<4>(data);
    let (signature_patch, message) = array::<5>(data);
    let (one, two) = (pure(), aws_lc());
    let genuine_signature = one.ed25519_sign(&seed, message);
    assert_eq!(genuine_signature, two.ed25519_sign(&seed, message));
    second_signatures(&Zeroizing::new(seed), &signature_patch, message);
    let genuine = Identity::from_seed(seed).public().ed25519;
    let (mut key, mut changed) = (genuine, genuine_signature);
    change(&mut key, &key_patch);
    change(&mut changed, &signature_patch);
    let pairs = [
        (&genuine, &changed),
        (&key, &genuine_signature),
        (&key, &changed),
    ];
    for (key, signature) in pairs {
        let verdict = one.ed25519_verify(key, message, signature);
        assert_eq!(verdict, two.ed25519_verify(key, message, signature));
        assert_eq!(verdict, *key == genuine && *signature == genuine_signature);
    }
    // Nothing genuine at all.
    let (key, rest) = array(message);
    let (arbitrary, _) = array(rest);
    assert_eq!(
        one.ed25519_verify(&key, message, &arbitrary),
        two.ed25519_verify(&key, message, &arbitrary)
    );
}

/// ML-DSA-65: the same key, signatures that the other library accepts, and one that is changed.
fn second_signatures(seed: &Secret, patch: &[u8], message: &[u8]) {
    let key = pure().mldsa_public(seed);
    assert_eq!(key, aws_lc().mldsa_public(seed));
    for (signer, verifier) in crossings() {
        let genuine = signer.mldsa_sign(seed, message);
        assert!(verifier.mldsa_verify(&key, message, &genuine));
        let mut changed = genuine.clone();
        change(changed.as_mut_slice(), patch);
        let verdict = verifier.mldsa_verify(&key, message, &changed);
        assert_eq!(verdict, signer.mldsa_verify(&key, message, &changed));
        assert_eq!(verdict, changed == genuine);
    }
}

fn encapsulation(data: &[u8]) {
    let (patch, data) = array::<6>(data);
    let secret = pure().kem_generate(&mut SeededRandom::new(3));
    let mut public = secret.public();
    change(&mut public, &patch);
    let mut arbitrary = [0; KEM_PUBLIC_LEN];
    for (to, from) in arbitrary.iter_mut().zip(data.iter().cycle()) {
        *to = *from;
    }
    for public in [public, arbitrary] {
        let mut random = SeededRandom::new(4);
        let one = pure().kem_encapsulate(&public, &mut random);
        let two = aws_lc().kem_encapsulate(&public, &mut random);
        assert_eq!(one.is_ok(), two.is_ok(), "which keys are refused");
        for (ciphertext, shared) in [one, two].into_iter().flatten() {
            let opened = secret.decapsulate(&ciphertext);
            let same = opened.is_ok_and(|opened| opened == shared);
            assert_eq!(same, public == secret.public());
        }
    }
}

fn ciphers(data: &[u8]) {
    let (key, data) = array::<32>(data);
    let (nonce, data) = array(data);
    let (sample, data) = array(data);
    let (patch, data) = array::<4>(data);
    let (aad, text) = data.split_at(data.len() / 4);
    for suite in CipherSuite::ALL {
        let (key, _) = key.split_at(suite.key_len());
        let mut seen = Vec::new();
        for (sealer, opener) in crossings() {
            let (Ok(sealing), Ok(opening)) = (sealer.aead(suite, key), opener.aead(suite, key))
            else {
                panic!("a key of the right length");
            };
            let mut sealed = [text, &[0; TAG_LEN]].concat();
            sealing.seal(nonce, aad, &mut sealed);
            let mask = sealer.header_key(suite, key).map(|key| key.mask(&sample));
            seen.push((sealed.clone(), mask.ok()));
            let mut changed = sealed.clone();
            change(&mut changed, &patch);
            let forged = changed != sealed;
            let verdict = opening.open(nonce, aad, &mut changed);
            assert_eq!(verdict.is_err(), forged);
            if !forged {
                assert!(changed.starts_with(text));
            }
        }
        assert!(matches!(seen.as_slice(), [one, two] if one == two));
    }
}

/// A train of packets sealed with one library and opened with the other, through key updates.
fn packets(data: &[u8]) {
    let limits = KeyLimits {
        update: 3,
        confidentiality: 1 << 20,
        integrity: 1 << 20,
        interval: core::time::Duration::from_secs(3_600),
    };
    let secret = |byte| Zeroizing::new([byte; 32]);
    let mut wire = Vec::new();
    for (sealer, opener) in crossings() {
        let suite = CipherSuite::ALL[data.len() % 2];
        let mut sender = SealedProtection::new(&sealer, suite, secret(1), secret(2), limits);
        let mut receiver = SealedProtection::new(&opener, suite, secret(2), secret(1), limits);
        let mut bytes = Vec::new();
        for (number, chunk) in (0..).zip(data.chunks(40).take(12)) {
            let mut packet = vec![7; 32];
            packet.extend_from_slice(chunk);
            packet.extend([0; TAG_LEN]);
            let (clear, phase) = (packet.clone(), sender.key_phase());
            sender.seal(PacketNumber(number), &mut packet);
            bytes.extend_from_slice(&packet);
            if chunk.len() % 5 == 4 {
                change(&mut packet, chunk);
                let genuine = bytes.ends_with(&packet);
                receiver.unmask(&mut packet);
                let opened = receiver.open(PacketNumber(number), phase, &mut packet);
                assert_eq!(opened.is_ok(), genuine);
            } else {
                assert!(receiver.unmask(&mut packet));
                let opened = receiver.open(PacketNumber(number), phase, &mut packet);
                assert_eq!(opened, Ok(chunk.len()));
                assert!(packet.starts_with(clear.split_at(clear.len() - TAG_LEN).0));
            }
            sender.on_acknowledged(PacketNumber(number));
        }
        wire.push(bytes);
    }
    assert!(matches!(wire.as_slice(), [one, two] if one == two));
}

struct Acceptors {
    both: [SessionAcceptor; 2],
    syn: Vec<u8>,
}

thread_local! {
    // No SYN changes an acceptor.
    static ACCEPTORS: Acceptors = {
        let config = SessionConfig::default();
        let answering = Arc::new(Identity::from_seed([2; 32]));
        let node_id = answering.node_id();
        let acceptor = |provider| {
            let mut random = SeededRandom::new(1);
            SessionAcceptor::new(Arc::clone(&answering), config.clone(), provider, &mut random)
        };
        let both = [acceptor(pure()), acceptor(aws_lc())];
        let asking = Arc::new(Identity::from_seed([1; 32]));
        let mut random = SeededRandom::new(0);
        let mut initiator =
            SessionInitiator::new(asking, config.clone(), pure(), Some(node_id), &mut random);
        let syn = initiator.syn(b"params", &[]);
        Acceptors { both, syn }
    };
}

/// The same SYN, genuine or changed, to an acceptor of each library.
fn acceptors(data: &[u8]) {
    ACCEPTORS.with(|Acceptors { both, syn }| {
        let mut syn = syn.clone();
        change(&mut syn, data);
        let decide = |acceptor: &SessionAcceptor| {
            let syn = Syn {
                from: SocketAddr::from((Ipv4Addr::LOCALHOST, 7)),
                payload: &syn,
                under_load: data.len() % 2 == 1,
            };
            match acceptor.on_syn(Instant::ZERO, &syn, b"params", &mut SeededRandom::new(5)) {
                SynDecision::Accept(responder) => (1, responder.syn_ack().len()),
                SynDecision::Retry(retry) => (2, retry.len()),
                SynDecision::Ignore => (3, 0),
            }
        };
        let [one, two] = both.each_ref().map(decide);
        assert_eq!(one, two);
    });
}
