//! Transfers in words: what a person is told when one fails or has problems.

use std::io;

use dunlin_transport::{CloseReason, ReadError, WriteError};

use super::error::{Doing, TransferError};
use super::message::{AbortCode, Entry, Outcome, Problem};
use crate::failure::{Exit, Failure, plain_reason};

/// Which end this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It sends.
    Sender,
    /// It receives.
    Receiver,
}

impl End {
    fn other(self) -> &'static str {
        match self {
            Self::Sender => "receiver",
            Self::Receiver => "sender",
        }
    }
}

/// The failure for a transfer that ended early.
#[must_use]
pub fn failure(error: &TransferError, end: End) -> Failure {
    let (exit, sentence) = match error {
        TransferError::Local {
            doing,
            path,
            source,
        } => (
            Exit::Local,
            format!(
                "cannot {} {}: {}; {}",
                doing.verb(),
                path.display(),
                plain_reason(source),
                local_advice(*doing, source.kind())
            ),
        ),
        TransferError::NameNotUtf8(path) => (
            Exit::Local,
            format!(
                "the name of {} is not UTF-8, so the other end could not write it; rename it and send again",
                path.to_string_lossy().escape_debug()
            ),
        ),
        TransferError::NameNotPossible(path, rule) => (
            Exit::Local,
            format!(
                "cannot send {}: {rule}; rename it and send again",
                path.display()
            ),
        ),
        TransferError::NotSendable(path) => (
            Exit::Local,
            format!(
                "{} is neither a file nor a named folder; name one of these",
                path.display()
            ),
        ),
        TransferError::TooManyEntries => (
            Exit::Local,
            "that is too much for one transfer; send its folders one by one, or pack them".into(),
        ),
        TransferError::Violation(rule) => (
            Exit::Failed,
            format!(
                "the {} does not speak the protocol of this version ({rule}); use the same version of dunlin at both ends",
                end.other()
            ),
        ),
        TransferError::Aborted(code) => aborted(*code, end),
        TransferError::GaveUp(code) => gave_up(*code),
        TransferError::Connection(error) => (
            Exit::Unreachable,
            format!(
                "the {} in mid-transfer; what has arrived is kept, run the same command again to continue",
                lost(error, end)
            ),
        ),
    };
    Failure::new(exit, sentence)
}

/// Why the connection ended, as a stream's error says it.
fn closed(error: &io::Error) -> Option<&CloseReason> {
    let inner = error.get_ref()?;
    match (inner.downcast_ref(), inner.downcast_ref()) {
        (Some(WriteError::Closed(reason)), _) | (_, Some(ReadError::Closed(reason))) => {
            Some(reason)
        }
        _ => inner.downcast_ref(),
    }
}

/// How the connection was lost.
fn lost(error: &io::Error, end: End) -> String {
    match closed(error) {
        Some(CloseReason::PeerRestarted) => format!("{} was restarted", end.other()),
        _ => format!("connection to the {} was lost", end.other()),
    }
}

/// The failure for a transfer that ran to its end with problems; `None` when all is well.
#[must_use]
pub fn problems(outcome: &Outcome, entries: &[Entry]) -> Option<Failure> {
    let (index, first) = outcome.problems.first()?;
    let path = entries
        .get(*index as usize)
        .map(|entry| entry.path.to_string());
    let corrupt = outcome
        .problems
        .iter()
        .any(|(_, problem)| *problem == Problem::Corrupt);
    let exit = if corrupt {
        Exit::Integrity
    } else {
        Exit::Local
    };
    let more = match outcome.problem_count {
        0 | 1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    let path = path.unwrap_or_default();
    Some(Failure::new(
        exit,
        format!("{path} did not arrive{more}: {}", advice(*first)),
    ))
}

/// What happened to one entry and what to do about it.
#[must_use]
pub fn advice(problem: Problem) -> &'static str {
    match problem {
        Problem::Exists => {
            "the receiver has a different file of that name; move it away or receive into another folder"
        }
        Problem::NotAFolder => {
            "the receiver has something else where a folder is needed; move it away"
        }
        Problem::NotAFile => {
            "the receiver has something of that name that is no file; move it away"
        }
        Problem::SymbolicLink => {
            "a symbolic link is in the way at the receiver; remove it or receive into another folder"
        }
        Problem::NotPermitted => {
            "the receiver may not write there; correct the permissions or receive into another folder"
        }
        Problem::Busy => "another transfer is writing that file; wait for it, then send again",
        Problem::NotWritable => {
            "the receiver's system refused the name or the write; look at its messages"
        }
        Problem::Corrupt => {
            "its hash was wrong on arrival, so it was thrown away; send it again, and check the disks and memory if it repeats"
        }
        Problem::Unreadable => {
            "the sender could not read it; correct its permissions and send again"
        }
        Problem::Changed => "it changed while it was sent; send it again when nobody writes to it",
    }
}

