//! Handshakes that succeed, and every way to disturb one that must not matter.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use dunlin_transport::protect::{
    Acceptor, Established, HandshakeError, Initiator, Random, Responder, Syn as IncomingSyn,
    SynDecision, Verdict,
};
use dunlin_transport::{Instant, PacketNumber};

use super::messages::{MAC_LEN, SYN_CONTENT_LEN};
use super::*;
use crate::error::Refusal;
use crate::fuzzing::SeededRandom;
use crate::identity::Identity;
use crate::limits::{
    CONFIRM_LEN, INITIATOR_PARAMS_MAX, RESPONDER_PARAMS_MAX, RETRY_LEN, SYN_ACK_LEN, SYN_LEN,
    TOKEN_LEN,
};
use crate::node_id::NodeId;
use crate::schedule::{mac1_key, network_id};
use crate::testing::{provider, providers};

const INITIATOR_PARAMS: &[u8] = b"parameters of the initiator";
const RESPONDER_PARAMS: &[u8] = b"and those of the responder";

fn initiator_identity() -> Identity {
    Identity::from_seed([1; 32])
}

fn responder_identity() -> Identity {
    Identity::from_seed([2; 32])
}

/// The two ends of a handshake, before it begins.
struct Scene {
    initiator: SessionInitiator,
    acceptor: SessionAcceptor,
    random: SeededRandom,
}

/// How a scene is made; the default is two honest ends that know each other.
struct Setting {
    seed: u64,
    initiator: SessionConfig,
    responder: SessionConfig,
    expected: Option<NodeId>,
    initiator_provider: Arc<dyn CryptoProvider>,
    responder_provider: Arc<dyn CryptoProvider>,
    initiator_identity: Identity,
    responder_identity: Identity,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            seed: 1,
            initiator: SessionConfig {
                capabilities: 0b0110,
                user_agent: "one/1".to_owned(),
                ..SessionConfig::default()
            },
            responder: SessionConfig {
                capabilities: 0b0011,
                user_agent: "two/2".to_owned(),
                ..SessionConfig::default()
            },
            expected: Some(responder_identity().node_id()),
            initiator_provider: provider(),
            responder_provider: provider(),
            initiator_identity: initiator_identity(),
            responder_identity: responder_identity(),
        }
    }
}

impl Setting {
    fn scene(self) -> Scene {
        let mut random = SeededRandom::new(self.seed);
        let initiator = SessionInitiator::new(
            Arc::new(self.initiator_identity),
            self.initiator,
            self.initiator_provider,
            self.expected,
            &mut random,
        );
        let acceptor = SessionAcceptor::new(
            Arc::new(self.responder_identity),
            self.responder,
            self.responder_provider,
            &mut random,
        );
        Scene {
            initiator,
            acceptor,
            random,
        }
    }

    /// This setting on every pairing of providers.
    fn on_all_providers(make: impl Fn() -> Self) -> Vec<Scene> {
        let mut scenes = Vec::new();
        for initiator_provider in providers() {
            for responder_provider in providers() {
                let setting = Self {
                    initiator_provider: Arc::clone(&initiator_provider),
                    responder_provider,
                    ..make()
                };
                scenes.push(setting.scene());
            }
        }
        scenes
    }
}

fn address() -> SocketAddr {
    "192.0.2.7:4000".parse().unwrap()
}

impl Scene {
    fn syn(&mut self) -> Vec<u8> {
        self.initiator.syn(INITIATOR_PARAMS, &[])
    }

    fn decide(&mut self, payload: &[u8]) -> SynDecision {
        let syn = IncomingSyn {
            from: address(),
            payload,
            under_load: false,
        };
        self.acceptor
            .on_syn(Instant::ZERO, &syn, RESPONDER_PARAMS, &mut self.random)
    }

    fn respond(&mut self, payload: &[u8]) -> Option<Box<dyn Responder>> {
        match self.decide(payload) {
            SynDecision::Accept(responder) => Some(responder),
            SynDecision::Retry(_) | SynDecision::Ignore => None,
        }
    }

    /// The whole handshake without disturbance: the initiator's view and the responder's.
    fn complete(&mut self) -> (Established, Established) {
        let syn = self.syn();
        let responder = self.respond(&syn).expect("the SYN is acceptable");
        self.complete_with(&*responder)
    }

