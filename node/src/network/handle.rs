//! A handle to a running node, for any number of tasks beside the one that owns the [`Node`].
//!
//! [`Node`]: super::Node

use std::net::SocketAddr;

use dunlin_overlay::{Instant, Overlay};
use dunlin_session::NodeId;
use dunlin_transport::driver::Connection;
use tokio::sync::{mpsc, oneshot};

use super::task::Order;

/// What may be asked of a running node. It does not keep the node alive.
#[derive(Clone, Debug)]
pub struct NodeHandle {
    id: NodeId,
    address: SocketAddr,
    orders: mpsc::Sender<Order>,
}

impl NodeHandle {
    pub(super) const fn new(id: NodeId, address: SocketAddr, orders: mpsc::Sender<Order>) -> Self {
        Self {
            id,
            address,
            orders,
        }
    }

    /// Its ID.
    #[must_use]
    pub const fn id(&self) -> NodeId {
        self.id
    }

    /// Where others reach it.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does something with the overlay in its task, between two inputs, and returns what came of it;
    /// `None` when the node has ended. It must be quick: the node stands still meanwhile.
    pub async fn with_overlay<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Overlay, Instant) -> T + Send + 'static,
    ) -> Option<T> {
        self.ask(|answer| {
            Order::With(Box::new(move |overlay, now| {
                // Whoever asked may have gone; that is no reason to stop.
                let _ = answer.send(what(overlay, now));
            }))
        })
        .await
    }

    /// The connections of all links, in the order in which they came up.
    pub async fn connections(&self) -> Vec<(NodeId, Connection)> {
        self.ask(Order::Connections).await.unwrap_or_default()
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(order(answer)).await.ok()?;
        answered.await.ok()
    }
}
