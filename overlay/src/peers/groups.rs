//! Which networks peers come from, and how many of each a node takes.
//!
//! An address costs little, a range of addresses costs more, and ranges of many owners cost most. So
//! inbound peers are limited per address, per subnet (/24 of IPv4, /48 of IPv6: what one customer
//! gets) and per configured group; and what protects peers from eviction counts networks (/16, /32:
//! about one owner each; Bitcoin Core uses the same without a map of owners).
//!
//! Loopback and private addresses are exempt unless configured: behind one of them there is no owner to
//! tell from another, tests and simulations run whole networks there, and who can connect from one is
//! on the node's own site already.

use std::net::IpAddr;

use crate::config::Rate;
use crate::limits::{ALLOWED_MAX, GROUP_PREFIXES_MAX, GROUPS_MAX};
use crate::prefix::IpPrefix;
use crate::wire::Scope;

/// A set of address ranges of which a node takes only so many inbound peers: one provider's ranges, say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerGroup {
    /// What it is called in the configuration.
    pub name: String,
    /// Its ranges, at most [`crate::limits::GROUP_PREFIXES_MAX`].
    pub prefixes: Vec<IpPrefix>,
    /// Inbound peers taken from all of them together.
    pub max: usize,
}

impl PeerGroup {
    /// Whether `ip` belongs to it.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.prefixes.iter().any(|prefix| prefix.contains(ip))
    }
}

/// Who is taken as a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admission {
    /// Most peers that opened the link themselves. Default (`None`): seven eighths of `max_peers`, so
    /// that strangers cannot take the places of peers that we choose. At most `max_peers`.
    pub max_inbound: Option<usize>,
    /// Most links that we open. Default (`None`): `max_peers`; what is dialled ends at `target_peers`.
    pub max_outbound: Option<usize>,
    /// Inbound peers with one address. Default 4: a household behind one address (chosen).
    pub max_per_address: usize,
    /// Inbound peers of one subnet (/24 or /48). Default 8, a quarter of `max_peers` (chosen).
    pub max_per_subnet: usize,
    /// Groups of ranges with a maximum of their own (at most [`GROUPS_MAX`]). Default: none.
    pub groups: Vec<PeerGroup>,
    /// Whether the limits per address and subnet, and the rate of connecting, hold for loopback and
    /// private addresses too. Default: no; tests and local networks run many nodes there.
    pub limit_private: bool,
    /// Links that one subnet may open. Default 1/s, burst 16 (chosen).
    pub connects_per_subnet: Rate,
    /// Ranges that no limit per address, subnet or group is for, and that are never banned by address
    /// (at most [`ALLOWED_MAX`]). Default: none.
    pub allow: Vec<IpPrefix>,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            max_inbound: None,
            max_outbound: None,
            max_per_address: 4,
            max_per_subnet: 8,
            groups: Vec::new(),
            limit_private: false,
            connects_per_subnet: Rate::new(1, 16),
            allow: Vec::new(),
        }
    }
}

impl Admission {
    /// Leaves out what is past the limits.
    pub(crate) fn bound(&mut self) {
        self.groups.truncate(GROUPS_MAX);
        for group in &mut self.groups {
            group.prefixes.truncate(GROUP_PREFIXES_MAX);
        }
        self.allow.truncate(ALLOWED_MAX);
    }

    /// Whether the limits per address and subnet, and the rate of connecting, leave `ip` alone.
    /// Configured groups count for every scope.
    pub(crate) fn is_exempt(&self, ip: IpAddr) -> bool {
        let is_near = matches!(Scope::of(ip), Some(Scope::Loopback | Scope::Private));
        self.is_allowed(ip) || is_near && !self.limit_private
    }

    /// Whether `ip` is on the allow list.
    pub(crate) fn is_allowed(&self, ip: IpAddr) -> bool {
        self.allow.iter().any(|prefix| prefix.contains(ip))
    }

    /// Whether one more inbound peer from `ip` is within the limits, given the addresses of those that
    /// are there.
    pub(crate) fn has_room(&self, ip: IpAddr, present: &[IpAddr]) -> bool {
        let ip = ip.to_canonical();
        if self.is_allowed(ip) {
            return true;
        }
        let mut groups = self.groups.iter().filter(|group| group.contains(ip));
        let in_group = |group: &PeerGroup| present.iter().filter(|&&of| group.contains(of)).count();
        if groups.any(|group| in_group(group) >= group.max) {
            return false;
        }
        if self.is_exempt(ip) {
            return true;
        }
        let within = |range: IpPrefix| present.iter().filter(|&&of| range.contains(of)).count();
        within(IpPrefix::of_one(ip)) < self.max_per_address
            && within(subnet(ip)) < self.max_per_subnet
    }
}

