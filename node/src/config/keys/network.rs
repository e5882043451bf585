//! Keys of `[network]`: peers, reputation and trust, gossip.

use std::fmt::Display;
use std::str::FromStr;

use dunlin_overlay::limits::{
    ALLOWED_MAX, BOOTSTRAP_MAX, GROUP_PREFIXES_MAX, GROUPS_MAX, HOP_LIMIT_MAX, PEERS_MAX,
    RECORD_ADDRESSES_MAX, STORE_BYTES_MAX, STORE_MESSAGES_MAX, TOPICS_MAX,
};
use dunlin_overlay::{IpPrefix, PeerGroup, PrefixError, is_valid_name};

use super::{Key, key};
use crate::config::shape::{Setting, Shape};
use crate::discovery::DNS_SEEDS_MAX;

const DAY: f64 = 86_400.0;
const COUNT: Shape = Shape::Integer(0, PEERS_MAX as u64);

/// The keys, in the order of the generated file.
pub(super) const KEYS: &[Key] = &[
    key(
        "network.peers.max_connections",
        Shape::Integer(1, PEERS_MAX as u64),
        "More peers are refused.",
        |config| Setting::of_count(config.peers.max_connections),
        |config, value| {
            config.peers.max_connections = value.integer()?;
            Ok(())
        },
    )
    .or(&["max_peers"])
    .live(),
    key(
        "network.peers.target_connections",
        Shape::Integer(1, PEERS_MAX as u64),
        "Below this known peers are dialled. Without it: 8, brought between the least and the most.",
        |config| of_limit(config.peers.target_connections),
        |config, value| {
            config.peers.target_connections = Some(value.integer()?);
            Ok(())
        },
    )
    .live(),
    key(
        "network.peers.min_connections",
        Shape::Integer(0, PEERS_MAX as u64),
        "Below this the bootstrap nodes are dialled again.",
        |config| Setting::of_count(config.peers.min_connections),
        |config, value| {
            config.peers.min_connections = value.integer()?;
            Ok(())
        },
    )
    .or(&["min_peers"])
    .live(),
    key(
        "network.peers.connection_timeout",
        Shape::Seconds(0.1, 600.0),
        "Seconds after which a dial has failed.",
        |config| Setting::Number(config.peers.connection_timeout.as_secs_f64()),
        |config, value| {
            config.peers.connection_timeout = value.seconds()?;
            Ok(())
        },
    ),
    key(
        "network.peers.handshake_timeout",
        Shape::Seconds(0.1, 600.0),
        "Seconds after which a link whose hellos are not finished is closed.",
        |config| Setting::Number(config.peers.handshake_timeout.as_secs_f64()),
        |config, value| {
            config.peers.handshake_timeout = value.seconds()?;
            Ok(())
        },
    ),
    key(
        "network.peers.discovery_interval",
        Shape::Seconds(1.0, DAY),
        "Seconds between questions for peers when there are enough.",
        |config| Setting::Number(config.peers.discovery_interval.as_secs_f64()),
        |config, value| {
            config.peers.discovery_interval = value.seconds()?;
            Ok(())
        },
    ),
    key(
        "network.peers.bootstrap_nodes",
        Shape::List(BOOTSTRAP_MAX, "192.0.2.7:4600"),
        "Nodes to join the network through: ID@host:port or host:port. New ones are dialled on SIGHUP.",
        |config| {
            let nodes = config.peers.bootstrap_nodes.iter();
            Setting::List(nodes.map(ToString::to_string).collect())
        },
        |config, value| {
            config.peers.bootstrap_nodes = parsed(value)?;
            Ok(())
        },
    )
    .or(&["bootstrap_nodes"])
    .from("P, Q: their own nodes")
    .live(),
    key(
        "network.peers.dns_seeds",
        Shape::List(DNS_SEEDS_MAX, "seed.example.org"),
        "Names whose DNS records are nodes to join the network through: name or name:port.",
        |config| {
            let seeds = config.peers.dns_seeds.iter();
            Setting::List(seeds.map(ToString::to_string).collect())
        },
        |config, value| {
            config.peers.dns_seeds = parsed(value)?;
            Ok(())
        },
    )
    .from("Q: its own names"),
    key(
        "network.peers.name_servers",
        Shape::List(8, "192.0.2.53:53"),
        "Name servers to ask for them; without any those of the system.",
        |config| {
            let servers = config.peers.name_servers.iter();
            Setting::List(servers.map(ToString::to_string).collect())
        },
        |config, value| {
            config.peers.name_servers = parsed(value)?;
            Ok(())
        },
    ),
    key(
        "network.peers.lan_discovery",
        Shape::Flag,
        "Whether to look for nodes in the local network (mDNS), and to be seen there by everybody.",
        |config| Setting::Flag(config.peers.lan_discovery),
        |config, value| {
            config.peers.lan_discovery = value.flag()?;
            Ok(())
        },
    ),
    key(
        "network.peers.max_inbound",
        COUNT,
        "Most peers that opened the link themselves. Without it: seven eighths of max_connections.",
        |config| of_limit(config.peers.max_inbound),
        |config, value| {
            config.peers.max_inbound = Some(value.integer()?);
            Ok(())
        },
    ),
    key(
        "network.peers.max_outbound",
        COUNT,
        "Most links that this node opens. Without it: max_connections.",
        |config| of_limit(config.peers.max_outbound),
        |config, value| {
            config.peers.max_outbound = Some(value.integer()?);
            Ok(())
        },
    ),
    key(
        "network.peers.max_per_address",
        COUNT,
        "Inbound peers with one address; loopback and private addresses are not counted.",
        |config| Setting::of_count(config.peers.max_per_address),
        |config, value| {
            config.peers.max_per_address = value.integer()?;
            Ok(())
        },
    ),
    key(
        "network.peers.max_per_subnet",
        COUNT,
        "Inbound peers of one subnet (/24 or /48), counted likewise.",
        |config| Setting::of_count(config.peers.max_per_subnet),
        |config, value| {
            config.peers.max_per_subnet = value.integer()?;
            Ok(())
        },
    ),
    key(
        "network.peers.groups",
        Shape::List(GROUPS_MAX, "cellar=3 10.1.0.0/16 198.51.100.0/24"),
        "Sets of ranges of which together only so many inbound peers are taken, loopback and private ones too.",
        |config| Setting::List(config.peers.groups.iter().map(group_text).collect()),
        |config, value| {
            let groups = value.list()?;
            config.peers.groups = groups.iter().map(|text| group(text)).collect::<Result<_, _>>()?;
            Ok(())
        },
    ),
    key(
        "network.peers.limit_private",
        Shape::Flag,
        "Whether max_per_address and max_per_subnet hold for loopback and private addresses too.",
        |config| Setting::Flag(config.peers.limit_private),
        |config, value| {
            config.peers.limit_private = value.flag()?;
            Ok(())
        },
    ),
    key(
        "network.peers.allow",
        Shape::List(ALLOWED_MAX, "192.0.2.0/24"),
        "Ranges of addresses that no such limit is for, and that are never banned.",
        |config| {
            let ranges = config.peers.allow.iter();
            Setting::List(ranges.map(ToString::to_string).collect())
        },
        |config, value| {
            config.peers.allow = parsed(value)?;
            Ok(())
        },
    ),
    key(
        "network.peers.external_addresses",
        Shape::List(RECORD_ADDRESSES_MAX, "node.example.org:4600"),
        "Where others reach this node besides: names, onion services, addresses before a NAT. They go into its signed record as far as there is room.",
        |config| {
            let places = config.peers.external_addresses.iter();
            Setting::List(places.map(ToString::to_string).collect())
        },
        |config, value| {
            config.peers.external_addresses = parsed(value)?;
            Ok(())
        },
    ),
    key(
        "network.peers.ban_duration",
        Shape::Seconds(1.0, 3_650.0 * DAY),
        "Seconds that a ban by the operator lasts unless it says otherwise.",
        |config| Setting::Number(config.peers.ban_duration.as_secs_f64()),
        |config, value| {
            config.peers.ban_duration = value.seconds()?;
            Ok(())
        },
    ),
    key(
        "network.reputation.min_relay_reputation",
        Shape::Integer(0, 100),
        "Below this score a peer passes no messages on.",
        |config| Setting::Integer(config.reputation.min_relay.into()),
        |config, value| {
            config.reputation.min_relay = value.integer()?;
            Ok(())
        },
    )
    .from("Q"),
    key(
        "network.reputation.min_consensus_reputation",
        Shape::Integer(0, 100),
        "Below this score a peer takes no part in consensus.",
        |config| Setting::Integer(config.reputation.min_consensus.into()),
        |config, value| {
            config.reputation.min_consensus = value.integer()?;
            Ok(())
        },
    )
    .from("Q"),
    key(
        "network.reputation.auto_disconnect_threshold",
        Shape::Integer(0, 100),
        "Below this score a peer is disconnected.",
        |config| Setting::Integer(config.reputation.auto_disconnect.into()),
        |config, value| {
            config.reputation.auto_disconnect = value.integer()?;
            Ok(())
        },
    )
    .from("Q"),
    key(
        "network.reputation.auto_ban_threshold",
        Shape::Integer(0, 100),
        "Below this score a peer is banned.",
        |config| Setting::Integer(config.reputation.auto_ban.into()),
        |config, value| {
            config.reputation.auto_ban = value.integer()?;
            Ok(())
        },
    )
    .from("Q"),
    key(
        "network.reputation.decay_rate",
        Shape::Number(0.0, 1.0),
        "Share of the evidence that is forgotten in a day.",
        |config| of_share(config.reputation.decay_percent, 100),
        |config, value| {
            config.reputation.decay_percent = share(value, 100)?;
            Ok(())
        },
    )
    .from("Q"),
    key(
        "network.trust.initial_trust_score",
        Shape::Number(0.0, 1.0),
        "Trust of a newcomer, 0 to 1.",
        |config| of_share(config.reputation.initial_trust_permille, 1000),
        |config, value| {
            config.reputation.initial_trust_permille = share(value, 1000)?;
            Ok(())
        },
    )
    .or(&["initial_trust_score"])
    .from("P"),
    key(
        "network.trust.min_trust_threshold",
        Shape::Number(0.0, 1.0),
        "Below this a peer is not trusted.",
        |config| of_share(config.reputation.min_trust_permille, 1000),
        |config, value| {
            config.reputation.min_trust_permille = share(value, 1000)?;
            Ok(())
        },
    )
    .or(&["min_trust_threshold"])
    .from("P"),
    key(
        "network.trust.trust_decay_rate",
        Shape::Number(0.0, 1.0),
        "Share of the way back to a newcomer's trust that is gone in an hour.",
        |config| of_share(config.reputation.trust_decay_permille, 1000),
        |config, value| {
            config.reputation.trust_decay_permille = share(value, 1000)?;
            Ok(())
        },
    )
    .or(&["trust_decay_rate"])
    .from("P"),
    key(
        "network.gossip.fanout",
        Shape::Integer(1, PEERS_MAX as u64),
        "To how many neighbours a broadcast is pushed whose origin has no tree here yet.",
        |config| Setting::of_count(config.gossip.fanout),
        |config, value| {
            config.gossip.fanout = value.integer()?;
            Ok(())
        },
    )
    .or(&["gossip_fanout"])
    .from("P"),
    key(
        "network.gossip.interval",
        Shape::Seconds(0.01, 3_600.0),
        "Seconds between two comparisons of what neighbours have.",
        |config| Setting::Number(config.gossip.interval.as_secs_f64()),
        |config, value| {
            config.gossip.interval = value.seconds()?;
            Ok(())
        },
    )
    .or(&["gossip_interval"])
    .from("P"),
    key(
        "network.gossip.message_ttl",
        Shape::Integer(1, HOP_LIMIT_MAX as u64),
        "Hops that our broadcasts may travel; a limit that is met loses messages.",
        |config| Setting::Integer(config.gossip.message_ttl.into()),
        |config, value| {
            config.gossip.message_ttl = value.integer()?;
            Ok(())
        },
    )
    .or(&["message_ttl"]),
    key(
        "network.gossip.store_messages",
        Shape::Integer(1, STORE_MESSAGES_MAX as u64),
        "Broadcasts held for neighbours that lack them.",
        |config| Setting::of_count(config.gossip.store_messages),
        |config, value| {
            config.gossip.store_messages = value.integer()?;
            Ok(())
        },
    ),
    key(
        "network.gossip.store_bytes",
        Shape::Integer(1, STORE_BYTES_MAX as u64),
        "Bytes of the same.",
        |config| Setting::of_count(config.gossip.store_bytes),
        |config, value| {
            config.gossip.store_bytes = value.integer()?;
            Ok(())
        },
    ),
    key(
        "network.gossip.topics",
        Shape::List(TOPICS_MAX, "prices"),
        "Topics of which broadcasts are taken; of all without it. Those of others are passed on.",
        |config| Setting::List(config.gossip.topics.clone()),
        |config, value| {
            let topics = value.list()?;
            if let Some(topic) = topics.iter().find(|topic| !is_valid_name(topic)) {
                let topic = topic.escape_debug();
                return Err(format!("has \"{topic}\": a topic has 1 to 64 bytes and no control characters"));
            }
            config.gossip.topics = topics;
            Ok(())
        },
    )
    .live(),
    key(
        "network.gossip.verdict_timeout",
        Shape::Seconds(0.1, 600.0),
        "Seconds that a broadcast waits for a verdict over the API, after which it is not passed on. Without it broadcasts are passed on unjudged.",
        |config| match config.gossip.verdict_timeout {
            Some(timeout) => Setting::Number(timeout.as_secs_f64()),
            None => Setting::Unset,
        },
        |config, value| {
            config.gossip.verdict_timeout = Some(value.seconds()?);
            Ok(())
        },
    ),
];

