//! What a packet that came does: look up, open, act (`docs/wire.md` W-RCV-1).
//!
//! Before a packet is opened nothing changes but counters of rejected packets.

use core::net::SocketAddr;

use super::Connection;
use super::opening::read_plain;
use super::state::State;
use crate::error::{CloseReason, PeerViolation};
use crate::ids::{ConnectionId, PacketNumber, reconstruct};
use crate::io::EcnMark;
use crate::limits::QUEUED_PONGS_MAX;
use crate::messages::Label;
use crate::messages::incoming::Position;
use crate::planted::{self, Bug};
use crate::protect::{Flow, HandshakeError, OpenError, Random};
use crate::recv::packets::Arrival;
use crate::streams::Placed;
use crate::time::Instant;
use crate::trace::DropReason;
use crate::wire::ack::AckFrame;
use crate::wire::extension;
use crate::wire::frame::{Compressed, Frame, Frames};
use crate::wire::header::DataKind;
use crate::wire::{Cursor, DecodeError, Flags, HEADER_LEN, Header, PacketType};

/// The clear parts of an opened packet.
struct Opened<'a> {
    header: &'a Header,
    data: &'a [u8],
    frames: &'a [u8],
}

impl Connection {
    /// Removes the header masks of datagrams of `size` bytes each, which are then for [`Self::handle_unmasked`];
    /// false, with nothing changed, when they are for [`Self::handle_syn_ack`], or for nobody.
    pub(crate) fn unmask_headers(&self, datagrams: &mut [u8], size: usize) -> bool {
        let is_protected = !matches!(self.state, State::SynSent | State::Closed);
        let protection = self.protection.as_ref().filter(|_| is_protected);
        if let Some(protection) = protection {
            protection.unmask_headers(datagrams, size);
        }
        protection.is_some()
    }

    /// A version reply names the versions of the other end: a hint for the error text, no more.
    pub(crate) fn on_version_reply(&mut self, from: SocketAddr, sequence: u32) {
        if let Some(opening) = &mut self.opening {
            opening.other_version |= from == self.path.remote() && opening.has_sent(sequence);
        }
    }

