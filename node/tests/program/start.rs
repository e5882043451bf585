//! `dunlin start` and its configuration: files, locks, signals, what outlives the process.

use std::path::Path;

use dunlin_node::store::{StoreReader, StoryFilter};

use crate::process::{DEADLINE, Lab, Running, STOP_LIMIT, dunlin, run, until};

fn start(data: &Path, more: &[&str]) -> Running {
    let mut command = dunlin();
    command.args(["start", "--host", "127.0.0.1", "--port", "0", "--data-dir"]);
    Running::start(command.arg(data).args(more))
}

#[track_caller]
fn waits_for(what: &str, of: &Running) {
    let is_there = until(DEADLINE, || of.stderr().contains(what));
    assert!(is_there, "no \"{what}\" in:\n{}", of.stderr());
}

fn write(lab: &Lab, name: &str, text: &str) -> String {
    std::fs::write(lab.path(name), text).unwrap();
    lab.path(name).to_str().unwrap().to_owned()
}

#[test]
fn a_generated_file_is_sound_and_is_left_alone_when_it_exists() {
    let lab = Lab::new();
    for (name, first) in [("n.toml", '#'), ("n.json", '{')] {
        let path = lab.path(name);
        let generate = || {
            let mut command = dunlin();
            command.arg("generate-config").arg(&path);
            run(command.args(["--port", "8888", "--bootstrap", "192.0.2.7:8888"]))
        };
        assert_eq!(generate().code, Some(0));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(first), "{text}");
        assert!(
            text.contains("192.0.2.7:8888") && text.contains("8888"),
            "{text}"
        );
        let checked = run(dunlin().args(["config", "check"]).arg(&path));
        assert_eq!(checked.code, Some(0), "{checked:?}");
        assert!(checked.stdout.contains("is sound"), "{checked:?}");

        let again = generate();
        assert_eq!(again.code, Some(6), "{again:?}");
        assert!(again.sentence().contains("is left alone"), "{again:?}");
    }
    let printed = run(dunlin().args(["generate-config", "-", "--format", "json"]));
    assert!(printed.stdout.starts_with('{'), "{printed:?}");
}

#[test]
fn mistakes_of_a_file_are_told_with_their_lines_and_the_node_does_not_start() {
    let lab = Lab::new();
    let file = write(&lab, "n.toml", "port = 1\n\nmax_peers = 0\nmin_pears = 3\n");
    let checked = run(dunlin().args(["config", "check", &file]));
    assert_eq!(checked.code, Some(2), "{checked:?}");
    assert!(checked.sentence().contains("2 mistakes"), "{checked:?}");
    for told in [
        "n.toml:3: max_peers is 0, and has to be a whole number from 1 to 256",
        "n.toml:4: min_pears is no key; did you mean min_peers?",
    ] {
        assert!(checked.stderr.contains(told), "{checked:?}");
    }
    let started = run(dunlin().args(["start", "--config", &file]));
    assert_eq!(started.code, Some(2), "{started:?}");
    assert!(
        started.sentence().contains("n.toml:3: max_peers"),
        "{started:?}"
    );
    let missing = run(dunlin().args(["start", "--config", "nowhere.toml"]));
    assert_eq!(missing.code, Some(2), "{missing:?}");
    let told = missing.sentence();
    let unread = "nowhere.toml: the file cannot be read: no such file";
    assert!(told.contains(unread), "{missing:?}");
    let checked = run(dunlin().args(["config", "check", "nowhere.toml"]));
    assert_eq!(checked.code, Some(2), "{checked:?}");
    assert_eq!(checked.stderr, missing.stderr, "one sentence");
}

#[cfg(unix)]
#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let lab = Lab::new();
    let data = lab.path("data").to_str().unwrap().to_owned();
    let file = write(
        &lab,
        "n.json",
        "{\"host\": \"127.0.0.9\", \"port\": 0, \"log_level\": \"error\"}",
    );
    let mut command = dunlin();
    command.args(["start", "--config", &file, "--host", "127.0.0.1"]);
    command.env("DUNLIN_DATA_DIR", &data);
    command.env("DUNLIN_LOG_LEVEL", "debug");
    let mut node = Running::start(&mut command);
    assert!(node.line().contains("@127.0.0.1:"));
    waits_for("remembered from earlier runs", &node);
    assert!(lab.path("data").join("dunlin.db").exists());
    node.signal("TERM");
    let ended = node.finish_within(STOP_LIMIT).expect("it stops");
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[cfg(unix)]
#[test]
fn a_second_node_on_the_same_folder_is_told_who_has_it() {
    let lab = Lab::new();
    let data = lab.path("data");
    let mut first = start(&data, &[]);
    first.line();
    let mut command = dunlin();
    command
        .args(["start", "--port", "0", "--data-dir"])
        .arg(&data);
    let second = run(&mut command);
    assert_eq!(second.code, Some(6), "{second:?}");
    let holder = format!("process {}", first.id());
    assert!(second.sentence().contains(&holder), "{second:?}");
    // The lock is the system's: it goes with the process, however that ends.
    first.signal("KILL");
    first.finish_within(STOP_LIMIT).expect("it is gone");
    let mut third = start(&data, &[]);
    third.line();
}

