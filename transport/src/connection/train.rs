//! Packets that are like the one before them: a batch that one stream fills.
//!
//! What a packet carries is decided for each anew (`fill`), although nothing comes in while a batch is
//! filled. When the last packet was full of one stream and nothing else waits, so are the next ones, as
//! long as the stream has bytes. For them only what differs is done: number, offset, and the bytes
//! themselves. Window and pace are asked once, and what left is remembered as one run
//! ([`crate::send::in_flight`]). On the wire nobody can tell.

use alloc::vec::Vec;

use super::Connection;
use super::contents::{Contents, Item};
use crate::ids::{PacketNumber, StreamId};
use crate::limits::UDP_PAYLOAD_MAX;
use crate::send::buffer::SendBuffer;
use crate::send::in_flight::RUN_MAX;
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
        while count < most {
            let run = self.next_run(now, segment, most - count);
            if run == 0 || !self.write_run(now, (id, len, run), (&mut buffer, limit), buf) {
                break;
            }
            count += run;
        }
        self.mask_headers(&mut buf[start..], segment);
        if segment == self.mtu && count > 0 {
            self.search
                .on_full_packets(u32::try_from(count).unwrap_or(u32::MAX));
        }
        self.streams.take_buffer_back(id, buffer, (count, len));
        count
    }

    /// The stream that filled the last packet with `len` of its bytes, and will fill the next ones: none
    /// of what is asked before it in `write_next_packet` has anything, or it would have been in that
    /// packet.
    fn filled_alone_by(&mut self, now: Instant, len: usize) -> Option<StreamId> {
        let id = self.sent.last_run()?.contents.only_piece(len)?;
        let credit = self.send_flow.available();
        let is_alone = self.probes == 0
            && self.outgoing.peek_datagram(now).is_none()
            && self.outgoing.peek_reliable(credit).is_none()
            && self.streams.goes_on(id, credit);
        is_alone.then_some(id)
    }

    /// How many packets may leave with numbers that follow each other, as window and pace let them; numbers
    /// that are left out are.
    fn next_run(&mut self, now: Instant, size: usize, most: usize) -> usize {
        if self.skipped.take(self.sent.next_number()) {
            self.sent.skip();
        }
        let next = self.sent.next_number();
        let most = (most.min(RUN_MAX) as u64)
            .min(self.skipped.before_next(next))
            .min(PacketNumber::MAX.0.saturating_sub(next.0));
        usize::try_from(self.may_send_run(now, size, most)).unwrap_or(0)
    }

    /// Writes `count` packets with `len` bytes each of the stream, which has so many; false, and nothing
    /// written, when it has not.
    fn write_run(
        &mut self,
        now: Instant,
        (id, len, count): (StreamId, usize, usize),
        (buffer, limit): (&mut SendBuffer, u64),
        buf: &mut Vec<u8>,
    ) -> bool {
        let Some(piece) = buffer.poll(len * count, limit) else {
            return false;
        };
        self.send_flow.on_sent((len * count) as u64);
        let mut header = Header::new(PacketType::Data, self.remote_ids.current());
        header.flags = Flags::RELIABLE.with(Flags::ORDERED);
        header.fragment_id = PacketNumber(id.0).truncated();
        self.describe(&mut header, len);
        let mut contents = Contents::default();
        contents.push(Item::Stream {
            id,
            range: piece.range.start..piece.range.start + len as u64,
            fin: false,
        });
        let mut carried = contents.clone();
        let mut sums = header.checksums(self.checksum_salt());
        let mut emit = |header: &Header, bytes: &mut _| header.emit_after(bytes, &mut sums);
        let (first, mut size) = (self.sent.next_number(), 0);
        for (number, offset) in (first.0..).zip(piece.range.step_by(len)) {
            let (number, start) = (PacketNumber(number), buf.len());
            buf.extend_from_slice(&[0; HEADER_LEN]);
            buffer.copy(&(offset..offset + len as u64), buf);
            header.set_stream_offset(offset);
            size = self.seal_behind_header((number, &mut header), start, buf, &mut emit);
            self.note_sent(now, (number, &header), (size, &[]), &carried);
            carried.shift(1);
        }
        self.tail_ends = false;
        self.on_eliciting_sent(now, (first, count as u64), size, contents);
        true
    }
}
