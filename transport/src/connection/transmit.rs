//! Which packet leaves next, and how it is built.
//!
//! [`Connection::poll_transmit`] fills one contiguous batch of equal datagrams with one decision
//! about window and pace. A packet is `header ‖ data ‖ frames ‖ length ‖ trailer`, written in that
//! order into the caller's buffer and sealed there.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::Connection;
use super::contents::{Contents, Item};
use super::draft::Draft;
use super::off_path::PING_LEN;
use super::opening::write_plain;
use super::state::State;
use crate::congestion::Sent;
use crate::ids::PacketNumber;
use crate::io::{EcnMark, Transmit};
use crate::limits::{SEGMENTS_MAX, UDP_PAYLOAD_MAX};
use crate::planted::{self, Bug};
use crate::protect::Flow;
use crate::send::ack_frequency::Situation;
use crate::send::in_flight::SentPacket;
use crate::time::Instant;
use crate::wire::ack;
use crate::wire::extension::LENGTH_LEN;
use crate::wire::frame::{self, Frame};
use crate::wire::{Flags, HEADER_LEN, Header, PacketType};

/// Header, extension length and MESSAGE_LENGTH frame: what a fragment spends beside its data and
/// trailer.
pub(super) const FRAGMENT_OVERHEAD: usize = HEADER_LEN + LENGTH_LEN + 10;
/// Bytes of an IMMEDIATE_ACK frame, and of the length of the extension block that it may begin.
const IMMEDIATE_ACK_ROOM: usize = frame::IMMEDIATE_ACK_LEN + LENGTH_LEN;
/// Bytes of an ACK_FREQUENCY frame, at most.
const ACK_REQUEST_MAX: usize = 34;
/// Datagrams at the beginning of a batch that bear the confirm message: without it the peer can open none,
/// and one may be lost, or be overtaken by the next.
const CONFIRM_COPIES: usize = 2;
/// Bytes of a PING's body.
const TOKEN_LEN: usize = 8;

impl Connection {
    /// Fills `buf` with the next batch, or returns None when nothing may leave now.
    pub(crate) fn poll_transmit(
        &mut self,
        now: Instant,
        max_datagrams: usize,
        buf: &mut Vec<u8>,
    ) -> Option<Transmit> {
        buf.clear();
        if let Some(opening) = &mut self.opening {
            let wrote = opening.poll(now, self.local_cid, buf);
            let number = opening.last_number();
            if wrote {
                self.trace_handshake_sent(now, number, buf);
            }
            return wrote.then(|| self.finish_batch(self.path.remote(), buf.len(), None));
        }
        if self.state == State::Closed {
            return None;
        }
        if let Some(violation) = self.incoming.violation() {
            self.on_violation(now, violation);
        }
        if let Some(transmit) = self.poll_off_path(now, buf) {
            return Some(transmit);
        }
        if let Some(transmit) = self.poll_mtu_probe(now, buf) {
            return Some(transmit);
        }
        // Datagrams of a batch are equal: only a full one is followed by another, so that neither
        // an acknowledgement in front cuts all others short nor a control packet overtops them.
        // Full is also a fragment as long as the base, and then the batch is of these. What repeats
        // after a probe timeout has the base size: the path may have become narrower.
        let base = self.search.base();
        let mut segment = if self.probes > 0 { base } else { self.mtu };
        let most = max_datagrams.clamp(1, SEGMENTS_MAX);
        let mut left = most;
        while left > 0 && buf.len() + segment <= UDP_PAYLOAD_MAX {
            left -= 1;
            let start = buf.len();
            let confirms = most - left <= CONFIRM_COPIES;
            if !self.write_datagram(now, segment, confirms, buf) {
                break;
            }
            let length = buf.len() - start;
            if start == 0 && length == base {
                segment = base;
            }
            if length != segment {
                break;
            }
            if length == self.mtu {
                self.search.on_full_packets(1);
            }
            left -= self.write_alike(now, segment, left, buf);
        }
        if self.streams.is_blocked() {
            self.wake_writers();
        }
        let segment = Some(segment).filter(|segment| buf.len() > *segment);
        (!buf.is_empty()).then(|| self.finish_batch(self.path.remote(), buf.len(), segment))
    }

