//! Frames on a byte stream.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::error::TransferError;
use super::limits::HEAD_LEN;
use super::message::{Head, Kind, Message};

/// A frame as it arrived.
#[derive(Debug)]
pub enum Frame {
    /// Bytes of a file.
    Data(Vec<u8>),
    /// Any other frame.
    Message(Message),
}

/// Reads frames.
#[derive(Debug)]
pub struct FrameReader<R> {
    stream: BufReader<R>,
    body: Vec<u8>,
}

// Small frames share a read; the bodies of large ones go past this buffer.
const READ_BUFFER_LEN: usize = 256 * 1024;

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads frames from `stream`.
    #[must_use]
    pub fn new(stream: R) -> Self {
        Self {
            stream: BufReader::with_capacity(READ_BUFFER_LEN, stream),
            body: Vec::new(),
        }
    }

    /// The next frame. Memory is reserved only up to the limit of the frame's type. Not
    /// cancel-safe: a cancelled call may have taken a part of a frame.
    ///
    /// # Errors
    /// A violation, or the end or failure of the stream: every conversation ends with a message,
    /// so the end of the stream is one too.
    pub async fn next(&mut self) -> Result<Frame, TransferError> {
        let mut head = [0; HEAD_LEN];
        self.stream
            .read_exact(&mut head)
            .await
            .map_err(TransferError::Connection)?;
        let head = Head::decode(head)?;
        if head.kind == Kind::Data {
            let mut data = Vec::new();
            self.read_body(head.len, &mut data).await?;
            return Ok(Frame::Data(data));
        }
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        self.read_body(head.len, &mut body).await?;
        let message = Message::decode(head.kind, &body)?;
        self.body = body;
        match message {
            Message::Abort(code) => Err(TransferError::Aborted(code)),
            message => Ok(Frame::Message(message)),
        }
    }

    /// Whether the next frame has arrived whole, so that [`Self::next`] need not wait.
    #[must_use]
    pub fn has_next(&self) -> bool {
        self.stream
            .buffer()
            .split_first_chunk::<HEAD_LEN>()
            .is_some_and(|(head, rest)| {
                // A head that is refused needs no more bytes either.
                Head::decode(*head).map_or(true, |head| head.len <= rest.len())
            })
    }

    async fn read_body(&mut self, len: usize, body: &mut Vec<u8>) -> Result<(), TransferError> {
        body.reserve_exact(len);
        let mut limited = (&mut self.stream).take(len as u64);
        while body.len() < len {
            let read = limited
                .read_buf(body)
                .await
                .map_err(TransferError::Connection)?;
            if read == 0 {
                return Err(TransferError::Connection(
                    io::ErrorKind::UnexpectedEof.into(),
                ));
            }
        }
        Ok(())
    }
}

/// Writes one message and flushes it.
///
/// # Errors
/// When the stream fails.
pub async fn write_message<W: AsyncWrite + Unpin>(
    stream: &mut W,
    message: &Message,
) -> Result<(), TransferError> {
    let mut frame = Vec::new();
    message.encode(&mut frame);
    stream
        .write_all(&frame)
        .await
        .map_err(TransferError::Connection)?;
    stream.flush().await.map_err(TransferError::Connection)
}
