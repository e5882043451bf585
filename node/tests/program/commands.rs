//! Every command for a running node: the fields of its JSON, and what it says when it fails.

use dunlin_session::NodeId;
use serde_json::{Value, json};

use crate::control::{Pair, ask, json, start, told};
use crate::process::{DEADLINE, Finished, Lab, Running, dunlin, run, until};

/// The names of the fields of an object, in their order.
fn fields(of: &Value) -> Vec<&str> {
    let object = of.as_object().unwrap_or_else(|| panic!("no object: {of}"));
    object.keys().map(String::as_str).collect()
}

/// Two IDs that differ late, in a file that `peer import` takes.
fn lookalikes(lab: &Lab) -> (String, String, String) {
    let mut bytes = [7; 32];
    let one = NodeId::from_bytes(bytes).to_string();
    bytes[31] = 8;
    let other = NodeId::from_bytes(bytes).to_string();
    let entry = |id: &str, at: &str| json!({ "id": id, "addresses": [at] });
    let peers = [entry(&one, "127.0.0.1:9"), entry(&other, "127.0.0.1:11")];
    let file = json!({ "version": 1, "peers": peers });
    let path = lab.path("lookalikes.json");
    std::fs::write(&path, file.to_string()).unwrap();
    (one, other, path.to_str().unwrap().to_owned())
}

#[test]
fn json_has_the_documented_fields_whichever_command_prints_it() {
    let pair = Pair::start();
    let lab = &pair.lab;
    let peer = &*pair.second_id;
    let changed: &[&str] = &["subject", "changed"];
    let nobody = "00".repeat(32);
    let cases: [(&[&str], &[&str]); 21] = [
        (
            &["status"],
            &[
                "id",
                "address",
                "network",
                "version",
                "pid",
                "started_at",
                "uptime_s",
                "peers",
            ],
        ),
        (&["peer", "add", &pair.second_address], &["address", "peer"]),
        (&["peer", "challenge", peer], &["peer", "proved_at"]),
        (&["peer", "why", peer], &["peer", "entries", "forgotten"]),
        (&["broadcast", "hello"], &["id", "bytes", "peers"]),
        (&["message", peer, "hello"], &["id", "bytes", "peers"]),
        (&["trust", "list"], &["peers"]),
        (&["trust", "events"], &["events"]),
        (&["trust", "ask", peer], &["peer", "trusted"]),
        (
            &["request", peer, "echo", "hello"],
            &["peer", "name", "text", "hex", "bytes", "took_ms"],
        ),
        (&["topics", "list"], &["topics"]),
        (&["topics", "set", "prices"], &["topics"]),
        (&["verdict", &nobody, "accept"], changed),
        (&["logs"], &["lines"]),
        (&["logs", "--events"], &["events"]),
        (&["dashboard"], &["url", "expires_in_s"]),
        (&["peer", "bans"], &["bans"]),
        // These change something, and come last.
        (&["peer", "ban", "192.0.2.7"], changed),
        (&["peer", "unban", "192.0.2.7"], changed),
        (&["peer", "remove", peer], changed),
        (&["peer", "export", "-"], &["version", "peers"]),
    ];
    for (words, wanted) in cases {
        let flag: &[&str] = if words[1..].contains(&"export") {
            &[]
        } else {
            &["--json"]
        };
        let answer = json(lab, "first", &[words, flag].concat());
        assert_eq!(sorted(fields(&answer)), sorted(wanted.into()), "{words:?}");
    }
}

#[test]
fn lists_of_peers_have_the_fields_of_the_peer_plan() {
    let pair = Pair::start();
    let lab = &pair.lab;
    let peer_fields = [
        "id",
        "address",
        "status",
        "version",
        "latency_ms",
        "messages_exchanged",
        "reputation_score",
        "connected_since",
        "last_activity",
        "capabilities",
        "roles",
        "connection",
        "ailments",
    ];
    let list = json(lab, "first", &["peer", "list", "--json"]);
    assert_eq!(fields(&list), ["peers", "summary"]);
    assert_eq!(
        sorted(fields(&list["peers"][0])),
        sorted(peer_fields.into())
    );
    let summary = [
        "total_peers",
        "connected",
        "connecting",
        "banned",
        "average_reputation",
    ];
    assert_eq!(sorted(fields(&list["summary"])), sorted(summary.into()));
    let top = json(lab, "first", &["peer", "top", "--json"]);
    assert_eq!(sorted(fields(&top["peers"][0])), sorted(peer_fields.into()));
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}

