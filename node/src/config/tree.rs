//! A configuration file as a list of keys and values that know their lines: TOML 1.1 or JSON.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use toml::de::{DeTable, DeValue};

/// Longest configuration file in bytes.
pub const FILE_LEN_MAX: u64 = 1 << 20;
/// How deep sections may nest. The deepest key has two sections around it.
const DEPTH_MAX: usize = 8;

/// How a file is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// TOML
    Toml,
    /// JSON
    Json,
}

/// A value as it stands in a file or a variable.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Raw {
    Text(String),
    Integer(i128),
    Number(f64),
    Flag(bool),
    List(Vec<Self>),
    /// A date, or a section within a list: no key has such a value.
    Other(&'static str),
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "\"{}\"", text.escape_debug()),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::List(_) => f.write_str("a list"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// One value of a file.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Entry {
    /// Sections and key, with dots between.
    pub(super) path: String,
    pub(super) value: Raw,
    /// Line, from 1.
    pub(super) line: usize,
}

/// A text that is not of its format: line and what is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Unreadable {
    pub(super) line: usize,
    pub(super) why: String,
}

/// The values of a file in the order of their lines.
pub(super) fn read(text: &str, format: Format) -> Result<Vec<Entry>, Unreadable> {
    let mut entries = Vec::new();
    match format {
        Format::Toml => {
            let root = DeTable::parse(text).map_err(|error| Unreadable {
                line: error.span().map_or(1, |span| line_of(text, span.start)),
                why: one_line(error.message()),
            })?;
            from_toml(text, "", root.get_ref(), &mut entries);
        }
        Format::Json => from_json(text, text, "", 0, &mut entries)?,
    }
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

fn from_toml(text: &str, section: &str, table: &DeTable<'_>, entries: &mut Vec<Entry>) {
    for (key, value) in table {
        let path = join(section, key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => from_toml(text, &path, inner, entries),
            other => entries.push(Entry {
                path,
                value: toml_value(other),
                line: line_of(text, key.span().start),
            }),
        }
    }
}

fn toml_value(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            i128::from_str_radix(&digits, number.radix())
                .map_or(Raw::Other("a number that is too large"), Raw::Integer)
        }
        DeValue::Float(number) => number
            .as_str()
            .replace('_', "")
            .parse()
            .map_or(Raw::Other("no number"), Raw::Number),
        DeValue::Boolean(flag) => Raw::Flag(*flag),
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Array(items) => Raw::List(
            items
                .iter()
                .map(|item| toml_value(item.get_ref()))
                .collect(),
        ),
        DeValue::Table(_) => Raw::Other("a section"),
    }
}

/// The members of a JSON object in their order, also those that are there twice. The values stay
/// slices of the text, which is how their lines are known.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object: { \"key\": value, … }")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

fn from_json(
    text: &str,
    object: &str,
    section: &str,
    depth: usize,
    entries: &mut Vec<Entry>,
) -> Result<(), Unreadable> {
    let start = offset_in(text, object);
    let line_at = |offset| line_of(text, offset);
    let Members(members) = serde_json::from_str(object).map_err(|error| Unreadable {
        line: line_at(start) + error.line().saturating_sub(1),
        why: json_words(&error),
    })?;
    for (key, value) in members {
        let path = join(section, &key);
        let line = line_at(offset_in(text, value.get()));
        if value.get().starts_with('{') {
            if depth + 1 > DEPTH_MAX {
                let why = "sections nest too deep".into();
                return Err(Unreadable { line, why });
            }
            from_json(text, value.get(), &path, depth + 1, entries)?;
            continue;
        }
        let value = serde_json::from_str(value.get()).map_err(|error| Unreadable {
            line: line + error.line().saturating_sub(1),
            why: json_words(&error),
        })?;
        // What is null is as if it were not there.
        entries.extend(json_value(&value).map(|value| Entry { path, value, line }));
    }
    Ok(())
}

fn json_value(value: &serde_json::Value) -> Option<Raw> {
    use serde_json::Value;
    Some(match value {
        Value::Null => return None,
        Value::Bool(flag) => Raw::Flag(*flag),
        Value::Number(number) => match (number.as_i128(), number.as_f64()) {
            (Some(number), _) => Raw::Integer(number),
            (None, Some(number)) => Raw::Number(number),
            (None, None) => Raw::Other("no number"),
        },
        Value::String(text) => Raw::Text(text.clone()),
        Value::Array(items) => Raw::List(items.iter().filter_map(json_value).collect()),
        Value::Object(_) => Raw::Other("a section"),
    })
}

/// What serde_json says, without the place, which is told in front.
fn json_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let words = text.split(" at line ").next().unwrap_or_default();
    one_line(words)
}

/// Where a part of a text begins in it, in bytes.
fn offset_in(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

fn join(section: &str, key: &str) -> String {
    if section.is_empty() {
        key.to_owned()
    } else {
        format!("{section}.{key}")
    }
}

fn one_line(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(str::trim).collect();
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, value: Raw, line: usize) -> Entry {
        Entry {
            path: path.into(),
            value,
            line,
        }
    }

    #[test]
    fn both_formats_give_the_same_values_each_with_its_line() {
        let toml = "port = 4_6\n[network.peers]\nmin = -1\nseeds = [\"a\",\n 0.5]\non = true\n";
        let json = "{\"port\": 46,\n \"network\": {\"peers\": {\n\"min\": -1, \"gone\": null,\n\"seeds\": [\"a\", 0.5],\n\n \"on\": true}}}";
        let expected = [
            entry("port", Raw::Integer(46), 1),
            entry("network.peers.min", Raw::Integer(-1), 3),
            entry(
                "network.peers.seeds",
                Raw::List(vec![Raw::Text("a".into()), Raw::Number(0.5)]),
                4,
            ),
            entry("network.peers.on", Raw::Flag(true), 6),
        ];
        assert_eq!(read(toml, Format::Toml).unwrap(), expected);
        assert_eq!(read(json, Format::Json).unwrap(), expected);
    }

    #[test]
    fn a_text_that_is_not_of_its_format_is_refused_with_its_line() {
        for (text, format, line) in [
            ("a = 1\nb = ", Format::Toml, 2),
            ("a = 1\na = 2", Format::Toml, 2),
            ("{\"a\": 1,\n \"b\" 2}", Format::Json, 2),
            ("{\"a\": {\n\"b\": [1,\n,]}}", Format::Json, 3),
            ("[]", Format::Json, 1),
            ("", Format::Json, 1),
        ] {
            let error = read(text, format).unwrap_err();
            assert_eq!(error.line, line, "{text}: {}", error.why);
            assert!(!error.why.is_empty() && !error.why.contains('\n'));
        }
    }

    #[test]
    fn sections_may_nest_so_deep_and_no_deeper() {
        let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert!(read(&nested(DEPTH_MAX + 1), Format::Json).is_ok());
        assert!(read(&nested(DEPTH_MAX + 2), Format::Json).is_err());
        assert!(read(&nested(100_000), Format::Json).is_err());
    }

    #[test]
    fn a_key_that_is_twice_in_json_is_told_twice() {
        let entries = read("{\"a\": 1,\n\"a\": 2}", Format::Json).unwrap();
        assert_eq!(entries.len(), 2);
    }
}
