//! Random handshakes between the two providers: any settings, any identities, either library on
//! either side.
//!
//! `DUNLIN_HANDSHAKES=100000` makes as many; the default is for every day.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use dunlin_session::fuzzing::SeededRandom;
use dunlin_session::{
    CipherSuite, CryptoProvider, Identity, KeyExchange, PeerInfo, PostQuantum, SessionAcceptor,
    SessionConfig, SessionInitiator, provider,
};
use dunlin_transport::protect::{
    Acceptor, Established, Initiator, Random, Syn, SynDecision, Verdict,
};
use dunlin_transport::{Instant, PacketNumber};

/// The ends of a handshake, drawn by `random`.
struct Drawn<'a>(&'a mut SeededRandom);

impl Drawn<'_> {
    fn below(&mut self, end: u32) -> u32 {
        self.0.next_u32() % end
    }

    fn chance(&mut self) -> bool {
        self.below(2) == 1
    }

    fn provider(&mut self) -> Arc<dyn CryptoProvider> {
        if self.chance() {
            provider::pure()
        } else {
            provider::aws_lc()
        }
    }

    fn identity(&mut self) -> Identity {
        // One in eight, because ML-DSA costs more than all the rest.
        if self.below(8) == 0 {
            let provider = self.provider();
            Identity::generate_hybrid(self.0, &*provider)
        } else {
            Identity::generate(self.0)
        }
    }

    fn config(&mut self) -> SessionConfig {
        let mut ciphers = CipherSuite::ALL.to_vec();
        if self.chance() {
            ciphers.reverse();
        }
        let post_quantum = if self.chance() {
            PostQuantum::Preferred
        } else {
            PostQuantum::Off
        };
        SessionConfig {
            network: "crossed".to_owned(),
            capabilities: u64::from(self.below(1 << 20)),
            ciphers,
            key_exchange: match self.below(4) {
                0 => KeyExchange::Classical,
                _ => KeyExchange::Hybrid,
            },
            post_quantum,
            ..SessionConfig::default()
        }
    }
}

fn handshake(random: &mut SeededRandom) -> [Established; 2] {
    let mut drawn = Drawn(random);
    let (one, two) = (drawn.identity(), drawn.identity());
    let (mut one_config, mut two_config) = (drawn.config(), drawn.config());
    let key_exchange = one_config.key_exchange;
    if key_exchange == KeyExchange::Classical {
        two_config.key_exchange = key_exchange; // else it would refuse
    }
    if drawn.chance() {
        one_config.ciphers.truncate(1);
    }
    let (one_provider, two_provider) = (drawn.provider(), drawn.provider());
    let expected = drawn.chance().then(|| two.node_id());
    let under_load = drawn.chance();
    let ids = [two.node_id(), one.node_id()];
    let mut initiator =
        SessionInitiator::new(Arc::new(one), one_config, one_provider, expected, random);
    let acceptor = SessionAcceptor::new(Arc::new(two), two_config, two_provider, random);
    let mut answer = |payload: &[u8]| {
        let syn = Syn {
            from: "192.0.2.7:4000".parse().unwrap(),
            payload,
            under_load,
        };
        acceptor.on_syn(Instant::ZERO, &syn, b"responder", random)
    };
    let syn = initiator.syn(b"initiator", &[]);
    let half = match answer(&syn) {
        SynDecision::Accept(half) => half,
        SynDecision::Retry(retry) => {
            let token = initiator.on_retry(&retry).unwrap();
            let syn = initiator.syn(b"initiator", &token);
            let SynDecision::Accept(half) = answer(&syn) else {
                panic!("a token is proof")
            };
            half
        }
        SynDecision::Ignore => panic!("a genuine SYN"),
    };
    let (confirm, at_initiator) = initiator.on_syn_ack(half.syn_ack()).unwrap();
    let Verdict::Accept(at_responder) = half.on_confirm(&confirm).unwrap() else {
        panic!("everybody is welcome")
    };
    let ends = [at_initiator, at_responder];
    for (end, id) in ends.iter().zip(ids) {
        assert_eq!(peer(end).node_id, id);
        assert_eq!(peer(end).key_exchange, key_exchange);
    }
    ends
}

fn peer(end: &Established) -> &PeerInfo {
    PeerInfo::from_identity(&end.peer).unwrap()
}

#[test]
fn random_handshakes_of_any_two_providers_agree() {
    let count = std::env::var("DUNLIN_HANDSHAKES");
    let count = count.map_or(400, |text| text.parse().expect("a number"));
    for seed in 0..count {
        let mut random = SeededRandom::new(seed);
        let [mut one, mut two] = handshake(&mut random);
        assert_eq!(
            peer(&one).exporter(b"x"),
            peer(&two).exporter(b"x"),
            "seed {seed}"
        );
        let messages = [&mut one, &mut two].map(|end| end.protection.poll_session_message());
        for (message, end) in messages.into_iter().zip([&mut two, &mut one]) {
            if let Some(message) = message {
                end.protection.on_session_message(&message).unwrap();
            }
            assert!(end.protection.is_ready(), "seed {seed}");
        }
        let mut packet = vec![9; 32 + 100 + 16];
        one.protection.seal(PacketNumber(5), &mut packet);
        assert!(two.protection.unmask(&mut packet));
        let opened = two.protection.open(PacketNumber(5), false, &mut packet);
        assert_eq!(opened, Ok(100), "seed {seed}");
        assert_eq!(packet[32..132], [9; 100]);
    }
}
