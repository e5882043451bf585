//! Both ends together, over in-memory streams.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, split};

use super::limits::{DATA_LEN_MAX, ENTRIES_MAX, VERSION};
use super::message::{Entry, EntryKind, Message};
use super::path::TransferPath;
use super::*;

/// Counts what passes and breaks after so many bytes.
struct Breaking<W> {
    inner: W,
    left: u64,
    passed: Arc<AtomicU64>,
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Breaking<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let len = data
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let written = std::task::ready!(Pin::new(&mut self.inner).poll_write(cx, &data[..len]))?;
        self.left -= written as u64;
        self.passed.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

type Result2 = (
    Result<Outcome, TransferError>,
    Result<Outcome, TransferError>,
    u64,
);

/// Sends `from` into `to` over a stream that breaks after `limit` bytes. Returns what the sender
/// and the receiver say, and how many bytes the sender wrote.
async fn transfer(from: &Path, to: &Path, limit: u64) -> Result2 {
    let manifest = Arc::new(Manifest::scan(from, &Quiet).unwrap());
    let (here, there) = tokio::io::duplex(64 * 1024);
    let (passed, to) = (Arc::new(AtomicU64::new(0)), to.to_path_buf());
    let receiver = tokio::spawn(async move {
        let (reader, writer) = split(there);
        let incoming = Incoming::accept(reader, writer).await?;
        incoming
            .receive(to, Arc::new(Quiet), Stopper::default())
            .await
    });
    let (reader, writer) = split(here);
    let writer = Breaking {
        inner: writer,
        left: limit,
        passed: Arc::clone(&passed),
    };
    let sent = send(reader, writer, manifest, Arc::new(Quiet)).await;
    (
        sent,
        receiver.await.unwrap(),
        passed.load(Ordering::Relaxed),
    )
}

async fn transfer_all(from: &Path, to: &Path) -> (Outcome, u64) {
    let (sent, received, passed) = transfer(from, to, u64::MAX).await;
    let outcome = sent.unwrap();
    assert_eq!(outcome, received.unwrap(), "both ends say the same");
    (outcome, passed)
}

/// Every path below `folder` with its content; `None` for folders.
fn content(folder: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(current) = open.pop() {
        for item in fs::read_dir(current).unwrap() {
            let path = item.unwrap().path();
            let name = path
                .strip_prefix(folder)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            if path.is_dir() {
                found.insert(name, None);
                open.push(path);
            } else {
                found.insert(name, Some(fs::read(path).unwrap()));
            }
        }
    }
    found
}

/// Bytes without a pattern that a shifted copy would match.
fn noise(len: usize, seed: &str) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(seed.as_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

#[tokio::test]
async fn a_tree_of_thousands_of_files_arrives_whole() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = from.path().join("tree");
    for number in 0..2_100 {
        let folder = root.join(format!("{}/{}", number % 7, number % 50));
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join(format!("{number}.txt")),
            noise(number % 300, "small"),
        )
        .unwrap();
    }
    fs::create_dir_all(root.join("empty/inside")).unwrap();
    fs::write(root.join("Größe"), noise(2 * DATA_LEN_MAX + 17, "large")).unwrap();
    let (outcome, _) = transfer_all(&root, to.path()).await;
    assert_eq!((outcome.written, outcome.problem_count), (2_101, 0));
    assert_eq!(content(to.path()), content(from.path()));
}

#[tokio::test]
async fn files_at_every_edge_of_a_frame_arrive_whole() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = from.path().join("edges");
    fs::create_dir(&root).unwrap();
    for len in [
        0,
        1,
        DATA_LEN_MAX - 1,
        DATA_LEN_MAX,
        DATA_LEN_MAX + 1,
        2 * DATA_LEN_MAX,
    ] {
        fs::write(root.join(len.to_string()), noise(len, "edge")).unwrap();
    }
    transfer_all(&root, to.path()).await;
    assert_eq!(content(to.path()), content(from.path()));
}

