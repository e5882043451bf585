//! Runs every fuzz target over its committed seeds, without libFuzzer: what was found once is
//! tested for ever, and the targets are known to link and run.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Every target and its binary of this build.
const TARGETS: [(&str, &str); 9] = [
    ("header", env!("CARGO_BIN_EXE_header")),
    ("ack_ranges", env!("CARGO_BIN_EXE_ack_ranges")),
    ("frames", env!("CARGO_BIN_EXE_frames")),
    (
        "handshake_messages",
        env!("CARGO_BIN_EXE_handshake_messages"),
    ),
    ("open_packet", env!("CARGO_BIN_EXE_open_packet")),
    ("overlay_message", env!("CARGO_BIN_EXE_overlay_message")),
    (
        "overlay_operations",
        env!("CARGO_BIN_EXE_overlay_operations"),
    ),
    ("transfer_messages", env!("CARGO_BIN_EXE_transfer_messages")),
    ("connection_pair", env!("CARGO_BIN_EXE_connection_pair")),
];

fn seeds() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/seeds"))
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("the folder is readable");
    let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("names are UTF-8");
    entries
        .map(|entry| name(entry.expect("the entry is readable")))
        .collect()
}

#[test]
fn every_target_runs_its_seeds_without_a_panic() {
    for (target, binary) in TARGETS {
        let output = Command::new(binary)
            .arg(seeds().join(target))
            .output()
            .expect("the target starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{target} failed on the last of:\n{said}"
        );
    }
}

#[test]
fn seeds_belong_to_targets_and_targets_are_listed_here() {
    let listed: BTreeSet<_> = TARGETS
        .iter()
        .map(|(target, _)| format!("{target}.rs"))
        .collect();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
    assert_eq!(names_in(&sources), listed);
    let with_seeds: BTreeSet<_> = names_in(seeds())
        .into_iter()
        .map(|name| format!("{name}.rs"))
        .collect();
    assert_eq!(with_seeds, listed);
}
