//! Seeds until something is found.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::instruments::Instrument;

/// What an instrument saw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The first seed that fails.
    pub seed: u64,
    /// What it saw, in words.
    pub violation: String,
}

thread_local! {
    /// The place and message of the last panic of this thread.
    static PANICKED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `body` with panics of this process kept for [`replay`] instead of printed.
pub fn quietly<R>(body: impl FnOnce() -> R) -> R {
    let before = panic::take_hook();
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or(String::new(), |place| {
            let file = place.file().rsplit('/').next().unwrap_or_default();
            format!(" ({file})")
        });
        let text = format!("{}{place}", message(info.payload()));
        PANICKED.with(|slot| slot.replace(Some(text)));
    }));
    let result = panic::catch_unwind(AssertUnwindSafe(body));
    panic::set_hook(before);
    result.unwrap_or_else(|payload| panic::resume_unwind(payload))
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    let text = text.unwrap_or_else(|| "a panic without words".to_owned());
    text.lines().next().unwrap_or_default().to_owned()
}

/// One run; what was seen that must not be, a panic included.
#[must_use]
pub fn replay(instrument: &Instrument, seed: u64) -> Option<String> {
    let run = instrument.run;
    match panic::catch_unwind(|| run(seed)) {
        Ok(Ok(())) => None,
        Ok(Err(violation)) => Some(violation),
        Err(payload) => {
            let noted = PANICKED.with(RefCell::take);
            Some(format!(
                "panic: {}",
                noted.unwrap_or_else(|| message(&*payload))
            ))
        }
    }
}

/// Gives `instrument` the seeds of `seeds` on `threads` threads and returns the lowest that fails.
/// The answer does not depend on the number of threads.
#[must_use]
pub fn hunt(
    instrument: &Instrument,
    seeds: core::ops::Range<u64>,
    threads: usize,
) -> Option<Finding> {
    let next = AtomicU64::new(seeds.start);
    let found: Mutex<Option<Finding>> = Mutex::new(None);
    let lowest = AtomicU64::new(seeds.end);
    let search = || {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= lowest.load(Ordering::SeqCst) {
                return;
            }
            if let Some(violation) = replay(instrument, seed) {
                lowest.fetch_min(seed, Ordering::SeqCst);
                let mut found = found
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                if found.as_ref().is_none_or(|other| seed < other.seed) {
                    *found = Some(Finding { seed, violation });
                }
            }
        }
    };
    // Threads of their own: what a run keeps per thread belongs to the mistake that is planted.
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(search);
        }
    });
    found
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
