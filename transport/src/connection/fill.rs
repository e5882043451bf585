//! What a packet is filled with: the most urgent first, as its body, and then whatever shares the
//! rest of it.
//!
//! The body of a packet is one piece of a stream, one message or one fragment. What is left is filled
//! with whole small messages and pieces of other streams, each a frame: many small messages cost one
//! header and one tag.

use alloc::vec::Vec;

use super::Connection;
use super::contents::Item;
use super::draft::Draft;
use super::transmit::FRAGMENT_OVERHEAD;
use crate::ids::PacketNumber;
use crate::messages::outgoing::Part;
use crate::options::URGENCIES;
use crate::time::Instant;
use crate::wire::extension::LENGTH_LEN;
use crate::wire::frame::{self, Compressed, Frame};
use crate::wire::{Flags, HEADER_LEN, PacketType};

/// A piece of a stream shares a packet only when at least this many of its bytes fit; smaller
/// shreds cost more in headers than they save. A guess.
const SHARED_PIECE_MIN: usize = 64;
/// Bytes that the shortest of what may share a packet needs: type, number and length.
const SHARED_LEAST: usize = 3;
/// Bytes of a MESSAGE_ORDER or UNCOMPRESSED_LENGTH frame, at most.
pub(super) const LABEL_LEN: usize = 10;

impl Connection {
    /// Puts the next thing to send into the packet's body: of the most urgent a datagram, or a
    /// message and a stream in turn. What does not fit leaves the room to what does.
    pub(super) fn add_primary(&mut self, now: Instant, draft: &mut Draft, buf: &mut Vec<u8>) {
        let credit = self.send_flow.available();
        let datagram = self.outgoing.peek_datagram(now);
        let message = self.outgoing.peek_reliable(credit);
        let stream = self.streams.urgency(credit);
        let urgencies = [
            datagram.map(|it| it.urgency),
            message.map(|it| it.urgency),
            stream,
        ];
        let Some(first) = urgencies.into_iter().flatten().min() else {
            return;
        };
        if let Some(part) = datagram.filter(|part| part.urgency == first)
            && self.add_part(draft, part, buf)
        {
            return;
        }
        let stream_first = match (message, stream) {
            (Some(part), Some(urgency)) if part.urgency == urgency => {
                self.stream_turn = !self.stream_turn;
                self.stream_turn
            }
            (Some(part), Some(urgency)) => urgency < part.urgency,
            (None, _) => true,
            (_, None) => false,
        };
        if stream_first && self.add_stream(draft, buf) {
            return;
        }
        if message.is_some_and(|part| self.add_part(draft, part, buf)) {
            return;
        }
        if !stream_first && self.add_stream(draft, buf) {
            return;
        }
        if let Some(part) = datagram {
            self.add_part(draft, part, buf);
        }
    }

    fn add_part(&mut self, draft: &mut Draft, part: Part, buf: &mut Vec<u8>) -> bool {
        let whole = part.total == 1;
        let mut overhead = 0;
        if !whole {
            overhead += FRAGMENT_OVERHEAD - HEADER_LEN - LENGTH_LEN;
        }
        for number in [part.label.order, part.label.uncompressed] {
            overhead += number.map_or(0, |_| LABEL_LEN);
        }
        if part.len + overhead > draft.data_room(0) {
            return false;
        }
        let last = part.index + 1 == part.total;
        draft.header.kind = if whole {
            PacketType::Data
        } else {
            PacketType::Fragment
        };
        draft.header.flags = Flags(0)
            .with_if(last, Flags::END)
            .with_if(part.reliable, Flags::RELIABLE);
        draft.header.fragment_id = PacketNumber(part.id.0).truncated();
        draft.header.fragment_index = part.index;
        draft.header.fragment_total = part.total;
        if !whole {
            Frame::MessageLength(part.message_len).emit(&mut draft.frames);
        }
        if let Some(order) = part.label.order {
            Frame::MessageOrder(order).emit(&mut draft.frames);
        }
        if let Some(length) = part.label.uncompressed {
            Frame::UncompressedLength(length).emit(&mut draft.frames);
        }
        self.outgoing.take(&part, buf);
        self.count_part(draft, &part);
        true
    }

    fn count_part(&mut self, draft: &mut Draft, part: &Part) {
        draft.ack_eliciting = true;
        draft.ends |= part.index + 1 == part.total;
        if part.reliable {
            draft.contents.push(Item::Part {
                id: part.id,
                index: part.index,
            });
            if part.is_new {
                self.send_flow.on_sent(part.len as u64);
            }
        }
    }

