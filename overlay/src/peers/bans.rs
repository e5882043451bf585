//! Who is not wanted, why, and until when: identities, addresses, ranges of addresses.
//!
//! An identity that is banned costs an attacker a new key, an address that is banned may be shared by
//! innocents: the ban of an address is for operators and ends by itself like every other.

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeMap;
use std::net::IpAddr;

use dunlin_session::NodeId;

use crate::Instant;
use crate::limits::{BAN_REASON_LEN_MAX, BANS_MAX};
use crate::prefix::{IpPrefix, PrefixError};
use crate::saved::BanSubject;

/// Text that names nobody who can be banned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BanSubjectError {
    /// It begins as an address or a range and is none.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// It is neither a node ID nor an address.
    #[error("neither a node ID nor an address; write a node ID, 192.0.2.7 or 192.0.2.0/24")]
    Unknown,
}

impl BanSubject {
    /// The same in the one form that compares: IPv4 out of IPv6, a range without the bits behind, a
    /// range of one address as that address. `None`: a range with more bits than its addresses.
    #[must_use]
    pub fn canonical(self) -> Option<Self> {
        match self {
            Self::Peer(_) => Some(self),
            Self::Address(ip) => Some(Self::Address(ip.to_canonical())),
            Self::Prefix(ip, bits) => {
                let prefix = IpPrefix::new(ip, bits).ok()?;
                let is_one = prefix == IpPrefix::of_one(prefix.ip());
                Some(if is_one {
                    Self::Address(prefix.ip())
                } else {
                    Self::Prefix(prefix.ip(), prefix.bits())
                })
            }
        }
    }

    /// The addresses that it is for; `None` for an identity.
    #[must_use]
    pub fn prefix(self) -> Option<IpPrefix> {
        match self {
            Self::Peer(_) => None,
            Self::Address(ip) => Some(IpPrefix::of_one(ip)),
            Self::Prefix(ip, bits) => IpPrefix::new(ip, bits).ok(),
        }
    }
}

impl fmt::Display for BanSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(peer) => write!(f, "{peer}"),
            Self::Address(ip) => write!(f, "{ip}"),
            Self::Prefix(ip, bits) => write!(f, "{ip}/{bits}"),
        }
    }
}

impl FromStr for BanSubject {
    type Err = BanSubjectError;

    /// A node ID, an address, or a range of addresses.
    fn from_str(text: &str) -> Result<Self, BanSubjectError> {
        if let Ok(peer) = text.parse() {
            return Ok(Self::Peer(peer));
        }
        let has_address = |text: &str| text.parse::<IpAddr>().is_ok();
        let before = text.split_once('/').map_or(text, |(before, _)| before);
        if !has_address(before) {
            return Err(BanSubjectError::Unknown);
        }
        let prefix: IpPrefix = text.parse()?;
        let subject = Self::Prefix(prefix.ip(), prefix.bits());
        subject.canonical().ok_or(BanSubjectError::Unknown)
    }
}

/// One ban.
#[derive(Clone, Debug)]
pub(crate) struct Ban {
    /// In milliseconds since the Unix epoch: it may be before this process began.
    pub(crate) since: u64,
    pub(crate) until: Instant,
    pub(crate) reason: String,
}

/// All bans, at most [`BANS_MAX`].
#[derive(Default)]
pub(crate) struct BanList {
    bans: BTreeMap<BanSubject, Ban>,
}

impl BanList {
    /// Adds a ban or replaces the one of the same subject. One too many displaces the one that would
    /// end first, which is returned. `subject` must be canonical.
    pub(crate) fn insert(&mut self, subject: BanSubject, mut ban: Ban) -> Option<BanSubject> {
        let mut end = ban.reason.len().min(BAN_REASON_LEN_MAX);
        while !ban.reason.is_char_boundary(end) {
            end -= 1;
        }
        ban.reason.truncate(end);
        self.bans.insert(subject, ban);
        if self.bans.len() <= BANS_MAX {
            return None;
        }
        let others = self.bans.iter().filter(|(of, _)| **of != subject);
        let first = others.min_by_key(|(of, ban)| (ban.until, **of));
        let first = first.map(|(&of, _)| of)?;
        self.bans.remove(&first);
        Some(first)
    }

    /// Ends a ban; false when there was none.
    pub(crate) fn remove(&mut self, subject: BanSubject) -> bool {
        self.bans.remove(&subject).is_some()
    }

    /// Whether this identity is banned.
    pub(crate) fn has_peer(&self, peer: NodeId) -> bool {
        self.bans.contains_key(&BanSubject::Peer(peer))
    }