    pub(super) fn finish_batch(
        &mut self,
        destination: SocketAddr,
        size: usize,
        segment_size: Option<usize>,
    ) -> Transmit {
        self.stats.bytes_sent += size as u64;
        let ecn = (self.ecn.is_usable() && self.state.is_transferring()).then_some(EcnMark::Ect0);
        Transmit {
            destination,
            ecn,
            size,
            segment_size,
        }
    }

    /// Writes one datagram of at most `limit` bytes: a packet, and in front of it, if it `confirms`, the
    /// confirm message while that may be missing, if there is room for both.
    fn write_datagram(
        &mut self,
        now: Instant,
        limit: usize,
        confirms: bool,
        buf: &mut Vec<u8>,
    ) -> bool {
        let start = buf.len();
        if self.skipped.take(self.sent.next_number()) {
            self.sent.skip();
        }
        if let Some(confirm) = self.confirm.as_ref().filter(|_| confirms) {
            let mut header = Header::new(PacketType::Ack, self.remote_ids.current());
            header.sequence = self.sent.next_number().truncated();
            write_plain(buf, header, confirm);
            let used = buf.len() - start;
            let number = self.sent.next_number();
            self.sent.skip();
            // The plain profile opens it like any packet, and counts its mark.
            self.ecn.on_sent();
            self.trace_confirm(number, &buf[start..]);
            // What has to be acknowledged shows as well as a PING does that this arrived.
            let spared = self.has_data() && core::mem::take(&mut self.ping);
            if self.write_next_packet(now, limit - used, buf) {
                return true;
            }
            self.ping |= spared;
            if (spared && self.write_control_due(now, limit - used, buf))
                || self.write_probe_ping(now, limit - used, buf)
            {
                return true;
            }
            self.trace_no_confirm();
            buf.truncate(start);
        }
        self.write_next_packet(now, limit, buf)
    }

    /// A PING instead of the data of a probe that has no room. Without it a lost confirm message
    /// would stay lost when all there is to repeat are fragments as long as a datagram.
    fn write_probe_ping(&mut self, now: Instant, limit: usize, buf: &mut Vec<u8>) -> bool {
        let wanted = self.probes > 0 && self.state.is_transferring();
        self.ping |= wanted;
        wanted && self.write_control_due(now, limit, buf)
    }

    pub(super) fn has_data(&self) -> bool {
        let credit = self.send_flow.available();
        self.streams.has_work(credit)
            || self.has_control()
            || self.session.has_work()
            || self.outgoing.has_work(credit)
    }

    /// Whether [`Self::add_control`] has something beside a request about acknowledgements.
    fn has_control(&self) -> bool {
        self.announce_max_data
            || self.streams.has_control()
            || self.outgoing.has_given_up()
            || self.local_ids.has_work()
            || self.remote_ids.has_work()
            || self.reset_tokens.has_work()
    }

    fn write_next_packet(&mut self, now: Instant, limit: usize, buf: &mut Vec<u8>) -> bool {
        if self.sent.next_number() >= PacketNumber::MAX {
            self.on_violation(now, crate::PeerViolation::NumbersExhausted);
        }
        match self.state {
            State::SynSent | State::Closed => false,
            State::Reset => {
                core::mem::take(&mut self.closing.reset)
                    && self.write_control(now, PacketType::Rst, limit, buf)
            }
            State::TimeWait => {
                core::mem::take(&mut self.closing.fin_ack)
                    && self.write_control(now, PacketType::FinAck, limit, buf)
            }
            State::Established | State::Closing | State::FinSent => {
                self.write_control_due(now, limit, buf) || self.write_data_packet(now, limit, buf)
            }
        }
    }

    /// FIN, PONG and PING, if one waits.
    fn write_control_due(&mut self, now: Instant, limit: usize, buf: &mut Vec<u8>) -> bool {
        if core::mem::take(&mut self.closing.fin) {
            return self.write_control(now, PacketType::Fin, limit, buf);
        }
        let here = self
            .pongs
            .front()
            .filter(|(to, _)| *to == self.path.remote())
            .copied();
        if let Some((_, token)) = here {
            self.pongs.pop_front();
            let draft = self.draft(PacketType::Pong, limit);
            self.write_packet(now, draft, &token.to_be_bytes(), buf);
            return true;
        }
        if core::mem::take(&mut self.ping) {
            let mut draft = self.draft(PacketType::Ping, limit);
            self.add_ack(now, &mut draft, self.received.is_pending());
            if self.may_send(now, limit) {
                self.add_control(now, &mut draft);
            }
            if self.probes > 0 {
                draft.ask_for_answer(TOKEN_LEN);
            }
            self.write_packet(now, draft, &[0; TOKEN_LEN], buf);
            self.probes = self.probes.saturating_sub(1);
            return true;
        }
        false
    }

