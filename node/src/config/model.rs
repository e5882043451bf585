//! The settings of a node, typed and valid.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use dunlin_overlay::address::HostPort;
use dunlin_overlay::{
    Instant, IpPrefix, OverlayConfig, PeerGroup, Roles, Topics, Validation, WallClock,
};
use dunlin_session::SessionConfig;

use crate::cli::address::PeerAddress;
use crate::cli::carrier::Carriers;
use crate::cli::controller::Controllers;
use crate::cli::id::{KeyExchange, PostQuantum};
use crate::discovery::{DiscoveryOptions, DnsSeed};

/// The settings of `dunlin start`. `docs/config.md` has the keys they are set by.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0 lets the system choose.
    pub port: u16,
    /// Folder of keys and store; `None`: the usual one.
    pub data_dir: Option<PathBuf>,
    /// File whose contents seal the identity key.
    pub passphrase_file: Option<PathBuf>,
    /// Folder for files that peers send; `None` refuses them.
    pub inbox: Option<PathBuf>,
    /// Where the API listens over TCP, if it does.
    pub api: Option<SocketAddr>,
    /// Name of the network.
    pub network_name: String,
    /// What the node says it is.
    pub roles: Roles,
    /// What carries packets.
    pub carrier: Carriers,
    /// Cores of the UDP port.
    pub shards: u32,
    /// The congestion controller.
    pub controller: Controllers,
    /// Whether peers have to prove a post-quantum key.
    pub post_quantum: PostQuantum,
    /// What the keys of connections come from.
    pub key_exchange: KeyExchange,
    /// Peers.
    pub peers: PeersConfig,
    /// Reputation and trust.
    pub reputation: ReputationConfig,
    /// Broadcasts.
    pub gossip: GossipConfig,
    /// The database of places that the dashboard shows peers by, if there is one.
    pub geo_database: Option<PathBuf>,
    /// Logs.
    pub log: LogConfig,
}

/// How many peers, how long things may take, whom to begin with.
#[derive(Clone, PartialEq, Debug)]
pub struct PeersConfig {
    /// More are refused.
    pub max_connections: usize,
    /// Below this known peers are dialled; `None`: the overlay's default, brought between the other
    /// two.
    pub target_connections: Option<usize>,
    /// Below this the bootstrap nodes are dialled again.
    pub min_connections: usize,
    /// A dial that was not answered by then has failed.
    pub connection_timeout: Duration,
    /// A link whose hellos are not finished by then is closed.
    pub handshake_timeout: Duration,
    /// Between questions for peers when there are enough.
    pub discovery_interval: Duration,
    /// Nodes to join the network through.
    pub bootstrap_nodes: Vec<PeerAddress>,
    /// Names that stand for nodes to join the network through.
    pub dns_seeds: Vec<DnsSeed>,
    /// Name servers to ask for them; empty: those of the system.
    pub name_servers: Vec<SocketAddr>,
    /// Whether to look for nodes in the local network, and to be found there.
    pub lan_discovery: bool,
    /// Most peers that opened the link themselves; `None`: the overlay's default.
    pub max_inbound: Option<usize>,
    /// Most links that this node opens; `None`: the overlay's default.
    pub max_outbound: Option<usize>,
    /// Inbound peers with one address.
    pub max_per_address: usize,
    /// Inbound peers of one subnet (/24 or /48).
    pub max_per_subnet: usize,
    /// Sets of ranges with a maximum of their own.
    pub groups: Vec<PeerGroup>,
    /// Whether the limits by address and subnet hold for loopback and private addresses too.
    pub limit_private: bool,
    /// Ranges that no limit is for and that are never banned.
    pub allow: Vec<IpPrefix>,
    /// Where others reach the node besides: names, onion services, addresses before a NAT.
    pub external_addresses: Vec<HostPort>,
    /// How long a ban by the operator lasts unless it says otherwise.
    pub ban_duration: Duration,
}

