//! HTTP over the Unix socket of a node, as much as our tests need.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

/// A connection that stays open for further requests.
pub(crate) struct Http {
    stream: BufReader<UnixStream>,
}

impl Http {
    pub(crate) fn open(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Asks, and leaves the answer to be read.
    pub(crate) fn ask(&mut self, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let stream = self.stream.get_mut();
        stream.write_all(request.as_bytes()).unwrap();
    }

    /// Asks, and reads the answer to its end: its status, and its body.
    pub(crate) fn get(&mut self, path: &str) -> (u16, String) {
        self.ask(path);
        let (mut line, mut length) = (String::new(), 0);
        self.stream.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        while line != "\r\n" {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        (status.unwrap(), String::from_utf8(body).unwrap())
    }
}

impl Http {
    /// The next record of an event stream whose head was read.
    pub(crate) fn event(&mut self) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.stream.read_line(&mut line).unwrap() > 0, "it ended");
            if let Some(record) = line.strip_prefix("data: ") {
                return serde_json::from_str(record.trim_end()).unwrap();
            }
        }
    }
}

/// What the API answers over its Unix socket, whatever the status.
pub(crate) fn get(socket: &Path, path: &str) -> Value {
    let (_, body) = Http::open(socket).get(path);
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error} in {body}"))
}
