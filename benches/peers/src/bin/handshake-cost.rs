//! What a handshake costs: processor time of both ends and bytes of both directions, Dunlin beside TLS 1.3
//! with mutual authentication, without sockets.
//!
//! ```text
//! cargo run --release --bin handshake-cost -- 15
//! ```
//!
//! The argument is the number of rounds. In a round every kind makes 100 handshakes, one kind after
//! the other; what is printed is the median over the rounds.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use dunlin_peers::cli::{KeyExchange, Mode};
use dunlin_peers::tls::{SERVER_NAME, client_config, server_config};
use dunlin_session::fuzzing::SeededRandom;
use dunlin_session::{
    CipherSuite, Identity, SessionAcceptor, SessionConfig, SessionInitiator, provider,
};
use dunlin_transport::protect::{Acceptor, Initiator, PacketProtection, Syn, SynDecision, Verdict};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

const HANDSHAKES: u32 = 100;
/// Header and CRC-32 of a handshake packet.
const PACKET: usize = 32 + 4;
/// The connection ID in front of SYN and SYN_ACK.
const PREFIX: usize = 4;

/// Bytes from the client and from the server.
type Bytes = [usize; 2];
type Outcome = Result<Bytes, Box<dyn Error>>;

struct Tls {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Tls {
    fn new(kx: KeyExchange) -> Self {
        Self {
            client: Arc::new(client_config(kx, Mode::Handshake)),
            server: Arc::new(server_config(kx)),
        }
    }

    /// A handshake; what travels is TLS records, without TCP and IP.
    fn shake_hands(&mut self) -> Outcome {
        let name = ServerName::try_from(SERVER_NAME)?;
        let mut client = ClientConnection::new(Arc::clone(&self.client), name)?;
        let mut server = ServerConnection::new(Arc::clone(&self.server))?;
        let mut bytes = [0, 0];
        while client.is_handshaking() || server.is_handshaking() {
            let mut flight = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut flight)?;
            }
            bytes[0] += flight.len();
            let mut rest = &flight[..];
            while !rest.is_empty() {
                server.read_tls(&mut rest)?;
                server.process_new_packets()?;
            }
            let mut flight = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut flight)?;
            }
            bytes[1] += flight.len();
            let mut rest = &flight[..];
            while !rest.is_empty() {
                client.read_tls(&mut rest)?;
                client.process_new_packets()?;
            }
        }
        Ok(bytes)
    }
}

struct Dunlin {
    one: Arc<Identity>,
    two: Arc<Identity>,
    config: SessionConfig,
    acceptor: SessionAcceptor,
    random: SeededRandom,
}

impl Dunlin {
    fn new(key_exchange: dunlin_session::KeyExchange, hybrid: bool) -> Self {
        let mut random = SeededRandom::new(1);
        let provider = provider::aws_lc();
        let mut identity = || {
            Arc::new(if hybrid {
                Identity::generate_hybrid(&mut random, &*provider)
            } else {
                Identity::generate(&mut random)
            })
        };
        let (one, two) = (identity(), identity());
        let config = SessionConfig {
            ciphers: vec![CipherSuite::Aes128Gcm],
            key_exchange,
            ..SessionConfig::default()
        };
        let (own, settings) = (Arc::clone(&two), config.clone());
        let acceptor = SessionAcceptor::new(own, settings, provider::aws_lc(), &mut random);
        Self {
            one,
            two,
            config,
            acceptor,
            random,
        }
    }

