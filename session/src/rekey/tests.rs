//! Two ends that renew their keys, on a path that reorders; and everything that ends an exchange.

use std::sync::Mutex;

use dunlin_transport::PacketNumber;
use dunlin_transport::protect::{
    Acceptor, Established, Initiator, PacketProtection, Syn, SynDecision, Verdict,
};

use super::*;
use crate::config::SessionConfig;
use crate::fuzzing::SeededRandom;
use crate::handshake::{SessionAcceptor, SessionInitiator};
use crate::hkdf::Expander;
use crate::key_log::{KeyLog, KeyLogEntry, KeyLogger};
use crate::provider::CryptoProvider;
use crate::testing::{provider, providers};

const STEP: Duration = Duration::from_millis(100);

fn seeded() -> Randomness {
    Randomness::new(|| Box::new(SeededRandom::new(77)))
}

fn config(randomness: Option<Randomness>) -> SessionConfig {
    SessionConfig {
        randomness,
        rekey_interval: STEP * 10,
        key_update_packets: 7,
        ..SessionConfig::default()
    }
}

/// The two ends of a connection.
fn connected(
    one: SessionConfig,
    two: SessionConfig,
    with: &Arc<dyn CryptoProvider>,
) -> [Established; 2] {
    let mut random = SeededRandom::new(1);
    let identity = |seed| Arc::new(Identity::from_seed([seed; 32]));
    let mut opening = SessionInitiator::new(identity(1), one, Arc::clone(with), None, &mut random);
    let acceptor = SessionAcceptor::new(identity(2), two, provider(), &mut random);
    let payload = opening.syn(b"i", &[]);
    let syn = Syn {
        from: "192.0.2.7:4000".parse().unwrap(),
        payload: &payload,
        under_load: false,
    };
    let SynDecision::Accept(half) = acceptor.on_syn(Instant::ZERO, &syn, b"r", &mut random) else {
        panic!("the SYN is genuine")
    };
    let (confirm, at_initiator) = opening.on_syn_ack(half.syn_ack()).unwrap();
    let Ok(Verdict::Accept(at_responder)) = half.on_confirm(&confirm) else {
        panic!("the initiator is welcome")
    };
    [at_initiator, at_responder]
}

/// A packet, or a message between the session layers, on its way.
struct Packet {
    number: PacketNumber,
    phase: bool,
    bytes: Vec<u8>,
    message: Option<Vec<u8>>,
    arrives: u64,
}

/// Ends that talk all the time.
struct Talk {
    ends: [Box<dyn PacketProtection>; 2],
    flying: [Vec<Packet>; 2],
    random: SeededRandom,
    step: u64,
    messages: usize,
    refused: usize,
}

impl Talk {
    fn new(ends: [Established; 2]) -> Self {
        Self {
            ends: ends.map(|end| end.protection),
            flying: [Vec::new(), Vec::new()],
            random: SeededRandom::new(5),
            step: 0,
            messages: 0,
            refused: 0,
        }
    }

    fn now(&self) -> Instant {
        Instant::ZERO + STEP * u32::try_from(self.step).unwrap()
    }

    /// Both send a packet, some come late by a step; what comes is acknowledged at once.
    fn step(&mut self) {
        self.step += 1;
        let now = self.now();
        for from in 0..2 {
            let end = &mut self.ends[from];
            end.on_time(now, STEP / 2);
            let message = end.poll_session_message();
            self.messages += usize::from(message.is_some());
            let (number, phase) = (PacketNumber(self.step), end.key_phase());
            let mut bytes = vec![7; 32 + 40 + 16];
            end.seal(number, &mut bytes);
            let late = u64::from(self.random.next_u32().is_multiple_of(3));
            self.flying[from].push(Packet {
                number,
                phase,
                bytes,
                message,
                arrives: self.step + late,
            });
        }
        for from in 0..2 {
            let (arrived, flying): (Vec<_>, Vec<_>) = std::mem::take(&mut self.flying[from])
                .into_iter()
                .partition(|packet| packet.arrives <= self.step);
            self.flying[from] = flying;
            for packet in arrived {
                self.arrive(from, packet);
            }
        }
    }

    fn arrive(&mut self, from: usize, mut packet: Packet) {
        let to = &mut self.ends[1 - from];
        assert!(to.unmask(&mut packet.bytes));
        let opened = to.open(packet.number, packet.phase, &mut packet.bytes);
        assert_eq!(opened, Ok(40), "step {}, from {from}", self.step);
        if let Some(message) = packet.message {
            self.refused += usize::from(to.on_session_message(&message).is_err());
        }
        self.ends[from].on_acknowledged(packet.number);
    }
}

#[test]
fn ends_renew_their_keys_again_and_again_while_they_talk() {
    for with in providers() {
        let mut talk = Talk::new(connected(
            config(Some(seeded())),
            config(Some(seeded())),
            &with,
        ));
        for _ in 0..2_000 {
            talk.step();
        }
        assert_eq!(talk.refused, 0);
        // An offer and an answer for each exchange.
        assert!(talk.messages > 60, "{}", talk.messages);
        assert_eq!(talk.messages % 2, 0);
    }
}

