//! Addresses of peers as people write them.
//!
//! | form | example |
//! |---|---|
//! | IPv4 and port | `192.0.2.7:4600` |
//! | IPv6 (RFC 4291) in brackets, and port | `[2001:db8::7]:4600` |
//! | DNS name (RFC 1123 §2.1) and port | `host.example:4600` |
//! | onion service of version 3 (rend-spec-v3 §6) and port | `<56 letters>.onion:4600` |
//! | any of these with the ID that must answer | `ID@192.0.2.7:4600` |
//! | self-certifying: the ID, and perhaps where | `quantum://ID`, `quantum://ID@host.example:4600` |
//!
//! The ID in an address is proved by the handshake below the overlay, so an address with an ID can be
//! passed on by anybody. Every rejection is one variant of [`AddressError`], says what is wrong and
//! shows an address that would be right. Names are not looked up here.

mod error;
mod host;
mod onion;

use core::fmt;
use core::net::SocketAddr;
use core::str::FromStr;

use dunlin_session::NodeId;

pub use self::error::{AddressError, OnionError};
pub(crate) use self::host::is_host_name;
pub use self::host::{Host, HostPort};
pub use self::onion::OnionAddress;

/// What a self-certifying address begins with, in small or capital letters.
const SCHEME: &str = "quantum";

/// A peer: where it is, who it is, or both.
///
/// ```
/// use dunlin_overlay::address::PeerAddress;
/// let address: PeerAddress = "host.example:4600".parse()?;
/// assert_eq!(address.place().map(|place| place.port()), Some(4600));
/// assert!("host.example".parse::<PeerAddress>().is_err());
/// # Ok::<(), dunlin_overlay::address::AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerAddress(Known);

/// At least one of the two is known.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Known {
    Who(NodeId),
    Where(HostPort),
    Both(NodeId, HostPort),
}

impl PeerAddress {
    /// A place, and who must answer there.
    #[must_use]
    pub fn new(id: Option<NodeId>, place: HostPort) -> Self {
        Self(match id {
            Some(id) => Known::Both(id, place),
            None => Known::Where(place),
        })
    }

    /// A node, wherever it is.
    #[must_use]
    pub const fn of_node(id: NodeId) -> Self {
        Self(Known::Who(id))
    }

    /// Who must answer, if the address says so.
    #[must_use]
    pub const fn id(&self) -> Option<NodeId> {
        match &self.0 {
            Known::Who(id) | Known::Both(id, _) => Some(*id),
            Known::Where(_) => None,
        }
    }

    /// Where the peer is, if the address says so.
    #[must_use]
    pub const fn place(&self) -> Option<&HostPort> {
        match &self.0 {
            Known::Who(_) => None,
            Known::Where(place) | Known::Both(_, place) => Some(place),
        }
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        Self(Known::Where(address.into()))
    }
}

impl FromStr for PeerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some((scheme, rest)) = text.split_once("://") {
            if !scheme.eq_ignore_ascii_case(SCHEME) {
                return Err(AddressError::Scheme(scheme.to_owned()));
            }
            return match rest.rsplit_once('@') {
                Some((id, place)) => Ok(Self(Known::Both(read_id(id)?, place.parse()?))),
                None => Ok(Self(Known::Who(read_id(rest)?))),
            };
        }
        match text.rsplit_once('@') {
            Some((id, place)) => Ok(Self(Known::Both(read_id(id)?, place.parse()?))),
            None if text.parse::<NodeId>().is_ok() => Err(AddressError::PlaceMissing),
            None => Ok(Self(Known::Where(text.parse()?))),
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Known::Who(id) => write!(f, "{SCHEME}://{id}"),
            Known::Where(place) => write!(f, "{place}"),
            Known::Both(id, place) => write!(f, "{id}@{place}"),
        }
    }
}

fn read_id(text: &str) -> Result<NodeId, AddressError> {
    text.parse().map_err(|_| AddressError::Id(text.to_owned()))
}

#[cfg(test)]
mod tests;
