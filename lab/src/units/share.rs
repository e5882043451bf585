//! A share of a whole ([`Ppm`]) as a field: `#[serde(with = "units::share")]`.
//!
//! It reads like every probability (`"30%"`, `"250ppm"`), and numbers from 0 to 1 too, and is
//! always written in per cent, so that a column of shares can be compared at a glance.

use std::fmt;

use serde::{Deserializer, Serializer, de};

use super::UnitError;
use crate::rng::Ppm;

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

/// Reads it from text, or from a number from 0 to 1.
///
/// # Errors
/// It is no share.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Ppm, D::Error> {
    deserializer.deserialize_any(Visitor)
}

struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = Ppm;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a share such as \"30%\", or a number from 0 to 1")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Ppm, E> {
        text.parse()
            .map_err(|error: UnitError| E::custom(format_args!("{error}")))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Ppm, E> {
        if !(0.0..=1.0).contains(&number) {
            return Err(E::invalid_value(de::Unexpected::Float(number), &self));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is from 0 to a million"
        )]
        let ppm = (number * 1e6).round() as u32;
        Ok(Ppm(ppm))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Ppm, E> {
        match number {
            0 => Ok(Ppm(0)),
            1 => Ok(Ppm::ALWAYS),
            _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Ppm, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<Ppm> {
        deserialize(&mut serde_json::Deserializer::from_str(json)).ok()
    }

    #[test]
    fn reads_text_and_numbers_up_to_the_whole() {
        assert_eq!(read("\"30%\""), Some(Ppm::percent(30)));
        assert_eq!(read("\"0.0001%\""), Some(Ppm(1)));
        assert_eq!(read("0.3"), Some(Ppm::percent(30)));
        assert_eq!(read("1"), Some(Ppm::ALWAYS));
        assert_eq!(read("0"), Some(Ppm(0)));
        for wrong in ["\"101%\"", "1.01", "2", "-1", "\"30\"", "\"much\"", "true"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn is_written_in_per_cent_and_reads_back() {
        for (share, text) in [
            (Ppm(999_871), "\"99.9871%\""),
            (Ppm::percent(30), "\"30%\""),
            (Ppm(0), "\"0%\""),
        ] {
            let mut out = Vec::new();
            serialize(&share, &mut serde_json::Serializer::new(&mut out)).unwrap();
            assert_eq!(String::from_utf8_lossy(&out), text);
            assert_eq!(read(text), Some(share));
        }
    }
}
