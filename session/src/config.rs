//! What an application may set.

use std::collections::BTreeSet;

use crate::error::Refusal;
use crate::key_log::KeyLogger;
use crate::limits::{KEY_UPDATE_PACKETS, USER_AGENT_MAX};
use crate::node_id::NodeId;
use crate::suite::CipherSuite;

/// Settings of a session layer; the same type for both sides.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Name of the network. Nodes with another name do not answer each other: it is part of the
    /// key of the first check and of the transcript. Not a secret. Default: `dunlin`.
    pub network: String,
    /// Answer a dialler who does not know our node ID (who bootstraps from a bare address). False
    /// is stealth: who lacks the node ID meets silence. Default: true.
    pub open: bool,
    /// The only peers to accept, once they have proved who they are; `None` is everybody.
    pub allow_list: Option<BTreeSet<NodeId>>,
    /// Our capabilities, announced to proven peers only; the application gives the bits meaning.
    pub capabilities: u64,
    /// Capabilities without which a peer is refused.
    pub require_capabilities: u64,
    /// Our software, as `name/version`. Other than printable ASCII is replaced by `?`, and at most
    /// [`USER_AGENT_MAX`] bytes are sent. Default: this crate's version.
    pub user_agent: String,
    /// The ciphers to accept, the preferred one first. Default: both, by the speed of this
    /// processor. Empty: no handshake succeeds.
    pub ciphers: Vec<CipherSuite>,
    /// Packets after which a sending key is replaced; at most the cipher's limit divided by eight
    /// is used. Default: [`KEY_UPDATE_PACKETS`].
    pub key_update_packets: u64,
    /// Where the secrets of connections go, for the analysis of captures. **Whoever reads it reads
    /// the connections.** Default: nowhere.
    pub key_log: Option<KeyLogger>,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            network: "dunlin".to_owned(),
            open: true,
            allow_list: None,
            capabilities: 0,
            require_capabilities: 0,
            user_agent: concat!("dunlin/", env!("CARGO_PKG_VERSION")).to_owned(),
            ciphers: CipherSuite::by_speed(),
            key_update_packets: KEY_UPDATE_PACKETS,
            key_log: None,
        }
    }
}

impl SessionConfig {
    /// Whether a proven peer is welcome.
    pub(crate) fn judge(&self, node_id: NodeId, capabilities: u64) -> Result<(), Refusal> {
        if self
            .allow_list
            .as_ref()
            .is_some_and(|list| !list.contains(&node_id))
        {
            return Err(Refusal::NotAllowed);
        }
        if capabilities & self.require_capabilities != self.require_capabilities {
            return Err(Refusal::MissingCapability);
        }
        Ok(())
    }

    /// The user agent as it is sent.
    pub(crate) fn clean_user_agent(&self) -> String {
        self.user_agent
            .chars()
            .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
            .take(USER_AGENT_MAX)
            .collect()
    }

    /// The offered set, a bit each.
    pub(crate) fn cipher_bits(&self) -> u8 {
        self.ciphers
            .iter()
            .fold(0, |bits, suite| bits | suite.bit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_agents_are_printable_and_short() {
        let config = SessionConfig {
            user_agent: format!("a\n\u{202e}b{}", "x".repeat(99)),
            ..SessionConfig::default()
        };
        let clean = config.clean_user_agent();
        assert_eq!(clean.len(), USER_AGENT_MAX);
        assert!(clean.starts_with("a??bxxx"));
    }

    #[test]
    fn every_required_bit_is_needed() {
        let config = SessionConfig {
            require_capabilities: 0b101,
            ..SessionConfig::default()
        };
        let id = NodeId::from_bytes([1; 32]);
        assert_eq!(config.judge(id, 0b111), Ok(()));
        assert_eq!(config.judge(id, 0b011), Err(Refusal::MissingCapability));
        assert_eq!(config.judge(id, 0), Err(Refusal::MissingCapability));
    }

    #[test]
    fn an_empty_allow_list_refuses_everybody() {
        let id = NodeId::from_bytes([1; 32]);
        let with = |list: Option<BTreeSet<NodeId>>| SessionConfig {
            allow_list: list,
            ..SessionConfig::default()
        };
        assert_eq!(with(None).judge(id, 0), Ok(()));
        assert_eq!(with(Some(BTreeSet::from([id]))).judge(id, 0), Ok(()));
        assert_eq!(
            with(Some(BTreeSet::new())).judge(id, 0),
            Err(Refusal::NotAllowed)
        );
    }
}
