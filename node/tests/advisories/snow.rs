//! snow and Rosenpass: Noise and post-quantum key exchange in Rust.

use dunlin_lab::adversary::own_address;
use dunlin_lab::rng::Rng;
use dunlin_transport::wire::PacketType;
use dunlin_transport::{EndpointConfig, Instant};

use crate::support::{SEALED, duel, is_open};

/// A payload that did not authenticate advanced the nonce, and the genuine one no longer opened.
/// Here the packet names its number, a failed opening changes a counter only, and the genuine
/// packet opens after any number of forged ones under the same number.
#[test]
fn rustsec_2024_0011() {
    let mut duel = duel();
    for turn in 0..50u64 {
        let header = duel.header(PacketType::Ping);
        let genuine = duel.next_packet(header, &turn.to_be_bytes(), &[]);
        for at in 48..genuine.len() {
            let mut forged = genuine.clone();
            forged[at] ^= 0x40;
            duel.deliver(own_address(), &forged);
            assert!(duel.drain().is_empty());
        }
        let before = duel.connection().expect("open").stats().packets_received;
        duel.deliver(own_address(), &genuine);
        let after = duel.connection().expect("open").stats().packets_received;
        assert_eq!(after, before + 1);
        duel.drain();
    }
    assert!(is_open(&duel));
}

/// A datagram of one byte made the node panic. Here bytes are read by a cursor, and there is
/// nothing that a datagram could be too short for.
#[test]
fn rustsec_2023_0077() {
    let mut rng = Rng::new(1);
    let mut server = SEALED.endpoint(1, &EndpointConfig::default(), true, &mut rng);
    let mut duel = duel();
    for byte in 0..=u8::MAX {
        for length in 0..4 {
            let datagram = vec![byte; length];
            let from = own_address();
            server.handle_datagram(Instant::ZERO, from, None, &mut datagram.clone());
            duel.deliver(from, &datagram);
        }
    }
    assert!(is_open(&duel));
    assert_eq!(server.connection_count(), 0);
}
