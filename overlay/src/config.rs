//! What an operator may choose. Every default says where it comes from; "chosen" means a
//! reasonable guess that nothing has measured yet.

use core::time::Duration;
use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::Instant;
use crate::address::HostPort;
use crate::bucket::TokenBucket;
use crate::limits;
use crate::peers::groups::Admission;
use crate::peers::health::HealthThresholds;
use crate::reputation::ReputationConfig;
use crate::topics::Topics;
use crate::types::{Capabilities, Roles};

/// The relation between the driver's clock and the calendar. Signed objects carry calendar time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WallClock {
    /// A moment of the driver's clock …
    pub at: Instant,
    /// … and the same moment in milliseconds since the Unix epoch.
    pub unix_millis: u64,
}

impl WallClock {
    /// Milliseconds since the Unix epoch at `now`; saturates at both ends.
    #[must_use]
    pub fn unix_millis_at(&self, now: Instant) -> u64 {
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        self.unix_millis
            .saturating_add(millis(now.saturating_duration_since(self.at)))
            .saturating_sub(millis(self.at.saturating_duration_since(now)))
    }
}

/// Which handler and topic names are handed to the application.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Handlers {
    /// Every name; the application sorts them out.
    #[default]
    Any,
    /// Only these (at most [`limits::HANDLERS_MAX`]). Requests to others are answered "no
    /// handler", direct messages to others are dropped and counted, broadcasts on others are
    /// relayed but not delivered.
    Named(BTreeSet<String>),
}

/// Who judges broadcasts before they are passed on. Signature, bounds and rates are checked anyway.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Validation {
    /// Nobody else.
    #[default]
    None,
    /// The application: each `Event::Broadcast` waits for [`crate::Overlay::validate`], for so long
    /// at most, after which it is ignored. Topics that are not handled here are passed on unjudged.
    Application {
        /// How long a verdict may take.
        timeout: Duration,
    },
}

/// A rate with a burst.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Units a second.
    pub per_second: u64,
    /// Units that may come at once.
    pub burst: u64,
}

impl Rate {
    /// So many units a second, and so many at once.
    #[must_use]
    pub const fn new(per_second: u64, burst: u64) -> Self {
        Self { per_second, burst }
    }

    /// A full bucket of this rate.
    pub(crate) fn bucket(self, now: Instant) -> TokenBucket {
        TokenBucket::new(now, self.per_second, self.burst)
    }
}

