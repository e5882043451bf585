//! Nodes that stop, start again, sleep, are slow, or have wrong clocks.

use std::time::Duration;

use dunlin_lab::link::{Blackout, Element};
use dunlin_lab::net::byzantine::{Prober, Sink};
use dunlin_lab::net::{Clock, DiskFull, Net, SOCKET_BUFFER};
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::Rng;
use dunlin_lab::units::Time;
use dunlin_lab::workload::{Agent, Plan};
use dunlin_session::CipherSuite;
use dunlin_transport::{CloseReason, Instant, Side};

use super::{MS, add_pair, at, config, connect, received, run_until, sending};

const BYTES: u64 = 3_000_000;

/// A transfer of 3 MB over 8 Mbit/s: about three seconds if nothing goes wrong.
fn transfer(disturb: impl FnOnce(&mut Net<Agent>)) -> Net<Agent> {
    let mut rng = Rng::new(7);
    let mut net = Net::new(rng.split(0));
    let [a, b] = add_pair(&mut net, Profile::Plain, &mut rng, BYTES);
    let rate = Element::Rate {
        bits_per_second: 8_000_000,
        queue_bytes: 50_000,
    };
    net.link_all(&[rate, Element::delay(10 * MS)]);
    disturb(&mut net);
    let remote = Net::<Agent>::address_of(b);
    connect(&mut net, Profile::Plain, &mut rng, (a, b), remote);
    run_until(&mut net, at(200));
    net
}

fn end_of(net: &Net<Agent>, node: usize) -> Option<&CloseReason> {
    net.app(node).and_then(Agent::close_reason)
}

#[test]
fn a_pause_delays_a_transfer_and_loses_nothing() {
    for node in 0..2 {
        let net = transfer(|net| net.pause_at(at(1), at(6), node));
        assert_eq!(end_of(&net, 0), Some(&CloseReason::Local), "node {node}");
        assert_eq!(received(&net, 1), BYTES);
    }
}

#[test]
fn what_arrives_in_a_pause_waits_in_the_socket_until_that_is_full() {
    let mut net: Net<Agent> = Net::new(Rng::new(1));
    let address = Net::<Agent>::address_of;
    let payloads = vec![vec![0; 1_000]; 300];
    net.add_host(Box::new(Prober::new(address(1), address(0), payloads, MS)));
    net.add_host(Box::new(Sink::default()));
    net.link_all(&[Element::delay(MS)]);
    net.pause_at(Instant::ZERO, at(10), 1);
    net.start(0).unwrap();
    run_until(&mut net, at(9));
    assert_eq!(net.host::<Sink>(1).unwrap().datagrams, 0);
    run_until(&mut net, at(11));
    let fit = (SOCKET_BUFFER / 1_000) as u64;
    assert_eq!(net.host::<Sink>(1).unwrap().datagrams, fit);
    assert_eq!(net.stats().socket_full, 300 - fit);
}

#[test]
fn a_slow_node_gets_everything_at_its_own_pace() {
    // 2 ms for each datagram: the receiver handles 500 in a second, a sixth of a transfer.
    let net = transfer(|net| net.slow_at(Instant::ZERO, 1, 2 * MS));
    assert_eq!(end_of(&net, 0), Some(&CloseReason::Local));
    assert_eq!(received(&net, 1), BYTES);
    let fast = transfer(|_| {});
    assert!(net.steps() > fast.steps());
}

#[test]
fn clocks_that_run_apart_disturb_nobody() {
    let hour = Duration::from_secs(3_600);
    for (first, second) in [(1_000, -1_000), (-200_000, 200_000), (0, 500_000)] {
        let net = transfer(|net| {
            net.set_clock(0, Clock::new(hour, first));
            net.set_clock(1, Clock::new(Duration::ZERO, second));
        });
        assert_eq!(
            end_of(&net, 0),
            Some(&CloseReason::Local),
            "{first} {second}"
        );
        assert_eq!(received(&net, 1), BYTES);
        assert!(net.clock_of(0) > net.clock_of(1));
    }
}

#[test]
fn a_partition_stops_everything_and_heals() {
    let net = transfer(|net| net.partition(at(1), at(5), &[1]));
    assert!(net.stats().unroutable > 0);
    assert_eq!(end_of(&net, 0), Some(&CloseReason::Local));
    assert_eq!(received(&net, 1), BYTES);
    let net = transfer(|net| net.partition(at(1), at(5), &[0, 1]));
    assert_eq!(net.stats().unroutable, 0);
}

