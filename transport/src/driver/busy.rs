//! Looking again for a while before going to sleep, where answers come at once.
//!
//! To fall asleep and be woken costs both ends more than a short wait: the sleeper a switch of tasks, the
//! sender of the packet that wakes it an interrupt of another core. Who waits no longer than sleeping
//! would cost spends at most twice what the best choice does (Karlin, Li, Manasse and Owicki, *Empirical
//! studies of competitive spinning for a shared-memory multiprocessor*, SOSP 1991). So the task looks again
//! as long as arrivals follow each other closely, and tries whether they do only now and then:
//! an endpoint with little to do sleeps as before. Other tasks of the runtime run between two looks.

use core::time::Duration;

use crate::Instant;

/// Looks in a row, at most: they end also where the clock stands still.
const LOOKS_MAX: u32 = 512;
/// Sleeps before looking is tried, and the most after trials that came to nothing.
const RESTS: (u32, u32) = (16, 1_024);
/// Arrivals of a trial before it is judged: while the other end sleeps between two packets its answers
/// are late, and it does not try before it has slept [`RESTS`] times.
const TRIAL: u32 = 4 * RESTS.0;
/// How long one look may take, in average waits that are worth it: so long that an end that sleeps can
/// answer.
const PATIENCE: u32 = 4;

/// Decides between another look and sleep.
pub(super) struct BusyPoll {
    /// Average wait up to which looking goes on; zero: never.
    keep: Duration,
    /// First moment without work since the last arrival.
    idle_since: Option<Instant>,
    looks: u32,
    looking: bool,
    /// Smoothed wait while looking (α = 1/8), in nanoseconds.
    wait: u64,
    /// Arrivals that were looked for since the last sleep.
    found: u32,
    /// Sleeps until the next trial, and after a failed one.
    rests: u32,
    rests_next: u32,
}

impl BusyPoll {
    /// Looks as long as waits of `keep` are the average.
    pub(super) const fn new(keep: Duration) -> Self {
        Self {
            keep,
            idle_since: None,
            looks: 0,
            looking: false,
            wait: 0,
            found: 0,
            rests: RESTS.0,
            rests_next: RESTS.0,
        }
    }

    /// Whether the next attempt to receive is a look, whatever the system says of the socket.
    pub(super) const fn is_looking(&self) -> bool {
        self.looking
    }

    /// Nothing is to be done. True: look again. False: sleep, after an attempt that registers for being
    /// woken. Not `may_look`: the system takes no more, or so much is under way that the next packets
    /// had better be received together.
    pub(super) fn on_idle(&mut self, now: Instant, may_look: bool) -> bool {
        if !may_look {
            self.looking = false;
            return false;
        }
        let Some(since) = self.idle_since else {
            self.idle_since = Some(now);
            self.looks = 0;
            self.looking = self.rests == 0 && !self.keep.is_zero();
            return self.looking;
        };
        self.looks += 1;
        let over = now >= since + self.keep * PATIENCE || self.looks >= LOOKS_MAX;
        if self.looking && over {
            self.give_up();
        }
        self.looking
    }

    /// Something came.
    pub(super) fn on_arrival(&mut self, now: Instant) {
        let Some(since) = self.idle_since.take() else {
            return;
        };
        if !self.looking {
            self.rests = self.rests.saturating_sub(1);
            return;
        }
        let waited = now.saturating_duration_since(since).as_nanos();
        self.wait = self.wait - self.wait / 8 + u64::try_from(waited / 8).unwrap_or(u64::MAX / 8);
        self.found = self.found.saturating_add(1);
        if self.found >= TRIAL && u128::from(self.wait) > self.keep.as_nanos() {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.looking = false;
        (self.wait, self.found) = (0, 0);
        self.rests = self.rests_next;
        self.rests_next = (2 * self.rests_next).min(RESTS.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Duration = Duration::from_micros(25);

    /// Arrivals that each come `gap` after the one before; how many of them were looked for.
    fn looked_for(busy: &mut BusyPoll, gap: Duration, arrivals: u32) -> u32 {
        let mut now = Instant::ZERO;
        let mut found = 0;
        for _ in 0..arrivals {
            let due = now + gap;
            let mut look = busy.on_idle(now, true);
            while look && now < due {
                now = now + Duration::from_micros(1);
                look = busy.on_idle(now, true);
            }
            found += u32::from(look);
            now = now.max(due);
            busy.on_arrival(now);
        }
        found
    }

    #[test]
    fn answers_that_come_at_once_are_looked_for() {
        let mut busy = BusyPoll::new(KEEP);
        let found = looked_for(&mut busy, Duration::from_micros(10), 1_000);
        assert_eq!(found, 1_000 - RESTS.0);
    }

    #[test]
    fn late_answers_are_looked_for_ever_more_rarely() {
        let mut busy = BusyPoll::new(KEEP);
        assert_eq!(looked_for(&mut busy, Duration::from_micros(110), 10_000), 0);
        assert_eq!(busy.rests_next, RESTS.1);
        let found = looked_for(&mut busy, Duration::from_micros(80), 100_000);
        assert!(
            (4_000..8_000).contains(&found),
            "those of the trials: {found}"
        );
    }

    #[test]
    fn a_trial_goes_on_until_the_other_end_may_have_joined_it() {
        let mut busy = BusyPoll::new(KEEP);
        looked_for(&mut busy, Duration::from_micros(80), RESTS.0 + TRIAL / 2);
        let found = looked_for(&mut busy, Duration::from_micros(8), 1_000);
        assert_eq!(found, 1_000);
    }

    #[test]
    fn a_limit_of_zero_never_looks_and_a_clock_that_stands_still_ends_it() {
        let mut never = BusyPoll::new(Duration::ZERO);
        assert_eq!(looked_for(&mut never, Duration::ZERO, 100), 0);
        let mut busy = BusyPoll::new(KEEP);
        looked_for(&mut busy, Duration::from_micros(1), RESTS.0);
        let looks = (0..10_000)
            .take_while(|_| busy.on_idle(Instant::ZERO, true))
            .count();
        assert_eq!(looks, LOOKS_MAX as usize);
    }
}
