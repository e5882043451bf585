//! What is in flight, what counts as lost, how fast packets leave and how much may be sent: each
//! against plain arithmetic over everything that ever happened.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use arbitrary::Arbitrary;

use super::operations;
use crate::flow::{ReceiveFlow, SendFlow};
use crate::ids::PacketNumber;
use crate::limits::REPLAY_WINDOW_PACKETS;
use crate::send::in_flight::{Carried, RUN_MAX, SentPacket, SentPackets};
use crate::send::loss::{DeclaredLost, LossDetector};
use crate::send::pacer::Pacer;
use crate::send::rtt::RttEstimator;
use crate::time::Instant;
use crate::wire::params::window_shift;

#[derive(Arbitrary, Debug)]
enum Recovery {
    Send {
        size: u8,
        count: u8,
    },
    /// A packet that nobody has to acknowledge.
    SendAck,
    Wait {
        millis: u8,
    },
    Sample {
        millis: u8,
    },
    /// The peer acknowledges up to `behind` before the newest, and `count` more below.
    Acknowledge {
        behind: u8,
        count: u8,
    },
}

/// `SentPackets` and `LossDetector` against a map of all packets and the rules of RFC 9002 §6.1
/// applied to each of them.
///
/// # Panics
/// When they differ.
pub fn loss_recovery(data: &[u8]) {
    let Some((first, data)) = data.split_first() else {
        return;
    };
    let mut run = Flight::new((1 << 32) - 3 + u64::from(*first));
    for operation in operations(data) {
        match operation {
            Recovery::Send { size, count } => {
                let size = u32::from(size) + 1;
                if count < 128 {
                    for _ in 0..=count % 16 {
                        run.send(size, 1);
                    }
                } else {
                    run.send(size, 1 + u64::from(count) % RUN_MAX as u64);
                }
            }
            Recovery::SendAck => {
                run.ring.skip();
                run.next += 1;
            }
            Recovery::Wait { millis } => run.now = run.now + Duration::from_millis(millis.into()),
            Recovery::Sample { millis } => {
                run.rtt
                    .on_sample(Duration::from_millis(millis.into()), Duration::ZERO);
            }
            Recovery::Acknowledge { behind, count } => run.acknowledge(behind.into(), count.into()),
        }
        run.check();
    }
}

impl Carried for () {
    fn nth(&self, _index: u64, _size: u32) -> Self {}
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Packet {
    sent_at: Instant,
    size: u32,
}

struct Flight {
    ring: SentPackets<()>,
    loss: LossDetector,
    rtt: RttEstimator,
    now: Instant,
    first: u64,
    next: u64,
    outstanding: BTreeMap<u64, Packet>,
    /// Declared lost and not acknowledged since.
    lost: BTreeMap<u64, u64>,
    threshold: u64,
    largest: Option<u64>,
}

impl Flight {
    fn new(first: u64) -> Self {
        Self {
            ring: SentPackets::new(PacketNumber(first)),
            loss: LossDetector::default(),
            rtt: RttEstimator::new(Duration::from_millis(100)),
            now: Instant::ZERO + Duration::from_secs(1),
            first,
            next: first,
            outstanding: BTreeMap::new(),
            lost: BTreeMap::new(),
            threshold: 3,
            largest: None,
        }
    }

    /// Sends a run.
    fn send(&mut self, size: u32, count: u64) {
        assert_eq!(self.ring.next_number(), PacketNumber(self.next));
        let sent_at = self.now;
        let packet = SentPacket {
            sent_at,
            size,
            contents: (),
        };
        self.ring.push_run(packet, count);
        self.loss.on_sent(self.now);
        for _ in 0..count {
            self.outstanding.insert(self.next, Packet { sent_at, size });
            self.next += 1;
        }
    }

