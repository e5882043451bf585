//! Programs at the end of a path that are no endpoints.

use std::any::Any;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use dunlin_transport::{EndpointConfig, Instant};

use crate::link::Datagram;
use crate::net::host::{Host, Outgoing};
use crate::profile::Profile;
use crate::rng::Rng;

/// Datagrams that a [`Reflector`] holds at most.
const REFLECTED_MAX: usize = 1_024;

/// Sends back whatever comes, to whoever it says it is from.
#[derive(Debug, Default)]
pub struct Reflector {
    waiting: VecDeque<(SocketAddr, Vec<u8>)>,
    /// Datagrams it got.
    pub datagrams: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Host for Reflector {
    fn handle_datagram(&mut self, _: Instant, datagram: &mut Datagram) {
        self.datagrams += 1;
        self.bytes += datagram.bytes.len() as u64;
        if self.waiting.len() < REFLECTED_MAX {
            self.waiting
                .push_back((datagram.from, datagram.bytes.to_vec()));
        }
    }

    fn poll_transmit(&mut self, _: Instant, buffer: &mut Vec<u8>) -> Option<Outgoing> {
        let (to, bytes) = self.waiting.pop_front()?;
        *buffer = bytes;
        Some(Outgoing::single(to, buffer.len()))
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

/// Counts what it gets: the victim of forged sources.
#[derive(Debug, Default)]
pub struct Sink {
    /// Datagrams it got.
    pub datagrams: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Notices of routers it got.
    pub too_big: u64,
}

impl Host for Sink {
    fn handle_datagram(&mut self, _: Instant, datagram: &mut Datagram) {
        self.datagrams += 1;
        self.bytes += datagram.bytes.len() as u64;
    }

    fn handle_too_big(&mut self, _: Instant, _: SocketAddr, _: usize) {
        self.too_big += 1;
    }

    fn poll_transmit(&mut self, _: Instant, _: &mut Vec<u8>) -> Option<Outgoing> {
        None
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

/// Sends given datagrams to a target in the name of a victim and counts them, so that what the
/// victim gets for it can be compared: the amplification (`docs/wire.md` W-RCV-3: at most one).
#[derive(Debug)]
pub struct Prober {
    target: SocketAddr,
    victim: SocketAddr,
    payloads: VecDeque<Vec<u8>>,
    gap: Duration,
    next: Option<Instant>,
    /// Bytes it sent.
    pub bytes: u64,
}

impl Prober {
    /// Sends `payloads`, one each `gap`, to `target` in the name of `victim`.
    #[must_use]
    pub fn new(
        target: SocketAddr,
        victim: SocketAddr,
        payloads: Vec<Vec<u8>>,
        gap: Duration,
    ) -> Self {
        Self {
            target,
            victim,
            payloads: payloads.into(),
            gap,
            next: None,
            bytes: 0,
        }
    }
}

impl Host for Prober {
    fn handle_datagram(&mut self, _: Instant, _: &mut Datagram) {}

    fn poll_transmit(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Option<Outgoing> {
        if self.next.is_some_and(|next| next > now) {
            return None;
        }
        *buffer = self.payloads.pop_front()?;
        self.next = Some(now + self.gap);
        self.bytes += buffer.len() as u64;
        let mut outgoing = Outgoing::single(self.target, buffer.len());
        outgoing.source = Some(self.victim);
        Some(outgoing)
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.next.filter(|_| !self.payloads.is_empty())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

/// The first datagram of a handshake of node 0 with node 1: the most that somebody without an
/// address of his own can say.
#[must_use]
pub fn first_flight(profile: Profile, seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    let config = EndpointConfig::default();
    let mut endpoint = profile.endpoint(0, &config, false, &mut rng);
    let remote = SocketAddr::from(([10, 0, 0, 2], 4_433));
    let initiator = profile.initiator(0, 1, &mut rng);
    let mut datagram = Vec::new();
    if endpoint.connect(Instant::ZERO, remote, initiator).is_ok() {
        endpoint.poll_transmit(Instant::ZERO, 1, &mut datagram);
    }
    datagram
}
