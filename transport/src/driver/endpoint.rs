//! The handle of an endpoint.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::carrier::common::Common;
use super::carrier::memory::Memory;
use super::carrier::race::{Gate, race};
use super::carrier::side::{Parts, TcpSide};
use super::carrier::{Carrier, CarrierChoice, listener};
use super::clock::Clock;
use super::connection::Connection;
use super::error::ConnectionError;
use super::link::UdpLink;
use super::options::{EndpointOptions, OsRandom};
use super::socket::Socket;
use super::state::{Meeting, Shared, State};
use super::task::EndpointTask;
use crate::endpoint::admission::Admission;
use crate::error::CloseReason;
use crate::limits::{SEGMENTS_MAX, UDP_PAYLOAD_MAX};
use crate::protect::Initiator;

/// Ports that the system is asked for until one is free for UDP and TCP.
const PORT_ATTEMPTS_MAX: usize = 32;

/// One port with any number of connections, over UDP or TCP. Clones are handles of the same
/// endpoint.
///
/// When the last handle is dropped no more connections are accepted; the ones there are go on, and
/// the tasks end with the last of them. [`Endpoint::shutdown`] ends it sooner.
#[derive(Clone)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

struct Inner {
    /// The core of UDP.
    shared: Arc<Shared>,
    tcp: Arc<TcpSide>,
    listener: Option<AbortHandle>,
    carriers: CarrierChoice,
    head_start: Duration,
    memory: Mutex<Memory>,
    /// Bytes of the UDP socket's buffers, and whether trains are tried.
    socket: (usize, usize, bool),
}

