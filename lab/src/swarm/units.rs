//! Quantities as people write them in a scenario: `"250us"`, `"20ms"`, `"1.5s"`, `"2min"`, `"1h"`
//! for times, `"30%"` (or a number from 0 to 1) for shares.
//!
//! Decimal arithmetic on integers, so that a text means the same on every machine: times to the
//! nanosecond, shares to the millionth.

use core::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de};

use crate::rng::Ppm;

/// Why a text is no quantity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnitError {
    /// No number, a sign, or more digits than count.
    #[error("not a number with at most nine decimals")]
    Number,
    /// No unit, or one that is not known.
    #[error("the unit of a time is one of ns, us, ms, s, min, h")]
    TimeUnit,
    /// A share without the sign.
    #[error("a share ends in %")]
    ShareUnit,
    /// A share above the whole.
    #[error("a share is at most 100%")]
    AboveOne,
    /// More than fits.
    #[error("too large")]
    TooLarge,
}

/// Nanoseconds of each unit, the longest name first where one ends in another.
const TIME_UNITS: [(&str, u64); 6] = [
    ("min", 60_000_000_000),
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a time such as `20ms`.
///
/// # Errors
/// [`UnitError`]: what is wrong with the text.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let split = text
        .find(|c: char| c.is_ascii_alphabetic())
        .ok_or(UnitError::TimeUnit)?;
    let (number, unit) = text.split_at(split);
    let (_, nanos) = TIME_UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or(UnitError::TimeUnit)?;
    let billionths = parse_billionths(number.trim_end())?;
    let nanos = billionths.saturating_mul(u128::from(*nanos)) / 1_000_000_000;
    u64::try_from(nanos)
        .map(Duration::from_nanos)
        .map_err(|_| UnitError::TooLarge)
}

/// Writes a time with the longest unit that leaves it whole.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let mut units = TIME_UNITS;
    units.sort_by_key(|(_, of_unit)| core::cmp::Reverse(*of_unit));
    let (name, of_unit) = units
        .into_iter()
        .find(|(_, of_unit)| nanos.is_multiple_of(u128::from(*of_unit)) && nanos > 0)
        .unwrap_or(("s", 1_000_000_000));
    format!("{}{name}", nanos / u128::from(of_unit))
}

/// Reads a share such as `12.5%`.
///
/// # Errors
/// [`UnitError`]: what is wrong with the text.
pub fn parse_share(text: &str) -> Result<Ppm, UnitError> {
    let number = text.strip_suffix('%').ok_or(UnitError::ShareUnit)?;
    let ppm = parse_billionths(number.trim_end())? / 100_000;
    let ppm = u32::try_from(ppm).map_err(|_| UnitError::AboveOne)?;
    if ppm > Ppm::ALWAYS.0 {
        return Err(UnitError::AboveOne);
    }
    Ok(Ppm(ppm))
}

/// A decimal number in billionths.
fn parse_billionths(number: &str) -> Result<u128, UnitError> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(decimals) || decimals.len() > 9 {
        return Err(UnitError::Number);
    }
    let whole: u64 = whole.parse().map_err(|_| UnitError::TooLarge)?;
    let padded = format!("{decimals:0<9}");
    let decimals: u64 = padded.parse().map_err(|_| UnitError::Number)?;
    Ok(u128::from(whole) * 1_000_000_000 + u128::from(decimals))
}

/// A time as serde reads and writes it: `#[serde(with = "duration")]`.
pub mod duration {
    use super::{Deserialize, Deserializer, Duration, Serializer, de};

    /// Writes it as text.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&super::format_duration(*value))
    }

    /// Reads it from text.
    ///
    /// # Errors
    /// [`super::UnitError`] as the deserializer says it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse_duration(&text).map_err(|error| {
            de::Error::custom(format_args!(
                "{text:?} is no time such as \"20ms\": {error}"
            ))
        })
    }
}

