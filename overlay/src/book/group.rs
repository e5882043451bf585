//! Which addresses are taken to be in one hand.
//!
//! An attacker gets many addresses of one network for the price of one, and addresses of many
//! networks for the price of many. So an address counts by its *group*: of IPv4 the first 16 bits, of
//! IPv6 the first 32 (Bitcoin Core's `GetGroup` without an AS map). Addresses that reach no further
//! than a site are counted one by one, and those of one machine by port: there, whoever is near has
//! them all anyway, and a laboratory has nothing else.

use core::net::{IpAddr, SocketAddr};

use crate::types::HintSource;
use crate::wire::Scope;

/// A group of addresses, or a source of hints that has none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Group {
    /// First 16 bits of a global IPv4 address.
    V4([u8; 2]),
    /// First 32 bits of a global IPv6 address.
    V6([u8; 4]),
    /// A private address.
    Site(IpAddr),
    /// A place on this machine.
    Machine(SocketAddr),
    /// Hints that came without a peer.
    Hints(HintSource),
    /// Our own store: further buckets for a group of which it has many.
    Store(u8),
}

impl Group {
    /// The group of an address.
    pub(crate) fn of(address: SocketAddr) -> Self {
        let ip = address.ip().to_canonical();
        match (Scope::of(ip), ip) {
            (Some(Scope::Private), _) => Self::Site(ip),
            (Some(Scope::Global), IpAddr::V4(ip)) => {
                let [a, b, ..] = ip.octets();
                Self::V4([a, b])
            }
            (Some(Scope::Global), IpAddr::V6(ip)) => {
                let [a, b, c, d, ..] = ip.octets();
                Self::V6([a, b, c, d])
            }
            (Some(Scope::Loopback) | None, _) => Self::Machine(SocketAddr::new(ip, address.port())),
        }
    }

    /// Whether two peers of it are one risk: addresses of a site or machine are what there is.
    pub(crate) const fn is_diverse(self) -> bool {
        matches!(self, Self::V4(_) | Self::V6(_))
    }

    /// Its bytes for a hash: a tag, then what distinguishes it.
    pub(super) fn hash_into(self, hasher: &mut blake3::Hasher) {
        match self {
            Self::V4(bytes) => hasher.update(&[0]).update(&bytes),
            Self::V6(bytes) => hasher.update(&[1]).update(&bytes),
            Self::Site(ip) => hasher.update(&[2]).update(&octets(ip)),
            Self::Machine(address) => {
                hasher.update(&[3]).update(&octets(address.ip()));
                hasher.update(&address.port().to_be_bytes())
            }
            Self::Hints(source) => hasher.update(&[4, source.code()]),
            Self::Store(number) => hasher.update(&[5, number]),
        };
    }
}

/// Sixteen bytes for either kind of address.
pub(super) fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_addresses_are_grouped_by_network_and_near_ones_one_by_one() {
        let same =
            |a: &str, b: &str| Group::of(a.parse().unwrap()) == Group::of(b.parse().unwrap());
        assert!(same("8.8.4.4:1", "8.8.200.1:2"));
        assert!(same("[::ffff:8.8.4.4]:1", "8.8.200.1:2"));
        assert!(!same("8.8.4.4:1", "8.9.4.4:1"));
        assert!(same("[2001:db8:1::1]:1", "[2001:db8:2::1]:1"));
        assert!(!same("[2001:db8::1]:1", "[2001:db9::1]:1"));
        assert!(same("10.0.0.1:1", "10.0.0.1:2"));
        assert!(!same("10.0.0.1:1", "10.0.0.2:1"));
        assert!(!same("127.0.0.1:1", "127.0.0.1:2"));
        assert!(Group::of("8.8.4.4:1".parse().unwrap()).is_diverse());
        assert!(!Group::of("192.168.1.1:1".parse().unwrap()).is_diverse());
    }
}
