//! Logs: to stderr, quiet unless asked.
//!
//! Without anything only warnings appear. `-v` adds information, `-vv` debugging, `-vvv` every
//! packet. `DUNLIN_LOG`, or else `RUST_LOG`, takes a filter such as `dunlin_transport=debug` and
//! wins over `-v`.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// How the filter of the one logger of this process is changed.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Installs the logger of the process. A second call changes nothing.
pub fn start(verbosity: u8) {
    let filter = ["DUNLIN_LOG", "RUST_LOG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .and_then(|value| EnvFilter::try_new(value).ok())
        .unwrap_or_else(|| EnvFilter::new(level(verbosity)));
    // A second logger is refused by the library; the first one stays, which is what is wanted.
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = tracing_subscriber::registry().with(filter).with(lines);
    if started.try_init().is_ok() {
        let _ = FILTER.set(handle);
    }
}

/// Changes what the log of this process says.
///
/// # Errors
/// A sentence, when `filter` is none, or this process has another logger.
pub fn set_filter(filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        format!("not a log filter ({error}); write for example info or dunlin_transport=debug")
    })?;
    let handle = FILTER.get().ok_or("this process has a log of its own")?;
    handle.reload(filter).map_err(|error| error.to_string())
}

fn level(verbosity: u8) -> &'static str {
    match verbosity {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_v_means_more_text() {
        assert_eq!(
            [0, 1, 2, 3, 200].map(level),
            ["warn", "info", "debug", "trace", "trace"]
        );
    }
}
