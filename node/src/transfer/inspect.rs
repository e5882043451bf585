//! The receiver's looking thread: what is here already of each entry.
//!
//! It runs beside the writing thread ([`super::sink`]), so that hashing what is here does not hold
//! up what arrives. The two share the [`Ledger`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::limits::{CONTROL_LEN_MAX, RESUME_HASHERS_MAX};
use super::message::{Answer, Entry, EntryKind, Problem};
use super::store::{Prefix, Store};

/// Where an entry stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Not answered yet: nothing may come for it.
    Waiting,
    /// Bytes may come, from 0 or from this offset.
    Sending { held: u64 },
    /// It is to be settled by its hash.
    Comparing,
    /// Dealt with.
    Done,
}

/// Where each entry stands; shared by the two threads.
#[derive(Debug)]
pub(super) struct Ledger {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    states: Vec<State>,
    prefixes: BTreeMap<u32, Prefix>,
    refused: Vec<(u32, Problem)>,
}

impl Ledger {
    pub(super) fn new(entries: usize) -> Self {
        Self {
            inner: Mutex::new(Inner {
                states: vec![State::Waiting; entries],
                prefixes: BTreeMap::new(),
                refused: Vec::new(),
            }),
        }
    }

    /// Where an entry stands; `None` when there is no such entry.
    pub(super) fn state(&self, index: u32) -> Option<State> {
        self.with(|inner| inner.states.get(index as usize).copied())
    }

    /// Marks an entry as dealt with and takes the hash state of its prefix, if it was kept.
    pub(super) fn take(&self, index: u32) -> Option<Prefix> {
        self.with(|inner| {
            if let Some(state) = inner.states.get_mut(index as usize) {
                *state = State::Done;
            }
            inner.prefixes.remove(&index)
        })
    }

    /// Whether every entry has been dealt with.
    pub(super) fn all_done(&self) -> bool {
        self.with(|inner| inner.states.iter().all(|state| *state == State::Done))
    }

    /// The entries that were refused.
    pub(super) fn refused(&self) -> Vec<(u32, Problem)> {
        self.with(|inner| std::mem::take(&mut inner.refused))
    }

    fn answered(&self, index: u32, answer: &Answer, prefix: Option<Prefix>) {
        self.with(|inner| {
            let state = match answer {
                Answer::FolderReady => State::Done,
                Answer::SendAll => State::Sending { held: 0 },
                Answer::HavePrefix { len, .. } => State::Sending { held: *len },
                Answer::HaveWhole { .. } => State::Comparing,
                Answer::Refused(problem) => {
                    inner.refused.push((index, *problem));
                    State::Done
                }
            };
            if let Some(slot) = inner.states.get_mut(index as usize) {
                *slot = state;
            }
            if let Some(prefix) = prefix
                && inner.prefixes.len() < RESUME_HASHERS_MAX
            {
                inner.prefixes.insert(index, prefix);
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        // Every update is a single assignment, so a panic elsewhere leaves nothing half done.
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Answers every entry in order. Ends early when nobody listens any more.
pub(super) fn inspect(
    entries: &[Entry],
    store: &Store,
    ledger: &Arc<Ledger>,
    answers: &mpsc::Sender<Vec<Answer>>,
) {
    let mut batch = Vec::new();
    for (index, entry) in (0_u32..).zip(entries) {
        let (answer, prefix) = match entry.kind {
            EntryKind::Folder => match store.make_folder(&entry.path) {
                Ok(()) => (Answer::FolderReady, None),
                Err(problem) => (Answer::Refused(problem), None),
            },
            EntryKind::File { len, .. } => store.inspect(&entry.path, len),
        };
        // The ledger first: the sender may act on the answer as soon as it is out.
        ledger.answered(index, &answer, prefix);
        batch.push(answer);
        // The first answers go out at once, so that the sender can start while the rest is looked
        // at; hashing a large file must not hold back the answers before it.
        let costly = matches!(answer, Answer::HavePrefix { .. } | Answer::HaveWhole { .. });
        if (costly || index == 0 || batch.len() >= BATCH)
            && answers.blocking_send(std::mem::take(&mut batch)).is_err()
        {
            return;
        }
    }
    if !batch.is_empty() {
        // Whoever hung up knows why.
        let _ = answers.blocking_send(batch);
    }
}

// 41 bytes is the longest answer: a batch fits a frame.
const BATCH: usize = 128;
const _: () = assert!(BATCH * 41 <= CONTROL_LEN_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix() -> Option<Prefix> {
        Some(Prefix {
            len: 1,
            hasher: blake3::Hasher::new(),
        })
    }

    #[test]
    fn the_ledger_keeps_hash_states_up_to_the_limit() {
        let count = u32::try_from(RESUME_HASHERS_MAX).unwrap() + 1;
        let ledger = Ledger::new(count as usize);
        let answer = Answer::HavePrefix {
            len: 1,
            hash: [0; 32],
        };
        for index in 0..count {
            ledger.answered(index, &answer, prefix());
        }
        assert_eq!(ledger.state(count - 1), Some(State::Sending { held: 1 }));
        let kept = (0..count)
            .filter(|index| ledger.take(*index).is_some())
            .count();
        assert_eq!(kept, RESUME_HASHERS_MAX);
        assert!(ledger.all_done());
        assert_eq!(ledger.state(count), None);
    }
}
