//! Virtual time: what happens next, in one order for ever.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use dunlin_transport::Instant;

/// Events by time; those of one instant in the order in which they were scheduled.
#[derive(Debug)]
pub struct Scheduler<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    sequence: u64,
    now: Instant,
}

#[derive(Debug)]
struct Entry<T> {
    at: Instant,
    sequence: u64,
    event: T,
}

impl<T> Scheduler<T> {
    /// Nothing scheduled, at the origin of time.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            sequence: 0,
            now: Instant::ZERO,
        }
    }

    /// The time of the last event taken.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Schedules `event`; a time in the past means now.
    pub fn schedule(&mut self, at: Instant, event: T) {
        let entry = Entry {
            at: at.max(self.now),
            sequence: self.sequence,
            event,
        };
        self.sequence += 1;
        self.heap.push(Reverse(entry));
    }

    /// Takes the next event and moves time to it.
    pub fn pop(&mut self) -> Option<(Instant, T)> {
        let Reverse(entry) = self.heap.pop()?;
        self.now = entry.at;
        Some((entry.at, entry.event))
    }

    /// When the next event happens.
    #[must_use]
    pub fn next_time(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// How many events wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

impl<T> Default for Scheduler<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Entry<T> {
    const fn key(&self) -> (Instant, u64) {
        (self.at, self.sequence)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_by_order_of_scheduling() {
        let at = Instant::from_nanos;
        let mut scheduler = Scheduler::new();
        for (time, name) in [(9, "d"), (5, "a"), (5, "b"), (5, "c")] {
            scheduler.schedule(at(time), name);
        }
        assert_eq!(scheduler.next_time(), Some(at(5)));
        let order: Vec<_> = std::iter::from_fn(|| scheduler.pop()).collect();
        assert_eq!(
            order,
            [(at(5), "a"), (at(5), "b"), (at(5), "c"), (at(9), "d")]
        );
        assert_eq!(scheduler.now(), at(9));
    }

    #[test]
    fn time_never_goes_back() {
        let mut scheduler = Scheduler::new();
        scheduler.schedule(Instant::from_nanos(9), ());
        scheduler.pop();
        scheduler.schedule(Instant::from_nanos(2), ());
        assert_eq!(scheduler.pop(), Some((Instant::from_nanos(9), ())));
        assert!(scheduler.is_empty());
    }
}
