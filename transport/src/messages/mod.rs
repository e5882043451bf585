//! Messages: whole units of bytes, reliable ones (retransmitted, delivered once, in any order) and
//! unreliable ones (sent once), fragmented when they exceed a packet.
//!
//! One may be given up at a time of its own, and ordered ones are delivered one after the other.

pub(crate) mod compression;
mod datagrams;
pub(crate) mod incoming;
pub(crate) mod outgoing;
mod sequence;

/// What a message says of itself beside its bytes, the same with each of its fragments.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Label {
    /// Its place among the ordered ones.
    pub order: Option<u64>,
    /// Its length before it was compressed.
    pub uncompressed: Option<u64>,
}

/// Bytes of every fragment but the last, of a message of `length` bytes in `total` fragments: the
/// fragments are as equal as they can be, so length and count tell every offset
/// (`docs/wire.md` W-MSG-2).
#[must_use]
pub(crate) const fn fragment_size(length: u64, total: u16) -> u64 {
    if total == 0 {
        length
    } else {
        length.div_ceil(total as u64)
    }
}
