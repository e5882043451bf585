//! A handful of overlays on reliable links, with somebody who tampers, and what each run must come
//! to.
//!
//! Links are as the session's are: authenticated, ordered, reliable until they are cut. Who may
//! reach whom is a set of pairs, so that lines and stars can be built. Every message that was
//! carried is kept, to be repeated, changed or sent in another name.

mod runs;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dunlin_overlay::{
    Action, Direction, Event, LinkEnd, LinkEndCause, LinkId, LinkInfo, Overlay, OverlayConfig,
    WallClock,
};
use dunlin_session::{Identity, NodeId};
use dunlin_transport::Instant;

use crate::rng::Rng;
use crate::scheduler::Scheduler;

pub use runs::{KINDS, run};

/// Calendar time at the start.
const START_MILLIS: u64 = 1_800_000_000_000;
/// One way.
const DELAY: Duration = Duration::from_millis(20);

/// A node.
struct Node {
    overlay: Overlay,
    identity: Arc<Identity>,
    address: SocketAddr,
    /// What it said to its application, and when.
    events: Vec<Event>,
    armed: Option<Instant>,
}

/// One end of a link.
#[derive(Clone, Copy)]
struct End {
    node: usize,
    far: LinkId,
    far_node: usize,
}

enum Happening {
    Up {
        node: usize,
        link: LinkId,
        direction: Direction,
    },
    Message {
        link: LinkId,
        bytes: Vec<u8>,
    },
    Closed {
        link: LinkId,
        cause: LinkEndCause,
    },
    DialFailed {
        node: usize,
        target: dunlin_overlay::DialTarget,
    },
    Timer {
        node: usize,
    },
    /// Time passes.
    Pause,
}

/// The network.
struct Mesh {
    nodes: Vec<Node>,
    scheduler: Scheduler<Happening>,
    ends: BTreeMap<LinkId, End>,
    /// Pairs that can reach each other, lower first.
    reachable: BTreeSet<(usize, usize)>,
    /// Ways on which messages vanish.
    mute: BTreeSet<(usize, usize)>,
    /// Ways on which messages are kept back for the run to deal with.
    held: BTreeSet<(usize, usize)>,
    /// Everything that was sent, by way, in order.
    carried: BTreeMap<(usize, usize), Vec<Vec<u8>>>,
    next_link: u64,
    rng: Rng,
}

impl Mesh {
    fn new(rng: Rng) -> Self {
        Self {
            nodes: Vec::new(),
            scheduler: Scheduler::new(),
            ends: BTreeMap::new(),
            reachable: BTreeSet::new(),
            mute: BTreeSet::new(),
            held: BTreeSet::new(),
            carried: BTreeMap::new(),
            next_link: 0,
            rng,
        }
    }

    fn config() -> OverlayConfig {
        OverlayConfig::new(WallClock {
            at: Instant::ZERO,
            unix_millis: START_MILLIS,
        })
    }

    fn address(index: usize) -> SocketAddr {
        let low = u8::try_from(index).unwrap_or(0);
        SocketAddr::from(([10, 0, 0, low], 4_000))
    }

    fn add(&mut self, mut config: OverlayConfig) -> usize {
        let index = self.nodes.len();
        let mut seed = [0; 32];
        dunlin_transport::protect::Random::fill(&mut self.rng, &mut seed);
        let identity = Arc::new(Identity::from_seed(seed));
        let address = Self::address(index);
        config.listen = vec![address];
        self.nodes.push(Node {
            overlay: Overlay::new(config, Arc::clone(&identity), seed),
            identity,
            address,
            events: Vec::new(),
            armed: None,
        });
        index
    }

    fn id(&self, node: usize) -> NodeId {
        self.nodes[node].identity.node_id()
    }

    fn connect(&mut self, one: usize, two: usize) {
        self.reachable.insert((one.min(two), one.max(two)));
        let address = self.nodes[two].address;
        self.with(one, |overlay, now| {
            overlay.add_bootstrap(now, address, None).is_ok()
        });
    }

    fn now(&self) -> Instant {
        self.scheduler.now()
    }

    fn unix_millis(&self) -> u64 {
        START_MILLIS + self.now().as_nanos() / 1_000_000
    }

    /// Calls a node and carries out what it wants.
    fn with<T>(&mut self, node: usize, call: impl FnOnce(&mut Overlay, Instant) -> T) -> T {
        let now = self.now();
        let result = call(&mut self.nodes[node].overlay, now);
        while let Some(action) = self.nodes[node].overlay.poll_action() {
            self.carry_out(node, action);
        }
        while let Some(event) = self.nodes[node].overlay.poll_event() {
            self.nodes[node].events.push(event);
        }
        let entry = &mut self.nodes[node];
        if let Some(due) = entry.overlay.poll_timeout() {
            let due = due.max(now + Duration::from_nanos(1));
            if entry.armed.is_none_or(|armed| due < armed) {
                entry.armed = Some(due);
                self.scheduler.schedule(due, Happening::Timer { node });
            }
        }
        result
    }

