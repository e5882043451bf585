//! What an operator sees: peers and counters.

use core::time::Duration;
use std::net::SocketAddr;

use dunlin_session::{NodeId, PublicIdentity};

use super::Overlay;
use crate::Instant;
use crate::address::HostPort;
use crate::book::Shelf;
use crate::event::Direction;
use crate::gossip::neighbours::Neighbour;
use crate::gossip::origins::Origin;
use crate::gossip::store::Held;
use crate::peers::health::PeerHealth;
use crate::peers::kind::ConnectionKind;
use crate::peers::live::{Live, PeerCounters};
use crate::peers::state::{PeerState, StateReason};
use crate::peers::table::PeerSource;
use crate::types::{BroadcastId, Capabilities, PeerPriority, Roles, ShortId};
use crate::wire::VerifiedRecord;

/// A known peer, as of now.
#[derive(Clone, PartialEq, Debug)]
pub struct PeerView {
    /// Its name.
    pub id: NodeId,
    /// Where it stands.
    pub state: PeerState,
    /// Why it stands there.
    pub reason: StateReason,
    /// How we came to know it.
    pub source: PeerSource,
    /// Where it may be dialled.
    pub addresses: Vec<SocketAddr>,
    /// Its keys, while there is a link.
    pub public: Option<PublicIdentity>,
    /// Who opened the link, if there is one.
    pub direction: Option<Direction>,
    /// Its address on that link.
    pub remote: Option<SocketAddr>,
    /// When messages began to flow.
    pub connected_at: Option<Instant>,
    /// Smoothed round-trip time of its pings.
    pub rtt: Option<Duration>,
    /// What it says it can do.
    pub capabilities: Capabilities,
    /// What it says it is.
    pub roles: Roles,
    /// Its software, as it says: treat as untrusted text.
    pub user_agent: String,
    /// Failures in a row.
    pub failures: u32,
    /// End of its ban.
    pub banned_until: Option<Instant>,
    /// Traffic on the link.
    pub counters: PeerCounters,
    /// The score of its conduct, 0 to 100 ([`Overlay::reputation`]).
    pub reputation: u8,
    /// Trust in it, 0 to 1.
    pub trust: f64,
    /// What the connection is for.
    pub kind: Option<ConnectionKind>,
    /// The protocol version spoken, once its hello was accepted.
    pub version: Option<u16>,
    /// How it answers, while there is a link.
    pub health: Option<PeerHealth>,
    /// When anything was last heard of it on the link.
    pub last_activity: Option<Instant>,
    /// When it last proved its identity again on the link.
    pub proved_at: Option<Instant>,
    /// Through whom messages pass to and from it, when there is no link.
    pub via: Option<NodeId>,
    /// Why it is banned, in words.
    pub ban_reason: Option<String>,
    /// Names and onion services in its record: shown, not dialled.
    pub named_addresses: Vec<HostPort>,
    /// How much the operator wants it.
    pub priority: PeerPriority,
    /// Whether a dial of ours found it where the address book has it.
    pub tried: bool,
}

