//! What the secrets of a connection come from, and who may choose it (`docs/session.md` S-SUITE-1,
//! S-SUITE-7).

/// The key exchange of a handshake; as a setting, the one that a node offers and the least that it
/// accepts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum KeyExchange {
    /// X25519 (RFC 7748) alone: suite 2. As a setting: this node offers nothing else, and accepts
    /// it from others; who offers the hybrid exchange gets that one. Connections made with it can
    /// be read by who records them now and breaks X25519 later.
    Classical,
    /// X25519 and ML-KEM-768 (FIPS 203): suite 1. As a setting, the default: nothing less is offered
    /// or accepted.
    #[default]
    Hybrid,
}

impl KeyExchange {
    /// The suite number on the wire.
    #[must_use]
    pub const fn wire(self) -> u8 {
        match self {
            Self::Hybrid => 1,
            Self::Classical => 2,
        }
    }

    /// The inverse of [`Self::wire`].
    #[must_use]
    pub const fn from_wire(value: u8) -> Option<Self> {
        match value {
            1 => Some(Self::Hybrid),
            2 => Some(Self::Classical),
            _ => None,
        }
    }

    /// Its bit in an offer: 2^(wire − 1).
    #[must_use]
    pub const fn bit(self) -> u8 {
        1 << (self.wire() - 1)
    }

    /// What a responder answers an offer with: the best that is in it. Whether that is enough is
    /// judged when the initiator has proved who it is, so that it can be told.
    pub(crate) fn select(offered: u8) -> Option<Self> {
        [Self::Hybrid, Self::Classical]
            .into_iter()
            .find(|exchange| offered & exchange.bit() != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::KeyExchange::{self, Classical, Hybrid};

    #[test]
    fn wire_values_round_trip_and_others_are_refused() {
        for value in 0..=u8::MAX {
            let known = KeyExchange::from_wire(value);
            assert_eq!(known.is_some(), matches!(value, 1 | 2));
            assert!(known.is_none_or(|exchange| exchange.wire() == value));
        }
    }

    #[test]
    fn the_best_of_an_offer_is_selected_and_hybrid_is_the_default() {
        assert_eq!(KeyExchange::select(0b01), Some(Hybrid));
        assert_eq!(KeyExchange::select(0b10), Some(Classical));
        assert_eq!(KeyExchange::select(0xff), Some(Hybrid));
        assert_eq!(KeyExchange::select(0b1111_1100), None);
        assert_eq!(KeyExchange::default(), Hybrid);
        assert!(Classical < Hybrid);
    }
}
