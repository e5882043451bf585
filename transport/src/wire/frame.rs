//! Frames: the elements of the extension block, `type (1) ‖ length (varint) ‖ value`
//! (`docs/wire.md`, table "Frames").
//!
//! A frame of an unknown type is skipped when its type is 0x80 or above, and a violation below.

use alloc::vec::Vec;
use core::time::Duration;

use super::ack::AckFrame;
use super::reset::ResetToken;
use super::{Cursor, DecodeError, varint};
use crate::ids::{ConnectionId, MessageId, StreamDirection, StreamId};
use crate::send::ack_frequency::AckRequest;

/// First type that a receiver may skip without understanding it.
pub const FIRST_SKIPPABLE: u8 = 0x80;

/// Bytes of a [`Frame::ImmediateAck`].
pub const IMMEDIATE_ACK_LEN: usize = 2;

/// Frame types of version 1.
mod kind {
    pub(super) const PADDING: u8 = 0x00;
    pub(super) const ACK: u8 = 0x01;
    pub(super) const MAX_DATA: u8 = 0x02;
    pub(super) const MAX_STREAM_DATA: u8 = 0x03;
    pub(super) const MAX_STREAMS_BIDI: u8 = 0x04;
    pub(super) const MAX_STREAMS_UNI: u8 = 0x05;
    pub(super) const STREAM: u8 = 0x06;
    pub(super) const STREAM_FIN: u8 = 0x07;
    pub(super) const MESSAGE: u8 = 0x08;
    pub(super) const DATAGRAM: u8 = 0x09;
    pub(super) const RESET_STREAM: u8 = 0x0a;
    pub(super) const STOP_SENDING: u8 = 0x0b;
    pub(super) const MESSAGE_LENGTH: u8 = 0x0c;
    pub(super) const SESSION: u8 = 0x0d;
    pub(super) const MESSAGE_ORDER: u8 = 0x0e;
    pub(super) const ORDERED_MESSAGE: u8 = 0x0f;
    pub(super) const MESSAGE_GIVEN_UP: u8 = 0x10;
    pub(super) const NEW_CONNECTION_ID: u8 = 0x11;
    pub(super) const RETIRE_CONNECTION_ID: u8 = 0x12;
    pub(super) const ACK_FREQUENCY: u8 = 0x13;
    pub(super) const IMMEDIATE_ACK: u8 = 0x14;
    pub(super) const RESET_TOKEN: u8 = 0x15;
    pub(super) const UNCOMPRESSED_LENGTH: u8 = 0x18;
    pub(super) const COMPRESSED_MESSAGE: u8 = 0x19;
    pub(super) const COMPRESSED_DATAGRAM: u8 = 0x1a;
    pub(super) const COMPRESSED_ORDERED: u8 = 0x1b;
}

/// Which kind of message travels compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compressed {
    /// A reliable one.
    Reliable,
    /// An ordered one, with its place.
    Ordered(u64),
    /// An unreliable one.
    Unreliable,
}

