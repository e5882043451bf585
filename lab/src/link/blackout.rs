//! Times in which nothing passes: a tunnel, a handover, a cable that somebody pulls.

use std::time::Duration;

use dunlin_transport::Instant;
use serde::{Deserialize, Deserializer, Serialize};

use super::element::{ElementError, positive};
use super::text::{Either, either};
use crate::units::{self, Time};

/// When nothing passes, in virtual time since the start of the run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum Blackout {
    /// In these intervals, beginnings included, ends not; ascending.
    Windows(Vec<[Time; 2]>),
    /// Again and again.
    Periodic(Periodic),
}

/// A blackout that returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Periodic {
    /// When it begins for the first time.
    #[serde(with = "units::time")]
    pub first: Duration,
    /// How long it lasts.
    #[serde(with = "units::time")]
    pub length: Duration,
    /// From one beginning to the next.
    #[serde(with = "units::time")]
    pub every: Duration,
}

impl<'de> Deserialize<'de> for Blackout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting = "a list of [\"from\", \"until\"], or a table of first, length and every";
        Ok(match either(deserializer, expecting)? {
            Either::Value(windows) => Self::Windows(windows),
            Either::Table(periodic) => Self::Periodic(periodic),
        })
    }
}

impl Blackout {
    /// Whether nothing passes at `now`.
    #[must_use]
    pub fn covers(&self, now: Instant) -> bool {
        let now = now.saturating_duration_since(Instant::ZERO);
        match self {
            Self::Windows(windows) => windows
                .iter()
                .any(|[from, until]| (from.0..until.0).contains(&now)),
            Self::Periodic(periodic) => {
                let Some(since) = now.checked_sub(periodic.first) else {
                    return false;
                };
                let every = periodic.every.as_nanos().max(1);
                since.as_nanos() % every < periodic.length.as_nanos()
            }
        }
    }

    /// Checks that its numbers make sense.
    ///
    /// # Errors
    /// The first that does not.
    pub fn validate(&self) -> Result<(), ElementError> {
        match self {
            Self::Windows(windows) => {
                if windows.is_empty() {
                    return Err(ElementError::Empty { what: "blackout" });
                }
                let mut times = windows.iter().flatten();
                let mut previous = times.next().copied().unwrap_or_default();
                for (position, time) in times.enumerate() {
                    if *time < previous {
                        return Err(ElementError::NotAscending {
                            what: "blackout",
                            position: position + 1,
                        });
                    }
                    previous = *time;
                }
                Ok(())
            }
            Self::Periodic(periodic) => {
                let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
                positive("every", nanos(periodic.every))?;
                if periodic.length >= periodic.every {
                    return Err(ElementError::Range {
                        what: "length (in milliseconds)",
                        value: nanos(periodic.length) / 1_000_000,
                        range: "shorter than every, or nothing would ever pass",
                    });
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn windows_hold_from_their_beginning_to_just_before_their_end() {
        let time = |ms| Time(Duration::from_millis(ms));
        let windows = Blackout::Windows(vec![[time(10), time(20)], [time(30), time(31)]]);
        let dark: Vec<_> = [9, 10, 19, 20, 29, 30, 31]
            .map(|ms| windows.covers(at(ms)))
            .into();
        assert_eq!(dark, [false, true, true, false, false, true, false]);
        assert_eq!(windows.validate(), Ok(()));
        let wrong = Blackout::Windows(vec![[time(10), time(20)], [time(15), time(31)]]);
        assert!(matches!(
            wrong.validate(),
            Err(ElementError::NotAscending { position: 2, .. })
        ));
        assert!(Blackout::Windows(Vec::new()).validate().is_err());
    }

    #[test]
    fn a_periodic_one_returns() {
        let ms = Duration::from_millis;
        let periodic = |length| {
            Blackout::Periodic(Periodic {
                first: ms(5),
                length: ms(length),
                every: ms(10),
            })
        };
        let dark: Vec<_> = [4, 5, 6, 7, 14, 15, 16, 17]
            .map(|time| periodic(2).covers(at(time)))
            .into();
        assert_eq!(dark, [false, true, true, false, false, true, true, false]);
        assert!(periodic(9).validate().is_ok());
        assert!(periodic(10).validate().is_err());
    }
}
