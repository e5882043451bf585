//! The vocabulary of the crate: identifiers, roles, capabilities, reasons.

use core::cmp::Ordering;
use core::fmt;

use dunlin_session::NodeId;

use crate::limits::HANDLER_NAME_LEN_MAX;

/// Name of a broadcast: the BLAKE3 hash of the bytes its origin signed, computed by whoever
/// receives it. A sender cannot choose it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BroadcastId([u8; 32]);

impl BroadcastId {
    /// The ID of a signed body.
    #[must_use]
    pub fn of_body(body: &[u8]) -> Self {
        Self(*blake3::hash(body).as_bytes())
    }

    /// The ID with these bytes: one that was written down earlier.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl BroadcastId {
    pub(crate) const MIN: Self = Self([0; 32]);
    pub(crate) const MAX: Self = Self([0xff; 32]);

    /// Its first half, by which neighbours name it to each other.
    pub(crate) fn short(&self) -> ShortId {
        let (half, _) = self.0.split_at(16);
        let mut short = [0; 16];
        short.copy_from_slice(half);
        ShortId(short)
    }

    /// Sixteen bytes of it as two numbers.
    pub(crate) fn halves(&self) -> (u64, u64) {
        let ShortId(short) = self.short();
        let both = u128::from_be_bytes(short);
        let low = u64::try_from(both & u128::from(u64::MAX)).unwrap_or(0);
        (u64::try_from(both >> 64).unwrap_or(0), low)
    }
}

/// The first 16 bytes of a [`BroadcastId`]: enough that nobody finds a second broadcast with the
/// first half of a given one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ShortId(pub(crate) [u8; 16]);

impl ShortId {
    pub(crate) const MIN: Self = Self([0; 16]);
    pub(crate) const MAX: Self = Self([0xff; 16]);
}

impl Ord for ShortId {
    /// By the bytes, as one number.
    fn cmp(&self, other: &Self) -> Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for ShortId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for BroadcastId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BroadcastId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "broadcast:{a:02x}{b:02x}{c:02x}{d:02x}")
    }
}

/// A request between two peers. Chosen by the requester; means nothing without the peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

/// A link as the driver knows it: unique among the links of one overlay, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u64);

/// What a node can do, as a bitmap (bit 0 is the least significant). The meaning of a bit is the
/// same in every network. Unknown bits are kept and ignored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// Bit 0: takes and relays broadcasts. Others are sent none.
    pub const GOSSIP: Self = Self(1);
    /// Bit 1: answers `get_peers`.
    pub const PEER_EXCHANGE: Self = Self(1 << 1);
    /// Bit 2: takes direct messages.
    pub const DIRECT: Self = Self(1 << 2);
    /// Bit 3: takes requests.
    pub const REQUESTS: Self = Self(1 << 3);
    /// All that this version implements, [`Self::VALIDATES`] apart.
    pub const ALL: Self = Self(0b1111);
    /// Bit 4: its application judges every broadcast before it is passed on. Set by
    /// [`crate::Validation::Application`]; who says so answers for what it passes on.
    pub const VALIDATES: Self = Self(1 << 4);

    /// Bit 6: passes messages on between its neighbours. Set for the role [`Roles::RELAY`].
    pub const RELAYS: Self = Self(1 << 6);

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a node is there for, as a bitmap. A node says so of itself; nothing is granted for it.
/// Unknown bits are kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Roles(pub u32);