/// One decoded frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frame<'a> {
    /// Ignored bytes.
    Padding,
    /// What the peer has received; the largest number is the header's Acknowledgment Number.
    Ack(AckFrame<'a>),
    /// Connection credit: reliable bytes over all streams and messages, from the beginning.
    MaxData(u64),
    /// Credit of one stream.
    MaxStreamData {
        /// The stream.
        id: StreamId,
        /// Bytes from its beginning.
        limit: u64,
    },
    /// Streams that may be opened, from the beginning.
    MaxStreams {
        /// Of which direction.
        direction: StreamDirection,
        /// How many.
        count: u64,
    },
    /// A piece of a stream that shares the packet.
    Stream {
        /// The stream.
        id: StreamId,
        /// Where the piece begins.
        offset: u64,
        /// Whether the stream ends with it.
        fin: bool,
        /// The piece.
        data: &'a [u8],
    },
    /// A whole reliable message that shares the packet.
    Message {
        /// Its number.
        id: MessageId,
        /// Its bytes.
        data: &'a [u8],
    },
    /// A whole unreliable message that shares the packet.
    Datagram {
        /// Its number.
        id: MessageId,
        /// Its bytes.
        data: &'a [u8],
    },
    /// The sender abandons a stream (RFC 9000 §19.4).
    ResetStream {
        /// The stream.
        id: StreamId,
        /// The application's code.
        code: u64,
        /// Bytes sent in all.
        final_size: u64,
    },
    /// The receiver wants no more of a stream (RFC 9000 §19.5).
    StopSending {
        /// The stream.
        id: StreamId,
        /// The application's code.
        code: u64,
    },
    /// Length of the message whose fragment this packet carries (`docs/wire.md` W-MSG-2).
    MessageLength(u64),
    /// A piece of the session layer's channel (`docs/wire.md`, chapter "Session channel").
    Session {
        /// Where the piece begins.
        offset: u64,
        /// The piece.
        data: &'a [u8],
    },
    /// Place among the ordered ones of the message that, or whose fragment, is the packet's body
    /// (`docs/wire.md` W-MSG-4).
    MessageOrder(u64),
    /// A whole ordered message that shares the packet.
    OrderedMessage {
        /// Its number.
        id: MessageId,
        /// Its place among the ordered ones.
        order: u64,
        /// Its bytes.
        data: &'a [u8],
    },
    /// The sender has given up a reliable message (`docs/wire.md` W-MSG-5).
    MessageGivenUp {
        /// The message.
        id: MessageId,
        /// Bytes of it that were sent, arrived or not.
        sent: u64,
    },
    /// Another connection ID to send to (RFC 9000 §19.15).
    NewConnectionId {
        /// Counts the IDs that the sender of this frame issued; the handshake's has 0.
        sequence: u64,
        /// The ID.
        id: ConnectionId,
    },
    /// A connection ID of the receiver's is not used any more (RFC 9000 §19.16).
    RetireConnectionId {
        /// Its number.
        sequence: u64,
    },
    /// How often the sender of this frame wants to be acknowledged (`docs/wire.md` W-ACK-6).
    AckFrequency {
        /// Counts the requests; an earlier one that comes later says nothing.
        sequence: u64,
        /// What is asked for.
        request: AckRequest,
    },
    /// The packet is to be acknowledged at once (`docs/wire.md` W-ACK-7).
    ImmediateAck,
    /// What a stateless reset of this connection bears (`docs/wire.md` W-RST).
    ResetToken {
        /// The connection ID that the receiver sends to.
        id: ConnectionId,
        /// The token.
        token: ResetToken,
    },
    /// The message that, or whose fragment, is the packet's body travels compressed; its length before
    /// that (`docs/wire.md` W-CMP-1).
    UncompressedLength(u64),
    /// A whole compressed message that shares the packet.
    Compressed {
        /// Which kind of message.
        kind: Compressed,
        /// Its number.
        id: MessageId,
        /// Its length before it was compressed.
        length: u64,
        /// Its bytes, compressed.
        data: &'a [u8],
    },
}

