//! Two ends of a sealed connection without a network between them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use dunlin_session::fuzzing::SeededRandom;
use dunlin_session::{
    CipherSuite, CryptoProvider, Identity, SessionAcceptor, SessionConfig, SessionInitiator,
};
use dunlin_transport::Instant;
use dunlin_transport::protect::{
    Acceptor, Established, Initiator, Random, Syn, SynDecision, Verdict,
};

/// Two nodes that can shake hands any number of times.
pub struct Nodes {
    one: Arc<Identity>,
    two: Arc<Identity>,
    acceptor: SessionAcceptor,
    config: SessionConfig,
    provider: Arc<dyn CryptoProvider>,
    random: SeededRandom,
}

impl Nodes {
    /// Nodes that agree on `suite`.
    #[must_use]
    pub fn new(provider: Arc<dyn CryptoProvider>, suite: CipherSuite) -> Self {
        let mut random = SeededRandom::new(7);
        let config = SessionConfig {
            ciphers: vec![suite],
            ..SessionConfig::default()
        };
        let two = Arc::new(Identity::generate(&mut random));
        Self {
            one: Arc::new(Identity::generate(&mut random)),
            acceptor: SessionAcceptor::new(
                two.clone(),
                config.clone(),
                provider.clone(),
                &mut random,
            ),
            two,
            config,
            provider,
            random,
        }
    }

    /// A whole handshake: what the one who opened it has, and what the other has.
    ///
    /// # Panics
    /// When the handshake fails: a fault of the benchmark.
    pub fn shake_hands(&mut self) -> (Established, Established) {
        let mut initiator = SessionInitiator::new(
            self.one.clone(),
            self.config.clone(),
            self.provider.clone(),
            Some(self.two.node_id()),
            &mut self.random,
        );
        let payload = initiator.syn(&[0; 40], &[]);
        let syn = Syn {
            from: SocketAddr::from((Ipv4Addr::LOCALHOST, 7)),
            payload: &payload,
            under_load: false,
        };
        let random: &mut dyn Random = &mut self.random;
        let SynDecision::Accept(responder) =
            self.acceptor.on_syn(Instant::ZERO, &syn, &[0; 40], random)
        else {
            panic!("a genuine SYN is accepted")
        };
        let (confirm, opener) = initiator
            .on_syn_ack(responder.syn_ack())
            .expect("a genuine SYN_ACK is believed");
        let Ok(Verdict::Accept(answerer)) = responder.on_confirm(&confirm) else {
            panic!("a genuine confirmation is believed")
        };
        (opener, answerer)
    }
}
