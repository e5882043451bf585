//! The form of a log, and what a failing sink does to it.

use std::boxed::Box;
use std::string::String;
use std::sync::{Arc, Mutex};
use std::vec::Vec;

use super::*;
use crate::io::ConnectionHandle;
use crate::trace::{DropReason, Timer};

fn start() -> ConnectionStart {
    ConnectionStart {
        handle: ConnectionHandle(0),
        side: Side::Responder,
        local_cid: ConnectionId(0xabc),
        remote_cid: Some(ConnectionId(0x1234_5678)),
        remote: std::net::SocketAddr::from(([192, 0, 2, 1], 9)),
    }
}

const EXPIRED: TraceEvent<'static> = TraceEvent::TimerExpired {
    timer: Timer::Probe,
};

fn text(log: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(log).expect("a log is UTF-8");
    assert!(text.starts_with('\u{1e}') && text.ends_with('\n'));
    text.split('\u{1e}').skip(1).map(String::from).collect()
}

#[test]
fn a_log_is_a_header_and_records_of_one_line() {
    let memory = Memory::default();
    let config = QlogConfig {
        wall_clock_time: Some("2026-11-21T06:00:00.000Z".into()),
        ..QlogConfig::default()
    };
    let mut qlog = Qlog::new(Box::new(memory.clone()), config);
    let mut log = qlog.open(Instant::from_nanos(5), &start()).unwrap();
    log.on_event(Instant::from_nanos(1_500_000), &EXPIRED);
    let logs = memory.logs();
    let records = text(&logs["00000abc_server.sqlog"]);
    assert_eq!(
        records,
        [
            "{\"file_schema\":\"urn:ietf:params:qlog:file:sequential\",\
             \"serialization_format\":\"application/qlog+json-seq\",\"trace\":{\
             \"event_schemas\":[\"urn:dunlin:qlog:events:dunlin-1\"],\
             \"vantage_point\":{\"name\":\"dunlin/0.1.0\",\"type\":\"server\"},\
             \"common_fields\":{\"group_id\":\"12345678\",\"time_format\":\"relative_to_epoch\",\
             \"reference_time\":{\"clock_type\":\"monotonic\",\"epoch\":\"unknown\",\
             \"wall_clock_time\":\"2026-11-21T06:00:00.000Z\"}}}}\n",
            "{\"time\":0.000005,\"name\":\"dunlin:connection_started\",\"data\":{\
             \"side\":\"responder\",\"local_cid\":\"00000abc\",\"remote_cid\":\"12345678\",\
             \"remote\":\"192.0.2.1:9\"}}\n",
            "{\"time\":1.500000,\"name\":\"dunlin:timer_expired\",\"data\":{\"timer\":\"probe\"}}\n",
        ]
    );
}

/// Answers what it is told to, and keeps what it takes.
#[derive(Clone, Default)]
struct Moody {
    answers: Arc<Mutex<Vec<Written>>>,
    taken: Memory,
}

struct MoodySink(Moody, Box<dyn Sink>);

impl Sinks for Moody {
    fn open(&mut self, name: &str) -> Option<Box<dyn Sink>> {
        let inner = self.taken.open(name)?;
        Some(Box::new(MoodySink(self.clone(), inner)))
    }
}

impl Sink for MoodySink {
    fn write(&mut self, record: &[u8]) -> Written {
        let answer = self.0.answers.lock().unwrap().pop();
        match answer.unwrap_or(Written::Taken) {
            Written::Taken => self.1.write(record),
            other => other,
        }
    }
}

fn events(moody: &Moody, answers: &[Written]) -> Vec<String> {
    let mut qlog = Qlog::new(Box::new(moody.clone()), QlogConfig::default());
    let mut log = qlog.open(Instant::ZERO, &start()).unwrap();
    *moody.answers.lock().unwrap() = answers.iter().rev().copied().collect();
    for _ in 0..6 {
        log.on_event(Instant::ZERO, &EXPIRED);
    }
    let logs = moody.taken.logs();
    let records = text(&logs["00000abc_server.sqlog"]);
    let name = |record: &String| {
        let (_, rest) = record.split_once("dunlin:").unwrap_or_default();
        String::from(rest.trim_end().trim_end_matches('}'))
    };
    records.iter().skip(2).map(name).collect()
}

const EXPIRED_RECORD: &str = "timer_expired\",\"data\":{\"timer\":\"probe\"";

#[test]
fn a_full_sink_loses_records_and_the_log_says_how_many() {
    use Written::{Full, Taken};
    // Two are lost, then there is no room for the notice either, so a third is lost.
    let seen = events(&Moody::default(), &[Taken, Full, Full, Full, Taken]);
    assert_eq!(
        seen,
        [
            EXPIRED_RECORD,
            "events_lost\",\"data\":{\"count\":3",
            EXPIRED_RECORD,
            EXPIRED_RECORD
        ]
    );
}

#[test]
fn a_broken_sink_ends_its_log_and_nothing_else() {
    use Written::{Broken, Taken};
    let moody = Moody::default();
    assert_eq!(events(&moody, &[Taken, Broken]), [EXPIRED_RECORD]);
}

#[test]
fn a_log_ends_at_its_bound() {
    let memory = Memory::default();
    let config = QlogConfig {
        log_bytes_max: 700,
        ..QlogConfig::default()
    };
    let mut qlog = Qlog::new(Box::new(memory.clone()), config);
    let mut log = qlog.open(Instant::ZERO, &start()).unwrap();
    for _ in 0..100 {
        log.on_event(Instant::ZERO, &EXPIRED);
    }
    let written = memory.logs()["00000abc_server.sqlog"].len();
    assert!((600..=700).contains(&written), "{written} bytes");
}

#[test]
fn nobody_writes_a_log_that_cannot_be_opened() {
    struct Nowhere;
    impl Sinks for Nowhere {
        fn open(&mut self, _: &str) -> Option<Box<dyn Sink>> {
            None
        }
    }
    let mut qlog = Qlog::new(Box::new(Nowhere), QlogConfig::default());
    assert!(qlog.open(Instant::ZERO, &start()).is_none());
    // The endpoint's own log is given up as quietly.
    let event = EndpointEvent::Dropped {
        from: start().remote,
        reason: DropReason::Refused,
        bytes: 1,
    };
    qlog.on_endpoint_event(Instant::ZERO, &event);
    qlog.on_endpoint_event(Instant::ZERO, &event);
}

#[test]
fn files_are_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Files::new(folder.path(), "node-");
    for content in [b"first", b"later"] {
        let mut sink = files.open("a.sqlog").unwrap();
        assert_eq!(sink.write(content), Written::Taken);
        sink.flush();
    }
    let read = |name| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("node-a.sqlog"), b"first");
    assert_eq!(read("node-a-1.sqlog"), b"later");
    drop(folder);
    assert!(files.open("b.sqlog").is_none(), "the folder is gone");
}