#[test]
fn details_of_json_are_those_that_scripts_rely_on() {
    let pair = Pair::start();
    let lab = &pair.lab;
    told(
        lab,
        "first",
        &["peer", "ban", "192.0.2.0/24", "--reason", "rubbish"],
    );
    let bans = json(lab, "first", &["peer", "bans", "--json"]);
    let ban = &bans["bans"][0];
    assert_eq!(sorted(fields(ban)), ["reason", "since", "subject", "until"]);
    assert_eq!(
        (&ban["subject"], &ban["reason"]),
        (&json!("192.0.2.0/24"), &json!("rubbish"))
    );
    let trust = json(lab, "first", &["trust", "list", "--json"]);
    let entry = sorted(fields(&trust["peers"][0]));
    assert_eq!(
        entry,
        [
            "first_deliveries",
            "id",
            "may_relay",
            "own_trust",
            "promises_broken",
            "reputation_score",
            "status",
            "trust"
        ]
    );
    let events = json(lab, "first", &["trust", "events", "--json"]);
    let event = &events["events"][0];
    assert_eq!(event["kind"], "banned", "{events}");
    assert_eq!(
        sorted(fields(event)),
        ["detail", "kind", "peer", "sequence", "time", "words"]
    );
    let stats = json(lab, "first", &["stats", "--json"]);
    assert_eq!(stats, json(lab, "first", &["stats", "-o", "json"]));
    assert!(
        stats.as_object().unwrap().values().all(Value::is_u64),
        "{stats}"
    );
    let info = json(lab, "first", &["peer", "info", &pair.second_id, "--json"]);
    for name in [
        "id",
        "reason",
        "source",
        "addresses",
        "ailments",
        "proved_at",
        "path",
    ] {
        assert!(info.get(name).is_some(), "{name}: {info}");
    }
    assert!(info["path"]["congestion_window"].as_u64().unwrap() > 0);
    let line = &json(lab, "first", &["logs", "--json"])["lines"][0];
    assert_eq!(
        sorted(fields(line)),
        ["layer", "level", "sequence", "target", "text", "time"]
    );
}

#[test]
fn whoever_names_a_peer_is_told_of_typing_mistakes_and_ambiguity() {
    let pair = Pair::start();
    let lab = &pair.lab;
    let (one, other, file) = lookalikes(lab);
    let imported = told(lab, "first", &["peer", "import", &file]);
    assert!(imported.contains("2 peers taken in"), "{imported}");
    let alike = one
        .chars()
        .zip(other.chars())
        .take_while(|(a, b)| a == b)
        .count();
    assert!(alike > 20, "{one} {other}");
    let mut mistyped: Vec<char> = pair.second_id[..17].chars().collect();
    mistyped[12] = if mistyped[12] == 'q' { 'p' } else { 'q' };
    let mistyped: String = mistyped.into_iter().collect();
    let commands: [&[&str]; 10] = [
        &["trust", "ask"],
        &["request"],
        &["peer", "info"],
        &["peer", "why"],
        &["peer", "remove"],
        &["peer", "ban"],
        &["peer", "unban"],
        &["peer", "challenge"],
        &["message"],
        &["chat"],
    ];
    for command in commands {
        let text: &[&str] = if [["message"], ["request"]].iter().any(|of| of == command) {
            &["hello"]
        } else {
            &[]
        };
        let with = |name: &str| ask(lab, "first", &[command, &[name], text].concat());
        for (name, words) in [
            (&*mistyped, "did you mean"),
            ("zzzzzzzz", "peer list"),
            (&one[..20], "give more of the ID"),
        ] {
            let refused = with(name);
            assert_eq!(refused.code, Some(2), "{command:?} {name}: {refused:?}");
            let sentence = refused.sentence();
            assert!(sentence.contains(words), "{command:?} {name}: {sentence}");
        }
    }
    // Nothing of that changed anything.
    assert!(told(lab, "first", &["peer", "bans"]).lines().count() <= 2);
    assert_eq!(pair.connected("first"), 1);
}

