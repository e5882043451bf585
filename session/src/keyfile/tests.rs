//! Every way a key file can be wrong, on a real file system.

use super::*;
use crate::testing::provider;

struct Count(u8);

impl Random for Count {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
    }
}

fn sealing<'a>(
    random: &'a mut Count,
    provider: &'a dyn CryptoProvider,
    passphrase: Option<&'a Passphrase>,
) -> Sealing<'a> {
    Sealing {
        passphrase,
        random,
        provider,
    }
}

/// As the crate's, for a key that is not sealed.
fn load(path: &Path) -> Result<Identity, KeyFileError> {
    super::load(path, None, &*provider())
}

fn create(path: &Path, identity: &Identity) -> Result<(), KeyFileError> {
    super::create(
        path,
        identity,
        &mut sealing(&mut Count(0), &*provider(), None),
    )
}

fn load_or_create(path: &Path, random: &mut Count) -> Result<Identity, KeyFileError> {
    super::load_or_create(path, &mut sealing(random, &*provider(), None))
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::from_file(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
}

#[test]
fn a_sealed_key_opens_with_its_passphrase_only() {
    let (_directory, path) = scratch();
    let (provider, right) = (provider(), passphrase("correct horse"));
    let identity = Identity::hybrid([1; 32], [2; 32], &*provider);
    let mut random = Count(0);
    let mut sealing = sealing(&mut random, &*provider, Some(&right));
    super::create(&path, &identity, &mut sealing).unwrap();
    assert!(is_sealed(&path).unwrap());
    let loaded = super::load(&path, Some(&right), &*provider).unwrap();
    assert_eq!(loaded.node_id(), identity.node_id());
    let error = load(&path).unwrap_err();
    assert!(error.to_string().contains("--passphrase-file"), "{error}");
    let wrong = passphrase("battery staple");
    let error = super::load(&path, Some(&wrong), &*provider).unwrap_err();
    assert!(
        matches!(error, KeyFileError::WrongPassphrase { .. }),
        "{error}"
    );
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.len() < FILE_LEN_MAX && !text.contains("0101"),
        "{text}"
    );
}

#[test]
fn rotation_replaces_the_key_and_keeps_every_old_one() {
    let (_directory, path) = scratch();
    let provider = provider();
    let ids: Vec<_> = (1..4)
        .map(|seed| Identity::hybrid([seed; 32], [seed; 32], &*provider))
        .collect();
    create(&path, &ids[0]).unwrap();
    let mut random = Count(0);
    let mut sealing = sealing(&mut random, &*provider, None);
    let kept = ids[1..]
        .iter()
        .map(|next| rotate(&path, next, &mut sealing).unwrap());
    let kept: Vec<_> = kept.collect();
    assert_eq!(load(&path).unwrap().node_id(), ids[2].node_id());
    for (path, id) in kept.iter().zip(&ids) {
        assert_eq!(load(path).unwrap().node_id(), id.node_id());
    }
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 3);
}

#[test]
fn rotation_needs_a_key_to_replace() {
    let (_directory, path) = scratch();
    let mut random = Count(0);
    let provider = provider();
    let mut sealing = sealing(&mut random, &*provider, None);
    let error = rotate(&path, &Identity::from_seed([1; 32]), &mut sealing).unwrap_err();
    assert!(matches!(error, KeyFileError::NotFound { .. }), "{error}");
    assert!(!path.exists());
}

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sub/dir/key");
    (directory, path)
}