    /// Handles the packet at the start of a datagram that came before the connection has keys, and returns how
    /// many bytes it took; 0 when the rest of the datagram cannot be made sense of.
    pub(crate) fn handle_syn_ack(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> usize {
        if self.state != State::SynSent {
            return 0;
        }
        let Some((header, payload, length)) = read_plain(datagram) else {
            self.stats.packets_rejected += 1;
            self.trace_dropped(now, from, DropReason::Profile, datagram.len());
            return 0;
        };
        let Some(opening) = &mut self.opening else {
            return 0;
        };
        if header.kind != PacketType::SynAck || from != self.path.remote() {
            self.trace_dropped(now, from, DropReason::Unexpected, length);
            return 0;
        }
        let result = if header.flags.contains(Flags::RETRY) {
            opening.on_retry(now, payload).map(|()| None)
        } else {
            opening.on_syn_ack(now, payload).map(Some)
        };
        if result.is_ok() {
            self.trace_handshake_received(now, from, &header, (length, payload.len()));
        }
        match result {
            Ok(None) => {}
            Ok(Some(opened)) => {
                self.opening = None;
                self.confirm = Some(opened.confirm.into());
                self.establish(now, opened.established, &opened.params, opened.next_number);
                if let Some(rtt) = opened.rtt {
                    self.rtt.on_sample(rtt, core::time::Duration::ZERO);
                }
                // Something that must be acknowledged, so that a lost confirm message is noticed.
                self.ping = true;
            }
            Err(HandshakeError::Rejected(_)) => {
                self.stats.packets_rejected += 1;
                self.trace_dropped(now, from, DropReason::Handshake, length);
            }
            Err(HandshakeError::Fatal(reason)) => self.lose(CloseReason::Handshake(reason)),
        }
        length
    }

    /// Handles the packet at the start of a datagram whose header is clear, and returns how many bytes it took; 0
    /// when the rest of the datagram cannot be made sense of.
    pub(crate) fn handle_unmasked(
        &mut self,
        now: Instant,
        (from, ecn): (SocketAddr, Option<EcnMark>),
        datagram: &mut [u8],
        random: &mut dyn Random,
    ) -> usize {
        let Some(protection) = &mut self.protection else {
            return 0;
        };
        if self.state == State::Closed {
            return 0;
        }
        if datagram.len() < HEADER_LEN + protection.trailer_len() {
            self.stats.packets_rejected += 1;
            self.trace_dropped(now, from, DropReason::Profile, datagram.len());
            return 0;
        }
        // What a header of the peer's own means is judged when the packet has opened.
        let read = Header::read(datagram, protection.checksum_salt(Flow::Incoming));
        let header = match &read {
            Ok(header) if header.flags.contains(Flags::SEALED) == protection.is_sealed() => header,
            unreadable => {
                // As it came.
                protection.unmask(datagram);
                let reason = unreadable
                    .as_ref()
                    .err()
                    .copied()
                    .map_or(DropReason::Profile, DropReason::Header);
                return self.handle_unreadable((now, from), reason, datagram);
            }
        };
        let length = usize::try_from(header.payload_len).unwrap_or(usize::MAX);
        let length = HEADER_LEN.saturating_add(length);
        let Some(packet) = datagram.get_mut(..length) else {
            self.stats.packets_rejected += 1;
            self.trace_dropped(now, from, DropReason::Length, datagram.len());
            return 0;
        };
        if matches!(header.kind, PacketType::Syn | PacketType::SynAck) {
            // A handshake message that came again. Only the plain profile reads it here: sealed
            // packets cannot have these types.
            self.stats.packets_duplicate += 1;
            self.trace_dropped(now, from, DropReason::Unexpected, length);
            return length;
        }
        let expected = self.received.expected();
        let mut number = PacketNumber(reconstruct(header.sequence, expected));
        if planted::is(Bug::NumberNeverWrapsUp) {
            number = PacketNumber((expected >> 32 << 32) | u64::from(header.sequence));
        }
        if !self.received.is_new(number) {
            self.stats.packets_duplicate += 1;
            self.trace_dropped(now, from, DropReason::Duplicate, length);
            return length;
        }
        if planted::is(Bug::MarkedBeforeAuthentication) {
            self.received.mark(now, number, Arrival::default());
        }
        let key_phase = header.flags.contains(Flags::KEY_PHASE);
        match protection.open(number, key_phase, packet) {
            Ok(payload) => {
                let payload = &packet[HEADER_LEN..HEADER_LEN + payload];
                self.stats.packets_received += 1;
                self.stats.bytes_received += length as u64;
                self.on_opened(now, (from, ecn), (number, header), payload, random);
            }
            Err(error) => self.on_unopened(now, from, error, length),
        }
        length
    }

    /// A packet of `length` bytes did not open.
    pub(super) fn on_unopened(
        &mut self,
        now: Instant,
        from: SocketAddr,
        error: OpenError,
        length: usize,
    ) {
        self.trace_dropped(now, from, DropReason::Undecryptable, length);
        match error {
            OpenError::Mismatch => {
                self.stats.packets_rejected += 1;
                if planted::is(Bug::IdleRestartedByGarbage) {
                    self.timers.on_received(now);
                }
            }
            OpenError::IntegrityLimit => self.on_violation(now, PeerViolation::IntegrityLimit),
        }
    }

    /// What the session's keys do not fit may be the confirm message again, because our answer to
    /// it was lost: answered by an acknowledgement, and what follows it is looked at. It has to be
    /// the message that was believed: anything else would let anybody make us send.
    fn handle_unreadable(
        &mut self,
        (now, from): (Instant, SocketAddr),
        reason: DropReason,
        datagram: &[u8],
    ) -> usize {
        if let Some(confirm) = &self.confirmed_by
            && let Some((header, payload, length)) = read_plain(datagram)
            && header.kind == PacketType::Ack
            && *payload == **confirm
        {
            self.received.acknowledge_now();
            self.trace_dropped(now, from, DropReason::Duplicate, length);
            return length;
        }
        if planted::is(Bug::PlainResetBelieved)
            && let Some((header, body, length)) = read_plain(datagram)
            && header.kind == PacketType::Rst
        {
            return self.on_reset_packet(body).map_or(0, |()| length);
        }
        self.stats.packets_rejected += 1;
        self.trace_dropped(now, from, reason, datagram.len());
        0
    }

    fn on_opened(
        &mut self,
        now: Instant,
        (from, ecn): (SocketAddr, Option<EcnMark>),
        (number, header): (PacketNumber, &Header),
        payload: &[u8],
        random: &mut dyn Random,
    ) {
        self.confirm = None;
        if self.skipped.is_unarmed() {
            self.skipped.arm(self.sent.next_number(), random.next_u32());
        }
        self.trace_received(now, (from, ecn), (number, header), payload);
        if self.state == State::Reset {
            self.on_straggler();
            return;
        }
        let arrival = match self.act(now, from, (number, header), payload) {
            Ok(Some(arrival)) => Arrival { ecn, ..arrival },
            Ok(None) => {
                let bytes = HEADER_LEN + payload.len() + self.trailer_len();
                self.trace_dropped(now, from, DropReason::Bound, bytes);
                return;
            }
            Err(violation) => {
                self.on_violation(now, violation);
                return;
            }
        };
        let newest = self
            .received
            .largest()
            .is_none_or(|largest| number > largest);
        self.received.mark(now, number, arrival);
        self.timers.on_received(now);
        if self.is_sealed() {
            let bytes = (HEADER_LEN + payload.len() + self.trailer_len()) as u64;
            if newest {
                self.follow_peers_id(from, header.connection_id);
            }
            self.path
                .on_packet(now, from, bytes, newest, || random.next_u64());
            self.sync_candidate_id();
        }
    }

    /// Acts on an opened packet. None: it met a bound and counts as not received.
    fn act(
        &mut self,
        now: Instant,
        from: SocketAddr,
        (number, header): (PacketNumber, &Header),
        payload: &[u8],
    ) -> Result<Option<Arrival>, PeerViolation> {
        header.check()?;
        let (data, frames) = if header.flags.contains(Flags::EXTENSION) {
            extension::split(payload)?
        } else {
            (payload, &[][..])
        };
        let packet = Opened {
            header,
            data,
            frames,
        };
        self.send_flow.on_window(header.window);
        let ack = packet.ack_frame()?;
        if header.flags.contains(Flags::ACK) {
            let near = self.sent.next_number().0;
            let largest = PacketNumber(reconstruct(header.acknowledgment, near));
            // Most packets of a batch repeat the number of the one before, and say nothing by that.
            if ack.is_some() || self.header_acked != Some(largest) {
                self.on_ack(now, largest, ack.as_ref())?;
                self.header_acked = Some(largest);
            }
            self.confirmed_by = None;
        } else if ack.is_some() {
            return Err(DecodeError::Flags.into());
        }
        if self.act_on_body(now, from, &packet)? == Placed::No {
            return Ok(None);
        }
        let mut arrival = Arrival {
            ack_eliciting: header.kind.is_ack_eliciting() || planted::is(Bug::AckElicitsAck),
            end: header.flags.contains(Flags::END),
            at_once: false,
            ecn: None,
        };
        for frame in Frames::new(frames) {
            let frame = frame?;
            let placed = match frame {
                Frame::Session { offset, data } => self.on_session_frame(now, offset, data)?,
                _ => self.act_on_frame(&frame, (number, header.connection_id))?,
            };
            if placed == Placed::No {
                return Ok(None);
            }
            arrival.ack_eliciting |= frame.is_ack_eliciting();
            arrival.at_once |= frame == Frame::ImmediateAck;
            arrival.end |= matches!(
                frame,
                Frame::Stream { fin: true, .. }
                    | Frame::Message { .. }
                    | Frame::OrderedMessage { .. }
                    | Frame::Compressed { .. }
                    | Frame::Datagram { .. }
            );
        }
        self.check_credit(true);
        Ok(Some(arrival))
    }

    fn act_on_body(
        &mut self,
        now: Instant,
        from: SocketAddr,
        packet: &Opened<'_>,
    ) -> Result<Placed, PeerViolation> {
        match packet.header.kind {
            PacketType::Data => return self.act_on_data(packet),
            PacketType::Fragment => return self.act_on_fragment(packet),
            PacketType::Ping => {
                let token = packet.token()?;
                if self.pongs.len() < QUEUED_PONGS_MAX || planted::is(Bug::PongsWithoutBound) {
                    self.pongs.push_back((from, token));
                }
            }
            PacketType::Pong => {
                let token = packet.token()?;
                if let Some(address) = self.path.on_pong(token) {
                    self.on_path_proven();
                    // The answer to a FIN went where the peer is not any more.
                    self.closing.fin_ack |= self.state == State::TimeWait;
                    self.stats.path_changes += 1;
                    self.forget_path(now);
                    self.begin_path_stats(now);
                    self.events
                        .push_back(crate::io::Event::PathChanged(address));
                }
            }
            PacketType::Fin => self.on_fin(now, packet.data)?,
            PacketType::FinAck => self.on_fin_ack(),
            PacketType::Rst => self.on_reset_packet(packet.data)?,
            PacketType::Ack => {
                if !packet.data.is_empty() {
                    return Err(DecodeError::Body.into());
                }
            }
            // Without use in version 1 (W-TYP-4): valid, acknowledged, without effect.
            PacketType::FragmentAck | PacketType::Nack => {}
            PacketType::Syn | PacketType::SynAck => return Err(DecodeError::Flags.into()),
        }
        Ok(Placed::Yes)
    }

    fn act_on_data(&mut self, packet: &Opened<'_>) -> Result<Placed, PeerViolation> {
        let (header, data) = (packet.header, packet.data);
        match header.data_kind()? {
            DataKind::Empty if data.is_empty() => Ok(Placed::Yes),
            DataKind::Empty => Err(DecodeError::Body.into()),
            DataKind::Stream { fin } => {
                let id = self.streams.full_id(header.fragment_id);
                let offset = self.streams.full_offset(id, header.stream_offset());
                let (flow, events) = (&mut self.receive_flow, &mut self.events);
                self.streams.on_data((id, offset, fin), data, flow, events)
            }
            DataKind::Message => {
                let id = self.incoming.full_id(header.fragment_id, true);
                let label = packet.label()?;
                self.incoming.on_message(
                    (id, label),
                    data,
                    &mut self.receive_flow,
                    &mut self.events,
                )
            }
            DataKind::Datagram => {
                let id = self.incoming.full_id(header.fragment_id, false);
                let named = (id, packet.label()?);
                self.incoming.on_datagram(named, data, &mut self.events)?;
                Ok(Placed::Yes)
            }
        }
    }

    fn act_on_fragment(&mut self, packet: &Opened<'_>) -> Result<Placed, PeerViolation> {
        let header = packet.header;
        let reliable = header.flags.contains(Flags::RELIABLE);
        let at = Position {
            id: self.incoming.full_id(header.fragment_id, reliable),
            index: header.fragment_index,
            total: header.fragment_total,
            length: packet.message_length()?,
            label: packet.label()?,
        };
        if reliable {
            let (flow, events) = (&mut self.receive_flow, &mut self.events);
            return self.incoming.on_fragment(at, packet.data, flow, events);
        }
        self.incoming
            .on_datagram_fragment(at, packet.data, &mut self.events)?;
        Ok(Placed::Yes)
    }

    /// The packet's number, and the connection ID that it was sent to.
    fn act_on_frame(
        &mut self,
        frame: &Frame<'_>,
        (number, sent_to): (PacketNumber, ConnectionId),
    ) -> Result<Placed, PeerViolation> {
        let (flow, events) = (&mut self.receive_flow, &mut self.events);
        match *frame {
            // Padding says nothing, the others have been looked at.
            Frame::Padding
            | Frame::Ack(_)
            | Frame::MessageLength(_)
            | Frame::MessageOrder(_)
            | Frame::UncompressedLength(_)
            | Frame::ImmediateAck
            | Frame::Session { .. } => {}
            Frame::AckFrequency { sequence, request } => {
                self.received.on_request(sequence, request);
            }
            Frame::MaxData(limit) => self.send_flow.on_max_data(number, limit)?,
            Frame::MaxStreamData { id, limit } => {
                self.streams
                    .on_max_stream_data(id, (number, limit), events)?;
            }
            Frame::MaxStreams { direction, count } => {
                self.streams
                    .on_max_streams(direction, (number, count), events)?;
            }
            Frame::Stream {
                id,
                offset,
                fin,
                data,
            } => {
                return self.streams.on_data((id, offset, fin), data, flow, events);
            }
            Frame::Message { .. }
            | Frame::OrderedMessage { .. }
            | Frame::Compressed { .. }
            | Frame::Datagram { .. }
            | Frame::MessageGivenUp { .. } => return self.act_on_message_frame(frame),
            Frame::NewConnectionId { sequence, id } => self.remote_ids.on_issued(sequence, id)?,
            Frame::RetireConnectionId { sequence } => {
                self.local_ids.on_retired(sequence, sent_to)?;
            }
            Frame::ResetToken { id, token } => self.reset_tokens.on_told(id, token),
            Frame::ResetStream {
                id,
                code,
                final_size,
            } => {
                self.streams
                    .on_reset(id, (code, final_size), flow, events)?;
            }
            Frame::StopSending { id, code } => self.streams.on_stop_sending(id, code, events)?,
        }
        Ok(Placed::Yes)
    }

    fn act_on_message_frame(&mut self, frame: &Frame<'_>) -> Result<Placed, PeerViolation> {
        let (flow, events) = (&mut self.receive_flow, &mut self.events);
        match *frame {
            Frame::Message { id, data } => {
                let named = (id, Label::default());
                return self.incoming.on_message(named, data, flow, events);
            }
            Frame::OrderedMessage { id, order, data } => {
                let named = (id, label(Some(order), None));
                return self.incoming.on_message(named, data, flow, events);
            }
            Frame::Compressed {
                kind,
                id,
                length,
                data,
            } => {
                let length = Some(length);
                let label = match kind {
                    Compressed::Reliable => label(None, length),
                    Compressed::Ordered(order) => label(Some(order), length),
                    Compressed::Unreliable => {
                        let named = (id, label(None, length));
                        self.incoming.on_datagram(named, data, events)?;
                        return Ok(Placed::Yes);
                    }
                };
                return self.incoming.on_message((id, label), data, flow, events);
            }
            Frame::MessageGivenUp { id, sent } => {
                return self.incoming.on_given_up(id, sent, flow);
            }
            Frame::Datagram { id, data } => {
                let named = (id, Label::default());
                self.incoming.on_datagram(named, data, events)?;
            }
            _ => {}
        }
        Ok(Placed::Yes)
    }
}

impl<'a> Opened<'a> {
    fn ack_frame(&self) -> Result<Option<AckFrame<'a>>, DecodeError> {
        for frame in Frames::new(self.frames) {
            if let Frame::Ack(ack) = frame? {
                return Ok(Some(ack));
            }
        }
        Ok(None)
    }

    fn message_length(&self) -> Result<u64, DecodeError> {
        for frame in Frames::new(self.frames) {
            if let Frame::MessageLength(length) = frame? {
                return Ok(length);
            }
        }
        Err(DecodeError::Body)
    }

    /// What the frames say of the message in the body.
    fn label(&self) -> Result<Label, DecodeError> {
        let mut label = Label::default();
        for frame in Frames::new(self.frames) {
            match frame? {
                Frame::MessageOrder(order) => label.order = Some(order),
                Frame::UncompressedLength(length) => label.uncompressed = Some(length),
                _ => {}
            }
        }
        Ok(label)
    }

    /// The 8-byte token that is the body of PING and PONG; what follows is padding.
    fn token(&self) -> Result<u64, DecodeError> {
        Cursor::new(self.data).u64().map_err(|_| DecodeError::Body)
    }
}

const fn label(order: Option<u64>, uncompressed: Option<u64>) -> Label {
    Label {
        order,
        uncompressed,
    }
}
