//! The receiver's folder: every touch of its files is here.
//!
//! Nothing is ever written through a symbolic link below the folder, whoever made it. (A local
//! user who swaps folders for links between the check and the use is out of scope: he needs write
//! access to the folder already.)

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::message::{Answer, Hash, Problem};
use super::path::TransferPath;

/// The folder that files are received into.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// A prefix of a file with the state of its hash.
#[derive(Clone, Debug)]
pub struct Prefix {
    /// Its length in bytes.
    pub len: u64,
    /// The hash state after these bytes.
    pub hasher: blake3::Hasher,
}

impl Store {
    /// A store in `folder`, which exists.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where a file ends up.
    #[must_use]
    pub fn place(&self, path: &TransferPath) -> PathBuf {
        path.below(&self.folder)
    }

    /// Makes the folder at `path` and those above it.
    ///
    /// # Errors
    /// The problem to report for this entry.
    pub fn make_folder(&self, path: &TransferPath) -> Result<(), Problem> {
        let mut place = self.folder.clone();
        for name in path.names() {
            place.push(name);
            self.make_one(&place)?;
        }
        Ok(())
    }

    /// What this end has of a file of `len` bytes, and the hash state when a part of it is here.
    #[must_use]
    pub fn inspect(&self, path: &TransferPath, len: u64) -> (Answer, Option<Prefix>) {
        match self.look_at(path, len) {
            Ok(found) => found,
            Err(problem) => (Answer::Refused(problem), None),
        }
    }

