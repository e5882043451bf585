//! What the overlay has to say: actions for the driver, events for the application. Both queues
//! are bounded; a driver that keeps the contract (drain after every input) never meets the bound.

use std::collections::VecDeque;

use crate::event::{Action, Event};
use crate::limits::{ACTIONS_MAX, EVENTS_MAX};

/// Actions and events that wait to be polled.
#[derive(Default)]
pub(crate) struct Outbox {
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
    /// Actions dropped because nobody polled.
    pub(crate) actions_dropped: u64,
    /// Events dropped because nobody polled.
    pub(crate) events_dropped: u64,
}

impl Outbox {
    /// Queues an action.
    pub(crate) fn action(&mut self, action: Action) {
        if self.actions.len() < ACTIONS_MAX {
            self.actions.push_back(action);
        } else {
            self.actions_dropped += 1;
        }
    }

    /// Queues an event.
    pub(crate) fn event(&mut self, event: Event) {
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(event);
        } else {
            self.events_dropped += 1;
        }
    }

    /// The oldest action.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        poll(&mut self.actions)
    }

    /// The oldest event.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        poll(&mut self.events)
    }
}

/// Takes the oldest. A queue that is empty gives back what a burst made it grow to.
fn poll<T>(queue: &mut VecDeque<T>) -> Option<T> {
    let first = queue.pop_front();
    if first.is_none() && queue.capacity() > KEPT_CAPACITY {
        queue.shrink_to(KEPT_CAPACITY);
    }
    first
}

/// Places that an empty queue keeps.
const KEPT_CAPACITY: usize = 8;

#[cfg(test)]
mod tests {
    use dunlin_session::NodeId;

    use super::*;

    #[test]
    fn queues_hold_their_limit_and_count_one_past_it() {
        let mut out = Outbox::default();
        let peer = NodeId::from_bytes([1; 32]);
        for _ in 0..=EVENTS_MAX {
            out.event(Event::PeerUp { peer });
        }
        let target = crate::DialTarget {
            address: ([127, 0, 0, 1], 1).into(),
            id: None,
        };
        for _ in 0..=ACTIONS_MAX {
            out.action(Action::Dial(target));
        }
        assert_eq!((out.events_dropped, out.actions_dropped), (1, 1));
        let grown = out.events.capacity();
        assert_eq!(core::iter::from_fn(|| out.poll_event()).count(), EVENTS_MAX);
        assert_eq!(
            core::iter::from_fn(|| out.poll_action()).count(),
            ACTIONS_MAX
        );
        assert!(
            out.events.capacity() < grown,
            "the burst's memory is given back"
        );
    }
}
