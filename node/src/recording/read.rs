//! Reading recordings: line by line, each within its bounds and checked before it is used.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::limits::{LINE_LEN_MAX, NODES_MAX};
use super::{Frame, Header, VERSION};
use crate::failure::{Exit, Failure, plain_reason};

/// A recording that is being read.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    lines: BufReader<File>,
    line: usize,
    header: Header,
}

impl Reader {
    /// Opens a recording and reads its header.
    ///
    /// # Errors
    /// A file that cannot be read or is no recording of this version.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        let mut reader = Self {
            path: path.into(),
            lines: BufReader::new(file),
            line: 0,
            header: Header {
                dunlin_recording: VERSION,
                title: String::new(),
                seed: 0,
                interval_ms: 0,
                nodes: Vec::new(),
            },
        };
        let text = reader.next_line()?;
        let text = text.ok_or_else(|| reader.wrong("it is empty"))?;
        let header: Header =
            serde_json::from_str(&text).map_err(|error| reader.wrong(&error.to_string()))?;
        if header.dunlin_recording != VERSION {
            let version = header.dunlin_recording;
            return Err(reader.wrong(&format!("it is of version {version}, not {VERSION}")));
        }
        if header.nodes.is_empty() || header.nodes.len() > NODES_MAX {
            return Err(reader.wrong(&format!("it has to have 1 to {NODES_MAX} nodes")));
        }
        if header.interval_ms == 0 {
            return Err(reader.wrong("its interval is 0"));
        }
        reader.header = header;
        Ok(reader)
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// A line that is too long, is no frame, or names nodes that are not there.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Failure> {
        let Some(text) = self.next_line()? else {
            return Ok(None);
        };
        let frame: Frame =
            serde_json::from_str(&text).map_err(|error| self.wrong(&error.to_string()))?;
        let nodes = self.header.nodes.len();
        let single = frame.up.iter().chain(&frame.down).chain(&frame.broadcasts);
        let pairs = frame.linked.iter().chain(&frame.unlinked);
        let is_there = |node: &u32| usize::try_from(*node).is_ok_and(|node| node < nodes);
        if !single.clone().all(is_there) || !pairs.clone().all(|(a, b)| a < b && is_there(b)) {
            return Err(self.wrong("it names a node that is not there"));
        }
        if frame.counters.len() != nodes {
            return Err(self.wrong("it has not one set of counters for each node"));
        }
        Ok(Some(frame))
    }

    fn next_line(&mut self) -> Result<Option<String>, Failure> {
        let mut text = String::new();
        let limited = (&mut self.lines).take(LINE_LEN_MAX).read_line(&mut text);
        let length = limited.map_err(|error| unreadable(&self.path, &error))?;
        self.line += 1;
        if length == 0 {
            return Ok(None);
        }
        if !text.ends_with('\n') {
            return Err(self.wrong("the line is too long, or the file was cut short"));
        }
        Ok(Some(text))
    }

    fn wrong(&self, why: &str) -> Failure {
        Failure::new(
            Exit::Local,
            format!(
                "{}:{} cannot be played: {why}; `dunlin lab record` writes recordings",
                self.path.display(),
                self.line
            ),
        )
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::Local,
        format!(
            "cannot read {}: {}; name a file that `dunlin lab record` wrote",
            path.display(),
            plain_reason(error)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            dunlin_recording: VERSION,
            title: "two".into(),
            seed: 1,
            interval_ms: 1_000,
            nodes: vec!["a".into(), "b".into()],
        }
    }

    fn frame() -> Frame {
        Frame {
            at_ms: 1_000,
            up: vec![0, 1],
            linked: vec![(0, 1)],
            counters: vec![[0; 4]; 2],
            ..Frame::default()
        }
    }

    /// What reading a file with these lines comes to.
    fn read(lines: &[String]) -> Result<Vec<Frame>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.jsonl");
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(&path, text).unwrap();
        let told = |failure: Failure| failure.to_string();
        let mut reader = Reader::open(&path).map_err(told)?;
        let mut frames = Vec::new();
        while let Some(frame) = reader.next_frame().map_err(told)? {
            frames.push(frame);
        }
        Ok(frames)
    }

    fn line(of: &impl serde::Serialize) -> String {
        serde_json::to_string(of).unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let read = read(&[line(&header()), line(&frame()), line(&frame())]);
        assert_eq!(read, Ok(vec![frame(), frame()]));
    }

    #[test]
    fn rejects_what_is_no_recording_and_says_where() {
        let other = Header {
            dunlin_recording: 2,
            ..header()
        };
        let none = Header {
            nodes: vec![],
            ..header()
        };
        let still = Header {
            interval_ms: 0,
            ..header()
        };
        let headers = [
            ("{}".to_owned(), "r.jsonl:1 cannot be played"),
            (line(&other), "version 2, not 1"),
            (line(&none), "1 to 100000 nodes"),
            (line(&still), "interval is 0"),
        ];
        for (first, words) in headers {
            let refused = read(&[first]).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
        let missing = Frame {
            down: vec![2],
            ..frame()
        };
        let turned = Frame {
            linked: vec![(1, 0)],
            ..frame()
        };
        let far = Frame {
            unlinked: vec![(0, 2)],
            ..frame()
        };
        let short = Frame {
            counters: vec![],
            ..frame()
        };
        for (wrong, words) in [
            (missing, "not there"),
            (turned, "not there"),
            (far, "not there"),
            (short, "counters"),
        ] {
            let refused = read(&[line(&header()), line(&wrong)]).unwrap_err();
            assert!(
                refused.contains("r.jsonl:2") && refused.contains(words),
                "{refused}"
            );
        }
    }

    #[test]
    fn rejects_one_node_more_than_the_limit() {
        let with = |nodes: usize| Header {
            nodes: vec![String::new(); nodes],
            ..header()
        };
        assert_eq!(read(&[line(&with(NODES_MAX))]), Ok(vec![]));
        assert!(read(&[line(&with(NODES_MAX + 1))]).is_err());
    }
}
