//! The simulator: overlays, links between them, and virtual time.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dunlin_overlay::{
    BroadcastId, DialTarget, Event, Instant, Overlay, OverlayConfig, OverlayError, OverlayStats,
    RequestId, WallClock,
};
use dunlin_session::{Identity, NodeId};
use dunlin_transport::protect::Random;

use super::adversary::Meddlers;
use super::judge::{Judge, TOPIC};
use super::links::{EndState, Link, Parcel, Side, Weather};
use super::scenario::LatencyRange;
use super::tamper::Tamperer;
use super::verdicts::Verdicts;
use super::violation::SwarmFailure;
use crate::rng::{Ppm, Rng};
use crate::scheduler::Scheduler;
use crate::trace::Trace;

/// Calendar time at the start of every simulation, in milliseconds since the Unix epoch.
pub const START_MILLIS: u64 = 1_800_000_000_000;

/// How the network between the nodes is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Climate {
    /// One-way delay, drawn once per pair of nodes.
    pub latency: LatencyRange,
    /// Most that is added to each message.
    pub jitter: Duration,
    /// Share of messages that come late and out of order.
    pub loss: Ppm,
    /// How long a broken link stays unnoticed at most.
    pub notice_after: Duration,
    /// Invariants are checked at every so many events (0: never by itself).
    pub check_every: u32,
}

impl Default for Climate {
    /// 10 to 50 ms, a millisecond of jitter, no loss, 30 s, every event.
    fn default() -> Self {
        Self {
            latency: LatencyRange::default(),
            jitter: Duration::from_millis(1),
            loss: Ppm(0),
            notice_after: Duration::from_secs(30),
            check_every: 1,
        }
    }
}

/// Whether a node runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Life {
    Running,
    /// Stands still, with all that it knows.
    Paused,
    Stopped,
}

pub(super) struct Node {
    pub(super) overlay: Overlay,
    pub(super) identity: Arc<Identity>,
    pub(super) config: OverlayConfig,
    pub(super) bootstraps: Vec<SocketAddr>,
    pub(super) life: Life,
    /// Its lives so far.
    pub(super) lives: u32,
    /// The earliest timer that is scheduled.
    pub(super) armed: Option<Instant>,
    pub(super) timers_at_instant: (Instant, u32),
    /// Links that it has or had an end of.
    pub(super) links: Vec<usize>,
    /// Ends that it would have given up, had it not stood still.
    pub(super) overdue: Vec<(usize, Side)>,
    /// What it was told, if anybody wants to know.
    pub(super) events: Vec<Event>,
}

pub(super) enum Happening {
    Timer {
        node: usize,
    },
    Up {
        link: usize,
        side: Side,
    },
    Arrival {
        link: usize,
        side: Side,
        parcel: Parcel,
    },
    ClosedHere {
        link: usize,
        side: Side,
    },
    /// The answer to a challenge is there.
    Proof {
        link: usize,
        side: Side,
    },
    Notice {
        link: usize,
        side: Side,
        epoch: u32,
    },
    DialFailed {
        node: usize,
        life: u32,
        target: Box<DialTarget>,
    },
}

/// What the trace knows of things that are no messages.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    Up = 1,
    Closed = 2,
    DialFailed = 3,
    Timer = 4,
    Start = 5,
    Stop = 6,
}

/// A network of overlays in virtual time.
///
/// What it models: identities and signatures as in production; round trips of dials; a delay per
/// pair of nodes and message; late messages; links that break unnoticed, hold what is sent and
/// either recover or are given up after the transport's idle timeout, at each end by itself;
/// partitions; nodes that stop without a word, stand still, come back with or without memory. What
/// it does not: bandwidth, the transport's own packets (that is the full stack's task), CPU time;
/// hostile peers only as [`Self::with_tamperer`] and [`Self::corrupt`].
pub struct Swarm {
    pub(super) scheduler: Scheduler<Happening>,
    pub(super) now: Instant,
    pub(super) nodes: Vec<Node>,
    /// Their names, side by side: each message needs its sender's.
    ids: Vec<NodeId>,
    pub(super) links: Vec<Link>,
    /// The part of the network that each node is in, while there is a partition.
    pub(super) parts: Option<Vec<bool>>,
    pub(super) judge: Judge,
    pub(super) climate: Climate,
    pub(super) weather: Weather,
    seed: u64,
    pub(super) trace: Trace,
    pub(super) steps: u64,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) dials_failed: u64,
    /// Counters of overlays that are gone.
    pub(super) retired: Vec<OverlayStats>,
    pub(super) keeps_events: bool,
    pub(super) tamperer: Option<Box<Tamperer>>,
    pub(super) meddlers: Meddlers,
    verdicts: Arc<Verdicts>,
}

