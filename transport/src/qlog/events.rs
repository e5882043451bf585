//! Events as JSON; the fields are those of `docs/qlog.md`.

use std::time::Duration;

use super::frames::frame;
use super::json::Object;
use crate::congestion::CongestionKind;
use crate::connection::state::State;
use crate::error::CloseReason;
use crate::ids::Side;
use crate::io::EcnMark;
use crate::protect::Flow;
use crate::time::Instant;
use crate::trace::{
    Answer, Blocked, ConnectionStart, DropReason, EndpointEvent, LossTrigger, Metrics,
    StreamUpdate, Timer, TraceEvent, TracedPacket,
};
use crate::wire::header::DataKind;
use crate::wire::params::TransportParams;
use crate::wire::{Flags, PacketType};

/// Flags and their names.
const FLAGS: [(Flags, &str); 8] = [
    (Flags::ACK, "ack"),
    (Flags::SEALED, "sealed"),
    (Flags::EXTENSION, "extension"),
    (Flags::END, "end"),
    (Flags::KEY_PHASE, "key_phase"),
    (Flags::RELIABLE, "reliable"),
    (Flags::ORDERED, "ordered"),
    (Flags::URGENT, "urgent"),
];

/// The name of an event, without the namespace.
pub(super) const fn name(event: &TraceEvent<'_>) -> &'static str {
    match event {
        TraceEvent::StateUpdated { .. } => "connection_state_updated",
        TraceEvent::Closed { .. } => "connection_closed",
        TraceEvent::ParametersSet { .. } => "parameters_set",
        TraceEvent::PacketSent(_) => "packet_sent",
        TraceEvent::PacketReceived(_) => "packet_received",
        TraceEvent::PacketDropped { .. } => "packet_dropped",
        TraceEvent::PacketsAcked { .. } => "packets_acked",
        TraceEvent::PacketLost { .. } => "packet_lost",
        TraceEvent::SpuriousLoss { .. } => "spurious_loss",
        TraceEvent::Congestion { .. } => "congestion_signal",
        TraceEvent::MetricsUpdated { .. } => "recovery_metrics_updated",
        TraceEvent::CongestionStateUpdated { .. } => "congestion_state_updated",
        TraceEvent::MtuUpdated { .. } => "mtu_updated",
        TraceEvent::PathProbed { .. }
        | TraceEvent::PathAbandoned { .. }
        | TraceEvent::PathChanged { .. } => "path_updated",
        TraceEvent::KeyUpdated { .. } => "key_updated",
        TraceEvent::StreamUpdated { .. } => "stream_updated",
        TraceEvent::BlockedUpdated { .. } => "blocked_updated",
        TraceEvent::LossTimerUpdated { .. } => "loss_timer_updated",
        TraceEvent::TimerExpired { .. } => "timer_expired",
    }
}

/// The fields of an event.
pub(super) fn data(data: &mut Object<'_>, now: Instant, event: &TraceEvent<'_>) {
    match event {
        TraceEvent::StateUpdated { old, new } => {
            if let Some(old) = old {
                data.text("old", state(*old));
            }
            data.text("new", state(*new));
        }
        TraceEvent::Closed { reason } => closed(data, reason),
        TraceEvent::ParametersSet { flow, params } => parameters(data, *flow, params),
        TraceEvent::PacketSent(sent) => packet(data, sent),
        TraceEvent::PacketReceived(received) => packet(data, received),
        TraceEvent::PacketDropped {
            reason,
            bytes,
            from,
        } => dropped(data, (*reason, *bytes), from),
        TraceEvent::PacketsAcked { numbers, bytes } => {
            data.number("first", numbers.first);
            data.number("last", numbers.last);
            data.number("bytes", *bytes);
        }
        TraceEvent::PacketLost {
            number,
            bytes,
            sent_at,
            trigger,
        } => {
            data.number("number", number.0);
            data.number("bytes", *bytes);
            data.millis("age", now.saturating_duration_since(*sent_at));
            data.text("trigger", loss_trigger(*trigger));
        }
        TraceEvent::SpuriousLoss {
            number,
            bytes,
            declared_at,
            packet_threshold,
        } => {
            data.number("number", number.0);
            data.number("bytes", *bytes);
            data.millis("age", now.saturating_duration_since(*declared_at));
            data.number("packet_threshold", *packet_threshold);
        }
        TraceEvent::MetricsUpdated { old, new } => metrics(data, *old, new),
        other => small(data, now, other),
    }
}

/// Events of one or two fields.
fn small(data: &mut Object<'_>, now: Instant, event: &TraceEvent<'_>) {
    match event {
        TraceEvent::Congestion { kind, bytes } => {
            data.text("kind", congestion_kind(*kind));
            data.number("bytes", *bytes);
        }
        TraceEvent::CongestionStateUpdated { old, new } => {
            if let Some(old) = old {
                data.text("old", congestion_state(old));
            }
            data.text("new", congestion_state(new));
        }
        TraceEvent::MtuUpdated { old, new } => {
            data.number("old", *old as u64);
            data.number("new", *new as u64);
        }
        TraceEvent::PathProbed { candidate } => path(data, "probed", candidate),
        TraceEvent::PathAbandoned { candidate } => path(data, "abandoned", candidate),
        TraceEvent::PathChanged { old, new } => {
            path(data, "changed", new);
            data.display("old", old);
        }
        TraceEvent::KeyUpdated { flow, generation } => {
            data.text("owner", owner(*flow));
            data.number("generation", *generation);
        }
        TraceEvent::StreamUpdated { id, update } => {
            data.number("stream_id", id.0);
            stream(data, *update);
        }
        TraceEvent::BlockedUpdated { by } => blocked(data, *by),
        TraceEvent::LossTimerUpdated { set } => match set {
            None => data.text("update", "cancelled"),
            Some((timer_kind, at)) => {
                data.text("update", "set");
                data.text("timer", timer(*timer_kind));
                data.millis("delta", at.saturating_duration_since(now));
            }
        },
        TraceEvent::TimerExpired { timer: which } => data.text("timer", timer(*which)),
        // Written by the caller.
        _ => {}
    }
}

/// A connection begins.
pub(super) fn started(data: &mut Object<'_>, start: &ConnectionStart) {
    let side = match start.side {
        Side::Initiator => "initiator",
        Side::Responder => "responder",
    };
    data.text("side", side);
    data.display("local_cid", format_args!("{:08x}", start.local_cid.0));
    if let Some(cid) = start.remote_cid {
        data.display("remote_cid", format_args!("{:08x}", cid.0));
    }
    data.display("remote", start.remote);
}

/// The name of an event of the endpoint.
pub(super) const fn endpoint_event_name(event: &EndpointEvent) -> &'static str {
    match event {
        EndpointEvent::Dropped { .. } => "datagram_dropped",
        EndpointEvent::Answered { .. } => "syn_answered",
    }
}

