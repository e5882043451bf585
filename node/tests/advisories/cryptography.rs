//! hpke-rs and libcrux: nonces, limits and buffers.

use dunlin_lab::adversary::{Duel, own_address};
use dunlin_lab::profile::Profile;
use dunlin_session::{CipherSuite, PeerInfo, provider};
use dunlin_transport::EndpointConfig;
use dunlin_transport::wire::PacketType;

use crate::support::{duel, is_open};

const SUITES: [CipherSuite; 2] = [CipherSuite::Aes128Gcm, CipherSuite::ChaCha20Poly1305];

/// A 32-bit counter of messages wrapped, and nonces came again. Here the nonce has 64 bits of packet
/// number: the same packet 2^32 numbers later, whose header is the same, has another ciphertext, and
/// does not open as the other one.
#[test]
fn rustsec_2026_0071() {
    for suite in SUITES {
        let open = || {
            Duel::new(Profile::Sealed(suite), &EndpointConfig::default(), 1).expect("a handshake")
        };
        let (mut first, mut second) = (open(), open());
        let low = 5_000;
        let header = first.header(PacketType::Ping);
        let one = first.packet(low, header, b"the same", &[]);
        let other = second.packet(low + (1 << 32), header, b"the same", &[]);
        assert_eq!(one.len(), other.len());
        assert_ne!(one[32..], other[32..], "the same key stream twice");
        first.deliver(own_address(), &other);
        assert!(first.drain().is_empty(), "it opened under another number");
        first.deliver(own_address(), &one);
        assert_eq!(first.drain().len(), 1);
    }
}

/// An exported secret of great length was made with a label of another length. Here an exporter has
/// one length, and its label any: labels that agree in all but their last byte give other secrets.
#[test]
fn rustsec_2026_0069() {
    let duel = duel();
    let peer = duel.connection().and_then(|it| it.peer()).expect("a peer");
    let peer = PeerInfo::from_identity(peer).expect("of the session layer");
    for length in [0usize, 1, 255, 256, 65_535, 65_536, 70_000] {
        let mut label = vec![b'x'; length];
        let one = peer.exporter(&label);
        label.push(b'y');
        assert_ne!(one, peer.exporter(&label));
        assert_ne!(one, [0; 32]);
    }
}

/// Sealing into a buffer that was too long, opening one too short: both panicked. Here any bytes of
/// any length given to a key for opening are an error and no more.
#[test]
fn rustsec_2026_0124() {
    for provider in [provider::pure(), provider::aws_lc()] {
        for suite in SUITES {
            let key = provider
                .aead(suite, &vec![7; suite.key_len()])
                .expect("a key");
            for length in 0..200 {
                assert!(key.open([0; 12], b"header", &mut vec![9; length]).is_err());
            }
            for wrong in [0, suite.key_len() - 1, suite.key_len() + 1, 64] {
                assert!(provider.aead(suite, &vec![7; wrong]).is_err());
            }
        }
    }
}

/// A malformed ciphertext in a handshake made the receiver panic instead of failing. Here confirm
/// messages of every length, and the genuine one with each byte changed, are dropped, and the
/// genuine one is still believed.
#[test]
fn rustsec_2026_0025() {
    let mut server = duel();
    let confirm = server.confirm.clone();
    for at in 36..confirm.len() - 4 {
        let mut forged = confirm.clone();
        forged[at] ^= 1;
        let end = forged.len() - 4;
        let crc = crc32(&forged[..end]);
        forged[end..].copy_from_slice(&crc.to_be_bytes());
        server.deliver(own_address(), &forged);
    }
    assert!(is_open(&server));
    assert_eq!(server.victim.connection_count(), 1);
}

/// CRC-32 (IEEE 802.3), bit by bit: independent of the crate under test.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
