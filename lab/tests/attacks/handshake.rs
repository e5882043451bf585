//! Attacks on handshakes: floods, amplification, downgrade, forged confirmations.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use dunlin_lab::adversary::{Duel, own_address, plain_packet, read_plain};
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::Rng;
use dunlin_session::provider::pure;
use dunlin_session::{CipherSuite, CryptoProvider, NodeId, PeerInfo};
use dunlin_transport::protect::Random;
use dunlin_transport::wire::{HEADER_LEN, Header, MAGIC, PacketType, VERSION, version};
use dunlin_transport::{
    ConnectionId, Endpoint, EndpointConfig, Event, Instant, TransportConfig,
    wire::params::TransportParams,
};

use crate::line::{Line, pattern};
use crate::times;

const SEALED: Profile = Profile::Sealed(CipherSuite::Aes128Gcm);
/// Where the content of a SYN and its mac1 end, behind the 4 bytes of the transport.
const MAC1_AT: usize = 1_340;

fn stranger(n: usize) -> SocketAddr {
    let [_, a, b, c] = u32::try_from(n).unwrap_or(0).to_be_bytes();
    SocketAddr::from(([172, a, b, c], 1_024))
}

/// A genuine SYN of node 0 to node 1, as a datagram.
fn genuine_syn(seed: u64, own: ConnectionId) -> Vec<u8> {
    let mut initiator = SEALED.initiator(0, 1, &mut Rng::new(seed));
    let params = TransportParams::of(&TransportConfig::default(), own).encode();
    let mut payload = own.0.to_be_bytes().to_vec();
    payload.extend_from_slice(&initiator.syn(&params, &[]));
    plain_packet(Header::new(PacketType::Syn, ConnectionId::NONE), &payload)
}

fn server(seed: u64) -> Endpoint {
    SEALED.endpoint(1, &EndpointConfig::default(), true, &mut Rng::new(seed))
}

/// The same SYN under another connection ID: what a flooder makes of one that he has.
fn renamed(syn: &[u8], id: u32) -> Vec<u8> {
    let (header, payload) = read_plain(syn).expect("a SYN");
    let mut payload = payload.to_vec();
    payload[..4].copy_from_slice(&id.to_be_bytes());
    plain_packet(header, &payload)
}

/// Attack T4: SYNs with a valid mac1 from ever new addresses. The table stops growing, every answer
/// beyond is a RETRY, and a genuine client still gets in at once.
#[test]
fn a_client_connects_in_the_middle_of_a_syn_flood() {
    let config = EndpointConfig::default();
    let mut line = Line::new(SEALED, &config, 21, 20_000);
    let syn = genuine_syn(1, ConnectionId(77));
    // The flood fills the table before the client's SYN arrives, and goes on.
    let flood = times(5_000);
    for n in 0..flood {
        let id = u32::try_from(n + 1).expect("small");
        let mut packet = renamed(&syn, id);
        let received = packet.len();
        line.ends[1].handle_datagram(line.now, stranger(n), None, &mut packet);
        let mut answer = Vec::new();
        let sent = line.ends[1].poll_transmit(line.now, 1, &mut answer);
        let sent = sent.map_or(0, |transmit| transmit.size);
        assert!(sent <= received, "{sent} bytes for {received}");
        if line.ends[1].half_open_count() >= config.half_open_under_load && n > 300 {
            assert!(sent < 120, "a RETRY is short");
        }
    }
    assert_eq!(line.ends[1].half_open_count(), config.half_open_under_load);
    line.run(Duration::from_secs(5), |_, _| {});
    assert_eq!(line.read, pattern(20_000));
    // SYN, RETRY, SYN, SYN_ACK: two round trips of 20 ms, and the transfer.
    let finished = line.finished_at.expect("the transfer is over");
    assert!(
        finished < Instant::ZERO + Duration::from_millis(400),
        "{finished:?}"
    );
}

/// Attack T4: the place of a half-open handshake is free again when its time is over.
#[test]
fn a_flood_leaves_nothing_behind() {
    let mut server = server(2);
    let syn = genuine_syn(1, ConnectionId(77));
    for n in 0..400 {
        let mut packet = renamed(&syn, u32::try_from(n + 1).expect("small"));
        server.handle_datagram(Instant::ZERO, stranger(n), None, &mut packet);
    }
    let late = Instant::ZERO + TransportConfig::default().handshake_timeout;
    server.handle_timeout(late);
    assert_eq!(server.half_open_count(), 0);
    assert_eq!(server.connection_count(), 0);
}