/// Its fields.
pub(super) fn endpoint_event(data: &mut Object<'_>, event: &EndpointEvent) {
    match event {
        EndpointEvent::Dropped {
            from,
            reason,
            bytes,
        } => dropped(data, (*reason, *bytes), from),
        EndpointEvent::Answered { to, answer, bytes } => {
            let answer = match answer {
                Answer::SynAck => "syn_ack",
                Answer::Retry => "retry",
                Answer::Version => "version_reply",
                Answer::Reset => "stateless_reset",
            };
            data.text("answer", answer);
            data.display("remote", to);
            data.object("raw", |raw| raw.number("length", *bytes as u64));
        }
    }
}

fn packet(data: &mut Object<'_>, packet: &TracedPacket<'_>) {
    let header = &packet.header;
    data.object("header", |fields| {
        fields.text("packet_type", packet_type(packet.kind()));
        fields.number("packet_number", packet.number.0);
        let set = |(flag, _): &&(Flags, &str)| header.flags.contains(*flag);
        let flags = FLAGS.iter().filter(set).map(|(_, name)| *name);
        // The same bit says something else on a SYN_ACK.
        let flags = flags.map(|name| match (packet.kind(), name) {
            (PacketType::SynAck, "end") => "retry",
            _ => name,
        });
        fields.texts("flags", flags);
        fields.number_if("largest_acked", packet.largest_acked.map(|number| number.0));
        fields.number("window", u64::from(header.window));
        fields.display(
            "connection_id",
            format_args!("{:08x}", header.connection_id.0),
        );
    });
    data.object("raw", |raw| {
        raw.number("length", packet.bytes as u64);
        raw.number("payload_length", u64::from(header.payload_len));
    });
    if packet.body > 0 || packet.stream.is_some() {
        data.object("body", |fields| body(fields, packet));
    }
    if !packet.extension.is_empty() {
        let largest = packet.largest_acked.map_or(0, |number| number.0);
        data.objects("frames", packet.frames().flatten(), |fields, decoded| {
            frame(fields, &decoded, largest);
        });
    }
    data.display("remote", packet.remote);
    if let Some(mark) = packet.ecn {
        data.text("ecn", ecn(mark));
    }
}

