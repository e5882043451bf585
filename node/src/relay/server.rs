//! The sockets of the relay.
//!
//! One task receives from all clients and sends on to the target; one task a client receives from
//! the target and sends back. Each owns the [`Path`] of its direction, so there is no lock.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dunlin_transport::Instant;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::decisions::Direction;
use super::limits::{CLIENT_IDLE, CLIENTS_MAX, DATAGRAM_LEN_MAX};
use super::path::{Path, PathConfig, PathCounters};
use crate::clock::Clock;

/// What a relay does.
#[derive(Clone, Copy, Debug)]
pub struct RelayConfig {
    /// Where clients send to; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where their packets go on to.
    pub to: SocketAddr,
    /// What happens on the way, in each direction by itself.
    pub path: PathConfig,
    /// How often the source port towards the target changes.
    pub rebind_every: Option<Duration>,
}

/// What happened in a relay.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RelayCounters {
    /// From clients to the target.
    pub forward: PathCounters,
    /// From the target to clients.
    pub backward: PathCounters,
    /// Clients met.
    pub clients: u64,
    /// Packets of clients for which there was no room.
    pub clients_refused: u64,
    /// Times the source port towards the target changed, all clients together.
    pub rebinds: u64,
}

/// A running relay. Dropping it stops it.
#[derive(Debug)]
pub struct Relay {
    local: SocketAddr,
    control: mpsc::Sender<Control>,
    task: JoinHandle<RelayCounters>,
}

impl Relay {
    /// Binds the listening socket and starts to relay. Must be called inside the runtime.
    ///
    /// # Errors
    /// When the socket cannot be bound.
    pub async fn start(config: RelayConfig) -> io::Result<Self> {
        let listen = Arc::new(bind(config.listen)?);
        let local = listen.local_addr()?;
        let (control, orders) = mpsc::channel(4);
        let worker = Worker {
            config,
            clock: Clock::start(),
            listen,
            clients: BTreeMap::new(),
            finished: RelayCounters::default(),
            buffer: vec![0; DATAGRAM_LEN_MAX],
        };
        let task = tokio::spawn(worker.run(orders));
        Ok(Self {
            local,
            control,
            task,
        })
    }

    /// Where clients send to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Gives every client another source port towards the target and returns when that has
    /// happened. What the target sends to the old ports is lost, as behind a NAT that forgot.
    pub async fn rebind(&self) {
        self.ask(Control::Rebind).await;
    }

    /// What happened so far.
    pub async fn counters(&self) -> RelayCounters {
        self.ask(Control::Counters).await.unwrap_or_default()
    }

    /// Stops the relay; packets that still wait are lost. Returns what happened.
    pub async fn stop(mut self) -> RelayCounters {
        let last = self.ask(Control::Stop).await.unwrap_or_default();
        // The task has answered and is returning.
        (&mut self.task).await.unwrap_or(last)
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Control) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.control.send(order(answer)).await.ok()?;
        answered.await.ok()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

enum Control {
    Rebind(oneshot::Sender<()>),
    Counters(oneshot::Sender<RelayCounters>),
    Stop(oneshot::Sender<RelayCounters>),
}

struct Worker {
    config: RelayConfig,
    clock: Clock,
    listen: Arc<UdpSocket>,
    clients: BTreeMap<SocketAddr, Client>,
    /// Counts of clients that are gone, and of the relay as a whole.
    finished: RelayCounters,
    buffer: Vec<u8>,
}

struct Client {
    forward: Path,
    upstream: watch::Sender<Arc<UdpSocket>>,
    backward: watch::Receiver<BackwardState>,
    last_heard: Instant,
    task: JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone, Copy, Default)]
struct BackwardState {
    counters: PathCounters,
    last_heard: Instant,
}

