//! A small path for tests of controllers: one bottleneck with a drop-tail queue, packets of 1,000
//! bytes, each acknowledged by itself. A packet is lost when three later ones were acknowledged.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use super::{
    Acked, AckedPacket, Congestion, CongestionKind, Controller, EcnSample, LostPacket,
    RttEstimator, Sent,
};
use crate::ids::PacketNumber;
use crate::send::rate::{AtSend, RateSampler};
use crate::time::Instant;
use crate::wire::ack::EcnCounts;

const PACKET: u64 = 1_000;

/// One controller on one path.
pub(super) struct Path<C> {
    pub(super) controller: C,
    pub(super) now: Instant,
    /// Bytes per second of the bottleneck.
    pub(super) rate: u64,
    /// Round-trip time without a queue.
    pub(super) delay: Duration,
    /// Bytes that the queue holds.
    pub(super) queue: u64,
    /// Bytes per second that the application has; None: no end of them.
    pub(super) supply: Option<u64>,
    /// Whether the path loses the packet of this number.
    pub(super) loses: Box<dyn FnMut(u64) -> bool>,
    /// The queue marks from this many bytes on.
    pub(super) marks_above: u64,
    pub(super) dropped: u64,
    pub(super) delivered: u64,
    /// The longest time a packet has waited at the bottleneck since the last look.
    pub(super) waited: Duration,
    /// State names in the order in which they were entered.
    pub(super) phases: Vec<&'static str>,
    sampler: RateSampler,
    rtt: RttEstimator,
    busy_until: Instant,
    next_number: u64,
    next_send: Instant,
    last_sent: Instant,
    supplied: Instant,
    in_flight: BTreeMap<u64, (Instant, AtSend)>,
    /// When each acknowledgement arrives, of which packet, and whether it is marked.
    acks: VecDeque<(Instant, u64, bool)>,
    marked: u64,
}

impl<C: Controller> Path<C> {
    /// A path of `rate` bytes per second and 50 ms with a queue of `queue` bytes.
    pub(super) fn new(controller: C, rate: u64, queue: u64) -> Self {
        Self {
            controller,
            now: Instant::ZERO,
            rate,
            delay: Duration::from_millis(50),
            queue,
            supply: None,
            loses: Box::new(|_| false),
            marks_above: u64::MAX,
            dropped: 0,
            delivered: 0,
            waited: Duration::ZERO,
            phases: Vec::new(),
            sampler: RateSampler::default(),
            rtt: RttEstimator::new(Duration::from_millis(333)),
            busy_until: Instant::ZERO,
            next_number: 0,
            next_send: Instant::ZERO,
            last_sent: Instant::ZERO,
            supplied: Instant::ZERO,
            in_flight: BTreeMap::new(),
            acks: VecDeque::new(),
            marked: 0,
        }
    }

    pub(super) fn bytes_in_flight(&self) -> u64 {
        self.in_flight.len() as u64 * PACKET
    }

    /// Runs for `time`; bytes delivered in it.
    pub(super) fn run(&mut self, time: Duration) -> u64 {
        let (end, before) = (self.now + time, self.delivered);
        self.waited = Duration::ZERO;
        loop {
            let ack = self.acks.front().map(|(at, ..)| *at);
            let send = self.send_time();
            let Some(next) = [ack, send].into_iter().flatten().min() else {
                break;
            };
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            if ack == Some(next) {
                self.take_ack();
            } else {
                self.send();
            }
            let phase = self.controller.phase();
            if self.phases.last() != Some(&phase) {
                self.phases.push(phase);
            }
        }
        self.now = end;
        self.delivered - before
    }

    /// When the next packet leaves if nothing else happens.
    fn send_time(&mut self) -> Option<Instant> {
        if self.bytes_in_flight() + PACKET > self.controller.window() {
            self.sampler.on_window_limited(self.next_number);
            return None;
        }
        let paced = self.next_send.max(self.now);
        if self.supply.is_some() && self.supplied > paced {
            self.sampler.on_app_limited(self.bytes_in_flight());
            return Some(self.supplied);
        }
        Some(paced)
    }

