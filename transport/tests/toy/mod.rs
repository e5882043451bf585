//! A session layer that is no secret: a tag that everybody could compute and nobody here forges by
//! chance. It has the shape of a sealed profile, so that the rules for sealed packets hold, and its
//! packets can be written by hand.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use dunlin_transport::connection::state::State;
use dunlin_transport::protect::{
    Acceptor, Established, Flow, HandshakeError, Initiator, OpenError, PacketProtection, Random,
    Responder, Syn, SynDecision, Verdict,
};
use dunlin_transport::wire::reset::ResetToken;
use dunlin_transport::wire::{Flags, HEADER_LEN, Header, PacketType};
use dunlin_transport::{
    CloseReason, Connection, ConnectionHandle, ConnectionId, Endpoint, EndpointConfig, Event,
    Instant, PacketNumber, Side, Stats,
};

const TAG_LEN: usize = 16;
const SALT: u32 = 0x5ea1;
/// Keys of what the initiator and the responder seal.
const KEYS: [u8; 2] = [10, 20];
/// Number of the first packet that is written by hand: above any that was sent before.
const FIRST_BY_HAND: u32 = 5_000;

fn tag(key: u8, packet: &[u8]) -> [u8; TAG_LEN] {
    let mut tag = [0; TAG_LEN];
    for (round, four) in tag.chunks_mut(4).enumerate() {
        let mut keyed = vec![key, u8::try_from(round).expect("four rounds")];
        keyed.extend_from_slice(packet);
        four.copy_from_slice(&crc32fast::hash(&keyed).to_be_bytes());
    }
    tag
}

/// A packet with this key's tag.
pub(crate) fn sealed(key: u8, mut header: Header, body: &[u8]) -> Vec<u8> {
    header.flags = header.flags.with(Flags::SEALED);
    header.payload_len = u32::try_from(body.len() + TAG_LEN).expect("a short body");
    let mut packet = vec![0; HEADER_LEN];
    header.emit(packet.first_chunk_mut().expect("a header's room"), SALT);
    packet.extend_from_slice(body);
    let tag = tag(key, &packet);
    packet.extend(tag);
    packet
}

/// A packet with a CRC, as before the handshake.
pub(crate) fn plain(mut header: Header, body: &[u8]) -> Vec<u8> {
    header.payload_len = u32::try_from(body.len() + 4).expect("a short body");
    let mut packet = vec![0; HEADER_LEN];
    header.emit(packet.first_chunk_mut().expect("a header's room"), 0);
    packet.extend_from_slice(body);
    packet.extend(crc32fast::hash(&packet).to_be_bytes());
    packet
}

/// Forgeries after which a connection has to end.
pub(crate) const FORGERIES_MAX: u32 = 10_000;

struct Protection {
    seals: u8,
    opens: u8,
    forgeries: u32,
}

impl PacketProtection for Protection {
    fn trailer_len(&self) -> usize {
        TAG_LEN
    }

    fn is_sealed(&self) -> bool {
        true
    }

    fn checksum_salt(&self, _: Flow) -> u32 {
        SALT
    }

    fn seal_unmasked(&mut self, _: PacketNumber, packet: &mut [u8]) {
        let (body, trailer) = packet.split_last_chunk_mut::<TAG_LEN>().expect("room");
        *trailer = tag(self.seals, body);
    }

    fn open(&mut self, _: PacketNumber, _: bool, packet: &mut [u8]) -> Result<usize, OpenError> {
        let (body, trailer) = packet
            .split_last_chunk::<TAG_LEN>()
            .ok_or(OpenError::Mismatch)?;
        if *trailer == tag(self.opens, body) {
            return Ok(body.len() - HEADER_LEN);
        }
        self.forgeries += 1;
        if self.forgeries < FORGERIES_MAX {
            Err(OpenError::Mismatch)
        } else {
            Err(OpenError::IntegrityLimit)
        }
    }
}

fn established(payload: &[u8], [seals, opens]: [u8; 2]) -> Result<Established, HandshakeError> {
    let params = payload
        .split_first()
        .and_then(|(length, rest)| rest.get(..usize::from(*length)))
        .ok_or(HandshakeError::Rejected("cut off"))?;
    Ok(Established {
        protection: Box::new(Protection {
            seals,
            opens,
            forgeries: 0,
        }),
        peer_params: params.to_vec(),
        peer: Arc::new(()),
        peer_name: None,
    })
}

