//! The network of full-stack nodes: paths where they are needed, faults, errands.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dunlin_overlay::{Instant, OverlayConfig, OverlayStats};
use dunlin_session::{CryptoProvider, Identity, NodeId, provider};
use dunlin_transport::protect::Random;
use dunlin_transport::{EndpointConfig, TransportConfig};

use super::node::{Birth, Shared, StackNode};
use super::scenario::StackScenario;
use crate::link::Element;
use crate::net::Net;
use crate::rng::{Ppm, Rng};
use crate::scheduler::Scheduler;
use crate::swarm::{
    Judge, Restart, Swarm, SwarmFailure, SwarmViolation, TOPIC, World, bootstraps, overlay_config,
};
use crate::violation::{Failure, Violation};

/// How long a cut path stays dead: longer than the idle timeout, so that both ends notice.
const CUT_LASTS: Duration = Duration::from_secs(60);
/// How long a node does not know that it is seen under another address.
const REBIND_NOTICED_AFTER: Duration = Duration::from_secs(5);
/// How long connections may take to end after everybody has said goodbye: their idle timeout, and
/// what the transport needs to forget a closed one.
const GOODBYE: Duration = Duration::from_secs(90);

/// What the world has to do later.
#[derive(Clone, Copy)]
enum Errand {
    /// A cut path works again.
    Repair(usize, usize),
    /// All paths become clean.
    Clean,
    /// Some node is seen under another address.
    Rebind,
    /// A node learns its new address.
    Learn(usize, SocketAddr),
}

/// A network of full-stack nodes in virtual time.
pub struct Stack {
    net: Net<StackNode>,
    shared: Rc<RefCell<Shared>>,
    scenario: StackScenario,
    seed: u64,
    provider: Arc<dyn CryptoProvider>,
    /// Pairs of nodes between which there is a path, the lower number first.
    laid: BTreeSet<(usize, usize)>,
    cut: BTreeSet<(usize, usize)>,
    parts: Option<Vec<bool>>,
    is_clean: bool,
    addresses: BTreeMap<SocketAddr, usize>,
    errands: Scheduler<Errand>,
    rng: Rng,
    nodes: usize,
}

impl Stack {
    /// No nodes yet.
    #[must_use]
    pub fn new(scenario: &StackScenario, seed: u64) -> Self {
        let shared = Shared {
            check_every: u64::from(scenario.network.check_every),
            ..Shared::default()
        };
        let mut stack = Self {
            net: Net::new(stream(seed, Stream::Paths, 0)),
            shared: Rc::new(RefCell::new(shared)),
            scenario: scenario.clone(),
            seed,
            provider: provider::pure(),
            laid: BTreeSet::new(),
            cut: BTreeSet::new(),
            parts: None,
            is_clean: false,
            addresses: BTreeMap::new(),
            errands: Scheduler::new(),
            rng: stream(seed, Stream::Errands, 0),
            nodes: 0,
        };
        stack.plan_errands();
        stack
    }

    fn plan_errands(&mut self) {
        if let Some(at) = self.scenario.path.clean_from {
            self.errands.schedule(Instant::ZERO + at, Errand::Clean);
        }
        let Some(rebinds) = self.scenario.rebinds else {
            return;
        };
        let length = rebinds.until.saturating_sub(rebinds.from).as_nanos();
        let nodes = self.scenario.network.node_count() as u128;
        let times = nodes * u128::from(rebinds.per_minute.0) * length / 60_000_000_000_000_000;
        for _ in 0..times {
            let after = self.rng.below(u64::try_from(length).unwrap_or(u64::MAX));
            let at = rebinds.from + Duration::from_nanos(after);
            self.errands.schedule(Instant::ZERO + at, Errand::Rebind);
        }
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.net.now()
    }

    /// Looks at the judge.
    pub fn with_judge<R>(&self, look: impl FnOnce(&Judge) -> R) -> R {
        look(&self.shared.borrow().judge)
    }

    /// Counters of all overlays, those of earlier lives included.
    #[must_use]
    pub fn all_stats(&self) -> Vec<OverlayStats> {
        let mut all = self.shared.borrow().retired.clone();
        let present = (0..self.nodes).filter_map(|node| self.net.app(node));
        all.extend(present.map(|app| app.overlay.stats()));
        all
    }

    /// The network below.
    pub(super) const fn net(&self) -> &Net<StackNode> {
        &self.net
    }

