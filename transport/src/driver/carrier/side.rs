//! The TCP half of an endpoint: makes cores for its streams and starts their tasks.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Handle;

use super::Carrier;
use super::common::Common;
use super::controller::PassThrough;
use super::registry::Registry;
use super::stream::TcpLink;
use crate::config::EndpointConfig;
use crate::driver::clock::Clock;
use crate::driver::connection::Connection;
use crate::driver::error::ConnectionError;
use crate::driver::state::{Meeting, Shared};
use crate::driver::task::EndpointTask;
use crate::endpoint::admission::Gate;
use crate::error::{CloseReason, ConnectError};
use crate::protect::{Acceptor, Initiator, Random};
use crate::tap::Tap;
use crate::trace::Observer;

/// Bytes of the largest packet, if the application did not choose larger ones. A stream has no
/// packet size of its own; sealing and acknowledging cost less for larger packets, and a piece of
/// data waits until all of its packet has come. As a record of TLS (RFC 8446 §5.1).
const PACKET_SIZE: usize = 16_384;
/// Datagrams of a batch: about what the framing hands to the system at once.
const DATAGRAMS_PER_BATCH: usize = 4;
/// Half-open handshakes of one stream: those of an initiator that began again.
const HALF_OPEN_PER_STREAM: usize = 4;

/// What the cores of all carriers are made of.
#[derive(Clone)]
pub(in crate::driver) struct Parts {
    /// Settings of the application.
    pub(in crate::driver) config: EndpointConfig,
    /// Answers handshakes, if any are answered.
    pub(in crate::driver) acceptor: Option<Arc<dyn Acceptor>>,
    /// Randomness.
    pub(in crate::driver) random: Common<dyn Random>,
    /// Told what connections do.
    pub(in crate::driver) observer: Option<Common<dyn Observer>>,
    /// Decides which peers get work and places.
    pub(in crate::driver) gate: Common<dyn Gate>,
    /// Sees every datagram.
    pub(in crate::driver) tap: Option<Common<dyn Tap>>,
}

impl Parts {
    /// A core of these parts for a carrier; `answers`: to strangers too.
    pub(in crate::driver) fn core(
        &self,
        config: EndpointConfig,
        (carrier, answers): (Carrier, bool),
    ) -> crate::Endpoint {
        let acceptor = self.acceptor.clone().filter(|_| answers);
        let acceptor = acceptor.map(|it| Box::new(it) as Box<dyn Acceptor>);
        let mut core = crate::Endpoint::new(config, Box::new(self.random.clone()), acceptor)
            .with_gate(Box::new(self.gate.clone()), carrier == Carrier::Tcp);
        if let Some(observer) = &self.observer {
            core.set_observer(Box::new(observer.clone()));
        }
        core
    }

    /// A handle of the tap.
    pub(in crate::driver) fn tap(&self) -> Option<Box<dyn Tap>> {
        let tap = self.tap.clone()?;
        Some(Box::new(tap))
    }
}

/// The TCP half.
pub(in crate::driver) struct TcpSide {
    parts: Parts,
    clock: Clock,
    /// Where the endpoint is bound.
    local: SocketAddr,
    meeting: Arc<Meeting>,
    /// Its streams.
    pub(in crate::driver) registry: Arc<Registry>,
    runtime: Handle,
}

impl TcpSide {
    /// That of the endpoint bound to `local`.
    pub(in crate::driver) fn new(
        mut parts: Parts,
        clock: Clock,
        local: SocketAddr,
        meeting: Arc<Meeting>,
        runtime: Handle,
    ) -> Self {
        parts.config = stream_config(parts.config);
        Self {
            parts,
            clock,
            local,
            meeting,
            registry: Arc::default(),
            runtime,
        }
    }

    /// Takes a stream that a peer opened. It is closed when there are too many.
    ///
    /// # Errors
    /// The stream is already gone.
    pub(super) fn accept(&self, io: TcpStream) -> io::Result<()> {
        let (link, shared) = self.share(io, true)?;
        let until = self.clock.now() + self.parts.config.transport.handshake_timeout;
        match self
            .registry
            .admit(&shared, Some((link.remote_addr(), until)))
        {
            // Admitted first: whoever ends the endpoint closes the queue and then looks for
            // streams, so one of the two notices.
            Some(_) if self.meeting.incoming.is_closed() => {}
            Some(membership) => {
                let task = self.task(shared, link).with_membership(membership);
                self.runtime.spawn(task);
            }
            None => tracing::debug!(remote = %link.remote_addr(), "too many TCP streams"),
        }
        Ok(())
    }