fn body(fields: &mut Object<'_>, packet: &TracedPacket<'_>) {
    let header = &packet.header;
    let kind = match (packet.kind(), header.data_kind()) {
        (PacketType::Data, Ok(DataKind::Stream { .. })) => "stream",
        (PacketType::Data, Ok(DataKind::Message)) => "message",
        (PacketType::Data, Ok(DataKind::Datagram)) => "datagram",
        (PacketType::Fragment, _) => "fragment",
        _ => "control",
    };
    fields.text("kind", kind);
    if let Some(piece) = packet.stream {
        fields.number("stream_id", piece.id.0);
        fields.number("offset", piece.offset);
        fields.flag("fin", piece.fin);
    } else if kind != "control" {
        fields.number("message_id_low", u64::from(header.fragment_id));
        fields.number("index", u64::from(header.fragment_index));
        fields.number("total", u64::from(header.fragment_total));
    }
    fields.number("length", packet.body as u64);
}

fn dropped(
    data: &mut Object<'_>,
    (reason, bytes): (DropReason, usize),
    from: &core::net::SocketAddr,
) {
    let name = match reason {
        DropReason::Header(_) => "header",
        DropReason::Profile => "profile",
        DropReason::Length => "length",
        DropReason::Duplicate => "duplicate",
        DropReason::Undecryptable => "undecryptable",
        DropReason::Unexpected => "unexpected",
        DropReason::Handshake => "handshake",
        DropReason::Bound => "bound",
        DropReason::UnknownConnection => "unknown_connection",
        DropReason::Refused => "refused",
    };
    data.text("trigger", name);
    if let DropReason::Header(rule) = reason {
        data.display("rule", rule);
    }
    data.object("raw", |raw| raw.number("length", bytes as u64));
    data.display("remote", from);
}

fn closed(data: &mut Object<'_>, reason: &CloseReason) {
    let (name, code) = match reason {
        CloseReason::Local => ("local", None),
        CloseReason::Peer { code, .. } => ("peer", Some(*code)),
        CloseReason::Reset { code, .. } => ("reset", Some(*code)),
        CloseReason::TransportReset { code } => ("transport_reset", Some(*code)),
        CloseReason::Violation(violation) => ("violation", Some(violation.code())),
        CloseReason::TimedOut => ("timed_out", None),
        CloseReason::HandshakeTimeout { .. } => ("handshake_timeout", None),
        CloseReason::Handshake(_) => ("handshake", None),
        CloseReason::PeerRestarted => ("stateless_reset", None),
        CloseReason::CarrierLost => ("carrier_lost", None),
        CloseReason::EndpointStopped => ("endpoint_stopped", None),
    };
    data.text("trigger", name);
    data.number_if("code", code);
    data.display("text", reason);
}

fn parameters(data: &mut Object<'_>, flow: Flow, params: &TransportParams) {
    data.text("owner", owner(flow));
    data.display(
        "connection_id",
        format_args!("{:08x}", params.connection_id.0),
    );
    data.millis("idle_timeout", params.idle_timeout);
    data.number("max_data", params.max_data);
    data.number("max_stream_data", params.max_stream_data);
    data.number("max_streams_bidi", params.max_streams_bidi);
    data.number("max_streams_uni", params.max_streams_uni);
    data.number("max_message_size", params.max_message_size);
    data.number("max_datagram_size", params.max_datagram_size);
    data.number("max_udp_payload", params.max_udp_payload);
    data.millis("max_ack_delay", params.max_ack_delay);
    data.millis("min_ack_delay", params.min_ack_delay);
    data.number("window_shift", u64::from(params.window_shift));
}

