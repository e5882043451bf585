//! A NAT box in the terms of RFC 4787: how it maps, what it lets in, which ports it takes, when it
//! forgets.
//!
//! A [`Nat`] translates; it has no clock and no links. [`crate::net::Net`] puts one or more nodes
//! behind it: what they send gets the public address of the mapping at once, what comes in is
//! looked up when it arrives.

mod mapping;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dunlin_transport::Instant;
use serde::{Deserialize, Serialize};

use crate::rng::Rng;
use crate::units;
use mapping::Mapping;

/// What a mapping or a filter depends on (RFC 4787 sections 4.1 and 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dependence {
    /// Only on the inside: one mapping for all peers; whoever knows it gets in.
    EndpointIndependent,
    /// On the peer's IP address too.
    AddressDependent,
    /// On the peer's address and port: "symmetric", "port-restricted".
    AddressAndPortDependent,
}

/// Which outside port a mapping gets (RFC 4787 section 4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ports {
    /// The inside port if it is free, else the next free one.
    Preserve,
    /// Any free one.
    Random,
    /// One after the other.
    Sequential,
}

/// What kind of NAT.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NatConfig {
    /// When two peers see the same outside address.
    pub mapping: Dependence,
    /// Who gets in.
    pub filtering: Dependence,
    /// Which ports it takes.
    pub ports: Ports,
    /// How long a mapping and a permission live after the last datagram from inside. RFC 4787
    /// REQ-5: at least two minutes, five recommended; many boxes take 30 s.
    #[serde(with = "units::time")]
    pub timeout: Duration,
    /// Whether nodes behind it reach each other by their outside addresses (section 6).
    pub hairpinning: bool,
}

impl Default for NatConfig {
    /// What RFC 4787 recommends (REQ-1, 5, 8, 9), with preserved ports.
    fn default() -> Self {
        Self {
            mapping: Dependence::EndpointIndependent,
            filtering: Dependence::AddressDependent,
            ports: Ports::Preserve,
            timeout: Duration::from_secs(300),
            hairpinning: true,
        }
    }
}

/// What a NAT did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct NatStats {
    /// Mappings made.
    pub mapped: u64,
    /// Datagrams translated on their way out.
    pub outbound: u64,
    /// Datagrams let in.
    pub inbound: u64,
    /// Datagrams to a port that nobody has.
    pub unmapped: u64,
    /// Datagrams from peers that may not.
    pub filtered: u64,
    /// Datagrams from inside to inside by outside addresses.
    pub hairpinned: u64,
    /// Datagrams that would have had to be.
    pub hairpin_refused: u64,
    /// Datagrams from inside that found no free port.
    pub out_of_ports: u64,
}

/// The first port it hands out; lower ones belong to services (RFC 4787 section 4.2.2).
const PORT_MIN: u16 = 1_024;
/// How many there are.
const PORT_COUNT: u64 = 65_536 - 1_024;
/// Where the sequence of ports begins. Guess: any place inside the range.
const PORT_FIRST: u16 = 20_000;

/// A NAT box.
#[derive(Debug)]
pub struct Nat {
    config: NatConfig,
    public: IpAddr,
    /// By outside port.
    mappings: BTreeMap<u16, Mapping>,
    /// Outside port by inside address and what the mapping depends on.
    by_key: BTreeMap<Key, u16>,
    next_port: u16,
    rng: Rng,
    stats: NatStats,
}

/// Inside address, and the peer's address and port as far as the mapping depends on them.
type Key = (SocketAddr, Option<IpAddr>, Option<u16>);

impl Nat {
    /// A box with one outside address.
    #[must_use]
    pub const fn new(config: NatConfig, public: IpAddr, rng: Rng) -> Self {
        Self {
            config,
            public,
            mappings: BTreeMap::new(),
            by_key: BTreeMap::new(),
            next_port: PORT_FIRST,
            rng,
            stats: NatStats {
                mapped: 0,
                outbound: 0,
                inbound: 0,
                unmapped: 0,
                filtered: 0,
                hairpinned: 0,
                hairpin_refused: 0,
                out_of_ports: 0,
            },
        }
    }

