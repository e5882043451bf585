//! The task that owns the overlay of a node: one input, then every output.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use dunlin_overlay::{
    Action, DialTarget, Direction, Event, Instant, LinkEnd, LinkEndCause, LinkId, LinkInfo,
    Overlay, PeerState,
};
use dunlin_session::{NodeId, PeerInfo};
use dunlin_transport::driver::{Connection, Endpoint};
use tokio::sync::{mpsc, oneshot};

use super::handlers;
use super::link::{self, Input, Outgoing, Pushed};
use super::recorder::Recorder;
use crate::access::Guard;
use crate::clock::Clock;
use crate::stack::Keys;

/// What tasks of links may have waiting for the node's task; beyond, they wait.
const INPUTS_MAX: usize = 1_024;
/// How long the goodbyes may take.
const GOODBYE: Duration = Duration::from_millis(700);
const CLOSING: Duration = Duration::from_millis(400);
/// How long a goodbye waits for the disk. A disk that is slower, or full, keeps nobody here.
const RECORDING: Duration = Duration::from_millis(250);
/// Bans whose goodbyes wait so at a time. Those of more are said at once.
const HELD_MAX: usize = 64;

/// Something to be done with the overlay between two inputs.
pub(super) type WithOverlay = Box<dyn FnOnce(&mut Overlay, Instant) + Send>;

/// What the handle of a node asks for.
pub(super) enum Order {
    With(WithOverlay),
    Connection {
        peer: NodeId,
        answer: oneshot::Sender<Option<Connection>>,
    },
    Connections(oneshot::Sender<Vec<(NodeId, Connection)>>),
    Shutdown(oneshot::Sender<()>),
}

struct Link {
    peer: NodeId,
    connection: Connection,
    outgoing: Outgoing,
}

/// Goodbyes that wait until the ban that they tell of is on the disk.
struct Held {
    peers: BTreeSet<NodeId>,
    actions: Vec<Action>,
}

pub(super) struct Task {
    overlay: Overlay,
    endpoint: Endpoint,
    keys: Keys,
    clock: Clock,
    events: mpsc::Sender<Event>,
    inbox: Option<PathBuf>,
    recorder: Recorder,
    links: BTreeMap<LinkId, Link>,
    /// In the order in which their bans were pronounced.
    held: VecDeque<Held>,
    next_link: u64,
    inputs: mpsc::Sender<Input>,
    arrived: mpsc::Receiver<Input>,
    /// Ends connections with peers that are denied from now on.
    _guard: Option<Guard>,
}

