//! Values of options: share, rate, duration, seed. Each rejection says what is wrong and shows a
//! valid example.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

/// A share of packets, kept in millionths so that decisions use integers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Percent {
    millionths: u32,
}

impl Percent {
    /// No packet.
    pub const ZERO: Self = Self { millionths: 0 };

    /// A share in millionths; more than a million counts as a million.
    #[must_use]
    pub const fn from_millionths(millionths: u32) -> Self {
        Self {
            millionths: if millionths > 1_000_000 {
                1_000_000
            } else {
                millionths
            },
        }
    }

    /// The share in millionths, 0 to 1,000,000.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.millionths
    }
}

impl FromStr for Percent {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_suffix('%').unwrap_or(text).trim_end();
        let percent = decimal(number)
            .filter(|percent| *percent <= 100.0)
            .ok_or_else(|| ValueError::Percent(text.to_owned()))?;
        Ok(Self {
            millionths: rounded_u32(percent * 10_000.0),
        })
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.millionths) / 10_000.0)
    }
}

/// A data rate in bits per second, at least 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Rate {
    bits_per_second: u64,
}

impl Rate {
    /// A rate in bits per second; zero counts as one.
    #[must_use]
    pub const fn from_bits_per_second(bits: u64) -> Self {
        Self {
            bits_per_second: if bits == 0 { 1 } else { bits },
        }
    }

    /// Bits per second.
    #[must_use]
    pub const fn bits_per_second(self) -> u64 {
        self.bits_per_second
    }

    /// How long `bytes` occupy a line of this rate.
    #[must_use]
    pub fn time_for(self, bytes: usize) -> Duration {
        let bits = u128::try_from(bytes).unwrap_or(u128::MAX).saturating_mul(8);
        let nanos = bits.saturating_mul(1_000_000_000) / u128::from(self.bits_per_second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl FromStr for Rate {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ValueError::Rate(text.to_owned());
        let (number, unit) = split_unit(text);
        let scale = match unit.to_ascii_lowercase().as_str() {
            "bit" | "bps" => 1.0,
            "kbit" | "kbps" => 1e3,
            "mbit" | "mbps" => 1e6,
            "gbit" | "gbps" => 1e9,
            _ => return Err(refuse()),
        };
        let bits = decimal(number)
            .map(|value| value * scale)
            .ok_or_else(refuse)?;
        if !(1.0..=1e15).contains(&bits) {
            return Err(refuse());
        }
        Ok(Self {
            bits_per_second: rounded_u64(bits),
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.bits_per_second;
        for (scale, unit) in [
            (1_000_000_000, "gbit"),
            (1_000_000, "mbit"),
            (1_000, "kbit"),
        ] {
            if bits >= scale && bits.is_multiple_of(scale) {
                return write!(f, "{}{unit}", bits / scale);
            }
        }
        write!(f, "{bits}bit")
    }
}

/// Reads a duration such as `20ms`, `1.5s` or `2m`, up to a day.
///
/// # Errors
/// When the number or the unit is missing or unknown, or the duration is longer than a day.
pub fn duration(text: &str) -> Result<Duration, ValueError> {
    let refuse = || ValueError::Duration(text.to_owned());
    let (number, unit) = split_unit(text);
    let seconds_a_unit = match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "" if number == "0" => 0.0,
        _ => return Err(refuse()),
    };
    let seconds = decimal(number)
        .map(|value| value * seconds_a_unit)
        .ok_or_else(refuse)?;
    if seconds > 86_400.0 {
        return Err(refuse());
    }
    Ok(Duration::from_nanos(rounded_u64(seconds * 1e9)))
}

/// Like [`duration`], but zero is refused: for periods.
///
/// # Errors
/// As [`duration`], and when the duration is zero.
pub fn period(text: &str) -> Result<Duration, ValueError> {
    match duration(text)? {
        Duration::ZERO => Err(ValueError::Period),
        period => Ok(period),
    }
}

/// Reads a number of seconds from 0.1 to 3600, such as `5` or `0.5`.
///
/// # Errors
/// When it is no such number.
pub fn seconds(text: &str) -> Result<Duration, ValueError> {
    match decimal(text) {
        Some(seconds) if (0.1..=3_600.0).contains(&seconds) => {
            Ok(Duration::from_nanos(rounded_u64(seconds * 1e9)))
        }
        _ => Err(ValueError::Seconds(text.to_owned())),
    }
}

/// Reads how much faster or slower something goes, from 0.1 to 100, such as `4` or `0.5`.
///
/// # Errors
/// When it is no such number.
pub fn times(text: &str) -> Result<f64, ValueError> {
    decimal(text)
        .filter(|times| (0.1..=100.0).contains(times))
        .ok_or_else(|| ValueError::Times(text.to_owned()))
}

/// Reads an IP address with a port, such as `127.0.0.1:4600` or `[::1]:0`.
///
/// # Errors
/// When it is a name, or the port is missing.
pub fn ip_and_port(text: &str) -> Result<SocketAddr, ValueError> {
    text.parse()
        .map_err(|_| ValueError::IpAndPort(text.to_owned()))
}

/// Why a value was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ValueError {
    /// Not a share between 0 and 100 %.
    #[error("\"{0}\" is not a share between 0% and 100%; write for example 5% or 0.1%")]
    Percent(String),
    /// Not a rate.
    #[error(
        "\"{0}\" is not a rate; write a number and bit, kbit, mbit or gbit, for example 100mbit"
    )]
    Rate(String),
    /// Not a duration.
    #[error(
        "\"{0}\" is not a duration of at most a day; write a number and us, ms, s, m or h, for example 20ms"
    )]
    Duration(String),
    /// Not a number of seconds.
    #[error("\"{0}\" is not a number of seconds from 0.1 to 3600; write for example 5")]
    Seconds(String),
    /// Not a factor.
    #[error("\"{0}\" is not a number from 0.1 to 100; write for example 4")]
    Times(String),
    /// No IP address, or no port.
    #[error(
        "\"{0}\" is not an IP address with a port; write for example 127.0.0.1:4600 or [::1]:0"
    )]
    IpAndPort(String),
    /// A period of zero.
    #[error("a period of zero never ends; write for example 5s")]
    Period,
}

