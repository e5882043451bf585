//! The configuration of a node: defaults, then a file, then the environment, then the command line.
//!
//! A file is TOML or JSON, with our keys or those of the two programs that this one learnt from
//! (`docs/config.md`). Each value is checked by the table of `keys`; what is wrong is told with
//! file, line and what would be right. A key that does not exist is refused, not ignored: it was
//! meant to do something.

mod error;
mod keys;
mod model;
mod shape;
mod tree;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dunlin_lab::experiment::error::nearest;

pub use self::error::{Mistake, Mistakes, Origin};
pub use self::keys::{Key, all as all_keys};
pub use self::model::{
    Config, GossipConfig, LogConfig, LogFormat, LogLevel, PeersConfig, ReputationConfig,
};
pub use self::shape::{Setting, Shape};
pub use self::tree::{FILE_LEN_MAX, Format};
pub use self::write::written;

use crate::failure::plain_reason;
use crate::geo::Database;

/// The filter of logs that every command takes.
const LOG_VARIABLE: &str = "DUNLIN_LOG";

/// Variables that begin with `DUNLIN_` and are no keys: of the program, and of its test suites.
const OTHER_VARIABLES: [&str; 5] = [
    "DUNLIN_CONFIG",
    "DUNLIN_KEYLOG",
    "DUNLIN_LOG",
    "DUNLIN_NETWORK",
    "DUNLIN_SEEDS",
];

/// A configuration that is being put together, and where each value is from.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    config: Config,
    origins: BTreeMap<&'static str, Origin>,
    mistakes: Vec<Mistake>,
}

impl Draft {
    /// Puts the values of a file in. `text` is its content.
    #[must_use]
    pub fn with_text(mut self, path: &Path, text: &str, format: Format) -> Self {
        let at = |line| Origin::File {
            path: path.into(),
            line,
        };
        let entries = match tree::read(text, format) {
            Ok(entries) => entries,
            Err(error) => {
                let kind = match format {
                    Format::Toml => "TOML",
                    Format::Json => "JSON",
                };
                let sentence = format!("this is not {kind}: {}", error.why);
                self.mistake(at(error.line), "", sentence);
                return self;
            }
        };
        let mut lines = BTreeMap::new();
        for entry in entries {
            let Some(key) = keys::find(&entry.path) else {
                self.mistake(at(entry.line), &entry.path, unknown(&entry.path));
                continue;
            };
            if let Some(line) = lines.insert(key.path, entry.line) {
                let sentence = format!("is set twice: line {line} sets {} too", key.path);
                self.mistake(at(entry.line), &entry.path, sentence);
                continue;
            }
            self.set(key, &entry.path, &entry.value, at(entry.line));
        }
        self
    }

    /// Puts a file in.
    ///
    /// # Errors
    /// It cannot be read, or is longer than [`FILE_LEN_MAX`].
    pub fn with_file(self, path: &Path) -> Result<Self, Mistakes> {
        let text = read(path)?;
        Ok(self.with_text(path, &text, format_of(path)))
    }

    /// Puts the variables of the environment in whose names begin with `DUNLIN_`.
    #[must_use]
    pub fn with_environment(
        mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let known: BTreeMap<_, _> = keys::all().map(|key| (key.variable(), key)).collect();
        for (name, text) in variables {
            if text.is_empty() || !name.starts_with("DUNLIN_") {
                continue;
            }
            let path = if name == LOG_VARIABLE {
                "log.filter"
            } else {
                known.get(&name).map_or("", |key| key.path)
            };
            let origin = Origin::Environment(name.clone());
            if let Some(key) = keys::find(path) {
                let raw = key.shape.raw(&text);
                self.set(key, "", &raw, origin);
            } else if !OTHER_VARIABLES.contains(&name.as_str()) {
                // Other programs may have variables of that kind; a misspelt one of ours has not.
                let names: Vec<_> = known.keys().cloned().collect();
                if let Some(near) = nearest(&name, &names) {
                    let sentence = format!("is no variable of dunlin; did you mean {near}?");
                    self.mistake(origin, "", sentence);
                }
            }
        }
        self
    }

    /// Puts a value of the command line in, as text.
    #[must_use]
    pub fn with_flag(mut self, path: &str, text: Option<String>) -> Self {
        if let (Some(key), Some(text)) = (keys::find(path), text) {
            let raw = key.shape.raw(&text);
            self.set(key, key.path, &raw, Origin::Flag);
        }
        self
    }

    /// The configuration.
    ///
    /// # Errors
    /// Every mistake that was found on the way, values that contradict each other, and a database of places
    /// that cannot be used.
    pub fn finish(mut self) -> Result<Config, Mistakes> {
        self.check_order();
        self.check_geo_database();
        if self.mistakes.is_empty() {
            Ok(self.config)
        } else {
            Err(Mistakes(self.mistakes))
        }
    }

