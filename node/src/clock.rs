//! The clock that the drivers of this crate pass to sans-IO code: nanoseconds since it started.

use dunlin_transport::Instant;

/// A clock with its origin.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: tokio::time::Instant,
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is a driver: it reads the clock for the core"
)]
impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            origin: tokio::time::Instant::now(),
        }
    }

    /// Time since the start.
    #[must_use]
    pub fn now(self) -> Instant {
        Instant::ZERO + tokio::time::Instant::now().duration_since(self.origin)
    }

    /// Sleeps until `wake`; for ever when there is nothing to wait for.
    pub async fn sleep_until(self, wake: Option<Instant>) {
        match wake {
            Some(wake) if wake <= self.now() => {}
            Some(wake) => {
                let after = wake.saturating_duration_since(Instant::ZERO);
                tokio::time::sleep_until(self.origin + after).await;
            }
            None => std::future::pending().await,
        }
    }
}

/// Calendar time in milliseconds since the Unix epoch; 0 when the calendar is before it.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is a driver: it reads the calendar for the core"
)]
pub fn unix_millis() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}
