//! One node of the full stack: the glue between a production endpoint and a production overlay.
//!
//! The same moves as the tasks of `dunlin-node` (`network/task.rs`, `network/link.rs`) without
//! tokio: a connection whose handshake is complete is a link, its reliable messages are overlay
//! messages, what the overlay sends beyond the connection's buffer waits in a bounded queue, and a
//! closed connection is told once.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use dunlin_overlay::{
    Action, DialTarget, Direction, LinkEnd, LinkEndCause, LinkId, LinkInfo, Overlay, OverlayConfig,
    OverlayStats, WallClock,
};
use dunlin_session::{
    CipherSuite, CryptoProvider, Identity, NodeId, PeerInfo, SessionAcceptor, SessionConfig,
    SessionInitiator,
};
use dunlin_transport::protect::{Acceptor, Random};
use dunlin_transport::{
    CloseReason, ConnectionHandle, Delivery, Endpoint, EndpointConfig, Event, Instant,
    SendMessageError,
};

use crate::net::{Application, Disk};
use crate::rng::Rng;
use crate::swarm::{Judge, Reaction, SwarmViolation};
use crate::violation::Violation;

/// Messages that may wait for a slow link, as in `dunlin-node`; a link that is behind by more is
/// given up.
const OUTGOING_MAX: usize = 512;
/// Where a node keeps the addresses of its peers: one a line.
const PEERS_FILE: &str = "peers";
/// Code and sentence of a close, as `dunlin-node` gives them.
const CLOSE: (u64, &str) = (0, "the link is not needed any more");

/// What the nodes of a simulation share: the judge, and the world's tasks for them.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) judge: Judge,
    /// The first thing that must not be, and where.
    pub(super) failure: Option<(usize, SwarmViolation)>,
    /// Dials whose path has to be laid first.
    pub(super) dials: VecDeque<(usize, DialTarget)>,
    /// Overlay messages that arrived, and their bytes.
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) handshakes: u64,
    pub(super) dials_failed: u64,
    /// Saves that a full disk refused.
    pub(super) saves_refused: u64,
    /// Counters of overlays that are gone.
    pub(super) retired: Vec<OverlayStats>,
    /// Events of overlays and connections, for the limit of checks.
    pub(super) checks: u64,
    pub(super) check_every: u64,
}

struct Link {
    handle: ConnectionHandle,
    peer: NodeId,
    /// What the connection has not taken yet.
    waiting: VecDeque<Bytes>,
    /// To be closed when nothing waits.
    closing: bool,
}

/// A node that has an identity, a configuration, and, while it runs, an overlay and links.
pub(super) struct StackNode {
    index: usize,
    pub(super) overlay: Overlay,
    identity: Arc<Identity>,
    provider: Arc<dyn CryptoProvider>,
    pub(super) config: OverlayConfig,
    transport: EndpointConfig,
    pub(super) bootstraps: Vec<SocketAddr>,
    runs: bool,
    /// The endpoint of a node that stands still.
    parked: Option<Endpoint>,
    links: BTreeMap<LinkId, Link>,
    by_handle: BTreeMap<ConnectionHandle, LinkId>,
    dials: BTreeMap<ConnectionHandle, DialTarget>,
    next_link: u64,
    /// When the overlay wants to be called.
    due: Option<Instant>,
    lives: u64,
    rng: Rng,
    pub(super) disk: Disk,
    shared: Rc<RefCell<Shared>>,
}

/// What a new node is made of.
pub(super) struct Birth {
    pub(super) index: usize,
    pub(super) identity: Arc<Identity>,
    pub(super) provider: Arc<dyn CryptoProvider>,
    pub(super) config: OverlayConfig,
    pub(super) transport: EndpointConfig,
    pub(super) bootstraps: Vec<SocketAddr>,
    pub(super) rng: Rng,
    pub(super) shared: Rc<RefCell<Shared>>,
}

impl StackNode {
    /// A node that does not run yet.
    pub(super) fn new(birth: Birth) -> Self {
        let overlay = Overlay::new(birth.config.clone(), Arc::clone(&birth.identity), [0; 32]);
        Self {
            index: birth.index,
            overlay,
            identity: birth.identity,
            provider: birth.provider,
            config: birth.config,
            transport: birth.transport,
            bootstraps: birth.bootstraps,
            runs: false,
            parked: None,
            links: BTreeMap::new(),
            by_handle: BTreeMap::new(),
            dials: BTreeMap::new(),
            next_link: 0,
            due: None,
            lives: 0,
            rng: birth.rng,
            disk: Disk::default(),
            shared: birth.shared,
        }
    }

