//! Much at a time: the control interface keeps its limits, and the data path goes on.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};

use dunlin_node::control::limits::STREAMS_MAX;
use serde_json::Value;

use crate::control::{Pair, ask, command, told};
use crate::process::Running;

/// A request over the Unix socket.
fn send(stream: &mut UnixStream, path: &str) {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
}

/// The status of the answer, whose body is read to its end.
fn answer(stream: &mut BufReader<UnixStream>) -> String {
    let (mut status, mut line, mut length) = (String::new(), String::new(), 0);
    stream.read_line(&mut status).unwrap();
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).unwrap();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    status.trim_end().to_owned()
}

/// A reader that asks for everything and takes nothing of it.
fn slow_reader(socket: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(socket).unwrap();
    send(&mut stream, "/api/v1/events?samples=250");
    stream
}

#[test]
fn adds_requests_and_slow_readers_hold_no_broadcast_up() {
    let pair = Pair::start();
    let lab = &pair.lab;
    let socket = lab.path("first").join("control.sock");
    let slow: Vec<UnixStream> = (1..STREAMS_MAX).map(|_| slow_reader(&socket)).collect();
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
            let stream = UnixStream::connect(&socket).unwrap();
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                let paths = ["status", "peers", "stats", "trust"];
                for _ in 0..250 {
                    send(stream.get_mut(), &format!("/api/v1/{}", paths[number]));
                    assert_eq!(answer(&mut stream), "HTTP/1.1 200 OK");
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
