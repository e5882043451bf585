//! libp2p in Rust and Go.

use std::time::Duration;

use dunlin_overlay::limits;
use dunlin_transport::wire::frame::Frame;
use dunlin_transport::{EndpointConfig, Event, PeerViolation, Side, StreamDirection, StreamId};

use dunlin_lab::adversary::Duel;

use crate::support::{
    Bench, Broadcast, SEALED, START_MILLIS, address, cbor, duel, frame, hello, identity, is_open,
    record, violation,
};

/// Nothing bounded connections, streams and memory. Here each has a limit: here one stream more
/// than granted, and one connection more than configured.
#[test]
fn rustsec_2022_0084() {
    let mut duel = duel();
    let granted = EndpointConfig::default().transport.max_streams_bidi;
    for (index, expected) in [
        (granted - 1, None),
        (granted, Some(PeerViolation::StreamLimit)),
    ] {
        let id = StreamId::new(Side::Initiator, StreamDirection::Bidirectional, index);
        duel.send_frames(&[Frame::Stream {
            id,
            offset: 0,
            fin: false,
            data: b"x",
        }]);
        assert_eq!(violation(&duel), expected);
    }
    let mut config = EndpointConfig::default();
    config.max_connections = 0;
    let refused = Duel::new(SEALED, &config, 2).err();
    assert_eq!(refused, Some("the SYN was not answered"));
}

/// The key of a signed peer record was not compared with the peer that the record spoke for. Here a
/// record has no name beside its key: the node ID is computed from it.
#[test]
fn rustsec_2022_0009() {
    let mut bench = Bench::new();
    let (mallory, bob) = (identity(1), identity(2));
    let peer = bench.link(1);
    // A record of Bob, signed by Mallory, in Mallory's hello; and one that is Bob's own.
    for (claimed, signer) in [(&bob, &mallory), (&bob, &bob), (&mallory, &bob)] {
        let violations = bench.overlay.stats().violations;
        let false_record = record(claimed, signer, (1, START_MILLIS), address(2));
        bench.deliver(peer, &hello(Some(false_record)));
        assert_eq!(bench.overlay.stats().violations, violations + 1);
    }
    assert!(bench.overlay.peers().all(|known| known.id != bob.node_id()));
    assert_eq!(bench.overlay.stats().connected, 0);
}

/// Any signature of the right length was valid. Here signatures by another key, over other bytes, in
/// another context or of no key at all are not.
#[test]
fn rustsec_2019_0004() {
    let (origin, other) = (identity(1), identity(2));
    let good = Broadcast {
        origin: &origin,
        signer: &origin,
        millis: START_MILLIS,
        sequence: 1,
        hop_limit: 8,
        topic: "news",
        payload: b"hello",
    };
    let (body, signature) = good.signed();
    let (_, by_other) = Broadcast {
        signer: &other,
        ..good
    }
    .signed();
    let elsewhere = origin.sign(b"dunlin overlay v1 peer record", &body);
    let mut flipped = signature;
    flipped[40] ^= 1;
    for wrong in [by_other, elsewhere, flipped, [0; 64], [0xff; 64]] {
        let mut bench = Bench::new();
        let peer = bench.connect(1);
        bench.deliver(peer, &frame(1, &body, &wrong));
        assert_eq!(bench.delivered(), 0);
        assert_eq!(bench.overlay.stats().broadcasts_invalid, 1);
        // The forged copy did not take the genuine one's place.
        bench.deliver(peer, &frame(1, &body, &signature));
        assert_eq!(bench.delivered(), 1);
    }
}

/// A peer said how long to wait before coming back, and adding that to the time overflowed. Here the
/// durations that a transport peer can say (idle timeout, delay of acknowledgements) are clamped or
/// saturate: the longest of them, and a life of the connection with them.
#[test]
fn ghsa_gc42_3jg7_rxr2() {
    let longest = Duration::from_millis((1 << 62) - 1);
    let mut duel = Duel::with_params(SEALED, &EndpointConfig::default(), 3, |params| {
        params.idle_timeout = longest;
        params.max_ack_delay = Duration::from_millis(1 << 14);
    })
    .expect("large is allowed");
    duel.send_frames(&[Frame::MaxData(1 << 40)]);
    // An acknowledgement that says it waited for 146,000 years.
    let largest = duel.largest;
    let (mut value, mut block) = (Vec::new(), Vec::new());
    let delay = Duration::from_micros((1 << 62) - 1);
    dunlin_transport::wire::ack::encode(&mut value, delay, &[largest..=largest], None);
    dunlin_transport::wire::frame::write_ack(&mut block, &value);
    let mut header = duel.header(dunlin_transport::wire::PacketType::Ack);
    header.flags = dunlin_transport::wire::Flags::ACK;
    header.acknowledgment = dunlin_transport::PacketNumber(largest).truncated();
    duel.send(header, &[], &block);
    assert!(is_open(&duel));
    duel.advance(Duration::from_secs(60));
    assert!(
        duel.events
            .iter()
            .any(|event| matches!(event, Event::Closed(_))),
        "our own idle timeout holds"
    );
}

