//! Errors of the driver, and how the core's errors look as [`io::Error`].

use std::io;

use crate::error::{CloseReason, ConnectError, ReadError, SendMessageError, WriteError};

/// Why there is no connection.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The attempt was refused here; nothing was sent.
    #[error(transparent)]
    Refused(#[from] ConnectError),
    /// The remote address is IPv6 and the socket IPv4, or the socket speaks IPv6 only.
    #[error("the socket cannot reach addresses of this family: bind it to [::] instead")]
    AddressFamily,
    /// The TCP stream that was to carry the connection did not come about.
    #[error("the TCP connection failed: {0}")]
    Tcp(io::ErrorKind),
    /// The handshake or the connection ended.
    #[error(transparent)]
    Closed(#[from] CloseReason),
}

/// Why a peer has not proven its identity once more.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeError {
    /// The session layer has no such proofs (the plain profile), or one is owed already, or was asked for
    /// within the last second.
    #[error("no proof can be asked for here, or one was asked for just now")]
    NotPossible,
    /// The connection is over; a wrong answer ends it.
    #[error(transparent)]
    Closed(#[from] CloseReason),
}

impl CloseReason {
    /// The nearest [`io::ErrorKind`].
    #[must_use]
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::Local | Self::EndpointStopped => io::ErrorKind::NotConnected,
            Self::Peer { .. } | Self::TransportReset { .. } | Self::Violation(_) => {
                io::ErrorKind::ConnectionAborted
            }
            Self::Reset { .. } | Self::PeerRestarted | Self::CarrierLost => {
                io::ErrorKind::ConnectionReset
            }
            Self::TimedOut | Self::HandshakeTimeout { .. } => io::ErrorKind::TimedOut,
            Self::Handshake(_) => io::ErrorKind::ConnectionRefused,
        }
    }
}

impl From<CloseReason> for io::Error {
    fn from(reason: CloseReason) -> Self {
        Self::new(reason.io_kind(), reason)
    }
}

impl From<ConnectionError> for io::Error {
    fn from(error: ConnectionError) -> Self {
        let kind = match &error {
            ConnectionError::Refused(ConnectError::TooManyConnections) => {
                io::ErrorKind::QuotaExceeded
            }
            ConnectionError::Refused(ConnectError::InvalidRemoteAddress)
            | ConnectionError::AddressFamily => io::ErrorKind::InvalidInput,
            ConnectionError::Tcp(kind) => *kind,
            ConnectionError::Closed(reason) => reason.io_kind(),
        };
        Self::new(kind, error)
    }
}

impl From<WriteError> for io::Error {
    fn from(error: WriteError) -> Self {
        let kind = match &error {
            WriteError::Blocked => io::ErrorKind::WouldBlock,
            WriteError::Stopped(_) => io::ErrorKind::BrokenPipe,
            WriteError::Misuse(_) => io::ErrorKind::InvalidInput,
            WriteError::Closed(reason) => reason.io_kind(),
        };
        Self::new(kind, error)
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        let kind = match &error {
            ReadError::Blocked => io::ErrorKind::WouldBlock,
            ReadError::Reset(_) => io::ErrorKind::ConnectionReset,
            ReadError::Misuse(_) => io::ErrorKind::InvalidInput,
            ReadError::Closed(reason) => reason.io_kind(),
        };
        Self::new(kind, error)
    }
}

impl From<SendMessageError> for io::Error {
    fn from(error: SendMessageError) -> Self {
        let kind = match &error {
            SendMessageError::Blocked => io::ErrorKind::WouldBlock,
            SendMessageError::TooLarge { .. } => io::ErrorKind::InvalidInput,
            SendMessageError::Expired => io::ErrorKind::TimedOut,
            SendMessageError::Closed(reason) => reason.io_kind(),
        };
        Self::new(kind, error)
    }
}
