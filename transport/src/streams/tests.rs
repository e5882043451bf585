//! Tests of stream bookkeeping: limits, credit, states.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::*;
use crate::config::TransportConfig;
use crate::error::{ApiMisuse, PeerViolation, ReadError, WriteError};
use crate::flow::ReceiveFlow;
use crate::ids::{ConnectionId, PacketNumber};
use crate::io::Event;
use crate::limits::{LENT_PAGES_MAX, STREAM_BACKLOG_MAX};
use crate::recv::assembler::PAGE;
use crate::recv::lent::Lent;
use crate::time::Instant;

struct Fixture {
    streams: Streams,
    flow: ReceiveFlow,
    events: VecDeque<Event>,
}

fn fixture(side: Side) -> Fixture {
    let config = TransportConfig {
        max_streams_bidi: 4,
        max_streams_uni: 2,
        stream_receive_window: 1_000,
        initial_stream_receive_window: 1_000,
        ..TransportConfig::default()
    };
    let mut streams = Streams::new(side, &config);
    streams.on_params(&TransportParams::of(&config, ConnectionId(1)));
    Fixture {
        streams,
        flow: ReceiveFlow::new(65_536, 65_536, 3),
        events: VecDeque::new(),
    }
}

impl Fixture {
    fn data(
        &mut self,
        id: StreamId,
        offset: u64,
        data: &[u8],
        fin: bool,
    ) -> Result<Placed, PeerViolation> {
        self.streams
            .on_data((id, offset, fin), data, &mut self.flow, &mut self.events)
    }

    fn read(&mut self, id: StreamId) -> Result<Vec<u8>, ReadError> {
        let mut out = [0; 2_000];
        let count = self.streams.read(id, &mut out, &mut self.flow)?;
        Ok(out[..count].to_vec())
    }
}

const BIDI: StreamDirection = StreamDirection::Bidirectional;
const UNI: StreamDirection = StreamDirection::Unidirectional;

#[test]
fn opens_up_to_the_grant_and_waits_for_more() {
    let mut f = fixture(Side::Initiator);
    for expected in 0..4 {
        assert_eq!(
            f.streams.open(BIDI),
            Some(StreamId::new(Side::Initiator, BIDI, expected))
        );
    }
    assert_eq!(f.streams.open(BIDI), None);
    f.streams
        .on_max_streams(BIDI, (PacketNumber(1), 5), &mut f.events)
        .unwrap();
    assert!(matches!(
        f.events.pop_front(),
        Some(Event::StreamsAvailable(BIDI))
    ));
    assert!(f.streams.open(BIDI).is_some());
}

#[test]
fn a_writer_is_woken_when_no_more_than_half_a_backlog_waits() {
    let mut f = fixture(Side::Initiator);
    f.streams.windows = (1 << 30, 1 << 30);
    f.streams.peer_bidi_window = 1 << 30;
    let id = f.streams.open(BIDI).unwrap();
    let half = usize::try_from(STREAM_BACKLOG_MAX / 2).unwrap();
    let data = alloc::vec![1; half + 1];
    assert_eq!(f.streams.write(id, &data, u64::MAX), Ok(half + 1));
    assert_eq!(f.streams.write(id, &data, 0), Err(WriteError::Blocked));
    f.streams.wake_blocked(&mut f.events);
    assert!(f.events.is_empty() && f.streams.is_blocked());
    let urgency = f.streams.urgency(u64::MAX).unwrap();
    assert!(f.streams.poll_piece(u64::MAX, urgency, |_, _| 1).is_some());
    assert_eq!(f.streams.backlog(id), STREAM_BACKLOG_MAX / 2);
    f.streams.wake_blocked(&mut f.events);
    let woken = f.events.pop_front();
    assert!(matches!(woken, Some(Event::StreamWritable(it)) if it == id));
    assert!(!f.streams.is_blocked());
}

#[test]
fn peer_may_open_up_to_the_grant_and_not_one_more() {
    let mut f = fixture(Side::Responder);
    let nth = |index| StreamId::new(Side::Initiator, UNI, index);
    assert_eq!(f.data(nth(1), 0, b"x", false), Ok(Placed::Yes));
    assert_eq!(
        f.streams.accept(UNI),
        Some(nth(0)),
        "lower ones open with it"
    );
    assert_eq!(f.streams.accept(UNI), Some(nth(1)));
    assert_eq!(
        f.data(nth(2), 0, b"x", false),
        Err(PeerViolation::StreamLimit)
    );
}

