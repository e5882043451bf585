//! The fingerprints of a fixed set of runs: the same on every machine, in every order, on any
//! number of threads, and from one commit to the next unless somebody means to change them.
//!
//! A change of what endpoints send or of what the laboratory does to it changes them. Look at the
//! difference, and if it is meant, write them anew:
//! `DUNLIN_PIN=1 cargo test -p dunlin-lab --test pinned`.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use dunlin_lab::link::{
    CoDel, Distribution, DualPi2, Element, GilbertElliott, Queue, RateTrace, Shape,
};
use dunlin_lab::pair;
use dunlin_lab::profile::Profile;
use dunlin_lab::rng::Ppm;
use dunlin_lab::scenario::Scenario;
use dunlin_lab::workload::{Fate, StreamPlan};
use dunlin_session::CipherSuite;
use dunlin_transport::StreamDirection;

const SEEDS: u64 = 24;
const MS: Duration = Duration::from_millis(1);

/// One run.
#[derive(Clone, Debug)]
struct Case {
    name: String,
    scenario: Scenario,
    seed: u64,
}

/// `name fingerprint datagrams`.
fn line(case: &Case) -> String {
    match pair::run(&case.scenario, case.seed) {
        Ok(report) => {
            let (hash, datagrams) = (report.trace_hash, report.datagrams);
            format!("{} {hash:016x} {datagrams}", case.name)
        }
        Err(failure) => panic!("{}: {failure}", case.name),
    }
}

/// The seeds of the torture scenario in both profiles, and transfers over each kind of link.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for seed in 0..SEEDS {
        let mut plain = Scenario::from_seed(seed);
        plain.profile = Profile::Plain;
        // A plain connection does not move.
        plain.rebind = None;
        plain.nat = None;
        let mut sealed = Scenario::from_seed(seed);
        let ciphers = [CipherSuite::Aes128Gcm, CipherSuite::ChaCha20Poly1305];
        sealed.profile = Profile::Sealed(ciphers[usize::from(seed % 2 == 1)]);
        for (kind, scenario) in [("plain", plain), ("sealed", sealed)] {
            let name = format!("torture-{kind}-{seed}");
            cases.push(Case {
                name,
                scenario,
                seed,
            });
        }
    }
    for (name, elements) in links() {
        let mut scenario = Scenario::new(&elements);
        scenario.plans[0].streams = vec![StreamPlan {
            direction: StreamDirection::Bidirectional,
            bytes: 400_000,
            answer: 100_000,
            fate: Fate::Finish,
        }];
        cases.push(Case {
            name: format!("link-{name}"),
            scenario,
            seed: 1,
        });
    }
    cases
}

fn links() -> Vec<(&'static str, Vec<Element>)> {
    let delay = Element::delay(10 * MS);
    let rate = 4_000_000;
    let trace = RateTrace::from_csv("0,4mbit\n0.3,1mbit\n0.5,9mbit\n0.9,0\n1,0\n");
    let opportunities = RateTrace::from_mahimahi("1\n2\n2\n5\n9\n9\n14\n");
    let queue = Queue::CoDel(CoDel::default());
    let random = |distribution| Element::RandomDelay {
        distribution,
        in_order: false,
    };
    vec![
        (
            "codel",
            vec![Element::bottleneck(rate, queue), delay.clone()],
        ),
        (
            "dual-pi2",
            vec![
                Element::bottleneck(rate, Queue::DualPi2(DualPi2::default())),
                delay.clone(),
            ],
        ),
        (
            "steps",
            vec![
                Element::replay(trace.expect("it reads"), queue),
                delay.clone(),
            ],
        ),
        (
            "opportunities",
            vec![
                Element::replay(opportunities.expect("it reads"), queue),
                delay.clone(),
            ],
        ),
        (
            "normal",
            vec![random(Distribution::Normal {
                mean: 20 * MS,
                deviation: 5 * MS,
            })],
        ),
        (
            "pareto",
            vec![random(Distribution::Pareto {
                scale: 10 * MS,
                shape: Shape(1_500),
                cap: 500 * MS,
            })],
        ),
        (
            "gilbert-elliott",
            vec![
                delay,
                Element::GilbertElliott(GilbertElliott {
                    good_to_bad: Ppm::percent(1),
                    bad_to_good: Ppm::percent(20),
                    loss_good: Ppm(0),
                    loss_bad: Ppm::ALWAYS,
                }),
            ],
        ),
    ]
}

/// All lines, worked out on `threads` threads; in the order of the cases.
fn lines(cases: &[Case], threads: usize) -> Vec<String> {
    let next = Mutex::new(0);
    let done = Mutex::new(vec![String::new(); cases.len()]);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = {
                        let mut next = next.lock().expect("no thread panics with it");
                        *next += 1;
                        *next - 1
                    };
                    let Some(case) = cases.get(index) else { return };
                    let line = line(case);
                    done.lock().expect("no thread panics with it")[index] = line;
                }
            });
        }
    });
    done.into_inner().expect("all threads are over")
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/pinned.txt")
}

#[test]
fn pinned_runs_have_the_fingerprints_that_were_written_down() {
    let now = lines(&cases(), 2);
    if std::env::var_os("DUNLIN_PIN").is_some() {
        let mut text =
            String::from("# Written by DUNLIN_PIN=1 cargo test -p dunlin-lab --test pinned\n");
        for line in &now {
            writeln!(text, "{line}").expect("a string takes everything");
        }
        std::fs::write(file(), text).expect("the repository can be written to");
        return;
    }
    let written = std::fs::read_to_string(file()).expect("the file is in the repository");
    let written: Vec<_> = written
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let changed: Vec<_> = now
        .iter()
        .filter(|line| !written.contains(&line.as_str()))
        .collect();
    assert!(
        changed.is_empty() && written.len() == now.len(),
        "{} of {} runs changed: {changed:#?}\nif that is meant: DUNLIN_PIN=1 cargo test -p dunlin-lab --test pinned",
        changed.len(),
        now.len(),
    );
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let mut cases = cases();
    cases.truncate(16);
    let one = lines(&cases, 1);
    assert_eq!(one, lines(&cases, 4));
    cases.reverse();
    let mut other_order = lines(&cases, 3);
    other_order.reverse();
    assert_eq!(one, other_order);
}
