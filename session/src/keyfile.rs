//! The identity file. The one module of this crate that does I/O, and it is not needed by the
//! protocol: whoever keeps keys elsewhere uses [`Identity::from_seed`].
//!
//! The file is one line of text (`docs/session.md` S-ID-4, S-ID-5): the seeds of the keys with a
//! checksum, so that a damaged file is not taken for another identity, or both sealed with a
//! passphrase.
//!
//! On Unix the file has mode 0600 from the moment it exists, a new directory has mode 0700, and a
//! file that others may read is refused. A key appears under its name complete and synchronised to
//! disk, or not at all, and never replaces what is there, unless [`rotate`] is asked to, which keeps
//! the old one under another name. On other systems the access rights are those that the directory
//! passes on.

pub(crate) mod text;

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use dunlin_transport::protect::Random;
use zeroize::Zeroizing;

use crate::identity::Identity;
use crate::provider::CryptoProvider;
pub use text::Passphrase;
use text::{Contents, FILE_LEN_MAX, NotRead};

/// Reads the identity at `path`, opening it with `passphrase` if it is sealed.
///
/// # Errors
/// [`KeyFileError`], whose text is one sentence for the operator. Nothing on disk has changed.
pub fn load(
    path: &Path,
    passphrase: Option<&Passphrase>,
    provider: &dyn CryptoProvider,
) -> Result<Identity, KeyFileError> {
    let wrong = |not: NotRead| KeyFileError::not_read(path, not);
    let secrets = match read(path)? {
        Contents::Plain(secrets) => secrets,
        Contents::Sealed(sealed) => match passphrase {
            None => return Err(KeyFileError::PassphraseNeeded { path: path.into() }),
            Some(passphrase) => sealed.open(passphrase, provider).map_err(wrong)?,
        },
    };
    secrets.identity(provider).map_err(wrong)
}

/// Whether the file at `path` is sealed with a passphrase.
///
/// # Errors
/// As [`load`].
pub fn is_sealed(path: &Path) -> Result<bool, KeyFileError> {
    Ok(matches!(read(path)?, Contents::Sealed(_)))
}

/// How a key is written.
pub struct Sealing<'a> {
    /// Seals the file; `None` writes the seeds as they are.
    pub passphrase: Option<&'a Passphrase>,
    /// For the salt.
    pub random: &'a mut dyn Random,
    /// For the cipher.
    pub provider: &'a dyn CryptoProvider,
}

/// Writes `identity` to a new file at `path`, making the directories that are missing.
///
/// # Errors
/// [`KeyFileError::Exists`] when there is something at `path` already, which stays as it was;
/// [`KeyFileError::Io`] when writing fails, with nothing left behind.
pub fn create(
    path: &Path,
    identity: &Identity,
    sealing: &mut Sealing<'_>,
) -> Result<(), KeyFileError> {
    write_beside(path, identity, sealing, |temporary| {
        // A link, unlike a rename, fails when the name is taken.
        fs::hard_link(temporary, path).map_err(|error| KeyFileError::io(path, "create", error))
    })
}

/// Replaces the key at `path` by `identity` and returns where the old one is now: beside it, with a
/// number. At every moment there is one of the two under the name `path`.
///
/// # Errors
/// As [`load`] for what is there, and [`create`]; then the old key is still at `path`.
pub fn rotate(
    path: &Path,
    identity: &Identity,
    sealing: &mut Sealing<'_>,
) -> Result<PathBuf, KeyFileError> {
    read(path)?;
    let mut kept = PathBuf::new();
    write_beside(path, identity, sealing, |temporary| {
        kept = keep(path)?;
        fs::rename(temporary, path).map_err(|error| KeyFileError::io(path, "replace", error))
    })?;
    Ok(kept)
}

/// The identity at `path`; when there is none, one of Ed25519 is made and written there.
///
/// # Errors
/// As [`load`] and [`create`]. When another process creates the file at the same moment, its
/// identity is loaded.
pub fn load_or_create(path: &Path, sealing: &mut Sealing<'_>) -> Result<Identity, KeyFileError> {
    match load(path, sealing.passphrase, sealing.provider) {
        Err(KeyFileError::NotFound { .. }) => {}
        other => return other,
    }
    let identity = Identity::generate(sealing.random);
    match create(path, &identity, sealing) {
        Ok(()) => Ok(identity),
        Err(KeyFileError::Exists { .. }) => load(path, sealing.passphrase, sealing.provider),
        Err(error) => Err(error),
    }
}

/// Why a key file was not read or written. The text is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// There is no such file.
    #[error("there is no key file at {path}: start a node once to create it, or check the path")]
    NotFound {
        /// Where.
        path: PathBuf,
    },
    /// There is something at that path already.
    #[error("{path} exists already and is not overwritten: choose another path or move it away")]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// Group or others have access.
    #[error("the key file {path} is open to other users (mode {mode:04o}): run `chmod 600 {path}`")]
    TooOpen {
        /// Where.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A directory, device, pipe, socket or symbolic link.
    #[error("{path} is {kind}, not a regular file: give the path of the key file itself")]
    NotRegular {
        /// Where.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// Contents of another kind.
    #[error(
        "{path} does not contain a dunlin key: give the path of a file that `dunlin` created, or a path that does not exist yet to create one"
    )]
    NotAKey {
        /// Where.
        path: PathBuf,
    },
    /// A key, and damaged.
    #[error(
        "the key in {path} is damaged (its checksum does not match): restore the file from a backup, or move it away to start with a new identity"
    )]
    Damaged {
        /// Where.
        path: PathBuf,
    },
    /// It is sealed, and no passphrase was given.
    #[error(
        "the key in {path} is sealed with a passphrase: give the file that holds it with --passphrase-file"
    )]
    PassphraseNeeded {
        /// Where.
        path: PathBuf,
    },
    /// It does not open with this passphrase.
    #[error(
        "the passphrase does not open {path}: give the one that it was sealed with, or restore the file if it was changed"
    )]
    WrongPassphrase {
        /// Where.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error(
        "cannot {action} {path} ({source}): check the path, its permissions and the free space"
    )]
    Io {
        /// Where.
        path: PathBuf,
        /// What was tried: a verb.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl KeyFileError {
    fn not_read(path: &Path, not: NotRead) -> Self {
        let path = path.to_owned();
        match not {
            NotRead::NotAKey => Self::NotAKey { path },
            NotRead::Damaged => Self::Damaged { path },
            NotRead::WrongPassphrase => Self::WrongPassphrase { path },
        }
    }

    fn io(path: &Path, action: &'static str, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::NotFound if action == "read" => Self::NotFound { path },
            ErrorKind::AlreadyExists if action == "create" => Self::Exists { path },
            _ => Self::Io {
                path,
                action,
                source,
            },
        }
    }
}