/// Thresholds and rates of reputation (0–100) and trust (thousandths).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReputationConfig {
    /// Below this a peer passes no messages on.
    pub min_relay: u8,
    /// Below this a peer takes no part in consensus.
    pub min_consensus: u8,
    /// Below this a peer is disconnected.
    pub auto_disconnect: u8,
    /// Below this a peer is banned.
    pub auto_ban: u8,
    /// How much of the evidence fades in a day, in per cent.
    pub decay_percent: u8,
    /// Trust of a newcomer.
    pub initial_trust_permille: u16,
    /// Below this a peer is not trusted.
    pub min_trust_permille: u16,
    /// How much of the distance to a newcomer's trust fades in an hour.
    pub trust_decay_permille: u16,
}

/// How broadcasts travel.
#[derive(Clone, PartialEq, Debug)]
pub struct GossipConfig {
    /// To how many neighbours a broadcast without a tree is pushed.
    pub fanout: usize,
    /// Between two comparisons of what neighbours have.
    pub interval: Duration,
    /// Hops our broadcasts may travel.
    pub message_ttl: u8,
    /// Broadcasts held for neighbours that lack them.
    pub store_messages: usize,
    /// Their bytes.
    pub store_bytes: usize,
    /// Of which topics broadcasts are taken; empty: of all.
    pub topics: Vec<String>,
    /// How long a broadcast waits for a verdict over the API; `None`: it is passed on unjudged.
    pub verdict_timeout: Option<Duration>,
}

impl GossipConfig {
    /// Of which topics broadcasts are taken.
    #[must_use]
    pub fn taken(&self) -> Topics {
        match self.topics.as_slice() {
            [] => Topics::All,
            names => Topics::Named(names.iter().cloned().collect()),
        }
    }
}

/// What is logged, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// Lines of at least this level.
    pub level: LogLevel,
    /// How lines look.
    pub format: LogFormat,
    /// A filter by module that takes the place of the level.
    pub filter: Option<String>,
    /// Lines from one place of the program that may come in a minute; 0: no bound.
    pub repeats_per_minute: u32,
}

/// How important a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogLevel {
    /// Nothing works.
    Error,
    /// Something is wrong.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        let overlay = defaults();
        Self {
            host: Ipv4Addr::UNSPECIFIED.into(),
            port: 4600,
            data_dir: None,
            passphrase_file: None,
            inbox: None,
            api: None,
            network_name: SessionConfig::default().network,
            roles: overlay.roles,
            carrier: Carriers::default(),
            shards: 1,
            controller: Controllers::default(),
            post_quantum: PostQuantum::default(),
            key_exchange: KeyExchange::default(),
            peers: PeersConfig {
                max_connections: overlay.max_peers,
                target_connections: None,
                min_connections: overlay.min_peers,
                connection_timeout: overlay.dial_timeout,
                handshake_timeout: overlay.handshake_timeout,
                discovery_interval: overlay.exchange_interval,
                bootstrap_nodes: Vec::new(),
                dns_seeds: Vec::new(),
                name_servers: Vec::new(),
                lan_discovery: false,
                max_inbound: overlay.admission.max_inbound,
                max_outbound: overlay.admission.max_outbound,
                max_per_address: overlay.admission.max_per_address,
                max_per_subnet: overlay.admission.max_per_subnet,
                groups: Vec::new(),
                limit_private: overlay.admission.limit_private,
                allow: Vec::new(),
                external_addresses: Vec::new(),
                ban_duration: overlay.ban_duration,
            },
            reputation: ReputationConfig::default(),
            gossip: GossipConfig {
                fanout: overlay.gossip_fanout,
                interval: overlay.gossip_interval,
                message_ttl: overlay.hop_limit,
                store_messages: overlay.store_messages,
                store_bytes: overlay.store_bytes,
                topics: Vec::new(),
                verdict_timeout: None,
            },
            geo_database: None,
            log: LogConfig {
                level: LogLevel::Info,
                format: LogFormat::Text,
                filter: None,
                repeats_per_minute: 60,
            },
        }
    }
}

