//! Elements in scenario files: one table each, whose first key is the kind.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::blackout::Blackout;
use super::capacity::Capacity;
use super::delay::Distribution;
use super::element::{Element, ElementError};
use super::loss::GilbertElliott;
use super::queue::{DropTail, Queue};
use crate::rng::Ppm;
use crate::units::{BitRate, Size, Time};

/// A plain value (text, number, list), or a table.
pub(crate) enum Either<A, B> {
    Value(A),
    Table(B),
}

/// Reads a plain value as `A` and a table as `B`, each with its own errors.
pub(crate) fn either<'de, A, B, D>(
    deserializer: D,
    expecting: &'static str,
) -> Result<Either<A, B>, D::Error>
where
    A: Deserialize<'de>,
    B: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(EitherVisitor {
        expecting,
        types: PhantomData,
    })
}

struct EitherVisitor<A, B> {
    expecting: &'static str,
    types: PhantomData<(A, B)>,
}

impl<'de, A: Deserialize<'de>, B: Deserialize<'de>> de::Visitor<'de> for EitherVisitor<A, B> {
    type Value = Either<A, B>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        A::deserialize(de::value::StrDeserializer::new(text)).map(Either::Value)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        A::deserialize(de::value::U64Deserializer::new(number)).map(Either::Value)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        A::deserialize(de::value::I64Deserializer::new(number)).map(Either::Value)
    }

    fn visit_seq<S: de::SeqAccess<'de>>(self, list: S) -> Result<Self::Value, S::Error> {
        A::deserialize(SeqAccessDeserializer::new(list)).map(Either::Value)
    }

    fn visit_map<M: de::MapAccess<'de>>(self, map: M) -> Result<Self::Value, M::Error> {
        B::deserialize(MapAccessDeserializer::new(map)).map(Either::Table)
    }
}

/// A fixed time or a distribution.
enum DelayText {
    Fixed(Time),
    Random(Distribution),
}

impl<'de> Deserialize<'de> for DelayText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting = "a time such as \"20ms\", or a table of normal or pareto";
        Ok(match either(deserializer, expecting)? {
            Either::Value(time) => Self::Fixed(time),
            Either::Table(distribution) => Self::Random(distribution),
        })
    }
}

impl Serialize for DelayText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(time) => time.serialize(serializer),
            Self::Random(distribution) => distribution.serialize(serializer),
        }
    }
}

/// Every key an element may have; which belong together is checked afterwards.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Table {
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<DelayText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_order: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loss: Option<Ppm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gilbert_elliott: Option<GilbertElliott>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reorder: Option<Ppm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate: Option<Ppm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    corrupt: Option<Ppm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<Capacity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<Queue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<Size>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ecn_mark: Option<Ppm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ecn_bleach: Option<Ppm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policer: Option<BitRate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    burst: Option<Size>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blackout: Option<Blackout>,
}

const KINDS: &str = "delay, loss, gilbert_elliott, reorder, duplicate, corrupt, rate, mtu, \
                     ecn_mark, ecn_bleach, policer, blackout";

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        Self::try_from(table).map_err(de::Error::custom)
    }
}

impl Serialize for Element {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Table::from(self).serialize(serializer)
    }
}

