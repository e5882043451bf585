//! What a traced connection remembers of what it has reported, so that only changes are told.

use alloc::boxed::Box;
use core::net::SocketAddr;

use super::{
    Blocked, ConnectionObserver, Metrics, StreamPiece, StreamUpdate, Timer, TraceEvent,
    TracedPacket,
};
use crate::connection::state::State;
use crate::error::CloseReason;
use crate::ids::{PacketNumber, StreamDirection, StreamId};
use crate::protect::Flow;
use crate::time::Instant;
use crate::wire::Flags;
use crate::wire::frame::Frame;

/// Where a connection stands after an input; compared with the one before.
pub(crate) struct Snapshot<'a> {
    pub(crate) state: State,
    pub(crate) closed: Option<&'a CloseReason>,
    pub(crate) metrics: Metrics,
    /// The controller's.
    pub(crate) phase: &'static str,
    pub(crate) remote: SocketAddr,
    pub(crate) candidate: Option<SocketAddr>,
    pub(crate) blocked: Option<Blocked>,
    pub(crate) send_phase: bool,
    pub(crate) loss_timer: Option<(Timer, Instant)>,
}

/// Reports to an observer. Of fixed size, whatever the peer does.
pub(crate) struct Tracer {
    observer: Box<dyn ConnectionObserver>,
    /// Leaves together with the next packet, in front of it.
    ahead: Option<TracedPacket<'static>>,
    /// When something was reported last.
    now: Instant,
    state: Option<State>,
    closed: bool,
    metrics: Option<Metrics>,
    phase: Option<&'static str>,
    remote: SocketAddr,
    candidate: Option<SocketAddr>,
    blocked: Option<Blocked>,
    loss_timer: Option<(Timer, Instant)>,
    send_generation: u64,
    receive_generation: u64,
    largest_received: Option<PacketNumber>,
    /// Streams of each opener and direction that a packet has named: the next index.
    streams: [u64; 4],
}

impl Tracer {
    pub(crate) const fn new(
        observer: Box<dyn ConnectionObserver>,
        now: Instant,
        remote: SocketAddr,
    ) -> Self {
        Self {
            observer,
            ahead: None,
            now,
            state: None,
            closed: false,
            metrics: None,
            phase: None,
            remote,
            candidate: None,
            blocked: None,
            loss_timer: None,
            send_generation: 0,
            receive_generation: 0,
            largest_received: None,
            streams: [0; 4],
        }
    }

    pub(crate) fn report(&mut self, now: Instant, event: &TraceEvent<'_>) {
        self.now = now;
        self.observer.on_event(now, event);
    }

    /// When something was reported last.
    pub(crate) const fn last_time(&self) -> Instant {
        self.now
    }

    /// Sets what leaves in front of the next packet.
    pub(crate) const fn set_ahead(&mut self, packet: Option<TracedPacket<'static>>) {
        self.ahead = packet;
    }

    /// A packet left: it, and what it means for streams.
    pub(crate) fn on_sent(&mut self, now: Instant, packet: TracedPacket<'_>) {
        if let Some(ahead) = self.ahead.take() {
            self.report(now, &TraceEvent::PacketSent(ahead));
        }
        self.report(now, &TraceEvent::PacketSent(packet));
        self.on_streams(now, &packet, Flow::Outgoing);
    }

    /// A packet was opened: it, the key that opened it, and what it means for streams.
    pub(crate) fn on_received(&mut self, now: Instant, packet: TracedPacket<'_>) {
        if self.largest_received < Some(packet.number) {
            self.largest_received = Some(packet.number);
            let phase = packet.header.flags.contains(Flags::KEY_PHASE);
            if packet.header.flags.contains(Flags::SEALED)
                && phase != is_odd(self.receive_generation)
            {
                self.receive_generation += 1;
                let (flow, generation) = (Flow::Incoming, self.receive_generation);
                self.report(now, &TraceEvent::KeyUpdated { flow, generation });
            }
        }
        self.report(now, &TraceEvent::PacketReceived(packet));
        self.on_streams(now, &packet, Flow::Incoming);
    }