    /// Its outside address.
    #[must_use]
    pub const fn public(&self) -> IpAddr {
        self.public
    }

    /// What it did.
    #[must_use]
    pub const fn stats(&self) -> NatStats {
        self.stats
    }

    /// A datagram leaves: the source that `to` sees. None: there is no port left.
    pub fn outbound(
        &mut self,
        now: Instant,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Option<SocketAddr> {
        let key = self.key(from, to);
        let known = self.by_key.get(&key).copied();
        let live = known.filter(|port| self.is_live(now, *port));
        let port = match live {
            Some(port) => port,
            None => self.map(now, key)?,
        };
        self.mappings.get_mut(&port)?.on_outbound(now, to);
        self.stats.outbound += 1;
        Some(SocketAddr::new(self.public, port))
    }

    /// A datagram from `from` to one of its outside addresses: whom it is for, if it gets in.
    pub fn inbound(
        &mut self,
        now: Instant,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Option<SocketAddr> {
        if !self.is_live(now, to.port()) {
            self.stats.unmapped += 1;
            return None;
        }
        let mapping = self.mappings.get(&to.port())?;
        if !mapping.admits(now, from, self.config.filtering, self.config.timeout) {
            self.stats.filtered += 1;
            return None;
        }
        self.stats.inbound += 1;
        Some(mapping.inside())
    }

    /// A datagram from inside to one of its own outside addresses: the source it gets (RFC 4787
    /// REQ-9a: the outside one). None: it does not do that.
    pub fn hairpin(
        &mut self,
        now: Instant,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Option<SocketAddr> {
        if !self.config.hairpinning {
            self.stats.hairpin_refused += 1;
            return None;
        }
        self.stats.hairpinned += 1;
        self.outbound(now, from, to)
    }

    /// Whom an outside port belongs to, whether or not anybody gets in.
    #[must_use]
    pub fn inside_of(&self, port: u16) -> Option<SocketAddr> {
        self.mappings.get(&port).map(Mapping::inside)
    }

    /// Forgets everything, as after a restart. Ports go on where they were.
    pub fn forget(&mut self) {
        self.mappings.clear();
        self.by_key.clear();
    }

    fn key(&self, from: SocketAddr, to: SocketAddr) -> Key {
        match self.config.mapping {
            Dependence::EndpointIndependent => (from, None, None),
            Dependence::AddressDependent => (from, Some(to.ip()), None),
            Dependence::AddressAndPortDependent => (from, Some(to.ip()), Some(to.port())),
        }
    }

    fn is_live(&self, now: Instant, port: u16) -> bool {
        let mapping = self.mappings.get(&port);
        mapping.is_some_and(|mapping| mapping.is_live(now, self.config.timeout))
    }

    fn map(&mut self, now: Instant, key: Key) -> Option<u16> {
        let Some(port) = self.free_port(now, key.0.port()) else {
            self.stats.out_of_ports += 1;
            return None;
        };
        self.by_key.insert(key, port);
        if let Some(before) = self.mappings.insert(port, Mapping::new(key.0, now)) {
            // It had expired, and its name with it.
            self.by_key
                .retain(|other, held| *held != port || *other == key);
            drop(before);
        }
        self.stats.mapped += 1;
        Some(port)
    }

    fn free_port(&mut self, now: Instant, inside: u16) -> Option<u16> {
        let first = match self.config.ports {
            Ports::Preserve => inside.max(PORT_MIN),
            Ports::Random => port_at(self.rng.below(PORT_COUNT)),
            Ports::Sequential => self.next_port,
        };
        let offset = u64::from(first - PORT_MIN);
        let mut candidates = (offset..offset + PORT_COUNT).map(port_at);
        let port = candidates.find(|port| !self.is_live(now, *port))?;
        if self.config.ports == Ports::Sequential {
            self.next_port = port_at(u64::from(port - PORT_MIN) + 1);
        }
        Some(port)
    }
}

/// The `index`-th port of the range, which begins again after its end.
fn port_at(index: u64) -> u16 {
    PORT_MIN + u16::try_from(index % PORT_COUNT).unwrap_or(0)
}

#[cfg(test)]
mod tests;
