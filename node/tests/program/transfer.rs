//! Files and folders between two processes.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dunlin_node::relay::{PathConfig, Relay, RelayConfig, Shares};

use crate::process::{DEADLINE, Lab, Running, STOP_LIMIT, run, until};

#[test]
fn a_file_arrives_and_both_ends_say_so() {
    let lab = Lab::new();
    let file = lab.file("file", 3_000_000);
    let (receiver, to) = lab.receiver(&["--once"]);
    let sent = run(&mut lab.sender(&file, &to));
    assert_eq!(sent.code, Some(0), "{sent:?}");
    assert!(
        sent.stdout
            .starts_with("sent 1 file of file (3000000 bytes)"),
        "{sent:?}"
    );
    let received = receiver.finish();
    assert_eq!(
        (received.code, received.stdout.as_str()),
        (Some(0), ""),
        "{received:?}"
    );
    assert!(lab.arrived(&file));
}

#[test]
fn the_line_of_the_receiver_is_the_only_one_and_names_its_id() {
    let lab = Lab::new();
    let (receiver, line) = lab.receiver(&[]);
    let mut command = crate::process::dunlin();
    let id = run(command.args(["id", "--data-dir"]).arg(lab.path("receiver"))).stdout;
    let (shown, place) = line.split_once('@').unwrap();
    assert_eq!(shown, id.trim_end());
    assert!(place.parse::<SocketAddr>().unwrap().ip().is_loopback());
    receiver.signal("INT");
    let rest = receiver.finish_within(STOP_LIMIT).expect("it stops");
    assert_eq!((rest.code, rest.stdout.as_str()), (Some(0), ""));
}

fn tree(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(current) = open.pop() {
        for item in fs::read_dir(current).unwrap() {
            let path = item.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_path_buf();
            let content = path.is_file().then(|| fs::read(&path).unwrap());
            if content.is_none() {
                open.push(path);
            }
            found.insert(name, content);
        }
    }
    found
}

#[test]
fn a_tree_of_2000_files_arrives_and_a_second_run_sends_nothing() {
    let lab = Lab::new();
    let root = lab.path("tree");
    for number in 0..2_000 {
        let folder = root.join((number % 40).to_string());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(number.to_string()), vec![b'x'; number % 700]).unwrap();
    }
    fs::create_dir_all(root.join("empty")).unwrap();
    let (_receiver, to) = lab.receiver(&[]);
    let sent = run(&mut lab.sender(&root, &to));
    assert_eq!(sent.code, Some(0), "{sent:?}");
    assert!(
        sent.stdout.starts_with("sent 2000 files of tree"),
        "{sent:?}"
    );
    assert_eq!(tree(&lab.path("inbox/tree")), tree(&root));
    let again = run(&mut lab.sender(&root, &to));
    assert_eq!(again.code, Some(0));
    assert!(
        again.stdout.contains("2000 files were there already"),
        "{again:?}"
    );
}

/// A relay in this process towards the receiver that printed `line`; the line for its clients.
async fn relay(line: &str, path: PathConfig) -> (Relay, String) {
    let (id, place) = line.split_once('@').unwrap();
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    let to = place.parse().unwrap();
    let relay = Relay::start(RelayConfig {
        listen,
        to,
        path,
        rebind_every: None,
    })
    .await
    .unwrap();
    let line = format!("{id}@{}", relay.local_addr());
    (relay, line)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_sender_resumes_where_it_stopped() {
    let lab = Lab::new();
    let file = lab.file("file", 30_000_000);
    let (receiver, to) = lab.receiver(&[]);
    // Slow enough to be killed in the middle.
    let slow = PathConfig {
        rate: Some("80mbit".parse().unwrap()),
        ..Default::default()
    };
    let (relay, through) = relay(&to, slow).await;
    let first = Running::start(&mut lab.sender(&file, &through));
    let part = lab.path("inbox/file.dunlin-part");
    let held = || fs::metadata(&part).map_or(0, |part| part.len());
    assert!(until(DEADLINE, || held() > 3_000_000), "{}", first.stderr());
    first.signal("KILL");
    assert_eq!(first.finish().code, None);
    relay.stop().await;

    // Its connection is still open at the receiver; the new one takes over.
    let again = run(&mut lab.sender(&file, &to));
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.stderr.contains("continuing file after"), "{again:?}");
    assert!(lab.arrived(&file));
    assert!(!part.exists());
    assert!(receiver.stderr().contains("continuing file after"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_survives_a_bad_path_and_a_changed_port_in_mid_transfer() {
    let lab = Lab::new();
    let file = lab.file("file", 1_500_000);
    let (_receiver, to) = lab.receiver(&[]);
    let bad = PathConfig {
        shares: Shares {
            loss: "2%".parse().unwrap(),
            reorder: "2%".parse().unwrap(),
            duplicate: "1%".parse().unwrap(),
            corrupt: "0.5%".parse().unwrap(),
        },
        delay: Duration::from_millis(2),
        rate: Some("100mbit".parse().unwrap()),
        seed: 7,
        ..Default::default()
    };
    let (relay, through) = relay(&to, bad).await;
    let sender = Running::start(&mut lab.sender(&file, &through));
    let mut at = 300_000;
    while at < 1_200_000 {
        if relay.counters().await.forward.delivered_bytes > at {
            relay.rebind().await;
            at += 400_000;
        }
        tokio::task::yield_now().await;
    }
    let sent = tokio::task::spawn_blocking(|| sender.finish())
        .await
        .unwrap();
    assert_eq!(sent.code, Some(0), "{sent:?}");
    assert!(lab.arrived(&file));
    let counters = relay.stop().await;
    assert_eq!(counters.rebinds, 3);
    assert!(
        counters.forward.lost > 0 && counters.forward.corrupted > 0,
        "{counters:?}"
    );
}

#[test]
fn a_different_file_of_the_same_name_is_left_alone() {
    let lab = Lab::new();
    let file = lab.file("file", 10);
    fs::create_dir(lab.path("inbox")).unwrap();
    fs::write(lab.path("inbox/file"), "mine").unwrap();
    let (receiver, to) = lab.receiver(&["--once"]);
    let sent = run(&mut lab.sender(&file, &to));
    assert_eq!(sent.code, Some(6));
    assert!(
        sent.sentence().contains("a different file of that name"),
        "{sent:?}"
    );
    assert_eq!(receiver.finish().code, Some(6));
    assert_eq!(fs::read(lab.path("inbox/file")).unwrap(), b"mine");
}

#[test]
fn an_interrupted_sender_says_how_to_go_on() {
    let lab = Lab::new();
    // Sparse: large enough to be interrupted, yet written at once.
    let file = lab.path("large");
    fs::File::create(&file).unwrap().set_len(40 << 30).unwrap();
    let (_receiver, to) = lab.receiver(&[]);
    let sender = Running::start(&mut lab.sender(&file, &to));
    let part = lab.path("inbox/large.dunlin-part");
    assert!(until(DEADLINE, || part.exists()), "{}", sender.stderr());
    sender.signal("INT");
    let stopped = sender.finish_within(STOP_LIMIT).expect("it stops");
    assert_eq!(stopped.code, Some(130));
    assert!(
        stopped.sentence().contains("run the same command again"),
        "{stopped:?}"
    );
}
