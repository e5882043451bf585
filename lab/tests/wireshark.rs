//! The dissector in `transport/wireshark` against captures of simulated connections and of packets
//! made by hand: tshark recognises everything, complains about nothing, and shows the very bytes that
//! were sent, of sealed packets too.
//!
//! `cargo test -p dunlin-lab --test wireshark -- --ignored` where tshark is installed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufWriter;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dunlin_lab::capture::{PcapTap, Vantage};
use dunlin_lab::link::Element;
use dunlin_lab::net::Net;
use dunlin_lab::rng::{Ppm, Rng};
use dunlin_lab::workload::{Agent, Ending, Fate, Plan, StreamPlan, fill, stream_key};
use dunlin_session::{
    CipherSuite, Identity, KeyLog, KeyLogEntry, KeyLogger, SessionAcceptor, SessionConfig,
    SessionInitiator, provider,
};
use dunlin_transport::pcapng::{Captured, PcapNg};
use dunlin_transport::plain::{PlainAcceptor, PlainInitiator};
use dunlin_transport::protect::{Acceptor, Flow, Initiator};
use dunlin_transport::wire::frame::{Frame, write_ack, write_padding};
use dunlin_transport::wire::params::TransportParams;
use dunlin_transport::wire::{Flags, HEADER_LEN, Header, PacketType, ack, reset};
use dunlin_transport::{
    ConnectionId, Endpoint, EndpointConfig, Instant, MessageId, Side, StreamDirection, StreamId,
    TransportConfig,
};

#[path = "support/tshark.rs"]
mod support;

use support::{Keys, bytes_of, list, tshark};

const MS: Duration = Duration::from_millis(1);

/// What tshark says about a frame of the capture.
#[derive(Clone, Debug, Default)]
struct Seen {
    protocol: String,
    source: String,
    types: Vec<u8>,
    streams: Vec<Piece>,
    messages: Vec<String>,
    complaints: String,
    tags: Vec<String>,
    generations: Vec<u64>,
    frames: Vec<u8>,
}

/// A piece of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Piece {
    id: u64,
    offset: u64,
    data: Vec<u8>,
}

fn numbers(field: &str) -> Vec<u64> {
    let parsed = list(field).map(str::parse);
    parsed.map(|number| number.expect("a number")).collect()
}

/// Runs tshark over `capture` with the dissector; a line for each frame.
fn dissect(capture: &Path, key_log: Option<&Path>) -> Vec<Seen> {
    let fields = [
        "_ws.col.Protocol",
        "ip.src",
        "dunlin.type",
        "dunlin.stream.id",
        "dunlin.stream.offset",
        "dunlin.stream.length",
        "dunlin.stream.data",
        "dunlin.message.data",
        "_ws.expert.message",
        "dunlin.tag.ok",
        "dunlin.generation",
        "dunlin.frame.type",
    ];
    let keys = key_log.map_or(Keys::None, Keys::Preference);
    let rows = tshark(capture, keys, &fields);
    rows.iter().map(|columns| parse_row(columns)).collect()
}

fn parse_row(columns: &[String]) -> Seen {
    let (ids, offsets, lengths) = (
        numbers(&columns[3]),
        numbers(&columns[4]),
        numbers(&columns[5]),
    );
    let mut data = list(&columns[6]);
    assert_eq!(ids.len(), offsets.len(), "{columns:?}");
    let pieces = ids.into_iter().zip(offsets).zip(lengths);
    let streams = pieces
        .map(|((id, offset), length)| Piece {
            id,
            offset,
            data: match length {
                0 => Vec::new(),
                _ => bytes_of(data.next().expect("a piece has its data")),
            },
        })
        .collect();
    let small = |field: &str| -> Vec<u8> {
        let all = numbers(field).into_iter();
        all.map(|number| u8::try_from(number).expect("small"))
            .collect()
    };
    let words = |field: &str| -> Vec<String> { list(field).map(str::to_owned).collect() };
    Seen {
        protocol: columns[0].clone(),
        source: columns[1].clone(),
        types: small(&columns[2]),
        streams,
        messages: words(&columns[7]),
        complaints: columns[8].clone(),
        tags: words(&columns[9]),
        generations: numbers(&columns[10]),
        frames: small(&columns[11]),
    }
}

fn assert_clean(seen: &[Seen]) {
    assert!(!seen.is_empty());
    for (number, frame) in (1..).zip(seen) {
        assert_eq!(frame.protocol, "DUNLIN", "frame {number}");
        assert_eq!(frame.complaints, "", "frame {number}: {frame:?}");
    }
}

