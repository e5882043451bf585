//! The sockets of the relay.
//!
//! One task receives from all clients and sends on to the target; one task a client receives from
//! the target and sends back. Each owns the [`Path`] of its direction, so there is no lock.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dunlin_transport::Instant;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::decisions::Direction;
use super::limits::{CLIENT_IDLE, CLIENTS_MAX};
use super::packets::Packets;
use super::path::{Path, PathConfig, PathCounters};
use super::socket::{BatchSocket, Inbox};
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
        let listen = Arc::new(BatchSocket::bind(config.listen)?);
        let local = listen.local_addr()?;
        let (control, orders) = mpsc::channel(4);
        let worker = Worker {
            config,
            clock: Clock::start(),
            listen,
            clients: BTreeMap::new(),
            finished: RelayCounters::default(),
            inbox: Inbox::new(),
            outbox: Packets::default(),
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
    listen: Arc<BatchSocket>,
    clients: BTreeMap<SocketAddr, Client>,
    /// Counts of clients that are gone, and of the relay as a whole.
    finished: RelayCounters,
    inbox: Inbox,
    outbox: Packets,
}

struct Client {
    forward: Path,
    upstream: watch::Sender<Arc<BatchSocket>>,
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

    /// Takes a batch of what has arrived, so that the timers get their turn.
    fn receive_batch(&mut self) {
        let listen = Arc::clone(&self.listen);
        let mut inbox = std::mem::replace(&mut self.inbox, Inbox::empty());
        let now = self.clock.now();
        let taken = listen.try_receive(&mut inbox, |from, packet| self.receive(now, from, packet));
        log_receiving(taken, "clients");
        self.inbox = inbox;
    }

    fn receive(&mut self, now: Instant, from: SocketAddr, packet: &[u8]) {
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
            target: self.config.to,
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
            client.forward.poll_due(now, &mut self.outbox);
            if !self.outbox.is_empty() {
                let upstream = Arc::clone(&client.upstream.borrow());
                upstream.send(self.config.to, &self.outbox).await;
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
    target: SocketAddr,
    listen: Arc<BatchSocket>,
    upstream: watch::Receiver<Arc<BatchSocket>>,
    path: Path,
    report: watch::Sender<BackwardState>,
}

impl Backward {
    async fn run(mut self) {
        let (mut inbox, mut outbox) = (Inbox::new(), Packets::default());
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
                        let now = self.clock.now();
                        let taken = upstream.try_receive(&mut inbox, |from, packet| {
                            if from == self.target {
                                last_heard = now;
                                self.path.handle_packet(now, packet);
                            }
                        });
                        log_receiving(taken, "the target");
                    }
                }
                () = self.clock.sleep_until(self.path.poll_timeout()) => {}
            }
            self.path.poll_due(self.clock.now(), &mut outbox);
            self.listen.send(self.client, &outbox).await;
            self.report.send_replace(BackwardState {
                counters: *self.path.counters(),
                last_heard,
            });
        }
    }
}

fn log_receiving(taken: io::Result<()>, from: &str) {
    match taken {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
            tracing::debug!(%error, "receiving from {from}");
        }
        Ok(()) | Err(_) => {}
    }
}

fn upstream_socket(to: SocketAddr) -> io::Result<BatchSocket> {
    // Not connected: a NAT, too, hears no ICMP for its clients. What is not from the target is
    // dropped on arrival.
    BatchSocket::bind(match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    })
}

#[cfg(test)]
mod tests;
