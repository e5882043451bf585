//! What the node knows at one moment, and how the API shows it.

use std::collections::BTreeMap;
use std::time::Duration;

use dunlin_overlay::{Capabilities, Instant, OverlayStats, PeerState, PeerView, Roles};
use dunlin_session::NodeId;

use super::model::{
    Code, Path, Peer, PeerCounts, PeerDetail, PeerFilter, PeerPriority, PeerStatus, Problem,
    Summary,
};
use super::records::time;
use crate::clock::unix_millis;
use crate::network::Handle;

/// How many IDs a sentence about an ambiguous abbreviation names.
const CANDIDATES_MAX: usize = 4;
/// What every ID begins with.
const PREFIX: &str = "dunlin1";

/// All peers and counters at one moment.
pub struct Snapshot {
    now: Instant,
    unix_millis: u64,
    /// Every known peer.
    pub peers: Vec<PeerView>,
    /// Counters and sizes.
    pub stats: OverlayStats,
    /// Round-trip times as the transport measures them.
    rtts: BTreeMap<NodeId, Duration>,
}

impl Snapshot {
    /// Asks the node.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn take(node: &Handle) -> Result<Self, Problem> {
        let connections = node.connections().await;
        let rtts = connections
            .iter()
            .filter_map(|(id, connection)| Some((*id, connection.path_stats()?.rtt)))
            .filter(|(_, rtt)| !rtt.is_zero())
            .collect();
        let taken = node.with_overlay(|overlay, now| Self {
            now,
            unix_millis: unix_millis(),
            peers: overlay.peers().collect(),
            stats: overlay.stats(),
            rtts,
        });
        taken.await.ok_or_else(Problem::stopping)
    }

    /// A moment of the node's clock in the calendar.
    #[must_use]
    pub fn time(&self, at: Instant) -> String {
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let after = millis(at.saturating_duration_since(self.now));
        let before = millis(self.now.saturating_duration_since(at));
        time(
            self.unix_millis
                .saturating_add(after)
                .saturating_sub(before),
        )
    }

    /// The peer that `text` names: an ID, the beginning of one (with or without `dunlin1`), or an
    /// address at which a peer is linked or may be dialled.
    ///
    /// # Errors
    /// No peer, or several.
    pub fn find(&self, text: &str) -> Result<&PeerView, Problem> {
        if let Ok(address) = text.parse() {
            let at = |peer: &&PeerView| peer.remote == Some(address);
            let known = |peer: &&PeerView| peer.addresses.contains(&address);
            let found = self.peers.iter().find(at);
            return found
                .or_else(|| self.peers.iter().find(known))
                .ok_or_else(|| {
                    Problem::new(
                        Code::UnknownPeer,
                        format!("no known peer is at {address}; `dunlin peer list` shows them"),
                    )
                });
        }
        self.find_id(text)
    }

    fn find_id(&self, text: &str) -> Result<&PeerView, Problem> {
        let wanted = &abbreviation(text);
        let named: Vec<(String, &PeerView)> = self
            .peers
            .iter()
            .map(|peer| (peer.id.to_string(), peer))
            .collect();
        let mut found = named.iter().filter(|(id, _)| begins_with(id, text));
        match (found.next(), found.next()) {
            (Some((_, peer)), None) => Ok(peer),
            (Some((one, _)), Some((other, _))) => {
                let more = found.map(|(id, _)| id);
                let ids = [one, other].into_iter().chain(more).take(CANDIDATES_MAX);
                let ids: Vec<_> = ids.map(|id| shorten(id, wanted.len() + 6)).collect();
                Err(Problem::new(
                    Code::AmbiguousPeer,
                    format!(
                        "several peers begin with \"{}\": {}; give more of the ID",
                        text.escape_debug(),
                        ids.join(", ")
                    ),
                ))
            }
            _ => Err(unknown(text, wanted, &named)),
        }
    }

    /// The peers that pass `filter`: connected ones first, each group in the order of IDs.
    #[must_use]
    pub fn list(&self, filter: PeerFilter) -> Vec<Peer> {
        let passes = |peer: &&PeerView| match filter {
            PeerFilter::All => true,
            PeerFilter::Connected => peer.state == PeerState::Connected,
            PeerFilter::Banned => peer.state == PeerState::Banned,
            PeerFilter::Unhealthy => is_unhealthy(peer),
        };
        let mut peers: Vec<&PeerView> = self.peers.iter().filter(passes).collect();
        peers.sort_by_key(|peer| rank(peer.state));
        peers.into_iter().map(|peer| self.show(peer)).collect()
    }

    /// All known peers in a few numbers.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let counts = self.counts();
        let scores: Vec<f64> = self
            .peers
            .iter()
            .filter_map(reputation)
            .map(f64::from)
            .collect();
        let number = f64::from(u32::try_from(scores.len()).unwrap_or(u32::MAX));
        let mean = scores.iter().sum::<f64>() / number;
        Summary {
            total_peers: counts.known,
            connected: counts.connected,
            connecting: counts.connecting,
            banned: counts.banned,
            average_reputation: Some((mean * 100.0).round() / 100.0).filter(|_| !scores.is_empty()),
        }
    }

    /// Peers by state.
    #[must_use]
    pub fn counts(&self) -> PeerCounts {
        let in_states = |wanted: &[PeerState]| {
            let peers = self.peers.iter();
            peers.filter(|peer| wanted.contains(&peer.state)).count()
        };
        PeerCounts {
            known: self.peers.len(),
            connected: in_states(&[PeerState::Connected]),
            silent: self.stats.silent,
            connecting: in_states(&[PeerState::Connecting, PeerState::Handshaking]),
            banned: in_states(&[PeerState::Banned]),
        }
    }

    /// A peer as `peer list` shows it.
    #[must_use]
    pub fn show(&self, peer: &PeerView) -> Peer {
        let address = peer.remote.or_else(|| peer.addresses.first().copied());
        Peer {
            id: peer.id.to_string(),
            address: address.map(|address| address.to_string()),
            status: status(peer.state),
            version: version_of(&peer.user_agent),
            latency_ms: self.latency(peer).map(millis),
            messages_exchanged: peer.counters.messages_in + peer.counters.messages_out,
            reputation_score: reputation(peer),
            connected_since: peer.connected_at.map(|at| self.time(at)),
            last_activity: peer.last_activity.map(|at| self.time(at)),
            capabilities: capability_names(peer.capabilities),
            roles: role_names(peer.roles),
            connection: peer.kind.map(|kind| kind.to_string()),
            ailments: peer.health.as_ref().map_or_else(Vec::new, |health| {
                health.ailments.iter().map(ToString::to_string).collect()
            }),
        }
    }

    /// The round-trip time of a peer's pings, or of its packets while it has not answered any.
    #[must_use]
    pub fn latency(&self, peer: &PeerView) -> Option<Duration> {
        peer.rtt.or_else(|| self.rtts.get(&peer.id).copied())
    }

    /// All that is known of a peer.
    #[must_use]
    pub fn detail(&self, peer: &PeerView, path: Option<Path>) -> PeerDetail {
        let (counters, health) = (&peer.counters, peer.health.as_ref());
        PeerDetail {
            reason: peer.reason.to_string(),
            source: peer.source.to_string(),
            priority: match peer.priority {
                dunlin_overlay::PeerPriority::High => PeerPriority::High,
                dunlin_overlay::PeerPriority::Normal => PeerPriority::Normal,
                dunlin_overlay::PeerPriority::Low => PeerPriority::Low,
            },
            tried: peer.tried,
            direction: peer.direction.map(|way| way.to_string()),
            via: peer.via.map(|via| via.to_string()),
            protocol: peer.version,
            ping_success: health
                .filter(|health| health.pings > 0)
                .map(|health| f64::from(health.answered) / f64::from(health.pings)),
            latency_variance_ms: health.and_then(|health| health.rtt_variance).map(millis),
            proved_at: peer.proved_at.map(|at| self.time(at)),
            addresses: {
                let numeric = peer.addresses.iter().map(ToString::to_string);
                let named = peer.named_addresses.iter().map(ToString::to_string);
                numeric.chain(named).collect()
            },
            user_agent: Some(peer.user_agent.clone()).filter(|agent| !agent.is_empty()),
            failures: peer.failures,
            banned_until: peer.banned_until.map(|until| self.time(until)),
            ban_reason: peer.ban_reason.clone(),
            messages_sent: counters.messages_out,
            messages_received: counters.messages_in,
            bytes_sent: counters.bytes_out,
            bytes_received: counters.bytes_in,
            first_deliveries: counters.first_deliveries,
            duplicates: counters.duplicates,
            path,
            place: None,
            peer: self.show(peer),
        }
    }
}

