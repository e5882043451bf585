//! The test vectors of `docs/wire.md` are what the code writes and reads.

use std::fmt::Write as _;
use std::time::Duration;

use dunlin_transport::wire::ack::{self, EcnCounts};
use dunlin_transport::wire::frame::{self, Compressed, Frame, Frames};
use dunlin_transport::wire::params::TransportParams;
use dunlin_transport::wire::{Cursor, Flags, HEADER_LEN, Header, PacketType, varint, version};
use dunlin_transport::{ConnectionId, MessageId, StreamDirection, StreamId, TransportConfig};

const SPECIFICATION: &str = include_str!("../../docs/wire.md");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").expect("writing to a string");
        out
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |index: usize| u8::from_str_radix(&text[index..index + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(digit).collect()
}

/// The vector lines `name = hex` of the specification.
fn published(name: &str) -> Vec<u8> {
    let prefix = format!("{name} = ");
    let line = SPECIFICATION
        .lines()
        .find_map(|line| line.strip_prefix(&prefix))
        .unwrap_or_else(|| panic!("docs/wire.md has no vector {name:?}"));
    unhex(line.trim())
}

fn check(name: &str, bytes: &[u8]) {
    let expected = published(name);
    assert_eq!(hex(bytes), hex(&expected), "vector {name:?}");
}

fn header(kind: PacketType, flags: Flags) -> Header {
    Header {
        flags,
        sequence: 0x0102_0304,
        acknowledgment: 0x0506_0708,
        window: 0x090a,
        payload_len: 4,
        ..Header::new(kind, ConnectionId(0xdead_beef))
    }
}

#[test]
fn headers() {
    let mut stream = header(
        PacketType::Data,
        Flags::ACK.with(Flags::RELIABLE).with(Flags::ORDERED),
    );
    stream.fragment_id = 4;
    stream.set_stream_offset(0x1_2345_6789);
    let mut fragment = header(PacketType::Fragment, Flags::RELIABLE.with(Flags::END));
    (
        fragment.fragment_id,
        fragment.fragment_index,
        fragment.fragment_total,
    ) = (7, 2, 3);
    for (name, header, salt) in [
        ("header/ping", header(PacketType::Ping, Flags::ACK), 0),
        (
            "header/ping-salted",
            header(PacketType::Ping, Flags::ACK),
            0x1122_3344,
        ),
        ("header/stream", stream, 0),
        ("header/last-fragment", fragment, 0),
    ] {
        let mut bytes = [0; HEADER_LEN];
        header.emit(&mut bytes, salt);
        check(name, &bytes);
        assert_eq!(Header::parse(&published(name), salt), Ok(header));
    }
    assert_eq!(stream.stream_offset(), 0x2345_6789);
}

#[test]
fn frames() {
    let id = StreamId(5);
    for (name, frame) in [
        ("frame/max-data", Frame::MaxData(1 << 20)),
        (
            "frame/max-stream-data",
            Frame::MaxStreamData { id, limit: 70_000 },
        ),
        (
            "frame/max-streams-uni",
            Frame::MaxStreams {
                direction: StreamDirection::Unidirectional,
                count: 9,
            },
        ),
        (
            "frame/stream-fin",
            Frame::Stream {
                id,
                offset: 300,
                fin: true,
                data: b"end",
            },
        ),
        (
            "frame/message",
            Frame::Message {
                id: MessageId(64),
                data: b"hello",
            },
        ),
        (
            "frame/datagram",
            Frame::Datagram {
                id: MessageId(1),
                data: b"",
            },
        ),
        (
            "frame/reset-stream",
            Frame::ResetStream {
                id,
                code: 7,
                final_size: 303,
            },
        ),
        ("frame/stop-sending", Frame::StopSending { id, code: 8 }),
        ("frame/message-length", Frame::MessageLength(3_000)),
    ] {
        check_frame(name, &frame);
    }
}

#[test]
fn frames_of_compressed_messages() {
    for (name, frame) in [
        (
            "frame/uncompressed-length",
            Frame::UncompressedLength(3_000),
        ),
        (
            "frame/compressed-message",
            Frame::Compressed {
                kind: Compressed::Reliable,
                id: MessageId(64),
                length: 100,
                data: &[1, 2, 3, 0xff, 4],
            },
        ),
        (
            "frame/compressed-ordered",
            Frame::Compressed {
                kind: Compressed::Ordered(2),
                id: MessageId(1),
                length: 100,
                data: &[1, 2, 3, 0xff, 4],
            },
        ),
    ] {
        check_frame(name, &frame);
    }
}

fn check_frame(name: &str, frame: &Frame<'_>) {
    let mut bytes = Vec::new();
    frame.emit(&mut bytes);
    check(name, &bytes);
    assert_eq!(Frames::new(&published(name)).next(), Some(Ok(*frame)));
}

#[test]
fn acknowledgement() {
    let mut value = Vec::new();
    let ecn = EcnCounts {
        ect0: 10,
        ect1: 0,
        ce: 2,
    };
    let ranges = [990..=1_000, 980..=985, 5..=5];
    ack::encode(&mut value, Duration::from_micros(1_234), &ranges, Some(ecn));
    let mut bytes = Vec::new();
    frame::write_ack(&mut bytes, &value);
    check("frame/ack", &bytes);
    let decoded = published("frame/ack");
    let Some(Ok(Frame::Ack(frame))) = Frames::new(&decoded).next() else {
        panic!("not an acknowledgement");
    };
    assert_eq!(
        frame.ranges(1_000).collect::<Result<Vec<_>, _>>(),
        Ok(ranges.to_vec())
    );
    assert_eq!(
        (frame.ecn, frame.delay),
        (Some(ecn), Duration::from_micros(1_234))
    );
}

#[test]
fn parameters_version_reply_and_integers() {
    let params = TransportParams::of(&TransportConfig::default(), ConnectionId(0x0a0b_0c0d));
    check("parameters/default", &params.encode());
    let mut foreign = [0; 40];
    foreign[..8].copy_from_slice(&[0x0d, 0x7f, 1, 0, 0xaa, 0xbb, 0xcc, 0xdd]);
    check("version-reply", &version::reply(&foreign).expect("a reply"));
    for (name, value) in [
        ("varint/37", 37),
        ("varint/15293", 15_293),
        ("varint/2^30", 1 << 30),
    ] {
        let mut bytes = Vec::new();
        varint::write(&mut bytes, value);
        check(name, &bytes);
        assert_eq!(Cursor::new(&published(name)).varint(), Ok(value));
    }
}
