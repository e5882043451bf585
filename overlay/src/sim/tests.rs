//! Whole networks: convergence, broadcast, crash, simultaneous dials, goodbyes, replay.

use std::collections::BTreeSet;

use super::*;
use crate::{DisconnectReason, PeerState, StateReason};

const SECOND: Duration = Duration::from_secs(1);

/// Whether every running node has at least four running peers and the network is one piece.
fn converged(sim: &Sim) -> bool {
    let alive = sim.alive();
    let has_enough = |&node: &usize| {
        let peers = sim.nodes[node].overlay.peers();
        let running = peers
            .filter(|peer| peer.state == PeerState::Connected)
            .filter(|peer| alive.iter().any(|&other| sim.nodes[other].id == peer.id));
        running.count() >= 4
    };
    alive.iter().all(has_enough) && is_one_piece(sim)
}

/// Whether every running node reaches every other over connected peers.
fn is_one_piece(sim: &Sim) -> bool {
    let alive = sim.alive();
    let index = |id: NodeId| alive.iter().copied().find(|&n| sim.nodes[n].id == id);
    let mut reached = BTreeSet::from([alive[0]]);
    let mut frontier = vec![alive[0]];
    while let Some(node) = frontier.pop() {
        for peer in sim.nodes[node]
            .overlay
            .peers()
            .filter(|p| p.state == PeerState::Connected)
        {
            if let Some(peer) = index(peer.id).filter(|&peer| reached.insert(peer)) {
                frontier.push(peer);
            }
        }
    }
    reached.len() == alive.len()
}

fn broadcast(sim: &mut Sim, node: usize, payload: &str) {
    sim.with(node, |overlay, now| {
        let unix_millis = START_MILLIS + now.as_nanos() / 1_000_000;
        overlay
            .broadcast(now, unix_millis, "news", payload.as_bytes())
            .unwrap();
    });
}

/// Every running node but the origin has `payload` exactly once, from the right origin.
fn assert_delivered_once(sim: &Sim, origin: usize, payload: &str) {
    for node in sim.alive() {
        let copies: Vec<_> = sim
            .broadcasts_at(node)
            .into_iter()
            .filter(|(_, p)| p == payload)
            .collect();
        let expected = usize::from(node != origin);
        assert_eq!(copies.len(), expected, "{payload} at node {node}");
        assert!(
            copies.iter().all(|&(of, _)| of == sim.nodes[origin].id),
            "{payload} at {node}"
        );
    }
}

#[test]
fn fifty_nodes_converge_from_one_bootstrap_and_a_broadcast_reaches_each_once() {
    for seed in 0..3 {
        let mut sim = Sim::star_of_one_bootstrap(seed, 50, &config());
        let took = sim.run_until(60 * SECOND, converged);
        for (origin, payload) in [(0, "from the bootstrap"), (17, "from a leaf"), (49, "last")] {
            broadcast(&mut sim, origin, payload);
        }
        sim.run_for(5 * SECOND);
        for (origin, payload) in [(0, "from the bootstrap"), (17, "from a leaf"), (49, "last")] {
            assert_delivered_once(&sim, origin, payload);
        }
        let stats: Vec<_> = sim.nodes.iter().map(|node| node.overlay.stats()).collect();
        assert!(
            stats
                .iter()
                .all(|s| s.violations == 0 && s.dropped_for_rate == 0)
        );
        assert!(stats.iter().all(|s| s.connected <= 32), "max_peers holds");
        let copies: u64 = stats
            .iter()
            .map(|s| s.broadcasts_received + s.broadcasts_duplicate)
            .sum();
        println!("seed {seed}: converged in {took:?}, {copies} copies for 3 × 49 deliveries");
    }
}

#[test]
fn survivors_of_a_silent_crash_of_half_the_nodes_receive_later_broadcasts() {
    for seed in 7..10 {
        let mut sim = Sim::star_of_one_bootstrap(seed, 50, &config());
        sim.run_until(60 * SECOND, converged);
        sim.run_for(60 * SECOND);
        for node in 0..25 {
            sim.kill(node);
        }
        let took = sim.run_until(180 * SECOND, converged);
        broadcast(&mut sim, 30, "after the crash");
        sim.run_for(5 * SECOND);
        assert_delivered_once(&sim, 30, "after the crash");
        println!("seed {seed}: every survivor has four living peers again after {took:?}");
    }
}

