//! The list of what is to be sent.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use super::error::{Doing, TransferError};
use super::limits::{ENTRIES_MAX, FILE_LEN_MAX, PATH_BYTES_MAX};
use super::message::{Entry, EntryKind};
use super::path::{PathError, TransferPath};
use super::progress::{Notice, Progress};

/// What is to be sent: entries in the order of travel, folders before what is in them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    root: PathBuf,
    entries: Vec<Entry>,
    bytes: u64,
    files: u32,
}

impl Manifest {
    /// Lists the file or folder at `path`. Symbolic links below it, special files and left-overs
    /// of unfinished transfers are skipped with a notice; `path` itself may be a link. The order
    /// is that of the names, so that two scans of one tree are equal.
    ///
    /// # Errors
    /// When something cannot be read, a name cannot travel, or there is too much.
    pub fn scan(path: &Path, progress: &dyn Progress) -> Result<Self, TransferError> {
        let root = path.to_path_buf();
        let metadata = fs::metadata(path).map_err(|source| unreadable(path, source))?;
        let name = root_name(path)?;
        let top = TransferPath::parse(&name)
            .map_err(|error| TransferError::NameNotPossible(root.clone(), error))?;
        let mut scan = Scan {
            manifest: Self {
                root,
                entries: Vec::new(),
                bytes: 0,
                files: 0,
            },
            path_bytes: 0,
            progress,
        };
        if metadata.is_dir() {
            scan.folder(path, &top)?;
        } else if metadata.is_file() {
            scan.file(top, &metadata)?;
        } else {
            return Err(TransferError::NotSendable(path.to_path_buf()));
        }
        Ok(scan.manifest)
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of files.
    #[must_use]
    pub fn files(&self) -> u32 {
        self.files
    }

    /// The name under which it arrives.
    #[must_use]
    pub fn name(&self) -> &str {
        self.entries
            .first()
            .and_then(|entry| entry.path.names().next())
            .unwrap_or_default()
    }

    /// Where an entry is on this machine.
    #[must_use]
    pub fn local_path(&self, entry: &Entry) -> PathBuf {
        let mut path = self.root.clone();
        path.extend(entry.path.names().skip(1));
        path
    }
}

struct Scan<'a> {
    manifest: Manifest,
    path_bytes: usize,
    progress: &'a dyn Progress,
}

impl Scan<'_> {
    fn folder(&mut self, local: &Path, path: &TransferPath) -> Result<(), TransferError> {
        self.push(Entry {
            path: path.clone(),
            kind: EntryKind::Folder,
        })?;
        let mut names = Vec::new();
        for item in fs::read_dir(local).map_err(|source| unreadable(local, source))? {
            names.push(
                item.map_err(|source| unreadable(local, source))?
                    .file_name(),
            );
        }
        names.sort_unstable();
        for name in names {
            let local = local.join(&name);
            let metadata =
                fs::symlink_metadata(&local).map_err(|source| unreadable(&local, source))?;
            if metadata.is_symlink() {
                self.progress.notice(&Notice::SkippedLink(&local));
                continue;
            }
            if !metadata.is_dir() && !metadata.is_file() {
                self.progress.notice(&Notice::SkippedSpecial(&local));
                continue;
            }
            let name = utf8(&name, &local)?;
            match TransferPath::parse(&format!("{}/{name}", path.as_str())) {
                Ok(path) if metadata.is_dir() => self.folder(&local, &path)?,
                Ok(path) => self.file(path, &metadata)?,
                Err(error @ PathError::Reserved) => {
                    self.progress.notice(&Notice::SkippedName(&local, error));
                }
                Err(error) => return Err(TransferError::NameNotPossible(local, error)),
            }
        }
        Ok(())
    }

    fn file(&mut self, path: TransferPath, metadata: &Metadata) -> Result<(), TransferError> {
        let len = metadata.len();
        if len > FILE_LEN_MAX {
            return Err(TransferError::TooManyEntries);
        }
        let bytes = self.manifest.bytes.checked_add(len);
        self.manifest.bytes = bytes.ok_or(TransferError::TooManyEntries)?;
        self.manifest.files += 1;
        let kind = EntryKind::File {
            len,
            executable: is_executable(metadata),
        };
        self.push(Entry { path, kind })
    }

    fn push(&mut self, entry: Entry) -> Result<(), TransferError> {
        self.path_bytes += entry.path.as_str().len();
        if self.path_bytes > PATH_BYTES_MAX || self.manifest.entries.len() >= ENTRIES_MAX as usize {
            return Err(TransferError::TooManyEntries);
        }
        self.manifest.entries.push(entry);
        Ok(())
    }
}

