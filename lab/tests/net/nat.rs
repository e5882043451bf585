//! Connections through NATs.

use std::net::SocketAddr;
use std::time::Duration;

use dunlin_lab::link::Element;
use dunlin_lab::nat::{Dependence, NatConfig, Ports};
use dunlin_lab::net::Net;
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::Rng;
use dunlin_lab::workload::Agent;
use dunlin_session::CipherSuite;
use dunlin_transport::{CloseReason, Event, Instant};

use super::{MS, add_pair, at, connect, received, run_until};

const SEALED: Profile = Profile::Sealed(CipherSuite::Aes128Gcm);
const BYTES: u64 = 200_000;

struct Setting {
    net: Net<Agent>,
    rng: Rng,
    nodes: [usize; 2],
}

impl Setting {
    fn new() -> Self {
        let mut rng = Rng::new(7);
        let mut net = Net::new(rng.split(0));
        net.link_all(&[Element::delay(10 * MS)]);
        let nodes = add_pair(&mut net, SEALED, &mut rng, BYTES);
        Self { net, rng, nodes }
    }

    fn connect(&mut self, remote: SocketAddr) {
        let [a, b] = self.nodes;
        connect(&mut self.net, SEALED, &mut self.rng, (a, b), remote);
    }

    fn connect_inside(&mut self) {
        self.connect(Net::<Agent>::address_of(self.nodes[1]));
    }

    fn end(&self) -> Option<&CloseReason> {
        self.net.app(self.nodes[0]).and_then(Agent::close_reason)
    }
}

#[test]
fn a_node_behind_any_nat_reaches_a_public_one() {
    use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
    for mapping in [
        EndpointIndependent,
        AddressDependent,
        AddressAndPortDependent,
    ] {
        for filtering in [
            EndpointIndependent,
            AddressDependent,
            AddressAndPortDependent,
        ] {
            let mut setting = Setting::new();
            let nat = setting.net.add_nat(NatConfig {
                mapping,
                filtering,
                ..NatConfig::default()
            });
            setting.net.put_behind(0, nat);
            setting.connect_inside();
            run_until(&mut setting.net, at(30));
            assert_eq!(
                setting.end(),
                Some(&CloseReason::Local),
                "{mapping:?} {filtering:?}"
            );
            assert_eq!(received(&setting.net, 1), BYTES);
            let stats = setting.net.nat_stats(nat).unwrap();
            assert!(stats.mapped == 1 && stats.inbound > 0, "{stats:?}");
        }
    }
}

#[test]
fn nobody_reaches_a_node_behind_a_nat_that_has_sent_nothing() {
    let mut setting = Setting::new();
    let nat = setting.net.add_nat(NatConfig::default());
    setting.net.put_behind(1, nat);
    // Neither by its inside address …
    setting.connect_inside();
    run_until(&mut setting.net, at(1));
    assert!(setting.net.stats().unroutable > 0);
    // … nor by an outside one.
    let mut setting = Setting::new();
    let nat = setting.net.add_nat(NatConfig::default());
    setting.net.put_behind(1, nat);
    setting.connect("198.18.0.1:4433".parse().unwrap());
    run_until(&mut setting.net, at(1));
    assert!(setting.net.nat_stats(nat).unwrap().unmapped > 0);
    assert!(!setting.net.app(1).unwrap().is_connected());
}

#[test]
fn two_nodes_behind_one_nat_meet_inside_and_by_hairpin_only_if_it_does_that() {
    for (hairpinning, outside) in [(false, false), (true, true), (false, true)] {
        let mut setting = Setting::new();
        let nat = setting.net.add_nat(NatConfig {
            filtering: Dependence::EndpointIndependent,
            hairpinning,
            ..NatConfig::default()
        });
        setting.net.put_behind(0, nat);
        setting.net.put_behind(1, nat);
        if outside {
            // The second node opens its mapping by a datagram to somebody outside.
            let mut other = add_pair(&mut setting.net, SEALED, &mut setting.rng, 1);
            other.reverse();
            let remote = Net::<Agent>::address_of(other[1]);
            let initiator = SEALED.initiator(1, 3, &mut setting.rng);
            setting
                .net
                .with(1, |now, endpoint, _| {
                    endpoint.connect(now, remote, initiator).map(drop)
                })
                .unwrap();
            assert_eq!(setting.net.nat_stats(nat).unwrap().mapped, 1);
            setting.connect("198.18.0.1:4433".parse().unwrap());
        } else {
            setting.connect_inside();
        }
        let mut failed = false;
        while !failed && setting.net.next_time().is_some_and(|next| next < at(20)) {
            // The agent of node 1 knows one connection only and is cross about two.
            failed = setting.net.step().is_err();
        }
        let stats = setting.net.nat_stats(nat).unwrap();
        assert_eq!(stats.hairpinned > 0, hairpinning && outside, "{stats:?}");
        assert_eq!(
            stats.hairpin_refused > 0,
            !hairpinning && outside,
            "{stats:?}"
        );
        if !outside {
            assert_eq!(setting.end(), Some(&CloseReason::Local));
            assert_eq!((received(&setting.net, 1), stats.mapped), (BYTES, 0));
        }
    }
}

#[test]
fn a_connection_survives_a_nat_that_forgets_it() {
    let mut setting = Setting::new();
    let nat = setting.net.add_nat(NatConfig {
        mapping: Dependence::AddressAndPortDependent,
        filtering: Dependence::AddressAndPortDependent,
        ports: Ports::Sequential,
        ..NatConfig::default()
    });
    setting.net.put_behind(0, nat);
    let rate = Element::Rate {
        bits_per_second: 1_000_000,
        queue_bytes: 20_000,
    };
    setting.net.link(0, 1, &[rate, Element::delay(10 * MS)]);
    // The transfer takes two seconds: it moves four times.
    setting.net.forget_nat_at(
        Instant::ZERO + 300 * MS,
        nat,
        Some(Duration::from_millis(400)),
    );
    setting.connect_inside();
    run_until(&mut setting.net, at(60));
    assert_eq!(setting.end(), Some(&CloseReason::Local));
    assert_eq!(received(&setting.net, 1), BYTES);
    assert!(setting.net.nat_stats(nat).unwrap().mapped >= 4);
}

#[test]
fn a_mapping_that_timed_out_lets_nobody_in_until_the_inside_speaks() {
    let mut setting = Setting::new();
    let nat = setting.net.add_nat(NatConfig {
        timeout: Duration::from_secs(2),
        ports: Ports::Random,
        ..NatConfig::default()
    });
    setting.net.put_behind(0, nat);
    setting.connect_inside();
    // It connects, sends, and closes. Later something else happens, so that time passes.
    setting.net.slow_at(at(10), 1, Duration::ZERO);
    run_until(&mut setting.net, at(20));
    let before = setting.net.nat_stats(nat).unwrap();
    assert_eq!(before.mapped, 1);
    assert_eq!(setting.end(), Some(&CloseReason::Local));
    // Its second connection is seen under another port.
    let initiator = SEALED.initiator(0, 1, &mut setting.rng);
    let remote = Net::<Agent>::address_of(1);
    setting
        .net
        .with(0, |now, endpoint, _| {
            while endpoint
                .poll_event()
                .is_some_and(|(_, event)| !matches!(event, Event::Closed(_)))
            {}
            endpoint.connect(now, remote, initiator).map(drop)
        })
        .unwrap();
    assert_eq!(setting.net.nat_stats(nat).unwrap().mapped, 2);
}
