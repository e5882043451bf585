//! What was observed of a peer, which component it bears on, and what it weighs.
//!
//! The unit is one observation: a heartbeat (an interval of comparisons, a second by default) in which a
//! peer was relied upon counts one, however many broadcasts it brought in it, so that no weight depends
//! on the rate of messages.

use core::time::Duration;

use crate::error::PeerViolation;
use crate::event::LinkEndCause;
use crate::types::BroadcastId;

/// What a score is made of (seed Q, chapter 5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Component {
    /// Links that last.
    Uptime,
    /// Answers that come soon.
    Latency,
    /// Messages that are what they should be.
    Validity,
    /// What the application says of its own protocol.
    Consensus,
    /// Broadcasts passed on when they were relied upon.
    Relay,
}

impl Component {
    /// All, in the order of [`crate::saved::SavedReputation::evidence`].
    pub const ALL: [Self; 5] = [
        Self::Uptime,
        Self::Latency,
        Self::Validity,
        Self::Consensus,
        Self::Relay,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uptime => "uptime",
            Self::Latency => "latency",
            Self::Validity => "validity",
            Self::Consensus => "consensus",
            Self::Relay => "relay",
        }
    }
}

/// What the application reports of a peer ([`crate::Overlay::report_conduct`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Interaction {
    /// It was there, or was not, when it was needed: [`Component::Uptime`].
    Availability,
    /// It answered soon, or late: [`Component::Latency`].
    Response,
    /// What it said was valid, or was not: [`Component::Validity`].
    Message,
    /// It took part in the application's own protocol, or broke it: [`Component::Consensus`].
    Consensus,
    /// It passed on what it should, or did not: [`Component::Relay`].
    Relay,
}

impl Interaction {
    /// The component it bears on.
    #[must_use]
    pub const fn component(self) -> Component {
        match self {
            Self::Availability => Component::Uptime,
            Self::Response => Component::Latency,
            Self::Message => Component::Validity,
            Self::Consensus => Component::Consensus,
            Self::Relay => Component::Relay,
        }
    }
}

/// Why a score changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Evidence {
    /// A ping was answered, with this smoothed round-trip time.
    Answered(Duration),
    /// A ping was not answered in time.
    Unanswered,
    /// It fell silent.
    Silent,
    /// Its link ended without a goodbye.
    LinkLost(LinkEndCause),
    /// It brought a broadcast that is valid.
    ValidBroadcast,
    /// It broke the protocol, over its own link.
    Violation(PeerViolation),
    /// It signed a broadcast that the application rejects.
    SignedInvalid(BroadcastId),
    /// How it served in a heartbeat in which it was relied upon.
    Relay {
        /// Broadcasts that it brought first, or when it was asked.
        brought: u32,
        /// Broadcasts that it should have pushed, and somebody else had to be asked for.
        withheld: u32,
        /// Broadcasts that it said it had, and did not bring when it was asked.
        broken: u32,
        /// Times that it said nothing for long while it was told much.
        mute: u32,
    },
    /// The application said so.
    Reported {
        /// Of what.
        interaction: Interaction,
        /// Whether it was well.
        success: bool,
        /// How much it matters, 0 to 100.
        severity: u8,
    },
}

/// What a fault weighs that needs no second look: as much as eight observations.
pub(crate) const FAULT: f64 = 8.0;
/// A promise that was broken: who says it has a broadcast and is asked either brings it or lies. Two
/// heartbeats with one bar whoever had never failed before, until it has brought broadcasts in some twenty
/// others; one bars a newcomer. Links are reliable, so an honest one breaks hardly any (measured: none,
/// `docs/overlay.md` chapter 8), and one that breaks a single one has the tests of its probation to pass.
pub(crate) const BROKEN: f64 = 12.0;
/// A broadcast that a parent did not push in time and was not excused for. Two thirds of the above: three
/// heartbeats in a row bar whoever has never failed.
pub(crate) const WITHHELD: f64 = 8.0;
/// Silence in the face of [`crate::limits::MUTE_MAX`] announcements.
pub(crate) const MUTE: f64 = 8.0;
/// A valid broadcast. Little: it is the least that can be expected.
pub(crate) const VALID: f64 = 0.1;
/// A ping and its answer.
pub(crate) const PING: f64 = 0.25;
/// A link that was lost. Networks fail as well as peers.
pub(crate) const LINK_LOST: f64 = 1.0;
/// The round-trip time up to which an answer is as good as any: no peer gains by being near. An
/// attacker who rents a machine next door looks like everybody else on the continent (chosen).
pub(crate) const NEAR_ENOUGH: Duration = Duration::from_millis(300);

/// How good a round-trip time is, 0 to 1: 1 up to [`NEAR_ENOUGH`], then in inverse proportion.
pub(crate) fn latency_share(rtt: Duration) -> f64 {
    let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    let (near, rtt) = (f64::from(micros(NEAR_ENOUGH)), f64::from(micros(rtt)));
    if rtt <= near { 1.0 } else { near / rtt }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gains_by_being_nearer_than_near_enough() {
        let share = |millis| latency_share(Duration::from_millis(millis));
        assert!((share(0) - 1.0).abs() < 1e-12 && (share(300) - 1.0).abs() < 1e-12);
        assert!((share(600) - 0.5).abs() < 1e-12);
        assert!(latency_share(Duration::MAX) < 1e-3);
    }
}
