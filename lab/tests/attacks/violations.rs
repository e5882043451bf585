//! Each rule that a peer can break, broken: the connection ends, and the peer hears the code of
//! `docs/wire.md`, table "Transport error codes", which names these tests.
//!
//! Where a rule is a limit, the test goes up to it first.

use dunlin_lab::adversary::{Duel, Heard};
use dunlin_lab::profile::Profile;
use dunlin_session::CipherSuite;
use dunlin_transport::wire::frame::{Compressed, Frame};
use dunlin_transport::wire::{Cursor, Flags, Header, PacketType};
use dunlin_transport::{
    CloseReason, ConnectionId, EndpointConfig, Event, MessageId, PeerViolation, Side,
    StreamDirection, StreamId, limits,
};

const SEALED: Profile = Profile::Sealed(CipherSuite::Aes128Gcm);
const WINDOW: u64 = 65_536;

/// A victim with small windows and limits.
fn duel() -> Duel {
    let mut config = EndpointConfig::default();
    let transport = &mut config.transport;
    transport.receive_window = 4 * WINDOW;
    transport.initial_receive_window = 2 * WINDOW;
    transport.stream_receive_window = WINDOW;
    transport.initial_stream_receive_window = WINDOW;
    transport.max_message_size = 10_000;
    transport.max_datagram_size = 5_000;
    transport.max_streams_uni = 3;
    transport.accept_compression = true;
    Duel::new(SEALED, &config, 11).expect("an honest handshake")
}

/// The code of the RST among what was heard.
fn code(heard: &[Heard]) -> Option<u64> {
    let reset = heard.iter().find(|it| it.header.kind == PacketType::Rst)?;
    let (by, rest) = reset.data.split_first()?;
    assert_eq!(*by, 1, "by the transport");
    Cursor::new(rest).varint().ok()
}

