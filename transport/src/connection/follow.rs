//! Packets that are like the one before them: a train that carries one stream on.
//!
//! What a packet means is found out for each anew (`receive`), although in a train that one stream fills
//! each says the same as the one before: the next number, the next piece, and otherwise nothing new. For those only
//! what differs is done: compare, open, put the bytes into place. What counts and ends with them is
//! done once behind the last. It comes to the same as packet by packet; `train` is the sending side.

use core::net::SocketAddr;

use super::Connection;
use crate::ids::{PacketNumber, StreamId, reconstruct};
use crate::io::EcnMark;
use crate::planted::{self, Bug};
use crate::protect::{Flow, OpenError};
use crate::recv::packets::Arrival;
use crate::time::Instant;
use crate::wire::header::{CHECKSUM_BITS, is_sound, words};
use crate::wire::{Checksums, Flags, HEADER_LEN, Header, PacketType};

/// What the packets of a run have in common.
struct Run {
    /// Of the first of them.
    number: PacketNumber,
    key_phase: bool,
    id: StreamId,
    /// Bytes of each piece.
    length: usize,
    /// Pieces that there is credit for.
    most: usize,
    last: Last,
}

/// The header of the packet before.
struct Last {
    words: [u64; 4],
    /// What is added to the word with the stream's offset, from one packet to the next.
    step: u64,
    sums: Checksums,
}

impl Connection {
    /// Handles the packets at the start of `datagrams`, which have `size` bytes each and clear headers, as far as they
    /// carry one stream on and say nothing else that is new: how many. The others are for
    /// [`Self::handle_unmasked`].
    pub(crate) fn handle_run(
        &mut self,
        now: Instant,
        (from, ecn): (SocketAddr, Option<EcnMark>),
        datagrams: &mut [u8],
        size: usize,
    ) -> usize {
        let Some(run) = self.begin_run(from, datagrams, size) else {
            return 0;
        };
        let (number, id) = (run.number, run.id);
        let (count, failed) = self.open_run(run, datagrams, size);
        if count > 0 {
            self.stats.packets_received += count as u64;
            self.stats.bytes_received += (count * size) as u64;
            let arrival = Arrival {
                ack_eliciting: true,
                ecn,
                ..Arrival::default()
            };
            self.received.mark_run(now, number, count as u64, arrival);
            self.timers.on_received(now);
            self.streams.on_carried_on(id, &mut self.events);
            self.check_credit(true);
        }
        if let Some(error) = failed {
            self.on_unopened(now, from, error, size);
        }
        count + usize::from(failed.is_some())
    }

    /// The run that the first datagram begins, if it does.
    fn begin_run(&self, from: SocketAddr, datagrams: &[u8], size: usize) -> Option<Run> {
        let first = datagrams.first_chunk()?;
        if !is_bare_piece(first) || !self.is_settled_with(from) {
            return None;
        }
        let protection = self.protection.as_ref()?;
        let length = size.checked_sub(HEADER_LEN + protection.trailer_len())?;
        let header = Header::read(first, protection.checksum_salt(Flow::Incoming)).ok()?;
        let expected = self.received.expected();
        let number = reconstruct(header.sequence, expected);
        let is_next = number == expected && self.received.largest().is_some();
        let is_whole = u64::from(header.payload_len) == (size - HEADER_LEN) as u64;
        if !is_next || !is_whole || !self.knows_all_of(&header) {
            return None;
        }
        let id = self.streams.full_id(header.fragment_id);
        let offset = self.streams.full_offset(id, header.stream_offset());
        let room = self.streams.room_at(id, offset, &self.receive_flow);
        let most = room.checked_div(length as u64)?;
        Some(Run {
            number: PacketNumber(number),
            key_phase: header.flags.contains(Flags::KEY_PHASE),
            id,
            length,
            most: usize::try_from(most).unwrap_or(usize::MAX),
            last: Last::new(first, length),
        })
    }

    /// Whether an opened packet from there, as such, changes nothing but what [`Self::handle_run`] counts.
    fn is_settled_with(&self, from: SocketAddr) -> bool {
        self.trace.is_none()
            && self.state.is_transferring()
            && self.confirm.is_none()
            && !self.skipped.is_unarmed()
            && self.path.remote() == from
            && self.path.candidate().is_none()
            && self.candidate_id.is_none()
            && !planted::is(Bug::MarkedBeforeAuthentication)
    }

    /// Whether acknowledgement, window and connection ID of a header are those that were acted on.
    fn knows_all_of(&self, header: &Header) -> bool {
        let near = self.sent.next_number().0;
        let acked = PacketNumber(reconstruct(header.acknowledgment, near));
        let is_acked = self.confirmed_by.is_none() && self.header_acked == Some(acked);
        (is_acked || !header.flags.contains(Flags::ACK))
            && header.flags.contains(Flags::SEALED) == self.is_sealed()
            && self.send_flow.knows(header.window)
            && self.local_ids.used() == Some(header.connection_id)
    }

    /// Opens the packets of a run and puts their pieces into place: how many, and what ended the run if that
    /// was one that did not open.
    fn open_run(
        &mut self,
        mut run: Run,
        datagrams: &mut [u8],
        size: usize,
    ) -> (usize, Option<OpenError>) {
        let tail = self.streams.tail(run.id, &mut self.receive_flow);
        let (Some(protection), Some(mut tail)) = (&mut self.protection, tail) else {
            return (0, None);
        };
        let mut count = 0;
        for packet in datagrams.chunks_exact_mut(size).take(run.most) {
            let is_alike = count == 0
                || run.last.is_followed_by(packet)
                || planted::is(Bug::FollowerNotCompared);
            if !is_alike {
                break;
            }
            let number = PacketNumber(run.number.0 + count as u64);
            if let Err(error) = protection.open(number, run.key_phase, packet) {
                return (count, Some(error));
            }
            tail.append(&packet[HEADER_LEN..HEADER_LEN + run.length]);
            count += 1;
        }
        (count, None)
    }
}

impl Last {
    /// Of a packet with a piece of `length` bytes.
    fn new(header: &[u8; HEADER_LEN], length: usize) -> Self {
        Self {
            words: words(header),
            step: (length as u64) << 32,
            sums: Checksums::after(header),
        }
    }

    /// Whether a packet has the next number and offset, and apart from these the same header; it is the last
    /// one then.
    fn is_followed_by(&mut self, packet: &[u8]) -> bool {
        let Some(header) = packet.first_chunk() else {
            return false;
        };
        let [numbered, acked, named, placed] = self.words;
        let next = words(header);
        // A number that wraps does not follow, an offset does.
        let is_next = next[0] == numbered.wrapping_add(1)
            && next[1] >> CHECKSUM_BITS == acked >> CHECKSUM_BITS
            && next[2] == named
            && next[3] == placed.wrapping_add(self.step);
        self.words = next;
        is_next && is_sound(header, &mut self.sums)
    }
}

/// Whether a packet is a piece of a stream and carries no frames, and the stream does not end with it.
fn is_bare_piece(&[_, _, kind, flags, ..]: &[u8; HEADER_LEN]) -> bool {
    let piece = Flags::RELIABLE.with(Flags::ORDERED);
    let asked = piece.with(Flags::EXTENSION).with(Flags::END);
    kind == PacketType::Data as u8 && flags & asked.0 == piece.0
}

#[cfg(test)]
mod tests;
