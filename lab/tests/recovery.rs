//! Loss recovery seen from outside: reordering that is taken for loss costs little, an outage is over
//! soon after it is over, and a window that was cut is not left by silence or bursts.

use std::time::Duration;

use dunlin_lab::goodput::{Goodput, probe};
use dunlin_lab::link::{Blackout, Element};
use dunlin_lab::rng::Ppm;
use dunlin_lab::units::Time;
use dunlin_transport::EndpointConfig;
use dunlin_transport::congestion::ControllerChoice;

const MS: Duration = Duration::from_millis(1);
const RATE: u64 = 20_000_000;

fn bulk(more: &[Element], queue_bytes: u64, seconds: u64) -> Goodput {
    let mut path = vec![
        Element::Rate {
            bits_per_second: RATE,
            queue_bytes,
        },
        Element::delay(25 * MS),
    ];
    path.extend_from_slice(more);
    let times = (Duration::from_secs(2), Duration::from_secs(seconds));
    let back = [Element::delay(25 * MS)];
    let config = EndpointConfig::default();
    probe(&config, (&path, &back), times, 1).expect("the connection holds")
}

/// A tenth of all packets is overtaken by as many as leave in `extra`.
fn reordered(extra: Duration) -> Element {
    Element::Reorder {
        chance: Ppm::percent(10),
        extra,
    }
}

#[test]
fn reordering_costs_little_however_far_it_reaches() {
    let plain = bulk(&[], 250_000, 20);
    for extra in [2, 8, 15, 30] {
        let run = bulk(&[reordered(extra * MS)], 250_000, 20);
        let share = run.bits_per_second * 100 / plain.bits_per_second;
        assert!(share >= 95, "{extra} ms: {share} %, {:?}", run.sender);
    }
}

/// A stream over 100 Mbit/s with a queue of one bandwidth-delay product.
fn fast(controller: ControllerChoice, rtt: Duration, more: &[Element]) -> Goodput {
    let bits_per_second = 100_000_000;
    let queue_bytes = u64::try_from(rtt.as_micros()).expect("short") * 100 / 8;
    let half = Element::delay(rtt / 2);
    let rate = Element::Rate {
        bits_per_second,
        queue_bytes,
    };
    let path = [&[rate, half.clone()][..], more].concat();
    let mut config = EndpointConfig::default();
    config.transport.controller = controller;
    let times = (Duration::from_secs(3), Duration::from_secs(8));
    probe(&config, (&path, &[half]), times, 1).expect("the connection holds")
}

#[test]
fn reordering_costs_each_controller_less_than_a_twentieth() {
    for controller in [
        ControllerChoice::NewReno,
        ControllerChoice::Cubic,
        ControllerChoice::Bbr,
        ControllerChoice::BbrTolerant,
    ] {
        for rtt in [10 * MS, 50 * MS] {
            let plain = fast(controller.clone(), rtt, &[]);
            let run = fast(controller.clone(), rtt, &[reordered(5 * MS)]);
            let share = run.bits_per_second * 100 / plain.bits_per_second;
            assert!(
                share >= 95,
                "{controller:?} {rtt:?}: {share} %, {:?}",
                run.sender
            );
        }
    }
}

#[test]
fn a_large_window_is_acknowledged_in_few_packets() {
    let run = fast(ControllerChoice::Cubic, 50 * MS, &[]);
    let (sent, back) = (run.sender.packets_sent, run.sender.packets_received);
    assert!(back * 20 < sent, "{back} for {sent}");
    assert!(run.bits_per_second > 94_000_000, "{run:?}");
}

#[test]
fn after_an_outage_data_flows_within_the_ceiling_of_the_probe_timeout() {
    // Twenty seconds without anything: without a ceiling the next probe may be as long away.
    let blackout = Blackout::Windows(vec![[
        Time(Duration::from_secs(5)),
        Time(Duration::from_secs(25)),
    ]]);
    let outage = [Element::Blackout(blackout)];
    let times = (Duration::from_millis(29_500), Duration::from_secs(1));
    let path = [&[Element::delay(25 * MS)][..], &outage].concat();
    let run = probe(&EndpointConfig::default(), (&path, &path), times, 1).expect("it holds");
    assert!(run.bits_per_second > 100_000, "{run:?}");
    assert!(run.sender.probe_timeouts < 16, "{:?}", run.sender);
}
