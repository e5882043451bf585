//! Traces of real transfers: what they hold, who may read them, and what is said when they cannot be
//! written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

#[path = "../../../lab/tests/support/tshark.rs"]
mod support;

use support::{Keys, bytes_of, list, tshark};

use crate::process::{Lab, dunlin, run};

const LEN: usize = 300_000;

/// A transfer with all traces at both ends; the port of the receiver.
fn traced(lab: &Lab) -> (PathBuf, u16) {
    let file = lab.file("file", LEN);
    let options = |end: &str| {
        let path = |name: &str| lab.path(&format!("{end}-{name}")).display().to_string();
        [
            "--qlog".to_owned(),
            path("qlog"),
            "--pcap".to_owned(),
            path("pcap"),
            "--keylog".to_owned(),
            path("keys"),
        ]
    };
    let of_receiver = options("receiver");
    let mut receiver_options: Vec<_> = of_receiver.iter().map(String::as_str).collect();
    receiver_options.push("--once");
    let (receiver, to) = lab.receiver(&receiver_options);
    let mut sender = lab.sender(&file, &to);
    // One attempt, one log: on a slow machine TCP would join.
    sender.args(["--carrier", "udp"]);
    let sent = run(sender.args(options("sender")));
    assert_eq!(sent.code, Some(0), "{sent:?}");
    let received = receiver.finish();
    assert_eq!(received.code, Some(0), "{received:?}");
    assert!(
        received.stderr.contains("who has this file reads"),
        "the warning: {received:?}"
    );
    assert!(lab.arrived(&file));
    let port = to.rsplit(':').next().unwrap().parse().unwrap();
    (file, port)
}

fn records(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let records = text.split('\u{1e}').skip(1);
    records
        .map(|record| serde_json::from_str(record).unwrap())
        .collect()
}

/// The only log of a connection in a folder.
fn only_log(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let logs: Vec<_> = paths
        .filter(|path| !path.ends_with("endpoint.sqlog"))
        .collect();
    assert_eq!(logs.len(), 1, "{logs:?}");
    logs[0].clone()
}

