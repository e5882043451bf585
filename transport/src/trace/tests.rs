//! Two endpoints with observers, in virtual time.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use alloc::{format, vec};
use std::sync::Mutex;

use super::*;
use crate::Endpoint;
use crate::config::EndpointConfig;
use crate::ids::StreamDirection;
use crate::io::Event;
use crate::plain::{PlainAcceptor, PlainInitiator};
use crate::protect::Random;
use crate::wire::frame::Frame;

struct Counting(u8);

impl Random for Counting {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_add(37);
            *byte = self.0;
        }
    }
}

/// Lines of what happened, in the order in which it did.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn push(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn take(&self) -> Vec<String> {
        core::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for Lines {
    fn open(&mut self, _: Instant, start: &ConnectionStart) -> Option<Box<dyn ConnectionObserver>> {
        self.push(format!("open {:?}", start.side));
        Some(Box::new(self.clone()))
    }

    fn on_endpoint_event(&mut self, _: Instant, event: &EndpointEvent) {
        self.push(match event {
            EndpointEvent::Dropped { reason, .. } => format!("endpoint dropped {reason:?}"),
            EndpointEvent::Answered { answer, .. } => format!("answered {answer:?}"),
        });
    }
}

impl ConnectionObserver for Lines {
    fn on_event(&mut self, _: Instant, event: &TraceEvent<'_>) {
        self.push(match event {
            TraceEvent::PacketSent(packet) => format!("sent {}", short(packet)),
            TraceEvent::PacketReceived(packet) => format!("received {}", short(packet)),
            TraceEvent::PacketDropped { reason, .. } => format!("dropped {reason:?}"),
            TraceEvent::PacketsAcked { numbers, .. } => {
                format!("acked {}", numbers.last - numbers.first + 1)
            }
            TraceEvent::PacketLost { trigger, .. } => format!("lost {trigger:?}"),
            TraceEvent::StateUpdated { new, .. } => format!("state {new:?}"),
            TraceEvent::StreamUpdated { id, update } => format!("stream {} {update:?}", id.0),
            TraceEvent::Closed { reason } => format!("closed: {reason}"),
            TraceEvent::TimerExpired { timer } => format!("expired {timer:?}"),
            TraceEvent::MetricsUpdated { .. } => "metrics".into(),
            other => format!("{other:?}")
                .split([' ', '('])
                .next()
                .unwrap_or_default()
                .into(),
        });
    }
}

fn short(packet: &TracedPacket<'_>) -> String {
    let stream = packet
        .stream
        .map(|piece| format!(" {}+{}", piece.offset, piece.length));
    let frames = packet.frames().map(|frame| match frame.unwrap() {
        Frame::Ack(_) => " ACK",
        _ => " other",
    });
    format!(
        "{:?}{}{}",
        packet.kind(),
        stream.unwrap_or_default(),
        frames.collect::<String>()
    )
}

/// A client and a server with a path that takes no time.
struct Pair {
    now: Instant,
    ends: [(Endpoint, Lines); 2],
    handles: [Option<ConnectionHandle>; 2],
    /// How many of the next datagrams of the client are lost.
    lose: usize,
}

fn address(end: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], if end == 0 { 1 } else { 2 }))
}

impl Pair {
    fn new() -> Self {
        let end = |seed: u8, answers: bool| {
            let acceptor = answers.then(|| Box::new(PlainAcceptor::new()) as _);
            let config = EndpointConfig::default();
            let mut endpoint = Endpoint::new(config, Box::new(Counting(seed)), acceptor);
            let lines = Lines::default();
            endpoint.set_observer(Box::new(lines.clone()));
            (endpoint, lines)
        };
        let mut pair = Self {
            now: Instant::ZERO,
            ends: [end(1, false), end(2, true)],
            handles: [None, None],
            lose: 0,
        };
        let initiator = Box::new(PlainInitiator::new());
        let endpoint = &mut pair.ends[0].0;
        pair.handles[0] = Some(
            endpoint
                .connect(pair.now, address(1), initiator)
                .expect("a valid address"),
        );
        pair
    }

    fn connection(&mut self, end: usize) -> &mut crate::Connection {
        let handle = self.handles[end].expect("connected");
        self.ends[end]
            .0
            .connection_mut(handle)
            .expect("not released")
    }

    /// Until nothing is on its way.
    fn exchange(&mut self) {
        let mut idle = 0;
        while idle < 2 {
            idle += 1;
            for from in 0..2 {
                let mut buffer = Vec::new();
                while let Some(sent) = self.ends[from].0.poll_transmit(self.now, 1, &mut buffer) {
                    idle = 0;
                    if from == 0 && self.lose > 0 {
                        self.lose -= 1;
                        continue;
                    }
                    let datagram = &mut buffer[..sent.size];
                    self.ends[1 - from]
                        .0
                        .handle_datagram(self.now, address(from), None, datagram);
                }
                while let Some((handle, event)) = self.ends[from].0.poll_event() {
                    if matches!(event, Event::Connected { .. }) {
                        self.handles[from] = Some(handle);
                    }
                }
            }
        }
    }

    fn wait(&mut self) {
        let next = (0..2).filter_map(|end| self.ends[end].0.poll_timeout());
        self.now = next.min().expect("something is due");
        for (endpoint, _) in &mut self.ends {
            endpoint.handle_timeout(self.now);
        }
        self.exchange();
    }

    fn lines(&self, end: usize) -> Vec<String> {
        self.ends[end].1.take()
    }
}