    fn write_control(
        &mut self,
        now: Instant,
        kind: PacketType,
        limit: usize,
        buf: &mut Vec<u8>,
    ) -> bool {
        let mut draft = self.draft(kind, limit);
        let body = match kind {
            PacketType::Fin | PacketType::Rst => self.closing.body().to_vec(),
            _ => Vec::new(),
        };
        if kind == PacketType::Fin {
            draft.contents.push(Item::Fin);
        }
        let include = self.received.is_pending() && kind != PacketType::Rst;
        self.add_ack(now, &mut draft, include);
        if kind == PacketType::Fin && draft.frames.is_empty() {
            // From a new address it pays for the challenge that lets its answer come back.
            let missing = PING_LEN.saturating_sub(HEADER_LEN + body.len() + self.trailer_len());
            if missing > 0 {
                frame::write_padding(&mut draft.frames, missing.saturating_sub(LENGTH_LEN));
            }
        }
        self.write_packet(now, draft, &body, buf);
        true
    }

    /// A packet with data, or with an acknowledgement alone when window or pace forbid more.
    fn write_data_packet(&mut self, now: Instant, limit: usize, buf: &mut Vec<u8>) -> bool {
        let ack_due = self.received.is_due(now);
        let has_data = self.has_data();
        if !has_data {
            self.note_app_limited(limit);
        }
        if !has_data || !self.may_send(now, limit) {
            if ack_due {
                let mut draft = self.draft(PacketType::Ack, limit);
                self.add_ack(now, &mut draft, true);
                self.write_packet(now, draft, &[], buf);
                self.stats.acks_sent += 1;
            }
            return ack_due;
        }
        let mut draft = self.draft(PacketType::Ack, limit);
        self.add_ack(now, &mut draft, ack_due);
        self.add_control(now, &mut draft);
        self.add_session(&mut draft);
        let start = buf.len();
        buf.resize(start + HEADER_LEN, 0);
        // A probe asks to be acknowledged at once. A piece of a stream leaves room for that; a part of
        // a message has its length, and must not be kept from leaving.
        let probing = self.probes > 0;
        let is_flexible = probing && !self.outgoing.has_work(self.send_flow.available());
        let reserved = if is_flexible { IMMEDIATE_ACK_ROOM } else { 0 };
        draft.room -= reserved;
        self.add_primary(now, &mut draft, buf);
        draft.room += reserved;
        let data = buf.len() - start - HEADER_LEN;
        if probing {
            draft.ask_for_answer(data);
        }
        self.add_ack_if_it_fits(now, &mut draft, data);
        self.add_shared(now, &mut draft, data);
        if !draft.ack_eliciting && draft.frames.is_empty() {
            buf.truncate(start);
            return false;
        }
        if draft.ack_eliciting {
            self.probes = self.probes.saturating_sub(1);
        }
        draft.fill_up(data, limit.saturating_sub(self.search.base()));
        self.seal_packet(now, &mut draft, start, buf);
        true
    }

    pub(super) fn draft(&self, kind: PacketType, limit: usize) -> Draft {
        Draft {
            header: Header::new(kind, self.remote_ids.current()),
            frames: Vec::new(),
            contents: Contents::default(),
            ack_eliciting: kind.is_ack_eliciting(),
            room: limit.saturating_sub(HEADER_LEN + LENGTH_LEN + self.trailer_len()),
            ends: false,
        }
    }

    /// Adds the acknowledgement frame when `include` holds.
    fn add_ack(&mut self, now: Instant, draft: &mut Draft, include: bool) {
        let Some(largest) = self.received.largest().filter(|_| include) else {
            if include {
                self.received.on_ack_sent();
            }
            return;
        };
        let mut value = Vec::new();
        let delay = self.received.ack_delay(now);
        ack::encode(
            &mut value,
            delay,
            &self.received.ranges(),
            self.received.ecn(),
        );
        frame::write_ack(&mut draft.frames, &value);
        draft.contents.reported = Some(largest);
        self.received.on_ack_sent();
    }

