//! Handshakes in somebody else's name, and tokens that are not the bearer's.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dunlin_session::{
    Identity, KeyExchange, SessionAcceptor, SessionConfig, SessionInitiator, provider,
};
use dunlin_transport::Instant;
use dunlin_transport::protect::{
    Acceptor, HandshakeError, Initiator, Random, Responder, Syn, SynDecision, Verdict,
};

use crate::rng::Rng;

const PARAMS: &[u8] = b"transport parameters";

/// A handshake with one thing wrong, chosen by `seed`; it must not succeed.
pub(super) fn run(seed: u64) -> Result<(), String> {
    let mut rng = Rng::new(seed / 6).split(0x1339);
    match seed % 6 {
        0 => other_node(&mut rng),
        1 => responder_claims(&mut rng),
        2 => initiator_claims(&mut rng),
        3 => token_elsewhere(&mut rng),
        4 => classical_exchange(&mut rng),
        _ => token_too_old(&mut rng),
    }
}

fn seed_of(rng: &mut Rng) -> [u8; 32] {
    let mut seed = [0; 32];
    rng.fill(&mut seed);
    seed
}

fn initiator(identity: Identity, wanted: &Identity, rng: &mut Rng) -> SessionInitiator {
    let wanted = Some(wanted.node_id());
    let config = SessionConfig::default();
    SessionInitiator::new(Arc::new(identity), config, provider::pure(), wanted, rng)
}

fn acceptor(identity: Identity, rng: &mut Rng) -> SessionAcceptor {
    let config = SessionConfig::default();
    SessionAcceptor::new(Arc::new(identity), config, provider::pure(), rng)
}

fn decide(
    acceptor: &SessionAcceptor,
    (now, from, under_load): (Instant, SocketAddr, bool),
    payload: &[u8],
    rng: &mut Rng,
) -> SynDecision {
    let syn = Syn {
        from,
        payload,
        under_load,
    };
    acceptor.on_syn(now, &syn, PARAMS, rng)
}

fn somewhere(rng: &mut Rng) -> SocketAddr {
    let host = u32::try_from(rng.between(1, u64::from(u32::MAX))).unwrap_or(1);
    let port = u16::try_from(rng.between(1, 65_535)).unwrap_or(1);
    SocketAddr::from((Ipv4Addr::from(host), port))
}

/// The answer of `acceptor` to the first SYN.
fn answered(
    initiator: &mut SessionInitiator,
    acceptor: &SessionAcceptor,
    rng: &mut Rng,
) -> Result<Box<dyn Responder>, String> {
    let syn = initiator.syn(PARAMS, &[]);
    let from = somewhere(rng);
    match decide(acceptor, (Instant::ZERO, from, false), &syn, rng) {
        SynDecision::Accept(responder) => Ok(responder),
        _ => Err("a genuine SYN was not accepted".to_owned()),
    }
}

/// Another node answers in its own name.
fn other_node(rng: &mut Rng) -> Result<(), String> {
    let wanted = Identity::from_seed(seed_of(rng));
    let mut one = initiator(Identity::from_seed(seed_of(rng)), &wanted, rng);
    let mut other = acceptor(Identity::from_seed(seed_of(rng)), rng);
    other.answer_for(wanted.node_id());
    let responder = answered(&mut one, &other, rng)?;
    match one.on_syn_ack(responder.syn_ack()) {
        Err(HandshakeError::Rejected(_)) => Ok(()),
        Err(error) => Err(format!("the answer of another node is final: {error}")),
        Ok(_) => Err("the answer of another node was believed".to_owned()),
    }
}

/// Another node answers in the name of the one that was wanted.
fn responder_claims(rng: &mut Rng) -> Result<(), String> {
    let wanted = Identity::from_seed(seed_of(rng));
    let mut one = initiator(Identity::from_seed(seed_of(rng)), &wanted, rng);
    let impostor = Identity::claiming(*wanted.public(), seed_of(rng));
    let responder = answered(&mut one, &acceptor(impostor, rng), rng)?;
    match one.on_syn_ack(responder.syn_ack()) {
        Err(_) => Ok(()),
        Ok(_) => Err("a responder without the key was believed".to_owned()),
    }
}