    fn complete_with(&self, responder: &dyn Responder) -> (Established, Established) {
        let (confirm, at_initiator) = self.initiator.on_syn_ack(responder.syn_ack()).unwrap();
        assert_eq!(confirm.len(), CONFIRM_LEN);
        (at_initiator, accepted(responder.on_confirm(&confirm)))
    }
}

fn accepted(verdict: Result<Verdict, HandshakeError>) -> Established {
    match verdict.expect("the confirm message is genuine") {
        Verdict::Accept(established) => established,
        Verdict::Refuse { reason, .. } => panic!("refused: {reason}"),
    }
}

fn peer(established: &Established) -> &PeerInfo {
    PeerInfo::from_identity(&established.peer).unwrap()
}

/// Makes the first check of a changed SYN right again, as who knows the node ID can.
fn remac(syn: &mut [u8], addressee: NodeId) {
    let provider = provider();
    let key = mac1_key(&*provider, &network_id(&*provider, "dunlin"), &addressee);
    let (checked, mac1) = syn.split_at_mut(SYN_LEN - MAC_LEN);
    mac1.copy_from_slice(&provider.hmac_sha256(&key, &[checked])[..MAC_LEN]);
}

/// A packet goes from one end to the other and back.
fn assert_connected(a: &mut Established, b: &mut Established) {
    for (from, to, number) in [(0, 1, 7), (1, 0, 7)] {
        let ends = [&mut a.protection, &mut b.protection];
        let text = [[9; 32].as_slice(), b"some text", &[0; 16]].concat();
        let mut packet = text.clone();
        ends[from].seal(PacketNumber(number), &mut packet);
        assert_ne!(packet[32..41], text[32..41]);
        assert!(ends[to].unmask(&mut packet));
        assert_eq!(packet[..32], text[..32]);
        assert_eq!(
            ends[to].open(PacketNumber(number), false, &mut packet),
            Ok(9)
        );
        assert_eq!(&packet[32..41], b"some text");
    }
}

#[test]
fn both_ends_agree_on_every_pairing_of_providers() {
    for mut scene in Setting::on_all_providers(Setting::default) {
        let (mut at_initiator, mut at_responder) = scene.complete();
        assert_connected(&mut at_initiator, &mut at_responder);
        assert_eq!(at_initiator.peer_params, RESPONDER_PARAMS);
        assert_eq!(at_responder.peer_params, INITIATOR_PARAMS);
        let (r, i) = (peer(&at_initiator), peer(&at_responder));
        assert_eq!(r.public, *responder_identity().public());
        assert_eq!(i.public, *initiator_identity().public());
        assert_eq!(
            (r.node_id, i.node_id),
            (r.public.node_id(), i.public.node_id())
        );
        assert_eq!((r.capabilities, i.capabilities), (0b0011, 0b0110));
        assert_eq!(
            (r.user_agent.as_str(), i.user_agent.as_str()),
            ("two/2", "one/1")
        );
        assert_eq!((r.version, i.version), (PROTOCOL_VERSION, PROTOCOL_VERSION));
        assert_eq!(r.cipher, i.cipher);
        assert_eq!(r.exporter(b"x"), i.exporter(b"x"));
        assert_ne!(r.exporter(b"x"), i.exporter(b"y"));
        assert_eq!(r.channel_binding(), i.channel_binding());
    }
}

#[test]
fn random_handshakes_across_providers_complete() {
    let all = providers();
    for seed in 0..200 {
        let mut random = SeededRandom::new(seed);
        let mut pick = |count: u32| usize::try_from(random.next_u32() % count).unwrap();
        let ciphers = [
            vec![CipherSuite::Aes128Gcm],
            vec![CipherSuite::ChaCha20Poly1305],
            vec![CipherSuite::Aes128Gcm, CipherSuite::ChaCha20Poly1305],
            vec![CipherSuite::ChaCha20Poly1305, CipherSuite::Aes128Gcm],
        ];
        // One side takes both ciphers, so that there is a common one.
        let (both, any) = (ciphers[2 + pick(2)].clone(), ciphers[pick(4)].clone());
        let (first, second) = if pick(2) == 0 {
            (both, any)
        } else {
            (any, both)
        };
        let network = ["", "dunlin", "a longer name of a network"][pick(3)];
        let config = |ciphers| SessionConfig {
            network: network.to_owned(),
            ciphers,
            ..SessionConfig::default()
        };
        let mut scene = Setting {
            seed,
            initiator: config(first),
            responder: config(second),
            expected: (pick(2) == 0).then(|| responder_identity().node_id()),
            initiator_provider: Arc::clone(&all[pick(2)]),
            responder_provider: Arc::clone(&all[pick(2)]),
            ..Setting::default()
        }
        .scene();
        let (mut at_initiator, mut at_responder) = scene.complete();
        assert_connected(&mut at_initiator, &mut at_responder);
    }
}

