//! Packets taken apart and changed by somebody who has no keys.

use dunlin_transport::wire::{HEADER_LEN, Header, PacketType};

/// Bytes of the trailer of a packet before keys exist.
pub(crate) const CRC_LEN: usize = 4;

/// CRC-32 (IEEE 802.3), bit by bit.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let low = crc & 1;
            crc >>= 1;
            if low == 1 {
                crc ^= 0xedb8_8320;
            }
        }
    }
    !crc
}

/// Makes the checksums of an unprotected packet right again: what a forger does.
pub(crate) fn reseal(packet: &mut [u8]) {
    packet[14..16].fill(0);
    let [.., high, low] = crc32(&packet[..HEADER_LEN]).to_be_bytes();
    packet[14] = high;
    packet[15] = low;
    let end = packet.len() - CRC_LEN;
    let crc = crc32(&packet[..end]);
    packet[end..].copy_from_slice(&crc.to_be_bytes());
}

pub(crate) fn flipped(packet: &[u8], bit: usize) -> Vec<u8> {
    let mut copy = packet.to_vec();
    copy[bit / 8] ^= 1 << (bit % 8);
    copy
}

/// The unprotected packet at the start of a datagram, and what follows it.
pub(crate) fn split_plain(datagram: &[u8]) -> (&[u8], &[u8]) {
    let header = Header::parse(datagram, 0).expect("an unprotected packet");
    datagram.split_at(HEADER_LEN + usize::try_from(header.payload_len).expect("short"))
}

pub(crate) fn kind_of(packet: &[u8]) -> Option<PacketType> {
    Header::parse(packet, 0).ok().map(|header| header.kind)
}

/// Every `stride`-th number below `count`; all of them with `DUNLIN_FULL=1`.
pub(crate) fn sampled(count: usize, stride: usize) -> impl Iterator<Item = usize> {
    let full = std::env::var_os("DUNLIN_FULL").is_some_and(|value| value == "1");
    (0..count).step_by(if full { 1 } else { stride })
}