    fn acknowledge(&mut self, behind: u64, count: u64) {
        if self.next == self.first {
            return;
        }
        let largest = (self.next - 1).saturating_sub(behind).max(self.first);
        let range = largest.saturating_sub(count)..=largest;
        let mut taken = Vec::new();
        self.ring.take_range(&range, |run| {
            let numbers = run.first.0..=run.last().0;
            taken.extend(numbers.map(|number| (number, run.packet.size)));
        });
        let expected: Vec<_> = self
            .outstanding
            .range(range.clone())
            .map(|(number, packet)| (*number, packet.size))
            .collect();
        assert_eq!(taken, expected);
        self.outstanding.retain(|number, _| !range.contains(number));
        // Only then are packets that count as lost looked at: the threshold grows by mistakes seen
        // before this acknowledgement moved the largest number.
        while let Some((named, mistake)) = self.loss.take_spurious(self.now, &range, &self.rtt) {
            let (number, bytes) = self
                .lost
                .range(range.clone())
                .next()
                .expect("declared lost");
            let number = *number;
            assert_eq!((named.0, mistake.bytes), (number, *bytes));
            self.lost.remove(&number);
            if let Some(largest) = self.largest {
                let distance = largest.saturating_sub(number) + 1;
                self.threshold = self.threshold.max(distance).min(REPLAY_WINDOW_PACKETS);
            }
        }
        assert!(self.lost.range(range).next().is_none());
        assert_eq!(self.loss.packet_threshold(), self.threshold);
        self.loss.on_acknowledged(PacketNumber(largest));
        self.largest = self.largest.max(Some(largest));
        self.detect();
    }

    fn detect(&mut self) {
        let Some(largest) = self.largest else { return };
        assert_eq!(self.loss.largest_acked(), Some(PacketNumber(largest)));
        let thresholds = self.loss.thresholds(self.now, &self.rtt);
        self.loss.begin_pass();
        let (loss, ring) = (&mut self.loss, &mut self.ring);
        let mut lost = Vec::new();
        ring.take_lost(
            PacketNumber(largest),
            |number, packet| loss.is_lost(&thresholds, number, packet.sent_at),
            |number, packet| lost.push((number.0, packet.size)),
        );
        let delay = self.loss.time_threshold(&self.rtt);
        let longest = self.rtt.smoothed().max(self.rtt.latest());
        assert!(delay >= (longest + longest / 8).max(Duration::from_millis(1)));
        assert!(delay <= (longest * 2).max(Duration::from_millis(1)));
        let is_lost = |number: u64, packet: &Packet| {
            number < largest
                && (number + self.threshold <= largest || packet.sent_at + delay <= self.now)
        };
        let expected: Vec<_> = self
            .outstanding
            .iter()
            .filter(|(number, packet)| is_lost(**number, packet))
            .map(|(number, packet)| (*number, packet.size))
            .collect();
        assert_eq!(lost, expected);
        for (number, size) in expected {
            self.outstanding.remove(&number);
            let (at, bytes) = (self.now, u64::from(size));
            let by_time = !thresholds.is_overtaken(PacketNumber(number));
            self.loss
                .remember_lost(PacketNumber(number), DeclaredLost { at, bytes }, by_time);
            self.lost.insert(number, bytes);
            if self.lost.len() > 1_024 {
                self.lost.pop_first();
            }
        }
        let waiting = self.outstanding.range(..largest);
        let due = waiting.map(|(_, packet)| packet.sent_at + delay).min();
        assert_eq!(
            self.loss.loss_time(),
            due,
            "the timer of what is not yet lost"
        );
    }

