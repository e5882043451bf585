//! The two halves of a stream. Each ends by itself, in order or not:
//!
//! | who | does | the other end |
//! |---|---|---|
//! | sender | [`SendStream::finish`] | reads everything and then the end |
//! | sender | [`SendStream::reset`] with a code | reads [`ReadError::Reset`] with it |
//! | receiver | [`RecvStream::stop`] with a code | writes [`WriteError::Stopped`] with it |
//!
//! The other half goes on: so a request can be ended and its answer still be read.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use super::connection::ConnectionRef;
use super::state::StreamState;
use crate::error::{ApiMisuse, CloseReason, ReadError, WriteError};
use crate::ids::StreamId;
use crate::options::Priority;
use crate::recv::lent::Lent;

/// The sending half of a stream. Writing waits while the peer or the network takes no more.
///
/// Dropping it before [`SendStream::finish`] or a shutdown resets the stream with code 0.
///
/// ```
/// use dunlin_transport::driver::{Endpoint, EndpointOptions};
/// use dunlin_transport::plain::{PlainAcceptor, PlainInitiator};
/// use dunlin_transport::{ReadError, WriteError};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let any_port = "127.0.0.1:0".parse()?;
/// # let options = EndpointOptions::default().with_acceptor(Box::new(PlainAcceptor::new()));
/// # let server = Endpoint::bind(any_port, options)?;
/// # let client = Endpoint::bind(any_port, EndpointOptions::default())?;
/// # let dialling = client.connect(server.local_addr(), Box::new(PlainInitiator::new()));
/// # let (ours, theirs) = tokio::join!(dialling, server.accept());
/// # let (ours, theirs) = (ours?, theirs.expect("the endpoint is running"));
/// let (mut send, mut receive) = ours.open_stream().await?;
/// send.write_some(b"question").await?;
/// let (mut answer, mut question) = theirs.accept_stream().await?;
/// // Our half ends; theirs goes on.
/// send.finish().await?;
/// answer.write_some(b"an answer that").await?;
/// // They abandon it, and say why with a code that both applications know.
/// answer.reset(42)?;
/// let mut buffer = [0; 100];
/// let read = loop {
///     match receive.read_some(&mut buffer).await {
///         Ok(1..) => {}
///         other => break other,
///     }
/// };
/// assert_eq!(read, Err(ReadError::Reset(42)));
///
/// let mut unwanted = ours.open_uni().await?;
/// unwanted.write_some(b"long").await?;
/// // The other way round: who reads has enough.
/// theirs.accept_uni().await?.stop(7)?;
/// assert_eq!(unwanted.stopped().await?, Some(7));
/// assert_eq!(unwanted.write_some(b"er").await, Err(WriteError::Stopped(7)));
/// # drop(question.read_some(&mut buffer).await?);
/// # Ok(())
/// # }
/// ```
pub struct SendStream {
    connection: Arc<ConnectionRef>,
    id: StreamId,
    finished: bool,
    /// Abandoned here: nothing will be delivered any more.
    was_reset: bool,
}

impl SendStream {
    /// A handle that the connection's state already counts.
    pub(super) fn new(connection: &Arc<ConnectionRef>, id: StreamId) -> Self {
        Self {
            connection: Arc::clone(connection),
            id,
            finished: false,
            was_reset: false,
        }
    }

    /// The stream's number.
    #[must_use]
    pub const fn id(&self) -> StreamId {
        self.id
    }

    /// Writes as much as is taken now, and waits while that is nothing. As the `write` of
    /// [`AsyncWrite`], with an error that has the peer's code.
    ///
    /// # Errors
    /// The peer stopped reading, the stream is finished or was reset, or the connection is over.
    pub async fn write_some(&mut self, data: &[u8]) -> Result<usize, WriteError> {
        if data.is_empty() {
            return Ok(0);
        }
        poll_fn(|cx| self.poll_write_typed(cx, data)).await
    }

