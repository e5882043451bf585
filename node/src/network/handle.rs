//! A handle to a running node, for any number of tasks beside the one that owns the [`Node`].
//!
//! [`Node`]: super::Node

use std::net::SocketAddr;

use dunlin_overlay::{Instant, Overlay};
use dunlin_session::NodeId;
use dunlin_transport::driver::Connection;
use tokio::sync::mpsc;

use super::task::Order;

/// What may be asked of a node that may end meanwhile. It does not keep the node running.
#[derive(Clone, Debug)]
pub struct Handle {
    id: NodeId,
    address: SocketAddr,
    orders: mpsc::Sender<Order>,
}

impl Handle {
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
        super::with_overlay(&self.orders, what).await
    }

    /// The connections of all links, in the order in which they came up.
    pub async fn connections(&self) -> Vec<(NodeId, Connection)> {
        let all = super::ask(&self.orders, Order::Connections).await;
        all.unwrap_or_default()
    }

    /// That of a node which has ended.
    #[cfg(test)]
    pub(crate) fn of_ended_node() -> Self {
        let (orders, _) = mpsc::channel(1);
        let address = (std::net::Ipv4Addr::LOCALHOST, 1).into();
        Self::new(NodeId::from_bytes([0; 32]), address, orders)
    }
}