    fn send(&mut self) {
        let (now, number) = (self.now, self.next_number);
        self.next_number += 1;
        let idle = self.in_flight.is_empty();
        let in_flight = self.bytes_in_flight() + PACKET;
        let at_send = self.sampler.on_sent(now, PACKET, in_flight);
        self.controller.on_sent(&Sent {
            now,
            number: PacketNumber(number),
            bytes: PACKET,
            in_flight,
            idle: idle.then(|| now.saturating_duration_since(self.last_sent)),
            app_limited: at_send.is_app_limited(),
        });
        self.last_sent = now;
        self.in_flight.insert(number, (now, at_send));
        let per_second = |rate: u64| Duration::from_nanos(PACKET * 1_000_000_000 / rate.max(1));
        let pace = self.controller.pacing_rate(self.rtt.smoothed());
        self.next_send = now + pace.map_or(Duration::ZERO, per_second);
        if let Some(supply) = self.supply {
            self.supplied = self.supplied.max(now) + per_second(supply);
        }
        let waiting = self.busy_until.saturating_duration_since(now);
        let queued = u64::try_from(waiting.as_nanos() * u128::from(self.rate) / 1_000_000_000);
        let queued = queued.unwrap_or(u64::MAX);
        if (self.loses)(number) || queued + PACKET > self.queue {
            self.dropped += 1;
            return;
        }
        self.waited = self.waited.max(waiting);
        self.busy_until = self.busy_until.max(now) + per_second(self.rate);
        let arrives = self.busy_until + self.delay;
        let arrives = arrives.max(self.acks.back().map_or(arrives, |(at, ..)| *at));
        self.acks
            .push_back((arrives, number, queued > self.marks_above));
    }

    fn take_ack(&mut self) {
        let Some((now, number, marked)) = self.acks.pop_front() else {
            return;
        };
        let before = self.bytes_in_flight();
        let Some((sent_at, at_send)) = self.in_flight.remove(&number) else {
            return;
        };
        self.delivered += PACKET;
        self.sampler
            .on_acked(now, (number, sent_at, PACKET), &at_send);
        self.rtt
            .on_sample(now.saturating_duration_since(sent_at), Duration::ZERO);
        self.controller.on_packet_acked(&AckedPacket {
            now,
            number: PacketNumber(number),
            bytes: PACKET,
            sent_at,
        });
        self.marked += u64::from(marked);
        if marked {
            self.signal(CongestionKind::Ecn, sent_at, 0);
        }
        self.lose_below(number.saturating_sub(2));
        if let Some(rate) = self.sampler.finish(now, self.rtt.minimum()) {
            self.controller.on_acked(&Acked {
                now,
                largest: PacketNumber(number),
                largest_sent_at: sent_at,
                bytes: PACKET,
                in_flight_before: before,
                in_flight: self.bytes_in_flight(),
                rtt: &self.rtt,
                rate,
                window_limited: self.sampler.was_window_limited(number),
                ecn: Some(EcnSample {
                    counts: EcnCounts {
                        ect0: 0,
                        ect1: 0,
                        ce: self.marked,
                    },
                    newly_marked: u64::from(marked),
                }),
            });
        }
    }

    fn lose_below(&mut self, limit: u64) {
        let mut last = None;
        let mut bytes = 0;
        while let Some((&number, &(sent_at, at_send))) = self.in_flight.first_key_value() {
            if number >= limit {
                break;
            }
            self.in_flight.remove(&number);
            self.controller.on_packet_lost(&LostPacket {
                now: self.now,
                number: PacketNumber(number),
                bytes: PACKET,
                sent_at,
                sample: self.sampler.on_lost(PACKET, &at_send),
            });
            last = Some(sent_at);
            bytes += PACKET;
        }
        if let Some(sent_at) = last {
            self.signal(CongestionKind::Loss, sent_at, bytes);
        }
    }

    fn signal(&mut self, kind: CongestionKind, sent_at: Instant, bytes: u64) {
        let in_flight = self.bytes_in_flight();
        self.controller.on_congestion(&Congestion {
            now: self.now,
            kind,
            sent_at,
            bytes,
            in_flight,
        });
    }
}
