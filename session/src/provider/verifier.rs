//! Whose arithmetic verifies Ed25519 signatures.
//!
//! AWS-LC's does without vectors. dalek's has code for AVX-512 IFMA, which needs four fifths of the time; its code for AVX2
//! needs more than AWS-LC's (ADR 0633). Both refuse the same signatures ([`strict`]).

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use crate::strict;

/// Whose it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verifier {
    /// AWS-LC's.
    AwsLc,
    /// dalek's.
    Dalek,
}

impl Verifier {
    /// The one that is faster on this processor.
    pub(super) fn of_this_processor() -> Self {
        match dalek_has_vectors() {
            true => Self::Dalek,
            false => Self::AwsLc,
        }
    }

    /// Whether `signature` over `message` was made with `key`: strictly, whosever it is.
    pub(super) fn verify(self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        match self {
            Self::Dalek => strict::verify(key, message, signature),
            Self::AwsLc => {
                strict::points_are_acceptable(key, signature)
                    && UnparsedPublicKey::new(&ED25519, key)
                        .verify(message, signature)
                        .is_ok()
            }
        }
    }
}

/// Whether dalek was built with its code for AVX-512 (`.cargo/config.toml`), and uses it here.
#[cfg(all(target_arch = "x86_64", curve25519_dalek_backend = "avx512"))]
fn dalek_has_vectors() -> bool {
    use std::arch::is_x86_feature_detected as has;

    // What dalek asks for.
    has!("avx512ifma") && has!("avx512vl")
}

#[cfg(not(all(target_arch = "x86_64", curve25519_dalek_backend = "avx512")))]
fn dalek_has_vectors() -> bool {
    false
}