impl Frame<'_> {
    /// Whether it has to be acknowledged.
    #[must_use]
    pub const fn is_ack_eliciting(&self) -> bool {
        !matches!(
            self,
            Self::Padding
                | Self::Ack(_)
                | Self::MessageLength(_)
                | Self::MessageOrder(_)
                | Self::UncompressedLength(_)
                | Self::ImmediateAck
        )
    }

    /// Appends the frame. An [`Frame::Ack`] is written by [`write_ack`] instead, because its ranges
    /// are not stored decoded.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Padding | Self::Ack(_) => {}
            Self::MaxData(limit) => fields(out, kind::MAX_DATA, &[limit], &[]),
            Self::MaxStreamData { id, limit } => {
                fields(out, kind::MAX_STREAM_DATA, &[id.0, limit], &[]);
            }
            Self::MaxStreams {
                direction: StreamDirection::Bidirectional,
                count,
            } => {
                fields(out, kind::MAX_STREAMS_BIDI, &[count], &[]);
            }
            Self::MaxStreams {
                direction: StreamDirection::Unidirectional,
                count,
            } => {
                fields(out, kind::MAX_STREAMS_UNI, &[count], &[]);
            }
            Self::Stream {
                id,
                offset,
                fin,
                data,
            } => {
                let kind = if fin { kind::STREAM_FIN } else { kind::STREAM };
                fields(out, kind, &[id.0, offset], data);
            }
            Self::Message { .. }
            | Self::Datagram { .. }
            | Self::OrderedMessage { .. }
            | Self::Compressed { .. }
            | Self::MessageLength(_)
            | Self::MessageOrder(_)
            | Self::UncompressedLength(_)
            | Self::MessageGivenUp { .. } => self.emit_about_message(out),
            Self::ResetStream {
                id,
                code,
                final_size,
            } => {
                fields(out, kind::RESET_STREAM, &[id.0, code, final_size], &[]);
            }
            Self::StopSending { id, code } => fields(out, kind::STOP_SENDING, &[id.0, code], &[]),
            Self::Session { offset, data } => fields(out, kind::SESSION, &[offset], data),
            Self::NewConnectionId { sequence, id } => {
                let numbers = [sequence, u64::from(id.0)];
                fields(out, kind::NEW_CONNECTION_ID, &numbers, &[]);
            }
            Self::RetireConnectionId { sequence } => {
                fields(out, kind::RETIRE_CONNECTION_ID, &[sequence], &[]);
            }
            Self::ResetToken { id, token } => {
                fields(out, kind::RESET_TOKEN, &[u64::from(id.0)], &token);
            }
            Self::AckFrequency { sequence, request } => ack_frequency(out, sequence, &request),
            Self::ImmediateAck => fields(out, kind::IMMEDIATE_ACK, &[], &[]),
        }
    }

    /// The frames that are messages or say something of one.
    fn emit_about_message(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Message { id, data } => fields(out, kind::MESSAGE, &[id.0], data),
            Self::Datagram { id, data } => fields(out, kind::DATAGRAM, &[id.0], data),
            Self::MessageLength(length) => fields(out, kind::MESSAGE_LENGTH, &[length], &[]),
            Self::MessageOrder(order) => fields(out, kind::MESSAGE_ORDER, &[order], &[]),
            Self::OrderedMessage { id, order, data } => {
                fields(out, kind::ORDERED_MESSAGE, &[id.0, order], data);
            }
            Self::MessageGivenUp { id, sent } => {
                fields(out, kind::MESSAGE_GIVEN_UP, &[id.0, sent], &[]);
            }
            Self::UncompressedLength(length) => {
                fields(out, kind::UNCOMPRESSED_LENGTH, &[length], &[]);
            }
            Self::Compressed {
                kind,
                id,
                length,
                data,
            } => match kind {
                Compressed::Reliable => {
                    fields(out, kind::COMPRESSED_MESSAGE, &[id.0, length], data);
                }
                Compressed::Ordered(order) => {
                    fields(out, kind::COMPRESSED_ORDERED, &[id.0, order, length], data);
                }
                Compressed::Unreliable => {
                    fields(out, kind::COMPRESSED_DATAGRAM, &[id.0, length], data);
                }
            },
            _ => {}
        }
    }
}