    /// Whether it runs.
    pub(super) const fn runs(&self) -> bool {
        self.runs
    }

    /// Links and dials that it has.
    pub(super) fn connections(&self) -> usize {
        self.links.len() + self.dials.len()
    }

    /// An endpoint that hears nothing: that of a machine that is off.
    pub(super) fn mute() -> Endpoint {
        Endpoint::new(EndpointConfig::default(), Box::new(Rng::new(0)), None)
    }

    /// A new process: fresh endpoint, fresh overlay, the same identity and configuration.
    pub(super) fn start(&mut self, now: Instant, endpoint: &mut Endpoint, known: &[SocketAddr]) {
        self.lives += 1;
        let mut rng = self.rng.split(self.lives);
        let acceptor: Box<dyn Acceptor> = Box::new(SessionAcceptor::new(
            Arc::clone(&self.identity),
            session_config(),
            Arc::clone(&self.provider),
            &mut rng,
        ));
        *endpoint = Endpoint::new(
            self.transport.clone(),
            Box::new(rng.split(1)),
            Some(acceptor),
        );
        let mut config = self.config.clone();
        config.wall_clock = WallClock {
            at: now,
            unix_millis: config.wall_clock.unix_millis_at(now),
        };
        let mut seed = [0; 32];
        rng.fill(&mut seed);
        let overlay = Overlay::new(config, Arc::clone(&self.identity), seed);
        let former = core::mem::replace(&mut self.overlay, overlay);
        if self.lives > 1 {
            self.shared.borrow_mut().retired.push(former.stats());
        }
        for &address in self.bootstraps.iter().chain(known) {
            // One too many is left out: it was only a hint.
            let _ = self.overlay.add_bootstrap(now, address, None);
        }
        self.runs = true;
        self.drain(now, endpoint);
    }

    /// The process is gone, the machine is off.
    pub(super) fn stop(&mut self, endpoint: &mut Endpoint) {
        *endpoint = Self::mute();
        self.runs = false;
        self.parked = None;
        self.links.clear();
        self.by_handle.clear();
        self.dials.clear();
        self.due = None;
    }

    /// The machine sleeps: it hears and does nothing, and keeps everything.
    pub(super) fn park(&mut self, endpoint: &mut Endpoint) {
        self.parked = Some(core::mem::replace(endpoint, Self::mute()));
        self.runs = false;
    }

    /// The machine wakes up. False: it was off, not asleep.
    pub(super) fn wake(&mut self, endpoint: &mut Endpoint) -> bool {
        let Some(parked) = self.parked.take() else {
            return false;
        };
        *endpoint = parked;
        self.runs = true;
        true
    }

    /// Opens a connection for the overlay.
    pub(super) fn dial(&mut self, now: Instant, endpoint: &mut Endpoint, target: DialTarget) {
        if !self.runs {
            return;
        }
        let initiator = SessionInitiator::new(
            Arc::clone(&self.identity),
            session_config(),
            Arc::clone(&self.provider),
            target.id,
            &mut self.rng,
        );
        match endpoint.connect(now, target.address, Box::new(initiator)) {
            Ok(handle) => {
                self.dials.insert(handle, target);
            }
            Err(_) => self.overlay.handle_dial_failed(now, &target),
        }
        self.drain(now, endpoint);
    }

    fn on_event(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        handle: ConnectionHandle,
        event: Event,
    ) {
        match event {
            Event::Connected { .. } => self.on_connected(now, endpoint, handle),
            Event::MessageReceived => self.receive(now, endpoint, handle),
            Event::MessagesWritable => {
                if let Some(&link) = self.by_handle.get(&handle) {
                    self.write(now, endpoint, link);
                }
            }
            Event::Closed(reason) => self.on_closed(now, endpoint, handle, &reason),
            Event::PeerProven => self.on_challenged(now, handle, true),
            // Links carry messages only; that a peer moved is the transport's business.
            _ => {}
        }
        self.drain(now, endpoint);
    }

    /// A peer has proved its identity again, or cannot be asked to.
    fn on_challenged(&mut self, now: Instant, handle: ConnectionHandle, is_proven: bool) {
        let link = self.by_handle.get(&handle).copied();
        if let Some((id, link)) = link.and_then(|id| Some((id, self.links.get(&id)?))) {
            let peer = link.peer;
            self.overlay.handle_challenged(now, peer, id, is_proven);
        }
    }

