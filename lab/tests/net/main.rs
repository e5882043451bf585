//! Many endpoints in one network, and what can happen to them there.

mod byzantine;
mod detour;
mod faults;
mod nat;
mod order;
mod trains;

use std::time::Duration;

use dunlin_lab::link::Element;
use dunlin_lab::net::Net;
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::{Ppm, Rng};
use dunlin_lab::workload::{Agent, Ending, Fate, Plan, StreamPlan};
use dunlin_transport::{CloseReason, EndpointConfig, Instant, Side, StreamDirection};

const PAIRS: usize = 20;
const MS: Duration = Duration::from_millis(1);

/// So many seconds after the start.
fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

/// A plan to send `bytes` on one stream and to close when that is done.
fn sending(bytes: u64) -> Plan {
    Plan {
        streams: vec![StreamPlan {
            direction: StreamDirection::Unidirectional,
            bytes,
            answer: 0,
            fate: Fate::Finish,
        }],
        ending: Some(Ending::WhenDone),
        ..Plan::default()
    }
}

/// Adds two nodes: the first will send `bytes` to the second.
fn add_pair(net: &mut Net<Agent>, profile: Profile, rng: &mut Rng, bytes: u64) -> [usize; 2] {
    let config = config();
    let mut add = |answers: bool, side, own, other| {
        let node = net.len();
        let endpoint = profile.endpoint(node, &config, answers, rng);
        net.add(endpoint, Agent::new(node, side, own, other))
    };
    let first = add(false, Side::Initiator, sending(bytes), Plan::default());
    let second = add(true, Side::Responder, Plan::default(), sending(bytes));
    [first, second]
}

/// Settings of which a connection outlives every fault in these tests.
fn config() -> EndpointConfig {
    let mut config = EndpointConfig::default();
    config.transport.handshake_timeout = Duration::from_secs(60);
    config.transport.idle_timeout = Duration::from_secs(60);
    config
}

/// Node `a` connects to node `b` at `remote`.
fn connect(
    net: &mut Net<Agent>,
    profile: Profile,
    rng: &mut Rng,
    (a, b): (usize, usize),
    remote: std::net::SocketAddr,
) {
    let initiator = profile.initiator(a, b, rng);
    net.with(a, |now, endpoint, agent| {
        let handle = endpoint.connect(now, remote, initiator);
        agent.set_connection(handle.expect("the endpoint is new"));
    })
    .expect("nothing has happened yet");
}

/// Runs until just before `end`.
fn run_until(net: &mut Net<Agent>, end: Instant) {
    while net.next_time().is_some_and(|next| next < end) {
        net.step().expect("honest nodes break no promise");
    }
}

fn received(net: &Net<Agent>, node: usize) -> u64 {
    let agent = net.app(node).expect("it was added");
    agent.read().values().map(|read| read.received).sum()
}

/// Twenty transfers at once over lossy paths; the fingerprint of the run.
fn transfers(seed: u64) -> (u64, u64) {
    let mut rng = Rng::new(seed);
    let mut net = Net::new(rng.split(0));
    let path = [
        Element::delay(Duration::from_millis(20)),
        Element::Loss(Ppm::percent(2)),
        Element::Reorder {
            chance: Ppm::percent(2),
            extra: Duration::from_millis(5),
        },
    ];
    for pair in 0..PAIRS {
        let mut rng = rng.split(pair as u64);
        let [a, b] = add_pair(&mut net, Profile::Plain, &mut rng, 50_000);
        net.link(a, b, &path);
        net.link(b, a, &path);
        let remote = Net::<Agent>::address_of(b);
        connect(&mut net, Profile::Plain, &mut rng, (a, b), remote);
    }
    run_until(&mut net, at(60));
    for node in 0..2 * PAIRS {
        let agent = net.app(node).expect("it was added");
        assert!(
            agent.close_reason().is_some(),
            "node {node} waits for {:?}",
            agent.missing()
        );
        if node % 2 == 0 {
            assert_eq!(
                agent.close_reason(),
                Some(&CloseReason::Local),
                "node {node}"
            );
        } else {
            assert_eq!(received(&net, node), 50_000);
        }
    }
    (net.trace().hash(), net.datagrams())
}

#[test]
fn many_connections_share_a_network_and_replay_to_the_byte() {
    let first = transfers(1);
    assert_eq!(first, transfers(1));
    assert_ne!(first.0, transfers(2).0);
}

#[test]
fn links_that_nobody_laid_are_made_when_first_used() {
    let run = |order: [usize; 2]| {
        let mut rng = Rng::new(3);
        let mut net = Net::new(rng.split(0));
        net.link_all(&[Element::delay(5 * MS), Element::Loss(Ppm::percent(10))]);
        let pairs = [(); 2].map(|()| add_pair(&mut net, Profile::Plain, &mut rng, 20_000));
        let initiators = pairs.map(|[a, b]| (a, b, rng.split(a as u64)));
        for index in order {
            let (a, b, mut rng) = initiators[index].clone();
            let remote = Net::<Agent>::address_of(b);
            connect(&mut net, Profile::Plain, &mut rng, (a, b), remote);
        }
        run_until(&mut net, at(30));
        assert_eq!(received(&net, 1) + received(&net, 3), 40_000);
        [(0, 1), (1, 0), (2, 3), (3, 2)].map(|(from, to)| net.link_stats(from, to))
    };
    // What is lost on a link does not depend on which was used first.
    assert_eq!(run([0, 1]), run([1, 0]));
}