/// Something a stranger may send: SYNs whole, cut, tampered with and renamed, other versions,
/// replies, confirm messages, noise.
fn anything(rng: &mut Rng, syns: &[Vec<u8>], overheard: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = match rng.below(8) {
        0 => rng.pick(syns).cloned().expect("there are some"),
        1 => {
            let syn = rng.pick(syns).expect("there are some");
            renamed(syn, rng.next_u32())
        }
        2 => {
            let mut bytes = rng.pick(syns).cloned().expect("there are some");
            bytes[1] = u8::try_from(rng.below(256)).unwrap_or(0);
            bytes
        }
        3 => rng.pick(overheard).cloned().unwrap_or_default(),
        4 => {
            let kind = *rng.pick(&PacketType::ALL).expect("types");
            let mut header = Header::new(kind, ConnectionId(rng.next_u32()));
            if let Some((other, _)) = rng.pick(overheard).and_then(|it| read_plain(it)) {
                header.connection_id = other.connection_id;
            }
            plain_packet(header, &[0; 346])
        }
        5 => {
            let mut bytes = rng.pick(syns).cloned().expect("there are some");
            bytes[1] = 5;
            version::reply(&bytes).map_or(bytes, |reply| reply.to_vec())
        }
        6 => {
            let length = usize::try_from(rng.below(1_400)).unwrap_or(0);
            let mut bytes = vec![0; length];
            rng.fill(&mut bytes);
            bytes.splice(0..length.min(2), [MAGIC, VERSION].into_iter().take(length));
            bytes
        }
        _ => vec![MAGIC; usize::try_from(rng.below(40)).unwrap_or(0)],
    };
    if rng.below(4) == 0 && !bytes.is_empty() {
        let length = usize::try_from(rng.below(bytes.len() as u64)).unwrap_or(0);
        bytes.truncate(length);
    }
    bytes
}

/// Attack T3: whatever strangers send in whatever order, at each step an address that has proven
/// nothing was sent no more bytes than came from it.
#[test]
fn no_schedule_of_strangers_is_amplified() {
    let mut server = server(3);
    let mut rng = Rng::new(9);
    let syns: Vec<Vec<u8>> = (0..6)
        .map(|seed| genuine_syn(seed, ConnectionId(900 + u32::try_from(seed).unwrap_or(0))))
        .collect();
    let mut ledger: BTreeMap<SocketAddr, (usize, usize)> = BTreeMap::new();
    let mut overheard: Vec<Vec<u8>> = Vec::new();
    let mut now = Instant::ZERO;
    for _ in 0..times(20_000) {
        let from = stranger(usize::try_from(rng.below(40)).unwrap_or(0));
        let mut bytes = anything(&mut rng, &syns, &overheard);
        ledger.entry(from).or_default().0 += bytes.len();
        server.handle_datagram(now, from, None, &mut bytes);
        if rng.below(50) == 0 {
            now = now + Duration::from_millis(rng.below(4_000));
            server.handle_timeout(now);
        }
        let mut answer = Vec::new();
        while let Some(transmit) = server.poll_transmit(now, 8, &mut answer) {
            let entry = ledger.entry(transmit.destination).or_default();
            entry.1 += transmit.size;
            assert!(entry.1 <= entry.0, "{} sent for {}", entry.1, entry.0);
            overheard.truncate(50);
            overheard.insert(0, answer.clone());
        }
    }
    assert!(
        ledger.values().any(|(_, sent)| *sent > 10_000),
        "some were answered"
    );
    assert_eq!(server.connection_count(), 0, "nobody completed a handshake");
}

/// Attack T3, T2: only the confirm message that was believed is answered when it comes again, and
/// only while the peer may be waiting for that answer.
#[test]
fn a_forged_confirm_message_makes_an_endpoint_send_nothing() {
    let mut duel = Duel::new(SEALED, &EndpointConfig::default(), 6).expect("a handshake");
    for length in [0usize, 1, 100, 345, 346, 347, 1_300] {
        let forged = plain_packet(duel.header(PacketType::Ack), &vec![0; length]);
        duel.deliver(own_address(), &forged);
        duel.deliver(stranger(1), &forged);
        assert!(duel.drain().is_empty(), "{length} bytes made it speak");
    }
    let confirm = duel.confirm.clone();
    duel.deliver(own_address(), &confirm);
    assert_eq!(duel.drain().len(), 1, "its own answer may have been lost");
    let largest = duel.largest;
    duel.acknowledge(&[largest..=largest], None);
    duel.drain();
    duel.deliver(own_address(), &confirm);
    assert!(duel.drain().is_empty(), "the peer has heard");
}

/// Attack T2, reflection: two endpoints that are made to talk to each other do not go on for ever.
#[test]
fn two_endpoints_cannot_be_set_on_each_other() {
    let mut ends = [server(4), server(5)];
    let addresses = [stranger(1), stranger(2)];
    let mut first = genuine_syn(1, ConnectionId(5));
    first[1] = 9;
    let mut rng = Rng::new(3);
    let mut messages = vec![
        first.clone(),
        version::reply(&first).expect("a reply").to_vec(),
    ];
    messages.extend((0..50).map(|_| anything(&mut rng, &[genuine_syn(2, ConnectionId(6))], &[])));
    for message in messages {
        let mut flying = vec![(0, message)];
        let mut hops = 0;
        while let Some((to, mut bytes)) = flying.pop() {
            hops += 1;
            assert!(hops < 10, "they answer each other without end");
            ends[to].handle_datagram(Instant::ZERO, addresses[1 - to], None, &mut bytes);
            let mut answer = Vec::new();
            while ends[to]
                .poll_transmit(Instant::ZERO, 1, &mut answer)
                .is_some()
            {
                flying.push((1 - to, answer.clone()));
            }
        }
    }
}

