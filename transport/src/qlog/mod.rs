//! What connections do, as qlog: one file a connection, JSON text sequences (RFC 7464), header and
//! event form of draft-ietf-quic-qlog-main-schema-14, events of our own namespace.
//!
//! `docs/qlog.md` has every event and field; `docs/qlog.schema.json` is the same as a
//! JSON Schema. [`Qlog`] is an [`Observer`]; where the bytes go is the business of [`Sinks`]. A sink
//! that fails ends its log and nothing else; one that is full loses records, and the log says how
//! many.

mod events;
mod frames;
mod json;
mod sink;
#[cfg(test)]
mod tests;

use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

pub use sink::{Files, Memory, Sink, Sinks, Written, create};

use crate::connection::state::State;
use crate::ids::{ConnectionId, Side};
use crate::time::Instant;
use crate::trace::{ConnectionObserver, ConnectionStart, EndpointEvent, Observer, TraceEvent};
use json::{Object, object};

/// What the header names as the schema of a sequence of records (main schema, "QlogFileSeq").
pub const FILE_SCHEMA: &str = "urn:ietf:params:qlog:file:sequential";
/// What it names as the form of the records.
pub const SERIALIZATION: &str = "application/qlog+json-seq";
/// Names our events and their version. The number rises when a field changes its meaning.
pub const EVENT_SCHEMA: &str = "urn:dunlin:qlog:events:dunlin-1";
/// Begins the name of every event of ours.
pub const NAMESPACE: &str = "dunlin";

/// First byte of a record (RFC 7464 §2.2).
const RECORD_SEPARATOR: u8 = 0x1e;
/// Bytes of one log by default, after which it ends. A guess: an hour at 1,000 packets a second.
const LOG_BYTES_MAX: u64 = 4 << 30;

/// What a log says about itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QlogConfig {
    /// A title for all logs.
    pub title: Option<String>,
    /// The wall-clock time of [`Instant::ZERO`] (RFC 3339). None: time is virtual, or unknown.
    pub wall_clock_time: Option<String>,
    /// Bytes after which a log ends.
    pub log_bytes_max: u64,
}

impl Default for QlogConfig {
    fn default() -> Self {
        Self {
            title: None,
            wall_clock_time: None,
            log_bytes_max: LOG_BYTES_MAX,
        }
    }
}

/// Writes a log for every connection of an endpoint, and one for the endpoint once something
/// happens that belongs to no connection.
pub struct Qlog {
    sinks: Box<dyn Sinks>,
    config: QlogConfig,
    endpoint: Option<Log>,
}

impl Qlog {
    /// Logs into `sinks`.
    #[must_use]
    pub fn new(sinks: Box<dyn Sinks>, config: QlogConfig) -> Self {
        Self {
            sinks,
            config,
            endpoint: None,
        }
    }

    fn begin(&mut self, name: &str, vantage: &str, group: Option<ConnectionId>) -> Option<Log> {
        let mut log = Log {
            sink: self.sinks.open(name),
            record: Vec::new(),
            room: self.config.log_bytes_max,
            lost: 0,
        };
        log.header(&self.config, vantage, group);
        log.sink.is_some().then_some(log)
    }
}

impl Observer for Qlog {
    fn open(
        &mut self,
        now: Instant,
        start: &ConnectionStart,
    ) -> Option<Box<dyn ConnectionObserver>> {
        let vantage = vantage_point(start.side);
        let name = std::format!("{:08x}_{vantage}.sqlog", start.local_cid.0);
        // Both ends call the connection by what the initiator chose.
        let group = match start.side {
            Side::Initiator => Some(start.local_cid),
            Side::Responder => start.remote_cid,
        };
        let mut log = self.begin(&name, vantage, group)?;
        log.event(now, "connection_started", |data| {
            events::started(data, start);
        });
        Some(Box::new(log))
    }

