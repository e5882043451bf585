//! The receiver's writing thread: writes what arrives, verifies it and gives it its name.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use super::error::{Doing, TransferError, Violation};
use super::inspect::{Ledger, State};
use super::message::{Entry, EntryKind, Hash, Kind, Message, Outcome, Problem};
use super::progress::{Notice, Progress};
use super::store::{Store, finished, problem_of};

/// What the writing thread is told.
#[derive(Debug)]
pub(super) enum Event {
    /// Bytes of the file that has begun.
    Data(Vec<u8>),
    /// Any other frame.
    Message(Message),
}

/// The writing thread's state.
pub(super) struct Sink {
    entries: Arc<[Entry]>,
    store: Store,
    ledger: Arc<Ledger>,
    progress: Arc<dyn Progress>,
    current: Option<Current>,
    outcome: Outcome,
}

/// The file that has begun.
struct Current {
    index: u32,
    left: u64,
    hasher: blake3::Hasher,
    /// `None` when it could not be opened; its bytes are then passed over.
    file: Option<File>,
}

impl Sink {
    pub(super) fn new(
        entries: Arc<[Entry]>,
        store: Store,
        ledger: Arc<Ledger>,
        progress: Arc<dyn Progress>,
    ) -> Self {
        Self {
            entries,
            store,
            ledger,
            progress,
            current: None,
            outcome: Outcome::default(),
        }
    }

    /// Takes a frame; returns the outcome after the last one.
    ///
    /// # Errors
    /// A violation by the sender, or a disk that takes no more. What was received stays.
    pub(super) fn handle(&mut self, event: Event) -> Result<Option<Outcome>, TransferError> {
        match event {
            Event::Data(data) => self.data(&data)?,
            Event::Message(Message::Begin { index, offset }) => self.begin(index, offset)?,
            Event::Message(Message::End { hash }) => self.end(hash)?,
            Event::Message(Message::Abandon(problem)) => {
                // The part stays: whether its bytes are of use is decided by their hash.
                let current = self.current.take().ok_or(Violation::OutOfTurn)?;
                self.outcome.add_problem(current.index, problem);
            }
            Event::Message(Message::Settle { index, problem }) => self.settle(index, problem)?,
            Event::Message(Message::Complete) => return self.complete().map(Some),
            Event::Message(message) => return Err(Violation::Unexpected(message.kind()).into()),
        }
        Ok(None)
    }

    fn begin(&mut self, index: u32, offset: u64) -> Result<(), TransferError> {
        if self.current.is_some() {
            return Err(Violation::OutOfTurn.into());
        }
        match self.ledger.state(index) {
            Some(State::Sending { held }) if offset == 0 || offset == held => {}
            _ => return Err(Violation::OutOfTurn.into()),
        }
        let entries = Arc::clone(&self.entries);
        let entry = entries.get(index as usize).ok_or(Violation::OutOfTurn)?;
        let prefix = self
            .ledger
            .take(index)
            .filter(|prefix| prefix.len == offset);
        self.progress.file(&entry.path);
        let opened = self
            .store
            .open_part(&entry.path, offset)
            .and_then(|mut file| {
                let hasher = match prefix {
                    Some(prefix) => prefix.hasher,
                    None => self.store.hash_part(&mut file, offset)?,
                };
                Ok((file, hasher))
            });
        let (file, hasher) = match opened {
            Ok((file, hasher)) => (Some(file), hasher),
            Err(error) if is_disk_full(&error) => return Err(self.cannot_write(entry, error)),
            Err(error) => {
                self.outcome.add_problem(index, problem_of(&error));
                (None, blake3::Hasher::new())
            }
        };
        if offset > 0 {
            self.progress.notice(&Notice::Resumed(&entry.path, offset));
            self.progress.already_there(offset);
        }
        self.current = Some(Current {
            index,
            left: entry.len() - offset,
            hasher,
            file,
        });
        Ok(())
    }

    fn data(&mut self, data: &[u8]) -> Result<(), TransferError> {
        let current = self
            .current
            .as_mut()
            .ok_or(Violation::Unexpected(Kind::Data))?;
        current.left = current
            .left
            .checked_sub(data.len() as u64)
            .ok_or(Violation::WrongCount)?;
        if let Some(file) = current.file.as_mut() {
            current.hasher.update(data);
            if let Err(error) = file.write_all(data) {
                let index = current.index as usize;
                let entries = Arc::clone(&self.entries);
                let entry = entries.get(index).ok_or(Violation::OutOfTurn)?;
                return Err(self.cannot_write(entry, error));
            }
        }
        self.progress.advanced(data.len() as u64);
        Ok(())
    }

    fn end(&mut self, hash: Hash) -> Result<(), TransferError> {
        let current = self.current.take().ok_or(Violation::OutOfTurn)?;
        if current.left > 0 {
            return Err(Violation::WrongCount.into());
        }
        let entries = Arc::clone(&self.entries);
        let entry = entries
            .get(current.index as usize)
            .ok_or(Violation::OutOfTurn)?;
        let Some(file) = current.file else {
            return Ok(());
        };
        if finished(&current.hasher) != hash {
            drop(file);
            self.store.discard_part(&entry.path);
            self.outcome.add_problem(current.index, Problem::Corrupt);
            return Ok(());
        }
        let executable = matches!(
            entry.kind,
            EntryKind::File {
                executable: true,
                ..
            }
        );
        match self.store.publish(&entry.path, &file, executable) {
            Ok(()) => {
                self.outcome.written += 1;
                self.outcome.written_bytes += entry.len();
            }
            Err(problem) => self.outcome.add_problem(current.index, problem),
        }
        Ok(())
    }

    fn settle(&mut self, index: u32, problem: Option<Problem>) -> Result<(), TransferError> {
        if self.current.is_some() {
            return Err(Violation::OutOfTurn.into());
        }
        let state = self.ledger.state(index).ok_or(Violation::OutOfTurn)?;
        let entry_len = self.entries.get(index as usize).map_or(0, Entry::len);
        match (state, problem) {
            (State::Comparing, None) => self.outcome.same += 1,
            (State::Comparing | State::Sending { .. }, Some(problem)) => {
                self.outcome.add_problem(index, problem);
            }
            (State::Sending { .. }, None) | (State::Waiting | State::Done, _) => {
                return Err(Violation::OutOfTurn.into());
            }
        }
        self.ledger.take(index);
        self.progress.already_there(entry_len);
        Ok(())
    }

    fn complete(&mut self) -> Result<Outcome, TransferError> {
        if self.current.is_some() || !self.ledger.all_done() {
            return Err(Violation::WrongCount.into());
        }
        for (index, problem) in self.ledger.refused() {
            self.outcome.add_problem(index, problem);
        }
        Ok(std::mem::take(&mut self.outcome))
    }

    fn cannot_write(&self, entry: &Entry, source: io::Error) -> TransferError {
        TransferError::Local {
            doing: Doing::Write,
            path: self.store.place(&entry.path),
            source,
        }
    }
}

fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

#[cfg(test)]
mod tests;