/// A group as a text: `name=most range range …`.
fn group_text(group: &PeerGroup) -> String {
    let ranges = group.prefixes.iter().map(|range| format!(" {range}"));
    format!("{}={}{}", group.name, group.max, ranges.collect::<String>())
}

/// The same read.
fn group(text: &str) -> Result<PeerGroup, String> {
    let wrong = |why: &str| {
        let text = text.escape_debug();
        format!(
            "has \"{text}\": {why}; write a name, a number and ranges such as \"cellar=3 10.1.0.0/16\""
        )
    };
    let (name, rest) = text
        .split_once('=')
        .ok_or_else(|| wrong("the number is missing"))?;
    let mut words = rest.split_whitespace();
    let max = words.next().and_then(|word| word.parse().ok());
    let max = max.ok_or_else(|| wrong("the number is missing"))?;
    let ranges = words.map(|word| {
        word.parse()
            .map_err(|error: PrefixError| wrong(&error.to_string()))
    });
    let prefixes: Vec<IpPrefix> = ranges.collect::<Result<_, _>>()?;
    if prefixes.is_empty() || prefixes.len() > GROUP_PREFIXES_MAX {
        return Err(wrong(&format!(
            "a group has 1 to {GROUP_PREFIXES_MAX} ranges"
        )));
    }
    let name = name.trim().to_owned();
    Ok(PeerGroup {
        name,
        prefixes,
        max,
    })
}

fn of_limit(limit: Option<usize>) -> Setting {
    limit.map_or(Setting::Unset, Setting::of_count)
}

/// A share that is kept as so many parts of a whole.
fn of_share(parts: impl Into<u16>, whole: u16) -> Setting {
    Setting::Number(f64::from(parts.into()) / f64::from(whole))
}

/// The same read: the nearest number of parts.
fn share<T: TryFrom<u16>>(value: Setting, whole: u16) -> Result<T, String> {
    let share = value.number()? * f64::from(whole);
    let parts = (0..whole).find(|parts| f64::from(*parts) + 0.5 > share);
    T::try_from(parts.unwrap_or(whole)).map_err(|_| "has a value of another kind".into())
}

/// A list whose items read as `T`.
fn parsed<T: FromStr<Err: Display>>(value: Setting) -> Result<Vec<T>, String> {
    let items = value.list()?.into_iter().map(|text| {
        text.parse()
            .map_err(|error| format!("has \"{}\": {error}", text.escape_debug()))
    });
    items.collect()
}
