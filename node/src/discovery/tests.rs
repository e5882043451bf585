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
