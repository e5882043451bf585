//! `dunlin lab`: tables, files, shards and exit codes.

use std::path::Path;

use crate::process::{Finished, Lab, Running, STOP_LIMIT, dunlin, run};

/// Short enough for a debug build on a busy machine.
const SCENARIO: &str = r#"
name = "small"
title = "A small upload by loss"
kind = "pair"
duration = "400ms"
hold = ["delivered == 100%", "goodput >= $least"]
[parameters]
loss = "0%"
least = "1kbit"
[sweep]
loss = ["0%", "2%"]
[path]
forward = [{ loss = "$loss" }, { rate = "4mbit", queue = "20kB" }, { delay = "5ms" }]
backward = [{ delay = "5ms" }]
[[flow]]
name = "upload"
kind = "bulk"
bytes = "60kB"
"#;

fn scenario(lab: &Lab) -> String {
    let path = lab.path("small.toml");
    std::fs::write(&path, SCENARIO).unwrap();
    path.to_str().unwrap().into()
}

fn lab_run(lab: &Lab, scenario: &str, options: &[&str], out: &str) -> Finished {
    let mut command = dunlin();
    command.args(["lab", "run", scenario]).args(options);
    command.arg("--out").arg(lab.path(out));
    run(&mut command)
}

fn text(lab: &Lab, name: &str) -> String {
    std::fs::read_to_string(lab.path(name)).unwrap()
}

#[test]
fn every_scenario_of_the_library_is_listed_and_shown() {
    let list = run(dunlin().args(["lab", "list"]));
    assert_eq!(list.code, Some(0), "{}", list.stderr);
    for name in ["bulk", "bufferbloat", "cellular", "churn", "torture"] {
        assert!(list.stdout.contains(name), "{name} in {}", list.stdout);
        let show = run(dunlin().args(["lab", "show", name]));
        assert!(show.stdout.contains(&format!("name = \"{name}\"")));
    }
    let unknown = run(dunlin().args(["lab", "show", "torure"]));
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.sentence().contains("did you mean \"torture\"?"));
}

#[test]
fn a_run_ends_with_a_table_and_a_report_and_repeats_to_the_byte() {
    let lab = Lab::new();
    let scenario = scenario(&lab);
    let first = lab_run(&lab, &scenario, &["--seeds", "3", "--threads", "1"], "a");
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    for wanted in [
        "goodput",
        "median",
        "worst seed",
        "loss",
        "delivered == 100%",
        "held",
    ] {
        assert!(
            first.stdout.contains(wanted),
            "{wanted} in {}",
            first.stdout
        );
    }
    let report = text(&lab, "a/report.html");
    assert!(report.contains("<svg") && report.contains("goodput [Mbit/s]"));
    let second = lab_run(&lab, &scenario, &["--seeds", "3", "--threads", "3"], "b");
    assert_eq!(first.stdout, second.stdout);
    for file in ["results.json", "results.csv", "report.html"] {
        assert_eq!(
            text(&lab, &format!("a/{file}")),
            text(&lab, &format!("b/{file}")),
            "{file}"
        );
    }
    let mut compare = dunlin();
    compare
        .args(["lab", "compare"])
        .arg(lab.path("a"))
        .arg(lab.path("b"));
    let compared = run(&mut compare);
    assert!(compared.stdout.contains("1.000"), "{}", compared.stdout);
}

#[test]
fn merged_shards_are_the_whole_to_the_byte() {
    let lab = Lab::new();
    let scenario = scenario(&lab);
    let whole = lab_run(&lab, &scenario, &["--seeds", "5..9"], "whole");
    let mut merge = dunlin();
    merge.args(["lab", "merge"]);
    for index in (1..=3).rev() {
        let (shard, out) = (format!("{index}/3"), format!("part-{index}"));
        let part = lab_run(
            &lab,
            &scenario,
            &["--seeds", "5..9", "--shard", &shard],
            &out,
        );
        assert_eq!(part.code, Some(0), "{}", part.stderr);
        merge.arg(lab.path(&out));
    }
    merge.arg("--out").arg(lab.path("merged"));
    let merged = run(&mut merge);
    assert_eq!(merged.code, Some(0), "{}", merged.stderr);
    assert_eq!(merged.stdout, whole.stdout);
    for file in ["results.json", "results.csv", "report.html"] {
        let paths = [format!("whole/{file}"), format!("merged/{file}")];
        assert_eq!(text(&lab, &paths[0]), text(&lab, &paths[1]), "{file}");
    }
    let mut part = dunlin();
    part.args(["lab", "merge"]).arg(lab.path("part-1"));
    let incomplete = run(part.arg("--out").arg(lab.path("x")));
    assert_eq!(incomplete.code, Some(2));
    assert!(incomplete.sentence().contains("runs are missing"));
}

