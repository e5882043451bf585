//! Sets of numbers: ranges against single numbers, and the replay window against everything that
//! was ever received.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use core::time::Duration;

use arbitrary::Arbitrary;

use super::operations;
use crate::ids::PacketNumber;
use crate::io::EcnMark;
use crate::limits::{ACK_RANGES_PER_PACKET, REPLAY_WINDOW_PACKETS};
use crate::range_set::RangeSet;
use crate::recv::packets::{Arrival, ReceivedPackets};
use crate::time::Instant;

#[derive(Arbitrary, Debug)]
enum SetOperation {
    Insert { start: u8, length: u8 },
    Remove { start: u8, length: u8 },
    PopFirst { max: u8 },
}

/// A `RangeSet` against a set of single numbers, near zero or near the largest number.
///
/// # Panics
/// When they differ.
pub fn range_set(data: &[u8]) {
    let (base, data) = match data.split_first() {
        Some((first, rest)) if first % 2 == 1 => (u64::MAX - 600, rest),
        Some((_, rest)) => (0, rest),
        None => return,
    };
    let mut set = RangeSet::new();
    let mut model = BTreeSet::new();
    for operation in operations(data) {
        match operation {
            SetOperation::Insert { start, length } => {
                let start = base + u64::from(start);
                let range = start..start + u64::from(length);
                let would_add = set.would_add_range(&range);
                let (ranges, numbers) = (set.range_count(), model.len());
                model.extend(range.clone());
                let added = set.insert(range.clone());
                assert_eq!(added, (model.len() - numbers) as u64, "{range:?}");
                assert!(range.is_empty() || would_add == (set.range_count() > ranges));
            }
            SetOperation::Remove { start, length } => {
                let start = base + u64::from(start);
                let range = start..start + u64::from(length);
                set.remove(range.clone());
                model.retain(|number| !range.contains(number));
            }
            SetOperation::PopFirst { max } => {
                let popped: Vec<u64> = set
                    .pop_first(u64::from(max))
                    .into_iter()
                    .flatten()
                    .collect();
                for number in &popped {
                    assert_eq!(model.pop_first(), Some(*number));
                }
                let full = popped.len() == usize::from(max);
                let next = popped.last().map(|last| last + 1);
                assert!(full || model.first().is_none_or(|first| Some(*first) != next));
            }
        }
        check_set(&set, &model, base);
    }
}

fn check_set(set: &RangeSet, model: &BTreeSet<u64>, base: u64) {
    assert!(set.iter().flatten().eq(model.iter().copied()));
    let ranges: Vec<_> = set.iter().collect();
    assert!(
        ranges.windows(2).all(|pair| match pair {
            [low, high] => low.end < high.start,
            _ => true,
        }),
        "ranges that touch are one: {ranges:?}"
    );
    assert_eq!(set.range_count(), ranges.len());
    assert_eq!(set.first(), ranges.first().cloned());
    assert_eq!(set.is_empty(), model.is_empty());
    for number in (base..base + 520).step_by(13) {
        assert_eq!(set.contains(number), model.contains(&number));
    }
}

/// The last of our packets that an echo may name.
const ECHOES: usize = 8;

#[derive(Arbitrary, Debug)]
enum Receipt {
    /// A packet near the largest.
    Near {
        ahead: i8,
        eliciting: bool,
    },
    /// A packet anywhere in the window or a little outside.
    Far {
        behind: u16,
    },
    /// A packet that moves the window.
    Jump {
        ahead: u16,
    },
    AckSent,
    /// The peer has our report of numbers up to this far behind the largest.
    AckKnown {
        behind: u8,
    },
    /// We send a report, after so many packets that are none.
    Report {
        others: bool,
    },
    /// The peer's last packet of ours is so many before the last.
    Echo {
        before: u8,
    },
}