    fn carry_out(&mut self, node: usize, action: Action) {
        let now = self.now();
        match action {
            Action::Dial(target) => {
                let peer = self
                    .nodes
                    .iter()
                    .position(|peer| peer.address == target.address);
                let peer = peer.filter(|&peer| {
                    let pair = (node.min(peer), node.max(peer));
                    self.reachable.contains(&pair) && target.id.is_none_or(|id| id == self.id(peer))
                });
                let Some(peer) = peer else {
                    let failed = Happening::DialFailed { node, target };
                    return self.scheduler.schedule(now + DELAY * 2, failed);
                };
                let (near, far) = (LinkId(self.next_link), LinkId(self.next_link + 1));
                self.next_link += 2;
                let ends = [(near, node, far, peer), (far, peer, near, node)];
                for (link, node, far, far_node) in ends {
                    self.ends.insert(
                        link,
                        End {
                            node,
                            far,
                            far_node,
                        },
                    );
                }
                let ups = [
                    (near, node, Direction::Outbound, 2),
                    (far, peer, Direction::Inbound, 3),
                ];
                for (link, node, direction, delays) in ups {
                    let up = Happening::Up {
                        node,
                        link,
                        direction,
                    };
                    self.scheduler.schedule(now + DELAY * delays, up);
                }
            }
            Action::Send { link, bytes, .. } => {
                let Some(end) = self.ends.get(&link).copied() else {
                    return;
                };
                let way = (end.node, end.far_node);
                self.carried.entry(way).or_default().push(bytes.to_vec());
                if !self.mute.contains(&way) && !self.held.contains(&way) {
                    let (link, bytes) = (end.far, bytes.to_vec());
                    // Behind a link that is still coming up at the far end.
                    let message = Happening::Message { link, bytes };
                    self.scheduler.schedule(now + DELAY * 3, message);
                }
            }
            Action::CloseLink { link, .. } => {
                let Some(end) = self.ends.get(&link).copied() else {
                    return;
                };
                let cause = LinkEndCause::ClosedLocally;
                self.scheduler
                    .schedule(now, Happening::Closed { link, cause });
                let (link, cause) = (end.far, LinkEndCause::ClosedByPeer);
                self.scheduler
                    .schedule(now + DELAY * 3, Happening::Closed { link, cause });
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Up {
                node,
                link,
                direction,
            } => {
                let Some(end) = self.ends.get(&link).copied() else {
                    return;
                };
                let peer = &self.nodes[end.far_node];
                let (id, public) = (peer.identity.node_id(), *peer.identity.public());
                let remote = peer.address;
                let info = LinkInfo {
                    id: link,
                    direction,
                    remote,
                    public,
                };
                self.with(node, |overlay, now| overlay.handle_connected(now, id, info));
            }
            Happening::Message { link, bytes } => {
                if let Some(end) = self.ends.get(&link).copied() {
                    self.tell(end.far_node, end.node, &bytes);
                }
            }
            Happening::Closed { link, cause } => {
                if let Some(end) = self.ends.remove(&link) {
                    let peer = self.id(end.far_node);
                    let ended = LinkEnd { link, cause };
                    self.with(end.node, |overlay, now| {
                        overlay.handle_disconnected(now, peer, ended);
                    });
                }
            }
            Happening::DialFailed { node, target } => {
                self.with(node, |overlay, now| {
                    overlay.handle_dial_failed(now, &target);
                });
            }
            Happening::Pause => {}
            Happening::Timer { node } => {
                let now = self.now();
                if self.nodes[node].armed.is_some_and(|armed| armed <= now) {
                    self.nodes[node].armed = None;
                    self.with(node, |overlay, now| overlay.handle_timeout(now));
                }
            }
        }
    }

    /// `to` gets a message as if from `from`, at once.
    fn tell(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let from = self.id(from);
        self.with(to, |overlay, now| overlay.handle_message(now, from, bytes));
    }

    fn run_for(&mut self, duration: Duration) {
        let until = self.now() + duration;
        self.scheduler.schedule(until, Happening::Pause);
        while self.scheduler.next_time().is_some_and(|next| next <= until) {
            if let Some((_, happening)) = self.scheduler.pop() {
                self.happen(happening);
            }
        }
    }

    /// Everything that went one way so far.
    fn carried(&self, from: usize, to: usize) -> Vec<Vec<u8>> {
        self.carried.get(&(from, to)).cloned().unwrap_or_default()
    }

    fn broadcast(&mut self, node: usize, payload: &[u8]) -> Result<(), String> {
        let unix_millis = self.unix_millis();
        let sent = self.with(node, |overlay, now| {
            overlay.broadcast(now, unix_millis, "news", payload)
        });
        sent.map(|_| ())
            .map_err(|error| format!("broadcast: {error}"))
    }

    /// The hop counts of the copies of `payload` that the application at `node` got.
    fn deliveries(&self, node: usize, payload: &[u8]) -> Vec<u8> {
        let events = self.nodes[node].events.iter();
        events
            .filter_map(|event| match event {
                Event::Broadcast {
                    payload: got, hops, ..
                } if got == payload => Some(*hops),
                _ => None,
            })
            .collect()
    }
}
