//! Times, rates, sizes and probabilities as people write them: `"20ms"`, `"100mbit"`, `"64kB"`,
//! `"5%"`.
//!
//! Decimal fractions are exact: a value that its smallest unit (nanosecond, bit per second, byte,
//! part per million) cannot hold is refused, not rounded. What is written is the largest unit that
//! holds the value as a whole number, so that reading it again gives the same value.

pub mod share;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::rng::Ppm;

/// A time: `"20ms"`, `"1.5s"`, `"250us"`, `"2min"`, `"0"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Time(pub Duration);

/// Bits per second: `"100mbit"`, `"1.5gbit"`, `"64kbit/s"` (decimal: a kbit is 1,000 bits).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct BitRate(pub u64);

/// Bytes: `"1400"`, `"64kB"`, `"64KiB"`, `"1.5MB"`, or a bare number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Size(pub u64);

/// Why a text is no value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnitError {
    /// It does not read as a number with a unit.
    #[error("{value:?} is not {what}: write it as {example}")]
    Malformed {
        /// What was written.
        value: String,
        /// What was wanted.
        what: &'static str,
        /// How it could look.
        example: &'static str,
    },
    /// It is finer than the smallest unit.
    #[error("{value:?} is finer than {what} can be: the smallest step is {step}")]
    TooFine {
        /// What was written.
        value: String,
        /// What was wanted.
        what: &'static str,
        /// The smallest unit.
        step: &'static str,
    },
    /// It is larger than there is room for.
    #[error("{value:?} is too large for {what}: the most is {most}")]
    TooLarge {
        /// What was written.
        value: String,
        /// What was wanted.
        what: &'static str,
        /// The largest value.
        most: &'static str,
    },
}

/// How one quantity is written.
struct Quantity {
    what: &'static str,
    example: &'static str,
    step: &'static str,
    most: u64,
    most_text: &'static str,
    /// Names and values in the smallest unit, largest first; the first name of a value is the one
    /// that is written.
    units: &'static [(&'static str, u64)],
}

const TIME: Quantity = Quantity {
    what: "a time",
    example: "\"20ms\", \"1.5s\" or \"250us\"",
    step: "1ns",
    most: u64::MAX,
    most_text: "584 years",
    units: &[
        ("h", 3_600_000_000_000),
        ("min", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("µs", 1_000),
        ("ns", 1),
    ],
};

const RATE: Quantity = Quantity {
    what: "a rate",
    example: "\"100mbit\", \"1.5gbit\" or \"64kbit\"",
    step: "1bit",
    most: 1_000_000_000_000_000,
    most_text: "1000tbit",
    units: &[
        ("tbit", 1_000_000_000_000),
        ("gbit", 1_000_000_000),
        ("mbit", 1_000_000),
        ("kbit", 1_000),
        ("bit", 1),
    ],
};

const SIZE: Quantity = Quantity {
    what: "a size",
    example: "\"1400B\", \"64kB\", \"64KiB\" or a number of bytes",
    step: "1B",
    most: 1 << 50,
    most_text: "1 PiB",
    units: &[
        ("gib", 1 << 30),
        ("gb", 1_000_000_000),
        ("mib", 1 << 20),
        ("mb", 1_000_000),
        ("kib", 1 << 10),
        ("kb", 1_000),
        ("b", 1),
    ],
};

const PROBABILITY: Quantity = Quantity {
    what: "a probability",
    example: "\"1%\", \"0.02%\" or \"250ppm\"",
    step: "1ppm",
    most: 1_000_000,
    most_text: "100%",
    units: &[("%", 10_000), ("ppm", 1)],
};

impl Quantity {
    /// The value of `text` in the smallest unit.
    fn parse(&self, text: &str) -> Result<u64, UnitError> {
        let malformed = || UnitError::Malformed {
            value: text.to_owned(),
            what: self.what,
            example: self.example,
        };
        let too_large = || UnitError::TooLarge {
            value: text.to_owned(),
            what: self.what,
            most: self.most_text,
        };
        let trimmed = text.trim();
        let end = trimmed
            .find(|letter: char| !(letter.is_ascii_digit() || matches!(letter, '.' | '_')))
            .unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(end);
        let (digits, decimals) = decimal(number).ok_or_else(malformed)?;
        let unit = unit.trim().to_lowercase();
        let unit = unit.strip_suffix("/s").unwrap_or(&unit);
        let scale = self.units.iter().find(|(name, _)| *name == unit);
        let scale = match scale {
            Some((_, scale)) => *scale,
            // Nothing is nothing in every unit; a size without one is in bytes.
            None if unit.is_empty() && (digits == 0 || self.what == SIZE.what) => 1,
            None => return Err(malformed()),
        };
        let scaled = digits
            .checked_mul(u128::from(scale))
            .ok_or_else(too_large)?;
        let divisor = 10_u128.pow(decimals);
        if !scaled.is_multiple_of(divisor) {
            return Err(UnitError::TooFine {
                value: text.to_owned(),
                what: self.what,
                step: self.step,
            });
        }
        let value = u64::try_from(scaled / divisor).map_err(|_| too_large())?;
        if value > self.most {
            return Err(too_large());
        }
        Ok(value)
    }

    fn write(&self, value: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, scale): &&(&str, u64)| value >= *scale && value.is_multiple_of(*scale);
        let fallback = self.units.iter().rev().find(|(_, scale)| *scale == 1);
        match self.units.iter().find(fits).or(fallback) {
            Some((unit, scale)) => write!(f, "{}{}", value / scale, written(unit)),
            None => write!(f, "{value}"),
        }
    }
}

