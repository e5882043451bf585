//! Nodes on loopback sockets.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use dunlin_overlay::saved::BanSubject;

use super::*;
use crate::store::{StoreReader, StoryFilter};

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

/// A node with the store at `path`.
fn with_store(keys: &Keys, path: &std::path::Path) -> (Node, mpsc::Receiver<Event>) {
    let (store, saved, _) = Store::open(path, unix_millis()).unwrap();
    let options = NodeOptions {
        memory: Some(Memory {
            store: Arc::new(store),
            saved,
        }),
        ..NodeOptions::new((Ipv4Addr::LOCALHOST, 0).into())
    };
    Node::start(keys, options).unwrap()
}

#[tokio::test]
async fn what_a_node_did_is_known_to_the_next_one_with_its_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dunlin.db");
    let keys = Keys::throwaway();
    let (node, mut events) = with_store(&keys, &path);
    let (other, mut other_events) = start(Some(&node));
    until(&mut events, up).await;
    until(&mut other_events, up).await;
    other.broadcast("topic", b"hello").await.unwrap().unwrap();
    let heard = |event: &Event| matches!(event, Event::Broadcast { .. }).then_some(());
    until(&mut events, heard).await;
    let (subject, hour) = (BanSubject::Peer(other.id()), Duration::from_secs(3_600));
    let ban = move |overlay: &mut Overlay, now| overlay.ban(now, subject, hour, "too loud");
    assert_eq!(node.with_overlay(ban).await, Some(true));
    assert!(node.flush().await, "it is on the disk");
    // Without a goodbye, as far as a task can end so.
    drop(node);

    let (node, _events) = with_store(&keys, &path);
    let known = node.with_overlay(|overlay, _| (overlay.saved_bans(), overlay.stats().seen));
    let (bans, seen) = known.await.unwrap();
    let bans: Vec<_> = bans.iter().map(|ban| (ban.subject, &*ban.reason)).collect();
    assert_eq!(bans, [(subject, "too loud")]);
    assert_eq!(seen, 1, "what was delivered is not delivered again");
    let reader = StoreReader::open(&path).unwrap();
    let of_bans = StoryFilter {
        peer: Some(other.id()),
        kind: Some("ban".into()),
        ..StoryFilter::default()
    };
    let story = reader.story(&of_bans).unwrap();
    assert_eq!(story.len(), 1, "told once, not at each start: {story:?}");
    assert!(story[0].words.ends_with(": too loud"), "{story:?}");
}

#[tokio::test]
async fn a_node_without_a_store_has_nothing_on_the_disk() {
    let (node, _events) = start(None);
    assert!(!node.flush().await);
    assert!(node.store().is_none());
}
