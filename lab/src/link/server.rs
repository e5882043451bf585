//! A bottleneck with a queue that decides on departure: one datagram is sent at a time.

use std::time::Duration;

use dunlin_transport::Instant;

use super::capacity::{Capacity, Progress};
use super::queue::{Desk, Discipline, Queue, Waiting};
use super::{Backlog, Hop, LinkStats, Onward, Wake, length_of};

/// A queue and the sender behind it.
#[derive(Debug)]
pub(super) struct Server {
    capacity: Capacity,
    progress: Progress,
    discipline: Discipline,
    /// Until when the datagram on the wire takes.
    busy_until: Instant,
    /// Bytes of it.
    sending: u64,
    /// It will be woken when that has left.
    wakes: bool,
    dropped: Vec<Hop>,
}

impl Server {
    pub(super) fn new(capacity: &Capacity, queue: &Queue) -> Self {
        Self {
            capacity: capacity.clone(),
            progress: Progress::default(),
            discipline: queue.discipline(),
            busy_until: Instant::ZERO,
            sending: 0,
            wakes: false,
            dropped: Vec::new(),
        }
    }

    /// `hop` arrives at `hop.at`; its position is already that behind the server. Returns how many
    /// datagrams were dropped.
    pub(super) fn arrive(&mut self, hop: Hop, stats: &mut LinkStats, onward: &mut Onward) -> u64 {
        let now = hop.at;
        let (path, position) = (hop.path, hop.position - 1);
        let length = length_of(&hop.datagram);
        let waiting = Waiting {
            hop,
            since: now,
            length,
        };
        let mut desk = Desk {
            stats,
            dropped: &mut self.dropped,
        };
        self.discipline.enqueue(now, waiting, &mut desk);
        self.serve(now, (path, position), stats, onward)
    }

    /// The datagram on the wire may have left. Returns how many datagrams were dropped.
    pub(super) fn on_wake(
        &mut self,
        wake: Wake,
        stats: &mut LinkStats,
        onward: &mut Onward,
    ) -> u64 {
        self.wakes = false;
        self.serve(wake.at, (wake.path, wake.position), stats, onward)
    }

    /// Sends the next if the wire is free, and asks to be woken if more wait.
    fn serve(
        &mut self,
        now: Instant,
        (path, position): (u32, usize),
        stats: &mut LinkStats,
        onward: &mut Onward,
    ) -> u64 {
        let mut desk = Desk {
            stats,
            dropped: &mut self.dropped,
        };
        while self.busy_until <= now
            && let Some(mut next) = self.discipline.dequeue(now, &mut desk)
        {
            self.busy_until = self.capacity.finish(&mut self.progress, now, next.length);
            self.sending = next.length;
            next.hop.at = self.busy_until;
            onward.hops.push(next.hop);
        }
        if self.discipline.bytes() > 0 && !self.wakes {
            self.wakes = true;
            onward.wakes.push(Wake {
                at: self.busy_until,
                path,
                position,
            });
        }
        let dropped = self.dropped.len() as u64;
        onward
            .spent
            .extend(self.dropped.drain(..).map(|hop| hop.datagram));
        dropped
    }

    /// What waits and what is being sent, and how long one that arrives now would wait.
    pub(super) fn backlog(&self, now: Instant) -> Backlog {
        let waiting = self.discipline.bytes();
        let free = self.busy_until.max(now);
        let mut progress = self.progress;
        let done = if waiting > 0 {
            self.capacity.finish(&mut progress, free, waiting)
        } else {
            free
        };
        let sending = if self.busy_until > now {
            self.sending
        } else {
            0
        };
        Backlog {
            bytes: waiting + sending,
            wait: if waiting + sending == 0 {
                Duration::ZERO
            } else {
                done.saturating_duration_since(now)
            },
        }
    }
}
