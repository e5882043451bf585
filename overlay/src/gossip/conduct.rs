//! How a neighbour serves in the present heartbeat, until that is counted.
//!
//! A heartbeat in which a neighbour was relied upon counts as one observation, by the share of what it
//! did well: so neither a flood of small broadcasts nor a single one changes what withholding costs. It is
//! counted when the next one has passed too, because an excuse may come later than the blame. A promise
//! that was broken is no matter of shares, and has no excuse: nobody has to promise anything.
//!
//! Who has failed is on *probation*: it owes so many tests ([`PROBATION_TESTS`]), each of which asks it for a
//! broadcast that it announces. A single failure says little of a neighbour that serves well four times of
//! five; the tests that follow say the rest within seconds, at any rate of broadcasts. Who has broken a
//! promise is *suspended* besides: it is nobody's parent until it has passed them.
//!
//! Who has not failed is *watched* after another neighbour was barred: as long as it is a parent and has not
//! served so many times since ([`WATCH_OCCASIONS`]), it is tested too.

use std::collections::VecDeque;

use core::time::Duration;

use crate::Instant;
use crate::bucket::TokenBucket;
use crate::limits::{
    ANNOUNCED_MAX, GIVEN_MAX, MUTE_MAX, OWED_MAX, PROBATION_TESTS, TRUST_PER_MINUTE,
    WATCH_OCCASIONS,
};
use crate::reputation::Evidence;
use crate::reputation::evidence::{BROKEN, MUTE, WITHHELD};
use crate::types::ShortId;

/// How long a row of copies has to last at least to count as long.
const GIVEN_FOR: Duration = Duration::from_secs(2);
/// Tokens of a message about trust: the bucket counts whole tokens a second.
const TRUST_COST: u64 = 60;

/// What a neighbour was relied upon for in a heartbeat.
#[derive(Clone, Copy)]
struct Occasions {
    since: Instant,
    brought: u32,
    withheld: u32,
    broken: u32,
    mute: u32,
}

/// What is not counted yet, and what was said lately.
pub(crate) struct Conduct {
    /// The heartbeat that lasts.
    present: Occasions,
    /// The one before.
    past: Occasions,
    /// Announcements to it since it last said something of a broadcast.
    told: u32,
    /// Copies to it since then, and when the first of them went.
    given: u32,
    given_since: Option<Instant>,
    /// Copies and announcements of it since it was last told of anything.
    owed: u32,
    /// What it announced lately, the oldest first.
    announced: VecDeque<ShortId>,
    /// Tests that it has yet to pass.
    tests_owed: u32,
    /// It has broken a promise, and not passed them since.
    is_suspended: bool,
    /// Times that it has yet to serve before it is watched no more.
    to_show: u32,
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

impl Occasions {
    const fn new(since: Instant) -> Self {
        Self {
            since,
            brought: 0,
            withheld: 0,
            broken: 0,
            mute: 0,
        }
    }

