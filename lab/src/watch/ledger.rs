//! What both ends of a connection sent, received and promised.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dunlin_transport::ids::reconstruct;
use dunlin_transport::wire::frame::{Frame, Frames};
use dunlin_transport::wire::header::{DataKind, MASKED};
use dunlin_transport::wire::params::TransportParams;
use dunlin_transport::wire::{Flags, HEADER_LEN, Header, PacketType, extension};
use dunlin_transport::{ConnectionId, EndpointConfig, Instant};

use super::numbers::Numbers;
use crate::trace::{Record, Trace};
use crate::violation::Violation;

/// Packets this far below the largest acknowledged one count as lost whatever the order of
/// arrival: the packet threshold never grows beyond it (`transport/src/send/loss.rs`).
const CERTAINLY_LOST: u64 = 256;

/// A packet that asks for an acknowledgement and has none.
#[derive(Clone, Copy, Debug)]
struct Outstanding {
    bytes: u64,
}

/// One end.
#[derive(Debug)]
pub(super) struct Side {
    /// What it granted at the handshake.
    pub(super) params: TransportParams,
    last_number: Option<u64>,
    outstanding: BTreeMap<u64, Outstanding>,
    pub(super) bytes_outstanding: u64,
    pub(super) bytes_acked: u64,
    received: Numbers,
    /// A number that opened a second time. After an abort the core no longer notes what came.
    pub(super) opened_twice: Option<u64>,
    largest_acked: Option<u64>,
    pub(super) last_eliciting: Option<Instant>,
    /// The ends of the last progress, as strict and as generous as it can be read.
    pub(super) advanced: bool,
    pub(super) progressed: bool,
    /// It has received something to acknowledge since its last acknowledgement.
    owes_ack: bool,
    /// Limits that it has heard: of the connection, and of streams.
    told: u64,
    told_streams: BTreeMap<u64, u64>,
    /// What it has sent: the end of each stream, and reliable parts of messages.
    stream_ends: BTreeMap<u64, u64>,
    parts: BTreeSet<(u64, u16)>,
    reliable_sent: u64,
    /// The limit that each of its packets carried, and the latest.
    granting: u64,
    grants: BTreeMap<u64, u64>,
    ce_reported: u64,
    masks: BTreeSet<[u8; 16]>,
    sealed: BTreeMap<u64, (u64, Instant)>,
    /// The current key phase, packets under it, and most packets under one.
    phase: (bool, u64),
    longest_phase: u64,
    /// Packets of data and their bytes, retransmissions included.
    pub(super) data_bytes_sent: u64,
}

impl Side {
    fn new(config: &EndpointConfig) -> Self {
        let params = TransportParams::of(&config.transport.clone().clamped(), ConnectionId::NONE);
        Self {
            params,
            last_number: None,
            outstanding: BTreeMap::new(),
            bytes_outstanding: 0,
            bytes_acked: 0,
            received: Numbers::default(),
            opened_twice: None,
            largest_acked: None,
            last_eliciting: None,
            advanced: false,
            progressed: false,
            owes_ack: true,
            told: 0,
            told_streams: BTreeMap::new(),
            stream_ends: BTreeMap::new(),
            parts: BTreeSet::new(),
            reliable_sent: 0,
            granting: params.max_data,
            grants: BTreeMap::new(),
            ce_reported: 0,
            masks: BTreeSet::new(),
            sealed: BTreeMap::new(),
            phase: (false, 0),
            longest_phase: 0,
            data_bytes_sent: 0,
        }
    }
}

/// The ledger of one connection between nodes 0 and 1.
#[derive(Debug)]
pub struct Ledger {
    now: Instant,
    pub(super) sides: [Side; 2],
    /// No key is forgotten sooner than this after it was replaced.
    grace: Duration,
    violation: Option<Violation>,
}

impl Ledger {
    /// Nothing has happened between two ends with these settings.
    #[must_use]
    pub fn new(configs: &[EndpointConfig; 2]) -> Self {
        let mut sides = configs.each_ref().map(Side::new);
        let granted = sides.each_ref().map(|side| side.params.max_data);
        for (node, side) in sides.iter_mut().enumerate() {
            side.told = granted.get(1 - node).copied().unwrap_or(0);
        }
        Self {
            now: Instant::ZERO,
            sides,
            grace: Duration::MAX,
            violation: None,
        }
    }