#[test]
fn a_restarted_node_is_another_one_with_what_it_kept() {
    let net = transfer(|net| {
        net.kill_at(at(1), 1);
        net.restart_at(at(2), 1, |now, before: Agent| {
            assert_eq!(now, at(2));
            // What it kept: how much it had got by then.
            let kept: u64 = before.read().values().map(|read| read.received).sum();
            assert!(kept > 0 && kept < BYTES);
            let endpoint = Profile::Plain.endpoint(1, &config(), true, &mut Rng::new(99));
            (
                endpoint,
                Agent::new(1, Side::Responder, Plan::default(), sending(kept)),
            )
        });
    });
    // The new life knows nothing of the old connection; the sender hears or times out.
    assert!(net.stats().to_the_dead > 0);
    assert!(!net.app(1).unwrap().is_connected());
    assert!(
        matches!(
            end_of(&net, 0),
            Some(
                CloseReason::TimedOut
                    | CloseReason::TransportReset { .. }
                    | CloseReason::Reset { .. }
            )
        ),
        "{:?}",
        end_of(&net, 0)
    );
}

#[test]
fn a_node_whose_disk_was_full_restarts_with_what_it_had_saved_before() {
    let mut rng = Rng::new(7);
    let mut net = Net::new(rng.split(0));
    let [a, b] = add_pair(&mut net, Profile::Plain, &mut rng, BYTES);
    let rate = Element::Rate {
        bits_per_second: 8_000_000,
        queue_bytes: 50_000,
    };
    net.link_all(&[rate, Element::delay(10 * MS)]);
    let disk = net.disk(b).unwrap();
    net.disk_full_at(at(1) + 500 * MS, at(3), b);
    let (seen, restarted) = (disk.clone(), disk.clone());
    net.restart_at(at(4), b, move |_, _| {
        let saved = restarted.read("received").unwrap();
        let kept = u64::from_be_bytes(saved.try_into().unwrap());
        let endpoint = Profile::Plain.endpoint(1, &config(), true, &mut Rng::new(99));
        let plan = sending(kept);
        (
            endpoint,
            Agent::new(1, Side::Responder, Plan::default(), plan),
        )
    });
    let remote = Net::<Agent>::address_of(b);
    connect(&mut net, Profile::Plain, &mut rng, (a, b), remote);
    let save = |net: &Net<Agent>| {
        let got = received(net, b);
        (got, seen.replace("received", got.to_be_bytes().to_vec()))
    };
    run_until(&mut net, at(1));
    let (early, saved) = save(&net);
    assert_eq!(saved, Ok(()));
    run_until(&mut net, at(2));
    let (late, saved) = save(&net);
    assert!(late > early && early > 0);
    assert_eq!(saved, Err(DiskFull));
    run_until(&mut net, at(5));
    assert_eq!(disk.read("received"), Some(early.to_be_bytes().to_vec()));
    // There is room again.
    assert_eq!(save(&net).1, Ok(()));
    assert_eq!(disk.refused(), 1);
}

#[test]
fn a_router_that_says_too_big_is_heard_by_the_host_and_counted() {
    let mut net: Net<Agent> = Net::new(Rng::new(1));
    let address = Net::<Agent>::address_of;
    // The prober sends in the name of node 1, so node 1 hears of it.
    let payloads = vec![vec![0; 1_000], vec![0; 900]];
    net.add_host(Box::new(Prober::new(address(2), address(1), payloads, MS)));
    net.add_host(Box::new(Sink::default()));
    net.add_host(Box::new(Sink::default()));
    net.link_all(&[Element::delay(MS), Element::MtuWithIcmp(999)]);
    net.start(0).unwrap();
    run_until(&mut net, at(1));
    assert_eq!(net.host::<Sink>(1).unwrap().too_big, 1);
    assert_eq!(net.host::<Sink>(2).unwrap().datagrams, 1);
    assert_eq!(net.link_stats(0, 2).unwrap().too_big_told, 1);
}

#[test]
fn a_lost_confirm_message_is_repeated_though_what_follows_it_fills_a_datagram() {
    // The initiator's first flight gets lost: the message that completes the handshake and, behind
    // it, fragments of a message. None of these fits a datagram together with the former.
    let lost = [[Time(15 * MS), Time(25 * MS)]];
    for profile in [Profile::Plain, Profile::Sealed(CipherSuite::Aes128Gcm)] {
        let mut rng = Rng::new(7);
        let mut net = Net::new(rng.split(0));
        let plan = Plan {
            messages: vec![12_000],
            ..Plan::default()
        };
        let sides = [
            (Side::Initiator, plan.clone(), Plan::default()),
            (Side::Responder, Plan::default(), plan),
        ];
        for (node, (side, own, other)) in sides.into_iter().enumerate() {
            let endpoint = profile.endpoint(node, &config(), node == 1, &mut rng);
            net.add(endpoint, Agent::new(node, side, own, other));
        }
        let blackout = Element::Blackout(Blackout::Windows(lost.to_vec()));
        net.link(0, 1, &[blackout, Element::delay(10 * MS)]);
        net.link(1, 0, &[Element::delay(10 * MS)]);
        let remote = Net::<Agent>::address_of(1);
        connect(&mut net, profile, &mut rng, (0, 1), remote);
        run_until(&mut net, at(5));
        assert!(net.link_stats(0, 1).unwrap().blacked_out > 1);
        assert_eq!(net.app(1).unwrap().messages_received(), 1, "{profile:?}");
    }
}
