//! A file through `dunlin relay` on a bad path: three processes, against NewReno without selective
//! acknowledgements on the same path and seed.

use crate::baseline;
use crate::process::{Lab, Running, dunlin, run};

/// The path of the acceptance test of the transport: 40 ms there and back.
const PATH: [&str; 10] = [
    "--loss",
    "5%",
    "--reorder",
    "2%",
    "--delay",
    "20ms",
    "--rate",
    "100mbit",
    "--seed",
    "7",
];
/// The file, and what the baseline is given: it needs as long for a twentieth of it.
const FILE: usize = 8_000_000;
const BASELINE: u64 = 400_000;

/// A relay process towards `to`, and where its clients send.
fn relay(to: &str) -> (Running, String) {
    let mut relay = Running::start(
        dunlin()
            .args(["relay", "--listen", "127.0.0.1:0", "--to", to])
            .args(PATH),
    );
    let told = relay.line();
    let listen = told.split_whitespace().nth(1).unwrap().to_owned();
    (relay, listen)
}

/// Bits per second by the line that `dunlin send` prints: `sent … in 1.23 s, …`.
fn goodput(told: &str) -> f64 {
    let (_, after) = told.split_once(" in ").unwrap();
    let seconds: f64 = after.split_once(' ').unwrap().0.parse().unwrap();
    FILE as f64 * 8.0 / seconds
}

#[test]
fn a_lossy_path_is_used_ten_times_better_than_by_new_reno_without_sack() {
    let (_relay, through) = relay(&baseline::receiver().to_string());
    let without_sack = baseline::goodput(through.parse().unwrap(), BASELINE);

    let lab = Lab::new();
    let file = lab.file("file", FILE);
    let (_receiver, to) = lab.receiver(&[]);
    let (id, place) = to.split_once('@').unwrap();
    let (_relay, through) = relay(place);
    let mut sender = lab.sender(&file, &format!("{id}@{through}"));
    let sent = run(sender.args(["--carrier", "udp", "--controller", "bbr-tolerant"]));
    assert_eq!(sent.code, Some(0), "{sent:?}");
    assert!(sent.stdout.contains("hashes verified"), "{sent:?}");
    assert!(lab.arrived(&file));
    let ratio = goodput(&sent.stdout) / without_sack;
    println!(
        "dunlin {:.2} Mbit/s, NewReno without SACK {:.2} Mbit/s: {ratio:.1} times",
        goodput(&sent.stdout) / 1e6,
        without_sack / 1e6
    );
    assert!(
        ratio >= 10.0,
        "{ratio} times {without_sack} bit/s; {sent:?}"
    );
}
