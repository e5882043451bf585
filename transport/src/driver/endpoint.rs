//! The handle of an endpoint.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::connection::Connection;
use super::error::ConnectionError;
use super::options::{EndpointOptions, OsRandom};
use super::socket::Socket;
use super::state::{Shared, State};
use super::task::EndpointTask;
use crate::error::CloseReason;
use crate::protect::Initiator;

/// One UDP socket with any number of connections. Clones are handles of the same endpoint.
///
/// When the last handle is dropped no more connections are accepted; the ones there are go on, and
/// the task ends with the last of them. [`Endpoint::shutdown`] ends it sooner.
#[derive(Clone)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
}

impl Endpoint {
    /// Binds a socket to `address` (port 0: any free one) and starts the task.
    ///
    /// # Errors
    /// What the operating system says about the address (in use, not local, not permitted);
    /// [`io::ErrorKind::Other`] when called outside a tokio runtime.
    pub fn bind(address: SocketAddr, options: EndpointOptions) -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let socket = Socket::bind(
            address,
            options.send_buffer_size,
            options.receive_buffer_size,
            options.gso,
        )?;
        let mut config = options.config;
        if socket.may_fragment() {
            // A probe that was cut on its way would prove nothing (RFC 8899 §3).
            config.transport.mtu_max = config.transport.mtu;
        }
        let mtu = config.transport.clone().clamped().mtu;
        let random = options.random.unwrap_or_else(|| Box::new(OsRandom));
        let mut core = crate::Endpoint::new(config, random, options.acceptor);
        if let Some(observer) = options.observer {
            core.set_observer(observer);
        }
        let shared = Arc::new(Shared::new(core, Clock::start(), socket.local_addr()?));
        runtime.spawn(EndpointTask::new(
            Arc::clone(&shared),
            socket,
            mtu,
            options.tap,
        ));
        Ok(Self {
            inner: Arc::new(Inner { shared }),
        })
    }

    /// Where the socket is bound.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.shared.local_addr
    }

    /// Opens a connection; `initiator` makes the handshake. Dropping the future gives it up.
    ///
    /// # Errors
    /// [`ConnectionError`]; an address where nobody answers is
    /// [`CloseReason::HandshakeTimeout`] after the configured time.
    pub async fn connect(
        &self,
        remote: SocketAddr,
        initiator: Box<dyn Initiator>,
    ) -> Result<Connection, ConnectionError> {
        let shared = &self.inner.shared;
        let remote = reachable_form(shared.local_addr, remote)?;
        let now = shared.clock.now();
        let (handle, signals) = shared.act(|state| {
            if state.closing || state.stopped {
                return Err(ConnectionError::Closed(CloseReason::EndpointStopped));
            }
            let handle = state.core.connect(now, remote, initiator)?;
            Ok((handle, state.insert(handle)))
        })?;
        let connection = Connection::new(Arc::clone(shared), handle, signals);
        connection.established().await?;
        Ok(connection)
    }

    /// The next connection that a peer has opened, its handshake complete. None: the endpoint was
    /// shut down.
    pub async fn accept(&self) -> Option<Connection> {
        let shared = &self.inner.shared;
        loop {
            let mut changed = pin!(shared.incoming.notified());
            changed.as_mut().enable();
            let (accepted, over) =
                shared.look(|state| (state.accept(), state.closing || state.stopped));
            match accepted {
                Some((handle, signals)) => {
                    return Some(Connection::new(Arc::clone(shared), handle, signals));
                }
                None if over => return None,
                None => changed.await,
            }
        }
    }

    /// Closes all connections gracefully, waits at most `timeout` for that, and ends the task.
    /// Every call on this endpoint and its connections then says that it was stopped.
    pub async fn shutdown(&self, timeout: Duration) {
        let shared = &self.inner.shared;
        shared.act(State::begin_shutdown);
        shared.incoming.notify_waiters();
        let closed = async {
            self.wait_until(|state| state.all_closed()).await;
            shared.act(|state| state.release_all());
            self.wait_until(|state| state.core.is_idle()).await;
        };
        if tokio::time::timeout(timeout, closed).await.is_err() {
            tracing::debug!("connections were still open at the end of the shutdown");
        }
        shared.act(|state| state.stop = true);
        self.wait_until(|_| false).await;
    }

    /// Connections the endpoint holds, closing ones included.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.inner
            .shared
            .look(|state| state.core.connection_count())
    }

    /// Waits until `done` holds or the task has ended.
    async fn wait_until(&self, done: impl Fn(&State) -> bool) {
        loop {
            let mut changed = pin!(self.inner.shared.progress.notified());
            changed.as_mut().enable();
            if self.inner.shared.look(|state| state.stopped || done(state)) {
                return;
            }
            changed.await;
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("local_addr", &self.local_addr())
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.act(State::drop_incoming);
    }
}

/// `remote` as a socket bound to `local` has to name it: IPv4 through an IPv6 socket is mapped.
fn reachable_form(local: SocketAddr, remote: SocketAddr) -> Result<SocketAddr, ConnectionError> {
    match (local, remote) {
        (SocketAddr::V4(_), SocketAddr::V4(_)) | (SocketAddr::V6(_), SocketAddr::V6(_)) => {
            Ok(remote)
        }
        (SocketAddr::V6(local), SocketAddr::V4(remote)) if local.ip().is_unspecified() => Ok(
            SocketAddr::new(remote.ip().to_ipv6_mapped().into(), remote.port()),
        ),
        _ => Err(ConnectionError::AddressFamily),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_ipv4_only_for_a_socket_that_takes_both() {
        let form = |local: &str, remote: &str| {
            reachable_form(local.parse().unwrap(), remote.parse().unwrap())
        };
        let mapped = "[::ffff:192.0.2.1]:9".parse().unwrap();
        assert_eq!(form("[::]:5", "192.0.2.1:9"), Ok(mapped));
        assert_eq!(
            form("[::1]:5", "192.0.2.1:9"),
            Err(ConnectionError::AddressFamily)
        );
        assert_eq!(
            form("0.0.0.0:5", "[::1]:9"),
            Err(ConnectionError::AddressFamily)
        );
        assert_eq!(
            form("0.0.0.0:5", "192.0.2.1:9"),
            Ok("192.0.2.1:9".parse().unwrap())
        );
    }
}