    /// An acknowledgement that is not due yet rides along when there is room: a lone request is
    /// acknowledged with its response.
    fn add_ack_if_it_fits(&mut self, now: Instant, draft: &mut Draft, data: usize) {
        const USUAL_ACK_LEN: usize = 32;
        if self.received.is_pending() && draft.data_room(data) >= USUAL_ACK_LEN {
            let before = draft.frames.len();
            self.add_ack(now, draft, true);
            if draft.frames.len() + data > draft.room {
                draft.frames.truncate(before);
                draft.contents.reported = None;
                self.received.acknowledge_now();
            }
        }
    }

    /// Asks the peer to acknowledge more or less often, with a packet that leaves anyway.
    fn add_ack_request(&mut self, draft: &mut Draft) {
        let due = self.ack_request_due && self.rtt.is_sampled();
        if !due || draft.data_room(0) < ACK_REQUEST_MAX {
            return;
        }
        self.ack_request_due = false;
        let polled = self.ack_frequency.poll(&Situation {
            window: self.congestion.window(),
            mtu: self.mtu,
            rtt: self.rtt.smoothed(),
            is_local: self.rtt.is_local(),
            reordering: self.loss.packet_threshold(),
        });
        if let Some((sequence, request)) = polled {
            Frame::AckFrequency { sequence, request }.emit(&mut draft.frames);
            draft.contents.push(Item::AckRequest(sequence));
            self.stats.ack_requests_sent += 1;
            self.loss
                .set_report_delay(self.ack_frequency.report_delay());
            draft.ack_eliciting = true;
        }
    }

    fn add_control(&mut self, now: Instant, draft: &mut Draft) {
        // The longest control frames: three 8-byte numbers, or one and a token, with type and length.
        const CONTROL_MAX: usize = 26;
        let rtt = self.rtt.smoothed();
        self.add_ack_request(draft);
        if !self.has_control() {
            return;
        }
        if draft.data_room(0) >= CONTROL_MAX && core::mem::take(&mut self.announce_max_data) {
            Frame::MaxData(self.receive_flow.announce(now, rtt)).emit(&mut draft.frames);
            draft.contents.push(Item::MaxData);
            draft.ack_eliciting = true;
        }
        while draft.data_room(0) >= CONTROL_MAX {
            let Some(control) = self.streams.poll_control(now, rtt) else {
                break;
            };
            control.frame().emit(&mut draft.frames);
            draft.contents.push(Item::Control(control));
            draft.ack_eliciting = true;
        }
        while draft.data_room(0) >= CONTROL_MAX {
            let Some((id, sent)) = self.outgoing.poll_given_up() else {
                break;
            };
            Frame::MessageGivenUp { id, sent }.emit(&mut draft.frames);
            draft.contents.push(Item::GivenUp(id));
            draft.ack_eliciting = true;
        }
        while draft.data_room(0) >= CONTROL_MAX {
            let Some((frame, item)) = self.poll_connection_id() else {
                break;
            };
            frame.emit(&mut draft.frames);
            draft.contents.push(item);
            draft.ack_eliciting = true;
        }
    }

    pub(super) fn write_packet(
        &mut self,
        now: Instant,
        mut draft: Draft,
        body: &[u8],
        buf: &mut Vec<u8>,
    ) {
        let start = buf.len();
        buf.resize(start + HEADER_LEN, 0);
        buf.extend_from_slice(body);
        self.seal_packet(now, &mut draft, start, buf);
    }

    /// Completes the packet that begins at `start` (header space and body are there) and counts it
    /// as sent.
    fn seal_packet(&mut self, now: Instant, draft: &mut Draft, start: usize, buf: &mut Vec<u8>) {
        let is_extended = !draft.frames.is_empty();
        if is_extended {
            buf.extend_from_slice(&draft.frames);
            let length = u16::try_from(draft.frames.len()).unwrap_or(u16::MAX);
            buf.extend_from_slice(&length.to_be_bytes());
        }
        let mut number = self.sent.next_number();
        if planted::is(Bug::RetransmissionSameNumber) && self.loss.probe_count() > 0 {
            number = self.sent.iter().next().map_or(number, |(first, _)| first);
        }
        draft.header.flags = draft.header.flags.with_if(is_extended, Flags::EXTENSION);
        let payload = buf.len() - start - HEADER_LEN;
        self.describe(&mut draft.header, payload);
        let salt = self.checksum_salt();
        let emit = |header: &Header, bytes: &mut _| header.emit(bytes, salt);
        let size = self.seal_behind_header((number, &mut draft.header), start, buf, emit);
        self.mask_headers(&mut buf[start..], size);
        let sent = (size, &draft.frames[..]);
        self.note_sent(now, (number, &draft.header), sent, &draft.contents);
        if draft.contents.reported.is_some() {
            self.received.on_report_sent(number);
        }
        if planted::is(Bug::IdleRestartedBySending) {
            self.timers.on_received(now);
        }
        if draft.ack_eliciting {
            let contents = core::mem::take(&mut draft.contents);
            self.tail_ends = draft.ends;
            self.on_eliciting_sent(now, (number, 1), size, contents);
        } else if !planted::is(Bug::AckOnlyTakesNoNumber) {
            self.sent.skip();
        }
    }

