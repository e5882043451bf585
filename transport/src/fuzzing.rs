//! Bodies of the fuzz targets of this crate. They run under libFuzzer (`fuzz/`) and, over seeded
//! inputs, as unit tests on stable.
//!
//! Each takes any bytes and panics only when a property is broken.

use alloc::vec::Vec;

use crate::wire::ack::{self, AckFrame};
use crate::wire::frame::{Frame, Frames};
use crate::wire::params::TransportParams;
use crate::wire::{HEADER_LEN, Header, extension, header, version};

/// Whatever parses as a header is emitted to the same bytes; routing agrees with parsing.
///
/// # Panics
/// When it is not so.
pub fn header(data: &[u8]) {
    let salt = data.last().copied().map_or(0, u32::from);
    let routed = header::route(data);
    if let Ok(parsed) = Header::parse(data, salt) {
        let mut out = [0; HEADER_LEN];
        parsed.emit(&mut out, salt);
        assert_eq!(out.as_slice(), &data[..HEADER_LEN]);
        assert_eq!(routed, Ok(parsed.connection_id));
    }
    // A header with a right checksum gets past the garbage filter to the rules behind it.
    if let Some(bytes) = data.first_chunk::<HEADER_LEN>() {
        let mut fixed = *bytes;
        header::set_checksum(&mut fixed, salt);
        if let Ok(parsed) = Header::parse(&fixed, salt) {
            let mut out = [0; HEADER_LEN];
            parsed.emit(&mut out, salt);
            assert_eq!(out, fixed);
        }
    }
    if let Some(reply) = version::reply(data) {
        assert!(reply.len() <= data.len(), "never longer than what came");
        assert!(version::parse(&reply).is_some());
        assert!(version::reply(&reply).is_none(), "replies are not answered");
    }
}

/// Ranges fall strictly, and encode to what decodes to them again.
///
/// # Panics
/// When it is not so.
pub fn ack_ranges(data: &[u8]) {
    let Some((largest, value)) = data.split_first_chunk() else {
        return;
    };
    let largest = u64::from_be_bytes(*largest) >> 2;
    let Ok(frame) = AckFrame::decode(value) else {
        return;
    };
    let Ok(ranges) = frame.ranges(largest).collect::<Result<Vec<_>, _>>() else {
        return;
    };
    let mut floor = largest + 1;
    for range in &ranges {
        assert!(range.start() <= range.end() && *range.end() < floor);
        floor = *range.start();
    }
    let mut again = Vec::new();
    ack::encode(&mut again, frame.delay, &ranges, frame.ecn);
    assert!(again.len() <= value.len(), "the shortest encoding is ours");
    let decoded = AckFrame::decode(&again).map(|frame| frame.ranges(largest).collect());
    assert_eq!(decoded, Ok(Ok(ranges)));
}

/// An extension block and its frames: decoded frames encode to frames that decode to the same.
/// Transport parameters likewise.
///
/// # Panics
/// When it is not so.
pub fn frames(data: &[u8]) {
    if let Ok((body, block)) = extension::split(data) {
        assert_eq!(body.len() + block.len() + extension::LENGTH_LEN, data.len());
    }
    let decoded: Vec<Frame<'_>> = Frames::new(data)
        .map_while(Result::ok)
        .filter(|frame| !matches!(frame, Frame::Padding | Frame::Ack(_)))
        .collect();
    let mut again = Vec::new();
    for frame in &decoded {
        frame.emit(&mut again);
    }
    assert!(again.len() <= data.len(), "the shortest encoding is ours");
    assert_eq!(
        Frames::new(&again).collect::<Result<Vec<_>, _>>(),
        Ok(decoded)
    );
    if let Ok(params) = TransportParams::decode(data) {
        assert_eq!(TransportParams::decode(&params.encode()), Ok(params));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn near_misses() -> impl Strategy<Value = Vec<u8>> {
        let magic = proptest::collection::vec(any::<u8>(), 0..80).prop_map(|mut bytes| {
            for (byte, value) in bytes
                .iter_mut()
                .zip([crate::wire::MAGIC, crate::wire::VERSION])
            {
                *byte = value;
            }
            if let Some(kind) = bytes.get_mut(2) {
                *kind %= 14;
            }
            bytes
        });
        let small = proptest::collection::vec(0u8..16, 0..120);
        prop_oneof![any::<Vec<u8>>(), magic, small]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn bodies_hold_on_seeded_inputs(data in near_misses()) {
            header(&data);
            ack_ranges(&data);
            frames(&data);
        }
    }
}
