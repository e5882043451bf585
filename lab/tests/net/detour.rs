//! Several access lines over one bottleneck.

use std::time::Duration;

use dunlin_lab::link::Element;
use dunlin_lab::nat::NatConfig;
use dunlin_lab::net::{Detour, Net};
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::Rng;
use dunlin_lab::workload::{Agent, Plan};
use dunlin_session::CipherSuite;
use dunlin_transport::{Instant, Side};

use super::{MS, add_pair, at, config, connect, received, run_until, sending};

const BYTES: u64 = 1_000_000;

/// Two nodes send a megabyte each to one server over 8 Mbit/s; the second, perhaps behind a NAT, has
/// a line of 50 ms of its own in each direction.
fn two_over_one(nat: bool) -> Net<Agent> {
    let profile = Profile::Sealed(CipherSuite::Aes128Gcm);
    let mut rng = Rng::new(5);
    let mut net = Net::new(rng.split(0));
    let rate = Element::Rate {
        bits_per_second: 8_000_000,
        queue_bytes: 50_000,
    };
    let [near, server] = add_pair(&mut net, profile, &mut rng, BYTES);
    net.link(near, server, &[rate, Element::delay(5 * MS)]);
    net.link(server, near, &[Element::delay(5 * MS)]);
    let endpoint = profile.endpoint(2, &config(), false, &mut rng);
    let agent = Agent::new(2, Side::Initiator, sending(BYTES), Plan::default());
    let far = net.add(endpoint, agent);
    let line = [Element::delay(50 * MS)];
    for (from, to, before, after, shared) in [
        (far, server, &line[..], &[][..], (near, server)),
        (server, far, &[][..], &line[..], (server, near)),
    ] {
        let way = Detour {
            before,
            shared,
            after,
        };
        assert!(net.link_over(from, to, &way));
    }
    let nowhere = Detour {
        before: &[],
        shared: (near, far),
        after: &[],
    };
    assert!(!net.link_over(near, far, &nowhere), "there is no such link");
    if nat {
        let nat = net.add_nat(NatConfig::default());
        net.put_behind(far, nat);
    }
    let remote = Net::<Agent>::address_of(server);
    connect(&mut net, profile, &mut rng, (far, server), remote);
    net
}

#[test]
fn a_way_over_a_shared_link_has_its_own_delay_and_meets_the_same_queue() {
    for nat in [false, true] {
        let mut net = two_over_one(nat);
        run_until(&mut net, Instant::ZERO + 900 * MS);
        let handle = net.app(2).and_then(Agent::connection);
        let connection = handle.and_then(|handle| net.endpoint(2)?.connection(handle));
        let rtt = connection.expect("it is under way").stats().rtt_min;
        assert!(rtt >= Duration::from_millis(110), "{rtt:?}");
        run_until(&mut net, at(20));
        assert_eq!(received(&net, 1), BYTES, "behind a NAT: {nat}");
        let stats = net.link_stats(0, 1).expect("it was laid");
        assert!(stats.delivered > 700, "all of it met the bottleneck");
    }
}
