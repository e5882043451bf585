//! Traffic that is no connection: datagrams of one size at a constant rate, which nothing slows down.

use std::net::SocketAddr;
use std::time::Duration;

use dunlin_transport::Instant;

use crate::experiment::model::Cross;
use crate::link::{Datagram, HEADER_BYTES};
use crate::net::{Host, Outgoing};

/// Sends datagrams by the clock.
#[derive(Debug)]
pub(super) struct Source {
    to: SocketAddr,
    size: usize,
    every: Duration,
    next: Instant,
    stop: Instant,
}

impl Source {
    /// Sends what `cross` says to `to`, until `end` at the latest. The rate counts IPv4 and UDP
    /// headers, as those of links do.
    pub(super) fn new(cross: &Cross, to: SocketAddr, end: Instant) -> Self {
        let bits = u128::from(cross.size.0 + HEADER_BYTES) * 8;
        let nanos = bits * 1_000_000_000 / u128::from(cross.rate.0.max(1));
        Self {
            to,
            size: usize::try_from(cross.size.0).unwrap_or(usize::MAX),
            every: Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX).max(1)),
            next: Instant::ZERO + cross.start.0,
            stop: cross
                .stop
                .map_or(end, |stop| end.min(Instant::ZERO + stop.0)),
        }
    }
}

impl Host for Source {
    fn handle_datagram(&mut self, _: Instant, _: &mut Datagram) {}

    fn poll_transmit(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Option<Outgoing> {
        if self.next > now || self.next >= self.stop {
            return None;
        }
        self.next = self.next + self.every;
        buffer.clear();
        buffer.resize(self.size, 0);
        Some(Outgoing::single(self.to, self.size))
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        (self.next < self.stop).then_some(self.next)
    }
}