    fn set(&mut self, key: &'static Key, written: &str, raw: &tree::Raw, origin: Origin) {
        let fits = key.shape.read(raw);
        match fits.and_then(|value| (key.set)(&mut self.config, value)) {
            Ok(()) => {
                self.origins.insert(key.path, origin);
            }
            Err(sentence) => self.mistake(origin, written, sentence),
        }
    }

    fn mistake(&mut self, origin: Origin, key: &str, sentence: String) {
        self.mistakes.push(Mistake {
            origin,
            key: key.into(),
            sentence,
        });
    }

    /// A database that is not there, or is none, is told before a node starts.
    fn check_geo_database(&mut self) {
        let Some(path) = &self.config.geo_database else {
            return;
        };
        if let Err(error) = Database::open(path) {
            let sentence = format!("is \"{}\", {error}", path.display());
            let origin = self.origins.get(keys::GEO_DATABASE);
            self.mistake(
                origin.cloned().unwrap_or_default(),
                keys::GEO_DATABASE,
                sentence,
            );
        }
    }

    /// Values that must not be above others.
    fn check_order(&mut self) {
        let (peers, reputation) = (&self.config.peers, &self.config.reputation);
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let mut pairs = vec![
            (
                (
                    "network.peers.min_connections",
                    count(peers.min_connections),
                ),
                (
                    "network.peers.max_connections",
                    count(peers.max_connections),
                ),
            ),
            (
                (
                    "network.reputation.auto_ban_threshold",
                    reputation.auto_ban.into(),
                ),
                (
                    "network.reputation.auto_disconnect_threshold",
                    reputation.auto_disconnect.into(),
                ),
            ),
            (
                (
                    "network.reputation.auto_disconnect_threshold",
                    reputation.auto_disconnect.into(),
                ),
                (
                    "network.reputation.min_relay_reputation",
                    reputation.min_relay.into(),
                ),
            ),
        ];
        if let Some(target) = peers.target_connections {
            let target = ("network.peers.target_connections", count(target));
            let least = (
                "network.peers.min_connections",
                count(peers.min_connections),
            );
            let most = (
                "network.peers.max_connections",
                count(peers.max_connections),
            );
            pairs.extend([(least, target), (target, most)]);
        }
        for ((lower, low), (upper, high)) in pairs {
            if low <= high {
                continue;
            }
            // What was set is what is wrong; a default never is.
            let (key, other) = match self.origins.contains_key(lower) {
                true => ((lower, low, "at most"), (upper, high)),
                false => ((upper, high, "at least"), (lower, low)),
            };
            let origin = self.origins.get(key.0).cloned().unwrap_or_default();
            let sentence = format!(
                "is {}, and has to be {} {} ({})",
                key.1, key.2, other.1, other.0
            );
            self.mistake(origin, key.0, sentence);
        }
    }
}

/// What is said about a key that does not exist.
fn unknown(path: &str) -> String {
    let names =
        keys::all().flat_map(|key| [key.path].into_iter().chain(key.aliases.iter().copied()));
    let names: Vec<_> = names.map(String::from).collect();
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    // The right name in the wrong section, or the wrong name altogether.
    let near = nearest(path, &names).or_else(|| {
        let lasts: Vec<_> = names.iter().map(|name| last(name)).collect();
        let near = nearest(&last(path), &lasts)?;
        names.into_iter().find(|name| last(name) == near)
    });
    match near {
        Some(near) => format!("is no key; did you mean {near}?"),
        None => "is no key; `dunlin generate-config -` prints all that there are".into(),
    }
}

/// By the ending of its name; TOML unless it is `.json`.
#[must_use]
pub fn format_of(path: &Path) -> Format {
    let ending = path.extension().and_then(|ending| ending.to_str());
    match ending {
        Some(ending) if ending.eq_ignore_ascii_case("json") => Format::Json,
        _ => Format::Toml,
    }
}

fn read(path: &Path) -> Result<String, Mistakes> {
    use std::io::Read;
    let refuse = |why: &str| {
        let origin = Origin::File {
            path: PathBuf::from(path),
            line: 0,
        };
        Mistakes::one(origin, "", format!("the file cannot be read: {why}"))
    };
    let file = std::fs::File::open(path).map_err(|error| refuse(&plain_reason(&error)))?;
    let mut bytes = Vec::new();
    file.take(FILE_LEN_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| refuse(&plain_reason(&error)))?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > FILE_LEN_MAX) {
        return Err(refuse("it is longer than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8 text"))
}

/// The keys whose values differ.
#[must_use]
pub fn changes(old: &Config, new: &Config) -> Vec<&'static Key> {
    keys::all()
        .filter(|key| key.get(old) != key.get(new))
        .collect()
}

#[cfg(test)]
mod tests;
