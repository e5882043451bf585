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
}

impl Refusal {
    /// The application error code on the wire.
    #[must_use]
    pub const fn code(self) -> u64 {
        match self {
            Self::NotAllowed => 0x6475_0001,
            Self::MissingCapability => 0x6475_0002,
        }
    }

    /// The inverse of [`Self::code`].
    #[must_use]
    pub const fn from_code(code: u64) -> Option<Self> {
        match code {
            0x6475_0001 => Some(Self::NotAllowed),
            0x6475_0002 => Some(Self::MissingCapability),
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
        }
    }

    /// The sentence for our own operator, when it is we who refuse.
    pub(crate) const fn own_reason(self) -> &'static str {
        match self {
            Self::NotAllowed => "the peer's node ID is not on our allow-list",
            Self::MissingCapability => "the peer lacks a capability that we require",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip_and_reasons_fit_a_reset() {
        for refusal in [Refusal::NotAllowed, Refusal::MissingCapability] {
            assert_eq!(Refusal::from_code(refusal.code()), Some(refusal));
            assert_eq!(refusal.to_string(), refusal.reason());
            assert!(refusal.reason().len() <= 256);
        }
        assert_eq!(Refusal::from_code(0), None);
    }
}