#[test]
fn a_sentence_that_is_false_names_each_seed_and_ends_with_its_own_code() {
    let lab = Lab::new();
    let scenario = scenario(&lab);
    let options = ["--seeds", "2", "--set", "least=1gbit", "--set", "loss=0%"];
    let broken = lab_run(&lab, &scenario, &options, "a");
    assert_eq!(broken.code, Some(7), "{}", broken.stderr);
    assert!(broken.stdout.contains("FAILED"), "{}", broken.stdout);
    assert!(broken.sentence().contains("1 of 2 sentences were false"));
    for seed in ["replay 0", "replay 1"] {
        assert!(broken.stderr.contains(seed), "{}", broken.stderr);
    }
    assert!(
        broken.stderr.contains("--set least=1gbit"),
        "{}",
        broken.stderr
    );
    assert!(
        lab.path("a/report.html").exists(),
        "the report shows what failed"
    );
}

#[test]
fn a_seed_replays_with_the_same_fingerprint() {
    let replay = || run(dunlin().args(["lab", "replay", "7"]));
    let first = replay();
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert!(first.stdout.contains("trace hash"), "{}", first.stdout);
    assert_eq!(first.stdout, replay().stdout);
    let mut run_one = dunlin();
    run_one.args(["lab", "run", "torture", "--seed", "7", "--no-files"]);
    let hash = first
        .stdout
        .split_whitespace()
        .find(|word| word.len() == 16);
    let table = run(&mut run_one).stdout;
    assert!(hash.is_some_and(|hash| table.contains(hash)), "{table}");
}

#[test]
fn csv_and_json_on_stdout_are_nothing_but_data() {
    let lab = Lab::new();
    let scenario = scenario(&lab);
    let csv = lab_run(&lab, &scenario, &["--format", "csv"], "a");
    let lines: Vec<_> = csv.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", csv.stdout);
    assert!(lines[0].starts_with("scenario,loss,seed,trace_hash,violation,goodput [bit/s],"));
    let json = lab_run(&lab, &scenario, &["--format", "json"], "b");
    let value: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(value["runs"].as_array().map(Vec::len), Some(2));
}

#[test]
fn mistakes_name_file_line_and_key() {
    let lab = Lab::new();
    let good = scenario(&lab);
    let wrong = lab.path("wrong.toml");
    std::fs::write(&wrong, SCENARIO.replace("bytes =", "byts =")).unwrap();
    let wrong = wrong.to_str().unwrap();
    let unknown = lab_run(&lab, wrong, &[], "a");
    assert_eq!(unknown.code, Some(2));
    let sentence = unknown.sentence();
    assert!(
        sentence.contains("wrong.toml:18: flow[0].byts"),
        "{sentence}"
    );
    assert!(sentence.contains("did you mean \"bytes\"?"), "{sentence}");
    let set = lab_run(&lab, &good, &["--set", "path.forward[1].rate=fast"], "a");
    assert!(set.sentence().contains("path.forward[1]"), "{}", set.stderr);
    let missing = lab_run(&lab, "nowhere.toml", &[], "a");
    assert_eq!(missing.code, Some(6));
    assert!(missing.sentence().contains("cannot read nowhere.toml"));
    std::fs::write(lab.path("file"), "").unwrap();
    let unwritable = lab_run(&lab, &good, &[], "file/x");
    assert_eq!(unwritable.code, Some(6));
    assert!(
        unwritable.sentence().contains("--out"),
        "{}",
        unwritable.stderr
    );
    assert!(
        !Path::new("dunlin-lab").exists(),
        "files land where --out says"
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_a_sweep_and_writes_nothing() {
    let lab = Lab::new();
    let mut command = dunlin();
    command.args(["-v", "lab", "run", "torture", "--seeds", "5000000", "--out"]);
    let running = Running::start(command.arg(lab.path("a")));
    // The folder is made when everything has been read and the runs begin.
    assert!(crate::process::until(STOP_LIMIT, || lab.path("a").exists()));
    running.signal("INT");
    let stopped = running.finish_within(STOP_LIMIT).expect("it stops");
    assert_eq!(stopped.code, Some(130), "{}", stopped.stderr);
    assert!(!lab.path("a/results.json").exists());
}
