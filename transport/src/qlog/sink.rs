//! Where the records of a log go.

use std::boxed::Box;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::string::String;
use std::sync::{Arc, Mutex, PoisonError};
use std::vec::Vec;

/// Files of one name that are tried before a log is given up: connection IDs are random, so a name
/// that is taken is that of an older run.
const NAMES_MAX: u32 = 1_000;

/// What became of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// It was taken.
    Taken,
    /// There is no room at the moment: it is lost, a later one may be taken.
    Full,
    /// Nothing will be taken any more.
    Broken,
}

/// Takes the records of one log. A call takes a whole record and never waits for long: the
/// connection waits for it.
pub trait Sink: Send {
    /// Takes a record.
    fn write(&mut self, record: &[u8]) -> Written;

    /// The connection is over: what was taken should reach its place. More may follow.
    fn flush(&mut self) {}
}

/// Makes a sink for each log.
pub trait Sinks: Send {
    /// The sink of the log `name` (a file name without folder). None: this log is not written.
    fn open(&mut self, name: &str) -> Option<Box<dyn Sink>>;
}

/// Files in a folder, written by the caller's own thread: for simulations and tests, where nobody
/// waits.
#[derive(Clone, Debug)]
pub struct Files {
    folder: PathBuf,
    prefix: String,
}

impl Files {
    /// Files in `folder`, which exists; each name begins with `prefix`.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, prefix: impl Into<String>) -> Self {
        Self {
            folder: folder.into(),
            prefix: prefix.into(),
        }
    }
}

impl Sinks for Files {
    fn open(&mut self, name: &str) -> Option<Box<dyn Sink>> {
        let file = create(&self.folder, &std::format!("{}{name}", self.prefix)).ok()?;
        Some(Box::new(FileSink(BufWriter::new(file))))
    }
}

struct FileSink(BufWriter<File>);

impl Sink for FileSink {
    fn write(&mut self, record: &[u8]) -> Written {
        match self.0.write_all(record) {
            Ok(()) => Written::Taken,
            Err(_) => Written::Broken,
        }
    }

    fn flush(&mut self) {
        // The next write meets the same error and reports it.
        let _ = self.0.flush();
    }
}

/// Makes a new file `name` in `folder`; when there is one already, `name` gets a number in front of
/// its extension. An existing file is never overwritten.
///
/// # Errors
/// Those of the file system.
pub fn create(folder: &Path, name: &str) -> io::Result<File> {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "sqlog"));
    for number in 0..NAMES_MAX {
        let name = if number == 0 {
            std::format!("{stem}.{extension}")
        } else {
            std::format!("{stem}-{number}.{extension}")
        };
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(folder.join(name));
        match opened {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other,
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Logs in memory: for tests. Clones see the same logs.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    logs: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl Memory {
    /// What was written so far, by name.
    #[must_use]
    pub fn logs(&self) -> BTreeMap<String, Vec<u8>> {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.clone()
    }
}

impl Sinks for Memory {
    fn open(&mut self, name: &str) -> Option<Box<dyn Sink>> {
        Some(Box::new(MemorySink {
            logs: self.clone(),
            name: name.into(),
        }))
    }
}

struct MemorySink {
    logs: Memory,
    name: String,
}

impl Sink for MemorySink {
    fn write(&mut self, record: &[u8]) -> Written {
        let mut logs = self
            .logs
            .logs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let log = logs.entry(self.name.clone()).or_default();
        log.extend_from_slice(record);
        Written::Taken
    }
}
