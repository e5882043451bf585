//! Which key exchange a handshake ends with, and who has a say in it (`docs/session.md` S-SUITE-7).

use std::sync::Mutex;

use dunlin_transport::Instant;
use dunlin_transport::protect::{
    Acceptor, HandshakeError, Initiator, Responder, Syn as IncomingSyn, SynDecision, Verdict,
};

use super::messages::{MAC_LEN, SYN_CONTENT_LEN};
use super::*;
use crate::access::RefusalLogger;
use crate::error::Refusal;
use crate::fuzzing::SeededRandom;
use crate::key_exchange::KeyExchange::{Classical, Hybrid};
use crate::limits::{SYN_LEN, TOKEN_LEN};
use crate::provider::KEM_PUBLIC_LEN;
use crate::schedule::{mac1_key, network_id};
use crate::testing::{provider, providers};

struct Scene {
    initiator: SessionInitiator,
    acceptor: SessionAcceptor,
    random: SeededRandom,
    told: Arc<Mutex<Vec<Refusal>>>,
}

/// Two ends with these settings.
fn scene(
    (one, one_provider): (KeyExchange, Arc<dyn CryptoProvider>),
    (two, two_provider): (KeyExchange, Arc<dyn CryptoProvider>),
) -> Scene {
    let mut random = SeededRandom::new(5);
    let (initiator, responder) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let config = |key_exchange| SessionConfig {
        key_exchange,
        ..SessionConfig::default()
    };
    let expected = Some(responder.node_id());
    Scene {
        initiator: SessionInitiator::new(
            Arc::new(initiator),
            config(one),
            one_provider,
            expected,
            &mut random,
        ),
        acceptor: SessionAcceptor::new(
            Arc::new(responder),
            SessionConfig {
                refusals: Some(RefusalLogger::new(move |_, refusal| {
                    log.lock().unwrap().push(refusal);
                })),
                ..config(two)
            },
            two_provider,
            &mut random,
        ),
        random,
        told,
    }
}

impl Scene {
    fn respond(&mut self, payload: &[u8]) -> Option<Box<dyn Responder>> {
        let syn = IncomingSyn {
            from: "192.0.2.7:4000".parse().unwrap(),
            payload,
            under_load: false,
        };
        let decision = self
            .acceptor
            .on_syn(Instant::ZERO, &syn, b"", &mut self.random);
        match decision {
            SynDecision::Accept(responder) => Some(responder),
            SynDecision::Retry(_) | SynDecision::Ignore => None,
        }
    }

    /// The initiator's view and the responder's verdict, without disturbance.
    fn complete(&mut self) -> (Established, Verdict) {
        let syn = self.initiator.syn(b"", &[]);
        let responder = self.respond(&syn).expect("the SYN is acceptable");
        let (confirm, at_initiator) = self.initiator.on_syn_ack(responder.syn_ack()).unwrap();
        (at_initiator, responder.on_confirm(&confirm).unwrap())
    }
}

fn peer(established: &Established) -> &PeerInfo {
    PeerInfo::from_identity(&established.peer).unwrap()
}

#[test]
fn both_ends_set_to_classical_agree_on_it_with_either_provider() {
    for one in providers() {
        for two in providers() {
            let mut scene = scene((Classical, Arc::clone(&one)), (Classical, two));
            let (at_initiator, Verdict::Accept(at_responder)) = scene.complete() else {
                panic!("both ends want it")
            };
            let (a, b) = (peer(&at_initiator), peer(&at_responder));
            assert_eq!((a.key_exchange, b.key_exchange), (Classical, Classical));
            assert_eq!(a.channel_binding(), b.channel_binding());
        }
    }
}

#[test]
fn a_hybrid_offer_gets_the_hybrid_exchange_from_either_setting() {
    for setting in [Hybrid, Classical] {
        let mut scene = scene((Hybrid, provider()), (setting, provider()));
        let (at_initiator, Verdict::Accept(at_responder)) = scene.complete() else {
            panic!("hybrid is always enough")
        };
        assert_eq!(peer(&at_initiator).key_exchange, Hybrid);
        assert_eq!(peer(&at_responder).key_exchange, Hybrid);
    }
}

#[test]
fn a_classical_offer_to_a_hybrid_node_is_refused_with_a_reason_on_both_sides() {
    let mut scene = scene((Classical, provider()), (Hybrid, provider()));
    let (_, Verdict::Refuse { code, reason, .. }) = scene.complete() else {
        panic!("a classical key exchange was accepted")
    };
    let refusal = Refusal::ClassicalKeyExchange;
    assert_eq!((code, reason), (refusal.code(), refusal.reason()));
    assert_eq!(*scene.told.lock().unwrap(), [refusal]);
}

#[test]
fn a_responder_cannot_choose_the_classical_exchange_by_itself() {
    let mut scene = scene((Hybrid, provider()), (Classical, provider()));
    let syn = scene.initiator.syn(b"", &[]);
    for (choice, believed) in [(Classical, false), (Hybrid, true)] {
        let chosen = (choice, CipherSuite::Aes128Gcm);
        let responder = scene.acceptor.answer_with(&syn, chosen, &mut scene.random);
        let result = scene.initiator.on_syn_ack(responder.unwrap().syn_ack());
        assert_eq!(result.is_ok(), believed, "{choice:?}");
        assert!(!matches!(result, Err(HandshakeError::Fatal(_))));
    }
}

/// Somebody on the path, who knows the node ID, makes a classical offer of a hybrid one. The
/// responder, who is set to accept such offers, answers; nobody ends up with a connection.
#[test]
fn nobody_on_the_path_can_take_ml_kem_out_of_an_offer() {
    let mut scene = scene((Hybrid, provider()), (Classical, provider()));
    let mut syn = scene.initiator.syn(b"", &[]);
    syn[2] = Classical.bit();
    syn[40..40 + KEM_PUBLIC_LEN].fill(0);
    let node_id = Identity::from_seed([2; 32]).node_id();
    let network = network_id(&*provider(), "dunlin");
    let key = mac1_key(&*provider(), &network, &node_id);
    let checked = SYN_CONTENT_LEN + TOKEN_LEN;
    let mac = provider().hmac_sha256(&key, &[&syn[..checked]]);
    syn[checked..SYN_LEN].copy_from_slice(&mac[..MAC_LEN]);
    let responder = scene.respond(&syn).expect("it is a classical offer");
    let mut answer = responder.syn_ack().to_vec();
    assert!(scene.initiator.on_syn_ack(&answer).is_err());
    answer[1] = Hybrid.wire();
    assert!(scene.initiator.on_syn_ack(&answer).is_err());
    let genuine = scene.initiator.syn(b"", &[]);
    assert!(!responder.is_same_syn(&genuine));
    let (at_initiator, _) = scene.complete();
    assert_eq!(peer(&at_initiator).key_exchange, Hybrid);
}
