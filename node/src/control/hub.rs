//! Where events go: to the stories, to the counters, and to whoever reads the stream.
//!
//! The node never waits for a reader. One that is behind by more than [`EVENTS_WAITING_MAX`] misses
//! the oldest events and is told how many.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dunlin_overlay::Event;
use tokio::sync::broadcast;

use super::limits::EVENTS_WAITING_MAX;
use super::records::{Said, say};
use super::trail::{Shared, Trail};
use crate::clock::unix_millis;

/// The events of a node.
#[derive(Debug)]
pub struct Hub {
    stream: broadcast::Sender<Shared>,
    trail: Mutex<Trail>,
    sequence: AtomicU64,
    missed: AtomicU64,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            stream: broadcast::Sender::new(EVENTS_WAITING_MAX),
            trail: Mutex::default(),
            sequence: AtomicU64::new(0),
            missed: AtomicU64::new(0),
        }
    }
}

impl Hub {
    /// Something happened.
    pub fn tell(&self, event: &Event) {
        self.publish(say(event));
    }

    fn publish(&self, said: Said) {
        let peer = said.peer.filter(|_| said.is_story);
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        let record = Arc::new(said.into_record(sequence, unix_millis()));
        self.with_trail(|trail| trail.push(peer, &record));
        // Nobody reads: that is not a failure.
        let _ = self.stream.send(record);
    }

    /// Does something with the stories.
    pub fn with_trail<T>(&self, what: impl FnOnce(&mut Trail) -> T) -> T {
        // A panic inside leaves the stories usable: each push is complete or has not begun.
        what(&mut self.trail.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What happens from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Shared> {
        self.stream.subscribe()
    }

    /// Whether somebody reads the stream.
    #[must_use]
    pub fn has_listeners(&self) -> bool {
        self.stream.receiver_count() > 0
    }

    /// Counts events that a slow reader has missed.
    pub fn on_missed(&self, count: u64) {
        self.missed.fetch_add(count, Ordering::Relaxed);
    }

    /// Events so far, and how many of them slow readers have missed.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (of(&self.sequence), of(&self.missed))
    }
}
