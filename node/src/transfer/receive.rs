//! The receiver's end of a transfer.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use super::error::{Doing, TransferError, Violation, abort_code};
use super::frames::{Frame, FrameReader, write_message};
use super::inspect::{Ledger, inspect};
use super::limits::{CHUNKS_IN_FLIGHT, ENTRIES_MAX, PATH_BYTES_MAX, VERSION};
use super::message::{AbortCode, Answer, Entry, EntryKind, Kind, Message, Outcome};
use super::progress::Progress;
use super::sink::{Event, Sink};
use super::store::Store;

/// What a sender wants to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offered {
    entries: Arc<[Entry]>,
    bytes: u64,
}

impl Offered {
    /// The entries: folders before what is in them, each path once.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The name under which it arrives: the first name of the first path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.entries
            .first()
            .and_then(|entry| entry.path.names().next())
            .unwrap_or_default()
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of files.
    #[must_use]
    pub fn files(&self) -> u32 {
        let files = self
            .entries
            .iter()
            .filter(|entry| entry.kind != EntryKind::Folder)
            .count();
        u32::try_from(files).unwrap_or(u32::MAX)
    }
}

/// A transfer whose list has arrived and of which nothing has been written yet.
#[derive(Debug)]
pub struct Incoming<R, W> {
    frames: FrameReader<R>,
    writer: W,
    offered: Offered,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Incoming<R, W> {
    /// Reads the offer and the list of entries.
    ///
    /// # Errors
    /// When the stream fails or the sender breaks the protocol; it has then been told.
    pub async fn accept(reader: R, mut writer: W) -> Result<Self, TransferError> {
        let mut frames = FrameReader::new(reader);
        match read_offer(&mut frames).await {
            Ok(offered) => Ok(Self {
                frames,
                writer,
                offered,
            }),
            Err(error) => {
                tell(&mut writer, &error).await;
                Err(error)
            }
        }
    }

    /// What is offered.
    #[must_use]
    pub fn offered(&self) -> &Offered {
        &self.offered
    }

    /// Declines the transfer.
    pub async fn decline(mut self, code: AbortCode) {
        tell(&mut self.writer, &TransferError::GaveUp(code)).await;
    }

    /// Receives into `folder`, which is made when it is missing, and returns what became of each
    /// file. Must be called inside a tokio runtime. Dropping the future stops the transfer and
    /// keeps what has arrived; unlike a drop, [`Stopper::stop`]'s reason reaches the sender.
    ///
    /// # Errors
    /// When the stream fails, the sender breaks the protocol or the disk takes no more.
    pub async fn receive(
        mut self,
        folder: PathBuf,
        progress: Arc<dyn Progress>,
        stopper: Stopper,
    ) -> Result<Outcome, TransferError> {
        progress.started(self.offered.files(), self.offered.bytes);
        let (writing_ends, writing_ended) = oneshot::channel();
        let received = tokio::select! {
            received = receive_entries(
                &mut self.frames, &mut self.writer, &self.offered, folder, progress, writing_ends,
            ) => received,
            code = stopper.stopped() => Err(TransferError::GaveUp(code)),
        };
        // The thread may be in the middle of a write. Whoever takes over needs its files closed;
        // the sending half of the channel is dropped with them.
        let _ = writing_ended.await;
        match &received {
            Ok(outcome) => {
                write_message(&mut self.writer, &Message::Outcome(outcome.clone())).await?;
                self.writer
                    .shutdown()
                    .await
                    .map_err(TransferError::Connection)?;
            }
            Err(error) => tell(&mut self.writer, error).await,
        }
        received
    }
}

/// Lets somebody else end a transfer with a reason.
#[derive(Clone, Debug)]
pub struct Stopper {
    reason: tokio::sync::watch::Sender<Option<AbortCode>>,
}

impl Default for Stopper {
    fn default() -> Self {
        Self {
            reason: tokio::sync::watch::channel(None).0,
        }
    }
}

impl Stopper {
    /// Ends the transfer. Only the first reason counts.
    pub fn stop(&self, code: AbortCode) {
        self.reason.send_if_modified(|reason| {
            let first = reason.is_none();
            reason.get_or_insert(code);
            first
        });
    }

