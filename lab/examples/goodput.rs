//! Goodput of one bulk stream by loss and round-trip time, in virtual time.
//!
//! `cargo run --release -p dunlin-lab --example goodput`

use std::time::Duration;

use dunlin_lab::goodput::probe;
use dunlin_lab::link::{Element, HEADER_BYTES};
use dunlin_lab::rng::Ppm;
use dunlin_transport::EndpointConfig;

const RATE: u64 = 100_000_000;
const LOSSES: [Ppm; 5] = [
    Ppm(0),
    Ppm(100),
    Ppm(1_000),
    Ppm::percent(1),
    Ppm::percent(5),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = EndpointConfig::default();
    println!("Mbit/s of application data over 100 Mbit/s, queue of one bandwidth-delay product,");
    println!(
        "30 s after a warm-up of 10 s, median of 5 seeds; datagrams of {} bytes",
        { config.transport.mtu as u64 + HEADER_BYTES }
    );
    print!("{:>8}", "RTT");
    for loss in LOSSES {
        print!("{:>9}%", f64::from(loss.0) / 10_000.0);
    }
    println!();
    for rtt in [10, 50, 150].map(Duration::from_millis) {
        print!("{:>6}ms", rtt.as_millis());
        for loss in LOSSES {
            let mut results = Vec::new();
            for seed in 0..5 {
                results.push(goodput(&config, rtt, loss, seed)?);
            }
            results.sort_unstable();
            print!("{:>10.1}", results[2] as f64 / 1e6);
        }
        println!();
    }
    Ok(())
}

fn goodput(
    config: &EndpointConfig,
    rtt: Duration,
    loss: Ppm,
    seed: u64,
) -> Result<u64, Box<dyn std::error::Error>> {
    let queue_bytes = RATE / 8 * u64::try_from(rtt.as_millis())? / 1_000;
    let delay = Element::delay(rtt / 2);
    let forward = [
        Element::Loss(loss),
        Element::Rate {
            bits_per_second: RATE,
            queue_bytes,
        },
        delay.clone(),
    ];
    let times = (Duration::from_secs(10), Duration::from_secs(30));
    Ok(probe(config, (&forward, &[delay]), times, seed)?.bits_per_second)
}
