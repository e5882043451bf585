//! The key log of a whole handshake, and of the key updates that follow.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dunlin_session::fuzzing::SeededRandom;
use dunlin_session::{
    Identity, KeyLog, KeyLogEntry, KeyLogger, SessionAcceptor, SessionConfig, SessionInitiator,
    provider,
};
use dunlin_transport::protect::{
    Acceptor, Established, Flow, Initiator, PacketProtection, Syn, SynDecision, Verdict,
};
use dunlin_transport::wire::params::TransportParams;
use dunlin_transport::wire::{Flags, HEADER_LEN, Header, PacketType};
use dunlin_transport::{ConnectionId, Instant, PacketNumber, TransportConfig};

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl Lines {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("works in a test"))
    }
}

impl KeyLog for Lines {
    fn log(&self, entry: &KeyLogEntry<'_>) {
        self.0
            .lock()
            .expect("works in a test")
            .push(entry.to_string());
    }
}

const INITIATOR_CID: ConnectionId = ConnectionId(0x1111_1111);
const RESPONDER_CID: ConnectionId = ConnectionId(0x2222_2222);

fn config(log: Option<&Arc<Lines>>) -> SessionConfig {
    SessionConfig {
        key_update_packets: 1,
        key_log: log.map(|log| KeyLogger::new(Arc::clone(log) as Arc<dyn KeyLog>)),
        ..SessionConfig::default()
    }
}

fn params(cid: ConnectionId) -> Vec<u8> {
    TransportParams::of(&TransportConfig::default(), cid).encode()
}

/// Both ends after a handshake.
fn handshake(logs: [Option<&Arc<Lines>>; 2]) -> [Established; 2] {
    let mut random = SeededRandom::new(1);
    let identities = [0, 1].map(|_| Arc::new(Identity::generate(&mut random)));
    let [alice, bob] = identities;
    let pure = provider::pure();
    let (to, ours) = (Some(bob.node_id()), config(logs[0]));
    let mut initiator = SessionInitiator::new(alice, ours, Arc::clone(&pure), to, &mut random);
    let acceptor = SessionAcceptor::new(bob, config(logs[1]), pure, &mut random);
    let syn = initiator.syn(&params(INITIATOR_CID), &[]);
    let syn = Syn {
        from: "192.0.2.1:4000".parse().expect("works in a test"),
        payload: &syn,
        under_load: false,
    };
    let decision = acceptor.on_syn(Instant::ZERO, &syn, &params(RESPONDER_CID), &mut random);
    let SynDecision::Accept(responder) = decision else {
        panic!("a genuine SYN")
    };
    let (confirm, at_alice) = initiator
        .on_syn_ack(responder.syn_ack())
        .expect("works in a test");
    let Verdict::Accept(at_bob) = responder.on_confirm(&confirm).expect("works in a test") else {
        panic!("everybody is welcome")
    };
    [at_alice, at_bob]
}

/// The sender of each line, with its generation.
fn labels(lines: &[String]) -> BTreeSet<&str> {
    lines
        .iter()
        .filter_map(|line| line.split(' ').next())
        .collect()
}

#[test]
fn both_ends_log_the_same_secrets_under_the_same_name() {
    let logs = [Arc::new(Lines::default()), Arc::new(Lines::default())];
    handshake([Some(&logs[0]), Some(&logs[1])]);
    let [initiator, responder] = logs.map(|log| log.take());
    for lines in [&initiator, &responder] {
        for line in lines {
            let fields: Vec<_> = line.split(' ').collect();
            assert_eq!(fields.len(), 3, "{line}");
            assert_eq!(fields[1], "1111111122222222");
            assert_eq!(fields[2].len(), 64);
        }
    }
    // What comes is prepared for one update ahead.
    assert_eq!(
        labels(&initiator),
        BTreeSet::from([
            "DUNLIN_INITIATOR_SECRET_0",
            "DUNLIN_RESPONDER_SECRET_0",
            "DUNLIN_RESPONDER_SECRET_1"
        ])
    );
    let first = |lines: &[String]| -> BTreeSet<String> {
        let first = lines.iter().filter(|line| line.contains("_0 "));
        first.cloned().collect()
    };
    assert_eq!(first(&initiator), first(&responder));
    assert_eq!(first(&initiator).len(), 2, "one secret for each direction");
}

#[test]
fn a_key_update_logs_the_next_generation_once() {
    let log = Arc::new(Lines::default());
    let [mut alice, mut bob] = handshake([Some(&log), None]);
    log.take();
    let (alice, bob) = (&mut *alice.protection, &mut *bob.protection);
    for number in 0..3 {
        pass(alice, bob, number);
        pass(bob, alice, number);
        for end in [&mut *alice, &mut *bob] {
            end.on_acknowledged(PacketNumber(number));
            let later = Instant::ZERO + Duration::from_secs(number + 1);
            end.on_time(later, Duration::from_millis(1));
        }
    }
    let lines = log.take();
    let sent = labels(&lines);
    assert!(sent.contains("DUNLIN_INITIATOR_SECRET_1"), "{sent:?}");
    assert_eq!(sent.len(), lines.len(), "each once");
}

#[test]
fn nobody_logs_by_default() {
    assert!(SessionConfig::default().key_log.is_none());
}

/// Sends a packet from one end to the other.
fn pass(from: &mut dyn PacketProtection, to: &mut dyn PacketProtection, number: u64) {
    let mut header = Header::new(PacketType::Ping, RESPONDER_CID);
    header.sequence = PacketNumber(number).truncated();
    header.payload_len = 24;
    header.flags = Flags::SEALED.with_if(from.key_phase(), Flags::KEY_PHASE);
    let mut packet = vec![0; HEADER_LEN + 24];
    let start = packet.first_chunk_mut().expect("works in a test");
    header.emit(start, from.checksum_salt(Flow::Outgoing));
    from.seal(PacketNumber(number), &mut packet);
    assert!(to.unmask(&mut packet));
    let seen = Header::parse(&packet, to.checksum_salt(Flow::Incoming)).expect("works in a test");
    let phase = seen.flags.contains(Flags::KEY_PHASE);
    assert_eq!(to.open(PacketNumber(number), phase, &mut packet), Ok(8));
}
