//! What a packet's extension block says, frame by frame.

use super::json::Object;
use crate::ids::StreamDirection;
use crate::wire::ack::AckFrame;
use crate::wire::frame::{Compressed, Frame};

pub(super) fn frame(fields: &mut Object<'_>, frame: &Frame<'_>, largest: u64) {
    match frame {
        Frame::Padding => fields.text("frame_type", "padding"),
        Frame::Ack(ack) => ack_frame(fields, ack, largest),
        Frame::MaxData(limit) => {
            fields.text("frame_type", "max_data");
            fields.number("maximum", *limit);
        }
        Frame::MaxStreamData { id, limit } => {
            fields.text("frame_type", "max_stream_data");
            fields.number("stream_id", id.0);
            fields.number("maximum", *limit);
        }
        Frame::MaxStreams { direction, count } => max_streams(fields, *direction, *count),
        Frame::Stream {
            id,
            offset,
            fin,
            data,
        } => {
            fields.text("frame_type", "stream");
            fields.number("stream_id", id.0);
            fields.number("offset", *offset);
            fields.number("length", data.len() as u64);
            fields.flag("fin", *fin);
        }
        Frame::ResetStream {
            id,
            code,
            final_size,
        } => {
            fields.text("frame_type", "reset_stream");
            fields.number("stream_id", id.0);
            fields.number("code", *code);
            fields.number("final_size", *final_size);
        }
        Frame::StopSending { .. }
        | Frame::NewConnectionId { .. }
        | Frame::RetireConnectionId { .. }
        | Frame::ResetToken { .. }
        | Frame::AckFrequency { .. }
        | Frame::ImmediateAck
        | Frame::Message { .. }
        | Frame::Datagram { .. }
        | Frame::MessageLength(_)
        | Frame::MessageOrder(_)
        | Frame::OrderedMessage { .. }
        | Frame::MessageGivenUp { .. }
        | Frame::UncompressedLength(_)
        | Frame::Compressed { .. }
        | Frame::Session { .. } => other_frame(fields, frame),
    }
}

fn max_streams(fields: &mut Object<'_>, direction: StreamDirection, count: u64) {
    fields.text("frame_type", "max_streams");
    let direction = match direction {
        StreamDirection::Bidirectional => "bidirectional",
        StreamDirection::Unidirectional => "unidirectional",
    };
    fields.text("stream_type", direction);
    fields.number("maximum", count);
}

/// Frames that stop streams, and about messages, connection IDs and acknowledgements; nothing for
/// others.
fn other_frame(fields: &mut Object<'_>, frame: &Frame<'_>) {
    match frame {
        Frame::StopSending { id, code } => {
            fields.text("frame_type", "stop_sending");
            fields.number("stream_id", id.0);
            fields.number("code", *code);
        }
        Frame::Message { id, data } => message(fields, "message", id.0, data),
        Frame::Datagram { id, data } => message(fields, "datagram", id.0, data),
        Frame::MessageLength(length) => {
            fields.text("frame_type", "message_length");
            fields.number("length", *length);
        }
        Frame::Session { offset, data } => session(fields, *offset, data),
        Frame::MessageOrder(order) => {
            fields.text("frame_type", "message_order");
            fields.number("order", *order);
        }
        Frame::OrderedMessage { id, order, data } => {
            message(fields, "ordered_message", id.0, data);
            fields.number("order", *order);
        }
        Frame::UncompressedLength(_) | Frame::Compressed { .. } => compressed(fields, frame),
        Frame::MessageGivenUp { id, sent } => {
            fields.text("frame_type", "message_given_up");
            fields.number("message_id", id.0);
            fields.number("sent", *sent);
        }
        Frame::NewConnectionId { sequence, id } => {
            fields.text("frame_type", "new_connection_id");
            fields.number("sequence_number", *sequence);
            fields.display("connection_id", format_args!("{:08x}", id.0));
        }
        Frame::RetireConnectionId { sequence } => {
            fields.text("frame_type", "retire_connection_id");
            fields.number("sequence_number", *sequence);
        }
        Frame::ResetToken { id, .. } => {
            fields.text("frame_type", "reset_token");
            fields.display("connection_id", format_args!("{:08x}", id.0));
        }
        Frame::AckFrequency { sequence, request } => {
            fields.text("frame_type", "ack_frequency");
            fields.number("sequence_number", *sequence);
            fields.number("packets", request.packets);
            fields.millis("delay", request.delay);
            fields.number("reordering", request.reordering);
        }
        Frame::ImmediateAck => fields.text("frame_type", "immediate_ack"),
        _ => {}
    }
}

fn session(fields: &mut Object<'_>, offset: u64, data: &[u8]) {
    fields.text("frame_type", "session");
    fields.number("offset", offset);
    fields.number("length", data.len() as u64);
}

fn message(fields: &mut Object<'_>, kind: &str, id: u64, data: &[u8]) {
    fields.text("frame_type", kind);
    fields.number("message_id", id);
    fields.number("length", data.len() as u64);
}

/// ACK_RANGES, of the packet that acknowledges `largest`.
fn ack_frame(fields: &mut Object<'_>, ack: &AckFrame<'_>, largest: u64) {
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
fn compressed(fields: &mut Object<'_>, frame: &Frame<'_>) {
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
