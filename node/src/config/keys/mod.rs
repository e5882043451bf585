//! The one table of all keys: name, other names, what values it takes, what it means. Reading a file,
//! the environment, the generated file and `docs/config.md` all go by it.

mod network;
mod node;

pub(super) use node::GEO_DATABASE;

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;

use super::model::Config;
use super::shape::{Setting, Shape};

/// A key.
pub struct Key {
    /// Sections and name, with dots between.
    pub path: &'static str,
    /// Other names it goes by: those of other programs whose files are understood.
    pub aliases: &'static [&'static str],
    /// The values it takes.
    pub shape: Shape,
    /// What it means.
    pub says: &'static str,
    /// Where its default comes from.
    pub source: &'static str,
    /// Whether a running node takes a new value on SIGHUP.
    pub is_live: bool,
    pub(super) get: fn(&Config) -> Setting,
    pub(super) set: fn(&mut Config, Setting) -> Result<(), String>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path)
    }
}

impl Key {
    /// The variable of the environment that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("DUNLIN_{}", self.path.replace('.', "_").to_uppercase())
    }

    /// Its value in `config`.
    #[must_use]
    pub fn get(&self, config: &Config) -> Setting {
        (self.get)(config)
    }
}

/// Every key, section by section.
pub fn all() -> impl Iterator<Item = &'static Key> {
    node::KEYS.iter().chain(network::KEYS)
}

/// The key of this name, or of this other name.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    all().find(|key| key.path == path || key.aliases.contains(&path))
}

const fn key(
    path: &'static str,
    shape: Shape,
    says: &'static str,
    get: fn(&Config) -> Setting,
    set: fn(&mut Config, Setting) -> Result<(), String>,
) -> Key {
    Key {
        path,
        aliases: &[],
        shape,
        says,
        source: "chosen",
        is_live: false,
        get,
        set,
    }
}

impl Key {
    const fn or(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    const fn from(mut self, source: &'static str) -> Self {
        self.source = source;
        self
    }

    const fn live(mut self) -> Self {
        self.is_live = true;
        self
    }
}

/// What a shape has let pass is what the setter of the key takes: anything else is a mistake in the
/// table, which the test of the defaults finds.
const MISFIT: &str = "has a value of another kind";

impl Setting {
    fn text(self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(MISFIT.into()),
        }
    }

    fn integer<T: TryFrom<u64>>(self) -> Result<T, String> {
        match self {
            Self::Integer(number) => T::try_from(number).map_err(|_| MISFIT.into()),
            _ => Err(MISFIT.into()),
        }
    }

    fn number(self) -> Result<f64, String> {
        match self {
            Self::Number(number) => Ok(number),
            _ => Err(MISFIT.into()),
        }
    }

    fn seconds(self) -> Result<Duration, String> {
        Duration::try_from_secs_f64(self.number()?).map_err(|_| MISFIT.into())
    }

    fn flag(self) -> Result<bool, String> {
        match self {
            Self::Flag(flag) => Ok(flag),
            _ => Err(MISFIT.into()),
        }
    }

    fn list(self) -> Result<Vec<String>, String> {
        match self {
            Self::List(items) => Ok(items),
            _ => Err(MISFIT.into()),
        }
    }

    fn word<T: ValueEnum>(self) -> Result<T, String> {
        T::from_str(&self.text()?, true)
    }

    fn of_word<T: ValueEnum>(value: &T) -> Self {
        let name = value.to_possible_value();
        name.map_or(Self::Unset, |name| Self::Text(name.get_name().into()))
    }

    fn of_optional(text: Option<String>) -> Self {
        text.map_or(Self::Unset, Self::Text)
    }

    fn of_path(path: Option<&std::path::PathBuf>) -> Self {
        Self::of_optional(path.map(|path| path.display().to_string()))
    }

    fn of_count(count: usize) -> Self {
        Self::Integer(u64::try_from(count).unwrap_or(u64::MAX))
    }
}
