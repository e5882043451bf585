//! A peer under the attacker's control: it makes an honest handshake, plain or sealed, and then
//! says whatever a test wants it to say.
//!
//! Where [`crate::intruder`] plays fixed scripts from seeds, here a test holds both ends of a line
//! without delay: the victim is a production endpoint, the other end is a set of keys and a counter.
//! It is the only one of those who act on packets that holds keys: a [`crate::meddled_pair::Meddler`]
//! and the boxes of [`crate::net::byzantine`] stand outside. Nothing here judges; the tests of attacks
//! do.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use dunlin_transport::ids::reconstruct;
use dunlin_transport::plain::{PlainProtection, TRAILER_LEN};
use dunlin_transport::protect::{Flow, Initiator, PacketProtection};
use dunlin_transport::wire::ack::{self, EcnCounts};
use dunlin_transport::wire::frame::{self, Frame};
use dunlin_transport::wire::params::TransportParams;
use dunlin_transport::wire::{Flags, HEADER_LEN, Header, PacketType, extension};
use dunlin_transport::{
    Connection, ConnectionHandle, ConnectionId, Endpoint, EndpointConfig, Event, Instant,
    PacketNumber, TransportConfig,
};

use crate::profile::Profile;
use crate::rng::Rng;

/// The connection ID that the adversary asks for.
pub const OWN_ID: ConnectionId = ConnectionId(0x00ad_beef);
/// Number of the adversary's SYN.
const FIRST_NUMBER: u64 = 1_000;
/// Batches after one input that count as endless.
const BATCHES_MAX: usize = 100_000;

/// The adversary's own address.
#[must_use]
pub fn own_address() -> SocketAddr {
    SocketAddr::from(([10, 66, 6, 6], 6_666))
}

/// A packet of the plain profile: header, `payload` and CRC-32; checksums are right.
#[must_use]
pub fn plain_packet(mut header: Header, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() + TRAILER_LEN;
    header.payload_len = u32::try_from(length).unwrap_or(u32::MAX);
    let mut packet = vec![0; HEADER_LEN];
    if let Some(bytes) = packet.first_chunk_mut() {
        header.emit(bytes, 0);
    }
    packet.extend_from_slice(payload);
    packet.resize(HEADER_LEN + length, 0);
    PlainProtection.seal(PacketNumber(0), &mut packet);
    packet
}

/// Header and payload of a packet of the plain profile, its CRC-32 not checked.
#[must_use]
pub fn read_plain(packet: &[u8]) -> Option<(Header, &[u8])> {
    let header = Header::parse(packet, 0).ok()?;
    let end = HEADER_LEN.checked_add(usize::try_from(header.payload_len).ok()?)?;
    let payload = packet.get(HEADER_LEN..end.checked_sub(TRAILER_LEN)?)?;
    Some((header, payload))
}

/// A packet of the victim as the adversary opened it.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Where it was sent to.
    pub to: SocketAddr,
    /// When.
    pub at: Instant,
    /// Bytes of the packet.
    pub length: usize,
    /// Its clear header.
    pub header: Header,
    /// Its whole number.
    pub number: u64,
    /// Its body.
    pub data: Vec<u8>,
    /// Its block of frames.
    pub frames: Vec<u8>,
}

/// A victim and what talks to it.
pub struct Duel {
    /// The endpoint under attack; it has answered the adversary's handshake.
    pub victim: Endpoint,
    /// The victim's connection with the adversary, once there is one.
    pub handle: Option<ConnectionHandle>,
    /// The time.
    pub now: Instant,
    /// What the victim's application was told.
    pub events: Vec<Event>,
    /// Bytes that the victim sent to addresses, in order.
    pub sent: Vec<(SocketAddr, usize)>,
    /// The victim's connection ID.
    pub victim_id: ConnectionId,
    /// Number of the adversary's next packet.
    pub next_number: u64,
    /// The largest number heard of the victim.
    pub largest: u64,
    /// The packet that completed the handshake.
    pub confirm: Vec<u8>,
    protection: Box<dyn PacketProtection>,
}

