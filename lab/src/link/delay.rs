//! Delays that vary: the normal and the Pareto distribution.
//!
//! The draws reach the trace, so they have to be the same on every machine. They use `f64`, but
//! only what IEEE 754 defines to the last bit: `+ - * /`, `sqrt`, comparison and truncation. The
//! logarithm and the exponential of a platform's library differ in the last bit from one to the
//! next, so `ln` and `exp` here are series of those exact operations. (Rust never fuses a
//! multiplication and an addition by itself.)

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::element::{ElementError, delay};
use crate::rng::Rng;
use crate::units;

/// How long a datagram takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Distribution {
    /// Gaussian, cut off at zero.
    Normal {
        /// Its middle.
        #[serde(with = "units::time")]
        mean: Duration,
        /// Its standard deviation.
        #[serde(with = "units::time")]
        deviation: Duration,
    },
    /// Pareto: at least `scale`, and with a long tail: longer than `x` with probability
    /// (scale / x)^shape.
    Pareto {
        /// The least.
        #[serde(with = "units::time")]
        scale: Duration,
        /// The larger, the shorter the tail.
        shape: Shape,
        /// The most; what is longer takes this long.
        #[serde(with = "units::time")]
        cap: Duration,
    },
}

/// The exponent of a Pareto distribution in thousandths (0.1 to 100); `"2.5"` in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "ShapeText", into = "String")]
pub struct Shape(pub u32);

#[derive(Deserialize)]
#[serde(untagged, expecting = "a shape such as 2.5, from 0.1 to 100")]
enum ShapeText {
    Text(String),
    Integer(u32),
    Float(f64),
}

impl TryFrom<ShapeText> for Shape {
    type Error = ElementError;

    fn try_from(text: ShapeText) -> Result<Self, ElementError> {
        let value = match text {
            ShapeText::Text(text) => text.trim().parse().unwrap_or(0.0),
            ShapeText::Integer(whole) => f64::from(whole),
            ShapeText::Float(value) => value,
        };
        let shape = Self(u32::try_from(whole(value * 1_000.0 + 0.5)).unwrap_or(u32::MAX));
        shape.validate().map(|()| shape)
    }
}

impl From<Shape> for String {
    fn from(shape: Shape) -> Self {
        let (whole, rest) = (shape.0 / 1_000, shape.0 % 1_000);
        format!("{whole}.{rest:03}")
    }
}

impl Shape {
    const fn validate(self) -> Result<(), ElementError> {
        if self.0 < 100 || self.0 > 100_000 {
            return Err(ElementError::Range {
                what: "shape (in thousandths)",
                value: self.0 as u64,
                range: "from 0.1 to 100",
            });
        }
        Ok(())
    }
}

impl Distribution {
    /// One draw.
    #[must_use]
    pub fn sample(&self, rng: &mut Rng) -> Duration {
        match *self {
            Self::Normal { mean, deviation } => {
                let nanos = nanos(mean) + nanos(deviation) * standard_normal(rng);
                Duration::from_nanos(whole(nanos))
            }
            Self::Pareto { scale, shape, cap } => {
                // Inversion: scale · u^(-1/shape) for u uniform in (0, 1].
                let exponent = -ln(unit(rng)) * 1_000.0 / f64::from(shape.0);
                let nanos = nanos(scale) * exp(exponent);
                Duration::from_nanos(whole(nanos)).min(cap.max(scale))
            }
        }
    }

    /// Checks that its numbers make sense.
    ///
    /// # Errors
    /// The first that does not.
    pub fn validate(&self) -> Result<(), ElementError> {
        match *self {
            Self::Normal { mean, deviation } => {
                delay("mean", mean)?;
                delay("deviation", deviation)
            }
            Self::Pareto { scale, shape, cap } => {
                delay("scale", scale)?;
                delay("cap", cap)?;
                shape.validate()
            }
        }
    }
}

/// Gaussian with middle 0 and deviation 1: Marsaglia's polar method (1964), of which one of the
/// two results is used.
fn standard_normal(rng: &mut Rng) -> f64 {
    loop {
        let (x, y) = (2.0 * unit(rng) - 1.0, 2.0 * unit(rng) - 1.0);
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            return x * (-2.0 * ln(square) / square).sqrt();
        }
    }
}

/// Uniform in (0, 1], in steps of 2^-53.
fn unit(rng: &mut Rng) -> f64 {
    const STEP: f64 = 1.0 / 9_007_199_254_740_992.0;
    exact(rng.bits() >> 11) * STEP + STEP
}