#[test]
fn handshakes_with_the_pure_provider_are_reproducible_and_seeds_matter() {
    let transcript = |seed| {
        let mut scene = Setting {
            seed,
            ..Setting::default()
        }
        .scene();
        let syn = scene.syn();
        let responder = scene.respond(&syn).unwrap();
        let (confirm, established) = scene.initiator.on_syn_ack(responder.syn_ack()).unwrap();
        let binding = peer(&established).channel_binding();
        (syn, responder.syn_ack().to_vec(), confirm, binding)
    };
    assert_eq!(transcript(5), transcript(5));
    let (a, b) = (transcript(5), transcript(6));
    assert!(a.0 != b.0 && a.1 != b.1 && a.2 != b.2 && a.3 != b.3);
}

#[test]
fn messages_have_one_size_and_never_amplify() {
    let mut scene = Setting::default().scene();
    let syn = scene.initiator.syn(&[], &[]);
    assert_eq!(syn.len(), SYN_LEN);
    assert_eq!(
        scene
            .initiator
            .syn(&[7; INITIATOR_PARAMS_MAX], &[9; TOKEN_LEN])
            .len(),
        SYN_LEN
    );
    for length in [0, 1, RESPONDER_PARAMS_MAX] {
        let incoming = IncomingSyn {
            from: address(),
            payload: &syn,
            under_load: false,
        };
        let params = vec![7; length];
        let decision = scene
            .acceptor
            .on_syn(Instant::ZERO, &incoming, &params, &mut scene.random);
        let SynDecision::Accept(responder) = decision else {
            panic!("{length} bytes fit")
        };
        assert_eq!(responder.syn_ack().len(), SYN_ACK_LEN);
    }
}

#[test]
fn transport_parameters_that_are_too_long_are_our_own_fault_and_end_the_handshake() {
    let mut scene = Setting::default().scene();
    let syn = scene.initiator.syn(&[7; INITIATOR_PARAMS_MAX + 70], &[]);
    let incoming = IncomingSyn {
        from: address(),
        payload: &syn,
        under_load: false,
    };
    let too_long = [7; RESPONDER_PARAMS_MAX + 1];
    let decision = scene
        .acceptor
        .on_syn(Instant::ZERO, &incoming, &too_long, &mut scene.random);
    assert!(matches!(decision, SynDecision::Ignore));
    let responder = scene.respond(&syn).unwrap();
    let error = scene
        .initiator
        .on_syn_ack(responder.syn_ack())
        .err()
        .unwrap();
    assert!(matches!(error, HandshakeError::Fatal(_)), "{error}");
}

#[test]
fn a_forged_syn_is_met_with_silence_and_the_genuine_one_still_completes() {
    for mut scene in Setting::on_all_providers(Setting::default) {
        let syn = scene.syn();
        for length in (0..syn.len()).step_by(13).chain([syn.len() - 1]) {
            assert!(
                matches!(scene.decide(&syn[..length]), SynDecision::Ignore),
                "{length}"
            );
        }
        assert!(matches!(
            scene.decide(&[&syn[..], &[0]].concat()),
            SynDecision::Ignore
        ));
        for at in 0..syn.len() {
            let mut wrong = syn.clone();
            wrong[at] ^= 1 << (at % 8);
            assert!(
                matches!(scene.decide(&wrong), SynDecision::Ignore),
                "byte {at}"
            );
        }
        let responder = scene.respond(&syn).unwrap();
        scene.complete_with(&*responder);
    }
}

