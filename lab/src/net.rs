//! Production endpoints over virtual links.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use dunlin_transport::{Endpoint, Instant, limits};

use crate::link::{Backlog, Datagram, Element, Hop, Link, LinkStats, Onward, Wake};
use crate::rng::Rng;
use crate::scheduler::Scheduler;
use crate::trace::{Record, Trace};
use crate::violation::{Failure, Violation};

/// What runs on top of an endpoint.
pub trait Application {
    /// Something may have happened: take the endpoint's events and act on them.
    ///
    /// # Errors
    /// What the application saw that must not be.
    fn on_progress(&mut self, now: Instant, endpoint: &mut Endpoint) -> Result<(), Violation>;

    /// When it wants to act without anything having happened.
    fn wake_time(&self) -> Option<Instant> {
        None
    }
}

/// Work at one instant that counts as endless. Guess: a full window of small packets is less.
const STEPS_PER_INSTANT_MAX: u64 = 200_000;
/// Rounds of application and transmission after one input that count as endless.
const ROUNDS_MAX: u32 = 10_000;

struct Node<A> {
    endpoint: Endpoint,
    app: A,
    /// Where the others see it.
    address: SocketAddr,
    /// The earliest timer that is scheduled.
    armed: Option<Instant>,
    alive: bool,
}

enum Happening {
    Hop {
        link: (usize, usize),
        hop: Hop,
    },
    Wake {
        link: (usize, usize),
        wake: Wake,
    },
    Timer {
        node: usize,
    },
    Rebind {
        node: usize,
        address: SocketAddr,
    },
    Kill {
        node: usize,
    },
    Replace {
        link: (usize, usize),
        elements: Vec<Element>,
    },
}

/// A network of endpoints in virtual time.
pub struct Net<A> {
    scheduler: Scheduler<Happening>,
    nodes: Vec<Node<A>>,
    addresses: BTreeMap<SocketAddr, usize>,
    links: BTreeMap<(usize, usize), Link>,
    trace: Trace,
    rng: Rng,
    steps: u64,
    steps_at_instant: u64,
    datagrams: u64,
    onward: Onward,
    buffer: Vec<u8>,
    spare: Vec<Vec<u8>>,
}

