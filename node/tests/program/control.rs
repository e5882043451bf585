//! Commands for a running node, each with real processes, and what they say when they fail.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::process::{DEADLINE, Finished, Lab, Running, dunlin, run, until};

/// A node of its own data folder, and the line that it prints.
pub(crate) fn start(lab: &Lab, name: &str, more: &[&str]) -> (Running, String, String) {
    let mut command = dunlin();
    command
        .args(["start", "--host", "127.0.0.1", "--port", "0", "--data-dir"])
        .arg(lab.path(name))
        .args(more);
    // On a busy machine TCP may win the race, and peers are then seen at another port.
    command.env("DUNLIN_CARRIER", "udp");
    let mut node = Running::start(&mut command);
    let line = node.line();
    let (id, address) = line.split_once('@').unwrap();
    let (id, address) = (id.to_owned(), address.to_owned());
    (node, id, address)
}

pub(crate) fn command(lab: &Lab, name: &str, words: &[&str]) -> Command {
    let mut command = dunlin();
    command.args(words).arg("--data-dir").arg(lab.path(name));
    command
}

pub(crate) fn ask(lab: &Lab, name: &str, words: &[&str]) -> Finished {
    run(&mut command(lab, name, words))
}

/// The answer to a command that has to work.
pub(crate) fn told(lab: &Lab, name: &str, words: &[&str]) -> String {
    let finished = ask(lab, name, words);
    assert_eq!(finished.code, Some(0), "{words:?}: {finished:?}");
    finished.stdout
}

pub(crate) fn json(lab: &Lab, name: &str, words: &[&str]) -> Value {
    let text = told(lab, name, words);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words:?}: {error} in {text}"))
}

/// Two nodes that are connected: the second has joined through the first.
pub(crate) struct Pair {
    pub(crate) lab: Lab,
    first: Running,
    pub(crate) second: Running,
    pub(crate) first_id: String,
    pub(crate) second_id: String,
    pub(crate) second_address: String,
}

impl Pair {
    pub(crate) fn start() -> Self {
        let lab = Lab::new();
        let (first, first_id, address) = start(&lab, "first", &[]);
        let at = format!("{first_id}@{address}");
        let (second, second_id, second_address) = start(&lab, "second", &["--bootstrap", &at]);
        let pair = Self {
            lab,
            first,
            second,
            first_id,
            second_id,
            second_address,
        };
        for name in ["first", "second"] {
            assert!(until(DEADLINE, || pair.connected(name) == 1));
        }
        pair
    }

    pub(crate) fn connected(&self, name: &str) -> u64 {
        let list = json(&self.lab, name, &["peer", "list", "--format", "json"]);
        list["summary"]["connected"].as_u64().unwrap()
    }
}

#[test]
fn every_command_says_that_no_node_runs_and_how_to_start_one() {
    let lab = Lab::new();
    for words in [
        &["status"][..],
        &["stop"],
        &["peer", "list"],
        &["peer", "add", "127.0.0.1:9"],
        &["peer", "remove", "abc"],
        &["peer", "ban", "abc"],
        &["peer", "unban", "abc"],
        &["peer", "bans"],
        &["peer", "info", "abc"],
        &["peer", "why", "abc"],
        &["peer", "challenge", "abc"],
        &["peer", "top"],
        &["peer", "export", "-"],
        &["broadcast", "hello"],
        &["message", "abc", "hello"],
        &["chat"],
        &["trust", "list"],
        &["trust", "events"],
        &["trust", "ask", "abc"],
        &["request", "abc", "echo"],
        &["topics", "list"],
        &["topics", "set", "prices"],
        &["verdict", "00", "accept"],
        &["stats"],
        &["metrics"],
        &["logs"],
        &["logs", "-f"],
        &["logs", "--events"],
        &["dashboard"],
    ] {
        let finished = ask(&lab, "nowhere", words);
        assert_eq!(finished.code, Some(4), "{words:?}: {finished:?}");
        let sentence = finished.sentence();
        assert!(
            sentence.contains("no node is running") && sentence.contains("dunlin start --data-dir"),
            "{words:?}: {sentence}"
        );
    }
    assert!(!lab.path("nowhere").exists(), "asking makes no folder");
}