/// `ReceivedPackets`, replay window and acknowledgement ranges, against the set of all numbers
/// ever received.
///
/// # Panics
/// When they differ.
pub fn received_packets(data: &[u8]) {
    let Some((start, data)) = data.split_first_chunk::<3>() else {
        return;
    };
    let [a, b, c] = *start;
    let start = u64::from_be_bytes([0, 0, a / 16, b, c, 0, 0, 0]);
    let mut packets = ReceivedPackets::new(Duration::from_millis(25));
    let mut model = Received {
        at: start,
        ..Received::default()
    };
    for (tick, operation) in operations(data).take(600).enumerate() {
        let now = Instant::from_nanos(tick as u64);
        let largest = model.largest();
        match operation {
            Receipt::Near { ahead, eliciting } => {
                let number = largest.saturating_add_signed(i64::from(ahead));
                model.arrive(&mut packets, now, (number, eliciting));
            }
            Receipt::Far { behind } => {
                let behind = u64::from(behind) % (REPLAY_WINDOW_PACKETS + 4);
                model.arrive(&mut packets, now, (largest.saturating_sub(behind), true));
            }
            Receipt::Jump { ahead } => {
                let ahead = u64::from(ahead) % (2 * REPLAY_WINDOW_PACKETS);
                model.arrive(&mut packets, now, (largest + ahead, true));
            }
            Receipt::AckSent => {
                packets.on_ack_sent();
                model.waiting = 0;
                assert!(!packets.is_pending() && !packets.is_due(now));
            }
            Receipt::AckKnown { behind } => {
                if !model.numbers.is_empty() {
                    let number = largest.saturating_sub(u64::from(behind));
                    packets.on_ack_acknowledged(PacketNumber(number));
                    model.floor = model.floor.max(number + 1);
                    let told = model.numbers.range(..=number);
                    model.known.extend(told);
                }
            }
            Receipt::Report { others } => {
                model.sent += 1 + u64::from(others);
                packets.on_report_sent(PacketNumber(model.sent));
                let ranges = packets.ranges();
                model.reports.insert(model.sent, model.told_by(&ranges));
                if model.reports.len() > ECHOES {
                    model.reports.pop_first();
                }
            }
            Receipt::Echo { before } => {
                let number = model.sent.saturating_sub(u64::from(before) % ECHOES as u64);
                packets.on_echo(PacketNumber(number));
                let told = model.reports.get(&number);
                model.known.extend(told.into_iter().flatten());
                model.check_floor(packets.floor());
            }
        }
        assert_eq!(packets.ranges(), model.ranges());
        let largest = model.numbers.last().map(|number| PacketNumber(*number));
        assert_eq!(packets.largest(), largest);
        if model.waiting >= 2 {
            assert!(
                packets.is_due(now),
                "every second one is acknowledged at once"
            );
        }
    }
}

/// The slow model: every number ever received.
#[derive(Default)]
struct Received {
    at: u64,
    numbers: BTreeSet<u64>,
    floor: u64,
    /// Our last packet, and what each report has told.
    sent: u64,
    reports: BTreeMap<u64, BTreeSet<u64>>,
    /// What the peer has been told and has shown to know.
    known: BTreeSet<u64>,
    /// Packets not yet acknowledged that have to be.
    waiting: u32,
    marked: u64,
}

impl Received {
    fn largest(&self) -> u64 {
        self.numbers.last().copied().unwrap_or(self.at)
    }

    fn arrive(
        &mut self,
        packets: &mut ReceivedPackets,
        now: Instant,
        (number, eliciting): (u64, bool),
    ) {
        let in_window = match self.numbers.last() {
            Some(largest) => number + REPLAY_WINDOW_PACKETS > *largest,
            None => true,
        };
        let new = in_window && !self.numbers.contains(&number);
        assert_eq!(packets.is_new(PacketNumber(number)), new, "{number}");
        if !new {
            return;
        }
        let congested = number % 7 == 0;
        let arrival = Arrival {
            ack_eliciting: eliciting,
            end: number % 5 == 0,
            at_once: number % 11 == 0,
            ecn: congested.then_some(EcnMark::Ce),
        };
        packets.mark(now, PacketNumber(number), arrival);
        self.numbers.insert(number);
        self.floor = self.floor.min(number);
        self.waiting += u32::from(eliciting);
        self.marked += u64::from(congested);
        assert!(
            !packets.is_new(PacketNumber(number)),
            "never accepted twice"
        );
        assert_eq!(packets.ecn().map_or(0, |counts| counts.ce), self.marked);
    }

    /// The received numbers that a report with these ranges tells, or takes to be known. What more ranges would
    /// tell than it has room for is never told.
    fn told_by(&self, ranges: &[RangeInclusive<u64>]) -> BTreeSet<u64> {
        let Some(lowest) = ranges
            .last()
            .filter(|_| ranges.len() > ACK_RANGES_PER_PACKET)
        else {
            return ranges.iter().cloned().flatten().collect();
        };
        let below = self.numbers.range(..lowest.start()).copied();
        below.chain(ranges.iter().cloned().flatten()).collect()
    }

    /// The floor rises, and nothing goes below it of which the peer does not know.
    fn check_floor(&mut self, floor: u64) {
        assert!(floor >= self.floor);
        self.floor = floor;
        let largest = self.largest();
        let bottom = largest.saturating_sub(REPLAY_WINDOW_PACKETS - 1);
        for number in self.numbers.range(bottom..floor.max(bottom)) {
            assert!(self.known.contains(number), "{number} was never told");
        }
    }

    fn ranges(&self) -> Vec<RangeInclusive<u64>> {
        let Some(largest) = self.numbers.last() else {
            return Vec::new();
        };
        let bottom = largest
            .saturating_sub(REPLAY_WINDOW_PACKETS - 1)
            .max(self.floor)
            .min(*largest);
        let mut out: Vec<RangeInclusive<u64>> = Vec::new();
        for number in self.numbers.range(bottom..).rev() {
            if let Some(range) = out.last_mut()
                && *range.start() == number + 1
            {
                *range = *number..=*range.end();
            } else if out.len() > ACK_RANGES_PER_PACKET {
                break;
            } else {
                out.push(*number..=*number);
            }
        }
        out
    }
}
