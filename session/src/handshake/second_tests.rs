//! The post-quantum proof: who asks, who proves, and every way to fail.

use std::sync::{Arc, Mutex};

use dunlin_transport::Instant;
use dunlin_transport::protect::{
    Acceptor, Established, HandshakeError, Initiator, SessionMessageError, Syn, SynDecision,
    Verdict,
};

use super::*;
use crate::access::{PostQuantum, RefusalLogger};
use crate::error::Refusal;
use crate::fuzzing::SeededRandom;
use crate::provider::MLDSA_PUBLIC_LEN;
use crate::second_proof::MESSAGE_LEN;
use crate::testing::{provider, providers};

/// One end: whether it has a second key, and what it wants of the other.
#[derive(Clone, Copy)]
struct End {
    hybrid: bool,
    wants: PostQuantum,
}

const fn end(hybrid: bool, wants: PostQuantum) -> End {
    End { hybrid, wants }
}

fn identity(end: End, seed: u8) -> Identity {
    if end.hybrid {
        Identity::hybrid([seed; 32], [seed + 100; 32], &*provider())
    } else {
        Identity::from_seed([seed; 32])
    }
}

fn config(end: End) -> SessionConfig {
    SessionConfig {
        post_quantum: end.wants,
        ..SessionConfig::default()
    }
}

type Outcome = Result<(Established, Verdict), HandshakeError>;

/// A handshake between these ends, with these settings for the responder.
fn handshake_with(
    (initiator, initiator_provider): (End, Arc<dyn CryptoProvider>),
    (responder, responder_provider): (Identity, Arc<dyn CryptoProvider>),
    config_of_responder: SessionConfig,
) -> Outcome {
    let mut random = SeededRandom::new(1);
    let mut opening = SessionInitiator::new(
        Arc::new(identity(initiator, 1)),
        config(initiator),
        initiator_provider,
        Some(responder.node_id()),
        &mut random,
    );
    let acceptor = SessionAcceptor::new(
        Arc::new(responder),
        config_of_responder,
        responder_provider,
        &mut random,
    );
    let payload = opening.syn(b"i", &[]);
    let syn = Syn {
        from: "192.0.2.7:4000".parse().unwrap(),
        payload: &payload,
        under_load: false,
    };
    let SynDecision::Accept(half) = acceptor.on_syn(Instant::ZERO, &syn, b"r", &mut random) else {
        panic!("the SYN is genuine")
    };
    let (confirm, at_initiator) = opening.on_syn_ack(half.syn_ack())?;
    Ok((at_initiator, half.on_confirm(&confirm)?))
}

fn handshake(initiator: End, responder: End) -> Outcome {
    handshake_with(
        (initiator, provider()),
        (identity(responder, 2), provider()),
        config(responder),
    )
}

fn accepted(outcome: Outcome) -> (Established, Established) {
    match outcome {
        Ok((at_initiator, Verdict::Accept(at_responder))) => (at_initiator, at_responder),
        Ok((_, Verdict::Refuse { reason, .. })) => panic!("refused: {reason}"),
        Err(error) => panic!("{error}"),
    }
}

fn is_proven(established: &Established) -> bool {
    PeerInfo::from_identity(&established.peer)
        .unwrap()
        .post_quantum
}

#[test]
fn each_end_proves_what_it_has_to_who_asks() {
    use PostQuantum::{Off, Preferred, Required};
    for one in [false, true] {
        for two in [false, true] {
            for one_wants in [Off, Preferred, Required] {
                for two_wants in [Off, Preferred, Required] {
                    if (one_wants == Required && !two) || (two_wants == Required && !one) {
                        continue;
                    }
                    let (mut a, mut b) =
                        accepted(handshake(end(one, one_wants), end(two, two_wants)));
                    let (a_waits, b_waits) = (one_wants != Off && two, two_wants != Off && one);
                    assert_eq!(a.protection.is_ready(), !a_waits);
                    assert_eq!(b.protection.is_ready(), !b_waits);
                    let from_a = a.protection.poll_session_message();
                    let from_b = b.protection.poll_session_message();
                    assert_eq!((from_b.is_some(), from_a.is_some()), (a_waits, b_waits));
                    for (message, to) in [(from_b, &mut a), (from_a, &mut b)] {
                        if let Some(message) = message {
                            assert_eq!(message.len(), MESSAGE_LEN);
                            to.protection.on_session_message(&message).unwrap();
                        }
                        assert!(to.protection.is_ready());
                        assert!(to.protection.poll_session_message().is_none());
                    }
                    assert_eq!((is_proven(&a), is_proven(&b)), (a_waits, b_waits));
                }
            }
        }
    }
}

#[test]
fn the_providers_believe_each_other() {
    let hybrid = end(true, PostQuantum::Required);
    for one in providers() {
        for two in providers() {
            let (mut a, mut b) = accepted(handshake_with(
                (hybrid, Arc::clone(&one)),
                (identity(hybrid, 2), two),
                config(hybrid),
            ));
            let (from_a, from_b) = (
                a.protection.poll_session_message().unwrap(),
                b.protection.poll_session_message().unwrap(),
            );
            a.protection.on_session_message(&from_b).unwrap();
            b.protection.on_session_message(&from_a).unwrap();
            assert!(a.protection.is_ready() && b.protection.is_ready());
        }
    }
}

