//! Who is at the other end of a connection.

use std::fmt;
use std::sync::Arc;

use dunlin_transport::protect::PeerIdentity;

use crate::hkdf::Expander;
use crate::identity::PublicIdentity;
use crate::key_exchange::KeyExchange;
use crate::node_id::NodeId;
use crate::provider::{CryptoProvider, Secret};
use crate::suite::CipherSuite;

/// A peer that has proved who it is, and what was agreed with it.
pub struct PeerInfo {
    /// Its name.
    pub node_id: NodeId,
    /// Whether it has proven its ML-DSA-65 key as well: by the time the application sees the
    /// connection, this is done.
    pub post_quantum: bool,
    /// Its public keys.
    pub public: PublicIdentity,
    /// What it says it can do; the application gives the bits meaning.
    pub capabilities: u64,
    /// Its software, as it says: printable ASCII, at most 64 bytes, possibly cut.
    pub user_agent: String,
    /// Version of the session protocol.
    pub version: u8,
    /// What the secrets came from.
    pub key_exchange: KeyExchange,
    /// The cipher of the packets.
    pub cipher: CipherSuite,
    pub(crate) exporter: Secret,
    pub(crate) provider: Arc<dyn CryptoProvider>,
}

impl PeerInfo {
    /// The typed view of what the transport hands on; `None` when another session layer made it.
    #[must_use]
    pub fn from_identity(identity: &PeerIdentity) -> Option<&Self> {
        identity.downcast_ref()
    }

    /// A secret for this connection and this use, the same at both ends and independent of the
    /// packet keys (RFC 8446 §7.5). `label` may have any length.
    #[must_use]
    pub fn exporter(&self, label: &[u8]) -> [u8; 32] {
        let context = self.provider.sha256(&[label]);
        *Expander::new(&*self.provider, &self.exporter).derive("exporter", &context)
    }

    /// A name for this connection that no other has and that both ends agree on; for signing over
    /// it in a higher layer. Not secret in itself.
    #[must_use]
    pub fn channel_binding(&self) -> [u8; 32] {
        self.exporter(b"channel binding")
    }
}

impl fmt::Debug for PeerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerInfo")
            .field("node_id", &self.node_id)
            .field("post_quantum", &self.post_quantum)
            .field("capabilities", &format_args!("{:#x}", self.capabilities))
            .field("user_agent", &self.user_agent)
            .field("version", &self.version)
            .field("key_exchange", &self.key_exchange)
            .field("cipher", &self.cipher)
            .finish_non_exhaustive()
    }
}
