//! States and reasons in plain words, for logs, the audit trail and the CLI. The words are for people;
//! programs compare the values.

use core::fmt::{Display, Formatter, Result};

use crate::event::{Direction, LinkEndCause};
use crate::peers::state::{PeerState, StateReason};
use crate::peers::table::PeerSource;
use crate::types::{DisconnectReason, HintSource, Refusal, RequestRefusal};

impl Display for PeerState {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Discovered => "discovered",
            Self::Connecting => "connecting",
            Self::Handshaking => "handshaking",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Failed => "failed",
            Self::Banned => "banned",
        })
    }
}

impl Display for Direction {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        })
    }
}

impl Display for DisconnectReason {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::UserRequested => "user requested",
            Self::ProtocolViolation => "protocol violation",
            Self::InactivityTimeout => "inactivity timeout",
            Self::ConnectionLimitReached => "connection limit reached",
            Self::Shutdown => "shutdown",
            Self::NetworkError => "network error",
            Self::InvalidMessage => "invalid message",
            Self::Banned => "banned",
        })
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Version => "no protocol version in common",
            Self::Network => "another network",
            Self::ConnectionLimit => "connection limit reached",
        })
    }
}

impl Display for RequestRefusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::NoHandler => "nobody there handles that name",
            Self::Busy => "busy",
            Self::Failed => "the handler failed",
        })
    }
}

impl Display for LinkEndCause {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::ClosedLocally => "closed by us",
            Self::ClosedByPeer => "closed by the peer",
            Self::TimedOut => "nothing came for too long",
            Self::Failed => "the transport or the session failed",
        })
    }
}

impl Display for PeerSource {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Bootstrap => f.write_str("configured"),
            Self::Inbound => f.write_str("dialled us"),
            Self::Exchange(introducer) => write!(f, "named by {introducer}"),
            Self::Hint(source) => write!(f, "named by {source}"),
            Self::Restored => f.write_str("known before the restart"),
        }
    }
}

impl Display for HintSource {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::User => "the operator",
            Self::Dns => "a name server",
            Self::Lan => "the local network",
        })
    }
}

impl Display for StateReason {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let text = match self {
            Self::Bootstrap => "configured as a bootstrap",
            Self::PeerExchange => "named by a peer",
            Self::Hinted(source) => return write!(f, "named by {source}"),
            Self::Restored => "known before the restart",
            Self::InboundLink => "it dialled us",
            Self::Dialled => "we dialled it",
            Self::LinkUp => "the link came up",
            Self::HelloAccepted => "both hellos were accepted",
            Self::DialFailed => "the dial failed",
            Self::DialTimeout => "the dial took too long",
            Self::HelloTimeout => "the hellos took too long",
            Self::RefusedByUs(refusal) => return write!(f, "we refused it: {refusal}"),
            Self::RefusedByPeer(Some(refusal)) => return write!(f, "it refused us: {refusal}"),
            Self::RefusedByPeer(None) => "it refused us for a reason of a later version",
            Self::LinkLost(cause) => return write!(f, "the link was lost: {cause}"),
            Self::LocalDisconnect(reason) => return write!(f, "we said goodbye: {reason}"),
            Self::RemoteDisconnect(Some(reason)) => return write!(f, "it said goodbye: {reason}"),
            Self::RemoteDisconnect(None) => "it said goodbye for a reason of a later version",
            Self::BannedByUser => "banned by the user",
            Self::BannedForViolations => "banned for breaking the protocol",
            Self::BannedForFlooding => "banned for flooding",
            Self::BannedForScore => "banned for its conduct",
            Self::BanRestored => "was banned before the restart",
            Self::AddressBanned => "its address was banned",
            Self::Evicted => "it made room for another peer",
            Self::NotProven => "it did not prove its identity again",
            Self::BanEnded => "the ban ended",
        };
        f.write_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_as_words_and_say_what_is_inside_them() {
        let of = |reason: StateReason| reason.to_string();
        assert_eq!(
            of(StateReason::RemoteDisconnect(Some(
                DisconnectReason::Shutdown
            ))),
            "it said goodbye: shutdown"
        );
        assert_eq!(
            of(StateReason::LinkLost(LinkEndCause::TimedOut)),
            "the link was lost: nothing came for too long"
        );
        assert_eq!(
            of(StateReason::RefusedByUs(Refusal::ConnectionLimit)),
            "we refused it: connection limit reached"
        );
        let mut words: Vec<_> = PeerState::ALL.iter().map(PeerState::to_string).collect();
        words.extend(DisconnectReason::ALL.iter().map(ToString::to_string));
        words.sort();
        let all = words.len();
        words.dedup();
        // "banned" is a state and a reason.
        assert_eq!(words.len(), all - 1);
    }
}
