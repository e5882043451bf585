//! What an application may set.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::access::{DenyList, PostQuantum, RefusalLogger};
use crate::error::Refusal;
use crate::identity::PublicIdentity;
use crate::key_exchange::KeyExchange;
use crate::key_log::KeyLogger;
use crate::limits::{
    KEY_UPDATE_INTERVAL, KEY_UPDATE_PACKETS, REKEY_BYTES, REKEY_INTERVAL, USER_AGENT_MAX,
};
use crate::node_id::NodeId;
use crate::planted::{self, Bug};
use crate::rekey::{Due, Randomness};
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
    /// Peers that are refused, whatever the allow-list says. Default: nobody.
    pub deny_list: DenyList,
    /// Whether a peer has to prove an ML-DSA-65 key. Default: when it has one.
    pub post_quantum: PostQuantum,
    /// The key exchange to offer, and the least to accept. Default: hybrid, so a classical one needs
    /// both ends to be set to it.
    pub key_exchange: KeyExchange,
    /// Told about the proven peers that we refuse. Default: nobody.
    pub refusals: Option<RefusalLogger>,
    /// Our capabilities, announced to proven peers only; the application gives the bits meaning. At
    /// most [`CAPABILITIES_MAX`](crate::limits::CAPABILITIES_MAX); higher bits are not sent.
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
    /// How long a sending key is used while there is traffic. Default: [`KEY_UPDATE_INTERVAL`].
    pub key_update_interval: Duration,
    /// Where connections take fresh randomness from, to renew their keys by a fresh key exchange; both
    /// ends need one. Default: none, keys are then only derived from each other.
    pub randomness: Option<Randomness>,
    /// Age at which an exchange is due. Default: [`REKEY_INTERVAL`].
    pub rekey_interval: Duration,
    /// Bytes, sealed and opened, after which it is. Default: [`REKEY_BYTES`].
    pub rekey_bytes: u64,
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
            deny_list: DenyList::default(),
            post_quantum: PostQuantum::default(),
            key_exchange: KeyExchange::default(),
            refusals: None,
            capabilities: 0,
            require_capabilities: 0,
            user_agent: concat!("dunlin/", env!("CARGO_PKG_VERSION")).to_owned(),
            ciphers: CipherSuite::by_speed(),
            key_update_packets: KEY_UPDATE_PACKETS,
            key_update_interval: KEY_UPDATE_INTERVAL,
            randomness: None,
            rekey_interval: REKEY_INTERVAL,
            rekey_bytes: REKEY_BYTES,
            key_log: None,
        }
    }
}

impl SessionConfig {
    /// Whether a proven peer is welcome.
    pub(crate) fn judge(
        &self,
        peer: &PublicIdentity,
        capabilities: u64,
        key_exchange: KeyExchange,
    ) -> Result<(), Refusal> {
        let node_id = peer.node_id();
        if self.deny_list.contains(&node_id) {
            return Err(Refusal::Revoked);
        }
        if self
            .allow_list
            .as_ref()
            .is_some_and(|list| !list.contains(&node_id))
        {
            return Err(Refusal::NotAllowed);
        }
        if self.post_quantum == PostQuantum::Required && !peer.is_hybrid() {
            return Err(Refusal::ClassicalOnly);
        }
        if key_exchange < self.key_exchange && !planted::is(Bug::ClassicalAccepted) {
            return Err(Refusal::ClassicalKeyExchange);
        }
        if capabilities & self.require_capabilities != self.require_capabilities {
            return Err(Refusal::MissingCapability);
        }
        Ok(())
    }

    /// Whether we ask peers for their second signature.
    pub(crate) fn asks_second(&self) -> bool {
        self.post_quantum != PostQuantum::Off
    }

    /// When a fresh key exchange is due.
    pub(crate) fn rekey_due(&self) -> Due {
        Due {
            interval: self.rekey_interval,
            bytes: self.rekey_bytes,
        }
    }

    /// The user agent as it is sent.
    pub(crate) fn clean_user_agent(&self) -> String {
        let mut clean = String::with_capacity(USER_AGENT_MAX);
        let printable = |c| if matches!(c, ' '..='~') { c } else { '?' };
        clean.extend(self.user_agent.chars().map(printable).take(USER_AGENT_MAX));
        clean
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

    const PEER: PublicIdentity = PublicIdentity {
        ed25519: [1; 32],
        mldsa_commitment: [0; 32],
    };

    #[test]
    fn every_required_bit_is_needed() {
        let config = SessionConfig {
            require_capabilities: 0b101,
            ..SessionConfig::default()
        };
        assert_eq!(config.judge(&PEER, 0b111, KeyExchange::Hybrid), Ok(()));
        assert_eq!(
            config.judge(&PEER, 0b011, KeyExchange::Hybrid),
            Err(Refusal::MissingCapability)
        );
        assert_eq!(
            config.judge(&PEER, 0, KeyExchange::Hybrid),
            Err(Refusal::MissingCapability)
        );
    }

    #[test]
    fn an_empty_allow_list_refuses_everybody() {
        let id = PEER.node_id();
        let with = |list: Option<BTreeSet<NodeId>>| SessionConfig {
            allow_list: list,
            ..SessionConfig::default()
        };
        assert_eq!(with(None).judge(&PEER, 0, KeyExchange::Hybrid), Ok(()));
        assert_eq!(
            with(Some(BTreeSet::from([id]))).judge(&PEER, 0, KeyExchange::Hybrid),
            Ok(())
        );
        assert_eq!(
            with(Some(BTreeSet::new())).judge(&PEER, 0, KeyExchange::Hybrid),
            Err(Refusal::NotAllowed)
        );
    }

    #[test]
    fn who_is_denied_is_refused_even_when_allowed() {
        let config = SessionConfig {
            allow_list: Some(BTreeSet::from([PEER.node_id()])),
            ..SessionConfig::default()
        };
        config.deny_list.replace([PEER.node_id()]);
        assert_eq!(
            config.judge(&PEER, 0, KeyExchange::Hybrid),
            Err(Refusal::Revoked)
        );
        config.deny_list.replace([]);
        assert_eq!(config.judge(&PEER, 0, KeyExchange::Hybrid), Ok(()));
    }

    #[test]
    fn a_classical_key_exchange_is_accepted_only_where_it_is_set() {
        use KeyExchange::{Classical, Hybrid};
        for (setting, used, verdict) in [
            (Hybrid, Hybrid, Ok(())),
            (Hybrid, Classical, Err(Refusal::ClassicalKeyExchange)),
            (Classical, Classical, Ok(())),
            (Classical, Hybrid, Ok(())),
        ] {
            let config = SessionConfig {
                key_exchange: setting,
                ..SessionConfig::default()
            };
            assert_eq!(config.judge(&PEER, 0, used), verdict);
        }
    }

    #[test]
    fn a_classical_peer_is_refused_only_where_post_quantum_is_required() {
        let hybrid = PublicIdentity {
            mldsa_commitment: [2; 32],
            ..PEER
        };
        for (post_quantum, classical) in [
            (PostQuantum::Off, Ok(())),
            (PostQuantum::Preferred, Ok(())),
            (PostQuantum::Required, Err(Refusal::ClassicalOnly)),
        ] {
            let config = SessionConfig {
                post_quantum,
                ..SessionConfig::default()
            };
            assert_eq!(config.judge(&PEER, 0, KeyExchange::Hybrid), classical);
            assert_eq!(config.judge(&hybrid, 0, KeyExchange::Hybrid), Ok(()));
        }
    }
}
