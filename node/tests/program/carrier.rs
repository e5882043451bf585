//! Files between two processes over TCP, and where UDP goes nowhere.

use crate::process::{Lab, run};

/// What the sender says when it had to use TCP.
const NOTICE: &str = "UDP got no answer";

#[test]
fn a_file_arrives_over_tcp_where_udp_is_swallowed() {
    let lab = Lab::new();
    let file = lab.file("file", 3_000_000);
    // Its UDP socket takes every packet and answers none, as a firewall that drops would.
    let (receiver, to) = lab.receiver(&["--once", "--carrier", "tcp"]);
    let sent = run(&mut lab.sender(&file, &to));
    assert_eq!(sent.code, Some(0), "{sent:?}");
    assert!(sent.stderr.contains(NOTICE), "{sent:?}");
    assert_eq!(receiver.finish().code, Some(0));
    assert!(lab.arrived(&file));
}

#[test]
fn a_receiver_is_reached_over_either_carrier_at_one_port() {
    let lab = Lab::new();
    let (_receiver, to) = lab.receiver(&[]);
    for carrier in ["udp", "tcp", "race"] {
        let file = lab.file(carrier, 200_000);
        let sent = run(lab.sender(&file, &to).args(["--carrier", carrier]));
        assert_eq!(sent.code, Some(0), "{carrier}: {sent:?}");
        assert!(lab.arrived(&file), "{carrier}");
    }
}

#[test]
fn a_sender_that_may_use_one_carrier_only_says_which_one_failed() {
    let lab = Lab::new();
    let file = lab.file("file", 1_000);
    let (_udp, to_udp) = lab.receiver(&["--carrier", "udp"]);
    let refused = run(lab.sender(&file, &to_udp).args(["--carrier", "tcp"]));
    assert_eq!(refused.code, Some(4), "{refused:?}");
    assert!(refused.sentence().contains("over TCP"), "{refused:?}");
    let (_tcp, to_tcp) = lab.receiver(&["--carrier", "tcp"]);
    let silent = run(lab.sender(&file, &to_tcp).args(["--carrier", "udp"]));
    assert_eq!(silent.code, Some(4), "{silent:?}");
    assert!(silent.sentence().contains("nobody answers"), "{silent:?}");
}

#[test]
fn a_receiver_that_refuses_says_so_over_tcp_too() {
    let lab = Lab::new();
    let file = lab.file("file", 1_000);
    let mut other = crate::process::dunlin();
    let id = run(other.args(["id", "--data-dir"]).arg(lab.path("other"))).stdout;
    let (_receiver, to) = lab.receiver(&["--allow", id.trim_end()]);
    for carrier in ["tcp", "udp"] {
        let refused = run(lab.sender(&file, &to).args(["--carrier", carrier]));
        assert_eq!(refused.code, Some(3), "{carrier}: {refused:?}");
        assert!(refused.sentence().contains("refused"), "{refused:?}");
    }
}