fn types(seen: &[Seen]) -> BTreeSet<u8> {
    seen.iter().flat_map(|frame| frame.types.clone()).collect()
}

// Simulated connections ----------------------------------------------------------------------------

#[derive(Default)]
struct Lines(Mutex<String>);

impl KeyLog for Lines {
    fn log(&self, entry: &KeyLogEntry<'_>) {
        let mut lines = self.0.lock().expect("nobody panicked");
        *lines += &format!("{entry}\n");
    }
}

struct Run {
    seed: u64,
    cipher: Option<CipherSuite>,
    ending: Ending,
}

struct Captures {
    _folder: tempfile::TempDir,
    capture: PathBuf,
    key_log: PathBuf,
}

fn session(cipher: CipherSuite, log: &Arc<Lines>) -> SessionConfig {
    SessionConfig {
        ciphers: vec![cipher],
        key_update_packets: 60,
        key_log: Some(KeyLogger::new(Arc::clone(log) as Arc<dyn KeyLog>)),
        ..SessionConfig::default()
    }
}

fn identity(node: u8) -> Arc<Identity> {
    Arc::new(Identity::from_seed([node + 1; 32]))
}

const BYTES: u64 = 300_000;
const ANSWER: u64 = 5_000;

fn plans(run: &Run) -> [Plan; 2] {
    let stream = StreamPlan {
        direction: StreamDirection::Bidirectional,
        bytes: BYTES,
        answer: ANSWER,
        fate: Fate::Finish,
    };
    let shorter = |bytes, fate| StreamPlan {
        bytes,
        fate,
        ..stream
    };
    let client = Plan {
        streams: vec![
            stream,
            shorter(700, Fate::Finish),
            shorter(30_000, Fate::Reset(9_000)),
            shorter(60_000, Fate::Stop(3_000)),
        ],
        messages: vec![10, 50, 30_000],
        datagrams: vec![20, 4_000],
        ending: Some(run.ending),
        ..Plan::default()
    };
    let server = Plan {
        messages: vec![1_000, 1],
        ..Plan::default()
    };
    [client, server]
}

/// Simulates two nodes over a bad path and captures what they send.
fn simulate(run: &Run) -> Captures {
    let folder = tempfile::tempdir().expect("a folder");
    let capture = folder.path().join("simulated.pcapng");
    let key_log = folder.path().join("keys");
    let log = Arc::new(Lines::default());
    let mut rng = Rng::new(run.seed);
    let mut net = Net::new(rng.split(7));
    let file = BufWriter::new(File::create(&capture).expect("the folder is ours"));
    let tap = PcapTap::new(file, Vantage::Sent).expect("the disk has room");
    let problem = tap.problem();
    net.set_tap(Box::new(tap));
    let mut config = EndpointConfig::default();
    config.transport.receive_window = 100_000;
    config.transport.keep_alive = Some(200 * MS);
    let path = [
        Element::delay(10 * MS),
        Element::Loss(Ppm::percent(2)),
        Element::Reorder {
            chance: Ppm::percent(2),
            extra: 6 * MS,
        },
    ];
    let plans = plans(run);
    for (node, side) in [Side::Initiator, Side::Responder].into_iter().enumerate() {
        let mut rng = rng.split(node as u64);
        let acceptor: Box<dyn Acceptor> = match run.cipher {
            None => Box::new(PlainAcceptor::new()),
            Some(cipher) => Box::new(SessionAcceptor::new(
                identity(1),
                session(cipher, &log),
                provider::pure(),
                &mut rng.split(2),
            )),
        };
        let endpoint = Endpoint::new(config.clone(), Box::new(rng.split(1)), Some(acceptor));
        let (own, other) = (plans[node].clone(), plans[1 - node].clone());
        net.add(endpoint, Agent::new(node, side, own, other));
        net.link(node, 1 - node, &path);
    }
    let initiator: Box<dyn Initiator> = match run.cipher {
        None => Box::new(PlainInitiator::new()),
        Some(cipher) => Box::new(SessionInitiator::new(
            identity(0),
            session(cipher, &log),
            provider::pure(),
            Some(identity(1).node_id()),
            &mut rng,
        )),
    };
    if run.cipher.is_some() {
        net.rebind_at(Instant::ZERO + 150 * MS, 0, Net::<Agent>::address_of(5));
    }
    net.with(0, |now, endpoint, agent| {
        let handle = endpoint.connect(now, Net::<Agent>::address_of(1), initiator);
        agent.set_connection(handle.expect("the endpoint is new"));
    })
    .expect("nothing is wrong yet");
    let end = Instant::ZERO + Duration::from_secs(40);
    while net.next_time().is_some_and(|next| next < end) {
        net.step().expect("both ends are honest");
    }
    drop(net);
    assert!(problem.take().is_none());
    std::fs::write(&key_log, &*log.0.lock().expect("nobody panicked")).expect("room");
    Captures {
        _folder: folder,
        capture,
        key_log,
    }
}

