//! Delivery rate: how fast the path delivers, measured at each acknowledgement
//! (draft-ietf-ccwg-bbr-06 §4.1).
//!
//! Every packet remembers how much had been delivered and lost when it left ([`AtSend`], a few
//! words in its in-flight record, no allocation). Its acknowledgement spans an interval that begins
//! there. Taking the longer of the time of sending and the time of acknowledging keeps compressed
//! acknowledgements from looking like bandwidth. A sample taken while the application had nothing
//! to send is marked: it may underestimate the path.
//!
//! Discrepancies: a sender held back by the peer's flow control counts as application-limited,
//! because nothing is known of the path beyond the window that the peer gave.

use core::time::Duration;

use crate::time::Instant;

/// What a packet remembers of the moment it left.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct AtSend {
    /// Bytes delivered by then.
    delivered: u64,
    /// Bytes declared lost by then.
    lost: u64,
    /// Bytes in flight, this packet included.
    in_flight: u64,
    /// When `delivered` was last raised.
    delivered_at: Instant,
    /// When the packet left that began the sending interval.
    interval_start: Instant,
    app_limited: bool,
}

/// How fast the path delivered between the departure of a packet and its acknowledgement. Sizes are
/// bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RateSample {
    /// Delivered since the connection began, this acknowledgement included.
    pub delivered_total: u64,
    /// Declared lost since the connection began.
    pub lost_total: u64,
    /// Delivered by the time the newest acknowledged packet left.
    pub prior_delivered: u64,
    /// Delivered over the interval.
    pub delivered: u64,
    /// Declared lost over the interval.
    pub lost: u64,
    /// In flight just after the newest acknowledged packet left.
    pub in_flight_at_send: u64,
    /// Length of the interval.
    pub interval: Duration,
    /// Bytes per second; None: the interval is too short to tell (shorter than the least
    /// round-trip time).
    pub bytes_per_second: Option<u64>,
    /// The application had nothing to send for a while: the path may be faster.
    pub app_limited: bool,
}

/// What a lost packet tells.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LossSample {
    /// Bytes delivered since the connection began.
    pub delivered_total: u64,
    /// Bytes declared lost since the packet left, the packet included.
    pub lost_since_sent: u64,
    /// Bytes in flight just after the packet left.
    pub in_flight_at_send: u64,
    /// It left while the application had nothing more to send.
    pub app_limited: bool,
}

/// The newest packet of the acknowledgement in progress.
#[derive(Clone, Copy, Debug)]
struct Newest {
    sent_at: Instant,
    number: u64,
    at_send: AtSend,
}

/// The estimator of one path.
#[derive(Clone, Copy, Default, Debug)]
pub struct RateSampler {
    delivered: u64,
    lost: u64,
    delivered_at: Instant,
    /// When the most recently acknowledged packet left; after idleness: when the last one left.
    interval_start: Instant,
    /// Samples are marked until this much is delivered; zero: not marked.
    app_limited_until: u64,
    /// Packets below this number may have left while the window was the limit.
    window_limited_below: u64,
    newest: Option<Newest>,
}

impl AtSend {
    /// The application had nothing more to send.
    #[must_use]
    pub const fn is_app_limited(&self) -> bool {
        self.app_limited
    }

    /// The same for a packet that left at the same moment, behind packets of `bytes`.
    #[must_use]
    pub(crate) const fn behind(self, bytes: u64) -> Self {
        Self {
            in_flight: self.in_flight + bytes,
            ..self
        }
    }
}

impl RateSampler {
    /// A packet leaves; `in_flight` includes it, `bytes` are its own.
    pub fn on_sent(&mut self, now: Instant, bytes: u64, in_flight: u64) -> AtSend {
        if in_flight <= bytes {
            self.interval_start = now;
            self.delivered_at = now;
        }
        AtSend {
            delivered: self.delivered,
            lost: self.lost,
            in_flight,
            delivered_at: self.delivered_at,
            interval_start: self.interval_start,
            app_limited: self.app_limited_until > 0,
        }
    }

