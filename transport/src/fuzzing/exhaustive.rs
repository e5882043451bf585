//! Small domains of the crate's inner structures, tried in full.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use crate::flow::SendFlow;
use crate::ids::{MessageId, PacketNumber};
use crate::limits::REPLAY_WINDOW_PACKETS;
use crate::messages::Label;
use crate::messages::incoming::{IncomingMessages, Position};
use crate::recv::assembler::Assembler;
use crate::recv::packets::{Arrival, ReceivedPackets};
use crate::time::Instant;

/// Every sequence of `length` items of `0..choices`, once.
fn sequences(choices: usize, length: usize) -> impl Iterator<Item = Vec<usize>> {
    let count = choices.pow(u32::try_from(length).unwrap());
    (0..count).map(move |mut number| {
        (0..length)
            .map(|_| {
                let item = number % choices;
                number /= choices;
                item
            })
            .collect()
    })
}

const ARRIVAL: Arrival = Arrival {
    ack_eliciting: true,
    end: false,
    at_once: false,
    ecn: None,
};

/// Seven numbers around the edges of the window, in every order and with every repetition of six:
/// 117,649 histories.
#[test]
fn replay_window_is_exact_in_every_order_of_numbers_at_its_edges() {
    let window = REPLAY_WINDOW_PACKETS;
    let numbers = [0, 1, 63, 64, window - 1, window, window + 1];
    for order in sequences(numbers.len(), 6) {
        let mut packets = ReceivedPackets::new(Duration::from_millis(25));
        let mut model: BTreeSet<u64> = BTreeSet::new();
        for index in order {
            let number = numbers[index];
            let too_old = model.last().is_some_and(|last| number + window <= *last);
            let new = !too_old && !model.contains(&number);
            assert_eq!(
                packets.is_new(PacketNumber(number)),
                new,
                "{model:?} {number}"
            );
            if new {
                packets.mark(Instant::ZERO, PacketNumber(number), ARRIVAL);
                model.insert(number);
            }
        }
        let bottom = model
            .last()
            .map_or(0, |last| last.saturating_sub(window - 1));
        let reported: BTreeSet<u64> = packets.ranges().into_iter().flatten().collect();
        assert_eq!(reported, model.range(bottom..).copied().collect());
    }
}

/// Every sequence of four pieces of a stream of five bytes, with all overlaps: 50,625 histories,
/// each piece with bytes of its own so that it is seen which copy was kept.
#[test]
fn assembler_is_right_in_every_order_and_overlap_of_four_small_pieces() {
    let pieces: Vec<(usize, usize)> = (0..5)
        .flat_map(|start| (start + 1..=5).map(move |end| (start, end)))
        .collect();
    for order in sequences(pieces.len(), 4) {
        let mut assembler = Assembler::default();
        let mut model = [None; 5];
        let mut read = Vec::new();
        for (step, index) in order.iter().enumerate() {
            let (start, end) = pieces[*index];
            let data = alloc::vec![step as u8; end - start];
            let fresh = model[start..end]
                .iter()
                .filter(|byte| byte.is_none())
                .count();
            for byte in &mut model[start..end] {
                byte.get_or_insert(step as u8);
            }
            assert_eq!(assembler.insert(start as u64, &data), Ok(fresh as u64));
            // Half of the histories read in between, the others at the end.
            if order[0] % 2 == 0 {
                read.extend(assembler.take());
            }
        }
        read.extend(assembler.take());
        let expected: Vec<u8> = model.iter().map_while(|byte| *byte).collect();
        assert_eq!(read, expected, "{order:?}");
    }
}

/// A message in 2, 3 or 4 fragments: every order with every repetition of six arrivals, reliable
/// (delivered once) and not (delivered whenever complete).
#[test]
fn messages_are_put_together_in_every_order_of_their_fragments() {
    for (total, length) in [(2u16, 3u64), (3, 7), (4, 10)] {
        let message: Vec<u8> = (0..length).map(|at| at as u8).collect();
        let size = length.div_ceil(u64::from(total)) as usize;
        for order in sequences(usize::from(total), 6) {
            let mut incoming = IncomingMessages::new(100, 100);
            let mut flow = crate::flow::ReceiveFlow::new(65_536, 65_536, 3);
            let mut events = alloc::collections::VecDeque::new();
            let (mut came, mut partial, mut datagrams) = (BTreeSet::new(), BTreeSet::new(), 0);
            for index in &order {
                let at = Position {
                    id: MessageId(5),
                    index: *index as u16,
                    total,
                    length,
                    label: Label::default(),
                };
                let data = message.chunks(size).nth(*index).unwrap();
                incoming
                    .on_fragment(at, data, &mut flow, &mut events)
                    .unwrap();
                incoming
                    .on_datagram_fragment(at, data, &mut events)
                    .unwrap();
                came.insert(*index);
                partial.insert(*index);
                if partial.len() == usize::from(total) {
                    partial.clear();
                    datagrams += 1;
                }
            }
            let delivered: Vec<_> =
                core::iter::from_fn(|| incoming.pop(&mut flow).map(|it| it.data)).collect();
            let complete = came.len() == usize::from(total);
            assert_eq!(delivered.len(), usize::from(complete), "{order:?}");
            assert!(delivered.iter().all(|data| *data == message));
            let unreliable: Vec<_> =
                core::iter::from_fn(|| incoming.pop_datagram().map(|it| it.data)).collect();
            assert_eq!(unreliable.len(), datagrams, "{order:?}");
            assert!(unreliable.iter().all(|data| *data == message));
        }
    }
}

/// Every value of the header's Window Size against limits at the edges of its 16 bits: the limit
/// rises by less than half the field, or stays.
#[test]
fn every_window_field_is_understood_at_every_edge_of_the_field() {
    let edges = [
        0u64,
        1,
        0x7fff,
        0x8000,
        0xffff,
        0x1_0000,
        0x1_7fff,
        0xffff_ffff,
    ];
    for known in edges {
        for shift in [0, 3, 20] {
            for field in 0..=u16::MAX {
                let limit = known << shift;
                let mut flow = SendFlow::new(limit, shift);
                flow.on_window(field);
                // The next limit, in units, whose low 16 bits are the field.
                let mut next = known & !0xffff | u64::from(field);
                if next < known {
                    next += 0x1_0000;
                }
                let ahead = next - known;
                let expected = if ahead < 0x8000 { known + ahead } else { known };
                assert_eq!(flow.available(), expected << shift, "{known:#x} {field:#x}");
            }
        }
    }
}
