//! How a neighbour serves in the present heartbeat, until that is counted.
//!
//! A heartbeat in which a neighbour was relied upon counts as one observation, by the share of what it
//! did well: so neither a flood of small broadcasts nor a single one changes what withholding costs.

use core::time::Duration;

use crate::Instant;
use crate::bucket::TokenBucket;
use crate::limits::{GIVEN_MAX, MUTE_MAX, TRUST_PER_MINUTE};
use crate::reputation::Evidence;
use crate::reputation::evidence::{BROKEN, MUTE, WITHHELD};

/// How long a row of copies has to last at least to count as long.
const GIVEN_FOR: Duration = Duration::from_secs(2);
/// Tokens of a message about trust: the bucket counts whole tokens a second.
const TRUST_COST: u64 = 60;

/// What is not counted yet, and what was said lately.
pub(crate) struct Conduct {
    brought: u32,
    withheld: u32,
    broken: u32,
    mute: u32,
    /// Announcements to it since it last said something of a broadcast.
    told: u32,
    /// Copies to it since then, and when the first of them went.
    given: u32,
    given_since: Option<Instant>,
    /// When it was last relied upon.
    pub(crate) relied_at: Option<Instant>,
    /// Messages about trust that it may still send.
    trust: TokenBucket,
    /// The ID of our question about trust.
    pub(crate) trust_asked: Option<u64>,
}

/// What a heartbeat comes to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Heartbeat {
    /// Evidence for, 0 to 1.
    pub(crate) favour: f64,
    /// Evidence against.
    pub(crate) against: f64,
    pub(crate) evidence: Evidence,
}

impl Conduct {
    /// Nothing yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            brought: 0,
            withheld: 0,
            broken: 0,
            mute: 0,
            told: 0,
            given: 0,
            given_since: None,
            relied_at: None,
            trust: TokenBucket::new(now, TRUST_PER_MINUTE, TRUST_PER_MINUTE * TRUST_COST),
            trust_asked: None,
        }
    }

    /// It brought a broadcast first, or when it was asked.
    pub(crate) fn on_brought(&mut self, now: Instant) {
        self.brought = self.brought.saturating_add(1);
        self.relied_at = Some(now);
    }

    /// It is the parent, and somebody else had to be asked.
    pub(crate) fn on_withheld(&mut self, now: Instant) {
        self.withheld = self.withheld.saturating_add(1);
        self.relied_at = Some(now);
    }

    /// It turns out to have lacked it itself.
    pub(crate) fn on_excused(&mut self) {
        self.withheld = self.withheld.saturating_sub(1);
    }

    /// It was asked for what it had announced, and did not bring it.
    pub(crate) fn on_broken(&mut self, now: Instant) {
        self.broken = self.broken.saturating_add(1);
        self.relied_at = Some(now);
    }

    /// It said something of a broadcast: had it, wanted it, brought it.
    pub(crate) const fn on_word(&mut self) {
        (self.told, self.given, self.given_since) = (0, 0, None);
    }

    /// It was told of so many broadcasts.
    pub(crate) const fn on_told(&mut self, count: u32) {
        self.told = self.told.saturating_add(count);
        if self.told >= MUTE_MAX {
            self.told = 0;
            self.mute = self.mute.saturating_add(1);
        }
    }

    /// It was pushed one more. True: it has said nothing for so long that it is to be announced to. A burst
    /// is no long time.
    pub(crate) fn on_given(&mut self, now: Instant) -> bool {
        self.given = self.given.saturating_add(1);
        let since = *self.given_since.get_or_insert(now);
        let is_long = self.given >= GIVEN_MAX && now >= since + GIVEN_FOR;
        if is_long {
            (self.given, self.given_since) = (0, None);
        }
        is_long
    }

    /// What the heartbeat that ends comes to; `None`: it was not relied upon.
    pub(crate) fn take(&mut self) -> Option<Heartbeat> {
        let bad = self.withheld.saturating_add(self.broken);
        let occasions = self.brought.saturating_add(bad).saturating_add(self.mute);
        if occasions == 0 {
            return None;
        }
        let of = |count: u32| f64::from(count) / f64::from(occasions);
        let heartbeat = Heartbeat {
            favour: of(self.brought),
            against: of(self.withheld) * WITHHELD + of(self.broken) * BROKEN + of(self.mute) * MUTE,
            evidence: Evidence::Relay {
                brought: self.brought,
                withheld: self.withheld,
                broken: self.broken,
                mute: self.mute,
            },
        };
        (self.brought, self.withheld, self.broken, self.mute) = (0, 0, 0, 0);
        Some(heartbeat)
    }

    /// Whether one more message about trust is within its rate.
    pub(crate) fn admit_trust(&mut self, now: Instant) -> bool {
        self.trust.take(now, TRUST_COST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_counts_one_whatever_its_rate() {
        let mut conduct = Conduct::new(Instant::ZERO);
        assert_eq!(conduct.take(), None);
        for rate in [1, 10, 1000] {
            (0..rate).for_each(|_| conduct.on_brought(Instant::ZERO));
            (0..rate).for_each(|_| conduct.on_withheld(Instant::ZERO));
            let heartbeat = conduct.take().expect("relied upon");
            assert!((heartbeat.favour - 0.5).abs() < 1e-12);
            assert!((heartbeat.against - 0.5 * WITHHELD).abs() < 1e-12);
        }
        assert_eq!(conduct.take(), None, "counted once");
    }

    #[test]
    fn silence_counts_at_the_limit_and_a_word_ends_it() {
        let mut conduct = Conduct::new(Instant::ZERO);
        conduct.on_told(MUTE_MAX - 1);
        conduct.on_word();
        conduct.on_told(MUTE_MAX - 1);
        assert_eq!(conduct.take(), None);
        conduct.on_told(1);
        assert!(
            conduct
                .take()
                .is_some_and(|heartbeat| heartbeat.against >= MUTE)
        );
        let (begun, later) = (Instant::ZERO, Instant::ZERO + GIVEN_FOR);
        assert!((0..2 * GIVEN_MAX).all(|_| !conduct.on_given(begun)));
        assert!(conduct.on_given(later) && !conduct.on_given(later));
        conduct.on_word();
        assert!((1..GIVEN_MAX).all(|n| !conduct.on_given(begun + GIVEN_FOR * n)));
        assert!(conduct.on_given(begun + GIVEN_FOR * GIVEN_MAX));
    }

    #[test]
    fn messages_about_trust_are_admitted_up_to_their_rate() {
        let mut conduct = Conduct::new(Instant::ZERO);
        assert!((0..TRUST_PER_MINUTE).all(|_| conduct.admit_trust(Instant::ZERO)));
        assert!(!conduct.admit_trust(Instant::ZERO));
        let later = Instant::ZERO + Duration::from_secs(10);
        assert!(conduct.admit_trust(later) && !conduct.admit_trust(later));
    }
}
