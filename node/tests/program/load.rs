//! Much at a time: the control interface keeps its limits, and the data path goes on.

use std::process::{Child, Stdio};

use dunlin_node::control::limits::STREAMS_MAX;

use crate::control::{Pair, ask, command, told};
use crate::http::Http;

#[test]
fn adds_requests_and_slow_readers_hold_no_broadcast_up() {
    let pair = Pair::start();
    let lab = &pair.lab;
    let socket = lab.path("first").join("control.sock");
    let listen = |path: &str| {
        let mut reader = Http::open(&socket);
        assert_eq!(reader.get(path).0, 200);
        reader
    };
    // They ask for everything and take nothing of it but its head.
    let slow: Vec<Http> = (1..STREAMS_MAX)
        .map(|_| listen("/api/v1/events?samples=250"))
        .collect();
    let mut listening = listen("/api/v1/events?kinds=broadcast");
    // All places are taken.
    let refused = ask(lab, "first", &["logs", "-f", "-n", "0"]);
    assert_eq!(refused.code, Some(1), "{STREAMS_MAX} streams are the limit");

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
            let event = listening.event();
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