/// The connection has ended for this, and the peer was told.
#[track_caller]
fn ended_for(duel: &mut Duel, violation: PeerViolation) {
    let heard = duel.drain();
    let closed = duel.events.iter().find_map(|event| match event {
        Event::Closed(reason) => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(closed, Some(CloseReason::Violation(violation)));
    assert_eq!(code(&heard), Some(violation.code()));
}

#[track_caller]
fn goes_on(duel: &Duel) {
    assert!(duel.connection().expect("a connection").is_established());
}

fn uni(index: u64) -> StreamId {
    StreamId::new(Side::Initiator, StreamDirection::Unidirectional, index)
}

const fn piece(id: StreamId, offset: u64, fin: bool, data: &[u8]) -> Frame<'_> {
    Frame::Stream {
        id,
        offset,
        fin,
        data,
    }
}

fn fragment(duel: &Duel, (id, index, total): (u32, u16, u16)) -> Header {
    let mut header = duel.header(PacketType::Fragment);
    header.flags = Flags::RELIABLE.with_if(index + 1 == total, Flags::END);
    (
        header.fragment_id,
        header.fragment_index,
        header.fragment_total,
    ) = (id, index, total);
    header
}

fn block(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut block = Vec::new();
    for frame in frames {
        frame.emit(&mut block);
    }
    block
}

#[test]
fn an_index_out_of_range_is_malformed() {
    let length = block(&[Frame::MessageLength(30)]);
    for (index, total, end) in [
        (3, 3, false),
        (65_535, 3, false),
        (0, 1, true),
        (0, 0, false),
    ] {
        let mut duel = duel();
        let mut header = fragment(&duel, (0, 0, 3));
        (header.fragment_index, header.fragment_total) = (index, total);
        header.flags = Flags::RELIABLE.with_if(end, Flags::END);
        duel.send(header, &[1; 10], &length);
        let violation = dunlin_transport::wire::DecodeError::Fragment;
        ended_for(&mut duel, PeerViolation::Malformed(violation));
    }
}

#[test]
fn an_opened_packet_that_makes_no_sense_is_malformed() {
    type Write = fn(&Duel) -> (Header, Vec<u8>, Vec<u8>);
    let packets: [Write; 5] = [
        // A critical frame that nobody knows.
        |duel| (duel.header(PacketType::Ack), Vec::new(), vec![0x7f, 0]),
        // Bytes behind a value.
        |duel| {
            (
                duel.header(PacketType::Ack),
                Vec::new(),
                vec![0x02, 2, 1, 1],
            )
        },
        // A body where none belongs.
        |duel| (duel.header(PacketType::Ack), vec![1], Vec::new()),
        // A PING without a token.
        |duel| (duel.header(PacketType::Ping), vec![1; 7], Vec::new()),
        // A flag that the type does not carry.
        |duel| {
            let mut header = duel.header(PacketType::Ping);
            header.flags = Flags::RELIABLE;
            (header, vec![0; 8], Vec::new())
        },
    ];
    for write in packets {
        let mut duel = duel();
        let (header, data, frames) = write(&duel);
        duel.send(header, &data, &frames);
        let heard = duel.drain();
        assert_eq!(code(&heard), Some(0x01));
    }
}

#[test]
fn an_acknowledgement_of_the_future_is_named() {
    let mut duel = duel();
    duel.drain();
    let next = duel.largest + 1;
    duel.acknowledge(&[duel.largest..=duel.largest], None);
    goes_on(&duel);
    duel.acknowledge(&[next + 50..=next + 50], None);
    ended_for(&mut duel, PeerViolation::AckOfUnsentPacket);
}

#[test]
fn one_byte_beyond_a_streams_credit_is_named() {
    let mut duel = duel();
    duel.send_frames(&[piece(uni(0), WINDOW - 1, false, b"x")]);
    goes_on(&duel);
    duel.send_frames(&[piece(uni(0), WINDOW, false, b"x")]);
    ended_for(&mut duel, PeerViolation::FlowControl);
}

#[test]
fn one_byte_beyond_the_connections_credit_is_named() {
    let mut duel = duel();
    for index in 0..2 {
        duel.send_frames(&[piece(uni(index), WINDOW - 1, false, b"x")]);
    }
    goes_on(&duel);
    duel.send_frames(&[piece(uni(2), 0, false, b"x")]);
    ended_for(&mut duel, PeerViolation::FlowControl);
}

#[test]
fn one_stream_beyond_the_grant_is_named() {
    let mut duel = duel();
    duel.send_frames(&[piece(uni(2), 0, false, b"x")]);
    goes_on(&duel);
    duel.send_frames(&[piece(uni(3), 0, false, b"x")]);
    ended_for(&mut duel, PeerViolation::StreamLimit);
}

#[test]
fn a_word_on_a_stream_that_cannot_carry_it_is_named() {
    let theirs = StreamId::new(Side::Responder, StreamDirection::Unidirectional, 0);
    let unopened = StreamId::new(Side::Responder, StreamDirection::Bidirectional, 0);
    for frame in [
        piece(theirs, 0, false, b"x"),
        piece(unopened, 0, false, b"x"),
        Frame::ResetStream {
            id: theirs,
            code: 1,
            final_size: 0,
        },
        Frame::StopSending {
            id: uni(0),
            code: 1,
        },
        Frame::MaxStreamData {
            id: uni(0),
            limit: 1,
        },
    ] {
        let mut duel = duel();
        duel.send_frames(&[frame]);
        ended_for(&mut duel, PeerViolation::StreamState);
    }
}

#[test]
fn a_final_size_that_changes_is_named() {
    let reset = |final_size| Frame::ResetStream {
        id: uni(0),
        code: 1,
        final_size,
    };
    for then in [
        piece(uni(0), 10, false, b"x"),
        piece(uni(0), 0, true, b"x"),
        reset(9),
        reset(11),
    ] {
        let mut duel = duel();
        duel.send_frames(&[piece(uni(0), 5, true, b"fives")]);
        duel.send_frames(&[piece(uni(0), 5, true, b"fives")]);
        goes_on(&duel);
        duel.send_frames(&[then]);
        ended_for(&mut duel, PeerViolation::FinalSize);
    }
}

#[test]
fn other_bytes_in_the_same_place_of_a_stream_are_named() {
    for (offset, data) in [(100, b"abc"), (99, b"xab"), (102, b"cxx")] {
        let mut duel = duel();
        duel.send_frames(&[piece(uni(0), 100, false, b"abc")]);
        // The same bytes are welcome, cut otherwise too.
        duel.send_frames(&[piece(uni(0), offset, false, data)]);
        goes_on(&duel);
        duel.send_frames(&[piece(uni(0), 101, false, b"X")]);
        ended_for(&mut duel, PeerViolation::ContradictingData);
    }
}

#[test]
fn other_bytes_that_were_never_read_are_named_though_they_could_be() {
    let mut duel = duel();
    duel.send_frames(&[piece(uni(0), 0, false, &[1; 1_000])]);
    duel.send_frames(&[piece(uni(0), 999, false, &[2])]);
    ended_for(&mut duel, PeerViolation::ContradictingData);
}

#[test]
fn other_bytes_in_a_fragment_are_named() {
    let length = block(&[Frame::MessageLength(30)]);
    let mut duel = duel();
    let header = fragment(&duel, (0, 1, 3));
    duel.send(header, &[1; 10], &length);
    duel.send(header, &[1; 10], &length);
    goes_on(&duel);
    duel.send(header, &[2; 10], &length);
    ended_for(&mut duel, PeerViolation::FragmentMismatch);
}

#[test]
fn a_total_or_length_that_changes_is_named() {
    for (at, length, size) in [((0, 1, 2), 30, 15), ((0, 1, 3), 29, 10), ((0, 1, 3), 30, 9)] {
        let mut duel = duel();
        let header = fragment(&duel, (0, 0, 3));
        duel.send(header, &[1; 10], &block(&[Frame::MessageLength(30)]));
        goes_on(&duel);
        let header = fragment(&duel, at);
        duel.send(
            header,
            &vec![1; size],
            &block(&[Frame::MessageLength(length)]),
        );
        ended_for(&mut duel, PeerViolation::FragmentMismatch);
    }
}

#[test]
fn one_byte_beyond_the_longest_message_is_named() {
    for (limit, flags) in [(10_000u64, Flags::RELIABLE), (5_000, Flags(0))] {
        for (length, is_named) in [(limit, false), (limit + 1, true)] {
            let mut duel = duel();
            let mut header = fragment(&duel, (0, 0, 10));
            header.flags = flags;
            let size = usize::try_from(length.div_ceil(10)).expect("small");
            duel.send(
                header,
                &vec![1; size],
                &block(&[Frame::MessageLength(length)]),
            );
            if is_named {
                ended_for(&mut duel, PeerViolation::MessageTooLarge);
            } else {
                goes_on(&duel);
            }
        }
    }
}

#[test]
fn impossible_parameters_of_a_proven_peer_are_named() {
    let config = EndpointConfig::default();
    let mut duel = Duel::with_params(SEALED, &config, 3, |params| {
        params.max_udp_payload = limits::UDP_PAYLOAD_MIN as u64 - 1;
    })
    .expect("the session's part is honest");
    assert!(duel.events.is_empty(), "the application never hears of it");
    // What was said at once was drained with the handshake; it is said again.
    let header = duel.header(PacketType::Ping);
    duel.send(header, &[0; 8], &[]);
    let heard = duel.drain();
    assert_eq!(
        code(&heard),
        Some(PeerViolation::TransportParameters.code())
    );
}

#[test]
fn noise_in_the_session_channel_is_named() {
    let window = limits::SESSION_WINDOW;
    for (offset, data) in [
        (window, &b"x"[..]),
        (0, &[0xff, 0xff]),
        (0, &[0, 3, 9, 9, 9]),
    ] {
        let mut duel = duel();
        duel.send_frames(&[Frame::Session {
            offset: window - 1,
            data: b"x",
        }]);
        goes_on(&duel);
        duel.send_frames(&[Frame::Session { offset, data }]);
        ended_for(&mut duel, PeerViolation::SessionChannel);
    }
}

#[test]
fn two_messages_in_one_place_are_named() {
    let ordered = |id, order| Frame::OrderedMessage {
        id: MessageId(id),
        order,
        data: b"x",
    };
    for order in [0, 5] {
        let mut duel = duel();
        duel.send_frames(&[ordered(0, order), ordered(0, order)]);
        goes_on(&duel);
        duel.send_frames(&[ordered(1, order)]);
        ended_for(&mut duel, PeerViolation::MessageOrder);
    }
}

#[test]
fn connection_ids_against_the_rules_are_named() {
    let issue = |sequence, id| Frame::NewConnectionId {
        sequence,
        id: ConnectionId(id),
    };
    let retire = |sequence| Frame::RetireConnectionId { sequence };
    let most = u32::try_from(limits::CONNECTION_IDS_MAX).expect("small");
    for wrong in [
        issue(1, 0),
        issue(1, 999),
        issue(9, 101),
        issue(u64::from(most), 100 + most),
        retire(0),
        retire(u64::from(most)),
    ] {
        let mut duel = duel();
        let allowed: Vec<_> = (1..most)
            .map(|sequence| issue(u64::from(sequence), 100 + sequence))
            .collect();
        duel.send_frames(&allowed);
        goes_on(&duel);
        duel.send_frames(&[wrong]);
        ended_for(&mut duel, PeerViolation::ConnectionId);
    }
}

/// The victim opens a stream, so that it has something to limit.
fn opens_a_stream(duel: &mut Duel) -> StreamId {
    let connection = duel.connection_mut().expect("a connection");
    let stream = connection.open_stream(StreamDirection::Unidirectional);
    stream.expect("streams are granted")
}

#[test]
fn credit_that_is_taken_back_is_named() {
    let limits_of = |id: StreamId, value: u64| {
        [
            Frame::MaxData((64 << 20) + value),
            Frame::MaxStreamData {
                id,
                limit: (64 << 20) + value,
            },
            Frame::MaxStreams {
                direction: StreamDirection::Unidirectional,
                count: 5_000 + value,
            },
        ]
    };
    for which in 0..3 {
        let mut duel = duel();
        let id = opens_a_stream(&mut duel);
        let header = duel.header(PacketType::Ack);
        let old = duel.next_packet(header, &[], &block(&limits_of(id, 5)));
        duel.send_frames(&limits_of(id, 10));
        duel.send_frames(&limits_of(id, 10));
        duel.deliver(dunlin_lab::adversary::own_address(), &old);
        goes_on(&duel);
        duel.send_frames(&[limits_of(id, 9)[which]]);
        ended_for(&mut duel, PeerViolation::LimitShrank);
    }
}

#[test]
fn less_credit_than_the_handshake_granted_is_named() {
    let mut duel = duel();
    duel.send_frames(&[Frame::MaxData(1)]);
    ended_for(&mut duel, PeerViolation::LimitShrank);
}

const fn compressed(length: u64, data: &[u8]) -> Frame<'_> {
    Frame::Compressed {
        kind: Compressed::Reliable,
        id: MessageId(0),
        length,
        data,
    }
}

