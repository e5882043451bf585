//! One direction of a lossy path, sans-IO: packets go in with the time, packets come out when
//! their time has come.
//!
//! The order of the elements is that of a real path: what is too large never enters it; loss,
//! duplication and corruption; then the bottleneck (a rate with a bounded drop-tail queue); then
//! the distance (delay and jitter; jitter alone never reorders); reordered packets are held back
//! at the end.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::time::Duration;

use dunlin_transport::Instant;

use super::decisions::{Decisions, Direction, Shares, flip};
use super::limits::WAITING_PACKETS_MAX;
use super::packets::Packets;
use crate::cli::values::Rate;

/// What a direction does to packets.
#[derive(Clone, Copy, Debug)]
pub struct PathConfig {
    /// Shares of packets that meet a fate.
    pub shares: Shares,
    /// Time that every packet takes.
    pub delay: Duration,
    /// Up to this much more.
    pub jitter: Duration,
    /// How much longer a reordered packet takes.
    pub reorder_by: Duration,
    /// Bandwidth; `None` has no limit.
    pub rate: Option<Rate>,
    /// Bytes that may wait for bandwidth.
    pub queue_bytes: usize,
    /// Largest UDP payload that passes; `None` has no limit.
    pub mtu: Option<usize>,
    /// Seed of all decisions.
    pub seed: u64,
}

impl Default for PathConfig {
    /// A perfect path.
    fn default() -> Self {
        Self {
            shares: Shares::default(),
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            reorder_by: Duration::from_millis(5),
            rate: None,
            queue_bytes: 512 * 1024,
            mtu: None,
            seed: 1,
        }
    }
}

/// What happened to the packets of a direction.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PathCounters {
    /// Packets that came in.
    pub received: u64,
    /// Bytes that came in.
    pub received_bytes: u64,
    /// Packets that went out, duplicates included.
    pub delivered: u64,
    /// Bytes that went out.
    pub delivered_bytes: u64,
    /// Lost by decision.
    pub lost: u64,
    /// Held back by decision.
    pub reordered: u64,
    /// Delivered twice by decision.
    pub duplicated: u64,
    /// Delivered with a bit flipped.
    pub corrupted: u64,
    /// Dropped because they were larger than the MTU.
    pub too_large: u64,
    /// Dropped because the queue of the bottleneck was full.
    pub queue_full: u64,
}

impl PathCounters {
    /// Adds the counts of another direction or client.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.received_bytes += other.received_bytes;
        self.delivered += other.delivered;
        self.delivered_bytes += other.delivered_bytes;
        self.lost += other.lost;
        self.reordered += other.reordered;
        self.duplicated += other.duplicated;
        self.corrupted += other.corrupted;
        self.too_large += other.too_large;
        self.queue_full += other.queue_full;
    }
}

/// One direction of one client.
#[derive(Debug)]
pub struct Path {
    config: PathConfig,
    decisions: Decisions,
    /// Those whose time had come when they entered, and since when: all are due before what waits.
    ready: Packets,
    ready_at: Instant,
    waiting: BinaryHeap<Waiting>,
    /// Order of entry, which decides between packets due at the same instant.
    entered: u64,
    /// When the bottleneck has sent all that waits for it.
    line_free_at: Instant,
    /// Latest time at which a packet that was not held back comes out.
    last_due: Instant,
    counters: PathCounters,
}

impl Path {
    /// The path of `direction` for the client numbered `flow`.
    #[must_use]
    pub fn new(config: PathConfig, flow: u64, direction: Direction) -> Self {
        Self {
            config,
            decisions: Decisions::new(config.seed, flow, direction, config.shares),
            ready: Packets::default(),
            ready_at: Instant::ZERO,
            waiting: BinaryHeap::new(),
            entered: 0,
            line_free_at: Instant::ZERO,
            last_due: Instant::ZERO,
            counters: PathCounters::default(),
        }
    }

    /// A packet enters at `now`.
    pub fn handle_packet(&mut self, now: Instant, packet: &[u8]) {
        self.counters.received += 1;
        self.counters.received_bytes += packet.len() as u64;
        if self.config.mtu.is_some_and(|mtu| packet.len() > mtu) {
            self.counters.too_large += 1;
            return;
        }
        let Some(fate) = self.decisions.next() else {
            return;
        };
        if fate.lost {
            self.counters.lost += 1;
            return;
        }
        let flipped = fate.flipped_bit.map(|bit| {
            let mut packet = packet.to_vec();
            flip(&mut packet, bit);
            packet
        });
        self.counters.corrupted += u64::from(flipped.is_some());
        let packet = flipped.as_deref().unwrap_or(packet);
        if let Some(due) = self.pass_bottleneck(now, packet.len()) {
            let due = due + self.config.delay + scaled(self.config.jitter, fate.jitter);
            let due = if fate.reordered {
                self.counters.reordered += 1;
                due + self.config.reorder_by
            } else {
                self.last_due = self.last_due.max(due);
                self.last_due
            };
            self.push(now, due, packet);
        }
        if fate.duplicated
            && let Some(due) = self.pass_bottleneck(now, packet.len())
        {
            self.counters.duplicated += 1;
            self.last_due = self.last_due.max(due + self.config.delay);
            self.push(now, self.last_due, packet);
        }
    }