fn local_advice(doing: Doing, kind: io::ErrorKind) -> &'static str {
    use std::io::ErrorKind;
    match (doing, kind) {
        (_, ErrorKind::StorageFull) => "free some space and send again, it will continue",
        (_, ErrorKind::QuotaExceeded) => "free some of your quota and send again, it will continue",
        (_, ErrorKind::FileTooLarge) => {
            "the file is larger than the file system or `ulimit -f` allows; receive into another folder"
        }
        (Doing::Read, ErrorKind::NotFound) => "check the spelling of the path",
        (Doing::Read, _) => "check its permissions",
        (Doing::Write, _) => "check the permissions of the folder, or choose another with --out",
    }
}

fn aborted(code: AbortCode, end: End) -> (Exit, String) {
    let other = end.other();
    match code {
        AbortCode::DiskFull => (
            Exit::Local,
            format!(
                "the disk of the {other} is full; free space there and send again, it will continue"
            ),
        ),
        AbortCode::QuotaExceeded => (
            Exit::Local,
            format!(
                "the quota of the {other} is used up; free space there and send again, it will continue"
            ),
        ),
        AbortCode::FileTooLarge => (
            Exit::Local,
            format!(
                "a file is larger than the {other}'s file system or limits allow; receive into another folder"
            ),
        ),
        AbortCode::WriteFailed => (
            Exit::Local,
            format!("the {other} cannot write its files; look at its message, then send again"),
        ),
        AbortCode::TooLarge => (
            Exit::Refused,
            format!(
                "the {other} refused so many files at once; send the folders one by one, or pack them"
            ),
        ),
        AbortCode::Version => (
            Exit::Refused,
            format!(
                "the {other} speaks another version of the protocol; use the same version of dunlin at both ends"
            ),
        ),
        AbortCode::Violation => (
            Exit::Failed,
            format!(
                "the {other} did not understand this end; use the same version of dunlin at both ends"
            ),
        ),
        AbortCode::Superseded => (
            Exit::Refused,
            "a newer transfer of the same files from here took over; watch that one".into(),
        ),
        AbortCode::Stopped => (
            Exit::Refused,
            format!("the {other} was stopped; what has arrived is kept, send again to continue"),
        ),
    }
}

fn gave_up(code: AbortCode) -> (Exit, String) {
    match code {
        AbortCode::Version => (
            Exit::Refused,
            "the sender speaks another version of the protocol; use the same version of dunlin at both ends".into(),
        ),
        AbortCode::Superseded => {
            (Exit::Refused, "a newer transfer of the same files took over".into())
        }
        AbortCode::TooLarge => (Exit::Refused, "the sender offered too many files at once".into()),
        AbortCode::DiskFull
        | AbortCode::QuotaExceeded
        | AbortCode::FileTooLarge
        | AbortCode::WriteFailed
        | AbortCode::Violation
        | AbortCode::Stopped => {
            (Exit::Interrupted, "stopped in mid-transfer; what has arrived is kept".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::message::EntryKind;
    use crate::transfer::path::TransferPath;
    use std::io;
    use std::path::PathBuf;

    #[test]
    fn a_full_disk_is_one_sentence_at_each_end() {
        let error = TransferError::Local {
            doing: Doing::Write,
            path: PathBuf::from("inbox/a"),
            source: io::ErrorKind::StorageFull.into(),
        };
        let here = failure(&error, End::Receiver);
        assert_eq!(here.exit(), Exit::Local);
        assert!(here.to_string().contains("inbox/a"), "{here}");
        assert!(here.to_string().contains("free some space"), "{here}");
        let there = failure(&TransferError::Aborted(AbortCode::DiskFull), End::Sender);
        assert_eq!(there.exit(), Exit::Local);
        assert!(
            there
                .to_string()
                .contains("the disk of the receiver is full"),
            "{there}"
        );
    }

    #[test]
    fn a_wrong_hash_is_an_integrity_failure_and_anything_else_a_local_one() {
        let entries = [Entry {
            path: TransferPath::parse("a\u{7}").unwrap(),
            kind: EntryKind::File {
                len: 1,
                executable: false,
            },
        }];
        let mut outcome = Outcome::default();
        assert_eq!(problems(&outcome, &entries), None);
        outcome.add_problem(0, Problem::Exists);
        assert_eq!(problems(&outcome, &entries).unwrap().exit(), Exit::Local);
        outcome.add_problem(0, Problem::Corrupt);
        let failure = problems(&outcome, &entries).unwrap();
        assert_eq!(failure.exit(), Exit::Integrity);
        let sentence = failure.to_string();
        assert!(
            sentence.starts_with("a\\u{7} did not arrive (and 1 more): "),
            "{sentence}"
        );
    }

    #[test]
    fn a_lost_connection_says_how_to_continue() {
        let lost = TransferError::Connection(io::ErrorKind::ConnectionReset.into());
        let failure = failure(&lost, End::Sender);
        assert_eq!(failure.exit(), Exit::Unreachable);
        assert!(
            failure.to_string().contains("run the same command again"),
            "{failure}"
        );
    }

    #[test]
    fn a_name_that_is_not_utf8_is_shown_without_control_characters() {
        let error = TransferError::NameNotUtf8(PathBuf::from("a\u{1b}b"));
        assert!(!failure(&error, End::Sender).to_string().contains('\u{1b}'));
    }
}