#[test]
fn what_a_node_or_a_peer_does_not_want_is_refused_with_its_code() {
    let pair = Pair::start();
    let lab = &pair.lab;
    let (stranger, _, file) = lookalikes(lab);
    told(lab, "first", &["peer", "import", &file]);
    let own = format!("{}@127.0.0.1:9", pair.first_id);
    let old = lab.path("old.json");
    std::fs::write(&old, "{\"version\": 7, \"peers\": []}").unwrap();
    let folder = lab.path("first").display().to_string();
    let long = "x".repeat(65);
    let cases: [(&[&str], i32, &str); 18] = [
        (&["topics", "set", &long], 2, "1 to 64 bytes"),
        (&["verdict", "00", "accept"], 2, "64 hexadecimal digits"),
        (&["trust", "ask", &stranger], 4, "not connected"),
        (&["request", &stranger, "echo"], 4, "not connected"),
        (
            &["message", &stranger, "hello", "--via", "any"],
            4,
            "no neighbour relays",
        ),
        (&["peer", "ban", &pair.first_id], 3, "this node itself"),
        (&["peer", "add", &own], 3, "itself"),
        (&["peer", "add", "127.0.0.1"], 2, "write for example"),
        (&["peer", "ban", "192.0.2.0/64"], 2, "0 to 32 bits"),
        (&["message", &stranger, "hello"], 4, "is not connected"),
        (&["peer", "challenge", &stranger], 4, "not connected"),
        (&["peer", "import", old.to_str().unwrap()], 2, "version 7"),
        (&["peer", "import", "no-such-file"], 6, "no-such-file"),
        (&["peer", "export", &folder], 6, "name another file"),
        (&["broadcast", "x", "--topic", ""], 2, "name"),
        (
            &["message", &pair.second_id, "x", "--handler", ""],
            2,
            "name",
        ),
        (&["logs", "--set", "dunlin=loud"], 2, "not a log filter"),
        (&["chat", &stranger[..30]], 2, "several peers"),
    ];
    for (words, code, part) in cases {
        let refused = ask(lab, "first", words);
        assert_eq!(refused.code, Some(code), "{words:?}: {refused:?}");
        let sentence = refused.sentence();
        assert!(sentence.contains(part), "{words:?}: {sentence}");
    }
}

/// What clap refuses: code 2, what is wrong, and what was meant or may be given.
fn usage(words: &[&str]) -> Finished {
    let refused = run(dunlin().args(words));
    assert_eq!(refused.code, Some(2), "{words:?}: {refused:?}");
    assert_eq!(refused.stdout, "", "{words:?}");
    refused
}

/// Words that are not understood, and what the refusal has to name.
const MISTAKES: &[(&[&str], &str)] = &[
    (&["status", "--jsn"], "--json"),
    (&["stop", "--now"], "--now"),
    (&["start", "--prot", "1"], "--port"),
    (&["peer", "lsit"], "'list'"),
    (
        &["peer", "list", "--filter", "bad"],
        "connected, all, banned, unhealthy",
    ),
    (&["peer", "list", "--format", "xml"], "table, json"),
    (&["peer", "add"], "<ADDR>"),
    (
        &["peer", "add", "h:1", "--priority", "urgent"],
        "high, normal, low",
    ),
    (&["peer", "add", "h:1", "--wait", "soon"], "soon"),
    (&["peer", "ban", "abc", "--for", "0s"], "0s"),
    (&["peer", "top", "-n", "many"], "many"),
    (&["broadcast"], "<TEXT>"),
    (&["message", "abc"], "<TEXT>"),
    (&["chat", "abc", "--topic", "t"], "cannot be used with"),
    (&["request", "abc"], "<HANDLER>"),
    (
        &["request", "abc", "echo", "x", "--timeout", "soon"],
        "soon",
    ),
    (&["topics", "set"], "<NAME>"),
    (&["topics", "set", "prices", "--all"], "cannot be used with"),
    (&["verdict", "00", "burn"], "accept, ignore, reject"),
    (&["trust", "lists"], "'list'"),
    (&["stats", "-o", "yaml"], "table, json"),
    (&["metrics", "--json"], "--json"),
    (
        &["logs", "--level", "loud"],
        "error, warn, info, debug, trace",
    ),
    (
        &["logs", "--layer", "cake"],
        "transport, session, overlay, node, other",
    ),
    (
        &["logs", "--events", "--level", "warn"],
        "cannot be used with",
    ),
    (&["dashboard", "--port", "1"], "--port"),
    (&["simulate", "--count", "1"], "2..=512"),
    (&["simulate", "--once", "--forever"], "cannot be used with"),
    (&["relay", "--listen", "127.0.0.1:0"], "--to"),
    (
        &[
            "relay",
            "--listen",
            "127.0.0.1:0",
            "--to",
            "h:1",
            "--loss",
            "500%",
        ],
        "500%",
    ),
    (
        &["bench", "client", "h:1", "--mode", "fast"],
        "bulk, rr, messages, handshake, idle",
    ),
    (&["bench", "servr"], "'server'"),
    (&["send", "file", "192.0.2.7"], "write for example"),
    (&["recv", "--lisen", "127.0.0.1:0"], "--listen"),
    (&["lab", "lst"], "'list'"),
    (&["trace"], "<"),
    (&["id", "rotat"], "'rotate'"),
    (&["id", "dns-record", "nowhere"], "nowhere"),
    (&["generate-config"], "<"),
    (&["config", "chek"], "'check'"),
    (&["completions", "cmd.exe"], "bash"),
    (&["version", "--long"], "--long"),
    (&["man", "--out"], "<DIR>"),
    (&["simulat"], "'simulate'"),
];