/// Every byte of every piece is the one that its writer put there; how much of each stream was
/// seen, by writer.
fn check_streams(seen: &[Seen]) -> BTreeMap<(bool, u64), BTreeSet<u64>> {
    let server = Net::<Agent>::address_of(1).ip().to_string();
    let mut covered: BTreeMap<(bool, u64), BTreeSet<u64>> = BTreeMap::new();
    for frame in seen {
        let writer = if frame.source == server {
            Side::Responder
        } else {
            Side::Initiator
        };
        for piece in &frame.streams {
            let mut expected = vec![0; piece.data.len()];
            let key = stream_key(writer, StreamId(piece.id));
            fill(key, piece.offset, &mut expected);
            assert_eq!(
                piece.data, expected,
                "stream {} at {}",
                piece.id, piece.offset
            );
            let offsets = covered
                .entry((writer == Side::Initiator, piece.id))
                .or_default();
            offsets.extend(piece.offset..piece.offset + piece.data.len() as u64);
        }
    }
    covered
}

const ALL_SENT: [u8; 10] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

#[test]
#[ignore = "needs tshark; .ci/run installs it"]
fn simulated_connections_are_shown_to_the_last_byte() {
    let ciphers = [
        None,
        Some(CipherSuite::Aes128Gcm),
        Some(CipherSuite::ChaCha20Poly1305),
        Some(CipherSuite::Aes256Gcm),
    ];
    let mut seen_types = BTreeSet::new();
    for (seed, cipher) in (1..).zip(ciphers) {
        let ending = Ending::WhenDone;
        let run = Run {
            seed,
            cipher,
            ending,
        };
        let files = simulate(&run);
        let seen = dissect(&files.capture, Some(&files.key_log));
        assert_clean(&seen);
        let covered = check_streams(&seen);
        let whole = |initiator, bytes| {
            let offsets = covered.get(&(initiator, 0));
            assert_eq!(offsets.map(BTreeSet::len), Some(bytes), "{cipher:?}");
        };
        whole(true, usize::try_from(BYTES).expect("small"));
        whole(false, usize::try_from(ANSWER).expect("small"));
        let messages: usize = seen.iter().map(|frame| frame.messages.len()).sum();
        assert!(messages > 20, "messages and their fragments");
        seen_types.extend(types(&seen));
        if cipher.is_some() {
            let tags: Vec<_> = seen.iter().flat_map(|frame| &frame.tags).collect();
            assert!(tags.len() > 200, "{} sealed packets", tags.len());
            assert!(tags.iter().all(|tag| *tag == "1" || *tag == "True"));
            let last = seen.iter().flat_map(|frame| &frame.generations).max();
            assert!(last >= Some(&2), "keys were updated: {last:?}");
            let addresses: BTreeSet<_> = seen.iter().map(|frame| &frame.source).collect();
            assert_eq!(addresses.len(), 3, "the client moved");
        }
    }
    let abort = Run {
        seed: 9,
        cipher: Some(CipherSuite::Aes128Gcm),
        ending: Ending::AbortAt(Instant::ZERO + 100 * MS),
    };
    let files = simulate(&abort);
    let seen = dissect(&files.capture, Some(&files.key_log));
    assert_clean(&seen);
    check_streams(&seen);
    seen_types.extend(types(&seen));
    assert_eq!(seen_types, BTreeSet::from(ALL_SENT));
}

#[test]
#[ignore = "needs tshark; .ci/run installs it"]
fn without_the_key_log_sealed_packets_stay_sealed() {
    let run = Run {
        // One without a masked header whose checksum of 16 bits is right by chance.
        seed: 4,
        cipher: Some(CipherSuite::Aes128Gcm),
        ending: Ending::WhenDone,
    };
    let files = simulate(&run);
    let seen = dissect(&files.capture, None);
    assert!(seen.iter().all(|frame| frame.protocol == "DUNLIN"));
    assert!(seen.iter().all(|frame| frame.streams.is_empty()));
    assert!(types(&seen).is_subset(&BTreeSet::from([1, 2, 3])));
    let complaints: BTreeSet<_> = seen.iter().map(|frame| &*frame.complaints).collect();
    assert_eq!(
        complaints,
        BTreeSet::from(["", "Sealed; no key log has its keys"])
    );
}

// Packets made by hand -----------------------------------------------------------------------------

