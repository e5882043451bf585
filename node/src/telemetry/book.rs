//! The last lines of the log, in memory, for who asks the running node (`dunlin logs`).
//!
//! What the filter of the log lets pass is kept, whether or not anybody reads stderr. Lines, their
//! length and what waits for a reader are bounded ([`super::limits`]); control characters become
//! U+FFFD, because parts of a line may come from a peer.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::limits::{FOLLOWING_MAX, LINE_LEN_MAX, LINES_MAX};
use crate::clock::unix_millis;

/// What follows a text that was cut.
const CUT: char = '…';

/// A line of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Rises by one from line to line of this process.
    pub sequence: u64,
    /// When, in milliseconds since the Unix epoch.
    pub unix_millis: u64,
    /// How much it matters.
    pub level: Level,
    /// The module that wrote it, such as `dunlin_transport::driver::task`.
    pub target: &'static str,
    /// What it says: the message, then `name=value` for each of its fields.
    pub text: String,
}

/// The last lines.
#[derive(Debug)]
pub struct Book {
    pages: Mutex<Pages>,
    following: broadcast::Sender<Arc<Line>>,
}

#[derive(Debug, Default)]
struct Pages {
    lines: VecDeque<Arc<Line>>,
    last: u64,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            pages: Mutex::default(),
            following: broadcast::Sender::new(FOLLOWING_MAX),
        }
    }
}

impl Book {
    /// Writes a line.
    pub(super) fn write(&self, level: Level, target: &'static str, text: String) {
        let unix_millis = unix_millis();
        // Whole lines are added or none: what a panic leaves behind is usable.
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.last += 1;
        let line = Arc::new(Line {
            sequence: pages.last,
            unix_millis,
            level,
            target,
            text,
        });
        if pages.lines.len() >= LINES_MAX {
            pages.lines.pop_front();
        }
        pages.lines.push_back(Arc::clone(&line));
        // In the order of their numbers, therefore under the lock. That nobody reads is no failure.
        let _ = self.following.send(line);
    }

    /// The last `count` lines that `wanted` holds for, the oldest first.
    #[must_use]
    pub fn recent(&self, count: usize, wanted: impl Fn(&Line) -> bool) -> Vec<Arc<Line>> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = pages.lines.iter().rev();
        let found = newest.filter(|line| wanted(line)).take(count);
        let mut found: Vec<_> = found.map(Arc::clone).collect();
        found.reverse();
        found
    }

    /// What is written from now on.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<Arc<Line>> {
        self.following.subscribe()
    }
}

/// Writes what is logged into a book.
pub(super) struct Writing(pub(super) Arc<Book>);

impl<S: Subscriber> Layer<S> for Writing {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let of = event.metadata();
        let mut words = Words::default();
        event.record(&mut words);
        self.0.write(*of.level(), of.target(), words.text());
    }
}

/// The message and the fields of a line while they are read.
#[derive(Default)]
struct Words {
    message: Bounded,
    fields: Bounded,
}

impl Words {
    fn text(self) -> String {
        let mut all = self.message;
        // A bounded text takes what it has room for and does not fail.
        let _ = all.write_str(&self.fields.text);
        all.text
    }
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            let _ = self.message.write_str(value);
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}

/// A text of at most [`LINE_LEN_MAX`] bytes, without control characters.
#[derive(Default)]
struct Bounded {
    text: String,
    is_cut: bool,
}

impl Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        for letter in more.chars() {
            if self.is_cut {
                break;
            }
            let letter = if letter.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                letter
            };
            if self.text.len() + letter.len_utf8() + CUT.len_utf8() > LINE_LEN_MAX {
                self.text.push(CUT);
                self.is_cut = true;
            } else {
                self.text.push(letter);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn logged(what: impl FnOnce()) -> Arc<Book> {
        let book = Arc::new(Book::default());
        let subscriber = tracing_subscriber::Registry::default().with(Writing(Arc::clone(&book)));
        tracing::subscriber::with_default(subscriber, what);
        book
    }

    #[test]
    fn a_line_has_its_message_first_and_then_its_fields() {
        let book = logged(|| {
            let error = std::io::Error::other("no\u{1b}[2Jspace");
            tracing::warn!(%error, n = 7, name = "x y", "cannot write");
            tracing::debug!("{} more", 2);
        });
        let lines = book.recent(usize::MAX, |_| true);
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[0].text,
            "cannot write error=no\u{fffd}[2Jspace n=7 name=\"x y\""
        );
        assert_eq!((lines[0].sequence, lines[0].level), (1, Level::WARN));
        assert!(lines[0].target.starts_with("dunlin_node::telemetry::book"));
        assert_eq!((lines[1].sequence, &*lines[1].text), (2, "2 more"));
    }

    #[test]
    fn one_line_more_than_the_book_holds_forgets_the_oldest() {
        let book = Book::default();
        for _ in 0..LINES_MAX {
            book.write(Level::INFO, "t", String::new());
        }
        let first = |book: &Book| book.recent(usize::MAX, |_| true)[0].sequence;
        assert_eq!(first(&book), 1);
        book.write(Level::INFO, "t", String::new());
        assert_eq!(first(&book), 2);
        assert_eq!(book.recent(usize::MAX, |_| true).len(), LINES_MAX);
        let even = book.recent(2, |line| line.sequence % 2 == 0);
        let even: Vec<_> = even.iter().map(|line| line.sequence).collect();
        assert_eq!(even, [1_022, 1_024]);
    }

    #[test]
    fn a_line_is_kept_up_to_its_limit_and_cut_beyond() {
        let room = LINE_LEN_MAX - CUT.len_utf8();
        let fits = "x".repeat(room);
        let long = "é".repeat(LINE_LEN_MAX);
        let book = logged(|| {
            tracing::info!("{fits}");
            tracing::info!("{fits}y");
            tracing::info!(long, "message");
        });
        let lines = book.recent(usize::MAX, |_| true);
        assert_eq!(lines[0].text, fits);
        assert_eq!(lines[1].text, format!("{fits}{CUT}"));
        assert!(lines[2].text.starts_with("message long=\"éé"));
        assert!(lines.iter().all(|line| line.text.len() <= LINE_LEN_MAX));
    }

    #[test]
    fn who_follows_slowly_misses_lines_and_is_told_so() {
        let book = Book::default();
        let mut following = book.follow();
        for _ in 0..=FOLLOWING_MAX {
            book.write(Level::INFO, "t", String::new());
        }
        let missed = following.try_recv().unwrap_err();
        assert_eq!(missed, broadcast::error::TryRecvError::Lagged(1));
        assert_eq!(following.try_recv().unwrap().sequence, 2);
    }
}