    /// A handshake, with the second proofs of hybrid identities; what travels are UDP payloads, those of the second
    /// proofs without the packets around them.
    fn shake_hands(&mut self) -> Outcome {
        let mut initiator = SessionInitiator::new(
            Arc::clone(&self.one),
            self.config.clone(),
            provider::aws_lc(),
            Some(self.two.node_id()),
            &mut self.random,
        );
        let payload = initiator.syn(&[0; 40], &[]);
        let syn = Syn {
            from: SocketAddr::from((Ipv4Addr::LOCALHOST, 7)),
            payload: &payload,
            under_load: false,
        };
        let now = dunlin_transport::Instant::ZERO;
        let decision = self.acceptor.on_syn(now, &syn, &[0; 40], &mut self.random);
        let SynDecision::Accept(half) = decision else {
            return Err("a genuine SYN is accepted".into());
        };
        let (confirm, mut one) = initiator.on_syn_ack(half.syn_ack())?;
        let Verdict::Accept(mut two) = half.on_confirm(&confirm)? else {
            return Err("everybody is welcome".into());
        };
        let mut bytes = [
            payload.len() + confirm.len() + 2 * PACKET + PREFIX,
            half.syn_ack().len() + PACKET + PREFIX,
        ];
        let tell = |from: &mut dyn PacketProtection, to: &mut dyn PacketProtection| {
            let message = from.poll_session_message().unwrap_or_default();
            match message.is_empty() {
                true => Ok(0),
                false => to.on_session_message(&message).map(|()| message.len() + 2),
            }
        };
        bytes[0] += tell(&mut *one.protection, &mut *two.protection)?;
        bytes[1] += tell(&mut *two.protection, &mut *one.protection)?;
        if one.protection.is_ready() && two.protection.is_ready() {
            Ok(bytes)
        } else {
            Err("a proof is missing".into())
        }
    }
}

/// Microseconds of processor time that this process has used.
fn used() -> Result<i64, Box<dyn Error>> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok((usage.user_time() + usage.system_time()).num_microseconds())
}

/// Microseconds of a handshake, as the mean of a round, and its bytes.
fn round(shake_hands: &mut dyn FnMut() -> Outcome) -> Result<(f64, Bytes), Box<dyn Error>> {
    let start = used()?;
    let mut bytes = [0, 0];
    for _ in 0..HANDSHAKES {
        bytes = shake_hands()?;
    }
    let micros = (used()? - start) as f64 / f64::from(HANDSHAKES);
    Ok((micros, bytes))
}

fn main() -> Result<(), Box<dyn Error>> {
    let rounds: usize = std::env::args()
        .nth(1)
        .ok_or("ROUNDS is missing")?
        .parse()?;
    let mut classical = Tls::new(KeyExchange::X25519);
    let mut hybrid = Tls::new(KeyExchange::Hybrid);
    use dunlin_session::KeyExchange::{Classical, Hybrid};
    let mut without = Dunlin::new(Classical, false);
    let mut dunlin = Dunlin::new(Hybrid, false);
    let mut proven = Dunlin::new(Hybrid, true);
    let mut kinds: [(&str, &mut dyn FnMut() -> Outcome); 5] = [
        ("TLS 1.3, X25519, Ed25519 both ways", &mut || {
            classical.shake_hands()
        }),
        ("TLS 1.3, X25519MLKEM768, Ed25519 both ways", &mut || {
            hybrid.shake_hands()
        }),
        ("Dunlin, X25519, Ed25519 both ways", &mut || {
            without.shake_hands()
        }),
        (
            "Dunlin, X25519 + ML-KEM-768, Ed25519 both ways",
            &mut || dunlin.shake_hands(),
        ),
        ("Dunlin, the same and ML-DSA-65 both ways", &mut || {
            proven.shake_hands()
        }),
    ];
    let mut times = vec![Vec::new(); kinds.len()];
    let mut sizes = vec![[0, 0]; kinds.len()];
    for _ in 0..=rounds {
        for (at, (_, shake_hands)) in kinds.iter_mut().enumerate() {
            let (micros, bytes) = round(shake_hands)?;
            times[at].push(micros);
            sizes[at] = bytes;
        }
    }
    println!(
        "| handshake | µs, both ends | against TLS hybrid | bytes of the client | of the server |"
    );
    println!("|---|---|---|---|---|");
    // The first round warms up.
    let medians: Vec<f64> = times
        .iter_mut()
        .map(|times| median(&mut times[1..]))
        .collect();
    for (at, (name, _)) in kinds.iter().enumerate() {
        let ratio = medians[at] / medians[1];
        let [client, server] = sizes[at];
        println!(
            "| {name} | {:.0} | {ratio:.2} | {client} | {server} |",
            medians[at]
        );
    }
    Ok(())
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
