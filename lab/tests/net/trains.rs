//! What a socket gathers.

use std::any::Any;
use std::time::Duration;

use dunlin_lab::link::{Datagram, Element};
use dunlin_lab::net::byzantine::Prober;
use dunlin_lab::net::{Host, Net, Outgoing};
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::{Ppm, Rng};
use dunlin_lab::workload::Agent;
use dunlin_session::CipherSuite;
use dunlin_transport::{CloseReason, Instant, limits};

use super::{MS, add_pair, at, connect, received, run_until};

/// Remembers how long the datagrams of each train were.
#[derive(Default)]
struct Trains(Vec<Vec<usize>>);

impl Host for Trains {
    fn handle_datagram(&mut self, _: Instant, datagram: &mut Datagram) {
        self.0.push(vec![datagram.bytes.len()]);
    }

    fn handle_train(&mut self, _: Instant, train: &mut [Box<Datagram>]) {
        let lengths = train.iter().map(|datagram| datagram.bytes.len());
        self.0.push(lengths.collect());
    }

    fn poll_transmit(&mut self, _: Instant, _: &mut Vec<u8>) -> Option<Outgoing> {
        None
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

/// The trains that datagrams of these lengths become which leave at one instant.
fn trains_of(lengths: &[usize], elements: &[Element], gathers: bool) -> Vec<Vec<usize>> {
    let mut net: Net<Agent> = Net::new(Rng::new(3));
    let address = Net::<Agent>::address_of;
    let payloads = lengths.iter().map(|length| vec![7; *length]).collect();
    let prober = Prober::new(address(1), address(0), payloads, Duration::ZERO);
    net.add_host(Box::new(prober));
    let node = net.add_host(Box::new(Trains::default()));
    if gathers {
        net.gather(node);
    }
    net.link_all(elements);
    net.start(0).expect("a prober breaks no promise");
    run_until(&mut net, at(60));
    net.host::<Trains>(node).expect("it was added").0.clone()
}

#[test]
fn what_has_one_length_is_a_train_and_a_shorter_one_ends_it() {
    let lengths = [900, 900, 900, 40, 900, 900, 1_000, 1_000, 5, 5];
    let found = trains_of(&lengths, &[Element::delay(MS)], true);
    let expected: [&[usize]; 4] = [&[900, 900, 900, 40], &[900, 900], &[1_000, 1_000, 5], &[5]];
    assert_eq!(found, expected);
    let alone = trains_of(&lengths, &[Element::delay(MS)], false);
    assert_eq!(alone, lengths.map(|length| vec![length]));
}

#[test]
fn a_train_has_no_more_datagrams_and_bytes_than_the_kernel_joins() {
    let most = limits::SEGMENTS_MAX;
    let found = trains_of(&vec![10; most + 1], &[Element::delay(MS)], true);
    assert_eq!(found, [vec![10; most], vec![10]]);
    let fit = limits::UDP_PAYLOAD_MAX / 1_500;
    let found = trains_of(&vec![1_500; fit + 1], &[Element::delay(MS)], true);
    assert_eq!(found, [vec![1_500; fit], vec![1_500]]);
}

#[test]
fn what_a_bottleneck_lets_through_one_by_one_is_no_train() {
    let rate = Element::Rate {
        bits_per_second: 8_000_000,
        queue_bytes: 100_000,
    };
    let found = trains_of(&[900; 5], &[rate, Element::delay(MS)], true);
    assert_eq!(found, [[900]; 5]);
}

#[test]
fn a_transfer_in_trains_brings_every_byte() {
    let bytes = 3_000_000;
    for loss in [Ppm::percent(0), Ppm::percent(2)] {
        let mut rng = Rng::new(5);
        let mut net = Net::new(rng.split(1));
        let profile = Profile::Sealed(CipherSuite::Aes128Gcm);
        let [a, b] = add_pair(&mut net, profile, &mut rng, bytes);
        net.gather(a);
        net.gather(b);
        net.link_all(&[Element::Loss(loss), Element::delay(10 * MS)]);
        let remote = Net::<Agent>::address_of(b);
        connect(&mut net, profile, &mut rng, (a, b), remote);
        run_until(&mut net, at(60));
        let sender = net.app(a).and_then(Agent::close_reason);
        assert_eq!(sender, Some(&CloseReason::Local));
        assert_eq!(received(&net, b), bytes);
        let stats = net.stats();
        assert!(stats.gathered * 2 > stats.delivered, "{stats:?}");
    }
}
