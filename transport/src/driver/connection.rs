//! The handle of a connection.

use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::carrier::Carrier;
use super::error::ChallengeError;
use super::random::OsRandom;
use super::state::{Awaited, ConnectionState, Shared};
use super::stream::{RecvStream, SendStream};
use super::wake::{Signal, Signals, give_way};
use crate::error::{CloseReason, SendMessageError};
use crate::ids::{MessageId, StreamDirection, StreamId};
use crate::io::{ConnectionHandle, Delivery, Message};
use crate::options::SendOptions;
use crate::protect::{PeerIdentity, Random};
use crate::time::Instant;

/// An established connection. Clones are handles of the same connection.
///
/// When the last handle, its streams included, is dropped, the connection closes gracefully:
/// everything accepted is still delivered.
#[derive(Clone)]
pub struct Connection {
    inner: Arc<ConnectionRef>,
}

/// Keeps a connection open as long as it lives.
pub(super) struct ConnectionRef {
    pub(super) shared: Arc<Shared>,
    pub(super) handle: ConnectionHandle,
    signals: Arc<Signals>,
}

impl Drop for ConnectionRef {
    fn drop(&mut self) {
        self.shared.act(|state| state.release(self.handle));
    }
}

impl ConnectionRef {
    /// Runs `call` on the core's and the driver's side of the connection, and wakes the task.
    pub(super) fn act<R, E: From<CloseReason>>(
        &self,
        call: impl FnOnce(&mut crate::Connection, &mut ConnectionState) -> Result<R, E>,
    ) -> Result<R, E> {
        self.shared.act(|state| {
            let (connection, state) = state.connection(self.handle)?;
            call(connection, state)
        })
    }

    /// Why the connection ended, if it did.
    pub(super) fn close_reason(&self) -> Option<CloseReason> {
        self.shared
            .look(|state| match state.connection_state(self.handle) {
                Some(state) => state.closed.as_deref().cloned(),
                None => Some(CloseReason::EndpointStopped),
            })
    }
}

impl Connection {
    /// Wraps a connection that the driver has registered.
    pub(super) fn new(
        shared: Arc<Shared>,
        handle: ConnectionHandle,
        signals: Arc<Signals>,
    ) -> Self {
        Self {
            inner: Arc::new(ConnectionRef {
                shared,
                handle,
                signals,
            }),
        }
    }