#[test]
fn same_seed_gives_the_same_trace_and_another_seed_another() {
    let run = |seed| {
        let mut sim = Sim::star_of_one_bootstrap(seed, 20, &config());
        sim.run_for(30 * SECOND);
        broadcast(&mut sim, 3, "hello");
        sim.run_for(5 * SECOND);
        sim.trace_hash()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn simultaneous_dials_collapse_to_one_link_without_losing_the_peer() {
    for seed in 0..20 {
        let mut sim = Sim::new(seed);
        let (a, b) = (sim.add(config()), sim.add(config()));
        sim.with(a, |overlay, now| {
            overlay.add_bootstrap(now, address_of(b), None).unwrap();
        });
        sim.with(b, |overlay, now| {
            overlay.add_bootstrap(now, address_of(a), None).unwrap();
        });
        sim.run_for(SECOND / 2);
        assert_eq!(sim.links_between(a, b), 2, "both dials made a link");
        sim.run_for(10 * SECOND);
        assert_eq!(sim.links_between(a, b), 1);
        let opener = if sim.nodes[a].id < sim.nodes[b].id {
            a
        } else {
            b
        };
        for node in [a, b] {
            let peer = sim.nodes[node].overlay.peers().next().unwrap();
            let expected = if node == opener {
                Direction::Outbound
            } else {
                Direction::Inbound
            };
            assert_eq!(
                (peer.state, peer.direction),
                (PeerState::Connected, Some(expected))
            );
            let ups = |e: &&Event| matches!(e, Event::PeerUp { .. });
            let downs = |e: &&Event| matches!(e, Event::PeerDown { .. });
            assert_eq!(sim.nodes[node].events.iter().filter(ups).count(), 1);
            assert_eq!(sim.nodes[node].events.iter().filter(downs).count(), 0);
        }
    }
}

#[test]
fn a_full_bootstrap_refuses_but_names_others() {
    let small = OverlayConfig {
        max_peers: 4,
        target_peers: 4,
        min_peers: 2,
        ..config()
    };
    let mut sim = Sim::star_of_one_bootstrap(3, 20, &small);
    sim.run_until(120 * SECOND, |sim| {
        sim.alive()
            .iter()
            .all(|&n| sim.nodes[n].overlay.stats().connected >= 2)
    });
    assert!(
        sim.nodes
            .iter()
            .all(|node| node.overlay.stats().connected <= 4)
    );
    let refused = sim.nodes.iter().flat_map(|node| &node.events).any(|event| {
        matches!(
            event,
            Event::PeerStateChanged {
                reason: StateReason::RefusedByPeer(Some(crate::Refusal::ConnectionLimit)),
                ..
            }
        )
    });
    assert!(refused, "the limit was met");
}

#[test]
fn shutdown_says_goodbye_with_its_reason_and_closes_the_link() {
    let mut sim = Sim::star_of_one_bootstrap(4, 2, &config());
    sim.run_for(5 * SECOND);
    sim.with(1, |overlay, now| overlay.shutdown(now));
    sim.run_for(5 * SECOND);
    assert_eq!(sim.links_between(0, 1), 0);
    let reason = StateReason::RemoteDisconnect(Some(DisconnectReason::Shutdown));
    let peer = sim.nodes[1].id;
    assert!(
        sim.nodes[0]
            .events
            .contains(&Event::PeerDown { peer, reason })
    );
    assert_eq!(sim.nodes[0].overlay.stats().connected, 0);
}

#[test]
fn a_lost_peer_is_dialled_again_with_back_off() {
    let mut sim = Sim::star_of_one_bootstrap(5, 2, &config());
    sim.run_for(5 * SECOND);
    sim.kill(0);
    sim.run_for(100 * SECOND);
    let dials = sim.nodes[1].overlay.stats().dials;
    assert!(
        (4..=12).contains(&dials),
        "{dials} dials: some, and ever fewer"
    );
    sim.nodes[0].alive = true;
    sim.run_for(150 * SECOND);
    assert_eq!(sim.nodes[1].overlay.stats().connected, 1);
}

#[test]
fn a_bootstrap_that_always_refuses_is_dialled_with_back_off() {
    let mut sim = Sim::new(11);
    let refusing = OverlayConfig {
        max_peers: 0,
        ..config()
    };
    sim.add(refusing);
    let node = sim.add(config());
    sim.with(node, |overlay, now| {
        overlay.add_bootstrap(now, address_of(0), None).unwrap();
    });
    sim.run_for(100 * SECOND);
    let dials = sim.nodes[node].overlay.stats().dials;
    assert!(
        (4..=12).contains(&dials),
        "{dials} dials: some, and ever fewer"
    );
}

#[test]
fn dialling_ourselves_is_noticed_and_not_repeated() {
    let mut sim = Sim::new(6);
    let node = sim.add(config());
    // Known under an address that is not among the configured ones.
    sim.with(node, |overlay, now| {
        overlay.set_listen(now, Vec::new());
        overlay.add_bootstrap(now, address_of(0), None).unwrap();
    });
    sim.run_for(60 * SECOND);
    let stats = sim.nodes[node].overlay.stats();
    assert_eq!((stats.dials, stats.connected, stats.known), (1, 0, 0));
}
