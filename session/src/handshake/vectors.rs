//! The test vectors of `docs/session.md`: made by the code, checked against a second computation
//! from the formulas of that document, and compared with its text.

mod after;

use std::fmt::Write as _;
use std::net::SocketAddr;

use dunlin_transport::protect::{
    Acceptor, Initiator, PacketProtection, Random, Syn as IncomingSyn, SynDecision, Verdict,
};
use dunlin_transport::{Instant, PacketNumber};
use zeroize::Zeroizing;

use super::messages::{SYN_ACK_CLEAR_LEN, SYN_CONTENT_LEN};
use super::*;
use crate::hkdf::{Expander, extract};
use crate::identity::Identity;
use crate::limits::{CONFIRM_LEN, SYN_ACK_LEN};
use crate::provider::{NONCE_LEN, TAG_LEN, pure};
use crate::schedule::{mac1_key, network_id, th1, th2, th3};

/// Random bytes that were written down: 32 times 1, 32 times 2 and so on from a first value.
struct Script(u8);

impl Random for Script {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            chunk.fill(self.0);
            self.0 += 1;
        }
    }
}

/// The text of the vectors: a name, and the value in lines of 48 bytes.
#[derive(Default)]
struct Vectors(String);

impl Vectors {
    fn add(&mut self, name: &str, value: &[u8]) {
        self.0.push_str(name);
        self.0.push('\n');
        for line in value.chunks(48) {
            self.0.push_str("    ");
            for byte in line {
                let _ = write!(self.0, "{byte:02x}");
            }
            self.0.push('\n');
        }
    }
}

/// The handshake by the code, as it is on the wire, and one direction's secret of each side.
struct Wire {
    syn: Vec<u8>,
    retry: Vec<u8>,
    syn_ack: Vec<u8>,
    confirm: Vec<u8>,
    at_initiator: Established,
    at_responder: Established,
}

fn config(user_agent: &str, capabilities: u64) -> SessionConfig {
    SessionConfig {
        network: "vectors".to_owned(),
        user_agent: user_agent.to_owned(),
        capabilities,
        post_quantum: crate::PostQuantum::Off,
        ciphers: vec![CipherSuite::Aes128Gcm, CipherSuite::ChaCha20Poly1305],
        ..SessionConfig::default()
    }
}

fn wire() -> Wire {
    wire_with(KeyExchange::Hybrid)
}

fn wire_with(key_exchange: KeyExchange) -> Wire {
    let config = |user_agent: &str, capabilities| SessionConfig {
        key_exchange,
        ..config(user_agent, capabilities)
    };
    let (one, two) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
    let node_id = two.node_id();
    let mut initiator = SessionInitiator::new(
        Arc::new(one),
        config("one/1", 0x11),
        pure(),
        Some(node_id),
        &mut Script(3),
    );
    let acceptor =
        SessionAcceptor::new(Arc::new(two), config("two/2", 0x22), pure(), &mut Script(8));
    let from: SocketAddr = "192.0.2.7:4000".parse().unwrap();
    let decide = |payload: &[u8], under_load| {
        let now = Instant::from_nanos(100_000_000_000);
        acceptor.on_syn(
            now,
            &IncomingSyn {
                from,
                payload,
                under_load,
            },
            b"params of R",
            &mut Script(6),
        )
    };
    let first = initiator.syn(b"params of I", &[]);
    let SynDecision::Retry(retry) = decide(&first, true) else {
        panic!("no RETRY")
    };
    let token = initiator.on_retry(&retry).unwrap();
    let syn = initiator.syn(b"params of I", &token);
    let SynDecision::Accept(responder) = decide(&syn, true) else {
        panic!("not accepted")
    };
    let (confirm, at_initiator) = initiator.on_syn_ack(responder.syn_ack()).unwrap();
    let Verdict::Accept(at_responder) = responder.on_confirm(&confirm).unwrap() else {
        panic!("refused")
    };
    let syn_ack = responder.syn_ack().to_vec();
    Wire {
        syn,
        retry,
        syn_ack,
        confirm,
        at_initiator,
        at_responder,
    }
}

/// What a packet's keys are, from one direction's secret.
fn add_packet_keys(vectors: &mut Vectors, side: &str, secret: &Secret) {
    let provider = pure();
    let mut expand = |name: &str, label, length| {
        let mut out = vec![0; length];
        Expander::new(&*provider, secret).label(label, &[], &mut out);
        vectors.add(&format!("{side}_{name}"), &out);
    };
    expand("key", "key", 16);
    expand("iv", "iv", NONCE_LEN);
    expand("header_key", "hp", 16);
    expand("checksum_salt", "ck", 4);
    expand("next_secret", "ku", 32);
}

fn add_identities(vectors: &mut Vectors) {
    for (side, seed) in [("initiator", 1), ("responder", 2)] {
        let identity = Identity::from_seed([seed; 32]);
        vectors.add(&format!("{side}_ed25519"), &identity.public().ed25519);
        vectors.add(&format!("{side}_node_id"), identity.node_id().as_bytes());
        let _ = writeln!(vectors.0, "{side}_node_id_text\n    {}", identity.node_id());
    }
}