#[test]
fn a_changed_syn_with_a_right_first_check_convinces_nobody() {
    let mut scene = Setting::default().scene();
    let syn = scene.syn();
    let id = responder_identity().node_id();
    for at in 0..SYN_CONTENT_LEN {
        let mut wrong = syn.clone();
        wrong[at] ^= 1 << (at % 8);
        remac(&mut wrong, id);
        if let Some(responder) = scene.respond(&wrong) {
            let result = scene.initiator.on_syn_ack(responder.syn_ack());
            assert!(
                matches!(result, Err(HandshakeError::Rejected(_))),
                "byte {at}"
            );
        }
    }
    // The token is the one part that a third party may change: the keys do not depend on it.
    let mut other = syn.clone();
    other[SYN_CONTENT_LEN] ^= 1;
    remac(&mut other, id);
    let responder = scene.respond(&other).unwrap();
    assert!(responder.is_same_syn(&syn));
    scene.complete_with(&*responder);
}

#[test]
fn a_forged_syn_ack_before_the_genuine_one_changes_nothing() {
    for mut scene in Setting::on_all_providers(Setting::default) {
        let syn = scene.syn();
        let responder = scene.respond(&syn).unwrap();
        let genuine = responder.syn_ack().to_vec();
        for length in (0..genuine.len()).step_by(29).chain([genuine.len() - 1]) {
            let result = scene.initiator.on_syn_ack(&genuine[..length]);
            assert!(
                matches!(result, Err(HandshakeError::Rejected(_))),
                "{length}"
            );
        }
        for at in 0..genuine.len() {
            let mut wrong = genuine.clone();
            wrong[at] ^= 1 << (at % 8);
            let result = scene.initiator.on_syn_ack(&wrong);
            assert!(
                matches!(result, Err(HandshakeError::Rejected(_))),
                "byte {at}"
            );
        }
        scene.complete_with(&*responder);
    }
}

#[test]
fn a_forged_confirm_before_the_genuine_one_changes_nothing() {
    for mut scene in Setting::on_all_providers(Setting::default) {
        let syn = scene.syn();
        let responder = scene.respond(&syn).unwrap();
        let (genuine, mut at_initiator) = scene.initiator.on_syn_ack(responder.syn_ack()).unwrap();
        for length in 0..genuine.len() {
            let result = responder.on_confirm(&genuine[..length]);
            assert!(
                matches!(result, Err(HandshakeError::Rejected(_))),
                "{length}"
            );
        }
        for bit in 0..genuine.len() * 8 {
            let mut wrong = genuine.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            let result = responder.on_confirm(&wrong);
            assert!(
                matches!(result, Err(HandshakeError::Rejected(_))),
                "bit {bit}"
            );
        }
        assert!(
            responder
                .on_confirm(&[&genuine[..], &[0]].concat())
                .is_err()
        );
        let mut at_responder = accepted(responder.on_confirm(&genuine));
        assert_connected(&mut at_initiator, &mut at_responder);
    }
}

#[test]
fn duplicates_lead_to_the_same_connection() {
    for mut scene in Setting::on_all_providers(Setting::default) {
        let syn = scene.syn();
        let responder = scene.respond(&syn).unwrap();
        assert!(responder.is_same_syn(&syn));
        let (confirm, first) = scene.initiator.on_syn_ack(responder.syn_ack()).unwrap();
        let (again, second) = scene.initiator.on_syn_ack(responder.syn_ack()).unwrap();
        assert_eq!(confirm, again);
        assert_eq!(
            peer(&first).channel_binding(),
            peer(&second).channel_binding()
        );
        let (third, fourth) = (
            accepted(responder.on_confirm(&confirm)),
            accepted(responder.on_confirm(&again)),
        );
        assert_eq!(
            peer(&third).channel_binding(),
            peer(&first).channel_binding()
        );
        assert_eq!(
            peer(&third).channel_binding(),
            peer(&fourth).channel_binding()
        );
    }
}

