//! Peers that made an honest handshake and then break the rules of the transport.

use std::time::Duration;

use dunlin_lab::adversary::{Duel, own_address};
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::Rng;
use dunlin_session::CipherSuite;
use dunlin_transport::wire::frame::Frame;
use dunlin_transport::wire::{Flags, PacketType};
use dunlin_transport::{
    CloseReason, Delivery, EndpointConfig, Event, MessageId, PeerViolation, SendMessageError, Side,
    StreamDirection, StreamId, WriteError, limits,
};

use crate::times;

const SEALED: Profile = Profile::Sealed(CipherSuite::Aes128Gcm);
const RTT: Duration = Duration::from_millis(50);

fn duel() -> Duel {
    Duel::new(SEALED, &EndpointConfig::default(), 11).expect("an honest handshake")
}

fn violation(duel: &Duel) -> Option<PeerViolation> {
    duel.events.iter().find_map(|event| match event {
        Event::Closed(CloseReason::Violation(violation)) => Some(*violation),
        _ => None,
    })
}

/// The victim writes as much as it may to a stream of its own.
fn writes_without_end(duel: &mut Duel) {
    let connection = duel.connection_mut().expect("a connection");
    let stream = connection.open_stream(StreamDirection::Unidirectional);
    let stream = stream.expect("streams are granted");
    while connection.write(stream, &[7; 65_536]).is_ok() {}
}

/// These numbers, which rise, as ranges, highest first.
fn ranges_of(numbers: &[u64]) -> Vec<std::ops::RangeInclusive<u64>> {
    let mut ranges: Vec<std::ops::RangeInclusive<u64>> = Vec::new();
    for number in numbers {
        match ranges.first_mut() {
            Some(newest) if *newest.end() + 1 == *number => *newest = *newest.start()..=*number,
            _ => ranges.insert(0, *number..=*number),
        }
    }
    ranges
}

/// How far does the window open, when each of `rounds` flights is acknowledged in `parts`?
fn window_after(rounds: usize, parts: usize) -> u64 {
    let mut duel = duel();
    duel.drain();
    // What was sent before, connection IDs among it, is no part of the question.
    let before = duel.largest;
    duel.acknowledge(&[before.saturating_sub(3)..=before], None);
    writes_without_end(&mut duel);
    for _ in 0..rounds {
        let mut heard = duel.drain();
        heard.extend(duel.advance(RTT));
        let eliciting = heard.iter().filter(|it| it.header.kind == PacketType::Data);
        let numbers: Vec<u64> = eliciting.map(|it| it.number).collect();
        let step = numbers.len().div_ceil(parts).max(1);
        for end in (step..=numbers.len()).step_by(step) {
            duel.acknowledge(&ranges_of(&numbers[end - step..end]), None);
            // What was said before, said again: worth nothing.
            duel.acknowledge(&ranges_of(&numbers[..end]), None);
        }
    }
    duel.connection()
        .expect("a connection")
        .stats()
        .congestion_window
}

/// Attack T6: one acknowledgement cut into a thousand opens the window no further.
#[test]
fn divided_acknowledgements_open_the_window_no_faster() {
    let whole = window_after(6, 1);
    let divided = window_after(6, 1_000);
    let mtu = EndpointConfig::default().transport.mtu as u64;
    assert!(whole > 20 * mtu, "the window grew: {whole}");
    assert!(divided <= whole + mtu, "{divided} instead of {whole}");
}

/// Attack T7: who acknowledges what was never sent is found out at the first packet.
#[test]
fn acknowledging_the_future_ends_the_connection() {
    for ahead in [1u64, 2, 100, 1 << 20] {
        let mut duel = duel();
        writes_without_end(&mut duel);
        duel.drain();
        let next = duel.largest + 1;
        duel.acknowledge(&[next - 1 + ahead..=next - 1 + ahead], None);
        assert_eq!(violation(&duel), Some(PeerViolation::AckOfUnsentPacket));
    }
}

/// Attack T7: ranges that reach below what was ever sent, or below zero, win nothing.
#[test]
fn acknowledging_before_the_beginning_wins_nothing() {
    let mut duel = duel();
    writes_without_end(&mut duel);
    duel.drain();
    let before = duel.connection().expect("a connection").stats();
    // All numbers below the first of this connection: skipped without cost, whatever their count.
    for _ in 0..1_000 {
        duel.acknowledge(&[0..=5], None);
    }
    let after = duel.connection().expect("a connection").stats();
    assert_eq!(after.congestion_window, before.congestion_window);
    assert_eq!(after.bytes_in_flight, before.bytes_in_flight);
}

