//! The disk of a node: what outlives its program, unless the disk was full.
//!
//! A file is replaced as a whole or not at all, as programs do that write a new file, flush it and
//! rename it: when there is no room the older content stays. A disk that is full gives what it has.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// There is no room on the disk; what was there before is still there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no space left on the disk")]
pub struct DiskFull;

/// A handle to the disk of a node ([`super::Net::disk`]); clones are handles to the same.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    files: BTreeMap<String, Vec<u8>>,
    is_full: bool,
    refused: u64,
}

impl Disk {
    /// Writes a file in place of the one with this name, if any.
    ///
    /// # Errors
    /// The disk is full. The older file is unchanged.
    pub fn replace(&self, name: &str, bytes: Vec<u8>) -> Result<(), DiskFull> {
        let mut content = self.content();
        if content.is_full {
            content.refused += 1;
            return Err(DiskFull);
        }
        content.files.insert(name.to_owned(), bytes);
        Ok(())
    }

    /// The bytes of a file.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.content().files.get(name).cloned()
    }

    /// How often there was no room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.content().refused
    }

    pub(super) fn set_full(&self, is_full: bool) {
        self.content().is_full = is_full;
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_keeps_and_gives_what_it_has_and_takes_nothing() {
        let disk = Disk::default();
        assert_eq!(disk.replace("a", vec![1]), Ok(()));
        disk.set_full(true);
        assert_eq!(disk.replace("a", vec![2]), Err(DiskFull));
        assert_eq!(disk.replace("b", vec![3]), Err(DiskFull));
        assert_eq!((disk.read("a"), disk.read("b")), (Some(vec![1]), None));
        disk.set_full(false);
        let other = disk.clone();
        assert_eq!(other.replace("a", vec![2]), Ok(()));
        assert_eq!((disk.read("a"), disk.refused()), (Some(vec![2]), 2));
    }
}
