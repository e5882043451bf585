//! The one place of the crate that reads a clock.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver gives the core its time"
)]

use crate::Instant;

/// Monotonic time since the endpoint was bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    /// A clock that starts at [`Instant::ZERO`] now.
    pub(super) fn start() -> Self {
        Self {
            origin: std::time::Instant::now(),
        }
    }

    /// The time.
    pub(super) fn now(self) -> Instant {
        Instant::ZERO + self.origin.elapsed()
    }

    /// The same point in time for tokio's timers; None: too far away to ever come.
    pub(super) fn to_tokio(self, instant: Instant) -> Option<tokio::time::Instant> {
        let since = instant.saturating_duration_since(Instant::ZERO);
        self.origin
            .checked_add(since)
            .map(tokio::time::Instant::from_std)
    }
}
