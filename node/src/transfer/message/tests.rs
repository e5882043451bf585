//! Every message round-trips, and nothing malformed is accepted.

use super::*;
use crate::transfer::path::PathError;
use proptest::collection::vec;
use proptest::prelude::*;

fn problem() -> impl Strategy<Value = Problem> {
    prop::sample::select(Problem::ALL.to_vec())
}

fn entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![
        Just(EntryKind::Folder),
        (0..=FILE_LEN_MAX, any::<bool>())
            .prop_map(|(len, executable)| EntryKind::File { len, executable }),
    ];
    ("[a-zä]{1,9}(/[a-z .]{0,5}[a-z]){0,3}", kind).prop_map(|(path, kind)| Entry {
        path: TransferPath::parse(&path).unwrap(),
        kind,
    })
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        Just(Answer::FolderReady),
        Just(Answer::SendAll),
        any::<(u64, Hash)>().prop_map(|(len, hash)| Answer::HavePrefix { len, hash }),
        any::<Hash>().prop_map(|hash| Answer::HaveWhole { hash }),
        problem().prop_map(Answer::Refused),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let problems = vec((any::<u32>(), problem()), 0..100);
    (0..1000_u32, any::<u64>(), 0..1000_u32, problems).prop_map(
        |(written, written_bytes, same, problems)| {
            let mut outcome = Outcome {
                written,
                written_bytes,
                same,
                ..Outcome::default()
            };
            for (index, problem) in problems {
                outcome.add_problem(index, problem);
            }
            outcome
        },
    )
}

/// Any valid message.
pub(crate) fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        any::<(u16, u32, u64)>().prop_map(|(version, entries, bytes)| Message::Offer {
            version,
            entries,
            bytes
        }),
        vec(entry(), 1..20).prop_map(Message::Manifest),
        vec(answer(), 1..20).prop_map(Message::Answers),
        any::<(u32, u64)>().prop_map(|(index, offset)| Message::Begin { index, offset }),
        any::<Hash>().prop_map(|hash| Message::End { hash }),
        problem().prop_map(Message::Abandon),
        (any::<u32>(), prop::option::of(problem()))
            .prop_map(|(index, problem)| Message::Settle { index, problem }),
        Just(Message::Complete),
        outcome().prop_map(Message::Outcome),
        prop::sample::select(AbortCode::ALL.to_vec()).prop_map(Message::Abort),
    ]
}

fn decode(frame: &[u8]) -> Result<Message, Violation> {
    let (head, body) = frame.split_first_chunk::<HEAD_LEN>().unwrap();
    let head = Head::decode(*head)?;
    assert_eq!(head.len, body.len());
    Message::decode(head.kind, body)
}

proptest! {
    #[test]
    fn every_message_round_trips(message in message()) {
        let mut frame = Vec::new();
        message.encode(&mut frame);
        prop_assert_eq!(decode(&frame), Ok(message));
    }

    #[test]
    fn rejects_every_message_cut_short_or_with_a_byte_too_many(message in message()) {
        let mut frame = Vec::new();
        message.encode(&mut frame);
        let body = &frame[HEAD_LEN..];
        for len in 0..body.len() {
            // A list cut between two items is a shorter list.
            if let Ok(shorter) = Message::decode(message.kind(), &body[..len]) {
                prop_assert!(matches!(shorter, Message::Manifest(_) | Message::Answers(_)));
            }
        }
        let longer = [body, &[0xff]].concat();
        prop_assert!(Message::decode(message.kind(), &longer).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        crate::transfer::fuzzing::transfer_messages(&bytes);
    }
}

#[test]
fn heads_are_accepted_at_the_limit_and_rejected_one_past_it() {
    for kind in Kind::ALL {
        let limit = u32::try_from(kind.body_len_max()).unwrap();
        let head = |len: u32| {
            let [a, b, c, d] = len.to_be_bytes();
            Head::decode([kind as u8, a, b, c, d])
        };
        assert_eq!(
            head(limit),
            Ok(Head {
                kind,
                len: limit as usize
            })
        );
        assert_eq!(head(limit + 1), Err(Violation::FrameTooLarge(kind)));
    }
    assert_eq!(Head::decode([0; 5]), Err(Violation::UnknownFrame(0)));
    assert_eq!(
        Head::decode([12, 0, 0, 0, 0]),
        Err(Violation::UnknownFrame(12))
    );
}

#[test]
fn rejects_a_manifest_with_an_unsafe_path_or_an_impossible_length() {
    let entry = |kind: u8, executable: u8, len: u64, path: &[u8]| {
        let mut body = vec![kind, executable];
        body.extend_from_slice(&len.to_be_bytes());
        body.extend_from_slice(&u16::try_from(path.len()).unwrap().to_be_bytes());
        body.extend_from_slice(path);
        Message::decode(Kind::Manifest, &body)
    };
    let bad = Err(Violation::BadBody(Kind::Manifest));
    assert!(entry(1, 1, FILE_LEN_MAX, b"a").is_ok());
    assert_eq!(entry(1, 0, FILE_LEN_MAX + 1, b"a"), bad);
    assert_eq!(entry(0, 0, 1, b"a"), bad, "a folder has no length");
    assert_eq!(entry(0, 1, 0, b"a"), bad, "a folder is not executable");
    assert_eq!(entry(2, 0, 0, b"a"), bad);
    assert_eq!(entry(1, 0, 0, b"\xff"), bad);
    assert_eq!(
        entry(1, 0, 0, b"../a"),
        Err(Violation::UnsafePath(PathError::Dots))
    );
}

#[test]
fn an_outcome_names_problems_up_to_the_limit_and_counts_the_rest() {
    let mut outcome = Outcome::default();
    for index in 0..=u32::try_from(PROBLEMS_MAX).unwrap() {
        outcome.add_problem(index, Problem::Busy);
    }
    assert_eq!(outcome.problems.len(), PROBLEMS_MAX);
    assert_eq!(outcome.problem_count as usize, PROBLEMS_MAX + 1);
    let mut frame = Vec::new();
    Message::Outcome(outcome.clone()).encode(&mut frame);
    assert_eq!(decode(&frame), Ok(Message::Outcome(outcome)));
}

#[test]
fn the_bytes_of_a_begin_frame_are_those_of_the_specification() {
    let mut frame = Vec::new();
    Message::Begin {
        index: 7,
        offset: 0x0102,
    }
    .encode(&mut frame);
    assert_eq!(frame, [4, 0, 0, 0, 12, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 1, 2]);
}