/// Counters since the start, and sizes as of now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct OverlayStats {
    /// Peers with which messages flow (now).
    pub connected: usize,
    /// Peers with a link whose hellos are not finished (now).
    pub handshaking: usize,
    /// Known peers (now).
    pub known: usize,
    /// Known peers with a place in the address book (now).
    pub in_book: usize,
    /// Addresses that are known without an ID (now).
    pub hints: usize,
    /// Dials under way (now).
    pub dialling: usize,
    /// Broadcasts remembered for deduplication (now).
    pub seen: usize,
    /// Connected peers that have not answered for a few round trips (now).
    pub silent: usize,
    /// Broadcasts held for neighbours (now).
    pub held: usize,
    /// Their bytes (now).
    pub held_bytes: usize,
    /// Origins with a tree (now).
    pub origins: usize,
    /// Broadcasts that were announced and have not come (now).
    pub wanted: usize,
    /// Broadcasts that wait for a verdict (now).
    pub validating: usize,
    /// Dials started.
    pub dials: u64,
    /// Broadcasts of ours.
    pub broadcasts_sent: u64,
    /// Broadcasts of others, each counted once.
    pub broadcasts_received: u64,
    /// Further copies of them.
    pub broadcasts_duplicate: u64,
    /// Copies passed on.
    pub copies_relayed: u64,
    /// Broadcasts dropped for their age.
    pub broadcasts_stale: u64,
    /// Broadcasts that broke a rule.
    pub broadcasts_invalid: u64,
    /// Broadcasts dropped for their origin's rate.
    pub broadcasts_over_rate: u64,
    /// Broadcasts passed on only where there was room, because their origin, or who brought them, brings
    /// more than its share.
    pub broadcasts_over_share: u64,
    /// Broadcasts not pushed for this, and left to comparisons.
    pub surplus_withheld: u64,
    /// Broadcasts of which nothing was kept because too many wait for a verdict.
    pub validations_refused: u64,
    /// Broadcasts that the application rejected or ignored, or did not judge in time.
    pub broadcasts_not_accepted: u64,
    /// Announcements of broadcasts sent.
    pub announced: u64,
    /// Broadcasts asked for.
    pub asked_for: u64,
    /// Of these, the ones that did not come in time from who had announced them.
    pub promises_broken: u64,
    /// Broadcasts brought to neighbours that asked.
    pub served: u64,
    /// Announcements not remembered for lack of room.
    pub announcements_ignored: u64,
    /// Links taken out of an origin's tree.
    pub prunes_sent: u64,
    /// Links taken in for being shorter, or in place of a lost one.
    pub grafts_sent: u64,
    /// Comparisons of sets begun.
    pub comparisons: u64,
    /// Messages of comparisons not answered for their sender's rate.
    pub comparisons_refused: u64,
    /// Broadcasts found missing here by comparisons.
    pub differences: u64,
    /// Times that a peer fell silent.
    pub silences: u64,
    /// Records of peers taken in.
    pub records_learned: u64,
    /// Records not taken in: invalid, too old, known, or no room.
    pub records_refused: u64,
    /// Questions for peers not answered for their rate.
    pub exchange_refused: u64,
    /// Answers that nobody had asked for.
    pub unsolicited: u64,
    /// Messages dropped for their sender's rate.
    pub dropped_for_rate: u64,
    /// Messages dropped because the hello was not finished and the queue was full.
    pub early_dropped: u64,
    /// Messages of a type that this version does not know.
    pub unknown_types: u64,
    /// Messages to names or of kinds that are not handled here.
    pub unhandled: u64,
    /// Messages passed on for neighbours.
    pub relayed: u64,
    /// Messages to be passed on, or passed on to us, dropped for their sender's rate.
    pub relays_refused: u64,
    /// Proven faults of peers.
    pub violations: u64,
    /// Broadcasts asked for again, to see whether they come.
    pub audits: u64,
    /// Times that a neighbour lost its places for its conduct.
    pub barred: u64,
    /// Messages about trust not read or answered for their sender's rate.
    pub trust_refused: u64,
    /// Peers that had to go for others.
    pub evictions: u64,
    /// Actions dropped because the driver did not poll.
    pub actions_dropped: u64,
    /// Events dropped because the application did not poll.
    pub events_dropped: u64,
}

impl Overlay {
    /// All known peers, in the order of their IDs.
    pub fn peers(&self) -> impl Iterator<Item = PeerView> {
        let initial_trust = self.reputations.config().initial_trust();
        self.table.iter().map(move |(id, entry)| {
            let live = self.live.get(&id);
            let hello = live.and_then(|live| live.hello.as_ref());
            let rtt = live.and_then(|live| live.ping.smoothed_rtt_nanos);
            PeerView {
                id,
                state: entry.state,
                reason: entry.reason,
                source: entry.source,
                addresses: entry.addresses.clone(),
                public: live.map(|live| live.link.public),
                direction: live.map(|live| live.link.direction),
                remote: live.map(|live| live.link.remote),
                connected_at: live.and_then(|live| live.connected_at),
                rtt: rtt.map(Duration::from_nanos),
                capabilities: hello.map(|hello| hello.capabilities).unwrap_or_default(),
                roles: hello.map(|hello| hello.roles).unwrap_or_default(),
                user_agent: hello
                    .map(|hello| hello.user_agent.clone())
                    .unwrap_or_default(),
                failures: entry.backoff.failures(),
                banned_until: entry.banned_until,
                counters: live.map(|live| live.counters).unwrap_or_default(),
                reputation: self.reputations.score(&id),
                trust: self
                    .reputations
                    .view(&id)
                    .map_or(initial_trust, |known| known.trust),
                kind: self.kind_of(id, live),
                version: hello.map(|hello| hello.version),
                health: self.health_of(id),
                last_activity: live.map(|live| live.last_activity),
                proved_at: live.and_then(|live| live.proved_at),
                via: self.relayed.via(id).filter(|_| live.is_none()),
                ban_reason: self.bans.reason_of(id),
                named_addresses: entry
                    .record
                    .as_ref()
                    .map(VerifiedRecord::named_addresses)
                    .unwrap_or_default(),
                priority: entry.priority,
                tried: entry.slot.is_some_and(|slot| slot.shelf == Shelf::Tried),
            }
        })
    }

