//! The sender of NewReno without selective acknowledgements, as TCP had it before RFC 2018: slow
//! start, congestion avoidance and fast retransmit (RFC 5681), one repair a round trip by partial
//! acknowledgements (RFC 6582, the careful variant), the timer of RFC 6298 with the least of 200 ms
//! that today's systems use. Counts in whole segments; every segment is acknowledged.

use std::time::Duration;

/// RFC 6928.
const INITIAL_WINDOW: f64 = 10.0;
const TIMEOUT_MIN: Duration = Duration::from_millis(200);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// RFC 6298 (2.1).
const TIMEOUT_INITIAL: Duration = Duration::from_secs(1);

/// A transfer of so many segments.
pub(super) struct Reno {
    total: u64,
    /// The first segment that is not acknowledged, and the first that has never been sent since
    /// the last timeout.
    una: u64,
    next: u64,
    window: f64,
    threshold: f64,
    duplicates: u32,
    /// In fast recovery until this is acknowledged.
    recover: u64,
    recovering: bool,
    repeat: Option<u64>,
    smoothed: Option<Duration>,
    variation: Duration,
    timeout: Duration,
    /// The segment that is timed, and when it left (Karn: never a repeated one).
    timed: Option<(u64, Duration)>,
    highest: u64,
    deadline: Duration,
}

impl Reno {
    pub(super) fn new(total: u64) -> Self {
        Self {
            total,
            una: 0,
            next: 0,
            window: INITIAL_WINDOW,
            threshold: f64::INFINITY,
            duplicates: 0,
            recover: 0,
            recovering: false,
            repeat: None,
            smoothed: None,
            variation: Duration::ZERO,
            timeout: TIMEOUT_INITIAL,
            timed: None,
            highest: 0,
            deadline: TIMEOUT_INITIAL,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.una == self.total
    }

    /// When [`Self::on_timeout`] is due.
    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The next segment that may leave.
    pub(super) fn poll(&mut self, now: Duration) -> Option<u64> {
        if let Some(segment) = self.repeat.take() {
            return Some(segment);
        }
        if self.next >= self.total || (self.next - self.una) as f64 >= self.window.floor() {
            return None;
        }
        let segment = self.next;
        self.next += 1;
        if segment >= self.highest {
            self.highest = segment + 1;
            if self.timed.is_none() {
                self.timed = Some((segment, now));
            }
        }
        Some(segment)
    }

    /// Everything below `ack` has arrived.
    pub(super) fn on_ack(&mut self, now: Duration, ack: u64) {
        if ack > self.una {
            self.on_new(now, ack.min(self.total));
        } else if ack == self.una && self.next > self.una {
            self.on_duplicate();
        }
    }

    fn on_new(&mut self, now: Duration, ack: u64) {
        if let Some((_, left)) = self.timed.take_if(|(segment, _)| *segment < ack) {
            self.sample(now.saturating_sub(left));
        }
        let acked = (ack - self.una) as f64;
        self.una = ack;
        self.next = self.next.max(ack);
        self.duplicates = 0;
        if self.recovering && ack < self.recover {
            // A partial acknowledgement: the next hole, and the window deflated by what arrived.
            self.repeat = Some(ack);
            self.timed = None;
            self.window = (self.window - acked + 1.0).max(1.0);
        } else if self.recovering {
            self.recovering = false;
            self.window = self.threshold;
        } else if self.window < self.threshold {
            self.window += 1.0;
        } else {
            self.window += 1.0 / self.window;
        }
        self.deadline = now + self.timeout;
    }

    fn on_duplicate(&mut self) {
        self.duplicates += 1;
        if self.recovering {
            self.window += 1.0;
        } else if self.duplicates == 3 && self.una >= self.recover {
            self.threshold = ((self.next - self.una) as f64 / 2.0).max(2.0);
            self.window = self.threshold + 3.0;
            self.recover = self.highest;
            self.recovering = true;
            self.repeat = Some(self.una);
            self.timed = None;
        }
    }

    pub(super) fn on_timeout(&mut self, now: Duration) {
        self.threshold = ((self.next - self.una) as f64 / 2.0).max(2.0);
        self.window = 1.0;
        self.next = self.una;
        self.recover = self.highest;
        (self.recovering, self.duplicates, self.timed) = (false, 0, None);
        self.repeat = None;
        self.timeout = (self.timeout * 2).min(TIMEOUT_MAX);
        self.deadline = now + self.timeout;
    }

    /// RFC 6298 §2.
    fn sample(&mut self, rtt: Duration) {
        let smoothed = match self.smoothed {
            None => {
                self.variation = rtt / 2;
                rtt
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(rtt)) / 4;
                (smoothed * 7 + rtt) / 8
            }
        };
        self.smoothed = Some(smoothed);
        self.timeout = (smoothed + self.variation * 4).clamp(TIMEOUT_MIN, TIMEOUT_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(40);

    fn flight(reno: &mut Reno, now: Duration) -> Vec<u64> {
        std::iter::from_fn(|| reno.poll(now)).collect()
    }

    #[test]
    fn a_window_doubles_each_round_trip_until_all_is_sent() {
        let mut reno = Reno::new(70);
        let mut now = Duration::ZERO;
        let mut sizes = Vec::new();
        while !reno.is_done() {
            let sent = flight(&mut reno, now);
            sizes.push(sent.len());
            now += RTT;
            sent.iter()
                .for_each(|segment| reno.on_ack(now, segment + 1));
        }
        assert_eq!(sizes, [10, 20, 40]);
    }

    #[test]
    fn of_two_holes_one_is_repaired_each_round_trip() {
        let mut reno = Reno::new(1_000);
        assert_eq!(flight(&mut reno, Duration::ZERO).len(), 10);
        // Segments 1 and 4 are lost: one new acknowledgement, seven duplicates.
        reno.on_ack(RTT, 1);
        (0..7).for_each(|_| reno.on_ack(RTT, 1));
        let first = flight(&mut reno, RTT);
        assert_eq!(first.first(), Some(&1));
        assert!(!first.contains(&4), "nothing tells of the second hole yet");
        reno.on_ack(RTT * 2, 4);
        assert_eq!(flight(&mut reno, RTT * 2).first(), Some(&4));
        reno.on_ack(RTT * 3, 1 + *first.last().unwrap());
        assert!(!reno.recovering);
        assert_eq!((reno.window, reno.threshold), (4.5, 4.5), "half of nine");
    }

    #[test]
    fn a_timeout_starts_again_from_the_first_hole_with_one_segment() {
        let mut reno = Reno::new(100);
        flight(&mut reno, Duration::ZERO);
        let late = reno.deadline();
        reno.on_timeout(late);
        assert_eq!(flight(&mut reno, late), [0]);
        assert_eq!(reno.deadline(), late + TIMEOUT_INITIAL * 2);
    }
}
