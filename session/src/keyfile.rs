//! The identity file. The one module of this crate that does I/O, and it is not needed by the
//! protocol: whoever keeps keys elsewhere uses [`Identity::from_seed`].
//!
//! The file is one line of text: `dunlin-key-v1 SEED CHECK`, both in hexadecimal. SEED is the
//! 32-byte Ed25519 seed; CHECK is the first four bytes of SHA-256("dunlin key file" ‖ SEED), so
//! that a damaged file is not taken for another identity.
//!
//! On Unix the file has mode 0600 from the moment it exists, a new directory has mode 0700, and a
//! file that others may read is refused. A key appears under its name complete and synchronised to
//! disk, or not at all, and never replaces what is there. On other systems the access rights are
//! those that the directory passes on.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use dunlin_transport::protect::Random;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::identity::Identity;

/// Reads the identity at `path`.
///
/// # Errors
/// [`KeyFileError`], whose text is one sentence for the operator. Nothing on disk has changed.
pub fn load(path: &Path) -> Result<Identity, KeyFileError> {
    let mut file = open(path)?;
    let mut text = Zeroizing::new(Vec::with_capacity(FILE_LEN_MAX + 1));
    let limit = u64::try_from(FILE_LEN_MAX).expect("a small constant") + 1;
    Read::by_ref(&mut file)
        .take(limit)
        .read_to_end(&mut text)
        .map_err(|error| KeyFileError::io(path, "read", error))?;
    parse(path, &text).map(|seed| Identity::from_seed(*seed))
}

/// Writes `identity` to a new file at `path`, making the directories that are missing.
///
/// # Errors
/// [`KeyFileError::Exists`] when there is something at `path` already, which stays as it was;
/// [`KeyFileError::Io`] when writing fails, with nothing left behind.
pub fn create(path: &Path, identity: &Identity) -> Result<(), KeyFileError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    directory_builder()
        .create(directory)
        .map_err(|error| KeyFileError::io(directory, "create the directory", error))?;
    let (temporary, file) = create_temporary(path)?;
    let result = write_and_name(file, &temporary, path, identity);
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

/// The identity at `path`, made from `random` and written there when there is none.
///
/// # Errors
/// As [`load`] and [`create`]. When another process creates the file at the same moment, its
/// identity is loaded.
pub fn load_or_create(path: &Path, random: &mut dyn Random) -> Result<Identity, KeyFileError> {
    match load(path) {
        Err(KeyFileError::NotFound { .. }) => {}
        other => return other,
    }
    let identity = Identity::generate(random);
    match create(path, &identity) {
        Ok(()) => Ok(identity),
        Err(KeyFileError::Exists { .. }) => load(path),
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

fn write_and_name(
    mut file: File,
    temporary: &Path,
    path: &Path,
    identity: &Identity,
) -> Result<(), KeyFileError> {
    file.write_all(format(identity.seed()).as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| KeyFileError::io(temporary, "write", error))?;
    // A link, unlike a rename, fails when the name is taken.
    fs::hard_link(temporary, path).map_err(|error| KeyFileError::io(path, "create", error))
}

pub(crate) fn format(seed: &[u8; 32]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(FILE_LEN_MAX));
    text.push_str(WORD);
    text.push(' ');
    for byte in seed {
        let _ = write!(*text, "{byte:02x}");
    }
    text.push(' ');
    for byte in checksum(seed) {
        let _ = write!(*text, "{byte:02x}");
    }
    text.push('\n');
    text
}

pub(crate) fn parse(path: &Path, text: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let not_a_key = || KeyFileError::NotAKey {
        path: path.to_owned(),
    };
    let text = std::str::from_utf8(text).map_err(|_| not_a_key())?;
    let mut words = text.split_ascii_whitespace();
    if text.len() > FILE_LEN_MAX || words.next() != Some(WORD) {
        return Err(not_a_key());
    }
    let damaged = || KeyFileError::Damaged {
        path: path.to_owned(),
    };
    let seed: Zeroizing<[u8; 32]> = words.next().and_then(decode).ok_or_else(damaged)?;
    let check: Zeroizing<[u8; 4]> = words.next().and_then(decode).ok_or_else(damaged)?;
    if words.next().is_some() || !bool::from(check.ct_eq(&checksum(&seed))) {
        return Err(damaged());
    }
    Ok(seed)
}

/// Hexadecimal to exactly `N` bytes.
fn decode<const N: usize>(word: &str) -> Option<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    let mut digits = word.chars();
    for byte in bytes.iter_mut() {
        let high = digits.next()?.to_digit(16)?;
        let low = digits.next()?.to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    digits.next().is_none().then_some(bytes)
}

fn checksum(seed: &[u8; 32]) -> [u8; 4] {
    let digest = Sha256::new()
        .chain_update(b"dunlin key file")
        .chain_update(seed)
        .finalize();
    let [a, b, c, d, ..] = <[u8; 32]>::from(digest);
    [a, b, c, d]
}

const WORD: &str = "dunlin-key-v1";
/// `WORD SEED CHECK\n`, and some room for white space that an editor adds.
pub(crate) const FILE_LEN_MAX: usize = 128;
/// Temporary names that are tried.
const ATTEMPTS: u32 = 100;

#[cfg(test)]
mod tests;
