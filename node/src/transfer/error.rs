//! What ends a transfer, sorted by blame.

use std::io;
use std::path::PathBuf;

use super::message::{AbortCode, Kind};
use super::path::PathError;

/// Why a transfer ended early. Problems of single entries are no errors: they are in the outcome.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// A file or folder of this end. What was received stays as a `.dunlin-part`.
    #[error("cannot {} {}", .doing.verb(), .path.display())]
    Local {
        /// What was tried.
        doing: Doing,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A name in the tree to send that is not UTF-8.
    #[error("the name {} is not UTF-8", .0.display())]
    NameNotUtf8(PathBuf),
    /// A path in the tree to send that cannot travel.
    #[error("{} cannot be sent: {}", .0.display(), .1)]
    NameNotPossible(PathBuf, PathError),
    /// Neither a file nor a folder was named.
    #[error("{} is neither a file nor a folder", .0.display())]
    NotSendable(PathBuf),
    /// More entries than [`super::limits::ENTRIES_MAX`], or longer paths than
    /// [`super::limits::PATH_BYTES_MAX`] together.
    #[error("too many files for one transfer")]
    TooManyEntries,
    /// The peer broke a rule.
    #[error("the peer broke the protocol: {0}")]
    Violation(#[from] Violation),
    /// The peer gave up and said why.
    #[error("the peer gave up: {0:?}")]
    Aborted(AbortCode),
    /// This end gave up for a reason of its own.
    #[error("gave up: {0:?}")]
    GaveUp(AbortCode),
    /// The stream failed or ended in mid-transfer.
    #[error("the connection ended in mid-transfer")]
    Connection(#[source] io::Error),
}

/// What was tried with a local file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doing {
    /// Reading a file or folder to send.
    Read,
    /// Making a folder or writing a file.
    Write,
}

impl Doing {
    /// The word for a sentence.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// The rule of `docs/transfer.md` that a peer broke.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Violation {
    /// The stream does not carry files.
    #[error("this is no stream of files")]
    NotFiles,
    /// A frame type that does not exist.
    #[error("unknown frame type {0}")]
    UnknownFrame(u8),
    /// A body above the limit of its type.
    #[error("a {0:?} frame is too large")]
    FrameTooLarge(Kind),
    /// A body without the form of its type.
    #[error("a {0:?} frame is malformed")]
    BadBody(Kind),
    /// A frame that has no place here.
    #[error("a {0:?} frame has no place here")]
    Unexpected(Kind),
    /// A path that could leave the receiver's folder.
    #[error("unsafe path: {0}")]
    UnsafePath(PathError),
    /// A path that occurs twice.
    #[error("a path occurs twice")]
    DuplicatePath,
    /// Entries, bytes or answers that do not add up to what was announced.
    #[error("counts do not add up")]
    WrongCount,
    /// An entry that does not exist or whose turn it is not.
    #[error("an entry was handled out of turn")]
    OutOfTurn,
}

/// What the peer is told about an error of this end.
#[must_use]
pub fn abort_code(error: &TransferError) -> Option<AbortCode> {
    match error {
        TransferError::Local {
            doing: Doing::Write,
            source,
            ..
        } => Some(disk_code(source)),
        TransferError::Violation(_) => Some(AbortCode::Violation),
        TransferError::GaveUp(code) => Some(*code),
        TransferError::TooManyEntries => Some(AbortCode::TooLarge),
        TransferError::Local {
            doing: Doing::Read, ..
        }
        | TransferError::NameNotUtf8(_)
        | TransferError::NameNotPossible(..)
        | TransferError::NotSendable(_) => Some(AbortCode::Stopped),
        // It knows, or it cannot be told.
        TransferError::Aborted(_) | TransferError::Connection(_) => None,
    }
}

/// The code for an error of writing.
#[must_use]
pub fn disk_code(error: &io::Error) -> AbortCode {
    match error.kind() {
        io::ErrorKind::StorageFull => AbortCode::DiskFull,
        io::ErrorKind::QuotaExceeded => AbortCode::QuotaExceeded,
        io::ErrorKind::FileTooLarge => AbortCode::FileTooLarge,
        _ => AbortCode::WriteFailed,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_full_quota_and_a_large_file() {
        for (number, code) in [
            (libc::ENOSPC, AbortCode::DiskFull),
            (libc::EDQUOT, AbortCode::QuotaExceeded),
            (libc::EFBIG, AbortCode::FileTooLarge),
            (libc::EIO, AbortCode::WriteFailed),
        ] {
            assert_eq!(disk_code(&io::Error::from_raw_os_error(number)), code);
        }
    }
}