#[test]
fn a_classical_end_is_refused_with_a_reason_where_post_quantum_is_required() {
    let (classical, strict) = (
        end(false, PostQuantum::Off),
        end(true, PostQuantum::Required),
    );
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let responder = identity(strict, 2);
    let outcome = handshake_with(
        (classical, provider()),
        (responder, provider()),
        SessionConfig {
            refusals: Some(RefusalLogger::new(move |id, refusal| {
                log.lock().unwrap().push((*id, refusal));
            })),
            ..config(strict)
        },
    );
    let Ok((
        _,
        Verdict::Refuse {
            code,
            mut established,
            ..
        },
    )) = outcome
    else {
        panic!("a classical initiator was accepted")
    };
    assert_eq!(Refusal::from_code(code), Some(Refusal::ClassicalOnly));
    let message = established.protection.poll_session_message();
    assert!(message.is_none(), "nothing is proven to who is refused");
    let id = identity(classical, 1).node_id();
    assert_eq!(*told.lock().unwrap(), [(id, Refusal::ClassicalOnly)]);

    let error = handshake(strict, classical).err();
    let reason = Refusal::ClassicalOnly.own_reason();
    assert_eq!(error, Some(HandshakeError::Fatal(reason)));
}

/// The initiator's message of a connection, and the responder that waits for it.
fn waiting() -> (Vec<u8>, Established) {
    let (mut a, b) = accepted(handshake(
        end(true, PostQuantum::Off),
        end(false, PostQuantum::Preferred),
    ));
    (a.protection.poll_session_message().unwrap(), b)
}

#[test]
fn a_flipped_bit_anywhere_in_the_proof_ends_the_connection() {
    let (message, _) = waiting();
    let step = 397;
    for bit in (8..MESSAGE_LEN * 8)
        .step_by(step)
        .chain([8, MESSAGE_LEN * 8 - 1])
    {
        let (_, mut b) = waiting();
        let mut changed = message.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let error = b.protection.on_session_message(&changed).unwrap_err();
        let SessionMessageError::Refused { code, .. } = error else {
            panic!("bit {bit}: {error}")
        };
        assert_eq!(Refusal::from_code(code), Some(Refusal::SecondProofFailed));
        assert!(!b.protection.is_ready());
    }
}

#[test]
fn a_proof_of_another_length_or_kind_is_malformed() {
    let (message, _) = waiting();
    let longer = [&message[..], &[0]].concat();
    let mut other_kind = message.clone();
    other_kind[0] = 2;
    for wrong in [
        &[][..],
        &[1],
        &message[..MESSAGE_LEN - 1],
        &longer,
        &other_kind,
    ] {
        let (_, mut b) = waiting();
        let error = b.protection.on_session_message(wrong).unwrap_err();
        assert_eq!(error, SessionMessageError::Malformed);
        assert!(!b.protection.is_ready());
    }
}

#[test]
fn a_proof_that_nobody_asked_for_is_malformed() {
    let (message, _) = waiting();
    let (mut a, mut b) = waiting_pair(PostQuantum::Off);
    for established in [&mut a, &mut b] {
        let error = established.protection.on_session_message(&message);
        assert_eq!(error, Err(SessionMessageError::Malformed));
    }
    let (message, mut b) = waiting();
    b.protection.on_session_message(&message).unwrap();
    let again = b.protection.on_session_message(&message);
    assert_eq!(again, Err(SessionMessageError::Malformed));
}

fn waiting_pair(wants: PostQuantum) -> (Established, Established) {
    accepted(handshake(end(true, wants), end(true, wants)))
}

#[test]
fn the_proof_of_another_connection_or_of_the_other_end_is_refused() {
    let (mut a, mut b) = waiting_pair(PostQuantum::Preferred);
    let from_a = a.protection.poll_session_message().unwrap();
    let from_b = b.protection.poll_session_message().unwrap();
    // Reflected.
    assert!(a.protection.on_session_message(&from_a).is_err());
    assert!(b.protection.on_session_message(&from_b).is_err());
    // Replayed: another connection of the same two, with other ephemeral keys.
    let hybrid = end(true, PostQuantum::Preferred);
    let (_, mut other) = accepted(handshake_with(
        (hybrid, crate::provider::aws_lc()),
        (identity(hybrid, 2), provider()),
        config(hybrid),
    ));
    assert!(other.protection.on_session_message(&from_a).is_err());
}

#[test]
fn a_key_that_the_node_id_does_not_commit_to_proves_nothing() {
    // It says it has the key of another node, and signs with one of its own.
    let commitment = identity(end(true, PostQuantum::Off), 1)
        .public()
        .mldsa_commitment;
    let mut liar = Identity::hybrid([2; 32], [9; 32], &*provider());
    liar.claim_commitment(commitment);
    let (mut a, mut b) = accepted(handshake_with(
        (end(false, PostQuantum::Preferred), provider()),
        (liar, provider()),
        SessionConfig::default(),
    ));
    let message = b.protection.poll_session_message().unwrap();
    assert_eq!(message.len() - 1 - MLDSA_PUBLIC_LEN, 3_309);
    let error = a.protection.on_session_message(&message).unwrap_err();
    assert!(matches!(error, SessionMessageError::Refused { .. }));
    assert!(!a.protection.is_ready());
}