    /// All packets whose time has come, instead of what `out` held.
    pub fn poll_due(&mut self, now: Instant, out: &mut Packets) {
        out.clear();
        std::mem::swap(out, &mut self.ready);
        while let Some(first) = self.waiting.peek_mut().filter(|first| first.due <= now) {
            out.push(&PeekMut::pop(first).packet);
        }
        self.counters.delivered += out.len() as u64;
        self.counters.delivered_bytes += out.total_len() as u64;
    }

    /// When the next packet comes out.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.ready.is_empty() {
            return Some(self.ready_at);
        }
        self.waiting.peek().map(|first| first.due)
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> &PathCounters {
        &self.counters
    }

    /// When the bottleneck has sent a packet of `len` bytes that comes now; `None` when its queue
    /// is full.
    fn pass_bottleneck(&mut self, now: Instant, len: usize) -> Option<Instant> {
        if self.waiting.len() + self.ready.len() >= WAITING_PACKETS_MAX {
            self.counters.queue_full += 1;
            return None;
        }
        let Some(rate) = self.config.rate else {
            return Some(now);
        };
        // A packet may always wait behind the one on the wire, however small the queue is.
        let backlog = self.line_free_at.saturating_duration_since(now);
        let room = rate.time_for(self.config.queue_bytes);
        if backlog > Duration::ZERO && backlog + rate.time_for(len) > room {
            self.counters.queue_full += 1;
            return None;
        }
        self.line_free_at = self.line_free_at.max(now) + rate.time_for(len);
        Some(self.line_free_at)
    }

    fn push(&mut self, now: Instant, due: Instant, packet: &[u8]) {
        if due <= now && self.waiting.peek().is_none_or(|first| first.due > due) {
            if self.ready.is_empty() {
                self.ready_at = due;
            }
            self.ready.push(packet);
            return;
        }
        self.waiting.push(Waiting {
            due,
            entered: self.entered,
            packet: packet.to_vec(),
        });
        self.entered += 1;
    }
}

#[derive(Debug)]
struct Waiting {
    due: Instant,
    entered: u64,
    packet: Vec<u8>,
}