/// The settings of an overlay. Numbers above a bound of [`limits`] are cut to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OverlayConfig {
    /// Calendar time; needed for records and broadcasts.
    pub wall_clock: WallClock,
    /// Name of the network (at most [`limits::NETWORK_LEN_MAX`] bytes); peers of another are
    /// refused. Default "dunlin".
    pub network: String,
    /// Shown to peers (at most [`limits::USER_AGENT_LEN_MAX`] bytes).
    pub user_agent: String,
    /// What we offer. Default: all.
    pub capabilities: Capabilities,
    /// What we are. Default: full.
    pub roles: Roles,
    /// Where peers can dial us (at most [`limits::RECORD_ADDRESSES_MAX`]). Unspecified addresses
    /// (`0.0.0.0`) cannot be dialled and are left out. Default: none.
    pub listen: Vec<SocketAddr>,
    /// Where else they reach us, as others know it: names, onion services, addresses before a NAT. They are
    /// in our record after `listen`, as far as there is room. Default: none.
    pub external: Vec<HostPort>,
    /// Which names reach the application. Default: any.
    pub handlers: Handlers,
    /// Of which topics broadcasts reach it. Default: those that the handlers let through.
    pub topics: Topics,
    /// Below this the bootstraps are dialled again. Default 4 (chosen).
    pub min_peers: usize,
    /// Below this known peers are dialled. Default 8: a random graph of that degree stays connected
    /// when a third of its nodes go (chosen; the outbound count of Bitcoin Core is the same).
    pub target_peers: usize,
    /// More are refused. Default 32 (chosen), at most [`limits::PEERS_MAX`].
    pub max_peers: usize,
    /// Dials at a time. Default 4 (chosen), at most [`limits::PARALLEL_DIALS_MAX`].
    pub parallel_dials: usize,
    /// A dial that the driver has not answered by then has failed. Default 15 s (chosen).
    pub dial_timeout: Duration,
    /// A link whose hellos are not finished by then is closed. Default 10 s (chosen).
    pub handshake_timeout: Duration,
    /// How long a goodbye waits for its acknowledgement. Default 2 s (chosen).
    pub disconnect_timeout: Duration,
    /// How long the losing one of two links to a peer stays open for what is on its way.
    /// Default 2 s (chosen). Links of which the older is older than five times this are not
    /// taken for a simultaneous connect: then the newer wins.
    pub duplicate_linger: Duration,
    /// Between pings. Default 15 s (chosen).
    pub ping_interval: Duration,
    /// A ping not answered by then counts as missed; three in a row end the link. Default 10 s.
    pub ping_timeout: Duration,
    /// Default time a request waits for its answer. Default 10 s (chosen).
    pub request_timeout: Duration,
    /// Between questions for peers when there are enough. Default 60 s (chosen).
    pub exchange_interval: Duration,
    /// The same below `target_peers`. Default 5 s (chosen).
    pub exchange_interval_low: Duration,
    /// How long a node with enough peers keeps its extra link to one before it dials another.
    /// Default 90 s: longer than it takes a link to count as proven (chosen).
    pub rove_interval: Duration,
    /// First delay after a failed dial. Default 1 s (chosen).
    pub backoff_base: Duration,
    /// Longest delay. Default 5 min (chosen).
    pub backoff_max: Duration,
    /// Messages that one peer may send us. Default 256/s, burst 1,024 (chosen).
    pub messages: Rate,
    /// Bytes that one peer may send us. Default 4 MiB/s, burst 8 MiB (chosen).
    pub bytes: Rate,
    /// Broadcasts of our own. Default 64/s, burst 256: a quarter of what peers admit, so that
    /// relays have room for others.
    pub broadcasts: Rate,
    /// Hops we allow our broadcasts (`message_ttl` of the seeds). Default and most
    /// [`limits::HOP_LIMIT_MAX`]: a limit that is met loses messages.
    pub hop_limit: u8,
    /// To how many neighbours a broadcast is pushed whose origin has no tree here and may not be
    /// explored (`gossip_fanout` of the seeds); the others are told that it is there. Default 3.
    pub gossip_fanout: usize,
    /// Between two comparisons of sets, each with a random neighbour (`gossip_interval` of the
    /// seeds). It is also how soon a neighbour that died is noticed. Default 1 s.
    pub gossip_interval: Duration,
    /// How long announcements wait for others. Default 100 ms: above the delay of most links, so
    /// that of two neighbours only the earlier one announces (chosen).
    pub announce_interval: Duration,
    /// How long an announced broadcast is awaited before it is asked for. Default 200 ms: on a tree
    /// of first arrivals it comes before its announcement; the rest is for losses (chosen).
    pub graft_after: Duration,
    /// How long the answer to that may take before the next announcer is asked. Default 500 ms.
    pub want_timeout: Duration,
    /// Payloads longer than this are announced, not pushed: an origin without a tree, or a wrong
    /// one, then costs no copies. Default 16 KiB (chosen).
    pub announce_above: usize,
    /// Origins without a tree whose first broadcast is flooded, which finds the fastest tree.
    /// Default 32/s, burst 128 (chosen).
    pub explorations: Rate,
    /// Broadcasts that one origin may bring. Default 128/s, burst 512: twice what it may send.
    pub origin_rate: Rate,
    /// What of an origin's broadcasts comes before the excess of others on every link; each 16 KiB count
    /// as one. Default 16/s, burst 64: an eighth of what is sent to a neighbour (chosen).
    pub origin_share: Rate,
    /// The same of all that one neighbour brings first. Default 64/s, burst 256: a half (chosen).
    pub link_share: Rate,
    /// Broadcasts held for neighbours that lack them. Default 4,096 (chosen), at most
    /// [`limits::STORE_MESSAGES_MAX`].
    pub store_messages: usize,
    /// Their bytes. Default 12 MiB (a flood must not cost a node more than 16), at most [`limits::STORE_BYTES_MAX`].
    pub store_bytes: usize,
    /// Who judges broadcasts. Default: nobody.
    pub validation: Validation,
    /// Broadcasts remembered. Default and bound [`limits::SEEN_MAX`].
    pub seen_capacity: usize,
    /// Length of a ban by the application. Default 24 h (chosen).
    pub ban_duration: Duration,
    /// Length of a ban for violations. Default 10 min (chosen).
    pub violation_ban_duration: Duration,
    /// How conduct is judged. Default: the weights and thresholds of seed Q.
    pub reputation: ReputationConfig,
    /// Who is taken as a peer: limits by direction, address, subnet and group.
    pub admission: Admission,
    /// From where on a peer counts as unhealthy.
    pub health: HealthThresholds,
    /// How long a peer may take to prove its identity again. Default 10 s (chosen).
    pub challenge_timeout: Duration,
}