#[tokio::test]
async fn an_interrupted_file_continues_where_it_stopped() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = from.path().join("file");
    let len = 5 * DATA_LEN_MAX;
    fs::write(&path, noise(len, "file")).unwrap();
    let half = len as u64 / 2;
    let (sent, received, _) = transfer(&path, to.path(), half).await;
    assert!(
        matches!(sent, Err(TransferError::Connection(_))),
        "{sent:?}"
    );
    assert!(
        matches!(received, Err(TransferError::Connection(_))),
        "{received:?}"
    );
    let held = fs::metadata(to.path().join("file.dunlin-part"))
        .unwrap()
        .len();
    assert!(held > 0 && held <= half, "{held}");

    let (outcome, passed) = transfer_all(&path, to.path()).await;
    assert_eq!((outcome.written, outcome.written_bytes), (1, len as u64));
    assert!(
        passed < len as u64 - held + 10_000,
        "{passed} bytes for the rest after {held}"
    );
    assert_eq!(content(to.path()), content(from.path()));
}

#[tokio::test]
async fn an_interrupted_tree_sends_nothing_twice() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = from.path().join("tree");
    fs::create_dir(&root).unwrap();
    for number in 0..40 {
        fs::write(
            root.join(number.to_string()),
            noise(100_000, &number.to_string()),
        )
        .unwrap();
    }
    transfer(&root, to.path(), 2_000_000).await.0.unwrap_err();
    let (outcome, passed) = transfer_all(&root, to.path()).await;
    assert!(
        outcome.same > 0 && outcome.same + outcome.written == 40,
        "{outcome:?}"
    );
    assert!(passed < 2_300_000, "{passed}");
    assert_eq!(content(to.path()), content(from.path()));
}

#[tokio::test]
async fn a_file_that_changed_since_the_interruption_starts_again() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = from.path().join("file");
    let len = 3 * DATA_LEN_MAX;
    fs::write(&path, noise(len, "old")).unwrap();
    transfer(&path, to.path(), 2 * DATA_LEN_MAX as u64)
        .await
        .0
        .unwrap_err();
    assert!(to.path().join("file.dunlin-part").exists());
    fs::write(&path, noise(len, "new")).unwrap();
    let (outcome, passed) = transfer_all(&path, to.path()).await;
    assert_eq!(outcome.written, 1);
    assert!(passed > len as u64);
    assert_eq!(content(to.path()), content(from.path()));
}

#[tokio::test]
async fn a_complete_part_needs_only_its_name() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = from.path().join("file");
    fs::write(&path, noise(DATA_LEN_MAX, "x")).unwrap();
    fs::copy(&path, to.path().join("file.dunlin-part")).unwrap();
    let (outcome, passed) = transfer_all(&path, to.path()).await;
    assert_eq!(outcome.written, 1);
    assert!(passed < 1_000, "{passed}");
    assert_eq!(content(to.path()), content(from.path()));
}

#[tokio::test]
async fn an_identical_file_is_skipped_and_a_different_one_is_left_alone() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = from.path().join("tree");
    fs::create_dir_all(&root).unwrap();
    for name in ["same", "longer", "other"] {
        fs::write(root.join(name), "12345").unwrap();
    }
    fs::create_dir(to.path().join("tree")).unwrap();
    fs::write(to.path().join("tree/same"), "12345").unwrap();
    fs::write(to.path().join("tree/longer"), "123456").unwrap();
    fs::write(to.path().join("tree/other"), "54321").unwrap();
    let before = content(to.path());
    let (outcome, _) = transfer_all(&root, to.path()).await;
    assert_eq!(
        (outcome.written, outcome.same, outcome.problem_count),
        (0, 1, 2)
    );
    assert!(
        outcome
            .problems
            .iter()
            .all(|(_, problem)| *problem == Problem::Exists)
    );
    assert_eq!(content(to.path()), before);
}

