//! Attackers without keys: beside the path, where they know addresses and connection IDs, or on it,
//! where they also copy what passes.

use std::net::SocketAddr;
use std::time::Duration;

use dunlin_lab::adversary::plain_packet;
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::Rng;
use dunlin_session::CipherSuite;
use dunlin_transport::protect::Random;
use dunlin_transport::wire::{Flags, HEADER_LEN, Header, MAGIC, PacketType, VERSION, version};
use dunlin_transport::{CloseReason, ConnectionId, EndpointConfig};

use crate::line::{Datagram, Line, Scene, address, pattern};
use crate::times;

const SEALED: [Profile; 2] = [
    Profile::Sealed(CipherSuite::Aes128Gcm),
    Profile::Sealed(CipherSuite::ChaCha20Poly1305),
];
const SIZE: usize = 300_000;
const LIMIT: Duration = Duration::from_secs(30);

/// The run that nobody disturbs.
fn calm(profile: Profile) -> Line {
    let mut line = Line::new(profile, &EndpointConfig::default(), 7, SIZE);
    line.run(LIMIT, |_, _| {});
    assert!(line.finished_at.is_some() && line.read == pattern(SIZE));
    line
}

/// The same run with an attacker: it must send the same bytes at the same times.
fn disturbed(
    calm: &Line,
    profile: Profile,
    attack: impl FnMut(&Scene<'_>, &mut Vec<Datagram>),
) -> Line {
    let mut line = Line::new(profile, &EndpointConfig::default(), 7, SIZE);
    line.run(LIMIT, attack);
    assert_eq!(
        line.finished_at, calm.finished_at,
        "the transfer was delayed"
    );
    assert!(line.read == pattern(SIZE), "other bytes arrived");
    assert!(line.log == calm.log, "an end sent something else");
    line
}

fn random_bytes(rng: &mut Rng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rng.fill(&mut bytes);
    bytes
}

fn below(rng: &mut Rng, bound: usize) -> usize {
    usize::try_from(rng.below(bound as u64)).unwrap_or(0)
}

/// Something with the right addresses and connection ID.
fn forged(rng: &mut Rng, scene: &Scene<'_>) -> Vec<u8> {
    let id = scene.ids[scene.next.to].0.to_be_bytes();
    match rng.below(4) {
        0 => {
            let length = below(rng, 1_400);
            let mut bytes = random_bytes(rng, length.max(HEADER_LEN));
            bytes[..2].copy_from_slice(&[MAGIC, VERSION]);
            bytes[28..32].copy_from_slice(&id);
            bytes
        }
        // A header that says it is sealed, with a right unsalted checksum, and any number.
        1 => {
            let kind = *rng.pick(&PacketType::ALL).expect("there are types");
            let mut header = Header::new(kind, scene.ids[scene.next.to]);
            header.flags = Flags(u8::try_from(rng.below(256)).unwrap_or(0));
            header.sequence = rng.next_u32();
            header.acknowledgment = rng.next_u32();
            let length = below(rng, 200);
            let payload = random_bytes(rng, length);
            plain_packet(header, &payload)
        }
        // A copy of the genuine packet, tampered with where the tag will notice.
        2 => {
            let mut bytes = scene.next.bytes.clone();
            if bytes.len() > 49 {
                let at = 48 + below(rng, bytes.len() - 48);
                bytes[at] ^= 1 << rng.below(8);
            } else {
                bytes.truncate(20);
            }
            bytes
        }
        // A copy with another number: the mask hides where it is.
        _ => {
            let mut bytes = scene.next.bytes.clone();
            let at = 2 + below(rng, 26);
            bytes[at] ^= 1 << rng.below(8);
            bytes
        }
    }
}

/// Attack T1: 10^5 forged packets into an established connection (10^6 with DUNLIN_ATTACKS=10).
#[test]
fn a_hundred_thousand_forged_packets_change_nothing() {
    for profile in SEALED {
        let calm = calm(profile);
        let each = times(100_000) / 2 / calm.log.len() + 1;
        let mut rng = Rng::new(1);
        let line = disturbed(&calm, profile, |scene, out| {
            let rounds = if scene.settled { each } else { 0 };
            out.extend((0..rounds).map(|_| Datagram {
                bytes: forged(&mut rng, scene),
                ..scene.next.clone()
            }));
        });
        assert!(line.injected >= times(30_000), "{}", line.injected);
        let refused: u64 = [0, 1]
            .map(|end| line.stats(end).packets_rejected)
            .iter()
            .sum();
        assert!(refused > 0, "none of them reached a connection");
    }
}

/// Attack T2: RST, FIN and every other type without keys, from the peer's address and from others.
#[test]
fn no_unprotected_packet_of_any_type_ends_a_connection() {
    for profile in SEALED {
        let calm = calm(profile);
        disturbed(&calm, profile, |scene, out| {
            if !scene.settled {
                return;
            }
            for kind in PacketType::ALL {
                for body in [&[][..], &[0, 9], &[1, 0x02], &[0; 40]] {
                    let mut header = Header::new(kind, scene.ids[scene.next.to]);
                    header.sequence = 1;
                    for from in [scene.next.from, SocketAddr::from(([192, 0, 2, 1], 53))] {
                        out.push(Datagram {
                            to: scene.next.to,
                            from,
                            bytes: plain_packet(header, body),
                        });
                    }
                }
            }
        });
    }
}

/// Attack T2, before there are keys: a reset or a version list cannot end a handshake.
#[test]
fn a_handshake_survives_forged_answers() {
    let profile = SEALED[0];
    let mut line = Line::new(profile, &EndpointConfig::default(), 3, 1_000);
    line.run(LIMIT, |scene, out| {
        if scene.passed.len() > 2 {
            return;
        }
        let ids = [scene.ids[scene.next.to], ConnectionId(1)];
        for kind in PacketType::ALL {
            for id in ids {
                let header = Header::new(kind, id);
                out.push(Datagram {
                    bytes: plain_packet(header, &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
                    ..scene.next.clone()
                });
            }
        }
        let mut stranger = scene.next.bytes.clone();
        stranger[1] = 9;
        let list = version::reply(&stranger).expect("another version is answered");
        out.push(Datagram {
            bytes: list.to_vec(),
            ..scene.next.clone()
        });
    });
    assert_eq!(line.read, pattern(1_000));
    assert!(line.injected > 40);
}

/// Attack T14: the whole session again, shuffled, ten times over, while it still lasts.
#[test]
fn a_replayed_session_delivers_nothing_twice() {
    for profile in SEALED {
        let calm = calm(profile);
        let mut rng = Rng::new(4);
        let copies = 10;
        let line = disturbed(&calm, profile, |scene, out| {
            // Only what its receiver already has: a copy ahead of the genuine packet is that packet.
            if scene.settled {
                for _ in 0..copies {
                    let old = rng.pick(&scene.passed[3..]).expect("packets have passed");
                    out.push(old.clone());
                }
            }
        });
        assert!(line.injected > 9 * (calm.passed.len() - 60));
        let known: u64 = [0, 1]
            .map(|end| line.stats(end).packets_duplicate)
            .iter()
            .sum();
        assert!(
            known * 10 > line.injected as u64 * 8,
            "{known} were recognised"
        );
    }
}

/// Attack T17: the key phase of every packet flipped on the way, before the genuine one.
#[test]
fn flipped_key_phases_move_no_key() {
    for profile in SEALED {
        let calm = calm(profile);
        disturbed(&calm, profile, |scene, out| {
            if scene.settled {
                // Byte 3 is masked by a key stream that the attacker may flip bits of.
                let mut bytes = scene.next.bytes.clone();
                bytes[3] ^= Flags::KEY_PHASE.0;
                out.push(Datagram {
                    bytes,
                    ..scene.next.clone()
                });
            }
        });
    }
}

/// Attack T23: datagrams too short for anything.
#[test]
fn tiny_datagrams_are_ignored_in_every_state() {
    let profile = SEALED[0];
    let calm = calm(profile);
    let line = disturbed(&calm, profile, |scene, out| {
        // From 48 bytes on, what names a connection that is not there gets a stateless reset.
        for length in [0usize, 1, 2, 27, 28, 31, 32, 33, 46, 47] {
            for first in [0, MAGIC] {
                let mut bytes = vec![first; length];
                if let Some(byte) = bytes.get_mut(1) {
                    *byte = VERSION;
                }
                out.push(Datagram {
                    bytes,
                    ..scene.next.clone()
                });
                let mut cut = scene.next.bytes.clone();
                cut.truncate(length);
                out.push(Datagram {
                    bytes: cut,
                    ..scene.next.clone()
                });
            }
        }
    });
    assert!(line.injected > 1_000);
}

/// Attack T20: the ends hear nothing of ICMP; a peer that vanishes is noticed by its silence alone.
#[test]
fn only_silence_ends_a_connection_from_outside() {
    let mut config = EndpointConfig::default();
    config.transport.idle_timeout = Duration::from_secs(2);
    let mut line = Line::new(SEALED[0], &config, 5, 50_000_000);
    line.run(Duration::from_millis(300), |_, _| {});
    let (now, id) = (
        line.now,
        line.passed.last().expect("packets passed").clone(),
    );
    // The path is cut; only garbage arrives, which must not keep the connection alive.
    let mut rng = Rng::new(6);
    let mut time = now;
    for _ in 0..200 {
        time = time + Duration::from_millis(20);
        let mut bytes = id.bytes.clone();
        let at = 48 + below(&mut rng, bytes.len() - 48);
        bytes[at] ^= 1;
        line.ends[id.to].handle_datagram(time, address(1 - id.to), None, &mut bytes);
        line.ends[id.to].handle_timeout(time);
        let mut buffer = Vec::new();
        while line.ends[id.to]
            .poll_transmit(time, 1, &mut buffer)
            .is_some()
        {}
    }
    let reasons =
        std::iter::from_fn(|| line.ends[id.to].poll_event()).filter_map(|(_, event)| match event {
            dunlin_transport::Event::Closed(reason) => Some(reason),
            _ => None,
        });
    assert_eq!(reasons.last(), Some(CloseReason::TimedOut));
}