/// The second such overflow, found in the first one's repair. Here the times that an overlay peer
/// can say (when something was signed) at both ends of their range.
#[test]
fn ghsa_xqmp_fxgv_xvq5() {
    let mut bench = Bench::new();
    let peer = bench.connect(1);
    let origin = identity(3);
    for millis in [
        0,
        1,
        START_MILLIS - 601_000,
        START_MILLIS + 121_000,
        u64::MAX,
    ] {
        let (body, signature) = Broadcast {
            origin: &origin,
            signer: &origin,
            millis,
            sequence: u64::MAX,
            hop_limit: 255,
            topic: "news",
            payload: b"",
        }
        .signed();
        bench.deliver(peer, &frame(1, &body, &signature));
        assert_eq!(bench.delivered(), 0, "signed at {millis}");
        let own = identity(1);
        let record = record(&own, &own, (u64::MAX, millis), address(1));
        bench.deliver(peer, &hello(Some(record)));
        bench.advance(Duration::from_millis(1));
    }
}

/// Addresses of so many networks that each may have a bucket of its own.
fn everywhere(n: u16) -> std::net::SocketAddr {
    let [a, b] = n.to_be_bytes();
    std::net::SocketAddr::from(([20 + a, b, 1, 1], 4_000))
}

/// A rendezvous point stored registrations without bound. Here the nearest thing is the table of
/// known peers: records come only as answers to questions, are verified, and one peer may introduce
/// a quarter of the table, of which the address book gives him a bucket for each group of addresses.
#[test]
fn ghsa_cqfx_gf56_8x59() {
    let mut bench = Bench::with(|config| config.parallel_dials = 1);
    let peer = bench.connect(1);
    let mut number = 10;
    let mut asked = 0;
    for _ in 0..400 {
        let questions = bench.sent_to(peer);
        // `[3, {0: nonce}]` wants a pong.
        for ping in questions.iter().filter(|it| it.starts_with(&[0x82, 3])) {
            let mut pong = ping.clone();
            pong[1] = 4;
            bench.overlay.handle_message(bench.now, peer, &pong);
        }
        let id = questions.iter().find_map(|bytes| question_id(bytes));
        if let Some(id) = id {
            asked += 1;
            let records: Vec<Vec<u8>> = (0..32)
                .map(|_| {
                    number += 1;
                    let own = identity(number);
                    record(&own, &own, (1, START_MILLIS), everywhere(number))
                })
                .collect();
            let fields = [id, cbor::array(&records)];
            bench.deliver(peer, &cbor::message(6, &fields));
        }
        bench.advance(Duration::from_secs(1));
    }
    assert!(asked > 8, "it asked {asked} times");
    let stats = bench.overlay.stats();
    assert!(stats.records_learned >= 64, "{stats:?}");
    assert!(
        stats.known <= limits::KNOWN_PER_SOURCE_MAX + 1,
        "{}",
        stats.known
    );
}

/// The encoded ID of a question `[5, {0: id, 1: count}]`.
fn question_id(bytes: &[u8]) -> Option<Vec<u8>> {
    let rest = bytes.strip_prefix(&[0x82, 5, 0xa2, 0])?;
    let length = match rest.first()? {
        0x18 => 2,
        0x19 => 3,
        0x1a => 5,
        0x1b => 9,
        _ => 1,
    };
    rest.get(..length).map(<[u8]>::to_vec)
}

/// Keys of any length could be sent in a handshake and cost the other side seconds of work. Here an
/// identity has 64 bytes in a message of one length; any other is no message.
#[test]
fn cve_2023_39533() {
    let mut bench = Bench::new();
    let peer = bench.link(1);
    for length in [0usize, 32, 63, 65, 8_192, 100_000] {
        let body = cbor::map(&[
            cbor::text("dunlin"),
            cbor::bytes(&vec![1; length]),
            cbor::uint(1),
            cbor::uint(START_MILLIS),
            cbor::array(&[]),
            cbor::uint(15),
            cbor::uint(2),
        ]);
        let signed = cbor::array(&[cbor::bytes(&body), cbor::bytes(&[7; 64])]);
        let before = bench.overlay.stats().violations;
        bench.deliver(peer, &hello(Some(signed)));
        let banned = bench.overlay.peers().any(|it| it.banned_until.is_some());
        assert!(banned || bench.overlay.stats().violations == before + 1);
    }
    assert_eq!(bench.overlay.stats().records_learned, 0);
}

/// Each question of a peer left a cookie on the server for ever. Here a question is answered in the
/// same call and leaves nothing; beyond four at once and one a second it is not answered either.
#[test]
fn ghsa_v5hw_cv9c_rpg7() {
    let mut bench = Bench::new();
    let peer = bench.connect(1);
    let before = bench.overlay.stats();
    let mut answers = 0;
    for id in 0..900 {
        bench.deliver(peer, &cbor::message(5, &[cbor::uint(id), cbor::uint(32)]));
        answers += bench.sent_to(peer).len();
    }
    let after = bench.overlay.stats();
    assert!((1..=8).contains(&answers), "{answers} answers");
    assert!(after.exchange_refused > 800);
    assert_eq!((after.known, after.seen), (before.known, before.seen));
}