#[test]
fn a_key_survives_a_restart() {
    let (_directory, path) = scratch();
    let first = load_or_create(&path, &mut Count(0)).unwrap();
    let second = load_or_create(&path, &mut Count(99)).unwrap();
    assert_eq!(first.node_id(), second.node_id());
    assert_eq!(load(&path).unwrap().seed(), first.seed());
    // Nothing but the key is left in its directory.
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn an_existing_file_is_never_overwritten() {
    let (_directory, path) = scratch();
    let original = load_or_create(&path, &mut Count(0)).unwrap();
    let error = create(&path, &Identity::from_seed([7; 32])).unwrap_err();
    assert!(matches!(error, KeyFileError::Exists { .. }), "{error}");
    assert_eq!(load(&path).unwrap().node_id(), original.node_id());
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn left_over_temporary_files_do_not_block_a_new_key() {
    let (_directory, path) = scratch();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut name = path.clone().into_os_string();
    name.push(format!(".{}-0.new", std::process::id()));
    fs::write(name, "half a key").unwrap();
    load_or_create(&path, &mut Count(0)).unwrap();
}

#[test]
fn an_editor_may_add_white_space() {
    let (_directory, path) = scratch();
    let identity = load_or_create(&path, &mut Count(0)).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("\n{}\r\n\n", text.trim())).unwrap();
    assert_eq!(load(&path).unwrap().node_id(), identity.node_id());
}

#[test]
fn refuses_what_is_not_a_key_and_says_what_to_do() {
    let (_directory, path) = scratch();
    create(&path, &Identity::from_seed([1; 32])).unwrap();
    let wrong: [&[u8]; 6] = [
        b"",
        b"Dear diary, this is not a key.\n",
        b"dunlin-key-v3 00 00",
        &[0xff; 90],
        &[b' '; 129],
        &[b'a'; 1 << 16],
    ];
    for contents in wrong {
        fs::write(&path, contents).unwrap();
        let error = load(&path).unwrap_err();
        assert!(matches!(error, KeyFileError::NotAKey { .. }), "{error}");
        assert!(error.to_string().contains("give the path"), "{error}");
    }
}

#[test]
fn a_file_that_only_begins_like_a_key_is_refused() {
    let (_directory, path) = scratch();
    create(&path, &Identity::from_seed([1; 32])).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let padded = |length| format!("{text}{}", " ".repeat(length - text.len()));
    fs::write(&path, padded(FILE_LEN_MAX)).unwrap();
    load(&path).unwrap();
    for length in [FILE_LEN_MAX + 1, 10_000] {
        fs::write(&path, padded(length)).unwrap();
        assert!(matches!(load(&path), Err(KeyFileError::NotAKey { .. })));
    }
}

#[test]
fn any_single_changed_or_missing_character_is_noticed() {
    let (_directory, path) = scratch();
    create(&path, &Identity::from_seed([1; 32])).unwrap();
    let text = fs::read(&path).unwrap();
    for at in 0..text.len() - 1 {
        for with in [b'0', b'f', b'x', b' '] {
            let mut wrong = text.clone();
            wrong[at] = with;
            if wrong != text {
                fs::write(&path, &wrong).unwrap();
                load(&path).unwrap_err();
            }
        }
        fs::write(&path, &text[..at]).unwrap();
        load(&path).unwrap_err();
    }
    fs::write(&path, [&text[..], b"more"].concat()).unwrap();
    assert!(matches!(
        load(&path).unwrap_err(),
        KeyFileError::Damaged { .. }
    ));
}

#[test]
fn a_missing_file_and_a_directory_are_told_apart() {
    let (directory, path) = scratch();
    assert!(matches!(
        load(&path).unwrap_err(),
        KeyFileError::NotFound { .. }
    ));
    let error = load(directory.path()).unwrap_err();
    assert!(error.to_string().contains("is a directory"), "{error}");
    // A file where a directory is needed.
    fs::write(directory.path().join("sub"), "").unwrap();
    let error = load_or_create(&path, &mut Count(0)).unwrap_err();
    assert!(matches!(error, KeyFileError::Io { .. }), "{error}");
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn a_new_key_and_its_directory_are_private() {
        let (_directory, path) = scratch();
        load_or_create(&path, &mut Count(0)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(
            fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o7777,
            0o700
        );
    }

    #[test]
    fn refuses_a_file_that_others_may_use() {
        let (_directory, path) = scratch();
        create(&path, &Identity::from_seed([1; 32])).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601, 0o677] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = load_or_create(&path, &mut Count(0)).unwrap_err();
            let expected = format!("run `chmod 600 {}`", path.display());
            assert!(error.to_string().ends_with(&expected), "{error}");
        }
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            load(&path).unwrap();
        }
    }

    #[test]
    fn refuses_devices_and_sockets_without_opening_them() {
        let (directory, _) = scratch();
        let socket = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [socket.as_path(), Path::new("/dev/null")] {
            let error = load(path).unwrap_err();
            assert!(
                error.to_string().contains("a device, pipe or socket"),
                "{error}"
            );
        }
    }

    #[test]
    fn refuses_a_symbolic_link() {
        let (directory, path) = scratch();
        create(&path, &Identity::from_seed([1; 32])).unwrap();
        let link = directory.path().join("link");
        symlink(&path, &link).unwrap();
        let error = load_or_create(&link, &mut Count(0)).unwrap_err();
        assert!(error.to_string().contains("is a symbolic link"), "{error}");
        // A dangling link is not followed to create a key either.
        let dangling = directory.path().join("dangling");
        symlink(directory.path().join("nowhere"), &dangling).unwrap();
        load_or_create(&dangling, &mut Count(0)).unwrap_err();
        assert!(!directory.path().join("nowhere").exists());
    }
}
