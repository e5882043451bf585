//! Files that are written by a thread of their own. A connection that logs never waits for a disk:
//! it puts bytes into a buffer of bounded size, or hears that there is no room.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use dunlin_transport::qlog::{Sink, Sinks, Written, create};

/// Bytes that wait for the disk, over all files. A guess: a second at 60 MB/s.
pub const BUFFERED_MAX: usize = 64 << 20;
/// Bytes from which on the thread is woken at once.
const WAKE_AT: usize = 1 << 20;
/// How long bytes wait at most before the thread takes them.
const PERIOD: Duration = Duration::from_millis(250);

/// The thread and its files.
#[derive(Debug)]
pub struct Background {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Files that are open or have something to write.
    slots: Mutex<Vec<Arc<Slot>>>,
    wake: Condvar,
    buffered: AtomicUsize,
    stop: AtomicBool,
    lost: AtomicU64,
}

/// What is to be written to one file.
#[derive(Debug)]
struct Slot {
    waiting: Mutex<Waiting>,
    /// Used by the thread only.
    target: Mutex<Target>,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Nothing more will come.
    closed: bool,
    /// The file failed.
    broken: bool,
}

#[derive(Debug)]
enum Target {
    /// Made when there is something to write.
    Named {
        folder: PathBuf,
        name: String,
    },
    Open(File),
    Broken,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Background {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("dunlin-traces".into())
            .spawn(move || of_thread.run())?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// A place to write to `file`.
    #[must_use]
    pub fn file(&self, file: File) -> Handle {
        self.shared.handle(Target::Open(file))
    }

    /// Files in `folder`, each made when the first record for it is written.
    #[must_use]
    pub fn folder(&self, folder: PathBuf) -> FolderSinks {
        FolderSinks {
            shared: Arc::clone(&self.shared),
            folder,
        }
    }

    /// Writes what waits and ends the thread. Blocks until then. The number of records for which
    /// there was no room.
    pub fn finish(&self) -> u64 {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.wake.notify_all();
        if let Some(thread) = locked(&self.thread).take() {
            // A thread that panicked has written what it has written.
            let _ = thread.join();
        }
        self.shared.lost.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn handle(self: &Arc<Self>, target: Target) -> Handle {
        let slot = Arc::new(Slot {
            waiting: Mutex::default(),
            target: Mutex::new(target),
        });
        locked(&self.slots).push(Arc::clone(&slot));
        Handle {
            shared: Arc::clone(self),
            slot,
        }
    }

    fn run(&self) {
        loop {
            let stop = self.stop.load(Ordering::SeqCst);
            let slots = locked(&self.slots).clone();
            for slot in &slots {
                self.write_out(slot);
            }
            let mut slots = locked(&self.slots);
            slots.retain(|slot| {
                let waiting = locked(&slot.waiting);
                !(waiting.closed && waiting.bytes.is_empty())
            });
            if stop {
                return;
            }
            if !self.stop.load(Ordering::SeqCst) {
                drop(self.wake.wait_timeout(slots, PERIOD));
            }
        }
    }

    fn write_out(&self, slot: &Slot) {
        let bytes = std::mem::take(&mut locked(&slot.waiting).bytes);
        if bytes.is_empty() {
            return;
        }
        self.buffered.fetch_sub(bytes.len(), Ordering::SeqCst);
        if let Err(error) = locked(&slot.target).write(&bytes) {
            tracing::warn!(%error, "a trace file cannot be written; it ends here");
            let mut waiting = locked(&slot.waiting);
            waiting.broken = true;
            let rest = std::mem::take(&mut waiting.bytes);
            self.buffered.fetch_sub(rest.len(), Ordering::SeqCst);
        }
    }
}

impl Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let result = match self {
            Self::Broken => Ok(()),
            Self::Open(file) => file.write_all(bytes),
            Self::Named { folder, name } => create(folder, name).and_then(|mut file| {
                file.write_all(bytes)?;
                *self = Self::Open(file);
                Ok(())
            }),
        };
        if result.is_err() {
            *self = Self::Broken;
        }
        result
    }
}

/// A place to write to one file. What is written in one call is kept together or lost together.
#[derive(Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
}

impl Handle {
    fn put(&self, record: &[u8]) -> Written {
        let mut waiting = locked(&self.slot.waiting);
        if waiting.broken {
            return Written::Broken;
        }
        let before = self
            .shared
            .buffered
            .fetch_add(record.len(), Ordering::SeqCst);
        if before + record.len() > BUFFERED_MAX {
            self.shared
                .buffered
                .fetch_sub(record.len(), Ordering::SeqCst);
            self.shared.lost.fetch_add(1, Ordering::SeqCst);
            return Written::Full;
        }
        waiting.bytes.extend_from_slice(record);
        if before < WAKE_AT && before + record.len() >= WAKE_AT {
            self.shared.wake.notify_all();
        }
        Written::Taken
    }
}

impl Sink for Handle {
    fn write(&mut self, record: &[u8]) -> Written {
        self.put(record)
    }
}

impl Write for Handle {
    /// Takes all of `bytes`, or loses them when there is no room.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.put(bytes) {
            Written::Taken | Written::Full => Ok(bytes.len()),
            Written::Broken => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        locked(&self.slot.waiting).closed = true;
    }
}

/// Makes a file in a folder for each log.
#[derive(Clone, Debug)]
pub struct FolderSinks {
    shared: Arc<Shared>,
    folder: PathBuf,
}

impl Sinks for FolderSinks {
    fn open(&mut self, name: &str) -> Option<Box<dyn Sink>> {
        let (folder, name) = (self.folder.clone(), name.to_owned());
        Some(Box::new(self.shared.handle(Target::Named { folder, name })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_in_the_file_when_it_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let background = Background::start().unwrap();
        let mut sinks = background.folder(folder.path().into());
        let mut log = sinks.open("a.sqlog").unwrap();
        for _ in 0..3 {
            assert_eq!(log.write(b"record"), Written::Taken);
        }
        drop(log);
        assert_eq!(background.finish(), 0);
        let written = std::fs::read(folder.path().join("a.sqlog")).unwrap();
        assert_eq!(written, b"recordrecordrecord");
    }

    #[test]
    fn a_file_that_fails_says_so_and_leaves_the_others_alone() {
        let folder = tempfile::tempdir().unwrap();
        let background = Background::start().unwrap();
        let mut nowhere = background.folder(folder.path().join("missing"));
        let mut failing = nowhere.open("a.sqlog").unwrap();
        let mut good = background.folder(folder.path().into()).open("b").unwrap();
        assert_eq!(failing.write(b"x"), Written::Taken);
        assert_eq!(good.write(b"y"), Written::Taken);
        background.finish();
        assert_eq!(failing.write(b"x"), Written::Broken);
        let written = std::fs::read(folder.path().join("b.sqlog")).unwrap();
        assert_eq!(written, b"y");
    }

    #[test]
    fn buffers_are_bounded_and_the_loss_is_counted() {
        let background = Background::start().unwrap();
        // The thread is gone: nothing takes bytes out.
        background.finish();
        let handle = background.file(tempfile::tempfile().unwrap());
        let record = vec![0; BUFFERED_MAX / 4];
        let outcomes: Vec<_> = (0..5).map(|_| handle.put(&record)).collect();
        assert_eq!(outcomes[..4], [Written::Taken; 4]);
        assert_eq!(outcomes[4], Written::Full);
        assert_eq!(background.finish(), 1);
    }
}