    pub(super) fn shared(&self) -> &RefCell<Shared> {
        &self.shared
    }

    /// Adds a node that runs from now on.
    ///
    /// # Errors
    /// What must not be.
    pub fn add(&mut self) -> Result<usize, SwarmFailure> {
        let index = self.nodes;
        let mut seed = [0; 32];
        stream(self.seed, Stream::Identity, index).fill(&mut seed);
        let identity = Arc::new(Identity::from_seed(seed));
        let address = Net::<StackNode>::address_of(index);
        let now = self.now();
        self.shared
            .borrow_mut()
            .judge
            .on_node(now, identity.node_id());
        let config = OverlayConfig {
            listen: vec![address],
            ..overlay_config(&self.scenario.network, Swarm::config())
        };
        let others = (0..bootstraps(&self.scenario.network)).filter(|&node| node != index);
        let node = StackNode::new(Birth {
            index,
            identity,
            provider: Arc::clone(&self.provider),
            config,
            transport: transport(),
            bootstraps: others.map(Net::<StackNode>::address_of).collect(),
            rng: stream(self.seed, Stream::Node, index),
            shared: Rc::clone(&self.shared),
        });
        self.addresses.insert(address, index);
        self.nodes += 1;
        self.net.add(StackNode::mute(), node);
        self.plan_full_disk(index);
        let disk = self.net.disk(index).unwrap_or_default();
        self.with(index, |now, endpoint, app| {
            app.disk = disk;
            app.start(now, endpoint, &[]);
        })?;
        Ok(index)
    }

    fn plan_full_disk(&mut self, node: usize) {
        if let Some(full) = self.scenario.disk_full
            && stream(self.seed, Stream::Disk, node).chance(full.fraction)
        {
            let [from, until] = [full.from, full.until].map(|at| Instant::ZERO + at);
            self.net.disk_full_at(from, until, node);
        }
    }

    /// Lets `act` work on a node, and does what comes of it.
    fn with(
        &mut self,
        node: usize,
        act: impl FnOnce(Instant, &mut dunlin_transport::Endpoint, &mut StackNode),
    ) -> Result<(), SwarmFailure> {
        let done = self.net.with(node, act);
        done.map_err(|failure| self.livelock(&failure))?;
        self.after()
    }

    /// The only thing that the network finds wrong by itself: its applications here return no
    /// violations.
    fn livelock(&self, failure: &Failure) -> SwarmFailure {
        let node = match failure.violation {
            Violation::Livelock { node } => node,
            _ => 0,
        };
        self.failure(node, SwarmViolation::Livelock)
    }

    /// After a step of the network: the dials that want a path, and what went wrong.
    fn after(&mut self) -> Result<(), SwarmFailure> {
        loop {
            let dial = self.shared.borrow_mut().dials.pop_front();
            let Some((node, target)) = dial else {
                break;
            };
            if let Some(&peer) = self.addresses.get(&target.address) {
                self.lay(node, peer);
            }
            let dialled = self.net.with(node, |now, endpoint, app| {
                app.dial(now, endpoint, target);
            });
            dialled.map_err(|failure| self.livelock(&failure))?;
        }
        match self.shared.borrow_mut().failure.take() {
            Some((node, violation)) => Err(self.failure(node, violation)),
            None => Ok(()),
        }
    }

    /// `violation` at `node`, now.
    pub(super) const fn failure(&self, node: usize, violation: SwarmViolation) -> SwarmFailure {
        SwarmFailure {
            violation,
            node,
            at: self.net.now(),
            step: self.net.steps(),
        }
    }

    /// Makes sure that there is a path between two nodes.
    fn lay(&mut self, a: usize, b: usize) {
        let pair = (a.min(b), a.max(b));
        if self.laid.insert(pair) {
            let elements = self.elements(pair);
            self.net.link(a, b, &elements);
            self.net.link(b, a, &elements);
        }
    }

