//! Production endpoints, and other programs, over virtual links.
//!
//! A node is a program with an address ([`host`]), a clock ([`clock`]) and perhaps too little time;
//! nodes are joined by [`crate::link::Link`]s, some stand behind a [`crate::nat::Nat`]. The loop is
//! the contract of the core: one input, then events, datagrams and deadlines are drained.

pub mod byzantine;
pub mod clock;
pub mod disk;
mod faults;
pub mod host;
mod links;
mod node;
mod receiving;
mod routes;
mod sending;

use std::net::{Ipv4Addr, SocketAddr};

use dunlin_transport::{Endpoint, Instant};

pub use clock::Clock;
pub use disk::{Disk, DiskFull};
pub use host::{Application, EndpointHost, Host, Outgoing};
pub use links::{Detour, Middlebox};
pub use node::SOCKET_BUFFER;

use crate::capture::Tap;
use crate::link::{Backlog, Datagram, Element, Hop, LinkStats, Onward, TooBig, Wake};
use crate::nat::{NatConfig, NatStats};
use crate::rng::Rng;
use crate::scheduler::Scheduler;
use crate::trace::Trace;
use crate::violation::{Failure, Violation};
use faults::Change;
use links::Links;
use node::{Input, Node, Program};
use routes::Routes;

/// Work at one instant that counts as endless. Guess: a full window of small packets is less.
const STEPS_PER_INSTANT_MAX: u64 = 200_000;
/// Rounds of application and transmission after one input that count as endless.
const ROUNDS_MAX: u32 = 10_000;
/// Datagrams whose memory is kept for further ones.
const SPARE_MAX: usize = 4_096;

enum Happening<A> {
    /// A hop that comes before others of its link that were scheduled earlier.
    Hop {
        link: u32,
        hop: Hop,
    },
    /// The first hop in the lane of a link.
    Lane {
        link: u32,
    },
    Wake {
        link: u32,
        wake: Wake,
    },
    TooBig(TooBig),
    Timer {
        node: usize,
    },
    Resume {
        node: usize,
    },
    Change(Box<Change<A>>),
}

/// What a network did with datagrams apart from links and NATs.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct NetStats {
    /// Handed to the network by nodes.
    pub sent: u64,
    /// Handed to programs.
    pub delivered: u64,
    /// Of these, in trains of two and more ([`Net::gather`]).
    pub gathered: u64,
    /// Had nowhere to go: no such address, no link, a partition, a NAT without a port.
    pub unroutable: u64,
    /// Arrived where nobody has the address any more, or a NAT lets nobody in.
    pub unclaimed: u64,
    /// Arrived at dead nodes.
    pub to_the_dead: u64,
    /// Found the socket of a node without time full.
    pub socket_full: u64,
}

/// A network of endpoints in virtual time.
pub struct Net<A> {
    scheduler: Scheduler<Happening<A>>,
    nodes: Vec<Node<A>>,
    routes: Routes,
    links: Links,
    trace: Trace,
    rng: Rng,
    steps: u64,
    steps_at_instant: u64,
    stats: NetStats,
    onward: Onward,
    buffer: Vec<u8>,
    /// Room for those of a train.
    #[expect(
        clippy::vec_box,
        reason = "the boxes are what is kept: hops carry them"
    )]
    train: Vec<Box<Datagram>>,
    #[expect(
        clippy::vec_box,
        reason = "the boxes are what is kept: hops carry them"
    )]
    spare: Vec<Box<Datagram>>,
    tap: Option<Box<dyn Tap>>,
}

/// Building and looking.
impl<A: Application> Net<A> {
    /// An empty network whose randomness comes from `rng`.
    #[must_use]
    pub fn new(rng: Rng) -> Self {
        Self {
            scheduler: Scheduler::new(),
            nodes: Vec::new(),
            routes: Routes::default(),
            links: Links::default(),
            trace: Trace::new(),
            rng,
            steps: 0,
            steps_at_instant: 0,
            stats: NetStats::default(),
            onward: Onward::default(),
            buffer: Vec::new(),
            train: Vec::new(),
            spare: Vec::new(),
            tap: None,
        }
    }

    /// From now on `tap` sees every datagram that is sent and delivered.
    pub fn set_tap(&mut self, tap: Box<dyn Tap>) {
        self.tap = Some(tap);
    }