impl<A: Application> Net<A> {
    /// An empty network whose randomness comes from `rng`.
    #[must_use]
    pub fn new(rng: Rng) -> Self {
        Self {
            scheduler: Scheduler::new(),
            nodes: Vec::new(),
            addresses: BTreeMap::new(),
            links: BTreeMap::new(),
            trace: Trace::new(),
            rng,
            steps: 0,
            steps_at_instant: 0,
            datagrams: 0,
            onward: Onward::default(),
            buffer: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// The address of the `index`-th node.
    #[must_use]
    pub fn address_of(index: usize) -> SocketAddr {
        let host =
            u32::from(Ipv4Addr::new(10, 0, 0, 1)).wrapping_add(u32::try_from(index).unwrap_or(0));
        SocketAddr::from((Ipv4Addr::from(host), 4_433))
    }

    /// Adds a node; its index counts from zero.
    pub fn add(&mut self, endpoint: Endpoint, app: A) -> usize {
        let index = self.nodes.len();
        let address = Self::address_of(index);
        self.addresses.insert(address, index);
        self.nodes.push(Node {
            endpoint,
            app,
            address,
            armed: None,
            alive: true,
        });
        index
    }

    /// Lays a path from one node to another, one way.
    pub fn link(&mut self, from: usize, to: usize, elements: &[Element]) {
        let label = ((from as u64) << 32) | to as u64;
        let link = Link::new(elements, self.rng.split(label));
        self.links.insert((from, to), link);
    }

    /// Changes a path at `at`.
    pub fn replace_link_at(&mut self, at: Instant, from: usize, to: usize, elements: &[Element]) {
        let elements = elements.to_vec();
        self.scheduler.schedule(
            at,
            Happening::Replace {
                link: (from, to),
                elements,
            },
        );
    }

    /// From `at` on the node is seen under another address, as behind a NAT that forgot it; what
    /// is sent to the old one is lost.
    pub fn rebind_at(&mut self, at: Instant, node: usize, address: SocketAddr) {
        self.scheduler
            .schedule(at, Happening::Rebind { node, address });
    }

    /// From `at` on the node neither sends nor receives nor runs.
    pub fn kill_at(&mut self, at: Instant, node: usize) {
        self.scheduler.schedule(at, Happening::Kill { node });
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.scheduler.now()
    }

    /// When the next event happens.
    #[must_use]
    pub fn next_time(&self) -> Option<Instant> {
        self.scheduler.next_time()
    }

    /// Events so far.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Datagrams that endpoints handed to the network so far.
    #[must_use]
    pub const fn datagrams(&self) -> u64 {
        self.datagrams
    }

    /// The fingerprint so far.
    #[must_use]
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// What became of the datagrams of a path.
    #[must_use]
    pub fn link_stats(&self, from: usize, to: usize) -> Option<LinkStats> {
        self.links.get(&(from, to)).map(Link::stats)
    }

    /// What waits on a path now.
    #[must_use]
    pub fn backlog(&self, from: usize, to: usize) -> Option<Backlog> {
        let link = self.links.get(&(from, to))?;
        Some(link.backlog(self.now()))
    }

    /// A node's application.
    #[must_use]
    pub fn app(&self, node: usize) -> Option<&A> {
        self.nodes.get(node).map(|node| &node.app)
    }

    /// A node's endpoint.
    #[must_use]
    pub fn endpoint(&self, node: usize) -> Option<&Endpoint> {
        self.nodes.get(node).map(|node| &node.endpoint)
    }

    /// When a node's endpoint wants to be woken; exact once an event has been handled.
    pub fn deadline(&mut self, node: usize) -> Option<Instant> {
        self.nodes.get_mut(node)?.endpoint.poll_timeout()
    }

    /// Lets `act` work on a node and sends what comes of it.
    ///
    /// # Errors
    /// What the application saw that must not be.
    pub fn with<R>(
        &mut self,
        node: usize,
        act: impl FnOnce(Instant, &mut Endpoint, &mut A) -> R,
    ) -> Result<Option<R>, Failure> {
        let now = self.now();
        let Some(entry) = self.nodes.get_mut(node) else {
            return Ok(None);
        };
        let result = act(now, &mut entry.endpoint, &mut entry.app);
        self.settle(node)?;
        Ok(Some(result))
    }

    /// The next event. Ok(None): nothing will ever happen again; else the node it happened at,
    /// if any.
    ///
    /// # Errors
    /// What an application saw that must not be, or a livelock.
    pub fn step(&mut self) -> Result<Option<Option<usize>>, Failure> {
        let before = self.now();
        let Some((now, happening)) = self.scheduler.pop() else {
            return Ok(None);
        };
        self.steps += 1;
        self.steps_at_instant = if now == before {
            self.steps_at_instant + 1
        } else {
            0
        };
        let node = self.happen(now, happening);
        if let Some(node) = node {
            if self.steps_at_instant > STEPS_PER_INSTANT_MAX {
                return Err(self.failure(Violation::Livelock { node }));
            }
            self.settle(node)?;
        }
        Ok(Some(node))
    }

    /// `violation`, here and now.
    #[must_use]
    pub const fn failure(&self, violation: Violation) -> Failure {
        Failure {
            violation,
            at: self.now(),
            step: self.steps,
        }
    }

    fn happen(&mut self, now: Instant, happening: Happening) -> Option<usize> {
        match happening {
            Happening::Hop { link, hop } => self.on_hop(now, link, hop),
            Happening::Wake { link, wake } => {
                self.links.get_mut(&link)?.on_wake(wake, &mut self.onward);
                self.schedule_onward(link);
                None
            }
            Happening::Timer { node } => self.on_timer(now, node),
            Happening::Rebind { node, address } => {
                let entry = self.nodes.get_mut(node)?;
                self.addresses.remove(&entry.address);
                entry.address = address;
                self.addresses.insert(address, node);
                None
            }
            Happening::Kill { node } => {
                self.nodes.get_mut(node)?.alive = false;
                None
            }
            Happening::Replace { link, elements } => {
                self.links.get_mut(&link)?.replace(&elements);
                None
            }
        }
    }

    fn on_hop(&mut self, now: Instant, link: (usize, usize), hop: Hop) -> Option<usize> {
        let path = self.links.get_mut(&link)?;
        let through = path.advance(hop, &mut self.onward);
        self.schedule_onward(link);
        self.deliver(now, through?)
    }

    fn deliver(&mut self, now: Instant, mut datagram: Datagram) -> Option<usize> {
        let node = self.addresses.get(&datagram.to).copied();
        let entry = node
            .and_then(|node| self.nodes.get_mut(node))
            .filter(|node| node.alive);
        if let (Some(node), Some(entry)) = (node, entry) {
            self.trace
                .add(now, Record::Delivered, node, &datagram.bytes);
            entry
                .endpoint
                .handle_datagram(now, datagram.from, datagram.ecn, &mut datagram.bytes);
            self.recycle(datagram.bytes);
            return Some(node);
        }
        self.recycle(datagram.bytes);
        None
    }

    fn on_timer(&mut self, now: Instant, node: usize) -> Option<usize> {
        let entry = self.nodes.get_mut(node).filter(|node| node.alive)?;
        if entry.armed.is_none_or(|armed| armed > now) {
            return None;
        }
        entry.armed = None;
        if entry
            .endpoint
            .poll_timeout()
            .is_some_and(|deadline| deadline <= now)
        {
            entry.endpoint.handle_timeout(now);
        }
        Some(node)
    }

    /// After an input: the application acts, the endpoint sends, until both are done.
    fn settle(&mut self, node: usize) -> Result<(), Failure> {
        let now = self.now();
        for _ in 0..ROUNDS_MAX {
            let Some(entry) = self.nodes.get_mut(node) else {
                return Ok(());
            };
            if let Err(violation) = entry.app.on_progress(now, &mut entry.endpoint) {
                return Err(self.failure(violation));
            }
            if !self.transmit(now, node) {
                self.arm(node);
                return Ok(());
            }
        }
        Err(self.failure(Violation::Livelock { node }))
    }

    /// Sends one batch; false: there was none.
    fn transmit(&mut self, now: Instant, node: usize) -> bool {
        let Some(entry) = self.nodes.get_mut(node).filter(|node| node.alive) else {
            return false;
        };
        let most = limits::SEGMENTS_MAX;
        let Some(transmit) = entry.endpoint.poll_transmit(now, most, &mut self.buffer) else {
            return false;
        };
        let from = entry.address;
        let Some(&to) = self.addresses.get(&transmit.destination) else {
            return true;
        };
        let segment = transmit.segment_size.unwrap_or(transmit.size).max(1);
        let buffer = std::mem::take(&mut self.buffer);
        for bytes in buffer[..transmit.size.min(buffer.len())].chunks(segment) {
            self.datagrams += 1;
            self.trace.add(now, Record::Sent, node, bytes);
            let mut copy = self.spare.pop().unwrap_or_default();
            copy.extend_from_slice(bytes);
            let datagram = Datagram {
                bytes: copy,
                ecn: transmit.ecn,
                from,
                to: transmit.destination,
            };
            if let Some(link) = self.links.get_mut(&(node, to)) {
                link.enter(now, datagram, &mut self.onward);
            }
            self.schedule_onward((node, to));
        }
        self.buffer = buffer;
        true
    }

    fn schedule_onward(&mut self, link: (usize, usize)) {
        for hop in self.onward.hops.drain(..) {
            self.scheduler
                .schedule(hop.at, Happening::Hop { link, hop });
        }
        for wake in self.onward.wakes.drain(..) {
            self.scheduler
                .schedule(wake.at, Happening::Wake { link, wake });
        }
        self.onward.notices.clear();
        while let Some(bytes) = self.onward.spent.pop() {
            self.recycle(bytes);
        }
    }

    fn arm(&mut self, node: usize) {
        let Some(entry) = self.nodes.get_mut(node).filter(|node| node.alive) else {
            return;
        };
        let deadline = [entry.endpoint.poll_timeout(), entry.app.wake_time()];
        let Some(deadline) = deadline.into_iter().flatten().min() else {
            return;
        };
        if deadline < Instant::FAR_FUTURE && entry.armed.is_none_or(|armed| deadline < armed) {
            entry.armed = Some(deadline);
            self.scheduler.schedule(deadline, Happening::Timer { node });
        }
    }

    fn recycle(&mut self, mut bytes: Vec<u8>) {
        if self.spare.len() < 1_024 {
            bytes.clear();
            self.spare.push(bytes);
        }
    }
}
