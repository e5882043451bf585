//! Errors, sorted by blame: the peer's ([`PeerViolation`]), the caller's ([`ApiMisuse`] and the
//! errors of single calls), and the end of a connection ([`CloseReason`]). What is wrong with a
//! datagram's bytes is a [`crate::wire::DecodeError`].

use alloc::string::String;
use core::fmt;

use crate::wire::DecodeError;

/// A rule of the protocol that the authenticated peer broke. The connection is reset with
/// [`PeerViolation::code`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerViolation {
    /// An opened packet does not parse.
    #[error("malformed packet: {0}")]
    Malformed(#[from] DecodeError),
    /// An acknowledgement of a number that was never sent (`docs/wire.md` W-ACK-4).
    #[error("acknowledged a packet that was never sent")]
    AckOfUnsentPacket,
    /// More data than the connection's or stream's limit allows.
    #[error("exceeded a flow-control limit")]
    FlowControl,
    /// A stream beyond the granted count.
    #[error("exceeded the stream limit")]
    StreamLimit,
    /// A frame for a stream that cannot carry it: our send-only stream, or one not yet opened.
    #[error("frame for a stream in the wrong state")]
    StreamState,
    /// The final size of a stream changed, or data lies beyond it.
    #[error("the final size of a stream changed")]
    FinalSize,
    /// A message's length or fragment count changed, or a fragment lies outside it.
    #[error("the fragments of a message contradict each other")]
    FragmentMismatch,
    /// A message or datagram above the announced size limit.
    #[error("a message exceeds the announced limit")]
    MessageTooLarge,
    /// Two messages claim the same place among the ordered ones.
    #[error("two messages have the same place in their order")]
    MessageOrder,
    /// More connection IDs than allowed at once, one number for two of them, or the return of one that
    /// was never issued or is in use.
    #[error("connection IDs were issued or returned against the rules")]
    ConnectionId,
    /// Bytes of a stream, or of the session layer's channel, came again and were others.
    #[error("the same bytes of a stream came twice and differ")]
    ContradictingData,
    /// A newer packet granted less credit, or fewer streams, than an older one.
    #[error("took back credit that was granted")]
    LimitShrank,
    /// A compressed message that was not asked for, that is no shorter than what it stands for, or that
    /// does not become what it claims to.
    #[error("a compressed message is not what it claims to be")]
    Compression,
    /// The transport parameters are malformed or out of range.
    #[error("transport parameters out of range")]
    TransportParameters,
    /// The cipher's integrity limit is reached (RFC 9001 §6.6).
    #[error("too many packets failed authentication")]
    IntegrityLimit,
    /// Packet numbers are used up (2^62).
    #[error("packet numbers are used up")]
    NumbersExhausted,
    /// The session layer's channel carries what no session layer says, or more than fits.
    #[error("malformed message of the session layer")]
    SessionChannel,
    /// The peer holds as many connections to this endpoint as one peer may.
    #[error("too many connections of one peer")]
    TooManyConnections,
}

impl PeerViolation {
    /// The code that travels in RST (`docs/wire.md`, table "Transport error codes").
    #[must_use]
    pub const fn code(self) -> u64 {
        match self {
            Self::Malformed(_) => 0x01,
            Self::AckOfUnsentPacket => 0x02,
            Self::FlowControl => 0x03,
            Self::StreamLimit => 0x04,
            Self::StreamState => 0x05,
            Self::FinalSize => 0x06,
            Self::FragmentMismatch => 0x07,
            Self::MessageTooLarge => 0x08,
            Self::TransportParameters => 0x09,
            Self::IntegrityLimit => 0x0a,
            Self::NumbersExhausted => 0x0b,
            Self::SessionChannel => 0x0c,
            Self::TooManyConnections => 0x0d,
            Self::MessageOrder => 0x0e,
            Self::ConnectionId => 0x0f,
            Self::ContradictingData => 0x10,
            Self::LimitShrank => 0x11,
            Self::Compression => 0x12,
        }
    }
}

