//! In which order datagrams arrive.

use std::any::Any;
use std::time::Duration;

use dunlin_lab::link::{Blackout, Datagram, Distribution, Element, Shape};
use dunlin_lab::net::byzantine::Prober;
use dunlin_lab::net::{Host, Net, Outgoing};
use dunlin_lab::rng::Rng;
use dunlin_lab::workload::Agent;
use dunlin_transport::Instant;

use super::{MS, at, run_until};

/// Remembers when what arrived.
#[derive(Default)]
struct Diary {
    arrivals: Vec<(Instant, u16)>,
}

impl Host for Diary {
    fn handle_datagram(&mut self, now: Instant, datagram: &mut Datagram) {
        let number = datagram.bytes.first_chunk().copied().unwrap_or_default();
        self.arrivals.push((now, u16::from_be_bytes(number)));
    }

    fn poll_transmit(&mut self, _: Instant, _: &mut Vec<u8>) -> Option<Outgoing> {
        None
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

/// What arrives of `count` numbered datagrams of 972 bytes that are sent at one instant.
fn arrivals(elements: &[Element], count: u16) -> Vec<(Instant, u16)> {
    let mut net: Net<Agent> = Net::new(Rng::new(11));
    let address = Net::<Agent>::address_of;
    let numbered = |number: u16| {
        let mut bytes = vec![0; 972];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        bytes
    };
    let payloads = (0..count).map(numbered).collect();
    let prober = Prober::new(address(1), address(0), payloads, Duration::ZERO);
    net.add_host(Box::new(prober));
    net.add_host(Box::new(Diary::default()));
    net.link_all(elements);
    net.start(0).expect("a prober breaks no promise");
    run_until(&mut net, at(60));
    net.host::<Diary>(1).expect("it was added").arrivals.clone()
}

/// A millisecond for each datagram.
fn rate() -> Element {
    Element::Rate {
        bits_per_second: 8_000_000,
        queue_bytes: 100_000_000,
    }
}

#[test]
fn a_delay_that_keeps_the_order_keeps_it_where_many_arrive_at_one_instant() {
    let pareto = Element::RandomDelay {
        distribution: Distribution::Pareto {
            scale: 4 * MS,
            shape: Shape(1_000),
            cap: 60 * MS,
        },
        in_order: true,
    };
    let jitter = Element::Delay {
        fixed: 4 * MS,
        jitter: 50 * MS,
        in_order: true,
    };
    for path in [
        vec![rate(), pareto.clone()],
        vec![rate(), jitter.clone(), Element::delay(MS)],
        vec![pareto, rate(), jitter],
    ] {
        let arrivals = arrivals(&path, 2_000);
        let together = arrivals.windows(2).filter(|pair| pair[0].0 == pair[1].0);
        assert!(together.count() > 500, "the test is about equal times");
        assert_eq!(arrivals.len(), 2_000);
        let swapped = (0..)
            .zip(&arrivals)
            .find(|(index, (_, number))| index != number);
        assert_eq!(swapped, None, "{path:?}");
    }
}

#[test]
fn what_a_blackout_lets_through_keeps_its_order_too() {
    let window = [[30 * MS, 60 * MS].map(dunlin_lab::units::Time)].to_vec();
    let path = [
        rate(),
        Element::delay(20 * MS),
        Element::Blackout(Blackout::Windows(window)),
    ];
    let order: Vec<_> = arrivals(&path, 100)
        .into_iter()
        .map(|(_, number)| number)
        .collect();
    assert!((60..80).contains(&order.len()), "{}", order.len());
    assert!(order.is_sorted());
}