    /// Connects to `remote` over a stream of its own. Dropping the future gives it up.
    pub(in crate::driver) async fn dial(
        &self,
        remote: SocketAddr,
        initiator: Box<dyn Initiator>,
    ) -> Result<Connection, ConnectionError> {
        let failed = |error: io::Error| ConnectionError::Tcp(error.kind());
        let patience = self.parts.config.transport.handshake_timeout;
        let io = tokio::time::timeout(patience, self.open_stream(remote))
            .await
            .map_err(|_| ConnectionError::Tcp(io::ErrorKind::TimedOut))?
            .map_err(failed)?;
        let (link, shared) = self.share(io, false).map_err(failed)?;
        let membership = self
            .registry
            .admit(&shared, None)
            .ok_or(ConnectError::TooManyConnections)?;
        if self.meeting.incoming.is_closed() {
            return Err(CloseReason::EndpointStopped.into());
        }
        let (now, remote) = (self.clock.now(), link.remote_addr());
        let (handle, signals) = shared.act(|state| {
            let handle = state.core.connect(now, remote, initiator)?;
            Ok::<_, ConnectError>((handle, state.insert(handle)))
        })?;
        let task = self.task(Arc::clone(&shared), link);
        self.runtime.spawn(task.with_membership(membership));
        let connection = Connection::new(shared, handle, signals);
        connection.established().await?;
        Ok(connection)
    }

    /// A handle of the endpoint's randomness.
    pub(in crate::driver) fn random(&self) -> Common<dyn Random> {
        self.parts.random.clone()
    }

    async fn open_stream(&self, remote: SocketAddr) -> io::Result<TcpStream> {
        // A mapped address is one of IPv4.
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        let socket = if remote.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        let local = self.local.ip().to_canonical();
        if !local.is_unspecified() && local.is_ipv4() == remote.is_ipv4() {
            socket.bind(SocketAddr::new(local, 0))?;
        }
        socket.connect(remote).await
    }

    fn share(&self, io: TcpStream, answers: bool) -> io::Result<(TcpLink, Arc<Shared>)> {
        let config = self.parts.config.clone();
        let link = TcpLink::new(io)?;
        let local = link.local_addr()?;
        let shared = Shared::new(
            self.parts.core(config, (Carrier::Tcp, answers)),
            self.clock,
            local,
            Carrier::Tcp,
            Arc::clone(&self.meeting),
        );
        Ok((link, Arc::new(shared)))
    }

    fn task(&self, shared: Arc<Shared>, link: TcpLink) -> EndpointTask<TcpLink> {
        EndpointTask::new(shared, link, DATAGRAMS_PER_BATCH, self.parts.tap())
    }
}

/// The settings of a stream's core: one connection, no RETRY (TCP has proved the address), large
/// packets, and no congestion control above TCP's.
fn stream_config(mut config: EndpointConfig) -> EndpointConfig {
    config.max_connections = 1;
    config.max_half_open = HALF_OPEN_PER_STREAM;
    config.half_open_under_load = usize::MAX;
    config.transport.mtu = config.transport.mtu.max(PACKET_SIZE);
    // There is no path to search: a stream takes what it is given.
    config.transport.mtu_max = config.transport.mtu;
    config.transport.controller = PassThrough::choice();
    config.transport = config.transport.clamped();
    config
}

/// Whether the peer itself, and not the way to it, ended an attempt to connect: another carrier
/// would meet the same answer.
pub(super) const fn is_final(error: &ConnectionError) -> bool {
    match error {
        ConnectionError::Closed(reason) => matches!(
            reason,
            CloseReason::Peer { .. }
                | CloseReason::Reset { .. }
                | CloseReason::TransportReset { .. }
                | CloseReason::Violation(_)
                | CloseReason::Handshake(_)
        ),
        ConnectionError::Refused(_) | ConnectionError::AddressFamily => true,
        ConnectionError::Tcp(_) => false,
    }
}