    /// Writes all of `data` without a copy: it is held until the peer has acknowledged it. Waits while
    /// less is taken.
    ///
    /// # Errors
    /// As [`Self::write_some`]; how much was written is then unknown.
    pub async fn write_shared(&mut self, mut data: Bytes) -> Result<(), WriteError> {
        while !data.is_empty() {
            let written = |cx: &mut Context<'_>| {
                self.poll_write_with(cx, |connection, id| connection.write_shared(id, &mut data))
            };
            poll_fn(written).await?;
        }
        Ok(())
    }

    /// Ends the stream and waits until the peer's transport has acknowledged all of it.
    ///
    /// # Errors
    /// The peer stopped reading, the stream was reset, or the connection ended first.
    pub async fn finish(&mut self) -> Result<(), WriteError> {
        if self.was_reset {
            return Err(ApiMisuse::AlreadyFinished.into());
        }
        self.end()?;
        match self.watch().await? {
            None => Ok(()),
            Some(code) => Err(WriteError::Stopped(code)),
        }
    }

    /// Whose turn it is when this and others have something to send; [`Priority::STREAM`] at first.
    ///
    /// # Errors
    /// The stream is finished and forgotten.
    pub fn set_priority(&self, priority: Priority) -> Result<(), ApiMisuse> {
        self.connection
            .act(|connection, _| {
                let set = connection.set_priority(self.id, priority);
                set.map_err(WriteError::Misuse)
            })
            .or_else(|error| match error {
                WriteError::Misuse(misuse) => Err(misuse),
                _ => Ok(()),
            })
    }

    /// Abandons the stream: what was not delivered is lost, and the peer sees `code`.
    ///
    /// # Errors
    /// The stream is finished and forgotten.
    pub fn reset(&mut self, code: u64) -> Result<(), ApiMisuse> {
        (self.finished, self.was_reset) = (true, true);
        self.connection
            .act(|connection, _| connection.reset(self.id, code).map_err(WriteError::Misuse))
            .or_else(|error| match error {
                WriteError::Misuse(misuse) => Err(misuse),
                _ => Ok(()),
            })
    }

    /// Waits until the peer stops reading (its code), or until everything was delivered (None; also when
    /// the stream was reset here, for then nothing will be).
    ///
    /// # Errors
    /// The connection ended first.
    pub async fn stopped(&mut self) -> Result<Option<u64>, CloseReason> {
        if self.was_reset {
            return Ok(None);
        }
        self.watch().await
    }

    /// Ends the stream without waiting.
    fn end(&mut self) -> Result<(), WriteError> {
        if !self.finished {
            self.connection
                .act(|connection, state| match state.closed.as_deref() {
                    Some(reason) => Err(reason.clone().into()),
                    None => connection.finish(self.id),
                })?;
            self.finished = true;
        }
        Ok(())
    }

    async fn watch(&self) -> Result<Option<u64>, CloseReason> {
        poll_fn(|cx| {
            self.connection.shared.look(|state| {
                let Some(state) = state.connection_state(self.connection.handle) else {
                    return Poll::Ready(Err(CloseReason::EndpointStopped));
                };
                let stream = state.streams.entry(self.id).or_default();
                match (stream.delivered, stream.stopped, state.closed.as_deref()) {
                    (true, _, _) => Poll::Ready(Ok(None)),
                    (false, Some(code), _) => Poll::Ready(Ok(Some(code))),
                    (false, None, Some(reason)) => Poll::Ready(Err(reason.clone())),
                    (false, None, None) => {
                        stream.watcher = Some(cx.waker().clone());
                        Poll::Pending
                    }
                }
            })
        })
        .await
    }

    fn poll_write_typed(&self, cx: &Context<'_>, data: &[u8]) -> Poll<Result<usize, WriteError>> {
        self.poll_write_with(cx, |connection, id| connection.write_short(id, data))
    }

    fn poll_write_with(
        &self,
        cx: &Context<'_>,
        write: impl FnOnce(&mut crate::Connection, StreamId) -> Result<usize, WriteError>,
    ) -> Poll<Result<usize, WriteError>> {
        let result = self.connection.act(|connection, state| {
            if let Some(reason) = state.closed.as_deref() {
                return Err(reason.clone().into());
            }
            let result = write(connection, self.id);
            if matches!(result, Err(WriteError::Blocked)) {
                register(
                    state.streams.get_mut(&self.id),
                    |stream| &mut stream.writer,
                    cx,
                );
            }
            result
        });
        match result {
            Err(WriteError::Blocked) => Poll::Pending,
            other => Poll::Ready(other),
        }
    }
}

impl AsyncWrite for SendStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.poll_write_typed(cx, data).map_err(io::Error::from)
    }

    /// Does nothing: the task sends as soon as it may. Delivery is what [`SendStream::finish`]
    /// waits for.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends the stream without waiting for its delivery.
    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.end().map_err(io::Error::from))
    }
}

impl fmt::Debug for SendStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendStream")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        let ended = self.connection.act(|connection, state| {
            state.remove_half(self.id);
            if self.finished {
                Ok(())
            } else {
                connection.reset(self.id, 0).map_err(WriteError::from)
            }
        });
        // An ended connection or a stream the peer has stopped needs no reset.
        drop(ended);
    }
}

/// The receiving half of a stream. Not reading holds the sender back.
///
/// Dropping it before the end asks the peer to stop, with code 0.
pub struct RecvStream {
    connection: Arc<ConnectionRef>,
    id: StreamId,
    /// What was read and not looked at.
    lent: Lent,
    ended: bool,
}

impl RecvStream {
    /// A handle that the connection's state already counts.
    pub(super) fn new(connection: &Arc<ConnectionRef>, id: StreamId) -> Self {
        Self {
            connection: Arc::clone(connection),
            id,
            lent: Lent::default(),
            ended: false,
        }
    }