impl Table {
    /// The one kind.
    fn kind(&self) -> Result<&'static str, ElementError> {
        let kinds = [
            ("delay", self.delay.is_some()),
            ("loss", self.loss.is_some()),
            ("gilbert_elliott", self.gilbert_elliott.is_some()),
            ("reorder", self.reorder.is_some()),
            ("duplicate", self.duplicate.is_some()),
            ("corrupt", self.corrupt.is_some()),
            ("rate", self.rate.is_some()),
            ("mtu", self.mtu.is_some()),
            ("ecn_mark", self.ecn_mark.is_some()),
            ("ecn_bleach", self.ecn_bleach.is_some()),
            ("policer", self.policer.is_some()),
            ("blackout", self.blackout.is_some()),
        ];
        let found: Vec<_> = kinds
            .iter()
            .filter(|(_, there)| *there)
            .map(|(kind, _)| *kind)
            .collect();
        match found.as_slice() {
            [kind] => Ok(kind),
            [] => Err(ElementError::Kind {
                kinds: KINDS,
                found: "none".into(),
            }),
            several => Err(ElementError::Kind {
                kinds: KINDS,
                found: several.join(" and "),
            }),
        }
    }

    /// Refuses keys that belong to other kinds.
    fn check_companions(&self, kind: &'static str) -> Result<(), ElementError> {
        let random = matches!(self.delay, Some(DelayText::Random(_)));
        let companions = [
            ("jitter", self.jitter.is_some(), kind == "delay" && !random),
            ("in_order", self.in_order.is_some(), kind == "delay"),
            ("by", self.by.is_some(), kind == "reorder"),
            ("queue", self.queue.is_some(), kind == "rate"),
            ("icmp", self.icmp.is_some(), kind == "mtu"),
            ("burst", self.burst.is_some(), kind == "policer"),
        ];
        for (key, there, belongs) in companions {
            if there && !belongs {
                return Err(ElementError::Foreign { key, kind });
            }
        }
        Ok(())
    }
}

impl TryFrom<Table> for Element {
    type Error = ElementError;

    fn try_from(table: Table) -> Result<Self, ElementError> {
        let kind = table.kind()?;
        table.check_companions(kind)?;
        let needs = |key| ElementError::Missing { kind, key };
        let in_order = table.in_order.unwrap_or(true);
        let chances = [
            (table.loss, Self::Loss as fn(Ppm) -> Self),
            (table.duplicate, Self::Duplicate),
            (table.corrupt, Self::Corrupt),
            (table.ecn_mark, Self::EcnMark),
            (table.ecn_bleach, Self::EcnBleach),
        ];
        let chance = chances
            .into_iter()
            .find_map(|(chance, element)| chance.map(element));
        let element = if let Some(element) = chance {
            element
        } else if let Some(delay) = table.delay {
            match delay {
                DelayText::Fixed(fixed) => Self::Delay {
                    fixed: fixed.0,
                    jitter: table.jitter.unwrap_or_default().0,
                    in_order,
                },
                DelayText::Random(distribution) => Self::RandomDelay {
                    distribution,
                    in_order,
                },
            }
        } else if let Some(model) = table.gilbert_elliott {
            Self::GilbertElliott(model)
        } else if let Some(chance) = table.reorder {
            let extra = table.by.ok_or_else(|| needs("by"))?.0;
            Self::Reorder { chance, extra }
        } else if let Some(capacity) = table.rate {
            bottleneck(capacity, table.queue.ok_or_else(|| needs("queue"))?)
        } else if let Some(bytes) = table.mtu {
            let bytes = usize::try_from(bytes.0).unwrap_or(usize::MAX);
            if table.icmp == Some(true) {
                Self::MtuWithIcmp(bytes)
            } else {
                Self::Mtu(bytes)
            }
        } else if let Some(rate) = table.policer {
            Self::Policer {
                bits_per_second: rate.0,
                burst_bytes: table.burst.ok_or_else(|| needs("burst"))?.0,
            }
        } else {
            Self::Blackout(table.blackout.ok_or_else(|| needs("blackout"))?)
        };
        element.validate().map(|()| element)
    }
}

/// The fast form where there is one.
fn bottleneck(capacity: Capacity, queue: Queue) -> Element {
    match (capacity, queue) {
        (
            Capacity::Constant(bits_per_second),
            Queue::DropTail(DropTail {
                bytes,
                mark_above: None,
            }),
        ) => Element::Rate {
            bits_per_second,
            queue_bytes: bytes,
        },
        (capacity, queue) => Element::Bottleneck { capacity, queue },
    }
}

