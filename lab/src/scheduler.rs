//! Virtual time: what happens next, in one order for ever.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use dunlin_transport::Instant;

/// Events by time; those of one instant in the order in which they were scheduled.
///
/// The heap sorts small keys; the events themselves lie still in slots, which are used again. When many
/// wait, those that are due later lie in windows of time, unsorted, until it is the turn of a window: so
/// what is sorted stays small and near.
#[derive(Debug)]
pub struct Scheduler<T> {
    heap: BinaryHeap<Reverse<Key>>,
    slots: Vec<Option<T>>,
    free: Vec<u32>,
    /// Windows from this one on are not in the heap. `None`: there are none.
    later_from: Option<u64>,
    later: BTreeMap<u64, Vec<(Instant, Ticket, T)>>,
    later_count: usize,
    sequence: u64,
    now: Instant,
}

/// As many as this are sorted in one heap (chosen: their keys fit a first-level cache's size several times,
/// and networks of up to a hundred nodes know no windows).
const HEAP_MAX: usize = 4_096;

/// Which window of about four milliseconds a time is in.
const fn window(at: Instant) -> u64 {
    at.as_nanos() >> 22
}

/// A place in the order of events that was taken before the event itself was scheduled.
///
/// Whoever holds back events that it will schedule later (a queue of which only the first is in the
/// schedule) takes one for each when it gets it: else others of the same instant would come first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ticket(u64);

/// When an event happens, and where it lies. No two tickets are equal, so the slot never decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key {
    at: Instant,
    ticket: Ticket,
    slot: u32,
}

impl<T> Scheduler<T> {
    /// Nothing scheduled, at the origin of time.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            later_from: None,
            later: BTreeMap::new(),
            later_count: 0,
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
    ///
    /// # Panics
    /// When 2^32 events wait.
    pub fn schedule(&mut self, at: Instant, event: T) {
        let ticket = self.reserve();
        self.schedule_with(ticket, at, event);
    }

    /// Takes the place that an event scheduled now would have among those of its instant.
    pub const fn reserve(&mut self) -> Ticket {
        let ticket = Ticket(self.sequence);
        self.sequence += 1;
        ticket
    }

    /// Schedules `event` as if that had been done when `ticket` was taken; a time in the past means
    /// now. Each ticket is for one event: two with the same would have no order.
    ///
    /// # Panics
    /// When 2^32 events wait.
    pub fn schedule_with(&mut self, ticket: Ticket, at: Instant, event: T) {
        let at = at.max(self.now);
        if self.later_count == 0 && self.heap.len() < HEAP_MAX {
            self.later_from = None;
        } else if self.later_from.is_none() {
            self.divide();
        }
        if self.later_from.is_some_and(|first| window(at) >= first) {
            self.push_later(at, ticket, event);
            self.open_if_empty();
        } else {
            self.push_heap(at, ticket, event);
        }
    }

    /// Moves what is due later than in the present window out of the heap.
    fn divide(&mut self) {
        let first = window(self.now) + 1;
        self.later_from = Some(first);
        for Reverse(key) in core::mem::take(&mut self.heap) {
            if window(key.at) < first {
                self.heap.push(Reverse(key));
            } else if let Some(event) = self.take(key.slot) {
                self.push_later(key.at, key.ticket, event);
            }
        }
        self.open_if_empty();
    }

    fn push_later(&mut self, at: Instant, ticket: Ticket, event: T) {
        self.later_count += 1;
        let window = self.later.entry(window(at)).or_default();
        window.push((at, ticket, event));
    }

    /// The next window, when what was sorted is used up: the heap is empty only if nothing waits.
    fn open_if_empty(&mut self) {
        if self.heap.is_empty()
            && let Some((window, events)) = self.later.pop_first()
        {
            self.later_from = Some(window + 1);
            self.later_count -= events.len();
            for (at, ticket, event) in events {
                self.push_heap(at, ticket, event);
            }
        }
    }

    fn push_heap(&mut self, at: Instant, ticket: Ticket, event: T) {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                u32::try_from(self.slots.len() - 1).expect("memory ends before 2^32 events wait")
            }
        };
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(event);
        }
        self.heap.push(Reverse(Key { at, ticket, slot }));
    }

    fn take(&mut self, slot: u32) -> Option<T> {
        let event = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(event)
    }

    /// Takes the next event and moves time to it.
    pub fn pop(&mut self) -> Option<(Instant, T)> {
        let Reverse(key) = self.heap.pop()?;
        let event = self.take(key.slot)?;
        self.now = key.at;
        self.open_if_empty();
        Some((key.at, event))
    }

    /// When the next event happens.
    #[must_use]
    pub fn next_time(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(key)| key.at)
    }

    /// How many events wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len() + self.later_count
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
    fn many_events_come_in_the_same_order_as_few() {
        let mut rng = crate::rng::Rng::new(1);
        let (mut scheduler, mut model) = (Scheduler::new(), BTreeMap::new());
        let most = 3 * HEAP_MAX as u64;
        for number in 0..20 * most {
            // It grows past the limit, shrinks below it, and grows again; now and then all is taken.
            let waiting = model.len() as u64;
            let share = if (number / (2 * most)).is_multiple_of(2) {
                3
            } else {
                9
            };
            if rng.below(10) >= share || waiting >= most {
                let spread = [1, 1 << 20, 1 << 24, 1 << 34][usize::try_from(rng.below(4)).unwrap()];
                let at = scheduler.now().as_nanos() + rng.below(spread);
                if waiting < most {
                    scheduler.schedule(Instant::from_nanos(at), number);
                    model.insert((at, number), number);
                    continue;
                }
            }
            let next = model
                .pop_first()
                .map(|((at, _), number)| (Instant::from_nanos(at), number));
            assert_eq!(scheduler.next_time(), next.map(|(at, _)| at));
            assert_eq!(scheduler.pop(), next);
            assert_eq!(
                (scheduler.len(), scheduler.is_empty()),
                (model.len(), model.is_empty())
            );
        }
        while let Some(((at, _), number)) = model.pop_first() {
            assert_eq!(scheduler.pop(), Some((Instant::from_nanos(at), number)));
        }
        assert_eq!((scheduler.pop(), scheduler.next_time()), (None, None));
    }

    #[test]
    fn a_ticket_keeps_the_place_of_an_event_that_is_scheduled_later() {
        let at = Instant::from_nanos;
        let mut scheduler = Scheduler::new();
        scheduler.schedule(at(5), "a");
        let ticket = scheduler.reserve();
        scheduler.schedule(at(5), "c");
        scheduler.schedule(at(1), "now");
        scheduler.pop();
        scheduler.schedule_with(ticket, at(5), "b");
        let order: Vec<_> = std::iter::from_fn(|| scheduler.pop()).collect();
        assert_eq!(order, [(at(5), "a"), (at(5), "b"), (at(5), "c")]);
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

    #[test]
    fn slots_are_used_again() {
        let mut scheduler = Scheduler::new();
        for round in 0..100_u64 {
            for index in 0..3 {
                scheduler.schedule(Instant::from_nanos(round), index);
            }
            let taken: Vec<_> = (0..3).filter_map(|_| scheduler.pop()).collect();
            assert_eq!(
                taken.iter().map(|(_, index)| *index).collect::<Vec<_>>(),
                [0, 1, 2]
            );
        }
        assert_eq!(scheduler.slots.len(), 3);
    }
}
