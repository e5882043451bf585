//! A host and a port: IP address, DNS name or onion service.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::FromStr;

use super::{AddressError, OnionAddress};

/// Longest DNS name in bytes (RFC 1035 §2.3.4).
const NAME_LEN_MAX: usize = 253;
/// Longest label of one (RFC 1035 §2.3.1).
const LABEL_LEN_MAX: usize = 63;
/// What the names of onion services end with (RFC 7686).
const ONION_SUFFIX: &str = ".onion";

/// What has an address in some network.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Host {
    /// An IP address.
    Ip(IpAddr),
    /// A DNS name: 1 to 253 letters, digits, hyphens, underscores and points, as it was written.
    Name(String),
    /// An onion service. Reaching one takes a SOCKS proxy, which no carrier of this version speaks.
    Onion(OnionAddress),
}

impl fmt::Display for Host {
    /// Without brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => name.fmt(f),
            Self::Onion(onion) => onion.fmt(f),
        }
    }
}

/// A place in some network: host and port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostPort {
    host: Host,
    port: u16,
}

impl HostPort {
    /// The host.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port, 1 to 65535 when it was read from text.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The socket address, if no name has to be looked up.
    #[must_use]
    pub const fn socket_address(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Ip(ip) => Some(SocketAddr::new(ip, self.port)),
            Host::Name(_) | Host::Onion(_) => None,
        }
    }

    /// An onion service at a port.
    #[must_use]
    pub const fn onion(onion: OnionAddress, port: u16) -> Self {
        Self {
            host: Host::Onion(onion),
            port,
        }
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: Host::Ip(address.ip()),
            port: address.port(),
        }
    }
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(rest) = text.strip_prefix('[') {
            let (host, port) = rest.split_once(']').ok_or(AddressError::BracketOpen)?;
            let ip: Ipv6Addr = host
                .parse()
                .map_err(|_| AddressError::Ipv6(host.to_owned()))?;
            let port = port.strip_prefix(':').ok_or(AddressError::PortMissing)?;
            return Ok(Self {
                host: Host::Ip(ip.into()),
                port: read_port(port)?,
            });
        }
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::PortMissing)?;
        if host.contains(':') {
            return Err(AddressError::BracketsMissing);
        }
        Ok(Self {
            host: read_host(host)?,
            port: read_port(port)?,
        })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// An IPv4 address, an onion service or a DNS name.
fn read_host(text: &str) -> Result<Host, AddressError> {
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(ip.into()));
    }
    let lower = text.to_ascii_lowercase();
    if let Some(letters) = lower.strip_suffix(ONION_SUFFIX) {
        // A service may have sub-domains; they lead to the same service.
        let letters = letters.rsplit('.').next().unwrap_or(letters);
        let onion = OnionAddress::from_letters(letters);
        return onion.map(Host::Onion).map_err(|why| AddressError::Onion {
            name: text.to_owned(),
            why,
        });
    }
    if is_host_name(text) {
        Ok(Host::Name(text.to_owned()))
    } else {
        Err(AddressError::Host(text.to_owned()))
    }
}

fn read_port(text: &str) -> Result<u16, AddressError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(AddressError::Port(text.to_owned())),
    }
}

/// Letters, digits, hyphens, underscores and points (RFC 1123 §2.1, and the underscore that real
/// networks use). What consists of digits and points wants to be an IPv4 address, and is no name.
pub(crate) fn is_host_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let is_numeric = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let labels = text.strip_suffix('.').unwrap_or(text).split('.');
    !is_numeric
        && text.len() <= NAME_LEN_MAX
        && text.bytes().all(allowed)
        && labels
            .map(str::len)
            .all(|len| (1..=LABEL_LEN_MAX).contains(&len))
}
