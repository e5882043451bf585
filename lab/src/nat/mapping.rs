//! One outside port: whose it is, and who may use it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use dunlin_transport::Instant;

use super::Dependence;

/// Peers whose permissions one mapping remembers; the one heard of longest ago goes first.
const PEERS_MAX: usize = 4_096;

/// A mapping.
#[derive(Debug)]
pub(super) struct Mapping {
    inside: SocketAddr,
    /// The last datagram from inside: only that keeps it alive (RFC 4787 REQ-6).
    last_outbound: Instant,
    /// When the inside last sent to each peer.
    sent: BTreeMap<SocketAddr, Instant>,
}

impl Mapping {
    pub(super) const fn new(inside: SocketAddr, now: Instant) -> Self {
        Self {
            inside,
            last_outbound: now,
            sent: BTreeMap::new(),
        }
    }

    pub(super) const fn inside(&self) -> SocketAddr {
        self.inside
    }

    pub(super) fn is_live(&self, now: Instant, timeout: Duration) -> bool {
        now.saturating_duration_since(self.last_outbound) < timeout
    }

    pub(super) fn on_outbound(&mut self, now: Instant, to: SocketAddr) {
        self.last_outbound = now;
        if self.sent.len() >= PEERS_MAX && !self.sent.contains_key(&to) {
            let oldest = self.sent.iter().min_by_key(|(peer, at)| (**at, **peer));
            if let Some(peer) = oldest.map(|(peer, _)| *peer) {
                self.sent.remove(&peer);
            }
        }
        self.sent.insert(to, now);
    }

    /// Whether a datagram from `from` gets in.
    pub(super) fn admits(
        &self,
        now: Instant,
        from: SocketAddr,
        filtering: Dependence,
        timeout: Duration,
    ) -> bool {
        let fresh = |at: &Instant| now.saturating_duration_since(*at) < timeout;
        match filtering {
            Dependence::EndpointIndependent => true,
            Dependence::AddressDependent => self
                .sent
                .iter()
                .any(|(peer, at)| peer.ip() == from.ip() && fresh(at)),
            Dependence::AddressAndPortDependent => self.sent.get(&from).is_some_and(fresh),
        }
    }
}
