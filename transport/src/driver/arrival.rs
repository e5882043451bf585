//! What a peer begins, of whatever kind: for a task that waits for all of it in one small future.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use super::connection::{Connection, Pending};
use super::stream::{RecvStream, SendStream};
use super::wake::Signal;
use crate::error::CloseReason;
use crate::ids::StreamDirection;
use crate::io::Message;

/// Something that the peer has begun.
#[derive(Debug)]
pub enum Arrival {
    /// A stream that both ends write to.
    Stream(SendStream, RecvStream),
    /// A reliable message.
    Message(Message),
}

impl Connection {
    /// The next stream of both directions that the peer opened, or the next reliable message. Waiting here
    /// takes a third of the room of waiting for each.
    ///
    /// # Errors
    /// The connection is over, and every message was taken.
    pub async fn next_arrival(&self) -> Result<Arrival, CloseReason> {
        loop {
            let mut messages = pin!(self.signals().notified(Signal::Message));
            let mut streams = pin!(self.signals().notified(Signal::IncomingBidi));
            messages.as_mut().enable();
            streams.as_mut().enable();
            match self.try_arrival() {
                Err(Pending::Blocked) => {}
                Err(Pending::Closed(reason)) => return Err(reason),
                Ok(arrival) => return Ok(arrival),
            }
            poll_fn(|cx| {
                let messages = messages.as_mut().poll(cx);
                match messages.is_ready() || streams.as_mut().poll(cx).is_ready() {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .await;
        }
    }

    fn try_arrival(&self) -> Result<Arrival, Pending> {
        let stream = self.attempt(|connection, state| {
            let id = connection.accept_stream(StreamDirection::Bidirectional);
            let id = id.ok_or(Pending::Blocked)?;
            (0..2).for_each(|_| state.add_half(id));
            Ok::<_, Pending>(id)
        });
        if let Ok(id) = stream {
            let (writer, reader) = self.halves(id);
            return Ok(Arrival::Stream(writer, reader));
        }
        self.attempt(|connection, _| {
            let message = connection.receive_message().ok_or(Pending::Blocked)?;
            Ok(Arrival::Message(message))
        })
    }
}
