//! Two programs that must not talk: each ends with a sentence a person can act on.

use std::net::UdpSocket;
use std::process::Command;

use crate::process::{DEADLINE, Finished, Lab, Running, STOP_LIMIT, dunlin, run, until};

/// Runs `dunlin id` with these words in the data folder of `who`.
fn id(lab: &Lab, who: &str, words: &[&str]) -> Finished {
    let mut command = dunlin();
    command
        .arg("id")
        .args(words)
        .arg("--data-dir")
        .arg(lab.path(who));
    run(&mut command)
}

fn id_of(lab: &Lab, who: &str) -> String {
    id(lab, who, &[]).stdout.trim_end().to_owned()
}

/// Sends a small file to `to` with these options more.
fn send(lab: &Lab, to: &str, more: &[&str]) -> Finished {
    let file = lab.file("small", 1_000);
    run(lab.sender(&file, to).args(more))
}

fn told(running: &Running, words: &str) {
    assert!(
        until(DEADLINE, || running.stderr().contains(words)),
        "{}",
        running.stderr()
    );
}

/// The same place with another ID.
fn with_id(line: &str, id: &str) -> String {
    let (_, place) = line.split_once('@').unwrap();
    format!("{id}@{place}")
}

#[test]
fn a_peer_that_is_another_one_is_named() {
    let lab = Lab::new();
    let (receiver, line) = lab.receiver(&[]);
    let wrong = with_id(&line, &id_of(&lab, "somebody"));
    let ended = send(&lab, &wrong, &[]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let (right, _) = line.split_once('@').unwrap();
    assert!(ended.sentence().contains(&format!("is {right}, not")));
    assert!(ended.sentence().contains("paste the line"), "{ended:?}");
    receiver.signal("INT");
    let ended = receiver.finish_within(STOP_LIMIT).expect("it stops");
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_denied_peer_is_told_so_and_the_receiver_names_it() {
    let lab = Lab::new();
    let sender = id_of(&lab, "sender");
    std::fs::create_dir_all(lab.path("receiver")).unwrap();
    let list = lab.path("receiver/denied_peers");
    std::fs::write(&list, format!("# stolen\n{sender}\n")).unwrap();
    let (receiver, line) = lab.receiver(&[]);
    let ended = send(&lab, &line, &[]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.sentence().contains("deny list"), "{ended:?}");
    told(
        &receiver,
        &format!("refused {sender}: the peer's node ID is on our deny list"),
    );
}

#[test]
fn a_denied_peer_loses_the_connection_that_it_has() {
    let lab = Lab::new();
    let mut first = dunlin();
    first.args(["start", "--host", "127.0.0.1", "--port", "0", "--data-dir"]);
    let mut first = Running::start(first.arg(lab.path("first")));
    let line = first.line();
    let mut second = dunlin();
    second.args(["start", "--host", "127.0.0.1", "--port", "0", "--bootstrap"]);
    let mut second = Running::start(second.arg(&line).arg("--data-dir").arg(lab.path("second")));
    let (id, _) = second
        .line()
        .split_once('@')
        .map(|(id, at)| (id.to_owned(), at.to_owned()))
        .unwrap();
    told(&first, &format!("peer up: {id}"));
    std::fs::write(lab.path("first/denied_peers"), format!("{id}\n")).unwrap();
    told(
        &first,
        &format!("{id} is denied from now on; connections ended: 1"),
    );
    told(&first, &format!("peer down: {id}"));
    told(&second, "peer down");
}

#[test]
fn a_list_of_denied_peers_that_is_not_understood_stops_the_program() {
    let lab = Lab::new();
    std::fs::create_dir_all(lab.path("receiver")).unwrap();
    std::fs::write(lab.path("receiver/denied_peers"), "mallory\n").unwrap();
    let mut command = dunlin();
    command
        .args(["recv", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(lab.path("receiver"));
    let ended = run(&mut command);
    assert_eq!(ended.code, Some(6), "{ended:?}");
    assert!(ended.sentence().contains("line 1 is no node ID"));
}

#[test]
fn another_network_is_silent_and_the_sentence_says_what_to_compare() {
    let lab = Lab::new();
    let (_receiver, line) = lab.receiver(&["--network", "blue"]);
    let ended = send(&lab, &line, &["--network", "red"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.sentence().contains("the same --network"), "{ended:?}");
    let sent = send(&lab, &line, &["--network", "blue"]);
    assert_eq!(sent.code, Some(0), "{sent:?}");
}

/// An endpoint of another version answers with a version reply (`docs/wire.md`, "Invariants").
#[test]
fn an_old_version_is_named() {
    let lab = Lab::new();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = socket.local_addr().unwrap().to_string();
    let answering = std::thread::spawn(move || {
        let mut packet = [0; 2_048];
        let (length, from) = socket.recv_from(&mut packet).unwrap();
        // As if the packet were of a version that this end does not speak.
        packet[1] = 99;
        let reply = dunlin_transport::wire::version::reply(&packet[..length]).unwrap();
        socket.send_to(&reply, from).unwrap();
    });
    let ended = send(&lab, &to, &[]);
    answering.join().unwrap();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(
        ended.sentence().contains("use the same version of dunlin"),
        "{ended:?}"
    );
}

#[test]
fn a_classical_sender_is_told_how_to_get_a_post_quantum_key() {
    let lab = Lab::new();
    assert_eq!(id(&lab, "receiver", &["new", "--hybrid"]).code, Some(0));
    let (receiver, line) = lab.receiver(&["--post-quantum", "required"]);
    let sender = id_of(&lab, "sender");
    let ended = send(&lab, &line, &[]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let advice = "dunlin id rotate --hybrid";
    assert!(ended.sentence().contains(advice), "{ended:?}");
    told(
        &receiver,
        &format!("refused {sender}: the peer's identity has no post-quantum key"),
    );
    // The advice works.
    assert_eq!(id(&lab, "sender", &["rotate", "--hybrid"]).code, Some(0));
    let sent = send(&lab, &line, &["--post-quantum", "required"]);
    assert_eq!(sent.code, Some(0), "{sent:?}");
}

#[test]
fn a_sender_that_requires_post_quantum_refuses_a_classical_receiver() {
    let lab = Lab::new();
    let (_receiver, line) = lab.receiver(&[]);
    let ended = send(&lab, &line, &["--post-quantum", "required"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(
        ended.sentence().contains("has no post-quantum key"),
        "{ended:?}"
    );
}

#[test]
fn a_classical_key_exchange_takes_both_ends_and_the_refused_one_is_told() {
    let lab = Lab::new();
    let (receiver, line) = lab.receiver(&[]);
    let classical = ["--key-exchange", "classical"];
    let ended = send(&lab, &line, &classical);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let advice = "remove `--key-exchange classical` here, or set it at the peer too";
    assert!(ended.sentence().contains(advice), "{ended:?}");
    let sender = id_of(&lab, "sender");
    told(
        &receiver,
        &format!("refused {sender}: the peer offers only a classical key exchange"),
    );
    drop(receiver);
    let (_receiver, line) = lab.receiver(&classical);
    for more in [&classical[..], &[]] {
        let sent = send(&lab, &line, more);
        assert_eq!(sent.code, Some(0), "{sent:?}");
    }
}

/// Replaces the wall clock of a program by one that is a year ahead, where the system's loader and a
/// C compiler allow it; elsewhere there is nothing to try.
#[cfg(target_os = "linux")]
fn a_year_ahead(lab: &Lab) -> Option<std::path::PathBuf> {
    const SHIFTED_CLOCK: &str = "\
        #define _GNU_SOURCE\n\
        #include <dlfcn.h>\n\
        #include <time.h>\n\
        int clock_gettime(clockid_t id, struct timespec *out) {\n\
            int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, \"clock_gettime\");\n\
            int result = real(id, out);\n\
            if (id == CLOCK_REALTIME) out->tv_sec += 31622400;\n\
            return result;\n\
        }\n";
    let (source, library) = (lab.path("clock.c"), lab.path("clock.so"));
    std::fs::write(&source, SHIFTED_CLOCK).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    compiled
        .is_ok_and(|status| status.success())
        .then_some(library)
}

#[cfg(target_os = "linux")]
#[test]
fn a_clock_that_is_off_by_a_year_keeps_nobody_from_sending() {
    let lab = Lab::new();
    let Some(clock) = a_year_ahead(&lab) else {
        return;
    };
    let (_receiver, line) = lab.receiver(&[]);
    let file = lab.file("small", 1_000);
    let sent = run(lab.sender(&file, &line).env("LD_PRELOAD", &clock));
    assert_eq!(sent.code, Some(0), "{sent:?}");
    assert!(lab.arrived(&file));
}
