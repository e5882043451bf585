//! Where keys, the list of known peers and the store live, and who uses them.
//!
//! In this order: `--data-dir` or `DUNLIN_DATA_DIR` (clap reads both), `$XDG_DATA_HOME/dunlin`,
//! `~/.local/share/dunlin` (XDG base directory specification).

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::failure::{Exit, Failure, plain_reason};

/// The folder of keys and known peers, made on first use with mode 0700.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// Finds the folder and makes it when it is missing.
    ///
    /// # Errors
    /// When there is no home folder, or the folder cannot be made or is not a folder.
    pub fn open(asked: Option<&Path>) -> Result<Self, Failure> {
        let Self(path) = Self::find(asked)?;
        make(&path).map_err(|error| {
            Failure::new(
                Exit::Local,
                format!(
                    "cannot use {} as data folder ({}); name another with --data-dir",
                    path.display(),
                    plain_reason(&error)
                ),
            )
        })?;
        Ok(Self(path))
    }

    /// Finds the folder, whether it is there or not.
    ///
    /// # Errors
    /// When there is no home folder.
    pub fn find(asked: Option<&Path>) -> Result<Self, Failure> {
        let found = locate(
            asked,
            std::env::var_os("XDG_DATA_HOME"),
            std::env::var_os("HOME"),
        );
        found.map(Self).ok_or_else(|| {
            Failure::new(
                Exit::Local,
                "no place for keys: neither HOME nor XDG_DATA_HOME is set; name a folder with --data-dir",
            )
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The identity file.
    #[must_use]
    pub fn identity_file(&self) -> PathBuf {
        self.0.join("identity.key")
    }

    /// The socket over which a running node takes commands.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// The token of the API over TCP.
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.0.join("api.token")
    }

    /// Where a running node serves the API over TCP.
    #[must_use]
    pub fn api_address_file(&self) -> PathBuf {
        self.0.join("api.address")
    }

    /// The store of a node.
    #[must_use]
    pub fn store_file(&self) -> PathBuf {
        self.0.join("dunlin.db")
    }

    /// Takes the folder for one node, until the lock is dropped or the process ends in any way. Keys
    /// may be read meanwhile: other commands do.
    ///
    /// # Errors
    /// Another node has it, which is named by its process ID; or the lock file cannot be used.
    pub fn lock(&self) -> Result<DataLock, Failure> {
        let path = self.0.join("dunlin.lock");
        let unusable = |error: &std::io::Error| {
            let advice = match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                    "make room there"
                }
                _ => "check the permissions of its folder",
            };
            Failure::new(
                Exit::Local,
                format!(
                    "cannot lock {} ({}); {advice}, or name another folder with --data-dir",
                    path.display(),
                    plain_reason(error)
                ),
            )
        };
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(|error| unusable(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(self.held(&mut file)),
            Err(TryLockError::Error(error)) => return Err(unusable(&error)),
        }
        // Who holds it is for people; the lock itself is the system's.
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|error| unusable(&error))?;
        Ok(DataLock(file))
    }

    fn held(&self, file: &mut File) -> Failure {
        let mut text = String::new();
        // A name that cannot be read is left out.
        let _ = file.take(32).read_to_string(&mut text);
        let holder = match text.trim() {
            pid if !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()) => {
                format!(" (process {pid})")
            }
            _ => String::new(),
        };
        Failure::new(
            Exit::Local,
            format!(
                "another node{holder} uses {}; stop it, or name another folder with --data-dir",
                self.0.display()
            ),
        )
    }

    /// The list of peers that are refused.
    #[must_use]
    pub fn denied_peers_file(&self) -> PathBuf {
        self.0.join("denied_peers")
    }

    /// The list of peers accepted at first use.
    #[must_use]
    pub fn known_peers_file(&self) -> PathBuf {
        self.0.join("known_peers")
    }
}

/// A data folder that is taken.
#[derive(Debug)]
pub struct DataLock(
    // The lock is released when the file is closed.
    #[expect(dead_code, reason = "it is held, not used")] File,
);

fn locate(asked: Option<&Path>, xdg: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    if let Some(path) = asked {
        return Some(path.to_path_buf());
    }
    // The specification says that a relative XDG path is to be ignored.
    if let Some(xdg) = xdg.map(PathBuf::from).filter(|path| path.is_absolute()) {
        return Some(xdg.join("dunlin"));
    }
    let home = home.filter(|home| !home.is_empty()).map(PathBuf::from)?;
    Some(home.join(".local").join("share").join("dunlin"))
}

fn make(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_wins_over_the_environment() {
        let asked = Path::new("/asked");
        let found = locate(Some(asked), Some("/xdg".into()), Some("/users/u".into()));
        assert_eq!(found.as_deref(), Some(asked));
    }

    #[test]
    fn falls_back_from_xdg_to_home_to_nothing() {
        let xdg = locate(None, Some("/xdg".into()), Some("/users/u".into()));
        assert_eq!(xdg, Some("/xdg/dunlin".into()));
        let relative = locate(None, Some("xdg".into()), Some("/users/u".into()));
        assert_eq!(relative, Some("/users/u/.local/share/dunlin".into()));
        assert_eq!(locate(None, None, None), None);
        assert_eq!(locate(None, None, Some(OsString::new())), None);
    }

    #[cfg(unix)]
    #[test]
    fn makes_the_folder_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let dir = DataDir::open(Some(&path)).unwrap();
        let mode = std::fs::metadata(dir.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_folder_is_taken_by_one_node_at_a_time_and_the_second_hears_who_has_it() {
        let parent = tempfile::tempdir().unwrap();
        let dir = DataDir::open(Some(parent.path())).unwrap();
        let lock = dir.lock().unwrap();
        let told = dir.lock().unwrap_err();
        assert_eq!(told.exit(), Exit::Local);
        let holder = format!("process {}", std::process::id());
        assert!(told.to_string().contains(&holder), "{told}");
        drop(lock);
        assert!(dir.lock().is_ok());
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_refused_with_advice() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("file");
        std::fs::write(&path, "text").unwrap();
        let failure = DataDir::open(Some(&path)).unwrap_err();
        assert_eq!(failure.exit(), Exit::Local);
        assert!(failure.to_string().contains("--data-dir"), "{failure}");
    }
}
