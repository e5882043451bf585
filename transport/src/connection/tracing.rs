//! What a connection shows of itself to an observer ([`crate::trace`]). Without one, each of these
//! costs a branch.

use alloc::boxed::Box;
use core::net::SocketAddr;

use super::Connection;
use super::contents::{Contents, Item};
use crate::ids::{PacketNumber, StreamId, reconstruct};
use crate::io::{EcnMark, Event};
use crate::protect::Flow;
use crate::send::in_flight::{SentPacket, SentRun};
use crate::send::loss::{DeclaredLost, Thresholds};
use crate::time::Instant;
use crate::trace::{
    Blocked, ConnectionObserver, DropReason, LossTrigger, Metrics, NumberRange, Snapshot,
    StreamPiece, StreamUpdate, Timer, TraceEvent, TracedPacket, Tracer,
};
use crate::wire::extension::{self, LENGTH_LEN};
use crate::wire::header::DataKind;
use crate::wire::params::TransportParams;
use crate::wire::{Flags, HEADER_LEN, Header, PacketType};

impl Connection {
    /// From now on `observer` is told what happens.
    pub(crate) fn observe(&mut self, now: Instant, observer: Box<dyn ConnectionObserver>) {
        let tracer = Tracer::new(observer, now, self.path.remote());
        self.trace = Some(Box::new(tracer));
        self.trace_params(now);
        self.trace_settled(now);
    }

    /// The peer's connection ID, once it is known.
    pub(crate) fn remote_cid(&self) -> Option<crate::ids::ConnectionId> {
        Some(self.remote_ids.current()).filter(|id| *id != crate::ids::ConnectionId::NONE)
    }

    /// Reports `event`.
    #[inline]
    pub(super) fn trace(&mut self, now: Instant, event: &TraceEvent<'_>) {
        if let Some(tracer) = &mut self.trace {
            tracer.report(now, event);
        }
    }

    /// A timer went off.
    #[inline]
    pub(super) fn trace_timer(&mut self, now: Instant, timer: Timer) {
        self.trace(now, &TraceEvent::TimerExpired { timer });
    }

    /// A packet had no effect.
    #[inline]
    pub(super) fn trace_dropped(
        &mut self,
        now: Instant,
        from: SocketAddr,
        reason: DropReason,
        bytes: usize,
    ) {
        let event = TraceEvent::PacketDropped {
            reason,
            bytes,
            from,
        };
        self.trace(now, &event);
    }

    /// An input was worked on: reports what changed.
    #[inline]
    pub(crate) fn trace_settled(&mut self, now: Instant) {
        if let Some(mut tracer) = self.trace.take() {
            tracer.settle(now, &self.snapshot());
            self.trace = Some(tracer);
        }
    }

    /// The connection goes away without another input: reports what changed since the last one.
    pub(crate) fn trace_last(&mut self) {
        if let Some(now) = self.trace.as_ref().map(|tracer| tracer.last_time()) {
            self.trace_settled(now);
        }
    }

    /// The handshake is complete: both ends' parameters are known.
    pub(super) fn trace_params(&mut self, now: Instant) {
        if self.trace.is_none() {
            return;
        }
        if let Some(params) = self.peer_params.as_deref().copied() {
            let ours = TransportParams::of(&self.config, self.local_cid);
            for (flow, params) in [(Flow::Outgoing, &ours), (Flow::Incoming, &params)] {
                self.trace(now, &TraceEvent::ParametersSet { flow, params });
            }
        }
    }

    /// A packet left. `frames` is the block without its length; `bytes` of it in all.
    #[inline]
    pub(super) fn trace_sent(
        &mut self,
        now: Instant,
        (number, header): (PacketNumber, &Header),
        (bytes, frames): (usize, &[u8]),
        contents: &Contents,
    ) {
        if self.trace.is_none() {
            return;
        }
        let trailer = self.trailer_len();
        let block = if frames.is_empty() {
            0
        } else {
            frames.len() + LENGTH_LEN
        };
        let packet = TracedPacket {
            number,
            header: *header,
            largest_acked: self.received.largest(),
            bytes,
            body: bytes.saturating_sub(HEADER_LEN + trailer + block),
            extension: frames,
            stream: sent_piece(header, contents),
            remote: self.path.remote(),
            ecn: None,
        };
        if let Some(tracer) = &mut self.trace {
            tracer.on_sent(now, packet);
        }
    }

