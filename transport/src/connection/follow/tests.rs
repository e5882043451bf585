//! Trains against their datagrams one by one, for which nothing follows anything.
//!
//! The peer is made up: its packets are in the plain profile, or pretend to be sealed, and say what a
//! mended, broken or hostile sender might.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use proptest::prelude::*;

use crate::config::EndpointConfig;
use crate::endpoint::Endpoint;
use crate::error::{CloseReason, PeerViolation};
use crate::ids::{PacketNumber, Side, StreamDirection, StreamId};
use crate::io::{ConnectionHandle, EcnMark};
use crate::plain::{self, PlainAcceptor, PlainInitiator, PlainProtection};
use crate::protect::{Flow, OpenError, PacketProtection, Random};
use crate::stats::Stats;
use crate::time::Instant;
use crate::trace::{ConnectionObserver, TraceEvent};
use crate::wire::{Flags, HEADER_LEN, Header, PacketType};

/// Bytes of each piece.
const PIECE: usize = 500;
/// Windows that are not filled here.
const WIDE: (u64, u64) = (400_000, 500_000);
const STREAMS: [StreamId; 2] = [
    StreamId::new(Side::Initiator, StreamDirection::Unidirectional, 0),
    StreamId::new(Side::Initiator, StreamDirection::Unidirectional, 1),
];

struct Counter(u8);

impl Random for Counter {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_mul(5).wrapping_add(113);
            *byte = self.0;
        }
    }
}

/// How many packets were opened, and how often a header was read whole.
#[derive(Clone, Default)]
struct Counts {
    opened: Arc<AtomicU64>,
    read: Arc<AtomicU64>,
}

/// The plain profile, perhaps under the name of a sealed one.
struct Counting {
    counts: Counts,
    is_sealed: bool,
}

impl PacketProtection for Counting {
    fn trailer_len(&self) -> usize {
        PlainProtection.trailer_len()
    }

    fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    fn checksum_salt(&self, flow: Flow) -> u32 {
        if flow == Flow::Incoming {
            self.counts.read.fetch_add(1, Ordering::Relaxed);
        }
        0
    }

    fn seal_unmasked(&mut self, number: PacketNumber, packet: &mut [u8]) {
        PlainProtection.seal_unmasked(number, packet);
    }

    fn open(
        &mut self,
        number: PacketNumber,
        key_phase: bool,
        packet: &mut [u8],
    ) -> Result<usize, OpenError> {
        self.counts.opened.fetch_add(1, Ordering::Relaxed);
        PlainProtection.open(number, key_phase, packet)
    }
}

/// What is different about a packet.
#[derive(Clone, Copy, Debug)]
enum Change {
    Nothing,
    /// Numbers are left out.
    Number(u8),
    /// The packet that was made so many packets before comes again.
    Repeat(u8),
    /// A byte of it.
    Damage(u16),
    /// Bytes are left out.
    Gap(u16),
    /// Bytes come again.
    Back(u16),
    /// Other bytes than before come again.
    Contradict,
    /// The stream ends.
    End,
    Acknowledgment(u8),
    Window(u8),
    OtherStream,
    Flags(u8),
    /// The type is another one.
    Kind(u8),
    /// It is for somebody else.
    Identity,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        60 => Just(Change::Nothing),
        2 => (0u8..3).prop_map(Change::Number),
        2 => (0u8..20).prop_map(Change::Repeat),
        2 => any::<u16>().prop_map(Change::Damage),
        2 => (1u16..3_000).prop_map(Change::Gap),
        2 => (1u16..3_000).prop_map(Change::Back),
        1 => Just(Change::Contradict),
        1 => Just(Change::End),
        1 => (0u8..3).prop_map(Change::Acknowledgment),
        1 => (0u8..3).prop_map(Change::Window),
        2 => Just(Change::OtherStream),
        1 => any::<u8>().prop_map(Change::Flags),
        1 => (1u8..13).prop_map(Change::Kind),
        1 => Just(Change::Identity),
    ]
}

/// Packets that come together, and what the application does then.
#[derive(Clone, Debug)]
struct Train {
    packets: Vec<Change>,
    ecn: Option<EcnMark>,
    from_elsewhere: bool,
    reads: usize,
    stops: bool,
}

fn train() -> impl Strategy<Value = Train> {
    let ecn = prop_oneof![
        Just(None),
        Just(Some(EcnMark::Ect0)),
        Just(Some(EcnMark::Ce))
    ];
    let rarely = |weight| prop::bool::weighted(weight);
    let packets = proptest::collection::vec(change(), 1..40);
    (packets, ecn, rarely(0.05), 0usize..60_000, rarely(0.03)).prop_map(
        |(packets, ecn, from_elsewhere, reads, stops)| Train {
            packets,
            ecn,
            from_elsewhere,
            reads,
            stops,
        },
    )
}

