//! Opening the file: settings, older and newer versions, damaged files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::error::{StoreError, is_damage};
use super::limits::{BUSY_TIMEOUT, WAL_LEN_MAX};
use super::schema;

/// A file that was damaged, and where it is now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MovedAside {
    /// Where it was.
    pub from: PathBuf,
    /// Where it is.
    pub to: PathBuf,
}

impl std::fmt::Display for MovedAside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} was damaged and is now {}; the node begins with an empty one: known peers, bans, trust and the story are in the damaged file",
            self.from.display(),
            self.to.display()
        )
    }
}

/// Opens the file for writing, making it when it is missing. A damaged one is moved aside under a
/// name with `unix_seconds`.
pub(super) fn for_writing(
    path: &Path,
    unix_seconds: u64,
) -> Result<(Connection, Option<MovedAside>), StoreError> {
    match usable(path) {
        Err(StoreError::Sqlite { source, .. }) if is_damage(&source) => {
            let moved = move_aside(path, unix_seconds)?;
            Ok((usable(path)?, Some(moved)))
        }
        opened => Ok((opened?, None)),
    }
}

/// Opens the file for reading alone, while a node may be writing it.
pub(super) fn for_reading(path: &Path) -> Result<Connection, StoreError> {
    if !path.exists() {
        return Err(StoreError::Missing { path: path.into() });
    }
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let version = schema::version(&connection)?;
        Ok((connection, version))
    };
    let (connection, version) = open().map_err(|source| sqlite(path, source))?;
    check_version(path, version)?;
    Ok(connection)
}

fn usable(path: &Path) -> Result<Connection, StoreError> {
    let at = |source| sqlite(path, source);
    make_private(path);
    let mut connection = Connection::open(path).map_err(at)?;
    check_version(path, schema::version(&connection).map_err(at)?)?;
    configure(&connection).map_err(at)?;
    schema::migrate(&mut connection).map_err(at)?;
    check(&connection).map_err(at)?;
    Ok(connection)
}

/// Makes the file for its owner alone; what SQLite puts beside it takes its permissions from it. A
/// mistake here shows when SQLite opens the file.
fn make_private(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let _ = options.open(path);
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Readers do not wait for the writer, and a commit is one append.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "journal_size_limit", WAL_LEN_MAX)?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// Looks through the whole file: a page that is damaged is noticed now, not in the middle of a run.
fn check(connection: &Connection) -> rusqlite::Result<()> {
    let told: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if told == "ok" {
        return Ok(());
    }
    let damage = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(damage, Some(told)))
}

fn check_version(path: &Path, found: u32) -> Result<(), StoreError> {
    if found <= schema::VERSION {
        return Ok(());
    }
    Err(StoreError::Newer {
        path: path.into(),
        found,
        known: schema::VERSION,
    })
}

pub(super) fn sqlite(path: &Path, source: rusqlite::Error) -> StoreError {
    StoreError::Sqlite {
        path: path.into(),
        source,
    }
}

/// Renames the file and what belongs to it to `NAME.corrupt-SECONDS…`.
pub(super) fn move_aside(path: &Path, unix_seconds: u64) -> Result<MovedAside, StoreError> {
    let stuck = |source| StoreError::Stuck {
        path: path.into(),
        source,
    };
    let mut to = with_suffix(path, &format!(".corrupt-{unix_seconds}"));
    for number in 1.. {
        if !to.exists() {
            break;
        }
        to = with_suffix(path, &format!(".corrupt-{unix_seconds}-{number}"));
    }
    std::fs::rename(path, &to).map_err(stuck)?;
    for part in ["-wal", "-shm"] {
        // A log of the old file must not be applied to the new one. It need not be there.
        match std::fs::rename(with_suffix(path, part), with_suffix(&to, part)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(stuck(error)),
            _ => {}
        }
    }
    Ok(MovedAside {
        from: path.into(),
        to,
    })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
