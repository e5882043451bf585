//! Attackers, and what they do not get.

use std::time::Duration;

use dunlin_lab::link::Element;
use dunlin_lab::net::byzantine::{
    BitFlipper, OptimisticAcker, Prober, Reflector, Replayer, Sink, Truncator, first_flight,
};
use dunlin_lab::net::{Middlebox, Net};
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::{Ppm, Rng};
use dunlin_lab::workload::{Agent, Plan};
use dunlin_session::CipherSuite;
use dunlin_transport::{CloseReason, Side};

use super::{MS, add_pair, at, config, connect, received, run_until, sending};

const SEALED: Profile = Profile::Sealed(CipherSuite::Aes128Gcm);

/// A transfer of 200 kB with a box of `make` on both paths; how the sender's connection ended.
fn transfer_past(
    profile: Profile,
    make: impl Fn(usize) -> Option<Box<dyn Middlebox>>,
) -> (Net<Agent>, Option<CloseReason>) {
    let mut rng = Rng::new(7);
    let mut net = Net::new(rng.split(0));
    let [a, b] = add_pair(&mut net, profile, &mut rng, 200_000);
    for (from, to) in [(a, b), (b, a)] {
        net.link(from, to, &[Element::delay(10 * MS)]);
        if let Some(middlebox) = make(from) {
            assert!(net.intercept(from, to, middlebox));
        }
    }
    let remote = Net::<Agent>::address_of(b);
    connect(&mut net, profile, &mut rng, (a, b), remote);
    run_until(&mut net, at(200));
    let reason = net.app(a).and_then(Agent::close_reason).cloned();
    (net, reason)
}

#[test]
fn replayed_datagrams_change_nothing() {
    for profile in [Profile::Plain, SEALED] {
        for elsewhere in [None, Some("10.9.9.9:9".parse().unwrap())] {
            let (net, reason) = transfer_past(profile, |node| {
                let rng = Rng::new(node as u64);
                Some(Box::new(Replayer::new(Ppm::percent(50), elsewhere, rng)))
            });
            assert_eq!(
                reason,
                Some(CloseReason::Local),
                "{profile:?} {elsewhere:?}"
            );
            assert_eq!(received(&net, 1), 200_000);
        }
    }
}

#[test]
fn spoiled_datagrams_are_lost_and_nothing_more() {
    for profile in [Profile::Plain, SEALED] {
        let (net, reason) = transfer_past(profile, |_| Some(Box::new(BitFlipper::new(5))));
        assert_eq!(reason, Some(CloseReason::Local), "{profile:?}");
        assert_eq!(received(&net, 1), 200_000);
        let (net, reason) = transfer_past(profile, |_| Some(Box::new(Truncator::new(5))));
        assert_eq!(reason, Some(CloseReason::Local), "{profile:?}");
        assert_eq!(received(&net, 1), 200_000);
    }
}

#[test]
fn acknowledging_what_was_never_sent_ends_the_connection() {
    let (net, reason) = transfer_past(Profile::Plain, |node| {
        (node == 1).then(|| Box::new(OptimisticAcker::new(1_000_000)) as _)
    });
    assert!(
        matches!(reason, Some(CloseReason::Violation(_))),
        "{reason:?}"
    );
    assert!(received(&net, 1) < 200_000);
}

#[test]
fn whoever_reflects_packets_gets_no_connection() {
    for profile in [Profile::Plain, SEALED] {
        let mut rng = Rng::new(7);
        let mut net: Net<Agent> = Net::new(rng.split(0));
        let mut config = config();
        config.transport.handshake_timeout = Duration::from_secs(10);
        // With identities it may answer, too: its own SYN does not look like that of the peer. The
        // plain profile has none, and an endpoint that answered would meet itself.
        let answers = profile != Profile::Plain;
        let endpoint = profile.endpoint(0, &config, answers, &mut rng);
        net.add(
            endpoint,
            Agent::new(0, Side::Initiator, sending(9), Plan::default()),
        );
        net.add_host(Box::new(Reflector::default()));
        net.link_all(&[Element::delay(10 * MS)]);
        let remote = Net::<Agent>::address_of(1);
        connect(&mut net, profile, &mut rng, (0, 1), remote);
        while net.next_time().is_some_and(|next| next < at(100)) {
            // A reflected SYN may open a connection to oneself; the agent takes that for misuse.
            if net.step().is_err() {
                break;
            }
        }
        let agent = net.app(0).unwrap();
        assert!(!agent.is_connected(), "{profile:?}");
        let reflector: &Reflector = net.host(1).unwrap();
        assert!(reflector.datagrams < 100, "{profile:?}: {reflector:?}");
    }
}

#[test]
fn a_forged_source_gets_no_more_bytes_than_were_sent_in_its_name() {
    for profile in [Profile::Plain, SEALED] {
        let mut payloads = Vec::new();
        for seed in 0..200 {
            let syn = first_flight(profile, seed);
            assert!(!syn.is_empty());
            let mut version = syn.clone();
            version[1] = 99;
            let short = syn[..syn.len() - 1].to_vec();
            let header = syn[..32].to_vec();
            // Twice: what is retransmitted counts, and what it provokes.
            payloads.extend([syn.clone(), version, short, header, syn]);
        }
        let mut rng = Rng::new(7);
        let mut net: Net<Agent> = Net::new(rng.split(0));
        let endpoint = profile.endpoint(1, &config(), true, &mut rng);
        let address = Net::<Agent>::address_of;
        net.add_host(Box::new(Sink::default()));
        net.add(
            endpoint,
            Agent::new(1, Side::Responder, Plan::default(), sending(9)),
        );
        let prober = Prober::new(address(1), address(0), payloads, 7 * MS);
        let prober = net.add_host(Box::new(prober));
        net.link_all(&[Element::delay(10 * MS)]);
        net.start(prober).unwrap();
        run_until(&mut net, at(300));
        let sent = net.host::<Prober>(prober).unwrap().bytes;
        let sink: &Sink = net.host(0).unwrap();
        assert!(sink.bytes > 0, "{profile:?}: nobody answered");
        assert!(sink.bytes <= sent, "{profile:?}: {} for {sent}", sink.bytes);
    }
}