/// The peer.
#[derive(Clone)]
struct Writer {
    header: Header,
    number: u64,
    stream: usize,
    offsets: [u64; 2],
    made: Vec<Vec<u8>>,
}

impl Writer {
    fn make(&mut self, change: Change) -> Vec<u8> {
        let mut header = self.header;
        let mut twist = 0;
        match change {
            Change::Nothing | Change::Damage(_) => {}
            Change::Number(count) => self.number += u64::from(count),
            Change::Repeat(back) => {
                let at = self.made.len().checked_sub(1 + usize::from(back));
                if let Some(made) = at.and_then(|at| self.made.get(at)) {
                    return made.clone();
                }
            }
            Change::Gap(bytes) => self.offsets[self.stream] += u64::from(bytes),
            Change::Back(bytes) => self.go_back(u64::from(bytes)),
            Change::Contradict => {
                self.go_back(PIECE as u64 / 2);
                twist = 1;
            }
            Change::End => header.flags = header.flags.with(Flags::END),
            Change::Acknowledgment(less) => header.acknowledgment -= u32::from(less),
            Change::Window(more) => self.header.window += u16::from(more),
            Change::OtherStream => self.stream = 1 - self.stream,
            Change::Flags(flags) => header.flags = Flags(header.flags.0 ^ flags),
            Change::Kind(kind) => header.kind = PacketType::try_from(kind).unwrap(),
            Change::Identity => header.connection_id.0 ^= 1,
        }
        let offset = self.offsets[self.stream];
        header.window = self.header.window;
        header.sequence = PacketNumber(self.number).truncated();
        header.fragment_id = PacketNumber(STREAMS[self.stream].0).truncated();
        header.set_stream_offset(offset);
        let mut packet = alloc::vec![0; HEADER_LEN];
        header.emit(packet.first_chunk_mut().unwrap(), 0);
        packet.extend((offset..offset + PIECE as u64).map(|at| byte(at) ^ twist));
        plain::seal(&mut packet, 0);
        if let Change::Damage(at) = change {
            let length = packet.len();
            packet[usize::from(at) % length] ^= 1;
        }
        self.number += 1;
        self.offsets[self.stream] = offset + PIECE as u64;
        self.made.push(packet.clone());
        packet
    }

    fn go_back(&mut self, bytes: u64) {
        let offset = &mut self.offsets[self.stream];
        *offset = offset.saturating_sub(bytes);
    }

    fn make_all(&mut self, changes: &[Change]) -> Vec<Vec<u8>> {
        changes.iter().map(|change| self.make(*change)).collect()
    }
}

fn byte(offset: u64) -> u8 {
    (offset * 7 + offset / 251) as u8
}

fn address(end: u8) -> SocketAddr {
    ([10, 0, 0, end], 1_000).into()
}

/// What can be seen of the end that receives.
#[derive(PartialEq, Debug)]
struct Seen {
    events: Vec<String>,
    read: Vec<Vec<u8>>,
    sent: Vec<(SocketAddr, Vec<u8>)>,
    stats: Option<Stats>,
    deadline: Option<Instant>,
    /// What shows later, if at all.
    inside: [String; 6],
}

struct Receiver {
    now: Instant,
    endpoint: Endpoint,
    handle: ConnectionHandle,
    counts: Counts,
}

