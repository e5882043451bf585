//! The sender's end of a transfer.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::error::{TransferError, Violation};
use super::frames::{Frame, FrameReader};
use super::limits::CHUNKS_IN_FLIGHT;
use super::message::{Answer, Message, Outcome};
use super::progress::Progress;
use super::scan::Manifest;
use super::source::{Chunk, Source};

/// Sends what `manifest` lists over a pair of streams and returns what the receiver says became
/// of it. Must be called inside a tokio runtime. Dropping the future stops the transfer; the
/// receiver keeps what it has.
///
/// # Errors
/// When the stream fails, the receiver gives up or breaks the protocol. Problems of single files
/// are in the outcome, not here.
pub async fn send<R, W>(
    reader: R,
    writer: W,
    manifest: Arc<Manifest>,
    progress: Arc<dyn Progress>,
) -> Result<Outcome, TransferError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    progress.started(manifest.files(), manifest.bytes());
    let entries = manifest.entries().len();
    // Reading must never wait for the file thread: the receiver writes answers while the thread
    // waits for the receiver to read. There are never more batches than entries.
    let (answers, answered) = mpsc::channel(entries.max(1));
    let (chunks, chunked) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let source = Source::new(manifest, answered, chunks, Arc::clone(&progress));
    let source = tokio::task::spawn_blocking(|| source.run());

    let mut reading = std::pin::pin!(read_replies(FrameReader::new(reader), answers, entries));
    let mut writing = std::pin::pin!(write_chunks(writer, chunked, &*progress));
    let written = tokio::select! {
        // The receiver says that it has everything, or why it stopped: nothing more to write.
        outcome = &mut reading => return outcome,
        written = &mut writing => written,
    };
    match written {
        Ok(()) => {
            source_result(source.await)?;
            reading.await
        }
        // A receiver stops reading when it has everything or gives up, and says so first.
        Err(error) => last_words(reading).await.unwrap_or(Err(error)),
    }
}

async fn read_replies<R: AsyncRead + Unpin>(
    mut frames: FrameReader<R>,
    answers: mpsc::Sender<Vec<Answer>>,
    entries: usize,
) -> Result<Outcome, TransferError> {
    let mut answered = 0;
    loop {
        match frames.next().await? {
            Frame::Message(Message::Answers(batch)) => {
                answered += batch.len();
                if answered > entries {
                    return Err(Violation::WrongCount.into());
                }
                // The thread may have failed; its result is asked for by the caller.
                let _ = answers.send(batch).await;
            }
            Frame::Message(Message::Outcome(outcome)) if answered == entries => {
                let known = outcome
                    .problems
                    .iter()
                    .all(|(index, _)| (*index as usize) < entries);
                return if known {
                    Ok(outcome)
                } else {
                    Err(Violation::WrongCount.into())
                };
            }
            Frame::Message(message) => return Err(Violation::Unexpected(message.kind()).into()),
            Frame::Data(_) => {
                return Err(Violation::Unexpected(super::message::Kind::Data).into());
            }
        }
    }
}

async fn write_chunks<W: AsyncWrite + Unpin>(
    mut writer: W,
    mut chunks: mpsc::Receiver<Chunk>,
    progress: &dyn Progress,
) -> Result<(), TransferError> {
    while let Some(chunk) = chunks.recv().await {
        let written = async {
            writer.write_all(&chunk.frames).await?;
            writer.flush().await
        };
        written.await.map_err(TransferError::Connection)?;
        progress.advanced(chunk.file_bytes);
    }
    writer.shutdown().await.map_err(TransferError::Connection)
}

/// What the receiver said before the stream broke, if it said anything final.
async fn last_words<F>(reading: F) -> Option<Result<Outcome, TransferError>>
where
    F: Future<Output = Result<Outcome, TransferError>>,
{
    match tokio::time::timeout(LAST_WORDS, reading).await {
        Ok(Ok(outcome)) => Some(Ok(outcome)),
        Ok(Err(error @ TransferError::Aborted(_))) => Some(Err(error)),
        Ok(Err(_)) | Err(_) => None,
    }
}

fn source_result(
    joined: Result<Result<(), TransferError>, tokio::task::JoinError>,
) -> Result<(), TransferError> {
    joined.unwrap_or_else(|error| Err(TransferError::Connection(io::Error::other(error))))
}

// How long a sender whose stream broke waits for what the receiver said before.
const LAST_WORDS: Duration = Duration::from_millis(500);
