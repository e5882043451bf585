//! The queue of events against a list that is sorted anew each time.

use std::time::Duration;

use dunlin_transport::Instant;

use super::Input;
use crate::scheduler::Scheduler;

/// A [`Scheduler`] against a sorted list: events by time, those of one instant in the order in
/// which they were scheduled, and time that never goes back.
///
/// # Panics
/// When they differ.
pub fn event_queue(data: &[u8]) {
    let mut input = Input { bytes: data.iter() };
    let mut queue = Scheduler::new();
    // Time, and number in the order of scheduling.
    let mut model: Vec<(Instant, u32)> = Vec::new();
    let (mut now, mut number) = (Instant::ZERO, 0);
    while let Some(operation) = input.next() {
        if operation % 4 == 0 {
            model.sort();
            let expected = (!model.is_empty()).then(|| model.remove(0));
            assert_eq!(queue.pop(), expected);
            now = expected.map_or(now, |(at, _)| at);
        } else {
            // Often the same instant, sometimes the past, sometimes far ahead.
            let step = Duration::from_micros(u64::from(input.byte() / 4));
            let at = match operation % 16 {
                1 | 2 => now - step,
                3 => now + step * 100_000,
                5 => Instant::FAR_FUTURE,
                _ => now + step,
            };
            queue.schedule(at, number);
            model.push((at.max(now), number));
            number += 1;
        }
        assert_eq!(queue.now(), now);
        assert_eq!(queue.len(), model.len());
        assert_eq!(queue.is_empty(), model.is_empty());
        assert_eq!(queue.next_time(), model.iter().min().map(|(at, _)| *at));
    }
}