/// A duration in milliseconds, to the microsecond.
#[must_use]
pub fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// The reputation of a peer, 0 to 100.
#[must_use]
pub const fn reputation(peer: &PeerView) -> Option<u8> {
    Some(peer.reputation)
}

/// Whether messages flow with a peer and something is wrong with it.
#[must_use]
pub fn is_unhealthy(peer: &PeerView) -> bool {
    let is_ill = peer.health.as_ref().is_some_and(|of| !of.is_healthy());
    is_ill && peer.state == PeerState::Connected
}

/// Where a peer stands, as the API says it.
#[must_use]
pub const fn status(state: PeerState) -> PeerStatus {
    match state {
        PeerState::Discovered => PeerStatus::Discovered,
        PeerState::Connecting => PeerStatus::Connecting,
        PeerState::Handshaking => PeerStatus::Handshaking,
        PeerState::Connected => PeerStatus::Connected,
        PeerState::Disconnected => PeerStatus::Disconnected,
        PeerState::Failed => PeerStatus::Failed,
        PeerState::Banned => PeerStatus::Banned,
    }
}

/// An ID cut after `length` characters of its variable part.
#[must_use]
pub fn shorten(id: &str, length: usize) -> String {
    match id.get(..PREFIX.len() + length) {
        Some(start) => format!("{start}…"),
        None => id.to_owned(),
    }
}