    /// Waits for [`Self::stop`].
    pub async fn stopped(&self) -> AbortCode {
        let mut reason = self.reason.subscribe();
        loop {
            if let Some(code) = *reason.borrow_and_update() {
                return code;
            }
            if reason.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

async fn read_offer<R: AsyncRead + Unpin>(
    frames: &mut FrameReader<R>,
) -> Result<Offered, TransferError> {
    let (count, bytes) = match frames.next().await? {
        Frame::Message(Message::Offer { version, .. }) if version != VERSION => {
            return Err(TransferError::GaveUp(AbortCode::Version));
        }
        Frame::Message(Message::Offer { entries, bytes, .. }) => (entries, bytes),
        Frame::Message(message) => return Err(Violation::Unexpected(message.kind()).into()),
        Frame::Data(_) => return Err(Violation::Unexpected(Kind::Data).into()),
    };
    if count > ENTRIES_MAX {
        return Err(TransferError::GaveUp(AbortCode::TooLarge));
    }
    if count == 0 {
        return Err(Violation::WrongCount.into());
    }
    let mut list = ManifestReader::default();
    while list.entries.len() < count as usize {
        match frames.next().await? {
            Frame::Message(Message::Manifest(batch)) => list.add(batch)?,
            Frame::Message(message) => return Err(Violation::Unexpected(message.kind()).into()),
            Frame::Data(_) => return Err(Violation::Unexpected(Kind::Data).into()),
        }
    }
    if list.entries.len() != count as usize || list.bytes != bytes {
        return Err(Violation::WrongCount.into());
    }
    check_paths(&list.entries)?;
    Ok(Offered {
        entries: list.entries.into(),
        bytes,
    })
}

#[derive(Default)]
struct ManifestReader {
    entries: Vec<Entry>,
    bytes: u64,
    path_bytes: usize,
}

impl ManifestReader {
    fn add(&mut self, batch: Vec<Entry>) -> Result<(), TransferError> {
        for entry in batch {
            self.bytes = self
                .bytes
                .checked_add(entry.len())
                .ok_or(Violation::WrongCount)?;
            self.path_bytes += entry.path.as_str().len();
            if self.path_bytes > PATH_BYTES_MAX {
                return Err(TransferError::GaveUp(AbortCode::TooLarge));
            }
            self.entries.push(entry);
        }
        Ok(())
    }
}

/// No path twice, and all below one name, which is what the user is told arrives.
fn check_paths(entries: &[Entry]) -> Result<(), Violation> {
    let mut seen = BTreeSet::new();
    let top = entries.first().and_then(|entry| entry.path.names().next());
    for entry in entries {
        if !seen.insert(&entry.path) || entry.path.names().next() != top {
            return Err(Violation::DuplicatePath);
        }
    }
    Ok(())
}

async fn receive_entries<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    frames: &mut FrameReader<R>,
    writer: &mut W,
    offered: &Offered,
    folder: PathBuf,
    progress: Arc<dyn Progress>,
    writing_ends: oneshot::Sender<()>,
) -> Result<Outcome, TransferError> {
    let make = folder.clone();
    blocking(move || std::fs::create_dir_all(&make))
        .await?
        .map_err(|source| TransferError::Local {
            doing: Doing::Write,
            path: folder.clone(),
            source,
        })?;
    let store = Store::new(folder);
    let ledger = Arc::new(Ledger::new(offered.entries.len()));

    let (answers, answered) = mpsc::channel(ANSWERS_IN_FLIGHT);
    let looking = {
        let (entries, store) = (Arc::clone(&offered.entries), store.clone());
        let ledger = Arc::clone(&ledger);
        blocking(move || inspect(&entries, &store, &ledger, &answers))
    };
    let (events, happened) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let mut sink = Sink::new(Arc::clone(&offered.entries), store, ledger, progress);
    let writing = blocking(move || {
        let result = run_sink(&mut sink, happened);
        // The files are closed and unlocked before the end is told.
        drop((sink, writing_ends));
        result
    });

    let answering = async {
        let answering = write_answers(writer, answered);
        let (looked, answered) = tokio::join!(looking, answering);
        looked.and(answered)
    };
    let feeding = feed(frames, events);
    let receiving = async {
        let (fed, written) = tokio::join!(feeding, writing);
        // A disk error explains why feeding stopped; a broken stream explains why writing did.
        match (written?, fed) {
            (Err(error), _) => Err(error),
            (Ok(Some(outcome)), Ok(())) => Ok(outcome),
            (Ok(_), Err(error)) => Err(error),
            (Ok(None), Ok(())) => Err(Violation::WrongCount.into()),
        }
    };
    let ((), outcome) = tokio::try_join!(answering, receiving)?;
    Ok(outcome)
}

async fn write_answers<W: AsyncWrite + Unpin>(
    writer: &mut W,
    mut answers: mpsc::Receiver<Vec<Answer>>,
) -> Result<(), TransferError> {
    while let Some(batch) = answers.recv().await {
        write_message(writer, &Message::Answers(batch)).await?;
    }
    Ok(())
}

/// Hands frames to the writing thread until the last one, or until the thread has ended. Small
/// frames that arrived together go over together: waking a thread for each costs more than writing
/// them.
async fn feed<R: AsyncRead + Unpin>(
    frames: &mut FrameReader<R>,
    events: mpsc::Sender<Vec<Event>>,
) -> Result<(), TransferError> {
    loop {
        let frame = tokio::select! {
            frame = frames.next() => frame?,
            () = events.closed() => return Ok(()),
        };
        let mut batch = vec![event(frame)];
        while frames.has_next() && batch.len() < BATCH_LEN_MAX {
            // It is in memory, so this does not wait.
            batch.push(event(frames.next().await?));
        }
        let last = batch
            .iter()
            .any(|event| matches!(event, Event::Message(Message::Complete)));
        if events.send(batch).await.is_err() || last {
            return Ok(());
        }
    }
}

fn event(frame: Frame) -> Event {
    match frame {
        Frame::Data(data) => Event::Data(data),
        Frame::Message(message) => Event::Message(message),
    }
}

fn run_sink(
    sink: &mut Sink,
    mut batches: mpsc::Receiver<Vec<Event>>,
) -> Result<Option<Outcome>, TransferError> {
    while let Some(batch) = batches.blocking_recv() {
        for event in batch {
            if let Some(outcome) = sink.handle(event)? {
                return Ok(Some(outcome));
            }
        }
    }
    Ok(None)
}

/// Tells the sender why this end stops, when there is something to tell and somebody to hear it.
async fn tell<W: AsyncWrite + Unpin>(writer: &mut W, error: &TransferError) {
    let Some(code) = abort_code(error) else {
        return;
    };
    let telling = async {
        write_message(writer, &Message::Abort(code)).await?;
        writer.shutdown().await.map_err(TransferError::Connection)
    };
    if let Err(error) = telling.await {
        tracing::debug!(%error, "the sender could not be told");
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, TransferError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| TransferError::Connection(io::Error::other(error)))
}

// Batches of answers waiting to be written.
const ANSWERS_IN_FLIGHT: usize = 8;
// Frames in a batch; what they hold is bounded by the read buffer they came from, but for the first.
const BATCH_LEN_MAX: usize = 1_024;
