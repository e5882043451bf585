//! Progress of a transfer on stderr: a bar with rate and time left on a terminal, plain lines
//! everywhere else.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::transfer::path::TransferPath;
use crate::transfer::progress::{Notice, Progress};

/// Progress on stderr.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    /// Plain lines instead of a bar.
    plain: bool,
    total: AtomicU64,
    done: AtomicU64,
    /// Tenths of the total that plain lines have told.
    told: AtomicU64,
}

impl Default for Bar {
    fn default() -> Self {
        Self::new(std::io::stderr().is_terminal())
    }
}

impl Bar {
    /// A bar when `terminal`, else plain lines.
    #[must_use]
    pub fn new(terminal: bool) -> Self {
        let bar = if terminal {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8))
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template(TEMPLATE);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self {
            bar,
            plain: !terminal,
            total: AtomicU64::new(0),
            done: AtomicU64::new(0),
            told: AtomicU64::new(0),
        }
    }

    /// Removes the bar; the summary takes its place.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Prints a line above the bar.
    pub fn line(&self, text: &str) {
        if self.plain {
            // A closed stderr stops no transfer.
            let _ = writeln!(std::io::stderr(), "{text}");
        } else {
            self.bar.println(text);
        }
    }

    fn tell_tenths(&self) {
        let total = self.total.load(Ordering::Relaxed);
        if !self.plain || total < PLAIN_LINES_FROM {
            return;
        }
        let done = self.done.load(Ordering::Relaxed).min(total);
        let tenth = done.saturating_mul(10) / total;
        if self.told.fetch_max(tenth, Ordering::Relaxed) < tenth {
            self.line(&format!("{}% of {}", tenth * 10, HumanBytes(total)));
        }
    }
}

impl Progress for Bar {
    fn started(&self, files: u32, bytes: u64) {
        self.total.store(bytes, Ordering::Relaxed);
        self.bar.set_length(bytes);
        self.bar.enable_steady_tick(Duration::from_millis(200));
        self.line(&format!(
            "{files} {}, {}",
            plural(files, "file", "files"),
            HumanBytes(bytes)
        ));
    }

    fn file(&self, path: &TransferPath) {
        if !self.plain {
            self.bar.set_message(path.to_string());
        }
    }

    fn advanced(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        self.bar.inc(bytes);
        self.tell_tenths();
    }

    fn already_there(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        // Not part of the rate.
        self.bar.inc(bytes);
        self.bar.reset_eta();
        self.tell_tenths();
    }

    fn notice(&self, notice: &Notice<'_>) {
        self.line(&sentence(notice));
    }
}

fn sentence(notice: &Notice<'_>) -> String {
    match notice {
        Notice::SkippedLink(path) => format!("skipped the symbolic link {}", shown(path)),
        Notice::SkippedSpecial(path) => format!("skipped {}: neither file nor folder", shown(path)),
        Notice::SkippedName(path, rule) => format!("skipped {}: {rule}", shown(path)),
        Notice::Resumed(path, held) => {
            format!("continuing {path} after {}", HumanBytes(*held))
        }
        Notice::ChangedSince(path) => {
            format!("{path} changed since the interrupted transfer: sending all of it")
        }
    }
}

fn shown(path: &std::path::Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

/// `one` or `many`, by `count`.
#[must_use]
pub fn plural<'a>(count: u32, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// A rate for people, for example `812.4 Mbit/s`.
#[must_use]
pub fn rate(bytes: u64, elapsed: Duration) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let bits_per_second = bytes as f64 * 8.0 / elapsed.as_secs_f64().max(1e-9);
    if bits_per_second >= 1e9 {
        format!("{:.2} Gbit/s", bits_per_second / 1e9)
    } else if bits_per_second >= 1e6 {
        format!("{:.1} Mbit/s", bits_per_second / 1e6)
    } else {
        format!("{:.1} kbit/s", bits_per_second / 1e3)
    }
}

const TEMPLATE: &str =
    "{bar:30} {percent:>3}% {bytes}/{total_bytes} {bytes_per_sec} {eta} left {wide_msg}";

// Smaller transfers are over before a line about their tenths is read.
const PLAIN_LINES_FROM: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_of_the_bar_is_valid() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }

    #[test]
    fn each_tenth_is_told_once() {
        let bar = Bar::new(false);
        bar.started(1, PLAIN_LINES_FROM);
        bar.advanced(PLAIN_LINES_FROM / 10 + 1);
        assert_eq!(bar.told.load(Ordering::Relaxed), 1);
        bar.already_there(PLAIN_LINES_FROM);
        assert_eq!(bar.told.load(Ordering::Relaxed), 10);
    }

    #[test]
    fn rates_read_well() {
        let second = Duration::from_secs(1);
        assert_eq!(rate(125_000_000, second), "1.00 Gbit/s");
        assert_eq!(rate(125_000, second), "1.0 Mbit/s");
        assert_eq!(rate(125, second), "1.0 kbit/s");
        assert_eq!(rate(0, Duration::ZERO), "0.0 kbit/s");
    }
}
