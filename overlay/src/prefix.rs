//! Ranges of addresses: all that begin with the same bits (RFC 4632 for IPv4, RFC 4291 §2.3 for IPv6).

use core::fmt;
use core::str::FromStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// All addresses with the same first so many bits. IPv4 that came mapped into IPv6 counts as IPv4. The
/// bits behind are zero, so that two ranges are equal when they hold the same addresses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IpPrefix {
    ip: IpAddr,
    bits: u8,
}

/// Text or numbers that are no range of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PrefixError {
    /// The part before the slash is no address.
    #[error("not an address; write 192.0.2.0/24 or 2001:db8::/48")]
    Address,
    /// The part behind the slash is no number, or more than the address has bits.
    #[error("an IPv4 range has 0 to 32 bits, an IPv6 range 0 to 128; write 192.0.2.0/24")]
    Bits,
}

impl IpPrefix {
    /// The range of `ip` and all others that share its first `bits`.
    ///
    /// # Errors
    /// [`PrefixError::Bits`]: more than the address has.
    pub fn new(ip: IpAddr, bits: u8) -> Result<Self, PrefixError> {
        let ip = ip.to_canonical();
        let of_width = |width: u8| width.checked_sub(bits).ok_or(PrefixError::Bits);
        let ip = match ip {
            IpAddr::V4(v4) => {
                let behind = u32::from(of_width(32)?);
                let mask = u32::MAX.checked_shl(behind).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
            }
            IpAddr::V6(v6) => {
                let behind = u32::from(of_width(128)?);
                let mask = u128::MAX.checked_shl(behind).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
            }
        };
        Ok(Self { ip, bits })
    }

    /// The range that holds this address alone.
    #[must_use]
    pub fn of_one(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        Self { ip, bits }
    }

    /// The range of `ip` with so many bits for its family, at most all of them.
    pub(crate) fn around(ip: IpAddr, v4_bits: u8, v6_bits: u8) -> Self {
        let bits = match ip.to_canonical() {
            IpAddr::V4(_) => v4_bits,
            IpAddr::V6(_) => v6_bits,
        };
        Self::new(ip, bits).unwrap_or_else(|_| Self::of_one(ip))
    }

    /// Whether the range holds `ip`.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.ip.is_ipv4() && Self::new(ip, self.bits).as_ref() == Ok(self)
    }

    /// The lowest address.
    #[must_use]
    pub const fn ip(&self) -> IpAddr {
        self.ip
    }

    /// How many bits are the same.
    #[must_use]
    pub const fn bits(&self) -> u8 {
        self.bits
    }

    /// The first 16 bytes that name it and nothing else: address, then bits.
    pub(crate) fn to_bytes(self) -> [u8; 17] {
        let ip = match self.ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let mut bytes = [0; 17];
        for (to, from) in bytes.iter_mut().zip(ip.octets()) {
            *to = from;
        }
        bytes[16] = self.bits;
        bytes
    }
}

impl fmt::Display for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.bits)
    }
}

impl FromStr for IpPrefix {
    type Err = PrefixError;

    /// `192.0.2.0/24`, `2001:db8::/48`, or one address alone.
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (ip, bits) = match text.split_once('/') {
            Some((ip, bits)) => (ip, Some(bits)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| PrefixError::Address)?;
        match bits {
            None => Ok(Self::of_one(ip)),
            Some(bits) => Self::new(ip, bits.parse().map_err(|_| PrefixError::Bits)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> IpPrefix {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_round_trip_and_drop_the_bits_behind() {
        for text in [
            "0.0.0.0/0",
            "10.1.0.0/16",
            "192.0.2.7/32",
            "2001:db8::/48",
            "::/0",
        ] {
            assert_eq!(prefix(text).to_string(), text);
        }
        assert_eq!(prefix("10.1.2.3/16"), prefix("10.1.0.0/16"));
        assert_eq!(prefix("10.1.2.3"), prefix("10.1.2.3/32"));
        assert_eq!(prefix("::ffff:10.1.2.3"), prefix("10.1.2.3/32"));
    }

    #[test]
    fn a_range_holds_its_first_and_last_address_and_not_the_next() {
        let range = prefix("192.0.2.0/24");
        let holds = |text: &str| range.contains(text.parse().unwrap());
        assert!(holds("192.0.2.0") && holds("192.0.2.255") && holds("::ffff:192.0.2.1"));
        assert!(!holds("192.0.3.0") && !holds("192.0.1.255") && !holds("2001:db8::1"));
        assert!(prefix("0.0.0.0/0").contains("8.8.8.8".parse().unwrap()));
        assert!(!prefix("0.0.0.0/0").contains("::1".parse().unwrap()));
        assert!(prefix("2001:db8::/48").contains("2001:db8:0:ffff::1".parse().unwrap()));
        assert!(!prefix("2001:db8::/48").contains("2001:db8:1::1".parse().unwrap()));
    }

    #[test]
    fn rejects_what_is_no_range() {
        for (text, error) in [
            ("somewhere/8", PrefixError::Address),
            ("192.0.2.0/33", PrefixError::Bits),
            ("2001:db8::/129", PrefixError::Bits),
            ("192.0.2.0/-1", PrefixError::Bits),
            ("192.0.2.0/", PrefixError::Bits),
        ] {
            assert_eq!(text.parse::<IpPrefix>(), Err(error), "{text}");
        }
    }
}
