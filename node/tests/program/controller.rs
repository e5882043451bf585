//! The congestion controller of a command: two processes, and what the sender's log says.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::process::{Lab, dunlin, run};

/// The states of the controller in the logs of a folder.
fn phases(folder: &std::path::Path) -> BTreeSet<String> {
    let mut phases = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for record in text.split('\u{1e}').skip(1) {
            let record: Value = serde_json::from_str(record).unwrap();
            let name = record["name"].as_str().unwrap_or_default();
            if name.ends_with("congestion_state_updated") {
                phases.extend(record["data"]["new"].as_str().map(str::to_owned));
            }
        }
    }
    phases
}

#[test]
fn a_file_arrives_with_each_controller_and_the_log_shows_which_one_it_was() {
    let lab = Lab::new();
    let (_receiver, to) = lab.receiver(&["--controller", "new-reno"]);
    for (controller, first) in [
        ("new-reno", "slow_start"),
        ("cubic", "slow_start"),
        ("bbr", "startup"),
        ("bbr-tolerant", "startup"),
    ] {
        let file = lab.file(controller, 400_000);
        let logs = lab.path(&format!("{controller}-logs"));
        let mut sender = lab.sender(&file, &to);
        sender.args(["--carrier", "udp", "--controller", controller, "--qlog"]);
        let sent = run(sender.arg(&logs));
        assert_eq!(sent.code, Some(0), "{controller}: {sent:?}");
        assert!(lab.arrived(&file), "{controller}");
        let seen = phases(&logs);
        let all = ["slow_start", "startup"];
        let found: Vec<_> = all
            .into_iter()
            .filter(|phase| seen.contains(*phase))
            .collect();
        assert_eq!(found, [first], "{controller}: {seen:?}");
    }
}

#[test]
fn a_controller_that_does_not_exist_is_a_mistake_of_usage_that_names_those_that_do() {
    let mut command = dunlin();
    let refused = run(command.args(["recv", "--controller", "vegas"]));
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("bbr-tolerant"), "{refused:?}");
}
