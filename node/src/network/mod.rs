//! A node of the gossip network: the sans-IO overlay of `dunlin-overlay` on real connections.
//!
//! One task owns the overlay, the endpoint and the links; a link has a few small tasks of its own,
//! one for each direction. What arrives on a stream instead of as a message is a file
//! transfer; a node with an inbox receives it.

mod handle;
pub mod handlers;
mod link;
mod recorder;
mod story;
mod task;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use dunlin_overlay::{
    BroadcastId, Event, Instant, Overlay, OverlayConfig, OverlayError, OverlayStats, PeerState,
    WallClock,
};
use dunlin_session::NodeId;
use dunlin_transport::driver::{CarrierChoice, Connection, OsRandom};
use dunlin_transport::protect::Random;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::cli::controller::Controllers;
use crate::clock::{Clock, unix_millis};
use crate::discovery::{Discovery, DiscoveryOptions};
use crate::failure::{Exit, Failure};
use crate::stack::{Keys, Wire, listen, reachable_address};
use crate::store::Store;

pub use handle::Handle;
pub use recorder::Memory;
use recorder::Recorder;
pub(crate) use story::{link_replaced_words, score_words};
use task::{Order, Task};

/// Events that may wait for the application. More are dropped, which is logged.
pub const EVENTS_MAX: usize = 1_024;

/// Where and how a node starts.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Address to listen on; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Nodes to join the network through.
    pub bootstrap: Vec<(SocketAddr, Option<NodeId>)>,
    /// Folder for files that peers send; `None` refuses them.
    pub inbox: Option<PathBuf>,
    /// What carries its packets.
    pub carriers: CarrierChoice,
    /// Cores of its UDP port.
    pub shards: u32,
    /// The congestion controller of its connections.
    pub controller: Controllers,
    /// Settings of the overlay; its clock and addresses are set at the start.
    pub overlay: OverlayConfig,
    /// What it remembers, and where it writes it; `None`: it forgets all when it ends.
    pub memory: Option<Memory>,
}

impl NodeOptions {
    /// A node by itself that listens there and forgets all when it ends.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            bootstrap: Vec::new(),
            inbox: None,
            carriers: CarrierChoice::Race,
            shards: 1,
            controller: Controllers::default(),
            overlay: OverlayConfig::new(WallClock {
                at: Instant::ZERO,
                unix_millis: 0,
            }),
            memory: None,
        }
    }
}

/// A running node. Dropping it ends it without goodbyes.
#[derive(Debug)]
pub struct Node {
    id: NodeId,
    address: SocketAddr,
    orders: mpsc::Sender<Order>,
    task: JoinHandle<()>,
    store: Option<Arc<Store>>,
}

impl Node {
    /// Starts a node; what happens to it comes through the receiver. Must be called inside the
    /// runtime.
    ///
    /// # Errors
    /// When the address cannot be had, or there are too many bootstrap nodes.
    pub fn start(
        keys: &Keys,
        options: NodeOptions,
    ) -> Result<(Self, mpsc::Receiver<Event>), Failure> {
        let acceptor = keys.acceptor(&[]);
        let endpoint = listen(
            options.listen,
            acceptor,
            Wire {
                shards: options.shards,
                ..Wire::from(options.carriers).with_controller(options.controller)
            },
            keys.traces(),
        )?;
        let address = reachable_address(endpoint.local_addr());
        let clock = Clock::start();
        let mut config = options.overlay;
        config.wall_clock = WallClock {
            at: clock.now(),
            unix_millis: unix_millis(),
        };
        config.listen = vec![address];
        let mut seed = [0; 32];
        OsRandom.fill(&mut seed);
        let identity = Arc::clone(keys.identity());
        let mut overlay = Overlay::new(config, identity, seed);
        for (bootstrap, id) in options.bootstrap {
            overlay
                .add_bootstrap(clock.now(), bootstrap, id)
                .map_err(|error| {
                    Failure::new(
                        Exit::Usage,
                        format!("cannot use {bootstrap}: {error}; name fewer with --bootstrap"),
                    )
                })?;
        }
        let store = options.memory.map(|memory| {
            recorder::restore(&mut overlay, clock.now(), memory.saved);
            memory.store
        });
        let (events, happened) = mpsc::channel(EVENTS_MAX);
        let (orders, ordered) = mpsc::channel(64);
        let task = Task::new(
            overlay,
            endpoint,
            keys.clone(),
            clock,
            events,
            options.inbox,
            Recorder::new(store.clone(), clock.now()),
        );
        let task = tokio::spawn(task.run(ordered));
        Ok((
            Self {
                id: keys.node_id(),
                address,
                orders,
                task,
                store,
            },
            happened,
        ))
    }