impl Default for ReputationConfig {
    fn default() -> Self {
        let overlay = defaults().reputation;
        Self {
            min_relay: overlay.min_relay,
            min_consensus: overlay.min_consensus,
            auto_disconnect: overlay.auto_disconnect,
            auto_ban: overlay.auto_ban,
            decay_percent: overlay.decay_percent,
            initial_trust_permille: overlay.initial_trust_permille,
            min_trust_permille: overlay.min_trust_permille,
            trust_decay_permille: overlay.trust_decay_permille,
        }
    }
}

impl PeersConfig {
    /// How many peers are aimed at.
    #[must_use]
    pub fn target(&self) -> usize {
        let wanted = self.target_connections;
        let wanted = wanted.unwrap_or_else(|| defaults().target_peers);
        wanted.clamp(
            self.min_connections,
            self.max_connections.max(self.min_connections),
        )
    }
}

impl Config {
    /// Where to look for peers besides the bootstrap nodes.
    #[must_use]
    pub fn discovery(&self) -> DiscoveryOptions {
        DiscoveryOptions {
            dns_seeds: self.peers.dns_seeds.clone(),
            name_servers: self.peers.name_servers.clone(),
            lan: self.peers.lan_discovery,
        }
    }

    /// The settings of the overlay. What the start of a node decides (clock, addresses) is put in
    /// there.
    #[must_use]
    pub fn overlay(&self) -> OverlayConfig {
        let mut overlay = defaults();
        overlay.network.clone_from(&self.network_name);
        overlay.roles = self.roles;
        overlay.max_peers = self.peers.max_connections;
        overlay.target_peers = self.peers.target();
        overlay.min_peers = self.peers.min_connections;
        overlay.dial_timeout = self.peers.connection_timeout;
        overlay.handshake_timeout = self.peers.handshake_timeout;
        overlay.exchange_interval = self.peers.discovery_interval;
        overlay.admission.max_inbound = self.peers.max_inbound;
        overlay.admission.max_outbound = self.peers.max_outbound;
        overlay.admission.max_per_address = self.peers.max_per_address;
        overlay.admission.max_per_subnet = self.peers.max_per_subnet;
        overlay.admission.groups.clone_from(&self.peers.groups);
        overlay.admission.limit_private = self.peers.limit_private;
        overlay.admission.allow.clone_from(&self.peers.allow);
        overlay.external.clone_from(&self.peers.external_addresses);
        overlay.ban_duration = self.peers.ban_duration;
        overlay.reputation.min_relay = self.reputation.min_relay;
        overlay.reputation.min_consensus = self.reputation.min_consensus;
        overlay.reputation.auto_disconnect = self.reputation.auto_disconnect;
        overlay.reputation.auto_ban = self.reputation.auto_ban;
        overlay.reputation.decay_percent = self.reputation.decay_percent;
        overlay.reputation.initial_trust_permille = self.reputation.initial_trust_permille;
        overlay.reputation.min_trust_permille = self.reputation.min_trust_permille;
        overlay.reputation.trust_decay_permille = self.reputation.trust_decay_permille;
        overlay.gossip_fanout = self.gossip.fanout;
        overlay.gossip_interval = self.gossip.interval;
        overlay.hop_limit = self.gossip.message_ttl;
        overlay.store_messages = self.gossip.store_messages;
        overlay.store_bytes = self.gossip.store_bytes;
        overlay.topics = self.gossip.taken();
        overlay.validation = match self.gossip.verdict_timeout {
            Some(timeout) => Validation::Application { timeout },
            None => Validation::None,
        };
        overlay
    }
}

/// The overlay's own defaults.
fn defaults() -> OverlayConfig {
    OverlayConfig::new(WallClock {
        at: Instant::ZERO,
        unix_millis: 0,
    })
}