/// Whether an ID begins with what somebody typed, with or without `dunlin1` and an ellipsis.
#[must_use]
pub fn begins_with(id: &str, typed: &str) -> bool {
    let wanted = abbreviation(typed);
    !wanted.is_empty() && rest(id).starts_with(&wanted)
}

fn abbreviation(typed: &str) -> String {
    let typed = typed.trim_end_matches(['…', '.']).to_lowercase();
    typed.strip_prefix(PREFIX).unwrap_or(&typed).to_owned()
}

fn rest(id: &str) -> &str {
    id.strip_prefix(PREFIX).unwrap_or(id)
}

const fn rank(state: PeerState) -> u8 {
    match state {
        PeerState::Connected => 0,
        PeerState::Handshaking | PeerState::Connecting => 1,
        PeerState::Disconnected | PeerState::Failed | PeerState::Discovered => 2,
        PeerState::Banned => 3,
    }
}

fn unknown(text: &str, wanted: &str, named: &[(String, &PeerView)]) -> Problem {
    let text = text.escape_debug();
    // A mistyped character or two of what was typed.
    let nearest = named
        .iter()
        .filter_map(|(id, _)| {
            let start = rest(id).get(..wanted.len())?;
            let distance = strsim::osa_distance(start, wanted);
            (distance <= 2 && distance * 3 <= wanted.len()).then_some((distance, id))
        })
        .min();
    let detail = match nearest {
        Some((_, id)) => format!(
            "no known peer begins with \"{text}\"; did you mean {}?",
            shorten(id, wanted.len())
        ),
        None => format!("no known peer begins with \"{text}\"; `dunlin peer list` shows them"),
    };
    Problem::new(Code::UnknownPeer, detail)
}

/// The version in a user agent such as `dunlin/0.1.0`; what a peer says of itself, without control
/// characters.
fn version_of(user_agent: &str) -> Option<String> {
    let (_, version) = user_agent.split_once('/')?;
    let version = version.split_whitespace().next()?;
    Some(version.chars().filter(|c| !c.is_control()).collect())
}

fn capability_names(of: Capabilities) -> Vec<String> {
    let names = [
        (Capabilities::GOSSIP, "gossip"),
        (Capabilities::PEER_EXCHANGE, "peer_exchange"),
        (Capabilities::DIRECT, "direct"),
        (Capabilities::REQUESTS, "requests"),
        (Capabilities::VALIDATES, "validates"),
        (Capabilities::RELAYS, "relays"),
    ];
    let has = names.into_iter().filter(|(bit, _)| of.contains(*bit));
    has.map(|(_, name)| name.to_owned()).collect()
}

/// What the roles of a node are called.
#[must_use]
pub fn role_names(of: Roles) -> Vec<String> {
    let has = ROLES.into_iter().filter(|(bit, _)| of.contains(*bit));
    has.map(|(_, name)| name.to_owned()).collect()
}

/// The roles that a node may have, and what they are called.
pub const ROLES: [(Roles, &str); 6] = [
    (Roles::VALIDATOR, "validator"),
    (Roles::FULL, "full"),
    (Roles::LIGHT, "light"),
    (Roles::BRIDGE, "bridge"),
    (Roles::RELAY, "relay"),
    (Roles::ARCHIVE, "archive"),
];

/// The ID in `text`, if it is a whole one.
#[must_use]
pub fn whole_id(text: &str) -> Option<NodeId> {
    text.parse().ok()
}
