//! Each kind of NAT, by what peers see.

use super::*;

const INSIDE: &str = "10.0.0.1:4433";
const SECOND: &str = "10.0.0.2:4433";
const PEER: &str = "203.0.113.1:1000";
const SAME_HOST: &str = "203.0.113.1:1001";
const OTHER: &str = "203.0.113.2:1000";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

fn nat(config: NatConfig) -> Nat {
    Nat::new(config, address("198.18.0.1:0").ip(), Rng::new(1))
}

#[test]
fn a_mapping_depends_on_what_it_should() {
    use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
    for (mapping, same_host, other) in [
        (EndpointIndependent, true, true),
        (AddressDependent, true, false),
        (AddressAndPortDependent, false, false),
    ] {
        let mut nat = nat(NatConfig {
            mapping,
            ..NatConfig::default()
        });
        let mut port = |to| nat.outbound(at(0), address(INSIDE), address(to)).unwrap();
        let first = port(PEER);
        assert_eq!(port(PEER), first);
        assert_eq!(port(SAME_HOST) == first, same_host, "{mapping:?}");
        assert_eq!(port(OTHER) == first, other, "{mapping:?}");
    }
}

#[test]
fn a_filter_lets_in_whom_it_should() {
    use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
    for (filtering, same_host, other) in [
        (EndpointIndependent, true, true),
        (AddressDependent, true, false),
        (AddressAndPortDependent, false, false),
    ] {
        let mut nat = nat(NatConfig {
            filtering,
            ..NatConfig::default()
        });
        let outside = nat.outbound(at(0), address(INSIDE), address(PEER)).unwrap();
        let mut enters = |from| nat.inbound(at(1), address(from), outside);
        assert_eq!(enters(PEER), Some(address(INSIDE)));
        assert_eq!(enters(SAME_HOST).is_some(), same_host, "{filtering:?}");
        assert_eq!(enters(OTHER).is_some(), other, "{filtering:?}");
        let refused = u64::from(!same_host) + u64::from(!other);
        assert_eq!(nat.stats().filtered, refused);
    }
}

#[test]
fn ports_are_preserved_random_or_in_sequence() {
    let ports = |ports| {
        let mut nat = nat(NatConfig {
            ports,
            ..NatConfig::default()
        });
        [INSIDE, SECOND, "10.0.0.3:4433"].map(|from| {
            nat.outbound(at(0), address(from), address(PEER))
                .unwrap()
                .port()
        })
    };
    assert_eq!(ports(Ports::Preserve), [4_433, 4_434, 4_435]);
    assert_eq!(ports(Ports::Sequential), [20_000, 20_001, 20_002]);
    let random = ports(Ports::Random);
    assert!(random.iter().all(|port| *port >= PORT_MIN));
    assert!(random[0] != random[1] && random[1] != random[2]);
}

#[test]
fn only_datagrams_from_inside_keep_a_mapping_alive() {
    let mut nat = nat(NatConfig {
        timeout: Duration::from_secs(30),
        ports: Ports::Sequential,
        ..NatConfig::default()
    });
    let outside = nat.outbound(at(0), address(INSIDE), address(PEER)).unwrap();
    assert!(nat.inbound(at(29), address(PEER), outside).is_some());
    assert_eq!(
        nat.outbound(at(29), address(INSIDE), address(PEER)),
        Some(outside)
    );
    assert!(nat.inbound(at(58), address(PEER), outside).is_some());
    assert!(nat.inbound(at(59), address(PEER), outside).is_none());
    assert_eq!(nat.stats().unmapped, 1);
    // After that the inside is seen under another address.
    let after = nat
        .outbound(at(60), address(INSIDE), address(PEER))
        .unwrap();
    assert_ne!(after, outside);
    assert!(nat.inbound(at(61), address(PEER), outside).is_none());
    assert!(nat.inbound(at(61), address(PEER), after).is_some());
}

#[test]
fn a_permission_expires_though_the_mapping_lives() {
    let mut nat = nat(NatConfig {
        timeout: Duration::from_secs(30),
        filtering: Dependence::AddressAndPortDependent,
        ..NatConfig::default()
    });
    let outside = nat.outbound(at(0), address(INSIDE), address(PEER)).unwrap();
    nat.outbound(at(20), address(INSIDE), address(OTHER))
        .unwrap();
    assert!(nat.inbound(at(40), address(OTHER), outside).is_some());
    assert!(nat.inbound(at(40), address(PEER), outside).is_none());
}

#[test]
fn hairpinning_shows_the_outside_source_or_is_refused() {
    let mut open = nat(NatConfig::default());
    let first = open
        .outbound(at(0), address(INSIDE), address(PEER))
        .unwrap();
    let seen = open.hairpin(at(0), address(SECOND), first).unwrap();
    assert_eq!(seen.ip(), open.public());
    assert_eq!(open.stats().hairpinned, 1);
    let mut closed = nat(NatConfig {
        hairpinning: false,
        ..NatConfig::default()
    });
    let first = closed
        .outbound(at(0), address(INSIDE), address(PEER))
        .unwrap();
    assert_eq!(closed.hairpin(at(0), address(SECOND), first), None);
    assert_eq!(closed.stats().hairpin_refused, 1);
}

#[test]
fn what_it_forgets_gets_another_port() {
    let mut nat = nat(NatConfig {
        ports: Ports::Sequential,
        ..NatConfig::default()
    });
    let outside = nat.outbound(at(0), address(INSIDE), address(PEER)).unwrap();
    nat.forget();
    assert_eq!(nat.inbound(at(0), address(PEER), outside), None);
    assert_ne!(
        nat.outbound(at(0), address(INSIDE), address(PEER)),
        Some(outside)
    );
}

#[test]
fn ports_run_out_and_come_back() {
    let mut nat = nat(NatConfig {
        mapping: Dependence::AddressAndPortDependent,
        timeout: Duration::from_secs(30),
        ..NatConfig::default()
    });
    let inside = address(INSIDE);
    let peer = |index: u64| {
        let low = u16::try_from(index % 60_000 + 1).unwrap();
        let host = u8::try_from(index / 60_000 + 1).unwrap();
        SocketAddr::from(([203, 0, 113, host], low))
    };
    // Preserved ports are searched from the same place; sequential ones would be slow to fill too.
    nat.config.ports = Ports::Sequential;
    for index in 0..PORT_COUNT {
        assert!(nat.outbound(at(0), inside, peer(index)).is_some());
    }
    assert_eq!(nat.outbound(at(1), inside, peer(PORT_COUNT)), None);
    assert_eq!(nat.stats().out_of_ports, 1);
    assert!(nat.outbound(at(31), inside, peer(PORT_COUNT)).is_some());
    assert_eq!(nat.mappings.len() as u64, PORT_COUNT);
    assert!(nat.by_key.len() as u64 <= PORT_COUNT);
}

#[test]
fn a_mapping_remembers_a_bounded_number_of_peers() {
    let mut mapping = Mapping::new(address(INSIDE), at(0));
    let peer = |index: usize| SocketAddr::from(([203, 0, 113, 1], u16::try_from(index).unwrap()));
    for index in 0..=4_096 {
        mapping.on_outbound(at(index as u64), peer(index));
    }
    let admits = |index| {
        let filtering = Dependence::AddressAndPortDependent;
        mapping.admits(
            at(4_096),
            peer(index),
            filtering,
            Duration::from_secs(9_999),
        )
    };
    assert!(!admits(0) && admits(1) && admits(4_096));
}
