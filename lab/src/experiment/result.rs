//! What a run gives: named figures in integers, a fingerprint, perhaps series.

use serde::{Deserialize, Serialize};

use crate::plot::{Point, Quantity, Recording, Series, Unit};

/// A named number of a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// Lower case, words joined by `_`; that of one flow ends in `.NAME`.
    pub name: String,
    /// Its base unit.
    #[serde(with = "unit_name")]
    pub unit: Unit,
    /// In base units.
    pub value: u64,
    /// Which values are worse.
    pub worse: Worse,
}

/// Which values of a figure are worse.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Worse {
    /// Small ones, as of a rate.
    Lower,
    /// Large ones, as of a time.
    Higher,
}

/// What one seed of one combination of parameters gave.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunResult {
    /// Index of the combination of parameters.
    pub case: usize,
    /// The seed.
    pub seed: u64,
    /// Fingerprint of everything that crossed the network.
    #[serde(with = "hexadecimal")]
    pub trace_hash: u64,
    /// Nanoseconds of virtual time.
    pub virtual_ns: u64,
    /// Datagrams, or messages of a network of overlays.
    pub datagrams: u64,
    /// The figures; empty when something was violated before the end.
    pub figures: Vec<Figure>,
    /// What happened that must not, or did not that must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violation: Option<String>,
    /// Series over time, of the first seed of each case.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "recording")]
    pub recording: Option<Recording>,
}

impl Figure {
    /// A figure.
    #[must_use]
    pub fn new(name: impl Into<String>, unit: Unit, value: u64, worse: Worse) -> Self {
        Self {
            name: name.into(),
            unit,
            value,
            worse,
        }
    }
}

impl RunResult {
    /// A run of which nothing is known yet.
    #[must_use]
    pub const fn empty(case: usize, seed: u64) -> Self {
        Self {
            case,
            seed,
            trace_hash: 0,
            virtual_ns: 0,
            datagrams: 0,
            figures: Vec::new(),
            violation: None,
            recording: None,
        }
    }

    /// A figure by name.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.name == name)
    }
}

/// `value` of `unit` for people, with about four digits, by integer arithmetic alone.
#[must_use]
pub fn readable(unit: Unit, value: u64) -> String {
    let scales: &[(u64, &str)] = match unit {
        Unit::BitsPerSecond => &[
            (1_000_000_000, " Gbit/s"),
            (1_000_000, " Mbit/s"),
            (1_000, " kbit/s"),
            (1, " bit/s"),
        ],
        Unit::Bytes => &[
            (1_000_000_000, " GB"),
            (1_000_000, " MB"),
            (1_000, " kB"),
            (1, " B"),
        ],
        Unit::Nanoseconds => &[
            (1_000_000_000, " s"),
            (1_000_000, " ms"),
            (1_000, " µs"),
            (1, " ns"),
        ],
        // Above two it is a factor rather than a share.
        Unit::Millionths if value >= 2_000_000 => &[(1_000_000, "")],
        Unit::Millionths => &[(10_000, " %")],
        Unit::Count => &[(1, "")],
    };
    let fitting = scales.iter().find(|(scale, _)| value >= *scale);
    let (scale, name) = fitting.or(scales.last()).copied().unwrap_or((1, ""));
    if scale == 1 {
        return format!("{value}{name}");
    }
    let whole = value / scale;
    let decimals = match whole {
        0..=9 => 2,
        10..=99 => 1,
        _ if unit == Unit::Millionths => 1,
        _ => 0,
    };
    let power = 10_u64.pow(decimals);
    let scaled = u128::from(value) * u128::from(power) + u128::from(scale / 2);
    let rounded = scaled / u128::from(scale);
    let power = u128::from(power);
    if decimals == 0 {
        return format!("{rounded}{name}");
    }
    let width = usize::try_from(decimals).unwrap_or(0);
    format!("{}.{:0width$}{name}", rounded / power, rounded % power)
}

/// The name of a base unit in files.
#[must_use]
pub const fn base_unit(unit: Unit) -> &'static str {
    match unit {
        Unit::BitsPerSecond => "bit/s",
        Unit::Bytes => "B",
        Unit::Nanoseconds => "ns",
        Unit::Millionths => "ppm",
        Unit::Count => "count",
    }
}