    /// The stream's number.
    #[must_use]
    pub const fn id(&self) -> StreamId {
        self.id
    }

    /// Asks the peer to stop sending, with this code; nothing more can be read.
    ///
    /// # Errors
    /// The stream has ended.
    pub fn stop(&mut self, code: u64) -> Result<(), ApiMisuse> {
        if self.ended {
            return Err(ApiMisuse::AlreadyFinished);
        }
        self.ended = true;
        self.connection
            .act(|connection, _| connection.stop(self.id, code).map_err(ReadError::Misuse))
            .or_else(|error| match error {
                ReadError::Misuse(misuse) => Err(misuse),
                _ => Ok(()),
            })
    }

    /// Reads what is there, and waits while that is nothing; 0 bytes into a buffer with room are the
    /// end. As the `read` of [`AsyncRead`], with an error that has the peer's code.
    ///
    /// # Errors
    /// The peer reset the stream, or the connection is over and everything that had come was read.
    pub async fn read_some(&mut self, out: &mut [u8]) -> Result<usize, ReadError> {
        if out.is_empty() {
            return Ok(0);
        }
        poll_fn(|cx| self.poll_read_typed(cx, out)).await
    }

    /// The next bytes where they lie, and waits while there are none; none at all are the end. Those
    /// that [`Self::consume`] is not told of come again. As the `fill_buf` of
    /// [`tokio::io::AsyncBufReadExt`], with an error that has the peer's code.
    ///
    /// # Errors
    /// As [`Self::read_some`].
    pub async fn fill_some(&mut self) -> Result<&[u8], ReadError> {
        if self.lent.is_empty() {
            poll_fn(|cx| self.poll_lend(cx)).await?;
        }
        Ok(self.lent.bytes())
    }

    /// The first `count` bytes that [`Self::fill_some`] gave are done with.
    pub fn consume(&mut self, count: usize) {
        self.lent.consume(count);
    }

    fn poll_read_typed(
        &mut self,
        cx: &Context<'_>,
        out: &mut [u8],
    ) -> Poll<Result<usize, ReadError>> {
        if !self.lent.is_empty() {
            return Poll::Ready(Ok(self.lent.copy_to(out)));
        }
        self.poll_with(cx, |connection, id, _| connection.read(id, out))
    }

    /// Takes pages with bytes to read: how many bytes, none at the end.
    fn poll_lend(&mut self, cx: &Context<'_>) -> Poll<Result<usize, ReadError>> {
        self.poll_with(cx, |connection, id, lent| connection.read_lent(id, lent))
    }

    fn poll_with(
        &mut self,
        cx: &Context<'_>,
        read: impl FnOnce(&mut crate::Connection, StreamId, &mut Lent) -> Result<usize, ReadError>,
    ) -> Poll<Result<usize, ReadError>> {
        if self.ended {
            return Poll::Ready(Ok(0));
        }
        let lent = &mut self.lent;
        let result = self.connection.act(|connection, state| {
            let result = read(connection, self.id, lent);
            match (&result, state.closed.as_deref()) {
                (Err(ReadError::Blocked), Some(reason)) => Err(reason.clone().into()),
                (Err(ReadError::Blocked), None) => {
                    register(
                        state.streams.get_mut(&self.id),
                        |stream| &mut stream.reader,
                        cx,
                    );
                    result
                }
                _ => result,
            }
        });
        match result {
            Err(ReadError::Blocked) => return Poll::Pending,
            Ok(0) | Err(ReadError::Reset(_)) => self.ended = true,
            _ => {}
        }
        Poll::Ready(result)
    }
}

impl AsyncRead for RecvStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let out = buf.initialize_unfilled();
        self.poll_read_typed(cx, out)
            .map_ok(|length| buf.advance(length))
            .map_err(io::Error::from)
    }
}

impl AsyncBufRead for RecvStream {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.lent.is_empty() {
            ready!(this.poll_lend(cx)).map_err(io::Error::from)?;
        }
        Poll::Ready(Ok(this.lent.bytes()))
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        self.get_mut().lent.consume(count);
    }
}

impl fmt::Debug for RecvStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvStream")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        let ended = self.connection.act(|connection, state| {
            state.remove_half(self.id);
            if self.ended {
                Ok(())
            } else {
                connection.stop(self.id, 0).map_err(ReadError::from)
            }
        });
        // An ended connection or a stream the peer has finished needs no stop.
        drop(ended);
    }
}

/// Remembers the caller's waker in a place of the stream.
fn register(
    stream: Option<&mut StreamState>,
    place: impl FnOnce(&mut StreamState) -> &mut Option<std::task::Waker>,
    cx: &Context<'_>,
) {
    if let Some(stream) = stream {
        let place = place(stream);
        if !place
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            *place = Some(cx.waker().clone());
        }
    }
}
