//! [`Overlay`]: all state, and the functions a driver and an application call.
//!
//! The work is done in the files beside this one, one concern each: [`links`] (links come and go),
//! [`handshake`] (hellos), [`receive`] (which message goes where), [`dialing`], [`choosing`] (whom of
//! those who are known), [`adding`] (peers that the operator names), [`hints`] (addresses that nobody
//! vouches for), [`saving`] (across restarts), [`exchange`] (learning of peers), [`roving`] (a link that
//! wanders), [`broadcasting`] (ours and new ones),
//! [`relaying`] (along trees), [`repairing`] (trees without a parent), [`fetching`] (what was announced), [`comparing`] (what was missed),
//! [`validating`] (verdicts), [`subscribing`] (topics), [`conduct`] (what counts for and against peers), [`trusting`] (what they
//! say of each other), [`silence`] (who does not answer), [`messaging`] (direct messages and
//! requests), [`parting`] (goodbyes), [`admission`] (who is taken and who goes for it), [`banning`],
//! [`proving`] (identities once more), [`through`] (messages through a third node), [`restoring`] (what was
//! seen before a restart), [`timers`], [`view`].

mod adding;
mod admission;
mod banning;
mod broadcasting;
mod choosing;
mod comparing;
mod conduct;
mod dialing;
mod exchange;
mod fetching;
mod handshake;
mod hints;
mod invariants;
mod links;
mod messaging;
mod parting;
mod proving;
mod receive;
mod relaying;
mod relying;
mod repairing;
mod restoring;
mod roving;
mod saving;
mod silence;
mod subscribing;
mod through;
mod timers;
mod trusting;
mod validating;
mod view;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use dunlin_session::{Identity, NodeId};

pub use self::conduct::TreePlaces;
use self::dialing::{Bootstrap, Dial};
use self::hints::Hint;
pub use self::invariants::BrokenInvariant;
use self::parting::Closing;
use self::roving::Roving;
pub use self::view::{OverlayStats, PeerView};
use crate::Instant;
use crate::bucket::TokenBucket;
use crate::config::{OverlayConfig, WallClock};
use crate::event::{Action, Event};
use crate::gossip::Gossip;
use crate::gossip::seen::SeenSet;
use crate::outbox::Outbox;
use crate::peers::bans::BanList;
use crate::peers::lives::Lives;
use crate::peers::rates::SubnetRates;
use crate::peers::table::PeerTable;
use crate::relayed::Relayed;
use crate::reputation::table::Reputations;
use crate::requests::Requests;
use crate::rng::Rng;
use crate::signatures::{EachAnew, Signatures};
use crate::types::LinkId;
use crate::wire::{Message, VerifiedRecord};

/// The overlay of one node, without sockets, clocks or threads.
///
/// The contract: give it one input (`handle_…` or a call of the application), then drain
/// [`Self::poll_action`] and [`Self::poll_event`], then ask [`Self::poll_timeout`] when to call
/// [`Self::handle_timeout`] (a time that has passed means now). Links are authenticated by the
/// session below: a message that is said to be from a peer is from that peer.
///
/// ```
/// use std::sync::Arc;
/// use dunlin_overlay::{Action, Instant, Overlay, OverlayConfig, WallClock};
/// use dunlin_session::Identity;
///
/// let now = Instant::ZERO;
/// let clock = WallClock { at: now, unix_millis: 1_800_000_000_000 };
/// let identity = Arc::new(Identity::from_seed([7; 32]));
/// let mut overlay = Overlay::new(OverlayConfig::new(clock), identity, [1; 32]);
/// overlay.add_bootstrap(now, "127.0.0.1:4100".parse()?, None)?;
/// assert_eq!(overlay.poll_timeout(), Some(now));
/// overlay.handle_timeout(now);
/// assert!(matches!(overlay.poll_action(), Some(Action::Dial(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Overlay {
    config: OverlayConfig,
    identity: Arc<Identity>,
    /// Who checks those of others.
    signatures: Arc<dyn Signatures>,
    me: NodeId,
    rng: Rng,
    table: PeerTable,
    live: Lives,
    /// How many of them are connected.
    connected: usize,
    closing: BTreeMap<LinkId, Closing>,
    dials: BTreeMap<SocketAddr, Dial>,
    bootstraps: Vec<Bootstrap>,
    hints: Vec<Hint>,
    seen: SeenSet,
    gossip: Gossip,
    requests: Requests,
    reputations: Reputations,
    own_record: Option<VerifiedRecord>,
    /// Sequence number of our newest record.
    record_sequence: u64,
    own_broadcasts: TokenBucket,
    /// Calendar time of the start, and broadcasts of our own since.
    epoch: u64,
    sequence: u64,
    next_exchange: Instant,
    roving: Roving,
    /// Since when there is no connected peer.
    alone_since: Option<Instant>,
    relayed: Relayed,
    bans: BanList,
    connect_rates: SubnetRates,
    /// Decides which networks eviction protects; nobody else knows it.
    eviction_key: [u8; 32],
    out: Outbox,
    counters: OverlayStats,
    shutting_down: bool,
}