#[test]
fn messages_of_other_handshakes_are_rejected_and_the_genuine_ones_still_complete() {
    for mut scene in Setting::on_all_providers(Setting::default) {
        let mut other = Setting {
            seed: 2,
            ..Setting::default()
        }
        .scene();
        let (syn, other_syn) = (scene.syn(), other.syn());
        // The same SYN, replayed, gets another answer; each belongs to its own confirm message.
        let (first, second) = (scene.respond(&syn).unwrap(), scene.respond(&syn).unwrap());
        assert_ne!(first.syn_ack(), second.syn_ack());
        let foreign = other.respond(&other_syn).unwrap();
        assert!(!first.is_same_syn(&other_syn));
        assert!(!first.is_same_syn(&syn[1..]));
        assert!(scene.initiator.on_syn_ack(foreign.syn_ack()).is_err());
        let (confirm, _) = scene.initiator.on_syn_ack(first.syn_ack()).unwrap();
        let (foreign_confirm, _) = other.initiator.on_syn_ack(foreign.syn_ack()).unwrap();
        assert!(second.on_confirm(&confirm).is_err());
        assert!(first.on_confirm(&foreign_confirm).is_err());
        // Reflection: our own messages are no answer to us.
        assert!(scene.initiator.on_syn_ack(&syn).is_err());
        assert!(first.on_confirm(&first.syn_ack()[..CONFIRM_LEN]).is_err());
        accepted(first.on_confirm(&confirm));
    }
}

#[test]
fn a_wrong_node_id_is_met_with_silence() {
    let mut scene = Setting {
        expected: Some(NodeId::from_bytes([3; 32])),
        ..Setting::default()
    }
    .scene();
    let syn = scene.syn();
    assert!(matches!(scene.decide(&syn), SynDecision::Ignore));
}

#[test]
fn another_node_that_answers_in_its_own_name_is_not_believed() {
    for mut scene in Setting::on_all_providers(|| Setting {
        responder_identity: Identity::from_seed([66; 32]),
        ..Setting::default()
    }) {
        scene.acceptor.answer_for(responder_identity().node_id());
        let syn = scene.syn();
        let responder = scene.respond(&syn).unwrap();
        // Not final: the node that we want can still answer.
        let error = scene
            .initiator
            .on_syn_ack(responder.syn_ack())
            .err()
            .unwrap();
        assert_eq!(
            error,
            HandshakeError::Rejected("the SYN_ACK comes from another node")
        );
        let mut genuine = Setting::default().scene();
        let responder = genuine.respond(&syn).unwrap();
        scene.initiator.on_syn_ack(responder.syn_ack()).unwrap();
    }
}

#[test]
fn a_responder_without_the_key_is_not_believed() {
    for expected in [None, Some(responder_identity().node_id())] {
        for mut scene in Setting::on_all_providers(|| Setting {
            expected,
            responder_identity: Identity::forged([66; 32], *responder_identity().public()),
            ..Setting::default()
        }) {
            let syn = scene.syn();
            let responder = scene.respond(&syn).unwrap();
            let error = scene
                .initiator
                .on_syn_ack(responder.syn_ack())
                .err()
                .unwrap();
            assert_eq!(
                error,
                HandshakeError::Rejected("the responder's signature is wrong")
            );
        }
    }
}

#[test]
fn an_initiator_without_the_key_is_not_believed() {
    for mut scene in Setting::on_all_providers(|| Setting {
        initiator_identity: Identity::forged([66; 32], *initiator_identity().public()),
        ..Setting::default()
    }) {
        let syn = scene.syn();
        let responder = scene.respond(&syn).unwrap();
        let (confirm, _) = scene.initiator.on_syn_ack(responder.syn_ack()).unwrap();
        let error = responder.on_confirm(&confirm).err().unwrap();
        assert_eq!(
            error,
            HandshakeError::Rejected("the initiator's signature is wrong")
        );
    }
}

#[test]
fn an_open_node_answers_strangers_and_a_stealthy_one_does_not() {
    for (open, expected, answers) in [
        (true, None, true),
        (true, Some(responder_identity().node_id()), true),
        (false, None, false),
        (false, Some(responder_identity().node_id()), true),
    ] {
        let mut scene = Setting {
            responder: SessionConfig {
                open,
                ..SessionConfig::default()
            },
            expected,
            ..Setting::default()
        }
        .scene();
        let syn = scene.syn();
        let responder = scene.respond(&syn);
        assert_eq!(
            responder.is_some(),
            answers,
            "open {open}, expected {expected:?}"
        );
        if let Some(responder) = responder {
            let (at_initiator, _) = scene.complete_with(&*responder);
            assert_eq!(peer(&at_initiator).node_id, responder_identity().node_id());
        }
    }
}

#[test]
fn another_network_is_met_with_silence() {
    for expected in [None, Some(responder_identity().node_id())] {
        let other = SessionConfig {
            network: "another".to_owned(),
            ..SessionConfig::default()
        };
        let mut scene = Setting {
            initiator: other,
            expected,
            ..Setting::default()
        }
        .scene();
        let syn = scene.syn();
        assert!(matches!(scene.decide(&syn), SynDecision::Ignore));
    }
}