    /// The address of the `index`-th node; behind a NAT its inside address.
    #[must_use]
    pub fn address_of(index: usize) -> SocketAddr {
        let host =
            u32::from(Ipv4Addr::new(10, 0, 0, 1)).wrapping_add(u32::try_from(index).unwrap_or(0));
        SocketAddr::from((Ipv4Addr::from(host), 4_433))
    }

    /// Adds a node; its index counts from zero.
    pub fn add(&mut self, endpoint: Endpoint, app: A) -> usize {
        self.add_program(Program::endpoint(endpoint, app))
    }

    /// Adds a node that runs any program; its index counts on.
    pub fn add_host(&mut self, host: Box<dyn Host + Send>) -> usize {
        self.add_program(Program::Other(host))
    }

    fn add_program(&mut self, program: Program<A>) -> usize {
        let index = self.nodes.len();
        let address = Self::address_of(index);
        self.routes.insert(address, index);
        self.nodes.push(Node::new(program, address));
        index
    }

    /// How many nodes there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds a NAT box that nobody stands behind yet; its index counts from zero.
    pub fn add_nat(&mut self, config: NatConfig) -> usize {
        let rng = self.rng.split(0x4e41_5400);
        self.routes.add_nat(config, rng)
    }

    /// Puts a node behind a NAT. Those behind the same one reach each other by inside addresses.
    pub fn put_behind(&mut self, node: usize, nat: usize) {
        self.routes.put_behind(node, nat);
    }

    /// Lays a path from one node to another, one way; where there was one it is replaced.
    pub fn link(&mut self, from: usize, to: usize, elements: &[Element]) {
        self.links.lay(from, to, elements, &mut self.rng);
    }

    /// Lays a path from one node to another that leads over the link of two others, as several
    /// access lines lead over one bottleneck. False: those two have no link.
    pub fn link_over(&mut self, from: usize, to: usize, way: &Detour<'_>) -> bool {
        self.links.lay_over((from, to), way, &mut self.rng)
    }

    /// From now on the node's socket gathers what arrives at one instant, or while it had no time, into
    /// trains, as UDP_GRO does: an endpoint handles them as in production. A train costs a slow node as
    /// much as one datagram; what one instant brings has to fit the socket ([`SOCKET_BUFFER`]).
    pub fn gather(&mut self, node: usize) {
        if let Some(entry) = self.nodes.get_mut(node) {
            entry.gathers = true;
        }
    }

    /// The path, each with its own randomness and queues, between all nodes without one of their
    /// own. It is laid when first used.
    pub fn link_all(&mut self, elements: &[Element]) {
        let rng = self.rng.split(0xa11);
        self.links.set_default(elements, rng);
    }

    /// Puts a program at the beginning of a path; false: there is no such path.
    pub fn intercept(&mut self, from: usize, to: usize, by: Box<dyn Middlebox>) -> bool {
        self.links.intercept(from, to, by)
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

    /// Datagrams that nodes handed to the network so far.
    #[must_use]
    pub const fn datagrams(&self) -> u64 {
        self.stats.sent
    }

    /// What became of datagrams apart from links and NATs.
    #[must_use]
    pub const fn stats(&self) -> NetStats {
        self.stats
    }

    /// The fingerprint so far.
    #[must_use]
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// What became of the datagrams of a path.
    #[must_use]
    pub fn link_stats(&self, from: usize, to: usize) -> Option<LinkStats> {
        self.links.get(from, to).map(|link| link.stats())
    }

    /// What waits on a path now.
    #[must_use]
    pub fn backlog(&self, from: usize, to: usize) -> Option<Backlog> {
        let link = self.links.get(from, to)?;
        Some(link.backlog(self.now()))
    }

    /// What a NAT did.
    #[must_use]
    pub fn nat_stats(&self, nat: usize) -> Option<NatStats> {
        self.routes.nat_stats(nat)
    }

    /// A node's application; None for other programs.
    #[must_use]
    pub fn app(&self, node: usize) -> Option<&A> {
        let program = &self.nodes.get(node)?.program;
        program.as_endpoint().map(|host| &host.app)
    }

    /// A node's endpoint; None for other programs.
    #[must_use]
    pub fn endpoint(&self, node: usize) -> Option<&Endpoint> {
        let program = &self.nodes.get(node)?.program;
        program.as_endpoint().map(|host| &host.endpoint)
    }

    /// When a node's program wants to be woken, by the clock of the network; exact once an event
    /// has been handled.
    pub fn deadline(&mut self, node: usize) -> Option<Instant> {
        let entry = self.nodes.get_mut(node)?;
        let reading = entry.program.poll_timeout()?;
        Some(entry.clock.when(reading))
    }

    /// A node's program of type `T`, if it is one and shows itself ([`Host::as_any`]).
    #[must_use]
    pub fn host<T: 'static>(&self, node: usize) -> Option<&T> {
        self.nodes.get(node)?.program.as_other()?.downcast_ref()
    }

