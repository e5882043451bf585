use dunlin_session::NodeId;

use super::*;
use crate::network::Handle;

fn seeker(n: u8, listen: &str) -> Seeker {
    Seeker {
        node: Handle::of_ended_node(),
        id: NodeId::from_bytes([n; 32]),
        listen: listen.parse().unwrap(),
    }
}

fn resolved(of: &Seeker, network: &str) -> ResolvedService {
    announcement(of, network).unwrap().as_resolved_service()
}

#[test]
fn what_one_node_announces_another_takes_for_a_hint() {
    let (one, other) = (seeker(1, "192.0.2.1:4600"), seeker(2, "192.0.2.2:4700"));
    let found = found_in(&other, "dunlin", &resolved(&one, "dunlin"));
    assert_eq!(found, [Found::Address("192.0.2.1:4600".parse().unwrap())]);
}

#[test]
fn our_own_announcement_and_those_of_other_networks_are_skipped() {
    let us = seeker(1, "192.0.2.1:4600");
    assert_eq!(found_in(&us, "dunlin", &resolved(&us, "dunlin")), []);
    let foreign = seeker(2, "192.0.2.2:4600");
    assert_eq!(found_in(&us, "dunlin", &resolved(&foreign, "other")), []);
}

#[test]
fn of_many_addresses_a_few_are_taken_and_none_that_needs_an_interface() {
    let us = seeker(1, "192.0.2.1:4600");
    let other = seeker(2, "192.0.2.2:4600");
    let mut service = resolved(&other, "dunlin");
    let more = (0..20u8).map(|n| IpAddr::from([10, 0, 0, n]).into());
    service.addresses.extend(more);
    let local: IpAddr = "fe80::1".parse().unwrap();
    service.addresses.insert(local.into());
    let found = found_in(&us, "dunlin", &service);
    assert_eq!(found.len(), ADDRESSES_MAX);
    service.addresses.retain(|ip| ip.to_ip_addr() == local);
    assert_eq!(found_in(&us, "dunlin", &service), []);
}
