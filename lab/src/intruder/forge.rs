//! Packets of the plain profile with an extension block, made by hand.

use dunlin_transport::wire::{Flags, Header};

use crate::adversary::plain_packet;
pub(super) use crate::adversary::read_plain as read;

/// The packet with this header, body and extension block, sealed as the plain profile does.
pub(super) fn plain(mut header: Header, body: &[u8], frames: &[u8]) -> Vec<u8> {
    if frames.is_empty() {
        return plain_packet(header, body);
    }
    let length = u16::try_from(frames.len()).unwrap_or(u16::MAX);
    header.flags = header.flags.with(Flags::EXTENSION);
    plain_packet(header, &[body, frames, &length.to_be_bytes()].concat())
}