    /// Fills in what the header of a packet says of the connection, and of its payload of `length` bytes, the
    /// trailer not included.
    pub(super) fn describe(&self, header: &mut Header, length: usize) {
        let largest = self.received.largest();
        header.flags = header
            .flags
            .with_if(largest.is_some(), Flags::ACK)
            .with_if(self.is_sealed(), Flags::SEALED);
        header.acknowledgment = largest.map_or(0, PacketNumber::truncated);
        header.window = self.receive_flow.header_window();
        header.payload_len = u32::try_from(length + self.trailer_len()).unwrap_or(u32::MAX);
    }

    pub(super) fn checksum_salt(&self) -> u32 {
        let protection = self.protection.as_ref();
        protection.map_or(0, |protection| protection.checksum_salt(Flow::Outgoing))
    }

    /// Gives the packet `number` that begins at `start` its header, which is described and which `emit`
    /// writes, and its trailer; its size. The header is to be masked, alone or with others of a batch.
    pub(super) fn seal_behind_header(
        &mut self,
        (number, header): (PacketNumber, &mut Header),
        start: usize,
        buf: &mut Vec<u8>,
        emit: impl FnOnce(&Header, &mut [u8; HEADER_LEN]),
    ) -> usize {
        let Some(protection) = &mut self.protection else {
            return 0;
        };
        buf.resize(buf.len() + protection.trailer_len(), 0);
        header.flags = header
            .flags
            .without(Flags::KEY_PHASE)
            .with_if(protection.key_phase(), Flags::KEY_PHASE);
        header.sequence = number.truncated();
        let packet = &mut buf[start..];
        if let Some(bytes) = packet.first_chunk_mut::<HEADER_LEN>() {
            emit(header, bytes);
        }
        protection.seal_unmasked(number, packet);
        packet.len()
    }

    /// Masks the headers of sealed packets, of `size` bytes each.
    pub(super) fn mask_headers(&mut self, packets: &mut [u8], size: usize) {
        if let Some(protection) = &mut self.protection {
            protection.mask_headers(packets, size);
        }
    }

    /// Counts a packet that leaves, and tells who looks.
    pub(super) fn note_sent(
        &mut self,
        now: Instant,
        packet: (PacketNumber, &Header),
        (size, frames): (usize, &[u8]),
        contents: &Contents,
    ) {
        self.stats.packets_sent += 1;
        self.ecn.on_sent();
        self.trace_sent(now, packet, (size, frames), contents);
    }

    /// Packets leave that have to be acknowledged: `count`, of `size` bytes each, from number `first` on. They
    /// are a run with these `contents` of its first.
    pub(super) fn on_eliciting_sent(
        &mut self,
        now: Instant,
        (first, count): (PacketNumber, u64),
        size: usize,
        mut contents: Contents,
    ) {
        contents.ecn = self.ecn.is_usable();
        let was_idle = !self.sent.is_any_in_flight();
        let idle = was_idle.then(|| self.loss.time_since_sent(now));
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let (each, before) = (u64::from(size), self.sent.bytes_in_flight());
        let bytes = each * count;
        contents.at_send = self.rate.on_sent(now, each, before + each);
        let app_limited = contents.at_send.is_app_limited();
        let packet = SentPacket {
            sent_at: now,
            size,
            contents,
        };
        self.sent.push_run(packet, count);
        self.loss.on_sent(now);
        self.timers.on_eliciting_sent(now);
        self.congestion.on_sent(&Sent {
            now,
            number: PacketNumber(first.0 + count - 1),
            bytes,
            in_flight: before + bytes,
            idle,
            app_limited,
        });
        if was_idle {
            self.set_pace(now);
        }
        self.pacer.on_sent(bytes);
        self.reducer.on_sent(bytes);
    }
}