/// Opens a regular file that only its owner may use. What was checked is what was opened: the
/// checks run on the open file, and the name before is only looked at so as not to open a pipe.
fn open(path: &Path) -> Result<File, KeyFileError> {
    let named = fs::symlink_metadata(path).map_err(|e| KeyFileError::io(path, "read", e))?;
    check_regular(path, &named)?;
    let file = File::open(path).map_err(|e| KeyFileError::io(path, "read", e))?;
    let opened = file
        .metadata()
        .map_err(|e| KeyFileError::io(path, "read", e))?;
    check_regular(path, &opened)?;
    check_access(path, &named, &opened)?;
    Ok(file)
}

fn check_regular(path: &Path, metadata: &Metadata) -> Result<(), KeyFileError> {
    let kind = metadata.file_type();
    let kind = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else {
        "a device, pipe or socket"
    };
    Err(KeyFileError::NotRegular {
        path: path.to_owned(),
        kind,
    })
}

#[cfg(unix)]
fn check_access(path: &Path, named: &Metadata, opened: &Metadata) -> Result<(), KeyFileError> {
    use std::os::unix::fs::MetadataExt;
    // Swapped for a link between the look and the opening.
    if (named.dev(), named.ino()) != (opened.dev(), opened.ino()) {
        return Err(KeyFileError::NotRegular {
            path: path.to_owned(),
            kind: "a symbolic link",
        });
    }
    let mode = opened.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::TooOpen {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_access(_path: &Path, _named: &Metadata, _opened: &Metadata) -> Result<(), KeyFileError> {
    Ok(())
}

fn directory_builder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// A fresh file beside `path`, with a name that no other process uses.
fn create_temporary(path: &Path) -> Result<(PathBuf, File), KeyFileError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut attempt = 0;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}-{attempt}.new", std::process::id()));
        let temporary = PathBuf::from(name);
        match options.open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            // Left behind by a crash, or another thread of ours.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < ATTEMPTS => {
                attempt += 1;
            }
            Err(error) => return Err(KeyFileError::io(&temporary, "write", error)),
        }
    }
}

/// Writes `identity` to a file of its own beside `path`, which `name` then gives its name.
fn write_beside(
    path: &Path,
    identity: &Identity,
    sealing: &mut Sealing<'_>,
    name: impl FnOnce(&Path) -> Result<(), KeyFileError>,
) -> Result<(), KeyFileError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    directory_builder()
        .create(directory)
        .map_err(|error| KeyFileError::io(directory, "create the directory", error))?;
    let (temporary, file) = create_temporary(path)?;
    let result = write(file, &temporary, identity, sealing).and_then(|()| name(&temporary));
    // Under its own name or not at all: the temporary name goes in either case. If that fails, the
    // rest is a second name with mode 0600, which does no harm.
    let _ = fs::remove_file(&temporary);
    result?;
    // Makes the name itself durable; not every system can open a directory, hence best effort.
    if let Ok(directory) = File::open(directory) {
        let _ = directory.sync_all();
    }
    Ok(())
}

fn write(
    mut file: File,
    temporary: &Path,
    identity: &Identity,
    sealing: &mut Sealing<'_>,
) -> Result<(), KeyFileError> {
    let line = text::line(identity, sealing);
    file.write_all(line.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| KeyFileError::io(temporary, "write", error))
}

/// Gives the file at `path` a second name that is free.
fn keep(path: &Path) -> Result<PathBuf, KeyFileError> {
    let mut number = 1;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        let kept = PathBuf::from(name);
        match fs::hard_link(path, &kept) {
            Ok(()) => return Ok(kept),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && number < KEPT_MAX => {
                number += 1;
            }
            Err(error) => return Err(KeyFileError::io(&kept, "keep the old key as", error)),
        }
    }
}

/// Reads at most `limit` bytes, and one more when there are more, of a secret in a file that only
/// its owner may use.
///
/// # Errors
/// As [`load`] for a file that is missing, open to others or none.
pub fn read_private(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let mut file = open(path)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit + 1));
    Read::by_ref(&mut file)
        .take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| KeyFileError::io(path, "read", error))?;
    Ok(bytes)
}

fn read(path: &Path) -> Result<Contents, KeyFileError> {
    let bytes = read_private(path, FILE_LEN_MAX)?;
    text::parse(&bytes).map_err(|not| KeyFileError::not_read(path, not))
}

/// Old keys that are kept beside a new one.
const KEPT_MAX: u32 = 1_000;
/// Temporary names that are tried.
const ATTEMPTS: u32 = 100;

#[cfg(test)]
mod tests;
