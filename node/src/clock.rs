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

/// Calendar time in nanoseconds since the Unix epoch; 0 when the calendar is before it.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is a driver: captures carry the calendar"
)]
pub fn unix_nanos() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        })
}

/// Nanoseconds since the Unix epoch as RFC 3339 has them, in UTC, to the microsecond.
#[must_use]
pub fn rfc3339(unix_nanos: u64) -> String {
    let (seconds, micros) = (
        unix_nanos / 1_000_000_000,
        unix_nanos % 1_000_000_000 / 1_000,
    );
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days in eras of 400 years that begin on the first of March, so that the leap day is the last
    // of its year.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day_of_month:02}T{:02}:{:02}:{:02}.{micros:06}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_times_are_those_of_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (951_868_799, "2000-02-29T23:59:59.000000Z"),
            (1_709_251_200, "2024-03-01T00:00:00.000000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(rfc3339(seconds * 1_000_000_000), text);
        }
        assert_eq!(rfc3339(1_234_567), "1970-01-01T00:00:00.001234Z");
    }
}
