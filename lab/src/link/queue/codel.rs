//! Controlled Delay (RFC 8289): drops at departure once datagrams have waited longer than a target
//! for a whole interval, and then more and more often until they do not.
//!
//! ECN-capable datagrams are marked instead of dropped (RFC 8289 leaves that to the implementer;
//! this is how Linux does it: a mark counts as a drop, and the datagram is delivered). The square
//! root of the control law is IEEE-exact, so every machine drops the same datagrams.

use std::time::Duration;

use dunlin_transport::Instant;
use serde::{Deserialize, Serialize};

use super::super::delay::whole;
use super::super::element::{ElementError, delay, positive};
use super::{Desk, Fifo, Waiting, mark};
use crate::units;

/// Its parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CoDel {
    /// How long a datagram may wait for ever. Default: 5 ms (RFC 8289 section 4.3).
    #[serde(with = "units::time")]
    pub target: Duration,
    /// How long a queue above the target is taken for a burst. Default: 100 ms (section 4.3).
    #[serde(with = "units::time")]
    pub interval: Duration,
    /// Bytes that fit at all. Default: 1.5 MB (a thousand full packets, as in Linux).
    #[serde(with = "units::size")]
    pub bytes: u64,
    /// Marks ECN-capable datagrams instead of dropping them. Default: yes.
    pub ecn: bool,
}

impl Default for CoDel {
    fn default() -> Self {
        Self {
            target: Duration::from_millis(5),
            interval: Duration::from_millis(100),
            bytes: 1_500_000,
            ecn: true,
        }
    }
}

impl CoDel {
    pub(super) fn validate(&self) -> Result<(), ElementError> {
        delay("target", self.target)?;
        delay("interval", self.interval)?;
        let nanos = u64::try_from(self.interval.as_nanos()).unwrap_or(u64::MAX);
        positive("interval", nanos)?;
        positive("bytes", self.bytes)
    }
}

/// A queue not longer than this is never too long (section 4.4: one packet of maximum size).
const PACKET_MAX: u64 = 1_514;

#[derive(Debug)]
pub(in crate::link) struct State {
    queue: CoDel,
    fifo: Fifo,
    /// When a queue that stays above the target becomes too long.
    first_above: Option<Instant>,
    dropping: bool,
    drop_next: Instant,
    /// Drops since dropping began.
    count: u32,
    /// Its value when dropping began last.
    count_before: u32,
}

impl State {
    pub(super) fn new(queue: CoDel) -> Self {
        Self {
            queue,
            fifo: Fifo::default(),
            first_above: None,
            dropping: false,
            drop_next: Instant::ZERO,
            count: 0,
            count_before: 0,
        }
    }

    pub(super) fn enqueue(&mut self, waiting: Waiting, desk: &mut Desk<'_>) {
        if self.fifo.bytes + waiting.length > self.queue.bytes && self.fifo.bytes > 0 {
            desk.stats.queue_full += 1;
            desk.dropped.push(waiting.hop);
        } else {
            self.fifo.push(waiting);
        }
    }

    /// The routine `deque` of RFC 8289 section 5.5.
    pub(super) fn dequeue(&mut self, now: Instant, desk: &mut Desk<'_>) -> Option<Waiting> {
        let (mut next, mut too_long) = self.take(now);
        if self.dropping {
            self.dropping = too_long;
            while self.dropping && now >= self.drop_next {
                self.count = self.count.saturating_add(1);
                let after = self.control_law(self.drop_next);
                let kept = self.mark_or_drop(next, desk);
                if kept.is_some() {
                    self.drop_next = after;
                    return kept;
                }
                (next, too_long) = self.take(now);
                self.dropping = too_long;
                if too_long {
                    self.drop_next = after;
                }
            }
        } else if too_long {
            next = self.mark_or_drop(next, desk);
            if next.is_none() {
                (next, _) = self.take(now);
            }
            self.begin_dropping(now);
        }
        next
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.fifo.bytes
    }

    /// If dropping ended a moment ago, it goes on about as often as it did.
    fn begin_dropping(&mut self, now: Instant) {
        self.dropping = true;
        let more = self.count.saturating_sub(self.count_before);
        let recent = now.saturating_duration_since(self.drop_next) < self.queue.interval * 16;
        self.count = if more > 1 && recent { more } else { 1 };
        self.drop_next = self.control_law(now);
        self.count_before = self.count;
    }

    /// The datagram, if it could be marked.
    fn mark_or_drop(&self, next: Option<Waiting>, desk: &mut Desk<'_>) -> Option<Waiting> {
        let mut next = next?;
        if self.queue.ecn && mark(&mut next.hop, desk.stats) {
            return Some(next);
        }
        desk.stats.queue_early += 1;
        desk.dropped.push(next.hop);
        None
    }

    /// The routine `dodequeue`: the first, and whether the queue has been too long for too long.
    fn take(&mut self, now: Instant) -> (Option<Waiting>, bool) {
        let Some(next) = self.fifo.pop() else {
            self.first_above = None;
            return (None, false);
        };
        let sojourn = now.saturating_duration_since(next.since);
        if sojourn < self.queue.target || self.fifo.bytes <= PACKET_MAX {
            self.first_above = None;
            return (Some(next), false);
        }
        let first_above = *self.first_above.get_or_insert(now + self.queue.interval);
        (Some(next), now >= first_above)
    }

    fn control_law(&self, from: Instant) -> Instant {
        let nanos = self.queue.interval.as_secs_f64() * 1e9;
        from + Duration::from_nanos(whole(nanos / f64::from(self.count.max(1)).sqrt()))
    }
}