    /// What stands between two nodes now.
    fn elements(&self, (a, b): (usize, usize)) -> Vec<Element> {
        let is_apart = |parts: &Vec<bool>| parts.get(a) != parts.get(b);
        if self.cut.contains(&(a, b)) || self.parts.as_ref().is_some_and(is_apart) {
            return vec![Element::Loss(Ppm::ALWAYS)];
        }
        let latency = self.scenario.network.latency;
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2);
        let (least, most) = (nanos(latency.min), nanos(latency.max.max(latency.min)));
        let fixed = stream(self.seed, Stream::Latency, a)
            .split(b as u64)
            .between(least, most);
        let delay = Element::Delay {
            fixed: Duration::from_nanos(fixed),
            jitter: self.scenario.network.jitter,
            in_order: true,
        };
        let mut elements = vec![delay];
        if !self.is_clean {
            elements.extend(self.scenario.path.elements());
        }
        elements
    }

    /// Sets the paths between those pairs anew.
    fn relay_paths(&mut self, wanted: impl Fn(&Self, (usize, usize)) -> bool) {
        let now = self.now();
        for pair in self.laid.clone() {
            if wanted(self, pair) {
                let elements = self.elements(pair);
                self.net.replace_link_at(now, pair.0, pair.1, &elements);
                self.net.replace_link_at(now, pair.1, pair.0, &elements);
            }
        }
    }

    /// Runs until `end`, errands included.
    ///
    /// # Errors
    /// What must not be.
    pub fn run_until(&mut self, end: Instant) -> Result<(), SwarmFailure> {
        while let Some(at) = self.errands.next_time().filter(|&at| at <= end) {
            self.run_net_until(at)?;
            if let Some((_, errand)) = self.errands.pop() {
                self.do_errand(errand)?;
            }
        }
        self.run_net_until(end)
    }

    fn run_net_until(&mut self, end: Instant) -> Result<(), SwarmFailure> {
        // A change of a path that does not exist moves the network's clock there, and does no more.
        self.net.replace_link_at(end, usize::MAX, usize::MAX, &[]);
        while self.net.next_time().is_some_and(|at| at <= end) {
            let step = self.net.step();
            if step.map_err(|failure| self.livelock(&failure))?.is_some() {
                self.after()?;
            }
        }
        Ok(())
    }

    fn do_errand(&mut self, errand: Errand) -> Result<(), SwarmFailure> {
        let now = self.now();
        match errand {
            Errand::Repair(a, b) => {
                self.cut.remove(&(a, b));
                self.relay_paths(|_, pair| pair == (a, b));
            }
            Errand::Clean => {
                self.is_clean = true;
                self.relay_paths(|_, _| true);
            }
            Errand::Rebind => {
                let running: Vec<_> = self.with_judge(|judge| judge.running().collect());
                let port = self.rng.between(20_000, 60_000);
                let settled = bootstraps(&self.scenario.network);
                if let Some(&node) = self.rng.pick(&running).filter(|&&node| node >= settled) {
                    let mut address = Net::<StackNode>::address_of(node);
                    address.set_port(u16::try_from(port).unwrap_or(u16::MAX));
                    self.addresses.retain(|_, of| *of != node);
                    self.addresses.insert(address, node);
                    self.net.rebind_at(now, node, address);
                    let learn = Errand::Learn(node, address);
                    self.errands.schedule(now + REBIND_NOTICED_AFTER, learn);
                }
            }
            Errand::Learn(node, address) => {
                self.with(node, |now, endpoint, app| {
                    app.config.listen = vec![address];
                    if app.runs() {
                        app.overlay.set_listen(now, vec![address]);
                        app.drain(now, endpoint);
                    }
                })?;
            }
        }
        Ok(())
    }

    /// Everybody says goodbye and goes; afterwards nothing may be held any more.
    ///
    /// # Errors
    /// What is still held, or what must not be.
    pub fn end(&mut self) -> Result<(), SwarmFailure> {
        let running: Vec<_> = self.with_judge(|judge| judge.running().collect());
        for &node in &running {
            self.leave(node)?;
        }
        self.run_until(self.now() + GOODBYE)?;
        for node in running {
            if let Some(what) = self.leaked(node) {
                return Err(self.failure(node, SwarmViolation::Leak { what }));
            }
        }
        Ok(())
    }

    fn leaked(&self, node: usize) -> Option<&'static str> {
        let (app, endpoint) = (self.net.app(node)?, self.net.endpoint(node)?);
        let stats = app.overlay.stats();
        [
            (endpoint.connection_count(), "a connection"),
            (endpoint.half_open_count(), "a half-open handshake"),
            (app.connections(), "a link or a dial"),
            (stats.connected, "a connected peer"),
            (stats.handshaking, "a peer whose hello is not finished"),
            (stats.dialling, "a dial of the overlay"),
        ]
        .into_iter()
        .find_map(|(count, what)| (count > 0).then_some(what))
    }
}

