//! How often one place of the program may write a log line.
//!
//! Much of what is logged happens because a peer did something. Each place in the source that writes
//! lines has so many of them in a minute; the rest is counted, and the count is told. There are as
//! many places as the program has lines that log, so this needs no other bound.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dunlin_transport::Instant;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

use crate::clock::Clock;

const WINDOW: Duration = Duration::from_secs(60);

/// A place in the source.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    pub(super) file: &'static str,
    pub(super) line: u32,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    written: u32,
    left_out: u64,
}

/// Counts lines by place.
#[derive(Debug)]
pub(super) struct Limiter {
    clock: Clock,
    per_minute: AtomicU32,
    windows: Mutex<BTreeMap<Place, Window>>,
}

impl Limiter {
    /// A limiter that lets so many lines of a place pass in a minute; 0: all.
    pub(super) fn new(per_minute: u32) -> Self {
        Self {
            clock: Clock::start(),
            per_minute: AtomicU32::new(per_minute),
            windows: Mutex::default(),
        }
    }

    pub(super) fn set_per_minute(&self, per_minute: u32) {
        self.per_minute.store(per_minute, Ordering::Relaxed);
    }

    /// Whether one more line of `place` is written at `now`.
    fn admit(&self, place: Place, now: Instant) -> bool {
        let most = self.per_minute.load(Ordering::Relaxed);
        if most == 0 {
            return true;
        }
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(place).or_insert(Window {
            since: now,
            written: 0,
            left_out: 0,
        });
        if now.saturating_duration_since(window.since) >= WINDOW {
            (window.since, window.written) = (now, 0);
        }
        let is_admitted = window.written < most;
        if is_admitted {
            window.written += 1;
        } else {
            window.left_out += 1;
        }
        is_admitted
    }

    /// How many lines were left out since the last call, by place.
    pub(super) fn take_left_out(&self) -> Vec<(Place, u64)> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let windows = windows.iter_mut();
        let taken = windows.map(|(place, window)| (*place, std::mem::take(&mut window.left_out)));
        taken.filter(|(_, left_out)| *left_out > 0).collect()
    }
}

/// The limiter as a filter of a layer.
pub(super) struct Limit(pub(super) Arc<Limiter>);

impl<S: Subscriber> Filter<S> for Limit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let of = event.metadata();
        let place = Place {
            file: of.file().unwrap_or(of.target()),
            line: of.line().unwrap_or(0),
        };
        self.0.admit(place, self.0.clock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place = Place {
        file: "here.rs",
        line: 1,
    };
    const THERE: Place = Place {
        file: "here.rs",
        line: 2,
    };

    fn admitted(limiter: &Limiter, place: Place, lines: u32, now: Instant) -> usize {
        (0..lines).filter(|_| limiter.admit(place, now)).count()
    }

    #[test]
    fn a_place_has_so_many_lines_a_minute_and_the_rest_is_counted() {
        let limiter = Limiter::new(3);
        let start = Instant::ZERO;
        assert_eq!(admitted(&limiter, HERE, 3, start), 3);
        assert_eq!(limiter.take_left_out(), []);
        assert_eq!(admitted(&limiter, HERE, 4, start + WINDOW / 2), 0);
        assert_eq!(admitted(&limiter, THERE, 2, start), 2, "each its own");
        assert_eq!(limiter.take_left_out(), [(HERE, 4)]);
        assert_eq!(limiter.take_left_out(), []);
        assert_eq!(admitted(&limiter, HERE, 4, start + WINDOW), 3);
    }

    #[test]
    fn without_a_bound_all_lines_pass() {
        let limiter = Limiter::new(1);
        limiter.set_per_minute(0);
        assert_eq!(admitted(&limiter, HERE, 500, Instant::ZERO), 500);
    }

    #[test]
    fn a_flood_of_events_is_cut_on_the_way_to_the_lines() {
        use std::io::Write;
        use tracing_subscriber::Layer;
        use tracing_subscriber::layer::SubscriberExt;

        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        let (lines, limiter) = (Lines::default(), Arc::new(Limiter::new(5)));
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_filter(Limit(Arc::clone(&limiter)));
        let subscriber = tracing_subscriber::Registry::default().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            for n in 0..100 {
                tracing::warn!(n, "a peer did it again");
            }
            tracing::warn!("something else");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 6, "{text}");
        let left_out: Vec<_> = limiter.take_left_out();
        assert_eq!(left_out.iter().map(|(_, count)| count).sum::<u64>(), 95);
    }
}
