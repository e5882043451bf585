//! What becomes of hostile nodes, as one table:
//! `cargo run --release -p dunlin-lab --example conduct -- [NODES [SEEDS [INTERVAL_MS [STRATEGY]]]]`,
//! by default 200 nodes, 3 seeds and a broadcast each 100 ms; `STRATEGY` is the beginning of a row's name.
//! Of the nodes 30 % are hostile. A heartbeat is a second.

use std::time::Duration;

use dunlin_lab::rng::Ppm;
use dunlin_lab::swarm::Adversary;
use dunlin_lab::swarm::conduct::{ConductPlan, Conducted, conduct};

const SECOND: Duration = Duration::from_secs(1);
const STRATEGIES: [(&str, Adversary); 10] = [
    ("drop 100 %", Adversary::Drop(Ppm::ALWAYS)),
    ("drop 50 %", Adversary::Drop(Ppm::percent(50))),
    ("drop 20 %", Adversary::Drop(Ppm::percent(20))),
    ("mute", Adversary::Mute),
    ("delay 1 s", Adversary::Delay(SECOND)),
    ("invalid", Adversary::Invalid),
    (
        "on and off, 5 s each",
        Adversary::OnOff(Duration::from_secs(5)),
    ),
    ("collude", Adversary::Collude),
    ("slander and drop 50 %", Adversary::Slander),
    (
        "whitewash every 10 s",
        Adversary::Whitewash(Duration::from_secs(10)),
    ),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: u64| -> Result<u64, std::num::ParseIntError> {
        arguments
            .get(place)
            .map_or(Ok(default), |text| text.parse())
    };
    let (nodes, seeds) = (usize::try_from(number(0, 200)?)?, number(1, 3)?);
    let interval = Duration::from_millis(number(2, 100)?);
    let only = arguments.get(3).map_or("", String::as_str);
    println!(
        "{nodes} nodes, 30 % hostile, a broadcast each {interval:?}, seeds 0 to {}",
        seeds - 1
    );
    println!("Median and worst of the seeds, in per cent unless said otherwise.\n");
    println!(
        "| what they do | parents' places: before, 20, 40 heartbeats | no parent's place after 20, 40 | \
         no place at all after 20, 40 | false bans; honest barred | delivered | p99, ms | copies |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (name, adversary) in STRATEGIES
        .into_iter()
        .filter(|(name, _)| name.starts_with(only))
    {
        let plan = ConductPlan {
            nodes,
            percent: 30,
            adversary,
            interval,
            heartbeats: 40,
        };
        let runs: Result<Vec<_>, _> = (0..seeds).map(|seed| conduct(plan, seed)).collect();
        row(name, &runs?);
    }
    Ok(())
}

fn row(name: &str, runs: &[Conducted]) {
    let cell = |of: &dyn Fn(&Conducted) -> f64, scale: f64, worst_is_low: bool| {
        let mut all: Vec<f64> = runs.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        let worst = if worst_is_low {
            all.first()
        } else {
            all.last()
        };
        let at = |value: Option<&f64>| value.copied().unwrap_or_default() * scale;
        format!("{:.2} ({:.2})", at(all.get(all.len() / 2)), at(worst))
    };
    println!(
        "| {name} | {}, {}, {} | {}, {} | {}, {} | {}; {} | {} | {} | {} |",
        cell(&|run| run.before.parents, 100.0, false),
        cell(&|run| run.half.parents, 100.0, false),
        cell(&|run| run.end.parents, 100.0, false),
        cell(&|run| run.half.no_parent, 100.0, true),
        cell(&|run| run.end.no_parent, 100.0, true),
        cell(&|run| run.half.out, 100.0, true),
        cell(&|run| run.end.out, 100.0, true),
        cell(&|run| run.false_bans, 100.0, false),
        cell(&|run| run.false_bars, 100.0, false),
        cell(&|run| ratio(run.delivered, run.expected), 100.0, true),
        cell(&|run| run.latency_ms.p99, 1.0, false),
        cell(&|run| run.copies, 1.0, false),
    );
}

#[expect(clippy::cast_precision_loss, reason = "a figure to read")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