    /// Reports what differs from the last time.
    pub(crate) fn settle(&mut self, now: Instant, new: &Snapshot<'_>) {
        self.now = now;
        if is_odd(self.send_generation) != new.send_phase {
            self.send_generation += 1;
            let (flow, generation) = (Flow::Outgoing, self.send_generation);
            self.report(now, &TraceEvent::KeyUpdated { flow, generation });
        }
        self.settle_path(now, new);
        self.settle_recovery(now, new);
        if self.blocked != new.blocked {
            self.blocked = new.blocked;
            self.report(now, &TraceEvent::BlockedUpdated { by: new.blocked });
        }
        if self.loss_timer != new.loss_timer {
            self.loss_timer = new.loss_timer;
            let set = new.loss_timer;
            self.report(now, &TraceEvent::LossTimerUpdated { set });
        }
        if let Some(reason) = new.closed.filter(|_| !self.closed) {
            self.closed = true;
            self.report(now, &TraceEvent::Closed { reason });
        }
        // Last, so that nothing follows the state in which a connection is over.
        if self.state != Some(new.state) {
            let (old, new) = (self.state.replace(new.state), new.state);
            self.report(now, &TraceEvent::StateUpdated { old, new });
        }
    }

    fn settle_path(&mut self, now: Instant, new: &Snapshot<'_>) {
        if self.remote != new.remote {
            let old = core::mem::replace(&mut self.remote, new.remote);
            let new = new.remote;
            self.candidate = self.candidate.filter(|candidate| *candidate != new);
            self.report(now, &TraceEvent::PathChanged { old, new });
        }
        if self.candidate != new.candidate {
            if let Some(candidate) = self.candidate {
                self.report(now, &TraceEvent::PathAbandoned { candidate });
            }
            if let Some(candidate) = new.candidate {
                self.report(now, &TraceEvent::PathProbed { candidate });
            }
            self.candidate = new.candidate;
        }
    }

    fn settle_recovery(&mut self, now: Instant, snapshot: &Snapshot<'_>) {
        let new = &snapshot.metrics;
        if self.metrics.as_ref() != Some(new) {
            let old = self.metrics.replace(*new);
            let old = old.as_ref();
            self.report(now, &TraceEvent::MetricsUpdated { old, new });
        }
        if self.phase != Some(snapshot.phase) {
            let (old, new) = (self.phase.replace(snapshot.phase), snapshot.phase);
            self.report(now, &TraceEvent::CongestionStateUpdated { old, new });
        }
    }

    fn on_streams(&mut self, now: Instant, packet: &TracedPacket<'_>, flow: Flow) {
        if let Some(piece) = packet.stream {
            self.on_piece(now, piece, flow);
        }
        for frame in packet.frames().flatten() {
            match frame {
                Frame::Stream {
                    id,
                    offset,
                    fin,
                    data,
                } => {
                    let length = data.len() as u64;
                    let piece = StreamPiece {
                        id,
                        offset,
                        length,
                        fin,
                    };
                    self.on_piece(now, piece, flow);
                }
                Frame::ResetStream { id, code, .. } => {
                    self.on_stream(now, id);
                    let update = match flow {
                        Flow::Outgoing => StreamUpdate::ResetSent { code },
                        Flow::Incoming => StreamUpdate::ResetReceived { code },
                    };
                    self.report(now, &TraceEvent::StreamUpdated { id, update });
                }
                Frame::StopSending { id, code } => {
                    self.on_stream(now, id);
                    let update = match flow {
                        Flow::Outgoing => StreamUpdate::StopSent { code },
                        Flow::Incoming => StreamUpdate::StopReceived { code },
                    };
                    self.report(now, &TraceEvent::StreamUpdated { id, update });
                }
                _ => {}
            }
        }
    }

    fn on_piece(&mut self, now: Instant, piece: StreamPiece, flow: Flow) {
        let id = piece.id;
        self.on_stream(now, id);
        if piece.fin {
            let size = piece.offset.saturating_add(piece.length);
            let update = match flow {
                Flow::Outgoing => StreamUpdate::FinSent { size },
                Flow::Incoming => StreamUpdate::FinReceived { size },
            };
            self.report(now, &TraceEvent::StreamUpdated { id, update });
        }
    }

    /// A packet names the stream: the first one opens it, and all lower ones of its kind
    /// (`docs/wire.md` W-STR-1); only the named one is reported.
    fn on_stream(&mut self, now: Instant, id: StreamId) {
        let kind = usize::from(id.direction() == StreamDirection::Unidirectional) * 2
            + usize::from(id.opener() == crate::ids::Side::Responder);
        let Some(next) = self.streams.get_mut(kind) else {
            return;
        };
        if id.index() >= *next {
            *next = id.index() + 1;
            let update = StreamUpdate::Opened;
            self.report(now, &TraceEvent::StreamUpdated { id, update });
        }
    }
}

const fn is_odd(generation: u64) -> bool {
    generation & 1 == 1
}
