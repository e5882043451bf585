//! How fast networks of full-stack nodes run here: `cargo run --release -p dunlin-lab --example
//! stack_scale -- 1000 [seed [check_every]]`. Prints the report without its single broadcasts,
//! datagrams per second and, on Linux, the peak of resident memory.

use std::time::Duration;

use dunlin_lab::stack::{self, StackScenario};
use dunlin_lab::swarm::SwarmScenario;

#[expect(
    clippy::disallowed_methods,
    reason = "this measures how long the computation takes"
)]
fn main() {
    let arguments: Vec<u32> = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let argument = |place: usize, default| arguments.get(place).copied().unwrap_or(default);
    let scenario = StackScenario {
        network: SwarmScenario {
            nodes: argument(0, 1_000),
            degree: 5,
            max_peers: 16,
            bootstraps: 8,
            join_over: Duration::from_secs(30),
            warm_up: Duration::from_secs(45),
            broadcasts: 10,
            duration: Some(Duration::from_secs(60)),
            check_every: argument(2, 1),
            ..SwarmScenario::default()
        },
        ..StackScenario::default()
    };
    let start = std::time::Instant::now();
    match stack::run(&scenario, u64::from(argument(1, 1))) {
        Ok(mut report) => {
            let seconds = start.elapsed().as_secs_f64();
            report.network.each.clear();
            println!("{report:?}");
            println!(
                "{seconds:.1} s, {:.0} datagrams/s, peak {}",
                count(report.datagrams) / seconds,
                peak()
            );
        }
        Err(failure) => println!("{failure}"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure to read")]
fn count(number: u64) -> f64 {
    number as f64
}

/// Peak of resident memory, as Linux tells it.
fn peak() -> String {
    std::fs::read_to_string("/proc/self/status")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}
