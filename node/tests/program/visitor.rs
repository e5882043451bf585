//! The first command of the README, as somebody sees it who has never run it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::process::{DEADLINE, Running, STOP_LIMIT, dunlin, run, until};

/// Where each of these stands in `text`, which has all of them.
fn places(text: &str, parts: &[&str]) -> Vec<usize> {
    let place = |part: &&str| {
        text.find(part)
            .unwrap_or_else(|| panic!("no {part:?} in:\n{text}"))
    };
    parts.iter().map(place).collect()
}

#[test]
fn a_visitor_sees_the_dashboard_first_and_then_peers_a_broadcast_and_a_file() {
    let shown = run(dunlin().args(["simulate", "--count", "8"]));
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let mut notes = shown.stderr.lines();
    let said = notes.next().unwrap();
    assert!(
        said.starts_with("8 nodes in this process, each with a socket of its own"),
        "{said}"
    );
    let link = notes.next().unwrap();
    assert!(
        link.starts_with("the dashboard, for one browser: http://127.0.0.1:"),
        "{link}"
    );
    let results = [
        "nodes:     8 up after ",
        "broadcast: reached 7 of 7 other nodes in ",
        "file:      node 0 -> node ",
    ];
    assert!(
        places(&shown.stdout, &results).is_sorted(),
        "{}",
        shown.stdout
    );
    assert_eq!(
        shown.stdout.lines().count(),
        3,
        "results alone: {}",
        shown.stdout
    );
    assert!(shown.stdout.contains("32 MiB in") && shown.stdout.contains("BLAKE3 verified"));
    // Nobody looks: it ends by itself and asks for nothing.
    assert!(!shown.stderr.contains("Ctrl-C"), "{}", shown.stderr);
}

/// A terminal: our end, and the one for a program.
#[cfg(unix)]
fn terminal() -> (File, File) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let theirs = File::options().read(true).write(true).open(name).unwrap();
    (File::from(ours), theirs)
}

/// What a command writes to a terminal.
#[cfg(unix)]
fn on_terminal(command: &mut std::process::Command) -> String {
    let (mut ours, theirs) = terminal();
    let status = command.stdout(theirs).stderr(Stdio::null()).status();
    assert_eq!(status.unwrap().code(), Some(0));
    let (mut shown, mut part) = (Vec::new(), [0; 4_096]);
    // Reading fails when all of it was read and nobody holds the other end any more.
    command.stdout(Stdio::null());
    while let Ok(length @ 1..) = std::io::Read::read(&mut ours, &mut part) {
        shown.extend_from_slice(&part[..length]);
    }
    String::from_utf8(shown).unwrap()
}

#[cfg(unix)]
#[test]
fn on_a_terminal_the_network_stays_until_ctrl_c_and_says_how_to_ask_it() {
    let (ours, theirs) = terminal();
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes");
    let mut child = dunlin()
        .args(["simulate", "--count", "4"])
        .stdout(theirs)
        .stderr(File::create(&notes).unwrap())
        .spawn()
        .unwrap();
    let said = || std::fs::read_to_string(&notes).unwrap();
    let stays = until(DEADLINE, || said().contains("Ctrl-C ends it"));
    let is_running = child.try_wait().unwrap().is_none();
    let mut ask = dunlin();
    ask.args(["peer", "list", "--data-dir"]);
    let advice = said();
    let data = advice
        .split_once("peer list --data-dir ")
        .map(|(_, rest)| rest.lines().next().unwrap());
    let listed = data.map(|data| run(ask.arg(data)));
    let kill = format!("kill -INT {}", child.id());
    std::process::Command::new("sh")
        .args(["-c", &kill])
        .status()
        .unwrap();
    let mut ended = None;
    until(STOP_LIMIT, || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    // A failure above must not leave it running.
    let _ = child.kill();
    let mut lines = BufReader::new(ours).lines().map_while(Result::ok);
    assert!(stays && is_running, "{}", said());
    assert!(lines.any(|line| line.starts_with("file:")));
    let listed = listed.expect("it says how to ask");
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(listed.stdout.contains("Connected"), "{listed:?}");
    assert_eq!(
        ended.and_then(|status| status.code()),
        Some(0),
        "{}",
        said()
    );
}

#[cfg(unix)]
#[test]
fn on_a_terminal_it_ends_by_itself_when_it_is_told_to() {
    let (_ours, theirs) = terminal();
    let mut command = dunlin();
    command.args(["simulate", "--count", "3", "--once"]);
    let ended = command
        .stdout(theirs)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn a_network_that_stays_has_a_map_of_all_its_nodes_and_one_log() {
    let mut command = dunlin();
    command.args(["simulate", "--count", "5", "--forever"]);
    let mut network = Running::start(&mut command);
    while !network.line().starts_with("file:") {}
    let told = || network.stderr();
    assert!(until(DEADLINE, || told().contains("Ctrl-C ends it")));
    let notes = told();
    let data = notes
        .split_once("--data-dir ")
        .unwrap()
        .1
        .lines()
        .next()
        .unwrap();
    let socket = std::path::Path::new(data).join("control.sock");
    let map = crate::http::get(&socket, "/api/v1/network");
    assert_eq!(map["is_whole"], true, "{map}");
    assert_eq!(map["nodes"].as_array().unwrap().len(), 5, "{map}");
    let links = map["links"].as_array().unwrap();
    // Each of five nodes has four peers: every pair, once.
    assert_eq!(links.len(), 10, "{map}");
    let logs = |words: &[&str]| {
        let mut command = dunlin();
        command.arg("logs").args(words).args(["--data-dir", data]);
        let told = run(&mut command);
        assert_eq!(told.code, Some(0), "{told:?}");
        told.stdout
    };
    let log = logs(&["-n", "1000"]);
    for number in 0..5 {
        let word = format!("node={number}");
        let of_node = log.lines().filter(|line| line.contains(&word));
        let told = |what| of_node.clone().any(|line| line.contains(what));
        assert!(told("peer up: dunlin1"), "{log}");
        // The last node told all others.
        assert!(number == 4 || told("broadcast from dunlin1"), "{log}");
    }
    assert_eq!(logs(&["--level", "error"]), "", "all is well");
    assert!(!notes.contains("peer up"), "stderr stays quiet: {notes}");
    let mut list = dunlin();
    list.args(["peer", "list", "--data-dir", data]);
    let shown = on_terminal(list.env_remove("NO_COLOR").env("TERM", "xterm"));
    assert!(shown.contains("\u{1b}["), "in colour: {shown}");
    let shown = on_terminal(list.env("NO_COLOR", "1"));
    assert!(
        shown.contains("Connected") && !shown.contains('\u{1b}'),
        "{shown}"
    );
    logs(&["--set", "dunlin_node=debug"]);
    assert!(until(DEADLINE, || logs(&["-n", "100"]).contains("DEBUG")));
}
