//! Logs: to stderr, quiet unless asked.
//!
//! Without anything only warnings appear, of a node information too. `-v` adds information, `-vv`
//! debugging, `-vvv` every packet. `DUNLIN_LOG`, or else `RUST_LOG`, takes a filter such as
//! `dunlin_transport=debug` and wins over `-v`. A node reads both from its configuration as well, and
//! bounds how often one place of the program may write (`limit`). The last lines of a node stay in memory
//! ([`book`]).

pub mod book;
mod limit;
pub mod limits;

use std::io::IsTerminal;
use std::sync::Arc;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use self::book::{Book, Writing};
use self::limit::{Limit, Limiter};
use crate::config::{LogConfig, LogFormat};

/// Installs the logger of the process. A second call changes nothing.
pub fn start(verbosity: u8) {
    let filter = wished(verbosity).unwrap_or_else(|| EnvFilter::new(QUIET));
    // A second logger is refused by the library; the first one stays, which is what is wanted.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}

/// What is logged when nobody says.
const QUIET: &str = "warn";

/// The filter of the environment, or else the level of so many `-v`; `None`: nobody says.
fn wished(verbosity: u8) -> Option<EnvFilter> {
    let of_environment = ["DUNLIN_LOG", "RUST_LOG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .and_then(|value| EnvFilter::try_new(value).ok());
    of_environment.or_else(|| level(verbosity).map(EnvFilter::new))
}

/// The level that so many `-v` ask for; `None`: none was given.
#[must_use]
pub fn level(verbosity: u8) -> Option<&'static str> {
    match verbosity {
        0 => None,
        1 => Some("info"),
        2 => Some("debug"),
        _ => Some("trace"),
    }
}

/// The logger of a node, which can be changed while it runs.
#[derive(Clone, Debug)]
pub struct Logs {
    filter: reload::Handle<EnvFilter, Registry>,
    limiter: Arc<Limiter>,
    book: Arc<Book>,
}

impl Logs {
    /// Installs the logger of a node.
    #[must_use]
    pub fn start(config: &LogConfig) -> Self {
        let (filter, handle) = reload::Layer::new(filter(config));
        let limiter = Arc::new(Limiter::new(config.repeats_per_minute));
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let lines = match config.format {
            LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let book = Arc::new(Book::default());
        // One bound for both: a line that stderr does not get is not kept either.
        let both = lines.and_then(Writing(Arc::clone(&book)));
        // As above: the first logger stays.
        let _ = Registry::default()
            .with(filter)
            .with(both.with_filter(Limit(Arc::clone(&limiter))))
            .try_init();
        Self {
            filter: handle,
            limiter,
            book,
        }
    }

    /// Installs the logger of a process whose log is read with `dunlin logs` rather than on stderr: unless
    /// the environment or `-v` says otherwise, warnings go to stderr, and what is kept has information as
    /// well. One place of the program may write `repeats_per_minute` lines.
    #[must_use]
    pub fn start_in_memory(verbosity: u8, repeats_per_minute: u32) -> Self {
        let kept = wished(verbosity).unwrap_or_else(|| EnvFilter::new("info"));
        let (filter, handle) = reload::Layer::new(kept);
        let limiter = Arc::new(Limiter::new(repeats_per_minute));
        let shown = wished(verbosity).unwrap_or_else(|| EnvFilter::new(QUIET));
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_filter(shown);
        let book = Arc::new(Book::default());
        let both = lines.and_then(Writing(Arc::clone(&book)));
        // As above: the first logger stays.
        let _ = Registry::default()
            .with(filter)
            .with(both.with_filter(Limit(Arc::clone(&limiter))))
            .try_init();
        Self {
            filter: handle,
            limiter,
            book,
        }
    }

    /// The last lines.
    #[must_use]
    pub const fn book(&self) -> &Arc<Book> {
        &self.book
    }

    /// Takes another level, filter and bound.
    pub fn apply(&self, config: &LogConfig) {
        // Fails when another logger was installed first: then there is nothing to change.
        let _ = self.filter.reload(filter(config));
        self.limiter.set_per_minute(config.repeats_per_minute);
    }

    /// Takes another filter, until the configuration is read again.
    ///
    /// # Errors
    /// A sentence, when it is none, or another logger was installed first.
    pub fn set_filter(&self, filter: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(filter).map_err(|error| {
            format!("not a log filter ({error}); write for example info or dunlin_transport=debug")
        })?;
        let set = self.filter.reload(filter);
        set.map_err(|error| format!("the log cannot be changed: {error}"))
    }

    /// Writes how many lines were left out since the last time, for each place that had some.
    pub fn tell_left_out(&self) {
        for (place, count) in self.limiter.take_left_out() {
            tracing::warn!(
                count,
                file = place.file,
                line = place.line,
                "lines like those of this place were left out"
            );
        }
    }
}

/// What the configuration lets pass. Its filter was read once already, when it was set.
fn filter(config: &LogConfig) -> EnvFilter {
    let of_filter = config.filter.as_ref();
    of_filter
        .and_then(|filter| EnvFilter::try_new(filter).ok())
        .unwrap_or_else(|| EnvFilter::new(config.level.word()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_v_means_more_text() {
        assert_eq!(
            [0, 1, 2, 3, 200].map(level),
            [
                None,
                Some("info"),
                Some("debug"),
                Some("trace"),
                Some("trace")
            ]
        );
    }
}
