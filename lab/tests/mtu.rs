//! Path MTU discovery (RFC 8899) over paths that end at a size: what is found, what happens when a
//! path becomes narrower, and that random loss is not taken for that.

use std::time::Duration;

use dunlin_lab::goodput::{Goodput, probe};
use dunlin_lab::link::Element;
use dunlin_lab::net::Net;
use dunlin_lab::pair;
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::{Ppm, Rng};
use dunlin_lab::scenario::Scenario;
use dunlin_lab::workload::{Agent, Fate, Plan, StreamPlan};
use dunlin_transport::{EndpointConfig, Instant, Side, Stats, StreamDirection};

const MS: Duration = Duration::from_millis(1);

fn config(mtu_max: usize) -> EndpointConfig {
    let mut config = EndpointConfig::default();
    config.transport.mtu_max = mtu_max;
    config
}

/// 100 Mbit/s, 20 ms, with `more` in the way of the data.
fn path(more: &[Element]) -> Vec<Element> {
    let mut path = vec![
        Element::Rate {
            bits_per_second: 100_000_000,
            queue_bytes: 500_000,
        },
        Element::delay(10 * MS),
    ];
    path.extend_from_slice(more);
    path
}

fn bulk(config: &EndpointConfig, more: &[Element], seconds: u64, seed: u64) -> Goodput {
    let times = (Duration::from_secs(1), Duration::from_secs(seconds));
    let back = [Element::delay(10 * MS)];
    probe(config, (&path(more), &back), times, seed).expect("the connection holds")
}

#[test]
fn packets_grow_to_what_the_path_carries() {
    for (carries, mtu_max, least) in [
        (1_472, 1_472, 1_472),
        (1_452, 1_472, 1_452),
        (1_400, 1_472, 1_393),
        (1_344, 1_472, 1_344),
        (8_972, 65_507, 8_965),
        (65_507, 65_507, 65_507),
    ] {
        // Less than path and queue hold, so that nothing but probes is lost.
        let mut config = config(mtu_max);
        config.transport.receive_window = 400_000;
        config.transport.stream_receive_window = 400_000;
        let stats = bulk(&config, &[Element::Mtu(carries)], 4, 1).sender;
        let found = usize::try_from(stats.mtu).unwrap();
        assert!(
            (least..=carries).contains(&found),
            "{found} where {carries} pass"
        );
        assert_eq!(
            (stats.packets_lost, stats.congestion_events),
            (0, 0),
            "a lost probe is no congestion: {stats:?}"
        );
        assert_eq!(stats.mtu_probes_lost > 0, carries < mtu_max, "{stats:?}");
        assert_eq!(stats.mtu_black_holes, 0);
    }
}

#[test]
fn the_peer_need_not_accept_what_the_path_carries() {
    let mut scenario = Scenario::new(&[Element::delay(10 * MS)]);
    scenario.config = [config(65_507), config(1_400)];
    scenario.plans[0].streams = vec![StreamPlan {
        direction: StreamDirection::Unidirectional,
        bytes: 3_000_000,
        answer: 0,
        fate: Fate::Finish,
    }];
    let report = pair::run(&scenario, 1).expect("all is delivered");
    assert_eq!(report.stats[0].mtu, 1_400);
}

#[test]
fn random_loss_does_not_shrink_packets() {
    for percent in [5, 10, 20] {
        for seed in 0..3 {
            let loss = [Element::Loss(Ppm::percent(percent)), Element::Mtu(1_472)];
            // Long enough for the search at the rate that is left.
            let stats = bulk(&config(1_472), &loss, 60, seed).sender;
            assert_eq!(stats.mtu_black_holes, 0, "{percent} %: {stats:?}");
            assert!(stats.mtu > 1_344, "{percent} %: {stats:?}");
        }
    }
}

/// A transfer over a path that carries 1,472 bytes and from the third second on only 1,400.
struct Narrowing {
    net: Net<Agent>,
}

impl Narrowing {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut net = Net::new(rng.split(2));
        let sending = Plan {
            streams: vec![StreamPlan {
                direction: StreamDirection::Unidirectional,
                bytes: 1 << 40,
                answer: 0,
                fate: Fate::Finish,
            }],
            ..Plan::default()
        };
        let profile = Profile::Plain;
        for (node, side) in [Side::Initiator, Side::Responder].into_iter().enumerate() {
            let (own, other) = match node {
                0 => (sending.clone(), Plan::default()),
                _ => (Plan::default(), sending.clone()),
            };
            let endpoint = profile.endpoint(node, &config(1_472), node == 1, &mut rng);
            net.add(endpoint, Agent::new(node, side, own, other));
        }
        net.link(0, 1, &path(&[Element::Mtu(1_472)]));
        net.link(1, 0, &[Element::delay(10 * MS)]);
        let narrow = path(&[Element::Mtu(1_400)]);
        net.replace_link_at(Instant::ZERO + Duration::from_secs(3), 0, 1, &narrow);
        let initiator = profile.initiator(0, 1, &mut rng);
        let remote = Net::<Agent>::address_of(1);
        net.with(0, |now, endpoint, agent| {
            let handle = endpoint.connect(now, remote, initiator);
            agent.set_connection(handle.expect("the endpoint is new"));
        })
        .expect("nothing has happened yet");
        Self { net }
    }

    /// Runs until `ms` milliseconds after the start; the sender's figures.
    fn at(&mut self, ms: u64) -> Stats {
        let end = Instant::ZERO + Duration::from_millis(ms);
        while self.net.next_time().is_some_and(|next| next <= end) {
            self.net.step().expect("nobody breaks a promise");
        }
        let handle = self.net.app(0).and_then(Agent::connection);
        let connection = handle.and_then(|handle| self.net.endpoint(0)?.connection(handle));
        connection.expect("the connection holds").stats()
    }

    fn received(&self) -> u64 {
        let reads = self.net.app(1).expect("it was added").read().values();
        reads.map(|read| read.received).sum()
    }
}

#[test]
fn a_path_that_becomes_narrower_is_noticed_within_a_second() {
    let mut run = Narrowing::new(1);
    assert_eq!(run.at(2_990).mtu, 1_472);
    let before = run.at(4_000);
    assert_eq!(before.mtu_black_holes, 1, "{before:?}");
    assert!(before.mtu <= 1_400, "{before:?}");
    let received = run.received();
    let after = run.at(8_000);
    assert_eq!(after.mtu_black_holes, 1, "{after:?}");
    assert!(
        (1_393..=1_400).contains(&after.mtu),
        "the search went on: {after:?}"
    );
    assert!(
        run.received() > received + 10_000_000,
        "the transfer goes on"
    );
}
