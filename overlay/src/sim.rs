//! A deterministic network of overlays for tests: virtual time, seeded delays, links that are
//! reliable and ordered (as the session's are) but may be cut without notice.
//!
//! What it models: dial round trips, one-way delay per message, links that die with their node and
//! are noticed only after a timeout. What it does not: bandwidth, packet loss (the transport
//! repairs that), CPU time.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use dunlin_session::{Identity, NodeId, PublicIdentity};

use crate::rng::Rng;
use crate::{
    Action, DialTarget, Direction, Event, Instant, LinkEnd, LinkEndCause, LinkId, LinkInfo,
    Overlay, OverlayConfig, WallClock,
};

/// Calendar time at the start of every simulation.
pub(crate) const START_MILLIS: u64 = 1_800_000_000_000;
/// How long a cut link stays unnoticed.
const CUT_NOTICED_AFTER: Duration = Duration::from_secs(30);
/// Inputs without progress of time that count as a livelock.
const STEPS_PER_INSTANT_MAX: u32 = 200_000;

/// The default configuration with the simulation's calendar.
pub(crate) fn config() -> OverlayConfig {
    OverlayConfig::new(WallClock {
        at: Instant::ZERO,
        unix_millis: START_MILLIS,
    })
}

/// The `n`-th node's identity seed.
pub(crate) fn identity_seed(n: usize) -> [u8; 32] {
    *blake3::hash(&n.to_be_bytes()).as_bytes()
}

/// Where the `n`-th node listens.
pub(crate) fn address_of(n: usize) -> SocketAddr {
    let [.., high, low] = n.to_be_bytes();
    SocketAddr::from(([10, 0, high, low], 4000))
}

pub(crate) struct Node {
    pub(crate) overlay: Overlay,
    pub(crate) id: NodeId,
    pub(crate) events: Vec<Event>,
    public: PublicIdentity,
    alive: bool,
    wake: Option<Instant>,
}

/// One end of a link.
struct End {
    node: usize,
    far: LinkId,
    far_node: usize,
    /// What is sent now arrives no sooner than what was sent before.
    last_arrival: Instant,
    open: bool,
}

enum Delivery {
    Connected {
        node: usize,
        peer: usize,
        link: LinkId,
        direction: Direction,
        remote: SocketAddr,
    },
    Message {
        link: LinkId,
        bytes: Bytes,
    },
    Closed {
        link: LinkId,
        cause: LinkEndCause,
    },
    DialFailed {
        node: usize,
        target: DialTarget,
    },
}

pub(crate) struct Sim {
    pub(crate) now: Instant,
    pub(crate) nodes: Vec<Node>,
    rng: Rng,
    delay_millis: (u64, u64),
    queue: BTreeMap<(Instant, u64), Delivery>,
    next: u64,
    ends: BTreeMap<LinkId, End>,
    trace: blake3::Hasher,
    steps_at_instant: u32,
}

