//! Packets of the plain profile, made by hand.

use dunlin_transport::PacketNumber;
use dunlin_transport::plain::{PlainProtection, TRAILER_LEN};
use dunlin_transport::protect::PacketProtection;
use dunlin_transport::wire::{Flags, HEADER_LEN, Header};

/// The packet with this header, body and extension block, sealed as the plain profile does.
pub(super) fn plain(mut header: Header, body: &[u8], frames: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; HEADER_LEN];
    packet.extend_from_slice(body);
    if !frames.is_empty() {
        packet.extend_from_slice(frames);
        let length = u16::try_from(frames.len()).unwrap_or(u16::MAX);
        packet.extend_from_slice(&length.to_be_bytes());
        header.flags = header.flags.with(Flags::EXTENSION);
    }
    packet.resize(packet.len() + TRAILER_LEN, 0);
    let length = packet.len() - HEADER_LEN;
    header.payload_len = u32::try_from(length).unwrap_or(u32::MAX);
    if let Some(bytes) = packet.first_chunk_mut() {
        header.emit(bytes, 0);
    }
    PlainProtection.seal(PacketNumber(0), &mut packet);
    packet
}

/// The header of an unprotected packet, and what lies between it and the trailer.
pub(super) fn read(packet: &[u8]) -> Option<(Header, &[u8])> {
    let header = Header::parse(packet, 0).ok()?;
    let end = HEADER_LEN.checked_add(usize::try_from(header.payload_len).ok()?)?;
    let payload = packet.get(HEADER_LEN..end.checked_sub(TRAILER_LEN)?)?;
    Some((header, payload))
}