#[test]
fn the_traces_of_a_transfer_are_complete_and_private() {
    let lab = Lab::new();
    traced(&lab);
    let mut groups = Vec::new();
    for end in ["sender", "receiver"] {
        let records = records(&only_log(&lab.path(&format!("{end}-qlog"))));
        let common = &records[0]["trace"]["common_fields"];
        groups.push(common["group_id"].clone());
        let clock = common["reference_time"]["wall_clock_time"].as_str();
        assert!(
            clock.is_some_and(|text| text.starts_with("20")),
            "{clock:?}"
        );
        let closed = records
            .iter()
            .filter(|record| record["name"] == "dunlin:connection_closed");
        assert_eq!(closed.count(), 1);
        assert!(
            fs::metadata(lab.path(&format!("{end}-pcap")))
                .unwrap()
                .len()
                > 1_000
        );
    }
    assert_eq!(groups[0], groups[1], "one connection");

    let keys = |end: &str| fs::read_to_string(lab.path(&format!("{end}-keys"))).unwrap();
    for label in ["DUNLIN_INITIATOR_SECRET_0 ", "DUNLIN_RESPONDER_SECRET_0 "] {
        let line = |text: String| -> String {
            let line = text.lines().find(|line| line.starts_with(label));
            line.expect("a secret for each direction").to_owned()
        };
        assert_eq!(line(keys("sender")), line(keys("receiver")));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let mode = fs::metadata(lab.path("sender-keys")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn trace_prints_a_table_and_draws_a_page() {
    let lab = Lab::new();
    traced(&lab);
    let page = lab.path("page.html");
    let mut command = dunlin();
    command.arg("trace").arg(lab.path("sender-qlog"));
    let seen = run(command.arg("--html").arg(&page));
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let lines: Vec<_> = seen.stdout.lines().collect();
    assert_eq!(
        lines.len(),
        2,
        "a heading and a connection: {}",
        seen.stdout
    );
    assert!(lines[0].contains("goodput") && lines[0].contains("max cwnd"));
    // Both ends close when everything has arrived; on a busy machine either may be the first.
    let closed_by = lines[1].split_whitespace().next_back().unwrap();
    assert!(lines[1].contains(" client "), "{}", lines[1]);
    assert!(["local", "peer"].contains(&closed_by), "{}", lines[1]);
    let mut command = dunlin();
    command.arg("trace").arg(lab.path("sender-qlog"));
    let told = run(command.arg("--json"));
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    let connection = &told.as_array().unwrap()[0];
    assert_eq!(connection["role"], "client", "{told}");
    let name = connection["log"].as_str().unwrap();
    assert!(name.ends_with(".sqlog"), "{told}");
    for figure in [
        "packets_sent",
        "duration_ms",
        "window_max_bytes",
        "goodput_bits_per_second",
    ] {
        assert!(
            connection[figure].as_f64().unwrap() > 0.0,
            "{figure}: {told}"
        );
    }
    assert_eq!(connection["end"], closed_by);
    let html = fs::read_to_string(page).unwrap();
    for chart in [
        "Congestion window",
        "Round-trip time",
        "Bytes in flight",
        "Time and sequence",
    ] {
        assert!(html.contains(chart), "{chart}");
    }
    assert!(
        !html.contains("http://") || !html.contains("<script"),
        "it makes no request"
    );
}

#[test]
fn traces_that_cannot_be_written_are_told_in_a_sentence() {
    let lab = Lab::new();
    let file = lab.file("file", 10);
    let open = lab.path("open");
    fs::write(&open, "").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    }
    let missing = lab.path("missing/file").display().to_string();
    let under_file = file.join("logs").display().to_string();
    let open = open.display().to_string();
    let cases = [
        (["--pcap", &*missing], "with --pcap"),
        (["--keylog", &*missing], "with --keylog"),
        (["--qlog", &*under_file], "with --qlog"),
        (["--keylog", &*open], "chmod 600"),
    ];
    for (options, advice) in cases {
        let ended = run(lab.sender(&file, "127.0.0.1:9").args(options));
        assert_eq!(ended.code, Some(6), "{options:?}: {ended:?}");
        assert!(ended.sentence().contains(advice), "{ended:?}");
    }
    for (path, why) in [
        (file.as_path(), "is not a qlog file"),
        (&lab.path("nowhere"), "cannot read"),
    ] {
        let ended = run(dunlin().arg("trace").arg(path));
        assert_eq!(ended.code, Some(6), "{ended:?}");
        assert!(ended.sentence().contains(why), "{ended:?}");
    }
}

/// Bytes of stream 0 that the sender wrote, as tshark shows them.
fn stream_of_sender(capture: &Path, keys: &Path, port: u16) -> Vec<u8> {
    let fields = [
        "_ws.col.Protocol",
        "_ws.expert.message",
        "udp.dstport",
        "dunlin.stream.id",
        "dunlin.stream.offset",
        "dunlin.stream.length",
        "dunlin.stream.data",
    ];
    let mut bytes = BTreeMap::new();
    for columns in tshark(capture, Keys::Environment(keys), &fields) {
        assert_eq!(columns[..2], ["DUNLIN", ""], "{columns:?}");
        if columns[2] != port.to_string() {
            continue;
        }
        let mut data = list(&columns[6]);
        let places = list(&columns[3])
            .zip(list(&columns[4]))
            .zip(list(&columns[5]));
        for ((id, offset), length) in places {
            let piece = match length {
                "0" => Vec::new(),
                _ => bytes_of(data.next().unwrap()),
            };
            let offset: usize = offset.parse().unwrap();
            if id == "0" {
                bytes.extend((offset..).zip(piece));
            }
        }
    }
    assert_eq!(bytes.keys().copied().max(), Some(bytes.len() - 1), "no gap");
    bytes.into_values().collect()
}

#[test]
#[ignore = "needs tshark; .ci/run installs it"]
fn tshark_shows_the_bytes_of_a_live_transfer() {
    let lab = Lab::new();
    let (file, port) = traced(&lab);
    let content = fs::read(file).unwrap();
    for end in ["sender", "receiver"] {
        let capture = lab.path(&format!("{end}-pcap"));
        let stream = stream_of_sender(&capture, &lab.path(&format!("{end}-keys")), port);
        let begin = stream
            .windows(64)
            .position(|window| window == &content[..64])
            .expect("the file begins somewhere");
        assert!(stream[begin..].starts_with(&content), "{end}");
    }
}

#[test]
#[ignore = "needs tshark; .ci/run installs it"]
fn tshark_opens_the_capture_of_a_simulated_run() {
    let lab = Lab::new();
    let (capture, keys) = (lab.path("run.pcapng"), lab.path("keys"));
    let mut command = dunlin();
    command.args([
        "lab",
        "replay",
        "3",
        "nat-rebinding",
        "--set",
        "duration=200ms",
        "--set",
        "hold=[]",
    ]);
    command.arg("--pcap").arg(&capture);
    let run = run(command.arg("--keylog").arg(&keys));
    assert_eq!(run.code, Some(0), "{run:?}");
    let fields = ["_ws.col.Protocol", "_ws.expert.message", "dunlin.tag.ok"];
    let rows = tshark(&capture, Keys::Preference(&keys), &fields);
    assert!(rows.len() > 300, "{}", rows.len());
    for columns in &rows {
        assert_eq!(columns[..2], ["DUNLIN", ""], "{columns:?}");
        assert!(!columns[2].contains("False"), "{columns:?}");
    }
}