    /// A node's disk, for its program to keep there what shall outlive it; None: no such node.
    #[must_use]
    pub fn disk(&self, node: usize) -> Option<Disk> {
        self.nodes.get(node).map(|entry| entry.disk.clone())
    }

    /// What the node's clock reads now.
    #[must_use]
    pub fn clock_of(&self, node: usize) -> Instant {
        let clock = self.nodes.get(node).map_or(Clock::IDEAL, |node| node.clock);
        clock.read(self.now())
    }
}

/// Running.
impl<A: Application> Net<A> {
    /// Lets `act` work on a node (the time is that of its clock) and sends what comes of it.
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
        let local = entry.clock.read(now);
        let Some(host) = entry.program.as_endpoint_mut() else {
            return Ok(None);
        };
        let result = act(local, &mut host.endpoint, &mut host.app);
        self.settle(node)?;
        Ok(Some(result))
    }

    /// Asks the program of a node for what it wants to send, without an input: how a host that
    /// begins by itself begins.
    ///
    /// # Errors
    /// What it saw that must not be.
    pub fn start(&mut self, node: usize) -> Result<(), Failure> {
        self.settle(node)
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

    fn happen(&mut self, now: Instant, happening: Happening<A>) -> Option<usize> {
        match happening {
            Happening::Hop { link, hop } => self.on_hop(now, link, hop),
            Happening::Lane { link } => {
                let entry = self.links.at(link)?;
                let (_, hop) = entry.lane.pop_front()?;
                if let Some((ticket, next)) = entry.lane.front() {
                    let happening = Happening::Lane { link };
                    self.scheduler.schedule_with(*ticket, next.at, happening);
                }
                self.on_hop(now, link, hop)
            }
            Happening::Wake { link, wake } => {
                let entry = self.links.at(link)?;
                entry.link.on_wake(wake, &mut self.onward);
                self.schedule_onward(link);
                None
            }
            Happening::TooBig(notice) => {
                let (node, _) = self.routes.inward(now, notice.destination, notice.to)?;
                let (destination, mtu) = (notice.destination, notice.mtu);
                self.input(now, node, Input::TooBig { destination, mtu })
            }
            Happening::Timer { node } => self.on_timer(now, node),
            Happening::Resume { node } => self.on_resume(now, node),
            Happening::Change(change) => self.change(now, *change),
        }
    }

    fn on_hop(&mut self, now: Instant, link: u32, hop: Hop) -> Option<usize> {
        let entry = self.links.at(link)?;
        let to = entry.to;
        let through = entry.link.advance(hop, &mut self.onward);
        self.schedule_onward(link);
        let datagram = through?;
        let target = || self.routes.node_of(datagram.to);
        if let Some(next) = self.links.behind(link, target) {
            let entry = self.links.at(next)?;
            entry.enter(now, datagram, &mut self.onward);
            self.schedule_onward(next);
            return None;
        }
        self.deliver(now, to, datagram)
    }

    /// After an input: the application acts, the program sends, until both are done.
    fn settle(&mut self, node: usize) -> Result<(), Failure> {
        let now = self.now();
        for _ in 0..ROUNDS_MAX {
            let Some(entry) = self.nodes.get_mut(node) else {
                return Ok(());
            };
            let local = entry.clock.read(now);
            if let Err(violation) = entry.program.on_progress(local) {
                return Err(self.failure(violation));
            }
            if !self.transmit(now, node) {
                self.arm(node);
                return Ok(());
            }
        }
        Err(self.failure(Violation::Livelock { node }))
    }

    fn arm(&mut self, node: usize) {
        let Some(entry) = self.nodes.get_mut(node).filter(|node| node.alive) else {
            return;
        };
        let Some(deadline) = entry.program.poll_timeout() else {
            return;
        };
        if deadline == Instant::FAR_FUTURE {
            return;
        }
        let at = entry.clock.when(deadline);
        if entry.armed.is_none_or(|armed| at < armed) {
            entry.armed = Some(at);
            self.scheduler.schedule(at, Happening::Timer { node });
        }
    }

    fn recycle(&mut self, datagram: Box<Datagram>) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(datagram);
        }
    }
}
