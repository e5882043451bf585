//! The receiver's folder, touched in every way.

use super::*;
use std::io::Write;

fn path(text: &str) -> TransferPath {
    TransferPath::parse(text).unwrap()
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().to_path_buf());
    (dir, store)
}

fn answer(store: &Store, name: &str, len: u64) -> Answer {
    store.inspect(&path(name), len).0
}

#[test]
fn nothing_there_means_send_it_all() {
    let (_dir, store) = store();
    assert_eq!(answer(&store, "a/b/c", 5), Answer::SendAll);
}

#[test]
fn a_part_is_answered_with_the_hash_of_its_bytes() {
    let (dir, store) = store();
    fs::write(dir.path().join("a.dunlin-part"), "12345").unwrap();
    let hash = *blake3::hash(b"12345").as_bytes();
    assert_eq!(answer(&store, "a", 9), Answer::HavePrefix { len: 5, hash });
    assert_eq!(answer(&store, "a", 5), Answer::HavePrefix { len: 5, hash });
    assert_eq!(
        answer(&store, "a", 4),
        Answer::SendAll,
        "longer than the file"
    );
}

#[test]
fn a_file_of_the_same_length_is_compared_and_another_is_left_alone() {
    let (dir, store) = store();
    fs::write(dir.path().join("a"), "12345").unwrap();
    let hash = *blake3::hash(b"12345").as_bytes();
    assert_eq!(answer(&store, "a", 5), Answer::HaveWhole { hash });
    assert_eq!(answer(&store, "a", 6), Answer::Refused(Problem::Exists));
}

#[test]
fn rejects_what_is_no_file_or_no_folder() {
    let (dir, store) = store();
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("f"), "").unwrap();
    assert_eq!(answer(&store, "d", 0), Answer::Refused(Problem::NotAFile));
    assert_eq!(
        answer(&store, "f/x", 0),
        Answer::Refused(Problem::NotAFolder)
    );
    assert_eq!(store.make_folder(&path("f")), Err(Problem::NotAFolder));
    assert_eq!(store.make_folder(&path("d/e/f")), Ok(()));
    assert!(dir.path().join("d/e/f").is_dir());
}

#[cfg(unix)]
#[test]
fn rejects_symbolic_links_at_every_place() {
    use std::os::unix::fs::symlink;
    let (dir, store) = store();
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), dir.path().join("link")).unwrap();
    symlink(outside.path().join("x"), dir.path().join("file")).unwrap();
    symlink(outside.path().join("x"), dir.path().join("p.dunlin-part")).unwrap();
    assert_eq!(
        answer(&store, "link/x", 1),
        Answer::Refused(Problem::SymbolicLink)
    );
    assert_eq!(
        answer(&store, "file", 1),
        Answer::Refused(Problem::SymbolicLink)
    );
    assert_eq!(
        answer(&store, "p", 1),
        Answer::Refused(Problem::SymbolicLink)
    );
    assert_eq!(
        store.make_folder(&path("link/sub")),
        Err(Problem::SymbolicLink)
    );
    assert!(store.open_part(&path("p"), 0).is_err());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn a_part_is_continued_or_started_again_and_then_published() {
    let (dir, store) = store();
    let name = path("a");
    store
        .open_part(&name, 0)
        .unwrap()
        .write_all(b"12345")
        .unwrap();
    store.open_part(&name, 3).unwrap().write_all(b"xy").unwrap();
    let mut file = store.open_part(&name, 5).unwrap();
    assert_eq!(
        finished(&store.hash_part(&mut file, 5).unwrap()),
        *blake3::hash(b"123xy").as_bytes()
    );
    assert_eq!(
        store.open_part(&path("b"), 1).unwrap_err().kind(),
        io::ErrorKind::UnexpectedEof
    );
    store.publish(&name, &file, false).unwrap();
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"123xy");
    assert!(!dir.path().join("a.dunlin-part").exists());
}

#[test]
fn publishing_never_overwrites() {
    let (dir, store) = store();
    let file = store.open_part(&path("a"), 0).unwrap();
    fs::write(dir.path().join("a"), "mine").unwrap();
    assert_eq!(
        store.publish(&path("a"), &file, false),
        Err(Problem::Exists)
    );
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"mine");
}

#[test]
fn two_transfers_cannot_write_the_same_part() {
    let (_dir, store) = store();
    let held = store.open_part(&path("a"), 0).unwrap();
    let error = store.open_part(&path("a"), 0).unwrap_err();
    assert_eq!(problem_of(&error), Problem::Busy);
    drop(held);
    assert!(store.open_part(&path("a"), 0).is_ok());
}

#[cfg(unix)]
#[test]
fn an_executable_stays_executable_for_those_who_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, store) = store();
    let file = store.open_part(&path("run"), 0).unwrap();
    file.set_permissions(fs::Permissions::from_mode(0o640))
        .unwrap();
    store.publish(&path("run"), &file, true).unwrap();
    let mode = fs::metadata(dir.path().join("run"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o750);
}
