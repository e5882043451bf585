//! The task that owns the overlay of a node: one input, then every output.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use dunlin_overlay::{
    Action, DialTarget, Direction, Event, LinkEnd, LinkEndCause, LinkId, LinkInfo, Overlay,
};
use dunlin_session::{NodeId, PeerInfo};
use dunlin_transport::driver::{Connection, Endpoint};
use tokio::sync::{mpsc, oneshot};

use super::link::{self, Input};
use super::recorder::Recorder;
use crate::access::Guard;
use crate::clock::Clock;
use crate::stack::Keys;

/// What tasks of links may have waiting for the node's task; beyond, they wait.
const INPUTS_MAX: usize = 1_024;
/// How long the goodbyes may take.
const GOODBYE: Duration = Duration::from_millis(700);
const CLOSING: Duration = Duration::from_millis(400);

/// Something to be done with the overlay between two inputs.
pub(super) type WithOverlay = Box<dyn FnOnce(&mut Overlay, dunlin_overlay::Instant) + Send>;

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
    outgoing: mpsc::Sender<Bytes>,
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
    fn wake_at(&self) -> Option<dunlin_overlay::Instant> {
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
            Input::Ended(peer, link, cause) => {
                self.links.remove(&link);
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

    /// Carries out what the overlay wants and tells what happened.
    fn drain(&mut self) {
        while let Some(action) = self.overlay.poll_action() {
            match action {
                Action::Send { peer, link, bytes } => self.send(peer, link, bytes),
                Action::Dial(target) => self.dial(target),
                Action::ChallengePeer { peer, link } => self.challenge(peer, link),
                Action::CloseLink { link, reason, .. } => {
                    tracing::debug!(?link, ?reason, "closing");
                    // Its writer closes it after what is queued; its end is told by its reader.
                    self.links.remove(&link);
                }
            }
        }
        let now = self.clock.now();
        while let Some(event) = self.overlay.poll_event() {
            let place = self.events.try_reserve();
            self.recorder.on_event(now, &event, place.is_ok());
            match place {
                Ok(place) => place.send(event),
                Err(_) => tracing::debug!("an event was dropped: nobody takes them"),
            }
        }
        self.recorder.save(&self.overlay, now);
    }

    fn send(&mut self, peer: NodeId, id: LinkId, bytes: Bytes) {
        let Some(link) = self.links.get(&id) else {
            return;
        };
        if link.outgoing.try_send(bytes).is_err() {
            tracing::debug!(?peer, "the link is too slow or gone");
            link.connection.abort(0, "too slow");
            self.links.remove(&id);
            let end = LinkEnd {
                link: id,
                cause: LinkEndCause::Failed,
            };
            self.overlay
                .handle_disconnected(self.clock.now(), peer, end);
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
