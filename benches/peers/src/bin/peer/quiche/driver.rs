//! Sockets and timers for quiche: one task that receives, lets connections send, and waits.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use dunlin_peers::Result;
use dunlin_peers::cli::Setup;
use dunlin_peers::datagrams::{Datagrams, Received};
use quiche::{Config, ConnectionId, Header, RecvInfo};
use tokio::sync::Notify;
use tokio::task::spawn_local;

use super::link::Link;

/// Bytes of our connection IDs.
const ID_LEN: usize = 8;
/// How long to wait when no timer runs.
const LONG: Duration = Duration::from_secs(3_600);

/// An endpoint.
pub struct Driver {
    datagrams: Datagrams,
    config: RefCell<Config>,
    packet_size: usize,
    links: RefCell<HashMap<Vec<u8>, Rc<Link>>>,
    timers: RefCell<BTreeSet<(Instant, u64)>>,
    /// Connections that may have something to send.
    dirty: RefCell<VecDeque<Rc<Link>>>,
    accepted: RefCell<VecDeque<Rc<Link>>>,
    next_id: Cell<u64>,
    kick: Notify,
    arrival: Notify,
    rest: Notify,
}

impl Driver {
    /// Binds and runs.
    pub fn start(local: SocketAddr, config: Config, setup: &Setup) -> Result<Rc<Self>> {
        let driver = Rc::new(Self {
            datagrams: Datagrams::bind(local, !setup.no_gso)?,
            config: config.into(),
            packet_size: usize::from(setup.mtu),
            links: RefCell::default(),
            timers: RefCell::default(),
            dirty: RefCell::default(),
            accepted: RefCell::default(),
            next_id: Cell::new(1),
            kick: Notify::new(),
            arrival: Notify::new(),
            rest: Notify::new(),
        });
        let running = driver.clone();
        spawn_local(async move {
            if let Err(error) = running.run().await {
                eprintln!("the socket failed: {error}");
            }
        });
        Ok(driver)
    }

