//! How the packets of a simulated connection are protected, and who its ends are.

use std::sync::Arc;

use dunlin_session::{
    CipherSuite, Identity, KeyLogger, PeerInfo, SessionAcceptor, SessionConfig, SessionInitiator,
    provider,
};
use dunlin_transport::plain::{PlainAcceptor, PlainInitiator};
use dunlin_transport::protect::{Acceptor, Initiator, PeerIdentity};
use dunlin_transport::{Endpoint, EndpointConfig};

use crate::rng::Rng;

/// How packets are protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// A CRC-32, no secrecy, no identities; the address of a peer stays what it is.
    Plain,
    /// The real handshake and this cipher, in pure Rust and without other randomness than ours.
    Sealed(CipherSuite),
}

impl Profile {
    /// The endpoint of the `node`-th node; `answers`: with an acceptor.
    #[must_use]
    pub fn endpoint(
        self,
        node: usize,
        config: &EndpointConfig,
        answers: bool,
        rng: &mut Rng,
    ) -> Endpoint {
        self.endpoint_logged(node, config, answers, (rng, None))
    }

    /// [`Self::endpoint`] that tells its secrets to a log, if one is given.
    #[must_use]
    pub fn endpoint_logged(
        self,
        node: usize,
        config: &EndpointConfig,
        answers: bool,
        (rng, key_log): (&mut Rng, Option<KeyLogger>),
    ) -> Endpoint {
        let acceptor = self.acceptor_logged(node, rng, key_log);
        Endpoint::new(
            config.clone(),
            Box::new(rng.split(1)),
            answers.then_some(acceptor),
        )
    }

    /// What answers handshakes at the `node`-th node.
    #[must_use]
    pub fn acceptor(self, node: usize, rng: &mut Rng) -> Box<dyn Acceptor> {
        self.acceptor_logged(node, rng, None)
    }

    /// [`Self::acceptor`] that tells its secrets to a log, if one is given.
    #[must_use]
    pub fn acceptor_logged(
        self,
        node: usize,
        rng: &mut Rng,
        key_log: Option<KeyLogger>,
    ) -> Box<dyn Acceptor> {
        match self {
            Self::Plain => Box::new(PlainAcceptor::new()),
            Self::Sealed(cipher) => Box::new(SessionAcceptor::new(
                identity(node),
                session_config(cipher, key_log),
                provider::pure(),
                &mut rng.split(2),
            )),
        }
    }

    /// The handshake of the `node`-th node with the `peer`-th.
    #[must_use]
    pub fn initiator(self, node: usize, peer: usize, rng: &mut Rng) -> Box<dyn Initiator> {
        self.initiator_logged((node, peer), rng, None)
    }

    /// [`Self::initiator`] that tells its secrets to a log, if one is given.
    #[must_use]
    pub fn initiator_logged(
        self,
        (node, peer): (usize, usize),
        rng: &mut Rng,
        key_log: Option<KeyLogger>,
    ) -> Box<dyn Initiator> {
        match self {
            Self::Plain => Box::new(PlainInitiator::new()),
            Self::Sealed(cipher) => Box::new(SessionInitiator::new(
                identity(node),
                session_config(cipher, key_log),
                provider::pure(),
                Some(identity(peer).node_id()),
                rng,
            )),
        }
    }

    /// Whether a connection calls its peer by the name of the `node`-th node.
    #[must_use]
    pub fn is_peer(self, peer: &PeerIdentity, node: usize) -> bool {
        match self {
            Self::Plain => true,
            Self::Sealed(_) => peer
                .downcast_ref::<PeerInfo>()
                .is_some_and(|info| info.node_id == identity(node).node_id()),
        }
    }
}

fn identity(node: usize) -> Arc<Identity> {
    let mut seed = [7; 32];
    for (to, from) in seed.iter_mut().zip((node as u64).to_be_bytes()) {
        *to = from;
    }
    Arc::new(Identity::from_seed(seed))
}

/// With the cipher fixed: the default depends on the processor, and so would the trace.
fn session_config(cipher: CipherSuite, key_log: Option<KeyLogger>) -> SessionConfig {
    SessionConfig {
        key_log,
        ciphers: vec![cipher],
        key_update_packets: 200,
        ..SessionConfig::default()
    }
}