impl Swarm {
    /// No nodes yet; all randomness comes from `seed`.
    #[must_use]
    pub fn new(seed: u64, climate: Climate) -> Self {
        Self {
            scheduler: Scheduler::new(),
            now: Instant::ZERO,
            nodes: Vec::new(),
            ids: Vec::new(),
            links: Vec::new(),
            parts: None,
            judge: Judge::default(),
            climate,
            weather: Weather {
                jitter: climate.jitter,
                loss: climate.loss,
                notice_after: climate.notice_after,
            },
            seed,
            trace: Trace::new(),
            steps: 0,
            messages: 0,
            bytes: 0,
            dials_failed: 0,
            retired: Vec::new(),
            keeps_events: false,
            tamperer: None,
            meddlers: Meddlers::new(),
            verdicts: Arc::default(),
        }
    }

    /// Keeps every event of every node for [`Self::events`]. For small networks.
    #[must_use]
    pub const fn keeping_events(mut self) -> Self {
        self.keeps_events = true;
        self
    }

    /// A configuration whose calendar is that of the simulation.
    #[must_use]
    pub fn config() -> OverlayConfig {
        OverlayConfig::new(WallClock {
            at: Instant::ZERO,
            unix_millis: START_MILLIS,
        })
    }

    /// Where the `node`-th node listens.
    #[must_use]
    pub fn address_of(node: usize) -> SocketAddr {
        let host = FIRST_HOST.wrapping_add(u32::try_from(node).unwrap_or(0));
        SocketAddr::from((Ipv4Addr::from(host), PORT))
    }

    /// Adds a node that runs from now on, listens at [`Self::address_of`] its index and starts from
    /// `bootstraps`.
    ///
    /// # Errors
    /// What must not be.
    pub fn add(
        &mut self,
        config: OverlayConfig,
        bootstraps: &[SocketAddr],
    ) -> Result<usize, SwarmFailure> {
        let index = self.nodes.len();
        let seed = self.identity_seed(index);
        let identity = Arc::new(Identity::from_seed(seed));
        let config = OverlayConfig {
            listen: vec![Self::address_of(index)],
            ..config
        };
        self.judge.on_node(self.now(), identity.node_id());
        self.ids.push(identity.node_id());
        self.nodes.push(Node {
            overlay: Overlay::new(config.clone(), Arc::clone(&identity), seed),
            identity,
            config,
            bootstraps: bootstraps.to_vec(),
            life: Life::Stopped,
            lives: 0,
            armed: None,
            timers_at_instant: (Instant::ZERO, 0),
            links: Vec::new(),
            overdue: Vec::new(),
            events: Vec::new(),
        });
        self.begin_life(index, &[])?;
        Ok(index)
    }

    fn identity_seed(&self, node: usize) -> [u8; 32] {
        let mut seed = [0; 32];
        self.stream(Stream::Identity, node, 0).fill(&mut seed);
        seed
    }

    /// The name that the `node`-th node has or will have when it is added.
    #[must_use]
    pub fn name_of(&self, node: usize) -> NodeId {
        Identity::from_seed(self.identity_seed(node)).node_id()
    }

    /// Gives a node a new overlay, which starts from its bootstraps and from `known`.
    pub(super) fn begin_life(
        &mut self,
        node: usize,
        known: &[SocketAddr],
    ) -> Result<(), SwarmFailure> {
        let now = self.now();
        let lives = self.nodes[node].lives + 1;
        let mut seed = [0; 32];
        self.stream(Stream::Overlay, node, u64::from(lives))
            .fill(&mut seed);
        let entry = &mut self.nodes[node];
        let mut config = entry.config.clone();
        // The calendar is read anew: epochs of lives differ, as with a real process.
        config.wall_clock = WallClock {
            at: now,
            unix_millis: config.wall_clock.unix_millis_at(now),
        };
        let overlay = Overlay::new(config, Arc::clone(&entry.identity), seed);
        let verdicts: Arc<Verdicts> = Arc::clone(&self.verdicts);
        let overlay = overlay.with_signatures(verdicts);
        let former = core::mem::replace(&mut entry.overlay, overlay);
        if lives > 1 {
            self.retired.push(former.stats());
        }
        (entry.lives, entry.life, entry.armed) = (lives, Life::Running, None);
        for &address in entry.bootstraps.iter().chain(known) {
            // One too many is left out: it was only a hint.
            let _ = entry.overlay.add_bootstrap(now, address, None);
        }
        self.judge.on_start(now, node);
        self.mark(node, Mark::Start, u64::from(lives));
        self.settle(node)
    }