impl Roles {
    /// Bit 0.
    pub const VALIDATOR: Self = Self(1);
    /// Bit 1.
    pub const FULL: Self = Self(1 << 1);
    /// Bit 2.
    pub const LIGHT: Self = Self(1 << 2);
    /// Bit 3.
    pub const BRIDGE: Self = Self(1 << 3);
    /// Bit 4: offers [`Capabilities::RELAYS`].
    pub const RELAY: Self = Self(1 << 4);
    /// Bit 5.
    pub const ARCHIVE: Self = Self(1 << 5);

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Defines an enum with a number for each variant on the wire.
macro_rules! wire_codes {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// Every value, in the order of the codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its number on the wire.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            /// The value with this number; `None` for numbers of a later version.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

wire_codes! {
    /// How urgent a broadcast is to its origin. Signed with it.
    Priority {
        /// Pushed also when little of a neighbour's rate is left.
        High = 0,
        /// Pushed.
        Normal = 1,
        /// Announced; whoever lacks it asks.
        Low = 2,
    }
}

wire_codes! {
    /// What an application says of a broadcast that it was given to judge
    /// ([`crate::Overlay::validate`]).
    Verdict {
        /// It is good: pass it on.
        Accept = 0,
        /// It is of no use here, or cannot be judged: do not pass it on; nobody is to blame.
        Ignore = 1,
        /// Whoever has the message alone can see that it is invalid: do not pass it on, and blame
        /// its origin, and its sender if that one says that it validates.
        Reject = 2,
    }
}

wire_codes! {
    /// Why a link is given up, as told to the peer. The eight reasons of the QuDAG peer plan.
    DisconnectReason {
        /// A person or the application asked for it. The peer is not dialled again by itself.
        UserRequested = 1,
        /// The peer broke a rule of the protocol.
        ProtocolViolation = 2,
        /// The peer did not answer for too long.
        InactivityTimeout = 3,
        /// No room for one more peer.
        ConnectionLimitReached = 4,
        /// The node stops.
        Shutdown = 5,
        /// The network failed.
        NetworkError = 6,
        /// The peer sent messages that do not verify or do not decode.
        InvalidMessage = 7,
        /// The peer is banned.
        Banned = 8,
    }
}

wire_codes! {
    /// Why a hello was not accepted.
    Refusal {
        /// No protocol version in common.
        Version = 1,
        /// The peer is of another network.
        Network = 2,
        /// No room; the refusal may name other peers.
        ConnectionLimit = 3,
    }
}

wire_codes! {
    /// Why a request was not served, as told to the requester.
    RequestRefusal {
        /// Nobody here handles that name.
        NoHandler = 1,
        /// Too many requests wait already.
        Busy = 2,
        /// The handler failed or refused.
        Failed = 3,
    }
}

/// Who told of an address that no peer vouches for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HintSource {
    /// The operator.
    User,
    /// A name server.
    Dns,
    /// The local network.
    Lan,
}

impl HintSource {
    /// A number of its own, for hashes.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::User => 0,
            Self::Dns => 1,
            Self::Lan => 2,
        }
    }
}

/// How much the operator wants a peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum PeerPriority {
    /// Kept in the address book, and dialled when another peer is wanted.
    #[default]
    Low,
    /// Dialled at once, and kept in the address book.
    Normal,
    /// Persistent: linked whatever the number of peers, never forgotten, dialled again for ever, with
    /// back-off.
    High,
}

/// What came of adding a peer ([`crate::Overlay::add_peer`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddedPeer {
    /// There is a link to it, which stays.
    Live(NodeId),
    /// It is being dialled.
    Dialling,
    /// It is remembered, and dialled when its turn comes.
    Kept,
    /// There is no room for it: others in its place of the address book have not failed.
    NoRoom,
}

/// Whether a handler or topic name is acceptable: 1 to 64 bytes of UTF-8, no control characters.
#[must_use]
pub fn is_valid_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= HANDLER_NAME_LEN_MAX && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_codes_round_trip_and_unknown_ones_are_none() {
        for &reason in DisconnectReason::ALL {
            assert_eq!(DisconnectReason::from_code(reason.code()), Some(reason));
        }
        assert_eq!(DisconnectReason::ALL.len(), 8);
        for &refusal in Refusal::ALL {
            assert_eq!(Refusal::from_code(refusal.code()), Some(refusal));
        }
        for &refusal in RequestRefusal::ALL {
            assert_eq!(RequestRefusal::from_code(refusal.code()), Some(refusal));
        }
        assert_eq!(DisconnectReason::from_code(0), None);
        assert_eq!(DisconnectReason::from_code(9), None);
    }

    #[test]
    fn names_are_accepted_up_to_the_limit_and_refused_one_past_it() {
        assert!(is_valid_name(&"x".repeat(HANDLER_NAME_LEN_MAX)));
        assert!(!is_valid_name(&"x".repeat(HANDLER_NAME_LEN_MAX + 1)));
        assert!(!is_valid_name(""));
        assert!(!is_valid_name("a\u{1b}[31m"));
    }
}
