//! How fast networks of overlays run here: `cargo run --release -p dunlin-lab --example
//! swarm_scale -- 10000 [seed [check_every [broadcasts]]]`. Prints the report without its single
//! broadcasts, events per second and, on Linux, the peak of resident memory.

use std::time::Duration;

use dunlin_lab::swarm::{self, SwarmScenario};

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
    let nodes = argument(0, 10_000);
    let scenario = SwarmScenario {
        nodes,
        bootstraps: 8,
        join_over: Duration::from_secs(30),
        broadcasts: argument(3, 30),
        check_every: argument(2, 1),
        ..SwarmScenario::default()
    };
    let start = std::time::Instant::now();
    match swarm::run(&scenario, u64::from(argument(1, 1))) {
        Ok(mut report) => {
            let seconds = start.elapsed().as_secs_f64();
            report.each.clear();
            println!("{report:?}");
            println!(
                "{seconds:.1} s, {:.0} events/s, peak {}",
                count(report.events) / seconds,
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