impl Sim {
    /// An empty network; one-way delays are drawn from 5 to 50 ms.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: Instant::ZERO,
            nodes: Vec::new(),
            rng: Rng::new(*blake3::hash(&seed.to_be_bytes()).as_bytes()),
            delay_millis: (5, 50),
            queue: BTreeMap::new(),
            next: 0,
            ends: BTreeMap::new(),
            trace: blake3::Hasher::new(),
            steps_at_instant: 0,
        }
    }

    /// Adds a node that listens at [`address_of`] its index.
    pub(crate) fn add(&mut self, mut config: OverlayConfig) -> usize {
        let index = self.nodes.len();
        config.listen = vec![address_of(index)];
        let identity = Arc::new(Identity::from_seed(identity_seed(index)));
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.rng.next_u64().to_be_bytes());
        let (id, public) = (identity.node_id(), *identity.public());
        let overlay = Overlay::new(config, identity, seed);
        self.nodes.push(Node {
            overlay,
            id,
            events: Vec::new(),
            public,
            alive: true,
            wake: None,
        });
        index
    }

    /// `count` nodes that all know the address of node 0 and nothing else.
    pub(crate) fn star_of_one_bootstrap(seed: u64, count: usize, config: &OverlayConfig) -> Self {
        let mut sim = Self::new(seed);
        for _ in 0..count {
            sim.add(config.clone());
        }
        for node in 1..count {
            sim.with(node, |overlay, now| {
                overlay.add_bootstrap(now, address_of(0), None).unwrap();
            });
        }
        sim
    }

    /// Calls a node and carries out what it wants.
    pub(crate) fn with<T>(
        &mut self,
        node: usize,
        call: impl FnOnce(&mut Overlay, Instant) -> T,
    ) -> T {
        let result = call(&mut self.nodes[node].overlay, self.now);
        self.drain(node);
        result
    }

    fn drain(&mut self, node: usize) {
        while let Some(action) = self.nodes[node].overlay.poll_action() {
            self.trace
                .update(format!("{:?} {node} {action:?}", self.now).as_bytes());
            self.carry_out(node, action);
        }
        while let Some(event) = self.nodes[node].overlay.poll_event() {
            self.trace
                .update(format!("{:?} {node} {event:?}", self.now).as_bytes());
            self.nodes[node].events.push(event);
        }
        self.nodes[node].overlay.assert_invariants();
        self.nodes[node].wake = self.nodes[node].overlay.poll_timeout();
    }

    fn delay(&mut self) -> Duration {
        let (low, high) = self.delay_millis;
        Duration::from_micros(low * 1000 + self.rng.below((high - low) * 1000 + 1))
    }

    fn schedule(&mut self, at: Instant, delivery: Delivery) {
        self.next += 1;
        self.queue.insert((at, self.next), delivery);
    }

    fn carry_out(&mut self, node: usize, action: Action) {
        match action {
            Action::Dial(target) => self.dial(node, target),
            Action::Send { link, bytes, .. } => self.send(link, bytes),
            Action::CloseLink { link, .. } => self.close(link),
        }
    }

    fn dial(&mut self, node: usize, target: DialTarget) {
        let there = self.delay();
        let back = self.delay();
        let answering = (0..self.nodes.len()).find(|&n| {
            address_of(n) == target.address
                && self.nodes[n].alive
                && target.id.is_none_or(|id| id == self.nodes[n].id)
        });
        let Some(peer) = answering else {
            self.schedule(
                self.now + there + back,
                Delivery::DialFailed { node, target },
            );
            return;
        };
        let (near, far) = (LinkId(self.next * 2), LinkId(self.next * 2 + 1));
        let near_up = self.now + there + back;
        let far_up = near_up + self.delay();
        self.ends.insert(
            near,
            End {
                node,
                far,
                far_node: peer,
                last_arrival: far_up,
                open: true,
            },
        );
        self.ends.insert(
            far,
            End {
                node: peer,
                far: near,
                far_node: node,
                last_arrival: near_up,
                open: true,
            },
        );
        let (direction, remote) = (Direction::Outbound, target.address);
        self.schedule(
            near_up,
            Delivery::Connected {
                node,
                peer,
                link: near,
                direction,
                remote,
            },
        );
        let (direction, mut remote) = (Direction::Inbound, address_of(node));
        remote.set_port(50_000);
        self.schedule(
            far_up,
            Delivery::Connected {
                node: peer,
                peer: node,
                link: far,
                direction,
                remote,
            },
        );
    }

    fn send(&mut self, link: LinkId, bytes: Bytes) {
        let delay = self.delay();
        let now = self.now;
        let Some(end) = self.ends.get_mut(&link).filter(|end| end.open) else {
            return;
        };
        end.last_arrival = end.last_arrival.max(now + delay);
        let (at, far) = (end.last_arrival, end.far);
        self.schedule(at, Delivery::Message { link: far, bytes });
    }

    fn close(&mut self, link: LinkId) {
        let delay = self.delay();
        let now = self.now;
        let Some(end) = self.ends.get_mut(&link).filter(|end| end.open) else {
            return;
        };
        end.open = false;
        let (at, far) = (end.last_arrival.max(now + delay), end.far);
        self.schedule(
            now,
            Delivery::Closed {
                link,
                cause: LinkEndCause::ClosedLocally,
            },
        );
        self.schedule(
            at,
            Delivery::Closed {
                link: far,
                cause: LinkEndCause::ClosedByPeer,
            },
        );
    }

    /// Stops a node without a word; its peers notice after a while.
    pub(crate) fn kill(&mut self, node: usize) {
        self.nodes[node].alive = false;
        self.nodes[node].wake = None;
        let cut: Vec<_> = self
            .ends
            .iter()
            .filter(|(_, e)| e.node == node)
            .map(|(_, e)| e.far)
            .collect();
        for link in cut {
            let at = self.now + CUT_NOTICED_AFTER;
            self.schedule(
                at,
                Delivery::Closed {
                    link,
                    cause: LinkEndCause::TimedOut,
                },
            );
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        let now = self.now;
        match delivery {
            Delivery::Connected {
                node,
                peer,
                link,
                direction,
                remote,
            } => {
                if self.nodes[node].alive {
                    let (id, public) = (self.nodes[peer].id, self.nodes[peer].public);
                    let info = LinkInfo {
                        id: link,
                        direction,
                        remote,
                        public,
                    };
                    self.with(node, |overlay, now| overlay.handle_connected(now, id, info));
                }
            }
            Delivery::Message { link, bytes } => {
                let Some(end) = self.ends.get(&link).filter(|end| end.open) else {
                    return;
                };
                let (node, peer) = (end.node, self.nodes[end.far_node].id);
                if self.nodes[node].alive {
                    self.with(node, |overlay, now| {
                        overlay.handle_message(now, peer, &bytes);
                    });
                }
            }
            Delivery::Closed { link, cause } => {
                let Some(end) = self.ends.remove(&link) else {
                    return;
                };
                let peer = self.nodes[end.far_node].id;
                if self.nodes[end.node].alive {
                    let ended = LinkEnd { link, cause };
                    self.with(end.node, |overlay, now| {
                        overlay.handle_disconnected(now, peer, ended);
                    });
                }
            }
            Delivery::DialFailed { node, target } => {
                if self.nodes[node].alive {
                    self.nodes[node].overlay.handle_dial_failed(now, &target);
                    self.drain(node);
                }
            }
        }
    }

    /// Runs for `duration` of virtual time.
    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until `done` or `limit`; returns how long it took, or panics.
    pub(crate) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> Duration {
        let (start, end) = (self.now, self.now + limit);
        while !done(self) {
            assert!(self.step(end), "not done within {limit:?}");
        }
        self.now.saturating_duration_since(start)
    }

    /// One input; false when nothing happens before `end`.
    fn step(&mut self, end: Instant) -> bool {
        let delivery = self.queue.first_key_value().map(|(&(at, _), _)| at);
        let timer = (0..self.nodes.len())
            .filter(|&node| self.nodes[node].alive)
            .filter_map(|node| Some((self.nodes[node].wake?, node)))
            .min();
        let timer_first = match (timer, delivery) {
            (Some((at, _)), Some(delivery)) => at < delivery,
            (timer, None) => timer.is_some(),
            (None, Some(_)) => false,
        };
        let at = if timer_first {
            timer.map(|(at, _)| at)
        } else {
            delivery
        };
        let Some(at) = at.map(|at| at.max(self.now)).filter(|&at| at <= end) else {
            return false;
        };
        self.steps_at_instant = if at == self.now {
            self.steps_at_instant + 1
        } else {
            0
        };
        assert!(
            self.steps_at_instant < STEPS_PER_INSTANT_MAX,
            "livelock at {at:?}"
        );
        self.now = at;
        if timer_first {
            let (_, node) = timer.expect("a timer was chosen");
            self.with(node, |overlay, now| overlay.handle_timeout(now));
        } else if let Some((_, delivery)) = self.queue.pop_first() {
            self.deliver(delivery);
        }
        true
    }

    /// Indices of the nodes that run.
    pub(crate) fn alive(&self) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|&node| self.nodes[node].alive)
            .collect()
    }

    /// How many links of a pair of nodes are open.
    pub(crate) fn links_between(&self, a: usize, b: usize) -> usize {
        self.ends
            .values()
            .filter(|end| end.open && end.node == a && end.far_node == b)
            .count()
    }

    /// A hash of everything that every node did and said, in order.
    pub(crate) fn trace_hash(&self) -> String {
        self.trace.finalize().to_hex().to_string()
    }

    /// The broadcasts that a node received: origin and payload.
    pub(crate) fn broadcasts_at(&self, node: usize) -> Vec<(NodeId, Bytes)> {
        self.nodes[node]
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Broadcast {
                    origin, payload, ..
                } => Some((*origin, payload.clone())),
                _ => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