    /// A packet of the plain profile left during the handshake; `packet` is all of it.
    #[inline]
    pub(super) fn trace_handshake_sent(
        &mut self,
        now: Instant,
        number: PacketNumber,
        packet: &[u8],
    ) {
        let Some(tracer) = &mut self.trace else {
            return;
        };
        if let Some((header, payload, bytes)) = super::opening::read_plain(packet) {
            let body = payload.len();
            let remote = self.path.remote();
            tracer.on_sent(
                now,
                handshake((number, header), (bytes, body), remote, None),
            );
        }
    }

    /// The confirm message stands in front of the next packet, and leaves if there is one.
    #[inline]
    pub(super) fn trace_confirm(&mut self, number: PacketNumber, packet: &[u8]) {
        if let Some(tracer) = &mut self.trace
            && let Some((header, payload, bytes)) = super::opening::read_plain(packet)
        {
            let lengths = (bytes, payload.len());
            let remote = self.path.remote();
            tracer.set_ahead(Some(handshake((number, header), lengths, remote, None)));
        }
    }

    /// There was none.
    #[inline]
    pub(super) fn trace_no_confirm(&mut self) {
        if let Some(tracer) = &mut self.trace {
            tracer.set_ahead(None);
        }
    }

    /// A SYN_ACK came.
    #[inline]
    pub(super) fn trace_handshake_received(
        &mut self,
        now: Instant,
        from: SocketAddr,
        header: &Header,
        (bytes, body): (usize, usize),
    ) {
        if let Some(tracer) = &mut self.trace {
            let number = PacketNumber(u64::from(header.sequence));
            tracer.report(
                now,
                &TraceEvent::PacketReceived(handshake(
                    (number, *header),
                    (bytes, body),
                    from,
                    None,
                )),
            );
        }
    }

    /// A packet was opened.
    #[inline]
    pub(super) fn trace_received(
        &mut self,
        now: Instant,
        (from, ecn): (SocketAddr, Option<EcnMark>),
        (number, header): (PacketNumber, &Header),
        payload: &[u8],
    ) {
        if self.trace.is_none() {
            return;
        }
        let (data, frames) = if header.flags.contains(Flags::EXTENSION) {
            extension::split(payload).unwrap_or((payload, &[]))
        } else {
            (payload, &[][..])
        };
        let bytes = HEADER_LEN + payload.len() + self.trailer_len();
        let stream = self.received_piece(header, data.len());
        let near = self.sent.next_number().0;
        let largest_acked = header
            .flags
            .contains(Flags::ACK)
            .then(|| PacketNumber(reconstruct(header.acknowledgment, near)));
        let packet = TracedPacket {
            number,
            header: *header,
            largest_acked,
            bytes,
            body: data.len(),
            extension: frames,
            stream,
            remote: from,
            ecn,
        };
        if let Some(tracer) = &mut self.trace {
            tracer.on_received(now, packet);
        }
    }

    fn received_piece(&self, header: &Header, length: usize) -> Option<StreamPiece> {
        match (header.kind, header.data_kind()) {
            (PacketType::Data, Ok(DataKind::Stream { fin })) => {
                let id = self.streams.full_id(header.fragment_id);
                let offset = self.streams.full_offset(id, header.stream_offset());
                let length = length as u64;
                Some(StreamPiece {
                    id,
                    offset,
                    length,
                    fin,
                })
            }
            _ => None,
        }
    }

    /// A packet that was declared lost was acknowledged.
    #[inline]
    pub(super) fn trace_spurious(
        &mut self,
        now: Instant,
        number: PacketNumber,
        lost: &DeclaredLost,
    ) {
        let event = TraceEvent::SpuriousLoss {
            number,
            bytes: lost.bytes,
            declared_at: lost.at,
            packet_threshold: self.loss.packet_threshold(),
        };
        self.trace(now, &event);
    }

    /// A packet was declared lost.
    #[inline]
    pub(super) fn trace_lost(
        &mut self,
        now: Instant,
        thresholds: &Thresholds,
        number: PacketNumber,
        packet: &SentPacket<Contents>,
    ) {
        let trigger = if thresholds.is_overtaken(number) {
            LossTrigger::Reordering
        } else {
            LossTrigger::Time
        };
        let event = TraceEvent::PacketLost {
            number,
            bytes: u64::from(packet.size),
            sent_at: packet.sent_at,
            trigger,
        };
        self.trace(now, &event);
    }