impl Endpoint {
    /// Binds to `address` (port 0: any free one) and starts the tasks. With an acceptor, a TCP
    /// socket listens at the same port unless [`EndpointOptions::carriers`] forbids it.
    ///
    /// # Errors
    /// What the operating system says about the address (in use, not local, not permitted);
    /// [`io::ErrorKind::Other`] when called outside a tokio runtime.
    pub fn bind(address: SocketAddr, options: EndpointOptions) -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let carriers = options.carriers;
        let (socket, listening) = bind_both(address, &options)?;
        let socket_options = (
            options.send_buffer_size,
            options.receive_buffer_size,
            options.gso,
        );
        let local = socket.local_addr()?;
        let mut config = options.config;
        if socket.may_fragment() {
            // A probe that was cut on its way would prove nothing (RFC 8899 §3).
            config.transport.mtu_max = config.transport.mtu;
        }
        let parts = Parts {
            gate: Common::new(Box::new(Admission::new(&config))),
            config,
            acceptor: options.acceptor.map(Common::new),
            random: Common::new(options.random.unwrap_or_else(|| Box::new(OsRandom))),
            observer: options.observer.map(Common::new),
            tap: options.tap.map(Common::new),
        };
        let (clock, meeting) = (Clock::start(), Arc::<Meeting>::default());
        let answers = carriers.allows(Carrier::Udp);
        let core = parts.core(parts.config.clone(), (Carrier::Udp, answers));
        let met = Arc::clone(&meeting);
        let shared = Arc::new(Shared::new(core, clock, local, Carrier::Udp, met));
        let mtu = parts.config.transport.clone().clamped().mtu;
        let task = EndpointTask::new(
            Arc::clone(&shared),
            UdpLink::new(socket),
            (UDP_PAYLOAD_MAX / mtu.max(1)).clamp(1, SEGMENTS_MAX),
            parts.tap(),
        );
        runtime.spawn(task.with_busy_poll(options.busy_poll));
        let tcp = Arc::new(TcpSide::new(parts, clock, local, meeting, runtime.clone()));
        let listener = listening.map(|listening| {
            let accepting = listener::run(listening, Arc::clone(&tcp));
            runtime.spawn(accepting).abort_handle()
        });
        Ok(Self {
            inner: Arc::new(Inner {
                shared,
                tcp,
                listener,
                carriers,
                head_start: options.head_start,
                memory: Mutex::default(),
                socket: socket_options,
            }),
        })
    }

    /// Where the socket is bound.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.shared.local_addr()
    }

    /// Moves to another local address (port 0: any free one), as when an interface went and another
    /// came. Connections over UDP go on: each takes a fresh connection ID, so that nobody can tell by
    /// their packets that both addresses belong together, and their peers prove the new address before
    /// they send to it. Until then what still comes to the old address is received too.
    ///
    /// Connections of the plain profile cannot move, and time out. Streams over TCP and the listening
    /// TCP socket stay where they are.
    ///
    /// # Errors
    /// What the operating system says about the address; [`io::ErrorKind::InvalidInput`] for one of
    /// another family than before; [`io::ErrorKind::NotConnected`] after a shutdown. The endpoint then
    /// stays where it is.
    pub fn rebind(&self, address: SocketAddr) -> io::Result<()> {
        let shared = &self.inner.shared;
        if address.is_ipv4() != shared.local_addr().is_ipv4() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (send, receive, gso) = self.inner.socket;
        let socket = Socket::bind(address, send, receive, gso)?;
        let local = socket.local_addr()?;
        let taken = shared.act(|state| {
            let taken = !state.closing && !state.stopped;
            if taken {
                state.rebound = Some(socket);
            }
            taken
        });
        if !taken {
            return Err(io::ErrorKind::NotConnected.into());
        }
        shared.set_local_addr(local);
        Ok(())
    }

    /// Opens a connection; `initiator` makes the handshake. Dropping the future gives it up.
    ///
    /// With [`CarrierChoice::Race`], and an initiator that has a [twin](Initiator::twin), UDP is
    /// tried at once and TCP after [`EndpointOptions::head_start`], or at once where TCP alone
    /// worked in the last ten minutes; the first to complete the handshake stays. Without a twin
    /// the one carrier is tried that worked last, at first UDP.
    ///
    /// # Errors
    /// [`ConnectionError`]; an address where nobody answers is
    /// [`CloseReason::HandshakeTimeout`] after the configured time. If both carriers fail, the error
    /// is the peer's own answer on either, or else what became of UDP.
    pub async fn connect(
        &self,
        remote: SocketAddr,
        initiator: Box<dyn Initiator>,
    ) -> Result<Connection, ConnectionError> {
        let inner = &*self.inner;
        let remote = reachable_form(inner.shared.local_addr(), remote)?;
        if inner.shared.look(|state| state.closing || state.stopped) {
            return Err(CloseReason::EndpointStopped.into());
        }
        match inner.carriers {
            CarrierChoice::UdpOnly => inner.connect_udp(remote, initiator).await,
            CarrierChoice::TcpOnly => inner.tcp.dial(remote, initiator).await,
            CarrierChoice::Race => inner.connect_racing(remote, initiator).await,
        }
    }

    /// What worked for `remote` when both carriers were last tried: TCP if UDP did not answer in
    /// time, for ten minutes. None: nothing is remembered, and UDP gets its head start.
    #[must_use]
    pub fn remembered_carrier(&self, remote: SocketAddr) -> Option<Carrier> {
        let inner = &self.inner;
        let remote = reachable_form(inner.shared.local_addr(), remote).ok()?;
        let now = inner.shared.clock.now();
        inner.memory.lock().recall(now, remote)
    }

    /// The next connection that a peer has opened, its handshake complete, whatever carries it.
    /// None: the endpoint was shut down.
    pub async fn accept(&self) -> Option<Connection> {
        let incoming = &self.inner.shared.meeting.incoming;
        loop {
            let mut changed = pin!(incoming.changed.notified());
            changed.as_mut().enable();
            match incoming.pop() {
                (Some(connection), _) => return Some(connection),
                (None, true) => return None,
                (None, false) => changed.await,
            }
        }
    }

    /// Closes all connections gracefully, waits at most `timeout` for that, and ends the tasks.
    /// Every call on this endpoint and its connections then says that it was stopped.
    pub async fn shutdown(&self, timeout: Duration) {
        let inner = &self.inner;
        inner.stop_listening();
        inner.act_on_all(State::begin_shutdown);
        let closed = async {
            self.wait_until(State::all_closed).await;
            inner.act_on_all(|state| state.release_all());
            self.wait_until(|state| state.core.is_idle()).await;
        };
        if tokio::time::timeout(timeout, closed).await.is_err() {
            tracing::debug!("connections were still open at the end of the shutdown");
        }
        inner.act_on_all(|state| state.stop = true);
        self.wait_until(|_| false).await;
    }

    /// Ends all connections with the peer that the session layer calls `name`, and returns how many
    /// there were: it hears `code` and `reason`.
    pub fn refuse_peer(&self, name: [u8; 32], code: u64, reason: &'static str) -> usize {
        let now = self.inner.shared.clock.now();
        let refuse = |shared: &Arc<Shared>| {
            shared.act(|state| state.core.refuse_peer(now, &name, code, reason))
        };
        self.inner.all().iter().map(refuse).sum()
    }

    /// Connections the endpoint holds, closing ones included.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        let count = |shared: &Arc<Shared>| shared.look(|state| state.core.connection_count());
        self.inner.all().iter().map(count).sum()
    }

    /// Waits until `done` holds for each core, or its task has ended.
    async fn wait_until(&self, done: impl Fn(&State) -> bool) {
        loop {
            let mut changed = pin!(self.inner.shared.meeting.progress.notified());
            changed.as_mut().enable();
            let is_done = |shared: &Arc<Shared>| shared.look(|it| it.stopped || done(it));
            if self.inner.all().iter().all(is_done) {
                return;
            }
            changed.await;
        }
    }
}