impl Overlay {
    /// A new overlay for `identity`. `seed` feeds its only source of randomness: same seed and
    /// same inputs give the same outputs.
    #[must_use]
    pub fn new(config: OverlayConfig, identity: Arc<Identity>, seed: [u8; 32]) -> Self {
        let config = config.bounded();
        let start = config.wall_clock.at;
        let mut overlay = Self {
            signatures: Arc::new(EachAnew),
            me: identity.node_id(),
            rng: Rng::new(seed),
            table: PeerTable::new(book_key(&identity)),
            live: Lives::default(),
            connected: 0,
            closing: BTreeMap::new(),
            dials: BTreeMap::new(),
            bootstraps: Vec::new(),
            hints: Vec::new(),
            seen: SeenSet::new(config.seen_capacity),
            gossip: Gossip::new(start, &config),
            requests: Requests::default(),
            reputations: Reputations::new(config.reputation),
            own_record: None,
            record_sequence: 0,
            own_broadcasts: TokenBucket::new(
                start,
                config.broadcasts.per_second,
                config.broadcasts.burst,
            ),
            epoch: config.wall_clock.unix_millis,
            sequence: 0,
            next_exchange: start,
            roving: Roving::default(),
            alone_since: Some(start),
            relayed: Relayed::default(),
            bans: BanList::default(),
            connect_rates: SubnetRates::new(start, config.admission.connects_per_subnet),
            eviction_key: *blake3::keyed_hash(&seed, b"dunlin overlay eviction").as_bytes(),
            out: Outbox::default(),
            counters: OverlayStats::default(),
            shutting_down: false,
            identity,
            config,
        };
        overlay.start_roving(start);
        overlay.gossip.next_round = start + overlay.jittered(overlay.config.gossip_interval);
        overlay
    }

    /// The same with another checker of signatures, which it may share with other overlays.
    #[must_use]
    pub fn with_signatures(mut self, signatures: Arc<dyn Signatures>) -> Self {
        self.signatures = signatures;
        self
    }

    /// Our own name.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.me
    }

    /// The name of the network.
    #[must_use]
    pub fn network(&self) -> &str {
        &self.config.network
    }

    /// Sets the calendar anew: after the machine slept, or its clock was corrected.
    pub fn set_wall_clock(&mut self, wall_clock: WallClock) {
        self.config.wall_clock = wall_clock;
    }

    /// The next thing to do for the driver.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.out.poll_action()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.out.poll_event()
    }

    /// Peers with which messages flow.
    const fn connected_count(&self) -> usize {
        self.connected
    }

    /// Calendar time in milliseconds since the Unix epoch.
    fn unix_millis(&self, now: Instant) -> u64 {
        self.config.wall_clock.unix_millis_at(now)
    }

    /// Queues a message on the link in use; nothing when there is none.
    fn send_message(&mut self, peer: NodeId, message: &Message<'_>) {
        self.send_bytes(peer, message.encode_to_keep());
    }

    /// Queues an encoded message on the link in use; nothing when there is none.
    fn send_bytes(&mut self, peer: NodeId, bytes: Bytes) {
        let Some(traffic) = self.live.traffic_of(&peer) else {
            return;
        };
        traffic.counters.messages_out += 1;
        traffic.counters.bytes_out += bytes.len() as u64;
        let link = traffic.link;
        self.out.action(Action::Send { peer, link, bytes });
    }
}

/// The secret of the address book: it stays the same when the node restarts, and needs no file.
/// Nobody else can make the signature (Ed25519 signs the same bytes the same way, RFC 8032), and the
/// signature leaves the node nowhere.
fn book_key(identity: &Identity) -> [u8; 32] {
    let signature = identity.sign(b"dunlin overlay v1 address book", &[]);
    *blake3::hash(&signature).as_bytes()
}

#[cfg(test)]
mod tests;