/// Units of bytes are matched in lower case and written as usual.
fn written(unit: &'static str) -> &'static str {
    match unit {
        "gib" => "GiB",
        "gb" => "GB",
        "mib" => "MiB",
        "mb" => "MB",
        "kib" => "KiB",
        "kb" => "kB",
        "b" => "B",
        other => other,
    }
}

/// `1_000.25` → (100025, 2): all digits, and how many of them stand behind the point.
fn decimal(number: &str) -> Option<(u128, u32)> {
    let mut digits: u128 = 0;
    let mut decimals = None;
    let mut seen = false;
    for letter in number.bytes() {
        match letter {
            b'0'..=b'9' => {
                digits = digits
                    .checked_mul(10)?
                    .checked_add(u128::from(letter - b'0'))?;
                decimals = decimals.map(|count: u32| count + 1);
                seen = true;
            }
            b'.' if decimals.is_none() => decimals = Some(0),
            b'_' => {}
            _ => return None,
        }
    }
    // More decimals than that are finer than any unit.
    let decimals = decimals.unwrap_or(0);
    (seen && decimals <= 30).then_some((digits, decimals))
}

macro_rules! quantity {
    ($type:ty, $quantity:expr, $from:expr, $into:expr) => {
        impl std::str::FromStr for $type {
            type Err = UnitError;

            fn from_str(text: &str) -> Result<Self, UnitError> {
                $quantity.parse(text).map($from)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $quantity.write($into(*self), f)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = deserializer.deserialize_any(Text(&$quantity))?;
                $quantity
                    .parse(&value)
                    .map($from)
                    .map_err(de::Error::custom)
            }
        }
    };
}

quantity!(
    Time,
    TIME,
    |nanos| Time(Duration::from_nanos(nanos)),
    |time: Time| u64::try_from(time.0.as_nanos()).unwrap_or(u64::MAX)
);
quantity!(BitRate, RATE, BitRate, |rate: BitRate| rate.0);
quantity!(Size, SIZE, Size, |size: Size| size.0);
quantity!(
    Ppm,
    PROBABILITY,
    |parts| Ppm(u32::try_from(parts).unwrap_or(Ppm::ALWAYS.0)),
    |ppm: Ppm| u64::from(ppm.0)
);

/// Takes a string; a number only where it can mean one thing, with an error that says so.
struct Text(&'static Quantity);

impl de::Visitor<'_> for Text {
    type Value = Cow<'static, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} such as {}", self.0.what, self.0.example)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        if self.0.what == SIZE.what || number == 0 {
            return Ok(Cow::Owned(number.to_string()));
        }
        Err(E::invalid_type(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_type(de::Unexpected::Signed(number), &self)),
        }
    }
}

/// A [`Duration`] field written as a [`Time`]: `#[serde(with = "units::time")]`.
pub mod time {
    use super::{Deserialize, Deserializer, Duration, Serialize, Serializer, Time};

