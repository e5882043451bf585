//! Holes of the designs that this project began from, as regressions.

use std::net::SocketAddr;
use std::time::Duration;

use dunlin_lab::adversary::own_address;
use dunlin_lab::rng::Rng;
use dunlin_overlay::BroadcastId;
use dunlin_transport::protect::Random;
use dunlin_transport::wire::frame::Frame;
use dunlin_transport::wire::{DecodeError, Flags, HEADER_LEN, Header, PacketType};
use dunlin_transport::{ConnectionId, EndpointConfig, PeerViolation, limits};

use crate::support::{
    Bench, Broadcast, START_MILLIS, address, duel, frame, hello, identity, is_open, record,
    violation,
};

/// A connection was named by "ip:port": who could send from there took it over. Here it is named by
/// a number that its receiver chose, and what counts is the key: packets from the peer's address
/// without it do nothing, and packets with it from elsewhere are its.
#[test]
fn seed_connection_id_is_the_address() {
    let mut duel = duel();
    let header = duel.header(PacketType::Ping);
    let mut forged = duel.packet(9_000, header, &[0; 8], &[]);
    forged[50] ^= 1;
    duel.deliver(own_address(), &forged);
    assert!(duel.drain().is_empty());
    let elsewhere: SocketAddr = ([203, 0, 113, 5], 999).into();
    let before = duel.connection().expect("open").stats().packets_received;
    let genuine = duel.next_packet(header, &[0; 8], &[]);
    duel.deliver(elsewhere, &genuine);
    let connection = duel.connection().expect("open");
    assert_eq!(connection.stats().packets_received, before + 1);
    assert_eq!(
        connection.remote_address(),
        own_address(),
        "until it is proven"
    );
}

/// CRC-32 was the only protection of data. Here a packet whose checksums are right and whose tag is
/// wrong is dropped.
#[test]
fn seed_crc32_is_the_only_integrity() {
    let mut duel = duel();
    let mut header = duel.header(PacketType::Data);
    header.flags = Flags::RELIABLE.with(Flags::END);
    header.fragment_total = 1;
    let genuine = duel.next_packet(header, b"transfer 1 to Alice", &[]);
    for bit in 32 * 8..genuine.len() * 8 {
        let mut forged = genuine.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        duel.deliver(own_address(), &forged);
    }
    let connection = duel.connection_mut().expect("open");
    assert!(connection.receive_message().is_none());
    duel.deliver(own_address(), &genuine);
    let connection = duel.connection_mut().expect("open");
    let message = connection.receive_message().expect("the genuine one");
    assert_eq!(message.data, b"transfer 1 to Alice");
}

/// The header was documented with 32 bytes and written with 28, and packed otherwise than unpacked.
/// Here its size is one constant, and what is emitted is what is parsed, byte by byte.
#[test]
fn seed_header_size_differs_from_its_document() {
    assert_eq!(HEADER_LEN, 32);
    for kind in PacketType::ALL {
        let mut header = Header::new(kind, ConnectionId(0x0102_0304));
        (header.sequence, header.acknowledgment, header.window) = (5, 6, 7);
        if matches!(
            kind,
            PacketType::Fragment | PacketType::Nack | PacketType::FragmentAck
        ) {
            header.fragment_total = 2;
        }
        let mut bytes = [0; HEADER_LEN];
        header.emit(&mut bytes, 0);
        match Header::parse(&bytes, 0) {
            Ok(parsed) => assert_eq!(parsed, header),
            Err(error) => assert!(
                matches!(error, DecodeError::Fragment | DecodeError::Flags),
                "{kind:?}: {error}"
            ),
        }
        for length in 0..HEADER_LEN {
            assert_eq!(
                Header::parse(&bytes[..length], 0),
                Err(DecodeError::Truncated)
            );
        }
    }
}