    /// A packet was acknowledged.
    pub fn on_acked(
        &mut self,
        now: Instant,
        (number, sent_at, bytes): (u64, Instant, u64),
        at_send: &AtSend,
    ) {
        self.delivered += bytes;
        self.delivered_at = now;
        let is_newest = self
            .newest
            .is_none_or(|newest| (sent_at, number) > (newest.sent_at, newest.number));
        if is_newest {
            self.newest = Some(Newest {
                sent_at,
                number,
                at_send: *at_send,
            });
        }
    }

    /// A packet of `bytes` was declared lost.
    pub const fn on_lost(&mut self, bytes: u64, at_send: &AtSend) -> LossSample {
        self.lost += bytes;
        LossSample {
            delivered_total: self.delivered,
            lost_since_sent: self.lost - at_send.lost,
            in_flight_at_send: at_send.in_flight,
            app_limited: at_send.app_limited,
        }
    }

    /// The application has nothing to send though window and pace would allow it.
    pub fn on_app_limited(&mut self, in_flight: u64) {
        self.app_limited_until = (self.delivered + in_flight).max(1);
    }

    /// The window holds data back; `next` is the number of the next packet.
    pub const fn on_window_limited(&mut self, next: u64) {
        self.window_limited_below = next;
    }

    /// Whether the window was the limit at some moment of the round trip that an acknowledgement of
    /// the packet `number` ends.
    #[must_use]
    pub const fn was_window_limited(&self, number: u64) -> bool {
        number < self.window_limited_below
    }