impl World for Stack {
    type Failure = SwarmFailure;

    fn judge<R>(&self, look: impl FnOnce(&Judge) -> R) -> R {
        self.with_judge(look)
    }

    fn run_until(&mut self, at: Instant) -> Result<(), SwarmFailure> {
        Self::run_until(self, at)
    }

    fn join(&mut self) -> Result<(), SwarmFailure> {
        self.add().map(drop)
    }

    fn broadcast(&mut self, node: usize, payload: Bytes) -> Result<(), SwarmFailure> {
        let shared = Rc::clone(&self.shared);
        self.with(node, |now, endpoint, app| {
            let unix_millis = app.config.wall_clock.unix_millis_at(now);
            let sent = app.overlay.broadcast(now, unix_millis, TOPIC, &payload);
            if let Ok(id) = sent {
                shared
                    .borrow_mut()
                    .judge
                    .on_broadcast(now, node, id, payload);
            }
            app.drain(now, endpoint);
        })
    }

    fn request(&mut self, node: usize, peer: NodeId, payload: Bytes) -> Result<(), SwarmFailure> {
        let shared = Rc::clone(&self.shared);
        self.with(node, |now, endpoint, app| {
            if let Ok(id) = app.overlay.request(now, peer, TOPIC, &payload) {
                shared.borrow_mut().judge.on_request(now, node, id, payload);
            }
            app.drain(now, endpoint);
        })
    }

    fn leave(&mut self, node: usize) -> Result<(), SwarmFailure> {
        self.with(node, |now, endpoint, app| {
            app.overlay.shutdown(now);
            app.drain(now, endpoint);
        })
    }

    fn crash(&mut self, node: usize) -> Result<(), SwarmFailure> {
        self.shared.borrow_mut().judge.on_stop(node);
        self.with(node, |_, endpoint, app| app.stop(endpoint))
    }

    fn pause(&mut self, node: usize) -> Result<(), SwarmFailure> {
        self.shared.borrow_mut().judge.on_pause(node);
        self.with(node, |_, endpoint, app| app.park(endpoint))
    }

    fn restart(&mut self, node: usize, how: Restart) -> Result<(), SwarmFailure> {
        if self.with_judge(|judge| judge.runs(node)) {
            return Ok(());
        }
        let now = self.now();
        self.shared.borrow_mut().judge.on_start(now, node);
        self.with(node, |now, endpoint, app| {
            if !app.wake(endpoint) {
                let known: Vec<_> = match how {
                    Restart::KnownPeers => app.saved_peers(),
                    Restart::Empty | Restart::Resumed => Vec::new(),
                };
                app.start(now, endpoint, &known);
            }
        })
    }

    fn partition(&mut self, part: &[bool]) {
        self.parts = Some(part.to_vec());
        self.relay_paths(|_, (a, b)| part.get(a) != part.get(b));
    }

    fn heal(&mut self) {
        if let Some(parts) = self.parts.take() {
            self.relay_paths(|_, (a, b)| parts.get(a) != parts.get(b));
        }
    }

    fn cut(&mut self, a: usize, b: usize) {
        let pair = (a.min(b), a.max(b));
        if self.cut.insert(pair) {
            self.relay_paths(|_, other| other == pair);
            let at = self.now() + CUT_LASTS;
            self.errands.schedule(at, Errand::Repair(pair.0, pair.1));
        }
    }

    fn check_end(&self) -> Result<(), SwarmFailure> {
        let now = self.now();
        self.with_judge(|judge| judge.check_end(now))
            .map_err(|(node, violation)| self.failure(node, violation))
    }
}

/// The settings of `dunlin-node`.
fn transport() -> EndpointConfig {
    let mut transport = TransportConfig::default();
    transport.idle_timeout = Duration::from_secs(30);
    transport.keep_alive = Some(Duration::from_secs(8));
    transport.handshake_timeout = Duration::from_secs(5);
    let mut config = EndpointConfig::default();
    config.transport = transport;
    config
}

/// What a random stream is for.
#[derive(Clone, Copy)]
enum Stream {
    Paths = 11,
    Errands = 12,
    Identity = 13,
    Node = 14,
    Latency = 15,
    Disk = 16,
}

fn stream(seed: u64, purpose: Stream, number: usize) -> Rng {
    let mut rng = Rng::new(seed);
    rng.split(purpose as u64).split(number as u64)
}
