//! Seeds until something is found.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::instruments::Instrument;

/// What an instrument saw.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which instrument.
    pub instrument: &'static Instrument,
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
    result.unwrap_or_else(|payload| {
        eprintln!("{}", message(&*payload));
        panic::resume_unwind(payload)
    })
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

/// Gives each seed of `0..seeds` to each of `instruments`, and returns what the lowest seed that
/// fails showed to the first instrument that saw it. The answer does not depend on `threads`.
#[must_use]
pub fn hunt(instruments: &[&'static Instrument], seeds: u64, threads: usize) -> Option<Finding> {
    let count = instruments.len() as u64;
    let end = seeds * count;
    let (next, lowest) = (AtomicU64::new(0), AtomicU64::new(end));
    let found: Mutex<Option<(u64, Finding)>> = Mutex::new(None);
    let search = || {
        loop {
            let turn = next.fetch_add(1, Ordering::SeqCst);
            if turn >= lowest.load(Ordering::SeqCst) {
                return;
            }
            let index = usize::try_from(turn % count).unwrap_or(0);
            let (Some(&instrument), seed) = (instruments.get(index), turn / count) else {
                return;
            };
            if let Some(violation) = replay(instrument, seed) {
                lowest.fetch_min(turn, Ordering::SeqCst);
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                if found.as_ref().is_none_or(|(other, _)| turn < *other) {
                    let finding = Finding {
                        instrument,
                        seed,
                        violation,
                    };
                    *found = Some((turn, finding));
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
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.map(|(_, finding)| finding)
}

/// [`replay`] on a thread of its own, which has kept nothing.
#[must_use]
pub fn replay_afresh(instrument: &Instrument, seed: u64) -> Option<String> {
    thread::scope(|scope| {
        let run = scope.spawn(|| replay(instrument, seed));
        run.join()
            .unwrap_or_else(|payload| Some(message(&*payload)))
    })
}
