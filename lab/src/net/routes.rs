//! Who has which address, who stands behind which NAT, and who cannot reach whom for now.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use dunlin_transport::Instant;

use crate::nat::{Nat, NatConfig, NatStats};
use crate::rng::Rng;

/// Between two groups nothing passes for a while.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) from: Instant,
    pub(super) until: Instant,
    /// One of the groups; all others are the other.
    pub(super) group: BTreeSet<usize>,
}

/// Where a datagram goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Route {
    /// The node at the end of the link (behind a NAT: one of those there).
    pub(super) target: usize,
    /// The source that others see.
    pub(super) source: SocketAddr,
}

#[derive(Debug, Default)]
pub(super) struct Routes {
    addresses: BTreeMap<SocketAddr, usize>,
    nats: Vec<Nat>,
    /// NAT by outside address.
    public: BTreeMap<IpAddr, usize>,
    /// The NAT of each node that stands behind one.
    behind: BTreeMap<usize, usize>,
    pub(super) partitions: Vec<Partition>,
    /// Counts changes, so that a sender may remember a route.
    pub(super) version: u64,
}

impl Routes {
    pub(super) fn insert(&mut self, address: SocketAddr, node: usize) {
        self.version += 1;
        self.addresses.insert(address, node);
    }

    pub(super) fn remove(&mut self, address: &SocketAddr) {
        self.version += 1;
        self.addresses.remove(address);
    }

    pub(super) fn add_nat(&mut self, config: NatConfig, rng: Rng) -> usize {
        let index = self.nats.len();
        let public = outside_address(index);
        self.nats.push(Nat::new(config, public, rng));
        self.public.insert(public, index);
        self.version += 1;
        index
    }

    pub(super) fn put_behind(&mut self, node: usize, nat: usize) {
        self.version += 1;
        if nat < self.nats.len() {
            self.behind.insert(node, nat);
        }
    }

    pub(super) fn nat(&mut self, index: usize) -> Option<&mut Nat> {
        self.nats.get_mut(index)
    }

    pub(super) fn nat_stats(&self, index: usize) -> Option<NatStats> {
        self.nats.get(index).map(Nat::stats)
    }

    /// Whether a route may be remembered: nothing on the way has a state.
    pub(super) const fn is_plain(&self) -> bool {
        self.nats.is_empty() && self.partitions.is_empty()
    }

    /// Where a datagram of `node` with this source goes; None: nowhere.
    pub(super) fn outward(
        &mut self,
        now: Instant,
        node: usize,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Option<Route> {
        let own = self.behind.get(&node).copied();
        let theirs = self.public.get(&to.ip()).copied();
        let (target, source) = match theirs {
            Some(nat) if own == Some(nat) => (
                self.host_of(nat, to)?,
                self.nats.get_mut(nat)?.hairpin(now, from, to)?,
            ),
            Some(nat) => (self.host_of(nat, to)?, self.leave(now, own, from, to)?),
            None => {
                let target = *self.addresses.get(&to)?;
                match self.behind.get(&target).copied() {
                    // Private addresses mean something behind the same NAT only.
                    inside if inside == own => (target, from),
                    None => (target, self.leave(now, own, from, to)?),
                    Some(_) => return None,
                }
            }
        };
        let cut = self.partitions.iter().any(|partition| {
            (partition.from..partition.until).contains(&now)
                && partition.group.contains(&node) != partition.group.contains(&target)
        });
        (!cut).then_some(Route { target, source })
    }

    /// Who gets a datagram that arrives with these addresses.
    pub(super) fn inward(
        &mut self,
        now: Instant,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Option<(usize, SocketAddr)> {
        let inside = match self.public.get(&to.ip()) {
            Some(nat) => self.nats.get_mut(*nat)?.inbound(now, from, to)?,
            None => to,
        };
        Some((*self.addresses.get(&inside)?, inside))
    }

    /// The node that an address means, behind a NAT or not; it says nothing about who gets in.
    pub(super) fn node_of(&self, address: SocketAddr) -> Option<usize> {
        match self.public.get(&address.ip()) {
            Some(nat) => self.host_of(*nat, address),
            None => self.addresses.get(&address).copied(),
        }
    }

    fn leave(
        &mut self,
        now: Instant,
        own: Option<usize>,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Option<SocketAddr> {
        match own {
            Some(nat) => self.nats.get_mut(nat)?.outbound(now, from, to),
            None => Some(from),
        }
    }

    /// The node that an outside address means; for one that means nobody, any node behind the NAT:
    /// the datagram has to travel to the NAT to be dropped there.
    fn host_of(&self, nat: usize, to: SocketAddr) -> Option<usize> {
        let inside = self.nats.get(nat)?.inside_of(to.port());
        let known = inside.and_then(|inside| self.addresses.get(&inside).copied());
        let any = || {
            let mut members = self.behind.iter();
            members.find(|(_, behind)| **behind == nat)
        };
        known.or_else(|| any().map(|(node, _)| *node))
    }
}

/// The outside address of the `index`-th NAT: 198.18.0.0/15 is for measurements (RFC 2544).
fn outside_address(index: usize) -> IpAddr {
    let first = u32::from(Ipv4Addr::new(198, 18, 0, 1));
    Ipv4Addr::from(first.wrapping_add(u32::try_from(index).unwrap_or(0))).into()
}