    fn on_endpoint_event(&mut self, now: Instant, event: &EndpointEvent) {
        if self.endpoint.is_none() {
            self.endpoint = Some(
                self.begin("endpoint.sqlog", "server", None)
                    .unwrap_or_else(Log::closed),
            );
        }
        if let Some(log) = &mut self.endpoint {
            let name = events::endpoint_event_name(event);
            log.event(now, name, |data| events::endpoint_event(data, event));
        }
    }
}

/// One log.
struct Log {
    /// None: it ended.
    sink: Option<Box<dyn Sink>>,
    /// The record under construction; used again.
    record: Vec<u8>,
    /// Bytes that may still be written.
    room: u64,
    /// Records for which the sink had no room since the last one that it took.
    lost: u64,
}

impl Log {
    const fn closed() -> Self {
        Self {
            sink: None,
            record: Vec::new(),
            room: 0,
            lost: 0,
        }
    }

    fn header(&mut self, config: &QlogConfig, vantage: &str, group: Option<ConnectionId>) {
        self.write(|record| {
            object(record, |file| {
                file.text("file_schema", FILE_SCHEMA);
                file.text("serialization_format", SERIALIZATION);
                if let Some(title) = &config.title {
                    file.text("title", title);
                }
                file.object("trace", |trace| {
                    trace.texts("event_schemas", [EVENT_SCHEMA].into_iter());
                    trace.object("vantage_point", |point| {
                        point.text("name", concat!("dunlin/", env!("CARGO_PKG_VERSION")));
                        point.text("type", vantage);
                    });
                    trace.object("common_fields", |common| {
                        if let Some(group) = group {
                            common.display("group_id", format_args!("{:08x}", group.0));
                        }
                        common.text("time_format", "relative_to_epoch");
                        common.object("reference_time", |time| {
                            time.text("clock_type", "monotonic");
                            time.text("epoch", "unknown");
                            if let Some(wall_clock) = &config.wall_clock_time {
                                time.text("wall_clock_time", wall_clock);
                            }
                        });
                    });
                });
            });
        });
    }

    fn event(&mut self, now: Instant, name: &str, data: impl FnOnce(&mut Object<'_>)) {
        if self.sink.is_none() {
            return;
        }
        if self.lost > 0 {
            let count = self.lost;
            self.write(|record| {
                event_record(record, now, "events_lost", |data| {
                    data.number("count", count);
                });
            });
            if self.lost > count {
                // Still no room: this record is one more.
                return;
            }
            self.lost = 0;
        }
        self.write(|record| event_record(record, now, name, data));
    }

    fn write(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        let Some(sink) = &mut self.sink else { return };
        self.record.clear();
        self.record.push(RECORD_SEPARATOR);
        fill(&mut self.record);
        self.record.push(b'\n');
        let Some(room) = self.room.checked_sub(self.record.len() as u64) else {
            self.sink = None;
            return;
        };
        match sink.write(&self.record) {
            Written::Taken => self.room = room,
            Written::Full => self.lost += 1,
            Written::Broken => self.sink = None,
        }
    }
}

impl ConnectionObserver for Log {
    fn on_event(&mut self, now: Instant, event: &TraceEvent<'_>) {
        let name = events::name(event);
        self.event(now, name, |data| events::data(data, now, event));
        if let (TraceEvent::StateUpdated { new, .. }, Some(sink)) = (event, &mut self.sink)
            && *new == State::Closed
        {
            sink.flush();
        }
    }
}

fn event_record(
    record: &mut Vec<u8>,
    now: Instant,
    name: &str,
    data: impl FnOnce(&mut Object<'_>),
) {
    object(record, |event| {
        event.millis("time", now.saturating_duration_since(Instant::ZERO));
        event.display("name", format_args!("{NAMESPACE}:{name}"));
        event.object("data", data);
    });
}

const fn vantage_point(side: Side) -> &'static str {
    match side {
        Side::Initiator => "client",
        Side::Responder => "server",
    }
}