#[test]
fn finished_streams_make_room_for_new_ones() {
    let mut f = fixture(Side::Responder);
    let nth = |index| StreamId::new(Side::Initiator, UNI, index);
    for index in 0..2 {
        f.data(nth(index), 0, b"x", true).unwrap();
        assert_eq!(f.read(nth(index)).unwrap(), b"x");
        assert_eq!(f.read(nth(index)).unwrap(), b"", "the end");
    }
    let granted = core::iter::from_fn(|| f.streams.poll_control(Instant::ZERO, Duration::ZERO))
        .any(|control| {
            control
                == Control::Grant {
                    direction: UNI,
                    count: 4,
                }
        });
    assert!(granted);
    assert_eq!(f.data(nth(3), 0, b"x", true), Ok(Placed::Yes));
}

#[test]
fn rejects_data_on_streams_that_cannot_carry_it() {
    let mut f = fixture(Side::Initiator);
    let own_uni = f.streams.open(UNI).unwrap();
    assert_eq!(
        f.data(own_uni, 0, b"x", false),
        Err(PeerViolation::StreamState)
    );
    let unopened = StreamId::new(Side::Initiator, BIDI, 0);
    assert_eq!(
        f.data(unopened, 0, b"x", false),
        Err(PeerViolation::StreamState)
    );
    let peer_uni = StreamId::new(Side::Responder, UNI, 0);
    let stop = f.streams.on_stop_sending(peer_uni, 1, &mut f.events);
    assert_eq!(stop, Err(PeerViolation::StreamState));
    let write = f.streams.write(peer_uni, b"x", 10);
    assert_eq!(write, Err(WriteError::Misuse(ApiMisuse::WrongDirection)));
}

#[test]
fn final_size_is_final() {
    let mut f = fixture(Side::Responder);
    let id = StreamId::new(Side::Initiator, BIDI, 0);
    f.data(id, 10, b"0123456789", true).unwrap();
    assert_eq!(f.data(id, 20, b"x", false), Err(PeerViolation::FinalSize));
    assert_eq!(f.data(id, 0, b"x", true), Err(PeerViolation::FinalSize));
    let reset = f.streams.on_reset(id, (1, 19), &mut f.flow, &mut f.events);
    assert_eq!(reset, Err(PeerViolation::FinalSize));
    let other = StreamId::new(Side::Initiator, BIDI, 1);
    f.data(other, 10, b"x", false).unwrap();
    assert_eq!(f.data(other, 5, b"x", true), Err(PeerViolation::FinalSize));
}

#[test]
fn stream_credit_is_enforced_to_the_byte_and_renewed_by_reading() {
    let mut f = fixture(Side::Responder);
    let id = StreamId::new(Side::Initiator, BIDI, 0);
    assert_eq!(f.data(id, 0, &[1; 1_000], false), Ok(Placed::Yes));
    assert_eq!(
        f.data(id, 1_000, b"x", false),
        Err(PeerViolation::FlowControl)
    );
    assert_eq!(f.read(id).unwrap().len(), 1_000);
    assert_eq!(
        f.streams.poll_control(Instant::ZERO, Duration::ZERO),
        Some(Control::Credit { id, limit: 2_000 })
    );
    assert_eq!(f.data(id, 1_000, b"x", false), Ok(Placed::Yes));
}

/// A sender that uses all credit it heard of, in pieces that do not divide the window, and a reader that
/// takes them at once: every second announcement is lost, and nothing but data ever moves them on.
#[test]
fn credit_goes_on_when_an_announcement_is_lost() {
    for piece in [1, 7, 90, 140, 230] {
        let mut f = fixture(Side::Responder);
        let id = StreamId::new(Side::Initiator, BIDI, 0);
        let (mut sent, mut heard, mut announced) = (0, 1_000, 0);
        while sent < 100_000 {
            let length = piece.min(heard - sent);
            assert!(
                length > 0,
                "out of credit after {sent} bytes in pieces of {piece}"
            );
            let bytes = alloc::vec![1; usize::try_from(length).unwrap()];
            assert_eq!(f.data(id, sent, &bytes, false), Ok(Placed::Yes));
            sent += length;
            f.read(id).unwrap();
            let control = f.streams.poll_control(Instant::ZERO, Duration::ZERO);
            if let Some(Control::Credit { limit, .. }) = control {
                announced += 1;
                if announced % 2 == 0 {
                    heard = limit;
                }
            }
        }
    }
}

