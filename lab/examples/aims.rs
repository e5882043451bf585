//! What is asked of a network of overlays, and whether it holds, as one table:
//! `cargo run --release -p dunlin-lab --example aims -- [--quick] [OPTION VALUE]…`
//!
//! | option | meaning |
//! |---|---|
//! | `--quick` | networks of at most 100 nodes and three seeds: minutes |
//! | `--only NAME,…` | only the parts whose name begins so: `deaths`, `partition`, `quiet`, `hostile`, `flood`, `churn`, or longer, as `hostile drop 50` |
//! | `--nodes N` | so many nodes in every part |
//! | `--seeds N`, `--first N` | so many seeds, from that one on |
//! | `--hours N` | so many hours of churn |
//! | `--interval-ms N` | between two broadcasts among hostile nodes |
//! | `--sources N` | in the quiet network only the first so many nodes speak |
//! | `--threads N` | so many threads; else one for each core |
//!
//! The table goes to standard output, each run to standard error when it is done. The program fails
//! when a figure misses what has to hold.

use std::collections::BTreeMap;
use std::error::Error;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use dunlin_lab::swarm::aims::{Figures, HEAD, Part, Plan, Size, Table, Verdict, measure};

const OPTIONS: [&str; 8] = [
    "only",
    "nodes",
    "seeds",
    "first",
    "hours",
    "interval-ms",
    "sources",
    "threads",
];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (is_quick, options) = options(std::env::args().skip(1))?;
    let number = |name: &str| {
        options
            .get(name)
            .map(|text| text.parse::<u64>())
            .transpose()
    };
    let mut plans = sized(is_quick, &number)?.plans();
    if let Some(only) = options.get("only") {
        let is_wanted = |plan: &Plan| {
            let name = plan.part.name();
            only.split(',').any(|prefix| name.starts_with(prefix))
        };
        plans.retain(is_wanted);
    }
    if let Some(count) = number("sources")? {
        for plan in &mut plans {
            if let Part::Quiet { sources } = &mut plan.part {
                *sources = usize::try_from(count)?;
            }
        }
    }
    let threads = match number("threads")? {
        Some(count) => NonZeroUsize::new(usize::try_from(count)?).ok_or("at least one thread")?,
        None => std::thread::available_parallelism()?,
    };
    let table = measure(&plans, threads, &tell)?;
    print(&table);
    let is_missed = table
        .rows
        .iter()
        .any(|row| row.verdict() == Verdict::Missed);
    Ok(ExitCode::from(u8::from(is_missed)))
}

/// `--quick`, and every other option with its value.
fn options(
    mut arguments: impl Iterator<Item = String>,
) -> Result<(bool, BTreeMap<String, String>), Box<dyn Error>> {
    let (mut is_quick, mut options) = (false, BTreeMap::new());
    while let Some(argument) = arguments.next() {
        let name = argument.strip_prefix("--").unwrap_or_default();
        if name == "quick" {
            is_quick = true;
        } else if OPTIONS.contains(&name) {
            let value = arguments
                .next()
                .ok_or(format!("{argument} wants a value"))?;
            options.insert(name.to_owned(), value);
        } else {
            return Err(format!("{argument} is no option; there are {OPTIONS:?} and quick").into());
        }
    }
    Ok((is_quick, options))
}

type Number<'a> = &'a dyn Fn(&str) -> Result<Option<u64>, std::num::ParseIntError>;

fn sized(is_quick: bool, number: Number<'_>) -> Result<Size, Box<dyn Error>> {
    let mut size = if is_quick { Size::QUICK } else { Size::FULL };
    if let Some(nodes) = number("nodes")? {
        let nodes = usize::try_from(nodes)?;
        (size.nodes, size.hostile_nodes) = (nodes, nodes);
        (size.flooded_nodes, size.churning_nodes) = (nodes, nodes);
    }
    if let Some(seeds) = number("seeds")? {
        (size.seeds, size.seeds_of_long) = (seeds, seeds);
    }
    size.first = number("first")?.unwrap_or(size.first);
    if let Some(hours) = number("hours")? {
        size.churn = Duration::from_secs(hours * 3_600);
    }
    if let Some(millis) = number("interval-ms")? {
        size.interval = Duration::from_millis(millis);
    }
    Ok(size)
}

fn tell(plan: &Plan, seed: u64, figures: &Figures) {
    let values = figures.samples.iter();
    let values: Vec<String> = values.map(|of| format!("{:.3}", of.value)).collect();
    let name = plan.part.name();
    eprintln!(
        "{name}, {} nodes, seed {seed}: {}",
        plan.nodes,
        values.join(" ")
    );
}

fn print(table: &Table) {
    println!("{HEAD}");
    for row in &table.rows {
        println!("{row}");
    }
    if !table.partings.is_empty() {
        println!("\n| why peers parted | times |\n|---|---|");
        for (reason, count) in &table.partings {
            println!("| {reason} | {count} |");
        }
    }
}