impl Inner {
    async fn connect_udp(
        &self,
        remote: SocketAddr,
        initiator: Box<dyn Initiator>,
    ) -> Result<Connection, ConnectionError> {
        let shared = &self.shared;
        let now = shared.clock.now();
        let (handle, signals) = shared.act(|state| {
            let handle = state.core.connect(now, remote, initiator)?;
            Ok::<_, ConnectionError>((handle, state.insert(handle)))
        })?;
        let connection = Connection::new(Arc::clone(shared), handle, signals);
        connection.established().await?;
        Ok(connection)
    }

    async fn connect_racing(
        &self,
        remote: SocketAddr,
        initiator: Box<dyn Initiator>,
    ) -> Result<Connection, ConnectionError> {
        let clock = self.shared.clock;
        let known = self.memory.lock().recall(clock.now(), remote);
        let Some(twin) = initiator.twin() else {
            return match known {
                Some(Carrier::Tcp) => self.tcp.dial(remote, initiator).await,
                _ => self.connect_udp(remote, initiator).await,
            };
        };
        let gate = Gate::default();
        let udp = self.connect_udp(remote, gate.hold(Carrier::Udp, initiator));
        let tcp = async {
            // Its keys are made only if it comes to that.
            let twin = twin(&mut self.tcp.random());
            self.tcp.dial(remote, gate.hold(Carrier::Tcp, twin)).await
        };
        let head_start = match known {
            Some(Carrier::Tcp) => Duration::ZERO,
            _ => self.head_start,
        };
        let (connection, carrier) = race(udp, tcp, head_start).await?;
        self.memory.lock().learn(clock.now(), remote, carrier);
        Ok(connection)
    }

    /// The cores of all carriers.
    fn all(&self) -> Vec<Arc<Shared>> {
        let mut all = self.tcp.registry.all();
        all.push(Arc::clone(&self.shared));
        all
    }

    fn act_on_all(&self, act: impl Fn(&mut State)) {
        for shared in self.all() {
            shared.act(&act);
        }
    }

    /// No further peer is met, and those that wait are let go.
    fn stop_listening(&self) {
        self.shared.meeting.incoming.close();
        if let Some(listener) = &self.listener {
            listener.abort();
        }
        self.tcp.registry.stop_unproven();
    }
}

/// Binds a UDP socket and, where peers may come over TCP, a listener at the same port.
fn bind_both(
    address: SocketAddr,
    options: &EndpointOptions,
) -> io::Result<(Socket, Option<TcpListener>)> {
    let listens = options.acceptor.is_some() && options.carriers.allows(Carrier::Tcp);
    let mut attempts = if address.port() == 0 {
        PORT_ATTEMPTS_MAX
    } else {
        1
    };
    loop {
        let (send, receive) = (options.send_buffer_size, options.receive_buffer_size);
        let socket = Socket::bind(address, send, receive, options.gso)?;
        if !listens {
            return Ok((socket, None));
        }
        attempts -= 1;
        match listener::bind(socket.local_addr()?) {
            Ok(listener) => return Ok((socket, Some(listener))),
            // The port that the system chose for UDP is somebody's TCP port: another one.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
            Err(error) => return Err(error),
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
        self.stop_listening();
        self.shared.act(|state| state.handles_gone = true);
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
