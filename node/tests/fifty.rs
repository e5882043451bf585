//! Fifty nodes on real sockets in one process, of which half die at once without a word.
//!
//! The victims live in a runtime of their own that is shut down: their tasks end where they stand, no
//! goodbye is said and no connection is closed. What a survivor sees is silence.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use dunlin_node::network::{Node, NodeOptions};
use dunlin_node::stack::Keys;
use dunlin_overlay::Event;
use dunlin_transport::driver::CarrierChoice;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};

const NODES: usize = 50;
const VICTIMS: usize = 25;
/// Broadcasts after the deaths: the first ones at once, each from another survivor.
const BROADCASTS: usize = 10;
/// What nothing here takes unless something is wrong.
const DEADLINE: Duration = Duration::from_secs(90);

/// Which node heard which payload.
type Heard = (usize, Vec<u8>);

struct Network {
    nodes: Vec<Node>,
    /// How many peers each has.
    peers: Vec<watch::Receiver<usize>>,
    heard: mpsc::Receiver<Heard>,
    // What was heard and nobody asked for yet.
    early: BTreeSet<Heard>,
}

impl Network {
    /// Starts every node: the first [`VICTIMS`] in the runtime that will be shut down. Each knows the
    /// first one and the one before it.
    fn start(victims: &Runtime, survivors: &Runtime) -> Self {
        let (tell, heard) = mpsc::channel(4_096);
        let (mut nodes, mut peers) = (Vec::<Node>::new(), Vec::new());
        for index in 0..NODES {
            let runtime = if index < VICTIMS { victims } else { survivors };
            let _inside = runtime.enter();
            let known = [nodes.first(), nodes.last()].into_iter().flatten();
            let options = NodeOptions {
                bootstrap: known
                    .map(|node| (node.address(), Some(node.id())))
                    .collect(),
                carriers: CarrierChoice::UdpOnly,
                ..NodeOptions::new((Ipv4Addr::LOCALHOST, 0).into())
            };
            let (node, mut events) = Node::start(&Keys::throwaway(), options).unwrap();
            let tell = tell.clone();
            let (count, counted) = watch::channel(0);
            peers.push(counted);
            runtime.spawn(async move {
                while let Some(event) = events.recv().await {
                    match event {
                        Event::Broadcast { payload, .. } => {
                            tell.send((index, payload.to_vec())).await.unwrap();
                        }
                        Event::PeerUp { .. } => count.send_modify(|count| *count += 1),
                        Event::PeerDown { .. } => count.send_modify(|count| *count -= 1),
                        _ => {}
                    }
                }
            });
            nodes.push(node);
        }
        Self {
            nodes,
            peers,
            heard,
            early: BTreeSet::new(),
        }
    }

    async fn broadcast(&self, from: usize, payload: &[u8]) {
        let sent = self.nodes[from].broadcast("fifty", payload).await;
        sent.expect("it runs").expect("it is sent");
    }

    /// Waits until every node of `nodes` but the origin heard the payload.
    async fn reaches(&mut self, payload: &[u8], origin: usize, nodes: std::ops::Range<usize>) {
        let mut missing: BTreeSet<_> = nodes.filter(|node| *node != origin).collect();
        missing.retain(|node| !self.early.remove(&(*node, payload.to_vec())));
        let waiting = async {
            while !missing.is_empty() {
                let (node, what) = self.heard.recv().await.unwrap();
                if what == payload {
                    missing.remove(&node);
                } else {
                    self.early.insert((node, what));
                }
            }
        };
        let done = tokio::time::timeout(DEADLINE, waiting).await;
        assert!(done.is_ok(), "{missing:?} did not hear {payload:?}");
    }

    /// Waits until each node has so many peers.
    async fn connects(&mut self, least: usize) {
        let waiting = async {
            for peers in &mut self.peers {
                peers.wait_for(|count| *count >= least).await.unwrap();
            }
        };
        let done = tokio::time::timeout(DEADLINE, waiting).await;
        assert!(done.is_ok(), "some node has fewer than {least} peers");
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn half_of_fifty_nodes_die_at_once_and_every_later_broadcast_reaches_all_survivors() {
    let (victims, survivors) = (runtime(), runtime());
    let mut network = Network::start(&victims, &survivors);
    survivors.block_on(async {
        network.connects(4).await;
        network.broadcast(7, b"all are here").await;
        network.reaches(b"all are here", 7, 0..NODES).await;
    });

    victims.shutdown_background();

    let payload = |n: usize| format!("after {n}").into_bytes();
    survivors.block_on(async {
        for n in 0..BROADCASTS {
            network.broadcast(VICTIMS + n, &payload(n)).await;
        }
        for n in 0..BROADCASTS {
            network
                .reaches(&payload(n), VICTIMS + n, VICTIMS..NODES)
                .await;
        }
        // Then, when everybody has noticed.
        network.broadcast(NODES - 1, b"later").await;
        network.reaches(b"later", NODES - 1, VICTIMS..NODES).await;
        for node in network.nodes.drain(VICTIMS..) {
            node.shutdown().await;
        }
    });
}
