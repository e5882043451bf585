//! Congestion controllers against theory and against each other, in virtual time.
//!
//! `cargo run --release -p dunlin-lab --example controllers [TABLE [CONTROLLER [SEEDS]]]`: one of the
//! tables `response`, `hystart`, `loss`, `fairness`, `mixed` and `torture` (without: all but
//! `torture`), for one of `NewReno`, `Cubic`, `Bbr` and `BbrTolerant` (without, or `all`: for all),
//! with so many seeds.

mod bulk;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bulk::{Path, Run, data_of_a_packet, limit, run};
use dunlin_lab::pair;
use dunlin_lab::rng::Ppm;
use dunlin_lab::scenario::Scenario;
use dunlin_transport::Instant;
use dunlin_transport::congestion::{ControllerChoice, Setup};

type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const MS: Duration = Duration::from_millis(1);
const MEGA: f64 = 1e6;

/// What to measure.
struct Wanted {
    table: Option<String>,
    controller: Option<String>,
    seeds: Option<u64>,
}

impl Wanted {
    fn has(&self, table: &str) -> bool {
        self.table.as_deref().is_none_or(|wanted| wanted == table)
    }

    /// The controllers among `all` that are wanted.
    fn among(&self, all: &[ControllerChoice]) -> Vec<ControllerChoice> {
        let wanted = self.controller.as_deref().filter(|name| *name != "all");
        let is_wanted =
            |choice: &&ControllerChoice| wanted.is_none_or(|name| name == format!("{choice:?}"));
        all.iter().filter(is_wanted).cloned().collect()
    }

    fn seeds(&self, default: u64) -> u64 {
        self.seeds.unwrap_or(default)
    }
}

const BY_LOSS: [ControllerChoice; 2] = [ControllerChoice::NewReno, ControllerChoice::Cubic];
const ALL: [ControllerChoice; 4] = [
    ControllerChoice::NewReno,
    ControllerChoice::Cubic,
    ControllerChoice::Bbr,
    ControllerChoice::BbrTolerant,
];

fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let wanted = Wanted {
        table: arguments.next(),
        controller: arguments.next(),
        seeds: arguments.next().map(|seeds| seeds.parse()).transpose()?,
    };
    for (name, table) in [
        ("response", response as fn(&Wanted) -> Result),
        ("hystart", hystart),
        ("loss", loss),
        ("fairness", fairness),
        ("mixed", mixed),
    ] {
        if wanted.has(name) {
            table(&wanted)?;
        }
    }
    if wanted.table.as_deref() == Some("torture") {
        torture(&wanted)?;
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The response function: AIMD at these parameters gives 1.22/√p packets a round trip, NewReno by
/// its halving and CUBIC in its Reno-friendly region by design (RFC 9438 §5.1).
fn response(wanted: &Wanted) -> Result {
    println!("Response function: 50 ms, 1 Gbit/s (never the limit), 200 s");
    println!(
        "{:>12} {:>8} {:>12} {:>12} {:>7}",
        "", "loss", "Mbit/s", "theory", "ratio"
    );
    let data = data_of_a_packet();
    for choice in &wanted.among(&BY_LOSS) {
        for loss in [1_000, 10_000] {
            let path = Path {
                bits_per_second: 1_000_000_000,
                rtt: 50 * MS,
                queue_permille: 1_000,
                loss: Ppm(loss),
            };
            let mut rates = Vec::new();
            for seed in 0..wanted.seeds(9) {
                let times = (20_000 * MS, 200_000 * MS);
                rates.push(run(choice, &path, 1, times, seed)?.total() as f64 / MEGA);
            }
            let p = f64::from(loss) / 1e6;
            let theory = 1.5_f64.sqrt() / p.sqrt() * data * 8.0 / 0.05 / MEGA;
            let rate = median(rates);
            println!(
                "{:>12} {:>7}% {rate:>10.2} {theory:>10.2} {:>7.2}",
                format!("{choice:?}"),
                p * 100.0,
                rate / theory
            );
        }
    }
    Ok(())
}

/// Where the first slow start ends.
fn hystart(wanted: &Wanted) -> Result {
    println!("\nEnd of the first slow start, queue of one bandwidth-delay product (BDP)");
    println!(
        "{:>12} {:>12} {:>6} {:>12} {:>8} {:>8} {:>14}",
        "", "Mbit/s", "RTT", "after", "window", "drops", "phase then"
    );
    for choice in &wanted.among(&BY_LOSS) {
        for (mega, rtt) in [
            (10, 10),
            (10, 50),
            (100, 10),
            (100, 50),
            (100, 150),
            (1_000, 50),
        ] {
            let path = Path {
                bits_per_second: mega * 1_000_000,
                rtt: rtt * MS,
                queue_permille: 1_000,
                loss: Ppm(0),
            };
            let mut run = Run::new(choice, &path, 1);
            run.connect()?;
            let mut now = Instant::ZERO;
            loop {
                now = now + MS;
                run.run_until(now)?;
                let Some((stats, state)) = run.sender() else {
                    continue;
                };
                if !state.phase.ends_with("slow_start") || now > Instant::ZERO + 60_000 * MS {
                    println!(
                        "{:>12} {mega:>10} {rtt:>4}ms {:>8.2} s {:>7.2}x {:>8} {:>14}",
                        format!("{choice:?}"),
                        Duration::from_nanos(now.as_nanos()).as_secs_f64(),
                        stats.congestion_window as f64 / path.bdp() as f64,
                        run.queue_full(),
                        state.phase
                    );
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Goodput and queue by random loss.
fn loss(wanted: &Wanted) -> Result {
    println!(
        "\nGoodput of one flow in per cent of what loss and headers leave, 100 Mbit/s, queue of"
    );
    println!(
        "one BDP, 60 s after 10 s, median of the seeds; queue: mean and most of smoothed RTT − base,"
    );
    println!("in BDP");
    println!(
        "{:>12} {:>6} {:>8} {:>8} {:>9} {:>9}",
        "", "RTT", "loss", "goodput", "mean", "most"
    );
    for choice in wanted.among(&ALL) {
        for rtt in [10, 50, 150] {
            for loss in [0, 1_000, 10_000, 50_000] {
                let path = Path {
                    bits_per_second: 100_000_000,
                    rtt: rtt * MS,
                    queue_permille: 1_000,
                    loss: Ppm(loss),
                };
                let (mut rates, mut means, mut mosts) = (Vec::new(), Vec::new(), Vec::new());
                for seed in 0..wanted.seeds(5) {
                    let outcome = run(&choice, &path, 1, (10_000 * MS, 60_000 * MS), seed)?;
                    rates.push(outcome.total() as f64 / limit(&path));
                    let queue = |rtt: Duration| rtt.as_secs_f64() / path.rtt.as_secs_f64() - 1.0;
                    means.push(queue(outcome.rtt_mean));
                    mosts.push(queue(outcome.rtt_max));
                }
                println!(
                    "{:>12} {rtt:>4}ms {:>7}% {:>7.1}% {:>9.2} {:>9.2}",
                    format!("{choice:?}"),
                    f64::from(loss) / 10_000.0,
                    median(rates) * 100.0,
                    median(means),
                    median(mosts)
                );
            }
        }
    }
    Ok(())
}

/// Flows of the same controller at one bottleneck.
fn fairness(wanted: &Wanted) -> Result {
    println!(
        "\nJain index of equal flows that begin 0.3 s apart: 100 Mbit/s, 50 ms, queue of one BDP,"
    );
    println!("120 s after 30 s, median of the seeds");
    println!("{:>12} {:>6} {:>8} {:>9}", "", "flows", "Jain", "of limit");
    for choice in wanted.among(&ALL) {
        for flows in [2, 4, 16] {
            let path = Path {
                bits_per_second: 100_000_000,
                rtt: 50 * MS,
                queue_permille: 1_000,
                loss: Ppm(0),
            };
            let (mut indices, mut totals) = (Vec::new(), Vec::new());
            for seed in 0..wanted.seeds(3) {
                let outcome = run(&choice, &path, flows, (30_000 * MS, 120_000 * MS), seed)?;
                indices.push(outcome.jain());
                totals.push(outcome.total() as f64 / limit(&path) * 100.0);
            }
            println!(
                "{:>12} {flows:>6} {:>8.3} {:>8.1}%",
                format!("{choice:?}"),
                median(indices),
                median(totals)
            );
        }
    }
    Ok(())
}

/// Flows of CUBIC and of another controller at one bottleneck, in turns.
fn mixed(wanted: &Wanted) -> Result {
    println!(
        "\nShare of 2 flows of CUBIC beside 2 of another controller: 100 Mbit/s, 50 ms, 120 s after 30 s"
    );
    println!("{:>12} {:>8} {:>14}", "beside", "queue", "share of CUBIC");
    for other in wanted.among(&[
        ControllerChoice::NewReno,
        ControllerChoice::Bbr,
        ControllerChoice::BbrTolerant,
    ]) {
        for queue_permille in [250, 1_000, 4_000] {
            let path = Path {
                bits_per_second: 100_000_000,
                rtt: 50 * MS,
                queue_permille,
                loss: Ppm(0),
            };
            let mut shares = Vec::new();
            for seed in 0..wanted.seeds(3) {
                let (next, other) = (AtomicUsize::new(0), other.clone());
                // Both ends of a flow make a controller; only that of the sender matters.
                let choice = ControllerChoice::custom(move |setup: &Setup| {
                    let flow = next.fetch_add(1, Ordering::Relaxed) / 2;
                    let choice = if flow % 2 == 0 {
                        &ControllerChoice::Cubic
                    } else {
                        &other
                    };
                    choice.make(setup)
                });
                let outcome = run(&choice, &path, 4, (30_000 * MS, 120_000 * MS), seed)?;
                let cubic: u64 = outcome.goodputs.iter().step_by(2).sum();
                shares.push(cubic as f64 / outcome.total() as f64 * 100.0);
            }
            println!(
                "{:>12} {:>6.2}x {:>13.1}%",
                format!("{other:?}"),
                queue_permille as f64 / 1_000.0,
                median(shares)
            );
        }
    }
    Ok(())
}

/// Seeds of the torture scenario with each controller at both ends.
fn torture(wanted: &Wanted) -> Result {
    let seeds = wanted.seeds(1_000);
    for choice in wanted.among(&ALL) {
        let mut failures = 0;
        for seed in 0..seeds {
            let mut scenario = Scenario::from_seed(seed);
            for config in &mut scenario.config {
                config.transport.controller = choice.clone();
            }
            if let Err(failure) = pair::run(&scenario, seed) {
                failures += 1;
                println!("{choice:?}, seed {seed}: {failure}");
            }
        }
        println!("{choice:?}: {seeds} seeds, {failures} failures");
    }
    Ok(())
}