#[test]
fn bytes_alone_make_an_exchange_due() {
    let often = SessionConfig {
        rekey_interval: STEP * 1_000_000,
        rekey_bytes: 88 * 50,
        ..config(Some(seeded()))
    };
    let mut talk = Talk::new(connected(often.clone(), often, &provider()));
    for _ in 0..20 {
        talk.step();
    }
    assert_eq!(talk.messages, 0);
    for _ in 0..80 {
        talk.step();
    }
    assert!(talk.messages >= 2);
}

#[test]
fn without_randomness_at_both_ends_there_is_no_exchange() {
    for (one, two) in [(Some(seeded()), None), (None, Some(seeded())), (None, None)] {
        let mut talk = Talk::new(connected(config(one), config(two), &provider()));
        for _ in 0..100 {
            talk.step();
        }
        assert_eq!(talk.messages, 0);
    }
}

#[derive(Default)]
struct Logged(Mutex<Vec<(Side, u64, [u8; 32])>>);

impl KeyLog for Logged {
    fn log(&self, entry: &KeyLogEntry<'_>) {
        let line = (entry.sender, entry.generation, *entry.secret);
        self.0.lock().unwrap().push(line);
    }
}

#[test]
fn who_has_all_keys_before_an_exchange_has_none_after_it() {
    let log = Arc::new(Logged::default());
    let logging = SessionConfig {
        key_log: Some(KeyLogger::new(Arc::clone(&log) as _)),
        ..config(Some(seeded()))
    };
    let mut talk = Talk::new(connected(logging, config(Some(seeded())), &provider()));
    for _ in 0..60 {
        talk.step();
    }
    assert!(talk.messages >= 2);
    let lines = log.0.lock().unwrap();
    for side in [Side::Initiator, Side::Responder] {
        let mine = lines.iter().filter(|(sender, ..)| *sender == side);
        // The last line of a generation counts.
        let secrets: std::collections::BTreeMap<_, _> = mine
            .map(|(_, generation, secret)| (*generation, *secret))
            .collect();
        let renewed = secrets
            .iter()
            .filter(|(generation, secret)| {
                let before = generation.checked_sub(1).and_then(|g| secrets.get(&g));
                before.is_some_and(|before| {
                    let before = Zeroizing::new(*before);
                    *Expander::new(&*provider(), &before).derive("ku", &[]) != **secret
                })
            })
            .count();
        assert!(renewed >= 1 && renewed < secrets.len() - 1, "{renewed}");
    }
}

/// Ends of which the first has an offer to make, and the offer.
fn offering() -> ([Box<dyn PacketProtection>; 2], Vec<u8>) {
    let ends = connected(config(Some(seeded())), config(Some(seeded())), &provider());
    let [mut one, two] = ends.map(|end| end.protection);
    one.on_time(Instant::ZERO, STEP);
    one.on_time(Instant::ZERO + STEP * 10, STEP);
    let offer = one.poll_session_message().unwrap();
    ([one, two], offer)
}

#[test]
fn a_changed_or_cut_message_ends_the_exchange_and_the_connection() {
    let ([mut one, mut two], offer) = offering();
    let malformed = Err(SessionMessageError::Malformed);
    for at in (0..offer.len()).step_by(97) {
        let mut changed = offer.clone();
        changed[at] ^= 1;
        assert_eq!(two.on_session_message(&changed), malformed, "byte {at}");
    }
    assert_eq!(two.on_session_message(&offer[..offer.len() - 1]), malformed);
    two.on_session_message(&offer).unwrap();
    let answer = two.poll_session_message().unwrap();
    for at in (0..answer.len()).step_by(97) {
        let mut changed = answer.clone();
        changed[at] ^= 1;
        assert_eq!(one.on_session_message(&changed), malformed, "byte {at}");
    }
    one.on_session_message(&answer).unwrap();
}

#[test]
fn a_message_out_of_turn_is_malformed() {
    let ([mut one, mut two], offer) = offering();
    let malformed = Err(SessionMessageError::Malformed);
    assert_eq!(one.on_session_message(&offer), malformed, "reflected");
    two.on_session_message(&offer).unwrap();
    assert_eq!(two.on_session_message(&offer), malformed, "repeated");
    let answer = two.poll_session_message().unwrap();
    assert_eq!(two.on_session_message(&answer), malformed, "reflected");
    one.on_session_message(&answer).unwrap();
    assert_eq!(one.on_session_message(&answer), malformed, "repeated");
}

#[test]
fn the_exchange_of_another_connection_is_refused() {
    let (_, offer) = offering();
    let ends = connected(
        config(Some(seeded())),
        config(Some(seeded())),
        &crate::provider::aws_lc(),
    );
    let [_, mut other] = ends.map(|end| end.protection);
    let refused = other.on_session_message(&offer);
    assert_eq!(refused, Err(SessionMessageError::Malformed));
}