    /// What the connection with a peer is for.
    fn kind_of(&self, peer: NodeId, live: Option<&Live>) -> Option<ConnectionKind> {
        let Some(live) = live else {
            return self.relayed.via(peer).map(|_| ConnectionKind::Relay);
        };
        let is_outbound = !live.is_inbound();
        let is_seed = is_outbound && self.table.get(peer)?.source == PeerSource::Bootstrap;
        Some(if is_outbound && self.roves_to(peer) {
            ConnectionKind::Temporary
        } else if self.is_persistent(peer) {
            ConnectionKind::Persistent
        } else if is_seed {
            ConnectionKind::Seed
        } else if is_outbound {
            ConnectionKind::Outbound
        } else {
            ConnectionKind::Inbound
        })
    }

    /// How a peer answers; `None` without a link.
    pub(super) fn health_of(&self, peer: NodeId) -> Option<PeerHealth> {
        let live = self.live.get(&peer)?;
        let neighbour = self.gossip.neighbours.get(&peer);
        let is_silent = neighbour.is_some_and(|of| of.is_silent());
        let thresholds = &self.config.health;
        Some(live.ping.health(thresholds, is_silent, live.last_activity))
    }

    /// The connected peers with which something is wrong, and what
    /// ([`crate::OverlayConfig::health`]).
    pub fn unhealthy(&self) -> impl Iterator<Item = (NodeId, PeerHealth)> {
        let connected = self.live.iter().filter(|(_, live)| live.is_connected());
        connected
            .filter_map(|(&peer, _)| Some((peer, self.health_of(peer)?)))
            .filter(|(_, health)| !health.is_healthy())
    }

    /// Bytes of what is kept of broadcasts, that peers could make grow: those held, and the entries of those
    /// remembered, missing, refused, announced and waiting, and of the trees. It is counted by the sizes of
    /// the entries, so what containers and allocators add is not in it.
    #[must_use]
    pub fn gossip_bytes(&self) -> usize {
        let gossip = &self.gossip;
        let to_tell = |neighbour: &Neighbour| neighbour.announcements.len();
        let announcements: usize = gossip.neighbours.iter().map(|(_, of)| to_tell(of)).sum();
        let entries = [
            (self.seen.len(), size_of::<(u64, BroadcastId, ShortId)>()),
            (gossip.store.len(), size_of::<(Held, NodeId)>()),
            (gossip.origins.len(), size_of::<(NodeId, Origin)>()),
            (gossip.wants.len(), size_of::<(ShortId, [NodeId; 6])>()),
            (gossip.declined.len(), size_of::<ShortId>()),
            (
                gossip.validations.len(),
                size_of::<(BroadcastId, [NodeId; 2])>(),
            ),
            (announcements, size_of::<(ShortId, bool)>()),
        ];
        let entries: usize = entries.iter().map(|(count, each)| count * each).sum();
        gossip.store.bytes() + entries
    }

    /// Counters and sizes.
    #[must_use]
    pub fn stats(&self) -> OverlayStats {
        let connected = self.connected_count();
        OverlayStats {
            connected,
            handshaking: self.live.len() - connected,
            known: self.table.len(),
            in_book: self.table.placed(),
            hints: self.hints.len(),
            dialling: self.dials.len(),
            seen: self.seen.len(),
            silent: self.gossip.neighbours.silent(),
            held: self.gossip.store.len(),
            held_bytes: self.gossip.store.bytes(),
            origins: self.gossip.origins.len(),
            wanted: self.gossip.wants.len(),
            validating: self.gossip.validations.len(),
            actions_dropped: self.out.actions_dropped,
            events_dropped: self.out.events_dropped,
            ..self.counters
        }
    }
}
