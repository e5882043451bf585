//! A configuration as a file: TOML with comments, or JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::keys::{self, Key};
use super::model::Config;
use super::shape::Setting;
use super::tree::Format;

const HEAD: &str = "\
# Configuration of a dunlin node: `dunlin start --config THIS_FILE`.
#
# Every line that begins with # is a comment. A key that is left out has its default, which is what
# stands here. A variable such as DUNLIN_NETWORK_PEERS_MAX_CONNECTIONS goes before this file, an option
# of the command line before both. Keys marked (live) change in a running node on SIGHUP.
# `dunlin config check THIS_FILE` says what is wrong with it.
";
/// Columns of a comment.
const COLUMNS: usize = 96;

/// `config` as a file that reads back as the same.
#[must_use]
pub fn written(config: &Config, format: Format) -> String {
    match format {
        Format::Toml => toml(config),
        Format::Json => json(config),
    }
}

fn toml(config: &Config) -> String {
    let mut text = String::from(HEAD);
    let mut section = "";
    for key in keys::all() {
        let (of, name) = split(key);
        if of != section {
            // Writing to a string does not fail.
            let _ = write!(text, "\n[{of}]");
            text.push('\n');
            section = of;
        } else {
            text.push('\n');
        }
        comment(&mut text, key);
        let _ = match key.get(config) {
            Setting::Unset => writeln!(text, "# {name} = …"),
            value => writeln!(text, "{name} = {}", toml_value(&value)),
        };
    }
    text
}

fn split(key: &Key) -> (&'static str, &'static str) {
    key.path.rsplit_once('.').unwrap_or(("", key.path))
}

fn comment(text: &mut String, key: &Key) {
    let live = if key.is_live { " (live)" } else { "" };
    let words = format!("{} Has to be {}.{live}", key.says, key.shape.wanted());
    let mut line = String::from("#");
    for word in words.split(' ') {
        if line.len() + 1 + word.len() > COLUMNS {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

fn toml_value(value: &Setting) -> String {
    let of = match value {
        Setting::Integer(number) => return number.to_string(),
        // With a point, so that it reads as a number with parts.
        Setting::Number(number) => return format!("{number:?}"),
        Setting::Flag(flag) => toml::Value::Boolean(*flag),
        Setting::Text(text) => toml::Value::String(text.clone()),
        Setting::List(items) => {
            toml::Value::Array(items.iter().cloned().map(toml::Value::String).collect())
        }
        Setting::Unset => return String::new(),
    };
    of.to_string()
}

fn json(config: &Config) -> String {
    let mut root = Value::Object(Map::new());
    for key in keys::all() {
        let value = match key.get(config) {
            Setting::Integer(number) => Value::from(number),
            Setting::Number(number) => Value::from(number),
            Setting::Flag(flag) => Value::from(flag),
            Setting::Text(text) => Value::from(text),
            Setting::List(items) => Value::from(items),
            Setting::Unset => continue,
        };
        // A section that is not there yet is made.
        let place = key
            .path
            .split('.')
            .fold(&mut root, |section, part| &mut section[part]);
        *place = value;
    }
    let mut text = serde_json::to_string_pretty(&root).unwrap_or_default();
    text.push('\n');
    text
}
