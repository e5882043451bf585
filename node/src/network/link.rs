//! The tasks of one link: what comes in goes to the node's task, what goes out waits here.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
/// From so many waiting messages on, the overlay is told that the link is congested: its peer gets no
/// copies of broadcasts any more, so that what has to be sent has room.
const CONGESTED_AT: usize = OUTGOING_MAX / 2;
/// When no more than so many wait, it is told that the link is free again.
const FREE_AT: usize = OUTGOING_MAX / 8;

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
    /// A link that was congested is free again.
    Eased(LinkId),
    /// A ban is on the disk, or the disk takes it too late.
    Recorded,
    /// A link ended.
    Ended(NodeId, LinkId, LinkEndCause),
}

/// What became of a message for a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pushed {
    /// It waits or is being sent.
    Taken,
    /// The same, and from now on the link is congested; [`Input::Eased`] follows.
    Congests,
    /// There is no room: the link is to be given up.
    Refused,
}

/// What waits to be sent over a link. Dropping it closes the link after that.
#[derive(Debug)]
pub(super) struct Outgoing {
    queue: mpsc::Sender<Bytes>,
    is_congested: Arc<AtomicBool>,
}

/// The other end of [`Outgoing`].
struct Queued {
    queue: mpsc::Receiver<Bytes>,
    is_congested: Arc<AtomicBool>,
}

fn queue() -> (Outgoing, Queued) {
    let (sender, receiver) = mpsc::channel(OUTGOING_MAX);
    let is_congested = Arc::new(AtomicBool::new(false));
    let outgoing = Outgoing {
        queue: sender,
        is_congested: Arc::clone(&is_congested),
    };
    let queued = Queued {
        queue: receiver,
        is_congested,
    };
    (outgoing, queued)
}

impl Outgoing {
    /// Adds a message.
    pub(super) fn push(&self, message: Bytes) -> Pushed {
        if self.queue.try_send(message).is_err() {
            return Pushed::Refused;
        }
        let waiting = self.queue.max_capacity() - self.queue.capacity();
        if waiting >= CONGESTED_AT && !self.is_congested.swap(true, Ordering::AcqRel) {
            Pushed::Congests
        } else {
            Pushed::Taken
        }
    }

    /// Whether the overlay takes the link for congested, or is about to hear that it is not.
    pub(super) fn is_congested(&self) -> bool {
        self.is_congested.load(Ordering::Acquire)
    }
}

impl Queued {
    /// The next message, and whether the link is free again with it; `None`: the link is not needed any
    /// more.
    async fn next(&mut self) -> Option<(Bytes, bool)> {
        let message = self.queue.recv().await?;
        let is_short = self.queue.len() <= FREE_AT;
        let eases = is_short && self.is_congested.swap(false, Ordering::AcqRel);
        Some((message, eases))
    }
}

/// Starts the tasks of a link.
pub(super) fn start(
    connection: &Connection,
    peer: NodeId,
    link: LinkId,
    inputs: &mpsc::Sender<Input>,
    inbox: Option<PathBuf>,
) -> Outgoing {
    let (outgoing, queued) = queue();
    tokio::spawn(write(connection.clone(), link, queued, inputs.clone()));
    tokio::spawn(read(connection.clone(), peer, link, inputs.clone()));
    tokio::spawn(receive_files(connection.clone(), inbox));
    outgoing
}

async fn write(
    connection: Connection,
    link: LinkId,
    mut queued: Queued,
    inputs: mpsc::Sender<Input>,
) {
    while let Some((message, eases)) = queued.next().await {
        if eases && inputs.send(Input::Eased(link)).await.is_err() {
            return;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_link_is_congested_from_its_mark_on_until_little_waits() {
        let (outgoing, mut queued) = queue();
        let message = Bytes::from_static(b"x");
        for _ in 1..CONGESTED_AT {
            assert_eq!(outgoing.push(message.clone()), Pushed::Taken);
        }
        assert!(!outgoing.is_congested());
        assert_eq!(outgoing.push(message.clone()), Pushed::Congests);
        assert_eq!(outgoing.push(message.clone()), Pushed::Taken, "told once");
        let mut waiting = CONGESTED_AT + 1;
        while waiting > FREE_AT + 1 {
            assert_eq!(queued.next().await, Some((message.clone(), false)));
            waiting -= 1;
            assert!(outgoing.is_congested(), "{waiting}");
        }
        assert_eq!(queued.next().await, Some((message.clone(), true)));
        assert!(!outgoing.is_congested());
        assert_eq!(queued.next().await, Some((message.clone(), false)));
    }

    #[test]
    fn a_link_takes_messages_up_to_its_limit_and_not_one_more() {
        let (outgoing, _queued) = queue();
        let message = Bytes::from_static(b"x");
        for _ in 0..OUTGOING_MAX {
            assert_ne!(outgoing.push(message.clone()), Pushed::Refused);
        }
        assert_eq!(outgoing.push(message), Pushed::Refused);
    }
}
