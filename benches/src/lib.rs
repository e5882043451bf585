//! Inputs that the benchmarks share: packets and acknowledgements as a busy connection sees them,
//! and pairs of nodes that have shaken hands.

pub mod session;

use std::ops::RangeInclusive;

use dunlin_transport::ConnectionId;
use dunlin_transport::wire::header::{Flags, Header, PacketType};

/// Bytes of a full packet on an Ethernet path over IPv6 (1,500 − 40 − 8), header included.
pub const PACKET_LEN: usize = 1452;

/// The header of a full packet of a stream, as bulk transfer sends them.
#[must_use]
pub fn stream_header() -> Header {
    let mut header = Header::new(PacketType::Data, ConnectionId(0x5eed_cafe));
    header.flags = Flags::ACK.with(Flags::RELIABLE).with(Flags::ORDERED);
    header.sequence = 0x0012_3456;
    header.acknowledgment = 0x0000_8765;
    header.window = 0x4321;
    header.payload_len = 1420;
    header.fragment_id = 4;
    header.fragment_index = 7;
    header.fragment_total = 0xbeef;
    header
}

/// `count` ranges below packet number 2^20, highest first, as a lossy path leaves them: 30 packets
/// received, 2 missing, and so on.
#[must_use]
pub fn lossy_ranges(count: u64) -> Vec<RangeInclusive<u64>> {
    (0..count)
        .map(|index| {
            let top = (1 << 20) - 32 * index;
            top - 29..=top
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_transport::wire::HEADER_LEN;

    #[test]
    fn the_header_is_valid() {
        let mut bytes = [0; HEADER_LEN];
        stream_header().emit(&mut bytes, 0);
        assert_eq!(Header::parse(&bytes, 0), Ok(stream_header()));
    }

    #[test]
    fn ranges_fall_and_do_not_touch() {
        let ranges = lossy_ranges(32);
        for pair in ranges.windows(2) {
            assert_eq!(pair[1].end() + 3, *pair[0].start());
        }
    }
}