impl OverlayConfig {
    /// The defaults.
    #[must_use]
    pub fn new(wall_clock: WallClock) -> Self {
        let seconds = Duration::from_secs;
        Self {
            wall_clock,
            network: String::from("dunlin"),
            user_agent: String::from(concat!("dunlin/", env!("CARGO_PKG_VERSION"))),
            capabilities: Capabilities::ALL,
            roles: Roles::FULL,
            listen: Vec::new(),
            external: Vec::new(),
            handlers: Handlers::Any,
            topics: Topics::All,
            min_peers: 4,
            target_peers: 8,
            max_peers: 32,
            parallel_dials: 4,
            dial_timeout: seconds(15),
            handshake_timeout: seconds(10),
            disconnect_timeout: seconds(2),
            duplicate_linger: seconds(2),
            ping_interval: seconds(15),
            ping_timeout: seconds(10),
            request_timeout: seconds(10),
            exchange_interval: seconds(60),
            exchange_interval_low: seconds(5),
            rove_interval: seconds(90),
            backoff_base: seconds(1),
            backoff_max: seconds(300),
            messages: Rate::new(256, 1024),
            bytes: Rate::new(4 << 20, 8 << 20),
            broadcasts: Rate::new(64, 256),
            hop_limit: limits::HOP_LIMIT_MAX,
            gossip_fanout: 3,
            gossip_interval: seconds(1),
            announce_interval: Duration::from_millis(100),
            graft_after: Duration::from_millis(200),
            want_timeout: Duration::from_millis(500),
            announce_above: 16 * 1024,
            explorations: Rate::new(32, 128),
            origin_rate: Rate::new(128, 512),
            origin_share: Rate::new(16, 64),
            link_share: Rate::new(64, 256),
            store_messages: 4_096,
            store_bytes: 12 << 20,
            validation: Validation::None,
            seen_capacity: limits::SEEN_MAX,
            ban_duration: seconds(24 * 3600),
            violation_ban_duration: seconds(600),
            reputation: ReputationConfig::default(),
            admission: Admission::default(),
            health: HealthThresholds::default(),
            challenge_timeout: seconds(10),
        }
    }

    /// Most inbound peers, as configured or by default.
    pub(crate) fn inbound_max(&self) -> usize {
        let kept = self.max_peers / 8;
        let default = self.max_peers - kept;
        self.admission
            .max_inbound
            .unwrap_or(default)
            .min(self.max_peers)
    }

    /// Most outbound peers, as configured or by default.
    pub(crate) fn outbound_max(&self) -> usize {
        self.admission
            .max_outbound
            .unwrap_or(self.max_peers)
            .min(self.max_peers)
    }