/// Somebody opens in another node's name.
fn initiator_claims(rng: &mut Rng) -> Result<(), String> {
    let (us, victim) = (Identity::from_seed(seed_of(rng)), seed_of(rng));
    let claimed = *Identity::from_seed(victim).public();
    let mut impostor = initiator(Identity::claiming(claimed, seed_of(rng)), &us, rng);
    let responder = answered(&mut impostor, &acceptor(us, rng), rng)?;
    let (confirm, _) = impostor
        .on_syn_ack(responder.syn_ack())
        .map_err(|error| error.to_string())?;
    match responder.on_confirm(&confirm) {
        Err(_) => Ok(()),
        Ok(Verdict::Accept(_) | Verdict::Refuse { .. }) => {
            Err("an initiator without the key was believed".to_owned())
        }
    }
}

/// An initiator that offers X25519 alone, to a node that wants ML-KEM beside it.
fn classical_exchange(rng: &mut Rng) -> Result<(), String> {
    let us = Identity::from_seed(seed_of(rng));
    let config = SessionConfig {
        key_exchange: KeyExchange::Classical,
        ..SessionConfig::default()
    };
    let (one, wanted) = (Identity::from_seed(seed_of(rng)), Some(us.node_id()));
    let mut one = SessionInitiator::new(Arc::new(one), config, provider::pure(), wanted, rng);
    let responder = answered(&mut one, &acceptor(us, rng), rng)?;
    let (confirm, _) = one
        .on_syn_ack(responder.syn_ack())
        .map_err(|error| error.to_string())?;
    match responder.on_confirm(&confirm) {
        Ok(Verdict::Refuse { .. }) => Ok(()),
        Ok(Verdict::Accept(_)) => Err("a classical key exchange was accepted".to_owned()),
        Err(error) => Err(format!("an honest node is told nothing: {error}")),
    }
}

/// A SYN with the token that its RETRY brought.
fn with_token(
    one: &mut SessionInitiator,
    two: &SessionAcceptor,
    now: Instant,
    from: SocketAddr,
    rng: &mut Rng,
) -> Result<Vec<u8>, String> {
    let syn = one.syn(PARAMS, &[]);
    let SynDecision::Retry(retry) = decide(two, (now, from, true), &syn, rng) else {
        return Err("no RETRY under load".to_owned());
    };
    let token = one.on_retry(&retry).map_err(|error| error.to_string())?;
    let syn = one.syn(PARAMS, &token);
    match decide(two, (now, from, true), &syn, rng) {
        SynDecision::Accept(_) => Ok(syn),
        _ => Err("a genuine token was not accepted".to_owned()),
    }
}

fn both(rng: &mut Rng) -> (SessionInitiator, SessionAcceptor) {
    let us = Identity::from_seed(seed_of(rng));
    let one = initiator(Identity::from_seed(seed_of(rng)), &us, rng);
    (one, acceptor(us, rng))
}

/// A token that was made for another address, or another port of it.
fn token_elsewhere(rng: &mut Rng) -> Result<(), String> {
    let (mut one, two) = both(rng);
    let (now, from) = (Instant::ZERO, somewhere(rng));
    let syn = with_token(&mut one, &two, now, from, rng)?;
    let mut other = from;
    match rng.below(2) {
        0 => other.set_port(from.port() ^ 1),
        _ => other.set_ip(somewhere(rng).ip()),
    }
    if other == from {
        return Ok(());
    }
    match decide(&two, (now, other, true), &syn, rng) {
        SynDecision::Accept(_) => Err("a token of another address was accepted".to_owned()),
        SynDecision::Retry(_) | SynDecision::Ignore => Ok(()),
    }
}

/// A token that has had its time.
fn token_too_old(rng: &mut Rng) -> Result<(), String> {
    let (mut one, two) = both(rng);
    let now = Instant::ZERO + Duration::from_secs(rng.between(0, 1_000));
    let from = somewhere(rng);
    let syn = with_token(&mut one, &two, now, from, rng)?;
    let least = dunlin_session::limits::TOKEN_LIFETIME.as_secs() + 1;
    let later = now + Duration::from_secs(rng.between(least, least + 100));
    match decide(&two, (later, from, true), &syn, rng) {
        SynDecision::Accept(_) => Err("a token that was too old was accepted".to_owned()),
        SynDecision::Retry(_) | SynDecision::Ignore => Ok(()),
    }
}