#[test]
fn pages_are_lent_up_to_the_limit_and_come_back() {
    let config = TransportConfig::default();
    let mut streams = Streams::new(Side::Responder, &config);
    streams.on_params(&TransportParams::of(&config, ConnectionId(1)));
    let (mut flow, mut events) = (ReceiveFlow::new(1 << 20, 1 << 20, 6), VecDeque::new());
    let id = StreamId::new(Side::Initiator, BIDI, 0);
    let most = LENT_PAGES_MAX * PAGE;
    let data = alloc::vec![7; most + 1];
    streams
        .on_data((id, 0, true), &data, &mut flow, &mut events)
        .unwrap();

    let mut lent = Lent::default();
    assert_eq!(streams.read_lent(id, &mut lent, &mut flow), Ok(most));
    assert_eq!(lent.bytes().len(), PAGE);
    lent.consume(PAGE - 1);
    assert_eq!(lent.bytes(), [7]);
    assert_eq!(flow.unread(), 1, "what is lent counts as read");
    // One past the limit; what was not consumed stays in front.
    assert_eq!(streams.read_lent(id, &mut lent, &mut flow), Ok(1));
    let mut out = alloc::vec![0; most];
    assert_eq!(lent.copy_to(&mut out), most - PAGE + 2);
    assert!(lent.is_empty() && lent.bytes().is_empty());
    assert_eq!(streams.spare.count(), 0);
    assert_eq!(
        streams.read_lent(id, &mut lent, &mut flow),
        Ok(0),
        "the end"
    );
    assert_eq!(streams.spare.count(), LENT_PAGES_MAX + 1);
}

#[test]
fn a_reset_gives_back_the_credit_of_what_was_not_read() {
    let mut f = fixture(Side::Responder);
    let id = StreamId::new(Side::Initiator, BIDI, 0);
    f.data(id, 100, &[1; 100], false).unwrap();
    f.streams
        .on_reset(id, (7, 500), &mut f.flow, &mut f.events)
        .unwrap();
    assert_eq!(f.flow.unread(), 0);
    assert_eq!(f.read(id), Err(ReadError::Reset(7)));
}

#[test]
fn a_stopped_stream_discards_what_comes() {
    let mut f = fixture(Side::Responder);
    let id = StreamId::new(Side::Initiator, BIDI, 0);
    f.data(id, 0, &[1; 100], false).unwrap();
    f.streams.stop(id, 9, &mut f.flow).unwrap();
    assert_eq!(
        f.streams.poll_control(Instant::ZERO, Duration::ZERO),
        Some(Control::Stop { id, code: 9 })
    );
    f.data(id, 100, &[1; 200], true).unwrap();
    assert_eq!(f.flow.unread(), 0);
    assert_eq!(f.read(id), Err(ReadError::Misuse(ApiMisuse::UnknownStream)));
}

#[test]
fn a_stopped_writer_hears_the_code() {
    let mut f = fixture(Side::Initiator);
    let id = f.streams.open(BIDI).unwrap();
    f.streams.write(id, b"hello", 100).unwrap();
    f.streams.on_stop_sending(id, 5, &mut f.events).unwrap();
    assert_eq!(
        f.streams.write(id, b"more", 100),
        Err(WriteError::Stopped(5))
    );
    assert_eq!(
        f.streams.poll_control(Instant::ZERO, Duration::ZERO),
        Some(Control::Reset {
            id,
            code: 5,
            final_size: 0
        })
    );
    assert_eq!(f.streams.buffered(), 0);
}

#[test]
fn streams_take_turns_and_a_full_one_does_not_block_the_others() {
    let mut f = fixture(Side::Initiator);
    let [a, b] = [f.streams.open(BIDI).unwrap(), f.streams.open(BIDI).unwrap()];
    f.streams.write(a, &[0; 5_000], 10_000).unwrap();
    f.streams.write(b, &[0; 300], 10_000).unwrap();
    f.streams
        .on_max_stream_data(a, (PacketNumber(1), 3_000), &mut f.events)
        .unwrap();
    let mut order = Vec::new();
    while let Some((id, piece)) = f.streams.poll_piece(u64::MAX, 3, |_, _| 1_100) {
        order.push(id);
        assert!(piece.range.end <= 3_000, "stream credit");
    }
    assert_eq!(order, [a, b, a, a]);
    assert!(!f.streams.has_work(u64::MAX));
    f.streams
        .on_max_stream_data(a, (PacketNumber(2), 3_100), &mut f.events)
        .unwrap();
    assert!(f.streams.has_work(u64::MAX) && !f.streams.has_work(0));
    assert_eq!(f.streams.poll_piece(0, 3, |_, _| 300), None);
    assert!(f.streams.poll_piece(100, 3, |_, _| 300).is_some());
}

#[test]
fn identifiers_are_restored_from_their_low_half() {
    let mut f = fixture(Side::Initiator);
    f.streams.counters[0].opened = (1 << 32) + 5;
    let id = StreamId::new(Side::Initiator, BIDI, (1 << 30) + 3);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low half is what travels"
    )]
    let low = id.0 as u32;
    f.streams.counters[0].opened = (1 << 30) + 4;
    assert_eq!(f.streams.full_id(low), id);
}