/// An LZ4 block of `1 + 19 + 255 × n` equal bytes: a literal, and a match that goes back one.
fn bomb(n: usize) -> (u64, Vec<u8>) {
    let mut block = vec![0x1f, 7, 1, 0];
    block.extend(vec![255; n]);
    // The end: a last match of no more length, and five literals.
    block.push(0);
    block.extend([0x50, 7, 7, 7, 7, 7]);
    (1 + 19 + 255 * n as u64 + 5, block)
}

#[test]
fn a_compressed_message_arrives_as_it_was() {
    let (length, block) = bomb(20);
    let mut duel = duel();
    duel.send_frames(&[compressed(length, &block)]);
    let connection = duel.connection_mut().expect("a connection");
    let message = connection.receive_message().expect("a message");
    assert_eq!(
        message.data,
        vec![7; usize::try_from(length).expect("short")]
    );
    goes_on(&duel);
}

/// What flow control counts is all that is held, whatever it may become.
#[test]
fn compressed_messages_are_held_as_they_came() {
    let (length, block) = bomb(38);
    let mut duel = duel();
    for id in 0..100 {
        duel.send_frames(&[Frame::Compressed {
            kind: Compressed::Reliable,
            id: MessageId(id),
            length,
            data: &block,
        }]);
    }
    let unread = duel
        .connection()
        .expect("a connection")
        .stats()
        .bytes_unread;
    assert_eq!(unread, 100 * block.len() as u64);
}