#[test]
fn a_downgraded_offer_is_detected() {
    let mut scene = Setting::default().scene();
    let syn = scene.syn();
    let offered = syn[3];
    assert_eq!(offered, 3);
    for (at, value) in [(3, 1), (3, 2), (4, 1), (4, 2), (0, 0), (1, 2)] {
        let mut weakened = syn.clone();
        weakened[at] = value;
        if weakened == syn {
            continue;
        }
        remac(&mut weakened, responder_identity().node_id());
        let responder = scene
            .respond(&weakened)
            .expect("still an offer that can be met");
        let error = scene
            .initiator
            .on_syn_ack(responder.syn_ack())
            .err()
            .unwrap();
        assert_eq!(error, HandshakeError::Rejected("the SYN_ACK does not open"));
    }
}

#[test]
fn a_changed_selection_is_detected() {
    let mut scene = Setting::default().scene();
    let syn = scene.syn();
    let responder = scene.respond(&syn).unwrap();
    for at in 0..4 {
        for value in 0..=u8::MAX {
            let mut changed = responder.syn_ack().to_vec();
            changed[at] = value;
            if changed != responder.syn_ack() {
                let result = scene.initiator.on_syn_ack(&changed);
                assert!(
                    matches!(result, Err(HandshakeError::Rejected(_))),
                    "{at}: {value}"
                );
            }
        }
    }
}

#[test]
fn a_genuine_peer_that_selects_what_was_not_offered_is_rejected() {
    let ciphers = vec![CipherSuite::Aes128Gcm];
    let initiator = SessionConfig {
        ciphers,
        ..SessionConfig::default()
    };
    let mut scene = Setting {
        initiator,
        ..Setting::default()
    }
    .scene();
    let syn = scene.syn();
    for (cipher, believed) in [
        (CipherSuite::ChaCha20Poly1305, false),
        (CipherSuite::Aes128Gcm, true),
    ] {
        let responder =
            scene
                .acceptor
                .answer_with(&syn, (KeyExchange::Hybrid, cipher), &mut scene.random);
        let result = scene.initiator.on_syn_ack(responder.unwrap().syn_ack());
        assert_eq!(result.is_ok(), believed, "{cipher:?}");
    }
}

#[test]
fn offers_without_anything_in_common_are_met_with_silence() {
    let only = |suite| SessionConfig {
        ciphers: vec![suite],
        ..SessionConfig::default()
    };
    let mut scene = Setting {
        initiator: only(CipherSuite::Aes128Gcm),
        responder: only(CipherSuite::ChaCha20Poly1305),
        ..Setting::default()
    }
    .scene();
    let syn = scene.syn();
    assert!(matches!(scene.decide(&syn), SynDecision::Ignore));
    let mut scene = Setting::default().scene();
    let syn = scene.syn();
    for (at, value) in [(0, 2), (1, 0), (2, 0), (2, 0xfc), (3, 0), (3, 0xfc)] {
        let mut other = syn.clone();
        other[at] = value;
        remac(&mut other, responder_identity().node_id());
        assert!(
            matches!(scene.decide(&other), SynDecision::Ignore),
            "{at}: {value}"
        );
    }
    // A later version that still speaks ours, and suites that we do not know, are fine.
    for (at, value) in [(1, 9), (2, 0xff), (3, 0xff), (0, 0), (4, 200)] {
        let mut later = syn.clone();
        later[at] = value;
        remac(&mut later, responder_identity().node_id());
        assert!(
            matches!(scene.decide(&later), SynDecision::Accept(_)),
            "{at}: {value}"
        );
    }
}

/// The points of small order of Curve25519, as in RFC 7748 §7 and libraries' test suites: their
/// product with any scalar is zero.
fn small_order_points() -> Vec<[u8; 32]> {
    let mut one = [0; 32];
    one[0] = 1;
    let mut p_minus_one = [0xff; 32];
    (p_minus_one[0], p_minus_one[31]) = (0xec, 0x7f);
    let mut p = p_minus_one;
    p[0] = 0xed;
    let order_eight = [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ];
    vec![[0; 32], one, p_minus_one, p, order_eight]
}

