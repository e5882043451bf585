//! quinn: QUIC in Rust.

use dunlin_lab::adversary::{Duel, own_address, plain_packet};
use dunlin_lab::rng::Rng;
use dunlin_transport::protect::Random;
use dunlin_transport::wire::frame::Frame;
use dunlin_transport::wire::params::TransportParams;
use dunlin_transport::wire::{Header, PacketType};
use dunlin_transport::{
    ConnectionId, EndpointConfig, Event, Side, StreamDirection, StreamId, TransportConfig, limits,
};

use crate::support::{SEALED, duel, is_open, violation};

/// A frame of an unknown type made the endpoint panic. Here each of the 256 types with any value is
/// a frame, skipped, or a violation that closes this one connection.
#[test]
fn rustsec_2023_0063() {
    let mut rng = Rng::new(1);
    for kind in 0..=u8::MAX {
        for length in [0u8, 1, 3, 20] {
            let mut duel = duel();
            let mut block = vec![kind, length];
            let mut value = vec![0; usize::from(length)];
            rng.fill(&mut value);
            block.extend_from_slice(&value);
            let header = duel.header(PacketType::Ack);
            duel.send(header, &[], &block);
            duel.drain();
            let skippable = kind >= 0x80;
            assert!(is_open(&duel) || violation(&duel).is_some());
            assert!(
                !skippable || is_open(&duel),
                "type {kind:#x} may be skipped"
            );
        }
    }
}

/// State about retried handshakes was cleaned up under the wrong name, and the next packet met an
/// impossible state. Here a RETRY leaves no state: SYNs with and without tokens, again and again,
/// in any order, end with one connection.
#[test]
fn rustsec_2024_0373() {
    let mut config = EndpointConfig::default();
    config.half_open_under_load = 0;
    let mut rng = Rng::new(2);
    let mut server = SEALED.endpoint(1, &config, true, &mut rng);
    // Each datagram in a moment of its own: of SYNs that come together not all are looked at.
    let moment = std::cell::Cell::new(dunlin_transport::Instant::ZERO);
    let mut initiator = SEALED.initiator(0, 1, &mut rng);
    let own = ConnectionId(7);
    let params = TransportParams::of(&TransportConfig::default(), own).encode();
    let packet = |session: &[u8]| {
        let payload = [&own.0.to_be_bytes()[..], session].concat();
        plain_packet(Header::new(PacketType::Syn, ConnectionId::NONE), &payload)
    };
    let answer = |server: &mut dunlin_transport::Endpoint, syn: &[u8]| {
        let mut answer = Vec::new();
        let now = moment.get() + std::time::Duration::from_nanos(1);
        moment.set(now);
        server.handle_datagram(now, own_address(), None, &mut syn.to_vec());
        server.poll_transmit(now, 1, &mut answer).map(|_| answer)
    };
    let first = packet(&initiator.syn(&params, &[]));
    let mut retry = Vec::new();
    for _ in 0..20 {
        retry = answer(&mut server, &first).expect("a RETRY each time");
    }
    let (_, payload) = dunlin_lab::adversary::read_plain(&retry).expect("a RETRY");
    let token = initiator.on_retry(payload).expect("the RETRY is genuine");
    let second = packet(&initiator.syn(&params, &token));
    let mut syn_ack = Vec::new();
    for _ in 0..20 {
        syn_ack = answer(&mut server, &second).expect("a SYN_ACK");
        // The SYN without a token again, while its handshake is half open.
        answer(&mut server, &first);
    }
    assert_eq!(server.half_open_count(), 1);
    let (_, payload) = dunlin_lab::adversary::read_plain(&syn_ack).expect("a SYN_ACK");
    let (id, session) = payload.split_first_chunk().expect("a connection ID");
    let (confirm, _) = initiator.on_syn_ack(session).expect("it is genuine");
    let header = Header::new(PacketType::Ack, ConnectionId(u32::from_be_bytes(*id)));
    for _ in 0..3 {
        let mut packet = plain_packet(header, &confirm);
        server.handle_datagram(moment.get(), own_address(), None, &mut packet);
        answer(&mut server, &first);
        answer(&mut server, &second);
    }
    let connected = std::iter::from_fn(|| server.poll_event())
        .filter(|(_, event)| matches!(event, Event::Connected { .. }));
    assert_eq!(connected.count(), 1);
}

