//! Addresses on the wire, and which of them may be dialled.
//!
//! An address is `[kind, bytes]`: kind 0 is IPv4 (address ‖ port, 6 bytes), kind 1 IPv6 (18
//! bytes), kind 2 a DNS name (3 to 255 bytes: name ‖ port), kind 3 an onion service of version 3
//! (34 bytes: key ‖ port); ports in network order. Other kinds are for later versions and skipped.
//! Names and onion services travel and are shown; what dials here dials IP addresses.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use minicbor::decode::Error;
use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::address::{Host, HostPort, OnionAddress, is_host_name};

/// An address as it travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WireAddress<'b> {
    /// Kinds 0 and 1.
    Ip(SocketAddr),
    /// Kind 2: a DNS name and a port.
    Name(&'b str, u16),
    /// Kind 3: the key of an onion service and a port.
    Onion([u8; 32], u16),
    /// A kind of a later version.
    Later,
}

impl<'a> WireAddress<'a> {
    /// An address as people write it.
    pub(crate) const fn of(place: &'a HostPort) -> Self {
        match place.host() {
            Host::Ip(ip) => Self::Ip(SocketAddr::new(*ip, place.port())),
            Host::Name(name) => Self::Name(name.as_str(), place.port()),
            Host::Onion(onion) => Self::Onion(*onion.key(), place.port()),
        }
    }
}

impl WireAddress<'_> {
    /// What can be dialled without a name server or a proxy.
    pub(crate) const fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Name(..) | Self::Onion(..) | Self::Later => None,
        }
    }

    /// The form that people read; nothing for the kinds of later versions.
    pub(crate) fn text(&self) -> Option<HostPort> {
        match self {
            Self::Ip(address) => Some((*address).into()),
            Self::Name(name, port) => format!("{name}:{port}").parse().ok(),
            Self::Onion(key, port) => Some(HostPort::onion(OnionAddress::from_key(*key), *port)),
            Self::Later => None,
        }
    }
}

impl<C> Encode<C> for WireAddress<'_> {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let (kind, host, port) = match self {
            Self::Later => return encoder.array(2)?.u32(u32::MAX)?.bytes(&[])?.ok(),
            Self::Ip(address) => match address.ip() {
                IpAddr::V4(ip) => (0, ip.octets().to_vec(), address.port()),
                IpAddr::V6(ip) => (1, ip.octets().to_vec(), address.port()),
            },
            Self::Name(name, port) => (2, name.as_bytes().to_vec(), *port),
            Self::Onion(key, port) => (3, key.to_vec(), *port),
        };
        let bytes = [host, port.to_be_bytes().to_vec()].concat();
        encoder.array(2)?.u8(kind)?.bytes(&bytes)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for WireAddress<'b> {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, Error> {
        if decoder.array()? != Some(2) {
            return Err(Error::message("an address is a pair"));
        }
        let kind = decoder.u32()?;
        if kind > 3 {
            decoder.skip()?;
            return Ok(Self::Later);
        }
        let bytes = decoder.bytes()?;
        let wrong_length = || Error::message("an address has the length of its kind");
        let (host, port) = bytes.split_last_chunk::<2>().ok_or_else(wrong_length)?;
        let port = u16::from_be_bytes(*port);
        let ip: IpAddr = match kind {
            0 => <[u8; 4]>::try_from(host)
                .map_err(|_| wrong_length())?
                .into(),
            1 => <[u8; 16]>::try_from(host)
                .map_err(|_| wrong_length())?
                .into(),
            2 => {
                let name = core::str::from_utf8(host).ok().filter(|n| is_host_name(n));
                let name = name.ok_or_else(|| Error::message("not a host name"))?;
                return Ok(Self::Name(name, port));
            }
            _ => {
                let key = host.try_into().map_err(|_| wrong_length())?;
                return Ok(Self::Onion(key, port));
            }
        };
        Ok(Self::Ip(SocketAddr::new(ip, port)))
    }
}

/// How far an address reaches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Scope {
    /// This machine (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
    Loopback,
    /// This site or link (RFC 1918, RFC 3927, RFC 4193, RFC 4291 §2.5.6, RFC 6598).
    Private,
    /// Everywhere.
    Global,
}

