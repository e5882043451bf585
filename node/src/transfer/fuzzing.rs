//! Bodies of fuzz targets. They also run on stable, as property tests.

use super::limits::HEAD_LEN;
use super::message::{Head, Kind, Message};

/// Reads `data` as frames until one is refused. What is accepted must encode to the same bytes.
///
/// # Panics
/// When an accepted message does not round-trip.
pub fn transfer_messages(data: &[u8]) {
    let mut rest = data;
    while let Some((head_bytes, after)) = rest.split_first_chunk::<HEAD_LEN>() {
        let Ok(head) = Head::decode(*head_bytes) else {
            return;
        };
        let Some((body, after)) = after.split_at_checked(head.len) else {
            return;
        };
        rest = after;
        if head.kind == Kind::Data {
            continue;
        }
        let Ok(message) = Message::decode(head.kind, body) else {
            return;
        };
        let mut again = Vec::new();
        message.encode(&mut again);
        assert_eq!(
            again.get(HEAD_LEN..),
            Some(body),
            "a message has one encoding"
        );
    }
}