const CID: ConnectionId = ConnectionId(0xdead_beef);

/// A packet of the plain profile.
fn packet(kind: PacketType, flags: Flags, body: &[u8], frames: &[u8]) -> Vec<u8> {
    let mut header = Header::new(kind, CID);
    header.flags = flags.with_if(!frames.is_empty(), Flags::EXTENSION);
    header.sequence = 7;
    header.acknowledgment = 900;
    match kind {
        PacketType::Data if flags.contains(Flags::ORDERED) => {
            header.fragment_id = 4;
            header.set_stream_offset(0x1_0002);
        }
        PacketType::Data if flags.contains(Flags::END) => header.fragment_total = 1,
        PacketType::Fragment | PacketType::FragmentAck | PacketType::Nack => {
            header.fragment_id = 3;
            header.fragment_total = 3;
        }
        _ => {}
    }
    let extension = if frames.is_empty() {
        Vec::new()
    } else {
        let length = u16::try_from(frames.len()).expect("short").to_be_bytes();
        [frames, &length].concat()
    };
    finish(header, &[body, &extension].concat())
}

fn finish(mut header: Header, payload: &[u8]) -> Vec<u8> {
    header.payload_len = u32::try_from(payload.len() + 4).expect("short");
    let mut bytes = [0; HEADER_LEN];
    header.emit(&mut bytes, 0);
    let mut packet = [&bytes[..], payload].concat();
    let crc = crc32(&packet);
    packet.extend(crc.to_be_bytes());
    packet
}

/// CRC-32, slow and obvious.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

/// One frame of each type.
fn every_frame() -> Vec<u8> {
    let mut out = Vec::new();
    write_padding(&mut out, 5);
    let mut value = Vec::new();
    let counts = ack::EcnCounts {
        ect0: 3,
        ect1: 0,
        ce: 1,
    };
    ack::encode(
        &mut value,
        Duration::from_micros(1_234),
        &[899..=900, 890..=895, 880..=880],
        Some(counts),
    );
    write_ack(&mut out, &value);
    let (stream, message) = (StreamId(1 << 40), MessageId(9));
    for frame in [
        Frame::MaxData(1 << 33),
        Frame::MaxStreamData {
            id: stream,
            limit: 70_000,
        },
        Frame::MaxStreams {
            direction: StreamDirection::Bidirectional,
            count: 9,
        },
        Frame::MaxStreams {
            direction: StreamDirection::Unidirectional,
            count: 8,
        },
        Frame::Stream {
            id: stream,
            offset: 5,
            fin: false,
            data: b"shared",
        },
        Frame::Stream {
            id: stream,
            offset: 11,
            fin: true,
            data: b"",
        },
        Frame::Message {
            id: message,
            data: b"message",
        },
        Frame::Datagram {
            id: message,
            data: b"datagram",
        },
        Frame::ResetStream {
            id: stream,
            code: 1 << 61,
            final_size: 0,
        },
        Frame::StopSending {
            id: stream,
            code: 4,
        },
        Frame::MessageLength(3_000),
        Frame::ResetToken {
            id: CID,
            token: [9; 16],
        },
    ] {
        frame.emit(&mut out);
    }
    // One that may be skipped.
    out.extend([0x80, 2, 1, 2]);
    out
}

fn write(folder: &Path, datagrams: &[Vec<u8>]) -> PathBuf {
    let path = folder.join("made.pcapng");
    let mut capture = PcapNg::new(File::create(&path).expect("ours")).expect("room");
    let interface = capture.add_interface("hand").expect("room");
    for (at_nanos, payload) in (0..).zip(datagrams) {
        let datagram = Captured {
            at_nanos,
            flow: Flow::Outgoing,
            from: SocketAddr::from(([192, 0, 2, 1], 4_000)),
            to: SocketAddr::from(([192, 0, 2, 2], 4_600)),
            ecn: None,
            payload,
        };
        capture.write(interface, &datagram).expect("room");
    }
    path
}