/// A checksum that did not match was an exception that ended the handler. Here it is a value, and
/// the next packet is handled.
#[test]
fn seed_a_bad_checksum_raises_through_the_handler() {
    let mut duel = duel();
    let mut rng = Rng::new(1);
    for _ in 0..500 {
        let mut bytes = vec![0; 100];
        rng.fill(&mut bytes);
        bytes[..2].copy_from_slice(&[0x0d, 1]);
        bytes[28..32].copy_from_slice(&duel.victim_id.0.to_be_bytes());
        duel.deliver(own_address(), &bytes);
    }
    let header = duel.header(PacketType::Ping);
    duel.send(header, &[0; 8], &[]);
    assert!(
        duel.drain()
            .iter()
            .any(|it| it.header.kind == PacketType::Pong)
    );
}

/// Received bytes were decompressed without a bound. Here what a message holds is what travelled, and
/// a length that says more allocates nothing. (Of messages that may be compressed, which the
/// application has to allow: `attacks::violations`.)
#[test]
fn seed_decompression_has_no_cap() {
    let mut duel = duel();
    let most = u32::try_from(limits::MESSAGES_IN_REASSEMBLY_MAX).expect("small");
    for id in 0..most {
        let mut header = duel.header(PacketType::Fragment);
        header.flags = Flags::RELIABLE;
        (header.fragment_id, header.fragment_total) = (id, 65_535);
        let mut block = Vec::new();
        Frame::MessageLength(65_535).emit(&mut block);
        duel.send(header, &[1], &block);
    }
    let unread = duel.connection().expect("open").stats().bytes_unread;
    assert_eq!(unread, u64::from(most), "16 MB were announced");
}

/// Fragment totals and indexes were believed, and nothing bounded a peer's fragments. Here they
/// contradict each other at once, and incomplete messages are counted.
#[test]
fn seed_fragment_totals_are_unbounded() {
    for (index, total, ok) in [
        (0u16, 2u16, true),
        (2, 2, false),
        (9, 2, false),
        (0, 0, false),
        (0, 1, false),
    ] {
        let mut duel = duel();
        let mut header = duel.header(PacketType::Fragment);
        header.flags = Flags::RELIABLE;
        (header.fragment_index, header.fragment_total) = (index, total);
        let mut block = Vec::new();
        Frame::MessageLength(2).emit(&mut block);
        duel.send(header, &[1], &block);
        let stored = duel.connection().expect("kept").stats().bytes_unread;
        assert_eq!(stored, u64::from(ok), "{index} of {total}");
    }
}

/// The signature covered the TTL that every relay lowers: the first hop broke it. Here the origin
/// signs a limit and the count travels outside; after any number of hops the signature holds, and
/// beyond the limit the message stops.
#[test]
fn seed_signature_covers_what_relays_change() {
    let origin = identity(3);
    let (body, signature) = Broadcast {
        origin: &origin,
        signer: &origin,
        millis: START_MILLIS,
        sequence: 1,
        hop_limit: 5,
        topic: "news",
        payload: b"far",
    }
    .signed();
    for hops in 1..=5 {
        let mut bench = Bench::new();
        let (from, to) = (bench.connect(1), bench.connect(2));
        bench.deliver(from, &frame(hops, &body, &signature));
        assert_eq!(bench.delivered(), 1, "after {hops} links");
        let passed_on = bench.sent_to(to);
        assert_eq!(passed_on.len(), usize::from(hops < 5));
        for next in passed_on {
            assert_eq!(next, frame(hops + 1, &body, &signature));
        }
    }
    let mut bench = Bench::new();
    let from = bench.connect(1);
    for hops in [0, 6, 255] {
        bench.deliver(from, &frame(hops, &body, &signature));
        assert_eq!(bench.delivered(), 0, "after {hops} links");
    }
}

