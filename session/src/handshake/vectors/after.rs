//! The test vectors of `docs/session-vectors.md`: what follows the handshake (second proof, fresh
//! key exchange, stateless reset), on the connection of `docs/session.md`, chapter 11.

use dunlin_transport::ConnectionId;
use dunlin_transport::wire::reset::ResetToken;

use super::super::reset::{reset_key, reset_token};
use super::*;
use crate::reauth::Reauthentication;
use crate::rekey::{Due, Fresh, Rekey};
use crate::second_proof::SecondProof;
use crate::testing::providers;

const DOCUMENT: &str = include_str!("../../../../docs/session-vectors.md");

const DUE: Due = Due {
    interval: core::time::Duration::from_secs(1),
    bytes: u64::MAX,
};

/// The value of a vector in the document.
fn published(name: &str) -> Vec<u8> {
    let (_, block) = DOCUMENT.split_once("```text vectors\n").unwrap();
    let lines = block.lines().skip_while(|line| *line != name).skip(1);
    let digits: String = lines
        .take_while(|line| line.starts_with("    "))
        .map(str::trim)
        .collect();
    assert!(!digits.is_empty(), "no vector {name}");
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn peers(wire: &Wire) -> [&PeerInfo; 2] {
    [&wire.at_initiator, &wire.at_responder].map(|end| PeerInfo::from_identity(&end.peer).unwrap())
}

fn hybrid(side: Side) -> Identity {
    match side {
        Side::Initiator => Identity::hybrid([1; 32], [0x0a; 32], &*pure()),
        Side::Responder => Identity::hybrid([2; 32], [0x0b; 32], &*pure()),
    }
}

fn add_second_proof(vectors: &mut Vectors, wire: &Wire) {
    vectors.add("auth2_exporter", &peers(wire)[0].exporter(b"auth2"));
    for (side, name) in [
        (Side::Initiator, "initiator"),
        (Side::Responder, "responder"),
    ] {
        let identity = hybrid(side);
        let commitment = identity.public().mldsa_commitment;
        vectors.add(&format!("{name}_mldsa_commitment"), &commitment);
        let node_id = identity.node_id();
        vectors.add(&format!("{name}_hybrid_node_id"), node_id.as_bytes());
        let mut proof = SecondProof::default();
        proof.prove(&identity, side, peers(wire)[0]);
        let message = proof.take_ours().unwrap();
        vectors.add(&format!("{name}_auth2"), &message);
    }
}

/// Both ends of the exchange, and what they agree on.
fn exchange(wire: &Wire) -> (Vec<u8>, Vec<u8>, [Fresh; 2]) {
    let end = |side, seed: u8, end: &Established, script| {
        let identity = Arc::new(Identity::from_seed([seed; 32]));
        let peer = Arc::clone(&end.peer).downcast().unwrap();
        Rekey::new((side, DUE), &identity, &peer, Box::new(Script(script)))
    };
    let mut one = end(Side::Initiator, 1, &wire.at_initiator, 0x20);
    let mut two = end(Side::Responder, 2, &wire.at_responder, 0x30);
    one.on_time(Instant::from_nanos(0));
    one.on_time(Instant::from_nanos(1_000_000_000));
    let offer = one.poll().unwrap();
    let of_two = two.on_message(&offer, 0).unwrap();
    let answer = two.poll().unwrap();
    let of_one = one.on_message(&answer, 0).unwrap();
    (offer, answer, [of_one, of_two])
}

/// By the formulas of S-RK; the code has to come to the same.
fn add_exchange(vectors: &mut Vectors, wire: &Wire) {
    let provider = &*pure();
    let (offer, answer, agreed) = exchange(wire);
    let binding = peers(wire)[0].exporter(b"rekey");
    vectors.add("rekey_binding", &binding);
    vectors.add("rekey_offer", &offer);
    vectors.add("rekey_answer", &answer);
    let [one, two] = [0x20, 0x30].map(|byte| Zeroizing::new([byte; 32]));
    let x25519 = provider
        .x25519(&one, &provider.x25519_public(&two))
        .unwrap();
    vectors.add("rekey_x25519_shared", &*x25519);
    let kem = provider.kem_generate(&mut Script(0x21));
    let ciphertext = answer[41..41 + 1_088].try_into().unwrap();
    let kem = kem.decapsulate(ciphertext).unwrap();
    vectors.add("rekey_ml_kem_shared", &*kem);
    let salt = provider.sha256(&[&binding, &offer, &answer]);
    let fresh = extract(provider, &salt, &[&*kem, &*x25519]);
    vectors.add("rekey_fresh", &*fresh);
    for agreed in agreed {
        assert_eq!((agreed.generation, *agreed.secret), (1, *fresh));
    }
    for side in ["ap_i", "ap_r"] {
        let before: [u8; 32] = session_vector(&format!("{side}_next_secret"));
        let after = extract(provider, &before, &[&*fresh]);
        vectors.add(&format!("rekey_{side}_of_generation_1"), &*after);
    }
}

/// The same handshake with the classical key exchange, by the formulas of S-KEY-1.
fn add_classical(vectors: &mut Vectors) {
    let provider = &*pure();
    let wire = wire_with(KeyExchange::Classical);
    vectors.add("classical_syn", &wire.syn);
    vectors.add("classical_syn_ack", &wire.syn_ack);
    vectors.add("classical_confirm", &wire.confirm);
    let [one, two] = [1, 2].map(|seed| Identity::from_seed([seed; 32]).node_id());
    let network = network_id(provider, "vectors");
    let th1 = th1(provider, &network, &wire.syn[..SYN_CONTENT_LEN], &two);
    let (clear, sealed) = wire.syn_ack.split_at(SYN_ACK_CLEAR_LEN);
    let th2 = th2(provider, &th1, clear);
    let public = provider.x25519_public(&Zeroizing::new([6; 32]));
    let x25519 = provider.x25519(&Zeroizing::new([3; 32]), &public).unwrap();
    let hs = extract(provider, &th2, &[&*x25519]);
    vectors.add("classical_hs", &*hs);
    let ms = Expander::new(provider, &hs).derive("ms", &[]);
    let th3 = th3(provider, &th2, sealed, &one);
    for (name, label) in [("ap_i", "ap i"), ("ap_r", "ap r"), ("exp", "exp")] {
        let secret = Expander::new(provider, &ms).derive(label, &th3);
        vectors.add(&format!("classical_{name}"), &*secret);
        for end in peers(&wire).iter().filter(|_| name == "exp") {
            assert_eq!(*end.exporter, *secret);
        }
    }
}

fn add_answers(vectors: &mut Vectors, wire: &Wire) {
    let binding = peers(wire)[0].exporter(b"reauthentication");
    vectors.add("reauthentication_binding", &binding);
    for (seed, side, name) in [
        (1, Side::Initiator, "initiator"),
        (2, Side::Responder, "responder"),
    ] {
        let identity = Arc::new(Identity::from_seed([seed; 32]));
        let end = &[&wire.at_initiator, &wire.at_responder][usize::from(seed == 2)];
        let peer = Arc::clone(&end.peer).downcast().unwrap();
        let mut asked = Reauthentication::new(side, &identity, &peer);
        asked.on_message(&[&[4][..], &[0x0c; 32]].concat()).unwrap();
        vectors.add(&format!("{name}_answer"), &asked.poll().unwrap());
    }
}

/// A vector of `docs/session.md`.
fn session_vector<const N: usize>(name: &str) -> [u8; N] {
    let document = include_str!("../../../../docs/session.md");
    let (_, block) = document.split_once("```text vectors\n").unwrap();
    let line = block.lines().skip_while(|line| *line != name).nth(1);
    let digits = line.unwrap().trim();
    core::array::from_fn(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
}

fn add_reset(vectors: &mut Vectors) {
    let network = network_id(&*pure(), "vectors");
    let key = reset_key(&*pure(), &[2; 32], &network);
    vectors.add("reset_key", &*key);
    let from: SocketAddr = "192.0.2.7:4000".parse().unwrap();
    let token: ResetToken = reset_token(&*pure(), &key, from, ConnectionId(0x0102_0304));
    vectors.add("reset_token", &token);
}

#[test]
fn the_vectors_after_the_handshake_are_those_of_the_code() {
    let wire = wire();
    let mut vectors = Vectors::default();
    add_second_proof(&mut vectors, &wire);
    add_exchange(&mut vectors, &wire);
    add_reset(&mut vectors);
    add_classical(&mut vectors);
    add_answers(&mut vectors, &wire);
    let (_, written) = DOCUMENT.split_once("```text vectors\n").unwrap();
    let (written, _) = written.split_once("```").unwrap();
    assert!(
        written == vectors.0,
        "docs/session-vectors.md; they should be:\n{}",
        vectors.0
    );
}

#[test]
fn both_providers_believe_the_published_second_proofs_and_no_other() {
    let wire = wire();
    for provider in providers() {
        for (side, name) in [
            (Side::Initiator, "initiator"),
            (Side::Responder, "responder"),
        ] {
            let peer = PeerInfo {
                public: *hybrid(side).public(),
                exporter: Zeroizing::new(session_vector("exp")),
                provider: Arc::clone(&provider),
                user_agent: String::new(),
                ..*peers(&wire)[0]
            };
            let mut proof = SecondProof::default();
            proof.demand(side.peer(), &peer, None);
            let mut message = published(&format!("{name}_auth2"));
            message[3_000] ^= 1;
            assert!(proof.on_message(&message).is_err());
            message[3_000] ^= 1;
            assert_eq!(proof.on_message(&message), Ok(()), "{name}");
            assert!(proof.is_complete());
        }
    }
}

#[test]
fn the_published_answer_completes_the_published_offer() {
    let wire = wire();
    let (offer, answer, [agreed, _]) = exchange(&wire);
    assert_eq!(offer, published("rekey_offer"));
    assert_eq!(answer, published("rekey_answer"));
    assert_eq!(agreed.secret.as_slice(), published("rekey_fresh"));
}
