//! The writing thread, told everything in and out of turn.

use super::*;
use crate::transfer::error::abort_code;
use crate::transfer::inspect::inspect;
use crate::transfer::message::AbortCode;
use crate::transfer::path::TransferPath;
use crate::transfer::progress::Quiet;

fn file(path: &str, len: u64) -> Entry {
    let kind = EntryKind::File {
        len,
        executable: false,
    };
    Entry {
        path: TransferPath::parse(path).unwrap(),
        kind,
    }
}

/// A sink whose entries have been looked at and answered.
fn sink(folder: &std::path::Path, entries: Vec<Entry>) -> Sink {
    let entries: Arc<[Entry]> = entries.into();
    let (store, ledger) = (
        Store::new(folder.to_path_buf()),
        Arc::new(Ledger::new(entries.len())),
    );
    let (answers, _keep) = tokio::sync::mpsc::channel(entries.len());
    inspect(&entries, &store, &ledger, &answers);
    Sink::new(entries, store, ledger, Arc::new(Quiet))
}

fn data(bytes: &[u8]) -> Event {
    Event::Data(bytes.to_vec())
}

fn begin(index: u32, offset: u64) -> Event {
    Event::Message(Message::Begin { index, offset })
}

fn end(content: &[u8]) -> Event {
    Event::Message(Message::End {
        hash: *blake3::hash(content).as_bytes(),
    })
}

fn violation(result: Result<Option<Outcome>, TransferError>) -> Violation {
    match result {
        Err(TransferError::Violation(violation)) => violation,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_gets_its_name_only_when_its_hash_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = sink(dir.path(), vec![file("good", 3), file("bad", 3)]);
    for event in [begin(0, 0), data(b"ab"), data(b"c"), end(b"abc")] {
        assert_eq!(sink.handle(event).unwrap(), None);
    }
    for event in [begin(1, 0), data(b"abX"), end(b"abc")] {
        assert_eq!(sink.handle(event).unwrap(), None);
    }
    let outcome = sink
        .handle(Event::Message(Message::Complete))
        .unwrap()
        .unwrap();
    assert_eq!((outcome.written, outcome.written_bytes), (1, 3));
    assert_eq!(outcome.problems, [(1, Problem::Corrupt)]);
    let names: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|item| item.unwrap().file_name())
        .collect();
    assert_eq!(names, ["good"], "the corrupt part is gone");
}

#[test]
fn rejects_everything_out_of_turn() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("same"), "123").unwrap();
    let fresh = || sink(dir.path(), vec![file("new", 3), file("same", 3)]);
    let settle = |index, problem| Event::Message(Message::Settle { index, problem });
    let sequences: Vec<(Vec<Event>, Violation)> = vec![
        (vec![data(b"x")], Violation::Unexpected(Kind::Data)),
        (vec![end(b"")], Violation::OutOfTurn),
        (vec![begin(2, 0)], Violation::OutOfTurn),
        (vec![begin(u32::MAX, 0)], Violation::OutOfTurn),
        (vec![begin(0, 1)], Violation::OutOfTurn),
        (vec![begin(1, 0)], Violation::OutOfTurn),
        (vec![begin(0, 0), begin(0, 0)], Violation::OutOfTurn),
        (vec![begin(0, 0), data(b"1234")], Violation::WrongCount),
        (
            vec![begin(0, 0), data(b"12"), end(b"12")],
            Violation::WrongCount,
        ),
        (
            vec![begin(0, 0), data(b"123"), end(b"123"), begin(0, 0)],
            Violation::OutOfTurn,
        ),
        (vec![settle(0, None)], Violation::OutOfTurn),
        (vec![settle(1, None), settle(1, None)], Violation::OutOfTurn),
        (vec![settle(9, None)], Violation::OutOfTurn),
        (
            vec![Event::Message(Message::Abandon(Problem::Changed))],
            Violation::OutOfTurn,
        ),
        (
            vec![Event::Message(Message::Complete)],
            Violation::WrongCount,
        ),
        (
            vec![Event::Message(Message::Offer {
                version: 1,
                entries: 1,
                bytes: 0,
            })],
            Violation::Unexpected(Kind::Offer),
        ),
    ];
    for (number, (mut sequence, expected)) in sequences.into_iter().enumerate() {
        let mut sink = fresh();
        let last = sequence.pop().unwrap();
        for event in sequence {
            assert_eq!(sink.handle(event).unwrap(), None, "sequence {number}");
        }
        assert_eq!(violation(sink.handle(last)), expected, "sequence {number}");
        let _ = std::fs::remove_file(dir.path().join("new"));
        let _ = std::fs::remove_file(dir.path().join("new.dunlin-part"));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_the_transfer_with_its_own_code() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = sink(dir.path(), vec![file("a", 3)]);
    sink.handle(begin(0, 0)).unwrap();
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    sink.current.as_mut().unwrap().file = Some(full);
    let error = sink.handle(data(b"abc")).unwrap_err();
    assert!(
        matches!(
            &error,
            TransferError::Local {
                doing: Doing::Write,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(abort_code(&error), Some(AbortCode::DiskFull));
}

#[test]
fn a_busy_file_is_passed_over_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = sink(dir.path(), vec![file("a", 3), file("b", 1)]);
    let store = Store::new(dir.path().to_path_buf());
    let _held = store
        .open_part(&TransferPath::parse("a").unwrap(), 0)
        .unwrap();
    for event in [
        begin(0, 0),
        data(b"abc"),
        end(b"abc"),
        begin(1, 0),
        data(b"b"),
        end(b"b"),
    ] {
        assert_eq!(sink.handle(event).unwrap(), None);
    }
    let outcome = sink
        .handle(Event::Message(Message::Complete))
        .unwrap()
        .unwrap();
    assert_eq!(outcome.problems, [(0, Problem::Busy)]);
    assert_eq!(outcome.written, 1);
}