#[test]
fn a_compressed_message_that_lies_of_its_length_is_named() {
    let (length, block) = bomb(20);
    // Found out before anything is allocated.
    let fresh = duel;
    for lie in [0, block.len() as u64, 255 * block.len() as u64 + 1] {
        let mut duel = fresh();
        duel.send_frames(&[compressed(lie, &block)]);
        ended_for(&mut duel, PeerViolation::Compression);
    }
    let mut duel = fresh();
    duel.send_frames(&[compressed(10_001, &vec![9; 9_000][..1_000])]);
    ended_for(&mut duel, PeerViolation::MessageTooLarge);
    // Found out when it is decompressed, into exactly so much room.
    for lie in [length - 1, length + 1, 1_000] {
        let mut duel = fresh();
        duel.send_frames(&[compressed(lie, &block)]);
        goes_on(&duel);
        let connection = duel.connection_mut().expect("a connection");
        assert_eq!(connection.receive_message(), None);
        ended_for(&mut duel, PeerViolation::Compression);
    }
}

#[test]
fn a_compressed_datagram_that_is_none_is_named() {
    let mut duel = duel();
    duel.send_frames(&[Frame::Compressed {
        kind: Compressed::Unreliable,
        id: MessageId(0),
        length: 100,
        data: &[0xff; 50],
    }]);
    goes_on(&duel);
    let connection = duel.connection_mut().expect("a connection");
    assert_eq!(connection.receive_datagram(), None);
    ended_for(&mut duel, PeerViolation::Compression);
}

#[test]
fn a_compressed_message_that_nobody_asked_for_is_named() {
    let (length, block) = bomb(20);
    let mut duel = Duel::new(SEALED, &EndpointConfig::default(), 11).expect("a handshake");
    duel.send_frames(&[compressed(length, &block)]);
    ended_for(&mut duel, PeerViolation::Compression);
}
