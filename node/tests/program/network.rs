//! Nodes, benchmarks and the relay as programs.

use std::process::Command;

use crate::process::{DEADLINE, Lab, Running, STOP_LIMIT, dunlin, run, until};

#[test]
fn a_simulated_network_gossips_moves_a_file_and_ends_by_itself() {
    let finished = run(dunlin().args(["simulate", "--count", "6"]));
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stdout.contains("nodes:     6 up"), "{finished:?}");
    assert!(finished.stdout.contains("reached 5 of 5"), "{finished:?}");
    assert!(finished.stdout.contains("BLAKE3 verified"), "{finished:?}");
}

#[cfg(unix)]
#[test]
fn a_network_that_runs_for_ever_ends_soon_after_a_signal() {
    let mut network = Running::start(dunlin().args(["simulate", "--count", "5", "--forever"]));
    while !network.line().starts_with("file:") {}
    network.signal("INT");
    let ended = network.finish_within(STOP_LIMIT).expect("it stops");
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

fn node(lab: &Lab, name: &str, more: &[&str]) -> Running {
    let mut command = dunlin();
    command.args(["start", "--host", "127.0.0.1", "--port", "0", "--data-dir"]);
    Running::start(command.arg(lab.path(name)).args(more))
}

#[cfg(unix)]
#[test]
fn two_nodes_meet_and_part() {
    let lab = Lab::new();
    let mut first = node(&lab, "first", &[]);
    let line = first.line();
    let mut second = node(&lab, "second", &["--bootstrap", &line]);
    let (id, _) = second
        .line()
        .split_once('@')
        .map(|(id, at)| (id.to_owned(), at.to_owned()))
        .unwrap();
    let up = format!("peer up: {id}");
    assert!(
        until(DEADLINE, || first.stderr().contains(&up)),
        "{}",
        first.stderr()
    );
    second.signal("TERM");
    let ended = second.finish_within(STOP_LIMIT).expect("it stops");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let down = format!("peer down: {id}");
    assert!(
        until(DEADLINE, || first.stderr().contains(&down)),
        "{}",
        first.stderr()
    );
}

fn bench(lab: &Lab, server: &[&str], client: &[&str]) -> serde_json::Value {
    let keys = |command: &mut Command, name: &str| {
        command.arg("--data-dir").arg(lab.path(name));
    };
    let mut command = dunlin();
    command
        .args(["bench", "server", "--listen", "127.0.0.1:0"])
        .args(server);
    keys(&mut command, "server");
    let mut server = Running::start(&mut command);
    let line = server.line();
    let mut command = dunlin();
    command
        .args(["bench", "client", &line, "--seconds", "0.2", "--json"])
        .args(client);
    keys(&mut command, "client");
    let measured = run(&mut command);
    assert_eq!(measured.code, Some(0), "{measured:?}");
    serde_json::from_str(&measured.stdout).expect("stdout is one JSON object")
}

#[test]
fn each_mode_of_the_benchmark_measures_something() {
    let lab = Lab::new();
    for (mode, at_once, field) in [
        ("bulk", "1", "gbit_per_s"),
        ("bulk", "3", "gbit_per_s"),
        ("rr", "1", "p99_us"),
        ("rr", "64", "p99_us"),
        ("messages", "1", "messages"),
        ("handshake", "1", "handshakes_per_s"),
        ("handshake", "8", "handshakes_per_s"),
        ("idle", "1100", "connections"),
    ] {
        let report = bench(&lab, &[], &["--mode", mode, "--at-once", at_once]);
        assert_eq!(report["mode"], mode);
        assert!(report[field].as_f64().unwrap() > 0.0, "{report}");
        assert!(report["cpu_client_s"].as_f64().unwrap() > 0.0, "{report}");
    }
    let plain = bench(&lab, &["--plain"], &["--plain"]);
    assert_eq!(plain["profile"], "plain");
}

#[test]
fn a_port_of_several_cores_serves_as_one_of_one() {
    let lab = Lab::new();
    for mode in [&["bulk", "--no-gso"][..], &["rr"], &["handshake"]] {
        let client = [&["--at-once", "4", "--mode"], mode].concat();
        let report = bench(&lab, &["--shards", "3"], &client);
        assert_eq!(report["mode"], mode[0], "{report}");
    }
    let refused = run(dunlin().args(["bench", "server", "--shards", "65"]));
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("1..=64"), "{refused:?}");
}

#[cfg(unix)]
#[test]
fn the_relay_passes_packets_on_and_counts_them_at_its_end() {
    let lab = Lab::new();
    let file = lab.file("file", 100_000);
    let (_receiver, line) = lab.receiver(&[]);
    let (id, place) = line.split_once('@').unwrap();
    let mut relay = Running::start(dunlin().args([
        "relay",
        "--listen",
        "127.0.0.1:0",
        "--to",
        place,
        "--loss",
        "1%",
        "--delay",
        "1ms",
        "--reorder",
        "1%",
        "--duplicate",
        "1%",
        "--corrupt",
        "0.1%",
        "--rate",
        "100mbit",
        "--seed",
        "7",
    ]));
    let told = relay.line();
    let listening = told.split_whitespace().nth(1).unwrap().to_owned();
    let sent = run(&mut lab.sender(&file, &format!("{id}@{listening}")));
    assert_eq!(sent.code, Some(0), "{sent:?}");
    assert!(lab.arrived(&file));
    relay.signal("INT");
    let ended = relay.finish_within(STOP_LIMIT).expect("it stops");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("clients 1, refused 0"), "{ended:?}");
}