impl Receiver {
    /// Connected, with windows of so many bytes for a stream and for all; and the peer that it is connected
    /// with.
    fn new((stream, all): (u64, u64), is_sealed: bool) -> (Self, Writer) {
        let mut config = EndpointConfig::default();
        config.transport.initial_receive_window = all;
        config.transport.initial_stream_receive_window = stream;
        let acceptor = Box::new(PlainAcceptor::new());
        let mut peer = Endpoint::new(config.clone(), Box::new(Counter(1)), None);
        let mut endpoint = Endpoint::new(config, Box::new(Counter(2)), Some(acceptor));
        let now = Instant::ZERO;
        let initiator = Box::new(PlainInitiator::new());
        let peers = peer.connect(now, address(2), initiator).unwrap();
        let (mut handle, mut buffer) = (None, Vec::new());
        for _ in 0..10 {
            while let Some(sent) = peer.poll_transmit(now, 1, &mut buffer) {
                endpoint.handle_datagram(now, address(1), None, &mut buffer[..sent.size]);
            }
            while let Some(sent) = endpoint.poll_transmit(now, 1, &mut buffer) {
                peer.handle_datagram(now, address(2), None, &mut buffer[..sent.size]);
            }
            while let Some((of, _)) = endpoint.poll_event() {
                handle = Some(of);
            }
        }
        let (peer, handle) = (peer.connection_mut(peers).unwrap(), handle.unwrap());
        let kept = endpoint.connection_mut(handle).unwrap();
        let counts = Counts::default();
        kept.protection = Some(Box::new(Counting {
            counts: counts.clone(),
            is_sealed,
        }));
        let mut header = Header::new(PacketType::Data, peer.remote_ids.current());
        header.flags = Flags::RELIABLE
            .with(Flags::ORDERED)
            .with(Flags::ACK)
            .with_if(is_sealed, Flags::SEALED);
        header.acknowledgment = peer.received.largest().unwrap().truncated();
        header.window = peer.receive_flow.header_window();
        header.payload_len = (PIECE + plain::TRAILER_LEN) as u32;
        let writer = Writer {
            header,
            number: peer.sent.next_number().0,
            stream: 0,
            offsets: [0; 2],
            made: Vec::new(),
        };
        let receiver = Self {
            now,
            endpoint,
            handle,
            counts,
        };
        (receiver, writer)
    }

    fn take(&mut self, train: &Train, datagrams: &[Vec<u8>], at_once: bool) {
        self.now = self.now + Duration::from_millis(1);
        let (now, from) = (self.now, address(if train.from_elsewhere { 3 } else { 1 }));
        let endpoint = &mut self.endpoint;
        endpoint.handle_timeout(now);
        if at_once {
            let size = datagrams[0].len();
            endpoint.handle_datagrams(now, from, train.ecn, &mut datagrams.concat(), size);
        } else {
            for datagram in datagrams {
                endpoint.handle_datagram(now, from, train.ecn, &mut datagram.clone());
            }
        }
    }

    /// All that can be seen; streams are read, `most` bytes each.
    fn look(&mut self, most: usize, stops: bool) -> Seen {
        let mut seen = Seen {
            events: Vec::new(),
            read: Vec::new(),
            sent: Vec::new(),
            stats: None,
            deadline: None,
            inside: Default::default(),
        };
        let mut buffer = Vec::new();
        while let Some(sent) = self.endpoint.poll_transmit(self.now, 8, &mut buffer) {
            seen.sent.push((sent.destination, buffer.clone()));
        }
        while let Some((_, event)) = self.endpoint.poll_event() {
            seen.events.push(format!("{event:?}"));
        }
        seen.deadline = self.endpoint.poll_timeout();
        if let Some(connection) = self.endpoint.connection_mut(self.handle) {
            for id in STREAMS {
                let mut out = alloc::vec![0; most];
                let count = connection.read(id, &mut out).unwrap_or(0);
                out.truncate(count);
                seen.read.push(out);
            }
            if stops {
                connection.stop(STREAMS[0], 7).unwrap_or(());
            }
            seen.stats = Some(connection.stats());
            seen.inside = [
                format!("{:?}", connection.send_flow),
                format!("{:?}", connection.receive_flow),
                format!("{:?}", connection.received),
                format!("{:?}", connection.timers),
                format!("{:?} {:?}", connection.path, connection.candidate_id),
                format!("{:?} {:?}", connection.local_ids, connection.remote_ids),
            ];
        }
        seen
    }

    /// Packets that were opened without their headers having been read whole, at least.
    fn followed(&self) -> u64 {
        let [opened, read] =
            [&self.counts.opened, &self.counts.read].map(|it| it.load(Ordering::Relaxed));
        opened.saturating_sub(read)
    }

    /// Takes packets as a train.
    fn take_all(&mut self, datagrams: &[Vec<u8>]) {
        let train = Train {
            packets: Vec::new(),
            ecn: None,
            from_elsewhere: false,
            reads: 0,
            stops: false,
        };
        self.take(&train, datagrams, true);
    }

    fn stats(&self) -> Stats {
        self.endpoint.connection(self.handle).unwrap().stats()
    }

    fn reason(&self) -> Option<&CloseReason> {
        self.endpoint
            .connection(self.handle)
            .unwrap()
            .close_reason()
    }
}