#[test]
fn two_nodes_are_listed_watched_and_stopped() {
    let pair = Pair::start();
    let lab = &pair.lab;
    let list = json(lab, "first", &["peer", "list", "--format", "json"]);
    let peer = &list["peers"][0];
    assert_eq!(peer["id"], *pair.second_id);
    assert_eq!(peer["address"], *pair.second_address);
    assert_eq!(peer["status"], "connected");
    assert_eq!(peer["version"], env!("CARGO_PKG_VERSION"));
    assert!(peer["connected_since"].as_str().unwrap().ends_with('Z'));
    assert_eq!(list["summary"]["total_peers"], 1);

    let table = told(lab, "first", &["peer", "list", "--filter", "connected"]);
    let lines: Vec<_> = table.lines().collect();
    let columns: Vec<_> = lines[0]
        .split("  ")
        .filter(|text| !text.trim().is_empty())
        .collect();
    let columns: Vec<_> = columns.iter().map(|text| text.trim()).collect();
    assert_eq!(
        columns,
        [
            "Peer ID",
            "Address",
            "Status",
            "Version",
            "Latency",
            "Messages",
            "Reputation"
        ]
    );
    assert!(lines[2].contains(&pair.second_address), "{table}");
    assert!(lines[2].contains("Connected"), "{table}");
    assert!(!table.contains('\u{1b}'), "no colour in a pipe");
    let banned = json(
        lab,
        "first",
        &["peer", "list", "--json", "--filter", "banned"],
    );
    assert_eq!(banned["peers"].as_array().unwrap().len(), 0);

    let status = json(lab, "first", &["status", "--json"]);
    assert_eq!(status["id"], *pair.first_id);
    assert_eq!(status["peers"]["connected"], 1);
    assert!(told(lab, "first", &["status"]).contains("1 connected"));

    let info = told(lab, "first", &["peer", "info", &pair.second_id[..15]]);
    assert!(
        info.contains(&pair.second_id) && info.contains("udp"),
        "{info}"
    );
    let top = json(lab, "first", &["peer", "top", "-n", "1", "--json"]);
    assert_eq!(top["peers"][0]["id"], *pair.second_id);
    let stats = json(lab, "second", &["stats", "-o", "json"]);
    assert_eq!(stats["connected"], 1);
    assert!(told(lab, "second", &["stats"]).contains("dials"));
    let trust = json(lab, "first", &["trust", "list", "--json"]);
    assert_eq!(trust["peers"][0]["id"], *pair.second_id);
    told(lab, "first", &["trust", "list"]);
    told(lab, "first", &["trust", "events"]);
    let events = told(lab, "first", &["logs", "--events"]);
    assert!(events.contains("connected"), "{events}");

    let stopped = ask(lab, "first", &["stop"]);
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    assert!(until(DEADLINE, || pair.connected("second") == 0));
    let ended = pair.first.finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_peer_is_removed_banned_and_taken_back_and_its_story_tells_why() {
    let pair = Pair::start();
    let lab = &pair.lab;
    let short = &pair.second_id[..16];
    let banned = told(
        lab,
        "first",
        &["peer", "ban", short, "--for", "1h", "--reason", "rubbish"],
    );
    let bans = json(lab, "first", &["peer", "bans", "--json"]);
    assert_eq!(bans["bans"][0]["reason"], "rubbish", "{bans}");
    assert!(told(lab, "first", &["peer", "bans"]).contains("rubbish"));
    assert!(banned.contains(&pair.second_id), "{banned}");
    let list = json(
        lab,
        "first",
        &["peer", "list", "--json", "--filter", "banned"],
    );
    assert_eq!(list["peers"][0]["id"], *pair.second_id);
    let info = json(lab, "first", &["peer", "info", short, "--json"]);
    assert!(
        info["banned_until"].as_str().unwrap().ends_with('Z'),
        "{info}"
    );
    let refused = ask(
        lab,
        "first",
        &[
            "peer",
            "add",
            &format!("{}@{}", pair.second_id, pair.second_address),
        ],
    );
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.sentence().contains("end its ban"), "{refused:?}");
    let unbanned = told(lab, "first", &["peer", "unban", short]);
    assert!(unbanned.contains("not banned any more"), "{unbanned}");
    let again = told(lab, "first", &["peer", "unban", short]);
    assert!(again.contains("was not banned"), "{again}");
    let added = told(lab, "first", &["peer", "add", &pair.second_address]);
    assert!(added.contains(&pair.second_id), "{added}");
    let story = told(lab, "first", &["peer", "why", short]);
    let at = |words: &str| {
        story
            .find(words)
            .unwrap_or_else(|| panic!("{words} is missing: {story}"))
    };
    assert!(at("connected") < at("rubbish") && at("rubbish") < at("the operator ended it"));
    let story = json(lab, "first", &["peer", "why", short, "--json"]);
    let kinds: Vec<_> = story["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["kind"])
        .collect();
    assert!(kinds.iter().any(|kind| **kind == "peer_down"), "{kinds:?}");
}

#[test]
fn a_range_of_addresses_is_banned_and_taken_back() {
    let pair = Pair::start();
    let lab = &pair.lab;
    let range = told(
        lab,
        "first",
        &["peer", "ban", "192.0.2.0/24", "--for", "1m"],
    );
    assert!(range.contains("192.0.2.0/24"), "{range}");
    told(lab, "first", &["peer", "unban", "192.0.2.0/24"]);
    let no_range = ask(lab, "first", &["peer", "ban", "192.0.2.0/64"]);
    assert_eq!(no_range.code, Some(2), "{no_range:?}");
}

#[test]
fn a_peer_that_was_removed_is_forgotten_and_its_story_is_not() {
    let pair = Pair::start();
    let lab = &pair.lab;
    let short = &pair.second_id[..16];
    let removed = told(lab, "first", &["peer", "remove", &pair.second_address]);
    assert!(removed.contains(&pair.second_id), "{removed}");
    // It is forgotten, and its story is not.
    let story = told(lab, "first", &["peer", "why", short]);
    assert!(story.contains("user requested"), "{story}");
    let added = told(lab, "first", &["peer", "add", &pair.second_address]);
    assert!(added.contains(&pair.second_id), "{added}");
    let gone = told(lab, "first", &["peer", "remove", short, "--ban"]);
    assert!(gone.contains("banned"), "{gone}");
}

#[test]
fn a_mistyped_peer_is_suggested_and_an_ambiguous_one_is_asked_for() {
    let pair = Pair::start();
    let lab = &pair.lab;
    let mut typed: Vec<char> = pair.second_id[..17].chars().collect();
    typed[12] = if typed[12] == 'q' { 'p' } else { 'q' };
    let typed: String = typed.into_iter().collect();
    let mistyped = ask(lab, "first", &["peer", "info", &typed]);
    assert_eq!(mistyped.code, Some(2), "{mistyped:?}");
    let sentence = mistyped.sentence();
    assert!(
        sentence.contains("did you mean") && sentence.contains(&pair.second_id[..17]),
        "{sentence}"
    );
    let unknown = ask(lab, "first", &["message", "127.0.0.1:9", "hello"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.sentence().contains("peer list"), "{unknown:?}");
    // Everything begins with nothing but the prefix of all IDs.
    let third = start(lab, "third", &["--bootstrap", &pair.second_address]);
    assert!(until(DEADLINE, || pair.connected("second") == 2));
    let list = json(lab, "second", &["peer", "list", "--json"]);
    let ids: Vec<_> = list["peers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["id"].as_str().unwrap())
        .collect();
    let common = ids[0]
        .chars()
        .zip(ids[1].chars())
        .take_while(|(a, b)| a == b)
        .count();
    if common > "dunlin1".len() {
        let ambiguous = ask(lab, "second", &["peer", "info", &ids[0][..common]]);
        assert_eq!(ambiguous.code, Some(2), "{ambiguous:?}");
        assert!(
            ambiguous.sentence().contains("several peers"),
            "{ambiguous:?}"
        );
    }
    let typo = run(dunlin().args(["peer", "lsit"]));
    assert_eq!(typo.code, Some(2));
    assert!(typo.stderr.contains("'list'"), "{typo:?}");
    drop(third);
}

#[test]
fn an_address_is_refused_for_what_is_wrong_with_it() {
    let lab = Lab::new();
    let (_node, _, address) = start(&lab, "only", &[]);
    for (text, code, words) in [
        ("127.0.0.1", 2, "the port is missing"),
        ("2001:db8::7:1", 2, "brackets"),
        ("dunlin1abc@127.0.0.1:1", 2, "not a node ID"),
        ("no-such-name.invalid:1", 4, "no address is known"),
    ] {
        let refused = ask(&lab, "only", &["peer", "add", text]);
        assert_eq!(refused.code, Some(code), "{text}: {refused:?}");
        assert!(refused.sentence().contains(words), "{text}: {refused:?}");
    }
    let nobody = ask(
        &lab,
        "only",
        &["peer", "add", "127.0.0.1:9", "--wait", "100ms"],
    );
    assert_eq!(nobody.code, Some(4), "{nobody:?}");
    assert!(nobody.sentence().contains("--priority high"), "{nobody:?}");
    let added = told(
        &lab,
        "only",
        &["peer", "add", "127.0.0.1:9", "--wait", "0s"],
    );
    assert!(added.contains("127.0.0.1:9"), "{added}");
    let removed = told(&lab, "only", &["peer", "remove", "127.0.0.1:9"]);
    assert!(removed.contains("removed 127.0.0.1:9"), "{removed}");
    let own = ask(&lab, "only", &["peer", "add", &address]);
    assert_eq!(own.code, Some(3), "{own:?}");
    assert!(!address.is_empty());
}

#[test]
fn messages_and_broadcasts_reach_who_listens() {
    let pair = Pair::start();
    let lab = &pair.lab;
    let mut listening = Running::start(&mut command(
        lab,
        "second",
        &["logs", "--events", "-f", "-n", "256", "--json"],
    ));
    let mut spoken = Chat::open(lab, "second", &[]);
    let said = told(lab, "first", &["broadcast", "to all of you"]);
    assert!(said.contains("13 bytes"), "{said}");
    let sent = told(
        lab,
        "first",
        &["message", &pair.second_id, "to you", "--handler", "h"],
    );
    assert!(sent.contains("6 bytes"), "{sent}");
    let mut heard = Vec::new();
    while heard.len() < 2 {
        let event: Value = serde_json::from_str(&listening.line()).unwrap();
        if ["broadcast", "direct"].contains(&event["kind"].as_str().unwrap()) {
            assert_eq!(event["peer"], *pair.first_id);
            heard.push(event["detail"]["text"].as_str().unwrap().to_owned());
        }
    }
    heard.sort();
    assert_eq!(heard, ["to all of you", "to you"]);
    assert!(spoken.line().ends_with(": to all of you"));
    let too_long = ask(lab, "first", &["broadcast", &"x".repeat(70_000)]);
    assert_eq!(too_long.code, Some(2), "{:?}", too_long.code);
    assert!(too_long.sentence().contains("exceeds the limit"));
    let unnamed = ask(lab, "first", &["broadcast", "x", "--topic", ""]);
    assert_eq!(unnamed.code, Some(2));
}

/// A chat whose stdin is ours.
struct Chat {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Chat {
    /// Opens it and waits until it listens, which it says on stderr.
    fn open(lab: &Lab, name: &str, words: &[&str]) -> Self {
        let mut command = command(lab, name, &[&["chat"], words].concat());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut notes = BufReader::new(child.stderr.take().unwrap());
        let mut note = String::new();
        notes.read_line(&mut note).unwrap();
        assert!(note.starts_with("talking to"), "{note}");
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Ends stdin; the exit code.
    fn end(&mut self) -> Option<i32> {
        drop(self.child.stdin.take());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn two_people_talk_over_their_nodes() {
    let pair = Pair::start();
    let (one, other) = (&pair.first_id[..20], &pair.second_id[..20]);
    let mut first = Chat::open(&pair.lab, "first", &[other]);
    let mut second = Chat::open(&pair.lab, "second", &[one]);
    first.say("hello there");
    let heard = second.line();
    assert!(heard.starts_with(&pair.first_id[..12]), "{heard}");
    assert!(heard.ends_with(": hello there"), "{heard}");
    second.say("hello yourself");
    assert!(first.line().ends_with(": hello yourself"));
    assert_eq!((first.end(), second.end()), (Some(0), Some(0)));
}

#[test]
fn peers_move_from_node_to_node_in_a_file() {
    let pair = Pair::start();
    let lab = &pair.lab;
    let file = lab.path("peers.json");
    let path = file.to_str().unwrap();
    told(lab, "first", &["peer", "export", path]);
    let written: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(written["peers"][0]["id"], *pair.second_id);
    let (_third, third_id, _) = start(lab, "third", &[]);
    let imported = told(lab, "third", &["peer", "import", path]);
    assert!(imported.contains("1 peers taken in"), "{imported}");
    assert!(until(DEADLINE, || {
        json(lab, "second", &["peer", "list", "--json"])["peers"]
            .as_array()
            .unwrap()
            .iter()
            .any(|peer| peer["id"] == *third_id)
    }));
    std::fs::write(&file, "{}").unwrap();
    let refused = ask(lab, "third", &["peer", "import", path]);
    assert_eq!(refused.code, Some(6), "{refused:?}");
    assert!(refused.sentence().contains("peer export"), "{refused:?}");
    let missing = ask(lab, "third", &["peer", "import", "no-such-file"]);
    assert_eq!(missing.code, Some(6), "{missing:?}");
}

#[test]
fn a_slow_reader_of_the_event_stream_holds_nothing_up() {
    let pair = Pair::start();
    let lab = &pair.lab;
    // It asks for the stream and reads nothing of it.
    let socket = lab.path("second").join("control.sock");
    let mut slow = std::os::unix::net::UnixStream::connect(socket).unwrap();
    slow.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut quick = Running::start(&mut command(
        lab,
        "second",
        &["logs", "--events", "-f", "-n", "256", "--json"],
    ));
    let text = "x".repeat(16_000);
    for number in 0..100 {
        told(lab, "first", &["broadcast", &format!("{number} {text}")]);
        loop {
            let event: Value = serde_json::from_str(&quick.line()).unwrap();
            let heard = event["detail"]["text"].as_str().unwrap_or_default();
            if heard.starts_with(&format!("{number} ")) {
                break;
            }
        }
    }
    assert_eq!(pair.connected("second"), 1);
    drop(slow);
}

#[test]
fn the_metrics_are_what_prometheus_reads() {
    let pair = Pair::start();
    let lab = &pair.lab;
    told(lab, "first", &["broadcast", "hello"]);
    let text = told(lab, "second", &["metrics"]);
    let openmetrics = told(lab, "second", &["metrics", "--openmetrics"]);
    assert!(openmetrics.ends_with("# EOF\n"), "{openmetrics}");
    check_exposition(&text);
    for name in [
        "dunlin_connected_peers 1",
        "dunlin_peer_connections_total 1",
        "dunlin_known_peers 1",
        "dunlin_handshake_failures_total 0",
    ] {
        assert!(text.lines().any(|line| line == name), "{name}: {text}");
    }
    // What has ended is counted from its first end on, and a path is there as long as its link.
    told(lab, "first", &["stop"]);
    assert!(until(DEADLINE, || pair.connected("second") == 0));
    let both = text.clone() + &told(lab, "second", &["metrics"]);
    for shipped in [
        include_str!("../../../docs/grafana/dunlin.json"),
        include_str!("../../../docs/grafana/alerts.yml"),
    ] {
        for name in names(shipped) {
            let described = format!("# TYPE {} ", name.trim_end_matches("_bucket"));
            // Not a metric: the name of the dashboard.
            assert!(name == "dunlin" || both.contains(&described), "{name}");
        }
    }
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    match promtool {
        Ok(mut promtool) => {
            promtool
                .stdin
                .take()
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
            let checked = Finished::from(promtool.wait_with_output().unwrap());
            assert_eq!(checked.code, Some(0), "{checked:?}");
        }
        Err(error) => eprintln!("promtool was not asked: {error}"),
    }
}

/// The words that begin as our metrics do.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    text.split(move |c| !is_part(c))
        .filter(|word| word.starts_with("dunlin"))
}

/// Every sample belongs to a described metric, and every metric has a help and a kind.
fn check_exposition(text: &str) {
    let (mut name, mut helped, mut samples) = (String::new(), String::new(), 0);
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (of, help) = rest.split_once(' ').unwrap();
            assert!(help.len() > 8, "{line}");
            of.clone_into(&mut helped);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (of, kind) = rest.split_once(' ').unwrap();
            assert_eq!(of, helped, "{line}");
            assert_eq!(kind == "counter", of.ends_with("_total"), "{line}");
            of.clone_into(&mut name);
        } else {
            let (of, value) = line.rsplit_once(' ').unwrap();
            let of = of.split('{').next().unwrap();
            assert!(of.starts_with(&name), "{line} below {name}");
            assert!(value == "+Inf" || value.parse::<f64>().is_ok(), "{line}");
            samples += 1;
        }
    }
    assert!(samples > 100, "{samples}");
}

#[test]
fn completions_and_manual_pages_name_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(dunlin().args(["completions", shell]));
        assert_eq!(script.code, Some(0), "{script:?}");
        for word in ["broadcast", "unban", "completions"] {
            assert!(script.stdout.contains(word), "{shell} lacks {word}");
        }
    }
    let page = run(dunlin().arg("man"));
    assert!(
        page.stdout.contains(".TH") && page.stdout.contains("metrics"),
        "{page:?}"
    );
    let lab = Lab::new();
    let folder = lab.path("man");
    let written = run(dunlin().args(["man", "--out"]).arg(&folder));
    assert_eq!(written.code, Some(0), "{written:?}");
    assert!(folder.join("dunlin-peer-why.1").exists());
}

#[test]
fn the_story_and_the_ban_of_a_peer_outlive_the_node() {
    let pair = Pair::start();
    let lab = &pair.lab;
    let short = &pair.second_id[..16];
    told(lab, "first", &["peer", "ban", short, "--reason", "rubbish"]);
    pair.first.signal("KILL");
    // Nobody answers any more.
    assert!(until(DEADLINE, || ask(lab, "first", &["status"]).code == Some(4)));
    let story = told(lab, "first", &["peer", "why", short]);
    assert!(
        story.contains("connected") && story.contains("rubbish"),
        "{story}"
    );
    let nobody = ask(lab, "first", &["peer", "why", "zzzz"]);
    assert_eq!(nobody.code, Some(2), "{nobody:?}");
    let (_again, _, _) = start(lab, "first", &[]);
    let bans = json(lab, "first", &["peer", "bans", "--json"]);
    assert_eq!(bans["bans"][0]["reason"], "rubbish", "{bans}");
    let story = told(lab, "first", &["peer", "why", short]);
    assert!(story.contains("rubbish"), "{story}");
}

#[test]
fn the_log_of_a_running_node_can_be_made_to_say_more() {
    let pair = Pair::start();
    told(&pair.lab, "first", &["logs", "--set", "dunlin_node=debug"]);
    let refused = ask(&pair.lab, "first", &["logs", "--set", "dunlin=loud"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused.sentence().contains("not a log filter"),
        "{refused:?}"
    );
}
