//! The tasks of one link: what comes in goes to the node's task, what goes out waits here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dunlin_overlay::{DialTarget, LinkEndCause, LinkId};
use dunlin_session::NodeId;
use dunlin_transport::CloseReason;
use dunlin_transport::driver::{Connection, RecvStream, SendStream};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::transfer::frames::write_message;
use crate::transfer::message::Message;
use crate::transfer::{AbortCode, Incoming, Quiet, Stopper};

/// Messages that may wait for a slow link. A link that is behind by more is given up.
pub(super) const OUTGOING_MAX: usize = 512;

/// Transfers that one peer may have running. More streams wait.
const TRANSFERS_MAX: usize = 4;

/// How long a peer may take to list what it sends.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);

/// What the tasks of links and dials tell the node's task.
#[derive(Debug)]
pub(super) enum Input {
    /// A dial led to a connection.
    Dialled(DialTarget, Connection),
    /// A dial failed.
    DialFailed(DialTarget),
    /// A message came.
    Message(NodeId, Vec<u8>),
    /// A peer was asked to prove its identity again, and whether it did.
    Challenged(NodeId, LinkId, bool),
    /// A link ended.
    Ended(NodeId, LinkId, LinkEndCause),
}

/// Starts the tasks of a link. Dropping the returned sender closes the link after what was sent.
pub(super) fn start(
    connection: &Connection,
    peer: NodeId,
    link: LinkId,
    inputs: &mpsc::Sender<Input>,
    inbox: Option<PathBuf>,
) -> mpsc::Sender<Bytes> {
    let (outgoing, queued) = mpsc::channel(OUTGOING_MAX);
    tokio::spawn(write(connection.clone(), queued));
    tokio::spawn(read(connection.clone(), peer, link, inputs.clone()));
    tokio::spawn(receive_files(connection.clone(), inbox));
    outgoing
}

async fn write(connection: Connection, mut queued: mpsc::Receiver<Bytes>) {
    while let Some(message) = queued.recv().await {
        if let Err(error) = connection.send_message(message).await {
            tracing::debug!(%error, "a message was not sent");
            return;
        }
    }
    connection.close(0, "the link is not needed any more").await;
}

async fn read(connection: Connection, peer: NodeId, link: LinkId, inputs: mpsc::Sender<Input>) {
    let cause = loop {
        match connection.receive_message().await {
            Ok(message) => {
                if inputs
                    .send(Input::Message(peer, message.data))
                    .await
                    .is_err()
                {
                    return;
                }
            }
            Err(reason) => break cause(&reason),
        }
    };
    // When the node has ended, nobody needs to know.
    let _ = inputs.send(Input::Ended(peer, link, cause)).await;
}

fn cause(reason: &CloseReason) -> LinkEndCause {
    match reason {
        CloseReason::Local | CloseReason::EndpointStopped => LinkEndCause::ClosedLocally,
        CloseReason::Peer { .. } | CloseReason::Reset { .. } => LinkEndCause::ClosedByPeer,
        CloseReason::TimedOut => LinkEndCause::TimedOut,
        _ => LinkEndCause::Failed,
    }
}

/// Each stream of a peer is a transfer.
async fn receive_files(connection: Connection, inbox: Option<PathBuf>) {
    let room = Arc::new(tokio::sync::Semaphore::new(TRANSFERS_MAX));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let Ok((writer, reader)) = connection.accept_stream().await else {
            return;
        };
        let inbox = inbox.clone();
        tokio::spawn(async move {
            receive_file(reader, writer, inbox).await;
            drop(place);
        });
    }
}

async fn receive_file(reader: RecvStream, mut writer: SendStream, inbox: Option<PathBuf>) {
    let Some(inbox) = inbox else {
        let declined = write_message(&mut writer, &Message::Abort(AbortCode::Stopped)).await;
        tracing::debug!(?declined, "a file was offered and there is no inbox");
        // Ended, not reset: the sender is to read the reason.
        let _ = writer.shutdown().await;
        return;
    };
    let accepting = tokio::time::timeout(LIST_TIMEOUT, Incoming::accept(reader, writer));
    let Ok(Ok(incoming)) = accepting.await else {
        return;
    };
    match incoming
        .receive(inbox, Arc::new(Quiet), Stopper::default())
        .await
    {
        Ok(outcome) => tracing::info!(?outcome, "received"),
        Err(error) => tracing::warn!(%error, "a transfer failed"),
    }
}
