//! Numbers and clocks at their ends.

use std::time::Duration;

use dunlin_lab::adversary::{Duel, own_address};
use dunlin_lab::profile::Profile;
use dunlin_session::CipherSuite;
use dunlin_transport::wire::PacketType;
use dunlin_transport::{EndpointConfig, Instant, limits};

use crate::line::{Line, pattern};

const SEALED: Profile = Profile::Sealed(CipherSuite::Aes128Gcm);

/// Attack T9: both ends cross 2^32 in the middle of a transfer, with replays of both sides of it.
#[test]
fn packet_numbers_cross_the_wire_width_under_replay() {
    let mut config = EndpointConfig::default();
    config.transport.first_packet_number = Some(limits::FIRST_PACKET_NUMBER_MAX);
    let mut line = Line::new(SEALED, &config, 8, 600_000);
    line.run(Duration::from_secs(30), |scene, out| {
        if scene.settled {
            let passed = &scene.passed;
            out.extend(passed[3..].iter().step_by(7).cloned());
        }
    });
    assert_eq!(line.read, pattern(600_000));
    assert!(line.stats(0).packets_sent > 300, "the numbers wrapped");
}

/// Attack T9: a peer that jumps ahead by the most that can be told apart; what came before is old.
#[test]
fn a_jump_of_numbers_makes_the_past_undeliverable_and_nothing_else() {
    let mut duel = Duel::new(SEALED, &EndpointConfig::default(), 4).expect("a handshake");
    let ping = |duel: &mut Duel, number: u64| {
        let header = duel.header(PacketType::Ping);
        let packet = duel.packet(number, header, &[0; 8], &[]);
        duel.deliver(own_address(), &packet);
        duel.connection().expect("a connection").stats()
    };
    let mut number = 2_000;
    let before = ping(&mut duel, number).packets_received;
    for _ in 0..5 {
        number += (1 << 31) - 1;
        ping(&mut duel, number);
    }
    assert_eq!(ping(&mut duel, number).packets_duplicate, 1);
    let window = limits::REPLAY_WINDOW_PACKETS;
    let after = ping(&mut duel, number - window + 1);
    assert_eq!(
        after.packets_received,
        before + 6,
        "the oldest in the window"
    );
    let after = ping(&mut duel, number - window);
    assert_eq!(after.packets_received, before + 6, "one older");
    // One beyond the half: read as 2^32 lower, with another nonce, so it does not open.
    let after = ping(&mut duel, number + (1 << 31) + 10);
    assert_eq!(after.packets_received, before + 6);
    assert!(duel.connection().expect("a connection").is_established());
}

/// Attack T22: a clock that jumps ten years, stands at the end of time, or goes back.
#[test]
fn clocks_that_jump_make_timeouts_and_no_panics() {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);
    for jump in [YEAR * 10, YEAR * 500, Duration::MAX] {
        let mut duel = Duel::new(SEALED, &EndpointConfig::default(), 4).expect("a handshake");
        let ping = duel.header(PacketType::Ping);
        duel.send(ping, &[0; 8], &[]);
        duel.drain();
        let early = duel.now;
        duel.now = early + jump;
        duel.send(ping, &[1; 8], &[]);
        duel.drain();
        duel.victim.handle_timeout(duel.now);
        duel.drain();
        // And back again.
        duel.now = early;
        duel.send(ping, &[2; 8], &[]);
        duel.victim.handle_timeout(early);
        duel.drain();
        duel.victim.handle_timeout(Instant::FAR_FUTURE);
        duel.now = Instant::FAR_FUTURE;
        duel.drain();
    }
}

/// Attack T18: keys are replaced far inside a limit that is scaled down to 200 packets, while
/// tampered copies of every packet arrive.
#[test]
fn keys_change_often_under_attack() {
    let mut line = Line::new(SEALED, &EndpointConfig::default(), 9, 3_000_000);
    line.run(Duration::from_secs(60), |scene, out| {
        if scene.settled {
            let mut forged = scene.next.clone();
            if let Some(byte) = forged.bytes.get_mut(3) {
                *byte ^= 0x10;
            }
            out.push(forged);
        }
    });
    assert!(line.read == pattern(3_000_000));
    assert!(line.stats(0).packets_sent > 5 * 200, "several phases");
}
