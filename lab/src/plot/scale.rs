//! Units that read well: a base unit and the power of ten or two that suits the largest value.

/// The base unit of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Bits per second.
    BitsPerSecond,
    /// Bytes.
    Bytes,
    /// Nanoseconds.
    Nanoseconds,
    /// Millionths.
    Millionths,
    /// A number of things.
    Count,
}

/// A unit with its divisor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scale {
    divisor: u64,
    name: &'static str,
}

impl Scale {
    /// The scale in which `largest` has few digits before the point.
    #[must_use]
    pub fn of(unit: Unit, largest: u64) -> Self {
        let choices: &[(u64, &'static str)] = match unit {
            Unit::BitsPerSecond => &[
                (1_000_000_000, "Gbit/s"),
                (1_000_000, "Mbit/s"),
                (1_000, "kbit/s"),
                (1, "bit/s"),
            ],
            Unit::Bytes => &[
                (1 << 30, "GiB"),
                (1 << 20, "MiB"),
                (1 << 10, "KiB"),
                (1, "bytes"),
            ],
            Unit::Nanoseconds => &[
                (1_000_000_000, "s"),
                (1_000_000, "ms"),
                (1_000, "µs"),
                (1, "ns"),
            ],
            Unit::Millionths => &[(10_000, "%")],
            Unit::Count => &[(1, "")],
        };
        let fitting = choices.iter().find(|(divisor, _)| largest >= 2 * divisor);
        let (divisor, name) = fitting.or(choices.last()).copied().unwrap_or((1, ""));
        Self { divisor, name }
    }

    /// A value in this scale.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits are more than a picture shows"
    )]
    pub fn apply(self, value: u64) -> f64 {
        value as f64 / self.divisor as f64
    }

    /// `what` with the unit, as an axis is labelled.
    #[must_use]
    pub fn label(self, what: &str) -> String {
        if self.name.is_empty() {
            what.into()
        } else {
            format!("{what} [{}]", self.name)
        }
    }
}