#[cfg(unix)]
#[test]
fn a_killed_node_comes_back_by_itself_with_its_identity_and_finds_its_peer() {
    let lab = Lab::new();
    let mut other = start(&lab.path("other"), &[]);
    let place = other.line();
    let (other_id, _) = place.split_once('@').unwrap();
    let data = lab.path("data");
    let mut node = start(&data, &["--bootstrap", &place]);
    let line = node.line();
    let (id, _) = line.split_once('@').unwrap();
    waits_for(&format!("peer up: {other_id}"), &node);
    // It is written down soon, while the node runs.
    let knows = || {
        let peers = StoreReader::open(&data.join("dunlin.db")).and_then(|store| store.peers());
        peers.is_ok_and(|peers| peers.iter().any(|peer| peer.anchor))
    };
    assert!(until(DEADLINE, knows), "{}", node.stderr());
    node.signal("KILL");
    node.finish_within(STOP_LIMIT).expect("it is gone");

    let mut node = start(&data, &[]);
    assert!(node.line().starts_with(id), "the same identity");
    waits_for(&format!("peer up: {other_id}"), &node);
    node.signal("TERM");
    node.finish_within(STOP_LIMIT).expect("it stops");
    let store = StoreReader::open(&data.join("dunlin.db")).unwrap();
    let filter = StoryFilter {
        peer: Some(other_id.parse().unwrap()),
        ..StoryFilter::default()
    };
    let story = store.story(&filter).unwrap();
    let of_state = story.iter().filter(|row| row.kind == "state");
    assert!(of_state.count() >= 4, "{story:?}");
}

#[cfg(unix)]
#[test]
fn a_damaged_store_is_moved_aside_and_one_of_a_later_version_is_refused() {
    let lab = Lab::new();
    let data = lab.path("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("dunlin.db"), "rubbish ".repeat(2_000)).unwrap();
    let mut node = start(&data, &[]);
    node.line();
    waits_for("dunlin.db.corrupt-", &node);
    node.signal("TERM");
    let ended = node.finish_within(STOP_LIMIT).expect("it stops");
    assert_eq!(ended.code, Some(0), "{ended:?}");

    let store = rusqlite::Connection::open(data.join("dunlin.db")).unwrap();
    store.pragma_update(None, "user_version", 1_000).unwrap();
    drop(store);
    let mut command = dunlin();
    command
        .args(["start", "--port", "0", "--data-dir"])
        .arg(&data);
    let refused = run(&mut command);
    assert_eq!(refused.code, Some(6), "{refused:?}");
    assert!(
        refused.sentence().contains("later version of dunlin"),
        "{refused:?}"
    );
}

#[cfg(unix)]
#[test]
fn a_hangup_reads_the_file_again_and_a_bad_file_changes_nothing() {
    let lab = Lab::new();
    let file = write(
        &lab,
        "n.toml",
        "log.level = \"warn\"\nlog.format = \"json\"\n",
    );
    let mut node = start(&lab.path("data"), &["--config", &file]);
    node.line();
    write(&lab, "n.toml", "log.level = 7\n");
    node.signal("HUP");
    waits_for("the configuration is not taken", &node);
    write(
        &lab,
        "n.toml",
        "log.level = \"info\"\nlog.format = \"json\"\ncarrier = \"udp\"\n",
    );
    node.signal("HUP");
    waits_for("carrier changed, which needs a restart", &node);
    waits_for("the configuration was read again", &node);
    // Every line but the notices is one JSON object.
    let told = node.stderr();
    let json = told.lines().filter(|line| line.starts_with('{'));
    let json: Vec<serde_json::Value> = json
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(json.len() >= 3, "{told}");
    assert!(json.iter().all(|line| line["level"].is_string()), "{told}");
    node.signal("TERM");
    node.finish_within(STOP_LIMIT).expect("it stops");
}

/// The system refuses files of more than 32 KiB, as a full disk would refuse them: the log of the
/// store is the one that grows.
#[cfg(unix)]
#[test]
fn a_disk_that_takes_no_more_is_told_once_and_survived() {
    let lab = Lab::new();
    let data = lab.path("data");
    // The store itself is there already.
    let mut node = start(&data, &[]);
    node.line();
    node.signal("TERM");
    node.finish_within(STOP_LIMIT).expect("it stops");

    let mut command = std::process::Command::new("sh");
    let line =
        "trap '' XFSZ; ulimit -f 64; exec \"$0\" start --host 127.0.0.1 --port 0 --data-dir \"$1\"";
    command
        .args(["-c", line, env!("CARGO_BIN_EXE_dunlin")])
        .arg(&data);
    let mut node = Running::start(&mut command);
    let place = node.line();
    let told = "cannot write";
    for n in 0..60 {
        if node.stderr().contains(told) {
            break;
        }
        // Each peer that comes and goes is a few rows.
        let mut peer = start(&lab.path(&format!("peer{n}")), &["--bootstrap", &place]);
        let id = peer.line();
        let (id, _) = id.split_once('@').unwrap();
        waits_for(&format!("peer up: {id}"), &node);
        peer.signal("TERM");
        waits_for(&format!("peer down: {id}"), &node);
    }
    waits_for(told, &node);
    // It is a node as before.
    let mut peer = start(&lab.path("last"), &["--bootstrap", &place]);
    let id = peer.line();
    waits_for(
        &format!("peer up: {}", id.split_once('@').unwrap().0),
        &node,
    );
    let stderr = node.stderr();
    assert_eq!(stderr.matches(told).count(), 1, "{stderr}");
    node.signal("TERM");
    let ended = node.finish_within(STOP_LIMIT).expect("it stops");
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