/// A field of the metrics: its name, and where it is.
type Field<T> = (&'static str, fn(&Metrics) -> T);

/// Only what changed.
fn metrics(data: &mut Object<'_>, old: Option<&Metrics>, new: &Metrics) {
    let times: [Field<Duration>; 4] = [
        ("smoothed_rtt", |metrics| metrics.smoothed_rtt),
        ("min_rtt", |metrics| metrics.min_rtt),
        ("latest_rtt", |metrics| metrics.latest_rtt),
        ("rtt_variance", |metrics| metrics.rtt_variance),
    ];
    for (name, value) in times {
        if old.map(value) != Some(value(new)) {
            data.millis(name, value(new));
        }
    }
    let numbers: [Field<Option<u64>>; 5] = [
        ("pto_count", |metrics| Some(u64::from(metrics.pto_count))),
        ("congestion_window", |metrics| {
            Some(metrics.congestion_window)
        }),
        ("bytes_in_flight", |metrics| Some(metrics.bytes_in_flight)),
        ("ssthresh", |metrics| metrics.ssthresh),
        // As bits, like quic-events has it.
        ("pacing_rate", |metrics| {
            metrics.pacing_rate.map(|rate| rate.saturating_mul(8))
        }),
    ];
    for (name, value) in numbers {
        if old.map(value) != Some(value(new)) {
            data.number_if(name, value(new));
        }
    }
}

fn path(data: &mut Object<'_>, update: &str, address: &core::net::SocketAddr) {
    data.text("update", update);
    data.display("address", address);
}

fn stream(data: &mut Object<'_>, update: StreamUpdate) {
    let (name, size, code) = match update {
        StreamUpdate::Opened => ("opened", None, None),
        StreamUpdate::FinSent { size } => ("fin_sent", Some(size), None),
        StreamUpdate::Delivered => ("delivered", None, None),
        StreamUpdate::FinReceived { size } => ("fin_received", Some(size), None),
        StreamUpdate::ResetSent { code } => ("reset_sent", None, Some(code)),
        StreamUpdate::ResetReceived { code } => ("reset_received", None, Some(code)),
        StreamUpdate::StopSent { code } => ("stop_sent", None, Some(code)),
        StreamUpdate::StopReceived { code } => ("stop_received", None, Some(code)),
    };
    data.text("update", name);
    data.number_if("size", size);
    data.number_if("code", code);
}

fn blocked(data: &mut Object<'_>, by: Option<Blocked>) {
    let (name, id) = match by {
        None => ("nothing", None),
        Some(Blocked::ConnectionCredit) => ("connection_credit", None),
        Some(Blocked::StreamCredit(id)) => ("stream_credit", Some(id.0)),
        Some(Blocked::CongestionWindow) => ("congestion_window", None),
        Some(Blocked::Pacing) => ("pacing", None),
    };
    data.text("by", name);
    data.number_if("stream_id", id);
}

const fn state(state: State) -> &'static str {
    match state {
        State::SynSent => "syn_sent",
        State::Established => "established",
        State::Closing => "closing",
        State::FinSent => "fin_sent",
        State::TimeWait => "time_wait",
        State::Reset => "reset",
        State::Closed => "closed",
    }
}

const fn packet_type(kind: PacketType) -> &'static str {
    match kind {
        PacketType::Syn => "syn",
        PacketType::SynAck => "syn_ack",
        PacketType::Ack => "ack",
        PacketType::Fin => "fin",
        PacketType::FinAck => "fin_ack",
        PacketType::Rst => "rst",
        PacketType::Data => "data",
        PacketType::Ping => "ping",
        PacketType::Pong => "pong",
        PacketType::Fragment => "fragment",
        PacketType::FragmentAck => "fragment_ack",
        PacketType::Nack => "nack",
    }
}

const fn congestion_kind(kind: CongestionKind) -> &'static str {
    match kind {
        CongestionKind::Loss => "loss",
        CongestionKind::Ecn => "ecn",
        CongestionKind::Persistent => "persistent",
    }
}

/// The controller's word, except where qlog has one of its own.
fn congestion_state(phase: &'static str) -> &'static str {
    match phase {
        "avoidance" => "congestion_avoidance",
        other => other,
    }
}

const fn loss_trigger(trigger: LossTrigger) -> &'static str {
    match trigger {
        LossTrigger::Reordering => "reordering_threshold",
        LossTrigger::Time => "time_threshold",
    }
}

const fn timer(timer: Timer) -> &'static str {
    match timer {
        Timer::Handshake => "handshake",
        Timer::Idle => "idle",
        Timer::Loss => "loss",
        Timer::Probe => "probe",
        Timer::KeepAlive => "keep_alive",
        Timer::Linger => "linger",
    }
}

const fn owner(flow: Flow) -> &'static str {
    match flow {
        Flow::Outgoing => "local",
        Flow::Incoming => "remote",
    }
}

const fn ecn(mark: EcnMark) -> &'static str {
    match mark {
        EcnMark::Ect0 => "ect0",
        EcnMark::Ect1 => "ect1",
        EcnMark::Ce => "ce",
    }
}
