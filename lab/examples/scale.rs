//! How fast large networks run here, and how much memory they take:
//! `cargo run --release -p dunlin-lab --example scale -- overlays 10000 [SEED [CHECK_EVERY [BROADCASTS]]]` for
//! networks of overlays, `-- stacks 1000 …` for nodes of the full stack. Prints the report without
//! its single broadcasts, what was simulated per second and, on Linux, the peak of resident memory.

use std::time::Duration;

use dunlin_lab::stack::{self, StackScenario};
use dunlin_lab::swarm::{self, SwarmScenario};

/// What one run did: its report as text, and how many of what it simulated.
type Outcome = Result<(String, u64, &'static str), Box<dyn std::error::Error>>;

#[expect(
    clippy::disallowed_methods,
    reason = "this measures how long the computation takes"
)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next();
    let numbers: Vec<u32> = arguments
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    let (run, nodes): (fn(&SwarmScenario, u64) -> Outcome, _) = match kind.as_deref() {
        Some("overlays") => (overlays, 10_000),
        Some("stacks") => (stacks, 1_000),
        _ => return Err("say overlays or stacks, then how many".into()),
    };
    let number = |place: usize, default| numbers.get(place).copied().unwrap_or(default);
    let scenario = SwarmScenario {
        nodes: number(0, nodes),
        bootstraps: 8,
        join_over: Duration::from_secs(30),
        check_every: number(2, 1),
        broadcasts: number(3, 30),
        ..SwarmScenario::default()
    };
    let start = std::time::Instant::now();
    let (report, count, what) = run(&scenario, u64::from(number(1, 1)))?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{report}");
    println!(
        "{seconds:.1} s, {:.0} {what}/s, peak {}",
        rate(count, seconds),
        peak()
    );
    Ok(())
}

fn overlays(scenario: &SwarmScenario, seed: u64) -> Outcome {
    let mut report = swarm::run(scenario, seed)?;
    report.each.clear();
    Ok((format!("{report:?}"), report.events, "events"))
}

fn stacks(scenario: &SwarmScenario, seed: u64) -> Outcome {
    let scenario = StackScenario {
        network: SwarmScenario {
            degree: 5,
            max_peers: 16,
            warm_up: Duration::from_secs(45),
            broadcasts: 10,
            duration: Some(Duration::from_secs(60)),
            ..scenario.clone()
        },
        ..StackScenario::default()
    };
    let mut report = stack::run(&scenario, seed)?;
    report.network.each.clear();
    Ok((format!("{report:?}"), report.datagrams, "datagrams"))
}

#[expect(clippy::cast_precision_loss, reason = "a figure to read")]
fn rate(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

/// Peak of resident memory, as Linux tells it.
fn peak() -> String {
    std::fs::read_to_string("/proc/self/status")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}