    /// It is `now`.
    pub fn set_time(&mut self, now: Instant) {
        self.now = now;
    }

    /// An end's probe timeout is `timeout`: keys live longer.
    pub(super) fn on_probe_timeout(&mut self, timeout: Duration) {
        self.grace = self.grace.min(timeout);
    }

    /// The first thing that must not be and was.
    pub fn take_violation(&mut self) -> Option<Violation> {
        self.violation.take()
    }

    pub(super) fn report(&mut self, node: usize, what: &'static str, detail: String) {
        self.violation
            .get_or_insert(Violation::Wire { node, what, detail });
    }

    /// Bytes of stream and message data that `node` sent, those sent again included.
    #[must_use]
    pub fn data_bytes_sent(&self, node: usize) -> u64 {
        self.sides.get(node).map_or(0, |side| side.data_bytes_sent)
    }

    /// Most packets that `node` sealed without changing its key.
    #[must_use]
    pub fn packets_of_one_key(&self, node: usize) -> u64 {
        self.sides.get(node).map_or(0, |side| side.longest_phase)
    }

    /// `node` is about to seal a packet; `payload` is everything between header and trailer.
    pub(super) fn on_sealing(
        &mut self,
        node: usize,
        number: u64,
        header: &Header,
        payload: &[u8],
        bytes: u64,
    ) {
        let Some(side) = self.sides.get_mut(node) else {
            return;
        };
        if side.last_number.is_some_and(|last| number <= last) {
            let detail = format!("{number} after {:?}", side.last_number);
            self.report(node, "a packet number was used twice", detail);
            return;
        }
        side.last_number = Some(number);
        let Some((data, frames)) = parts_of(header, payload) else {
            self.report(node, "a packet that cannot be read", format!("{number}"));
            return;
        };
        let eliciting =
            header.kind.is_ack_eliciting() || frames.iter().any(Frame::is_ack_eliciting);
        if eliciting {
            side.outstanding.insert(number, Outstanding { bytes });
            side.bytes_outstanding += bytes;
            side.last_eliciting = Some(self.now);
        }
        let phase = header.flags.contains(Flags::KEY_PHASE);
        let before = if side.phase.0 == phase {
            side.phase.1
        } else {
            0
        };
        side.phase = (phase, before + 1);
        side.longest_phase = side.longest_phase.max(before + 1);
        let shift = side.params.window_shift;
        let units = side.granting >> shift;
        let ahead = u64::from(header.window).wrapping_sub(units) & 0xffff;
        let reads_as = if ahead < 0x8000 {
            (units + ahead) << shift
        } else {
            0
        };
        side.granting = side.granting.max(reads_as);
        side.grants.insert(number, reads_as);
        self.check_acknowledgement(node, header, &frames, eliciting);
        self.check_limits(node, header, data, &frames);
    }

