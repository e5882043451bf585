//! The sender's file thread: reads and hashes files and turns them into frames.
//!
//! It runs beside the task that writes to the stream: while one chunk is sent, the next is read
//! and hashed. Small files share a chunk, so thousands of them cost no round trip each.

use std::fs::{File, Metadata};
use std::io::Read;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::error::{TransferError, Violation};
use super::limits::{CONTROL_LEN_MAX, DATA_LEN_MAX, VERSION};
use super::message::{Answer, Entry, EntryKind, Hash, Head, Kind, Message, Problem};
use super::progress::{Notice, Progress};
use super::scan::Manifest;
use super::store::{finished, hash_prefix};

/// Frames ready to be written.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// Whole frames.
    pub(super) frames: Vec<u8>,
    /// Bytes of files in them.
    pub(super) file_bytes: u64,
}

/// The file thread.
pub(super) struct Source {
    manifest: Arc<Manifest>,
    answers: mpsc::Receiver<Vec<Answer>>,
    chunks: mpsc::Sender<Chunk>,
    progress: Arc<dyn Progress>,
    chunk: Chunk,
}

/// The other side hung up: it knows why, this thread need not.
#[derive(Debug)]
struct HungUp;

#[derive(Debug)]
enum Stop {
    HungUp,
    Failed(TransferError),
}

impl From<HungUp> for Stop {
    fn from(HungUp: HungUp) -> Self {
        Self::HungUp
    }
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Self::Failed(violation.into())
    }
}

impl Source {
    pub(super) fn new(
        manifest: Arc<Manifest>,
        answers: mpsc::Receiver<Vec<Answer>>,
        chunks: mpsc::Sender<Chunk>,
        progress: Arc<dyn Progress>,
    ) -> Self {
        Self {
            manifest,
            answers,
            chunks,
            progress,
            chunk: Chunk::default(),
        }
    }

    /// Sends the offer, the manifest and then each entry as the answers come in.
    ///
    /// # Errors
    /// When the receiver's answers make no sense; the receiver has then been told.
    pub(super) fn run(mut self) -> Result<(), TransferError> {
        match self.send_everything() {
            // When the stream is gone, its task reports that.
            Ok(()) | Err(Stop::HungUp) => Ok(()),
            Err(Stop::Failed(error)) => {
                if let Some(code) = super::error::abort_code(&error) {
                    self.put(&Message::Abort(code));
                    // Nobody may be there to be told.
                    let _ = self.flush();
                }
                Err(error)
            }
        }
    }

    fn send_everything(&mut self) -> Result<(), Stop> {
        self.send_manifest()?;
        let manifest = Arc::clone(&self.manifest);
        let mut index = 0;
        let mut entries = manifest.entries().iter();
        while entries.len() > 0 {
            for answer in self.next_answers()? {
                let entry = entries.next().ok_or(Violation::WrongCount)?;
                self.send_entry(index, entry, answer)?;
                index += 1;
            }
        }
        self.put(&Message::Complete);
        self.flush()?;
        Ok(())
    }

    fn send_manifest(&mut self) -> Result<(), Stop> {
        let manifest = Arc::clone(&self.manifest);
        let entries = u32::try_from(manifest.entries().len()).unwrap_or(u32::MAX);
        self.put(&Message::Offer {
            version: VERSION,
            entries,
            bytes: manifest.bytes(),
        });
        let (mut batch, mut len) = (Vec::new(), 0);
        for entry in manifest.entries() {
            if len + entry.encoded_len() > CONTROL_LEN_MAX {
                self.put(&Message::Manifest(std::mem::take(&mut batch)));
                self.flush()?;
                len = 0;
            }
            len += entry.encoded_len();
            batch.push(entry.clone());
        }
        self.put(&Message::Manifest(batch));
        self.flush()?;
        Ok(())
    }

    /// Waits for answers; what is ready goes out before the wait.
    fn next_answers(&mut self) -> Result<Vec<Answer>, Stop> {
        if let Ok(answers) = self.answers.try_recv() {
            return Ok(answers);
        }
        self.flush()?;
        self.answers.blocking_recv().ok_or(Stop::HungUp)
    }

