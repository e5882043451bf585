//! Packets that are like the one before them: a batch that one stream fills.
//!
//! What a packet carries is decided for each anew (`fill`), although nothing comes in while a batch is
//! filled. When the last packet was full of one stream and nothing else waits, so are the next ones, as
//! long as the stream has bytes. For them only what differs is done: window and pace, number, offset,
//! and the bytes themselves. On the wire nobody can tell.

use alloc::vec::Vec;

use super::Connection;
use super::contents::{Contents, Item};
use crate::ids::{PacketNumber, StreamId};
use crate::limits::UDP_PAYLOAD_MAX;
use crate::send::buffer::SendBuffer;
use crate::time::Instant;
use crate::wire::{Flags, HEADER_LEN, Header, PacketType};

impl Connection {
    /// Adds datagrams to a batch that are like its last one, of `segment` bytes: `most` at most, and as
    /// many as may leave now. Returns how many.
    pub(super) fn write_alike(
        &mut self,
        now: Instant,
        segment: usize,
        most: usize,
        buf: &mut Vec<u8>,
    ) -> usize {
        let Some(len) = segment.checked_sub(HEADER_LEN + self.trailer_len()) else {
            return 0;
        };
        let Some(id) = self.filled_alone_by(now, len) else {
            return 0;
        };
        let credit = self.send_flow.available();
        let Some((mut buffer, limit)) = self.streams.lend_buffer(id, credit) else {
            return 0;
        };
        let fit = UDP_PAYLOAD_MAX.saturating_sub(buf.len()) / segment;
        let most = most.min(fit).min(buffer.full_pieces(len, limit));
        let (mut count, start) = (0, buf.len());
        while count < most && self.may_send_next(now, segment) {
            self.write_piece(now, (id, len), (&mut buffer, limit), buf);
            if segment == self.mtu {
                self.search.on_full_packet();
            }
            count += 1;
        }
        self.mask_headers(&mut buf[start..], segment);
        self.streams.take_buffer_back(id, buffer, (count, len));
        count
    }

    /// The stream that filled the last packet with `len` of its bytes, and will fill the next ones: none
    /// of what is asked before it in `write_next_packet` has anything, or it would have been in that
    /// packet.
    fn filled_alone_by(&mut self, now: Instant, len: usize) -> Option<StreamId> {
        let id = self.sent.last()?.contents.only_piece(len)?;
        let credit = self.send_flow.available();
        let is_alone = self.probes == 0
            && self.outgoing.peek_datagram(now).is_none()
            && self.outgoing.peek_reliable(credit).is_none()
            && self.streams.goes_on(id, credit);
        is_alone.then_some(id)
    }

    /// Whether window and pace let a packet go; numbers that are left out are.
    fn may_send_next(&mut self, now: Instant, size: usize) -> bool {
        if self.skipped.take(self.sent.next_number()) {
            self.sent.skip();
        }
        self.sent.next_number() < PacketNumber::MAX && self.may_send(now, size)
    }

    fn write_piece(
        &mut self,
        now: Instant,
        (id, len): (StreamId, usize),
        (buffer, limit): (&mut SendBuffer, u64),
        buf: &mut Vec<u8>,
    ) {
        let Some(piece) = buffer.poll(len, limit) else {
            return;
        };
        let start = buf.len();
        buf.resize(start + HEADER_LEN, 0);
        buffer.copy(&piece.range, buf);
        self.send_flow.on_sent(len as u64);
        let mut header = Header::new(PacketType::Data, self.remote_ids.current());
        header.flags = Flags::RELIABLE.with(Flags::ORDERED);
        header.fragment_id = PacketNumber(id.0).truncated();
        header.set_stream_offset(piece.range.start);
        let mut contents = Contents::default();
        contents.push(Item::Stream {
            id,
            range: piece.range,
            fin: piece.fin,
        });
        let Some(sealed) = self.seal_behind_header(&mut header, false, start, buf) else {
            return;
        };
        self.note_sent(now, (sealed.0, &header), (sealed.1, &[]), &contents);
        self.tail_ends = false;
        self.on_eliciting_sent(now, sealed, contents);
    }
}