    /// The same with every number inside its bound.
    pub(crate) fn bounded(mut self) -> Self {
        truncate(&mut self.network, limits::NETWORK_LEN_MAX);
        truncate(&mut self.user_agent, limits::USER_AGENT_LEN_MAX);
        self.listen
            .retain(|address| !address.ip().is_unspecified() && address.port() != 0);
        self.listen.truncate(limits::RECORD_ADDRESSES_MAX);
        self.external.truncate(limits::RECORD_ADDRESSES_MAX);
        if let Handlers::Named(names) = &mut self.handlers {
            names.retain(|name| crate::types::is_valid_name(name));
            while names.len() > limits::HANDLERS_MAX {
                names.pop_last();
            }
        }
        self.topics = self.topics.bounded();
        self.max_peers = self.max_peers.min(limits::PEERS_MAX);
        self.target_peers = self.target_peers.min(self.max_peers);
        self.min_peers = self.min_peers.min(self.target_peers);
        self.admission.bound();
        self.parallel_dials = self.parallel_dials.clamp(1, limits::PARALLEL_DIALS_MAX);
        self.hop_limit = self.hop_limit.clamp(1, limits::HOP_LIMIT_MAX);
        self.seen_capacity = self.seen_capacity.clamp(1, limits::SEEN_MAX);
        self.store_messages = self.store_messages.min(limits::STORE_MESSAGES_MAX);
        self.store_bytes = self.store_bytes.min(limits::STORE_BYTES_MAX);
        self.gossip_fanout = self.gossip_fanout.max(1);
        self.reputation = self.reputation.bounded();
        let takes_all = self.handlers == Handlers::Any && self.topics == Topics::All;
        if self.validation != Validation::None && takes_all {
            self.capabilities = self.capabilities.union(Capabilities::VALIDATES);
        }
        if self.roles.contains(Roles::RELAY) {
            self.capabilities = self.capabilities.union(Capabilities::RELAYS);
        }
        for interval in [
            &mut self.ping_interval,
            &mut self.exchange_interval,
            &mut self.exchange_interval_low,
            &mut self.rove_interval,
            &mut self.backoff_base,
            &mut self.gossip_interval,
            &mut self.announce_interval,
            &mut self.graft_after,
            &mut self.want_timeout,
        ] {
            *interval = (*interval).max(Duration::from_millis(10));
        }
        self
    }
}

/// Cuts `text` to at most `len` bytes, at a character boundary.
fn truncate(text: &mut String, len: usize) {
    text.truncate(text.floor_char_boundary(len));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_past_a_bound_are_cut_to_it() {
        let wall_clock = WallClock {
            at: Instant::ZERO,
            unix_millis: 0,
        };
        let config = OverlayConfig {
            network: "é".repeat(40),
            max_peers: limits::PEERS_MAX + 1,
            target_peers: usize::MAX,
            parallel_dials: limits::PARALLEL_DIALS_MAX + 1,
            hop_limit: 255,
            seen_capacity: limits::SEEN_MAX + 1,
            store_messages: usize::MAX,
            store_bytes: usize::MAX,
            listen: vec!["0.0.0.0:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()],
            handlers: Handlers::Named((0..=limits::HANDLERS_MAX).map(|n| n.to_string()).collect()),
            ..OverlayConfig::new(wall_clock)
        }
        .bounded();
        assert_eq!(config.network.len(), limits::NETWORK_LEN_MAX);
        assert_eq!(
            (config.max_peers, config.target_peers),
            (limits::PEERS_MAX, limits::PEERS_MAX)
        );
        assert_eq!(config.parallel_dials, limits::PARALLEL_DIALS_MAX);
        assert_eq!(config.inbound_max(), limits::PEERS_MAX / 8 * 7);
        assert_eq!(config.outbound_max(), limits::PEERS_MAX);
        assert_eq!(config.hop_limit, limits::HOP_LIMIT_MAX);
        assert_eq!(config.seen_capacity, limits::SEEN_MAX);
        assert_eq!(config.store_messages, limits::STORE_MESSAGES_MAX);
        assert_eq!(config.store_bytes, limits::STORE_BYTES_MAX);
        assert_eq!(config.listen, ["127.0.0.1:2".parse().unwrap()]);
        assert!(matches!(config.handlers, Handlers::Named(n) if n.len() == limits::HANDLERS_MAX));
    }

    #[test]
    fn wall_clock_runs_with_the_drivers_clock() {
        let clock = WallClock {
            at: Instant::from_nanos(5_000_000_000),
            unix_millis: 9_000,
        };
        assert_eq!(
            clock.unix_millis_at(Instant::from_nanos(6_000_000_000)),
            10_000
        );
        assert_eq!(clock.unix_millis_at(Instant::ZERO), 4_000);
        assert_eq!(
            clock.unix_millis_at(Instant::FAR_FUTURE),
            9_000 + (u64::MAX - 5_000_000_000) / 1_000_000
        );
    }
}