#[test]
fn x25519_values_of_small_order_are_rejected_by_both_sides() {
    for mut scene in Setting::on_all_providers(Setting::default) {
        let syn = scene.syn();
        let responder = scene.respond(&syn).unwrap();
        for point in small_order_points() {
            let mut wrong = syn.clone();
            wrong[8..40].copy_from_slice(&point);
            remac(&mut wrong, responder_identity().node_id());
            assert!(
                matches!(scene.decide(&wrong), SynDecision::Ignore),
                "{point:?}"
            );
            let mut wrong = responder.syn_ack().to_vec();
            wrong[4..36].copy_from_slice(&point);
            let error = scene.initiator.on_syn_ack(&wrong).err().unwrap();
            assert_eq!(
                error,
                HandshakeError::Rejected("the X25519 value has small order")
            );
        }
        scene.complete_with(&*responder);
    }
}

#[test]
fn an_unreduced_kem_key_is_met_with_silence() {
    for mut scene in Setting::on_all_providers(Setting::default) {
        let mut syn = scene.syn();
        // Two coefficients of 0xfff, above q = 3329.
        syn[40..43].fill(0xff);
        remac(&mut syn, responder_identity().node_id());
        assert!(matches!(scene.decide(&syn), SynDecision::Ignore));
    }
}

fn refusal(scene: &mut Scene) -> (u64, &'static str) {
    let syn = scene.syn();
    let responder = scene.respond(&syn).unwrap();
    let (confirm, mut at_initiator) = scene.initiator.on_syn_ack(responder.syn_ack()).unwrap();
    match responder.on_confirm(&confirm).unwrap() {
        Verdict::Accept(_) => panic!("accepted"),
        Verdict::Refuse {
            mut established,
            code,
            reason,
        } => {
            // The refusal can be said under the keys of the connection.
            assert_connected(&mut at_initiator, &mut established);
            (code, reason)
        }
    }
}

#[test]
fn a_responder_refuses_a_proven_peer_with_a_reason() {
    let list = |ids: &[NodeId]| SessionConfig {
        allow_list: Some(ids.iter().copied().collect()),
        ..SessionConfig::default()
    };
    let (us, them) = (
        responder_identity().node_id(),
        initiator_identity().node_id(),
    );
    let mut scene = Setting {
        responder: list(&[us]),
        ..Setting::default()
    }
    .scene();
    let expected = Refusal::NotAllowed;
    assert_eq!(refusal(&mut scene), (expected.code(), expected.reason()));
    let require = SessionConfig {
        require_capabilities: 0b1010,
        ..SessionConfig::default()
    };
    let mut scene = Setting {
        responder: require,
        ..Setting::default()
    }
    .scene();
    let expected = Refusal::MissingCapability;
    assert_eq!(refusal(&mut scene), (expected.code(), expected.reason()));
    Setting {
        responder: list(&[us, them]),
        ..Setting::default()
    }
    .scene()
    .complete();
}

#[test]
fn an_initiator_refuses_a_proven_peer_for_good() {
    for config in [
        SessionConfig {
            allow_list: Some(BTreeSet::new()),
            ..SessionConfig::default()
        },
        SessionConfig {
            require_capabilities: 1 << 55,
            ..SessionConfig::default()
        },
    ] {
        for expected in [None, Some(responder_identity().node_id())] {
            let mut scene = Setting {
                initiator: config.clone(),
                expected,
                ..Setting::default()
            }
            .scene();
            let syn = scene.syn();
            let responder = scene.respond(&syn).unwrap();
            let error = scene
                .initiator
                .on_syn_ack(responder.syn_ack())
                .err()
                .unwrap();
            assert!(matches!(error, HandshakeError::Fatal(_)), "{error}");
        }
    }
}

