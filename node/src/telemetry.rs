//! Logs: to stderr, quiet unless asked.
//!
//! Without anything only warnings appear. `-v` adds information, `-vv` debugging, `-vvv` every
//! packet. `DUNLIN_LOG`, or else `RUST_LOG`, takes a filter such as `dunlin_transport=debug` and
//! wins over `-v`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Installs the logger of the process. A second call changes nothing.
pub fn start(verbosity: u8) {
    let filter = ["DUNLIN_LOG", "RUST_LOG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .and_then(|value| EnvFilter::try_new(value).ok())
        .unwrap_or_else(|| EnvFilter::new(level(verbosity)));
    // A second logger is refused by the library; the first one stays, which is what is wanted.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
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