impl Duel {
    /// The adversary opens a connection to a fresh endpoint with these settings.
    ///
    /// # Errors
    /// The step of the handshake that failed.
    pub fn new(profile: Profile, config: &EndpointConfig, seed: u64) -> Result<Self, &'static str> {
        Self::with_params(profile, config, seed, |_| {})
    }

    /// The same, and `change` says which transport parameters the adversary announces.
    ///
    /// # Errors
    /// The step of the handshake that failed.
    pub fn with_params(
        profile: Profile,
        config: &EndpointConfig,
        seed: u64,
        change: impl FnOnce(&mut TransportParams),
    ) -> Result<Self, &'static str> {
        let mut rng = Rng::new(seed);
        let victim = profile.endpoint(1, config, true, &mut rng);
        let initiator = profile.initiator(0, 1, &mut rng);
        let mut params = TransportParams::of(&TransportConfig::default(), OWN_ID);
        change(&mut params);
        Self::open(victim, initiator, &params.encode())
    }

    /// The handshake of `initiator` with `victim`; `params` travel as they are.
    ///
    /// # Errors
    /// The step of the handshake that failed.
    pub fn open(
        mut victim: Endpoint,
        mut initiator: Box<dyn Initiator>,
        params: &[u8],
    ) -> Result<Self, &'static str> {
        let now = Instant::ZERO + Duration::from_secs(1);
        let syn = initiator.syn(params, &[]);
        let mut header = Header::new(PacketType::Syn, ConnectionId::NONE);
        header.sequence = PacketNumber(FIRST_NUMBER).truncated();
        let mut payload = OWN_ID.0.to_be_bytes().to_vec();
        payload.extend_from_slice(&syn);
        victim.handle_datagram(
            now,
            own_address(),
            None,
            &mut plain_packet(header, &payload),
        );
        let mut answer = Vec::new();
        victim
            .poll_transmit(now, 1, &mut answer)
            .ok_or("the SYN was not answered")?;
        let (header, payload) = read_plain(&answer).ok_or("the answer is no SYN_ACK")?;
        let (id, session) = payload
            .split_first_chunk()
            .ok_or("the SYN_ACK is cut off")?;
        let (confirm, established) = initiator
            .on_syn_ack(session)
            .map_err(|_| "the SYN_ACK was not believed")?;
        let victim_id = ConnectionId(u32::from_be_bytes(*id));
        let mut duel = Self {
            victim,
            handle: None,
            now,
            events: Vec::new(),
            sent: Vec::new(),
            victim_id,
            next_number: FIRST_NUMBER + 2,
            largest: u64::from(header.sequence),
            confirm: Vec::new(),
            protection: established.protection,
        };
        let mut header = Header::new(PacketType::Ack, victim_id);
        header.sequence = PacketNumber(FIRST_NUMBER + 1).truncated();
        duel.confirm = plain_packet(header, &confirm);
        let confirm = duel.confirm.clone();
        duel.deliver(own_address(), &confirm);
        duel.drain();
        Ok(duel)
    }

    /// The victim's connection.
    #[must_use]
    pub fn connection(&self) -> Option<&Connection> {
        self.victim.connection(self.handle?)
    }

    /// The same, to call it.
    pub fn connection_mut(&mut self) -> Option<&mut Connection> {
        self.victim.connection_mut(self.handle?)
    }

    /// A header to the victim with everything else zero and a window of no news.
    #[must_use]
    pub const fn header(&self, kind: PacketType) -> Header {
        Header::new(kind, self.victim_id)
    }

    /// The packet number `number`, sealed with the session's keys.
    #[must_use]
    pub fn packet(
        &mut self,
        number: u64,
        mut header: Header,
        data: &[u8],
        frames: &[u8],
    ) -> Vec<u8> {
        let number = PacketNumber(number);
        header.sequence = number.truncated();
        header.flags = header
            .flags
            .with_if(self.protection.is_sealed(), Flags::SEALED)
            .with_if(self.protection.key_phase(), Flags::KEY_PHASE)
            .with_if(!frames.is_empty(), Flags::EXTENSION);
        let mut packet = vec![0; HEADER_LEN];
        packet.extend_from_slice(data);
        if !frames.is_empty() {
            packet.extend_from_slice(frames);
            let length = u16::try_from(frames.len()).unwrap_or(u16::MAX);
            packet.extend_from_slice(&length.to_be_bytes());
        }
        packet.resize(packet.len() + self.protection.trailer_len(), 0);
        header.payload_len = u32::try_from(packet.len() - HEADER_LEN).unwrap_or(u32::MAX);
        let salt = self.protection.checksum_salt(Flow::Outgoing);
        if let Some(bytes) = packet.first_chunk_mut() {
            header.emit(bytes, salt);
        }
        self.protection.seal(number, &mut packet);
        packet
    }

    /// The next packet in order, not yet delivered.
    #[must_use]
    pub fn next_packet(&mut self, header: Header, data: &[u8], frames: &[u8]) -> Vec<u8> {
        let number = self.next_number;
        self.next_number += 1;
        self.packet(number, header, data, frames)
    }

    /// Sends the next packet.
    pub fn send(&mut self, header: Header, data: &[u8], frames: &[u8]) {
        let packet = self.next_packet(header, data, frames);
        self.deliver(own_address(), &packet);
    }

    /// Sends frames that need no body.
    pub fn send_frames(&mut self, frames: &[Frame<'_>]) {
        let mut block = Vec::new();
        for frame in frames {
            frame.emit(&mut block);
        }
        self.send(self.header(PacketType::Ack), &[], &block);
    }

    /// Acknowledges `ranges`, highest first, whatever was heard.
    pub fn acknowledge(&mut self, ranges: &[RangeInclusive<u64>], ecn: Option<EcnCounts>) {
        let Some(largest) = ranges.first().map(|range| *range.end()) else {
            return;
        };
        let (mut value, mut block) = (Vec::new(), Vec::new());
        ack::encode(&mut value, Duration::ZERO, ranges, ecn);
        frame::write_ack(&mut block, &value);
        let mut header = self.header(PacketType::Ack);
        header.flags = Flags::ACK;
        header.acknowledgment = PacketNumber(largest).truncated();
        self.send(header, &[], &block);
    }

    /// Hands bytes to the victim as a datagram from `from`.
    pub fn deliver(&mut self, from: SocketAddr, bytes: &[u8]) {
        let mut copy = bytes.to_vec();
        self.victim.handle_datagram(self.now, from, None, &mut copy);
        self.take_events();
    }

    /// Takes everything that the victim has to send now and opens it.
    pub fn drain(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        let mut buffer = Vec::new();
        for _ in 0..BATCHES_MAX {
            let Some(transmit) = self.victim.poll_transmit(self.now, 64, &mut buffer) else {
                break;
            };
            let segment = transmit.segment_size.unwrap_or(transmit.size).max(1);
            for datagram in buffer.chunks_mut(segment) {
                self.sent.push((transmit.destination, datagram.len()));
                self.hear(transmit.destination, datagram, &mut heard);
            }
        }
        self.take_events();
        heard
    }

    /// Lets time pass; the victim's timers go off when they are due.
    pub fn advance(&mut self, duration: Duration) -> Vec<Heard> {
        let end = self.now + duration;
        let mut heard = self.drain();
        while let Some(at) = self.victim.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.victim.handle_timeout(self.now);
            heard.extend(self.drain());
        }
        self.now = end;
        heard
    }

    fn hear(&mut self, to: SocketAddr, mut datagram: &mut [u8], heard: &mut Vec<Heard>) {
        while !datagram.is_empty() && self.protection.unmask(datagram) {
            let salt = self.protection.checksum_salt(Flow::Incoming);
            let Ok(header) = Header::parse(datagram, salt) else {
                return;
            };
            let length = usize::try_from(header.payload_len).unwrap_or(usize::MAX);
            let length = HEADER_LEN.saturating_add(length);
            let Some((packet, rest)) = datagram.split_at_mut_checked(length) else {
                return;
            };
            datagram = rest;
            let number = reconstruct(header.sequence, self.largest.saturating_add(1));
            let phase = header.flags.contains(Flags::KEY_PHASE);
            let Ok(opened) = self.protection.open(PacketNumber(number), phase, packet) else {
                continue;
            };
            self.largest = self.largest.max(number);
            let payload = packet.get(HEADER_LEN..HEADER_LEN + opened).unwrap_or(&[]);
            let (data, frames) = if header.flags.contains(Flags::EXTENSION) {
                extension::split(payload).unwrap_or((payload, &[]))
            } else {
                (payload, &[][..])
            };
            heard.push(Heard {
                to,
                at: self.now,
                length,
                header,
                number,
                data: data.to_vec(),
                frames: frames.to_vec(),
            });
        }
    }

    fn take_events(&mut self) {
        while let Some((handle, event)) = self.victim.poll_event() {
            self.handle.get_or_insert(handle);
            self.events.push(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_session::CipherSuite;

    #[test]
    fn an_adversary_is_heard_and_hears() {
        for profile in [Profile::Plain, Profile::Sealed(CipherSuite::Aes128Gcm)] {
            let mut duel = Duel::new(profile, &EndpointConfig::default(), 1).unwrap();
            assert!(duel.connection().unwrap().is_established());
            let mut header = duel.header(PacketType::Ping);
            header.window = 1;
            duel.send(header, &7u64.to_be_bytes(), &[]);
            let heard = duel.drain();
            let pong = heard.iter().find(|it| it.header.kind == PacketType::Pong);
            assert_eq!(pong.unwrap().data[..8], 7u64.to_be_bytes());
        }
    }
}