    fn send_entry(&mut self, index: u32, entry: &Entry, answer: Answer) -> Result<(), Stop> {
        let EntryKind::File { len, .. } = entry.kind else {
            return match answer {
                Answer::FolderReady | Answer::Refused(_) => Ok(()),
                _ => Err(Violation::OutOfTurn.into()),
            };
        };
        match answer {
            Answer::FolderReady => return Err(Violation::OutOfTurn.into()),
            Answer::Refused(_) => {
                self.progress.already_there(len);
                return Ok(());
            }
            Answer::HavePrefix { len: held, .. } if held == 0 || held > len => {
                return Err(Violation::OutOfTurn.into());
            }
            Answer::SendAll | Answer::HavePrefix { .. } | Answer::HaveWhole { .. } => {}
        }
        self.progress.file(&entry.path);
        let Some((mut file, metadata)) = self.open(entry, len) else {
            return self.settle(index, len, Some(Problem::Unreadable));
        };
        if metadata.len() != len {
            return self.settle(index, len, Some(Problem::Changed));
        }
        match answer {
            Answer::HaveWhole { hash } => self.compare(index, &mut file, len, hash),
            Answer::HavePrefix { len: held, hash } => match hash_prefix(&mut file, held) {
                Ok(Some(hasher)) if finished(&hasher) == hash => {
                    self.progress.notice(&Notice::Resumed(&entry.path, held));
                    self.progress.already_there(held);
                    self.send_file(index, file, &metadata, hasher)
                }
                Ok(_) => {
                    self.progress.notice(&Notice::ChangedSince(&entry.path));
                    match self.open(entry, len) {
                        Some((file, _)) => {
                            self.send_file(index, file, &metadata, blake3::Hasher::new())
                        }
                        None => self.settle(index, len, Some(Problem::Unreadable)),
                    }
                }
                Err(_) => self.settle(index, len, Some(Problem::Unreadable)),
            },
            _ => self.send_file(index, file, &metadata, blake3::Hasher::new()),
        }
    }

    fn open(&self, entry: &Entry, len: u64) -> Option<(File, Metadata)> {
        let path = self.manifest.local_path(entry);
        let opened = File::open(&path).and_then(|file| {
            let metadata = file.metadata()?;
            Ok((file, metadata))
        });
        opened
            .inspect_err(|error| tracing::warn!(path = %path.display(), %error, len, "cannot read"))
            .ok()
    }

    fn compare(&mut self, index: u32, file: &mut File, len: u64, theirs: Hash) -> Result<(), Stop> {
        let problem = match hash_prefix(file, len) {
            Ok(Some(hasher)) if finished(&hasher) == theirs => None,
            Ok(_) => Some(Problem::Exists),
            Err(_) => Some(Problem::Unreadable),
        };
        self.settle(index, len, problem)
    }

    fn settle(&mut self, index: u32, len: u64, problem: Option<Problem>) -> Result<(), Stop> {
        self.progress.already_there(len);
        self.put(&Message::Settle { index, problem });
        self.flush_when_full()
    }

    /// Sends the rest of a file after what `hasher` has seen.
    fn send_file(
        &mut self,
        index: u32,
        mut file: File,
        before: &Metadata,
        mut hasher: blake3::Hasher,
    ) -> Result<(), Stop> {
        let offset = hasher.count();
        self.put(&Message::Begin { index, offset });
        let mut left = before.len().saturating_sub(offset);
        while left > 0 {
            let wanted = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(DATA_LEN_MAX);
            if let Err(problem) = self.put_data(&mut file, wanted, &mut hasher) {
                self.progress.already_there(left);
                self.put(&Message::Abandon(problem));
                return self.flush_when_full();
            }
            left -= wanted as u64;
            self.flush_when_full()?;
        }
        // A file that was written to meanwhile may be a mixture of two states.
        let changed = match file.metadata() {
            Ok(after) => {
                after.len() != before.len() || after.modified().ok() != before.modified().ok()
            }
            Err(_) => true,
        };
        self.put(&if changed {
            Message::Abandon(Problem::Changed)
        } else {
            Message::End {
                hash: finished(&hasher),
            }
        });
        self.flush_when_full()
    }

    /// Appends a DATA frame with the next `wanted` bytes of `file`.
    fn put_data(
        &mut self,
        file: &mut File,
        wanted: usize,
        hasher: &mut blake3::Hasher,
    ) -> Result<(), Problem> {
        let frames = &mut self.chunk.frames;
        let start = frames.len();
        frames.reserve(wanted + 64);
        Head {
            kind: Kind::Data,
            len: wanted,
        }
        .encode(frames);
        let data = frames.len();
        let read = file.take(wanted as u64).read_to_end(frames);
        if read.as_ref().is_ok_and(|read| *read == wanted) {
            hasher.update(frames.get(data..).unwrap_or_default());
            self.chunk.file_bytes += wanted as u64;
            return Ok(());
        }
        frames.truncate(start);
        Err(if read.is_ok() {
            Problem::Changed
        } else {
            Problem::Unreadable
        })
    }

    fn put(&mut self, message: &Message) {
        message.encode(&mut self.chunk.frames);
    }

    fn flush_when_full(&mut self) -> Result<(), Stop> {
        if self.chunk.frames.len() >= CHUNK_LEN {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), HungUp> {
        if self.chunk.frames.is_empty() {
            return Ok(());
        }
        self.chunks
            .blocking_send(std::mem::take(&mut self.chunk))
            .map_err(|_| HungUp)
    }
}

// A chunk goes out when it is this full; one more frame may make it twice as long.
const CHUNK_LEN: usize = DATA_LEN_MAX;
