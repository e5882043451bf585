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
    let told = run(dunlin().args(["lab", "list", "--json"]));
    let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    let of = |name: &str| {
        let mut scenarios = told.as_array().unwrap().iter();
        scenarios
            .find(|one| one["scenario"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(
        told.as_array().unwrap().len(),
        list.stdout.lines().count() - 3
    );
    assert!(of("matrix")["cases"].as_u64().unwrap() > 100, "{told}");
    assert!(
        of("bulk")["title"].as_str().unwrap().contains("Bulk"),
        "{told}"
    );
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
    let told = run(compare.arg("--json"));
    let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    let lines = told.as_array().unwrap();
    let cells = |line: &serde_json::Value| line.as_object().unwrap().len();
    assert!(!lines.is_empty() && lines.iter().all(|line| cells(line) == cells(&lines[0])));
    assert!(told.to_string().contains("\"1.000\""), "{told}");
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
    let json = run(merge.args(["--format", "json"]));
    let whole: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(whole["runs"].as_array().map(Vec::len), Some(8), "{whole}");
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
fn a_failing_seed_becomes_a_smaller_file_that_fails_in_the_same_way() {
    let lab = Lab::new();
    let scenario = scenario(&lab);
    let small = lab.path("small-one.toml");
    let mut shrink = dunlin();
    shrink.args(["lab", "shrink", &scenario, "--seed", "3", "--runs", "60"]);
    shrink.args(["--set", "least=1gbit", "--out"]).arg(&small);
    let shrunk = run(&mut shrink);
    assert_eq!(shrunk.code, Some(0), "{}", shrunk.stderr);
    assert!(shrunk.stderr.contains("\"goodput >= 1gbit\" is false"));
    assert!(shrunk.stderr.contains("half of"), "{}", shrunk.stderr);
    let replay: Vec<_> = shrunk.stdout.split_whitespace().skip(1).collect();
    let again = run(dunlin().args(&replay));
    assert_eq!(again.code, Some(7), "{}", again.stderr);
    assert!(again.stdout.contains("\"goodput >= 1gbit\" is false"));
    assert!(again.sentence().contains("made a sentence false"));
    let text = text(&lab, "small-one.toml");
    assert!(!text.contains("[sweep]") && !text.contains("backward = [{"));

    let sound = run(dunlin().args(["lab", "shrink", &scenario, "--seed", "3"]));
    assert_eq!(sound.code, Some(1), "{}", sound.stderr);
    assert!(sound.sentence().contains("nothing to shrink"));
}

#[test]
fn a_torture_seed_shrinks_to_a_file_that_another_process_repeats() {
    let lab = Lab::new();
    let small = lab.path("small.toml");
    let mut shrink = dunlin();
    shrink.args(["lab", "shrink", "--seed", "5", "--runs", "40", "--out"]);
    shrink.arg(&small);
    shrink.args(["--set", "hold=[\"datagrams <= 10\"]"]);
    let shrunk = run(&mut shrink);
    assert_eq!(shrunk.code, Some(0), "{}", shrunk.stderr);
    assert!(text(&lab, "small.toml").contains("[torture]"));
    let replay = || {
        let mut command = dunlin();
        run(command.args(["lab", "replay", "5"]).arg(&small))
    };
    let first = replay();
    assert_eq!(first.code, Some(7), "{}", first.stderr);
    assert_eq!(first.stdout, replay().stdout);
    let whole = run(dunlin().args(["lab", "replay", "5"]));
    assert_ne!(first.stdout, whole.stdout, "something was taken away");
}

#[test]
fn a_run_writes_capture_logs_and_keys_and_stays_the_same() {
    let lab = Lab::new();
    let scenario = scenario(&lab);
    let replay = |options: &[&str]| {
        let mut command = dunlin();
        command.args(["lab", "replay", "4", &scenario, "--set", "loss=2%"]);
        run(command.args(["--set", "profile=sealed"]).args(options))
    };
    let plain = replay(&[]);
    let path = |name: &str| lab.path(name).to_str().unwrap().to_owned();
    let (pcap, qlog, keys) = (path("run.pcapng"), path("logs"), path("keys"));
    let options = [
        "--pcap", &pcap, "--qlog", &qlog, "--keylog", &keys, "--trace",
    ];
    let traced = replay(&options);
    assert_eq!(traced.code, Some(0), "{}", traced.stderr);
    let last = plain.stdout.trim_end();
    assert!(traced.stdout.contains(last), "{last}");
    for wanted in ["sent      Syn #", "received  ", "lost      #", "node 1"] {
        assert!(traced.stdout.contains(wanted), "{wanted}");
    }
    let capture = std::fs::read(lab.path("run.pcapng")).unwrap();
    assert_eq!(capture[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
    assert!(capture.len() > 60_000, "all datagrams");
    assert!(text(&lab, "keys").contains("DUNLIN_INITIATOR_SECRET_0 "));
    let table = run(dunlin().args(["trace", &qlog]));
    assert_eq!(table.code, Some(0), "{}", table.stderr);
    assert_eq!(table.stdout.lines().count(), 3, "{}", table.stdout);
}

#[test]
fn traces_are_refused_where_there_is_more_or_less_than_one_run() {
    let lab = Lab::new();
    let scenario = scenario(&lab);
    let pcap = lab.path("run.pcapng").to_str().unwrap().to_owned();
    let sweep = lab_run(&lab, &scenario, &["--pcap", &pcap], "a");
    assert_eq!(sweep.code, Some(2), "{}", sweep.stderr);
    assert!(sweep.sentence().contains("--seed"), "{}", sweep.stderr);
    let network = run(dunlin().args(["lab", "replay", "1", "churn", "--trace"]));
    assert_eq!(network.code, Some(2), "{}", network.stderr);
    let single = ["--seed", "1", "--set", "loss=0%", "--pcap", &pcap];
    let single = lab_run(&lab, &scenario, &single, "b");
    assert_eq!(single.code, Some(0), "{}", single.stderr);
    assert!(lab.path("run.pcapng").exists());
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