impl Task {
    pub(super) fn new(
        overlay: Overlay,
        endpoint: Endpoint,
        keys: Keys,
        clock: Clock,
        events: mpsc::Sender<Event>,
        inbox: Option<PathBuf>,
        recorder: Recorder,
    ) -> Self {
        let (inputs, arrived) = mpsc::channel(INPUTS_MAX);
        Self {
            _guard: keys.guard(&endpoint),
            overlay,
            endpoint,
            keys,
            clock,
            events,
            inbox,
            recorder,
            links: BTreeMap::new(),
            held: VecDeque::new(),
            next_link: 0,
            inputs,
            arrived,
        }
    }

    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let endpoint = self.endpoint.clone();
        loop {
            self.drain();
            let wake = self.wake_at();
            tokio::select! {
                accepted = endpoint.accept() => match accepted {
                    Some(connection) => self.link_up(connection, None),
                    None => return,
                },
                Some(input) = self.arrived.recv() => self.handle(input),
                order = orders.recv() => match order {
                    Some(Order::Shutdown(done)) => {
                        self.shutdown().await;
                        // Whoever asked may have gone.
                        let _ = done.send(());
                        return;
                    }
                    Some(order) => self.obey(order),
                    None => return,
                },
                () = self.clock.sleep_until(wake) => {
                    self.overlay.handle_timeout(self.clock.now());
                }
            }
        }
    }

    /// When there is something to do without an input.
    fn wake_at(&self) -> Option<Instant> {
        let times = [self.overlay.poll_timeout(), self.recorder.poll_timeout()];
        times.into_iter().flatten().min()
    }

    fn handle(&mut self, input: Input) {
        let now = self.clock.now();
        match input {
            Input::Dialled(target, connection) => self.link_up(connection, Some(target)),
            Input::DialFailed(target) => self.overlay.handle_dial_failed(now, &target),
            Input::Message(peer, bytes) => self.overlay.handle_message(now, peer, &bytes),
            Input::Challenged(peer, link, is_proven) => {
                self.overlay.handle_challenged(now, peer, link, is_proven);
            }
            Input::Eased(link) => {
                if let Some(link) = self.links.get(&link) {
                    self.overlay
                        .set_congested(link.peer, link.outgoing.is_congested());
                }
            }
            Input::Recorded => {
                let held = self.held.pop_front();
                for action in held.into_iter().flat_map(|held| held.actions) {
                    self.act(action);
                }
            }
            Input::Ended(peer, link, cause) => {
                self.forget_link(link);
                self.overlay
                    .handle_disconnected(now, peer, LinkEnd { link, cause });
            }
        }
    }

    fn obey(&mut self, order: Order) {
        // Whoever asked may have gone; that is no reason to stop.
        match order {
            Order::With(what) => what(&mut self.overlay, self.clock.now()),
            Order::Connection { peer, answer } => {
                // The newest link is the one that stays when there are two.
                let found = self.links.values().rev().find(|link| link.peer == peer);
                let _ = answer.send(found.map(|link| link.connection.clone()));
            }
            Order::Connections(answer) => {
                let links = self.links.values();
                let _ = answer.send(
                    links
                        .map(|link| (link.peer, link.connection.clone()))
                        .collect(),
                );
            }
            Order::Shutdown(done) => {
                let _ = done.send(());
            }
        }
    }

    /// A connection is there: dialled (with its target) or accepted.
    fn link_up(&mut self, connection: Connection, target: Option<DialTarget>) {
        let now = self.clock.now();
        let peer = connection.peer();
        let info = peer.as_ref().and_then(PeerInfo::from_identity);
        let remote = target
            .map(|target| target.address)
            .or_else(|| connection.remote_address());
        let (Some(info), Some(remote)) = (info, remote) else {
            if let Some(target) = target {
                self.overlay.handle_dial_failed(now, &target);
            }
            return;
        };
        let (id, peer) = (LinkId(self.next_link), info.node_id);
        self.next_link += 1;
        let direction = if target.is_some() {
            Direction::Outbound
        } else {
            Direction::Inbound
        };
        let outgoing = link::start(&connection, peer, id, &self.inputs, self.inbox.clone());
        self.links.insert(
            id,
            Link {
                peer,
                connection,
                outgoing,
            },
        );
        let link = LinkInfo {
            id,
            direction,
            remote,
            public: info.public,
        };
        self.overlay.handle_connected(now, peer, link);
    }

    /// Tells what happened and carries out what the overlay wants.
    fn drain(&mut self) {
        let now = self.clock.now();
        let mut is_done = false;
        while !is_done {
            let left = self.tell_events(now);
            // A kill in between must not leave a peer that was sent away and may come back.
            if let Some(recorded) = self.recorder.save_verdicts(&self.overlay, now) {
                self.hold(left, recorded);
            }
            is_done = true;
            while let Some(action) = self.overlay.poll_action() {
                is_done = false;
                self.act_or_hold(action);
            }
        }
        self.recorder.save(&self.overlay, now);
    }

    /// Tells the application and the store; the peers that were left.
    fn tell_events(&mut self, now: Instant) -> BTreeSet<NodeId> {
        let mut left = BTreeSet::new();
        while let Some(event) = self.overlay.poll_event() {
            if let Event::PeerStateChanged {
                peer,
                to: PeerState::Banned | PeerState::Disconnected,
                ..
            } = &event
            {
                left.insert(*peer);
            }
            self.answer(now, &event);
            let place = self.events.try_reserve();
            self.recorder.on_event(now, &event, place.is_ok());
            match place {
                Ok(place) => place.send(event),
                Err(_) => tracing::debug!("an event was dropped: nobody takes them"),
            }
        }
        left
    }

    /// Answers requests that every node answers.
    fn answer(&mut self, now: Instant, event: &Event) {
        let Event::Request {
            peer,
            id,
            handler,
            payload,
            ..
        } = event
        else {
            return;
        };
        if let Some(answer) = handlers::answer(&self.overlay, handler, payload)
            && let Err(error) = self.overlay.respond(now, *peer, *id, &answer)
        {
            tracing::debug!(%error, "a request was not answered");
        }
    }

    /// Lets what is to be sent to `peers` wait until `recorded`.
    fn hold(&mut self, peers: BTreeSet<NodeId>, recorded: oneshot::Receiver<bool>) {
        if peers.is_empty() || self.held.len() >= HELD_MAX {
            return;
        }
        let actions = Vec::new();
        self.held.push_back(Held { peers, actions });
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            // Whether it is on the disk, and why not, is told by the store.
            let _ = tokio::time::timeout(RECORDING, recorded).await;
            // When the node has ended, there is nobody to send away.
            let _ = inputs.send(Input::Recorded).await;
        });
    }

    fn act_or_hold(&mut self, action: Action) {
        let of = match &action {
            Action::Send { peer, .. } | Action::CloseLink { peer, .. } => Some(*peer),
            Action::Dial(_) | Action::ChallengePeer { .. } => None,
        };
        let waits = |held: &&mut Held| of.is_some_and(|peer| held.peers.contains(&peer));
        match self.held.iter_mut().find(waits) {
            Some(held) => held.actions.push(action),
            None => self.act(action),
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Send { peer, link, bytes } => self.send(peer, link, bytes),
            Action::Dial(target) => self.dial(target),
            Action::ChallengePeer { peer, link } => self.challenge(peer, link),
            Action::CloseLink { link, reason, .. } => {
                tracing::debug!(?link, ?reason, "closing");
                // Its writer closes it after what is queued; its end is told by its reader.
                self.forget_link(link);
            }
        }
    }

    /// A link that is gone congests nothing.
    fn forget_link(&mut self, id: LinkId) -> Option<Link> {
        let link = self.links.remove(&id)?;
        if link.outgoing.is_congested() {
            self.overlay.set_congested(link.peer, false);
        }
        Some(link)
    }

    fn send(&mut self, peer: NodeId, id: LinkId, bytes: Bytes) {
        let Some(link) = self.links.get(&id) else {
            return;
        };
        match link.outgoing.push(bytes) {
            Pushed::Taken => {}
            Pushed::Congests => self.overlay.set_congested(peer, true),
            Pushed::Refused => {
                tracing::debug!(?peer, "the link is too slow or gone");
                link.connection.abort(0, "too slow");
                self.forget_link(id);
                let end = LinkEnd {
                    link: id,
                    cause: LinkEndCause::Failed,
                };
                self.overlay
                    .handle_disconnected(self.clock.now(), peer, end);
            }
        }
    }

    fn dial(&self, target: DialTarget) {
        let (endpoint, inputs) = (self.endpoint.clone(), self.inputs.clone());
        let initiator = self.keys.initiator(target.id);
        tokio::spawn(async move {
            let input = match endpoint.connect(target.address, initiator).await {
                Ok(connection) => Input::Dialled(target, connection),
                Err(error) => {
                    tracing::debug!(%error, address = %target.address, "a dial failed");
                    Input::DialFailed(target)
                }
            };
            // When the node has ended, nobody needs the connection.
            let _ = inputs.send(input).await;
        });
    }

    /// Has a peer prove its identity again; the overlay gives up waiting by itself.
    fn challenge(&self, peer: NodeId, id: LinkId) {
        let Some(link) = self.links.get(&id) else {
            return;
        };
        let (connection, inputs) = (link.connection.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let proven = connection.challenge_peer().await;
            let input = Input::Challenged(peer, id, proven.is_ok());
            // When the node has ended, nobody needs to know.
            let _ = inputs.send(input).await;
        });
    }

    /// Goodbyes, then the end of the endpoint.
    async fn shutdown(&mut self) {
        let now = self.clock.now();
        // Before the goodbyes: who is connected now is dialled first after the next start.
        self.recorder.save_all(&self.overlay, now);
        self.overlay.shutdown(now);
        let parting = async {
            self.drain();
            while !self.links.is_empty() {
                let wake = self.wake_at();
                tokio::select! {
                    Some(input) = self.arrived.recv() => self.handle(input),
                    () = self.clock.sleep_until(wake) => {
                        self.overlay.handle_timeout(self.clock.now());
                    }
                }
                self.drain();
            }
        };
        // Who does not answer the goodbye is not waited for any longer.
        let _ = tokio::time::timeout(GOODBYE, parting).await;
        self.links.clear();
        self.endpoint.shutdown(CLOSING).await;
    }
}
