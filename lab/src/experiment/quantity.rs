//! Times, rates, sizes, shares and numbers with their unit, in fixed point, and arithmetic that
//! knows what comes of them: a rate times a time is a size.

use std::fmt;

use crate::plot::Unit;
use crate::rng::Ppm;
use crate::units::{BitRate, Size, Time};

/// A value with its unit, exact to a millionth of the base unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quantity {
    /// The base unit. [`Unit::Millionths`] stands for shares and numbers with decimals,
    /// [`Unit::Count`] for whole numbers.
    pub unit: Unit,
    /// In millionths of the base unit; of one, for a share.
    micro: u128,
}

/// Why a quantity cannot be had.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QuantityError {
    /// The text is none.
    #[error(
        "\"{0}\" is no quantity: write a time (20ms), a rate (100mbit), a size (64kB), a share (5%) or a number"
    )]
    Malformed(String),
    /// The units do not go together.
    #[error("{left} {operator} {right} makes no sense")]
    Units {
        /// The unit of the left side.
        left: &'static str,
        /// `+`, `-`, `*` or `/`.
        operator: char,
        /// The unit of the right side.
        right: &'static str,
    },
    /// Beyond what fits, below zero, or divided by zero.
    #[error("the result of {operator} is not a number from 0 to 2^64")]
    Range {
        /// `+`, `-`, `*` or `/`.
        operator: char,
    },
}

const MICRO: u128 = 1_000_000;
/// Nanoseconds of a second times bits of a byte.
const NANOS_BITS: u128 = 8_000_000_000;

impl Quantity {
    /// `value` base units.
    #[must_use]
    pub fn new(unit: Unit, value: u64) -> Self {
        let scale = if unit == Unit::Millionths { 1 } else { MICRO };
        Self {
            unit,
            micro: u128::from(value) * scale,
        }
    }

    /// Whole base units, rounded down; millionths for a share.
    #[must_use]
    pub fn value(self) -> u64 {
        let scale = if self.unit == Unit::Millionths {
            1
        } else {
            MICRO
        };
        u64::try_from(self.micro / scale).unwrap_or(u64::MAX)
    }

    /// Whether it has no dimension.
    #[must_use]
    pub const fn is_number(self) -> bool {
        matches!(self.unit, Unit::Count | Unit::Millionths)
    }

    /// The same, as a value of `unit`; None: it is of another kind.
    #[must_use]
    pub fn to_unit(self, unit: Unit) -> Option<u64> {
        let number = |unit| matches!(unit, Unit::Count | Unit::Millionths);
        (self.unit == unit || (self.is_number() && number(unit)))
            .then(|| Self { unit, ..self }.value())
    }

    /// `self operator other`.
    ///
    /// # Errors
    /// The units do not go together, or the result does not fit.
    pub fn apply(self, operator: char, other: Self) -> Result<Self, QuantityError> {
        let units = || QuantityError::Units {
            left: unit_name(self.unit),
            operator,
            right: unit_name(other.unit),
        };
        let (a, b) = (self.micro, other.micro);
        let (unit, micro) = match operator {
            '+' | '-' => {
                let unit = self.common_unit(other).ok_or_else(units)?;
                let sum = if operator == '+' {
                    a.checked_add(b)
                } else {
                    a.checked_sub(b)
                };
                (unit, sum)
            }
            '*' => match (self.unit, other.unit) {
                (Unit::BitsPerSecond, Unit::Nanoseconds)
                | (Unit::Nanoseconds, Unit::BitsPerSecond) => {
                    let product = a.checked_mul(b).map(|ab| ab / MICRO / NANOS_BITS);
                    (Unit::Bytes, product)
                }
                _ if other.is_number() => (
                    self.product_unit(other),
                    a.checked_mul(b).map(|ab| ab / MICRO),
                ),
                _ if self.is_number() => (other.unit, a.checked_mul(b).map(|ab| ab / MICRO)),
                _ => return Err(units()),
            },
            _ => match (self.unit, other.unit) {
                (Unit::Bytes, Unit::BitsPerSecond) => (
                    Unit::Nanoseconds,
                    a.checked_mul(NANOS_BITS).and_then(|a| divide(a, b)),
                ),
                (Unit::Bytes, Unit::Nanoseconds) => (
                    Unit::BitsPerSecond,
                    a.checked_mul(NANOS_BITS).and_then(|a| divide(a, b)),
                ),
                _ if other.is_number() => (self.product_unit(other), divide(a, b)),
                (left, right) if left == right => (Unit::Millionths, divide(a, b)),
                _ => return Err(units()),
            },
        };
        let range = QuantityError::Range { operator };
        let result = Self {
            unit,
            micro: micro.ok_or(range.clone())?,
        };
        if result.micro / MICRO > u128::from(u64::MAX) {
            return Err(range);
        }
        Ok(result.whole_if_number())
    }

    fn common_unit(self, other: Self) -> Option<Unit> {
        if self.is_number() && other.is_number() {
            return Some(self.product_unit(other));
        }
        (self.unit == other.unit).then_some(self.unit)
    }

    /// The unit of `self` scaled by the number `other`: a share stays a share.
    fn product_unit(self, other: Self) -> Unit {
        match (self.unit, other.unit) {
            (Unit::Count, unit) => unit,
            (unit, _) => unit,
        }
    }