    /// Where it is bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.datagrams.local_addr()
    }

    /// Begins a connection.
    pub fn connect(self: &Rc<Self>, server: SocketAddr) -> Result<Rc<Link>> {
        let id = self.fresh_id();
        let scid = ConnectionId::from_ref(&id);
        let name = Some(dunlin_peers::tls::SERVER_NAME);
        let (local, mut config) = (self.local_addr(), self.config.borrow_mut());
        let connection = quiche::connect(name, &scid, local, server, &mut config)?;
        let link = Link::new(connection, id, self);
        self.links.borrow_mut().insert(id.to_vec(), link.clone());
        self.mark(&link);
        Ok(link)
    }

    /// The next connection of a client.
    pub async fn accept(&self) -> Rc<Link> {
        loop {
            if let Some(link) = self.accepted.borrow_mut().pop_front() {
                return link;
            }
            self.arrival.notified().await;
        }
    }

    /// Waits until all that was to be sent is sent.
    pub async fn flushed(&self) {
        while !self.dirty.borrow().is_empty() {
            self.rest.notified().await;
        }
    }

    /// `link` may have something to send.
    pub fn mark(&self, link: &Rc<Link>) {
        if !link.dirty.replace(true) {
            self.dirty.borrow_mut().push_back(link.clone());
            self.kick.notify_one();
        }
    }

    fn fresh_id(&self) -> [u8; ID_LEN] {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        id.to_be_bytes()
    }

    async fn run(self: Rc<Self>) -> Result<()> {
        let mut received = Received::default();
        let mut batch = vec![0; self.datagrams.most_segments(self.packet_size) * self.packet_size];
        loop {
            let first = self.timers.borrow().first().map(|(at, _)| *at);
            let timer = tokio::time::sleep_until(first.unwrap_or(Instant::now() + LONG).into());
            tokio::select! {
                biased;
                come = self.datagrams.receive(&mut received) => {
                    come?;
                    self.take_in(&mut received);
                }
                () = self.kick.notified() => {}
                () = timer => {}
            }
            self.expire();
            // Those who were woken go first: what they write leaves with the acknowledgements.
            tokio::task::yield_now().await;
            self.send_all(&mut batch).await?;
        }
    }

    fn take_in(self: &Rc<Self>, received: &mut Received) {
        let to = self.local_addr();
        for (from, datagram) in received.datagrams() {
            let Ok(header) = Header::from_slice(datagram, ID_LEN) else {
                continue;
            };
            let known = self.links.borrow().get(&*header.dcid).cloned();
            let Some(link) = known.or_else(|| self.welcome(&header, from)) else {
                continue;
            };
            // What it cannot read it drops.
            let _ = (link.quic.borrow_mut()).recv(datagram, RecvInfo { from, to });
            link.heard.set(true);
            self.mark(&link);
        }
        for link in self.dirty.borrow().iter() {
            link.wake();
        }
    }

    /// A connection for the first packet of a client.
    fn welcome(self: &Rc<Self>, header: &Header<'_>, from: SocketAddr) -> Option<Rc<Link>> {
        if header.ty != quiche::Type::Initial {
            return None;
        }
        let id = self.fresh_id();
        let scid = ConnectionId::from_ref(&id);
        let (local, mut config) = (self.local_addr(), self.config.borrow_mut());
        let connection = quiche::accept(&scid, None, local, from, &mut config).ok()?;
        let link = Link::new(connection, id, self);
        let mut links = self.links.borrow_mut();
        links.insert(id.to_vec(), link.clone());
        links.insert(header.dcid.to_vec(), link.clone());
        link.first_id.replace(header.dcid.to_vec());
        self.accepted.borrow_mut().push_back(link.clone());
        self.arrival.notify_one();
        Some(link)
    }

    fn expire(&self) {
        let now = Instant::now();
        loop {
            let first = self.timers.borrow().first().copied();
            let Some((at, id)) = first.filter(|(at, _)| *at <= now) else {
                return;
            };
            self.timers.borrow_mut().remove(&(at, id));
            let link = self.links.borrow().get(&id.to_be_bytes()[..]).cloned();
            if let Some(link) = link {
                link.timer.set(None);
                link.quic.borrow_mut().on_timeout();
                self.mark(&link);
                link.wake();
            }
        }
    }

    async fn send_all(&self, batch: &mut [u8]) -> Result<()> {
        loop {
            let Some(link) = self.dirty.borrow_mut().pop_front() else {
                self.rest.notify_waiters();
                return Ok(());
            };
            link.dirty.set(false);
            if self.send(&link, batch).await? {
                link.wake();
            }
            self.settle(&link);
        }
    }

    /// Sends what the connection has: packets of one size together, and a shorter one behind them.
    /// Whether there was anything.
    async fn send(&self, link: &Rc<Link>, batch: &mut [u8]) -> Result<bool> {
        let (mut filled, mut size) = (0, 0);
        let mut to = self.local_addr();
        while let Some(room) = batch.get_mut(filled..filled + self.packet_size) {
            let Ok((length, info)) = link.quic.borrow_mut().send(room) else {
                break;
            };
            to = info.to;
            if filled > 0 && length > size {
                let packets = batch.get(..filled).unwrap_or_default();
                self.datagrams.send(to, packets, size).await?;
                batch.copy_within(filled..filled + length, 0);
                filled = 0;
            }
            if filled == 0 {
                size = length;
            }
            filled += length;
            let full = filled / size >= self.datagrams.most_segments(size)
                || filled + self.packet_size > batch.len();
            if full || length < size {
                let packets = batch.get(..filled).unwrap_or_default();
                self.datagrams.send(to, packets, size).await?;
                filled = 0;
            }
        }
        if let Some(packets) = batch.get(..filled).filter(|rest| !rest.is_empty()) {
            self.datagrams.send(to, packets, size).await?;
        }
        Ok(size > 0)
    }

    /// After a turn: its timer, its IDs, its end.
    fn settle(&self, link: &Rc<Link>) {
        let id = u64::from_be_bytes(link.id);
        let quic = link.quic.borrow();
        let timer = quic.timeout_instant().filter(|_| !quic.is_closed());
        let before = link.timer.replace(timer);
        if before != timer {
            let mut timers = self.timers.borrow_mut();
            before.map(|at| timers.remove(&(at, id)));
            timer.map(|at| timers.insert((at, id)));
        }
        if quic.is_established() || quic.is_closed() {
            let first = link.first_id.take();
            self.links.borrow_mut().remove(&first);
        }
        if quic.is_closed() {
            self.links.borrow_mut().remove(&link.id[..]);
        }
    }
}