/// The same where there may be none.
pub mod optional_duration {
    use super::{Deserializer, Duration, Serializer, duration};

    /// Writes it as text.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => duration::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads it from text; what is left out is none.
    ///
    /// # Errors
    /// [`super::UnitError`] as the deserializer says it.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        duration::deserialize(deserializer).map(Some)
    }
}

/// A share as serde reads and writes it: `#[serde(with = "share")]`.
pub mod share {
    use super::{Deserializer, Ppm, Serializer, de, fmt};

    /// Writes it in per cent.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(value: &Ppm, serializer: S) -> Result<S::Ok, S::Error> {
        let (whole, rest) = (value.0 / 10_000, value.0 % 10_000);
        let text = format!("{whole}.{rest:04}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        serializer.collect_str(&format_args!("{text}%"))
    }

    /// Reads it from text in per cent, or from a number from 0 to 1.
    ///
    /// # Errors
    /// [`super::UnitError`] as the deserializer says it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Ppm, D::Error> {
        deserializer.deserialize_any(ShareVisitor)
    }

    struct ShareVisitor;

    impl de::Visitor<'_> for ShareVisitor {
        type Value = Ppm;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a share such as \"30%\" or 0.3")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Ppm, E> {
            super::parse_share(text).map_err(|error| {
                E::custom(format_args!(
                    "{text:?} is no share such as \"30%\": {error}"
                ))
            })
        }

        fn visit_f64<E: de::Error>(self, number: f64) -> Result<Ppm, E> {
            if !(0.0..=1.0).contains(&number) {
                return Err(E::custom(super::UnitError::AboveOne));
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is from 0 to a million"
            )]
            let ppm = (number * 1e6).round() as u32;
            Ok(Ppm(ppm))
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<Ppm, E> {
            u64::try_from(number)
                .map_err(|_| E::custom(super::UnitError::Number))
                .and_then(|number| self.visit_u64(number))
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Ppm, E> {
            match number {
                0 => Ok(Ppm(0)),
                1 => Ok(Ppm::ALWAYS),
                _ => Err(E::custom(super::UnitError::AboveOne)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit_and_written_back() {
        for (text, nanos) in [
            ("5ns", 5),
            ("250us", 250_000),
            ("20ms", 20_000_000),
            ("90s", 90_000_000_000),
            ("2min", 120_000_000_000),
            ("1h", 3_600_000_000_000),
        ] {
            let time = Duration::from_nanos(nanos);
            assert_eq!(parse_duration(text), Ok(time), "{text}");
            assert_eq!(parse_duration(&format_duration(time)), Ok(time), "{text}");
        }
        assert_eq!(parse_duration("1.5 s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(format_duration(Duration::ZERO), "0s");
        assert_eq!(format_duration(Duration::from_millis(1_500)), "1500ms");
    }

    #[test]
    fn refuses_what_is_no_time() {
        assert_eq!(parse_duration("20"), Err(UnitError::TimeUnit));
        assert_eq!(parse_duration("20 days"), Err(UnitError::TimeUnit));
        assert_eq!(parse_duration("ms"), Err(UnitError::Number));
        assert_eq!(parse_duration("-1s"), Err(UnitError::Number));
        assert_eq!(parse_duration("1.0000000001s"), Err(UnitError::Number));
        assert_eq!(parse_duration("9999999999h"), Err(UnitError::TooLarge));
    }

    #[test]
    fn shares_are_read_to_the_millionth_and_no_larger_than_the_whole() {
        assert_eq!(parse_share("30%"), Ok(Ppm::percent(30)));
        assert_eq!(parse_share("0.0001%"), Ok(Ppm(1)));
        assert_eq!(parse_share("100%"), Ok(Ppm::ALWAYS));
        assert_eq!(parse_share("101%"), Err(UnitError::AboveOne));
        assert_eq!(parse_share("30"), Err(UnitError::ShareUnit));
    }
}