impl Ord for Waiting {
    // Reversed: the heap hands out the greatest, and the earliest is wanted.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.entered).cmp(&(self.due, self.entered))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

/// `fraction / 2^32` of `whole`.
fn scaled(whole: Duration, fraction: u32) -> Duration {
    let nanos = (whole.as_nanos() * u128::from(fraction)) >> 32;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::values::Percent;
    use proptest::prelude::*;

    fn path(config: PathConfig) -> Path {
        Path::new(config, 0, Direction::Forward)
    }

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    fn drain(path: &mut Path, now: Instant) -> Vec<Vec<u8>> {
        let mut out = Packets::default();
        path.poll_due(now, &mut out);
        let trains: Vec<_> = out.trains(1, usize::MAX).collect();
        trains
            .into_iter()
            .map(|(packet, _)| packet.to_vec())
            .collect()
    }

    fn everything() -> Percent {
        Percent::from_millionths(1_000_000)
    }

    #[test]
    fn a_perfect_path_delivers_at_once_and_in_order() {
        let mut path = path(PathConfig::default());
        path.handle_packet(at(1), b"a");
        path.handle_packet(at(1), b"b");
        assert_eq!(drain(&mut path, at(1)), [b"a", b"b"]);
        assert_eq!(path.poll_timeout(), None);
    }

    #[test]
    fn delay_holds_a_packet_until_its_time() {
        let mut path = path(PathConfig {
            delay: Duration::from_millis(20),
            ..Default::default()
        });
        path.handle_packet(at(5), b"a");
        assert_eq!(path.poll_timeout(), Some(at(25)));
        assert!(drain(&mut path, at(24)).is_empty());
        assert_eq!(drain(&mut path, at(25)), [b"a"]);
    }

    #[test]
    fn jitter_alone_never_reorders() {
        let mut path = path(PathConfig {
            delay: Duration::from_millis(5),
            jitter: Duration::from_millis(30),
            ..Default::default()
        });
        for number in 0..200_u8 {
            path.handle_packet(at(u64::from(number)), &[number]);
        }
        let order: Vec<u8> = drain(&mut path, at(10_000)).into_iter().flatten().collect();
        assert_eq!(order, (0..200).collect::<Vec<u8>>());
    }

    #[test]
    fn a_reordered_packet_is_overtaken() {
        let mut path = path(PathConfig {
            shares: Shares {
                reorder: "20%".parse().unwrap(),
                ..Default::default()
            },
            reorder_by: Duration::from_millis(3),
            ..Default::default()
        });
        for number in 0..100_u8 {
            path.handle_packet(at(u64::from(number)), &[number]);
        }
        let order: Vec<u8> = drain(&mut path, at(10_000)).into_iter().flatten().collect();
        assert_eq!(order.len(), 100);
        assert!(order.windows(2).any(|pair| pair[0] > pair[1]), "{order:?}");
        assert!(path.counters().reordered > 0);
    }

    #[test]
    fn rate_spaces_packets_and_a_full_queue_drops_the_newest() {
        // 1,000 bytes take 1 ms on this line; two may wait besides the one being sent.
        let mut path = path(PathConfig {
            rate: Some("8mbit".parse().unwrap()),
            queue_bytes: 3_000,
            ..Default::default()
        });
        for number in 0..5_u8 {
            path.handle_packet(at(0), &[number; 1_000]);
        }
        assert_eq!(path.counters().queue_full, 2);
        for due in 1..=3 {
            assert_eq!(path.poll_timeout(), Some(at(due)));
            assert_eq!(drain(&mut path, at(due)).len(), 1);
        }
        path.handle_packet(at(50), &[9; 1_000]);
        assert_eq!(
            path.poll_timeout(),
            Some(at(51)),
            "an idle line saves nothing up"
        );
    }

    #[test]
    fn duplicates_arrive_twice_and_loss_arrives_never() {
        let twice = Shares {
            duplicate: everything(),
            ..Default::default()
        };
        let mut doubling = path(PathConfig {
            shares: twice,
            ..Default::default()
        });
        doubling.handle_packet(at(0), b"a");
        assert_eq!(drain(&mut doubling, at(0)), [b"a", b"a"]);
        let never = Shares {
            loss: everything(),
            ..Default::default()
        };
        let mut losing = path(PathConfig {
            shares: never,
            ..Default::default()
        });
        losing.handle_packet(at(0), b"a");
        assert_eq!((losing.poll_timeout(), losing.counters().lost), (None, 1));
    }

    #[test]
    fn rejects_a_packet_one_byte_above_the_mtu() {
        let mut path = path(PathConfig {
            mtu: Some(1_200),
            ..Default::default()
        });
        path.handle_packet(at(0), &[0; 1_200]);
        path.handle_packet(at(0), &[0; 1_201]);
        assert_eq!(drain(&mut path, at(0)).len(), 1);
        assert_eq!(path.counters().too_large, 1);
    }

    #[test]
    fn rejects_one_packet_more_than_may_wait() {
        let mut path = path(PathConfig {
            delay: Duration::from_secs(1),
            ..Default::default()
        });
        for _ in 0..=WAITING_PACKETS_MAX {
            path.handle_packet(at(0), b"x");
        }
        assert_eq!(path.counters().queue_full, 1);
        assert_eq!(drain(&mut path, at(1_000)).len(), WAITING_PACKETS_MAX);
    }

    proptest! {
        #[test]
        fn every_packet_is_delivered_or_counted(
            seed: u64,
            millionths in 0_u32..500_000,
            sizes in proptest::collection::vec(0_usize..2_000, 0..200),
        ) {
            let share = Percent::from_millionths(millionths);
            let mut path = path(PathConfig {
                shares: Shares { loss: share, reorder: share, duplicate: share, corrupt: share },
                delay: Duration::from_millis(3),
                jitter: Duration::from_millis(2),
                rate: Some("10mbit".parse().unwrap()),
                queue_bytes: 20_000,
                mtu: Some(1_500),
                seed,
                ..Default::default()
            });
            for (index, size) in sizes.iter().enumerate() {
                path.handle_packet(at(index as u64), &vec![0; *size]);
            }
            let delivered = drain(&mut path, Instant::FAR_FUTURE).len() as u64;
            let counters = *path.counters();
            prop_assert_eq!(counters.received, sizes.len() as u64);
            prop_assert_eq!(delivered, counters.delivered);
            // A dropped duplicate counts as a full queue without having been received.
            let originals = delivered - counters.duplicated;
            let gone = counters.lost + counters.too_large + counters.queue_full;
            prop_assert!(originals + gone >= counters.received);
            prop_assert!(originals + counters.lost + counters.too_large <= counters.received);
        }
    }
}
