//! Connections that peers have opened and nobody has accepted yet, whatever carries them.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::connection::Connection;

/// Connections that wait to be accepted; a further one is reset. Guess.
pub const ACCEPT_QUEUE_MAX: usize = 1_024;

/// The queue of an endpoint.
#[derive(Default)]
pub(super) struct Incoming {
    queue: Mutex<Queue>,
    /// Somebody may accept, or nobody ever will.
    pub(super) changed: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Connection>,
    closed: bool,
}

impl Incoming {
    /// Whether there will be no further connection.
    pub(super) fn is_closed(&self) -> bool {
        self.queue.lock().closed
    }

    /// Whether another connection would find a place.
    pub(super) fn has_room(&self) -> bool {
        let queue = self.queue.lock();
        !queue.closed && queue.waiting.len() < ACCEPT_QUEUE_MAX
    }

    /// Adds one. May be called under the lock of its core; what is in the queue is never dropped
    /// there.
    pub(super) fn push(&self, connection: Connection) {
        self.queue.lock().waiting.push_back(connection);
    }

    /// The next one; true: there will be no other.
    pub(super) fn pop(&self) -> (Option<Connection>, bool) {
        let mut queue = self.queue.lock();
        (queue.waiting.pop_front(), queue.closed)
    }

    /// Takes no more; those that wait may still be accepted.
    pub(super) fn end(&self) {
        self.queue.lock().closed = true;
        self.changed.notify_waiters();
    }

    /// Takes no more, and closes those that wait. Never call it under the lock of a core.
    pub(super) fn close(&self) {
        let waiting = {
            let mut queue = self.queue.lock();
            queue.closed = true;
            std::mem::take(&mut queue.waiting)
        };
        drop(waiting);
        self.changed.notify_waiters();
    }
}
