//! Ordered messages: length-delimited records on a stream (`docs/wire.md` W-MSG-1),
//! `length (varint) ‖ bytes`.
//!
//! As many independent sequences as there are streams; a lost packet of one delays no other.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{RecvStream, SendStream};
use crate::wire::{Cursor, varint};

/// Memory that a record's announced length gets before its bytes arrive.
const FIRST_ALLOCATION_MAX: usize = 65_536;

impl SendStream {
    /// Sends one record. Waits while the peer or the network takes no more.
    ///
    /// # Errors
    /// As any write on the stream. A record that was cut off by an error, or by dropping this
    /// future, leaves the stream unusable for further records.
    pub async fn send_record(&mut self, data: &[u8]) -> io::Result<()> {
        let mut length = Vec::new();
        varint::write(&mut length, data.len() as u64);
        self.write_all(&length).await?;
        self.write_all(data).await
    }
}

impl RecvStream {
    /// Receives the next record, of at most `max` bytes; None at the end of the stream. Memory is
    /// taken as the bytes arrive. Not to be dropped half-way: the record would be lost.
    ///
    /// # Errors
    /// As any read on the stream; `InvalidData` for a longer record, `UnexpectedEof` for a stream
    /// that ends inside one.
    pub async fn receive_record(&mut self, max: usize) -> io::Result<Option<Vec<u8>>> {
        let mut head = [0; 8];
        if self.read(&mut head[..1]).await? == 0 {
            return Ok(None);
        }
        let width = 1 << (head[0] >> 6);
        self.read_exact(&mut head[1..width]).await?;
        let length = Cursor::new(&head).varint().unwrap_or(varint::MAX);
        let length = usize::try_from(length).ok().filter(|length| *length <= max);
        let Some(length) = length else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the record is longer than the receiver allows",
            ));
        };
        let mut data = Vec::with_capacity(length.min(FIRST_ALLOCATION_MAX));
        let mut limited = self.take(length as u64);
        limited.read_to_end(&mut data).await?;
        if data.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(data))
    }
}
