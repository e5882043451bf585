//! The handle of an endpoint.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
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
use super::options::EndpointOptions;
use super::random::PooledRandom;
use super::shards::{self, Shards, Steering, granted};
use super::socket::{Socket, SocketOptions};
use super::state::{Meeting, Shared, State};
use super::strays::Neighbours;
use super::task::EndpointTask;
use crate::config::EndpointConfig;
use crate::endpoint::admission::Admission;
use crate::error::CloseReason;
use crate::limits::{SEGMENTS_MAX, UDP_PAYLOAD_MAX};
use crate::protect::Initiator;
use crate::shard::Shard;

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
    /// The cores of UDP.
    shards: Shards,
    tcp: Arc<TcpSide>,
    listener: Option<AbortHandle>,
    carriers: CarrierChoice,
    head_start: Duration,
    memory: Mutex<Memory>,
    /// For further UDP sockets.
    socket: SocketOptions,
}

impl Endpoint {
    /// Binds to `address` (port 0: any free one) and starts the tasks. With an acceptor, a TCP
    /// socket listens at the same port unless [`EndpointOptions::carriers`] forbids it.
    ///
    /// # Errors
    /// What the operating system says about the address (in use, not local, not permitted);
    /// [`io::ErrorKind::Other`] when called outside a tokio runtime.
    pub fn bind(address: SocketAddr, options: EndpointOptions) -> io::Result<Self> {
        Self::bind_steered(address, options, Steering::ByConnectionId)
    }

