//! Discovery by DNS against a name server that the test runs on loopback.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use dunlin_overlay::{Event, PeerSource, sign_record};
use simple_dns::rdata::{A, RData, TXT};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, ResourceRecord, TYPE};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::*;
use crate::clock::unix_millis;
use crate::network::{Node, NodeOptions};
use crate::stack::Keys;

/// What the name server says about every name it is asked for.
#[derive(Clone, Default)]
struct Zone {
    addresses: Vec<Ipv4Addr>,
    texts: Vec<Vec<String>>,
}

/// Runs a name server until the test ends.
async fn name_server(zone: Zone) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2_048];
        loop {
            let (len, from) = socket.recv_from(&mut buffer).await.unwrap();
            let answer = answer(&zone, &buffer[..len]);
            socket.send_to(&answer, from).await.unwrap();
        }
    });
    address
}

fn answer(zone: &Zone, question: &[u8]) -> Vec<u8> {
    let asked = Packet::parse(question).unwrap();
    let mut reply = Packet::new_reply(asked.id());
    reply.set_flags(PacketFlag::RECURSION_AVAILABLE | PacketFlag::AUTHORITATIVE_ANSWER);
    for question in &asked.questions {
        let name = Name::new(&question.qname.to_string()).unwrap().into_owned();
        let data: Vec<RData<'_>> = match question.qtype {
            QTYPE::TYPE(TYPE::A) => zone
                .addresses
                .iter()
                .map(|&ip| RData::A(A { address: ip.into() }))
                .collect(),
            QTYPE::TYPE(TYPE::TXT) => zone.texts.iter().map(|text| txt(text)).collect(),
            _ => Vec::new(),
        };
        let records = data
            .into_iter()
            .map(|data| ResourceRecord::new(name.clone(), CLASS::IN, 300, data));
        reply.answers.extend(records);
        reply.questions.push(question.clone());
    }
    reply.build_bytes_vec().unwrap()
}

fn txt(strings: &[String]) -> RData<'_> {
    let text = strings
        .iter()
        .fold(TXT::new(), |text, string| text.with_string(string).unwrap());
    RData::TXT(text)
}

fn node() -> (Keys, Node, mpsc::Receiver<Event>) {
    let keys = Keys::throwaway();
    let options = NodeOptions::new(([127, 0, 0, 1], 0).into());
    let (node, events) = Node::start(&keys, options).unwrap();
    (keys, node, events)
}

/// Waits until a node has a peer.
async fn peer_of(events: &mut mpsc::Receiver<Event>) -> NodeId {
    loop {
        if let Event::PeerUp { peer } = events.recv().await.unwrap() {
            return peer;
        }
    }
}

fn discover(node: &Node, port: u16, server: SocketAddr) -> Discovery {
    node.discover(DiscoveryOptions {
        dns_seeds: vec![format!("seed.example:{port}").parse().unwrap()],
        name_servers: vec![server],
        lan: false,
    })
}

#[tokio::test]
async fn a_node_finds_its_first_peer_by_an_address_in_dns() {
    let (_, first, _first_events) = node();
    let (_, second, mut events) = node();
    let zone = Zone {
        addresses: vec![Ipv4Addr::LOCALHOST],
        ..Zone::default()
    };
    let server = name_server(zone).await;
    let _discovery = discover(&second, first.address().port(), server);
    assert_eq!(peer_of(&mut events).await, first.id());
    let source = second.with_overlay(move |overlay, _| {
        let peer = overlay.peers().next();
        peer.map(|peer| peer.source)
    });
    assert_eq!(source.await, Some(Some(PeerSource::Hint(HintSource::Dns))));
}

#[tokio::test]
async fn a_node_finds_its_first_peer_by_a_signed_record_in_dns() {
    let (keys, first, _first_events) = node();
    let (_, second, mut events) = node();
    let places = [first.address()];
    let record = sign_record(keys.identity(), "dunlin", &places, unix_millis());
    let mut forged = record.clone();
    *forged.last_mut().unwrap() ^= 1;
    let zone = Zone {
        texts: vec![
            vec!["v=spf1 -all".to_owned()],
            strings_of(&forged),
            strings_of(&record),
        ],
        ..Zone::default()
    };
    let server = name_server(zone).await;
    let _discovery = discover(&second, 1, server);
    assert_eq!(peer_of(&mut events).await, first.id());
}

#[tokio::test]
async fn a_seed_that_says_nothing_gives_nothing() {
    let server = name_server(Zone::default()).await;
    let resolver = dns::resolver(&[server]).unwrap();
    let seed = "seed.example:1".parse().unwrap();
    assert!(dns::ask(&resolver, &seed).await.found.is_empty());
    let zone = Zone {
        addresses: (1..=40).map(|n| Ipv4Addr::new(192, 0, 2, n)).collect(),
        ..Zone::default()
    };
    let server = name_server(zone).await;
    let found = dns::ask(&dns::resolver(&[server]).unwrap(), &seed)
        .await
        .found;
    let distinct: BTreeMap<_, _> = found.iter().map(|f| (format!("{f:?}"), ())).collect();
    assert_eq!((found.len(), distinct.len()), (32, 32));
}

/// A port at which datagrams to the group of multicast DNS come back over loopback; `None` where the
/// system does not carry them.
fn multicast_port() -> Option<u16> {
    use socket2::{Domain, Protocol, Socket, Type};
    let group = Ipv4Addr::new(224, 0, 0, 251);
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).ok()?;
    let any: SocketAddr = (Ipv4Addr::UNSPECIFIED, 0).into();
    socket.bind(&any.into()).ok()?;
    socket
        .join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)
        .ok()?;
    socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).ok()?;
    socket.set_multicast_loop_v4(true).ok()?;
    let patience = std::time::Duration::from_secs(2);
    socket.set_read_timeout(Some(patience)).ok()?;
    let socket = std::net::UdpSocket::from(socket);
    let port = socket.local_addr().ok()?.port();
    socket.send_to(b"is anybody there?", (group, port)).ok()?;
    let mut buffer = [0; 64];
    socket.recv_from(&mut buffer).ok().map(|_| port)
}

/// Two nodes on loopback, with sockets of multicast DNS at a port that nobody else has.
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_find_each_other_by_multicast_on_real_sockets() {
    let Some(port) = multicast_port() else {
        eprintln!("skipped: this system carries no multicast over loopback");
        return;
    };
    let (_, first, mut first_events) = node();
    let (_, second, mut second_events) = node();
    let search = |node: &Node| {
        let seeker = Seeker {
            node: node.handle(),
            id: node.id(),
            listen: node.address(),
        };
        tokio::spawn(lan::search(seeker, port))
    };
    let _searches = [search(&first), search(&second)];
    let meeting = async {
        (
            peer_of(&mut first_events).await,
            peer_of(&mut second_events).await,
        )
    };
    let limit = std::time::Duration::from_secs(60);
    let met = tokio::time::timeout(limit, meeting).await;
    assert_eq!(met, Ok((second.id(), first.id())));
    let mut sources = Vec::new();
    for node in [&first, &second] {
        let of = node.with_overlay(|overlay, _| overlay.peers().next().map(|of| of.source));
        sources.push(of.await.flatten());
    }
    // One of them has dialled, or both have.
    let by_lan = Some(PeerSource::Hint(HintSource::Lan));
    assert!(sources.contains(&by_lan), "{sources:?}");
}
