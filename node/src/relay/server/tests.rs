//! The relay on loopback sockets.

use tokio::net::UdpSocket;

use super::*;
use crate::relay::Shares;

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

async fn relay_to(target: &UdpSocket, path: PathConfig) -> Relay {
    let to = target.local_addr().unwrap();
    Relay::start(RelayConfig {
        listen: loopback(),
        to,
        path,
        rebind_every: None,
    })
    .await
    .unwrap()
}

async fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2_048];
    let deadline = Duration::from_secs(10);
    let (len, from) = tokio::time::timeout(deadline, socket.recv_from(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    (buffer[..len].to_vec(), from)
}

#[tokio::test]
async fn relays_both_ways_and_keeps_clients_apart() {
    let target = UdpSocket::bind(loopback()).await.unwrap();
    let relay = relay_to(&target, PathConfig::default()).await;
    let one = UdpSocket::bind(loopback()).await.unwrap();
    let two = UdpSocket::bind(loopback()).await.unwrap();

    one.send_to(b"from one", relay.local_addr()).await.unwrap();
    let (packet, one_seen) = receive(&target).await;
    assert_eq!(packet, b"from one");
    two.send_to(b"from two", relay.local_addr()).await.unwrap();
    let (packet, two_seen) = receive(&target).await;
    assert_eq!(packet, b"from two");
    assert_ne!(one_seen, two_seen);

    target.send_to(b"to two", two_seen).await.unwrap();
    target.send_to(b"to one", one_seen).await.unwrap();
    assert_eq!(
        receive(&two).await,
        (b"to two".to_vec(), relay.local_addr())
    );
    assert_eq!(
        receive(&one).await,
        (b"to one".to_vec(), relay.local_addr())
    );

    let counters = relay.stop().await;
    assert_eq!((counters.clients, counters.forward.delivered), (2, 2));
}

#[tokio::test]
async fn rebinding_changes_the_port_the_target_sees_and_the_way_back_follows() {
    let target = UdpSocket::bind(loopback()).await.unwrap();
    let relay = relay_to(&target, PathConfig::default()).await;
    let client = UdpSocket::bind(loopback()).await.unwrap();

    client.send_to(b"before", relay.local_addr()).await.unwrap();
    let (_, before) = receive(&target).await;
    relay.rebind().await;
    client.send_to(b"after", relay.local_addr()).await.unwrap();
    let (packet, after) = receive(&target).await;
    assert_eq!(packet, b"after");
    assert_ne!(before, after);

    target.send_to(b"answer", after).await.unwrap();
    assert_eq!(receive(&client).await.0, b"answer");
    assert_eq!(relay.stop().await.rebinds, 1);
}

#[tokio::test]
async fn rebinds_by_itself_on_its_period() {
    let target = UdpSocket::bind(loopback()).await.unwrap();
    let to = target.local_addr().unwrap();
    let relay = Relay::start(RelayConfig {
        listen: loopback(),
        to,
        path: PathConfig::default(),
        rebind_every: Some(Duration::from_millis(20)),
    })
    .await
    .unwrap();
    let client = UdpSocket::bind(loopback()).await.unwrap();
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 3 {
        client.send_to(b"x", relay.local_addr()).await.unwrap();
        seen.insert(receive(&target).await.1);
    }
    assert!(relay.counters().await.rebinds >= 2);
}

#[tokio::test]
async fn loses_exactly_the_packets_its_seed_says() {
    let shares = Shares {
        loss: "30%".parse().unwrap(),
        ..Default::default()
    };
    let path = PathConfig {
        shares,
        seed: 7,
        ..Default::default()
    };
    let expected: Vec<u8> =
        crate::relay::decisions::Decisions::new(7, 0, Direction::Forward, shares)
            .zip(0..100_u8)
            .filter(|(fate, _)| !fate.lost)
            .map(|(_, number)| number)
            .collect();
    assert!(expected.len() > 50 && expected.len() < 90);

    let target = UdpSocket::bind(loopback()).await.unwrap();
    let relay = relay_to(&target, path).await;
    let client = UdpSocket::bind(loopback()).await.unwrap();
    for number in 0..100_u8 {
        client.send_to(&[number], relay.local_addr()).await.unwrap();
    }
    let mut arrived = Vec::new();
    while arrived.len() < expected.len() {
        arrived.extend(receive(&target).await.0);
    }
    assert_eq!(arrived, expected);
    assert_eq!(relay.stop().await.forward.lost, 100 - expected.len() as u64);
}

#[tokio::test]
async fn refuses_one_client_too_many() {
    let target = UdpSocket::bind(loopback()).await.unwrap();
    let relay = relay_to(&target, PathConfig::default()).await;
    let mut clients = Vec::new();
    for _ in 0..=CLIENTS_MAX {
        let client = UdpSocket::bind(loopback()).await.unwrap();
        client.send_to(b"x", relay.local_addr()).await.unwrap();
        if clients.len() < CLIENTS_MAX {
            receive(&target).await;
        }
        clients.push(client);
    }
    // A known client still gets through, behind the refused one on the same socket.
    clients[0]
        .send_to(b"again", relay.local_addr())
        .await
        .unwrap();
    assert_eq!(receive(&target).await.0, b"again");
    let counters = relay.stop().await;
    assert_eq!(
        (counters.clients, counters.clients_refused),
        (CLIENTS_MAX as u64, 1)
    );
}

#[tokio::test]
async fn reports_a_port_in_use() {
    let taken = UdpSocket::bind(loopback()).await.unwrap();
    let listen = taken.local_addr().unwrap();
    let config = RelayConfig {
        listen,
        to: listen,
        path: PathConfig::default(),
        rebind_every: None,
    };
    let error = Relay::start(config).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}