    fn on_connected(&mut self, now: Instant, endpoint: &Endpoint, handle: ConnectionHandle) {
        let target = self.dials.remove(&handle);
        let connection = endpoint.connection(handle);
        let info = connection
            .and_then(|connection| connection.peer())
            .and_then(PeerInfo::from_identity);
        let (Some(connection), Some(info)) = (connection, info) else {
            return;
        };
        self.shared.borrow_mut().handshakes += 1;
        let id = LinkId(self.next_link);
        self.next_link += 1;
        self.by_handle.insert(handle, id);
        let link = Link {
            handle,
            peer: info.node_id,
            waiting: VecDeque::new(),
            closing: false,
        };
        self.links.insert(id, link);
        let link = LinkInfo {
            id,
            direction: match target {
                Some(_) => Direction::Outbound,
                None => Direction::Inbound,
            },
            remote: target.map_or_else(|| connection.remote_address(), |target| target.address),
            public: info.public,
        };
        self.overlay.handle_connected(now, info.node_id, link);
        self.save_peers();
    }

    fn receive(&mut self, now: Instant, endpoint: &mut Endpoint, handle: ConnectionHandle) {
        let link = self.by_handle.get(&handle);
        let Some(peer) = link.and_then(|link| self.links.get(link)).map(|l| l.peer) else {
            return;
        };
        while let Some(message) = endpoint
            .connection_mut(handle)
            .and_then(|connection| connection.receive_message())
        {
            let mut shared = self.shared.borrow_mut();
            shared.messages += 1;
            shared.bytes += message.data.len() as u64;
            drop(shared);
            self.overlay.handle_message(now, peer, &message.data);
        }
    }

    fn on_closed(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        handle: ConnectionHandle,
        reason: &CloseReason,
    ) {
        if is_accusation(reason) {
            self.fail(SwarmViolation::Connection(reason.clone()));
        }
        if let Some(target) = self.dials.remove(&handle) {
            self.shared.borrow_mut().dials_failed += 1;
            self.overlay.handle_dial_failed(now, &target);
        }
        // What had arrived before the end can still be read.
        self.receive(now, endpoint, handle);
        let link = self.by_handle.remove(&handle);
        if let Some((id, link)) = link.and_then(|id| Some((id, self.links.remove(&id)?))) {
            let end = LinkEnd {
                link: id,
                cause: cause(reason),
            };
            self.overlay.handle_disconnected(now, link.peer, end);
            self.save_peers();
        }
        endpoint.release(handle);
    }

    /// Keeps on the disk which addresses it knows; for that they are saved whenever a link begins or
    /// ends. A full disk costs no more than that a later life knows less.
    fn save_peers(&self) {
        let peers = self.overlay.peers();
        let addresses = peers.flat_map(|peer| peer.addresses);
        let lines: String = addresses.map(|address| format!("{address}\n")).collect();
        if self.disk.replace(PEERS_FILE, lines.into_bytes()).is_err() {
            self.shared.borrow_mut().saves_refused += 1;
        }
    }