/// A peer that writes pieces of streams and messages at random: gaps, overlaps, single bytes,
/// contradictions, last pieces first.
fn scatter(duel: &mut Duel, rng: &mut Rng, rounds: usize) {
    for _ in 0..rounds {
        let id = StreamId::new(
            Side::Initiator,
            StreamDirection::Unidirectional,
            rng.below(4),
        );
        let length = usize::try_from(rng.below(3)).unwrap_or(0);
        let data = [3; 3];
        match rng.below(3) {
            0 | 1 => {
                let offset = rng.below(1 << 17);
                duel.send_frames(&[Frame::Stream {
                    id,
                    offset,
                    fin: false,
                    data: &data[..length],
                }]);
            }
            _ => {
                let mut header = duel.header(PacketType::Fragment);
                header.flags = Flags::RELIABLE;
                header.fragment_id = u32::try_from(rng.below(1_000)).unwrap_or(0);
                header.fragment_total = 60_000;
                header.fragment_index = u16::try_from(rng.below(59_999)).unwrap_or(0);
                let mut block = Vec::new();
                Frame::MessageLength(60_000).emit(&mut block);
                duel.send(header, &[9], &block);
            }
        }
        duel.drain();
    }
}

/// Attack T8: whatever is left incomplete, credit bounds what is held, and honest messages still
/// arrive. `attacks_memory.rs` counts the bytes.
#[test]
fn scattered_pieces_stay_within_the_window_and_honest_ones_arrive() {
    let mut duel = duel();
    let mut rng = Rng::new(2);
    scatter(&mut duel, &mut rng, times(5_000));
    assert_eq!(violation(&duel), None, "all of it was allowed");
    let window = EndpointConfig::default().transport.receive_window;
    assert!(
        duel.connection()
            .expect("a connection")
            .stats()
            .bytes_unread
            <= window
    );
    let mut header = duel.header(PacketType::Data);
    header.flags = Flags::RELIABLE.with(Flags::END);
    (header.fragment_id, header.fragment_total) = (5_000, 1);
    duel.send(header, b"honest", &[]);
    let message = duel
        .connection_mut()
        .and_then(dunlin_transport::Connection::receive_message);
    assert_eq!(message.map(|it| it.data), Some(b"honest".to_vec()));
}

/// Attack T8: a message whose fragments change their mind about its length.
#[test]
fn contradicting_fragments_end_the_connection() {
    let mut duel = duel();
    for length in [3_000u64, 3_001] {
        let mut header = duel.header(PacketType::Fragment);
        header.flags = Flags::RELIABLE;
        header.fragment_total = 3;
        let mut block = Vec::new();
        Frame::MessageLength(length).emit(&mut block);
        let size = usize::try_from(length.div_ceil(3)).expect("small");
        duel.send(header, &vec![1; size], &block);
    }
    assert_eq!(violation(&duel), Some(PeerViolation::FragmentMismatch));
}

/// Attack T8: incomplete messages are counted; one more is not acknowledged.
#[test]
fn incomplete_messages_are_bounded() {
    let mut duel = duel();
    let fragment = |duel: &mut Duel, id: usize| {
        let mut header = duel.header(PacketType::Fragment);
        header.flags = Flags::RELIABLE;
        header.fragment_total = 2;
        header.fragment_id = u32::try_from(id).expect("small");
        let mut block = Vec::new();
        Frame::MessageLength(2).emit(&mut block);
        duel.send(header, &[1], &block);
        duel.connection()
            .expect("a connection")
            .stats()
            .bytes_unread
    };
    for id in 0..limits::MESSAGES_IN_REASSEMBLY_MAX {
        assert_eq!(fragment(&mut duel, id), id as u64 + 1);
    }
    let full = limits::MESSAGES_IN_REASSEMBLY_MAX as u64;
    assert_eq!(
        fragment(&mut duel, limits::MESSAGES_IN_REASSEMBLY_MAX),
        full
    );
    assert_eq!(violation(&duel), None);
}

/// Attack T11: who goes silent after the handshake is forgotten after the idle timeout.
#[test]
fn a_silent_peer_frees_its_place() {
    let mut duel = duel();
    let idle = EndpointConfig::default().transport.idle_timeout;
    duel.advance(idle + Duration::from_secs(5));
    let closed = Event::Closed(CloseReason::TimedOut);
    let is_closed = |event: &Event| format!("{event:?}") == format!("{closed:?}");
    assert!(duel.events.iter().any(is_closed));
    let handle = duel.handle.expect("a connection");
    duel.victim.release(handle);
    duel.drain();
    assert_eq!(duel.victim.connection_count(), 0);
}