#[test]
fn under_load_an_address_is_proven_first() {
    for mut scene in Setting::on_all_providers(Setting::default) {
        let ask = |scene: &mut Scene, payload: &[u8], from: &str, seconds| {
            let now = Instant::ZERO + Duration::from_secs(seconds);
            let syn = IncomingSyn {
                from: from.parse().unwrap(),
                payload,
                under_load: true,
            };
            scene
                .acceptor
                .on_syn(now, &syn, RESPONDER_PARAMS, &mut scene.random)
        };
        let (here, there) = ("192.0.2.7:4000", "192.0.2.8:4000");
        let first = scene.syn();
        let SynDecision::Retry(retry) = ask(&mut scene, &first, here, 100) else {
            panic!("no RETRY")
        };
        assert_eq!(retry.len(), RETRY_LEN);
        for bit in 0..retry.len() * 8 {
            let mut wrong = retry.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(scene.initiator.on_retry(&wrong).is_err(), "bit {bit}");
        }
        for length in 0..retry.len() {
            assert!(scene.initiator.on_retry(&retry[..length]).is_err());
        }
        let token = scene.initiator.on_retry(&retry).unwrap();
        let second = scene.initiator.syn(INITIATOR_PARAMS, &token);
        assert_eq!(first[..SYN_CONTENT_LEN], second[..SYN_CONTENT_LEN]);
        // The RETRY was for the first SYN.
        assert!(scene.initiator.on_retry(&retry).is_err());
        for (from, seconds) in [(there, 101), (here, 121), (here, 99)] {
            let decision = ask(&mut scene, &second, from, seconds);
            assert!(
                matches!(decision, SynDecision::Retry(_)),
                "{from} at {seconds}"
            );
        }
        let SynDecision::Accept(responder) = ask(&mut scene, &second, here, 101) else {
            panic!("the token is valid")
        };
        assert!(responder.is_same_syn(&first) && responder.is_same_syn(&second));
        scene.complete_with(&*responder);
    }
}

#[test]
fn a_retry_of_who_did_not_see_the_syn_is_rejected() {
    let mut scene = Setting::default().scene();
    let mut other = Setting {
        seed: 2,
        ..Setting::default()
    }
    .scene();
    scene.syn();
    let foreign = other.syn();
    let syn = IncomingSyn {
        from: address(),
        payload: &foreign,
        under_load: true,
    };
    let decision = other
        .acceptor
        .on_syn(Instant::ZERO, &syn, RESPONDER_PARAMS, &mut other.random);
    let SynDecision::Retry(retry) = decision else {
        panic!("no RETRY")
    };
    assert!(scene.initiator.on_retry(&retry).is_err());
    assert!(other.initiator.on_retry(&retry).is_ok());
}

#[test]
fn no_identity_is_visible_on_the_wire() {
    let mut scene = Setting::default().scene();
    let syn = scene.syn();
    let responder = scene.respond(&syn).unwrap();
    let (confirm, _) = scene.initiator.on_syn_ack(responder.syn_ack()).unwrap();
    let wire = [&syn[..], responder.syn_ack(), &confirm].concat();
    for identity in [initiator_identity(), responder_identity()] {
        for secret in [identity.public().ed25519, *identity.node_id().as_bytes()] {
            assert!(!wire.windows(8).any(|window| window == &secret[..8]));
        }
    }
    for text in [INITIATOR_PARAMS, RESPONDER_PARAMS, b"one/1", b"two/2"] {
        assert!(!wire.windows(text.len()).any(|window| window == text));
    }
}

#[test]
fn handshake_halves_do_not_leak_secrets_in_debug() {
    let (at_initiator, _) = Setting::default().scene().complete();
    let text = format!("{:?}", peer(&at_initiator));
    assert!(
        text.contains("node_id") && !text.contains("exporter"),
        "{text}"
    );
}

#[test]
fn a_twin_opens_another_handshake_with_the_same_peer_and_keys_of_its_own() {
    let setting = || Setting {
        expected: Some(responder_identity().node_id()),
        ..Setting::default()
    };
    let mut scene = setting().scene();
    let make = scene.initiator.twin().expect("a session has a twin");
    let mut twin = make(&mut SeededRandom::new(77));
    let (first, second) = (scene.syn(), twin.syn(INITIATOR_PARAMS, &[]));
    assert_ne!(first, second);
    let responders = [&first, &second].map(|syn| scene.respond(syn).expect("acceptable"));
    let answer = responders[1].syn_ack();
    assert!(scene.initiator.on_syn_ack(answer).is_err());
    let (confirm, mut ours) = twin.on_syn_ack(answer).expect("the answer to its SYN");
    assert!(responders[0].on_confirm(&confirm).is_err());
    let mut theirs = accepted(responders[1].on_confirm(&confirm));
    assert_eq!(peer(&ours).node_id, responder_identity().node_id());
    assert_eq!(peer(&theirs).node_id, initiator_identity().node_id());
    assert_connected(&mut ours, &mut theirs);
}