#[cfg(unix)]
#[tokio::test]
async fn permission_to_execute_travels_and_an_unreadable_file_is_reported() {
    use std::os::unix::fs::PermissionsExt;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = from.path().join("tree");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("run"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(root.join("secret"), "x").unwrap();
    fs::set_permissions(root.join("secret"), fs::Permissions::from_mode(0o000)).unwrap();
    let readable_all_the_same = fs::File::open(root.join("secret")).is_ok();
    let (outcome, _) = transfer_all(&root, to.path()).await;
    let mode = fs::metadata(to.path().join("tree/run"))
        .unwrap()
        .permissions()
        .mode();
    assert_ne!(mode & 0o100, 0);
    // For the superuser nothing is unreadable.
    let problems = if readable_all_the_same {
        vec![]
    } else {
        vec![(2, Problem::Unreadable)]
    };
    assert_eq!(outcome.problems, problems);
}

#[tokio::test]
async fn a_stopped_receiver_tells_the_sender_why() {
    let from = tempfile::tempdir().unwrap();
    let to = tempfile::tempdir().unwrap();
    let path = from.path().join("file");
    fs::write(&path, noise(3 * DATA_LEN_MAX, "x")).unwrap();
    let manifest = Arc::new(Manifest::scan(&path, &Quiet).unwrap());
    let (here, there) = tokio::io::duplex(1_024);
    let stopper = Stopper::default();
    let (stop, folder) = (stopper.clone(), to.path().to_path_buf());
    let receiver = tokio::spawn(async move {
        let (reader, writer) = split(there);
        let incoming = Incoming::accept(reader, writer).await?;
        stop.stop(AbortCode::Superseded);
        stop.stop(AbortCode::Stopped);
        incoming.receive(folder, Arc::new(Quiet), stopper).await
    });
    let (reader, writer) = split(here);
    let sent = send(reader, writer, manifest, Arc::new(Quiet)).await;
    assert!(
        matches!(sent, Err(TransferError::Aborted(AbortCode::Superseded))),
        "{sent:?}"
    );
    let received = receiver.await.unwrap();
    assert!(
        matches!(received, Err(TransferError::GaveUp(AbortCode::Superseded))),
        "{received:?}"
    );
}

/// Feeds raw bytes to a receiver; returns its verdict and what it wrote back.
async fn receive_bytes(bytes: Vec<u8>, folder: &Path) -> (Result<Outcome, TransferError>, Vec<u8>) {
    let (mut here, there) = tokio::io::duplex(4 << 20);
    let folder = folder.to_path_buf();
    let receiver = tokio::spawn(async move {
        let (reader, writer) = split(there);
        let incoming = Incoming::accept(reader, writer).await?;
        incoming
            .receive(folder, Arc::new(Quiet), Stopper::default())
            .await
    });
    // The receiver may hang up in the middle; its verdict is what counts.
    let _ = here.write_all(&bytes).await;
    let _ = here.shutdown().await;
    let mut replies = Vec::new();
    let _ = here.read_to_end(&mut replies).await;
    (receiver.await.unwrap(), replies)
}

fn frames(messages: &[Message]) -> Vec<u8> {
    let mut bytes = Vec::new();
    messages
        .iter()
        .for_each(|message| message.encode(&mut bytes));
    bytes
}

fn entry(path: &str, len: u64) -> Entry {
    let kind = EntryKind::File {
        len,
        executable: false,
    };
    Entry {
        path: TransferPath::parse(path).unwrap(),
        kind,
    }
}

#[tokio::test]
async fn rejects_offers_that_do_not_add_up_and_says_so() {
    let to = tempfile::tempdir().unwrap();
    let offer = |entries, bytes| Message::Offer {
        version: VERSION,
        entries,
        bytes,
    };
    let list = |entries: &[Entry]| Message::Manifest(entries.to_vec());
    let violation = |violation| (AbortCode::Violation, Some(violation));
    let conversations = [
        (vec![offer(0, 0)], violation(Violation::WrongCount)),
        (
            vec![offer(1, 5), list(&[entry("a", 4)])],
            violation(Violation::WrongCount),
        ),
        (
            vec![offer(1, 0), list(&[entry("a", 0), entry("a/b", 0)])],
            violation(Violation::WrongCount),
        ),
        (
            vec![offer(2, 0), list(&[entry("a", 0), entry("a", 0)])],
            violation(Violation::DuplicatePath),
        ),
        (
            vec![offer(2, 0), list(&[entry("a", 0), entry("b", 0)])],
            violation(Violation::DuplicatePath),
        ),
        (
            vec![list(&[entry("a", 0)])],
            violation(Violation::Unexpected(message::Kind::Manifest)),
        ),
        (vec![offer(ENTRIES_MAX + 1, 0)], (AbortCode::TooLarge, None)),
        (
            vec![Message::Offer {
                version: 2,
                entries: 1,
                bytes: 0,
            }],
            (AbortCode::Version, None),
        ),
    ];
    for (messages, (code, expected)) in conversations {
        let (received, replies) = receive_bytes(frames(&messages), to.path()).await;
        match (received, expected) {
            (Err(TransferError::Violation(found)), Some(violation)) => assert_eq!(found, violation),
            (Err(TransferError::GaveUp(found)), None) => assert_eq!(found, code),
            (other, _) => panic!("{messages:?}: {other:?}"),
        }
        assert_eq!(replies, frames(&[Message::Abort(code)]), "{messages:?}");
    }
}

#[tokio::test]
async fn rejects_a_sender_that_answers_more_than_was_asked() {
    let from = tempfile::tempdir().unwrap();
    fs::write(from.path().join("a"), "x").unwrap();
    let manifest = Arc::new(Manifest::scan(&from.path().join("a"), &Quiet).unwrap());
    let answers = Message::Answers(vec![message::Answer::SendAll; 2]);
    let replies: &[u8] = &frames(&[answers]);
    let sent = send(replies, tokio::io::sink(), manifest, Arc::new(Quiet)).await;
    assert!(
        matches!(sent, Err(TransferError::Violation(Violation::WrongCount))),
        "{sent:?}"
    );
}

/// A stream that takes everything and then fails to end, as one does whose reader has gone.
struct NoEnd;

impl AsyncWrite for NoEnd {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }
}