/// Follows the document's formulas over the messages; every sealed part has to open.
fn add_schedule(vectors: &mut Vectors, wire: &Wire) {
    let provider = &*pure();
    let (one, two) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
    let network = network_id(provider, "vectors");
    vectors.add("network_id", &network);
    vectors.add("mac1_key", &mac1_key(provider, &network, &two.node_id()));
    vectors.add("syn", &wire.syn);
    vectors.add("retry", &wire.retry);
    let th1 = th1(
        provider,
        &network,
        &wire.syn[..SYN_CONTENT_LEN],
        &two.node_id(),
    );
    vectors.add("th1", &th1);

    let x25519 = provider.x25519(
        &Zeroizing::new([3; 32]),
        &provider.x25519_public(&Zeroizing::new([6; 32])),
    );
    let x25519 = x25519.unwrap();
    vectors.add("x25519_shared", &*x25519);
    let kem = provider.kem_generate(&mut Script(4));
    let ciphertext = wire.syn_ack[36..36 + 1_088].try_into().unwrap();
    let kem = kem.decapsulate(ciphertext).unwrap();
    vectors.add("ml_kem_shared", &*kem);
    let (clear, sealed) = wire.syn_ack.split_at(SYN_ACK_CLEAR_LEN);
    let th2 = th2(provider, &th1, clear);
    vectors.add("th2", &th2);
    let hs = extract(provider, &th2, &[&*kem, &*x25519]);
    vectors.add("hs", &*hs);
    let [hs_r, hs_i, ms] =
        ["hs r", "hs i", "ms"].map(|label| Expander::new(provider, &hs).derive(label, &[]));
    vectors.add("hs_r", &*hs_r);
    vectors.add("hs_i", &*hs_i);
    vectors.add("ms", &*ms);

    let open = |secret, context: &[u8], sealed: &[u8]| {
        let mut key = [0; 16];
        Expander::new(provider, secret).label("key", context, &mut key);
        let aead = provider.aead(CipherSuite::Aes128Gcm, &key).unwrap();
        let mut text = sealed.to_vec();
        aead.open([0; NONCE_LEN], &th2, &mut text).unwrap();
        text.truncate(sealed.len() - TAG_LEN);
        text
    };
    vectors.add("syn_ack_introduction", &open(&hs_r, &[], sealed));
    vectors.add("syn_ack", &wire.syn_ack);
    let th3 = th3(provider, &th2, sealed, &one.node_id());
    vectors.add("th3", &th3);
    let context = provider.sha256(&[sealed]);
    vectors.add(
        "confirm_introduction",
        &open(&hs_i, &context, &wire.confirm),
    );
    vectors.add("confirm", &wire.confirm);

    let [ap_i, ap_r, exp] =
        ["ap i", "ap r", "exp"].map(|label| Expander::new(provider, &ms).derive(label, &th3));
    for (name, secret) in [("ap_i", &ap_i), ("ap_r", &ap_r)] {
        vectors.add(name, &**secret);
        add_packet_keys(vectors, name, secret);
    }
    vectors.add("exp", &*exp);
}

/// The first packet of each direction, from the connection that the code set up.
fn add_packets(vectors: &mut Vectors, wire: &mut Wire) {
    let clear = [
        [0x0a, 1, 7, 0x42].as_slice(),
        &(0..28).collect::<Vec<u8>>(),
        b"payload",
        &[0; TAG_LEN],
    ]
    .concat();
    vectors.add("packet_clear", &clear[..clear.len() - TAG_LEN]);
    for (name, established) in [
        ("packet_of_initiator", &mut wire.at_initiator),
        ("packet_of_responder", &mut wire.at_responder),
    ] {
        let mut packet = clear.clone();
        established
            .protection
            .seal(PacketNumber(0x1_0203_0405), &mut packet);
        vectors.add(name, &packet);
    }
    let secret = || Zeroizing::new([9; 32]);
    let suite = CipherSuite::ChaCha20Poly1305;
    let limits = KeyLimits::new(suite, 1, crate::limits::KEY_UPDATE_INTERVAL);
    let mut protection = SealedProtection::new(&pure(), suite, secret(), secret(), limits);
    for (name, number) in [
        ("packet_chacha20_poly1305", 0x1_0203_0405),
        ("packet_of_the_next_phase", 0x1_0203_0406),
    ] {
        let mut packet = clear.clone();
        protection.seal(PacketNumber(number), &mut packet);
        protection.on_acknowledged(PacketNumber(number));
        vectors.add(name, &packet);
    }
}

#[test]
fn the_vectors_of_the_document_are_those_of_the_code() {
    let mut wire = wire();
    assert_eq!(
        (wire.syn_ack.len(), wire.confirm.len()),
        (SYN_ACK_LEN, CONFIRM_LEN)
    );
    let mut vectors = Vectors::default();
    add_identities(&mut vectors);
    add_schedule(&mut vectors, &wire);
    add_packets(&mut vectors, &mut wire);
    for (established, name) in [
        (&wire.at_initiator, "initiator"),
        (&wire.at_responder, "responder"),
    ] {
        let peer = PeerInfo::from_identity(&established.peer).unwrap();
        vectors.add(
            &format!("exporter_example_at_{name}"),
            &peer.exporter(b"example"),
        );
        vectors.add(
            &format!("channel_binding_at_{name}"),
            &peer.channel_binding(),
        );
    }

    let document = include_str!("../../../docs/session.md");
    let (_, written) = document
        .split_once("```text vectors\n")
        .expect("the chapter of vectors");
    let (written, _) = written.split_once("```").unwrap();
    assert!(
        written == vectors.0,
        "docs/session.md, vectors; they should be:\n{}",
        vectors.0
    );
}