/// The name that the user gave, or, for `.` and the like, the real one.
fn root_name(path: &Path) -> Result<String, TransferError> {
    if let Some(name) = path.file_name() {
        return utf8(name, path).map(str::to_owned);
    }
    let real = fs::canonicalize(path).map_err(|source| unreadable(path, source))?;
    match real.file_name() {
        Some(name) => utf8(name, &real).map(str::to_owned),
        // The root of the file system has no name.
        None => Err(TransferError::NotSendable(path.to_path_buf())),
    }
}

fn utf8<'a>(name: &'a OsStr, path: &Path) -> Result<&'a str, TransferError> {
    name.to_str()
        .ok_or_else(|| TransferError::NameNotUtf8(path.to_path_buf()))
}

fn unreadable(path: &Path, source: std::io::Error) -> TransferError {
    TransferError::Local {
        doing: Doing::Read,
        path: path.to_path_buf(),
        source,
    }
}

#[cfg(unix)]
fn is_executable(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::progress::Quiet;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Notices(Mutex<Vec<String>>);

    impl Progress for Notices {
        fn notice(&self, notice: &Notice<'_>) {
            self.0.lock().unwrap().push(format!("{notice:?}"));
        }
    }

    fn paths(manifest: &Manifest) -> Vec<&str> {
        manifest
            .entries()
            .iter()
            .map(|entry| entry.path.as_str())
            .collect()
    }

    #[test]
    fn lists_a_tree_in_order_with_empty_folders_and_files() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("tree");
        fs::create_dir_all(root.join("b/empty")).unwrap();
        fs::write(root.join("b/one"), "1").unwrap();
        fs::write(root.join("a"), "").unwrap();
        let manifest = Manifest::scan(&root, &Quiet).unwrap();
        assert_eq!(
            paths(&manifest),
            ["tree", "tree/a", "tree/b", "tree/b/empty", "tree/b/one"]
        );
        assert_eq!(
            (manifest.files(), manifest.bytes(), manifest.name()),
            (2, 1, "tree")
        );
        let one = manifest.entries().last().unwrap();
        assert_eq!(manifest.local_path(one), root.join("b/one"));
    }

    #[test]
    fn a_single_file_arrives_under_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        fs::write(&path, "text").unwrap();
        let manifest = Manifest::scan(&path, &Quiet).unwrap();
        assert_eq!(paths(&manifest), ["a.txt"]);
        assert_eq!(manifest.local_path(&manifest.entries()[0]), path);
    }

    #[test]
    fn a_path_without_a_name_takes_the_real_one() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("tree");
        fs::create_dir_all(root.join("sub")).unwrap();
        let manifest = Manifest::scan(&root.join("sub/.."), &Quiet).unwrap();
        assert_eq!(paths(&manifest), ["tree", "tree/sub"]);
    }

    #[cfg(unix)]
    #[test]
    fn skips_links_pipes_and_unfinished_files_with_a_notice() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("tree");
        fs::create_dir(&root).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", root.join("link")).unwrap();
        std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        fs::write(root.join("x.dunlin-part"), "half").unwrap();
        let notices = Notices::default();
        let manifest = Manifest::scan(&root, &notices).unwrap();
        assert_eq!(paths(&manifest), ["tree"]);
        let notices = notices.0.lock().unwrap();
        assert!(notices[0].starts_with("SkippedLink"), "{notices:?}");
        assert!(notices[1].starts_with("SkippedSpecial"), "{notices:?}");
        assert!(notices[2].starts_with("SkippedName"), "{notices:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn rejects_a_name_that_is_not_utf8() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(OsStr::from_bytes(b"caf\xe9"));
        fs::write(&path, "").unwrap();
        for asked in [dir.path(), &path] {
            let error = Manifest::scan(asked, &Quiet).unwrap_err();
            assert!(
                matches!(&error, TransferError::NameNotUtf8(named) if *named == path),
                "{error}"
            );
        }
    }

    #[test]
    fn rejects_what_does_not_exist() {
        let dir = tempfile::tempdir().unwrap();
        let error = Manifest::scan(&dir.path().join("nothing"), &Quiet).unwrap_err();
        assert!(matches!(
            error,
            TransferError::Local {
                doing: Doing::Read,
                ..
            }
        ));
    }
}
