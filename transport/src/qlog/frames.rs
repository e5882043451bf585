//! Frames that take more than a line to tell: acknowledgements, and compressed messages.

use super::events::message;
use super::json::Object;
use crate::wire::ack::AckFrame;
use crate::wire::frame::{Compressed, Frame};

/// ACK_RANGES, of the packet that acknowledges `largest`.
pub(super) fn ack_frame(fields: &mut Object<'_>, ack: &AckFrame<'_>, largest: u64) {
    fields.text("frame_type", "ack");
    fields.millis("ack_delay", ack.delay);
    let ranges = ack.ranges(largest).flatten();
    fields.pairs(
        "acked_ranges",
        ranges.map(|range| (*range.start(), *range.end())),
    );
    if let Some(counts) = ack.ecn {
        fields.number("ect0", counts.ect0);
        fields.number("ect1", counts.ect1);
        fields.number("ce", counts.ce);
    }
}

/// A compressed message, or the length of one; nothing for others.
pub(super) fn compressed(fields: &mut Object<'_>, frame: &Frame<'_>) {
    match frame {
        Frame::UncompressedLength(length) => {
            fields.text("frame_type", "uncompressed_length");
            fields.number("length", *length);
        }
        Frame::Compressed {
            kind,
            id,
            length,
            data,
        } => {
            let (name, order) = match kind {
                Compressed::Reliable => ("compressed_message", None),
                Compressed::Ordered(order) => ("compressed_ordered_message", Some(*order)),
                Compressed::Unreliable => ("compressed_datagram", None),
            };
            message(fields, name, id.0, data);
            if let Some(order) = order {
                fields.number("order", order);
            }
            fields.number("uncompressed_length", *length);
        }
        _ => {}
    }
}