#[tokio::test]
async fn an_outcome_counts_though_the_receiver_has_stopped_reading() {
    let from = tempfile::tempdir().unwrap();
    fs::write(from.path().join("a"), "x").unwrap();
    let manifest = Arc::new(Manifest::scan(&from.path().join("a"), &Quiet).unwrap());
    let (mut there, here) = tokio::io::duplex(1_024);
    let answers = Message::Answers(vec![message::Answer::SendAll]);
    there.write_all(&frames(&[answers])).await.unwrap();
    let sending = tokio::spawn(send(here, NoEnd, Arc::clone(&manifest), Arc::new(Quiet)));
    // The file thread has ended when it has let go of the manifest; then the stream is ended, too.
    while Arc::strong_count(&manifest) > 1 {
        tokio::task::yield_now().await;
    }
    let outcome = Outcome {
        written: 1,
        written_bytes: 1,
        ..Outcome::default()
    };
    there
        .write_all(&frames(&[Message::Outcome(outcome.clone())]))
        .await
        .unwrap();
    assert_eq!(sending.await.unwrap().unwrap(), outcome);
}

/// A stream that has nothing to say and never ends.
struct Silent;

impl AsyncRead for Silent {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn dropping_a_transfer_ends_its_threads() {
    let from = tempfile::tempdir().unwrap();
    fs::write(from.path().join("a"), "x").unwrap();
    let manifest = Arc::new(Manifest::scan(&from.path().join("a"), &Quiet).unwrap());
    let sending = send(
        Silent,
        tokio::io::sink(),
        Arc::clone(&manifest),
        Arc::new(Quiet),
    );
    let mut sending = Box::pin(sending);
    // Polled once, so that the thread exists.
    assert!(futures_once(sending.as_mut()).await.is_none());
    drop(sending);
    // The thread holds the manifest until it ends.
    while Arc::strong_count(&manifest) > 1 {
        tokio::task::yield_now().await;
    }
}

async fn futures_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn hostile_senders_never_write_outside_the_folder(
        messages in proptest::collection::vec(message::tests::message(), 0..12),
        tail in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("inbox");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let start = [
            Message::Offer { version: VERSION, entries: 2, bytes: 3 },
            Message::Manifest(vec![
                Entry { path: TransferPath::parse("d").unwrap(), kind: EntryKind::Folder },
                entry("d/a", 3),
            ]),
        ];
        let bytes = [frames(&start), frames(&messages), tail].concat();
        // The manifest is good, what follows is not.
        let (received, _) = runtime.block_on(receive_bytes(bytes, &folder));
        prop_assert!(received.is_err());
        let found: Vec<_> = content(parent.path()).into_keys().collect();
        prop_assert!(
            found.iter().all(|path| ["inbox", "inbox/d", "inbox/d/a.dunlin-part"].contains(&path.as_str())),
            "{:?}", found
        );
    }
}
