//! Loss that is there anyway, told from loss of our own making. Not in the draft; only
//! [`super::Bbr::tolerant`] uses it.
//!
//! The draft takes more than 2 % of loss in a round for a sign that too much is in flight, and any
//! loss outside probing for a sign that the path has become slower. On a path that loses 5 % of
//! everything, that ends at the least window. In ProbeRTT half of what fits is in flight: what is
//! lost then is lost without a queue of ours. That share is the noise of the path; beside the
//! draft's 2 %, one and a half times the noise is bearable.
//!
//! Before the first ProbeRTT, Startup gives a first estimate: a round after which delivery became a
//! quarter faster did not fill the path, so neither did the rounds before it, and what they lost is
//! noise. The last two rounds of Startup never count. These rounds are short, and an estimate that is
//! too low ends Startup far below the bandwidth; so it gets two standard deviations on top.
//!
//! What a flight or a round has lost is a small count and varies by chance: of a hundred packets at 1 % three
//! or more are lost in one round of twelve. A path within a machine has thousands of rounds a second, so more than the draft's 2 %
//! are lost all the time, and each time less is allowed in flight, where chance weighs even more. There two
//! standard deviations of the count are taken for chance ([`beyond_chance`], ADR 0626).

use super::constants::LOSS_THRESHOLD;
use crate::time::Instant;

/// Most noise that is believed, in thousandths: beyond it the path is not usable anyway. A guess.
const NOISE_MAX: u64 = 100;
/// Packets that a measurement needs. A guess: at 5 % the estimate is then within 3 %.
const PACKETS_MIN: u64 = 50;

/// Packets of Startup that say anything. A guess: what leaves at first.
const EARLY_PACKETS_MIN: u64 = 10;

/// What became of packets that left in one or more ProbeRTTs.
#[derive(Clone, Copy, Default, Debug)]
struct Count {
    packets: u64,
    lost: u64,
}

const NOTHING: Count = Count {
    packets: 0,
    lost: 0,
};

impl Count {
    fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.lost += other.lost;
    }

    fn note(&mut self, lost: bool) {
        self.packets += 1;
        self.lost += u64::from(lost);
    }

    const fn is_enough(self) -> bool {
        self.packets >= PACKETS_MIN
    }

    /// The share that is lost, in thousandths.
    fn share(self) -> u64 {
        self.lost * 1_000 / self.packets.max(1)
    }

    /// The same with two standard deviations of a Poisson count on top.
    fn upper_share(self) -> u64 {
        let lost = self.lost + 2 * self.lost.isqrt() + 1;
        lost * 1_000 / self.packets.max(1)
    }
}

/// What Startup tells.
#[derive(Clone, Copy, Default, Debug)]
struct Early {
    /// Rounds that were far from filling the path.
    settled: Count,
    /// The round before the current one.
    before: Count,
    current: Count,
    is_over: bool,
}

/// Of `lost` bytes, in packets of `mtu`, those that are more than chance: less two standard deviations of a
/// Poisson count. Zero for four packets and fewer.
pub(super) fn beyond_chance(lost: u64, mtu: u64) -> u64 {
    lost.saturating_sub(2 * lost.saturating_mul(mtu).isqrt())
}

/// The estimator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noise {
    is_believed: bool,
    /// Packets that left from here …
    from: Instant,
    /// … to here are counted; None: until further notice.
    to: Option<Instant>,
    current: Count,
    previous: Count,
    early: Early,
}

impl Noise {
    pub(super) const fn new(is_believed: bool) -> Self {
        Self {
            is_believed,
            from: Instant::FAR_FUTURE,
            to: Some(Instant::ZERO),
            current: NOTHING,
            previous: NOTHING,
            early: Early {
                settled: NOTHING,
                before: NOTHING,
                current: NOTHING,
                is_over: false,
            },
        }
    }

    /// Whether noise is looked for at all.
    pub(super) const fn is_believed(&self) -> bool {
        self.is_believed
    }

    /// A round of Startup is over, and delivery became a quarter faster, or not.
    pub(super) fn on_startup_round(&mut self, faster: bool) {
        let early = &mut self.early;
        if early.is_over {
            return;
        }
        if faster {
            early.settled.add(early.before);
            early.before = core::mem::take(&mut early.current);
        } else {
            early.is_over = true;
        }
    }