    /// A quotient without decimals is a whole number unless it came of a share.
    fn whole_if_number(self) -> Self {
        let whole = self.unit == Unit::Count && !self.micro.is_multiple_of(MICRO);
        Self {
            unit: if whole { Unit::Millionths } else { self.unit },
            ..self
        }
    }
}

/// a / b for two fixed-point numbers.
fn divide(a: u128, b: u128) -> Option<u128> {
    a.checked_mul(MICRO)?.checked_div(b)
}

const fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::BitsPerSecond => "a rate",
        Unit::Bytes => "a size",
        Unit::Nanoseconds => "a time",
        Unit::Millionths => "a share",
        Unit::Count => "a number",
    }
}

impl std::str::FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let text = text.trim();
        if let Some(number) = number(text) {
            return Ok(number);
        }
        if let Ok(Ppm(ppm)) = text.parse() {
            return Ok(Self::new(Unit::Millionths, u64::from(ppm)));
        }
        if let Ok(Time(time)) = text.parse() {
            let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            return Ok(Self::new(Unit::Nanoseconds, nanos));
        }
        if let Ok(BitRate(rate)) = text.parse() {
            return Ok(Self::new(Unit::BitsPerSecond, rate));
        }
        match text.parse() {
            Ok(Size(bytes)) => Ok(Self::new(Unit::Bytes, bytes)),
            Err(_) => Err(QuantityError::Malformed(text.into())),
        }
    }
}

/// A number without a unit: `7`, `0.95`.
fn number(text: &str) -> Option<Quantity> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(decimals) || decimals.len() > 6 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    if decimals.is_empty() {
        return Some(Quantity::new(Unit::Count, whole));
    }
    let fraction: u128 = format!("{decimals:0<6}").parse().ok()?;
    Some(Quantity {
        unit: Unit::Millionths,
        micro: u128::from(whole) * MICRO + fraction,
    })
}

impl fmt::Display for Quantity {
    /// As [`std::str::FromStr`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value();
        match self.unit {
            Unit::BitsPerSecond => BitRate(value).fmt(f),
            Unit::Bytes => Size(value).fmt(f),
            Unit::Nanoseconds => Time(std::time::Duration::from_nanos(value)).fmt(f),
            Unit::Millionths => match u32::try_from(value) {
                Ok(ppm) if ppm <= Ppm::ALWAYS.0 => Ppm(ppm).fmt(f),
                _ => write!(f, "{}.{:06}", value / 1_000_000, value % 1_000_000),
            },
            Unit::Count => value.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(text: &str) -> Quantity {
        text.parse().unwrap()
    }

    fn apply(left: &str, operator: char, right: &str) -> Result<String, QuantityError> {
        quantity(left)
            .apply(operator, quantity(right))
            .map(|result| result.to_string())
    }

    #[test]
    fn reads_every_kind() {
        for (text, unit, value) in [
            ("20ms", Unit::Nanoseconds, 20_000_000),
            ("100mbit", Unit::BitsPerSecond, 100_000_000),
            ("64kB", Unit::Bytes, 64_000),
            ("5%", Unit::Millionths, 50_000),
            ("0.95", Unit::Millionths, 950_000),
            ("12.5", Unit::Millionths, 12_500_000),
            ("7", Unit::Count, 7),
        ] {
            let read = quantity(text);
            assert_eq!((read.unit, read.value()), (unit, value), "{text}");
        }
        for text in ["", "ms", "1e3", "-3", "5 parsecs"] {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_times_a_time_is_a_size_and_back() {
        assert_eq!(apply("100mbit", '*', "50ms").unwrap(), "625kB");
        assert_eq!(apply("625kB", '/', "100mbit").unwrap(), "50ms");
        assert_eq!(apply("625kB", '/', "50ms").unwrap(), "100mbit");
        assert_eq!(apply("50ms", '/', "2").unwrap(), "25ms");
        assert_eq!(apply("2", '*', "1%").unwrap(), "2%");
        assert_eq!(apply("100mbit", '*', "10%").unwrap(), "10mbit");
        assert_eq!(apply("1s", '-', "200ms").unwrap(), "800ms");
        assert_eq!(apply("3", '*', "4").unwrap(), "12");
        assert_eq!(apply("10ms", '/', "20ms").unwrap(), "50%");
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        assert!(matches!(
            apply("1s", '+', "1mbit"),
            Err(QuantityError::Units { .. })
        ));
        assert!(matches!(
            apply("1s", '*', "1s"),
            Err(QuantityError::Units { .. })
        ));
        for (left, operator, right) in [
            ("1s", '-', "2s"),
            ("1s", '/', "0"),
            ("1000tbit", '*', "99999h"),
        ] {
            assert!(
                matches!(
                    apply(left, operator, right),
                    Err(QuantityError::Range { .. })
                ),
                "{left} {operator} {right}"
            );
        }
    }

    #[test]
    fn numbers_compare_with_shares() {
        assert_eq!(quantity("1").to_unit(Unit::Millionths), Some(1_000_000));
        assert_eq!(quantity("0.9").to_unit(Unit::Millionths), Some(900_000));
        assert_eq!(quantity("1").to_unit(Unit::Bytes), None);
    }
}