    fn add_stream(&mut self, draft: &mut Draft, buf: &mut Vec<u8>) -> bool {
        let credit = self.send_flow.available();
        // Without frames there is no extension block, nor its length.
        let spare = if draft.frames.is_empty() {
            LENGTH_LEN
        } else {
            0
        };
        let room = draft.data_room(0) + spare;
        let urgency = self.streams.urgency(credit);
        let polled =
            urgency.and_then(|urgency| self.streams.poll_piece(credit, urgency, |_, _| room));
        let Some((id, piece)) = polled else {
            return false;
        };
        draft.header.kind = PacketType::Data;
        draft.header.flags = Flags::RELIABLE
            .with(Flags::ORDERED)
            .with_if(piece.fin, Flags::END);
        draft.header.fragment_id = PacketNumber(id.0).truncated();
        draft.header.set_stream_offset(piece.range.start);
        self.streams.copy(id, &piece.range, buf);
        if piece.is_new {
            self.send_flow.on_sent(piece.range.end - piece.range.start);
        }
        draft.ack_eliciting = true;
        draft.ends |= piece.fin;
        draft.contents.push(Item::Stream {
            id,
            range: piece.range,
            fin: piece.fin,
        });
        true
    }

    /// Fills what room is left with small messages and short pieces of other streams, as frames: urgency
    /// by urgency, datagrams first.
    pub(super) fn add_shared(&mut self, now: Instant, draft: &mut Draft, data: usize) {
        if draft.data_room(data) < SHARED_LEAST {
            return;
        }
        for urgency in 0..URGENCIES {
            let is_due = |part: &Part| part.urgency <= urgency;
            while let Some(part) = self.outgoing.peek_datagram(now).filter(is_due) {
                if !self.add_shared_part(draft, part, data) {
                    break;
                }
            }
            loop {
                let credit = self.send_flow.available();
                let part = self.outgoing.peek_reliable(credit).filter(is_due);
                if !part.is_some_and(|part| self.add_shared_part(draft, part, data)) {
                    break;
                }
            }
            while self.add_shared_piece(draft, urgency, data) {}
        }
    }

    fn add_shared_piece(&mut self, draft: &mut Draft, urgency: usize, data: usize) -> bool {
        let room = draft.data_room(data);
        let credit = self.send_flow.available();
        let polled = self.streams.poll_piece(credit, urgency, |id, offset| {
            let fits = room.saturating_sub(frame::stream_overhead(id, offset + (1 << 30), room));
            if fits < SHARED_PIECE_MIN { 0 } else { fits }
        });
        let Some((id, piece)) = polled else {
            return false;
        };
        let mut bytes = Vec::new();
        self.streams.copy(id, &piece.range, &mut bytes);
        let (offset, fin) = (piece.range.start, piece.fin);
        Frame::Stream {
            id,
            offset,
            fin,
            data: &bytes,
        }
        .emit(&mut draft.frames);
        if piece.is_new {
            self.send_flow.on_sent(bytes.len() as u64);
        }
        draft.ack_eliciting = true;
        draft.ends |= fin;
        draft.contents.push(Item::Stream {
            id,
            range: piece.range,
            fin,
        });
        true
    }

    fn add_shared_part(&mut self, draft: &mut Draft, part: Part, data: usize) -> bool {
        if part.total > 1 || part.len + shared_overhead(&part) > draft.data_room(data) {
            return false;
        }
        let mut bytes = Vec::with_capacity(part.len);
        self.outgoing.take(&part, &mut bytes);
        let (id, data) = (part.id, &bytes[..]);
        let frame = match (part.label.uncompressed, part.label.order) {
            (Some(length), _) => Frame::Compressed {
                kind: compressed_kind(&part),
                id,
                length,
                data,
            },
            (None, _) if !part.reliable => Frame::Datagram { id, data },
            (None, Some(order)) => Frame::OrderedMessage { id, order, data },
            (None, None) => Frame::Message { id, data },
        };
        frame.emit(&mut draft.frames);
        self.count_part(draft, &part);
        true
    }
}

/// Bytes beside its own that a whole message needs to share a packet, at most.
fn shared_overhead(part: &Part) -> usize {
    match (part.label.uncompressed, part.label.order) {
        (Some(length), _) => {
            frame::compressed_overhead(compressed_kind(part), part.id, length, part.len)
        }
        (None, Some(order)) => frame::ordered_message_overhead(part.id, order, part.len),
        (None, None) => frame::message_overhead(part.id, part.len),
    }
}

fn compressed_kind(part: &Part) -> Compressed {
    match part.label.order {
        _ if !part.reliable => Compressed::Unreliable,
        Some(order) => Compressed::Ordered(order),
        None => Compressed::Reliable,
    }
}
