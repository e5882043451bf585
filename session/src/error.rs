//! Why a peer that has proved who it is was refused.

/// A refusal: it travels sealed, as the code and reason of a reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", self.reason())]
#[non_exhaustive]
pub enum Refusal {
    /// The peer's node ID is not on our list.
    NotAllowed,
    /// The peer lacks a capability that we require.
    MissingCapability,
    /// The peer's identity has no post-quantum key, and we require one.
    ClassicalOnly,
    /// The peer's post-quantum proof is not that of its identity.
    SecondProofFailed,
    /// The peer's node ID is on our deny list.
    Revoked,
    /// The peer offered a classical key exchange, and we accept none.
    ClassicalKeyExchange,
    /// The peer was asked to prove its key once more, and has not.
    NotProvenAgain,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::NotAllowed,
        Self::MissingCapability,
        Self::ClassicalOnly,
        Self::SecondProofFailed,
        Self::Revoked,
        Self::ClassicalKeyExchange,
        Self::NotProvenAgain,
    ];

    /// The application error code on the wire.
    #[must_use]
    pub const fn code(self) -> u64 {
        match self {
            Self::NotAllowed => 0x6475_0001,
            Self::MissingCapability => 0x6475_0002,
            Self::ClassicalOnly => 0x6475_0003,
            Self::SecondProofFailed => 0x6475_0004,
            Self::Revoked => 0x6475_0005,
            Self::ClassicalKeyExchange => 0x6475_0006,
            Self::NotProvenAgain => 0x6475_0007,
        }
    }

    /// The inverse of [`Self::code`].
    #[must_use]
    pub const fn from_code(code: u64) -> Option<Self> {
        match code {
            0x6475_0001 => Some(Self::NotAllowed),
            0x6475_0002 => Some(Self::MissingCapability),
            0x6475_0003 => Some(Self::ClassicalOnly),
            0x6475_0004 => Some(Self::SecondProofFailed),
            0x6475_0005 => Some(Self::Revoked),
            0x6475_0006 => Some(Self::ClassicalKeyExchange),
            0x6475_0007 => Some(Self::NotProvenAgain),
            _ => None,
        }
    }

    /// The sentence that the refused peer's operator reads.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotAllowed => {
                "this node ID is not on the allow-list of the peer; ask its operator to add it"
            }
            Self::MissingCapability => {
                "a capability that the peer requires is missing; update or enable it"
            }
            Self::ClassicalOnly => {
                "the peer requires a post-quantum identity and this node has none; make one with `dunlin id rotate --hybrid`"
            }
            Self::SecondProofFailed => {
                "the post-quantum signature of this node does not fit its ID; check that its key file is whole"
            }
            Self::Revoked => {
                "this node ID is on the deny list of the peer; ask its operator, or use another identity"
            }
            Self::ClassicalKeyExchange => {
                "the peer requires a hybrid (post-quantum) key exchange and this node is set to a classical one; remove `--key-exchange classical` here, or set it at the peer too"
            }
            Self::NotProvenAgain => {
                "this end was asked to prove its key again and its signature is wrong; if its key file was replaced, restart it"
            }
        }
    }

    /// The sentence for our own operator, when it is we who refuse.
    #[must_use]
    pub const fn own_reason(self) -> &'static str {
        match self {
            Self::NotAllowed => "the peer's node ID is not on our allow-list",
            Self::MissingCapability => "the peer lacks a capability that we require",
            Self::ClassicalOnly => {
                "the peer's identity has no post-quantum key, which is required here"
            }
            Self::SecondProofFailed => "the peer's post-quantum signature does not fit its node ID",
            Self::Revoked => "the peer's node ID is on our deny list",
            Self::ClassicalKeyExchange => {
                "the peer offers only a classical key exchange, and a hybrid one is required here"
            }
            Self::NotProvenAgain => {
                "the peer was asked to prove its key again and its signature is wrong: it may have been taken over"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip_and_reasons_fit_a_reset() {
        for refusal in Refusal::ALL {
            assert_eq!(Refusal::from_code(refusal.code()), Some(refusal));
            assert_eq!(refusal.to_string(), refusal.reason());
            assert!(refusal.reason().len() <= 256 && !refusal.own_reason().is_empty());
        }
        assert_eq!(Refusal::from_code(0), None);
    }
}