#[test]
fn bad_options_and_values_are_told_with_what_may_be_given() {
    for (words, part) in MISTAKES {
        let refused = usage(words);
        assert!(
            refused.stderr.contains(part),
            "{words:?}: {}",
            refused.stderr
        );
    }
}

#[test]
fn what_is_in_the_way_on_this_machine_is_told_with_what_to_choose() {
    let lab = Lab::new();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken_at = taken.local_addr().unwrap();
    let port = taken_at.port().to_string();
    let file = lab.file("file", 1);
    let below = file.join("x").display().to_string();
    let data = lab.path("data").display().to_string();
    let address = taken_at.to_string();
    let cases: [(&[&str], i32, &str); 7] = [
        (
            &[
                "start",
                "--host",
                "127.0.0.1",
                "--port",
                &port,
                "--data-dir",
                &data,
            ],
            6,
            "choose",
        ),
        (
            &["relay", "--listen", &address, "--to", "127.0.0.1:9"],
            6,
            "choose",
        ),
        (
            &["simulate", "--count", "2", "--base-port", &port],
            6,
            "choose",
        ),
        (
            &["simulate", "--count", "9", "--base-port", "65530"],
            2,
            "--base-port up to 65527",
        ),
        (&["man", "--out", &below], 6, "name another file"),
        (&["generate-config", &below], 6, &below),
        (&["status", "--data-dir", &below], 4, "no node is running"),
    ];
    for (words, code, part) in cases {
        let refused = run(dunlin().args(words));
        assert_eq!(refused.code, Some(code), "{words:?}: {refused:?}");
        let sentence = refused.sentence();
        assert!(sentence.contains(part), "{words:?}: {sentence}");
    }
}

#[test]
fn mistakes_of_the_laboratory_are_told_for_each_of_its_commands() {
    let cases: [(&[&str], i32, &str); 5] = [
        (&["lab", "show", "tortur"], 2, "did you mean \"torture\"?"),
        (
            &["lab", "replay", "7", "tortur"],
            2,
            "did you mean \"torture\"?",
        ),
        (
            &["lab", "shrink", "nowhere.toml", "--seed", "7"],
            6,
            "cannot read nowhere.toml",
        ),
        (
            &["lab", "compare", "nowhere.json", "torture"],
            6,
            "cannot read nowhere.json",
        ),
        (&["lab", "merge", "nowhere.json"], 6, "dunlin lab run --out"),
    ];
    for (words, code, part) in cases {
        let refused = run(dunlin().args(words));
        assert_eq!(refused.code, Some(code), "{words:?}: {refused:?}");
        let sentence = refused.sentence();
        assert!(sentence.contains(part), "{words:?}: {sentence}");
    }
}

