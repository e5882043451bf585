//! Trust on first use: which ID answered at which `host:port` before.
//!
//! Somebody who types a bare `host:port` has nothing to check the peer's ID against. The first ID
//! that answers there is shown and remembered; from then on another ID at the same place is
//! refused (what OpenSSH calls `accept-new`). There is no prompt.
//!
//! The file is text, one `host:port ID` a line, `#` starts a comment line. It is replaced as a
//! whole by an atomic rename, with mode 0600, under a lock file, so that two processes may learn
//! peers at the same time.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::cli::address::HostPort;
use crate::failure::{Exit, Failure, plain_reason};

/// Largest file that is read, in bytes.
pub const FILE_LEN_MAX: u64 = 8 * 1024 * 1024;

const HEADER: &str =
    "# Peers that dunlin accepted at first use: host:port ID. Delete a line to forget a peer.";

/// What is known about the ID at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// Nobody was met there before.
    New,
    /// The same ID was met there before.
    Same,
}

/// The list of peers accepted at first use.
#[derive(Clone, Debug)]
pub struct KnownPeers {
    path: PathBuf,
    lines: Vec<Line>,
}

/// One line of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Line {
    Comment(String),
    Peer { place: HostPort, id: String },
}

impl KnownPeers {
    /// Reads the list; a missing file is an empty list.
    ///
    /// # Errors
    /// When the file cannot be read or a line of it is not understood. A list that is not
    /// understood is not ignored: that would accept anybody.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let mut text = String::new();
        match File::open(path) {
            Ok(file) => {
                let read = file.take(FILE_LEN_MAX + 1).read_to_string(&mut text);
                read.map_err(|error| unreadable(path, &plain_reason(&error)))?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(path, &plain_reason(&error))),
        }
        if text.len() as u64 > FILE_LEN_MAX {
            return Err(unreadable(path, "it is larger than 8 MiB"));
        }
        Ok(Self {
            path: path.to_path_buf(),
            lines: read_lines(path, &text)?,
        })
    }

    /// Compares the ID that answered at `place` with the one met there before.
    ///
    /// # Errors
    /// When another ID is remembered; the sentence names the file and the line.
    pub fn check(&self, place: &HostPort, id: &str) -> Result<Known, Failure> {
        for (index, line) in self.lines.iter().enumerate() {
            match line {
                Line::Peer {
                    place: known,
                    id: before,
                } if known == place => {
                    if before == id {
                        return Ok(Known::Same);
                    }
                    return Err(self.changed(index + 1, place, before, id));
                }
                Line::Peer { .. } | Line::Comment(_) => {}
            }
        }
        Ok(Known::New)
    }

    /// The ID remembered for `place`.
    #[must_use]
    pub fn id_at(&self, place: &HostPort) -> Option<&str> {
        self.lines.iter().find_map(|line| match line {
            Line::Peer { place: known, id } if known == place => Some(id.as_str()),
            Line::Peer { .. } | Line::Comment(_) => None,
        })
    }

    /// Remembers `id` for `place` in the file, unless another process did so meanwhile.
    ///
    /// # Errors
    /// When the file cannot be written, or another ID was remembered meanwhile.
    pub fn remember(&mut self, place: &HostPort, id: &str) -> Result<(), Failure> {
        let _lock = self.lock()?;
        *self = Self::load(&self.path)?;
        if self.check(place, id)? == Known::Same {
            return Ok(());
        }
        if self.lines.is_empty() {
            self.lines.push(Line::Comment(HEADER.to_owned()));
        }
        self.lines.push(Line::Peer {
            place: place.clone(),
            id: id.to_owned(),
        });
        self.write().map_err(|error| {
            Failure::new(
                Exit::Local,
                format!(
                    "cannot remember the peer in {} ({}); free the disk or choose another --data-dir",
                    self.path.display(),
                    plain_reason(&error)
                ),
            )
        })
    }

    fn changed(&self, line: usize, place: &HostPort, before: &str, now: &str) -> Failure {
        Failure::new(
            Exit::Refused,
            format!(
                "the peer at {place} is not the one met before: its ID is {now}, but line {line} of {} says {before}; \
                 somebody may be in between. If you know that the peer has a new key, delete that line and try again",
                self.path.display()
            ),
        )
    }

    // The lock is released when the file is closed.
    fn lock(&self) -> Result<File, Failure> {
        let path = self.path.with_extension("lock");
        private_options()
            .create(true)
            .truncate(false)
            .open(&path)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|error| {
                Failure::new(
                    Exit::Local,
                    format!(
                        "cannot lock {} ({}); check the permissions of its folder",
                        path.display(),
                        plain_reason(&error)
                    ),
                )
            })
    }

    fn write(&self) -> std::io::Result<()> {
        let text = write_lines(&self.lines);
        // The lock is held, so nobody else uses this name; a left-over of a crash is replaced.
        let fresh = self.path.with_extension("new");
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = private_options().create_new(true).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, &self.path)
    }
}

fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The lines of a file at `path`.
pub(crate) fn read_lines(path: &Path, text: &str) -> Result<Vec<Line>, Failure> {
    text.lines()
        .enumerate()
        .map(|(index, line)| read_line(line).ok_or_else(|| misread(path, index + 1)))
        .collect()
}

/// The text of a file with these lines.
pub(crate) fn write_lines(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        match line {
            Line::Comment(comment) => text.push_str(comment),
            Line::Peer { place, id } => text.push_str(&format!("{place} {id}")),
        }
        text.push('\n');
    }
    text
}

fn read_line(line: &str) -> Option<Line> {
    if line.trim().is_empty() || line.starts_with('#') {
        return Some(Line::Comment(line.to_owned()));
    }
    let mut words = line.split_whitespace();
    let (place, id) = (words.next()?, words.next()?);
    if words.next().is_some() {
        return None;
    }
    Some(Line::Peer {
        place: place.parse().ok()?,
        id: id.to_owned(),
    })
}

fn unreadable(path: &Path, why: &str) -> Failure {
    Failure::new(
        Exit::Local,
        format!(
            "cannot read the list of known peers {} ({why}); repair or move it",
            path.display()
        ),
    )
}

fn misread(path: &Path, line: usize) -> Failure {
    Failure::new(
        Exit::Local,
        format!(
            "line {line} of {} is not \"host:port ID\"; correct or delete that line",
            path.display()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> HostPort {
        text.parse().unwrap()
    }

    #[test]
    fn remembers_a_peer_for_the_next_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known_peers");
        let mut peers = KnownPeers::load(&path).unwrap();
        assert_eq!(peers.check(&place("h:1"), "AAAA").unwrap(), Known::New);
        peers.remember(&place("h:1"), "AAAA").unwrap();
        peers.remember(&place("[::1]:2"), "BBBB").unwrap();

        let again = KnownPeers::load(&path).unwrap();
        assert_eq!(again.check(&place("h:1"), "AAAA").unwrap(), Known::Same);
        assert_eq!(again.id_at(&place("[::1]:2")), Some("BBBB"));
        assert_eq!(again.check(&place("h:2"), "AAAA").unwrap(), Known::New);
    }

    #[test]
    fn refuses_a_changed_peer_and_names_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known_peers");
        std::fs::write(&path, "# mine\nh:1 AAAA\nh:2 CCCC\n").unwrap();
        let mut peers = KnownPeers::load(&path).unwrap();
        let failure = peers.check(&place("h:2"), "BBBB").unwrap_err();
        assert_eq!(failure.exit(), Exit::Refused);
        let sentence = failure.to_string();
        assert!(sentence.contains("line 3 of"), "{sentence}");
        assert!(sentence.contains(&path.display().to_string()), "{sentence}");
        assert_eq!(
            peers.remember(&place("h:2"), "BBBB").unwrap_err().exit(),
            Exit::Refused
        );
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "# mine\nh:1 AAAA\nh:2 CCCC\n"
        );
    }

    #[test]
    fn two_processes_learn_without_losing_each_others_peers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known_peers");
        let (mut one, mut two) = (
            KnownPeers::load(&path).unwrap(),
            KnownPeers::load(&path).unwrap(),
        );
        one.remember(&place("h:1"), "AAAA").unwrap();
        two.remember(&place("h:2"), "BBBB").unwrap();
        let both = KnownPeers::load(&path).unwrap();
        assert_eq!(
            (both.id_at(&place("h:1")), both.id_at(&place("h:2"))),
            (Some("AAAA"), Some("BBBB"))
        );
    }

    #[test]
    fn a_line_that_is_not_understood_is_not_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known_peers");
        for text in ["h:1\n", "h AAAA\n", "h:1 AAAA extra\n", "\u{0}\u{1}\n"] {
            std::fs::write(&path, format!("\n{text}")).unwrap();
            let failure = KnownPeers::load(&path).unwrap_err();
            assert!(failure.to_string().contains("line 2"), "{failure}");
        }
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(KnownPeers::load(&path).unwrap_err().exit(), Exit::Local);
    }

    #[test]
    fn rejects_a_file_one_past_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known_peers");
        let limit = usize::try_from(FILE_LEN_MAX).unwrap();
        std::fs::write(&path, "#".repeat(limit)).unwrap();
        assert!(KnownPeers::load(&path).is_ok());
        std::fs::write(&path, "#".repeat(limit + 1)).unwrap();
        assert!(KnownPeers::load(&path).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_private_and_survives_a_left_over_of_a_crash() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known_peers");
        std::fs::write(path.with_extension("new"), "half").unwrap();
        KnownPeers::load(&path)
            .unwrap()
            .remember(&place("h:1"), "AAAA")
            .unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!path.with_extension("new").exists());
    }
}