/// mac1 of a SYN (rule S-HS-1), which anybody who knows the node ID can compute.
fn repair_mac1(payload: &mut [u8], responder: &NodeId) {
    let provider: std::sync::Arc<dyn CryptoProvider> = pure();
    let network = provider.sha256(&[b"dunlin network v1", b"dunlin"]);
    let key = provider.sha256(&[b"dunlin mac1 v1", &network, responder.as_bytes()]);
    let mac = provider.hmac_sha256(&key, &[&payload[4..4 + MAC1_AT]]);
    payload[4 + MAC1_AT..].copy_from_slice(&mac[..16]);
}

/// Attack T15: somebody on the path changes the offer and repairs mac1 and CRC. The responder
/// believes the SYN; the initiator does not believe the answer, and gets through once he is gone.
#[test]
fn a_changed_offer_completes_no_handshake() {
    let profile = Profile::Sealed(CipherSuite::ChaCha20Poly1305);
    let node = dunlin_session::Identity::from_seed(seed_of(1)).node_id();
    for (at, value) in [(0usize, 0u8), (1, 9), (2, 3), (3, 0xff), (3, 3), (4, 1)] {
        let mut line = Line::new(profile, &EndpointConfig::default(), 12, 500);
        line.begins = true;
        let mut answered = 0;
        line.run(Duration::from_secs(9), |scene, out| {
            let Some((header, payload)) = read_plain(&scene.next.bytes) else {
                return;
            };
            if header.kind == PacketType::Syn && scene.passed.is_empty() {
                let mut payload = payload.to_vec();
                payload[4 + at] = value;
                repair_mac1(&mut payload, &node);
                out.push(crate::line::Datagram {
                    bytes: plain_packet(header, &payload),
                    ..scene.next.clone()
                });
            }
            answered += usize::from(header.kind == PacketType::SynAck);
        });
        assert_eq!(line.read, pattern(500), "the genuine SYN got through");
        assert!(answered >= 1);
        assert_eq!(cipher(&line, 0), Some(CipherSuite::ChaCha20Poly1305));
    }
}

/// As `dunlin_lab::profile` seeds its nodes.
fn seed_of(node: u64) -> [u8; 32] {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&node.to_be_bytes());
    seed
}

fn cipher(line: &Line, end: usize) -> Option<CipherSuite> {
    let connection = line.ends[end].connection(line.handles[end]?)?;
    let peer = connection.peer()?.downcast_ref::<PeerInfo>()?;
    Some(peer.cipher)
}

/// Attack T10: connections are counted; who comes when all places are taken is not answered.
#[test]
fn connections_beyond_the_limit_are_not_answered() {
    let mut config = EndpointConfig::default();
    config.max_connections = 1;
    let mut duel = Duel::new(SEALED, &config, 7).expect("the first gets in");
    let mut syn = genuine_syn(5, ConnectionId(1));
    duel.victim
        .handle_datagram(duel.now, stranger(3), None, &mut syn);
    duel.drain();
    assert!(duel.sent.iter().all(|(to, _)| *to == own_address()));
    assert_eq!(duel.victim.connection_count(), 1);
    assert_eq!(duel.victim.half_open_count(), 0);
}

/// Attack T15: a list of versions is a hint for an error text; the handshake goes on.
#[test]
fn a_forged_version_list_ends_nothing() {
    let mut line = Line::new(SEALED, &EndpointConfig::default(), 13, 500);
    line.run(Duration::from_secs(5), |scene, out| {
        let bytes = &scene.next.bytes;
        if bytes.len() < HEADER_LEN {
            return;
        }
        let mut list = vec![0; HEADER_LEN + 3];
        (list[0], list[2]) = (MAGIC, PacketType::SynAck as u8);
        list[4..8].copy_from_slice(&bytes[4..8]);
        list[28..32].copy_from_slice(&bytes[28..32]);
        list[HEADER_LEN..].copy_from_slice(&[2, 3, 4]);
        out.push(crate::line::Datagram {
            bytes: list,
            ..scene.next.clone()
        });
    });
    assert_eq!(line.read, pattern(500));
    let connected = line.ends[0].connection(line.handles[0].expect("a handle"));
    assert!(connected.is_some_and(dunlin_transport::Connection::is_established));
    assert!(!matches!(
        line.ends[0].poll_event(),
        Some((_, Event::Closed(_)))
    ));
}
