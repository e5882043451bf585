//! What gossip costs and survives, as one table:
//! `cargo run --release -p dunlin-lab --example gossip -- [NODES [SEEDS [FIRST_SEED [PART [SOURCES]]]]]`,
//! by default 1,000 nodes and 20 seeds from 0. `PART` is `steady`, `crash` (or `30`, `50`, `80`: that
//! share only), `partition` or `all`; in the quiet network the first `SOURCES` nodes speak, by default all.

use std::time::Duration;

use dunlin_lab::swarm::SwarmFailure;
use dunlin_lab::swarm::gossip::{Steady, SteadyPlan, crash, partition, steady};

const LIMIT: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: u64| -> Result<u64, std::num::ParseIntError> {
        arguments
            .get(place)
            .map_or(Ok(default), |text| text.parse())
    };
    let nodes = usize::try_from(number(0, 1_000)?)?;
    let (count, first) = (number(1, 20)?, number(2, 0)?);
    let seeds: Vec<u64> = (first..first + count).collect();
    let part = arguments.get(3).map_or("all", String::as_str);
    println!("{nodes} nodes, seeds {first} to {}", first + count - 1);
    println!("| what | median | worst |\n|---|---|---|");
    for (percent, name) in [(30, "30"), (50, "50"), (80, "80")] {
        if matches!(part, "all" | "crash") || part == name {
            crashes(nodes, percent, &seeds)?;
        }
    }
    if matches!(part, "all" | "partition") {
        let runs = each(&seeds, |seed| partition(nodes, LIMIT, seed))?;
        let times: Vec<_> = runs.iter().map(|run| run.after).collect();
        row("half apart for 60 s: all messages everywhere", &times);
    }
    if matches!(part, "all" | "steady") {
        let plan = SteadyPlan {
            nodes,
            sources: usize::try_from(number(4, nodes as u64)?)?.min(nodes),
            measured: 200,
            interval: Duration::from_millis(100),
        };
        quiet(plan, &seeds)?;
    }
    Ok(())
}

fn each<T>(
    seeds: &[u64],
    run: impl Fn(u64) -> Result<T, SwarmFailure>,
) -> Result<Vec<T>, SwarmFailure> {
    seeds.iter().map(|&seed| run(seed)).collect()
}

fn crashes(nodes: usize, percent: usize, seeds: &[u64]) -> Result<(), SwarmFailure> {
    let runs = each(seeds, |seed| crash(nodes, percent, LIMIT, seed))?;
    let first: Vec<_> = runs.iter().map(|run| run.first_after).collect();
    let flying: Vec<_> = runs.iter().map(|run| run.in_flight_after).collect();
    row(&format!("{percent} % die: first message after"), &first);
    row(&format!("{percent} % die: messages in flight"), &flying);
    Ok(())
}

/// Times to the last delivery; those that never came are the worst.
fn row(what: &str, times: &[Option<Duration>]) {
    let mut known: Vec<Duration> = times.iter().flatten().copied().collect();
    known.sort_unstable();
    let never = times.len() - known.len();
    let text = |time: Option<&Duration>| {
        time.map_or("never".to_owned(), |time| {
            format!("{:.2} s", time.as_secs_f64())
        })
    };
    let worst = match never {
        0 => text(known.last()),
        never => format!("{never} of {} never", times.len()),
    };
    println!(
        "| {what} | {} | {worst} |",
        text(known.get(times.len() / 2))
    );
}

fn quiet(plan: SteadyPlan, seeds: &[u64]) -> Result<(), SwarmFailure> {
    let runs = each(seeds, |seed| steady(plan, seed))?;
    let figure = |what: &str, of: &dyn Fn(&Steady) -> f64| {
        let mut figures: Vec<f64> = runs.iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        let at = |place: usize| figures.get(place).copied().unwrap_or_default();
        println!(
            "| {what} | {:.3} | {:.3} |",
            at(figures.len() / 2),
            at(figures.len() - 1)
        );
    };
    figure("quiet: copies of a payload at each node", &|run| run.copies);
    figure("… while each origin speaks for the first time", &|run| {
        run.copies_at_first
    });
    figure("quiet: deliveries missing", &|run| {
        f64::from(u32::try_from(run.expected - run.delivered).unwrap_or(u32::MAX))
    });
    figure("quiet: p50 of delivery, ms", &|run| run.latency_ms.p50);
    figure("quiet: p99 of delivery, ms", &|run| run.latency_ms.p99);
    figure("… over that of a flood on the same links", &|run| {
        run.latency_ms.p99 / run.flood_ms.p99
    });
    figure(
        "quiet: IDs announced to a node for each broadcast",
        &|run| run.announced,
    );
    figure("quiet: bytes at a node for each broadcast", &|run| {
        run.bytes
    });
    figure("peers of a node", &|run| run.degree);
    Ok(())
}
