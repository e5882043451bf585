//! Those who take a topic get all of its broadcasts through those who do not.

use std::time::Duration;

use bytes::Bytes;
use dunlin_lab::rng::Ppm;
use dunlin_lab::seed::{SeedGuard, seeds};
use dunlin_lab::swarm::{Adversary, Climate, Swarm, TOPIC};
use dunlin_overlay::{OverlayConfig, Topics};

use super::SECOND;

const NODES: usize = 60;
/// Every so many takes the topic.
const EACH: usize = 4;

fn takes(node: usize) -> bool {
    node.is_multiple_of(EACH)
}

/// A network that has settled. Of those that do not take the topic every second loses a third of the
/// broadcasts that it should pass on.
fn network(seed: u64) -> Swarm {
    let mut swarm = Swarm::new(seed, Climate::default());
    for node in 0..NODES {
        let name = if takes(node) { TOPIC } else { "another" };
        let config = OverlayConfig {
            topics: Topics::Named([name.to_owned()].into()),
            ..Swarm::config()
        };
        let others: Vec<_> = (0..8)
            .filter(|&other| other != node)
            .map(Swarm::address_of)
            .collect();
        swarm.add(config, &others).expect("sound");
        swarm.run_for(SECOND / 10).expect("sound");
    }
    for node in (1..NODES).step_by(EACH) {
        swarm.corrupt(node, Adversary::Drop(Ppm::percent(33)));
    }
    swarm.run_for(30 * SECOND).expect("sound");
    swarm
}

fn send(swarm: &mut Swarm, node: usize) -> usize {
    let number = swarm.judge().sent();
    let payload = Bytes::from(number.to_be_bytes().to_vec());
    let sent = swarm.broadcast(node, payload).expect("sound");
    assert!(sent.is_some());
    number
}

#[test]
fn every_subscriber_gets_every_broadcast_with_losses_and_after_most_nodes_died() {
    for seed in seeds(2) {
        let _guard = SeedGuard::new("topics", seed);
        let mut swarm = network(seed);
        // Node 2 takes nothing of it and speaks as well.
        let mut sent = Vec::new();
        for round in 0..20 {
            sent.push(send(&mut swarm, [0, 2, EACH][round % 3]));
            swarm.run_for(Duration::from_millis(100)).expect("sound");
        }
        let victims: Vec<usize> = (0..NODES)
            .filter(|node| node % 20 >= 5 || node % 20 == 3)
            .collect();
        sent.push(send(&mut swarm, 0));
        for &node in &victims {
            swarm.crash(node);
        }
        swarm.run_for(Duration::from_millis(100)).expect("sound");
        sent.push(send(&mut swarm, 0));
        let survivors: Vec<usize> = swarm.judge().running().filter(|&n| takes(n)).collect();
        assert!(victims.len() >= NODES * 8 / 10 && survivors.len() >= 5);
        let has_all = |swarm: &Swarm| {
            let held = |&number: &usize| swarm.judge().held_by(number, &survivors);
            sent.iter().all(|number| held(number) == survivors.len())
        };
        let took = swarm.run_until_done(10 * SECOND, has_all).expect("sound");
        assert!(took.is_some(), "not all within ten seconds");
        let others: Vec<usize> = (0..NODES).filter(|&n| !takes(n) && n != 2).collect();
        for number in sent {
            assert_eq!(swarm.judge().held_by(number, &others), 0, "nobody else's");
        }
    }
}
