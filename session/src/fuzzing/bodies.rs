//! Handshake and packet protection against forged messages, in pure Rust.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dunlin_transport::protect::{
    Acceptor, Initiator, PacketProtection, Responder, Syn, SynDecision, Verdict,
};
use dunlin_transport::{Instant, PacketNumber};
use zeroize::Zeroizing;

use super::SeededRandom;
use crate::config::SessionConfig;
use crate::handshake::{SessionAcceptor, SessionInitiator, parse_any_introduction};
use crate::identity::Identity;
use crate::node_id::NodeId;
use crate::protection::{KeyLimits, SealedProtection};
use crate::provider::pure;
use crate::schedule::{mac1_key, network_id};
use crate::suite::CipherSuite;

/// A genuine handshake, halted at each step.
struct Scene {
    initiator: SessionInitiator,
    acceptor: SessionAcceptor,
    responder: Box<dyn Responder>,
    node_id: NodeId,
    syn: Vec<u8>,
    confirm: Vec<u8>,
}

thread_local! {
    // Making one takes 100 times as long as trying a forged message on it, and no message
    // changes it.
    static SCENE: Scene = scene();
}

fn scene() -> Scene {
    let mut random = SeededRandom::new(0);
    let (one, two) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
    let node_id = two.node_id();
    let config = SessionConfig::default();
    let mut initiator = SessionInitiator::new(
        Arc::new(one),
        config.clone(),
        pure(),
        Some(node_id),
        &mut random,
    );
    let acceptor = SessionAcceptor::new(Arc::new(two), config, pure(), &mut random);
    let syn = initiator.syn(b"params", &[]);
    let SynDecision::Accept(responder) = decide(&acceptor, &syn, false) else {
        panic!("a genuine SYN was not accepted")
    };
    let (confirm, _) = initiator
        .on_syn_ack(responder.syn_ack())
        .expect("a genuine SYN_ACK is believed");
    Scene {
        initiator,
        acceptor,
        responder,
        node_id,
        syn,
        confirm,
    }
}

fn decide(acceptor: &SessionAcceptor, payload: &[u8], under_load: bool) -> SynDecision {
    let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 7));
    let syn = Syn {
        from,
        payload,
        under_load,
    };
    acceptor.on_syn(Instant::ZERO, &syn, b"params", &mut SeededRandom::new(1))
}

/// `genuine` with the bytes of `data` XORed on at an offset that `data` begins with.
fn patched(genuine: &[u8], data: &[u8]) -> Vec<u8> {
    let mut message = genuine.to_vec();
    if let Some(([high, low], patch)) = data.split_first_chunk() {
        let offset = usize::from(u16::from_be_bytes([*high, *low])) % genuine.len();
        for (byte, with) in message.iter_mut().skip(offset).zip(patch) {
            *byte ^= with;
        }
    }
    message
}

/// Feeds `data` to every step of a handshake: as it is, as a change of the genuine message,
/// and as a change by who knows the key of the first check.
///
/// # Panics
/// When a property breaks; that is a finding.
pub fn handshake_messages(data: &[u8]) {
    parse_any_introduction(data);
    SCENE.with(|scene| {
        for message in [data.to_vec(), patched(&scene.syn, data)] {
            let decision = decide(&scene.acceptor, &message, data.len().is_multiple_of(2));
            assert!(message == scene.syn || matches!(decision, SynDecision::Ignore));
            let _ = scene.responder.is_same_syn(&message);
        }
        let provider = pure();
        let mut syn = patched(&scene.syn, data);
        let network = network_id(&*provider, &SessionConfig::default().network);
        let key = mac1_key(&*provider, &network, &scene.node_id);
        let (checked, mac1) = syn.split_at_mut(scene.syn.len() - 16);
        mac1.copy_from_slice(provider.hmac_sha256(&key, &[checked]).split_at(16).0);
        match decide(&scene.acceptor, &syn, data.len().is_multiple_of(3)) {
            SynDecision::Accept(responder) => {
                let same = scene.responder.is_same_syn(&syn);
                assert_eq!(
                    scene.initiator.on_syn_ack(responder.syn_ack()).is_ok(),
                    same
                );
            }
            SynDecision::Retry(retry) => assert!(retry.len() <= syn.len()),
            SynDecision::Ignore => {}
        }

        let genuine = scene.responder.syn_ack();
        for message in [data.to_vec(), patched(genuine, data)] {
            let result = scene.initiator.on_syn_ack(&message);
            assert_eq!(result.is_ok(), message == genuine);
            assert!(scene.initiator.on_retry(&message).is_err());
        }
        for message in [data.to_vec(), patched(&scene.confirm, data)] {
            let result = scene.responder.on_confirm(&message);
            assert_eq!(
                matches!(result, Ok(Verdict::Accept(_))),
                message == scene.confirm
            );
        }
        assert!(scene.responder.on_confirm(&scene.confirm).is_ok());
    });
}

