//! Whether nodes keep their peers while all of them come and go, as one table:
//! `cargo run --release -p dunlin-lab --example churn -- [NODES [HOURS [SEEDS [FIRST_SEED]]]]`, by default
//! 500 nodes, 24 hours, one seed. Sessions have a half-life of an hour.

use std::collections::BTreeMap;
use std::time::Duration;

use dunlin_lab::swarm::churn::{ChurnPlan, Churned, churn};
use dunlin_overlay::StateReason;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: u64| -> Result<u64, std::num::ParseIntError> {
        arguments
            .get(place)
            .map_or(Ok(default), |text| text.parse())
    };
    let nodes = usize::try_from(number(0, 500)?)?;
    let length = Duration::from_secs(number(1, 24)? * 3_600);
    let (count, first) = (number(2, 1)?, number(3, 0)?);
    let plan = ChurnPlan::new(nodes, length);
    println!(
        "{nodes} nodes, {length:?}, seeds {first} to {}",
        first + count - 1
    );
    let runs = (first..first + count).map(|seed| churn(&plan, seed));
    let runs: Vec<Churned> = runs.collect::<Result<_, _>>()?;
    println!("| what | median | worst |\n|---|---|---|");
    let figure = |what: &str, of: &dyn Fn(&Churned) -> f64| {
        let mut figures: Vec<f64> = runs.iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        let at = |place: usize| figures.get(place).copied().unwrap_or_default();
        println!(
            "| {what} | {:.3} | {:.3} |",
            at(figures.len() / 2),
            at(figures.len() - 1)
        );
    };
    let count = |number: u64| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    figure("sessions that ended", &|run| count(run.sessions));
    figure("longest time below min_peers, s", &|run| {
        run.longest_below.as_secs_f64()
    });
    figure("share of the time below min_peers, millionths", &|run| {
        count(run.seconds_below) / count(run.seconds) * 1e6
    });
    figure("longest time in several pieces, s", &|run| {
        run.longest_apart.as_secs_f64()
    });
    figure("running peers of a node", &|run| run.degree);
    figure("dials of a node in an hour", &|run| {
        count(run.dials) / count(nodes as u64) / length.as_secs_f64() * 3_600.0
    });
    figure("connections lost without an explanation", &|run| {
        count(run.partings.unexplained())
    });
    figure("events, millions", &|run| count(run.steps / 1_000) / 1e3);
    let mut reasons: BTreeMap<StateReason, u64> = BTreeMap::new();
    for (reason, count) in runs.iter().flat_map(|run| run.partings.reasons()) {
        *reasons.entry(reason).or_default() += count;
    }
    println!("\n| why peers parted | times |\n|---|---|");
    for (reason, count) in reasons {
        println!("| {reason} | {count} |");
    }
    Ok(())
}