impl Scope {
    /// The scope of `ip`; `None` when nothing can be dialled there (unspecified, multicast,
    /// broadcast, RFC 1112 class E, "this network").
    pub(crate) fn of(ip: IpAddr) -> Option<Self> {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Option<Self> {
        let [a, b, ..] = ip.octets();
        if a == 0 || a >= 224 {
            None
        } else if ip.is_loopback() {
            Some(Self::Loopback)
        } else if ip.is_private() || ip.is_link_local() || (a == 100 && b & 0xc0 == 64) {
            Some(Self::Private)
        } else {
            Some(Self::Global)
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Option<Self> {
        if ip.is_unspecified() || ip.is_multicast() {
            None
        } else if ip.is_loopback() {
            Some(Self::Loopback)
        } else if ip.is_unique_local() || ip.is_unicast_link_local() {
            Some(Self::Private)
        } else {
            Some(Self::Global)
        }
    }
}

/// `address` in the one form that compares: IPv4 that came mapped into IPv6 (RFC 4291 §2.5.5.2) is
/// IPv4 again.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether an address that was learned over a link to `introducer` may be dialled: it has a port,
/// something can listen there, and it reaches as far as the link it came over, so that a peer on
/// the Internet cannot make us dial our own machine or site.
pub(crate) fn is_dialable(address: SocketAddr, introducer: IpAddr) -> bool {
    let narrowest = Scope::of(introducer).unwrap_or(Scope::Global);
    address.port() != 0 && Scope::of(address.ip()).is_some_and(|scope| scope >= narrowest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::to_bytes;

    #[test]
    fn addresses_round_trip_and_later_kinds_are_skipped() {
        for text in ["127.0.0.1:8080", "[2001:db8::1]:1", "0.0.0.0:0"] {
            let address = WireAddress::Ip(text.parse().unwrap());
            let bytes = to_bytes(address);
            let decoded = minicbor::decode::<WireAddress<'_>>(&bytes).unwrap();
            assert_eq!(decoded, address);
        }
        for address in [
            WireAddress::Name("host.example", 4600),
            WireAddress::Onion([7; 32], 80),
        ] {
            let bytes = to_bytes(address);
            let decoded = minicbor::decode::<WireAddress<'_>>(&bytes).unwrap();
            assert_eq!((decoded, decoded.ip()), (address, None));
            assert!(decoded.text().is_some());
        }
        let later = [0x82, 0x05, 0x63, b'a', b'b', b'c'];
        assert_eq!(
            minicbor::decode::<WireAddress<'_>>(&later).unwrap(),
            WireAddress::Later
        );
    }

    #[test]
    fn rejects_addresses_of_the_wrong_length() {
        for bytes in [
            &[0x82u8, 0x00, 0x41, 1][..],
            &[0x82, 0x00, 0x45, 1, 2, 3, 4, 5],
            &[0x82, 0x01, 0x46, 1, 2, 3, 4, 5, 6],
            &[0x82, 0x03, 0x46, 1, 2, 3, 4, 5, 6],
            &[0x82, 0x02, 0x42, 1, 2],
            &[0x82, 0x02, 0x45, b'a', b' ', b'b', 1, 2],
        ] {
            assert!(
                minicbor::decode::<WireAddress<'_>>(bytes).is_err(),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn a_narrower_scope_than_the_link_is_not_dialled() {
        let case = |address: &str, introducer: &str| {
            is_dialable(address.parse().unwrap(), introducer.parse().unwrap())
        };
        assert!(case("127.0.0.1:1", "127.0.0.1"));
        assert!(!case("127.0.0.1:1", "192.168.1.1"));
        assert!(!case("[::ffff:127.0.0.1]:1", "8.8.8.8"));
        assert!(case("10.0.0.1:1", "192.168.1.1"));
        assert!(!case("10.0.0.1:1", "8.8.8.8"));
        assert!(!case("100.64.0.1:1", "8.8.8.8"));
        assert!(!case("[fe80::1]:1", "2001:db8::1"));
        assert!(case("8.8.4.4:1", "127.0.0.1"));
        for never in [
            "0.0.0.0:1",
            "224.0.0.1:1",
            "255.255.255.255:1",
            "[::]:1",
            "[ff02::1]:1",
        ] {
            assert!(!case(never, "127.0.0.1"), "{never}");
        }
        assert!(!case("8.8.4.4:0", "127.0.0.1"));
    }
}