/// Appends an acknowledgement frame whose value (of [`super::ack::encode`]) is `value`.
pub fn write_ack(out: &mut Vec<u8>, value: &[u8]) {
    out.push(kind::ACK);
    varint::write(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Appends a padding frame of `length` bytes in all, from 2 to 65.
pub fn write_padding(out: &mut Vec<u8>, length: usize) {
    let zeros = length.saturating_sub(2).min(63);
    out.push(kind::PADDING);
    varint::write(out, zeros as u64);
    out.resize(out.len() + zeros, 0);
}

/// Bytes that a [`Frame::Stream`] spends beside its data, at most.
#[must_use]
pub const fn stream_overhead(id: StreamId, offset: u64, length: usize) -> usize {
    1 + varint::len(id.0) + varint::len(offset) + varint::len(length as u64 + 16)
}

/// Bytes that a [`Frame::Message`] or [`Frame::Datagram`] spends beside its data, at most.
#[must_use]
pub const fn message_overhead(id: MessageId, length: usize) -> usize {
    1 + varint::len(id.0) + varint::len(length as u64 + 8)
}

/// Bytes that a [`Frame::OrderedMessage`] spends beside its data, at most.
#[must_use]
pub const fn ordered_message_overhead(id: MessageId, order: u64, length: usize) -> usize {
    1 + varint::len(id.0) + varint::len(order) + varint::len(length as u64 + 16)
}

/// Bytes that a [`Frame::Compressed`] spends beside its data, at most.
#[must_use]
pub const fn compressed_overhead(
    kind: Compressed,
    id: MessageId,
    uncompressed: u64,
    length: usize,
) -> usize {
    let order = match kind {
        Compressed::Ordered(order) => varint::len(order),
        Compressed::Reliable | Compressed::Unreliable => 0,
    };
    let numbers = varint::len(id.0) + order + varint::len(uncompressed);
    1 + numbers + varint::len(length as u64 + 24)
}

/// Decodes the frames of an extension block one after the other; ends after the first error.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Frames<'a> {
    /// Over the bytes that [`super::extension::split`] returned.
    #[must_use]
    pub const fn new(block: &'a [u8]) -> Self {
        Self {
            cursor: Cursor::new(block),
        }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.cursor.remaining() > 0 {
            match decode(&mut self.cursor) {
                Ok(Some(frame)) => return Some(Ok(frame)),
                Ok(None) => {}
                Err(error) => {
                    self.cursor.take_rest();
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

fn decode<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Frame<'a>>, DecodeError> {
    let kind = cursor.u8()?;
    let length = usize::try_from(cursor.varint()?).map_err(|_| DecodeError::Frame)?;
    let mut value = Cursor::new(cursor.slice(length).map_err(|_| DecodeError::Frame)?);
    let frame = match kind {
        kind::PADDING => {
            value.take_rest();
            Frame::Padding
        }
        kind::ACK => Frame::Ack(AckFrame::decode(value.take_rest())?),
        kind::MAX_DATA => Frame::MaxData(value.varint()?),
        kind::MAX_STREAM_DATA => Frame::MaxStreamData {
            id: StreamId(value.varint()?),
            limit: value.varint()?,
        },
        kind::MAX_STREAMS_BIDI => Frame::MaxStreams {
            direction: StreamDirection::Bidirectional,
            count: value.varint()?,
        },
        kind::MAX_STREAMS_UNI => Frame::MaxStreams {
            direction: StreamDirection::Unidirectional,
            count: value.varint()?,
        },
        kind::STREAM | kind::STREAM_FIN => Frame::Stream {
            id: StreamId(value.varint()?),
            offset: value.varint()?,
            fin: kind == kind::STREAM_FIN,
            data: value.take_rest(),
        },
        kind::MESSAGE
        | kind::DATAGRAM
        | kind::MESSAGE_LENGTH
        | kind::MESSAGE_ORDER
        | kind::ORDERED_MESSAGE
        | kind::MESSAGE_GIVEN_UP
        | kind::UNCOMPRESSED_LENGTH
        | kind::COMPRESSED_MESSAGE
        | kind::COMPRESSED_DATAGRAM
        | kind::COMPRESSED_ORDERED => about_message(kind, &mut value)?,
        kind::RESET_STREAM => Frame::ResetStream {
            id: StreamId(value.varint()?),
            code: value.varint()?,
            final_size: value.varint()?,
        },
        kind::STOP_SENDING => Frame::StopSending {
            id: StreamId(value.varint()?),
            code: value.varint()?,
        },
        FIRST_SKIPPABLE.. => return Ok(None),
        _ => about_connection(kind, &mut value)?,
    };
    value.finish().map_err(|_| DecodeError::Frame)?;
    Ok(Some(frame))
}

/// The value of a frame about the connection itself.
fn about_connection<'a>(kind: u8, value: &mut Cursor<'a>) -> Result<Frame<'a>, DecodeError> {
    Ok(match kind {
        kind::SESSION => Frame::Session {
            offset: value.varint()?,
            data: value.take_rest(),
        },
        kind::NEW_CONNECTION_ID => Frame::NewConnectionId {
            sequence: value.varint()?,
            id: connection_id(value)?,
        },
        kind::RETIRE_CONNECTION_ID => Frame::RetireConnectionId {
            sequence: value.varint()?,
        },
        kind::RESET_TOKEN => Frame::ResetToken {
            id: connection_id(value)?,
            token: value.array()?,
        },
        kind::ACK_FREQUENCY => Frame::AckFrequency {
            sequence: value.varint()?,
            request: AckRequest {
                packets: value.varint()?,
                delay: Duration::from_micros(value.varint()?),
                reordering: value.varint()?,
            },
        },
        kind::IMMEDIATE_ACK => Frame::ImmediateAck,
        unknown => return Err(DecodeError::UnknownFrame(unknown)),
    })
}

fn connection_id(value: &mut Cursor<'_>) -> Result<ConnectionId, DecodeError> {
    let id = u32::try_from(value.varint()?);
    id.map(ConnectionId).map_err(|_| DecodeError::Frame)
}

fn ack_frequency(out: &mut Vec<u8>, sequence: u64, request: &AckRequest) {
    let micros = u64::try_from(request.delay.as_micros()).unwrap_or(varint::MAX);
    let values = [sequence, request.packets, micros, request.reordering];
    fields(out, kind::ACK_FREQUENCY, &values, &[]);
}

/// The value of a frame that is a message or says something of one.
fn about_message<'a>(kind: u8, value: &mut Cursor<'a>) -> Result<Frame<'a>, DecodeError> {
    Ok(match kind {
        kind::MESSAGE => Frame::Message {
            id: MessageId(value.varint()?),
            data: value.take_rest(),
        },
        kind::DATAGRAM => Frame::Datagram {
            id: MessageId(value.varint()?),
            data: value.take_rest(),
        },
        kind::MESSAGE_LENGTH => Frame::MessageLength(value.varint()?),
        kind::MESSAGE_ORDER => Frame::MessageOrder(value.varint()?),
        kind::ORDERED_MESSAGE => Frame::OrderedMessage {
            id: MessageId(value.varint()?),
            order: value.varint()?,
            data: value.take_rest(),
        },
        kind::MESSAGE_GIVEN_UP => Frame::MessageGivenUp {
            id: MessageId(value.varint()?),
            sent: value.varint()?,
        },
        kind::UNCOMPRESSED_LENGTH => Frame::UncompressedLength(value.varint()?),
        _ => return compressed(kind, value.take_rest()),
    })
}

/// A compressed message of this type of frame.
fn compressed(kind: u8, value: &[u8]) -> Result<Frame<'_>, DecodeError> {
    let mut value = Cursor::new(value);
    let id = MessageId(value.varint()?);
    let kind = match kind {
        kind::COMPRESSED_ORDERED => Compressed::Ordered(value.varint()?),
        kind::COMPRESSED_DATAGRAM => Compressed::Unreliable,
        _ => Compressed::Reliable,
    };
    Ok(Frame::Compressed {
        kind,
        id,
        length: value.varint()?,
        data: value.take_rest(),
    })
}

