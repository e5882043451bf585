//! The cores of UDP behind one address: usually one, several where an endpoint is to use several processors.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::socket::{Sharing, Socket, SocketOptions};
use super::state::Shared;
use crate::limits::SHARDS_MAX;
use crate::shard::Shard;

/// All of an endpoint.
pub(super) struct Shards {
    first: Arc<Shared>,
    all: Arc<[Arc<Shared>]>,
    /// Connections that were opened.
    opened: AtomicUsize,
}

impl Shards {
    /// `make` makes the core of each shard.
    pub(super) fn new(count: u32, make: impl Fn(Shard) -> Arc<Shared>) -> Self {
        let first = make(Shard::new(0, count).unwrap_or(Shard::WHOLE));
        let others = (1..count).filter_map(|index| Shard::new(index, count));
        let all = std::iter::once(Arc::clone(&first))
            .chain(others.map(make))
            .collect();
        Self {
            first,
            all,
            opened: AtomicUsize::new(0),
        }
    }

    /// The core that speaks for all where they are alike.
    pub(super) const fn first(&self) -> &Arc<Shared> {
        &self.first
    }

    /// All, in the order of their numbers.
    pub(super) const fn all(&self) -> &Arc<[Arc<Shared>]> {
        &self.all
    }

    /// The one whose turn it is to open a connection.
    pub(super) fn next(&self) -> &Arc<Shared> {
        let turn = self.opened.fetch_add(1, Ordering::Relaxed);
        self.all
            .get(turn % self.all.len().max(1))
            .unwrap_or(&self.first)
    }

    /// Runs `act` on each core and wakes its task.
    pub(super) fn act(&self, act: impl Fn(&mut super::state::State)) {
        for shared in self.all.iter() {
            shared.act(&act);
        }
    }
}

/// How the system chooses among sockets at one address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Steering {
    /// By connection ID, if it can.
    ByConnectionId,
    /// By the addresses of both ends.
    #[cfg(test)]
    ByAddress,
}

/// How many shards there are when `wanted` were asked for.
pub(super) fn granted(wanted: u32) -> u32 {
    match cfg!(target_os = "linux") {
        true => wanted.clamp(1, SHARDS_MAX),
        // Elsewhere one socket of several may get all, or each a copy.
        false => 1,
    }
}

/// Binds `count` sockets to `address`, among which the system chooses by connection ID if it can.
///
/// # Errors
/// What the system says about the address.
pub(super) fn bind(
    address: SocketAddr,
    options: SocketOptions,
    count: u32,
    steering: Steering,
) -> io::Result<Vec<Socket>> {
    let sharing = match count {
        0 | 1 => Sharing::Alone,
        _ => Sharing::Opens,
    };
    let first = Socket::bind(address, options, sharing)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..count {
        sockets.push(Socket::bind(address, options, Sharing::Joins)?);
    }
    if let ([first, _, ..], Steering::ByConnectionId) = (&*sockets, steering)
        && let Err(error) = first.steer(count)
    {
        tracing::debug!(%error, %address, "sockets are chosen by address, not by connection ID");
    }
    Ok(sockets)
}
