//! How fast the laboratory is: seeds of the torture scenario, and packets of a bulk transfer.
//!
//! `cargo run --release -p dunlin-lab --example seeds_per_second [SEEDS]`
#![expect(
    clippy::disallowed_methods,
    reason = "it measures the simulator against the wall clock"
)]

use std::time::{Duration, Instant};

use dunlin_lab::link::Element;
use dunlin_lab::scenario::Scenario;
use dunlin_lab::{goodput, pair};
use dunlin_transport::EndpointConfig;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seeds: u64 = std::env::args()
        .nth(1)
        .map_or(Ok(500), |seeds| seeds.parse())?;
    let start = Instant::now();
    let mut datagrams = 0;
    for seed in 0..seeds {
        datagrams += pair::run(&Scenario::from_seed(seed), seed)?.datagrams;
    }
    let time = start.elapsed().as_secs_f64();
    println!("torture: {seeds} seeds, {datagrams} datagrams in {time:.2} s");
    println!(
        "  {:.0} seeds/s, {:.0} datagrams/s",
        seeds as f64 / time,
        datagrams as f64 / time
    );

    bulk("default settings", &EndpointConfig::default())?;
    let mut config = EndpointConfig::default();
    config.transport.send_buffer = 4 << 20;
    bulk("4 MiB of send buffer", &config)
}

/// A transfer over 1 Gbit/s of which 2.3 MB are on the way, one megabyte of it in the queue.
fn bulk(name: &str, config: &EndpointConfig) -> Result<(), Box<dyn std::error::Error>> {
    let delay = Element::delay(Duration::from_millis(5));
    let rate = Element::Rate {
        bits_per_second: 1_000_000_000,
        queue_bytes: 1_000_000,
    };
    let path: (&[Element], &[Element]) = (&[rate, delay.clone()], &[delay]);
    let times = (Duration::from_secs(1), Duration::from_secs(5));
    let start = Instant::now();
    let result = goodput::probe(config, path, times, 1)?;
    let time = start.elapsed().as_secs_f64();
    println!(
        "bulk over 1 Gbit/s, 10 ms, {name}: {} datagrams in {time:.2} s",
        result.datagrams
    );
    println!(
        "  {:.0} datagrams/s of the simulator",
        result.datagrams as f64 / time
    );
    println!(
        "  {:.0} Mbit/s of virtual goodput",
        result.bits_per_second as f64 / 1e6
    );
    Ok(())
}
