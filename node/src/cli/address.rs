//! Addresses of peers on the command line: `ID@host:port` or a bare `host:port`.
//!
//! The host is an IPv4 address, an IPv6 address in brackets or a DNS name. Names are looked up
//! when the address is used, not when it is read.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use dunlin_session::NodeId;

use crate::failure::{Exit, Failure};

/// Longest DNS name (RFC 1035 §2.3.4).
const NAME_LEN_MAX: usize = 253;

/// A place in the network: host and port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct HostPort {
    host: String,
    port: u16,
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
        self.port
    }

    /// The socket addresses of this place; names are looked up.
    ///
    /// # Errors
    /// When the name is unknown.
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, Failure> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
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
        let found = tokio::net::lookup_host((self.host.as_str(), self.port))
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

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(rest) = text.strip_prefix('[') {
            let (host, port) = rest.split_once(']').ok_or(AddressError::BracketOpen)?;
            let ip: Ipv6Addr = host
                .parse()
                .map_err(|_| AddressError::Ipv6(host.to_owned()))?;
            let port = port.strip_prefix(':').ok_or(AddressError::PortMissing)?;
            return Ok(Self {
                host: ip.to_string(),
                port: read_port(port)?,
            });
        }
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::PortMissing)?;
        if host.contains(':') {
            return Err(AddressError::BracketsMissing);
        }
        if !is_host_name(host) {
            return Err(AddressError::Host(host.to_owned()));
        }
        Ok(Self {
            host: host.to_owned(),
            port: read_port(port)?,
        })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A peer: where it is and, when the user knows it, who it is.
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

impl FromStr for PeerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (id, place) = match text.rsplit_once('@') {
            Some((id, place)) => {
                let id = id.parse().map_err(|_| AddressError::Id(id.to_owned()))?;
                (Some(id), place)
            }
            None => (None, text),
        };
        Ok(Self {
            id,
            place: place.parse()?,
        })
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

/// Why an address was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressError {
    /// No `:port`.
    #[error("the port is missing; write for example 192.0.2.7:4600 or ID@192.0.2.7:4600")]
    PortMissing,
    /// A port that is no number from 1 to 65535.
    #[error("\"{0}\" is not a port from 1 to 65535; write for example 192.0.2.7:4600")]
    Port(String),
    /// An IPv6 address without brackets.
    #[error("an IPv6 address needs brackets; write for example [2001:db8::7]:4600")]
    BracketsMissing,
    /// `[` without `]`.
    #[error("the bracket is not closed; write for example [2001:db8::7]:4600")]
    BracketOpen,
    /// Something in brackets that is no IPv6 address.
    #[error("\"{0}\" is not an IPv6 address; write for example [2001:db8::7]:4600")]
    Ipv6(String),
    /// Neither an address nor a name.
    #[error(
        "\"{0}\" is neither an address nor a host name; write for example 192.0.2.7:4600 or host.example:4600"
    )]
    Host(String),
    /// The text before `@` is no ID.
    #[error(
        "\"{0}\" is not a node ID; paste the line that `dunlin recv` prints, or leave out the part before @"
    )]
    Id(String),
}

fn read_port(text: &str) -> Result<u16, AddressError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(AddressError::Port(text.to_owned())),
    }
}

/// Letters, digits, hyphens, underscores and points (RFC 1123 §2.1, and the underscore that real
/// networks use).
fn is_host_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    // Only digits and points: it wants to be an IPv4 address, so it must be one.
    if !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return text.parse::<std::net::Ipv4Addr>().is_ok();
    }
    !text.is_empty()
        && text.len() <= NAME_LEN_MAX
        && text.bytes().all(allowed)
        && text
            .trim_end_matches('.')
            .split('.')
            .all(|label| (1..=63).contains(&label.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_every_documented_form() {
        for text in [
            "192.0.2.7:4600",
            "[2001:db8::7]:4600",
            "localhost:1",
            "host.example:65535",
        ] {
            let address: PeerAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        let id = NodeId::from_bytes([7; 32]);
        for place in ["192.0.2.7:4600", "[::1]:4600"] {
            let text = format!("{id}@{place}");
            let address: PeerAddress = text.parse().unwrap();
            assert_eq!((address.id(), address.to_string()), (Some(id), text));
        }
    }

    #[test]
    fn rejects_each_mistake_with_its_own_advice() {
        let mistakes = [
            ("192.0.2.7", AddressError::PortMissing),
            ("[::1]", AddressError::PortMissing),
            ("h:0", AddressError::Port("0".into())),
            ("h:65536", AddressError::Port("65536".into())),
            ("h:+5", AddressError::Port("+5".into())),
            ("h:", AddressError::Port(String::new())),
            ("2001:db8::7:4600", AddressError::BracketsMissing),
            ("[::1:4600", AddressError::BracketOpen),
            ("[zz]:1", AddressError::Ipv6("zz".into())),
            ("192.0.2.700:1", AddressError::Host("192.0.2.700".into())),
            (":1", AddressError::Host(String::new())),
            ("a b:1", AddressError::Host("a b".into())),
            ("a..b:1", AddressError::Host("a..b".into())),
            ("@h:1", AddressError::Id(String::new())),
            ("dunlin1abc@h:1", AddressError::Id("dunlin1abc".into())),
        ];
        for (text, error) in mistakes {
            assert_eq!(text.parse::<PeerAddress>(), Err(error), "{text}");
        }
    }

    #[test]
    fn rejects_a_name_one_past_the_limit() {
        let label = "a".repeat(63);
        let name = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(name.len(), NAME_LEN_MAX);
        assert!(format!("{name}:1").parse::<HostPort>().is_ok());
        assert!(format!("{name}a:1").parse::<HostPort>().is_err());
    }

    #[tokio::test]
    async fn numeric_addresses_need_no_name_server() {
        let place: HostPort = "[::1]:7".parse().unwrap();
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