    /// Everything that `node` acknowledges came, and something came that asked for it.
    fn check_acknowledgement(
        &mut self,
        node: usize,
        header: &Header,
        frames: &[Frame<'_>],
        eliciting: bool,
    ) {
        let [side, peer] = self.both(node);
        let frame = frames.iter().find_map(|frame| match frame {
            Frame::Ack(ack) => Some(*ack),
            _ => None,
        });
        // Until something of ours was acknowledged, a repeated handshake message is answered too.
        let asked_for = side.owes_ack || side.largest_acked.is_none();
        if header.kind == PacketType::Ack && !eliciting && !asked_for {
            let detail = format!("{:?}", header.flags);
            self.report(node, "an acknowledgement that nothing asked for", detail);
            return;
        }
        if !header.flags.contains(Flags::ACK) {
            return;
        }
        let near = peer.last_number.unwrap_or(0);
        let largest = reconstruct(header.acknowledgment, near);
        let mut wrong = None;
        let ranges = frame.iter().flat_map(|frame| frame.ranges(largest));
        for range in std::iter::once(Ok(largest..=largest)).chain(ranges) {
            match range {
                Ok(range) if side.received.contains_all(&range) => {}
                other => wrong = wrong.or(Some(format!("{other:?}"))),
            }
        }
        let mut regressed = None;
        if let Some(frame) = frame {
            side.owes_ack = false;
            if let Some(ecn) = frame.ecn {
                regressed = (ecn.ce < side.ce_reported).then_some(ecn.ce);
                side.ce_reported = side.ce_reported.max(ecn.ce);
            }
        }
        if let Some(detail) = wrong {
            self.report(node, "an acknowledgement of what never came", detail);
        } else if let Some(ce) = regressed {
            self.report(node, "counts of marks that fall", format!("{ce}"));
        }
    }

    /// No byte leaves beyond a limit that `node` has heard.
    fn check_limits(&mut self, node: usize, header: &Header, data: &[u8], frames: &[Frame<'_>]) {
        let [side, peer] = self.both(node);
        let mut pieces = Vec::new();
        let mut messages = Vec::new();
        if header.kind == PacketType::Data {
            match header.data_kind() {
                Ok(DataKind::Stream { .. }) => {
                    let end = u64::from(header.stream_offset()) + data.len() as u64;
                    pieces.push((u64::from(header.fragment_id), end, data.len()));
                }
                Ok(DataKind::Message) => {
                    messages.push((u64::from(header.fragment_id), 0, data.len()));
                }
                _ => {}
            }
        } else if header.kind == PacketType::Fragment && header.flags.contains(Flags::RELIABLE) {
            let part = (u64::from(header.fragment_id), header.fragment_index);
            messages.push((part.0, part.1, data.len()));
        }
        for frame in frames {
            match *frame {
                Frame::Stream {
                    id, offset, data, ..
                } => pieces.push((id.0, offset + data.len() as u64, data.len())),
                Frame::Message { id, data } | Frame::OrderedMessage { id, data, .. } => {
                    messages.push((id.0, 0, data.len()));
                }
                _ => {}
            }
        }
        let mut wrong = None;
        for (id, end, length) in pieces {
            side.data_bytes_sent += length as u64;
            let before = side.stream_ends.entry(id).or_insert(0);
            side.reliable_sent += end.saturating_sub(*before);
            *before = end.max(*before);
            let limit = side.told_streams.get(&id).copied();
            let limit = limit.unwrap_or(peer.params.max_stream_data);
            if end > limit {
                wrong = Some(format!("stream {id} to {end} of {limit}"));
            }
        }
        for (id, index, length) in messages {
            side.data_bytes_sent += length as u64;
            if side.parts.insert((id, index)) {
                side.reliable_sent += length as u64;
            }
        }
        let (sent, told) = (side.reliable_sent, side.told);
        if sent > told {
            wrong = Some(format!("{sent} of {told} bytes"));
        }
        if let Some(detail) = wrong {
            self.report(node, "data beyond a limit", detail);
        }
    }

    /// The header went through the mask.
    pub(super) fn on_masked(&mut self, node: usize, clear: &[u8; HEADER_LEN], packet: &[u8]) {
        let mut mask = [0; 16];
        let masked = packet.get(MASKED).unwrap_or_default();
        let clear = clear.get(MASKED).unwrap_or_default();
        for (slot, (clear, masked)) in mask.iter_mut().zip(clear.iter().zip(masked)) {
            *slot = clear ^ masked;
        }
        let fresh = self
            .sides
            .get_mut(node)
            .is_none_or(|side| side.masks.insert(mask));
        if !fresh {
            self.report(node, "a header mask was used twice", format!("{mask:02x?}"));
        }
    }

    /// `packet` is what leaves.
    pub(super) fn on_sealed(&mut self, node: usize, number: u64, clear: &[u8; 32], packet: &[u8]) {
        let (hash, now) = (fingerprint(clear, packet), self.now);
        if let Some(side) = self.sides.get_mut(node) {
            side.sealed.insert(number, (hash, now));
        }
    }

    /// When the packet that `node` tries to open left the other end; None: it never did like this.
    pub(super) fn is_genuine(&self, node: usize, number: u64, packet: &[u8]) -> Option<Instant> {
        let clear = packet.first_chunk()?;
        let (hash, at) = *self.sides.get(1 - node)?.sealed.get(&number)?;
        (hash == fingerprint(clear, packet)).then_some(at)
    }

    /// A genuine packet did not open.
    pub(super) fn on_refused(&mut self, node: usize, number: u64, sent_at: Instant) {
        let age = self.now.saturating_duration_since(sent_at);
        if age < self.grace {
            let detail = format!("{number}, {age:?} old");
            self.report(node, "a genuine packet did not open", detail);
        }
    }

    /// `node` has opened a packet.
    pub(super) fn on_opened(&mut self, node: usize, number: u64, header: &Header, payload: &[u8]) {
        let Some((_, frames)) = parts_of(header, payload) else {
            return;
        };
        let [side, peer] = self.both(node);
        let eliciting =
            header.kind.is_ack_eliciting() || frames.iter().any(Frame::is_ack_eliciting);
        side.owes_ack |= eliciting;
        let fresh = side.received.insert(number);
        if let Some(limit) = peer.grants.get(&number) {
            side.told = side.told.max(*limit);
        }
        let mut acked = header.flags.contains(Flags::ACK).then(|| {
            let near = side.last_number.unwrap_or(0);
            vec![reconstruct(header.acknowledgment, near)]
        });
        for frame in &frames {
            match *frame {
                Frame::MaxData(limit) => side.told = side.told.max(limit),
                Frame::MaxStreamData { id, limit } => {
                    let initial = peer.params.max_stream_data;
                    let told = side.told_streams.entry(id.0).or_insert(initial);
                    *told = limit.max(*told);
                }
                Frame::Ack(ack) => {
                    let largest = acked.iter().flatten().next().copied().unwrap_or(0);
                    let ranges = ack.ranges(largest).map_while(Result::ok);
                    acked = Some(ranges.flatten().collect());
                    if side.largest_acked.is_none_or(|known| largest > known) {
                        side.largest_acked = Some(largest);
                        side.advanced = true;
                    }
                }
                _ => {}
            }
        }
        for number in acked.into_iter().flatten() {
            if let Some(packet) = side.outstanding.remove(&number) {
                side.bytes_outstanding -= packet.bytes;
                side.bytes_acked += packet.bytes;
                side.progressed = true;
            }
        }
        side.condemn();
        if !fresh {
            side.opened_twice = Some(number);
        }
    }

    fn both(&mut self, node: usize) -> [&mut Side; 2] {
        let [zero, one] = &mut self.sides;
        if node == 0 { [zero, one] } else { [one, zero] }
    }
}

impl Side {
    /// Takes off what is certainly lost.
    fn condemn(&mut self) {
        let Some(below) = self
            .largest_acked
            .and_then(|largest| largest.checked_sub(CERTAINLY_LOST))
        else {
            return;
        };
        while let Some(entry) = self.outstanding.first_entry() {
            if *entry.key() > below {
                break;
            }
            self.bytes_outstanding -= entry.remove().bytes;
        }
    }
}

/// Body and frames of a packet's clear payload.
pub(crate) fn parts_of<'a>(
    header: &Header,
    payload: &'a [u8],
) -> Option<(&'a [u8], Vec<Frame<'a>>)> {
    let (data, block) = if header.flags.contains(Flags::EXTENSION) {
        extension::split(payload).ok()?
    } else {
        (payload, &[][..])
    };
    let frames: Result<_, _> = Frames::new(block).collect();
    Some((data, frames.ok()?))
}

fn fingerprint(clear: &[u8; HEADER_LEN], packet: &[u8]) -> u64 {
    let mut trace = Trace::new();
    trace.add(Instant::ZERO, Record::Sent, 0, clear);
    let body = packet.get(HEADER_LEN..).unwrap_or_default();
    trace.add(Instant::ZERO, Record::Sent, 0, body);
    trace.hash()
}