/// Transport parameters out of range made the endpoint panic, behind an `unwrap`. Here parameters
/// are decoded by one total function, and bad ones fail the handshake as a forgery would.
#[test]
fn rustsec_2026_0037() {
    let mut rng = Rng::new(3);
    let genuine = TransportParams::of(&TransportConfig::default(), dunlin_lab::adversary::OWN_ID);
    let genuine = genuine.encode();
    let mut tried = 0;
    let mut attempt = |params: &[u8]| {
        let mut rng = Rng::new(4);
        let victim = SEALED.endpoint(1, &EndpointConfig::default(), true, &mut rng);
        let initiator = SEALED.initiator(0, 1, &mut rng);
        let mut duel = Duel::open(victim, initiator, params).expect("the SYN_ACK comes first");
        let stream = StreamId::new(Side::Initiator, StreamDirection::Unidirectional, 0);
        duel.send_frames(&[Frame::Stream {
            id: stream,
            offset: 0,
            fin: true,
            data: b"x",
        }]);
        duel.advance(std::time::Duration::from_secs(5));
        tried += 1;
        duel.handle.is_some()
    };
    assert!(attempt(&genuine));
    for cut in [0, 1, genuine.len() / 2, genuine.len() - 1] {
        assert!(!attempt(&genuine[..cut]), "cut to {cut}");
    }
    // Every value at the ends of what a varint holds.
    for id in 0..=10u8 {
        for value in [0u64, 1, 1 << 14, 1 << 21, 1 << 30, (1 << 62) - 1] {
            let mut params = vec![id, 8];
            params.extend_from_slice(&(value | 0xc0 << 56).to_be_bytes());
            let mut rest = dunlin_transport::wire::Cursor::new(&genuine);
            while let (Ok(other), Ok(length)) = (rest.varint(), rest.varint()) {
                let length = usize::try_from(length).expect("small");
                let bytes = rest.slice(length).expect("genuine");
                if other != u64::from(id) {
                    params.push(u8::try_from(other).expect("small"));
                    params.push(u8::try_from(length).expect("small"));
                    params.extend_from_slice(bytes);
                }
            }
            attempt(&params);
        }
    }
    for _ in 0..200 {
        let mut params = genuine.clone();
        let at = usize::try_from(rng.below(params.len() as u64)).expect("small");
        params[at] = u8::try_from(rng.below(256)).expect("a byte");
        attempt(&params);
    }
    assert!(tried > 250);
}

/// Pieces of a stream with gaps between them cost far more memory than they have bytes. Here they
/// lie in pages that the flow-control window pays for, and separate ranges are counted: with the
/// limit reached a piece that would add one is not acknowledged, and the beginning still arrives.
#[test]
fn rustsec_2026_0185() {
    let mut duel = duel();
    let id = StreamId::new(Side::Initiator, StreamDirection::Unidirectional, 0);
    let pieces = u64::try_from(limits::REASSEMBLY_RANGES_MAX).expect("small") + 4_000;
    for chunk in 0..pieces / 100 {
        let frames: Vec<Frame<'_>> = (0..100)
            .map(|n| Frame::Stream {
                id,
                offset: 1_000 + 2 * (chunk * 100 + n),
                fin: false,
                data: &[7],
            })
            .collect();
        duel.send_frames(&frames);
        duel.drain();
    }
    assert_eq!(violation(&duel), None, "it stayed inside its credit");
    let window = EndpointConfig::default().transport.receive_window;
    let unread = duel.connection().expect("open").stats().bytes_unread;
    assert!(unread <= window);
    duel.send_frames(&[Frame::Stream {
        id,
        offset: 0,
        fin: false,
        data: &[1; 1_000],
    }]);
    let connection = duel.connection_mut().expect("open");
    let stream = connection.accept_stream(StreamDirection::Unidirectional);
    let mut buffer = [0; 2_000];
    let read = connection.read(stream.expect("opened by the peer"), &mut buffer);
    assert_eq!(
        read,
        Ok(1_001),
        "the first thousand, and the byte behind them"
    );
}