    /// Half of what fits is in flight from now on.
    pub(super) fn begin(&mut self, now: Instant) {
        (self.from, self.to) = (now, None);
        self.early.is_over = true;
        if self.current.is_enough() {
            self.previous = core::mem::take(&mut self.current);
        }
    }

    /// No longer.
    pub(super) const fn end(&mut self, now: Instant) {
        self.to = Some(now);
    }

    /// A packet's fate is known.
    pub(super) fn on_packet(&mut self, sent_at: Instant, lost: bool) {
        if !self.early.is_over {
            self.early.current.note(lost);
        }
        if sent_at >= self.from && self.to.is_none_or(|to| sent_at < to) {
            self.current.note(lost);
        }
    }

    /// Loss in thousandths that is bearable.
    pub(super) fn bearable(&self) -> u64 {
        let mut known = self.current;
        known.add(self.previous);
        let early = self.early.settled;
        let noise = match (known.is_enough(), early.packets >= EARLY_PACKETS_MIN) {
            _ if !self.is_believed => 0,
            (true, _) => known.share(),
            (false, true) => early.upper_share(),
            (false, false) => 0,
        };
        LOSS_THRESHOLD * 10 + noise.min(NOISE_MAX) * 3 / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn only_packets_of_a_measurement_count() {
        let mut noise = Noise::new(true);
        assert_eq!(noise.bearable(), 20);
        for sent in 0..100 {
            noise.on_packet(at(sent), true);
        }
        assert_eq!(noise.bearable(), 20, "none had begun");
        noise.begin(at(100));
        for sent in 100..200 {
            noise.on_packet(at(sent), sent % 20 == 0);
        }
        noise.end(at(200));
        for sent in 200..300 {
            noise.on_packet(at(sent), true);
        }
        assert_eq!(noise.bearable(), 20 + 75, "5 %");
    }

    #[test]
    fn two_measurements_are_remembered_and_a_short_one_is_continued() {
        let mut noise = Noise::new(true);
        let mut measure = |start, packets, lost| {
            noise.begin(at(start));
            for packet in 0..packets {
                noise.on_packet(at(start + packet), packet < lost);
            }
            noise.end(at(start + packets));
            noise.bearable()
        };
        assert_eq!(measure(0, 30, 3), 20, "too few");
        assert_eq!(measure(100, 30, 3), 20 + 150);
        assert_eq!(measure(200, 60, 0), 20 + 75);
        assert_eq!(measure(300, 60, 0), 20);
    }

    #[test]
    fn the_last_two_rounds_of_startup_do_not_count() {
        let mut noise = Noise::new(true);
        let mut round = |packets, lost, faster| {
            for packet in 0..packets {
                noise.on_packet(at(0), packet < lost);
            }
            noise.on_startup_round(faster);
            noise.bearable()
        };
        assert_eq!(round(200, 10, true), 20);
        assert_eq!(round(400, 20, true), 20 + 127, "10 of 200, and 7 on top");
        assert_eq!(round(800, 400, true), 20 + 102, "30 of 600, and 11 on top");
        assert_eq!(round(1_600, 800, false), 20 + 102);
        assert_eq!(round(1_600, 1_600, true), 20 + 102, "it was over");
    }

    #[test]
    fn a_startup_without_loss_leaves_the_threshold_of_the_draft() {
        let mut noise = Noise::new(true);
        for packets in [10, 1_000, 1_000] {
            (0..packets).for_each(|_| noise.on_packet(at(0), false));
            noise.on_startup_round(true);
        }
        assert_eq!(noise.bearable(), 20, "less than a thousandth on top");
    }

    #[test]
    fn few_lost_packets_may_be_chance_and_many_are_not() {
        let of = |packets: u64| beyond_chance(packets * 1_400, 1_400) / 1_400;
        assert_eq!(
            [0, 1, 4, 5, 6, 16, 100, 10_000].map(of),
            [0, 0, 0, 0, 1, 8, 80, 9_800]
        );
        assert!(beyond_chance(5 * 1_400, 1_400) > 0);
        assert_eq!(
            beyond_chance(u64::MAX, u64::MAX),
            u64::MAX - 2 * u64::from(u32::MAX)
        );
    }

    #[test]
    fn noise_is_capped_and_ignored_when_not_asked_for() {
        for (is_believed, bearable) in [(true, 170), (false, 20)] {
            let mut noise = Noise::new(is_believed);
            noise.begin(at(0));
            for _ in 0..100 {
                noise.on_packet(at(1), true);
            }
            assert_eq!(noise.bearable(), bearable);
        }
    }
}