impl Worker {
    async fn run(mut self, mut orders: mpsc::Receiver<Control>) -> RelayCounters {
        let listen = Arc::clone(&self.listen);
        let mut next_rebind = self
            .config
            .rebind_every
            .map(|period| self.clock.now() + period);
        loop {
            let forward_due = self
                .clients
                .values()
                .filter_map(|c| c.forward.poll_timeout())
                .min();
            let wake = [forward_due, next_rebind].into_iter().flatten().min();
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Control::Rebind(done)) => {
                        self.rebind();
                        let _ = done.send(());
                    }
                    Some(Control::Counters(answer)) => {
                        let _ = answer.send(self.counters());
                    }
                    Some(Control::Stop(answer)) => {
                        let _ = answer.send(self.counters());
                        return self.counters();
                    }
                    None => return self.counters(),
                },
                ready = listen.readable() => {
                    if ready.is_ok() {
                        self.receive_batch();
                    }
                }
                () = self.clock.sleep_until(wake) => {}
            }
            if let (Some(due), Some(period)) = (next_rebind, self.config.rebind_every)
                && due <= self.clock.now()
            {
                self.rebind();
                next_rebind = Some(self.clock.now() + period);
            }
            self.send_due().await;
        }
    }

    /// Takes what has arrived, at most a batch, so that the timers get their turn.
    fn receive_batch(&mut self) {
        let listen = Arc::clone(&self.listen);
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..BATCH {
            match listen.try_recv_from(&mut buffer) {
                Ok((len, from)) => {
                    if let Some(packet) = buffer.get(..len) {
                        self.receive(from, packet);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // An ICMP error of an earlier send; the next packet is read all the same.
                Err(error) => tracing::debug!(%error, "receiving from clients"),
            }
        }
        self.buffer = buffer;
    }

    fn receive(&mut self, from: SocketAddr, packet: &[u8]) {
        let now = self.clock.now();
        if !self.clients.contains_key(&from) && !self.admit(from, now) {
            self.finished.clients_refused += 1;
            return;
        }
        if let Some(client) = self.clients.get_mut(&from) {
            client.last_heard = now;
            client.forward.handle_packet(now, packet);
        }
    }

    /// Makes room for a new client and a socket towards the target.
    fn admit(&mut self, from: SocketAddr, now: Instant) -> bool {
        if self.clients.len() >= CLIENTS_MAX {
            self.forget_idle(now);
        }
        if self.clients.len() >= CLIENTS_MAX {
            return false;
        }
        let Ok(upstream) = upstream_socket(self.config.to) else {
            return false;
        };
        let flow = self.finished.clients;
        self.finished.clients += 1;
        let (upstream, upstream_changes) = watch::channel(Arc::new(upstream));
        let (report, backward) = watch::channel(BackwardState::default());
        let task = Backward {
            clock: self.clock,
            client: from,
            listen: Arc::clone(&self.listen),
            upstream: upstream_changes,
            path: Path::new(self.config.path, flow, Direction::Backward),
            report,
        };
        let client = Client {
            forward: Path::new(self.config.path, flow, Direction::Forward),
            upstream,
            backward,
            last_heard: now,
            task: tokio::spawn(task.run()),
        };
        self.clients.insert(from, client);
        true
    }

    fn forget_idle(&mut self, now: Instant) {
        let idle: Vec<SocketAddr> = self
            .clients
            .iter()
            .filter(|(_, client)| {
                let heard = client.last_heard.max(client.backward.borrow().last_heard);
                now.saturating_duration_since(heard) >= CLIENT_IDLE
            })
            .map(|(address, _)| *address)
            .collect();
        for address in idle {
            if let Some(client) = self.clients.remove(&address) {
                self.finished.forward.add(client.forward.counters());
                self.finished
                    .backward
                    .add(&client.backward.borrow().counters);
            }
        }
    }

    fn rebind(&mut self) {
        for client in self.clients.values() {
            match upstream_socket(self.config.to) {
                Ok(socket) => {
                    client.upstream.send_replace(Arc::new(socket));
                    self.finished.rebinds += 1;
                }
                Err(error) => tracing::warn!(%error, "no new port; the old one stays"),
            }
        }
    }

    async fn send_due(&mut self) {
        let now = self.clock.now();
        for client in self.clients.values_mut() {
            let upstream = Arc::clone(&client.upstream.borrow());
            while let Some(packet) = client.forward.poll_packet(now) {
                retry_when_full(|| upstream.try_send(&packet), || upstream.writable()).await;
            }
        }
    }

    fn counters(&self) -> RelayCounters {
        let mut all = self.finished;
        for client in self.clients.values() {
            all.forward.add(client.forward.counters());
            all.backward.add(&client.backward.borrow().counters);
        }
        all
    }
}

/// The way back of one client.
struct Backward {
    clock: Clock,
    client: SocketAddr,
    listen: Arc<UdpSocket>,
    upstream: watch::Receiver<Arc<UdpSocket>>,
    path: Path,
    report: watch::Sender<BackwardState>,
}

impl Backward {
    async fn run(mut self) {
        let mut buffer = vec![0; DATAGRAM_LEN_MAX];
        let mut last_heard = self.clock.now();
        loop {
            let upstream = Arc::clone(&self.upstream.borrow_and_update());
            tokio::select! {
                changed = self.upstream.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                ready = upstream.readable() => {
                    if ready.is_ok() {
                        last_heard = self.clock.now();
                        self.receive_batch(&upstream, &mut buffer);
                    }
                }
                () = self.clock.sleep_until(self.path.poll_timeout()) => {}
            }
            let now = self.clock.now();
            while let Some(packet) = self.path.poll_packet(now) {
                let send = || self.listen.try_send_to(&packet, self.client);
                retry_when_full(send, || self.listen.writable()).await;
            }
            self.report.send_replace(BackwardState {
                counters: *self.path.counters(),
                last_heard,
            });
        }
    }

    fn receive_batch(&mut self, upstream: &UdpSocket, buffer: &mut [u8]) {
        for _ in 0..BATCH {
            match upstream.try_recv(buffer) {
                Ok(len) => {
                    if let Some(packet) = buffer.get(..len) {
                        self.path.handle_packet(self.clock.now(), packet);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The target is not there (yet): ICMP port unreachable.
                Err(error) => tracing::debug!(%error, "receiving from the target"),
            }
        }
    }
}

/// Sends once more when the socket was full. A packet the system refuses is lost, as on any path.
async fn retry_when_full<T, F>(
    mut send: impl FnMut() -> io::Result<T>,
    writable: impl FnOnce() -> F,
) where
    F: Future<Output = io::Result<()>>,
{
    match send() {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            if writable().await.is_ok() {
                let _ = send();
            }
        }
        Err(error) => tracing::debug!(%error, "sending"),
        Ok(_) => {}
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
    // Bursts must not be lost here but by decision. The system may grant less; that is no error.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_LEN);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_LEN);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

fn upstream_socket(to: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = bind(any)?;
    // Connected, so that only the target can answer. Connecting a UDP socket sends nothing.
    socket2::SockRef::from(&socket).connect(&to.into())?;
    Ok(socket)
}

const BATCH: usize = 64;
const SOCKET_BUFFER_LEN: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests;
