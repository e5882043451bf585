//! Nodes on loopback sockets.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;

use super::*;

fn start(bootstrap: Option<&Node>) -> (Node, mpsc::Receiver<Event>) {
    let options = NodeOptions {
        bootstrap: bootstrap
            .map(|node| (node.address(), None))
            .into_iter()
            .collect(),
        ..NodeOptions::new((Ipv4Addr::LOCALHOST, 0).into())
    };
    Node::start(&Keys::throwaway(), options).unwrap()
}

async fn until<T>(events: &mut mpsc::Receiver<Event>, pick: impl Fn(&Event) -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = pick(&events.recv().await.expect("the node runs")) {
                return found;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .expect("it happens in time")
}

fn up(event: &Event) -> Option<NodeId> {
    match event {
        Event::PeerUp { peer } => Some(*peer),
        _ => None,
    }
}

#[tokio::test]
async fn a_broadcast_reaches_a_node_that_is_two_hops_away() {
    let (first, mut first_events) = start(None);
    let (second, mut second_events) = start(Some(&first));
    assert_eq!(until(&mut first_events, up).await, second.id());
    assert_eq!(until(&mut second_events, up).await, first.id());
    let (third, mut third_events) = start(Some(&second));
    until(&mut third_events, up).await;

    let id = third.broadcast("topic", b"hello").await.unwrap().unwrap();
    let heard = until(&mut first_events, |event| match event {
        Event::Broadcast {
            id,
            origin,
            payload,
            ..
        } => Some((*id, *origin, payload.clone())),
        _ => None,
    });
    assert_eq!(heard.await, (id, third.id(), Bytes::from_static(b"hello")));
    assert!(first.stats().await.connected >= 1);
    for node in [first, second, third] {
        node.shutdown().await;
    }
}

#[tokio::test]
async fn a_goodbye_is_heard_by_the_peer() {
    let (first, mut first_events) = start(None);
    let (second, mut second_events) = start(Some(&first));
    until(&mut first_events, up).await;
    until(&mut second_events, up).await;
    let leaving = second.id();
    second.shutdown().await;
    let gone = until(&mut first_events, |event| match event {
        Event::PeerDown { peer, .. } => Some(*peer),
        _ => None,
    });
    assert_eq!(gone.await, leaving);
    first.shutdown().await;
}