/// Splits `12.5ms` into `12.5` and `ms`.
fn split_unit(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

/// A plain decimal number: digits and at most one point; no sign, exponent, `inf` or `nan`.
fn decimal(text: &str) -> Option<f64> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let digit = text.bytes().any(|byte| byte.is_ascii_digit());
    if plain && digit {
        text.parse().ok()
    } else {
        None
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the caller checked the range; the cast of a float saturates"
)]
fn rounded_u64(value: f64) -> u64 {
    value.round() as u64
}

fn rounded_u32(value: f64) -> u32 {
    u32::try_from(rounded_u64(value)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_shares_with_and_without_the_sign() {
        assert_eq!("5%".parse(), Ok(Percent::from_millionths(50_000)));
        assert_eq!("0.1%".parse(), Ok(Percent::from_millionths(1_000)));
        assert_eq!("100".parse(), Ok(Percent::from_millionths(1_000_000)));
        assert_eq!("0".parse(), Ok(Percent::ZERO));
    }

    #[test]
    fn rejects_shares_out_of_range_with_an_example() {
        for text in [
            "",
            "%",
            "-1%",
            "101%",
            "nan",
            "inf",
            "1e1",
            "5 percent",
            "1.2.3",
        ] {
            let error = text.parse::<Percent>().unwrap_err();
            assert!(error.to_string().contains("for example 5%"), "{text}");
        }
    }

    #[test]
    fn reads_rates_in_every_unit() {
        for (text, bits) in [
            ("100mbit", 100_000_000),
            ("1.5gbit", 1_500_000_000),
            ("64kbit", 64_000),
            ("9600bit", 9_600),
            ("10Mbps", 10_000_000),
            ("10 mbit", 10_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Rate::from_bits_per_second(bits)), "{text}");
        }
    }

    #[test]
    fn rejects_rates_without_unit_or_of_zero() {
        for text in [
            "",
            "100",
            "mbit",
            "0mbit",
            "-5mbit",
            "100 megabytes",
            "0.1bit",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_packet_occupies_the_line_for_its_bits() {
        let rate: Rate = "100mbit".parse().unwrap();
        assert_eq!(rate.time_for(1_250), Duration::from_micros(100));
        assert_eq!(
            Rate::from_bits_per_second(1).time_for(usize::MAX).as_secs(),
            18_446_744_073
        );
    }

    #[test]
    fn a_place_to_listen_at_needs_an_address_and_a_port() {
        assert_eq!(ip_and_port("[::1]:7").map(|at| at.port()), Ok(7));
        for wrong in ["localhost:4600", "127.0.0.1", "4600", "::1:7:"] {
            let error = ip_and_port(wrong).unwrap_err().to_string();
            assert!(
                error.contains("write for example 127.0.0.1:4600"),
                "{error}"
            );
        }
    }

    #[test]
    fn reads_durations_and_refuses_a_bare_number() {
        assert_eq!(duration("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        for text in ["", "20", "ms", "-1s", "25h", "1 fortnight"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(period("0s"), Err(ValueError::Period));
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(seconds("0").is_err() && seconds("3601").is_err() && seconds("5s").is_err());
    }

    proptest! {
        #[test]
        fn printed_values_round_trip(millionths in 0u32..=1_000_000, bits in 1u64..=1_000_000_000_000) {
            let percent = Percent::from_millionths(millionths);
            prop_assert_eq!(percent.to_string().parse(), Ok(percent));
            let rate = Rate::from_bits_per_second(bits);
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,12}") {
            let _ = text.parse::<Percent>();
            let _ = text.parse::<Rate>();
            let _ = duration(&text);
        }
    }
}