/// Appends a frame whose value is these numbers and this data.
fn fields(out: &mut Vec<u8>, kind: u8, numbers: &[u64], data: &[u8]) {
    let length: usize = numbers.iter().map(|number| varint::len(*number)).sum();
    out.push(kind);
    varint::write(out, (length + data.len()) as u64);
    for number in numbers {
        varint::write(out, *number);
    }
    out.extend_from_slice(data);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = u64> {
        0..=varint::MAX
    }

    proptest! {
        #[test]
        fn round_trips(a in number(), b in number(), c in number(), data: Vec<u8>, fin: bool) {
            let id = StreamId(a);
            let direction = id.direction();
            let compressed = |kind| Frame::Compressed { kind, id: MessageId(a), length: b, data: &data };
            let frames = [
                Frame::MaxData(a),
                Frame::MaxStreamData { id, limit: b },
                Frame::MaxStreams { direction, count: b },
                Frame::Stream { id, offset: b, fin, data: &data },
                Frame::Message { id: MessageId(b), data: &data },
                Frame::Datagram { id: MessageId(c), data: &data },
                Frame::ResetStream { id, code: b, final_size: c },
                Frame::StopSending { id, code: c },
                Frame::MessageLength(c),
                Frame::Session { offset: a, data: &data },
                Frame::MessageOrder(c),
                Frame::OrderedMessage { id: MessageId(a), order: c, data: &data },
                Frame::MessageGivenUp { id: MessageId(a), sent: b },
                Frame::NewConnectionId { sequence: a, id: ConnectionId(b as u32) },
                Frame::RetireConnectionId { sequence: c },
                Frame::ResetToken { id: ConnectionId(b as u32), token: (u128::from(a) << 64 | u128::from(c)).to_be_bytes() },
                Frame::AckFrequency {
                    sequence: a,
                    request: AckRequest {
                        packets: b,
                        delay: Duration::from_micros(c),
                        reordering: a,
                    },
                },
                Frame::ImmediateAck,
                Frame::UncompressedLength(a),
                compressed(Compressed::Reliable),
                compressed(Compressed::Ordered(c)),
                compressed(Compressed::Unreliable),
            ];
            let mut out = Vec::new();
            for frame in &frames {
                let before = out.len();
                frame.emit(&mut out);
                match *frame {
                    Frame::Stream { id, offset, data, .. } => prop_assert!(
                        out.len() - before <= stream_overhead(id, offset, data.len()) + data.len()
                    ),
                    Frame::OrderedMessage { id, order, data } => prop_assert!(
                        out.len() - before
                            <= ordered_message_overhead(id, order, data.len()) + data.len()
                    ),
                    Frame::Compressed { kind, id, length, data } => prop_assert!(
                        out.len() - before
                            <= compressed_overhead(kind, id, length, data.len()) + data.len()
                    ),
                    Frame::Message { id, data } | Frame::Datagram { id, data } => prop_assert!(
                        out.len() - before <= message_overhead(id, data.len()) + data.len()
                    ),
                    _ => {}
                }
            }
            let decoded: Result<Vec<_>, _> = Frames::new(&out).collect();
            prop_assert_eq!(decoded.unwrap(), frames);
        }

        #[test]
        fn padding_has_the_length_asked_for_and_says_nothing(length in 2usize..=65) {
            let mut out = Vec::new();
            write_padding(&mut out, length);
            prop_assert_eq!(out.len(), length);
            let frames: Vec<_> = Frames::new(&out).collect();
            prop_assert_eq!(frames, [Ok(Frame::Padding)]);
        }

        #[test]
        fn any_bytes_are_frames_or_an_error(bytes: Vec<u8>) {
            let items = Frames::new(&bytes).collect::<Vec<_>>();
            prop_assert!(items.len() <= bytes.len());
        }
    }

    #[test]
    fn skips_unknown_frames_only_from_0x80_on() {
        let mut out = alloc::vec![0xff, 2, 1, 2];
        Frame::MaxData(7).emit(&mut out);
        assert_eq!(
            Frames::new(&out).collect::<Vec<_>>(),
            [Ok(Frame::MaxData(7))]
        );
        let error = Frames::new(&[0x7f, 0]).next();
        assert_eq!(error, Some(Err(DecodeError::UnknownFrame(0x7f))));
    }

    #[test]
    fn rejects_a_frame_longer_than_its_block_and_trailing_bytes() {
        assert_eq!(
            Frames::new(&[2, 9, 1]).next(),
            Some(Err(DecodeError::Frame))
        );
        assert_eq!(
            Frames::new(&[2, 2, 1, 1]).next(),
            Some(Err(DecodeError::Frame))
        );
    }
}