    /// What they come to; `None`: there were none.
    fn heartbeat(&self) -> Option<Heartbeat> {
        let bad = self.withheld.saturating_add(self.broken);
        let occasions = self.brought.saturating_add(bad).saturating_add(self.mute);
        if occasions == 0 {
            return None;
        }
        let of = |count: u32| f64::from(count) / f64::from(occasions);
        let against = match self.broken {
            0 => of(self.withheld) * WITHHELD + of(self.mute) * MUTE,
            _ => BROKEN,
        };
        Some(Heartbeat {
            favour: of(self.brought),
            against,
            evidence: Evidence::Relay {
                brought: self.brought,
                withheld: self.withheld,
                broken: self.broken,
                mute: self.mute,
            },
        })
    }
}

impl Conduct {
    /// Nothing yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            present: Occasions::new(now),
            past: Occasions::new(now),
            told: 0,
            given: 0,
            given_since: None,
            owed: 0,
            announced: VecDeque::new(),
            tests_owed: 0,
            is_suspended: false,
            to_show: 0,
            relied_at: None,
            trust: TokenBucket::new(now, TRUST_PER_MINUTE, TRUST_PER_MINUTE * TRUST_COST),
            trust_asked: None,
        }
    }

    /// It brought a broadcast first, or when it was asked.
    pub(crate) fn on_brought(&mut self, now: Instant) {
        self.present.brought = self.present.brought.saturating_add(1);
        self.to_show = self.to_show.saturating_sub(1);
        self.relied_at = Some(now);
    }

    /// It is the parent, and somebody else had to be asked.
    pub(crate) fn on_withheld(&mut self, now: Instant) {
        self.present.withheld = self.present.withheld.saturating_add(1);
        self.relied_at = Some(now);
    }

    /// It turns out not to have withheld what it was blamed for at `at`. Too late once that is counted.
    pub(crate) fn on_excused(&mut self, at: Instant) {
        for heartbeat in [&mut self.present, &mut self.past] {
            if at >= heartbeat.since {
                heartbeat.withheld = heartbeat.withheld.saturating_sub(1);
                return;
            }
        }
    }

    /// It was asked for what it had announced, and did not bring it.
    pub(crate) fn on_broken(&mut self, now: Instant) {
        self.present.broken = self.present.broken.saturating_add(1);
        self.relied_at = Some(now);
    }

    /// It is on probation.
    pub(crate) const fn on_probation(&mut self) {
        self.tests_owed = PROBATION_TESTS;
    }

    /// Whether it is, and so has yet to pass tests.
    pub(crate) const fn is_on_probation(&self) -> bool {
        self.tests_owed > 0
    }

    /// It is on probation, and nobody's parent meanwhile.
    pub(crate) const fn suspend(&mut self) {
        self.on_probation();
        self.is_suspended = true;
    }

    /// Whether it is nobody's parent until it has passed its tests.
    pub(crate) const fn is_suspended(&self) -> bool {
        self.is_suspended
    }

    /// It brought what it was asked for. What it pushes unasked shows nothing while nobody relies on it.
    pub(crate) const fn on_kept(&mut self) {
        self.tests_owed = self.tests_owed.saturating_sub(1);
        self.is_suspended &= self.tests_owed > 0;
    }

    /// Another neighbour was barred: it is watched.
    pub(crate) const fn on_watch(&mut self) {
        self.to_show = WATCH_OCCASIONS;
    }

    /// Whether it is.
    pub(crate) const fn is_watched(&self) -> bool {
        self.to_show > 0
    }

    /// It showed that it has a broadcast: announced it or brought it. Who only asks and prunes is mute: an
    /// honest node announces something back ([`Self::owes_a_word`]).
    pub(crate) const fn on_word(&mut self) {
        (self.told, self.given, self.given_since) = (0, 0, None);
    }

    /// It was told of so many broadcasts.
    pub(crate) const fn on_told(&mut self, count: u32) {
        if count > 0 {
            self.owed = 0;
        }
        self.told = self.told.saturating_add(count);
        if self.told >= MUTE_MAX {
            self.told = 0;
            self.present.mute = self.present.mute.saturating_add(1);
        }
    }

    /// It brought or announced so many, and was told nothing meanwhile. True: it is to be told of one now.
    pub(crate) const fn owes_a_word(&mut self, count: u32) -> bool {
        self.owed = self.owed.saturating_add(count);
        self.owed >= OWED_MAX
    }

    /// It announced this.
    pub(crate) fn on_announced(&mut self, key: ShortId) {
        if self.announced.len() >= ANNOUNCED_MAX {
            self.announced.pop_front();
        }
        self.announced.push_back(key);
    }

    /// Whether it announced this lately.
    pub(crate) fn has_announced(&self, key: &ShortId) -> bool {
        self.announced.contains(key)
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

    /// A heartbeat ends: what the one before comes to, now that nothing in it can be excused any more.
    /// `None`: the neighbour was not relied upon in it.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Heartbeat> {
        self.past.broken += core::mem::take(&mut self.present.broken);
        let heartbeat = self.past.heartbeat();
        if self.past.broken > 0 {
            self.suspend();
        } else if self.past.withheld > 0 {
            self.on_probation();
        }
        self.past = core::mem::replace(&mut self.present, Occasions::new(now));
        heartbeat
    }

    /// Nothing that is not counted yet counts.
    pub(crate) const fn forget(&mut self, now: Instant) {
        (self.present, self.past) = (Occasions::new(now), Occasions::new(now));
    }

    /// Whether one more message about trust is within its rate.
    pub(crate) fn admit_trust(&mut self, now: Instant) -> bool {
        self.trust.take(now, TRUST_COST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::BroadcastId;

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    #[test]
    fn a_heartbeat_counts_one_whatever_its_rate() {
        let mut conduct = Conduct::new(Instant::ZERO);
        assert_eq!(conduct.take(at(1)), None);
        for rate in [1, 10, 1000] {
            (0..rate).for_each(|_| conduct.on_brought(Instant::ZERO));
            (0..rate).for_each(|_| conduct.on_withheld(Instant::ZERO));
            assert_eq!(conduct.take(at(2)), None, "there may be excuses");
            let heartbeat = conduct.take(at(3)).expect("relied upon");
            assert!((heartbeat.favour - 0.5).abs() < 1e-12);
            assert!((heartbeat.against - 0.5 * WITHHELD).abs() < 1e-12);
        }
        assert_eq!(conduct.take(at(4)), None, "counted once");
    }

    #[test]
    fn a_broken_promise_counts_whole_however_many_were_kept() {
        let mut conduct = Conduct::new(Instant::ZERO);
        (0..99).for_each(|_| conduct.on_brought(Instant::ZERO));
        conduct.take(at(1));
        conduct.on_broken(at(1));
        let heartbeat = conduct.take(at(2)).expect("relied upon");
        assert!((heartbeat.favour - 0.99).abs() < 1e-12, "counted at once");
        assert!((heartbeat.against - BROKEN).abs() < 1e-12);
        assert_eq!(conduct.take(at(3)), None, "counted once");
        (0..PROBATION_TESTS).for_each(|_| {
            assert!(conduct.is_suspended());
            conduct.on_kept();
        });
        assert!(!conduct.is_suspended());
    }

    #[test]
    fn who_withholds_owes_so_many_tests_and_who_is_excused_none() {
        let mut conduct = Conduct::new(at(0));
        conduct.on_withheld(at(1));
        conduct.on_excused(at(1));
        conduct.take(at(2));
        conduct.take(at(3));
        assert!(!conduct.is_on_probation());
        conduct.on_withheld(at(3));
        conduct.take(at(4));
        assert!(!conduct.is_on_probation(), "there may be an excuse");
        conduct.take(at(5));
        assert!(!conduct.is_suspended(), "it has broken no promise");
        (0..PROBATION_TESTS).for_each(|_| {
            conduct.on_brought(at(5));
            assert!(conduct.is_on_probation(), "what it pushes passes no test");
            conduct.on_kept();
        });
        assert!(!conduct.is_on_probation());
    }

    #[test]
    fn who_is_watched_is_so_until_it_has_served_so_often() {
        let mut conduct = Conduct::new(at(0));
        assert!(!conduct.is_watched());
        conduct.on_watch();
        (1..WATCH_OCCASIONS).for_each(|_| conduct.on_brought(at(1)));
        assert!(conduct.is_watched());
        conduct.on_brought(at(1));
        assert!(!conduct.is_watched() && !conduct.is_on_probation());
    }

    #[test]
    fn an_excuse_counts_until_the_blame_is_counted_and_for_that_blame_only() {
        let mut conduct = Conduct::new(at(0));
        conduct.on_withheld(at(1));
        assert_eq!(conduct.take(at(2)), None);
        conduct.on_excused(at(1));
        assert_eq!(conduct.take(at(3)), None, "excused in time");
        conduct.on_withheld(at(3));
        conduct.take(at(4));
        assert!(conduct.take(at(5)).is_some_and(|of| of.against > 0.0));
        conduct.on_withheld(at(5));
        conduct.on_excused(at(3));
        conduct.take(at(6));
        let heartbeat = conduct.take(at(7));
        assert!(heartbeat.is_some_and(|of| of.against > 0.0), "another one");
        conduct.on_withheld(at(7));
        conduct.forget(at(8));
        assert_eq!((conduct.take(at(9)), conduct.take(at(10))), (None, None));
    }

    #[test]
    fn silence_counts_at_the_limit_and_a_word_ends_it() {
        let mut conduct = Conduct::new(Instant::ZERO);
        conduct.on_told(MUTE_MAX - 1);
        conduct.on_word();
        conduct.on_told(MUTE_MAX - 1);
        conduct.take(at(1));
        assert_eq!(conduct.take(at(2)), None);
        conduct.on_told(1);
        conduct.take(at(3));
        let heartbeat = conduct.take(at(4));
        assert!(heartbeat.is_some_and(|heartbeat| heartbeat.against >= MUTE));
        let (begun, later) = (Instant::ZERO, Instant::ZERO + GIVEN_FOR);
        assert!((0..2 * GIVEN_MAX).all(|_| !conduct.on_given(begun)));
        assert!(conduct.on_given(later) && !conduct.on_given(later));
        conduct.on_word();
        assert!((1..GIVEN_MAX).all(|n| !conduct.on_given(begun + GIVEN_FOR * n)));
        assert!(conduct.on_given(begun + GIVEN_FOR * GIVEN_MAX));
    }

    #[test]
    fn who_gets_much_says_a_word_before_it_counts_as_mute() {
        const { assert!(OWED_MAX < MUTE_MAX && OWED_MAX < GIVEN_MAX) };
        let mut conduct = Conduct::new(Instant::ZERO);
        assert!((1..OWED_MAX).all(|_| !conduct.owes_a_word(1)));
        assert!(conduct.owes_a_word(1));
        conduct.on_told(0);
        assert!(conduct.owes_a_word(0));
        conduct.on_told(1);
        assert!(!conduct.owes_a_word(1));
    }

    #[test]
    fn announcements_are_remembered_up_to_the_limit_and_the_oldest_leaves() {
        let key = |n: usize| BroadcastId::of_body(&n.to_be_bytes()).short();
        let mut conduct = Conduct::new(Instant::ZERO);
        (0..ANNOUNCED_MAX).for_each(|n| conduct.on_announced(key(n)));
        assert!((0..ANNOUNCED_MAX).all(|n| conduct.has_announced(&key(n))));
        conduct.on_announced(key(ANNOUNCED_MAX));
        assert!(!conduct.has_announced(&key(0)) && conduct.has_announced(&key(1)));
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