    /// The addresses that an earlier life has saved.
    pub(super) fn saved_peers(&self) -> Vec<SocketAddr> {
        let bytes = self.disk.read(PEERS_FILE).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Carries out what the overlay wants and judges what it tells.
    pub(super) fn drain(&mut self, now: Instant, endpoint: &mut Endpoint) {
        loop {
            while let Some(action) = self.overlay.poll_action() {
                self.carry_out(now, endpoint, action);
            }
            let Some(event) = self.overlay.poll_event() else {
                break;
            };
            let judged = self
                .shared
                .borrow_mut()
                .judge
                .on_event(now, self.index, &event);
            match judged {
                Ok(Reaction::None) => {}
                Ok(Reaction::Respond { peer, id, payload }) => {
                    // The peer may have gone while its request waited among the events.
                    let _ = self.overlay.respond(now, peer, id, &payload);
                }
                Err(violation) => self.fail(violation),
            }
        }
        self.check();
        self.due = self.overlay.poll_timeout();
    }

    fn check(&mut self) {
        let mut shared = self.shared.borrow_mut();
        shared.checks += 1;
        if shared.check_every == 0 || !shared.checks.is_multiple_of(shared.check_every) {
            return;
        }
        drop(shared);
        if let Err(broken) = self.overlay.check_invariants() {
            self.fail(broken.into());
        }
        let is_named = |link: &Link| self.by_handle.contains_key(&link.handle);
        if self.links.len() != self.by_handle.len() || !self.links.values().all(is_named) {
            self.fail(SwarmViolation::Leak { what: "a link" });
        }
    }

    fn fail(&self, violation: SwarmViolation) {
        let failure = (self.index, violation);
        self.shared.borrow_mut().failure.get_or_insert(failure);
    }

    fn carry_out(&mut self, now: Instant, endpoint: &mut Endpoint, action: Action) {
        match action {
            Action::Dial(target) => {
                let dial = (self.index, target);
                self.shared.borrow_mut().dials.push_back(dial);
            }
            Action::Send { link, bytes, .. } => {
                let Some(open) = self.links.get_mut(&link).filter(|open| !open.closing) else {
                    return;
                };
                open.waiting.push_back(bytes);
                self.write(now, endpoint, link);
                self.give_up_if_slow(now, endpoint, link);
            }
            Action::ChallengePeer { link, .. } => {
                let Some(handle) = self.links.get(&link).map(|open| open.handle) else {
                    return;
                };
                let mut nonce = [0; 32];
                self.rng.fill(&mut nonce);
                let connection = endpoint.connection_mut(handle);
                let is_asked = connection.is_some_and(|it| it.challenge_peer(now, nonce));
                if !is_asked {
                    self.on_challenged(now, handle, false);
                }
            }
            Action::CloseLink { link, .. } => {
                if let Some(open) = self.links.get_mut(&link) {
                    open.closing = true;
                    self.write(now, endpoint, link);
                }
            }
        }
    }

    /// Gives the connection what it takes; closes it when that is wanted and nothing waits.
    fn write(&mut self, now: Instant, endpoint: &mut Endpoint, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let Some(connection) = endpoint.connection_mut(link.handle) else {
            return;
        };
        while let Some(bytes) = link.waiting.pop_front() {
            match connection.check_message(bytes.len(), Delivery::Reliable) {
                Ok(()) => {
                    // Room was just made sure of; a connection that is over tells so by its event.
                    let _ = connection.send_message(bytes.into(), Delivery::Reliable);
                }
                Err(SendMessageError::Blocked) => {
                    link.waiting.push_front(bytes);
                    return;
                }
                Err(SendMessageError::TooLarge { .. }) => {
                    connection.abort(now, CLOSE.0, CLOSE.1);
                }
                // Its event is on its way.
                Err(_) => link.waiting.clear(),
            }
        }
        if link.closing {
            connection.close(CLOSE.0, CLOSE.1);
        }
    }

    fn give_up_if_slow(&mut self, now: Instant, endpoint: &mut Endpoint, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if link.waiting.len() > OUTGOING_MAX
            && let Some(connection) = endpoint.connection_mut(link.handle)
        {
            connection.abort(now, CLOSE.0, "too slow");
            link.waiting.clear();
            link.closing = true;
        }
    }
}

impl Application for StackNode {
    fn on_progress(&mut self, now: Instant, endpoint: &mut Endpoint) -> Result<(), Violation> {
        if !self.runs {
            return Ok(());
        }
        while let Some((handle, event)) = endpoint.poll_event() {
            self.on_event(now, endpoint, handle, event);
        }
        if self.due.is_some_and(|due| due <= now) {
            self.overlay.handle_timeout(now);
            self.drain(now, endpoint);
        }
        Ok(())
    }

    fn wake_time(&self) -> Option<Instant> {
        self.due.filter(|_| self.runs)
    }
}

/// With the cipher fixed: the default depends on the processor, and so would the trace.
fn session_config() -> SessionConfig {
    SessionConfig {
        ciphers: vec![CipherSuite::ChaCha20Poly1305],
        ..SessionConfig::default()
    }
}

/// Whether a connection ended because one end says that the other broke the protocol. All are
/// honest.
const fn is_accusation(reason: &CloseReason) -> bool {
    matches!(
        reason,
        CloseReason::TransportReset { .. } | CloseReason::Violation(_) | CloseReason::Handshake(_)
    )
}

/// As `dunlin-node` tells its overlay.
const fn cause(reason: &CloseReason) -> LinkEndCause {
    match reason {
        CloseReason::Local | CloseReason::EndpointStopped => LinkEndCause::ClosedLocally,
        CloseReason::Peer { .. } | CloseReason::Reset { .. } => LinkEndCause::ClosedByPeer,
        CloseReason::TimedOut => LinkEndCause::TimedOut,
        _ => LinkEndCause::Failed,
    }
}