fn nanos(time: Duration) -> f64 {
    exact(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// Rounded to the nearest, as IEEE 754 defines the conversion.
#[expect(
    clippy::cast_precision_loss,
    reason = "delays of a day have 47 bits; above 53 bits rounding is exact in the sense of IEEE 754"
)]
const fn exact(value: u64) -> f64 {
    value as f64
}

/// The whole part; 0 for what is negative or no number, the largest for what is too large.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is what is wanted"
)]
pub(super) const fn whole(value: f64) -> u64 {
    value as u64
}

/// Natural logarithm of a positive normal number: the series of 2 artanh((m - 1) / (m + 1)) for a
/// mantissa between sqrt(1/2) and sqrt(2). Error: a few units in the last place.
fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0) - 1_023;
    let mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1_023 << 52));
    let (mantissa, exponent) = if mantissa > std::f64::consts::SQRT_2 {
        (mantissa * 0.5, exponent + 1)
    } else {
        (mantissa, exponent)
    };
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let square = t * t;
    let mut sum = 0.0;
    for odd in [21.0, 19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        sum = sum * square + 1.0 / odd;
    }
    2.0 * t * sum + f64::from(exponent) * std::f64::consts::LN_2
}

/// e^x for x from 0 to 700: the Taylor series around the nearest multiple of ln 2.
fn exp(x: f64) -> f64 {
    let power = whole(x / std::f64::consts::LN_2 + 0.5).min(1_000);
    let rest = x - exact(power) * std::f64::consts::LN_2;
    let mut sum = 1.0;
    for divisor in [
        14.0, 13.0, 12.0, 11.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0,
    ] {
        sum = 1.0 + sum * rest / divisor;
    }
    sum * f64::from_bits((1_023 + power) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn draws(distribution: Distribution, count: usize) -> Vec<f64> {
        let mut rng = Rng::new(9);
        let draw = |_| distribution.sample(&mut rng).as_secs_f64() * 1e3;
        let mut drawn: Vec<_> = (0..count).map(draw).collect();
        drawn.sort_by(f64::total_cmp);
        drawn
    }

    #[test]
    fn logarithm_and_exponential_agree_with_the_library_closely() {
        for x in [1e-16, 0.001, 0.3, 0.5, 0.99, 1.0, 1.5, 2.0, 1e9] {
            assert!(
                (ln(x) - f64::ln(x)).abs() <= 1e-14 * f64::ln(x).abs().max(1.0),
                "{x}"
            );
        }
        for x in [0.0, 0.1, 0.34, 0.7, 1.0, 10.0, 36.7, 300.0] {
            assert!((exp(x) / f64::exp(x) - 1.0).abs() < 1e-13, "{x}");
        }
    }

    #[test]
    fn draws_never_change() {
        let mut rng = Rng::new(1);
        let normal = Distribution::Normal {
            mean: 20 * MS,
            deviation: 5 * MS,
        };
        let pareto = Distribution::Pareto {
            scale: 10 * MS,
            shape: Shape(2_500),
            cap: 900 * MS,
        };
        let drawn = [normal, normal, pareto, pareto].map(|d| d.sample(&mut rng).as_nanos());
        assert_eq!(drawn, [29_421_980, 26_510_451, 11_552_139, 21_735_621]);
    }

    #[test]
    fn normal_delays_have_their_mean_and_deviation_and_are_cut_at_zero() {
        let drawn = draws(
            Distribution::Normal {
                mean: 20 * MS,
                deviation: 5 * MS,
            },
            20_000,
        );
        let mean = drawn.iter().sum::<f64>() / 20_000.0;
        let variance = drawn.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 20_000.0;
        assert!((mean - 20.0).abs() < 0.2, "{mean}");
        assert!((variance.sqrt() - 5.0).abs() < 0.15, "{variance}");
        // 15.87 % lie below one deviation under the middle, 2.28 % below two.
        assert!((drawn[3_173] - 15.0).abs() < 0.3 && (drawn[455] - 10.0).abs() < 0.6);
        let cut = draws(
            Distribution::Normal {
                mean: MS,
                deviation: 5 * MS,
            },
            1_000,
        );
        assert_eq!(cut[0], 0.0);
    }

    #[test]
    fn pareto_delays_have_their_least_their_tail_and_their_cap() {
        let drawn = draws(
            Distribution::Pareto {
                scale: 10 * MS,
                shape: Shape(2_000),
                cap: 200 * MS,
            },
            20_000,
        );
        assert!(drawn[0] >= 10.0 && drawn[19_999] == 200.0);
        // Half of them take longer than 10 · 2^(1/2), one in a hundred longer than 100.
        assert!((drawn[10_000] - 14.142).abs() < 0.3, "{}", drawn[10_000]);
        assert!((drawn[19_800] - 100.0).abs() < 15.0, "{}", drawn[19_800]);
    }
}