proptest! {
    #[test]
    fn a_train_does_what_its_datagrams_do_one_by_one(
        trains in proptest::collection::vec(train(), 1..12),
        windows in (16_384u64..100_000, 65_536u64..200_000),
        is_sealed: bool,
    ) {
        let (mut at_once, mut writer) = Receiver::new(windows, is_sealed);
        let (mut singly, _) = Receiver::new(windows, is_sealed);
        for train in &trains {
            let datagrams = writer.make_all(&train.packets);
            at_once.take(train, &datagrams, true);
            singly.take(train, &datagrams, false);
            let seen = singly.look(train.reads, train.stops);
            prop_assert_eq!(at_once.look(train.reads, train.stops), seen);
        }
        prop_assert_eq!(singly.followed(), 0);
    }

    /// Wherever a train is disturbed, those before and behind follow.
    #[test]
    fn a_train_is_a_run_before_and_behind_what_disturbs_it(at in 1usize..38, change in change()) {
        let (mut receiver, mut writer) = Receiver::new(WIDE, true);
        let mut changes = [Change::Nothing; 40];
        changes[at] = change;
        let datagrams = writer.make_all(&changes);
        receiver.take_all(&datagrams);
        let disturbance = match change {
            // It ends the connection, or what the run is part of.
            Change::Contradict | Change::End | Change::Flags(_) | Change::Kind(_) => 40 - at,
            // Bytes that came before are sent again for some packets.
            Change::Back(bytes) => usize::from(bytes).div_ceil(PIECE) + 1,
            _ => 1,
        };
        // For the first and whatever is disturbed a header is read twice, and once for each run.
        let least = 40u64.saturating_sub(6 + 3 * disturbance as u64);
        prop_assert!(receiver.followed() >= least, "{} of {least}", receiver.followed());
    }
}

#[test]
fn all_of_a_train_but_the_first_follow_and_all_of_the_next_train() {
    let (mut receiver, mut writer) = Receiver::new(WIDE, true);
    receiver.take_all(&writer.make_all(&[Change::Nothing; 40]));
    let before = receiver.followed();
    assert!(before >= 37, "{before}");
    receiver.take_all(&writer.make_all(&[Change::Nothing; 40]));
    assert_eq!(receiver.followed() - before, 39, "one header was read");
    let seen = receiver.look(100_000, false);
    let all: Vec<u8> = (0..80 * PIECE as u64).map(byte).collect();
    assert_eq!(seen.read[0], all);
}

#[test]
fn packets_up_to_the_limit_follow_and_the_one_past_it_ends_the_connection() {
    for windows in [(80 * PIECE as u64, 500_000), (400_000, 160 * PIECE as u64)] {
        for over in [0, 1] {
            let (mut receiver, mut writer) = Receiver::new(windows, true);
            let pieces = windows.0.min(windows.1) as usize / PIECE;
            receiver.take_all(&writer.make_all(&alloc::vec![Change::Nothing; pieces / 2]));
            let (followed, before) = (receiver.followed(), receiver.stats());
            let last = pieces / 2 + over;
            receiver.take_all(&writer.make_all(&alloc::vec![Change::Nothing; last]));
            // A header is read for the run, and that of the packet behind it.
            let following = receiver.followed() - followed;
            assert_eq!(following, (last - 1 - over) as u64);
            let violation = CloseReason::Violation(PeerViolation::FlowControl);
            assert_eq!(receiver.reason(), (over == 1).then_some(&violation));
            let received = receiver.stats().packets_received - before.packets_received;
            assert_eq!(received, last as u64);
        }
    }
}

#[test]
fn a_damaged_packet_is_counted_and_those_behind_it_are_received() {
    let (mut receiver, mut writer) = Receiver::new(WIDE, true);
    let mut changes = [Change::Nothing; 20];
    // A byte of the piece, and one of the header.
    changes[7] = Change::Damage(100);
    changes[15] = Change::Damage(6);
    let before = receiver.stats();
    receiver.take_all(&writer.make_all(&changes));
    let after = receiver.stats();
    assert_eq!(after.packets_received - before.packets_received, 18);
    assert_eq!(after.packets_rejected - before.packets_rejected, 2);
    assert_eq!(receiver.look(100_000, false).read[0].len(), 7 * PIECE);
}

struct Silent;

impl ConnectionObserver for Silent {
    fn on_event(&mut self, _: Instant, _: &TraceEvent<'_>) {}
}

#[test]
fn who_is_observed_takes_packet_by_packet() {
    let (mut receiver, mut writer) = Receiver::new(WIDE, true);
    let connection = receiver.endpoint.connection_mut(receiver.handle).unwrap();
    connection.observe(Instant::ZERO, Box::new(Silent));
    receiver.take_all(&writer.make_all(&[Change::Nothing; 40]));
    assert_eq!(receiver.followed(), 0);
    assert_eq!(receiver.look(100_000, false).read[0].len(), 40 * PIECE);
}