fn framed(params: &[u8]) -> Vec<u8> {
    let mut out = vec![u8::try_from(params.len()).expect("at most 128")];
    out.extend_from_slice(params);
    out
}

struct Toy;

impl Initiator for Toy {
    fn syn(&mut self, params: &[u8], _: &[u8]) -> Vec<u8> {
        let mut out = framed(params);
        out.resize(200, 0);
        out
    }

    fn on_retry(&self, _: &[u8]) -> Result<Vec<u8>, HandshakeError> {
        Err(HandshakeError::Rejected("no retries here"))
    }

    fn on_syn_ack(&self, payload: &[u8]) -> Result<(Vec<u8>, Established), HandshakeError> {
        Ok((b"confirm".to_vec(), established(payload, KEYS)?))
    }
}

impl Acceptor for Toy {
    fn on_syn(&self, _: Instant, syn: &Syn<'_>, params: &[u8], _: &mut dyn Random) -> SynDecision {
        SynDecision::Accept(Box::new(Half {
            syn: syn.payload.to_vec(),
            syn_ack: framed(params),
        }))
    }

    fn reset_token(&self, _: SocketAddr, _: ConnectionId) -> Option<ResetToken> {
        None
    }
}

struct Half {
    syn: Vec<u8>,
    syn_ack: Vec<u8>,
}

impl Responder for Half {
    fn syn_ack(&self) -> &[u8] {
        &self.syn_ack
    }

    fn is_same_syn(&self, payload: &[u8]) -> bool {
        self.syn == payload
    }

    fn on_confirm(&self, payload: &[u8]) -> Result<Verdict, HandshakeError> {
        if payload != b"confirm" {
            return Err(HandshakeError::Rejected("another message"));
        }
        let [ours, theirs] = KEYS;
        Ok(Verdict::Accept(established(&self.syn, [theirs, ours])?))
    }
}

struct Counter(u32);

impl Random for Counter {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
            *byte = self.0.to_be_bytes()[0];
        }
    }
}

const INITIATOR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 1);
const RESPONDER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 2);

/// One endpoint with one connection, and what its peer could send.
pub(crate) struct Scene {
    endpoint: Endpoint,
    handle: ConnectionHandle,
    peer_address: SocketAddr,
    pub(crate) now: Instant,
    pub(crate) victim_cid: ConnectionId,
    pub(crate) peer_key: u8,
    pub(crate) next_number: u32,
}

fn endpoint(answers: bool) -> Endpoint {
    let mut config = EndpointConfig::default();
    config.transport.first_packet_number = Some(100);
    Endpoint::new(
        config,
        Box::new(Counter(if answers { 5 } else { 9 })),
        answers.then(|| Box::new(Toy) as _),
    )
}

fn next(endpoint: &mut Endpoint) -> Option<Vec<u8>> {
    let mut buf = Vec::new();
    endpoint
        .poll_transmit(Instant::ZERO, 1, &mut buf)
        .map(|_| buf)
}

/// The connection ID that the sender of a SYN or SYN_ACK wants to receive.
fn announced(packet: &[u8]) -> ConnectionId {
    let bytes = packet[HEADER_LEN..].first_chunk().expect("four bytes");
    ConnectionId(u32::from_be_bytes(*bytes))
}

impl Scene {
    /// An initiator whose SYN was sent.
    pub(crate) fn opening() -> Self {
        let mut initiator = endpoint(false);
        let handle = initiator.connect(Instant::ZERO, RESPONDER, Box::new(Toy));
        let handle = handle.expect("a good address");
        let syn = next(&mut initiator).expect("a SYN");
        Self {
            endpoint: initiator,
            handle,
            peer_address: RESPONDER,
            now: Instant::ZERO,
            victim_cid: announced(&syn),
            peer_key: KEYS[1],
            next_number: FIRST_BY_HAND,
        }
    }

