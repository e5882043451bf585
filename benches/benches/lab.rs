//! How fast the laboratory simulates: `cargo bench -p dunlin-benches --bench lab`.
//!
//! Each line is the best and the median of several runs in this process, one thread. A bulk
//! transfer over a virtual gigabit with 10 ms, every byte checked by its reader; and seeds of the
//! torture scenario.
#![expect(
    clippy::disallowed_methods,
    reason = "it measures the simulator against the wall clock"
)]

use std::time::{Duration, Instant};

use dunlin_lab::goodput::probe_with;
use dunlin_lab::link::Element;
use dunlin_lab::pair;
use dunlin_lab::profile::Profile;
use dunlin_lab::scenario::Scenario;
use dunlin_lab::violation::Failure;
use dunlin_session::CipherSuite;
use dunlin_transport::EndpointConfig;

const RUNS: usize = 9;
const SEEDS: u64 = 100;

/// What one run simulated.
struct Work {
    datagrams: u64,
    events: u64,
    seeds: u64,
}

fn main() -> Result<(), Failure> {
    println!("best / median of {RUNS} runs, one thread; per second of this machine");
    let sealed = Profile::Sealed(CipherSuite::Aes128Gcm);
    measure("bulk, plain", || bulk(Profile::Plain, 3))?;
    measure("bulk, sealed (pure Rust)", || bulk(sealed, 1))?;
    measure("torture", torture)
}

fn measure(name: &str, run: impl Fn() -> Result<Work, Failure>) -> Result<(), Failure> {
    let mut times = Vec::new();
    let mut work = run()?;
    for _ in 0..RUNS {
        let start = Instant::now();
        work = run()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let rate = |count: u64| {
        let per = |time: Duration| count as f64 / time.as_secs_f64();
        format!("{:>10.0} / {:>10.0}", per(times[0]), per(times[RUNS / 2]))
    };
    print!("{name:<26} datagrams {}", rate(work.datagrams));
    print!("   events {}", rate(work.events));
    if work.seeds > 0 {
        print!("   seeds {}", rate(work.seeds));
    }
    println!();
    Ok(())
}

fn bulk(profile: Profile, seconds: u64) -> Result<Work, Failure> {
    let delay = Element::delay(Duration::from_millis(5));
    let rate = Element::Rate {
        bits_per_second: 1_000_000_000,
        queue_bytes: 1_000_000,
    };
    let path: (&[Element], &[Element]) = (&[rate, delay.clone()], &[delay]);
    let times = (Duration::from_secs(1), Duration::from_secs(seconds));
    let result = probe_with(profile, &EndpointConfig::default(), path, times, 1)?;
    Ok(Work {
        datagrams: result.datagrams,
        events: result.steps,
        seeds: 0,
    })
}

fn torture() -> Result<Work, Failure> {
    let mut work = Work {
        datagrams: 0,
        events: 0,
        seeds: SEEDS,
    };
    for seed in 0..SEEDS {
        let report = pair::run(&Scenario::from_seed(seed), seed)?;
        work.datagrams += report.datagrams;
        work.events += report.steps;
    }
    Ok(work)
}