    fn look_at(&self, path: &TransferPath, len: u64) -> Result<(Answer, Option<Prefix>), Problem> {
        self.make_parents(path)?;
        let place = self.place(path);
        match fs::symlink_metadata(&place) {
            Ok(found) if found.is_symlink() => return Err(Problem::SymbolicLink),
            Ok(found) if !found.is_file() => return Err(Problem::NotAFile),
            Ok(found) if found.len() != len => return Err(Problem::Exists),
            Ok(_) => {
                // Not readable, so it cannot be compared: leave it alone.
                let mut file = open_existing(&place).map_err(|_| Problem::Exists)?;
                let hasher = hash_prefix(&mut file, len).map_err(|_| Problem::Exists)?;
                let hasher = hasher.ok_or(Problem::Exists)?;
                return Ok((
                    Answer::HaveWhole {
                        hash: *hasher.finalize().as_bytes(),
                    },
                    None,
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(problem_of(&error)),
        }
        let part = path.part_below(&self.folder);
        match fs::symlink_metadata(&part) {
            Ok(found) if found.is_symlink() => Err(Problem::SymbolicLink),
            Ok(found) if !found.is_file() => Err(Problem::NotAFile),
            // Longer than the file: it is of another one.
            Ok(found) if found.len() == 0 || found.len() > len => Ok((Answer::SendAll, None)),
            Ok(found) => Ok(part_answer(&part, found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((Answer::SendAll, None)),
            Err(error) => Err(problem_of(&error)),
        }
    }

    /// Opens the part of a file for writing from `offset` on and locks it.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::WouldBlock`] when another transfer has the lock.
    pub fn open_part(&self, path: &TransferPath, offset: u64) -> io::Result<File> {
        let part = path.part_below(&self.folder);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        no_follow(&mut options);
        let file = options.open(&part)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            // A file system without locks; two transfers of one file are then the user's affair.
            Err(TryLockError::Error(error)) => tracing::debug!(%error, "no lock"),
        }
        if file.metadata()?.len() < offset {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.set_len(offset)?;
        io::Seek::seek(&mut &file, io::SeekFrom::Start(offset))?;
        Ok(file)
    }

    /// The hash state of the first `len` bytes of a part.
    ///
    /// # Errors
    /// When it cannot be read or has become shorter.
    pub fn hash_part(&self, file: &mut File, len: u64) -> io::Result<blake3::Hasher> {
        io::Seek::seek(file, io::SeekFrom::Start(0))?;
        hash_prefix(file, len)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Gives a complete and verified part its name. Nothing is overwritten.
    ///
    /// # Errors
    /// The problem to report for this entry.
    pub fn publish(
        &self,
        path: &TransferPath,
        file: &File,
        executable: bool,
    ) -> Result<(), Problem> {
        if executable {
            allow_execution(file).map_err(|error| problem_of(&error))?;
        }
        let place = self.place(path);
        match fs::symlink_metadata(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(problem_of(&error)),
            Ok(_) => return Err(Problem::Exists),
        }
        let part = path.part_below(&self.folder);
        fs::rename(part, place).map_err(|error| problem_of(&error))
    }

    /// Deletes the part of a file that turned out to be wrong or needless.
    pub fn discard_part(&self, path: &TransferPath) {
        let part = path.part_below(&self.folder);
        match fs::remove_file(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(part = %part.display(), %error, "cannot delete");
            }
            Ok(()) | Err(_) => {}
        }
    }

    fn make_parents(&self, path: &TransferPath) -> Result<(), Problem> {
        let mut place = self.folder.clone();
        let mut names = path.names().peekable();
        while let Some(name) = names.next() {
            if names.peek().is_some() {
                place.push(name);
                self.make_one(&place)?;
            }
        }
        Ok(())
    }

    fn make_one(&self, place: &Path) -> Result<(), Problem> {
        match fs::symlink_metadata(place) {
            Ok(found) if found.is_symlink() => Err(Problem::SymbolicLink),
            Ok(found) if found.is_dir() => Ok(()),
            Ok(_) => Err(Problem::NotAFolder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::create_dir(place) {
                // Another transfer made it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                result => result.map_err(|error| problem_of(&error)),
            },
            Err(error) => Err(problem_of(&error)),
        }
    }
}

/// The problem of an entry that a system error stands for.
#[must_use]
pub fn problem_of(error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Problem::NotPermitted
        }
        io::ErrorKind::NotADirectory => Problem::NotAFolder,
        io::ErrorKind::IsADirectory => Problem::NotAFile,
        io::ErrorKind::WouldBlock => Problem::Busy,
        _ => Problem::NotWritable,
    }
}

fn part_answer(part: &Path, len: u64) -> (Answer, Option<Prefix>) {
    let hashed = open_existing(part).and_then(|mut file| hash_prefix(&mut file, len));
    match hashed {
        Ok(Some(hasher)) => {
            let hash = *hasher.finalize().as_bytes();
            (
                Answer::HavePrefix { len, hash },
                Some(Prefix { len, hasher }),
            )
        }
        // Unreadable or shrinking: as good as nothing.
        Ok(None) | Err(_) => (Answer::SendAll, None),
    }
}

/// Hashes the first `len` bytes; `None` when there are fewer.
///
/// # Errors
/// When reading fails.
pub fn hash_prefix(file: &mut impl Read, len: u64) -> io::Result<Option<blake3::Hasher>> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut limited = file.take(len);
    loop {
        match limited.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                hasher.update(buffer.get(..read).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok((hasher.count() == len).then_some(hasher))
}

/// The hash as it travels.
#[must_use]
pub fn finished(hasher: &blake3::Hasher) -> Hash {
    *hasher.finalize().as_bytes()
}

fn open_existing(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    no_follow(&mut options);
    options.open(path)
}

#[cfg(unix)]
fn no_follow(options: &mut OpenOptions) {
    // NONBLOCK: should somebody put a pipe there, opening it must not wait for its other end.
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
}

#[cfg(not(unix))]
fn no_follow(_: &mut OpenOptions) {}

/// Who may read may execute: the umask of this machine decides, not the sender.
#[cfg(unix)]
fn allow_execution(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata()?.permissions().mode();
    file.set_permissions(fs::Permissions::from_mode(mode | ((mode & 0o444) >> 2)))
}

#[cfg(not(unix))]
fn allow_execution(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