mod unit_name {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::{Unit, base_unit};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "the signature that serde calls"
    )]
    pub(super) fn serialize<S: Serializer>(unit: &Unit, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(base_unit(*unit))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Unit, D::Error> {
        let name = String::deserialize(deserializer)?;
        let all = [
            Unit::BitsPerSecond,
            Unit::Bytes,
            Unit::Nanoseconds,
            Unit::Millionths,
            Unit::Count,
        ];
        let found = all.into_iter().find(|unit| base_unit(*unit) == name);
        found.ok_or_else(|| de::Error::custom(format!("\"{name}\" is no unit of a figure")))
    }
}

mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "the signature that serde calls"
    )]
    pub(super) fn serialize<S: Serializer>(hash: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{hash:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map_err(de::Error::custom)
    }
}

/// A recording in a file: name of the quantity, label, whether it is a limit, times, values.
mod recording {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use super::{Point, Quantity, Recording, Series};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        quantity: String,
        label: String,
        #[serde(default)]
        limit: bool,
        at_ns: Vec<u64>,
        values: Vec<u64>,
    }

    #[expect(clippy::ref_option, reason = "the signature that serde calls")]
    pub(super) fn serialize<S: Serializer>(
        recording: &Option<Recording>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let lines: Vec<Line> = recording
            .iter()
            .flat_map(|recording| &recording.series)
            .map(|series| Line {
                quantity: series.quantity.name().into(),
                label: series.label.clone(),
                limit: series.limit,
                at_ns: series.points.iter().map(|point| point.at_ns).collect(),
                values: series.points.iter().map(|point| point.value).collect(),
            })
            .collect();
        lines.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Recording>, D::Error> {
        let lines: Vec<Line> = Vec::deserialize(deserializer)?;
        let mut series = Vec::new();
        for line in lines {
            let wrong = || de::Error::custom(format!("\"{}\" is no quantity", line.quantity));
            let quantity = Quantity::from_name(&line.quantity).ok_or_else(wrong)?;
            let both = line.at_ns.into_iter().zip(line.values);
            series.push(Series {
                quantity,
                label: line.label,
                limit: line.limit,
                points: both.map(|(at_ns, value)| Point { at_ns, value }).collect(),
            });
        }
        Ok(Some(Recording { series }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        for (unit, value, text) in [
            (Unit::BitsPerSecond, 95_312_000, "95.3 Mbit/s"),
            (Unit::BitsPerSecond, 999, "999 bit/s"),
            (Unit::Nanoseconds, 1_500_000, "1.50 ms"),
            (Unit::Nanoseconds, 123_456_789_000, "123 s"),
            (Unit::Millionths, 1_000_000, "100.0 %"),
            (Unit::Millionths, 943, "0.09 %"),
            (Unit::Millionths, 13_620_000, "13.6"),
            (Unit::Bytes, 0, "0 B"),
            (Unit::Count, 12, "12"),
            (Unit::Bytes, u64::MAX, "18446744074 GB"),
        ] {
            assert_eq!(readable(unit, value), text);
        }
    }

    #[test]
    fn results_round_trip_through_json() {
        let point = Point { at_ns: 1, value: 2 };
        let result = RunResult {
            case: 1,
            seed: 7,
            trace_hash: u64::MAX - 1,
            virtual_ns: 9,
            datagrams: 3,
            figures: vec![Figure::new("goodput", Unit::BitsPerSecond, 5, Worse::Lower)],
            violation: Some("x".into()),
            recording: Some(Recording {
                series: vec![Series {
                    quantity: Quantity::Rtt,
                    label: "a".into(),
                    limit: false,
                    points: vec![point],
                }],
            }),
        };
        let text = serde_json::to_string(&result).unwrap();
        assert!(text.contains("\"fffffffffffffffe\""), "{text}");
        assert_eq!(serde_json::from_str::<RunResult>(&text).unwrap(), result);
        let bare = RunResult {
            violation: None,
            recording: None,
            ..result
        };
        let text = serde_json::to_string(&bare).unwrap();
        assert_eq!(serde_json::from_str::<RunResult>(&text).unwrap(), bare);
    }
}
