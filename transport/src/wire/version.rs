//! The stateless version reply (`docs/wire.md`, chapter "Invariants").
//!
//! `header ‖ versions (1 byte each)`: magic, version 0, type SYN_ACK, and the sequence number and
//! connection ID of the packet it answers; everything else zero. It carries no checksum, because
//! its format must hold for every version to come, and it proves nothing: the receiver takes it as
//! a hint only.

use super::header::{HEADER_LEN, MAGIC, PacketType, VERSION};

/// Byte 1 of a version reply.
pub const REPLY_VERSION: u8 = 0;
/// Bytes of the reply that this crate sends.
pub const REPLY_LEN: usize = HEADER_LEN + 1;

/// The reply to `packet`, or None when there must be none: `packet` is itself a reply, is of our
/// version, or is so short that the reply would be longer.
#[must_use]
pub fn reply(packet: &[u8]) -> Option<[u8; REPLY_LEN]> {
    let head: &[u8; HEADER_LEN] = packet.first_chunk()?;
    let answer = head[0] == MAGIC
        && head[1] != REPLY_VERSION
        && head[1] != VERSION
        && packet.len() >= REPLY_LEN;
    answer.then(|| {
        let mut out = [0; REPLY_LEN];
        out[0] = MAGIC;
        out[1] = REPLY_VERSION;
        out[2] = PacketType::SynAck as u8;
        out[4..8].copy_from_slice(&head[4..8]);
        out[28..32].copy_from_slice(&head[28..32]);
        out[32] = VERSION;
        out
    })
}

/// If `packet` is a version reply: the sequence number it echoes and the versions it lists.
#[must_use]
pub fn parse(packet: &[u8]) -> Option<(u32, &[u8])> {
    let (head, versions) = packet.split_first_chunk::<HEADER_LEN>()?;
    (head[0] == MAGIC && head[1] == REPLY_VERSION && !versions.is_empty()).then(|| {
        (
            u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            versions,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_unknown_versions_with_no_more_bytes_than_came() {
        let mut packet = [0u8; 40];
        packet[0] = MAGIC;
        packet[1] = 7;
        packet[4..8].copy_from_slice(&99u32.to_be_bytes());
        let answer = reply(&packet).unwrap();
        assert!(answer.len() <= packet.len());
        assert_eq!(parse(&answer), Some((99, &[VERSION][..])));
        assert_eq!(reply(&packet[..HEADER_LEN]), None);
    }

    #[test]
    fn never_answers_a_reply_or_its_own_version() {
        let mut packet = [0u8; 40];
        packet[0] = MAGIC;
        assert_eq!(reply(&packet), None);
        packet[1] = VERSION;
        assert_eq!(reply(&packet), None);
        packet[0] = 0x40;
        packet[1] = 7;
        assert_eq!(reply(&packet), None);
    }
}