    fn bind_steered(
        address: SocketAddr,
        options: EndpointOptions,
        steering: Steering,
    ) -> io::Result<Self> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let carriers = options.carriers;
        let (sockets, listening) = bind_both(address, &options, steering)?;
        let (local, may_fragment) = match &*sockets {
            [first, ..] => (first.local_addr()?, first.may_fragment()),
            [] => return Err(io::ErrorKind::AddrNotAvailable.into()),
        };
        let socket_options = socket_options(&options);
        let mut config = options.config;
        if may_fragment {
            // A probe that was cut on its way would prove nothing (RFC 8899 §3).
            config.transport.mtu_max = config.transport.mtu;
        }
        let parts = Parts {
            gate: Common::new(Box::new(Admission::new(&config))),
            config,
            acceptor: options.acceptor.map(Arc::from),
            random: Common::new(
                options
                    .random
                    .unwrap_or_else(|| Box::new(PooledRandom::new())),
            ),
            observer: options.observer.map(Common::new),
            tap: options.tap.map(Common::new),
        };
        let (clock, meeting) = (Clock::start(), Arc::<Meeting>::default());
        let answers = carriers.allows(Carrier::Udp);
        let shards = Shards::new(granted(options.shards), |shard| {
            let core = parts.core(share_of(&parts.config, shard), (Carrier::Udp, answers));
            let met = Arc::clone(&meeting);
            let core = core.with_shard(shard);
            Arc::new(Shared::new(core, clock, local, Carrier::Udp, met))
        });
        spawn_tasks(&runtime, &shards, sockets, (&parts, options.busy_poll));
        let tcp = Arc::new(TcpSide::new(parts, clock, local, meeting, runtime.clone()));
        let listener = listening.map(|listening| {
            let accepting = listener::run(listening, Arc::clone(&tcp));
            runtime.spawn(accepting).abort_handle()
        });
        Ok(Self {
            inner: Arc::new(Inner {
                shards,
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
        self.inner.shards.first().local_addr()
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
        let shared = self.inner.shards.first();
        if address.is_ipv4() != shared.local_addr().is_ipv4() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if shared.look(|state| state.closing || state.stopped) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let cores = self.inner.shards.all();
        let count = u32::try_from(cores.len()).unwrap_or(1);
        let sockets = shards::bind(address, self.inner.socket, count, Steering::ByConnectionId)?;
        for (shared, socket) in cores.iter().zip(sockets) {
            let local = socket.local_addr()?;
            shared.act(|state| state.rebound = Some(socket));
            shared.set_local_addr(local);
        }
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
        let remote = reachable_form(inner.shards.first().local_addr(), remote)?;
        if inner
            .shards
            .first()
            .look(|state| state.closing || state.stopped)
        {
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
        let remote = reachable_form(inner.shards.first().local_addr(), remote).ok()?;
        let now = inner.shards.first().clock.now();
        inner.memory.lock().recall(now, remote)
    }

    /// The next connection that a peer has opened, its handshake complete, whatever carries it.
    /// None: the endpoint was shut down.
    pub async fn accept(&self) -> Option<Connection> {
        let incoming = &self.inner.shards.first().meeting.incoming;
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
        let now = self.inner.shards.first().clock.now();
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
            let mut changed = pin!(self.inner.shards.first().meeting.progress.notified());
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
        let shared = self.shards.next();
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
        let clock = self.shards.first().clock;
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
        all.extend(self.shards.all().iter().cloned());
        all
    }

    fn act_on_all(&self, act: impl Fn(&mut State)) {
        for shared in self.all() {
            shared.act(&act);
        }
    }

    /// No further peer is met, and those that wait are let go.
    fn stop_listening(&self) {
        self.shards.first().meeting.incoming.close();
        if let Some(listener) = &self.listener {
            listener.abort();
        }
        self.tcp.registry.stop_unproven();
    }
}

/// Binds the UDP sockets and, where peers may come over TCP, a listener at the same port.
fn bind_both(
    address: SocketAddr,
    options: &EndpointOptions,
    steering: Steering,
) -> io::Result<(Vec<Socket>, Option<TcpListener>)> {
    let listens = options.acceptor.is_some() && options.carriers.allows(Carrier::Tcp);
    let mut attempts = if address.port() == 0 {
        PORT_ATTEMPTS_MAX
    } else {
        1
    };
    loop {
        let count = granted(options.shards);
        let sockets = shards::bind(address, socket_options(options), count, steering)?;
        let (true, Some(first)) = (listens, sockets.first()) else {
            return Ok((sockets, None));
        };
        attempts -= 1;
        match listener::bind(first.local_addr()?) {
            Ok(listener) => return Ok((sockets, Some(listener))),
            // The port that the system chose for UDP is somebody's TCP port: another one.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
            Err(error) => return Err(error),
        }
    }
}

/// The settings of one core: what bounds the endpoint is divided among all.
fn share_of(config: &EndpointConfig, shard: Shard) -> EndpointConfig {
    let count = usize::try_from(shard.count()).unwrap_or(1);
    let mut config = config.clone();
    config.max_connections = config.max_connections.div_ceil(count);
    config.max_half_open = config.max_half_open.div_ceil(count);
    config.half_open_under_load = config.half_open_under_load.div_ceil(count);
    config
}

const fn socket_options(options: &EndpointOptions) -> SocketOptions {
    SocketOptions {
        send_buffer: options.send_buffer_size,
        receive_buffer: options.receive_buffer_size,
        gso: options.gso,
    }
}

/// Starts a task for each core, with a socket each.
fn spawn_tasks(
    runtime: &Handle,
    shards: &Shards,
    sockets: Vec<Socket>,
    (parts, busy_poll): (&Parts, Duration),
) {
    let mtu = parts.config.transport.clone().clamped().mtu;
    let most = (UDP_PAYLOAD_MAX / mtu.max(1)).clamp(1, SEGMENTS_MAX);
    let cores = shards.all();
    let count = u32::try_from(cores.len()).unwrap_or(1);
    for ((index, shared), socket) in (0..).zip(cores.iter()).zip(sockets) {
        let link = UdpLink::new(socket);
        let mut task = EndpointTask::new(Arc::clone(shared), link, most, parts.tap());
        if let (Some(shard), true) = (Shard::new(index, count), count > 1) {
            task = task.with_neighbours(Neighbours::new(shard, Arc::clone(cores)));
        }
        runtime.spawn(task.with_busy_poll(busy_poll));
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
        self.shards.act(|state| state.handles_gone = true);
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

    /// As on a system that chooses sockets by address: all that comes from one peer comes to one of them.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_comes_to_the_socket_of_another_core_is_passed_on() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = || EndpointOptions {
            shards: 3,
            carriers: CarrierChoice::UdpOnly,
            ..EndpointOptions::default()
        };
        let acceptor = Box::new(crate::plain::PlainAcceptor::new());
        let server = Endpoint::bind(any, options().with_acceptor(acceptor)).unwrap();
        let client = Endpoint::bind_steered(any, options(), Steering::ByAddress).unwrap();
        for _ in 0..6 {
            let initiator = Box::new(crate::plain::PlainInitiator::new());
            let dialling = client.connect(server.local_addr(), initiator);
            let (dialled, accepted) = tokio::join!(dialling, server.accept());
            let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
            accepted.send_message(vec![5; 100_000]).await.unwrap();
            let message = dialled.receive_message().await.unwrap();
            assert_eq!(message.data, vec![5; 100_000]);
        }
    }

    #[test]
    fn several_cores_hold_no_more_than_one() {
        let config = EndpointConfig::default();
        let share = share_of(&config, Shard::new(2, 4).unwrap());
        assert_eq!(share.max_connections * 4, config.max_connections);
        assert_eq!(share.max_half_open * 4, config.max_half_open);
        let alone = share_of(&config, Shard::WHOLE);
        assert_eq!(alone.max_connections, config.max_connections);
    }

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