/// The subnet of an address: what connections are rated by.
pub(crate) fn subnet(ip: IpAddr) -> IpPrefix {
    IpPrefix::around(ip, 24, 48)
}

/// The network of an address: what eviction keeps diverse.
pub(crate) fn network(ip: IpAddr) -> IpPrefix {
    IpPrefix::around(ip, 16, 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many of `addresses` are taken, one after the other.
    fn taken(config: &Admission, addresses: &[IpAddr]) -> usize {
        let mut present = Vec::new();
        for &address in addresses {
            if config.has_room(address, &present) {
                present.push(address);
            }
        }
        present.len()
    }

    fn hosts(prefix: &str, count: u8) -> Vec<IpAddr> {
        (0..count).map(|n| ip(&format!("{prefix}{n:x}"))).collect()
    }

    #[test]
    fn one_address_has_its_limit_and_not_one_more() {
        let config = Admission::default();
        let same = vec![ip("203.0.113.7"); config.max_per_address + 3];
        assert_eq!(taken(&config, &same), config.max_per_address);
        let mapped = [
            vec![ip("203.0.113.7"); 2],
            vec![ip("::ffff:203.0.113.7"); 9],
        ]
        .concat();
        assert_eq!(taken(&config, &mapped), config.max_per_address);
    }

    #[test]
    fn a_subnet_has_its_limit_and_not_one_more() {
        let config = Admission::default();
        let near: Vec<_> = (0..40).map(|n| ip(&format!("203.0.113.{n}"))).collect();
        assert_eq!(taken(&config, &near), config.max_per_subnet);
        assert_eq!(
            taken(&config, &hosts("2600:0:7:1::", 40)),
            config.max_per_subnet
        );
        let apart: Vec<_> = (0..40).map(|n| ip(&format!("203.0.{n}.1"))).collect();
        assert_eq!(taken(&config, &apart), apart.len());
    }

    #[test]
    fn near_addresses_are_exempt_unless_configured() {
        let mut config = Admission::default();
        for near in ["127.0.0.1", "10.0.0.1", "fd00::1"] {
            let same = vec![ip(near); 40];
            assert_eq!(taken(&config, &same), 40, "{near}");
            config.limit_private = true;
            assert_eq!(taken(&config, &same), config.max_per_address, "{near}");
            config.limit_private = false;
        }
    }

    #[test]
    fn a_configured_group_has_its_limit_whatever_its_scope_and_the_allow_list_has_none() {
        let mut config = Admission::default();
        config.groups.push(PeerGroup {
            name: "the cellar".to_owned(),
            prefixes: vec![
                "10.1.0.0/16".parse().unwrap(),
                "198.51.100.0/24".parse().unwrap(),
            ],
            max: 3,
        });
        let cellar: Vec<_> = (0..9).map(|n| ip(&format!("10.1.0.{n}"))).collect();
        assert_eq!(taken(&config, &cellar), 3);
        let mixed = [
            cellar.clone(),
            vec![ip("198.51.100.1")],
            vec![ip("10.2.0.1")],
        ]
        .concat();
        assert_eq!(taken(&config, &mixed), 4, "its ranges count together");
        config.allow.push("10.1.0.0/24".parse().unwrap());
        assert_eq!(taken(&config, &cellar), cellar.len());
    }

    #[test]
    fn what_is_past_the_limits_of_the_configuration_is_left_out() {
        let group = PeerGroup {
            name: String::new(),
            prefixes: vec!["10.0.0.0/8".parse().unwrap(); GROUP_PREFIXES_MAX + 1],
            max: 1,
        };
        let mut config = Admission {
            groups: vec![group; GROUPS_MAX + 1],
            allow: vec!["10.0.0.0/8".parse().unwrap(); ALLOWED_MAX + 1],
            ..Admission::default()
        };
        config.bound();
        let prefixes = config.groups[0].prefixes.len();
        let lens = (config.groups.len(), prefixes, config.allow.len());
        assert_eq!(lens, (GROUPS_MAX, GROUP_PREFIXES_MAX, ALLOWED_MAX));
    }
}
