//! What a peer that sends a hundred times what it may does to the others, as one table:
//! `cargo run --release -p dunlin-lab --example flood -- [NODES [SEEDS [FIRST_SEED]]]`, by default 100
//! nodes and five seeds. What the victim's memory grows by, `lab/tests/flood_memory.rs` measures.

use dunlin_lab::swarm::overload::{FloodKind, Flooded, overload};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: u64| -> Result<u64, std::num::ParseIntError> {
        arguments
            .get(place)
            .map_or(Ok(default), |text| text.parse())
    };
    let nodes = usize::try_from(number(0, 100)?)?;
    let (count, first) = (number(1, 5)?, number(2, 0)?);
    println!(
        "{nodes} honest nodes, seeds {first} to {}",
        first + count - 1
    );
    println!("| what | median | worst |\n|---|---|---|");
    for (kind, name) in [
        (FloodKind::Direct, "direct messages"),
        (FloodKind::Broadcasts, "broadcasts"),
    ] {
        let runs = (first..first + count).map(|seed| overload(nodes, kind, seed));
        let runs: Vec<Flooded> = runs.collect::<Result<_, _>>()?;
        let figure = |what: &str, of: &dyn Fn(&Flooded) -> f64| {
            let mut figures: Vec<f64> = runs.iter().map(of).collect();
            figures.sort_by(f64::total_cmp);
            let at = |place: usize| figures.get(place).copied().unwrap_or_default();
            println!(
                "| {name}: {what} | {:.3} | {:.3} |",
                at(figures.len() / 2),
                at(figures.len() - 1)
            );
        };
        let count = |number: u64| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
        figure("sent by the flooder", &|run| count(run.sent));
        figure("dropped for their rate", &|run| count(run.dropped));
        figure("nodes that banned it", &|run| count(run.banned_by as u64));
        figure("other bans", &|run| count(run.honest_bans as u64));
        figure("honest deliveries missing", &|run| {
            count(run.expected - run.delivered)
        });
        figure("p99 of honest deliveries before, ms", &|run| {
            run.before_ms.p99
        });
        figure("p99 in the flood, ms", &|run| run.flood_ms.p99);
        figure("… over that before", &Flooded::slower);
        figure("most that a node's gossip grew by, KiB", &|run| {
            count(run.grown_by as u64 / 1024)
        });
    }
    Ok(())
}
