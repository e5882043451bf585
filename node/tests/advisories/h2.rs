//! h2, russh, rustls: protocols over TCP in Rust.

use std::time::Duration;

use dunlin_lab::adversary::own_address;
use dunlin_transport::wire::frame::Frame;
use dunlin_transport::wire::{Flags, PacketType};
use dunlin_transport::{
    CloseReason, EndpointConfig, Event, MessageId, PeerViolation, Side, StreamDirection, StreamId,
    limits,
};

use crate::support::{duel, is_open, violation};

fn stream(index: u64) -> StreamId {
    StreamId::new(Side::Initiator, StreamDirection::Bidirectional, index)
}

/// Streams opened and reset at once piled up for an application that did not take them. Here a
/// reset stream counts against the grant until the application has taken it.
#[test]
fn rustsec_2023_0034() {
    let mut duel = duel();
    let granted = EndpointConfig::default().transport.max_streams_bidi;
    let reset = |index| Frame::ResetStream {
        id: stream(index),
        code: 1,
        final_size: 0,
    };
    for index in 0..granted {
        duel.send_frames(&[reset(index)]);
        duel.drain();
    }
    assert!(is_open(&duel));
    duel.send_frames(&[reset(granted)]);
    assert_eq!(violation(&duel), Some(PeerViolation::StreamLimit));
}

/// Each frame for a stream in the wrong state made one more reset that waited for a window that
/// stayed shut. Here the first such frame ends the connection, with one RST; what comes after is
/// answered ever more rarely.
#[test]
fn rustsec_2024_0003() {
    let mut duel = duel();
    let ours = StreamId::new(Side::Responder, StreamDirection::Unidirectional, 0);
    for _ in 0..1_000 {
        duel.send_frames(&[Frame::Stream {
            id: ours,
            offset: 0,
            fin: false,
            data: b"x",
        }]);
    }
    assert_eq!(violation(&duel), Some(PeerViolation::StreamState));
    let mut resets = duel.drain().len();
    for _ in 0..1_000 {
        let header = duel.header(PacketType::Ping);
        duel.send(header, &[0; 8], &[]);
        resets += duel.drain().len();
    }
    assert!(resets < 20, "{resets} answers to 2,000 packets");
    assert!(duel.sent.iter().all(|(to, _)| *to == own_address()));
}

/// Continuations of a header without an end were worked on without an end. Nothing here spans
/// packets but data that is counted: a packet holds at most what its datagram holds, padding and
/// skipped frames included, and is worked on once.
#[test]
fn rustsec_2024_0332() {
    let mut duel = duel();
    let mut block = Vec::new();
    while block.len() < 1_200 {
        block.extend_from_slice(&[0xfe, 0]);
    }
    for _ in 0..5_000 {
        let header = duel.header(PacketType::Ack);
        duel.send(header, &[], &block);
    }
    let stats = duel.connection().expect("open").stats();
    assert_eq!((stats.bytes_unread, stats.bytes_buffered), (0, 0));
    assert!(
        duel.drain().len() <= 1,
        "nothing asked for an acknowledgement"
    );
    assert!(is_open(&duel));
}

/// Data frames without data were queued without bound. Here pieces of a stream without bytes leave
/// nothing behind, and messages without bytes are bounded by their number.
#[test]
fn rustsec_2026_0258() {
    let mut duel = duel();
    for _ in 0..2_000 {
        let empty = Frame::Stream {
            id: stream(0),
            offset: 0,
            fin: false,
            data: &[],
        };
        duel.send_frames(&[empty; 50]);
        duel.drain();
    }
    let opened =
        |event: &&Event| matches!(event, Event::StreamsOpened(_) | Event::StreamReadable(_));
    assert!(duel.events.iter().filter(opened).count() <= 2);
    let most = limits::RECEIVED_MESSAGES_MAX as u64;
    let mut id = 0;
    while id < most + 300 {
        let some: Vec<Frame<'_>> = (id..id + 300)
            .map(|id| Frame::Message {
                id: MessageId(id),
                data: &[],
            })
            .collect();
        duel.send_frames(&some);
        duel.drain();
        id += 300;
    }
    let connection = duel.connection_mut().expect("open");
    let received = std::iter::from_fn(|| connection.receive_message()).count() as u64;
    assert!(received <= most, "{received}");
}

/// A length field was believed before it was checked, and four gigabytes were allocated. Here no
/// length is a reason to allocate: a fragment of the longest message that the endpoint accepts
/// holds one page, and a longer one is a violation.
#[test]
fn rustsec_2026_0154() {
    for (length, expected) in [
        (16u64 << 20, None),
        ((16 << 20) + 1, Some(PeerViolation::MessageTooLarge)),
        ((1 << 62) - 1, Some(PeerViolation::MessageTooLarge)),
    ] {
        let mut duel = duel();
        let mut header = duel.header(PacketType::Fragment);
        header.flags = Flags::RELIABLE;
        header.fragment_total = 65_535;
        let mut block = Vec::new();
        Frame::MessageLength(length).emit(&mut block);
        let size = usize::try_from(length.div_ceil(65_535)).expect("64 bits");
        duel.send(header, &vec![1; size.min(1_000)], &block);
        assert_eq!(violation(&duel), expected, "{length}");
    }
}

/// An alert that closed the connection in mid-handshake made the caller loop for ever. Here a close
/// that comes with the first packets ends the connection once, and asking it for more finds nothing.
#[test]
fn rustsec_2024_0336() {
    let mut duel = duel();
    let header = duel.header(PacketType::Fin);
    duel.send(header, &[0], &[]);
    duel.drain();
    let ends = |event: &&Event| matches!(event, Event::Closed(CloseReason::Peer { .. }));
    assert_eq!(duel.events.iter().filter(ends).count(), 1);
    assert!(duel.drain().is_empty());
    duel.advance(Duration::from_secs(60));
    let handle = duel.handle.expect("there was one");
    duel.victim.release(handle);
    duel.drain();
    assert_eq!(duel.victim.connection_count(), 0);
    assert_eq!(duel.victim.poll_timeout(), None);
}