/// The lines that begin with one of `words`.
fn only(lines: &[String], words: &[&str]) -> Vec<String> {
    let wanted = |line: &&String| words.iter().any(|word| line.starts_with(word));
    lines.iter().filter(wanted).cloned().collect()
}

#[test]
fn a_connection_is_told_from_its_first_packet_to_its_last_state() {
    let mut pair = Pair::new();
    pair.exchange();
    let stream = pair
        .connection(0)
        .open_stream(StreamDirection::Unidirectional)
        .unwrap();
    assert_eq!(pair.connection(0).write(stream, &[7; 100]), Ok(100));
    pair.connection(0).finish(stream).unwrap();
    pair.exchange();
    pair.connection(0).close(0, "done");
    pair.exchange();

    let client = pair.lines(0);
    assert_eq!(
        only(
            &client,
            &[
                "open",
                "state",
                "stream",
                "sent Syn",
                "received SynAck",
                "closed"
            ]
        ),
        [
            "open Initiator",
            "state SynSent",
            "sent Syn",
            "received SynAck",
            "state Established",
            "stream 2 Opened",
            "stream 2 FinSent { size: 100 }",
            "stream 2 Delivered",
            "state FinSent",
            "closed: closed locally",
            "state Closed",
        ]
    );
    assert!(client.contains(&"sent Data 0+100".into()), "{client:#?}");
    let server = pair.lines(1);
    assert_eq!(
        only(&server, &["answered", "open", "state", "stream", "closed"]),
        [
            "answered SynAck",
            "open Responder",
            "state Established",
            "stream 2 Opened",
            "stream 2 FinReceived { size: 100 }",
            "closed: closed by the peer (code 0): done",
            "state TimeWait",
        ]
    );
    assert!(
        server.contains(&"received Data 0+100".into()),
        "{server:#?}"
    );
    // The server sent nothing that asks for an acknowledgement.
    assert!(!only(&client, &["acked"]).is_empty(), "{client:#?}");
    for lines in [client, server] {
        assert_eq!(
            only(&lines, &["ParametersSet"]).len(),
            2,
            "one for each end"
        );
    }
}

#[test]
fn a_loss_is_told_with_what_found_it() {
    let mut pair = Pair::new();
    pair.exchange();
    let stream = pair
        .connection(0)
        .open_stream(StreamDirection::Unidirectional)
        .unwrap();
    pair.lines(0);
    pair.lose = 1;
    let bytes = vec![1; 8_000];
    assert_eq!(pair.connection(0).write(stream, &bytes), Ok(8_000));
    pair.exchange();
    let lines = pair.lines(0);
    assert_eq!(only(&lines, &["lost"]), ["lost Reordering"], "{lines:#?}");
    let signals = only(&lines, &["Congestion"]);
    let expected = ["Congestion", "CongestionStateUpdated"];
    assert_eq!(signals, expected, "{lines:#?}");
}

#[test]
fn silence_ends_in_expired_timers_and_a_reason() {
    let mut pair = Pair::new();
    pair.exchange();
    pair.lines(0);
    let stream = pair
        .connection(0)
        .open_stream(StreamDirection::Unidirectional)
        .unwrap();
    assert_eq!(pair.connection(0).write(stream, b"x"), Ok(1));
    pair.lose = usize::MAX;
    for _ in 0..100 {
        pair.exchange();
        if pair.ends[0].0.is_idle() {
            break;
        }
        pair.wait();
    }
    let lines = pair.lines(0);
    assert!(only(&lines, &["expired Probe"]).len() > 3, "{lines:#?}");
    let last = only(&lines, &["expired Idle", "closed", "state"]);
    assert_eq!(
        last,
        [
            "expired Idle",
            "closed: the connection timed out: nothing arrived for the idle timeout",
            "state Closed"
        ]
    );
}

#[test]
fn what_is_dropped_is_told_with_the_reason() {
    let mut pair = Pair::new();
    pair.exchange();
    for end in 0..2 {
        pair.lines(end);
    }
    // A packet twice, a packet with a flipped bit, one for nobody, and no packet at all.
    let mut buffer = Vec::new();
    let stream = pair
        .connection(0)
        .open_stream(StreamDirection::Unidirectional)
        .unwrap();
    assert_eq!(pair.connection(0).write(stream, b"data"), Ok(4));
    let sent = pair.ends[0].0.poll_transmit(pair.now, 1, &mut buffer);
    let original = buffer[..sent.expect("data waits").size].to_vec();
    let mut stranger = original.clone();
    stranger[31] ^= 1;
    let mut garbled = original.clone();
    garbled[33] ^= 1;
    let mut header = original.clone();
    header[5] ^= 1;
    let server = &mut pair.ends[1].0;
    for mut datagram in [
        garbled,
        header,
        original.clone(),
        original,
        stranger,
        b"hello".to_vec(),
    ] {
        server.handle_datagram(pair.now, address(0), None, &mut datagram);
    }
    let lines = pair.lines(1);
    assert_eq!(
        only(&lines, &["dropped", "endpoint dropped"]),
        [
            "dropped Undecryptable",
            "dropped Header(HeaderChecksum)",
            "dropped Duplicate",
            "endpoint dropped UnknownConnection",
            "endpoint dropped Header(Truncated)",
        ]
    );
}

#[test]
fn a_closed_connection_that_is_let_go_is_told_to_its_end() {
    let mut pair = Pair::new();
    let handle = pair.handles[0].expect("opened");
    pair.ends[0].0.release(handle);
    let lines = pair.lines(0);
    assert_eq!(
        only(&lines, &["closed", "state"]),
        ["state SynSent", "closed: closed locally", "state Closed"]
    );
}
