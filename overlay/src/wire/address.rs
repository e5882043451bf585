//! Addresses on the wire, and which of them may be dialled.
//!
//! An address is `[kind, bytes]`: kind 0 is IPv4 (address ‖ port, 6 bytes), kind 1 IPv6 (18
//! bytes), ports in network order. Other kinds (names, onion, self-certifying) are for later
//! versions and skipped here.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use minicbor::decode::Error;
use minicbor::{Decode, Decoder, Encode, Encoder};

/// An address as it travels; `None` inside is a kind of a later version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WireAddress(pub(crate) Option<SocketAddr>);

impl<C> Encode<C> for WireAddress {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let Some(address) = self.0 else {
            return encoder.array(2)?.u32(u32::MAX)?.bytes(&[])?.ok();
        };
        let port = address.port().to_be_bytes();
        match address.ip() {
            IpAddr::V4(ip) => encoder
                .array(2)?
                .u8(0)?
                .bytes(&[&ip.octets()[..], &port].concat())?,
            IpAddr::V6(ip) => encoder
                .array(2)?
                .u8(1)?
                .bytes(&[&ip.octets()[..], &port].concat())?,
        }
        .ok()
    }
}

impl<'b, C> Decode<'b, C> for WireAddress {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, Error> {
        if decoder.array()? != Some(2) {
            return Err(Error::message("an address is a pair"));
        }
        let kind = decoder.u32()?;
        if kind > 1 {
            decoder.skip()?;
            return Ok(Self(None));
        }
        let bytes = decoder.bytes()?;
        let wrong_length = || Error::message("an address has the length of its kind");
        let (ip, port) = bytes.split_last_chunk::<2>().ok_or_else(wrong_length)?;
        let ip = if kind == 0 {
            IpAddr::from(<[u8; 4]>::try_from(ip).map_err(|_| wrong_length())?)
        } else {
            IpAddr::from(<[u8; 16]>::try_from(ip).map_err(|_| wrong_length())?)
        };
        Ok(Self(Some(SocketAddr::new(ip, u16::from_be_bytes(*port)))))
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
            let address = WireAddress(Some(text.parse().unwrap()));
            let bytes = to_bytes(address);
            assert_eq!(minicbor::decode::<WireAddress>(&bytes).unwrap(), address);
        }
        let later = [0x82, 0x05, 0x63, b'a', b'b', b'c'];
        assert_eq!(
            minicbor::decode::<WireAddress>(&later).unwrap(),
            WireAddress(None)
        );
    }

    #[test]
    fn rejects_addresses_of_the_wrong_length() {
        for bytes in [
            &[0x82u8, 0x00, 0x41, 1][..],
            &[0x82, 0x00, 0x45, 1, 2, 3, 4, 5],
        ] {
            assert!(minicbor::decode::<WireAddress>(bytes).is_err());
        }
        assert!(minicbor::decode::<WireAddress>(&[0x82, 0x01, 0x46, 1, 2, 3, 4, 5, 6]).is_err());
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