    /// Writes it.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        Time(*time).serialize(serializer)
    }

    /// Reads it.
    ///
    /// # Errors
    /// It is not a time.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Time::deserialize(deserializer).map(|time| time.0)
    }
}

/// An optional [`Duration`] field: `#[serde(default, with = "units::optional_time")]`.
pub mod optional_time {
    use super::{Deserializer, Duration, Serializer, time};

    /// Writes it, if there is one.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(
        time: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => time::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads it; a field that is left out is none.
    ///
    /// # Errors
    /// It is not a time.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        time::deserialize(deserializer).map(Some)
    }
}

/// A [`u64`] field of bits per second written as a [`BitRate`].
pub mod bit_rate {
    use super::{BitRate, Deserialize, Deserializer, Serialize, Serializer};

    /// Writes it.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(rate: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        BitRate(*rate).serialize(serializer)
    }

    /// Reads it.
    ///
    /// # Errors
    /// It is not a rate.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        BitRate::deserialize(deserializer).map(|rate| rate.0)
    }
}

/// A [`u64`] field of bytes written as a [`Size`].
pub mod size {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Size};

    /// Writes it.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(size: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        Size(*size).serialize(serializer)
    }

    /// Reads it.
    ///
    /// # Errors
    /// It is not a size.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        Size::deserialize(deserializer).map(|size| size.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let time = |text: &str| text.parse::<Time>().map(|time| time.0);
        assert_eq!(time("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(time("1.5 s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(time("250us"), time("250µs"));
        assert_eq!(time("2min"), Ok(Duration::from_secs(120)));
        assert_eq!(time("0"), Ok(Duration::ZERO));
        let rate = |text: &str| text.parse::<BitRate>().map(|rate| rate.0);
        assert_eq!(rate("100mbit"), Ok(100_000_000));
        assert_eq!(rate("1.5Gbit/s"), Ok(1_500_000_000));
        assert_eq!(rate("1_000bit"), Ok(1_000));
        let size = |text: &str| text.parse::<Size>().map(|size| size.0);
        assert_eq!(size("64kB"), Ok(64_000));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("1400"), Ok(1_400));
        assert_eq!("0.01%".parse(), Ok(Ppm(100)));
        assert_eq!("250ppm".parse(), Ok(Ppm(250)));
    }

    #[test]
    fn errors_name_the_bad_value() {
        let error = |text: &str| text.parse::<Time>().unwrap_err().to_string();
        assert!(error("20 parsecs").contains("\"20 parsecs\" is not a time"));
        for text in ["", "ms", "20", "1.2.3s", "-5ms", "1e3ms", "."] {
            assert!(error(text).contains("is not a time"), "{text}");
        }
        assert!(error("0.3ns").contains("finer"));
        assert!(error("99999999999h").contains("too large"));
        assert!(error(&"9".repeat(60)).contains("is not a time"));
        let over = "100.0001%".parse::<Ppm>().unwrap_err().to_string();
        assert!(
            over.contains("\"100.0001%\"") && over.contains("100%"),
            "{over}"
        );
        assert!("0.00001%".parse::<Ppm>().is_err());
        assert!("5".parse::<Ppm>().is_err());
        assert!("5mb".parse::<BitRate>().is_err());
    }

    #[test]
    fn round_trips_through_text() {
        let mut rng = crate::rng::Rng::new(1);
        for _ in 0..1_000 {
            let bits = rng.below(64);
            let value = rng.below(1 << 50) >> bits.min(49);
            let time = Time(Duration::from_nanos(value));
            assert_eq!(time.to_string().parse(), Ok(time));
            let rate = BitRate(value % 1_000_000_000_000_000);
            assert_eq!(rate.to_string().parse(), Ok(rate));
            assert_eq!(Size(value).to_string().parse(), Ok(Size(value)));
            let ppm = Ppm(u32::try_from(value % 1_000_001).unwrap());
            assert_eq!(ppm.to_string().parse(), Ok(ppm));
        }
        assert_eq!(Time(Duration::from_millis(1_500)).to_string(), "1500ms");
        assert_eq!(Ppm::percent(5).to_string(), "5%");
        assert_eq!(Size(65_536).to_string(), "64KiB");
        assert_eq!(Time::default().to_string(), "0ns");
    }
}
