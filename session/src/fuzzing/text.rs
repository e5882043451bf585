//! What people type and keep: node IDs and key files.

use crate::NodeId;

/// Text as a node ID: what parses prints to the same text but for its case, and no change of one
/// character of it parses (bech32m finds up to four).
///
/// # Panics
/// When it is not so.
pub fn node_id(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data)
        && let Ok(id) = text.parse::<NodeId>()
    {
        assert_eq!(id.to_string(), text.to_lowercase());
    }
    // An ID made of the bytes, and a character of it changed.
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(data) {
        *to = *from;
    }
    let id = NodeId::from_bytes(bytes);
    let text = id.to_string();
    assert_eq!(text.parse(), Ok(id));
    if let [at, with, ..] = data {
        let at = usize::from(*at) % text.len();
        let with = char::from(with % 128);
        let changed: String = text
            .char_indices()
            .map(|(index, old)| if index == at { with } else { old })
            .collect();
        assert!(changed == text || changed.parse::<NodeId>().is_err());
    }
}

/// Bytes as a key file: what parses holds the secrets and check that we would write; and what we
/// write is not read as another key after a change of one byte.
///
/// # Panics
/// When it is not so.
pub fn key_file(data: &[u8]) {
    crate::keyfile::text::fuzz(data);
}