    /// Opens a stream that both ends write to; waits while the peer grants no more.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn open_stream(&self) -> Result<(SendStream, RecvStream), CloseReason> {
        let id = self
            .open(StreamDirection::Bidirectional, Signal::OpenBidi, 2)
            .await?;
        Ok(self.halves(id))
    }

    /// Opens a stream that only we write to; waits while the peer grants no more.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn open_uni(&self) -> Result<SendStream, CloseReason> {
        let id = self
            .open(StreamDirection::Unidirectional, Signal::OpenUni, 1)
            .await?;
        Ok(SendStream::new(&self.inner, id))
    }

    /// The next stream of both directions that the peer opened.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn accept_stream(&self) -> Result<(SendStream, RecvStream), CloseReason> {
        let id = self
            .accept(StreamDirection::Bidirectional, Signal::IncomingBidi, 2)
            .await?;
        Ok(self.halves(id))
    }

    /// The next stream that only the peer writes to.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn accept_uni(&self) -> Result<RecvStream, CloseReason> {
        let id = self
            .accept(StreamDirection::Unidirectional, Signal::IncomingUni, 1)
            .await?;
        Ok(RecvStream::new(&self.inner, id))
    }

    /// Sends a message reliably; waits while earlier ones fill the send buffer. Messages arrive
    /// whole, once, in any order.
    ///
    /// # Errors
    /// The message is too large for the peer, or the connection is over.
    pub async fn send_message(
        &self,
        data: impl Into<Vec<u8>>,
    ) -> Result<MessageId, SendMessageError> {
        self.send_message_with(data, Delivery::Reliable).await
    }

    /// The same as `options` say: ordered, until a moment, unreliably, more or less urgent. See
    /// [`Self::deadline`] for moments.
    ///
    /// # Errors
    /// As [`Self::send_message`].
    pub async fn send_message_with(
        &self,
        data: impl Into<Vec<u8>>,
        options: impl Into<SendOptions>,
    ) -> Result<MessageId, SendMessageError> {
        let (mut data, options) = (Some(data.into()), options.into());
        let (id, worth_sending) = self
            .wait_for(Signal::MessageWritable, |connection, _| {
                let id = offer_message(connection, &mut data, options)?;
                Ok::<_, SendMessageError>((id, connection.is_worth_sending()))
            })
            .await?;
        if worth_sending {
            give_way().await;
        }
        Ok(id)
    }

    /// Sends a message reliably, or says that it would block.
    ///
    /// # Errors
    /// [`SendMessageError::Blocked`] when the send buffer is full; else as
    /// [`Self::send_message`].
    pub fn try_send_message(
        &self,
        data: impl Into<Vec<u8>>,
    ) -> Result<MessageId, SendMessageError> {
        self.try_send_message_with(data, Delivery::Reliable)
    }

    /// The same as `options` say.
    ///
    /// # Errors
    /// As [`Self::try_send_message`].
    pub fn try_send_message_with(
        &self,
        data: impl Into<Vec<u8>>,
        options: impl Into<SendOptions>,
    ) -> Result<MessageId, SendMessageError> {
        let data = data.into();
        self.inner
            .act(|connection, state| match state.closed.as_deref() {
                Some(reason) => Err(reason.clone().into()),
                None => connection.send_message(data, options),
            })
    }

    /// Sends a message reliably and waits until the peer has acknowledged all of it.
    ///
    /// # Errors
    /// As [`Self::send_message`]; the connection may also end before the acknowledgement, and it
    /// is then unknown whether the message arrived.
    pub async fn deliver_message(&self, data: impl Into<Vec<u8>>) -> Result<(), SendMessageError> {
        self.deliver_message_with(data, Delivery::Reliable).await
    }

    /// The same as `options` say. An unreliable message is never acknowledged: it counts as delivered
    /// when it is accepted.
    ///
    /// # Errors
    /// As [`Self::deliver_message`], and [`SendMessageError::Expired`].
    pub async fn deliver_message_with(
        &self,
        data: impl Into<Vec<u8>>,
        options: impl Into<SendOptions>,
    ) -> Result<(), SendMessageError> {
        let (mut data, options) = (Some(data.into()), options.into());
        let acknowledged = !matches!(options.delivery, Delivery::Unreliable { .. });
        let id = self
            .wait_for(Signal::MessageWritable, |connection, state| {
                let id = offer_message(connection, &mut data, options)?;
                if acknowledged {
                    state.deliveries.insert(id, Awaited::Open);
                }
                Ok::<_, SendMessageError>(id)
            })
            .await?;
        if !acknowledged {
            return Ok(());
        }
        let registered = Registered {
            connection: self,
            id,
        };
        let delivered = self
            .wait_for(Signal::State, |_, state| match state.deliveries.get(&id) {
                Some(Awaited::Open) => Err(SendMessageError::Blocked),
                Some(Awaited::Expired) => Err(SendMessageError::Expired),
                Some(Awaited::Delivered) | None => Ok(()),
            })
            .await;
        drop(registered);
        delivered
    }

    /// The moment `after` from now, as [`Delivery`] counts.
    #[must_use]
    pub fn deadline(&self, after: Duration) -> Instant {
        self.inner.shared.clock.now() + after
    }

    /// The next reliable message. After the end of the connection, first the messages that had
    /// arrived.
    ///
    /// # Errors
    /// The connection is over and every message was taken.
    pub async fn receive_message(&self) -> Result<Message, CloseReason> {
        self.wait_for(Signal::Message, |connection, _| {
            connection.receive_message().ok_or(Pending::Blocked)
        })
        .await
        .map_err(Pending::into_reason)
    }

    /// Sends a message once, without repair. It is dropped if it cannot leave within `expires`
    /// (None: it waits as long as newer ones leave it room).
    ///
    /// # Errors
    /// The datagram is too large for the peer, or the connection is over.
    pub fn send_datagram(
        &self,
        data: impl Into<Vec<u8>>,
        expires: Option<Duration>,
    ) -> Result<(), SendMessageError> {
        let expires = expires.map(|after| self.deadline(after));
        self.try_send_message_with(data, Delivery::Unreliable { expires })
            .map(drop)
    }

    /// The next datagram.
    ///
    /// # Errors
    /// The connection is over and every datagram was taken.
    pub async fn receive_datagram(&self) -> Result<Message, CloseReason> {
        self.wait_for(Signal::Datagram, |connection, _| {
            connection.receive_datagram().ok_or(Pending::Blocked)
        })
        .await
        .map_err(Pending::into_reason)
    }

    /// Asks the peer to prove, by a signature over fresh randomness and this connection, that it still has
    /// the key of its identity, and waits until it has. Give up after a time of your own: a peer that
    /// does not answer is not proven.
    ///
    /// # Errors
    /// [`ChallengeError::NotPossible`], or the connection is over; a wrong answer ends it.
    pub async fn challenge_peer(&self) -> Result<(), ChallengeError> {
        let mut nonce = [0; 32];
        OsRandom.fill(&mut nonce);
        let now = self.inner.shared.clock.now();
        let before = self.inner.act(|connection, state| {
            if let Some(reason) = state.closed.as_deref() {
                return Err(ChallengeError::Closed(reason.clone()));
            }
            match connection.challenge_peer(now, nonce) {
                true => Ok(state.proofs),
                false => Err(ChallengeError::NotPossible),
            }
        })?;
        self.wait_for(Signal::State, |_, state| match state.proofs > before {
            true => Ok(()),
            false => Err(Pending::Blocked),
        })
        .await
        .map_err(|pending| ChallengeError::Closed(pending.into_reason()))
    }

    /// Closes gracefully: everything accepted is delivered first. Waits for the end and says what
    /// it was; [`CloseReason::Local`]: all was delivered.
    pub async fn close(&self, code: u64, reason: &str) -> CloseReason {
        let begun = self.inner.act(|connection, _| {
            connection.close(code, reason);
            Ok(())
        });
        match begun {
            Ok(()) => self.closed().await,
            Err(reason) => reason,
        }
    }

    /// Ends the connection at once; what was not delivered is lost.
    pub fn abort(&self, code: u64, reason: &str) {
        let now = self.inner.shared.clock.now();
        let aborted: Result<(), CloseReason> = self.inner.act(|connection, _| {
            connection.abort(now, code, reason);
            Ok(())
        });
        // A connection that is gone needs no ending.
        drop(aborted);
    }

    /// Waits for the end of the connection.
    pub async fn closed(&self) -> CloseReason {
        loop {
            let mut changed = pin!(self.inner.signals.notified(Signal::State));
            changed.as_mut().enable();
            match self.inner.close_reason() {
                Some(reason) => return reason,
                None => changed.await,
            }
        }
    }

    /// Why the connection ended; None: it has not.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.inner.close_reason()
    }

    /// Who the peer is, as the session layer knows it. None only after the end of an endpoint.
    #[must_use]
    pub fn peer(&self) -> Option<PeerIdentity> {
        let handle = self.inner.handle;
        self.inner.shared.look(|state| {
            state
                .connection_state(handle)
                .and_then(|state| state.peer.clone())
        })
    }

    /// Where the peer is now; None once the connection is forgotten.
    #[must_use]
    pub fn remote_address(&self) -> Option<SocketAddr> {
        let handle = self.inner.handle;
        self.inner.shared.look(|state| {
            let address = state.core.connection(handle)?.remote_address();
            Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
        })
    }

    /// What carries its packets. It never changes.
    #[must_use]
    pub fn carrier(&self) -> Carrier {
        self.inner.shared.carrier
    }

    /// Counters; None once the connection is forgotten.
    #[must_use]
    pub fn stats(&self) -> Option<crate::Stats> {
        let handle = self.inner.handle;
        self.inner
            .shared
            .look(|state| Some(state.core.connection(handle)?.stats()))
    }

    /// Counters and current values of the path that packets take now; None once the connection is
    /// forgotten.
    #[must_use]
    pub fn path_stats(&self) -> Option<crate::PathStats> {
        let handle = self.inner.handle;
        self.inner
            .shared
            .look(|state| Some(state.core.connection(handle)?.path_stats()))
    }

    /// Counters of a stream; None when it is not open.
    #[must_use]
    pub fn stream_stats(&self, id: StreamId) -> Option<crate::StreamStats> {
        let handle = self.inner.handle;
        self.inner
            .shared
            .look(|state| state.core.connection(handle)?.stream_stats(id))
    }

    /// Waits for the handshake.
    pub(super) async fn established(&self) -> Result<(), CloseReason> {
        self.wait_for(Signal::State, |_, state| match &state.peer {
            Some(_) => Ok(()),
            None => Err(Pending::Blocked),
        })
        .await
        .map_err(Pending::into_reason)
    }

    async fn open(
        &self,
        direction: StreamDirection,
        signal: Signal,
        halves: u8,
    ) -> Result<StreamId, CloseReason> {
        self.wait_for(signal, |connection, state| {
            if let Some(reason) = state.closed.as_deref() {
                return Err(Pending::Closed(reason.clone()));
            }
            let id = connection.open_stream(direction).ok_or(Pending::Blocked)?;
            (0..halves).for_each(|_| state.add_half(id));
            Ok(id)
        })
        .await
        .map_err(Pending::into_reason)
    }

    async fn accept(
        &self,
        direction: StreamDirection,
        signal: Signal,
        halves: u8,
    ) -> Result<StreamId, CloseReason> {
        self.wait_for(signal, |connection, state| {
            let id = connection
                .accept_stream(direction)
                .ok_or(Pending::Blocked)?;
            (0..halves).for_each(|_| state.add_half(id));
            Ok(id)
        })
        .await
        .map_err(Pending::into_reason)
    }

    /// Where one waits.
    pub(super) fn signals(&self) -> &Signals {
        &self.inner.signals
    }

    /// Both halves of a stream that has been registered.
    pub(super) fn halves(&self, id: StreamId) -> (SendStream, RecvStream) {
        let writer = SendStream::new(&self.inner, id);
        (writer, RecvStream::new(&self.inner, id))
    }

    /// Tries once; what would block does not after the end of the connection.
    pub(super) fn attempt<R, E: Blocks>(
        &self,
        attempt: impl FnOnce(&mut crate::Connection, &mut ConnectionState) -> Result<R, E>,
    ) -> Result<R, E> {
        self.inner.act(|connection, state| {
            attempt(connection, state).map_err(|error| match state.closed.as_deref() {
                Some(reason) if error.is_blocked() => E::from(reason.clone()),
                _ => error,
            })
        })
    }

    /// Repeats `attempt` at each `signal` until it no longer blocks or the connection is over.
    async fn wait_for<R, E: Blocks>(
        &self,
        signal: Signal,
        mut attempt: impl FnMut(&mut crate::Connection, &mut ConnectionState) -> Result<R, E>,
    ) -> Result<R, E> {
        loop {
            let mut changed = pin!(self.inner.signals.notified(signal));
            changed.as_mut().enable();
            {
                let result = self.attempt(&mut attempt);
                if !matches!(&result, Err(error) if error.is_blocked()) {
                    return result;
                }
                // Gone before the task waits: many wait for long.
            }
            changed.await;
        }
    }
}

