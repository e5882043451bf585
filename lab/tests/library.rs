//! Every scenario that ships, in a short form: it runs, gives a table and a report, and the same seed
//! gives the same run.

use std::num::NonZeroUsize;

use dunlin_lab::experiment::library::{LIBRARY, Named};
use dunlin_lab::experiment::model::Kind;
use dunlin_lab::experiment::outcome::Outcome;
use dunlin_lab::experiment::pool::{jobs, run_all};
use dunlin_lab::experiment::report::report;
use dunlin_lab::experiment::study::Study;
use dunlin_lab::experiment::table::{csv, table, text};

/// The scenario with less of everything that takes time. Its sentences are not true of that.
fn short(named: Named) -> Study {
    let document = named.document().expect("it ships");
    let whole = Study::new(document.clone()).expect("it ships");
    let sets: &[&str] = match whole.head().kind {
        Kind::Pair if named.name == "matrix" => &[
            "rate=10mbit",
            "rtt=10ms",
            "warm_up=200ms",
            "duration=500ms",
            "drain=2s",
        ],
        Kind::Pair => &["warm_up=200ms", "duration=500ms", "drain=2s"],
        Kind::Swarm => &["swarm.nodes=10", "swarm.broadcasts=3"],
        Kind::Stack => &["stack.network.nodes=4", "stack.network.broadcasts=2"],
        Kind::Torture => &[],
    };
    let mut document = document;
    for set in sets {
        document.set(set).expect("every scenario has these keys");
    }
    Study::new(document).expect("it stays a scenario")
}

fn outcome(study: &Study, threads: usize) -> Outcome {
    let seeds = [3, 4];
    let jobs = jobs(study, &seeds, None);
    let threads = NonZeroUsize::new(threads).expect("at least one");
    let runs = run_all(study, &jobs, threads, &|_| (), &|| false);
    Outcome::new(study, &seeds, None, runs.expect("nobody stops it"))
}

#[test]
fn every_scenario_runs_reports_and_repeats_to_the_byte() {
    for named in LIBRARY {
        let study = short(*named);
        let [first, second] = [1, 2].map(|threads| outcome(&study, threads));
        assert_eq!(first.to_json(), second.to_json(), "{}", named.name);
        for run in &first.runs {
            let (name, seed) = (named.name, run.seed);
            assert_eq!(run.violation, None, "{name}, seed {seed}");
            assert_ne!(run.trace_hash, 0, "{name}, seed {seed}");
        }
        let hashes: Vec<_> = first.runs_of(0).iter().map(|run| run.trace_hash).collect();
        assert_ne!(hashes[0], hashes[1], "{}: seeds differ", named.name);
        let shown = text(&table(&first, &study));
        for column in ["median", "p5", "p95", "worst", "worst seed"] {
            assert!(shown.contains(column), "{}: {shown}", named.name);
        }
        assert!(csv(&first).lines().count() > first.cases.len());
        let judged = first.judge(&study);
        let page = report(&first, &study, &judged).expect("it can be drawn");
        assert!(page.starts_with("<!doctype html>") || page.starts_with("<!DOCTYPE html>"));
        if study.head().kind == Kind::Pair {
            assert!(page.contains("<svg"), "{}: no picture", named.name);
        }
    }
}