/// Why a connection ended. Final; every call on the connection then returns it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// We closed it, and everything we had accepted was delivered.
    #[error("closed locally")]
    Local,
    /// The peer closed it gracefully.
    #[error("closed by the peer (code {code}): {}", Printable(reason))]
    Peer {
        /// The peer application's code.
        code: u64,
        /// The peer application's sentence.
        reason: String,
    },
    /// The peer's application reset it.
    #[error("reset by the peer (code {code}): {}", Printable(reason))]
    Reset {
        /// The code.
        code: u64,
        /// The sentence.
        reason: String,
    },
    /// The peer's transport reset it because it saw us break a rule (or believes so).
    #[error("reset by the peer's transport (error 0x{code:02x})")]
    TransportReset {
        /// [`PeerViolation::code`] as the peer saw it.
        code: u64,
    },
    /// The peer broke a rule.
    #[error("peer violated the protocol: {0}")]
    Violation(#[from] PeerViolation),
    /// Nothing arrived for the idle timeout.
    #[error("the connection timed out: nothing arrived for the idle timeout")]
    TimedOut,
    /// Nobody completed the handshake in time. `versions` lists what the peer said it speaks, if
    /// it answered with a version reply.
    #[error("no answer to the handshake")]
    HandshakeTimeout {
        /// Versions offered by an unauthenticated version reply; a hint only.
        peer_speaks_other_version: bool,
    },
    /// The handshake ended with a proven, unacceptable peer.
    #[error("handshake failed: {0}")]
    Handshake(&'static str),
    /// The peer has lost the connection, mostly because it was started anew: a stateless reset with
    /// its token came.
    #[error("the peer was restarted and does not know this connection any more")]
    PeerRestarted,
    /// What carried the packets is gone: the TCP stream ended or broke before the connection did.
    #[error("the TCP connection that carried the packets was lost")]
    CarrierLost,
    /// The endpoint was shut down.
    #[error("the endpoint was shut down")]
    EndpointStopped,
}

/// A peer's words as they may stand in a log or on a terminal: control characters (line ends and
/// escape sequences among them) and those that hide or turn round text are shown as escapes.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            // General punctuation without width or with a direction; the byte-order mark.
            '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' => write!(f, "{}", c.escape_unicode()),
            c if c.is_control() => write!(f, "{}", c.escape_default()),
            c => write!(f, "{c}"),
        })
    }
}

/// The caller broke the contract; nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiMisuse {
    /// No such stream, or it is finished and forgotten.
    #[error("no such stream")]
    UnknownStream,
    /// The stream does not flow this way.
    #[error("the stream does not flow in this direction")]
    WrongDirection,
    /// The stream was already finished or reset here.
    #[error("the stream is already finished")]
    AlreadyFinished,
}

/// Why a new connection was not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The endpoint holds [`crate::limits::CONNECTIONS_MAX`] connections (or fewer, if configured).
    #[error("the endpoint holds its maximum number of connections")]
    TooManyConnections,
    /// Port 0 or an unspecified address.
    #[error("the remote address cannot be reached: its port or host is zero")]
    InvalidRemoteAddress,
}

/// Why bytes were not accepted for a stream.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The send buffer is full: wait for [`crate::Event::StreamWritable`].
    #[error("blocked until the peer acknowledges more")]
    Blocked,
    /// The peer asked us to stop.
    #[error("the peer stopped reading (code {0})")]
    Stopped(u64),
    /// The caller's fault.
    #[error(transparent)]
    Misuse(#[from] ApiMisuse),
    /// The connection is over or closing.
    #[error(transparent)]
    Closed(#[from] CloseReason),
}

/// Why nothing was read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing there yet: wait for [`crate::Event::StreamReadable`].
    #[error("blocked until more arrives")]
    Blocked,
    /// The peer abandoned the stream.
    #[error("the peer reset the stream (code {0})")]
    Reset(u64),
    /// The caller's fault.
    #[error(transparent)]
    Misuse(#[from] ApiMisuse),
    /// The connection is over and everything that had arrived was read.
    #[error(transparent)]
    Closed(#[from] CloseReason),
}

/// Why a message or datagram was not accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendMessageError {
    /// The queue is full: wait for [`crate::Event::MessagesWritable`].
    #[error("blocked until earlier messages are delivered")]
    Blocked,
    /// Longer than the peer accepts.
    #[error("the message has {length} bytes; the peer accepts {limit}")]
    TooLarge {
        /// Bytes offered.
        length: usize,
        /// Bytes accepted.
        limit: u64,
    },
    /// Its time was over before the peer had acknowledged all of it; told to who waits for that.
    #[error("the message expired before it was acknowledged")]
    Expired,
    /// The connection is over or closing.
    #[error(transparent)]
    Closed(#[from] CloseReason),
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_peers_words_are_shown_without_control_characters() {
        let shown = |reason: &str| {
            let reason = reason.to_string();
            CloseReason::Peer { code: 1, reason }.to_string()
        };
        assert!(
            shown("can't \"go\" on: ende, müde, 終").ends_with("can't \"go\" on: ende, müde, 終")
        );
        assert!(shown("a\r\nb\u{1b}[2J\u{0}").ends_with("a\\r\\nb\\u{1b}[2J\\u{0}"));
        assert!(shown("\u{202e}\u{2028}\u{feff}").ends_with("\\u{202e}\\u{2028}\\u{feff}"));
    }
}
