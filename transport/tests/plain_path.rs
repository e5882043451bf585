//! In the plain profile a connection does not migrate (`docs/wire.md` W-PTH-3): an end whose address
//! has changed finds out by silence.

use std::net::SocketAddr;

use dunlin_transport::plain::{PlainAcceptor, PlainInitiator, PlainProtection};
use dunlin_transport::protect::{PacketProtection, Random};
use dunlin_transport::wire::{HEADER_LEN, Header, PacketType};
use dunlin_transport::{ConnectionId, Endpoint, EndpointConfig, Instant, PacketNumber};

/// A counter is random enough where only difference matters.
struct Counter(u32);

impl Random for Counter {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
            *byte = self.0.to_be_bytes()[0];
        }
    }
}

const SERVER: ([u8; 4], u16) = ([10, 0, 0, 2], 2);
const BEFORE: ([u8; 4], u16) = ([10, 0, 0, 1], 1);
const AFTER: ([u8; 4], u16) = ([10, 0, 0, 1], 9);

fn sent(endpoint: &mut Endpoint, now: Instant) -> Vec<(SocketAddr, Vec<u8>)> {
    let (mut out, mut buf) = (Vec::new(), Vec::new());
    while let Some(transmit) = endpoint.poll_transmit(now, 1, &mut buf) {
        out.push((transmit.destination, buf.clone()));
    }
    out
}

/// PINGs were answered where they came from, so an end that had moved lived on for ever by its
/// probes, while everything that acknowledged its data went to the old address.
#[test]
fn a_ping_from_another_address_is_not_answered() {
    let first = 1_000;
    let mut config = EndpointConfig::default();
    config.transport.first_packet_number = Some(first);
    let mut client = Endpoint::new(config.clone(), Box::new(Counter(1)), None);
    let acceptor = Box::new(PlainAcceptor::new());
    let mut server = Endpoint::new(config, Box::new(Counter(2)), Some(acceptor));
    let now = Instant::ZERO;
    client
        .connect(now, SERVER.into(), Box::new(PlainInitiator::new()))
        .expect("a good address");
    let mut server_cid = None;
    for _ in 0..10 {
        for (_, mut datagram) in sent(&mut client, now) {
            server.handle_datagram(now, BEFORE.into(), None, &mut datagram);
        }
        for (_, mut datagram) in sent(&mut server, now) {
            let announced = datagram[HEADER_LEN..]
                .first_chunk()
                .map(|id| u32::from_be_bytes(*id));
            server_cid = server_cid.or(announced);
            client.handle_datagram(now, SERVER.into(), None, &mut datagram);
        }
    }
    let cid = ConnectionId(server_cid.expect("the SYN_ACK names it"));
    let mut from_where = |from: SocketAddr, sequence: u32| {
        let mut header = Header::new(PacketType::Ping, cid);
        header.sequence = sequence;
        header.payload_len = 12;
        let mut packet = vec![0; HEADER_LEN + 12];
        header.emit(packet.first_chunk_mut().expect("room"), 0);
        PlainProtection.seal(PacketNumber(0), &mut packet);
        server.handle_datagram(now, from, None, &mut packet);
        let answers = sent(&mut server, now).into_iter();
        answers.map(|(to, _)| to).collect::<Vec<_>>()
    };
    assert!(from_where(BEFORE.into(), first + 10).contains(&BEFORE.into()));
    let elsewhere = from_where(AFTER.into(), first + 11);
    assert!(!elsewhere.contains(&AFTER.into()), "{elsewhere:?}");
}