    /// A random stream of its own for a purpose and two numbers.
    pub(super) fn stream(&self, purpose: Stream, a: usize, b: u64) -> Rng {
        let mut rng = Rng::new(self.seed);
        rng.split(purpose as u64).split(a as u64).split(b)
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Events so far.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Messages that arrived so far, and their bytes.
    #[must_use]
    pub const fn traffic(&self) -> (u64, u64) {
        (self.messages, self.bytes)
    }

    /// Dials that led to no link so far.
    #[must_use]
    pub const fn dials_failed(&self) -> u64 {
        self.dials_failed
    }

    /// The fingerprint so far.
    #[must_use]
    pub const fn trace_hash(&self) -> u64 {
        self.trace.hash()
    }

    /// Nodes, running or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The overlay of a node that was added.
    ///
    /// # Panics
    /// When it was not.
    #[must_use]
    pub fn overlay(&self, node: usize) -> &Overlay {
        &self.nodes[node].overlay
    }

    /// The name of a node that was added.
    ///
    /// # Panics
    /// When it was not.
    #[must_use]
    pub fn id_of(&self, node: usize) -> NodeId {
        self.ids[node]
    }

    /// What a node was told, in all its lives; empty unless [`Self::keeping_events`].
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn events(&self, node: usize) -> &[Event] {
        &self.nodes[node].events
    }

    /// Who runs, who is a peer of whom, what was delivered.
    #[must_use]
    pub const fn judge(&self) -> &Judge {
        &self.judge
    }

    /// The counters of all overlays, those of earlier lives included.
    pub fn all_stats(&self) -> impl Iterator<Item = OverlayStats> {
        let present = self.nodes.iter().map(|node| node.overlay.stats());
        self.retired.iter().copied().chain(present)
    }

    /// Open links between two nodes, counted at the first.
    #[must_use]
    pub fn links_between(&self, a: usize, b: usize) -> usize {
        let open = |link: &&Link| {
            let near = link.side_of(a);
            let (near, far) = (link.end(near), link.end(1 - near));
            near.node == a && far.node == b && near.state == EndState::Open
        };
        self.links.iter().filter(open).count()
    }

    /// Calls a running node's overlay and carries out what it wants. `None`: it does not run.
    ///
    /// # Errors
    /// What must not be.
    pub fn with<R>(
        &mut self,
        node: usize,
        call: impl FnOnce(&mut Overlay, Instant) -> R,
    ) -> Result<Option<R>, SwarmFailure> {
        let now = self.now();
        let Some(entry) = self.running_mut(node) else {
            return Ok(None);
        };
        let result = call(&mut entry.overlay, now);
        self.settle(node)?;
        Ok(Some(result))
    }

    /// Lets a node broadcast `payload`; `None` when it does not run or may not.
    ///
    /// # Errors
    /// What must not be.
    pub fn broadcast(
        &mut self,
        node: usize,
        payload: Bytes,
    ) -> Result<Option<BroadcastId>, SwarmFailure> {
        let now = self.now();
        let Some(entry) = self.running_mut(node) else {
            return Ok(None);
        };
        let unix_millis = entry.config.wall_clock.unix_millis_at(now);
        let Ok(id) = entry.overlay.broadcast(now, unix_millis, TOPIC, &payload) else {
            return Ok(None);
        };
        self.judge.on_broadcast(now, node, id, payload);
        self.settle(node)?;
        Ok(Some(id))
    }

    /// Lets a node ask a peer of it; `None` when it does not run or may not.
    ///
    /// # Errors
    /// What must not be.
    pub fn request(
        &mut self,
        node: usize,
        peer: NodeId,
        payload: Bytes,
    ) -> Result<Option<RequestId>, SwarmFailure> {
        let asked = self.with_unsettled(node, |overlay, now| {
            let asked: Result<_, OverlayError> = overlay.request(now, peer, TOPIC, &payload);
            asked.ok()
        });
        if let Some(id) = asked.flatten() {
            self.judge.on_request(self.now(), node, id, payload);
            self.settle(node)?;
            return Ok(Some(id));
        }
        Ok(None)
    }

    fn with_unsettled<R>(
        &mut self,
        node: usize,
        call: impl FnOnce(&mut Overlay, Instant) -> R,
    ) -> Option<R> {
        let now = self.now();
        self.running_mut(node)
            .map(|entry| call(&mut entry.overlay, now))
    }

    pub(super) fn running_mut(&mut self, node: usize) -> Option<&mut Node> {
        self.nodes
            .get_mut(node)
            .filter(|node| node.life == Life::Running)
    }
}

/// What a random stream is for.
#[derive(Clone, Copy)]
pub(super) enum Stream {
    Identity = 1,
    Overlay = 2,
    Link = 3,
    Latency = 4,
    Adversary = 5,
}

/// The address of the first node, 10.0.0.1, as a number.
pub(super) const FIRST_HOST: u32 = 0x0a00_0001;
pub(super) const PORT: u16 = 4_433;
