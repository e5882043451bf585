//! A node that is started on a full disk: it says so, damages nothing, and starts when there is room.
//!
//! File systems of a few pages come from the kernel (`tmpfs` in a namespace of one's own, which needs no
//! superuser on most systems); where they cannot be had, a limit on the size of files stands for them.

use std::process::Command;

use crate::control::{ask, told};
use crate::process::{DEADLINE, Finished, Lab, Running, STOP_LIMIT, dunlin, run, until};

/// Starts a node on file systems that hold 1, 2, … pages of 4 KiB and nothing else, then gives it room and
/// starts it again. Prints for each: pages, code and last words of the first start, code of the second,
/// ID after the first, ID at the second. Code 77: there are no such file systems here.
const SWEEP: &str = r#"
dunlin=$1 place=$2
start() {
    : >"$place/out"
    "$dunlin" start --host 127.0.0.1 --port 0 --api 127.0.0.1:0 --data-dir "$place/disk/data" \
        >"$place/out" 2>"$place/err" &
    while ! grep -q @ "$place/out" && kill -0 $! 2>/dev/null; do sleep 0.02; done
    kill -TERM $! 2>/dev/null
    wait $!
}
mkdir "$place/disk"
pages=1
while [ "$pages" -le 96 ]; do
    mount -t tmpfs -o "size=$((pages * 4))k" none "$place/disk" || exit 77
    start
    first=$? words=$(grep '^dunlin: ' "$place/err") ran=$(cat "$place/out")
    had=$(test -e "$place/disk/data/identity.key" && "$dunlin" id --data-dir "$place/disk/data")
    mount -o remount,size=16m "$place/disk" || exit 77
    start
    echo "$pages|$first|$words|$?|$had|$(cut -d@ -f1 "$place/out")"
    umount "$place/disk"
    [ -n "$ran" ] && exit 0
    if [ "$pages" -lt 12 ]; then pages=$((pages + 1)); else pages=$((pages + 4)); fi
done
exit 9
"#;

#[cfg(target_os = "linux")]
#[test]
fn wherever_the_disk_ends_the_node_says_so_and_starts_when_there_is_room() {
    let lab = Lab::new();
    let mut command = Command::new("unshare");
    command
        .args(["--map-root-user", "--mount", "sh", "-c", SWEEP, "sh"])
        .arg(env!("CARGO_BIN_EXE_dunlin"))
        .arg(lab.path(""));
    let swept = command.output().map(Finished::from);
    let Some(swept) = swept
        .ok()
        .filter(|swept| !matches!(swept.code, Some(1 | 77)))
    else {
        eprintln!("skipped: file systems in a namespace of one's own cannot be had here");
        return;
    };
    assert_eq!(swept.code, Some(0), "{swept:?}");
    let lines: Vec<Vec<&str>> = swept
        .stdout
        .lines()
        .map(|line| line.split('|').collect())
        .collect();
    let (last, full) = lines.split_last().unwrap();
    assert!(full.len() >= 3, "{swept:?}");
    assert_eq!(last[1], "0", "with room enough it runs: {last:?}");
    for line in full {
        assert_eq!(line[1], "6", "{line:?}");
        let words = line[2].to_lowercase();
        let has = |any: [&str; 2]| any.iter().any(|part| words.contains(part));
        let says_why = has(["no space left", "disk is full"]);
        let says_what_to_do = has(["make room", "free space"]);
        assert!(says_why && says_what_to_do, "{line:?}");
    }
    for line in &lines {
        assert_eq!(line[3], "0", "it starts when there is room: {line:?}");
        assert!(
            line[4].is_empty() || line[4] == line[5],
            "the same identity: {line:?}"
        );
    }
}

/// The system refuses every byte that would be written to a file.
fn without_room(lab: &Lab, words: &str) -> Finished {
    let mut command = Command::new("sh");
    let line = format!("trap '' XFSZ; ulimit -f 0; exec \"$0\" {words}");
    command
        .args(["-c", &line, env!("CARGO_BIN_EXE_dunlin")])
        .current_dir(lab.path(""));
    run(&mut command)
}

fn start(lab: &Lab) -> Running {
    let mut command = dunlin();
    command.args(["start", "--host", "127.0.0.1", "--port", "0", "--data-dir"]);
    Running::start(command.arg(lab.path("data")))
}

#[test]
fn what_a_node_has_is_untouched_by_a_start_without_room() {
    let lab = Lab::new();
    let mut node = start(&lab);
    let line = node.line();
    told(
        &lab,
        "data",
        &["peer", "ban", "192.0.2.0/24", "--reason", "a test"],
    );
    told(&lab, "data", &["stop"]);
    node.finish_within(STOP_LIMIT).expect("it stops");
    let files = || {
        ["identity.key", "dunlin.db"]
            .map(|name| std::fs::read(lab.path("data").join(name)).unwrap())
    };
    let before = files();
    let refused = without_room(&lab, "start --host 127.0.0.1 --port 0 --data-dir data");
    assert_eq!(refused.code, Some(6), "{refused:?}");
    assert!(
        refused.sentence().contains("make room there"),
        "{refused:?}"
    );
    assert!(files() == before, "what was written is as it was");
    let mut node = start(&lab);
    let id = |line: &str| line.split_once('@').unwrap().0.to_owned();
    assert_eq!(id(&node.line()), id(&line));
    assert!(told(&lab, "data", &["peer", "bans"]).contains("192.0.2.0/24"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_ban_that_the_disk_does_not_take_is_told_to_who_asked_for_it() {
    let lab = Lab::new();
    let mut command = Command::new("sh");
    let line = "trap '' XFSZ; exec \"$0\" start --host 127.0.0.1 --port 0 --data-dir \"$1\"";
    command.args(["-c", line, env!("CARGO_BIN_EXE_dunlin")]);
    let mut node = Running::start(command.arg(lab.path("data")));
    node.line();
    let limit = |bytes: &str| {
        let mut command = Command::new("prlimit");
        command.arg("--pid").arg(node.id().to_string());
        command.arg(format!("--fsize={bytes}:"));
        command.status().is_ok_and(|status| status.success())
    };
    if !limit("0") {
        eprintln!("skipped: prlimit (util-linux) is not installed");
        return;
    }
    let banned = ask(&lab, "data", &["peer", "ban", "192.0.2.1"]);
    assert_eq!(banned.code, Some(0), "{banned:?}");
    let lost = "the disk does not take it: it holds until the node ends";
    assert!(banned.stderr.contains(lost), "{banned:?}");
    assert!(limit("unlimited"));
    let told_so = || node.stderr().contains("is written again");
    assert!(until(DEADLINE, told_so), "{}", node.stderr());
    let banned = ask(&lab, "data", &["peer", "ban", "192.0.2.2"]);
    assert_eq!(banned.stderr, "", "{banned:?}");
    node.kill();
    let mut node = start(&lab);
    node.line();
    let bans = told(&lab, "data", &["peer", "bans"]);
    assert!(
        bans.contains("192.0.2.1") && bans.contains("192.0.2.2"),
        "{bans}"
    );
}

#[test]
fn half_a_configuration_file_is_not_left_behind() {
    let lab = Lab::new();
    let refused = without_room(&lab, "generate-config node.toml");
    assert_eq!(refused.code, Some(6), "{refused:?}");
    assert!(
        refused.sentence().contains("cannot write node.toml"),
        "{refused:?}"
    );
    assert!(!lab.path("node.toml").exists());
}
