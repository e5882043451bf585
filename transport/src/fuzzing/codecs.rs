//! Every decoder of the wire format: what decodes encodes to the same, in no more bytes, and agrees
//! with a second, slow decoder where there is one.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use crate::limits;
use crate::wire::ack::{self, AckFrame};
use crate::wire::frame::{Frame, Frames};
use crate::wire::params::{TransportParams, WINDOW_SHIFT_MAX};
use crate::wire::{Cursor, HEADER_LEN, Header, extension, header, reset, varint, version};

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
}

/// The small parts of a packet: version reply, variable-length integers, extension block, cursor.
/// Integers are compared with a reading that goes bit by bit.
///
/// # Panics
/// When a property is broken.
pub fn wire_parts(data: &[u8]) {
    if let Some(reply) = version::reply(data) {
        assert!(reply.len() <= data.len(), "never longer than what came");
        let echoed = version::parse(&reply).map(|(sequence, _)| sequence.to_be_bytes());
        assert_eq!(echoed.as_ref().map(<[u8; 4]>::as_slice), data.get(4..8));
        assert!(version::reply(&reply).is_none(), "replies are not answered");
    }
    assert!(
        version::parse(data).is_none() || version::reply(data).is_none(),
        "a packet is a reply or can be answered by one, not both"
    );
    if let Some((id, token)) = reset::parse(data) {
        assert_eq!(reset::emit(id, &token), data, "one form only");
        assert!(version::parse(data).is_none() && version::reply(data).is_none());
    }
    let mut cursor = Cursor::new(data);
    while cursor.remaining() > 0 {
        let at = data.len() - cursor.remaining();
        let expected = naive_varint(&data[at..]);
        let read = cursor.varint();
        assert_eq!(read.ok(), expected.map(|(value, _)| value));
        let Some((value, length)) = expected else {
            return;
        };
        assert_eq!(data.len() - cursor.remaining(), at + length);
        let mut again = Vec::new();
        varint::write(&mut again, value);
        assert_eq!(again.len(), varint::len(value));
        assert!(again.len() <= length, "the shortest encoding is ours");
        assert_eq!(naive_varint(&again), Some((value, again.len())));
    }
    assert_eq!(cursor.finish(), Ok(()));
}

/// RFC 9000 §16 read bit by bit: the value and the bytes it took.
fn naive_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = match (first & 0x80 != 0, first & 0x40 != 0) {
        (false, false) => 1,
        (false, true) => 2,
        (true, false) => 4,
        (true, true) => 8,
    };
    let mut value = 0;
    for index in 2..length * 8 {
        let bit = bytes.get(index / 8)? >> (7 - index % 8) & 1;
        value = value * 2 + u64::from(bit);
    }
    Some((value, length))
}

/// Transport parameters: what decodes is within its limits and encodes to what decodes to the same.
///
/// # Panics
/// When it is not so.
pub fn params(data: &[u8]) {
    let Ok(params) = TransportParams::decode(data) else {
        return;
    };
    assert!(data.len() <= limits::TRANSPORT_PARAMS_MAX);
    assert_ne!(params.connection_id.0, 0);
    assert!(params.max_data <= limits::WINDOW_MAX);
    assert!(params.max_stream_data <= limits::WINDOW_MAX);
    assert!(params.max_streams_bidi <= limits::STREAMS_MAX);
    assert!(params.max_streams_uni <= limits::STREAMS_MAX);
    assert!(params.window_shift <= WINDOW_SHIFT_MAX);
    let again = params.encode();
    assert!(again.len() <= limits::TRANSPORT_PARAMS_MAX);
    assert_eq!(TransportParams::decode(&again), Ok(params));
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
    let ranges = frame.ranges(largest).collect::<Result<Vec<_>, _>>();
    assert_eq!(ranges.clone().ok(), naive_ranges(largest, value));
    let Ok(ranges) = ranges else {
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

/// The ranges of an acknowledgement whose shape was checked, in arithmetic too wide to overflow.
/// None when they go below zero.
fn naive_ranges(largest: u64, value: &[u8]) -> Option<Vec<RangeInclusive<u64>>> {
    let mut rest = value;
    let mut next = || {
        let (number, length) = naive_varint(rest)?;
        rest = &rest[length..];
        Some(i128::from(number))
    };
    let (_delay, count) = (next()?, next()?);
    let mut top = i128::from(largest);
    let mut out = Vec::new();
    for index in 0..=count {
        if index > 0 {
            top -= next()? + 2;
        }
        let bottom = top - next()?;
        out.push(u64::try_from(bottom).ok()?..=u64::try_from(top).ok()?);
        top = bottom;
    }
    Some(out)
}

/// An extension block and its frames: decoded frames encode to frames that decode to the same.
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
}
