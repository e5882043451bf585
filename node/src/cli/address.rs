//! Addresses of peers on the command line, for commands that connect: `ID@host:port`,
//! `quantum://ID@host:port` or a bare `host:port`.
//!
//! What an address is says [`dunlin_overlay::address`]; here it must also say where, and in a
//! network that this program reaches. Names are looked up when the address is used, not when it is
//! read.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use dunlin_overlay::address::{self, Host};
use dunlin_session::NodeId;

use crate::failure::{Exit, Failure};

/// A place in the network that can be dialled: an IP address or a name, and a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct HostPort {
    place: address::HostPort,
    host: String,
}

impl HostPort {
    /// The host: an address without brackets, or a name.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 1 to 65535.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.place.port()
    }

    /// The socket addresses of this place; names are looked up.
    ///
    /// # Errors
    /// When the name is unknown.
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, Failure> {
        if let Some(address) = self.place.socket_address() {
            return Ok(vec![address]);
        }
        let unknown = || {
            Failure::new(
                Exit::Unreachable,
                format!(
                    "no address is known for the name \"{}\"; check its spelling and your network, or use a numeric address",
                    self.host
                ),
            )
        };
        let found = tokio::net::lookup_host((self.host(), self.port()))
            .await
            .map_err(|_| unknown())?;
        let addresses: Vec<_> = found.collect();
        if addresses.is_empty() {
            Err(unknown())
        } else {
            Ok(addresses)
        }
    }
}

impl TryFrom<address::HostPort> for HostPort {
    type Error = AddressError;

    fn try_from(place: address::HostPort) -> Result<Self, AddressError> {
        if let Host::Onion(_) = place.host() {
            return Err(AddressError::NoProxy);
        }
        let host = place.host().to_string();
        Ok(Self { place, host })
    }
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        text.parse::<address::HostPort>()?.try_into()
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

/// A peer to connect to: where it is and, when the user knows it, who it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerAddress {
    id: Option<NodeId>,
    place: HostPort,
}

impl PeerAddress {
    /// The ID, when there is one.
    #[must_use]
    pub fn id(&self) -> Option<NodeId> {
        self.id
    }

    /// Where the peer is.
    #[must_use]
    pub fn place(&self) -> &HostPort {
        &self.place
    }
}

impl TryFrom<address::PeerAddress> for PeerAddress {
    type Error = AddressError;

    fn try_from(address: address::PeerAddress) -> Result<Self, AddressError> {
        let place = address.place().ok_or(AddressError::NoPlace)?;
        Ok(Self {
            id: address.id(),
            place: place.clone().try_into()?,
        })
    }
}

impl FromStr for PeerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        text.parse::<address::PeerAddress>()?.try_into()
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "{id}@{}", self.place),
            None => write!(f, "{}", self.place),
        }
    }
}

/// Why an address cannot be connected to.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressError {
    /// It is no address.
    #[error(transparent)]
    Text(#[from] address::AddressError),
    /// It says who, not where.
    #[error(
        "this address says who the peer is, not where, and a command has no address book to look in; write for example ID@192.0.2.7:4600 or quantum://ID@192.0.2.7:4600"
    )]
    NoPlace,
    /// An onion service.
    #[error(
        "an onion service is reached through a SOCKS proxy, which this version does not speak; write an address that is reached directly, for example 192.0.2.7:4600"
    )]
    NoProxy,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONION: &str = "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion:1";

    #[test]
    fn reads_every_form_that_can_be_connected_to() {
        let id = NodeId::from_bytes([7; 32]);
        for place in ["192.0.2.7:4600", "[::1]:4600", "localhost:1"] {
            let address: PeerAddress = place.parse().unwrap();
            assert_eq!((address.id(), address.to_string()), (None, place.into()));
            let text = format!("{id}@{place}");
            let address: PeerAddress = text.parse().unwrap();
            assert_eq!((address.id(), address.to_string()), (Some(id), text));
            let dark: PeerAddress = format!("quantum://{id}@{place}").parse().unwrap();
            assert_eq!(dark, address);
        }
    }

    #[test]
    fn rejects_what_is_an_address_and_cannot_be_connected_to() {
        let id = NodeId::from_bytes([7; 32]);
        let read = |text: &str| text.parse::<PeerAddress>().unwrap_err();
        assert_eq!(read(&format!("quantum://{id}")), AddressError::NoPlace);
        assert_eq!(read(ONION), AddressError::NoProxy);
        assert_eq!(ONION.parse::<HostPort>(), Err(AddressError::NoProxy));
        let text = address::AddressError::PortMissing;
        assert_eq!(read("192.0.2.7"), AddressError::Text(text));
    }

    #[tokio::test]
    async fn numeric_addresses_need_no_name_server() {
        let place: HostPort = "[::1]:7".parse().unwrap();
        assert_eq!(place.host(), "::1");
        assert_eq!(
            place.resolve().await.unwrap(),
            vec!["[::1]:7".parse().unwrap()]
        );
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_prints_back(text in "[\\[\\]:@.a-z0-9-]{0,24}") {
            if let Ok(address) = text.parse::<PeerAddress>() {
                prop_assert_eq!(address.to_string().parse(), Ok(address));
            }
        }
    }
}
