//! Compressed messages: what a peer sends as one, and what we make of any message.

use crate::messages::compression::{check, compress, decompress};

/// Longest message of a run.
const LONGEST: u64 = 100_000;

/// The first three bytes are the length that a peer claims, the rest is its block: what comes out has
/// that length, or nothing does. Then the rest is a message of ours: compressed it is shorter, within
/// the rules, and becomes what it was.
///
/// # Panics
/// When a property is broken.
pub fn compression(data: &[u8]) {
    let Some(([a, b, c], block)) = data.split_first_chunk() else {
        return;
    };
    let claimed = u64::from(u32::from_be_bytes([0, *a, *b, *c]));
    if check(claimed, block.len() as u64, (LONGEST, true)).is_ok()
        && let Ok(message) = decompress(block, claimed)
    {
        assert_eq!(message.len() as u64, claimed);
    }
    if let Some(compressed) = compress(block) {
        let length = block.len() as u64;
        let allowed = check(length, compressed.len() as u64, (length, true));
        assert_eq!(allowed, Ok(()));
        let again = decompress(&compressed, length);
        assert!(again.as_deref() == Ok(block), "it became something else");
    }
}
