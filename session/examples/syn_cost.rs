//! What an endpoint does for a SYN, to be counted by an instruction counter:
//!
//! ```text
//! valgrind --tool=callgrind target/debug/examples/syn_cost KIND COUNT
//! ```
//!
//! KIND is `exchange` (a valid SYN that is answered with a key exchange), `retry` (one that has to
//! prove its address), `wrong` (one whose first check fails), `garbage` (1,400 random bytes) or
//! `data` (a full packet, sealed and opened). The difference of two runs with different COUNT is the
//! work of the difference, making the input included for `data` only.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use dunlin_session::fuzzing::SeededRandom;
use dunlin_session::{
    CipherSuite, Identity, SessionAcceptor, SessionConfig, SessionInitiator, provider,
};
use dunlin_transport::protect::{Acceptor, Initiator, Random, Syn, SynDecision, Verdict};
use dunlin_transport::{Endpoint, EndpointConfig, Instant, PacketNumber};

/// UDP payload of a full packet.
const PACKET_LEN: usize = 1_344;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().ok_or("KIND is missing")?;
    let count: u32 = arguments.next().ok_or("COUNT is missing")?.parse()?;
    let done = match kind.as_str() {
        "data" => data(count)?,
        "exchange" | "retry" | "wrong" | "garbage" => syns(&kind, count)?,
        _ => return Err("KIND is exchange, retry, wrong, garbage or data".into()),
    };
    println!("{kind}: {done} of {count} answered");
    Ok(())
}

fn config() -> SessionConfig {
    SessionConfig {
        ciphers: vec![CipherSuite::Aes128Gcm],
        ..SessionConfig::default()
    }
}

fn acceptor(random: &mut SeededRandom) -> SessionAcceptor {
    let identity = Arc::new(Identity::from_seed([2; 32]));
    SessionAcceptor::new(identity, config(), provider::aws_lc(), random)
}

fn initiator(random: &mut SeededRandom) -> SessionInitiator {
    let identity = Arc::new(Identity::from_seed([1; 32]));
    SessionInitiator::new(identity, config(), provider::aws_lc(), None, random)
}

/// Hands one SYN over `count` times, from as many addresses.
fn syns(kind: &str, count: u32) -> Result<u32, Box<dyn std::error::Error>> {
    let mut random = SeededRandom::new(1);
    let mut settings = EndpointConfig::default();
    settings.half_open_under_load = if kind == "retry" { 0 } else { usize::MAX };
    let acceptor = Box::new(acceptor(&mut random));
    let mut server = Endpoint::new(settings, Box::new(SeededRandom::new(2)), Some(acceptor));
    let mut client = Endpoint::new(
        EndpointConfig::default(),
        Box::new(SeededRandom::new(3)),
        None,
    );
    let to: SocketAddr = (Ipv4Addr::new(192, 0, 2, 1), 4_600).into();
    client.connect(Instant::ZERO, to, Box::new(initiator(&mut random)))?;
    let mut syn = Vec::new();
    client
        .poll_transmit(Instant::ZERO, 1, &mut syn)
        .ok_or("a SYN is due")?;
    match kind {
        // Of another network, with checksums that are right.
        "wrong" => syn = other_network(&mut random)?,
        "garbage" => {
            syn = vec![0; 1_400];
            random.fill(&mut syn);
        }
        _ => {}
    }
    let (mut answered, mut out) = (0, Vec::new());
    let mut copy = Vec::new();
    for number in 0..count {
        let from = (Ipv4Addr::from(0x0a00_0000 + (number << 8)), 4_000).into();
        copy.clone_from(&syn);
        // Slowly enough for the budget.
        let now = Instant::ZERO + std::time::Duration::from_millis(u64::from(number));
        server.handle_datagram(now, from, None, &mut copy);
        while server.poll_transmit(now, 1, &mut out).is_some() {
            answered += 1;
        }
    }
    Ok(answered)
}

fn other_network(random: &mut SeededRandom) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let network = SessionConfig {
        network: "another".to_owned(),
        ..config()
    };
    let identity = Arc::new(Identity::from_seed([1; 32]));
    let initiator = SessionInitiator::new(identity, network, provider::aws_lc(), None, random);
    let mut client = Endpoint::new(
        EndpointConfig::default(),
        Box::new(SeededRandom::new(3)),
        None,
    );
    let to: SocketAddr = (Ipv4Addr::new(192, 0, 2, 1), 4_600).into();
    client.connect(Instant::ZERO, to, Box::new(initiator))?;
    let mut syn = Vec::new();
    client
        .poll_transmit(Instant::ZERO, 1, &mut syn)
        .ok_or("a SYN is due")?;
    Ok(syn)
}

/// Seals and opens `count` full packets.
fn data(count: u32) -> Result<u32, Box<dyn std::error::Error>> {
    let mut random = SeededRandom::new(1);
    let acceptor = acceptor(&mut random);
    let mut initiator = initiator(&mut random);
    let payload = initiator.syn(&[0; 40], &[]);
    let syn = Syn {
        from: (Ipv4Addr::LOCALHOST, 7).into(),
        payload: &payload,
        under_load: false,
    };
    let SynDecision::Accept(half) = acceptor.on_syn(Instant::ZERO, &syn, &[0; 40], &mut random)
    else {
        return Err("a genuine SYN is accepted".into());
    };
    let (confirm, mut sender) = initiator.on_syn_ack(half.syn_ack())?;
    let Verdict::Accept(mut receiver) = half.on_confirm(&confirm)? else {
        return Err("everybody is welcome".into());
    };
    let mut opened = 0;
    for number in 0..count {
        let mut packet = vec![0; PACKET_LEN];
        let number = PacketNumber(u64::from(number));
        sender.protection.seal(number, &mut packet);
        let unmasked = receiver.protection.unmask(&mut packet);
        let result = receiver.protection.open(number, false, &mut packet);
        opened += u32::from(unmasked && result.is_ok());
    }
    Ok(opened)
}