#[test]
fn a_peer_proves_its_identity_when_it_is_asked_to() {
    let pair = Pair::start();
    let lab = &pair.lab;
    let short = &pair.second_id[..16];
    let before = json(lab, "first", &["peer", "info", short, "--json"]);
    assert_eq!(before["proved_at"], Value::Null, "{before}");
    let proved = told(lab, "first", &["peer", "challenge", short]);
    assert!(
        proved.contains(&pair.second_id) && proved.contains("proved its identity"),
        "{proved}"
    );
    let after = json(lab, "first", &["peer", "info", short, "--json"]);
    assert!(
        after["proved_at"].as_str().unwrap().ends_with('Z'),
        "{after}"
    );
    assert_eq!(after["status"], "connected");
    assert!(told(lab, "first", &["peer", "info", short]).contains("\nproved"));
    let story = told(lab, "first", &["peer", "why", short]);
    assert!(story.contains("proved its identity again"), "{story}");
    // The other end has its own view.
    let proof = json(
        lab,
        "second",
        &["peer", "challenge", &pair.first_id, "--json"],
    );
    assert_eq!(proof["peer"], *pair.first_id);
}

#[test]
fn a_peer_that_is_frozen_and_does_not_prove_itself_is_left() {
    let pair = Pair::start();
    pair.second.signal("STOP");
    let asked = ask(&pair.lab, "first", &["peer", "challenge", &pair.second_id]);
    pair.second.signal("CONT");
    assert_eq!(asked.code, Some(4), "{asked:?}");
    assert!(
        asked.sentence().contains("has not proved its identity"),
        "{asked:?}"
    );
    let story = told(&pair.lab, "first", &["peer", "why", &pair.second_id]);
    assert!(story.contains("prove"), "{story}");
}

#[test]
fn the_log_is_shown_filtered_and_followed() {
    let lab = Lab::new();
    let (_node, _, address) = start(&lab, "first", &["-v"]);
    let (_second, second_id, _) = start(&lab, "second", &["--bootstrap", &address]);
    let shows = |part: &str| told(&lab, "first", &["logs", "-n", "1000"]).contains(part);
    let up = format!("peer up: {second_id}");
    assert!(until(DEADLINE, || shows(&up)), "{up}");
    let line = told(&lab, "first", &["logs", "-n", "1000"]);
    let line = line.lines().find(|line| line.contains(&up)).unwrap();
    assert!(line.contains("Z  INFO   node       peer up"), "{line}");
    let list = json(
        &lab,
        "first",
        &["logs", "--json", "-n", "1000", "--layer", "node"],
    );
    let lines = list["lines"].as_array().unwrap();
    assert!(lines.iter().all(|line| line["layer"] == "node"), "{list}");
    let sequences: Vec<u64> = lines
        .iter()
        .map(|line| line["sequence"].as_u64().unwrap())
        .collect();
    assert!(sequences.is_sorted(), "{sequences:?}");
    let one = json(&lab, "first", &["logs", "--json", "-n", "1"]);
    assert_eq!(one["lines"].as_array().unwrap().len(), 1);
    // A ban is a warning; nothing of less weight comes with it.
    told(
        &lab,
        "first",
        &["peer", "ban", "192.0.2.7", "--reason", "rubbish"],
    );
    let mut command = dunlin();
    command.args([
        "logs",
        "-f",
        "-n",
        "1000",
        "--level",
        "warn",
        "--json",
        "--data-dir",
    ]);
    let mut following = Running::start(command.arg(lab.path("first")));
    let mut next_ban = || loop {
        let line: Value = serde_json::from_str(&following.line()).unwrap();
        assert!(
            ["warn", "error"].contains(&line["level"].as_str().unwrap()),
            "{line}"
        );
        if line["text"].as_str().unwrap().contains("is banned") {
            return line;
        }
    };
    let past = next_ban();
    assert_eq!(past["text"], "192.0.2.7 is banned: rubbish");
    assert_eq!(past["layer"], "node");
    told(
        &lab,
        "first",
        &["peer", "ban", "192.0.2.8", "--reason", "more"],
    );
    assert_eq!(next_ban()["text"], "192.0.2.8 is banned: more");
    following.signal("INT");
    assert_eq!(following.finish().code, Some(0));
}