/// A message was named by 64 bits that its sender chose and was marked as seen before it was
/// verified: a forged copy kept the genuine one out. Here the name is a hash of what was signed.
#[test]
fn seed_message_id_is_chosen_by_the_sender() {
    let origin = identity(3);
    let say = |payload: &'static [u8]| {
        Broadcast {
            origin: &origin,
            signer: &origin,
            millis: START_MILLIS,
            sequence: 1,
            hop_limit: 5,
            topic: "news",
            payload,
        }
        .signed()
    };
    let ((body, signature), (other, _)) = (say(b"one"), say(b"two"));
    assert_ne!(BroadcastId::of_body(&body), BroadcastId::of_body(&other));
    let mut bench = Bench::new();
    let peer = bench.connect(1);
    bench.deliver(peer, &frame(1, &body, &[7; 64]));
    bench.deliver(peer, &frame(1, &other, &signature));
    assert_eq!((bench.delivered(), bench.overlay.stats().seen), (0, 0));
    bench.deliver(peer, &frame(1, &body, &signature));
    assert_eq!((bench.delivered(), bench.overlay.stats().seen), (1, 1));
    bench.deliver(peer, &frame(1, &body, &signature));
    assert_eq!(bench.delivered(), 0, "once");
}

/// Newcomers had half of all trust, and coming back under a new name restored it. Here nobody has
/// any: a new identity of the same machine has no more than the first had, and a ban does not end
/// because its node calls again.
#[test]
fn seed_newcomers_are_trusted_by_half() {
    let mut bench = Bench::new();
    let peer = bench.connect(1);
    for _ in 0..10 {
        bench.deliver(peer, b"no message");
    }
    let banned = |bench: &Bench, n| {
        let id = identity(n).node_id();
        bench
            .overlay
            .peers()
            .any(|it| it.id == id && it.banned_until.is_some())
    };
    assert!(banned(&bench, 1));
    bench.link(1);
    assert!(banned(&bench, 1), "calling again ends no ban");
    assert!(!bench.actions.is_empty(), "its link is closed");
    bench.advance(Duration::from_secs(1));
    assert!(banned(&bench, 1));
}

/// Trust added up over recommendations without a cap. Here nobody's word about a third node counts:
/// a record that a peer brings is not passed on before its node was met.
#[test]
fn seed_trust_adds_up_over_recommendations() {
    let mut bench = Bench::new();
    let liar = bench.connect(1);
    let sybil = identity(50);
    // Unasked, in a hello, in an answer to no question.
    let signed = record(&sybil, &sybil, (1, START_MILLIS), address(50));
    bench.deliver(liar, &hello(Some(signed.clone())));
    let answer = [
        crate::support::cbor::uint(77),
        crate::support::cbor::array(&[signed]),
    ];
    bench.deliver(liar, &crate::support::cbor::message(6, &answer));
    let asker = bench.connect(2);
    let ask = [
        crate::support::cbor::uint(1),
        crate::support::cbor::uint(32),
    ];
    bench.deliver(asker, &crate::support::cbor::message(5, &ask));
    let needle = sybil.public().to_bytes();
    let told = bench.sent_to(asker);
    assert!(!told.is_empty(), "it answers");
    for bytes in told {
        assert!(!bytes.windows(64).any(|part| part == needle));
    }
}

/// Sequence numbers came again with retransmissions. Under a cipher that is a nonce used twice. Here
/// what is lost travels again under a new number.
#[test]
fn seed_retransmissions_reuse_their_number() {
    let mut duel = duel();
    let config = EndpointConfig::default().transport;
    let connection = duel.connection_mut().expect("open");
    let stream = connection.open_stream(dunlin_transport::StreamDirection::Unidirectional);
    let written = connection.write(stream.expect("granted"), &[7; 9_000]);
    assert_eq!(written, Ok(9_000));
    let mut numbers = std::collections::BTreeSet::new();
    let mut heard = duel.drain();
    heard.extend(duel.advance(config.idle_timeout / 2));
    let data = heard.iter().filter(|it| it.header.kind == PacketType::Data);
    let offsets: std::collections::BTreeSet<u32> =
        data.clone().map(|it| it.header.stream_offset()).collect();
    assert!(data.count() > offsets.len(), "some of it was sent again");
    assert!(heard.iter().all(|it| numbers.insert(it.number)));
    assert!(is_open(&duel));
    assert_eq!(violation(&duel), None::<PeerViolation>);
}
