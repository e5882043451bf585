//! The tables of `docs/wire.md` that name a test for each violation and each bound: they are
//! complete, and the tests exist. And bounds of an endpoint that no other test goes to.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use dunlin_transport::plain::PlainAcceptor;
use dunlin_transport::protect::Random;
use dunlin_transport::wire::{MAGIC, version};
use dunlin_transport::{Endpoint, EndpointConfig, Instant, limits};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    let text = fs::read_to_string(root().join(path));
    text.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of all functions below a folder.
fn functions(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            functions(&path, names);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            names.extend(text.split("fn ").skip(1).map(|rest| {
                rest.chars()
                    .take_while(|it| it.is_alphanumeric() || *it == '_')
                    .collect()
            }));
        }
    }
}

/// Rows of the table that follows `heading`: the first cell, and what stands in backquotes in the last.
fn rows(document: &str, heading: &str) -> Vec<(String, Vec<String>)> {
    let (_, section) = document.split_once(heading).expect("the heading");
    let lines = section.lines().skip_while(|line| !line.starts_with('|'));
    lines
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let quoted = cells.last().expect("a cell").split('`').skip(1).step_by(2);
            let first = cells.first().expect("a cell").trim_matches('`');
            (first.to_owned(), quoted.map(str::to_owned).collect())
        })
        .collect()
}

#[test]
fn every_violation_and_every_bound_names_a_test_that_exists() {
    let document = read("docs/wire.md");
    let violations = rows(&document, "### Transport error codes");
    let bounds = rows(&document, "### Bounds of this implementation");
    let mut names = BTreeSet::new();
    for folder in ["transport", "lab/tests", "session/tests", "node/tests"] {
        functions(&root().join(folder), &mut names);
    }
    for (what, tests) in violations.iter().chain(&bounds) {
        assert!(!tests.is_empty(), "{what} names no test");
        for test in tests {
            assert!(
                names.contains(test),
                "{what} names {test}, which is nowhere"
            );
        }
    }
    let codes: BTreeSet<String> = read("transport/src/error.rs")
        .lines()
        .filter_map(|line| Some(line.trim().strip_prefix("Self::")?.split_once("=> 0x")?.1))
        .map(|code| format!("0x{}", code.trim_end_matches(',')))
        .collect();
    assert!(codes.len() >= 18, "{codes:?}");
    let listed: BTreeSet<String> = violations.into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, listed);
    let of_sending = [
        "UDP_PAYLOAD_MIN",
        "UDP_PAYLOAD_MAX",
        "SEGMENTS_MAX",
        "SEND_BUFFER_MIN",
        "STREAM_BACKLOG_MAX",
    ];
    let constants: BTreeSet<String> = read("transport/src/limits.rs")
        .lines()
        .filter_map(|line| Some(line.strip_prefix("pub const ")?.split_once(':')?.0))
        .filter(|name| !of_sending.contains(name))
        .map(str::to_owned)
        .collect();
    let listed: BTreeSet<String> = bounds.into_iter().map(|(name, _)| name).collect();
    assert_eq!(constants, listed);
}

struct Fixed;

impl Random for Fixed {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(7);
    }
}

#[test]
fn answers_to_strangers_that_wait_are_counted() {
    let acceptor = Box::new(PlainAcceptor::new());
    let mut endpoint = Endpoint::new(EndpointConfig::default(), Box::new(Fixed), Some(acceptor));
    let stranger = SocketAddr::from(([192, 0, 2, 1], 9));
    for _ in 0..=limits::STATELESS_REPLIES_MAX {
        let mut packet = [0; 40];
        packet[..3].copy_from_slice(&[MAGIC, 0x7f, 1]);
        assert!(version::reply(&packet).is_some(), "it is worth an answer");
        endpoint.handle_datagram(Instant::ZERO, stranger, None, &mut packet);
    }
    let mut buffer = Vec::new();
    let answers = std::iter::from_fn(|| endpoint.poll_transmit(Instant::ZERO, 1, &mut buffer));
    assert_eq!(answers.count(), limits::STATELESS_REPLIES_MAX);
}
