//! What a transfer tells while it runs. The methods are called from the transfer's own tasks and
//! threads, so they must be quick.

use std::path::Path;

use super::path::{PathError, TransferPath};

/// Something a person should know that is no failure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice<'a> {
    /// Symbolic links are not followed and not sent.
    SkippedLink(&'a Path),
    /// Sockets, pipes and devices are not sent.
    SkippedSpecial(&'a Path),
    /// The rest of an unfinished transfer, or another name that cannot travel.
    SkippedName(&'a Path, PathError),
    /// A file continues after so many bytes of an interrupted transfer.
    Resumed(&'a TransferPath, u64),
    /// The file changed since the interrupted transfer: it starts again.
    ChangedSince(&'a TransferPath),
}

/// Receives progress.
pub trait Progress: Send + Sync {
    /// The transfer has so many files with so many bytes.
    fn started(&self, files: u32, bytes: u64) {
        let _ = (files, bytes);
    }

    /// A file begins.
    fn file(&self, path: &TransferPath) {
        let _ = path;
    }

    /// So many bytes went over (sender) or came in (receiver).
    fn advanced(&self, bytes: u64) {
        let _ = bytes;
    }

    /// So many bytes need not go over: the receiver has them.
    fn already_there(&self, bytes: u64) {
        let _ = bytes;
    }

    /// Something a person should know.
    fn notice(&self, notice: &Notice<'_>) {
        let _ = notice;
    }
}

/// Progress that nobody watches.
#[derive(Clone, Copy, Default, Debug)]
pub struct Quiet;

impl Progress for Quiet {}
