//! What the tests share.

use std::sync::Arc;

use crate::provider::{self, CryptoProvider};

/// Any provider, for tests that are about something else.
pub(crate) fn provider() -> Arc<dyn CryptoProvider> {
    provider::pure()
}

/// All providers.
pub(crate) fn providers() -> Vec<Arc<dyn CryptoProvider>> {
    let [own, ring] = provider::aws_lc_both();
    vec![provider::pure(), own, ring]
}

/// Bytes from hexadecimal; white space is skipped.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap())
        .collect();
    assert!(digits.len().is_multiple_of(2));
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
        .collect()
}