/// Hands a message to the core, keeping it when the core has no room.
fn offer_message(
    connection: &mut crate::Connection,
    data: &mut Option<Vec<u8>>,
    options: SendOptions,
) -> Result<MessageId, SendMessageError> {
    connection.check_message(data.as_ref().map_or(0, Vec::len), options)?;
    connection.send_message(data.take().unwrap_or_default(), options)
}

/// Forgets a wait for a delivery, however it ends.
struct Registered<'a> {
    connection: &'a Connection,
    id: MessageId,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        let inner = &self.connection.inner;
        inner.shared.look(|state| {
            if let Some(state) = state.connection_state(inner.handle) {
                state.deliveries.remove(&self.id);
            }
        });
    }
}

/// An error that says "not yet" besides "never".
pub(super) trait Blocks: From<CloseReason> {
    fn is_blocked(&self) -> bool;
}

/// [`Blocks`] for calls whose only error is the end of the connection.
pub(super) enum Pending {
    Blocked,
    Closed(CloseReason),
}

impl Pending {
    /// The end of the connection; [`Connection::wait_for`] never returns the other variant.
    fn into_reason(self) -> CloseReason {
        match self {
            Self::Closed(reason) => reason,
            Self::Blocked => CloseReason::EndpointStopped,
        }
    }
}

impl From<CloseReason> for Pending {
    fn from(reason: CloseReason) -> Self {
        Self::Closed(reason)
    }
}

impl Blocks for Pending {
    fn is_blocked(&self) -> bool {
        matches!(self, Self::Blocked)
    }
}

impl Blocks for SendMessageError {
    fn is_blocked(&self) -> bool {
        matches!(self, Self::Blocked)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("handle", &self.inner.handle)
            .finish_non_exhaustive()
    }
}