/// Drives a pair of packet protections: seals, loses, forges, acknowledges and lets time pass,
/// as `data` says.
///
/// # Panics
/// When a property breaks; that is a finding.
pub fn open_packet(data: &[u8]) {
    let suite = match data.first() {
        Some(byte) if byte % 2 == 1 => CipherSuite::ChaCha20Poly1305,
        _ => CipherSuite::Aes128Gcm,
    };
    let limits = KeyLimits {
        update: 4,
        confidentiality: 1 << 20,
        integrity: 1 << 20,
        interval: Duration::from_secs(3_600),
    };
    let secret = |byte| Zeroizing::new([byte; 32]);
    let mut sender = SealedProtection::new(&pure(), suite, secret(1), secret(2), limits);
    let mut receiver = SealedProtection::new(&pure(), suite, secret(2), secret(1), limits);
    let (mut number, mut arrived) = (0, None);
    let mut now = Instant::ZERO;
    let mut rest = data;
    while let Some((op, tail)) = rest.split_first() {
        rest = tail;
        match op % 5 {
            0 | 1 => {
                let phase = sender.key_phase();
                let mut packet = vec![*op; 48 + usize::from(op / 5)];
                let clear = packet.clone();
                sender.seal(PacketNumber(number), &mut packet);
                if op % 5 == 0 {
                    assert!(receiver.unmask(&mut packet));
                    // The header says the low half of the number: the high half is in the nonce.
                    let mut replayed = packet.clone();
                    let later = PacketNumber(number + ((1 + u64::from(op / 5)) << 32));
                    let opened = receiver.open(later, phase, &mut replayed);
                    assert!(opened.is_err(), "a packet opens under another number");
                    let length = receiver.open(PacketNumber(number), phase, &mut packet);
                    assert_eq!(length, Ok(clear.len() - 48));
                    assert_eq!(
                        packet.split_at(clear.len() - 16).0,
                        clear.split_at(clear.len() - 16).0
                    );
                    arrived = Some(PacketNumber(number));
                    // The answer, on which the acknowledgement rides.
                    let phase = receiver.key_phase();
                    let mut answer = vec![0; 48];
                    receiver.seal(PacketNumber(number), &mut answer);
                    assert!(sender.unmask(&mut answer));
                    assert_eq!(sender.open(PacketNumber(number), phase, &mut answer), Ok(0));
                }
                number += 1;
            }
            2 => {
                let mut forged = rest.to_vec();
                receiver.unmask(&mut forged);
                let number = PacketNumber(u64::from(*op));
                assert!(receiver.open(number, op % 2 == 0, &mut forged).is_err());
            }
            3 => {
                if let Some(arrived) = arrived {
                    sender.on_acknowledged(arrived);
                }
            }
            _ => {
                now = now + Duration::from_millis(u64::from(*op));
                sender.on_time(now, Duration::from_millis(20));
                receiver.on_time(now, Duration::from_millis(20));
            }
        }
    }
}