    /// The sample of the acknowledgement whose packets were passed to [`Self::on_acked`]; None if
    /// there were none.
    pub fn finish(&mut self, now: Instant, min_rtt: Duration) -> Option<RateSample> {
        let newest = self.newest.take()?;
        if self.app_limited_until > 0 && self.delivered > self.app_limited_until {
            self.app_limited_until = 0;
        }
        let at_send = newest.at_send;
        let sending = newest
            .sent_at
            .saturating_duration_since(at_send.interval_start);
        let acking = now.saturating_duration_since(at_send.delivered_at);
        self.interval_start = self.interval_start.max(newest.sent_at);
        let interval = sending.max(acking);
        let delivered = self.delivered - at_send.delivered;
        let nanos = interval.as_nanos();
        let is_plausible = nanos > 0 && interval >= min_rtt;
        let rate = || u64::try_from(u128::from(delivered) * 1_000_000_000 / nanos);
        Some(RateSample {
            delivered_total: self.delivered,
            lost_total: self.lost,
            prior_delivered: at_send.delivered,
            delivered,
            lost: self.lost - at_send.lost,
            in_flight_at_send: at_send.in_flight,
            interval,
            bytes_per_second: is_plausible.then(|| rate().unwrap_or(u64::MAX)),
            app_limited: at_send.app_limited,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::VecDeque;
    use alloc::vec::Vec;

    const MS: Duration = Duration::from_millis(1);

    fn at(millis: u32) -> Instant {
        Instant::ZERO + MS * millis
    }

    #[test]
    fn a_steady_flow_is_measured_exactly() {
        let mut sampler = RateSampler::default();
        // A packet of 1,000 bytes each millisecond, acknowledged 20 ms later: 1 MB/s.
        let mut flight: VecDeque<(u32, AtSend)> = VecDeque::new();
        let mut rates = Vec::new();
        for millis in 0..100 {
            if flight.front().is_some_and(|(sent, _)| sent + 20 <= millis)
                && let Some((sent, at_send)) = flight.pop_front()
            {
                sampler.on_acked(at(millis), (sent.into(), at(sent), 1_000), &at_send);
                rates.extend(sampler.finish(at(millis), 20 * MS));
            }
            let in_flight = (flight.len() as u64 + 1) * 1_000;
            flight.push_back((millis, sampler.on_sent(at(millis), 1_000, in_flight)));
        }
        let last = rates.last().unwrap();
        assert_eq!(last.bytes_per_second, Some(1_000_000));
        assert_eq!(
            (last.interval, last.delivered, last.in_flight_at_send),
            (20 * MS, 20_000, 20_000)
        );
        assert!(!last.app_limited);
    }

    #[test]
    fn compressed_acknowledgements_do_not_look_like_bandwidth() {
        let mut sampler = RateSampler::default();
        let flight: Vec<_> = (0..10)
            .map(|n: u32| sampler.on_sent(at(n * 10), 1_000, u64::from(n + 1) * 1_000))
            .collect();
        for (n, at_send) in flight.iter().enumerate() {
            let n = u32::try_from(n).unwrap();
            sampler.on_acked(at(120), (n.into(), at(n * 10), 1_000), at_send);
        }
        let sample = sampler.finish(at(120), 10 * MS).unwrap();
        assert_eq!(sample.delivered, 10_000);
        assert_eq!(sample.interval, 120 * MS, "not the instant of the burst");
    }

    #[test]
    fn an_interval_below_the_least_round_trip_gives_no_rate() {
        let mut sampler = RateSampler::default();
        let packet = sampler.on_sent(at(0), 1_000, 1_000);
        sampler.on_acked(at(5), (0, at(0), 1_000), &packet);
        let sample = sampler.finish(at(5), 10 * MS).unwrap();
        assert_eq!(sample.bytes_per_second, None);
        assert!(sampler.finish(at(6), MS).is_none(), "nothing new");
    }

    #[test]
    fn a_bubble_marks_samples_until_it_has_left_the_path() {
        let mut sampler = RateSampler::default();
        let first = sampler.on_sent(at(0), 1_000, 1_000);
        sampler.on_app_limited(1_000);
        let second = sampler.on_sent(at(10), 1_000, 2_000);
        sampler.on_acked(at(20), (0, at(0), 1_000), &first);
        assert!(!sampler.finish(at(20), MS).unwrap().app_limited);
        sampler.on_acked(at(30), (1, at(10), 1_000), &second);
        assert!(sampler.finish(at(30), MS).unwrap().app_limited);
        let third = sampler.on_sent(at(30), 1_000, 1_000);
        sampler.on_acked(at(50), (2, at(30), 1_000), &third);
        assert!(!sampler.finish(at(50), MS).unwrap().app_limited);
    }

    #[test]
    fn idle_time_is_not_part_of_an_interval() {
        let mut sampler = RateSampler::default();
        let first = sampler.on_sent(at(0), 1_000, 1_000);
        sampler.on_acked(at(20), (0, at(0), 1_000), &first);
        sampler.finish(at(20), MS);
        let second = sampler.on_sent(at(5_000), 1_000, 1_000);
        sampler.on_acked(at(5_020), (1, at(5_000), 1_000), &second);
        let sample = sampler.finish(at(5_020), MS).unwrap();
        assert_eq!((sample.interval, sample.delivered), (20 * MS, 1_000));
    }

    #[test]
    fn losses_are_counted_since_the_packet_left() {
        let mut sampler = RateSampler::default();
        let first = sampler.on_sent(at(0), 1_000, 1_000);
        let second = sampler.on_sent(at(1), 500, 1_500);
        assert_eq!(sampler.on_lost(1_000, &first).lost_since_sent, 1_000);
        let third = sampler.on_sent(at(2), 700, 1_200);
        assert_eq!(sampler.on_lost(500, &second).lost_since_sent, 1_500);
        sampler.on_acked(at(20), (2, at(2), 700), &third);
        let sample = sampler.finish(at(20), MS).unwrap();
        assert_eq!((sample.lost, sample.lost_total), (500, 1_500));
    }

    #[test]
    fn the_window_counts_as_limit_for_a_round_trip() {
        let mut sampler = RateSampler::default();
        assert!(!sampler.was_window_limited(0));
        sampler.on_window_limited(7);
        assert!(sampler.was_window_limited(6));
        assert!(!sampler.was_window_limited(7));
    }
}
