//! Much at a time: the control interface keeps its limits, and the data path goes on.

use std::process::{Child, Stdio};

use dunlin_node::control::limits::STREAMS_MAX;
use serde_json::Value;

use crate::control::{Pair, ask, command, told};
use crate::http::Http;
use crate::process::Running;

#[test]
fn adds_requests_and_slow_readers_hold_no_broadcast_up() {
    let pair = Pair::start();
    let lab = &pair.lab;
    let socket = lab.path("first").join("control.sock");
    // They ask for everything and take nothing of it.
    let slow: Vec<Http> = (1..STREAMS_MAX)
        .map(|_| {
            let mut reader = Http::open(&socket);
            reader.ask("/api/v1/events?samples=250");
            reader
        })
        .collect();
    let words = ["logs", "--events", "-f", "-n", "0", "--json"];
    let mut listening = Running::start(&mut command(lab, "first", &words));
    // All places are taken when one more is refused.
    let is_full = || ask(lab, "first", &["logs", "-f", "-n", "0"]).code == Some(1);
    let full = crate::process::until(crate::process::DEADLINE, is_full);
    assert!(full, "{STREAMS_MAX} streams are the limit");

    let add = ["peer", "add", &pair.second_address];
    let mut adding: Vec<Child> = (0..100)
        .map(|_| {
            command(lab, "first", &add)
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let asking: Vec<_> = (0..4)
        .map(|number| {
            let mut connection = Http::open(&socket);
            std::thread::spawn(move || {
                let paths = ["status", "peers", "stats", "trust"];
                for _ in 0..250 {
                    let (status, _) = connection.get(&format!("/api/v1/{}", paths[number]));
                    assert_eq!(status, 200);
                }
            })
        })
        .collect();
    // Meanwhile the other node broadcasts, and all of it arrives, in its order. Who listens takes it
    // as it comes: a reader that lags behind misses some.
    let hearing = std::thread::spawn(move || {
        let mut heard = 0;
        while heard < 60 {
            let event: Value = serde_json::from_str(&listening.line()).unwrap();
            if event["kind"] == "broadcast" {
                let text = event["detail"]["text"].as_str().unwrap();
                assert!(text.starts_with(&format!("{heard} ")), "{}", &text[..20]);
                heard += 1;
            }
        }
    });
    let filler = "x".repeat(16_000);
    for number in 0..60 {
        told(lab, "second", &["broadcast", &format!("{number} {filler}")]);
    }
    hearing.join().unwrap();
    for thread in asking {
        thread.join().unwrap();
    }
    for child in &mut adding {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    assert_eq!(pair.connected("first"), 1);
    drop(slow);
}