impl From<&Element> for Table {
    fn from(element: &Element) -> Self {
        let mut table = Self::default();
        let default = |in_order: bool| (!in_order).then_some(false);
        match element {
            Element::Delay {
                fixed,
                jitter,
                in_order,
            } => {
                table.delay = Some(DelayText::Fixed(Time(*fixed)));
                table.jitter = (!jitter.is_zero()).then_some(Time(*jitter));
                table.in_order = default(*in_order);
            }
            Element::RandomDelay {
                distribution,
                in_order,
            } => {
                table.delay = Some(DelayText::Random(*distribution));
                table.in_order = default(*in_order);
            }
            Element::Loss(chance) => table.loss = Some(*chance),
            Element::GilbertElliott(model) => table.gilbert_elliott = Some(*model),
            Element::Reorder { chance, extra } => {
                table.reorder = Some(*chance);
                table.by = Some(Time(*extra));
            }
            Element::Duplicate(chance) => table.duplicate = Some(*chance),
            Element::Corrupt(chance) => table.corrupt = Some(*chance),
            Element::Rate {
                bits_per_second,
                queue_bytes,
            } => {
                table.rate = Some(Capacity::Constant(*bits_per_second));
                table.queue = Some(Queue::DropTail(DropTail::new(*queue_bytes)));
            }
            Element::Bottleneck { capacity, queue } => {
                table.rate = Some(capacity.clone());
                table.queue = Some(*queue);
            }
            Element::Mtu(bytes) => table.mtu = Some(Size(*bytes as u64)),
            Element::MtuWithIcmp(bytes) => {
                table.mtu = Some(Size(*bytes as u64));
                table.icmp = Some(true);
            }
            Element::EcnMark(chance) => table.ecn_mark = Some(*chance),
            Element::EcnBleach(chance) => table.ecn_bleach = Some(*chance),
            Element::Policer {
                bits_per_second,
                burst_bytes,
            } => {
                table.policer = Some(BitRate(*bits_per_second));
                table.burst = Some(Size(*burst_bytes));
            }
            Element::Blackout(blackout) => table.blackout = Some(blackout.clone()),
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct File {
        path: Vec<Element>,
    }

    fn read(elements: &str) -> Result<Vec<Element>, String> {
        let file: Result<File, _> = toml::from_str(&format!("path = [{elements}]"));
        file.map(|file| file.path)
            .map_err(|error| error.to_string())
    }

    const EVERY_FORM: [&str; 24] = [
        r#"{ delay = "20ms" }"#,
        r#"{ delay = "20ms", jitter = "5ms" }"#,
        r#"{ delay = "20ms", jitter = "5ms", in_order = false }"#,
        r#"{ delay = { normal = { mean = "20ms", deviation = "4ms" } } }"#,
        r#"{ delay = { pareto = { scale = "20ms", shape = "2.500", cap = "1s" } }, in_order = false }"#,
        r#"{ loss = "1%" }"#,
        r#"{ gilbert_elliott = { good_to_bad = "1%", bad_to_good = "25%", loss_good = "0ppm", loss_bad = "90%" } }"#,
        r#"{ reorder = "2%", by = "5ms" }"#,
        r#"{ duplicate = "1%" }"#,
        r#"{ corrupt = "1000ppm" }"#,
        r#"{ rate = "100mbit", queue = "500kB" }"#,
        r#"{ rate = "100mbit", queue = { drop_tail = { bytes = "500kB", mark_above = "100kB" } } }"#,
        r#"{ rate = "100mbit", queue = { codel = { target = "5ms", interval = "100ms", bytes = "1500kB", ecn = true } } }"#,
        r#"{ rate = "100mbit", queue = { dual_pi2 = { target = "15ms", l4s_threshold = "800us", bytes = "1500kB" } } }"#,
        r#"{ rate = { steps = [["0ns", "5mbit"], ["2s", "1mbit"]], repeat = "4s" }, queue = "500kB" }"#,
        r#"{ rate = { steps = [["0ns", "5mbit"]] }, queue = "500kB" }"#,
        r#"{ rate = { opportunities_ms = [1, 3, 3, 8] }, queue = "500kB" }"#,
        r#"{ mtu = "1400B" }"#,
        r#"{ mtu = "1400B", icmp = true }"#,
        r#"{ ecn_mark = "10%" }"#,
        r#"{ ecn_bleach = "100%" }"#,
        r#"{ policer = "10mbit", burst = "64kB" }"#,
        r#"{ blackout = [["2s", "3s"], ["8s", "8500ms"]] }"#,
        r#"{ blackout = { first = "2s", length = "500ms", every = "10s" } }"#,
    ];

    #[test]
    fn every_form_round_trips() {
        for form in EVERY_FORM {
            let elements = read(form).unwrap_or_else(|error| panic!("{form}: {error}"));
            let file = File { path: elements };
            let written = toml::to_string(&file).unwrap();
            assert_eq!(
                toml::from_str::<File>(&written).as_ref(),
                Ok(&file),
                "{written}"
            );
            // Written in the canonical form, it is what was read.
            let value = |text: &str| text.parse::<toml::Table>().unwrap();
            assert_eq!(value(&written), value(&format!("path = [{form}]")));
        }
    }

    #[test]
    fn defaults_fill_what_is_not_said() {
        let paths = [
            r#"{ rate = "1gbit", queue = { codel = {} } }, { mtu = 1400, icmp = false }"#,
            r#"{ rate = "1gbit", queue = { codel = { target = "5ms" } } }, { mtu = "1400" }"#,
        ];
        assert_eq!(read(paths[0]), read(paths[1]));
        let short = r#"{ gilbert_elliott = { good_to_bad = "1%", bad_to_good = "25%" } }"#;
        let model = GilbertElliott {
            good_to_bad: Ppm::percent(1),
            bad_to_good: Ppm::percent(25),
            loss_good: Ppm(0),
            loss_bad: Ppm::ALWAYS,
        };
        assert_eq!(read(short), Ok(vec![Element::GilbertElliott(model)]));
        let number = r#"{ delay = { pareto = { scale = "1ms", shape = 2.5, cap = "1s" } } }"#;
        let text = r#"{ delay = { pareto = { scale = "1ms", shape = "2.5", cap = "1s" } } }"#;
        assert_eq!(read(number), read(text));
    }

    #[test]
    fn errors_name_what_is_wrong() {
        for (form, text) in [
            (
                r#"{ delay = "20 parsecs" }"#,
                "\"20 parsecs\" is not a time",
            ),
            (r#"{ delay = 20 }"#, "a time such as"),
            (
                r#"{ delay = { normal = { mean = "x", deviation = "1ms" } } }"#,
                "\"x\" is not a time",
            ),
            (r#"{ loss = "101%" }"#, "\"101%\" is too large"),
            (r#"{ loss = 0.01 }"#, "a probability such as"),
            (r#"{ loss = "1%", delay = "20ms" }"#, "delay and loss"),
            (r#"{ jitter = "1ms" }"#, "has none"),
            (
                r#"{ loss = "1%", jitter = "1ms" }"#,
                "`jitter` says nothing about `loss`",
            ),
            (r#"{ reorder = "1%" }"#, "`reorder` needs `by`"),
            (r#"{ rate = "1mbit" }"#, "`rate` needs `queue`"),
            (r#"{ policer = "1mbit" }"#, "`policer` needs `burst`"),
            (r#"{ rate = "0bit", queue = "1kB" }"#, "rate is zero"),
            (r#"{ rate = "1mbit", queue = "0B" }"#, "queue is zero"),
            (r#"{ rate = "1mbit", queue = { red = {} } }"#, "red"),
            (
                r#"{ rate = "1mbit", queue = { codel = { traget = "5ms" } } }"#,
                "traget",
            ),
            (
                r#"{ rate = { steps = [["0s", "fast"]] }, queue = "1kB" }"#,
                "\"fast\" is not a rate",
            ),
            (
                r#"{ rate = { steps = [["1s", "1mbit"]] }, queue = "1kB" }"#,
                "ascend",
            ),
            (r#"{ lossy = "1%" }"#, "lossy"),
            (r#"{ mtu = 10 }"#, "at least 64"),
            (r#"{ delay = "999h" }"#, "86400"),
            (
                r#"{ blackout = [["2s", "soon"]] }"#,
                "\"soon\" is not a time",
            ),
            (
                r#"{ blackout = { first = "2s", length = "1s", every = "1s" } }"#,
                "shorter than every",
            ),
            (
                r#"{ delay = { pareto = { scale = "1ms", shape = 0, cap = "1s" } } }"#,
                "from 0.1 to 100",
            ),
        ] {
            let error = read(form).unwrap_err();
            assert!(error.contains(text), "{form}: {error}");
        }
    }
}