    /// Packets were newly acknowledged.
    #[inline]
    pub(super) fn trace_acked(&mut self, now: Instant, acked: &[SentRun<Contents>]) {
        let Some(tracer) = &mut self.trace else {
            return;
        };
        let mut run: Option<(NumberRange, u64)> = None;
        for next in acked {
            let (first, last) = (next.first.0, next.last().0);
            run = Some(match run {
                Some((numbers, bytes)) if numbers.last + 1 == first => {
                    (NumberRange { last, ..numbers }, bytes + next.bytes())
                }
                earlier => {
                    if let Some((numbers, bytes)) = earlier {
                        tracer.report(now, &TraceEvent::PacketsAcked { numbers, bytes });
                    }
                    (NumberRange { first, last }, next.bytes())
                }
            });
        }
        if let Some((numbers, bytes)) = run {
            tracer.report(now, &TraceEvent::PacketsAcked { numbers, bytes });
        }
    }

    /// A stream may have been delivered by the last acknowledgement: its event says so.
    #[inline]
    pub(super) fn trace_delivered(&mut self, now: Instant, id: StreamId) {
        if let Some(tracer) = &mut self.trace
            && matches!(self.events.back(), Some(Event::StreamDelivered(done)) if *done == id)
        {
            let update = StreamUpdate::Delivered;
            tracer.report(now, &TraceEvent::StreamUpdated { id, update });
        }
    }

    fn snapshot(&self) -> Snapshot<'_> {
        let ssthresh = self.congestion.slow_start_threshold();
        Snapshot {
            state: self.state,
            closed: self.closing.reason(),
            metrics: Metrics {
                smoothed_rtt: self.rtt.smoothed(),
                min_rtt: self.rtt.minimum(),
                latest_rtt: self.rtt.latest(),
                rtt_variance: self.rtt.variance(),
                pto_count: self.loss.probe_count(),
                congestion_window: self.congestion.window(),
                bytes_in_flight: self.sent.bytes_in_flight(),
                ssthresh: ssthresh.filter(|limit| *limit != u64::MAX),
                pacing_rate: self.congestion.pacing_rate(self.rtt.smoothed()),
            },
            phase: self.congestion.phase(),
            remote: self.path.remote(),
            candidate: self.path.candidate(),
            blocked: self.blocked_by(),
            send_phase: self
                .protection
                .as_ref()
                .is_some_and(|protection| protection.key_phase()),
            loss_timer: self.loss_timer(),
        }
    }

    fn loss_timer(&self) -> Option<(Timer, Instant)> {
        if !self.state.is_transferring() {
            return None;
        }
        let loss = self.loss.loss_time().map(|at| (Timer::Loss, at));
        loss.or_else(|| self.probe_time().map(|at| (Timer::Probe, at)))
    }

    fn blocked_by(&self) -> Option<Blocked> {
        if !self.state.is_transferring() {
            return None;
        }
        if !self.has_data() {
            let waits = self.streams.has_work(u64::MAX) || self.outgoing.has_work(u64::MAX);
            let stream = || self.streams.out_of_credit().map(Blocked::StreamCredit);
            return waits.then_some(Blocked::ConnectionCredit).or_else(stream);
        }
        let full = self.sent.bytes_in_flight() + self.mtu as u64 > self.congestion.window();
        if full {
            Some(Blocked::CongestionWindow)
        } else {
            self.timers.pacing.map(|_| Blocked::Pacing)
        }
    }
}

/// The piece of a stream that the body of a packet is: the one with the header's low halves.
fn sent_piece(header: &Header, contents: &Contents) -> Option<StreamPiece> {
    let is_stream = header.kind == PacketType::Data
        && matches!(header.data_kind(), Ok(DataKind::Stream { .. }));
    contents
        .iter()
        .filter(|_| is_stream)
        .find_map(|item| match item {
            Item::Stream { id, range, fin }
                if PacketNumber(id.0).truncated() == header.fragment_id
                    && PacketNumber(range.start).truncated() == header.stream_offset() =>
            {
                Some(StreamPiece {
                    id: *id,
                    offset: range.start,
                    length: range.end - range.start,
                    fin: *fin,
                })
            }
            _ => None,
        })
}

const fn handshake(
    (number, header): (PacketNumber, Header),
    (bytes, body): (usize, usize),
    remote: SocketAddr,
    ecn: Option<EcnMark>,
) -> TracedPacket<'static> {
    TracedPacket {
        number,
        header,
        largest_acked: None,
        bytes,
        body,
        extension: &[],
        stream: None,
        remote,
        ecn,
    }
}