    /// The end of an established connection on this side, with everything acknowledged at the
    /// initiator and nothing yet at the responder.
    pub(crate) fn established(side: Side) -> Self {
        let mut initiator = endpoint(false);
        let mut responder = endpoint(true);
        let handle = initiator.connect(Instant::ZERO, RESPONDER, Box::new(Toy));
        let handle = handle.expect("a good address");
        let mut syn = next(&mut initiator).expect("a SYN");
        let initiator_cid = announced(&syn);
        responder.handle_datagram(Instant::ZERO, INITIATOR, None, &mut syn);
        let mut syn_ack = next(&mut responder).expect("a SYN_ACK");
        let responder_cid = announced(&syn_ack);
        initiator.handle_datagram(Instant::ZERO, RESPONDER, None, &mut syn_ack);
        let mut accepted = None;
        for _ in 0..10 {
            while let Some(mut packet) = next(&mut initiator) {
                responder.handle_datagram(Instant::ZERO, INITIATOR, None, &mut packet);
            }
            while let Some((handle, _)) = responder.poll_event() {
                accepted = Some(handle);
            }
            while let Some(mut packet) = next(&mut responder) {
                initiator.handle_datagram(Instant::ZERO, RESPONDER, None, &mut packet);
            }
        }
        let initiates = side == Side::Initiator;
        let mut scene = Self {
            peer_address: if initiates { RESPONDER } else { INITIATOR },
            victim_cid: if initiates {
                initiator_cid
            } else {
                responder_cid
            },
            peer_key: KEYS[usize::from(initiates)],
            handle: if initiates {
                handle
            } else {
                accepted.expect("the responder has accepted")
            },
            endpoint: if initiates { initiator } else { responder },
            now: Instant::ZERO,
            next_number: FIRST_BY_HAND,
        };
        scene.drain();
        scene
    }

    pub(crate) fn victim(&mut self) -> &mut Connection {
        let connection = self.endpoint.connection_mut(self.handle);
        connection.expect("it is not released")
    }

    pub(crate) fn state(&self) -> State {
        let connection = self.endpoint.connection(self.handle);
        connection.expect("it is not released").state()
    }

    pub(crate) fn stats(&self) -> Stats {
        let connection = self.endpoint.connection(self.handle);
        connection.expect("it is not released").stats()
    }

    /// The packet comes from the peer's address; the next one will have another number.
    pub(crate) fn hand_over(&mut self, mut packet: Vec<u8>) {
        self.next_number += 1;
        self.endpoint
            .handle_datagram(self.now, self.peer_address, None, &mut packet);
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.endpoint.poll_event().map(|(_, event)| event)).collect()
    }

    /// Sends what may leave now; the types of the packets.
    pub(crate) fn transmit(&mut self) -> Vec<PacketType> {
        let mut kinds = Vec::new();
        while let Some(datagram) = next(&mut self.endpoint) {
            let mut rest = datagram.as_slice();
            while let Some(head) = rest.first_chunk::<HEADER_LEN>() {
                let header = Header::parse(head, SALT).or_else(|_| Header::parse(head, 0));
                let header = header.expect("what is sent can be read");
                kinds.push(header.kind);
                let length = HEADER_LEN + usize::try_from(header.payload_len).expect("short");
                rest = rest.get(length..).expect("the length is right");
            }
        }
        kinds
    }

    pub(crate) fn drain(&mut self) {
        self.events();
        self.transmit();
        // Closed connections are no longer routed after this.
        self.endpoint.poll_timeout();
    }
}

/// A reason in a word.
pub(crate) fn short(reason: &CloseReason) -> String {
    let text = format!("{reason:?}");
    text.chars().take_while(char::is_ascii_alphabetic).collect()
}

/// The name of a type as documents write it.
pub(crate) fn name(kind: PacketType) -> &'static str {
    match kind {
        PacketType::Syn => "SYN",
        PacketType::SynAck => "SYN_ACK",
        PacketType::Ack => "ACK",
        PacketType::Fin => "FIN",
        PacketType::FinAck => "FIN_ACK",
        PacketType::Rst => "RST",
        PacketType::Data => "DATA",
        PacketType::Ping => "PING",
        PacketType::Pong => "PONG",
        PacketType::Fragment => "FRAGMENT",
        PacketType::FragmentAck => "FRAGMENT_ACK",
        PacketType::Nack => "NACK",
    }
}