fn datagrams() -> Vec<Vec<u8>> {
    let cid = 0x0102_0304_u32.to_be_bytes();
    let params = TransportParams::of(&TransportConfig::default(), CID).encode();
    let length = u8::try_from(params.len()).expect("short");
    let plain_syn = [&cid[..], &[length], &params, &[0; 60]].concat();
    let (ack, none) = (Flags::ACK, Flags(0));
    let stream = ack.with(Flags::RELIABLE).with(Flags::ORDERED);
    let reliable = ack.with(Flags::RELIABLE).with(Flags::END);
    let frames = every_frame();
    let syn_of_h1 = [&cid[..], &[1; 1_356]].concat();
    let fin = [&[0x40, 0x4d][..], "bye é".as_bytes()].concat();
    vec![
        packet(PacketType::Syn, none, &plain_syn, &[]),
        packet(PacketType::Syn, none, &syn_of_h1, &[]),
        packet(PacketType::SynAck, none, &plain_syn, &[]),
        packet(PacketType::SynAck, none, &syn_of_h1, &[]),
        packet(PacketType::SynAck, Flags::RETRY, &[5; 48], &[]),
        packet(PacketType::Ack, none, &[6; 346], &[]),
        packet(PacketType::Ack, ack, &[], &frames),
        packet(PacketType::Fin, ack, &fin, &[]),
        packet(PacketType::FinAck, ack, &[], &[]),
        packet(PacketType::Rst, ack, &[1, 3, b'x'], &[]),
        packet(PacketType::Data, stream, b"bytes", &[]),
        packet(PacketType::Data, stream.with(Flags::END), b"", &frames),
        packet(PacketType::Data, reliable, b"whole", &[]),
        packet(PacketType::Data, ack.with(Flags::END), b"lossy", &[]),
        packet(PacketType::Ping, ack, &[1; 20], &[]),
        packet(PacketType::Pong, ack, &[1; 8], &[]),
        packet(
            PacketType::Fragment,
            ack.with(Flags::RELIABLE),
            b"part",
            &[],
        ),
        packet(PacketType::FragmentAck, ack, b"", &[]),
        packet(PacketType::Nack, ack, b"", &[]),
        // Two packets in one datagram, a version reply, and a stateless reset.
        [
            packet(PacketType::Ack, none, &[6; 346], &[]),
            packet(PacketType::Data, stream, b"bytes", &[]),
        ]
        .concat(),
        [&[0x0d, 0, 2, 0][..], &[0; 28], &[1]].concat(),
        reset::emit(CID, &[9; 16]).to_vec(),
    ]
}

#[test]
#[ignore = "needs tshark; .ci/run installs it"]
fn every_type_flag_and_frame_is_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let datagrams = datagrams();
    let capture = write(folder.path(), &datagrams);
    let seen = dissect(&capture, None);
    assert_eq!(seen.len(), datagrams.len());
    assert_clean(&seen);
    assert_eq!(types(&seen), (1..=12).collect());
    let frames: BTreeSet<_> = seen.iter().flat_map(|frame| frame.frames.clone()).collect();
    let expected: BTreeSet<_> = (0..=12).chain([0x15, 0x80]).collect();
    assert_eq!(frames, expected);
    let piece = Piece {
        id: 4,
        offset: 0x1_0002,
        data: b"bytes".to_vec(),
    };
    assert_eq!(seen[10].streams, [piece]);
    assert_eq!(seen[19].types, [3, 7], "two packets");
}

#[test]
#[ignore = "needs tshark; .ci/run installs it"]
fn what_is_wrong_with_a_packet_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let ack = Flags::ACK;
    let mut wrong_crc = packet(PacketType::Ping, ack, &[1; 8], &[]);
    *wrong_crc.last_mut().expect("a trailer") ^= 1;
    let mut cut = packet(PacketType::Ping, ack, &[1; 8], &[]);
    cut.truncate(40);
    let cases = [
        (wrong_crc, "Wrong checksum"),
        (cut, "W-HDR-8"),
        (
            packet(PacketType::Ping, ack, &[1; 4], &[]),
            "end inside a field",
        ),
        (packet(PacketType::Ack, ack, b"body", &[]), "W-TYP-1"),
        (
            packet(PacketType::Fin, ack.with(Flags::END), &[0], &[]),
            "W-HDR-5",
        ),
        (packet(PacketType::Ack, ack, &[], &[0x7f, 0]), "W-EXT-3"),
        (packet(PacketType::Ack, ack, &[], &[2, 2, 1, 1]), "W-EXT-4"),
        (packet(PacketType::Ack, ack, &[], &[2, 9, 1]), "W-EXT-2"),
        (
            packet(PacketType::Ack, ack.with(Flags::EXTENSION), &[9, 9], &[]),
            "W-EXT-1",
        ),
    ];
    let datagrams: Vec<_> = cases.iter().map(|(datagram, _)| datagram.clone()).collect();
    let capture = write(folder.path(), &datagrams);
    let seen = dissect(&capture, None);
    assert_eq!(seen.len(), cases.len());
    for (frame, (_, complaint)) in seen.iter().zip(&cases) {
        assert!(
            frame.complaints.contains(complaint),
            "{complaint}: {frame:?}"
        );
    }
}
