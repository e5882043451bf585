//! WireGuard, SSH and Wi-Fi: secure channels that were disturbed without their keys.

use std::collections::BTreeSet;
use std::time::Duration;

use dunlin_lab::adversary::{own_address, plain_packet};
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::Rng;
use dunlin_session::CipherSuite;
use dunlin_transport::wire::frame::Frame;
use dunlin_transport::wire::{Header, PacketType};
use dunlin_transport::{
    ConnectionId, Endpoint, EndpointConfig, Event, Instant, Side, StreamDirection, StreamId,
};

use crate::support::{SEALED, duel, is_open};

/// Whoever set a machine's clock forward made its key unusable: handshakes were ordered by time.
/// Here no handshake says a time. A client whose clock runs 500 years ahead, and later one with the
/// same identity and the clock at zero, both get in.
#[test]
fn cve_2021_46873() {
    let mut rng = Rng::new(1);
    let mut server = SEALED.endpoint(1, &EndpointConfig::default(), true, &mut rng);
    let server_now = Instant::ZERO + Duration::from_secs(100);
    let mut connected = 0;
    let year = Duration::from_secs(365 * 24 * 3_600);
    for ahead in [year * 500, Duration::ZERO, year] {
        let now = Instant::ZERO + ahead;
        let mut client = SEALED.endpoint(0, &EndpointConfig::default(), false, &mut rng);
        let to = ([10, 0, 0, 2], 4_433).into();
        let initiator = SEALED.initiator(0, 1, &mut rng);
        client.connect(now, to, initiator).expect("a valid address");
        exchange((&mut client, now), (&mut server, server_now));
        connected += std::iter::from_fn(|| server.poll_event())
            .filter(|(_, event)| matches!(event, Event::Connected { .. }))
            .count();
    }
    assert_eq!(connected, 3);
}

fn exchange((client, there): (&mut Endpoint, Instant), (server, here): (&mut Endpoint, Instant)) {
    let mut buffer = Vec::new();
    for _ in 0..6 {
        while client.poll_transmit(there, 1, &mut buffer).is_some() {
            server.handle_datagram(here, own_address(), None, &mut buffer.clone());
        }
        while server.poll_transmit(here, 1, &mut buffer).is_some() {
            let from = ([10, 0, 0, 2], 4_433).into();
            client.handle_datagram(there, from, None, &mut buffer.clone());
        }
    }
}

/// A handshake message that came again reset the packet numbers, and nonces were used twice (KRACK).
/// Here a handshake message that comes again finds keys in use and changes nothing: every sealed
/// packet has its own number.
#[test]
fn cve_2017_13077() {
    for profile in [SEALED, Profile::Sealed(CipherSuite::ChaCha20Poly1305)] {
        let mut duel =
            dunlin_lab::adversary::Duel::new(profile, &EndpointConfig::default(), 1).expect("open");
        let confirm = duel.confirm.clone();
        let mut numbers = BTreeSet::new();
        for turn in 0..100u64 {
            duel.deliver(own_address(), &confirm);
            let header = duel.header(PacketType::Ping);
            duel.send(header, &turn.to_be_bytes(), &[]);
            for heard in duel.drain() {
                assert!(numbers.insert(heard.number), "{} twice", heard.number);
            }
        }
        assert!(numbers.len() >= 100);
        assert!(is_open(&duel));
    }
}

/// Messages put into the handshake shifted the numbers of what followed, so that the first protected
/// messages could be cut off unnoticed (Terrapin). Here a number is what its sender says it is,
/// authenticated; what was cut off is missing, and comes again.
#[test]
fn cve_2023_48795() {
    let mut duel = duel();
    for kind in PacketType::ALL {
        let header = Header::new(kind, duel.victim_id);
        duel.deliver(own_address(), &plain_packet(header, &[0; 20]));
        let header = Header::new(kind, ConnectionId::NONE);
        duel.deliver(own_address(), &plain_packet(header, &[0; 20]));
    }
    let id = StreamId::new(Side::Initiator, StreamDirection::Unidirectional, 0);
    let piece = |offset, data: &'static [u8]| {
        let mut block = Vec::new();
        let frame = Frame::Stream {
            id,
            offset,
            fin: false,
            data,
        };
        frame.emit(&mut block);
        block
    };
    // The first protected packet is cut off; the application sees nothing of what follows.
    let header = duel.header(PacketType::Ack);
    let cut_off = duel.next_packet(header, &[], &piece(0, b"use the strong one; "));
    duel.send(header, &[], &piece(20, b"go"));
    let read = |duel: &mut dunlin_lab::adversary::Duel| {
        let connection = duel.connection_mut().expect("open");
        let mut buffer = [0; 99];
        let count = connection.read(id, &mut buffer).unwrap_or(0);
        buffer[..count].to_vec()
    };
    assert!(read(&mut duel).is_empty());
    duel.deliver(own_address(), &cut_off);
    assert_eq!(read(&mut duel), b"use the strong one; go");
    assert_eq!(id.direction(), StreamDirection::Unidirectional);
}
