//! What goes wrong is told in one sentence, with its exit code, and without a panic.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::process::{DEADLINE, Lab, Running, dunlin, run, until};

#[test]
fn an_unknown_flag_is_a_usage_error() {
    let refused = run(dunlin().args(["recv", "--lisen", "127.0.0.1:0"]));
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("--listen"),
        "it says what was meant: {}",
        refused.stderr
    );
}

#[test]
fn help_and_version_are_no_failures() {
    for arguments in [
        &["--help"][..],
        &["send", "--help"],
        &["version"],
        &["--version"],
    ] {
        let shown = run(dunlin().args(arguments));
        assert_eq!(
            (shown.code, shown.stderr.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
        assert!(!shown.stdout.is_empty());
    }
}

#[test]
fn a_port_where_nobody_listens_is_unreachable() {
    let lab = Lab::new();
    // Bound, but silent: no other program can get this port meanwhile.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = silent.local_addr().unwrap().to_string();
    let failed = run(&mut lab.sender(&lab.file("file", 1), &to));
    assert_eq!(failed.code, Some(4));
    assert!(
        failed.sentence().contains("nobody answers at"),
        "{failed:?}"
    );
}

#[test]
fn a_wrong_id_is_told_from_a_wrong_address() {
    let lab = Lab::new();
    let (_receiver, line) = lab.receiver(&[]);
    let (real, place) = line.split_once('@').unwrap();
    let other = run(dunlin().args(["id", "--data-dir"]).arg(lab.path("other")));
    let wrong = format!("{}@{place}", other.stdout.trim_end());
    let failed = run(&mut lab.sender(&lab.file("file", 1), &wrong));
    assert_eq!(failed.code, Some(3));
    assert!(
        failed.sentence().contains(&format!("is {real}, not ")),
        "{failed:?}"
    );
    assert!(!lab.path("inbox/file").exists());
}

#[test]
fn a_bare_address_is_remembered_and_a_changed_peer_refused() {
    let lab = Lab::new();
    let file = lab.file("file", 1);
    let (receiver, line) = lab.receiver(&[]);
    let (_, place) = line.split_once('@').unwrap();
    let first = run(&mut lab.sender(&file, place));
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(
        first.stderr.contains("remembered at first use"),
        "{first:?}"
    );
    let second = run(&mut lab.sender(&file, place));
    assert!(!second.stderr.contains("remembered"), "{second:?}");

    receiver.signal("TERM");
    assert_eq!(receiver.finish().code, Some(0));
    fs::remove_dir_all(lab.path("receiver")).unwrap();
    let mut command = dunlin();
    command
        .args(["recv", "--listen", place, "--out"])
        .arg(lab.path("inbox"));
    let mut replaced = Running::start(command.arg("--data-dir").arg(lab.path("receiver")));
    replaced.line();
    let refused = run(&mut lab.sender(&file, place));
    assert_eq!(refused.code, Some(3));
    assert!(refused.sentence().contains("line 2 of "), "{refused:?}");
    assert!(refused.sentence().contains("known_peers"), "{refused:?}");
}

#[test]
fn a_sender_that_is_not_on_the_list_is_refused() {
    let lab = Lab::new();
    let friend = run(dunlin().args(["id", "--data-dir"]).arg(lab.path("friend"))).stdout;
    let (_receiver, line) = lab.receiver(&["--allow", friend.trim_end()]);
    let file = lab.file("file", 1);
    let refused = run(&mut lab.sender(&file, &line));
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.sentence().contains("allow-list"), "{refused:?}");
    let mut welcome = dunlin();
    welcome
        .arg("send")
        .arg(&file)
        .arg(&line)
        .arg("--data-dir")
        .arg(lab.path("friend"));
    assert_eq!(run(&mut welcome).code, Some(0));
}

#[test]
fn an_unreadable_file_is_told_before_anybody_is_called() {
    let lab = Lab::new();
    let failed = run(&mut lab.sender(&lab.path("nothing"), "127.0.0.1:1"));
    assert_eq!(failed.code, Some(6));
    assert!(
        failed.sentence().contains("check the spelling of the path"),
        "{failed:?}"
    );
}

#[test]
fn a_port_in_use_says_what_to_choose() {
    let lab = Lab::new();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for command in [&["recv", "--listen"][..], &["bench", "server", "--listen"]] {
        let mut dunlin = dunlin();
        dunlin
            .args(command)
            .arg(&address)
            .arg("--data-dir")
            .arg(lab.path("keys"));
        let failed = run(&mut dunlin);
        assert_eq!(failed.code, Some(6), "{failed:?}");
        assert!(
            failed.sentence().contains("choose another one"),
            "{failed:?}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_text_file_in_the_place_of_the_key_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::new();
    fs::create_dir(lab.path("keys")).unwrap();
    let key = lab.path("keys/identity.key");
    fs::write(&key, "remember the milk\n").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let failed = run(dunlin().args(["id", "--data-dir"]).arg(lab.path("keys")));
    assert_eq!(failed.code, Some(6));
    assert!(
        failed.sentence().contains("does not contain a dunlin key"),
        "{failed:?}"
    );
    assert_eq!(fs::read(&key).unwrap(), b"remember the milk\n");
}

/// A limit on the size of files stands for a full disk: it needs no superuser, and the write fails
/// in the same place. What a disk that is really full says is tested on `/dev/full` in the library.
#[cfg(unix)]
#[test]
fn a_receiver_that_cannot_write_any_more_tells_both_ends() {
    let lab = Lab::new();
    let file = lab.file("file", 4_000_000);
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 1000; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_dunlin"))
        .args(["recv", "--listen", "127.0.0.1:0", "--once", "--out"])
        .arg(lab.path("inbox"))
        .arg("--data-dir")
        .arg(lab.path("receiver"));
    let mut receiver = Running::start(&mut command);
    let line = receiver.line();
    let failed = run(&mut lab.sender(&file, &line));
    assert_eq!(failed.code, Some(6), "{failed:?}");
    assert!(
        failed
            .sentence()
            .contains("larger than the receiver's file system"),
        "{failed:?}"
    );
    let receiver = receiver.finish();
    assert_eq!(receiver.code, Some(6), "{receiver:?}");
    assert!(
        receiver.sentence().contains("cannot write "),
        "{receiver:?}"
    );
    let part = fs::metadata(lab.path("inbox/file.dunlin-part")).unwrap();
    assert!(part.len() > 0, "what fitted is kept");
}

/// Killed without a chance to say goodbye and started again with the same key: the sender learns it
/// from the first packet that the new process gets, long before its idle timeout of 30 s.
#[cfg(unix)]
#[test]
fn a_restarted_receiver_is_noticed_at_once() {
    let lab = Lab::new();
    // Sparse: never done before the receiver is killed, yet written at once.
    let file = lab.path("large");
    fs::File::create(&file).unwrap().set_len(40 << 30).unwrap();
    let (receiver, line) = lab.receiver(&[]);
    let sender = Running::start(&mut lab.sender(&file, &line));
    let part = lab.path("inbox/large.dunlin-part");
    assert!(until(DEADLINE, || part.exists()), "{}", sender.stderr());
    receiver.signal("KILL");
    assert_eq!(receiver.finish().code, None);
    let (_, place) = line.split_once('@').unwrap();
    let mut command = dunlin();
    command
        .args(["recv", "--listen", place, "--out"])
        .arg(lab.path("inbox"));
    let mut again = Running::start(command.arg("--data-dir").arg(lab.path("receiver")));
    assert_eq!(again.line(), line);
    let told = sender
        .finish_within(Duration::from_secs(15))
        .expect("it does not wait for the idle timeout");
    assert_eq!(told.code, Some(4), "{told:?}");
    assert!(told.sentence().contains("was restarted"), "{told:?}");
    assert!(
        told.sentence().contains("run the same command again"),
        "{told:?}"
    );
}
