//! The peer state machine: seven states, and a reason on every transition.
//!
//! ```text
//! Discovered ──► Connecting ──► Handshaking ──► Connected
//!     ▲              │              │   ▲           │
//!     │              ▼              ▼   │           ▼
//!     │            Failed ◄─────────┘   └──── Disconnected
//!   Banned ◄── from every state
//! ```
//!
//! `Failed` and `Disconnected` lead back to `Connecting` (we dial) or `Handshaking` (the peer
//! dials); an inbound link takes `Discovered` straight to `Handshaking`.

use crate::event::LinkEndCause;
use crate::types::{DisconnectReason, HintSource, Refusal};

/// Where a peer stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PeerState {
    /// Known by ID, never linked.
    Discovered,
    /// Being dialled.
    Connecting,
    /// The link is up, the hellos are not finished.
    Handshaking,
    /// Both hellos are accepted: messages flow.
    Connected,
    /// Was connected, or left in good order.
    Disconnected,
    /// The dial or the hello failed.
    Failed,
    /// Not wanted until the ban ends.
    Banned,
}

impl PeerState {
    /// All states.
    pub const ALL: [Self; 7] = [
        Self::Discovered,
        Self::Connecting,
        Self::Handshaking,
        Self::Connected,
        Self::Disconnected,
        Self::Failed,
        Self::Banned,
    ];
}

/// Why a peer's state changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StateReason {
    /// It was configured as a bootstrap.
    Bootstrap,
    /// A connected peer named it, with a record that verifies.
    PeerExchange,
    /// The operator, a name server or the local network named it.
    Hinted(HintSource),
    /// It was known before the restart.
    Restored,
    /// It dialled us.
    InboundLink,
    /// We dialled it.
    Dialled,
    /// The authenticated link came up.
    LinkUp,
    /// Both hellos were accepted.
    HelloAccepted,
    /// The driver could not reach it.
    DialFailed,
    /// The driver did not say in time whether the dial worked.
    DialTimeout,
    /// The hellos were not finished in time.
    HelloTimeout,
    /// We refused its hello.
    RefusedByUs(Refusal),
    /// It refused our hello (`None`: with a code of a later version).
    RefusedByPeer(Option<Refusal>),
    /// The link ended without a goodbye.
    LinkLost(LinkEndCause),
    /// We said goodbye.
    LocalDisconnect(DisconnectReason),
    /// It said goodbye (`None`: with a code of a later version).
    RemoteDisconnect(Option<DisconnectReason>),
    /// The application banned it.
    BannedByUser,
    /// It broke the protocol too often.
    BannedForViolations,
    /// Its score fell below the threshold for a ban.
    BannedForScore,
    /// It sent far more than it may, for long.
    BannedForFlooding,
    /// It was banned when the node stopped, and still is.
    BanRestored,
    /// Its address was banned.
    AddressBanned,
    /// It made room for another peer.
    Evicted,
    /// It did not prove its identity again when it was asked to.
    NotProven,
    /// Its ban ended.
    BanEnded,
}

/// Whether the state machine has an edge `from → to`.
#[must_use]
pub const fn is_transition(from: PeerState, to: PeerState) -> bool {
    use PeerState as S;
    match (from, to) {
        (S::Banned, to) => matches!(to, S::Discovered),
        (_, S::Banned) => true,
        (S::Discovered | S::Disconnected | S::Failed, S::Connecting | S::Handshaking)
        | (S::Connecting, S::Handshaking | S::Failed)
        | (S::Handshaking, S::Connected | S::Failed | S::Disconnected)
        | (S::Connected, S::Disconnected) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_table_is_the_documented_one() {
        let table: Vec<String> = PeerState::ALL
            .iter()
            .map(|&from| {
                let to: Vec<_> = PeerState::ALL
                    .iter()
                    .filter(|&&to| is_transition(from, to))
                    .map(|to| format!("{to:?}"))
                    .collect();
                format!("{from:?} -> {}", to.join(" "))
            })
            .collect();
        assert_eq!(
            table,
            [
                "Discovered -> Connecting Handshaking Banned",
                "Connecting -> Handshaking Failed Banned",
                "Handshaking -> Connected Disconnected Failed Banned",
                "Connected -> Disconnected Banned",
                "Disconnected -> Connecting Handshaking Banned",
                "Failed -> Connecting Handshaking Banned",
                "Banned -> Discovered",
            ]
        );
        let manual = include_str!("../../../docs/overlay.md");
        for line in &table {
            assert!(
                manual.contains(line.as_str()),
                "docs/overlay.md lacks: {line}"
            );
        }
    }
}