    /// Whether there is a ban of this address or of a range that holds it.
    pub(crate) fn has_address(&self, ip: IpAddr) -> bool {
        if self.bans.is_empty() {
            return false;
        }
        let ip = ip.to_canonical();
        // Identities come before addresses in the order of subjects.
        let first = BanSubject::Address(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
        let mut of_addresses = self.bans.range(first..);
        of_addresses.any(|(of, _)| of.prefix().is_some_and(|prefix| prefix.contains(ip)))
    }

    /// Removes those that are over and returns them.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<BanSubject> {
        if self.bans.is_empty() {
            return Vec::new();
        }
        let is_over = |(_, ban): &(&BanSubject, &Ban)| ban.until <= now;
        let over: Vec<_> = self
            .bans
            .iter()
            .filter(is_over)
            .map(|(&of, _)| of)
            .collect();
        for of in &over {
            self.bans.remove(of);
        }
        over
    }

    /// When the next one is over.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.bans.values().map(|ban| ban.until).min()
    }

    /// All of them, identities first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (BanSubject, &Ban)> {
        self.bans.iter().map(|(&of, ban)| (of, ban))
    }

    /// Why an identity is banned, in words.
    pub(crate) fn reason_of(&self, peer: NodeId) -> Option<String> {
        let ban = self.bans.get(&BanSubject::Peer(peer))?;
        Some(ban.reason.clone())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.bans.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(n: u64) -> Ban {
        Ban {
            since: 0,
            until: Instant::from_nanos(n),
            reason: String::new(),
        }
    }

    fn subject(text: &str) -> BanSubject {
        text.parse().unwrap()
    }

    #[test]
    fn subjects_round_trip_in_one_form() {
        let peer = NodeId::from_bytes([9; 32]);
        assert_eq!(subject(&peer.to_string()), BanSubject::Peer(peer));
        for text in ["192.0.2.7", "192.0.2.0/24", "2001:db8::1", "2001:db8::/48"] {
            assert_eq!(subject(text).to_string(), text);
        }
        assert_eq!(subject("192.0.2.7/32"), subject("192.0.2.7"));
        assert_eq!(subject("192.0.2.7/24"), subject("192.0.2.0/24"));
        assert_eq!(
            "nobody".parse::<BanSubject>(),
            Err(BanSubjectError::Unknown)
        );
        let bits = BanSubjectError::Prefix(PrefixError::Bits);
        assert_eq!("192.0.2.0/99".parse::<BanSubject>(), Err(bits));
        let wrong = BanSubject::Prefix("192.0.2.0".parse().unwrap(), 99);
        assert_eq!(wrong.canonical(), None);
    }

    #[test]
    fn one_ban_past_the_limit_displaces_the_one_that_would_end_first() {
        let mut list = BanList::default();
        let nth = |n: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            BanSubject::Peer(NodeId::from_bytes(bytes))
        };
        for n in 0..BANS_MAX {
            assert_eq!(list.insert(nth(n), until(1_000 + n as u64)), None);
        }
        assert_eq!(list.insert(nth(5), until(9_000)), None, "the same again");
        assert_eq!(list.insert(nth(BANS_MAX), until(1)), Some(nth(0)));
        assert_eq!(list.len(), BANS_MAX);
        assert_eq!(list.next_end(), Some(Instant::from_nanos(1)));
        assert_eq!(
            list.expire(Instant::from_nanos(1_001)),
            [nth(1), nth(BANS_MAX)]
        );
    }

    #[test]
    fn addresses_are_found_by_themselves_and_by_their_ranges() {
        let mut list = BanList::default();
        let has = |list: &BanList, text: &str| list.has_address(text.parse().unwrap());
        list.insert(BanSubject::Peer(NodeId::from_bytes([255; 32])), until(1));
        assert!(!has(&list, "192.0.2.7"));
        list.insert(subject("192.0.2.7"), until(1));
        list.insert(subject("2001:db8::/48"), until(1));
        assert!(has(&list, "192.0.2.7") && has(&list, "::ffff:192.0.2.7"));
        assert!(!has(&list, "192.0.2.8"));
        assert!(has(&list, "2001:db8:0:1::1") && !has(&list, "2001:db8:1::1"));
        assert!(list.remove(subject("192.0.2.7")) && !has(&list, "192.0.2.7"));
    }

    #[test]
    fn a_reason_is_cut_at_its_limit_between_two_letters() {
        let mut list = BanList::default();
        let reason = |len| Ban {
            reason: "é".repeat(len),
            ..until(1)
        };
        list.insert(subject("192.0.2.1"), reason(BAN_REASON_LEN_MAX / 2));
        list.insert(subject("192.0.2.2"), reason(BAN_REASON_LEN_MAX / 2 + 1));
        let mut lens = list.iter().map(|(_, ban)| ban.reason.len());
        assert!(lens.all(|len| len == BAN_REASON_LEN_MAX));
    }
}
