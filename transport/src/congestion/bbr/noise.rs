//! Loss that is there anyway, told from loss of our own making. Not in the draft; only
//! [`super::Bbr::tolerant`] uses it.
//!
//! The draft takes more than 2 % of loss in a round for a sign that too much is in flight, and any
//! loss outside probing for a sign that the path has become slower. On a path that loses 5 % of
//! everything, that ends at the least window. In ProbeRTT half of what fits is in flight: what is
//! lost then is lost without a queue of ours. That share is the noise of the path; beside the
//! draft's 2 %, one and a half times the noise is bearable.

use super::constants::LOSS_THRESHOLD;
use crate::time::Instant;

/// Most noise that is believed, in thousandths: beyond it the path is not usable anyway. A guess.
const NOISE_MAX: u64 = 100;
/// Packets that a measurement needs. A guess: at 5 % the estimate is then within 3 %.
const PACKETS_MIN: u64 = 50;

/// What became of packets that left in one or more ProbeRTTs.
#[derive(Clone, Copy, Default, Debug)]
struct Count {
    packets: u64,
    lost: u64,
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
}

impl Noise {
    pub(super) const fn new(is_believed: bool) -> Self {
        Self {
            is_believed,
            from: Instant::FAR_FUTURE,
            to: Some(Instant::ZERO),
            current: Count {
                packets: 0,
                lost: 0,
            },
            previous: Count {
                packets: 0,
                lost: 0,
            },
        }
    }

    /// Whether noise is looked for at all.
    pub(super) const fn is_believed(&self) -> bool {
        self.is_believed
    }

    /// Half of what fits is in flight from now on.
    pub(super) fn begin(&mut self, now: Instant) {
        (self.from, self.to) = (now, None);
        if self.current.packets >= PACKETS_MIN {
            self.previous = core::mem::take(&mut self.current);
        }
    }

    /// No longer.
    pub(super) const fn end(&mut self, now: Instant) {
        self.to = Some(now);
    }

    /// A packet's fate is known.
    pub(super) fn on_packet(&mut self, sent_at: Instant, lost: bool) {
        if sent_at >= self.from && self.to.is_none_or(|to| sent_at < to) {
            self.current.packets += 1;
            self.current.lost += u64::from(lost);
        }
    }

    /// Loss in thousandths that is bearable.
    pub(super) fn bearable(&self) -> u64 {
        let packets = self.current.packets + self.previous.packets;
        if !self.is_believed || packets < PACKETS_MIN {
            return LOSS_THRESHOLD * 10;
        }
        let lost = self.current.lost + self.previous.lost;
        LOSS_THRESHOLD * 10 + (lost * 1_000 / packets).min(NOISE_MAX) * 3 / 2
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