    fn check(&self) {
        let bytes: u64 = self.outstanding.values().map(|p| u64::from(p.size)).sum();
        assert_eq!(self.ring.bytes_in_flight(), bytes);
        assert_eq!(self.ring.is_any_in_flight(), !self.outstanding.is_empty());
        assert_eq!(self.ring.next_number(), PacketNumber(self.next));
        let held = self
            .ring
            .iter()
            .map(|(number, packet)| (number.0, packet.size));
        assert!(held.eq(self.outstanding.iter().map(|(number, p)| (*number, p.size))));
    }
}

#[derive(Arbitrary, Debug)]
enum Pacing {
    Rate { bytes_per_second: u32, scale: u8 },
    NoRate,
    Wait { micros: u16 },
    Send { packets: u8 },
    WaitUntilDue { needed: u16 },
}

/// A `Pacer`: never more in an interval than its burst and its rate allow, and a sender that
/// waits as told may send.
///
/// # Panics
/// When it is not so.
pub fn pacer(data: &[u8]) {
    const MTU: usize = 1_300;
    let mut pacer = Pacer::new(MTU);
    let mut now = Instant::ZERO;
    // Since the last change of the rate: when, the rate, and the bytes sent.
    let (mut since, mut rate, mut sent) = (now, 0u64, 0u128);
    // Two milliseconds' worth, or ten packets.
    let burst = |rate: u64| u128::from(rate / 500).max(10 * MTU as u128);
    for operation in operations(data) {
        match operation {
            Pacing::Rate {
                bytes_per_second,
                scale,
            } => {
                rate = (u64::from(bytes_per_second) << (scale % 8)).max(1);
                pacer.set_rate(now, Some(rate), MTU);
                (since, sent) = (now, 0);
            }
            Pacing::NoRate => {
                rate = 0;
                pacer.set_rate(now, None, MTU);
            }
            Pacing::Wait { micros } => now = now + Duration::from_micros(micros.into()),
            Pacing::Send { packets } => {
                let budget = pacer.budget(now);
                let wanted = u64::from(packets % 64) * MTU as u64;
                let leaves = wanted.min(budget);
                pacer.on_sent(leaves);
                sent += u128::from(leaves);
            }
            Pacing::WaitUntilDue { needed } => {
                let needed = u64::from(needed);
                pacer.budget(now);
                match pacer.next_time(needed) {
                    None => assert_eq!(rate, 0),
                    Some(due) => {
                        now = now.max(due);
                        let reachable = u128::from(needed).min(burst(rate));
                        assert!(u128::from(pacer.budget(now)) >= reachable, "due is due");
                    }
                }
            }
        }
        if rate > 0 {
            let elapsed = now.saturating_duration_since(since).as_nanos();
            let earned = elapsed * u128::from(rate) / 1_000_000_000;
            assert!(sent <= burst(rate) + earned + 1, "{sent} of {earned}");
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Flowing {
    Send {
        share: u8,
    },
    Consume {
        share: u8,
    },
    /// The sender hears a header, the newest or an older one.
    Hear {
        late: u8,
    },
    /// A MAX_DATA frame leaves; the sender hears it now or never.
    Announce {
        heard: bool,
        after_millis: u8,
    },
}

/// `SendFlow` against the `ReceiveFlow` it listens to: it never believes a limit that was not
/// given, and knows the newest one when it hears it.
///
/// # Panics
/// When it is not so.
pub fn flow_control(data: &[u8]) {
    let Some(([a, b, c], data)) = data.split_first_chunk() else {
        return;
    };
    let window = 65_536 + u64::from(u32::from_be_bytes([0, *a, *b, *c])) * 16;
    let max = window * 4;
    let shift = window_shift(max);
    let mut receiver = ReceiveFlow::new(window, max, shift);
    let mut now = Instant::ZERO;
    let mut sender = SendFlow::new(window, shift);
    let mut headers = alloc::vec![receiver.header_window()];
    let (mut sent, mut consumed) = (0u64, 0u64);
    for operation in operations(data) {
        match operation {
            Flowing::Send { share } => {
                let bytes = sender.available() * u64::from(share) / 255;
                sender.on_sent(bytes);
                sent += bytes;
                assert_eq!(
                    receiver.on_received(bytes),
                    Ok(()),
                    "honest senders keep to it"
                );
            }
            Flowing::Consume { share } => {
                let bytes = (sent - consumed) * u64::from(share) / 255;
                receiver.on_consumed(bytes);
                consumed += bytes;
                headers.push(receiver.header_window());
            }
            Flowing::Hear { late } => {
                let late = usize::from(late % 3).min(headers.len() - 1);
                sender.on_window(headers[headers.len() - 1 - late]);
                if late == 0 {
                    // What a frame said in bytes and was not heard, the header says in units.
                    let unknown = receiver.limit() - sent - sender.available();
                    assert!(unknown < 1 << shift, "{unknown}");
                }
            }
            Flowing::Announce {
                heard,
                after_millis,
            } => {
                now = now + Duration::from_millis(after_millis.into());
                let limit = receiver.announce(now, Duration::from_millis(50));
                assert!((window..=max).contains(&receiver.window()));
                assert!(!receiver.wants_announcement());
                headers.push(receiver.header_window());
                if heard {
                    sender
                        .on_max_data(PacketNumber(0), limit)
                        .expect("no packet is newer than another");
                }
            }
        }
        assert_eq!(receiver.unread(), sent - consumed);
        assert!(
            sent + sender.available() <= receiver.limit(),
            "no credit from nowhere"
        );
        assert!(
            receiver.limit() <= consumed + receiver.window(),
            "nor more than the window"
        );
    }
}
