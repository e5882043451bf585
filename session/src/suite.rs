//! The packet ciphers and how two ends agree on one (`docs/session.md` S-SUITE-2).

/// A packet cipher. Hash, key agreement and signature are fixed by the protocol version.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CipherSuite {
    /// AES-128-GCM (RFC 5116 §5.1): wire value 1. The faster one where the processor has AES.
    Aes128Gcm,
    /// ChaCha20-Poly1305 (RFC 8439): wire value 2.
    ChaCha20Poly1305,
    /// AES-256-GCM (RFC 5116 §5.2): wire value 3. For who is bound to 256-bit keys; not among the
    /// ciphers that are offered by default.
    Aes256Gcm,
}

impl CipherSuite {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Aes128Gcm, Self::ChaCha20Poly1305, Self::Aes256Gcm];

    /// Those that are offered by default, the one that is faster on this processor first.
    #[must_use]
    pub fn by_speed() -> Vec<Self> {
        if has_hardware_aes() {
            vec![Self::Aes128Gcm, Self::ChaCha20Poly1305]
        } else {
            vec![Self::ChaCha20Poly1305, Self::Aes128Gcm]
        }
    }

    /// Bytes of its keys.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::ChaCha20Poly1305 | Self::Aes256Gcm => 32,
        }
    }

    /// Packets that one key may seal (RFC 9001 §6.6; for ChaCha20-Poly1305 the packet numbers run
    /// out first).
    #[must_use]
    pub const fn confidentiality_limit(self) -> u64 {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm => 1 << 23,
            Self::ChaCha20Poly1305 => 1 << 62,
        }
    }

    /// Packets of a connection that may fail to open (RFC 9001 §6.6).
    #[must_use]
    pub const fn integrity_limit(self) -> u64 {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm => 1 << 52,
            Self::ChaCha20Poly1305 => 1 << 36,
        }
    }

    /// The value on the wire.
    #[must_use]
    pub const fn wire(self) -> u8 {
        match self {
            Self::Aes128Gcm => 1,
            Self::ChaCha20Poly1305 => 2,
            Self::Aes256Gcm => 3,
        }
    }

    /// The inverse of [`Self::wire`].
    #[must_use]
    pub const fn from_wire(value: u8) -> Option<Self> {
        match value {
            1 => Some(Self::Aes128Gcm),
            2 => Some(Self::ChaCha20Poly1305),
            3 => Some(Self::Aes256Gcm),
            _ => None,
        }
    }

    /// Its bit in an offer: 2^(wire − 1).
    #[must_use]
    pub const fn bit(self) -> u8 {
        1 << (self.wire() - 1)
    }

    /// What a responder with the preferences `ours` selects for a peer that offers the set
    /// `offered` and prefers `preferred`: the cipher that both prefer, else the first that both
    /// accept of ChaCha20-Poly1305, which is fast everywhere, AES-256-GCM and AES-128-GCM.
    pub(crate) fn select(ours: &[Self], offered: u8, preferred: u8) -> Option<Self> {
        let is_common = |suite: &Self| offered & suite.bit() != 0 && ours.contains(suite);
        let shared = ours.first().filter(|suite| suite.wire() == preferred);
        shared.copied().filter(is_common).or_else(|| {
            [Self::ChaCha20Poly1305, Self::Aes256Gcm, Self::Aes128Gcm]
                .into_iter()
                .find(is_common)
        })
    }
}

/// Whether this processor has instructions for AES and for GCM's multiplication.
fn has_hardware_aes() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return std::arch::is_x86_feature_detected!("aes")
        && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

#[cfg(test)]
mod tests {
    use super::CipherSuite::{Aes128Gcm, Aes256Gcm, ChaCha20Poly1305};
    use super::*;

    #[test]
    fn wire_values_round_trip_and_others_are_refused() {
        for value in 0..=u8::MAX {
            let known = CipherSuite::from_wire(value);
            assert_eq!(
                known.is_some(),
                CipherSuite::ALL.iter().any(|s| s.wire() == value)
            );
            assert!(known.is_none_or(|suite| suite.wire() == value));
        }
    }

    #[test]
    fn aes_needs_the_preference_of_both_ends() {
        let (aes, chacha) = (
            vec![Aes128Gcm, ChaCha20Poly1305],
            vec![ChaCha20Poly1305, Aes128Gcm],
        );
        assert_eq!(CipherSuite::select(&aes, 3, 1), Some(Aes128Gcm));
        assert_eq!(CipherSuite::select(&aes, 3, 2), Some(ChaCha20Poly1305));
        assert_eq!(CipherSuite::select(&chacha, 3, 1), Some(ChaCha20Poly1305));
        assert_eq!(CipherSuite::select(&chacha, 3, 2), Some(ChaCha20Poly1305));
    }

    #[test]
    fn only_a_common_suite_is_selected() {
        let both = CipherSuite::ALL.to_vec();
        assert_eq!(CipherSuite::select(&both, 1, 1), Some(Aes128Gcm));
        assert_eq!(CipherSuite::select(&both, 2, 1), Some(ChaCha20Poly1305));
        assert_eq!(CipherSuite::select(&[Aes128Gcm], 0xff, 2), Some(Aes128Gcm));
        assert_eq!(CipherSuite::select(&[Aes128Gcm], 0xfe, 1), None);
        assert_eq!(CipherSuite::select(&[], 3, 1), None);
        assert_eq!(CipherSuite::select(&both, 0, 1), None);
    }

    #[test]
    fn of_three_the_shared_preference_wins_else_the_one_that_is_fast_everywhere() {
        let aes = [Aes256Gcm, Aes128Gcm, ChaCha20Poly1305];
        assert_eq!(CipherSuite::select(&aes, 7, 3), Some(Aes256Gcm));
        assert_eq!(CipherSuite::select(&aes, 7, 1), Some(ChaCha20Poly1305));
        assert_eq!(CipherSuite::select(&aes, 5, 1), Some(Aes256Gcm));
        assert_eq!(CipherSuite::select(&aes, 1, 3), Some(Aes128Gcm));
        assert_eq!(CipherSuite::select(&aes, 4, 2), Some(Aes256Gcm));
    }
}