/// Attack T11: a window that never opens costs the send buffer and no more, for as long as the peer
/// keeps answering. Nothing but the application ends such a connection.
#[test]
fn a_window_that_stays_shut_costs_the_send_buffer_at_most() {
    let config = EndpointConfig::default();
    let mut duel = Duel::with_params(SEALED, &config, 3, |params| {
        (params.max_data, params.max_stream_data) = (0, 0);
    })
    .expect("an honest handshake");
    let connection = duel.connection_mut().expect("a connection");
    let stream = connection.open_stream(StreamDirection::Unidirectional);
    let stream = stream.expect("streams are granted");
    while connection.write(stream, &[7; 65_536]).is_ok() {}
    assert_eq!(connection.write(stream, &[7]), Err(WriteError::Blocked));
    let message = connection.send_message(vec![1; 1_000], Delivery::Reliable);
    assert_eq!(message.err(), Some(SendMessageError::Blocked));
    for _ in 0..100 {
        let header = duel.header(PacketType::Ping);
        duel.send(header, &[0; 8], &[]);
        duel.advance(Duration::from_secs(10));
    }
    let stats = duel.connection().expect("a connection").stats();
    assert!(stats.bytes_buffered <= config.transport.send_buffer);
    assert!(duel.connection().expect("a connection").is_established());
}

/// Attack T12: PINGs in masses are not answered one by one when nothing may leave.
#[test]
fn a_flood_of_pings_keeps_eight_answers() {
    let mut duel = duel();
    duel.drain();
    for token in 0..times(10_000) as u64 {
        let header = duel.header(PacketType::Ping);
        duel.send(header, &token.to_be_bytes(), &[]);
    }
    let heard = duel.drain();
    let pongs = heard.iter().filter(|it| it.header.kind == PacketType::Pong);
    assert_eq!(pongs.count(), limits::QUEUED_PONGS_MAX);
    assert!(heard.iter().all(|it| it.to == own_address()));
}

/// Opened and reset at once, without end: streams that the application has not taken are counted.
#[test]
fn streams_opened_and_reset_stay_within_the_grant() {
    let mut duel = duel();
    let granted = EndpointConfig::default().transport.max_streams_uni;
    for index in 0..granted + 1 {
        let id = StreamId::new(Side::Initiator, StreamDirection::Unidirectional, index);
        duel.send_frames(&[Frame::ResetStream {
            id,
            code: 1,
            final_size: 0,
        }]);
        duel.drain();
    }
    assert_eq!(violation(&duel), Some(PeerViolation::StreamLimit));
}

/// Reliable messages without a byte use no credit: their number is bounded instead.
#[test]
fn empty_messages_are_bounded_by_their_number() {
    let mut duel = duel();
    let count = limits::RECEIVED_MESSAGES_MAX as u64 + 500;
    let mut id = 0;
    while id < count {
        let some: Vec<Frame<'_>> = (id..count.min(id + 200))
            .map(|id| Frame::Message {
                id: MessageId(id),
                data: &[],
            })
            .collect();
        id += 200;
        duel.send_frames(&some);
        duel.drain();
    }
    let connection = duel.connection_mut().expect("a connection");
    let received = std::iter::from_fn(|| connection.receive_message()).count();
    assert!(received <= limits::RECEIVED_MESSAGES_MAX, "{received}");
    assert_eq!(violation(&duel), None);
}

/// Attack T7: a receiver that acknowledges everything up to the newest number it can guess, without
/// caring what arrived, is found out by the first number that was left out. It had won no more than
/// the flight that was under way.
#[test]
fn acknowledging_blindly_is_found_out() {
    for seed in 0..20 {
        let mut duel = Duel::new(SEALED, &EndpointConfig::default(), seed).expect("a handshake");
        writes_without_end(&mut duel);
        let first = duel.largest;
        let mut packets = 0;
        for _ in 0..40 {
            packets += duel.drain().len();
            packets += duel.advance(Duration::from_millis(1)).len();
            // All numbers in one range: what an acker does that has not looked.
            duel.acknowledge(&[first..=duel.largest], None);
            if violation(&duel).is_some() {
                break;
            }
        }
        assert_eq!(violation(&duel), Some(PeerViolation::AckOfUnsentPacket));
        assert!(
            (64..2_000).contains(&packets),
            "found out after {packets} packets"
        );
    }
}

/// The same transfer by a receiver that names only what arrived goes on.
#[test]
fn an_honest_receiver_is_never_taken_for_a_blind_one() {
    let mut duel = duel();
    writes_without_end(&mut duel);
    let mut numbers: Vec<u64> = Vec::new();
    let mut packets = 0;
    let mut holes = 0;
    for _ in 0..200 {
        let mut heard = duel.drain();
        heard.extend(duel.advance(Duration::from_millis(5)));
        packets += heard.len();
        numbers.extend(heard.iter().map(|it| it.number));
        let ranges = ranges_of(&numbers);
        holes = holes.max(ranges.len() - 1);
        numbers.drain(..numbers.len().saturating_sub(5_000));
        duel.acknowledge(&ranges, None);
        let connection = duel.connection_mut().expect("a connection");
        let stream = StreamId::new(Side::Responder, StreamDirection::Unidirectional, 0);
        while connection.write(stream, &[7; 65_536]).is_ok() {}
    }
    assert_eq!(violation(&duel), None);
    assert!(packets > 500, "{packets}");
    assert!(holes > 0, "numbers were left out");
}
