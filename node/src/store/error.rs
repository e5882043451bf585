//! Why a store cannot be used.

use std::path::PathBuf;

use rusqlite::{ErrorCode, ffi};
use thiserror::Error;

use crate::failure::{Exit, Failure, plain_reason};

/// Why a store cannot be opened, read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A later version of the program wrote it.
    #[error(
        "{path} was written by a later version of dunlin (format {found}, this program knows {known}); use that version, or name another folder with --data-dir"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format of this program.
        known: u32,
    },
    /// There is none (opened for reading only).
    #[error("{path} does not exist: no node has run with this data folder yet")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged, and could not be moved out of the way.
    #[error("{path} is damaged and cannot be moved aside ({why}); move it yourself, then start again", why = plain_reason(source))]
    Stuck {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system gave no thread.
    #[error("the system gave no thread for {path} ({why})", why = plain_reason(source))]
    NoThread {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// SQLite refuses.
    #[error("cannot use {path}: {why}", why = plain(source))]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let advice = match &error {
            StoreError::Sqlite { source, .. } if is_full(source) => {
                "; make room there, then start again"
            }
            _ => "",
        };
        Self::new(Exit::Local, format!("{error}{advice}"))
    }
}

/// Whether the disk takes no more. When the file that cannot grow is the one with the index of the log,
/// SQLite calls that a failure of the disk.
fn is_full(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    code.is_some_and(|code| [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE].contains(&code))
}

/// Whether the file itself is not what SQLite wrote.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// What SQLite says, in words for an operator.
pub(super) fn plain(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        _ if is_full(error) => "the disk is full".into(),
        Some(ErrorCode::SystemIoFailure) => "the disk does not read or write".into(),
        Some(ErrorCode::ReadOnly) => "it may only be read".into(),
        Some(ErrorCode::CannotOpen) => {
            "it cannot be opened; check the permissions of its folder".into()
        }
        Some(ErrorCode::PermissionDenied) => "its permissions forbid it".into(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program is writing it".into()
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "it is damaged, or no database".into()
        }
        _ => error.to_string(),
    }
}
