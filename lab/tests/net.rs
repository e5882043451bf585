//! Many endpoints in one network.

use std::time::Duration;

use dunlin_lab::link::Element;
use dunlin_lab::net::Net;
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::{Ppm, Rng};
use dunlin_lab::violation::Failure;
use dunlin_lab::workload::{Agent, Ending, Fate, Plan, StreamPlan};
use dunlin_transport::{CloseReason, EndpointConfig, Instant, Side, StreamDirection};

const PAIRS: usize = 20;

/// Twenty transfers at once over lossy paths; the fingerprint of the run.
fn transfers(seed: u64) -> Result<(u64, u64), Failure> {
    let mut rng = Rng::new(seed);
    let mut net = Net::new(rng.split(0));
    let sending = Plan {
        streams: vec![StreamPlan {
            direction: StreamDirection::Unidirectional,
            bytes: 50_000,
            answer: 0,
            fate: Fate::Finish,
        }],
        ending: Some(Ending::WhenDone),
        ..Plan::default()
    };
    let path = [
        Element::delay(Duration::from_millis(20)),
        Element::Loss(Ppm::percent(2)),
        Element::Reorder {
            chance: Ppm::percent(2),
            extra: Duration::from_millis(5),
        },
    ];
    let config = EndpointConfig::default();
    for pair in 0..PAIRS {
        let (a, b) = (2 * pair, 2 * pair + 1);
        let mut rng = rng.split(pair as u64);
        let sender = Agent::new(a, Side::Initiator, sending.clone(), Plan::default());
        net.add(Profile::Plain.endpoint(a, &config, false, &mut rng), sender);
        let receiver = Agent::new(b, Side::Responder, Plan::default(), sending.clone());
        net.add(
            Profile::Plain.endpoint(b, &config, true, &mut rng),
            receiver,
        );
        net.link(a, b, &path);
        net.link(b, a, &path);
        let initiator = Profile::Plain.initiator(a, b, &mut rng);
        net.with(a, |now, endpoint, agent| {
            let handle = endpoint.connect(now, Net::<Agent>::address_of(b), initiator);
            agent.set_connection(handle.expect("the endpoint is new"));
        })?;
    }
    while net
        .next_time()
        .is_some_and(|next| next < Instant::ZERO + Duration::from_secs(60))
    {
        net.step()?;
    }
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
            assert_eq!(
                agent.read().values().map(|read| read.received).sum::<u64>(),
                50_000
            );
        }
    }
    Ok((net.trace().hash(), net.datagrams()))
}

#[test]
fn many_connections_share_a_network_and_replay_to_the_byte() {
    let first = transfers(1).unwrap();
    assert_eq!(first, transfers(1).unwrap());
    assert_ne!(first.0, transfers(2).unwrap().0);
}