    /// Its ID.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Where others reach it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends `payload` to every node of the network under `topic`.
    ///
    /// # Errors
    /// What the overlay refuses; `None` when the node has ended.
    pub async fn broadcast(
        &self,
        topic: &str,
        payload: &[u8],
    ) -> Option<Result<BroadcastId, OverlayError>> {
        let (topic, payload) = (topic.to_owned(), payload.to_vec());
        self.with_overlay(move |overlay, now| {
            overlay.broadcast(now, unix_millis(), &topic, &payload)
        })
        .await
    }

    /// Counters and sizes; the default when the node has ended.
    pub async fn stats(&self) -> OverlayStats {
        let stats = self.with_overlay(|overlay, _| overlay.stats()).await;
        stats.unwrap_or_default()
    }

    /// The peers with which messages flow.
    pub async fn peers(&self) -> Vec<NodeId> {
        let peers = self.with_overlay(|overlay, _| {
            let connected = overlay
                .peers()
                .filter(|peer| peer.state == PeerState::Connected);
            connected.map(|peer| peer.id).collect()
        });
        peers.await.unwrap_or_default()
    }

    /// Does something with the overlay in its task, between two inputs, and returns what came of it;
    /// `None` when the node has ended. It must be quick: the node stands still meanwhile.
    pub async fn with_overlay<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Overlay, Instant) -> T + Send + 'static,
    ) -> Option<T> {
        with_overlay(&self.orders, what).await
    }

    /// The connection to a linked peer, for streams of one's own.
    pub async fn connection(&self, peer: NodeId) -> Option<Connection> {
        self.ask(|answer| Order::Connection { peer, answer })
            .await?
    }

    /// The store it writes, if it has one.
    #[must_use]
    pub fn store(&self) -> Option<&Arc<Store>> {
        self.store.as_ref()
    }

    /// Waits until what has happened so far is on the disk; `false`: the disk refuses it, or there is
    /// no store. What an operator asked for and was told is done has to outlive the process.
    pub async fn flush(&self) -> bool {
        // The order comes back when the task has told the store all that came before it.
        self.with_overlay(|_, _| ()).await;
        match &self.store {
            Some(store) => store.flush().await,
            None => false,
        }
    }

    /// Says goodbye to the peers and ends, within about a second.
    pub async fn shutdown(mut self) {
        self.ask(Order::Shutdown).await;
        // It has answered and is returning.
        let _ = (&mut self.task).await;
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Option<T> {
        ask(&self.orders, order).await
    }

    /// A way to its overlay for other tasks. It does not keep the node running.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(self.id, self.address, self.orders.clone())
    }

    /// Looks for peers by DNS and in the local network, until the returned value is dropped. Must be
    /// called inside the runtime.
    #[must_use]
    pub fn discover(&self, options: DiscoveryOptions) -> Discovery {
        Discovery::start(options, self.handle(), self.id, self.address)
    }
}

async fn with_overlay<T: Send + 'static>(
    orders: &mpsc::Sender<Order>,
    what: impl FnOnce(&mut Overlay, Instant) -> T + Send + 'static,
) -> Option<T> {
    let order = |answer: oneshot::Sender<T>| {
        Order::With(Box::new(move |overlay, now| {
            // Whoever asked may have gone; that is no reason to stop.
            let _ = answer.send(what(overlay, now));
        }))
    };
    ask(orders, order).await
}

async fn ask<T>(
    orders: &mpsc::Sender<Order>,
    order: impl FnOnce(oneshot::Sender<T>) -> Order,
) -> Option<T> {
    let (answer, answered) = oneshot::channel();
    orders.send(order(answer)).await.ok()?;
    answered.await.ok()
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
